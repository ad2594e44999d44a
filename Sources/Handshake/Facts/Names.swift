// The kernel's numbers turned into names, asked once each and remembered.

/// Remembers what `Facts` answered, so that a name is asked for once and costs no more than
/// a look-up after that.
///
/// What was answered once is answered again, for as long as this lives: a connection that was put away is made
/// again with the same names, and nothing is asked. Where there is no more room, or names have come to mean something
/// else, another one takes its place (`successor`).
final class Names {
    private let facts: any Facts
    private var symbols: [UInt64: String?] = [:]
    private var dropReasons: [UInt32: String?] = [:]
    private var resetReasons: [UInt32: String?] = [:]
    private var namespaces: [UInt32: String?] = [:]
    private var rules: [RuleKey: [RuleAnswer]] = [:]
    private var ruleAnswers = 0

    /// What steps of a hook in a namespace have in common, at a place that the two lead to: what comes to the same
    /// place takes it over.
    private var labels = ContiguousArray<Labels?>(repeating: nil, count: 1 << placeBits)

    private struct Labels {
        var hook: Hook
        var netns: UInt32
        var labels: StepLabels
    }

    private struct RuleKey: Hashable {
        var family: RuleFamily
        var table: String
        var handle: UInt64
        var netns: UInt32
    }

    /// A rule as it was from one time to another.
    private struct RuleAnswer {
        var rule: Rule?
        var first: UInt64
        /// When it was asked for last, with the same answer.
        var last: UInt64

        func holds(at time: UInt64) -> Bool { time >= first && (time <= last || time - last < Names.rulePatience) }
    }

    /// Namespaces come and go with containers; so many are remembered before asking anew.
    private static let maximumNamespaces = 4096
    private static let placeBits: UInt64 = 10
    private static let maximumRules = 4096
    /// Functions that drop packets are some hundreds.
    private static let maximumSymbols = 65_536
    /// Nanoseconds for which a rule's text is not asked for again. A handle is never given twice in one
    /// table, but a table may be made anew.
    private static let rulePatience: UInt64 = 1_000_000_000

    init(facts: any Facts) { self.facts = facts }

    func symbol(at address: UInt64) -> String? {
        address == 0 ? nil : remembered(address, in: &symbols) { .symbol(address: $0) }
    }

    func dropReason(_ raw: UInt32) -> String? { remembered(raw, in: &dropReasons) { .dropReason($0) } }
    func resetReason(_ raw: UInt32) -> String? { remembered(raw, in: &resetReasons) { .resetReason($0) } }

    func netns(_ inode: UInt32) -> String? {
        guard inode != 0 else { return nil }
        return remembered(inode, in: &namespaces) { .netnsName(inode: $0) }
    }

    func labels(of hook: Hook, in netns: UInt32) -> StepLabels {
        // Fibonacci hashing: the upper bits of the product depend on all of both.
        let mixed = (UInt64(netns) << 16 | UInt64(hook.rawValue)) &* 0x9e37_79b9_7f4a_7c15
        let place = Int(truncatingIfNeeded: mixed >> (64 - Self.placeBits))
        if let known = labels[place], known.hook == hook, known.netns == netns { return known.labels }
        let made = StepLabels(function: hook.name, netnsName: self.netns(netns))
        labels[place] = Labels(hook: hook, netns: netns, labels: made)
        return made
    }

    /// A rule as people know it: its text comes from the ruleset, if it can be read and still has it.
    func rule(_ seen: RuleSighting, netns: UInt32, at time: UInt64) -> Rule {
        var known: Rule?
        if !seen.isPolicy {
            let key = RuleKey(family: seen.family, table: seen.table, handle: seen.handle, netns: netns)
            if let answer = rules[key]?.first(where: { $0.holds(at: time) }) {
                known = answer.rule
            } else {
                if case .rule(let rule) = facts.answer(
                    .rule(family: seen.family, table: seen.table, handle: seen.handle, netns: netns))
                {
                    known = rule
                }
                remember(known, as: key, at: time)
            }
        }
        let place = [seen.family.name, seen.table] + (seen.chain.map { [$0] } ?? [])
        return Rule(
            id: seen.isPolicy ? nil : String(seen.handle),
            ruleset: known?.ruleset ?? place.joined(separator: " "),
            text: seen.isPolicy ? "policy \(seen.verdict.name)" : known?.text,
            // Only rules of nf_tables are seen.
            tool: known.map(\.tool) ?? .nft)
    }

    private func remember(_ rule: Rule?, as key: RuleKey, at time: UInt64) {
        var answers = rules.removeValue(forKey: key) ?? []
        if let last = answers.indices.last, answers[last].rule == rule, answers[last].last <= time {
            answers[last].last = time
        } else {
            answers.append(RuleAnswer(rule: rule, first: time, last: time))
            ruleAnswers += 1
        }
        rules[key] = answers
    }

    /// Whether nothing more should be remembered here.
    var isFull: Bool {
        namespaces.count >= Self.maximumNamespaces || ruleAnswers >= Self.maximumRules
            || symbols.count >= Self.maximumSymbols
    }

    /// What takes its place: it knows the same, but for what there was no more room for. Modules bring and take
    /// functions: without symbols, addresses may mean others from then on.
    func successor(forgettingSymbols: Bool = false) -> Names {
        let next = Names(facts: facts)
        next.dropReasons = dropReasons
        next.resetReasons = resetReasons
        if !forgettingSymbols, symbols.count < Self.maximumSymbols { next.symbols = symbols }
        if namespaces.count < Self.maximumNamespaces { next.namespaces = namespaces }
        if ruleAnswers < Self.maximumRules {
            next.rules = rules
            next.ruleAnswers = ruleAnswers
        }
        return next
    }

    private func remembered<Key: Hashable>(
        _ key: Key, in memory: inout [Key: String?], question: (Key) -> Question
    ) -> String? {
        if let known = memory[key] { return known }
        let name = facts.name(question(key))
        memory[key] = .some(name)
        return name
    }
}
