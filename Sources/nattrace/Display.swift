// What is shown, and where: the sink for stdout, and the status lines on stderr.

import CNattrace
import Glibc
import Handshake
import Output

/// stdout carries data only, stderr everything that is said about it.
final class Display {
    let sink: any Sink
    let status = StatusWriter()
    private let output = OutputBuffer(descriptor: STDOUT_FILENO, name: "standard output")
    private let terminal: TerminalSink?

    init(_ request: OutputRequest) {
        if request.json {
            terminal = nil
            sink = JSONLinesSink(output: output)
            return
        }
        let terminal = TerminalSink(
            output: output, width: Self.width ?? TerminalSink.defaultWidth, colour: Self.wantsColour(request.color),
            unicode: Self.isUnicode, follow: request.follow)
        self.terminal = terminal
        sink = terminal
    }

    /// Writes what was told so far, in one piece.
    @discardableResult
    func flush() -> OutputBuffer.State { output.flush() }

    /// What is told is written whenever it fills a batch; this is how that went.
    var state: OutputBuffer.State { output.state }

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
