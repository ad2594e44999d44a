// nft's JSON statements as those of the model.

import Handshake

enum NftStatements {
    /// nil: it neither matches nor decides anything.
    static func statement(_ json: JSONValue) -> Statement? {
        if let verdict = NftExpressions.verdict(json) { return .verdict(verdict) }
        // A verdict without its target, or something that is no statement at all.
        guard let member = json.only else { return .opaque(.all) }
        let inner = member.value
        switch member.key {
        case "match": return .condition(condition(inner))
        case "vmap":
            return .verdictMap(NftExpressions.operand(inner["key"]), NftExpressions.source(inner["data"]))
        case "reject": return .reject
        case "notrack": return .notrack
        case "dnat": return .translate(translation(inner, .destination, ownAddress: false))
        case "redirect": return .translate(translation(inner, .destination, ownAddress: true))
        case "snat": return .translate(translation(inner, .source, ownAddress: false))
        case "masquerade": return .translate(translation(inner, .source, ownAddress: true))
        case "queue", "synproxy", "fwd": return .mayTake
        case "xt": return extensionStatement(inner)
        // A counter or a limit by its name is one for all; chosen from a map, it may be missing.
        case "counter", "ct helper", "ct timeout", "ct expectation":
            return inner["map"] == nil ? nil : .condition(.unknown)
        case "log", "last", "dup", "flow", "secmark", "comment": return nil
        case "mangle": return isHarmless(inner["value"]) ? nil : .condition(.unknown)
        // They may end the rule: a limit that is reached, a set that is full, no socket there.
        case "limit", "quota", "ct count", "set", "map", "meter", "tproxy", "reset", "optstrip":
            return .condition(.unknown)
        default: return .opaque(.all)
        }
    }

    private static func condition(_ json: JSONValue) -> Condition {
        let left = NftExpressions.operand(json["left"])
        let right = NftExpressions.pattern(json["right"])
        switch json["op"]?.string {
        case "==": return .compare(.equal, left, right)
        case "!=":
            // Older releases write a list for `none of these` as well as for `not just these`.
            if case .array? = json["right"], case .field = left { return .unknown }
            return .compare(.notEqual, left, right)
        case "in": return .compare(.anyBit, left, right)
        case "!": return .compare(.noBit, left, right)
        case "<": return .compare(.less, left, right)
        case "<=": return .compare(.lessOrEqual, left, right)
        case ">": return .compare(.greater, left, right)
        case ">=": return .compare(.greaterOrEqual, left, right)
        default: return .unknown
        }
    }

    private static func translation(
        _ json: JSONValue, _ direction: Translation.Direction, ownAddress: Bool
    ) -> Translation {
        var address: Translation.Address = ownAddress ? .local : .unchanged
        if let given = json["addr"] {
            if let map = given["map"] {
                address = .lookup(NftExpressions.operand(map["key"]), NftExpressions.source(map["data"]))
            } else {
                address = .literal(NftExpressions.literal(given))
            }
        }
        // The source's port is kept only as long as it is free.
        var port: Translation.Port = direction == .source ? .unknown : .unchanged
        if let given = json["port"] {
            if let map = given["map"] {
                port = .lookup(NftExpressions.operand(map["key"]), NftExpressions.source(map["data"]))
            } else {
                port = .literal(NftExpressions.literal(given))
            }
        }
        let family: IPAddress.Family? =
            switch json["family"]?.string {
            case "ip": .v4
            case "ip6": .v6
            default: nil
            }
        return Translation(
            direction: direction, family: family, targets: [.init(address: address, port: port)],
            keepsHost: has(json["flags"], "netmap"))
    }

    private static func has(_ json: JSONValue?, _ word: String) -> Bool {
        json?.string == word || (json?.array ?? []).contains { $0.string == word }
    }

    /// An extension of iptables', of which nft says no more than the name.
    private static func extensionStatement(_ json: JSONValue) -> Statement? {
        let name = json["name"]?.string
        switch (json["type"]?.string, name) {
        case ("match", "comment"): return nil
        case ("match", _): return .condition(.unknown)
        case ("watcher", _): return nil
        case ("target", let name?): return IptablesTarget.statement(named: name)
        default: return .opaque(.all)
        }
    }

    /// Whether a value to write can always be had: reading another, as conntrack's mark of a packet
    /// without an entry, ends the rule.
    private static func isHarmless(_ json: JSONValue?) -> Bool {
        switch json {
        case .integer, .string: return true
        case .array(let parts): return parts.allSatisfy { isHarmless($0) }
        case .object(let members):
            return members.allSatisfy { member in
                switch member.key {
                case "|", "&", "^", "<<", ">>": isHarmless(member.value)
                case "meta": member.value["key"]?.string == "mark"
                default: false
                }
            }
        default: return false
        }
    }

    /// Whether a statement writes what rules are compared with here.
    static func writesAddresses(_ json: JSONValue) -> Bool {
        guard let payload = json["mangle"]?["key"]?["payload"] else { return false }
        switch payload["field"]?.string {
        // Raw bytes may be any.
        case nil, "saddr", "daddr", "sport", "dport", "protocol", "flags": return true
        default: return false
        }
    }

    /// The set that a statement changes as packets come by.
    static func changedSet(_ json: JSONValue) -> String? {
        let name = json["set"]?["set"]?.string ?? json["map"]?["map"]?.string
        return name.map { $0.hasPrefix("@") ? String($0.dropFirst()) : $0 }
    }
}
