// Where scrapes come in: a socket that is bound while there is still the right to do so.

import Glibc
import Handshake
import SystemSupport

/// Why an address cannot be listened on.
public struct ScrapeError: Error, Equatable, CustomStringConvertible {
    public let address: Endpoint
    /// errno of socket(2), bind(2) or listen(2).
    public let code: Int32

    public var description: String {
        let what = "'--metrics \(address)' cannot be listened on: \(errorText(code))"
        switch code {
        case EADDRINUSE: return what + "; another program listens there: choose another port"
        case EADDRNOTAVAIL: return what + "; `ip address` shows the addresses of this machine"
        case EACCES: return what + "; ports below 1024 take CAP_NET_BIND_SERVICE"
        default: return what
        }
    }
}

/// A TCP socket that listens.
public struct ScrapeListener: ~Copyable {
    /// Connections that the kernel keeps until they are accepted.
    static let backlog: Int32 = 32

    private let descriptor: Int32
    public let address: Endpoint

    /// Port 0: the kernel chooses one, which `address` then has.
    public init(_ asked: Endpoint) throws(ScrapeError) {
        let isV4 = asked.address.family == .v4
        let descriptor = socket(
            isV4 ? AF_INET : AF_INET6, Int32(SOCK_STREAM.rawValue) | Int32(SOCK_CLOEXEC.rawValue), 0)
        guard descriptor >= 0 else { throw ScrapeError(address: asked, code: errno) }
        var on: Int32 = 1
        let size = socklen_t(MemoryLayout<Int32>.size)
        // After a restart the old connections may still be in TIME_WAIT.
        setsockopt(descriptor, SOL_SOCKET, SO_REUSEADDR, &on, size)
        if !isV4 { setsockopt(descriptor, Int32(IPPROTO_IPV6), IPV6_V6ONLY, &on, size) }
        var bound = SocketAddress(asked)
        guard bound.with({ bind(descriptor, $0, $1) }) == 0, listen(descriptor, Self.backlog) == 0 else {
            let code = errno
            close(descriptor)
            throw ScrapeError(address: asked, code: code)
        }
        var length = socklen_t(0)
        bound.with { address, room in
            length = room
            getsockname(descriptor, address, &length)
        }
        self.descriptor = descriptor
        address = Endpoint(address: asked.address, port: bound.port)
    }

    /// Hands the socket over to who closes it from then on.
    consuming func release() -> Int32 {
        let descriptor = descriptor
        discard self
        return descriptor
    }

    deinit { close(descriptor) }
}

/// sockaddr_in or sockaddr_in6.
private struct SocketAddress {
    private var storage = sockaddr_storage()
    private let length: socklen_t

    init(_ end: Endpoint) {
        let isV4 = end.address.family == .v4
        length = socklen_t(isV4 ? MemoryLayout<sockaddr_in>.size : MemoryLayout<sockaddr_in6>.size)
        withUnsafeMutableBytes(of: &storage) { raw in
            if isV4 {
                var address = sockaddr_in()
                address.sin_family = sa_family_t(AF_INET)
                address.sin_port = end.port.bigEndian
                withUnsafeMutableBytes(of: &address.sin_addr) { $0.copyBytes(from: end.address.octets) }
                raw.storeBytes(of: address, as: sockaddr_in.self)
            } else {
                var address = sockaddr_in6()
                address.sin6_family = sa_family_t(AF_INET6)
                address.sin6_port = end.port.bigEndian
                withUnsafeMutableBytes(of: &address.sin6_addr) { $0.copyBytes(from: end.address.octets) }
                raw.storeBytes(of: address, as: sockaddr_in6.self)
            }
        }
    }

    mutating func with<Result>(_ body: (UnsafeMutablePointer<sockaddr>, socklen_t) -> Result) -> Result {
        let length = length
        return withUnsafeMutableBytes(of: &storage) {
            body($0.baseAddress!.assumingMemoryBound(to: sockaddr.self), length)
        }
    }

    /// Both structures have it at the same place.
    var port: UInt16 {
        withUnsafeBytes(of: storage) { UInt16(bigEndian: $0.load(fromByteOffset: 2, as: UInt16.self)) }
    }
}

extension IPAddress {
    /// Network order, 4 or 16 bytes.
    fileprivate var octets: [UInt8] {
        withUnsafeBytes(of: bytes) { Array($0.prefix(family == .v4 ? 4 : 16)) }
    }
}
