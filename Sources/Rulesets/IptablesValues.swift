// Values as iptables-save prints them.

import Handshake

enum IptablesValues {
    /// `10.0.0.1`, `10.0.0.0/8`, `10.0.0.0/255.0.0.0`. A mask with gaps stays unknown here.
    static func address(_ text: Substring) -> Literal {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        guard let address = IPAddress(String(parts[0])) else { return .unknown }
        guard parts.count == 2 else { return .address(address) }
        if let length = Int(parts[1]) { return Literal.prefix(address, length: length) ?? .unknown }
        guard let mask = mask(parts[1], family: address.family), let length = mask.prefixLength else { return .unknown }
        return Literal.prefix(address, length: length) ?? .unknown
    }

    /// A match of an address, with whatever mask.
    static func matches(_ field: Field, _ text: Substring) -> Condition {
        let parts = text.split(separator: "/", maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 2, let address = IPAddress(String(parts[0])),
            let mask = mask(parts[1], family: address.family), mask.prefixLength == nil
        {
            return .compare(
                .equal, .masked(.field(field), .address(mask)),
                .literal(.address(address.masked(by: mask.high, mask.low))))
        }
        return .compare(.equal, .field(field), .literal(self.address(text)))
    }

    /// `10.0.0.1-10.0.0.9`
    static func addresses(_ text: Substring) -> Literal {
        let ends = text.split(separator: "-").map { IPAddress(String($0)) }
        guard let first = ends.first ?? nil else { return .unknown }
        guard ends.count == 2 else { return ends.count == 1 ? .address(first) : .unknown }
        guard let last = ends[1], first.family == last.family, first <= last else { return .unknown }
        return .addresses(first...last)
    }

    /// `80`, `80:90`, `:90`, `80:`; a target writes `80-90`.
    static func ports(_ text: Substring, separator: Character = ":") -> Literal {
        let parts = text.split(separator: separator, maxSplits: 1, omittingEmptySubsequences: false)
        if parts.count == 1 { return UInt64(parts[0]).map { .number($0) } ?? .unknown }
        guard let first = parts[0].isEmpty ? 0 : UInt64(parts[0]),
            let last = parts[1].isEmpty ? 65535 : UInt64(parts[1]), first <= last
        else { return .unknown }
        return .numbers(first...last)
    }

    /// `FIN,SYN`, `ALL`, `NONE`
    static func flags(_ text: Substring) -> Literal {
        if text == "NONE" { return .number(0) }
        if text == "ALL" { return .number(0x3f) }
        return .bits(text.split(separator: ",").map { .word($0.lowercased()) })
    }

    /// `NEW`, `RELATED,ESTABLISHED`: one of these. `SNAT` and `DNAT`, which may stand among them, are of the
    /// entry.
    static func trackingStates(_ list: Substring) -> Condition {
        let states = list.split(separator: ",", omittingEmptySubsequences: false).map { name in
            let state = RuleSearch.TrackingState(rawValue: name.lowercased())
            return state.map { Condition.compare(.equal, .field(.trackingState), .literal(.word($0.rawValue))) }
        }
        return .any(states.map { $0 ?? .unknown })
    }

    /// `LOCAL`, `UNICAST,LOCAL`: one of these.
    static func addressTypes(_ field: Field, _ list: Substring) -> Condition {
        .compare(.equal, .field(field), .anyOf(list.split(separator: ",").map { .word($0.lowercased()) }))
    }

    /// `eth0`, or `eth+` for every name that begins so.
    static func device(_ text: String) -> Literal {
        text.hasSuffix("+") ? .namePrefix(String(text.dropLast())) : .name(text)
    }

    private static func mask(_ text: Substring, family: IPAddress.Family) -> IPAddress? {
        guard let mask = IPAddress(String(text)), mask.family == family else { return nil }
        return mask
    }
}

extension IPAddress {
    /// As a mask: how many bits lead; nil: it has gaps.
    fileprivate var prefixLength: Int? {
        let width = family == .v4 ? 32 : 128
        let trailing =
            low == 0 ? (family == .v4 ? 32 : 64 + min(high.trailingZeroBitCount, 64)) : low.trailingZeroBitCount
        let length = width - trailing
        let hosts = hostMask(prefix: length)
        let full = with(bits: hosts.high, hosts.low)
        let ones = family == .v4 ? IPAddress(v4: .max) : IPAddress(v6High: .max, low: .max)
        return full == ones ? length : nil
    }
}
