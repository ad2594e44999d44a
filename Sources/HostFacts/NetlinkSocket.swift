import CNattrace
import Glibc

/// The part of a netlink socket that questions need, so that they are tested without a kernel.
protocol NetlinkTransport: ~Copyable {
    /// Sends one datagram to the kernel.
    func send(_ message: [UInt8]) throws(FactFailure)
    /// The next datagram from the kernel, whole.
    func receive() throws(FactFailure) -> [UInt8]
    /// Name of an interface in the socket's namespace; nil: there is none of this index.
    func interfaceName(_ index: UInt32) -> String?
    /// Index of an interface in the socket's namespace; nil: there is none of this name.
    func interfaceIndex(_ name: String) -> UInt32?
}

/// A netlink socket (netlink(7)). It belongs for good to the network namespace in which it
/// was made.
struct NetlinkSocket: ~Copyable, NetlinkTransport {
    /// The kernel builds dumps in pieces of at most 32 KB (netlink_dump).
    static let datagramSize = 1 << 16
    /// Seconds without an answer after which the kernel is not waited for: it answers at once
    /// or never.
    static let timeout = 2

    private let socket: Descriptor
    private let name: String

    /// `family` as NETLINK_SOCK_DIAG, `name` the same for error texts.
    init(family: Int32, name: String) throws(FactFailure) {
        let fd = Glibc.socket(AF_NETLINK, Int32(SOCK_RAW.rawValue) | Int32(SOCK_CLOEXEC.rawValue), family)
        guard fd >= 0 else { throw FactFailure(call: "socket(\(name))") }
        let descriptor = Descriptor(owning: fd)
        var limit = timeval(tv_sec: Self.timeout, tv_usec: 0)
        guard setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, socklen_t(MemoryLayout<timeval>.size)) == 0 else {
            throw FactFailure(call: "setsockopt(\(name), SO_RCVTIMEO)")
        }
        socket = descriptor
        self.name = name
    }

    func send(_ message: [UInt8]) throws(FactFailure) {
        var kernel = sockaddr_nl()
        kernel.nl_family = sa_family_t(AF_NETLINK)
        var sent: Int
        repeat {
            sent = withUnsafePointer(to: &kernel) { address in
                address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                    sendto(socket.raw, message, message.count, 0, address, socklen_t(MemoryLayout<sockaddr_nl>.size))
                }
            }
        } while sent < 0 && errno == EINTR
        guard sent == message.count else {
            throw FactFailure(call: "sendto(\(name))", code: sent < 0 ? errno : EMSGSIZE)
        }
    }

    func receive() throws(FactFailure) -> [UInt8] {
        var sender = sockaddr_nl()
        var received = 0
        repeat {
            var failure: Int32 = 0
            let datagram = [UInt8](unsafeUninitializedCapacity: Self.datagramSize) { buffer, count in
                var length = socklen_t(MemoryLayout<sockaddr_nl>.size)
                received = withUnsafeMutablePointer(to: &sender) { address in
                    address.withMemoryRebound(to: sockaddr.self, capacity: 1) { address in
                        // MSG_TRUNC: the length that the datagram has, also where it is cut.
                        recvfrom(
                            socket.raw, buffer.baseAddress, buffer.count, Int32(MSG_TRUNC), address, &length)
                    }
                }
                if received < 0 { failure = errno }
                count = max(0, min(received, buffer.count))
            }
            if received < 0, failure != EINTR {
                throw FactFailure(call: "recvfrom(\(name))", code: failure)
            }
            if received > Self.datagramSize {
                throw FactFailure(call: "recvfrom(\(name))", code: EMSGSIZE)
            }
            // Any process may send to a netlink socket; the kernel's port is 0.
            if received >= 0, sender.nl_pid == 0 { return datagram }
        } while true
    }

    func interfaceName(_ index: UInt32) -> String? {
        guard let wanted = Int32(exactly: index) else { return nil }
        // netdevice(7): any socket takes this request, and answers for its own namespace.
        var request = ifreq()
        request.ifr_ifru.ifru_ivalue = wanted
        guard ioctl(socket.raw, UInt(SIOCGIFNAME), &request) == 0 else { return nil }
        return withUnsafeBytes(of: &request.ifr_ifrn.ifrn_name) { name in
            String(decoding: name.prefix { $0 != 0 }, as: UTF8.self)
        }
    }

    func interfaceIndex(_ name: String) -> UInt32? {
        var request = ifreq()
        let fits = withUnsafeMutableBytes(of: &request.ifr_ifrn.ifrn_name) { field in
            // The kernel's own limit is the same, its NUL included (IFNAMSIZ).
            guard name.utf8.count < field.count else { return false }
            field.copyBytes(from: name.utf8)
            return true
        }
        guard fits, ioctl(socket.raw, UInt(SIOCGIFINDEX), &request) == 0 else { return nil }
        return UInt32(exactly: request.ifr_ifru.ifru_ivalue)
    }

    /// Has the kernel check requests strictly, and with that heed filters of dumps
    /// (NETLINK_GET_STRICT_CHK, Linux 4.20); without it dumps are whole.
    func setStrict() {
        var on: Int32 = 1
        _ = setsockopt(socket.raw, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, socklen_t(MemoryLayout<Int32>.size))
    }

    /// A number of the socket's namespace that no other has, nor any later one, unlike its inode's
    /// (SO_NETNS_COOKIE, Linux 5.14); nil: the kernel has none.
    var namespaceCookie: UInt64? {
        var cookie: UInt64 = 0
        var length = socklen_t(MemoryLayout<UInt64>.size)
        guard getsockopt(socket.raw, SOL_SOCKET, SO_NETNS_COOKIE, &cookie, &length) == 0 else { return nil }
        return cookie
    }
}
