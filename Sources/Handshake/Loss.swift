// What was lost, and the numbers of a run: said by whoever counts, passed on by the core to the sinks.

/// What a loss means for what is told from then on.
public enum LossScope: String, Sendable, Codable {
    /// Something that happened to handshakes which are followed was not seen: its absence proves nothing.
    case observations
    /// Handshakes were not followed at all; those that are were seen in full.
    case handshakes
    /// It was seen and explained, but not told.
    case output
}

/// Something was lost. Counted where it happened, reported whenever the count grows.
public struct Loss: Sendable, Hashable, Codable {
    /// What was lost and why, for a person and for alerts: `ring buffer full`.
    public var reason: String
    public var scope: LossScope
    /// How many since the last report of this reason, and since the start.
    public var events: UInt64
    public var total: UInt64
    /// CLOCK_MONOTONIC, nanoseconds: the end and the beginning of the time in which it happened.
    public var time: UInt64
    public var since: UInt64
    /// Up to when verdicts had been given by then, which is earlier where there is much to do: what follows is judged
    /// by it, live as in a replay. nil: all of that time.
    public var passed: UInt64?

    public init(
        reason: String, scope: LossScope, events: UInt64, total: UInt64, time: UInt64, since: UInt64,
        passed: UInt64? = nil
    ) {
        self.reason = reason
        self.scope = scope
        self.events = events
        self.total = total
        self.time = time
        self.since = since
        self.passed = passed
    }

    private enum CodingKeys: String, CodingKey { case reason, scope, events, total, time, since, passed }

    /// Recordings of versions that had no scopes count as the one that proves least.
    public init(from decoder: any Decoder) throws {
        let values = try decoder.container(keyedBy: CodingKeys.self)
        self.init(
            reason: try values.decode(String.self, forKey: .reason),
            scope: try values.decodeIfPresent(LossScope.self, forKey: .scope) ?? .observations,
            events: try values.decode(UInt64.self, forKey: .events),
            total: try values.decode(UInt64.self, forKey: .total),
            time: try values.decode(UInt64.self, forKey: .time),
            since: try values.decode(UInt64.self, forKey: .since),
            passed: try values.decodeIfPresent(UInt64.self, forKey: .passed))
    }
}

/// A cause of loss and how often it struck since tracing began.
public struct LossCount: Sendable, Equatable {
    /// For a person and for alerts, always spelled the same: `ring buffer full`.
    public var reason: String
    public var scope: LossScope
    public var total: UInt64

    public init(reason: String, scope: LossScope, total: UInt64) {
        self.reason = reason
        self.scope = scope
        self.total = total
    }
}

/// What the kernel side says of its observations, once it makes no more of them: those that were delivered and
/// those that were lost are as many as it made.
public struct ObservationCount: Sendable, Hashable, Codable {
    public var made: UInt64
    public var lost: UInt64

    public init(made: UInt64, lost: UInt64) {
        self.made = made
        self.lost = lost
    }

    /// As many more were delivered, but could not be read.
    public func losing(_ more: UInt64) -> ObservationCount { ObservationCount(made: made, lost: lost + more) }
}

/// The run in numbers, said once at its end.
public struct Totals: Sendable, Hashable {
    /// Last verdict of each connection.
    public var verdicts: [VerdictCode: Int] = [:]
    /// Observations that crossed the ring buffer.
    public var events: UInt64 = 0
    public var lost: UInt64 = 0
    /// nil: not known, because the run ended before all of them were taken.
    public var observations: ObservationCount?
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64 = 0

    public init() {}

    /// A connection's verdict was revised.
    mutating func retract(_ code: VerdictCode) {
        guard let count = verdicts[code] else { return }
        verdicts[code] = count > 1 ? count - 1 : nil
    }
}
