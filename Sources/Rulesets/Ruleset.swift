// The rulesets of one namespace, ready to be asked.

import Handshake

public struct Ruleset: Sendable {
    private let model: Model
    private let places: [RuleName: RulePlace]
    private let texts: [RuleName: RuleText]
    private let isComplete: Bool
    /// Why not everything could be read; nil: it could.
    public let problem: String?

    public init(_ given: RulesetTexts) {
        var model = Model()
        texts = given.nftText.map { NftText.read($0) } ?? [:]
        var reader = NftReader()
        if let bytes = given.nftJSON { reader.read(bytes, texts: texts, into: &model) }
        if let bytes = given.iptablesNftSave { IptablesReader.readWords(bytes, family: .v4, of: reader, into: &model) }
        if let bytes = given.ip6tablesNftSave { IptablesReader.readWords(bytes, family: .v6, of: reader, into: &model) }
        if let bytes = given.iptablesSave { IptablesReader.readLegacy(bytes, family: .v4, into: &model) }
        if let bytes = given.ip6tablesSave { IptablesReader.readLegacy(bytes, family: .v6, into: &model) }
        model.findLateUntracking()
        places = reader.places
        isComplete = given.isComplete && model.problems.isEmpty
        let problems = [given.problem].compactMap { $0 } + model.problems
        problem = problems.isEmpty ? nil : problems.joined(separator: "; ")
        self.model = model
    }

    public var ruleCount: Int { model.ruleCount }

    /// Whether a rule translates addresses; nil: one may that is not known well enough.
    public var translates: Bool? {
        var isSure = true
        for statement in model.chains.lazy.flatMap(\.rules).flatMap(\.statements) {
            switch statement {
            case .translate: return true
            case .opaque(let effects) where !effects.isDisjoint(with: [.translateDestination, .translateSource]):
                isSure = false
            default: break
            }
        }
        return isSure ? false : nil
    }

    /// A rule of nftables', as the kernel names it. nil: it is not there, or no longer.
    public func rule(family: RuleFamily, table: String, handle: UInt64) -> Rule? {
        let name = RuleName(family: family, table: table, handle: handle)
        if let place = places[name] { return rule(at: place) }
        guard let text = texts[name] else { return nil }
        return Rule(id: String(handle), ruleset: "\(family.name) \(table) \(text.chain)", text: text.text, tool: .nft)
    }

    /// The rules that could have done what is searched for. `ownAddresses`: those of the namespace's devices, or
    /// none where they are not known; asked for only where a rule looks at the type of an address.
    public func candidates(
        _ search: RuleSearch, ownAddresses: @escaping () -> [IPAddress] = { [] }
    ) -> RuleCandidates {
        let own = OwnAddresses(ownAddresses)
        var found: [RuleCandidates.Candidate] = []
        var isComplete = isComplete
        // A chain that is jumped to from two hooks has its rules here once, as the better of the two.
        var known: [RulePlace: Int] = [:]
        var budget = Budget()
        for (hook, layer) in Self.hooks(of: search.stage) {
            let order = HookOrder(model: model, hook: hook, layer: layer, family: search.tuple.family)
            var walk = Walk(model: model, search: search, hook: hook, layer: layer, budget: budget, own: own)
            order.search(search, with: &walk)
            budget = walk.budget
            if walk.isIncomplete || budget.isExhausted { isComplete = false }
            for finding in walk.findings {
                guard let position = finding.rule else {
                    let chain = model.chains[finding.chain]
                    // The same rule as where it is seen (`Names.rule`): there nobody says who made the chain.
                    let rule = Rule(
                        ruleset: chain.ruleset, text: "policy drop",
                        tool: chain.tool == .iptablesLegacy ? .iptablesLegacy : .nft)
                    found.append(.init(rule: rule, isCertain: finding.isCertain))
                    continue
                }
                let place = RulePlace(chain: finding.chain, rule: position)
                if let index = known[place] {
                    if finding.isCertain { found[index].isCertain = true }
                    continue
                }
                known[place] = found.count
                found.append(.init(rule: rule(at: place), isCertain: finding.isCertain))
            }
        }
        return RuleCandidates(candidates: found, isComplete: isComplete)
    }

    private func rule(at place: RulePlace) -> Rule {
        let chain = model.chains[place.chain]
        let rule = chain.rules[place.rule]
        return Rule(id: rule.id, ruleset: chain.ruleset, text: rule.text, tool: chain.tool)
    }

    /// Where a packet may have met rules at a stage. A bridge calls its hooks, and IP's for it, while the
    /// packet comes in at one of its ports or leaves by one.
    private static func hooks(of stage: Stage?) -> [(NetfilterHook, Layer)] {
        switch stage {
        case .ingress: [(.ingress, .device), (.prerouting, .bridge), (.input, .bridge), (.forward, .bridge)]
        case .prerouting: [(.prerouting, .bridge), (.prerouting, .ip)]
        case .input: [(.input, .bridge), (.input, .ip)]
        case .forward: [(.forward, .bridge), (.forward, .ip)]
        case .output: [(.output, .bridge), (.output, .ip)]
        case .postrouting: [(.postrouting, .bridge), (.postrouting, .ip)]
        case .egress:
            [(.forward, .bridge), (.output, .bridge), (.postrouting, .bridge), (.egress, .device)]
        case .routing, .socket: []
        case nil:
            NetfilterHook.all.flatMap { hook -> [(NetfilterHook, Layer)] in
                hook == .ingress || hook == .egress ? [(hook, .device)] : [(hook, .bridge), (hook, .ip)]
            }
        }
    }
}
