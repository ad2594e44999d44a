// --summary: no timelines, but how many ended how.

import Handshake

/// Counts verdicts, and writes them as a table when the run ends. Meanwhile `rows` is what a terminal can show.
public final class SummarySink: Sink {
    /// Columns of the terminal; to be set again when it changes.
    public var width: Int
    private let output: OutputBuffer
    private let style: TerminalStyle
    private var clock = Clock(realtimeOffset: 0)
    private var table = SummaryTable()
    private var losses: [(reason: String, events: UInt64)] = []

    /// Reasons told apart; what comes under more of them is added to the last.
    private static let maximumReasons = 8

    /// - Parameter width: columns, `TerminalSink.defaultWidth` where standard output is no terminal.
    public init(output: OutputBuffer, style: TerminalStyle, width: Int) {
        self.output = output
        self.style = style
        self.width = width
    }

    public func start(_ start: StartInfo) { clock = Clock(realtimeOffset: start.realtimeOffset) }

    public func step(_ step: borrowing Step, of connection: Connection) {}

    public func verdict(_ verdict: Verdict, of connection: Connection) { table.take(verdict, of: connection) }

    /// A connection whose ends are others than that of the verdict's.
    func take(_ verdict: Verdict, dialled: Tuple, translated: Tuple) {
        table.take(verdict, dialled: dialled, translated: translated)
    }

    public func loss(_ loss: Loss) {
        if let place = losses.firstIndex(where: { $0.reason == loss.reason }) {
            losses[place].events += loss.events
        } else if losses.count < Self.maximumReasons {
            losses.append((loss.reason, loss.events))
        } else {
            losses[losses.count - 1].events += loss.events
        }
    }

    /// The table as it is at the end, with all its rows. Without a connection there is nothing to say.
    public func stop(_ totals: Totals) {
        guard !table.isEmpty || !losses.isEmpty else { return }
        for line in text.lines(width: max(width, TerminalSink.narrowest)) {
            output.put(text: line)
            output.endLine()
        }
    }

    /// The table as it is now, in at most so many rows, each shorter than the terminal is wide.
    public func rows(height: Int) -> [String] { text.lines(width: width - 1, height: height) }

    private var text: SummaryText { SummaryText(table: table, style: style, clock: clock, losses: losses) }
}
