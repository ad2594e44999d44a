// What --summary counts: verdicts by what they are about, not by who dialled.

import Handshake

/// Connections that ended in the same way: same verdict, destination as dialled and as translated, and rule
/// (`Verdict.ruleInQuestion`).
struct SummaryKind: Hashable {
    var code: VerdictCode
    var dialled: Endpoint
    /// nil: not translated.
    var translated: Endpoint?
    var rule: Rule?

    init(_ code: VerdictCode, of connection: Connection, rule: Rule?) {
        self.init(code, dialled: connection.dialled, translated: connection.translated, rule: rule)
    }

    init(_ code: VerdictCode, dialled: Tuple, translated: Tuple?, rule: Rule?) {
        self.code = code
        self.rule = rule
        self.dialled = dialled.destination
        self.translated = translated.flatMap { $0.destination == dialled.destination ? nil : $0.destination }
    }
}

struct SummaryRow {
    /// Of clients' addresses, so many are remembered.
    static let maximumClients = 3

    let kind: SummaryKind
    var outcome: Outcome
    var count = 0
    /// CLOCK_MONOTONIC, nanoseconds.
    var last: UInt64 = 0
    /// The most promising one, of the last verdict.
    var advice: String?
    private(set) var clients: [IPAddress] = []
    private(set) var hasMoreClients = false

    init(_ kind: SummaryKind, outcome: Outcome) {
        self.kind = kind
        self.outcome = outcome
    }

    mutating func take(_ verdict: Verdict, from client: IPAddress) {
        count += 1
        last = max(last, verdict.time)
        outcome = verdict.outcome
        advice = verdict.advice.first
        guard !clients.contains(client) else { return }
        if clients.count < Self.maximumClients { clients.append(client) } else { hasMoreClients = true }
    }
}

/// Counts, in bounded memory. What succeeded has its own bound, so that it never takes the place of a failure.
struct SummaryTable {
    static let maximumFailures = 512
    static let maximumSuccesses = 128

    private(set) var failures = SummaryShelf(maximum: maximumFailures)
    private(set) var successes = SummaryShelf(maximum: maximumSuccesses)

    mutating func take(_ verdict: Verdict, of connection: Connection) {
        // The last verdict of a connection counts, as in the totals.
        if let earlier = verdict.replaces {
            let kind = SummaryKind(earlier.code, of: connection, rule: earlier.rule)
            if earlier.code == .established { successes.retract(kind) } else { failures.retract(kind) }
        }
        take(verdict, dialled: connection.dialled, translated: connection.translated)
    }

    /// What replaces no other verdict.
    mutating func take(_ verdict: Verdict, dialled: Tuple, translated: Tuple?) {
        let kind = SummaryKind(verdict.code, dialled: dialled, translated: translated, rule: verdict.ruleInQuestion)
        if verdict.outcome == .success {
            successes.take(verdict, kind, from: dialled.source.address)
        } else {
            failures.take(verdict, kind, from: dialled.source.address)
        }
    }

    var isEmpty: Bool { failures.isEmpty && successes.isEmpty }
}

/// A bounded number of rows, and one number for all that have none.
struct SummaryShelf {
    private let maximum: Int
    private(set) var rows: [SummaryRow] = []
    private var index: [SummaryKind: Int] = [:]
    /// Connections without a row, and when the last of them was seen.
    private(set) var others: (count: Int, last: UInt64) = (0, 0)
    private var hand = 0

    /// How many rows are looked at for one that can go.
    private static let looks = 8

    init(maximum: Int) { self.maximum = maximum }

    var isEmpty: Bool { rows.isEmpty && others.count == 0 }

    mutating func take(_ verdict: Verdict, _ kind: SummaryKind, from client: IPAddress) {
        if let place = index[kind] { return rows[place].take(verdict, from: client) }
        let place: Int
        if rows.count < maximum {
            place = rows.count
            rows.append(SummaryRow(kind, outcome: verdict.outcome))
        } else if let single = single() {
            place = single
            others = (others.count + 1, max(others.last, rows[single].last))
            index[rows[single].kind] = nil
            rows[single] = SummaryRow(kind, outcome: verdict.outcome)
        } else {
            others = (others.count + 1, max(others.last, verdict.time))
            return
        }
        index[kind] = place
        rows[place].take(verdict, from: client)
    }

    /// The next row, of a few, that counts one connection: a scan of all ports makes many of these, and what comes
    /// again and again is not to be hidden by them.
    private mutating func single() -> Int? {
        for _ in 0..<Self.looks {
            hand = (hand + 1) % rows.count
            if rows[hand].count == 1 { return hand }
        }
        return nil
    }

    /// A connection that was counted here has another verdict now. What it was translated to may have become known
    /// only since.
    mutating func retract(_ kind: SummaryKind) {
        let like =
            index[kind]
            ?? rows.firstIndex { row in
                row.kind.code == kind.code && row.kind.dialled == kind.dialled && row.kind.rule == kind.rule
            }
        guard let place = like else {
            others.count = max(0, others.count - 1)
            return
        }
        rows[place].count -= 1
        guard rows[place].count == 0 else { return }
        index[rows[place].kind] = nil
        let last = rows.removeLast()
        guard place < rows.count else { return }
        rows[place] = last
        index[last.kind] = place
    }

    /// The most frequent first, then what was seen last.
    var inOrder: [SummaryRow] {
        rows.sorted {
            if $0.count != $1.count { return $0.count > $1.count }
            if $0.last != $1.last { return $0.last > $1.last }
            return ($0.kind.code.rawValue, $0.kind.dialled.description)
                < ($1.kind.code.rawValue, $1.kind.dialled.description)
        }
    }
}
