// Text on a terminal: how wide it is, where it breaks, how it is coloured.

import Handshake

/// Joins words that must not be torn apart, e.g. an arrow and what it points to; shown as a
/// space. Text from outside cannot hold it: `sanitized` makes it a space.
let gluedSpace = "\u{a0}"

/// Columns that sanitized text takes.
///
/// Arrows, punctuation and box drawing take one; beyond that, anything from Hangul on counts as
/// wide and combining marks as one. So a text may take fewer columns than it is given, not more.
func columns(_ text: String) -> Int {
    if text.utf8.allSatisfy({ $0 < 0x80 }) { return text.utf8.count }
    return text.unicodeScalars.reduce(0) { $0 + columns($1) }
}

private func columns(_ scalar: Unicode.Scalar) -> Int {
    switch scalar.value {
    case ..<0x1100, 0x1e00..<0x231a, 0x2500..<0x25fd, 0x2713...0x2717: 1
    default: 2
    }
}

/// Breaks text at its spaces into lines of at most `width` columns; a word that is longer is
/// broken where it must be. At least one line.
func wrapped(_ text: String, width: Int) -> [String] {
    let width = max(width, 8)
    var lines: [String] = []
    var line = ""
    var used = 0
    for word in text.split(separator: " ") {
        let word = String(word)
        let needed = columns(word)
        if used > 0, used + 1 + needed <= width {
            line += " " + word
            used += 1 + needed
            continue
        }
        if used > 0 { lines.append(line) }
        line = ""
        used = 0
        if needed <= width {
            line = word
            used = needed
            continue
        }
        for scalar in word.unicodeScalars {
            let more = columns(scalar)
            if used + more > width {
                lines.append(line)
                line = ""
                used = 0
            }
            line.unicodeScalars.append(scalar)
            used += more
        }
    }
    if used > 0 || lines.isEmpty { lines.append(line) }
    return lines.map { $0.split(separator: gluedSpace, omittingEmptySubsequences: false).joined(separator: " ") }
}

/// Filled up with spaces on the right, or on the left.
func padded(_ text: String, to width: Int, left: Bool = false) -> String {
    let fill = String(repeating: " ", count: max(0, width - columns(text)))
    return left ? fill + text : text + fill
}

/// Cut to `width` columns, and marked where something is missing.
func clipped(_ text: String, to width: Int, ellipsis: String) -> String {
    guard columns(text) > width else { return text }
    var room = width - columns(ellipsis)
    var result = ""
    for scalar in text.unicodeScalars {
        room -= columns(scalar)
        guard room >= 0 else { break }
        result.unicodeScalars.append(scalar)
    }
    return result + ellipsis
}

/// A row that may have colours, cut to `width` columns: what is longer would be broken into two by the terminal.
public func clippedRow(_ row: String, to width: Int) -> String {
    var room = width
    var result = ""
    var isInSequence = false
    var isColoured = false
    for scalar in row.unicodeScalars {
        if scalar == "\u{1b}" {
            isInSequence = true
            isColoured = true
        } else if !isInSequence {
            room -= columns(scalar)
            guard room >= 0 else { return isColoured ? result + "\u{1b}[0m" : result }
        }
        result.unicodeScalars.append(scalar)
        if isInSequence, scalar == "m" { isInSequence = false }
    }
    return result
}

/// What the terminal can show.
public struct TerminalStyle: Sendable {
    enum Tone: String {
        case plain = ""
        case dim = "2"
        case bold = "1"
        case good = "1;32"
        case bad = "31"
        case failure = "1;31"
        case warning = "1;33"
        case rewrite = "1;36"
    }

    var colour: Bool
    var unicode: Bool

    public init(colour: Bool, unicode: Bool) {
        self.colour = colour
        self.unicode = unicode
    }

    func paint(_ text: String, _ tone: Tone) -> String {
        colour && tone != .plain && !text.isEmpty ? "\u{1b}[\(tone.rawValue)m\(text)\u{1b}[0m" : text
    }

    var arrow: String { unicode ? "→" : "->" }
    var rewrite: String { unicode ? "⇒" : "=>" }
    var ellipsis: String { unicode ? "…" : "..." }
    var inferred: String { "~" }
    /// Between parts of a line.
    var separator: String { unicode ? " · " : " | " }

    func mark(_ outcome: Outcome) -> (text: String, tone: Tone) {
        switch outcome {
        case .success: (unicode ? "✓" : "+", .good)
        case .failure: (unicode ? "✗" : "x", .failure)
        case .unknown: ("?", .warning)
        }
    }

    /// Text from outside, and sentences that quote it.
    func outside(_ text: String) -> String {
        guard !unicode else { return sanitized(text) }
        return sanitized(
            text.split(separator: "→", omittingEmptySubsequences: false).joined(separator: "->"), asciiOnly: true)
    }

    /// A namespace's name, or else its number; nil: not known.
    func netns(_ inode: UInt32, _ name: String?) -> String? {
        if let name, !name.isEmpty { return outside(name) }
        return inode == 0 ? nil : String(inode)
    }

    func process(_ process: ProcessIdentity) -> String {
        guard let name = process.name, !name.isEmpty else { return "pid \(process.pid)" }
        return "\(outside(name)) (pid \(process.pid))"
    }

    /// `from → to`, breakable before the arrow.
    func flow(_ from: some CustomStringConvertible, _ to: some CustomStringConvertible) -> String {
        "\(from) \(arrow)\(gluedSpace)\(to)"
    }
}
