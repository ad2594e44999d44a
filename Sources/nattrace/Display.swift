// What is shown, and where: the sink for stdout, and the status lines on stderr.

import CNattrace
import Glibc
import Handshake
import Output

/// stdout carries data only, stderr everything that is said about it.
///
/// In a live run neither is waited for: what is not read waits here, within a bound, and what has no
/// room is left out and counted.
final class Display {
    /// Bytes of a live run's output that may wait for who reads it, where nothing else was said.
    static let defaultBacklog = 8 * 1024 * 1024

    let sink: any Sink
    let status: StatusWriter
    private let output: OutputBuffer
    private let isJSON: Bool
    private let terminal: TerminalSink?
    private let folding: FoldingSink?
    /// How many lines, or blocks, were left out.
    private let leftOut: () -> UInt64

    /// Waits for who reads, as a replay should.
    convenience init(_ request: OutputRequest) {
        let output = OutputBuffer(descriptor: STDOUT_FILENO, name: Self.name)
        self.init(request, output: output, status: StatusWriter(), backlog: nil)
    }

    /// Waits for nobody. To be made while there is the right to open terminals and pipes again.
    convenience init(_ request: OutputRequest, backlog: Int) {
        let output = OutputBuffer(outlet: Outlet(STDOUT_FILENO), name: Self.name)
        self.init(request, output: output, status: StatusWriter(outlet: Outlet(STDERR_FILENO)), backlog: backlog)
    }

    private static let name = "standard output"

    private init(_ request: OutputRequest, output: OutputBuffer, status: StatusWriter, backlog: Int?) {
        self.output = output
        self.status = status
        isJSON = request.json
        // Packets take its place, and timelines are not shown.
        guard request.pcapPath != PcapOutput.standardOutput else {
            (terminal, folding, leftOut) = (nil, nil, { 0 })
            sink = FanOutSink([])
            return
        }
        guard !request.json else {
            (terminal, folding) = (nil, nil)
            let lines = JSONLinesSink(output: output)
            guard let backlog else {
                (sink, leftOut) = (lines, { 0 })
                return
            }
            let rationing = RationingSink(lines, output: output, limit: backlog, showsSteps: true)
            (sink, leftOut) = (rationing, { rationing.totalLeftOut })
            return
        }
        let terminal = TerminalSink(
            output: output, width: Self.width ?? TerminalSink.defaultWidth, colour: Self.wantsColour(request.color),
            unicode: Self.isUnicode, follow: request.follow)
        self.terminal = terminal
        let blocks: any BlockSink
        if let backlog {
            let rationing = RationingSink(terminal, output: output, limit: backlog, showsSteps: request.follow)
            (blocks, leftOut) = (rationing, { rationing.totalLeftOut })
        } else {
            (blocks, leftOut) = (terminal, { 0 })
        }
        let limit = request.blocksPerSecond ?? (backlog == nil ? 0 : FoldingSink.defaultBlocksPerSecond)
        folding = limit > 0 ? FoldingSink(blocks, blocksPerSecond: limit, follow: request.follow) : nil
        sink = folding ?? blocks
    }

    /// Writes what was told so far, in one piece; in a live run as much of it as is taken.
    @discardableResult
    func flush() -> OutputBuffer.State {
        status.flush()
        return output.flush()
    }

    /// What is told is written whenever it fills a batch; this is how that went.
    var state: OutputBuffer.State { output.state }

    /// Both outputs, for who waits until more can be written.
    var outputs: [OutputBuffer] { [output, status.output] }

    /// When the sink wants its `tick`; CLOCK_MONOTONIC, nanoseconds. nil: never, as it looks.
    var nextDeadline: UInt64? { folding?.nextDeadline }

    /// At the end: what was left out, and whether the rest of it was never read, which is an error.
    func undelivered() -> Failure? {
        let missing = leftOut()
        let unread = UInt64(output.unwrittenLines)
        func number(_ count: UInt64, _ one: String, _ many: String) -> String { "\(count) \(count == 1 ? one : many)" }
        let unit = isJSON ? ("line", "lines") : ("part", "parts")
        if output.awaited != nil {
            let lines = isJSON ? missing + unread : unread
            var what = number(lines, "line", "lines")
            if !isJSON, missing > 0 { what = number(missing, unit.0, unit.1) + " and the last " + what }
            return Failure(.cannotWrite, "\(Self.name) was not read: \(what) of it left out")
        }
        if missing > 0, output.state == .open {
            status.warning(
                "\(number(missing, unit.0, unit.1)) of \(Self.name) left out, because it was not read in time")
        }
        return nil
    }

    /// The terminal's window has another size now.
    func resized() {
        if let width = Self.width { terminal?.width = width }
    }

    /// Columns of the terminal on stdout; nil: it is none.
    static var width: Int? {
        guard isatty(STDOUT_FILENO) == 1 else { return nil }
        let columns = nattrace_terminal_columns(STDOUT_FILENO)
        return columns > 0 ? Int(columns) : nil
    }

    /// NO_COLOR counts when it is set and not empty (no-color.org).
    static func wantsColour(_ choice: ColorChoice) -> Bool {
        switch choice {
        case .always: true
        case .never: false
        case .auto: isatty(STDOUT_FILENO) == 1 && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
        }
    }

    /// Whether the locale's character set is UTF-8, by the first variable of setlocale(3) that is set.
    static var isUnicode: Bool {
        guard let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first else { return false }
        let name = locale.lowercased()
        return name.hasSuffix("utf-8") || name.hasSuffix("utf8")
    }

    private static func environment(_ name: String) -> String? {
        guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
        return value
    }
}
