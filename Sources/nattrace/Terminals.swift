// What stdout and stderr are, as far as it decides how something is shown.

import CNattrace
import Glibc
import Output

/// A descriptor as a terminal.
struct TerminalDescriptor {
    let descriptor: Int32

    static let output = TerminalDescriptor(descriptor: STDOUT_FILENO)
    static let error = TerminalDescriptor(descriptor: STDERR_FILENO)

    var isTerminal: Bool { isatty(descriptor) == 1 }

    /// Whether rows that were written can be taken back.
    var canMoveCursor: Bool { isTerminal && environment("TERM").map { $0 != "dumb" } ?? false }

    /// nil: it is no terminal, or does not say.
    var columns: Int? {
        guard isTerminal else { return nil }
        let columns = nattrace_terminal_columns(descriptor)
        return columns > 0 ? Int(columns) : nil
    }

    /// Columns and rows, or what terminals had when they were made of glass.
    var size: (columns: Int, rows: Int) {
        let rows = nattrace_terminal_rows(descriptor)
        return (columns ?? TerminalSink.defaultWidth, rows > 0 ? Int(rows) : 24)
    }

    /// NO_COLOR counts when it is set and not empty (no-color.org).
    func wantsColour(_ choice: ColorChoice) -> Bool {
        switch choice {
        case .always: true
        case .never: false
        case .auto: isTerminal && environment("NO_COLOR") == nil && environment("TERM") != "dumb"
        }
    }

    /// Whether somebody else reads it and may write to the same terminal, such as a pager: a pipe or a socket.
    var isHandedOn: Bool {
        var status = stat()
        guard fstat(descriptor, &status) == 0 else { return false }
        return [S_IFIFO, S_IFSOCK].contains(status.st_mode & S_IFMT)
    }

    func isSameTerminal(as other: TerminalDescriptor) -> Bool {
        let device = nattrace_terminal_device(descriptor)
        return device != 0 && device == nattrace_terminal_device(other.descriptor)
    }

    /// Whether status and progress may be shown on stderr for a moment and be taken back: it is a terminal, and what
    /// stdout's reader makes of the data does not come in between.
    static var showsPassingRows: Bool { error.canMoveCursor && !output.isHandedOn }

    /// Whether the locale's character set is UTF-8, by the first variable of setlocale(3) that is set.
    static var isUnicode: Bool {
        guard let locale = ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap(environment).first else { return false }
        let name = locale.lowercased()
        return name.hasSuffix("utf-8") || name.hasSuffix("utf8")
    }
}

extension ProgressLine {
    /// Progress on stderr, if that is a terminal. What is written to stdout or stderr meanwhile has to wait for its
    /// end, or to take it away first, as `Display` does.
    static func onStandardError(_ color: ColorChoice = .auto) -> ProgressLine {
        let terminal = TerminalDescriptor.error
        return ProgressLine(
            footer: TerminalDescriptor.showsPassingRows ? Footer(outlet: Outlet(terminal.descriptor)) : nil,
            style: TerminalStyle(colour: terminal.wantsColour(color), unicode: TerminalDescriptor.isUnicode),
            width: { terminal.size.columns - 1 })
    }
}

/// The value of a variable that is set and not empty.
private func environment(_ name: String) -> String? {
    guard let value = getenv(name).map({ String(cString: $0) }), !value.isEmpty else { return nil }
    return value
}
