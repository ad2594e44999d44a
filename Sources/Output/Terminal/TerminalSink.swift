// The terminal: what happened, for the person who has to repair it.

import Handshake

/// Shows each connection as one block when its verdict stands, or, with `follow`, each step as it
/// happens, on lines that begin with the connection's tag.
///
/// No line is wider than the terminal. A narrow one shows offset, stage, what happened, and
/// the function where there is room; from `wideColumns` on there are columns for the rest.
/// Status lines are no part of it: see `StatusWriter`.
public final class TerminalSink: Sink {
    /// From here on there is a table with more columns.
    static let wideColumns = 120
    /// Sentences are not read well in longer lines.
    static let proseColumns = 120
    /// Where the width is not known.
    public static let defaultWidth = 80
    /// A table needs that much; on a narrower terminal its lines are broken by the terminal.
    static let narrowest = 60

    public let output: OutputBuffer
    /// Columns of the terminal; to be set again when it changes (SIGWINCH).
    public var width: Int {
        didSet { widths = [:] }
    }

    let style: TerminalStyle
    private let follow: Bool
    private(set) var clock = Clock(realtimeOffset: 0)
    /// Whether repeated failures are held back and shown at the bottom of the terminal (`heldRows`), by who can take
    /// rows back. They are written when something else is to be.
    public var holdsRepeats = false
    /// The latest last, one of each kind.
    var held: [RepeatedBlock] = []
    static let maximumHeld = 5
    /// Whether that has changed since it was asked for.
    public internal(set) var holdsNews = false
    /// Whether the last line tells of a repeated failure: what comes next is set apart.
    var endsWithRepeat = false
    /// Columns of a table that is still growing, so that following lines stay under each other.
    private var widths: [Column: Int] = [:]
    /// What steps usually take, so that lines which are shown one by one stand under each other.
    private static let usualWidths: [Column: Int] = [
        .what: 44, .packet: 46, .netns: 10, .device: 8, .cpu: 6, .function: 23, .backend: 10,
    ]
    /// Where the last line shown was, if following.
    private var lastPlace: (connection: UInt64, place: String?)?

    /// - Parameters:
    ///   - width: columns, `defaultWidth` where standard output is no terminal.
    ///   - colour: as --color, NO_COLOR and isatty(3) say.
    ///   - unicode: whether the locale is UTF-8; without it, ASCII only.
    ///   - follow: steps as they happen, not when the verdict stands.
    public init(output: OutputBuffer, width: Int = defaultWidth, colour: Bool, unicode: Bool, follow: Bool) {
        self.output = output
        self.width = width
        self.follow = follow
        style = TerminalStyle(colour: colour, unicode: unicode)
    }

    // MARK: Sink

    public func start(_ start: StartInfo) { clock = Clock(realtimeOffset: start.realtimeOffset) }

    public func step(_ step: Step, of connection: Connection) {
        guard follow else { return }
        if step.sequence == 0 { header(connection) }
        table([Row(step, of: connection, style: style)], of: connection)
    }

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        header(connection, revised: verdict.isRevised)
        // Where there is too much to do, it is not worth telling how one succeeded.
        if !follow, !connection.isBrief {
            table(alone: connection.steps.map { Row($0, of: connection, style: style) }, of: connection)
            if connection.omittedSteps > 0 {
                line(" \(style.ellipsis) \(connection.omittedSteps) later steps were not kept", .dim, connection)
            }
            put("")
        }
        explain(verdict, of: connection)
        put("")
        lastPlace = nil
    }

    public func loss(_ loss: Loss) {
        let text =
            if loss.reason == Loss.outputNotRead {
                "!! \(loss.events) \(loss.events == 1 ? "part" : "parts") of this left out, because it was not read in time (\(loss.total) since the start)."
            } else {
                "!! \(loss.events) \(loss.events == 1 ? "event" : "events") lost: \(style.outside(loss.reason)) (\(loss.total) since the start). "
                    + "What is shown from here may have gaps."
            }
        for part in wrapped(text, width: usableWidth) { say(part, .warning) }
    }

    public func stop(_ totals: Totals) { letGoOfHeld() }

    // MARK: lines

    var usableWidth: Int { max(width, Self.narrowest) }
    /// What the tag of a connection takes at the beginning of a line.
    private var tagColumns: Int { follow ? 7 : 0 }
    var room: Int { usableWidth - tagColumns }

    func put(_ text: String) {
        letGoOfHeld()
        if endsWithRepeat {
            endsWithRepeat = false
            write("")
        }
        write(text)
    }

    func write(_ text: String) {
        output.put(text: text)
        output.endLine()
    }

    /// A line that belongs to no connection.
    func say(_ text: String, _ tone: TerminalStyle.Tone) {
        put(style.paint(text, tone))
        lastPlace = nil
    }

    func line(_ text: String, _ connection: Connection) {
        put(follow ? style.paint(tag(connection), .dim) + " " + text : text)
    }

    func line(_ text: String, _ tone: TerminalStyle.Tone, _ connection: Connection) {
        line(style.paint(text, tone), connection)
    }

    /// The last six digits of the connection's number.
    private func tag(_ connection: Connection) -> String {
        let digits = String(connection.id & 0xff_ffff, radix: 16)
        return String(repeating: "0", count: 6 - digits.count) + digits
    }

    /// Who dialled whom, and what the translation made of it.
    private func header(_ connection: Connection, revised: Bool = false) {
        header(connection, connection.dialled, connection.translated, at: connection.startTime)
        if revised { line(" what happened since has changed the verdict", .warning, connection) }
    }

    func header(_ connection: Connection, _ dialled: Tuple, _ translated: Tuple?, at start: UInt64) {
        var text = style.flow(dialled.source, dialled.destination)
        if let translated, translated != dialled {
            let ends =
                translated.source == dialled.source
                ? translated.destination.description : style.flow(translated.source, translated.destination)
            text += " \(style.rewrite)\(gluedSpace)\(ends)"
        }
        let time = clock.timeOfDay(start)
        let lines = wrapped(text, width: columns(text) <= room ? room : room - 2)
        for (index, part) in lines.enumerated() {
            let indent = index == 0 ? "" : "  "
            let gap = room - columns(part) - indent.utf8.count - time.utf8.count
            var shown = indent + paintRewrite(part)
            if index == lines.count - 1, gap >= 2 {
                shown += String(repeating: " ", count: gap) + style.paint(time, .dim)
            }
            line(shown, connection)
        }
    }

    /// Bold, and the part behind the double arrow as conspicuous as a rewrite is.
    private func paintRewrite(_ text: String) -> String {
        guard style.colour else { return text }
        let parts = text.split(separator: style.rewrite, maxSplits: 1, omittingEmptySubsequences: false)
        guard parts.count == 2 else { return style.paint(text, .bold) }
        return style.paint(String(parts[0]), .bold) + style.paint(style.rewrite + String(parts[1]), .rewrite)
    }

    // MARK: verdict

    /// `host`: who says so, where that has to be told. `isBrief`: why, and no more.
    func explain(
        _ verdict: Verdict, of connection: Connection, on host: String? = nil, isBrief: Bool = false
    ) {
        let mark = style.mark(verdict.outcome)
        let after = (host.map { "on \($0), " } ?? "") + "after \(Row.milliseconds(verdict.duration))"
        let code = verdict.code.rawValue
        let gap = room - 4 - code.utf8.count - after.utf8.count
        line(
            " " + style.paint("\(mark.text) \(code)", mark.tone) + (gap >= 1 ? "  " + style.paint(after, .dim) : ""),
            connection)
        if let host, gap < 1 { item("host", [host], .plain, connection) }
        if !verdict.sentence.isEmpty {
            item("why", [style.outside(verdict.sentence)], isBrief ? .plain : .bold, connection)
        }
        guard !isBrief else { return }
        if verdict.outcome != .success {
            if let place = place(of: verdict) { item("where", [place], .plain, connection) }
            if let checks = verdict.checklist.words { item("checked", [checks], .plain, connection) }
        }
        item("evidence", verdict.evidence.map { $0.words(style) }, .plain, connection)
        let tone: TerminalStyle.Tone = verdict.outcome == .success ? .plain : .bold
        item("change", verdict.advice.map(style.outside), tone, connection) { text, prose, room in
            // Where each line begins with the connection's tag, a command is better left to the terminal to break.
            CommandInAdvice(text).lines(prose: prose, room: follow ? .max : room)
        }
    }

    private func place(of verdict: Verdict) -> String? {
        var parts = verdict.place(style)
        // Evidence tells more of it.
        if let rule = verdict.rule, !verdict.evidence.contains(.rule(rule)),
            let text = StepWords.rule(rule, style: style)
        {
            parts.append(text)
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// A label and its texts, each on a line of its own, continued under its beginning.
    private func item(
        _ label: String, _ texts: [String], _ tone: TerminalStyle.Tone, _ connection: Connection,
        broken: (_ text: String, _ prose: Int, _ room: Int) -> [String] = { text, prose, _ in
            wrapped(text, width: prose)
        }
    ) {
        var head = "   " + padded(label, to: 10)
        let bullets = texts.count > 1
        let indent = columns(head) + (bullets ? 2 : 0)
        for text in texts {
            let lines = broken(text, min(room, Self.proseColumns) - indent, room - indent)
            for (index, part) in lines.enumerated() {
                let bullet = bullets ? (index == 0 ? "- " : "  ") : ""
                line(style.paint(head, .dim) + bullet + style.paint(part, tone), connection)
                head = String(repeating: " ", count: columns(head))
            }
        }
    }

    // MARK: table

    /// The columns that a wide terminal has beside offset and stage, as they stand.
    enum Column: Int, CaseIterable {
        case what, host, packet, netns, device, cpu, function, backend
        /// Not shown in a table of their own, but under each other.
        case offset, stage

        /// Which ones are given up last when there is no room for all.
        static let byImportance: [Column] = [.what, .host, .function, .netns, .device, .backend, .packet, .cpu]
    }

    /// Begins a table of its own, which shares no columns and no place with what stands above.
    func table(alone rows: [Row], of connection: Connection) {
        widths = [:]
        lastPlace = nil
        table(rows, of: connection)
        lastPlace = nil
    }

    var isWide: Bool { room >= Self.wideColumns }

    private func table(_ rows: [Row], of connection: Connection) {
        for row in rows {
            for column in Column.allCases {
                widths[column] = max(widths[column] ?? 0, columns(row.text(column)))
            }
        }
        widths[.offset] = max(widths[.offset] ?? 0, 9)
        widths[.stage] = max(widths[.stage] ?? 0, 10)
        if follow { widths.merge(Self.usualWidths) { max($0, $1) } }
        for row in rows {
            let head = head(row)
            if isWide { wide(row, head, connection) } else { narrow(row, head, connection) }
        }
    }

    private var headColumns: Int { 1 + (widths[.offset] ?? 0) + 2 + (widths[.stage] ?? 0) + 2 }

    private func head(_ row: Row) -> String {
        let mark = row.isInferred ? style.paint(style.inferred, .warning) : " "
        let offset = padded(row.text(.offset), to: widths[.offset] ?? 0, left: true)
        return mark + style.paint(offset, .dim) + "  " + padded(row.text(.stage), to: widths[.stage] ?? 0) + "  "
    }

    /// Offset, stage, what happened, and the function at the right margin if it fits.
    private func narrow(_ row: Row, _ head: String, _ connection: Connection) {
        let place = row.place
        if let place, lastPlace?.connection != connection.id || lastPlace?.place != place {
            let heading = wrapped(place + row.remarkOnHost, width: room - 1)
            for part in heading { line(" " + part, .dim, connection) }
        }
        if place != nil || lastPlace?.connection != connection.id { lastPlace = (connection.id, place) }

        let room = room - headColumns
        var lines = wrapped(row.words.what, width: room).map { ($0, row.words.tone) }
        lines += (row.words.remark.map { wrapped($0, width: room) } ?? []).map { ($0, .dim) }
        let function = row.text(.function)
        let roomy = lines.firstIndex { columns($0.0) + 2 + columns(function) <= room }
        for (index, part) in lines.enumerated() {
            var shown = (index == 0 ? head : String(repeating: " ", count: headColumns)) + style.paint(part.0, part.1)
            if index == roomy, !function.isEmpty {
                shown += String(repeating: " ", count: room - columns(part.0) - columns(function))
                shown += style.paint(function, .dim)
            }
            line(shown, connection)
        }
    }

    /// A table of as many columns as there is room for.
    private func wide(_ row: Row, _ head: String, _ connection: Connection) {
        var rest = room - headColumns
        // What happened may be broken into lines; it should leave room for the others.
        let what = min(widths[.what] ?? 0, rest / 2)
        var shown: Set<Column> = [.what]
        rest -= what
        for column in Column.byImportance where column != .what {
            let needed = widths[column] ?? 0
            if needed > 0, needed + 2 <= rest {
                shown.insert(column)
                rest -= needed + 2
            }
        }
        var lines = wrapped(row.words.what, width: what).map { ($0, row.words.tone) }
        let remarkRoom = room - headColumns
        let remarks = row.words.remark.map { wrapped($0, width: remarkRoom) } ?? []
        let first = lines.removeFirst()
        var text = head + style.paint(first.0, first.1)
        var missing = what - columns(first.0)
        for column in Column.allCases where column != .what && shown.contains(column) {
            let cell = row.text(column)
            if !cell.isEmpty {
                text += String(repeating: " ", count: missing + 2) + style.paint(cell, .dim)
                missing = 0
            } else {
                missing += 2
            }
            missing += (widths[column] ?? 0) - columns(cell)
        }
        line(text, connection)
        for part in lines + remarks.map({ ($0, .dim) }) {
            line(String(repeating: " ", count: headColumns) + style.paint(part.0, part.1), connection)
        }
    }
}

/// A step as a line of a table.
struct Row {
    let words: StepWords
    let isInferred: Bool
    /// Where it happened, as a heading; nil: not known.
    let place: String?
    /// What is to be said of the host where it is named first; empty: nothing.
    var remarkOnHost = ""
    private let cells: [TerminalSink.Column: String]

    /// `host` and `offset`: where there are several hosts, in place of the step's own offset.
    init(
        _ step: Step, of connection: Connection, style: TerminalStyle, host: String? = nil, offset: UInt64? = nil
    ) {
        words = StepWords(step, of: connection, style: style)
        isInferred = step.backend == .inferred
        let netns = style.netns(step.netns, step.netnsName)
        let parts = [host.map { "host \($0)" }, netns.map { "netns \($0)" }].compactMap { $0 }
        place = parts.isEmpty ? nil : parts.joined(separator: ", ")
        cells = [
            .host: host ?? "",
            .offset: "+" + Self.milliseconds(offset ?? step.offset),
            .stage: step.stage?.name ?? "",
            .packet: step.packet.map { packet in
                "\(packet.flags.role.inWords) \(packet.tuple.source) \(style.arrow) \(packet.tuple.destination)"
            } ?? "",
            .netns: netns ?? "",
            .device: step.interface.map(style.outside) ?? "",
            .cpu: isInferred ? "" : "cpu \(step.cpu)",
            .function: step.function.map(style.outside) ?? "",
            .backend: step.backend.name,
        ]
    }

    func text(_ column: TerminalSink.Column) -> String {
        if column == .what {
            return words.what.split(separator: gluedSpace, omittingEmptySubsequences: false).joined(separator: " ")
        }
        return cells[column] ?? ""
    }

    /// `0.018 ms`
    static func milliseconds(_ nanoseconds: UInt64) -> String {
        let microseconds = nanoseconds / 1000
        let fraction = String(microseconds % 1000)
        return "\(microseconds / 1000)." + String(repeating: "0", count: 3 - fraction.count) + fraction + " ms"
    }
}
