// What the command line asks for, as plain values.

import Handshake
import KernelTracer

enum ColorChoice: String, Sendable, CaseIterable {
    /// On a terminal, unless NO_COLOR is set.
    case auto
    case always, never
}

/// How and for how long to show.
struct OutputRequest: Hashable, Sendable {
    /// JSON lines instead of text for people.
    var json = false
    /// A recording to write beside whatever else is shown.
    var recordPath: String?
    /// A pcapng file to write beside whatever else is shown; `-`: standard output, and nothing else is shown.
    var pcapPath: String?
    var color = ColorChoice.auto
    /// Each step as it happens, and not only with the verdict.
    var follow = false
    /// A table of verdicts in place of connections.
    var summary = false
    /// Blocks of text to show in a second, 0: all, and repeated failures in full; nil: the default, which is no limit
    /// in a replay.
    var blocksPerSecond: Int?
    /// Stop after so many verdicts; nil: no limit.
    var count: Int?
    /// Stop after so many nanoseconds, in a replay of the recording's time; nil: no limit.
    var duration: UInt64?
    /// Nanoseconds that a handshake may stay without an answer; nil: as the recording had it, or
    /// the default.
    var unansweredAfter: UInt64?
}

/// `nattrace trace`
struct TraceRequest: Hashable, Sendable {
    var filter = ConnectionFilter()
    /// The filters as on the command line, e.g. `--dport 80`; empty: none.
    var filterText = ""
    var selection = VerdictSelection()
    var output = OutputRequest()
    var backend = BackendChoice.auto
    /// Where scrapes are answered; nil: nowhere.
    var metrics: Endpoint?
    var limits = TracerLimits.standard
    /// Bytes of output that may wait for who reads it.
    var outputBacklog = Display.defaultBacklog
}

/// `nattrace replay`
struct ReplayRequest: Hashable, Sendable {
    /// The recording.
    var path: String
    var filter = ConnectionFilter()
    /// The filters as on the command line, e.g. `--dport 80`; empty: none.
    var filterText = ""
    var selection = VerdictSelection()
    var output = OutputRequest()
}

/// `nattrace report`
struct ReportRequest: Hashable, Sendable {
    /// The recording.
    var path: String
    var filter = ConnectionFilter()
    /// The filters as on the command line, e.g. `--dport 80`; empty: none.
    var filterText = ""
    var selection = VerdictSelection()
    /// The page; nil: standard output.
    var output: String?
}
