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
    /// The network namespace that nattrace runs in, and so does who reads what it says: its inode number; nil: not
    /// known, as in older recordings.
    public var netns: UInt32?

    public init(
        version: String, hostName: String, kernel: String, backends: [String: String], missing: [Missing],
        filter: String, time: UInt64, realtimeOffset: Int64, netns: UInt32? = nil
    ) {
        self.version = version
        self.hostName = hostName
        self.kernel = kernel
        self.backends = backends
        self.missing = missing
        self.filter = filter
        self.time = time
        self.realtimeOffset = realtimeOffset
        self.netns = netns
    }
}

/// All calls come from one thread, in order: start, then steps, verdicts and losses, then stop.
public protocol Sink: AnyObject {
    func start(_ start: StartInfo)
    func step(_ step: borrowing Step, of connection: Connection)
    func verdict(_ verdict: Verdict, of connection: Connection)
    func loss(_ loss: Loss)
    func stop(_ totals: Totals)
    /// Time has passed, up to here at least, whether or not something happened; CLOCK_MONOTONIC,
    /// nanoseconds. For sinks that have something to say after a while.
    func tick(at time: UInt64)
}

extension Sink {
    public func tick(at time: UInt64) {}
}
