// Listening TCP sockets by sock_diag(7): the request, and the decoder of its answer, which
// is a function of bytes.

import CNattrace
import Glibc
import Handshake

/// Collects the answer to one request for listening sockets, datagram by datagram.
struct ListenerDump {
    /// Sockets that share one port (SO_REUSEPORT, or one for each address). Past this the
    /// answer is refused: half a list could hide the socket that matters.
    static let maximumListeners = 4096
    private static let subject = "sock_diag"

    /// The TCP port asked for, host order.
    let port: UInt16
    /// The request's number, which its answers carry.
    let sequence: UInt32
    /// In the kernel's order; owner and name of the interface are not known here.
    private(set) var listeners: [Listener] = []
    private(set) var isComplete = false
    /// The list changed while it was walked through: it may lack sockets or have them twice.
    private(set) var isInterrupted = false

    init(port: UInt16, sequence: UInt32) {
        self.port = port
        self.sequence = sequence
    }

    /// The request: all sockets of a family (AF_INET or AF_INET6) that listen on the port.
    func request(family: Int32) -> [UInt8] {
        var header = nlmsghdr()
        header.nlmsg_len = UInt32(MemoryLayout<nlmsghdr>.size + MemoryLayout<inet_diag_req_v2>.size)
        header.nlmsg_type = UInt16(SOCK_DIAG_BY_FAMILY)
        header.nlmsg_flags = UInt16(NLM_F_REQUEST | NLM_F_DUMP)
        header.nlmsg_seq = sequence
        var body = inet_diag_req_v2()
        body.sdiag_family = UInt8(truncatingIfNeeded: family)
        body.sdiag_protocol = UInt8(IPPROTO_TCP)
        // With this state alone the kernel walks its table of listeners and no connection
        // (inet_diag_dump_icsk), which is quick on a busy machine too.
        body.idiag_states = 1 << UInt32(TCP_LISTEN)
        body.id.idiag_sport = port.bigEndian
        return withUnsafeBytes(of: header) { Array($0) } + withUnsafeBytes(of: body) { Array($0) }
    }

    /// Takes one datagram. Throws where the kernel reports an error or the bytes make no sense.
    mutating func add(_ datagram: [UInt8]) throws(FactFailure) {
        var messages = NetlinkMessages(datagram, subject: Self.subject)
        while !isComplete, let message = try messages.next() {
            guard message.sequence == sequence else { continue }
            if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { isInterrupted = true }
            try add(message)
        }
    }

    private mutating func add(_ message: NetlinkMessage) throws(FactFailure) {
        switch message.type {
        case NLMSG_DONE:
            // A dump that failed on the way says so here, by a negative error number.
            if let code = message.body.load(Int32.self), code < 0 { throw Self.kernelError(0 &- code) }
            isComplete = true
        case NLMSG_ERROR:
            throw Self.kernelError(try message.errorCode(Self.subject))
        case NLMSG_OVERRUN:
            throw FactFailure("sock_diag: the kernel lost a part of its answer")
        case Int32(SOCK_DIAG_BY_FAMILY):
            try addListener(message.body)
        default:
            break
        }
    }

    private static func kernelError(_ code: Int32) -> FactFailure {
        // __sock_diag_cmd and inet_diag_lock_handler, after they tried to load it.
        if code == ENOENT { return FactFailure("sock_diag: this kernel has no tcp_diag (CONFIG_INET_TCP_DIAG)") }
        return FactFailure(call: subject, code: code)
    }

    private mutating func addListener(_ body: ArraySlice<UInt8>) throws(FactFailure) {
        guard let message = body.load(inet_diag_msg.self) else {
            throw FactFailure("sock_diag: a socket of \(body.count) bytes is too short")
        }
        guard let family = IPAddress.Family(socketFamily: message.idiag_family),
            message.idiag_state == UInt8(TCP_LISTEN), UInt16(bigEndian: message.id.idiag_sport) == port
        else { return }
        guard listeners.count < Self.maximumListeners else {
            throw FactFailure("more than \(Self.maximumListeners) sockets listen on port \(port)")
        }
        // Both are 16 bytes in network order; IPv4 stands in the first four.
        let source = unsafeBitCast(
            message.id.idiag_src,
            to: (
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
            ).self)
        let index = message.id.idiag_if
        listeners.append(
            Listener(
                address: IPAddress(family: family, bytes: source), port: port,
                isIPv6Only: try Self.isIPv6Only(body.dropFirst(MemoryLayout<inet_diag_msg>.size)),
                interface: index == 0 ? nil : Listener.Interface(index: index, name: nil),
                // Of a listener these are sk_ack_backlog and sk_max_ack_backlog (tcp_diag_get_info).
                acceptQueue: message.idiag_rqueue, acceptQueueLimit: message.idiag_wqueue,
                inode: UInt64(message.idiag_inode), process: nil))
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

extension ListenerDump {
    /// How often a list that changed meanwhile is asked for.
    static let maximumAttempts = 4

    /// All sockets that listen on a TCP port, IPv4 and IPv6, with names of interfaces and
    /// without owners.
    static func listeners(
        port: UInt16, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> [Listener] {
        var result: [Listener] = []
        // A number of its own for each request: late answers to an abandoned one are told apart.
        var sequence: UInt32 = 0
        for family in [AF_INET, AF_INET6] {
            var attempt = 0
            while true {
                sequence += 1
                attempt += 1
                var dump = ListenerDump(port: port, sequence: sequence)
                try transport.send(dump.request(family: family))
                while !dump.isComplete { try dump.add(try transport.receive()) }
                if !dump.isInterrupted {
                    result += dump.listeners
                    break
                }
                guard attempt < maximumAttempts else {
                    throw FactFailure("the list of sockets changed each of \(maximumAttempts) times it was read")
                }
            }
        }
        for index in result.indices {
            guard let interface = result[index].interface else { continue }
            result[index].interface?.name = transport.interfaceName(interface.index)
        }
        return result
    }
}
