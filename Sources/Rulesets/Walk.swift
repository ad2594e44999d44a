// A packet's way through the chains of one hook, with everything that is not known left open: which
// rules it may meet, and how each chain may end.

import Handshake

/// How the evaluation of a chain may go on. Several: it is not known which.
struct Fates: OptionSet, Sendable {
    let rawValue: UInt8
    /// With the next rule.
    static let continues = Fates(rawValue: 1)
    /// In the chain that jumped here; from a base chain, with its policy.
    static let returned = Fates(rawValue: 2)
    /// With the next base chain.
    static let accepted = Fates(rawValue: 4)
    /// The same, with the translation made: no further chain of NAT is asked at this hook.
    static let translated = Fates(rawValue: 8)
    /// Not at all: dropped, rejected or taken.
    static let gone = Fates(rawValue: 16)
    static let any: Fates = [.continues, .returned, .accepted, .translated, .gone]
}

/// A candidate by its place, or the policy of a base chain.
struct Finding {
    var chain: Int
    /// nil: the policy.
    var rule: Int?
    var isCertain: Bool
}

struct Walk {
    private let effect: RuleSearch.Effect
    private let hook: NetfilterHook
    private let tracking: RuleSearch.TrackingState?
    private var evaluation: Evaluation
    private(set) var findings: [Finding] = []
    /// Place of a rule in `findings`: a chain that is reached twice has its rules there once.
    private var known: [RulePlace: Int] = [:]
    /// Chains that were already walked from this base chain, with the best way to them.
    private var walked: [Int: (way: Truth, fates: Fates)] = [:]
    /// Some part of the rulesets could not be walked: candidates may be missing.
    private(set) var isIncomplete = false

    init(
        model: Model, search: RuleSearch, hook: NetfilterHook, layer: Layer, budget: Budget, own: OwnAddresses?
    ) {
        effect = search.effect
        self.hook = hook
        tracking = search.tracking
        var packet = Packet(search, hook: hook, layer: layer, isRewritten: model.rewritesPackets)
        packet.own = own
        packet.isUntrackedLate = model.untracksLate
        evaluation = Evaluation(model: model, packet: packet, budget: budget)
    }

    var budget: Budget { evaluation.budget }

    /// Evaluates a base chain, without its policy.
    mutating func enter(_ chain: Int, way: Truth) -> Fates {
        walked = [:]
        let isTracked = evaluation.model.chains[chain].base?.isBehindConntrack ?? false
        evaluation.packet.tracking = isTracked ? tracking : nil
        return walk(chain, way: way, depth: 0)
    }

    mutating func addPolicy(of chain: Int, isCertain: Bool) {
        findings.append(Finding(chain: chain, rule: nil, isCertain: isCertain))
    }

    /// `way`: whether the matches on the way here hold. The fates are those of a packet that comes here.
    private mutating func walk(_ chain: Int, way: Truth, depth: Int) -> Fates {
        if let known = walked[chain], known.way >= way { return known.fates }
        guard depth <= Bounds.jumps, !evaluation.budget.isExhausted else {
            isIncomplete = true
            return [.returned, .accepted, .gone]
        }
        // Until it is done, a jump back here finds this: a loop, which no kernel takes.
        walked[chain] = (way, [.returned, .accepted, .gone])
        var fates: Fates = .continues
        let rules = evaluation.model.chains[chain].rules
        for (position, rule) in rules.enumerated() {
            evaluation.budget.spend()
            if evaluation.budget.isExhausted {
                isIncomplete = true
                fates = [.returned, .accepted, .gone]
                break
            }
            let result = apply(rule, at: RulePlace(chain: chain, rule: position), way: way, depth: depth)
            fates.remove(.continues)
            fates.formUnion(result)
            if !fates.contains(.continues) { break }
        }
        if fates.remove(.continues) != nil { fates.insert(.returned) }
        walked[chain] = (way, fates)
        return fates
    }

    private mutating func note(_ place: RulePlace, _ truth: Truth) {
        if let index = known[place] {
            if truth == .yes { findings[index].isCertain = true }
            return
        }
        known[place] = findings.count
        findings.append(Finding(chain: place.chain, rule: place.rule, isCertain: truth == .yes))
    }

    /// What a rule does with a packet that comes to it.
    private mutating func apply(_ rule: ModelRule, at place: RulePlace, way: Truth, depth: Int) -> Fates {
        let table = evaluation.model.chains[place.chain].table
        /// Whether its statements up to here let the packet through.
        var holds = Truth.yes
        var fates: Fates = []
        for statement in rule.statements {
            switch statement {
            case .condition(let condition):
                holds = holds && evaluation.holds(condition, table: table)
                if holds == .no { return fates.union(.continues) }
            case .verdict(.continues): break
            case .verdict(let verdict):
                fates.formUnion(self.fates(of: verdict, at: place, table: table, way: way && holds, depth: depth))
                return closing(fates, holds)
            case .verdictMap(let operand, let source):
                let found = evaluation.lookUp(operand, in: source, table: table)
                for (data, isCertain) in found.data {
                    let truth = way && holds && (isCertain ? .yes : .unknown)
                    if case .verdict(let verdict) = data {
                        fates.formUnion(self.fates(of: verdict, at: place, table: table, way: truth, depth: depth))
                    } else {
                        if effect == .drop { note(place, .unknown) }
                        fates.formUnion(.any)
                    }
                }
                if found.mayMiss { fates.insert(.continues) }
                return closing(fates, holds)
            case .reject:
                if effect == .reject { note(place, way && holds) }
                return closing(fates.union(.gone), holds)
            case .notrack:
                if effect == .notrack { note(place, way && holds) }
            case .translate(let translation):
                let isOfDestination = translation.isOfDestination(at: hook)
                var asked: Endpoint?
                var isAsked = false
                switch effect {
                case .translateDestination(let to): (isAsked, asked) = (isOfDestination, to)
                case .translateSource(let to): (isAsked, asked) = (!isOfDestination, to)
                default: break
                }
                let outcome = evaluation.outcome(of: translation, at: hook, asked: asked, table: table)
                if isAsked, outcome.canMake { note(place, way && holds && outcome.fires) }
                if outcome.fires != .no { fates.insert(.translated) }
                holds = holds && outcome.fires
                if outcome.fires != .yes { fates.insert(.continues) }
                return closing(fates, holds)
            case .mayTake:
                fates.formUnion([.accepted, .gone])
                holds = holds && .unknown
            case .opaque(let effects):
                if effects.allows(effect) { note(place, .unknown) }
                return fates.union(.any)
            }
        }
        return closing(fates.union(.continues), holds)
    }

    private func closing(_ fates: Fates, _ holds: Truth) -> Fates { holds == .yes ? fates : fates.union(.continues) }

    private mutating func fates(
        of verdict: Verdict, at place: RulePlace, table: Int, way: Truth, depth: Int
    ) -> Fates {
        switch verdict {
        case .accept: return .accepted
        case .continues: return .continues
        case .returns: return .returned
        case .drop:
            if effect == .drop { note(place, way) }
            return .gone
        case .jump(let name), .goto(let name):
            guard let target = evaluation.model.chainIndex[TableName(table: table, name: name)] else {
                // The chain is not listed: its rules may do anything.
                note(place, .unknown)
                return .any
            }
            var fates = walk(target, way: way, depth: depth + 1)
            if case .jump = verdict, fates.remove(.returned) != nil { fates.insert(.continues) }
            return fates
        }
    }
}

extension Effects {
    func allows(_ effect: RuleSearch.Effect) -> Bool {
        switch effect {
        case .drop: contains(.drop)
        case .reject: contains(.reject)
        case .notrack: contains(.notrack)
        case .translateDestination: contains(.translateDestination)
        case .translateSource: contains(.translateSource)
        }
    }
}
