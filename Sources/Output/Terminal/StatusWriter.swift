// What goes beside the data, on standard error: that tracing runs, warnings, errors, the end.

import Handshake

/// Writes lines that begin with `nattrace: `, each at once. If nobody reads them, that is no error.
public final class StatusWriter {
    /// Bytes that may wait to be read, where the writer does not. What is more is left out, and counted.
    static let backlogLimit = 64 * 1024

    /// For who waits until more of it can be written.
    public let output: OutputBuffer
    private var leftOut = 0

    /// Waits until each line is taken. The descriptor stays the caller's.
    public init(descriptor: Int32 = 2) { output = OutputBuffer(descriptor: descriptor, name: "standard error") }

    /// Never waits.
    public init(outlet: Outlet) { output = OutputBuffer(outlet: outlet, name: "standard error") }

    /// Everything is attached: `tracing` and how, then what is missing and what that costs.
    public func tracing(_ start: StartInfo) {
        var counts: [String: Int] = [:]
        for backend in start.backends.values { counts[backend, default: 0] += 1 }
        let backends = counts.sorted { $0.key < $1.key }.map { "\($0.key): \($0.value)" }.joined(separator: ", ")
        let hooks = start.backends.count
        note(
            "tracing on kernel \(start.kernel): \(hooks) \(hooks == 1 ? "hook" : "hooks")"
                + (backends.isEmpty ? "" : " (\(backends))") + ", "
                + (start.filter.isEmpty ? "no filter" : "filter \(start.filter)") + "; Ctrl-C ends")
        let waiting = start.missing.filter { $0.module != nil }
        let modules = Set(waiting.compactMap(\.module)).sorted().joined(separator: ", ")
        if !waiting.isEmpty { note("\(hooksInWords(waiting.count)) follow when loaded: \(modules)") }
        let absent = start.missing.count - waiting.count
        // What each of them costs stands in nattrace.start; here it would hide what matters.
        if absent > 0 {
            note("\(hooksInWords(absent)) cannot be observed on this kernel: steps marked ~ are concluded, not seen")
        }
    }

    private func hooksInWords(_ count: Int) -> String { count == 1 ? "1 hook" : "\(count) hooks" }

    /// `3 connections: 1 established, 2 no_listener; 57 events, none lost`
    public func summary(_ totals: Totals) {
        let verdicts = VerdictCode.allCases.compactMap { code in
            totals.verdicts[code].flatMap { $0 > 0 ? "\($0) \(code.rawValue)" : nil }
        }
        let connections = totals.verdicts.values.reduce(0) { $0 + max(0, $1) }
        note(
            (connections == 0 ? "no connection" : connections == 1 ? "1 connection" : "\(connections) connections")
                + (verdicts.isEmpty ? "" : ": " + verdicts.joined(separator: ", "))
                + "; \(totals.events) \(totals.events == 1 ? "event" : "events"), "
                + (totals.lost == 0 ? "none lost" : "\(totals.lost) LOST"))
    }

    public func warning(_ text: String) { note("warning: " + text) }

    /// Why the program ends, in one line; the exit status is the caller's.
    public func error(_ text: String) { note("error: " + text) }

    public func note(_ text: String) {
        flush()
        guard output.unwritten < Self.backlogLimit else {
            leftOut += 1
            return
        }
        line(text)
        output.flush()
    }

    /// Writes what waits, as far as it is taken, and then says what is missing in it.
    public func flush() {
        output.flush()
        guard leftOut > 0, output.unwritten == 0 else { return }
        line("\(leftOut) \(leftOut == 1 ? "line is" : "lines are") missing here: standard error was not read")
        leftOut = 0
        output.flush()
    }

    private func line(_ text: String) {
        output.put("nattrace: ")
        output.put(text: sanitized(text))
        output.endLine()
    }
}
