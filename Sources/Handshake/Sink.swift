// Where explanations go: terminal, JSON lines and whatever else shows or ships them.

/// How this run observes, said once at its start.
public struct StartInfo: Sendable, Codable, Hashable {
    public struct Missing: Sendable, Codable, Hashable {
        public var hook: String
        /// What cannot be known without it, for a person.
        public var loss: String
        /// The kernel module with whose loading it will be observed; nil: it will not be.
        public var module: String?

        public init(hook: String, loss: String, module: String? = nil) {
            self.hook = hook
            self.loss = loss
            self.module = module
        }
    }

    public var version: String
    public var hostName: String
    /// Kernel release, as `uname -r` says.
    public var kernel: String
    /// Hook to backend, both by name.
    public var backends: [String: String]
    public var missing: [Missing]
    /// The filter as given on the command line, e.g. `--dport 80`; empty: none.
    public var filter: String
    /// CLOCK_MONOTONIC at the start, nanoseconds.
    public var time: UInt64
    /// CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds: turns times into dates.
    public var realtimeOffset: Int64

    public init(
        version: String, hostName: String, kernel: String, backends: [String: String], missing: [Missing],
        filter: String, time: UInt64, realtimeOffset: Int64
    ) {
        self.version = version
        self.hostName = hostName
        self.kernel = kernel
        self.backends = backends
        self.missing = missing
        self.filter = filter
        self.time = time
        self.realtimeOffset = realtimeOffset
    }
}

/// Something was lost. Counted where it happened, reported whenever the count grows.
public struct Loss: Sendable, Hashable, Codable {
    /// What was lost and why, for a person and for alerts: `ring buffer full`.
    public var reason: String
    /// How many since the last report of this reason, and since the start.
    public var events: UInt64
    public var total: UInt64
    /// CLOCK_MONOTONIC, nanoseconds: the end and the beginning of the time in which it happened.
    public var time: UInt64
    public var since: UInt64

    public init(reason: String, events: UInt64, total: UInt64, time: UInt64, since: UInt64) {
        self.reason = reason
        self.events = events
        self.total = total
        self.time = time
        self.since = since
    }
}

/// The run in numbers, said once at its end.
public struct Totals: Sendable, Hashable {
    /// Last verdict of each connection.
    public var verdicts: [VerdictCode: Int] = [:]
    /// Observations that crossed the ring buffer.
    public var events: UInt64 = 0
    public var lost: UInt64 = 0
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64 = 0

    public init() {}

    /// A connection's verdict was revised.
    mutating func retract(_ code: VerdictCode) {
        guard let count = verdicts[code] else { return }
        verdicts[code] = count > 1 ? count - 1 : nil
    }
}

/// All calls come from one thread, in order: start, then steps, verdicts and losses, then stop.
public protocol Sink: AnyObject {
    func start(_ start: StartInfo)
    func step(_ step: borrowing Step, of connection: Connection)
    func verdict(_ verdict: Verdict, of connection: Connection)
    func loss(_ loss: Loss)
    func stop(_ totals: Totals)
}
