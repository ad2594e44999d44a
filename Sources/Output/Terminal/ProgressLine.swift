// What takes long says how far it is, in a row that is gone when it is done.

import SystemSupport

/// Shows a text and how much of the work is done, on a terminal. Without a footer it does nothing, so that who works
/// need not ask whether there is a terminal.
///
///     let progress = ProgressLine(footer: footer, style: style, width: { 79 })
///     progress.update("reading x.ntrace", fraction: 0.42)   // nattrace: reading x.ntrace  42 %  [########            ]
///     progress.end()
///
/// What is done within a second is not worth a word: until then nothing is shown, unless it is asked for at once.
public final class ProgressLine {
    private let footer: Footer?
    private let style: TerminalStyle
    private let width: () -> Int
    private let now: () -> UInt64
    private let begin: UInt64
    private var lastDrawn: UInt64 = 0

    /// Nanoseconds until something is shown, and between two changes of it.
    private static let patience: UInt64 = 1_000_000_000
    private static let interval: UInt64 = 100_000_000
    private static let barColumns = 20

    /// - Parameters:
    ///   - footer: nil where there is no terminal to show it on.
    ///   - width: columns of a row at most, asked each time.
    public init(
        footer: Footer?, style: TerminalStyle, width: @escaping () -> Int,
        now: @escaping () -> UInt64 = { monotonicTime() }
    ) {
        self.footer = footer
        self.style = style
        self.width = width
        self.now = now
        begin = footer == nil ? 0 : now()
    }

    /// Whether anything can be shown at all, for who would have to count first.
    public var isActive: Bool { footer != nil }

    /// - Parameters:
    ///   - fraction: from 0 to 1; nil: not known.
    ///   - atOnce: even if it has not taken long yet. For what cannot say later that it does.
    public func update(_ text: String, fraction: Double? = nil, atOnce: Bool = false) {
        guard let footer else { return }
        let time = now()
        guard atOnce || time >= begin &+ Self.patience && time >= lastDrawn &+ Self.interval else { return }
        lastDrawn = time
        footer.draw([row(text, fraction)])
    }

    /// Done: the row is gone.
    public func end() { footer?.erase() }

    private func row(_ text: String, _ fraction: Double?) -> String {
        let width = width()
        let text = "nattrace: " + style.outside(text)
        guard let fraction, fraction.isFinite else { return clipped(text, to: width, ellipsis: style.ellipsis) }
        let done = min(max(fraction, 0), 1)
        let percent = "  " + padded("\(Int(done * 100))", to: 3, left: true) + " %"
        let full = Int(done * Double(Self.barColumns))
        let bar =
            "  [" + String(repeating: "#", count: full) + String(repeating: " ", count: Self.barColumns - full) + "]"
        let room = width - columns(percent)
        let shown = clipped(text, to: room, ellipsis: style.ellipsis) + percent
        return columns(shown) + columns(bar) <= width ? shown + bar : shown
    }
}
