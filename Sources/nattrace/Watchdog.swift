// The service manager's watchdog: it ends a service that does not report for some time (sd_watchdog_enabled(3)).

import Glibc

/// Reports, twice in the time that the manager waits, that the loop turns. Only the loop's turn does so: no thread or
/// timer of its own would tell that it hangs.
struct Watchdog {
    /// Nanoseconds between two reports; nil: nobody waits for any.
    let interval: UInt64?
    private var due: UInt64 = 0

    init() {
        self.init(process: getpid()) { name in getenv(name).map { String(cString: $0) } }
    }

    /// `process`: this one; the variables may have been meant for the one that started it.
    init(process: Int32, environment: (String) -> String?) {
        let isMeant = environment("WATCHDOG_PID").map { $0 == String(process) } ?? true
        guard isMeant, let limit = environment("WATCHDOG_USEC").flatMap({ UInt64($0) }), limit > 0,
            case (let half, false) = limit.multipliedReportingOverflow(by: 500), half <= UInt64(Int64.max)
        else {
            interval = nil
            return
        }
        interval = half
    }

    /// When the next report is due; CLOCK_MONOTONIC, nanoseconds.
    var nextDeadline: UInt64? { interval == nil ? nil : due }

    /// Whether to report now. If so, the next time is half of the limit from now on.
    mutating func isDue(at now: UInt64) -> Bool {
        guard let interval, now >= due else { return false }
        due = now &+ interval
        return true
    }
}
