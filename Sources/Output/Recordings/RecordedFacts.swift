// The recorded machine's answers, given again in replay.

import Handshake

/// Answers from a recording, fed by its reader.
///
/// A question may have been answered differently over time. An explanation that was given while
/// observation n was handled, or by the passing of time after it, asked "after n". In replay the
/// passing of time is noticed only when observation n+1 comes. So, with n observations given
/// out: answers from before n-1 yield to later ones, the remaining ones are given in the order in
/// which they were recorded, and when they are used up, the last one is repeated.
public final class RecordedFacts: Facts {
    /// Questions kept; what a file holds beyond that (no machine has so many symbols that drop
    /// packets) is not answered.
    static let maximumQuestions = 65_536
    /// Answers to one question kept ahead of the observations that asked for them.
    static let maximumAhead = 4096

    private struct History {
        var last: Answer?
        /// Not used yet, oldest first.
        var ahead: [(after: UInt64, answer: Answer)] = []
        var used = 0
    }

    private var histories: [Question: History] = [:]
    /// Observations given out so far.
    var position: UInt64 = 0

    init() {}

    func add(_ fact: RecordedFact) {
        guard histories[fact.question] != nil || histories.count < Self.maximumQuestions else { return }
        var history = histories.removeValue(forKey: fact.question) ?? History()
        // Never asked for in this replay, perhaps because of a filter: no reason to keep them all.
        if history.used > 0 || history.ahead.count >= Self.maximumAhead {
            history.ahead.removeFirst(max(history.used, 1))
            history.used = 0
        }
        history.ahead.append((fact.after, fact.answer))
        histories[fact.question] = history
    }

    /// Inode numbers and names of network namespaces, of what was not asked for yet.
    var namespaceNames: [(inode: UInt32, name: String)] {
        histories.flatMap { question, history in
            guard case .netnsName(let inode) = question else { return [(inode: UInt32, name: String)]() }
            return history.ahead.compactMap { if case .name(let name) = $0.answer { (inode, name) } else { nil } }
        }
    }

    public func answer(_ question: Question) -> Answer {
        let unavailable = Answer.unavailable("the recording does not hold it")
        guard var history = histories.removeValue(forKey: question) else { return unavailable }
        defer { histories[question] = history }

        func isDue(_ index: Int) -> Bool { index < history.ahead.count && history.ahead[index].after <= position }
        while isDue(history.used + 1), history.ahead[history.used].after &+ 1 < position {
            history.used += 1
        }
        if isDue(history.used) {
            history.last = history.ahead[history.used].answer
            history.used += 1
        }
        // Asked earlier than when it was recorded: the nearest answer is the next one.
        return history.last ?? history.ahead.first?.answer ?? unavailable
    }
}
