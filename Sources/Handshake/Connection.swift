// One handshake attempt as the client dialled it, with everything that happened to it.

/// A TCP handshake attempt, followed through every rewrite, namespace and direction.
public final class Connection {
    /// The same on all lines of a connection; unlikely to be met again, also in another run.
    public let id: UInt64
    /// The client's initial sequence number.
    public let isn: UInt32
    /// As the client dialled it.
    public let dialled: Tuple
    /// CLOCK_MONOTONIC of the first step, nanoseconds.
    public let startTime: UInt64
    /// As the packets really run after all translations seen so far; nil: not translated.
    public internal(set) var translated: Tuple?
    /// Devices by which the first SYN came in first, and left last.
    public internal(set) var ingressInterface: String?
    public internal(set) var egressInterface: String?
    public internal(set) var steps: [Step] = []
    /// Steps that happened but were not kept, because `maximumSteps` were there already.
    public internal(set) var omittedSteps = 0
    public internal(set) var verdict: Verdict?

    init(id: UInt64, isn: UInt32, dialled: Tuple, startTime: UInt64) {
        self.id = id
        self.isn = isn
        self.dialled = dialled
        self.startTime = startTime
    }
}
