// The clocks of all recordings that are merged, each against that of the first one.

/// What is known of a recording's clock.
struct RecordingClock: Hashable, Sendable {
    /// The recording to whose clock it is compared: the first of those that handshakes tie it to.
    var reference: Int
    /// How far it is ahead of that, nanoseconds, and how wrong this can be.
    var ahead: Int64 = 0
    var within: Int64 = 0
    /// On how many handshakes that stands, and how many contradict it; 0: it is the reference.
    var handshakes = 0
    var contradicting = 0
    /// Where it is tied to no recording before it: how far it is ahead of the first one at most and at least.
    var bounds = ClockBounds()

    /// How far it is ahead of the first one's; nil: not known.
    var aheadOfFirst: Int64? { reference == 0 ? ahead : nil }
}

/// Each recording's clock. Recordings without a common answered handshake are not compared, unless others lead from
/// one to the other.
struct RecordingClocks {
    private(set) var clocks: [RecordingClock]

    /// Two recordings, the one with the lower number first; the estimate says how far the other one is ahead.
    struct Pair: Hashable {
        var a: Int
        var b: Int
    }

    init(count: Int, samples: [Pair: [ClockBounds]]) {
        let estimates = samples.compactMapValues(ClockEstimate.init)
        /// How far `to` is ahead of `from`.
        func estimate(_ from: Int, _ to: Int) -> ClockEstimate? {
            from < to ? estimates[Pair(a: from, b: to)] : estimates[Pair(a: to, b: from)]
        }
        var found = [RecordingClock?](repeating: nil, count: count)
        for reference in 0..<count where found[reference] == nil {
            found[reference] = RecordingClock(reference: reference)
            // The surest way first, over others where that is surer (Dijkstra): the errors add up.
            var isDone = [Bool](repeating: false, count: count)
            while let next = (0..<count).filter({ !isDone[$0] && found[$0]?.reference == reference })
                .min(by: { found[$0]!.within < found[$1]!.within }), let from = found[next]
            {
                isDone[next] = true
                for to in 0..<count where to != next && !isDone[to] {
                    guard let between = estimate(next, to), let ahead = between.ahead, let within = between.within,
                        found[to].map({ $0.reference == reference && from.within + within < $0.within }) ?? true
                    else { continue }
                    found[to] = RecordingClock(
                        reference: reference, ahead: from.ahead + (next < to ? ahead : -ahead),
                        within: from.within + within, handshakes: between.handshakes,
                        contradicting: between.contradicting)
                }
            }
        }
        clocks = found.map { $0! }
        for index in clocks.indices where clocks[index].reference == index && index > 0 {
            for other in clocks.indices {
                guard clocks[other].reference == 0, let between = estimate(other, index) else { continue }
                let way = other < index ? between.bounds : between.bounds.reversed
                let (ahead, within) = (clocks[other].ahead, clocks[other].within)
                if way.upper != .max {
                    clocks[index].bounds.upper = min(clocks[index].bounds.upper, way.upper + ahead + within)
                }
                if way.lower != .min {
                    clocks[index].bounds.lower = max(clocks[index].bounds.lower, way.lower + ahead - within)
                }
            }
        }
    }
}
