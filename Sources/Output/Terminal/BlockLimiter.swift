// How many blocks a person can be shown in a second, and what becomes of the others.

import Handshake

/// What makes two blocks tell the same: how it ended, for whom and by what. Only the client differs.
struct BlockKind: Hashable {
    let code: VerdictCode
    let outcome: Outcome
    /// As dialled.
    let destination: Endpoint
    let rule: Rule?
    let stage: Stage?
    let function: String?
    let netns: UInt32

    init(_ verdict: Verdict, of connection: Connection) {
        code = verdict.code
        outcome = verdict.outcome
        destination = connection.dialled.destination
        rule = verdict.rule
        stage = verdict.stage
        function = verdict.function
        netns = verdict.netns
    }
}

/// What was not shown of one second.
public struct FoldedBlocks {
    struct Alike {
        let kind: BlockKind
        let count: Int
        /// The last client.
        let client: Endpoint
    }

    /// Of kinds that were shown, the most frequent first.
    let alike: [Alike]
    /// Of all other kinds.
    let others: [(code: VerdictCode, count: Int)]
    /// All kinds that were told apart, for who counts.
    let kinds: [(kind: BlockKind, count: Int)]
    /// The last that was folded; CLOCK_MONOTONIC, nanoseconds.
    let time: UInt64
}

/// Decides, second by second, which blocks are shown. Time is that of the verdicts, so a replay
/// decides the same.
struct BlockLimiter {
    /// Blocks of one kind that are shown in a second.
    static let alike = 3
    /// Kinds that are told apart in a second; others are counted by verdict.
    static let maximumKinds = 64
    /// Kinds that get a line of their own for what was folded of them.
    static let kindsTold = 5

    private struct Tally {
        var shown = 0
        var folded = 0
        var client: Endpoint
    }

    private static let second: UInt64 = 1_000_000_000

    private let perSecond: Int
    /// When the second began; nil: with the next block.
    private var begin: UInt64?
    private var last: UInt64 = 0
    private var shown = 0
    private var kinds: [BlockKind: Tally] = [:]
    private var others: [VerdictCode: Int] = [:]

    init(perSecond: Int) { self.perSecond = perSecond }

    /// When the second is over; nil: none has begun.
    var end: UInt64? { begin.map { $0 &+ Self.second } }

    /// Whether this block is shown; else it is counted.
    mutating func admits(_ verdict: Verdict, of connection: Connection) -> Bool {
        begin = begin ?? verdict.time
        let kind = BlockKind(verdict, of: connection)
        guard shown < perSecond, (kinds[kind]?.shown ?? 0) < Self.alike else {
            fold(kind, connection, at: verdict.time)
            return false
        }
        shown += 1
        if hasPlace(for: kind) { kinds[kind, default: Tally(client: connection.dialled.source)].shown += 1 }
        return true
    }

    /// Whether a connection is shown step by step, and then all of it: how it ends is not known yet.
    mutating func admits(connectionAt time: UInt64) -> Bool {
        begin = begin ?? time
        guard shown < perSecond else { return false }
        shown += 1
        return true
    }

    /// Counts the block of a connection whose steps were not shown.
    mutating func fold(_ verdict: Verdict, of connection: Connection) {
        begin = begin ?? verdict.time
        fold(BlockKind(verdict, of: connection), connection, at: verdict.time)
    }

    private mutating func fold(_ kind: BlockKind, _ connection: Connection, at time: UInt64) {
        last = max(last, time)
        guard hasPlace(for: kind) else {
            others[kind.code, default: 0] += 1
            return
        }
        let client = connection.dialled.source
        kinds[kind, default: Tally(client: client)].folded += 1
        kinds[kind]?.client = client
    }

    private func hasPlace(for kind: BlockKind) -> Bool { kinds.count < Self.maximumKinds || kinds[kind] != nil }

    /// Ends the second. What was folded in it; nil: nothing.
    mutating func close() -> FoldedBlocks? {
        defer {
            begin = nil
            shown = 0
            kinds.removeAll(keepingCapacity: true)
            others.removeAll(keepingCapacity: true)
        }
        let folded = kinds.filter { $0.value.folded > 0 }
        guard !folded.isEmpty || !others.isEmpty else { return nil }
        func precedes(_ a: (key: BlockKind, value: Tally), _ b: (key: BlockKind, value: Tally)) -> Bool {
            (b.value.folded, a.key.code.rawValue, a.key.destination.description)
                < (a.value.folded, b.key.code.rawValue, b.key.destination.description)
        }
        let told = folded.filter { $0.value.shown > 0 }.sorted(by: precedes).prefix(Self.kindsTold)
        let ownLines = Set(told.map(\.key))
        for (kind, tally) in folded where !ownLines.contains(kind) { others[kind.code, default: 0] += tally.folded }
        return FoldedBlocks(
            alike: told.map { FoldedBlocks.Alike(kind: $0.key, count: $0.value.folded, client: $0.value.client) },
            others: VerdictCode.allCases.compactMap { code in others[code].map { (code, $0) } },
            kinds: folded.map { ($0.key, $0.value.folded) }, time: last)
    }
}
