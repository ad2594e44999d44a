// What iptables' targets do (iptables-extensions(8)).

import Handshake

enum IptablesTarget {
    /// Options of a target that its translation is read from; names without dashes.
    typealias Options = [(name: String, value: String?)]

    /// nil: it goes on to the next rule, and does nothing that is asked for here. `options` nil: nft, which
    /// only knows the name.
    static func statement(named name: String, options: Options? = nil) -> Statement? {
        switch name {
        case "ACCEPT": return .verdict(.accept)
        case "DROP": return .verdict(.drop)
        case "RETURN": return .verdict(.returns)
        case "REJECT": return .reject
        case "NOTRACK": return .notrack
        case "CT":
            guard let options else { return .opaque(.notrack) }
            return options.contains { $0.name == "notrack" } ? .notrack : nil
        case "DNAT": return .translate(translation(.destination, options, "to-destination"))
        case "SNAT": return .translate(translation(.source, options, "to-source"))
        case "REDIRECT": return .translate(ownAddress(.destination, options))
        case "MASQUERADE": return .translate(ownAddress(.source, options))
        case "NETMAP":
            var target = Translation.Address.unknown
            if let text = options?.first(where: { $0.name == "to" })?.value {
                target = .literal(IptablesValues.address(text[...]))
            }
            return .translate(
                Translation(
                    direction: .byHook, targets: [.init(address: target, port: .unchanged)], keepsHost: true))
        case "QUEUE", "NFQUEUE", "SYNPROXY": return .mayTake
        // These go on (XT_CONTINUE).
        case "AUDIT", "CHECKSUM", "CLASSIFY", "CONNMARK", "CONNSECMARK", "DSCP", "ECN", "HL", "HMARK", "IDLETIMER",
            "LED", "LOG", "MARK", "NFLOG", "RATEEST", "SECMARK", "SET", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS",
            "TRACE", "TTL", "ULOG":
            return nil
        // Drops where it finds no socket.
        case "TPROXY": return .opaque(.drop)
        default: return .opaque(.all)
        }
    }

    /// Targets that write addresses into packets outside of NAT.
    static func writesAddresses(_ name: String) -> Bool { name == "SNPT" || name == "DNPT" }

    private static func translation(
        _ direction: Translation.Direction, _ options: Options?, _ option: String
    ) -> Translation {
        var targets = (options ?? []).filter { $0.name == option }.map { target($0.value ?? "", direction) }
        if targets.isEmpty { targets = [.init(address: .unknown, port: .unknown)] }
        return Translation(direction: direction, targets: targets)
    }

    private static func ownAddress(_ direction: Translation.Direction, _ options: Options?) -> Translation {
        var port: Translation.Port = direction == .source || options == nil ? .unknown : .unchanged
        if let text = options?.first(where: { $0.name == "to-ports" })?.value {
            port = .literal(IptablesValues.ports(text[...], separator: "-"))
        }
        return Translation(direction: direction, targets: [.init(address: .local, port: port)])
    }

    /// `10.0.0.1`, `10.0.0.1-10.0.0.9:80-90`, `:80`, `[2001:db8::1]:80`, and `:80-90/8080`.
    private static func target(_ text: String, _ direction: Translation.Direction) -> Translation.Target {
        var addresses = text[...]
        var ports: Substring?
        if let close = text.lastIndex(of: "]") {
            let rest = text[text.index(after: close)...]
            addresses = text[..<text.index(after: close)]
            if rest.hasPrefix(":") { ports = rest.dropFirst() }
        } else if let colon = text.lastIndex(of: ":"), text.firstIndex(of: ":") == colon {
            addresses = text[..<colon]
            ports = text[text.index(after: colon)...]
        }
        // The shifted range begins at another port than the one that the first is mapped to.
        if let slash = ports?.firstIndex(of: "/") { ports = ports?[..<slash] }
        let ends = addresses.split(separator: "-").map { end in
            IPAddress(String(end.drop { $0 == "[" }.prefix { $0 != "]" }))
        }
        let address: Translation.Address
        switch ends.count {
        case 0: address = .unchanged
        case 1: address = ends[0].map { .literal(.address($0)) } ?? .unknown
        case 2:
            if let first = ends[0], let last = ends[1], first.family == last.family, first <= last {
                address = .literal(.addresses(first...last))
            } else {
                address = .unknown
            }
        default: address = .unknown
        }
        let port: Translation.Port =
            ports.map { .literal(IptablesValues.ports($0, separator: "-")) }
            // The source's port is kept only as long as it is free.
            ?? (direction == .source ? .unknown : .unchanged)
        return Translation.Target(address: address, port: port)
    }
}
