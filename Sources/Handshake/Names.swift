// The kernel's numbers turned into names, asked once each and remembered.

/// Remembers what `Facts` answered, so that a name is asked for once and costs no more than
/// a look-up after that.
final class Names {
    private let facts: any Facts
    private var symbols: [UInt64: String?] = [:]
    private var dropReasons: [UInt32: String?] = [:]
    private var resetReasons: [UInt32: String?] = [:]
    private var namespaces: [UInt32: String?] = [:]
    private var rules: [RuleKey: (rule: Rule?, time: UInt64)] = [:]

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

    /// Namespaces come and go with containers; so many are remembered before asking anew.
    private static let maximumNamespaces = 4096
    private static let placeBits: UInt64 = 10
    private static let maximumRules = 4096
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
        if namespaces.count >= Self.maximumNamespaces {
            namespaces.removeAll()
            for place in labels.indices { labels[place] = nil }
        }
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
            if let remembered = rules[key], time &- remembered.time < Self.rulePatience {
                known = remembered.rule
            } else {
                if rules.count >= Self.maximumRules { rules.removeAll() }
                if case .rule(let rule) = facts.answer(
                    .rule(family: seen.family, table: seen.table, handle: seen.handle, netns: netns))
                {
                    known = rule
                }
                rules[key] = (known, time)
            }
        }
        let place = [seen.family.name, seen.table] + (seen.chain.map { [$0] } ?? [])
        return Rule(
            id: seen.isPolicy ? nil : String(seen.handle),
            ruleset: known?.ruleset ?? place.joined(separator: " "),
            text: seen.isPolicy ? "policy \(seen.verdict.name)" : known?.text)
    }

    /// Modules bring and take functions: addresses may mean others from now on.
    func forgetSymbols() { symbols.removeAll() }

    private func remembered<Key: Hashable>(
        _ key: Key, in memory: inout [Key: String?], question: (Key) -> Question
    ) -> String? {
        if let known = memory[key] { return known }
        let name = facts.name(question(key))
        memory[key] = .some(name)
        return name
    }
}
