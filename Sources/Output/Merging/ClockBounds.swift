// How far two clocks are apart, from what was sent and what arrived: as NTP does it (RFC 5905, section 8 and 11.2).

/// How far one clock can be ahead of another, nanoseconds. No packet arrives before it was sent: one that went there
/// says how far at most, one that came back how far at least. An end that is not known is the type's own end.
struct ClockBounds: Hashable, Sendable {
    var lower = Int64.min
    var upper = Int64.max

    var hasBothEnds: Bool { lower != .min && upper != .max }

    func clamped(_ ahead: Int64) -> Int64 { min(max(ahead, lower), upper) }

    /// The same against a clock that is so much behind the other one.
    func shifted(by ahead: Int64) -> ClockBounds {
        ClockBounds(lower: lower == .min ? .min : lower &+ ahead, upper: upper == .max ? .max : upper &+ ahead)
    }

    /// What both allow; where that is nothing, this one.
    func narrowed(by other: ClockBounds) -> ClockBounds {
        let both = ClockBounds(lower: max(lower, other.lower), upper: min(upper, other.upper))
        return both.lower <= both.upper ? both : self
    }

    /// How far the other one can be ahead of this one.
    var reversed: ClockBounds {
        ClockBounds(lower: upper == .max ? .min : 0 &- upper, upper: lower == .min ? .max : 0 &- lower)
    }
}

/// What many handshakes together say of two clocks.
struct ClockEstimate: Hashable, Sendable {
    /// What most of them agree on.
    var bounds: ClockBounds
    /// How many handshakes were used, and how many of them say otherwise: a clock ran off meanwhile.
    var handshakes: Int
    var contradicting: Int
    /// The furthest that any of them is away from the middle, nanoseconds; nil: one end is not known.
    let within: Int64?

    /// The middle, with which the error is smallest at worst; nil: one end is not known.
    var ahead: Int64? { bounds.hasBothEnds ? bounds.lower + (bounds.upper - bounds.lower) / 2 : nil }

    /// nil: no handshake says anything.
    init?(_ samples: [ClockBounds]) {
        guard let most = Self.agreement(samples) else { return nil }
        bounds = most.bounds
        handshakes = samples.count
        contradicting = samples.count - most.count
        guard bounds.hasBothEnds else {
            within = nil
            return
        }
        let middle = bounds.lower + (bounds.upper - bounds.lower) / 2
        within = samples.reduce(bounds.upper - middle) { furthest, sample in
            max(
                furthest, sample.lower == .min ? 0 : sample.lower - middle,
                sample.upper == .max ? 0 : middle - sample.upper)
        }
    }

    /// Where the most samples overlap, and how many do (Marzullo's algorithm). Of several such places the narrowest.
    private static func agreement(_ samples: [ClockBounds]) -> (bounds: ClockBounds, count: Int)? {
        guard !samples.isEmpty else { return nil }
        let lowers = samples.map(\.lower).sorted()
        let uppers = samples.map(\.upper).sorted()
        var best: (bounds: ClockBounds, count: Int)?
        func width(_ bounds: ClockBounds) -> UInt64 {
            bounds.hasBothEnds ? UInt64(bitPattern: bounds.upper &- bounds.lower) : .max
        }
        var ended = 0
        for (index, lower) in lowers.enumerated() {
            while ended < uppers.count, uppers[ended] < lower { ended += 1 }
            // One that begins at the same place is counted with the last of them.
            if index + 1 < lowers.count, lowers[index + 1] == lower { continue }
            let found = ClockBounds(lower: lower, upper: ended < uppers.count ? uppers[ended] : .max)
            let count = index + 1 - ended
            guard let known = best, count < known.count || count == known.count && width(found) >= width(known.bounds)
            else {
                best = (found, count)
                continue
            }
        }
        return best
    }
}
