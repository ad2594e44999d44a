// What a rule compares: a value of the packet, as far as it is known, with what stands in the rule.

import Handshake

/// A value of the packet.
enum Value {
    case address(IPAddress)
    /// Only the bits of `known` are.
    case number(UInt64, known: UInt64, kind: NumberKind)
    /// Of a device.
    case name(String)
    case concatenation([Value])
    case unknown
    /// The packet has none, or it stands in another protocol's header: whatever a rule compares it with,
    /// it does not match, not even with `!=`.
    case absent

    static func number(_ number: UInt64, kind: NumberKind) -> Value { .number(number, known: .max, kind: kind) }
}

/// Which words may stand for a number.
enum NumberKind {
    case port, flags, transport, networkFamily, etherType, tracking, addressType, plain

    /// nil: not known here.
    func number(for word: String) -> UInt64? {
        switch self {
        case .port, .plain: UInt64(word)
        case .flags: Self.flagBits[word]
        case .transport: Self.transports[word] ?? UInt64(word)
        case .networkFamily: word == "ipv4" ? 2 : word == "ipv6" ? 10 : nil
        case .etherType: word == "ip" ? 0x0800 : word == "ip6" ? 0x86dd : nil
        case .tracking: RuleSearch.TrackingState(rawValue: word)?.bit
        case .addressType: Self.addressTypes[word]
        }
    }

    /// Of a number that stands in the rule; nil: not to be relied on.
    func number(for number: UInt64) -> UInt64? {
        // nft has words for states and types of addresses.
        switch self {
        case .tracking, .addressType: return nil
        case .etherType: break
        default: return number
        }
        // Anything else may be true of a frame with a VLAN tag.
        switch number {
        // `nft -n` writes the bytes in the machine's order.
        case 0x0800, 0x0008: return 0x0800
        case 0x86dd, 0xdd86: return 0x86dd
        default: return nil
        }
    }

    /// Names of the bits in either language: nft's are small letters.
    private static let flagBits: [String: UInt64] = [
        "fin": 1, "syn": 2, "rst": 4, "psh": 8, "ack": 16, "urg": 32, "ecn": 64, "ece": 64, "cwr": 128,
    ]

    /// RTN_* (linux/rtnetlink.h), in the words of nft.
    private static let addressTypes: [String: UInt64] = [
        "unicast": 1, "local": 2, "broadcast": 3, "anycast": 4, "multicast": 5, "blackhole": 6, "unreachable": 7,
        "prohibit": 8,
    ]

    /// Those of /etc/protocols that rules name. Any other name is not known, which costs certainty only.
    private static let transports: [String: UInt64] = [
        "icmp": 1, "igmp": 2, "ipencap": 4, "tcp": 6, "egp": 8, "igp": 9, "udp": 17, "dccp": 33, "ipv6": 41,
        "rsvp": 46, "gre": 47, "esp": 50, "ah": 51, "icmpv6": 58, "ipv6-icmp": 58, "eigrp": 88, "ospf": 89,
        "ospfigp": 89, "pim": 103, "comp": 108, "ipcomp": 108, "vrrp": 112, "l2tp": 115, "sctp": 132,
        "udplite": 136,
    ]
}

/// What stands in a rule.
enum Literal: Sendable {
    case address(IPAddress)
    /// Both ends belong to it. A prefix is one, too.
    case addresses(ClosedRange<IPAddress>)
    case number(UInt64)
    case numbers(ClosedRange<UInt64>)
    /// nft's: a name for a number, or a device's, where a last `*` stands for any rest.
    case word(String)
    /// A device's name, all of it or its beginning.
    case name(String)
    case namePrefix(String)
    /// Bits in one number.
    case bits([Literal])
    case concatenation([Literal])
    /// The element of a set that takes what no other does.
    case everything
    case unknown

    /// As one number, where it is one.
    func number(_ kind: NumberKind) -> UInt64? {
        switch self {
        case .number(let number): return kind.number(for: number)
        case .word(let word): return kind.number(for: word)
        case .bits(let parts):
            var all: UInt64 = 0
            for part in parts {
                guard let number = part.number(kind) else { return nil }
                all |= number
            }
            return all
        default: return nil
        }
    }

    /// `10.0.0.0/8`; nil where there are not so many bits.
    static func prefix(_ address: IPAddress, length: Int) -> Literal? {
        let width = address.family == .v4 ? 32 : 128
        guard (0...width).contains(length) else { return nil }
        let hosts = address.hostMask(prefix: length)
        return .addresses(address.masked(by: ~hosts.high, ~hosts.low)...address.with(bits: hosts.high, hosts.low))
    }
}

extension IPAddress {
    func masked(by highMask: UInt64, _ lowMask: UInt64) -> IPAddress {
        switch family {
        case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: low & lowMask))
        case .v6: IPAddress(v6High: high & highMask, low: low & lowMask)
        }
    }

    func with(bits highBits: UInt64, _ lowBits: UInt64) -> IPAddress {
        switch family {
        case .v4: IPAddress(v4: UInt32(truncatingIfNeeded: low | lowBits))
        case .v6: IPAddress(v6High: high | highBits, low: low | lowBits)
        }
    }

    /// The bits behind a prefix.
    func hostMask(prefix: Int) -> (high: UInt64, low: UInt64) {
        func ones(_ count: Int) -> UInt64 { count <= 0 ? 0 : count >= 64 ? .max : 1 << UInt64(count) - 1 }
        switch family {
        case .v4: return (0, ones(32 - prefix))
        case .v6: return (ones(64 - prefix), ones(128 - prefix))
        }
    }
}

extension Value {
    /// Whether it is this literal, or belongs to it.
    func belongs(to literal: Literal) -> Truth {
        if case .absent = self { return .no }
        if case .everything = literal { return .yes }
        switch self {
        case .absent: return .no
        case .unknown: return .unknown
        case .address(let address):
            switch literal {
            case .address(let other): return other.family == address.family ? Truth(other == address) : .unknown
            case .addresses(let range):
                guard range.lowerBound.family == address.family, range.upperBound.family == address.family else {
                    return .unknown
                }
                return Truth(range.contains(address))
            default: return .unknown
            }
        case .number(let value, let known, let kind):
            if case .numbers(let range) = literal {
                guard known == .max, kind.number(for: range.lowerBound) == range.lowerBound,
                    kind.number(for: range.upperBound) == range.upperBound
                else { return .unknown }
                return Truth(range.contains(value))
            }
            // No packet has two states, but releases of nft differ in what they mean by a list of them.
            if case (.tracking, .bits) = (kind, literal) { return .unknown }
            guard let other = literal.number(kind) else { return .unknown }
            if (value ^ other) & known != 0 { return .no }
            return known == .max ? .yes : .unknown
        case .name(let name):
            switch literal {
            case .name(let other): return Truth(name == other)
            case .namePrefix(let prefix): return Truth(name.hasPrefix(prefix))
            case .word(let word): return name.isDevice(word)
            // A device may be called like an address.
            case .address(let address): return name == address.description ? .yes : .unknown
            default: return .unknown
            }
        case .concatenation(let values):
            guard case .concatenation(let literals) = literal, literals.count == values.count else { return .unknown }
            var all = Truth.yes
            for (value, literal) in zip(values, literals) { all = all && value.belongs(to: literal) }
            return all
        }
    }

    /// Whether it has any of these bits.
    func hasAny(_ literal: Literal) -> Truth {
        switch self {
        case .absent: return .no
        case .number(let value, let known, let kind):
            guard let bits = literal.number(kind) else { return .unknown }
            if value & bits & known != 0 { return .yes }
            return bits & ~known == 0 ? .no : .unknown
        default: return .unknown
        }
    }

    /// What remains under a mask.
    func masked(by literal: Literal) -> Value {
        switch self {
        case .absent: return .absent
        case .number(let value, let known, let kind):
            guard let mask = literal.number(kind) else { return .unknown }
            return .number(value & mask, known: known | ~mask, kind: kind)
        case .address(let address):
            guard case .address(let mask) = literal, mask.family == address.family else { return .unknown }
            return .address(address.masked(by: mask.high, mask.low))
        default: return .unknown
        }
    }

    /// -1, 0 or 1: how it compares with a literal; nil: not known.
    func order(to literal: Literal) -> Int? {
        switch (self, literal) {
        case (.address(let a), .address(let b)) where a.family == b.family: return a < b ? -1 : a == b ? 0 : 1
        case (.number(_, _, .tracking), _), (.number(_, _, .addressType), _): return nil
        case (.number(let value, known: .max, let kind), _):
            guard let other = literal.number(kind) else { return nil }
            return value < other ? -1 : value == other ? 0 : 1
        default: return nil
        }
    }

    var isAbsent: Bool {
        switch self {
        case .absent: true
        case .concatenation(let values): values.contains { $0.isAbsent }
        default: false
        }
    }

    /// Whether each of its bits means something of its own.
    var isBits: Bool {
        switch self {
        case .number(_, _, .flags), .number(_, _, .tracking): true
        default: false
        }
    }
}

extension String {
    /// Whether a device of this name is meant by a word of nft's: `eth*` is every name that begins so,
    /// `eth\*` the one name with a star.
    fileprivate func isDevice(_ word: String) -> Truth {
        if word.hasSuffix("\\*") { return Truth(self == word.dropLast(2) + "*") }
        if word.hasSuffix("*") { return Truth(hasPrefix(word.dropLast())) }
        // A name that nft had to quote in another way is not guessed at.
        return word.contains("\\") ? .unknown : Truth(self == word)
    }
}
