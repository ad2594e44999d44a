// What is remembered of a verdict that was told.

/// What it takes to know whether a later verdict says something else. The words of a verdict are many times as much.
final class GivenVerdict: Sendable {
    let code: VerdictCode
    let outcome: Outcome
    let netns: UInt32
    let rule: Rule?
    let ruleInQuestion: Rule?
    let process: ProcessIdentity?
    /// The ending that was judged last, to the same effect.
    let ending: EndingKey

    init(_ verdict: Verdict, ending: EndingKey) {
        code = verdict.code
        outcome = verdict.outcome
        netns = verdict.netns
        rule = verdict.rule
        ruleInQuestion = verdict.ruleInQuestion
        process = verdict.process
        self.ending = ending
    }

    /// The same cause at the same place, by the same rule.
    func says(theSameAs other: GivenVerdict) -> Bool {
        code == other.code && netns == other.netns && rule == other.rule && process == other.process
    }

    /// Whether it may stand for the other one altogether.
    func isEqual(to other: GivenVerdict) -> Bool {
        says(theSameAs: other) && outcome == other.outcome && ending == other.ending
            && ruleInQuestion == other.ruleInQuestion
    }
}
