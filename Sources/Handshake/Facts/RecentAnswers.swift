// What was just asked need not be asked again: so that a thousand connections which end the same way within a
// moment cost one question.

/// Answers that are young enough for a verdict, and otherwise those of the facts behind it.
///
/// An answer is as good as a new one if it was given after the connection's end, and not before what else is
/// waited for until a verdict is given: `Explainer.settleTime`. So nothing is older than it might be without this.
/// Time is the explainer's, so that a replay asks as often as was asked live.
final class RecentAnswers: Facts {
    /// Answers kept; beyond that all are let go of.
    static let maximumKept = 4096

    private let facts: any Facts
    private let maximumAge: UInt64
    private var kept: [Question: (answer: Answer, time: UInt64)] = [:]
    private var now: UInt64 = 0
    private var oldest: UInt64 = 0

    /// `maximumAge`: nanoseconds.
    init(_ facts: any Facts, maximumAge: UInt64) {
        self.facts = facts
        self.maximumAge = maximumAge
    }

    /// What is asked from here on is for a verdict at `now` on a connection of which the last was seen at `end`;
    /// CLOCK_MONOTONIC, nanoseconds.
    func judging(at now: UInt64, end: UInt64) {
        self.now = now
        oldest = max(end, now - min(now, maximumAge))
    }

    func answer(_ question: Question) -> Answer {
        if let known = kept[question], known.time >= oldest { return known.answer }
        let answer = facts.answer(question)
        if kept.count >= Self.maximumKept { kept.removeAll(keepingCapacity: true) }
        kept[question] = (answer, now)
        return answer
    }
}
