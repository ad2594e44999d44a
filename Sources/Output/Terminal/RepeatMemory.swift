// Failures that were explained already: what fails again in the same way need not be explained again.

import Handshake

/// A failure like one that was shown, in short.
public struct RepeatedBlock: Sendable {
    /// The same for all that are alike.
    let kind: Int
    let code: VerdictCode
    /// As dialled.
    let tuple: Tuple
    /// When it began; CLOCK_MONOTONIC, nanoseconds.
    let time: UInt64
    /// How many there were by now, with those that were shown in full.
    let count: Int
}

/// Knows which failures were shown in full, and counts those that came since.
///
/// Alike are those with the same verdict, destination as dialled and as translated, rule, sentence and advice, where
/// the client's address and port do not count. One of them is shown in full again if that was long ago and the
/// explanation is likely to be out of sight: because others were shown since, or because it stayed away for as long.
struct RepeatMemory {
    /// Kinds that are remembered. The one that stayed away longest makes room, and is news when it comes back.
    static let maximumKinds = 256
    /// Nanoseconds for which an explanation counts as seen.
    static let remembered: UInt64 = 600_000_000_000

    private struct Kind: Hashable {
        let code: VerdictCode
        let dialled: Endpoint
        let translated: Endpoint?
        let rule: Rule?
        let sentence: String
        let advice: [String]

        init(_ verdict: Verdict, of connection: Connection) {
            code = verdict.code
            dialled = connection.dialled.destination
            translated = connection.translated?.destination
            rule = verdict.rule
            let clients = [connection.dialled.source, connection.translated?.source].compactMap { $0 }
            sentence = anonymous(verdict.sentence, clients)
            advice = verdict.advice.map { anonymous($0, clients) }
        }
    }

    private struct Entry {
        let number: Int
        /// What it counts as where only a second is looked at.
        var block: BlockKind
        var count = 0
        var last: UInt64
        /// When it was shown in full last, and how many blocks had been shown by then, itself included.
        var explained: UInt64
        var shownThen: Int
    }

    private var entries: [Kind: Entry] = [:]
    private var shown = 0
    private var nextNumber = 0

    /// A block of another sort is shown in full.
    mutating func noteOther() { shown += 1 }

    /// What to show of a failure in place of its block; nil: the block.
    mutating func take(_ verdict: Verdict, of connection: Connection) -> RepeatedBlock? {
        let kind = Kind(verdict, of: connection)
        let block = BlockKind(verdict, of: connection)
        guard var entry = entries[kind] else {
            if entries.count >= Self.maximumKinds, let oldest = entries.min(by: { $0.value.last < $1.value.last }) {
                entries[oldest.key] = nil
            }
            shown += 1
            nextNumber += 1
            entries[kind] = Entry(
                number: nextNumber, block: block, count: 1, last: verdict.time, explained: verdict.time,
                shownThen: shown)
            return nil
        }
        func isLongAgo(_ time: UInt64) -> Bool { verdict.time >= time &+ Self.remembered }
        let isOutOfSight = isLongAgo(entry.explained) && (shown > entry.shownThen || isLongAgo(entry.last))
        entry.block = block
        entry.count += 1
        entry.last = max(entry.last, verdict.time)
        if isOutOfSight {
            shown += 1
            (entry.explained, entry.shownThen) = (verdict.time, shown)
        }
        entries[kind] = entry
        guard !isOutOfSight else { return nil }
        return RepeatedBlock(
            kind: entry.number, code: verdict.code, tuple: connection.dialled, time: connection.startTime,
            count: entry.count)
    }

    /// So many more of a kind came, and were told in another way.
    mutating func add(_ count: Int, like block: BlockKind) {
        guard let kind = entries.first(where: { $0.value.block == block })?.key else { return }
        entries[kind]?.count += count
    }

    /// The block that was to be shown was not.
    mutating func forget(_ verdict: Verdict, of connection: Connection) {
        entries[Kind(verdict, of: connection)] = nil
    }
}

/// A text in which a client's address and port are the same for all clients.
private func anonymous(_ text: String, _ clients: [Endpoint]) -> String {
    var bytes = Array(text.utf8)
    for client in clients {
        replace("\(client)", by: "*:*", in: &bytes)
        replace("\(client.address)", by: "*", in: &bytes)
        replace("sport \(client.port)", by: "sport *", in: &bytes)
    }
    return String(decoding: bytes, as: UTF8.self)
}

/// Only where it stands alone: 10.0.0.1 is no part of 10.0.0.12.
private func replace(_ wanted: String, by other: String, in text: inout [UInt8]) {
    let wanted = Array(wanted.utf8)
    func isPart(_ place: Int) -> Bool {
        guard text.indices.contains(place) else { return false }
        let byte = text[place]
        return (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte)
            || (UInt8(ascii: "a")...UInt8(ascii: "z")).contains(byte | 0x20)
    }
    var place = 0
    while place + wanted.count <= text.count {
        let end = place + wanted.count
        guard text[place] == wanted[0], text[place..<end].elementsEqual(wanted), !isPart(place - 1), !isPart(end) else {
            place += 1
            continue
        }
        text.replaceSubrange(place..<end, with: other.utf8)
        place += other.utf8.count
    }
}
