// nft's JSON expressions (libnftables-json(5)) as operands, patterns and literals. What is not
// understood becomes unknown: it costs certainty, never a rule.

import Handshake

enum NftExpressions {
    /// The left side of a match, the key of a map.
    static func operand(_ json: JSONValue?) -> Operand {
        guard let member = json?.only else { return .unknown }
        let inner = member.value
        switch member.key {
        case "payload": return payload(inner)
        case "meta": return meta(inner.string ?? inner["key"]?.string)
        // Of an entry's two directions, the state is of neither.
        case "ct": return inner["key"]?.string == "state" && inner["dir"] == nil ? .field(.trackingState) : .unknown
        // With a device beside the address, another table of routes may be asked.
        case "fib":
            guard inner["result"]?.string == "type" else { return .unknown }
            let flags = inner["flags"]?.array?.map(\.string) ?? [inner["flags"]?.string]
            return flags == ["daddr"]
                ? .field(.destinationType) : flags == ["saddr"] ? .field(.sourceType) : .unknown
        case "concat": return .concatenation((inner.array ?? []).map { operand($0) })
        case "&":
            guard let parts = inner.array, parts.count == 2 else { return .unknown }
            return .masked(operand(parts[0]), literal(parts[1]))
        default: return .unknown
        }
    }

    private static func payload(_ json: JSONValue) -> Operand {
        // With `tunnel` it is of a packet within the packet; without names, of raw bytes.
        guard json["tunnel"] == nil, let header = json["protocol"]?.string, let field = json["field"]?.string
        else { return .unknown }
        switch (header, field) {
        case ("ip", "saddr"): return .field(.sourceAddress(.v4))
        case ("ip", "daddr"): return .field(.destinationAddress(.v4))
        case ("ip", "protocol"): return .field(.ipProtocol)
        case ("ip", "version"): return .field(.ipVersion(.v4))
        case ("ip6", "saddr"): return .field(.sourceAddress(.v6))
        case ("ip6", "daddr"): return .field(.destinationAddress(.v6))
        case ("ip6", "version"): return .field(.ipVersion(.v6))
        case ("tcp", "sport"), ("th", "sport"): return .field(.sourcePort)
        case ("tcp", "dport"), ("th", "dport"): return .field(.destinationPort)
        case ("tcp", "flags"): return .field(.tcpFlags)
        // nft puts a match of the header's protocol before.
        case ("ip", _): return .field(.other(.v4))
        case ("ip6", _): return .field(.other(.v6))
        case ("udp", _), ("udplite", _), ("dccp", _), ("sctp", _), ("icmp", _), ("icmpv6", _), ("igmp", _):
            return .field(.foreign)
        default: return .field(.other(nil))
        }
    }

    private static func meta(_ key: String?) -> Operand {
        switch key {
        case "iifname", "iif": .field(.inputInterface)
        case "oifname", "oif": .field(.outputInterface)
        case "l4proto": .field(.transport)
        case "nfproto": .field(.networkFamily)
        case "protocol": .field(.etherType)
        default: .unknown
        }
    }

    /// The right side of a match.
    static func pattern(_ json: JSONValue?) -> Pattern {
        guard let json else { return .literal(.unknown) }
        if let name = json.string, name.hasPrefix("@") { return .set(String(name.dropFirst())) }
        if let elements = json["set"]?.array { return .anyOf(elements.map { element($0) }) }
        return .literal(literal(json))
    }

    /// A value in a set: `*` is the one that takes all the rest.
    static func element(_ json: JSONValue) -> Literal {
        if json.string == "*" { return .everything }
        if let element = json["elem"] {
            if element["val"]?.string == "*" { return .everything }
            return element["val"].map { literal($0) } ?? .unknown
        }
        return literal(json)
    }

    static func literal(_ json: JSONValue) -> Literal {
        switch json {
        case .integer(let number): return number >= 0 ? .number(UInt64(number)) : .unknown
        case .string(let text): return IPAddress(text).map { .address($0) } ?? .word(text)
        case .array(let parts): return .bits(parts.map { literal($0) })
        case .object: break
        default: return .unknown
        }
        guard let member = json.only else { return .unknown }
        let inner = member.value
        switch member.key {
        case "prefix":
            guard let address = inner["addr"]?.string.flatMap({ IPAddress($0) }), let length = inner["len"]?.integer
            else { return .unknown }
            return Literal.prefix(address, length: Int(truncatingIfNeeded: length)) ?? .unknown
        case "range":
            guard let ends = inner.array, ends.count == 2 else { return .unknown }
            switch (literal(ends[0]), literal(ends[1])) {
            case (.number(let first), .number(let last)) where first <= last: return .numbers(first...last)
            case (.address(let first), .address(let last)) where first.family == last.family && first <= last:
                return .addresses(first...last)
            default: return .unknown
            }
        case "concat": return .concatenation((inner.array ?? []).map { literal($0) })
        case "|": return .bits((inner.array ?? []).map { literal($0) })
        case "elem": return element(json)
        default: return .unknown
        }
    }

    /// The entries of a map: its keys and what they give. A set has keys only.
    static func entries(_ json: JSONValue?) -> [MapEntry] {
        (json?.array ?? []).map { item in
            guard let pair = item.array, pair.count == 2 else { return MapEntry(key: element(item), data: .unknown) }
            if let verdict = verdict(pair[1]) { return MapEntry(key: element(pair[0]), data: .verdict(verdict)) }
            return MapEntry(key: element(pair[0]), data: .literal(literal(pair[1])))
        }
    }

    static func source(_ json: JSONValue?) -> MapSource {
        if let name = json?.string, name.hasPrefix("@") { return .named(String(name.dropFirst())) }
        if let elements = json?["set"] { return .entries(entries(elements)) }
        return .unknown
    }

    static func verdict(_ json: JSONValue) -> Verdict? {
        guard let member = json.only else { return nil }
        switch member.key {
        case "accept": return .accept
        case "drop": return .drop
        case "continue": return .continues
        case "return": return .returns
        case "jump": return member.value["target"]?.string.map { .jump($0) }
        case "goto": return member.value["target"]?.string.map { .goto($0) }
        default: return nil
        }
    }
}
