// `nft -j -a list ruleset` into the model, with the rules' texts from `nft -a list ruleset`.

import Handshake

/// How the kernel and nft name a rule.
struct RuleName: Hashable, Sendable {
    var family: RuleFamily
    var table: String
    var handle: UInt64
}

extension RuleFamily {
    init?(name: String) {
        switch name {
        case "inet": self = .inet
        case "ip": self = .ip
        case "arp": self = .arp
        case "netdev": self = .netdev
        case "bridge": self = .bridge
        case "ip6": self = .ip6
        default: return nil
        }
    }
}

struct NftReader {
    private struct TableKey: Hashable {
        var family: RuleFamily
        var name: String
    }

    private var tables: [TableKey: Int] = [:]
    private var volatileSets: Set<TableName> = []
    private(set) var places: [RuleName: RulePlace] = [:]
    /// Rules of iptables', of which nft says no more than the names of extensions.
    private(set) var extended: Set<RulePlace> = []

    mutating func read(_ bytes: [UInt8], texts: [RuleName: RuleText], into model: inout Model) {
        guard let entries = JSONValue(bytes)?["nftables"]?.array else {
            model.note("the output of nft is not to be understood")
            return
        }
        // Chains and sets first: rules refer to them by name.
        for entry in entries {
            guard let member = entry.only else { continue }
            switch member.key {
            case "chain": readChain(member.value, into: &model)
            case "set", "map": readSet(member.value, into: &model)
            default: break
            }
        }
        for entry in entries {
            guard let rule = entry["rule"] else { continue }
            guard model.admitRule() else { break }
            readRule(rule, texts: texts, into: &model)
        }
        for name in volatileSets { model.sets[name]?.isVolatile = true }
    }

    private mutating func table(of json: JSONValue, in model: inout Model) -> (
        family: RuleFamily, name: String, index: Int
    )? {
        guard let family = json["family"]?.string.flatMap({ RuleFamily(name: $0) }), let name = json["table"]?.string
        else {
            model.note("nft names a family or a table that is not known")
            return nil
        }
        let key = TableKey(family: family, name: name)
        if let known = tables[key] { return (family, name, known) }
        let index = model.newTable()
        tables[key] = index
        return (family, name, index)
    }

    func tableIndex(family: RuleFamily, name: String) -> Int? { tables[TableKey(family: family, name: name)] }

    private mutating func readChain(_ json: JSONValue, into model: inout Model) {
        guard let table = table(of: json, in: &model), let name = json["name"]?.string else { return }
        let chain = model.chain(
            name, table: table.index, ruleset: "\(table.family.name) \(table.name) \(name)")
        // ARP's chains see no TCP.
        guard let hookName = json["hook"]?.string, table.family != .arp else { return }
        guard let hook = NetfilterHook(rawValue: hookName), let priority = json["prio"]?.integer else {
            model.note("a chain of nftables has a hook or a priority that is not known")
            return
        }
        let layer: Layer =
            switch (table.family, hook) {
            case (.netdev, _), (_, .ingress), (_, .egress): .device
            case (.bridge, _): .bridge
            default: .ip
            }
        model.chains[chain].base = BaseChain(
            hook: hook, layer: layer, priority: priority, isNAT: json["type"]?.string == "nat",
            policyDrops: json["policy"]?.string == "drop",
            family: table.family == .ip ? .v4 : table.family == .ip6 ? .v6 : nil)
    }

    private mutating func readSet(_ json: JSONValue, into model: inout Model) {
        guard let table = table(of: json, in: &model), let name = json["name"]?.string else { return }
        let count = json["elem"]?.array?.count ?? 0
        let key = TableName(table: table.index, name: name)
        guard model.elementCount + count <= Bounds.elements else {
            // Without an entry, whatever is looked up in it stays unknown.
            model.note("sets of more than \(Bounds.elements) elements")
            return
        }
        model.elementCount += count
        let flags = (json["flags"]?.array ?? []).compactMap(\.string) + [json["flags"]?.string].compactMap { $0 }
        model.sets[key] = NamedSet(
            elements: NftExpressions.entries(json["elem"]),
            isVolatile: json["timeout"] != nil || flags.contains("timeout") || flags.contains("dynamic"))
    }

    private mutating func readRule(_ json: JSONValue, texts: [RuleName: RuleText], into model: inout Model) {
        guard let table = table(of: json, in: &model), let chainName = json["chain"]?.string else { return }
        let chain = model.chain(
            chainName, table: table.index, ruleset: "\(table.family.name) \(table.name) \(chainName)")
        let handle = json["handle"]?.integer.flatMap { UInt64(exactly: $0) }
        let place = RulePlace(chain: chain, rule: model.chains[chain].rules.count)
        var statements: [Statement] = []
        for part in json["expr"]?.array ?? [] {
            if NftStatements.writesAddresses(part) { model.rewritesPackets = true }
            // Releases differ in whether they call such a set dynamic.
            if let set = NftStatements.changedSet(part) {
                volatileSets.insert(TableName(table: table.index, name: set))
            }
            if part["xt"] != nil { extended.insert(place) }
            if let statement = NftStatements.statement(part) { statements.append(statement) }
        }
        var rule = ModelRule(id: handle.map { String($0) }, text: nil, statements: statements)
        if let handle {
            let name = RuleName(family: table.family, table: table.name, handle: handle)
            rule.text = texts[name]?.text
            places[name] = place
        }
        model.chains[chain].rules.append(rule)
    }
}
