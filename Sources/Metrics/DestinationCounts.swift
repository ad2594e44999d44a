// Connections by destination and verdict, within a bound: a port scan must not fill the memory of a Prometheus.

import Handshake

/// Counts for so many destinations. Where there is no room for a new one, that goes which was counted least lately: a
/// scan passes through, and services that are used stay.
struct DestinationCounts: Sendable {
    /// Destinations with counts of their own.
    static let maximum = 256

    private struct Entry: Sendable {
        var verdicts: [VerdictCode: UInt64] = [:]
        /// The number of the last count.
        var last: UInt64 = 0
    }

    private var entries: [Endpoint: Entry] = [:]
    private var clock: UInt64 = 0
    /// Destinations that had to go.
    private(set) var evicted: UInt64 = 0

    mutating func count(_ code: VerdictCode, at destination: Endpoint) {
        clock += 1
        if entries[destination] == nil, entries.count >= Self.maximum,
            let oldest = entries.min(by: { $0.value.last < $1.value.last })
        {
            entries.removeValue(forKey: oldest.key)
            evicted += 1
        }
        entries[destination, default: Entry()].verdicts[code, default: 0] += 1
        entries[destination]?.last = clock
    }

    var count: Int { entries.count }

    /// In a fixed order, so that two scrapes are easy to compare.
    var all: [(destination: Endpoint, verdicts: [VerdictCode: UInt64])] {
        entries.sorted { ($0.key.address, $0.key.port) < ($1.key.address, $1.key.port) }
            .map { ($0.key, $0.value.verdicts) }
    }
}
