// What all netlink answers are made of (netlink(7)), as functions of bytes: messages in a
// datagram, attributes in a message, and how requests are put together.

import CNattrace
import Glibc
import Handshake

/// A message without its header. Numbers in the header are in host order.
struct NetlinkMessage {
    var type: Int32
    /// NLM_F_*
    var flags: UInt16
    /// The request's number, which its answers carry.
    var sequence: UInt32
    var body: ArraySlice<UInt8>
}

/// Cuts a datagram into messages.
struct NetlinkMessages {
    /// Whom error texts name: `sock_diag`.
    let subject: String
    private var rest: ArraySlice<UInt8>

    init(_ datagram: [UInt8], subject: String) {
        rest = datagram[...]
        self.subject = subject
    }

    /// nil: there are no more. What is shorter than a header at the end is padding.
    mutating func next() throws(FactFailure) -> NetlinkMessage? {
        guard let header = rest.load(nlmsghdr.self) else { return nil }
        let length = Int(header.nlmsg_len)
        guard length >= MemoryLayout<nlmsghdr>.size, length <= rest.count else {
            throw FactFailure("\(subject): a message of \(length) bytes where \(rest.count) are left")
        }
        defer { rest = rest.dropFirst(netlinkAligned(length)) }
        return NetlinkMessage(
            type: Int32(header.nlmsg_type), flags: header.nlmsg_flags, sequence: header.nlmsg_seq,
            body: rest.prefix(length).dropFirst(MemoryLayout<nlmsghdr>.size))
    }
}

extension NetlinkMessage {
    /// The error number in NLMSG_ERROR or NLMSG_DONE, positive; 0: it is an acknowledgement.
    func errorCode(_ subject: String) throws(FactFailure) -> Int32 {
        guard let code = body.load(Int32.self) else {
            throw FactFailure("\(subject): an error message without an error")
        }
        // Negated without overflow: the bytes may say anything.
        return 0 &- code
    }
}

/// Cuts the attributes behind a message's fixed part, or in an attribute that nests some.
struct NetlinkAttributes {
    let subject: String
    private var rest: ArraySlice<UInt8>

    init(_ bytes: ArraySlice<UInt8>, subject: String) {
        rest = bytes
        self.subject = subject
    }

    /// The type without its flags (NLA_F_NESTED, NLA_F_NET_BYTEORDER), and the value.
    mutating func next() throws(FactFailure) -> (type: Int32, value: ArraySlice<UInt8>)? {
        guard let header = rest.load(nlattr.self) else { return nil }
        let length = Int(header.nla_len)
        guard length >= MemoryLayout<nlattr>.size, length <= rest.count else {
            throw FactFailure("\(subject): an attribute of \(length) bytes where \(rest.count) are left")
        }
        defer { rest = rest.dropFirst(netlinkAligned(length)) }
        return (
            Int32(header.nla_type & 0x3fff), rest.prefix(length).dropFirst(MemoryLayout<nlattr>.size)
        )
    }
}

/// A request being put together. Its length stands in its header at all times.
struct NetlinkRequest {
    private(set) var bytes: [UInt8]

    /// `body` is the fixed part, padded to what attributes begin at.
    init(type: Int32, flags: Int32, sequence: UInt32, body: some BitwiseCopyable) {
        var header = nlmsghdr()
        header.nlmsg_type = UInt16(truncatingIfNeeded: type)
        header.nlmsg_flags = UInt16(truncatingIfNeeded: NLM_F_REQUEST | flags)
        header.nlmsg_seq = sequence
        bytes = withUnsafeBytes(of: header) { Array($0) } + withUnsafeBytes(of: body) { Array($0) }
        finish()
    }

    /// Adds an attribute, whose value is in the byte order that the kernel wants of it.
    mutating func add(_ type: UInt32, _ value: some Collection<UInt8>) {
        bytes += Self.attribute(type, value)
        finish()
    }

    /// Adds an attribute that nests others.
    mutating func addNested(_ type: UInt32, _ attributes: [UInt8]) {
        bytes += Self.nested(type, attributes)
        finish()
    }

    /// The bytes of an attribute, as they also stand in one that nests it.
    static func attribute(_ type: UInt32, _ value: some Collection<UInt8>) -> [UInt8] {
        let header = nlattr(
            nla_len: UInt16(truncatingIfNeeded: MemoryLayout<nlattr>.size + value.count),
            nla_type: UInt16(truncatingIfNeeded: type))
        var result = withUnsafeBytes(of: header) { Array($0) } + value
        result += repeatElement(0, count: netlinkAligned(result.count) - result.count)
        return result
    }

    /// An attribute that nests others (NLA_F_NESTED).
    static func nested(_ type: UInt32, _ attributes: [UInt8]) -> [UInt8] {
        attribute(type | 0x8000, attributes)
    }

    private mutating func finish() {
        bytes += repeatElement(0, count: netlinkAligned(bytes.count) - bytes.count)
        let length = UInt32(truncatingIfNeeded: bytes.count)
        withUnsafeBytes(of: length) { bytes.replaceSubrange(0..<$0.count, with: $0) }
    }
}

/// The answer to a request about one thing.
enum NetlinkAnswer: Equatable {
    /// The thing, as the message of this type tells it.
    case message(type: Int32, body: ArraySlice<UInt8>)
    /// The kernel refused, with this error number.
    case refused(Int32)

    /// The answer to request `sequence` in a datagram; nil: it holds none.
    init?(in datagram: [UInt8], sequence: UInt32, subject: String) throws(FactFailure) {
        var messages = NetlinkMessages(datagram, subject: subject)
        while let message = try messages.next() {
            guard message.sequence == sequence else { continue }
            switch message.type {
            case NLMSG_ERROR: self = .refused(try message.errorCode(subject))
            case NLMSG_NOOP, NLMSG_DONE: continue
            default: self = .message(type: message.type, body: message.body)
            }
            return
        }
        return nil
    }
}

extension NetlinkTransport where Self: ~Copyable {
    /// Sends a request that is answered by one message or an error.
    func ask(_ request: NetlinkRequest, sequence: UInt32, subject: String) throws(FactFailure) -> NetlinkAnswer {
        try send(request.bytes)
        // Late answers to abandoned requests may come first; there are not many of those.
        for _ in 0..<16 {
            let datagram = try receive()
            if let answer = try NetlinkAnswer(in: datagram, sequence: sequence, subject: subject) { return answer }
        }
        throw FactFailure("\(subject): the kernel answers other requests only")
    }
}

/// NLMSG_ALIGN and NLA_ALIGN, which are the same.
func netlinkAligned(_ length: Int) -> Int { (length + 3) & ~3 }

extension ArraySlice<UInt8> {
    /// The value at the beginning, in host order; nil: there are not enough bytes.
    func load<T: BitwiseCopyable>(_ type: T.Type) -> T? {
        guard count >= MemoryLayout<T>.size else { return nil }
        return withUnsafeBytes { $0.loadUnaligned(as: type) }
    }
}

extension IPAddress {
    /// An address of 4 or 16 bytes in network order; nil: there are as many as no family has.
    init?(networkOrder bytes: ArraySlice<UInt8>) {
        switch bytes.count {
        case 4: self.init(v4: bytes.reduce(0) { $0 << 8 | UInt32($1) })
        case 16:
            func word(_ part: ArraySlice<UInt8>) -> UInt64 { part.reduce(0) { $0 << 8 | UInt64($1) } }
            self.init(v6High: word(bytes.prefix(8)), low: word(bytes.suffix(8)))
        default: return nil
        }
    }

    /// 4 or 16 bytes in network order.
    var networkOrder: [UInt8] {
        withUnsafeBytes(of: bytes) { Array($0.prefix(family == .v4 ? 4 : 16)) }
    }

    /// AF_INET or AF_INET6.
    var socketFamily: UInt8 { UInt8(truncatingIfNeeded: family == .v4 ? AF_INET : AF_INET6) }

}

extension IPAddress.Family {
    /// nil: another one than AF_INET and AF_INET6.
    init?(socketFamily: UInt8) {
        switch Int32(socketFamily) {
        case AF_INET: self = .v4
        case AF_INET6: self = .v6
        default: return nil
        }
    }
}
