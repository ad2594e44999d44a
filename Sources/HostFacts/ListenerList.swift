// Listening TCP sockets by sock_diag(7): the request, and the decoder of its answer, which
// is a function of bytes.

import CNattrace
import Glibc
import Handshake

/// The sockets of one family that listen on a port.
struct ListenerList: NetlinkList {
    static let subject = "sock_diag"
    static let name = "the list of sockets"
    /// Sockets that share one port (SO_REUSEPORT, or one for each address). Past this the
    /// answer is refused: half a list could hide the socket that matters.
    static let maximumListeners = 4096

    /// The TCP port asked for, host order.
    let port: UInt16
    /// AF_INET or AF_INET6.
    let family: Int32
    /// In the kernel's order; owner and name of the interface are not known here.
    private(set) var listeners: [Listener] = []

    init(port: UInt16, family: Int32) {
        self.port = port
        self.family = family
    }

    func request(sequence: UInt32) -> NetlinkRequest {
        var body = inet_diag_req_v2()
        body.sdiag_family = UInt8(truncatingIfNeeded: family)
        body.sdiag_protocol = UInt8(IPPROTO_TCP)
        // With this state alone the kernel walks its table of listeners and no connection
        // (inet_diag_dump_icsk), which is quick on a busy machine too.
        body.idiag_states = 1 << UInt32(TCP_LISTEN)
        body.id.idiag_sport = port.bigEndian
        return NetlinkRequest(type: SOCK_DIAG_BY_FAMILY, flags: NLM_F_DUMP, sequence: sequence, body: body)
    }

    static func failure(_ code: Int32) -> FactFailure {
        // __sock_diag_cmd and inet_diag_lock_handler, after they tried to load it.
        if code == ENOENT { return FactFailure("sock_diag: this kernel has no tcp_diag (CONFIG_INET_TCP_DIAG)") }
        return FactFailure(call: subject, code: code)
    }

    mutating func add(_ message: NetlinkMessage) throws(FactFailure) {
        guard message.type == Int32(SOCK_DIAG_BY_FAMILY) else { return }
        let body = message.body
        guard let socket = body.load(inet_diag_msg.self) else {
            throw FactFailure("sock_diag: a socket of \(body.count) bytes is too short")
        }
        guard let family = IPAddress.Family(socketFamily: socket.idiag_family),
            socket.idiag_state == UInt8(TCP_LISTEN), UInt16(bigEndian: socket.id.idiag_sport) == port
        else { return }
        guard listeners.count < Self.maximumListeners else {
            throw FactFailure("more than \(Self.maximumListeners) sockets listen on port \(port)")
        }
        // Both are 16 bytes in network order; IPv4 stands in the first four.
        let source = unsafeBitCast(
            socket.id.idiag_src,
            to: (
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
            ).self)
        let index = socket.id.idiag_if
        listeners.append(
            Listener(
                address: IPAddress(family: family, bytes: source), port: port,
                isIPv6Only: try Self.isIPv6Only(body.dropFirst(MemoryLayout<inet_diag_msg>.size)),
                interface: index == 0 ? nil : Listener.Interface(index: index, name: nil),
                // Of a listener these are sk_ack_backlog and sk_max_ack_backlog (tcp_diag_get_info).
                acceptQueue: socket.idiag_rqueue, acceptQueueLimit: socket.idiag_wqueue,
                inode: UInt64(socket.idiag_inode), process: nil))
    }

    /// INET_DIAG_SKV6ONLY, which the kernel adds to every listening IPv6 socket
    /// (inet_diag_msg_attrs_fill); nil: IPv4.
    private static func isIPv6Only(_ attributes: ArraySlice<UInt8>) throws(FactFailure) -> Bool? {
        var attributes = NetlinkAttributes(attributes, subject: subject)
        while let attribute = try attributes.next() {
            guard attribute.type == Int32(INET_DIAG_SKV6ONLY) else { continue }
            guard let value = attribute.value.first else {
                throw FactFailure("sock_diag: an empty attribute INET_DIAG_SKV6ONLY")
            }
            return value != 0
        }
        return nil
    }
}

extension ListenerList {
    /// All sockets that listen on a TCP port, IPv4 and IPv6, with names of interfaces and
    /// without owners.
    static func listeners(
        port: UInt16, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> [Listener] {
        var sequence: UInt32 = 0
        var result: [Listener] = []
        for family in [AF_INET, AF_INET6] {
            result += try transport.dump(ListenerList(port: port, family: family), after: &sequence).listeners
        }
        for index in result.indices {
            guard let interface = result[index].interface else { continue }
            result[index].interface?.name = transport.interfaceName(interface.index)
        }
        return result
    }
}
