// Rows at the bottom of a terminal that come and go: the status line, a table that is refreshed in place, progress.

import Glibc

/// Shows some rows below all that is written to a terminal, and takes them away before anything else is written.
///
/// The cursor rests at the beginning of the first row. So where a window gets narrower, and the terminal breaks rows
/// that are too long now, it still stands above all of them: what is erased from there on leaves nothing behind.
/// Rows must be shorter than the window is wide, and fewer than it is high.
public final class Footer {
    public private(set) var isShown = false
    /// Whether the rows were taken away since they were drawn, and are missed.
    public private(set) var isTakenAway = false

    private let outlet: Outlet
    private let waits: Bool
    private let isOurs: () -> Bool
    private var rows: [String] = []
    /// What the terminal has yet to take. Until then nothing else may be written, since it may end within a row.
    private var pending = ByteQueue()
    private var isBroken = false

    private static let eraseToEnd = "\r\u{1b}[J"

    /// - Parameters:
    ///   - outlet: leads to a terminal that can move its cursor.
    ///   - waits: whether to wait until the terminal takes it; else what it does not take is tried again.
    ///   - isOurs: whether this process may write where the cursor is. Where another has the terminal, as a shell
    ///     does that runs this one in the background, nothing is drawn, and nothing of the other's erased.
    public init(outlet: Outlet, waits: Bool = false, isOurs: (() -> Bool)? = nil) {
        self.outlet = outlet
        self.waits = waits
        let descriptor = outlet.descriptor
        self.isOurs = isOurs ?? { Self.isForeground(descriptor) }
    }

    /// No answer: it is not the terminal that controls this process, and there is no such thing as the background.
    private static func isForeground(_ descriptor: Int32) -> Bool {
        let group = tcgetpgrp(descriptor)
        return group < 0 || group == getpgrp()
    }

    /// Shows these rows in place of those before. Where the terminal is not read, nothing new is shown.
    public func draw(_ rows: [String]) {
        guard !rows.isEmpty else {
            erase()
            isTakenAway = false
            return
        }
        guard rows != self.rows || !isShown, advance() else { return }
        isTakenAway = false
        guard isOurs() else {
            isShown = false
            return
        }
        let known = isShown ? self.rows.count : 0
        self.rows = rows
        isShown = true
        put(Self.text(of: rows, known: known))
        advance()
    }

    /// Each row is written over the one before it, so that nothing flickers.
    ///
    /// The window may have become smaller without anybody having been told yet (tmux tells after a while). So rows
    /// that are too long are cut by the terminal, not broken; and where there are rows already, the cursor goes
    /// down without making the window scroll, and back to a place that was saved.
    private static func text(of rows: [String], known: Int) -> String {
        let isSaved = rows.count > 1 && rows.count <= known
        var text = "\r\u{1b}[?7l" + (isSaved ? "\u{1b}7" : "")
        for (index, row) in rows.enumerated() {
            text += row + "\u{1b}[K"
            if index < rows.count - 1 { text += isSaved ? "\r\u{1b}[1B" : "\r\n" }
        }
        text += "\u{1b}[J"
        text += isSaved ? "\u{1b}8" : (rows.count > 1 ? "\u{1b}[\(rows.count - 1)A" : "") + "\r"
        return text + "\u{1b}[?7h"
    }

    /// Takes the rows away. False: the terminal has not taken that yet, so nothing else may be written to it.
    @discardableResult
    public func erase() -> Bool {
        if isShown {
            isShown = false
            isTakenAway = true
            if isOurs() { put(Self.eraseToEnd) }
        }
        return advance()
    }

    /// The window has another size: what is drawn next has to be written, even if it is the same.
    public func resized() { rows = [] }

    private func put(_ text: String) {
        guard !isBroken else { return }
        var text = text
        text.withUTF8 { pending.append(UnsafeRawBufferPointer($0)) }
    }

    /// Whether the terminal has taken everything.
    @discardableResult
    private func advance() -> Bool {
        while !pending.isEmpty {
            switch outlet.take(pending.bytes) {
            case .took(let count): pending.removeFirst(count)
            case .wouldWait:
                guard waits else { return false }
                var ready = pollfd(fd: outlet.descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            case .failed:
                // Whoever writes data to it hears of that too.
                isBroken = true
                pending.removeAll()
            }
        }
        return true
    }
}
