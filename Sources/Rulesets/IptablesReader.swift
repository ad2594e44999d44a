// iptables' rulesets into the model: the legacy ones as they are, and the words of iptables-nft for
// those rules of nftables' that nft cannot say.

import Handshake

enum IptablesReader {
    /// The hooks that a chain of this name is called from, and when: fixed in the kernel's ip_tables.
    private static func base(_ chain: SavedChain, table: String, family: IPAddress.Family) -> BaseChain? {
        guard chain.policy != nil, let hook = NetfilterHook(rawValue: chain.name.lowercased()) else { return nil }
        let isEarly = hook == .prerouting || hook == .output
        let priority: Int64
        switch table {
        case "raw": priority = -300
        case "mangle": priority = -150
        case "nat": priority = isEarly ? -100 : 100
        case "filter": priority = 0
        case "security": priority = 50
        default: return nil
        }
        return BaseChain(
            hook: hook, layer: .ip, priority: priority, isNAT: table == "nat", policyDrops: chain.policy == "DROP",
            family: family)
    }

    static func readLegacy(_ bytes: [UInt8], family: IPAddress.Family, into model: inout Model) {
        let familyName = family == .v4 ? "ip" : "ip6"
        for table in SavedTable.read(bytes) {
            let index = model.newTable()
            let names = Set(table.chains.map(\.name))
            for saved in table.chains {
                let chain = model.chain(saved.name, table: index, ruleset: "\(familyName) \(table.name) \(saved.name)")
                let base = base(saved, table: table.name, family: family)
                if base == nil, saved.policy != nil {
                    model.note("iptables has a chain that is called from an unknown hook")
                }
                model.chains[chain].base = base
                model.chains[chain].tool = .iptablesLegacy
                for (position, rule) in saved.rules.enumerated() {
                    guard model.admitRule() else { return }
                    let parsed = IptablesRule(rule, family: family) { names.contains($0) }
                    if parsed.writesAddresses { model.rewritesPackets = true }
                    model.chains[chain].rules.append(
                        ModelRule(id: String(position + 1), text: rule.text, statements: parsed.statements))
                }
            }
        }
    }

    /// Rules are told apart by chain and position only: a chain with another number of rules in the two
    /// outputs was changed between them, and keeps what nft said.
    static func readWords(_ bytes: [UInt8], family: IPAddress.Family, of reader: NftReader, into model: inout Model) {
        for table in SavedTable.read(bytes) {
            guard let index = reader.tableIndex(family: family == .v4 ? .ip : .ip6, name: table.name) else { continue }
            let names = Set(table.chains.map(\.name))
            for saved in table.chains {
                guard let chain = model.chainIndex[TableName(table: index, name: saved.name)],
                    model.chains[chain].rules.count == saved.rules.count
                else { continue }
                model.chains[chain].tool = .iptablesNft
                for (position, rule) in saved.rules.enumerated() {
                    model.chains[chain].rules[position].text = rule.text
                    guard reader.extended.contains(RulePlace(chain: chain, rule: position)) else { continue }
                    let parsed = IptablesRule(rule, family: family) { names.contains($0) }
                    if parsed.writesAddresses { model.rewritesPackets = true }
                    model.chains[chain].rules[position].statements = parsed.statements
                }
            }
        }
    }
}
