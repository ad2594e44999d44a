// What is shown on terminals for a moment: the status line, the table of --summary, repeated failures.

import Output

/// Which rows stand at the bottom of which terminal, and when they are drawn anew.
///
/// The status line belongs to stderr's terminal, the rest to stdout's. Mostly both are one, and then so is the footer.
final class PassingRows {
    /// What has room in so many rows of stdout's terminal.
    var data: ((_ height: Int) -> [String])?
    var status: StatusLine?

    let dataFooter: Footer?
    let statusFooter: Footer?
    private let isOneTerminal: Bool
    private var lastDrawn: UInt64 = 0
    private var hasEnded = false

    /// Nanoseconds after which it is drawn anew. A bit less than a second: the loop has something to do each second,
    /// and a moment more or less must not leave out every other one.
    private static let interval: UInt64 = 900_000_000

    private init(dataFooter: Footer?, statusFooter: Footer?, isOneTerminal: Bool) {
        self.dataFooter = dataFooter
        self.statusFooter = statusFooter
        self.isOneTerminal = isOneTerminal
    }

    /// For a live run.
    /// - Parameter showsData: whether rows may stand for data that is not written yet.
    static func live(output: Outlet, error: Outlet, showsData: Bool) -> PassingRows {
        let isOne = TerminalDescriptor.output.isSameTerminal(as: .error)
        let statusFooter = TerminalDescriptor.showsPassingRows ? Footer(outlet: error) : nil
        guard showsData, TerminalDescriptor.output.canMoveCursor else {
            return PassingRows(dataFooter: nil, statusFooter: statusFooter, isOneTerminal: isOne)
        }
        return PassingRows(
            dataFooter: isOne ? statusFooter ?? Footer(outlet: output) : Footer(outlet: output),
            statusFooter: statusFooter, isOneTerminal: isOne)
    }

    /// For a replay: nothing but its progress.
    static func progress() -> PassingRows {
        let terminal = TerminalDescriptor.error
        return PassingRows(
            dataFooter: nil,
            statusFooter: TerminalDescriptor.showsPassingRows
                ? Footer(outlet: Outlet(terminal.descriptor), waits: true) : nil,
            isOneTerminal: TerminalDescriptor.output.isSameTerminal(as: terminal))
    }

    /// Takes away what stands on the terminal of this descriptor; nil: nothing ever does.
    func eraser(for terminal: TerminalDescriptor) -> (() -> Bool)? {
        let isOutput = terminal.descriptor == TerminalDescriptor.output.descriptor
        let footers = [
            isOutput || isOneTerminal ? dataFooter : nil, !isOutput || isOneTerminal ? statusFooter : nil,
        ].compactMap(\.self)
        guard !footers.isEmpty else { return nil }
        return { footers.reduce(true) { $1.erase() && $0 } }
    }

    func isDue(at time: UInt64) -> Bool {
        guard !hasEnded, dataFooter != nil || statusFooter != nil else { return false }
        return time >= lastDrawn &+ Self.interval || dataFooter?.isTakenAway == true
            || statusFooter?.isTakenAway == true
    }

    func draw(at time: UInt64, _ figures: RunFigures) {
        lastDrawn = time
        let isShared = dataFooter != nil && dataFooter === statusFooter
        var rows: [String] = []
        if let dataFooter {
            let size = TerminalDescriptor.output.size
            // One row of what was before stays in sight.
            let height = max(1, size.rows - 1 - (isShared ? 1 : 0))
            rows = (data?(height) ?? []).prefix(height).map { clippedRow($0, to: size.columns - 1) }
            if !isShared { dataFooter.draw(rows) }
        }
        if let statusFooter, let row = status?.row(figures, width: TerminalDescriptor.error.size.columns - 1) {
            statusFooter.draw((isShared ? rows : []) + (row.isEmpty ? [] : [row]))
        }
    }

    func resized() {
        lastDrawn = 0
        dataFooter?.resized()
        statusFooter?.resized()
    }

    func end() {
        hasEnded = true
        dataFooter?.erase()
        statusFooter?.erase()
    }
}
