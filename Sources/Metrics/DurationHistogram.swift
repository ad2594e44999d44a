// How long handshakes took, as Prometheus wants it: how many took at most so long.

struct DurationHistogram: Sendable {
    /// Upper ends of the buckets, in nanoseconds: from a handshake within one machine up to one that was nearly given up.
    static let bounds: [UInt64] = [
        100_000, 250_000, 500_000,
        1_000_000, 2_500_000, 5_000_000,
        10_000_000, 25_000_000, 50_000_000,
        100_000_000, 250_000_000, 500_000_000,
        1_000_000_000, 2_500_000_000, 5_000_000_000,
    ]

    /// How many fell into each bucket and into none before it; the last is for what is above all bounds.
    private(set) var counts = [UInt64](repeating: 0, count: bounds.count + 1)
    /// Of all, in nanoseconds.
    private(set) var sum: UInt64 = 0

    mutating func add(nanoseconds: UInt64) {
        counts[Self.bounds.firstIndex { nanoseconds <= $0 } ?? Self.bounds.count] += 1
        sum &+= nanoseconds
    }
}
