// Connections that ended alike: the table at the top of the page, which is the answer in one look.

import Handshake

/// Counts connections by verdict, destination and rule.
struct Kinds {
    struct Key: Hashable {
        var code: VerdictCode
        var outcome: Outcome
        var dialled: String
        /// Empty: not translated.
        var translated: String
        /// Empty: none is known.
        var rule: String
    }

    struct Kind {
        var count = 0
        /// Of its first connection.
        var sentence = ""
        var advice: [String] = []
        var firstTime: UInt64
        var lastTime: UInt64
    }

    /// A scan of all ports makes as many kinds: beyond this, connections are counted by verdict.
    let maximum: Int
    private(set) var kinds: [Key: Kind] = [:]
    private(set) var others: [VerdictCode: Int] = [:]

    init(maximum: Int = 2000) { self.maximum = maximum }

    /// Returns what it is counted as, for `retract`; nil: by its verdict alone.
    mutating func count(_ key: Key, at time: UInt64, sentence: String, advice: [String]) -> Key? {
        guard kinds[key] != nil || kinds.count < maximum else {
            others[key.code, default: 0] += 1
            return nil
        }
        var kind =
            kinds.removeValue(forKey: key)
            ?? Kind(sentence: sentence, advice: advice, firstTime: time, lastTime: time)
        kind.count += 1
        kind.firstTime = min(kind.firstTime, time)
        kind.lastTime = max(kind.lastTime, time)
        kinds[key] = kind
        return key
    }

    /// The verdict of a connection was revised.
    mutating func retract(_ key: Key?, _ code: VerdictCode) {
        guard let key else {
            if let count = others[code] { others[code] = count > 1 ? count - 1 : nil }
            return
        }
        guard var kind = kinds[key] else { return }
        kind.count -= 1
        kinds[key] = kind.count > 0 ? kind : nil
    }

    /// What failed before what succeeded, and the most frequent first.
    var inOrder: [(key: Key, kind: Kind)] {
        func rank(_ key: Key) -> Int { key.outcome == .success ? 1 : 0 }
        return kinds.map { (key: $0.key, kind: $0.value) }.sorted { a, b in
            if rank(a.key) != rank(b.key) { return rank(a.key) < rank(b.key) }
            if a.kind.count != b.kind.count { return a.kind.count > b.kind.count }
            return (a.kind.firstTime, a.key.dialled) < (b.kind.firstTime, b.key.dialled)
        }
    }
}
