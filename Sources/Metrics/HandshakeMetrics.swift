// The counters behind `--metrics`: written by the thread that traces, read by the one that answers scrapes.

import Handshake
import Synchronization

/// What is counted of a run. A lock that is held for some nanoseconds is all that the two threads share: who reads gets
/// a copy, and takes its time over it elsewhere.
public final class HandshakeMetrics: Meter, Sendable {
    private let state: Mutex<MetricsState>

    public init(_ facts: RunFacts) { state = Mutex(MetricsState(facts: facts)) }

    public func step(_ step: borrowing Step) {
        guard let counted = CountedStep(step) else { return }
        state.withLock { $0.steps[counted, default: 0] += 1 }
    }

    public func verdict(_ verdict: borrowing Verdict, of connection: Connection) {
        let (code, duration, isRevised) = (verdict.code, verdict.duration, verdict.isRevised)
        let destination = (connection.translated ?? connection.dialled).destination
        state.withLock { state in
            guard !isRevised else {
                state.revised[code, default: 0] += 1
                return
            }
            state.verdicts[code, default: 0] += 1
            state.destinations.count(code, at: destination)
            if code == .established { state.durations.add(nanoseconds: duration) }
        }
    }

    /// What the loop knows that no connection tells; to be called now and then.
    public func publish(_ status: RunStatus) { state.withLock { $0.status = status } }

    /// As of now.
    public var snapshot: MetricsState { state.withLock { $0 } }
}

/// Facts of the run that do not change.
public struct RunFacts: Sendable {
    public var version: String
    /// As `uname -r` says.
    public var kernel: String
    /// CLOCK_REALTIME at the start, nanoseconds.
    public var startTime: UInt64

    public init(version: String, kernel: String, startTime: UInt64) {
        self.version = version
        self.kernel = kernel
        self.startTime = startTime
    }
}

/// How the run stands.
public struct RunStatus: Sendable {
    /// Handshakes without a verdict.
    public var inFlight = 0
    /// Observations that the kernel side made.
    public var observations: UInt64 = 0
    /// Every cause, those that never struck included.
    public var losses: [LossCount] = []
    /// Attached hooks, by backend.
    public var hooks: [String: Int] = [:]

    public init() {}
}

/// All counters at one moment.
public struct MetricsState: Sendable {
    let facts: RunFacts
    var steps: [CountedStep: UInt64] = [:]
    var verdicts: [VerdictCode: UInt64] = [:]
    var revised: [VerdictCode: UInt64] = [:]
    var destinations = DestinationCounts()
    var durations = DurationHistogram()
    var status = RunStatus()

    init(facts: RunFacts) { self.facts = facts }
}

/// Steps that are counted by themselves.
enum CountedStep: Hashable, Sendable, CaseIterable {
    case synIn, synOut, synackIn, synackOut, rstIn, rstOut
    case resetMade, dropped, retransmitted

    init?(_ step: borrowing Step) {
        switch (step.action, step.stage) {
        case (.syn, .ingress): self = .synIn
        case (.syn, .egress): self = .synOut
        case (.synack, .ingress): self = .synackIn
        case (.synack, .egress): self = .synackOut
        case (.rst, .ingress): self = .rstIn
        case (.rst, .egress): self = .rstOut
        case (.reset, _): self = .resetMade
        case (.drop, _): self = .dropped
        case (.retransmit, _): self = .retransmitted
        default: return nil
        }
    }
}
