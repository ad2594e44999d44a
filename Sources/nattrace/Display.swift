// What is shown, and where: the sink for stdout, the status lines on stderr, and what passes on a terminal.

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
    /// For what takes long, on stderr's terminal.
    let progress: ProgressLine
    private let output: OutputBuffer
    private let isJSON: Bool
    private let terminal: TerminalSink?
    private let summary: SummarySink?
    private let folding: FoldingSink?
    private let passing: PassingRows
    /// How many lines, or blocks, were left out.
    private let leftOut: () -> UInt64

    /// Waits for who reads, as a replay should.
    convenience init(_ request: OutputRequest) {
        let output = OutputBuffer(descriptor: STDOUT_FILENO, name: Self.name)
        let passing = PassingRows.progress()
        self.init(request, output: output, status: StatusWriter(), passing: passing, backlog: nil)
    }

    /// Waits for nobody. To be made while there is the right to open terminals and pipes again.
    convenience init(_ request: OutputRequest, backlog: Int) {
        let (out, error) = (Outlet(STDOUT_FILENO), Outlet(STDERR_FILENO))
        let output = OutputBuffer(outlet: out, name: Self.name)
        self.init(
            request, output: output, status: StatusWriter(outlet: error),
            passing: PassingRows.live(output: out, error: error, showsData: !request.json && !request.follow),
            backlog: backlog)
    }

    private static let name = "standard output"

    private init(
        _ request: OutputRequest, output: OutputBuffer, status: StatusWriter, passing: PassingRows, backlog: Int?
    ) {
        self.output = output
        self.status = status
        self.passing = passing
        let errorStyle = TerminalStyle(
            colour: TerminalDescriptor.error.wantsColour(request.color), unicode: TerminalDescriptor.isUnicode)
        progress = ProgressLine(
            footer: passing.statusFooter, style: errorStyle,
            width: { TerminalDescriptor.error.size.columns - 1 })
        passing.status = StatusLine(errorStyle)
        isJSON = request.json
        output.beforeWriting = passing.eraser(for: .output)
        status.output.beforeWriting = passing.eraser(for: .error)

        let width = Self.width ?? TerminalSink.defaultWidth
        let colour = Self.wantsColour(request.color)
        // Packets take its place, and timelines are not shown.
        guard request.pcapPath != PcapOutput.standardOutput else {
            (terminal, summary, folding, leftOut) = (nil, nil, nil, { 0 })
            sink = FanOutSink([])
            return
        }
        if request.json {
            (terminal, summary, folding) = (nil, nil, nil)
            let lines = JSONLinesSink(output: output)
            guard let backlog else {
                (sink, leftOut) = (lines, { 0 })
                return
            }
            let rationing = RationingSink(lines, output: output, limit: backlog, showsSteps: true)
            (sink, leftOut) = (rationing, { rationing.totalLeftOut })
            return
        }
        if request.summary {
            let summary = SummarySink(
                output: output, style: TerminalStyle(colour: colour, unicode: Self.isUnicode), width: width)
            (terminal, self.summary, folding) = (nil, summary, nil)
            (sink, leftOut) = (summary, { 0 })
            passing.data = { [unowned summary] in summary.rows(height: $0) }
            return
        }
        let terminal = TerminalSink(
            output: output, width: width, colour: colour, unicode: Self.isUnicode, follow: request.follow)
        (self.terminal, summary) = (terminal, nil)
        if passing.dataFooter != nil {
            terminal.holdsRepeats = true
            passing.data = { [unowned terminal] in Array(terminal.heldRows().suffix($0)) }
        }
        let blocks: any BlockSink
        if let backlog {
            let rationing = RationingSink(terminal, output: output, limit: backlog, showsSteps: request.follow)
            (blocks, leftOut) = (rationing, { rationing.totalLeftOut })
        } else {
            (blocks, leftOut) = (terminal, { 0 })
        }
        if request.blocksPerSecond == 0 {
            folding = nil
        } else {
            let limit = request.blocksPerSecond ?? (backlog == nil ? nil : FoldingSink.defaultBlocksPerSecond)
            folding = FoldingSink(blocks, blocksPerSecond: limit, follow: request.follow)
        }
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

    /// Shows how the run goes, where it can be shown: about once a second, and when it was taken away to write
    /// something else.
    func refresh(at time: UInt64, _ figures: () -> RunFigures) {
        // What waits to be written comes first.
        guard passing.isDue(at: time) || terminal?.holdsNews == true, outputs.allSatisfy({ $0.awaited == nil }) else {
            return
        }
        passing.draw(at: time, figures())
    }

    /// The end of what passes: nothing is shown any more that would have to be taken away.
    func settle() { passing.end() }

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
        if let width = Self.width {
            terminal?.width = width
            summary?.width = width
        }
        passing.resized()
    }

    /// Columns of the terminal on stdout; nil: it is none.
    static var width: Int? { TerminalDescriptor.output.columns }

    static func wantsColour(_ choice: ColorChoice) -> Bool { TerminalDescriptor.output.wantsColour(choice) }

    static var isUnicode: Bool { TerminalDescriptor.isUnicode }
}
