// The table of --summary as lines of text: failures first, then what succeeded, then what to change.

import Handshake

/// Lays a summary out for a terminal of some width, within so many lines where it has to fit a window.
struct SummaryText {
    let table: SummaryTable
    let style: TerminalStyle
    let clock: Clock
    /// What was lost, by reason.
    var losses: [(reason: String, events: UInt64)] = []

    /// A row of the table as the texts of its columns; and the advice that comes with it.
    private struct Entry {
        let mark: (text: String, tone: TerminalStyle.Tone)
        let code: String
        let way: String
        /// Without its text.
        let rule: String
        let clients: String
        let count: String
        let last: String
        let advice: String?
        let isFailure: Bool
        /// As rows of the table, where the layout is known.
        var lines: [String] = []
    }

    /// Columns of a table at one width; 0: not shown.
    private struct Layout {
        var code = 0, way = 0, rule = 0, clients = 0, count = 5
        let last = 9
        /// Before the way begins.
        var indent: Int { 1 + 2 + code + 2 }
    }

    /// - Parameter height: lines at most; nil: as many as there are.
    func lines(width: Int, height: Int? = nil) -> [String] {
        let failures = entries(of: table.failures, isFailure: true)
        let successes = entries(of: table.successes, isFailure: false)
        guard !failures.isEmpty || !successes.isEmpty else {
            return [" no verdict yet"] + lossLines(width)
        }
        let layout = layout(failures + successes, width: width)
        let laidOut = (failures + successes).map { entry in
            var entry = entry
            entry.lines = rows(of: entry, layout)
            return entry
        }
        let losses = lossLines(width)
        let whole = advice(of: laidOut, width: width, isCut: false).flatMap(\.self)
        let all = assembled(laidOut, layout, whole, losses, notShown: 0)
        guard let height, all.count > height else { return all }
        return fitted(laidOut, layout, advice(of: laidOut, width: width, isCut: true), losses, height)
    }

    // MARK: what there is room for

    /// Failures before all else, then what to change about some of them, then what succeeded.
    private func fitted(
        _ entries: [Entry], _ layout: Layout, _ advice: [[String]], _ losses: [String], _ height: Int
    ) -> [String] {
        var room = height - 1 - losses.count
        let all = entries.reduce(0) { $0 + $1.lines.count }
        // A heading and a line for the first one, where that does not take too much from the failures.
        let wantsAdvice = !advice.isEmpty && room >= 8
        let adviceLines = advice.reduce(1) { $0 + $1.count }
        if all + (wantsAdvice ? adviceLines : 0) <= room {
            return assembled(entries, layout, wantsAdvice ? advice.flatMap(\.self) : [], losses, notShown: 0)
        }
        // One line says what is missing.
        room -= 1
        let reserved = wantsAdvice ? 2 : 0
        var shown: [Entry] = []
        func add(_ candidates: some Sequence<Entry>, leaving rest: Int) {
            for entry in candidates {
                guard room - entry.lines.count >= rest else { return }
                room -= entry.lines.count
                shown.append(entry)
            }
        }
        add(entries.lazy.filter(\.isFailure), leaving: reserved)
        let isWhole = shown.count == entries.count(where: \.isFailure)
        var told: [String] = []
        if wantsAdvice, room >= 2 {
            room -= 1
            // What succeeded is worth a line, if there is one to spare.
            let rest = isWhole && entries.contains { !$0.isFailure } ? min(4, max(0, room - 1)) : 0
            for lines in advice {
                guard room - lines.count >= rest else { break }
                room -= lines.count
                told += lines
            }
            if told.isEmpty { room += 1 }
        }
        if isWhole { add(entries.lazy.filter { !$0.isFailure }, leaving: 0) }
        let missing = entries.count - shown.count
        return assembled(shown, layout, told, losses, notShown: missing)
    }

    private func assembled(
        _ entries: [Entry], _ layout: Layout, _ advice: [String], _ losses: [String], notShown: Int
    ) -> [String] {
        var lines = [header(layout)] + entries.flatMap(\.lines)
        if notShown > 0 {
            lines.append(
                style.paint(" \(style.ellipsis) \(notShown) \(notShown == 1 ? "row" : "rows") not shown", .dim))
        }
        if !advice.isEmpty { lines += [style.paint(" what to change", .bold)] + advice }
        return lines + losses
    }

    // MARK: the table

    private func entries(of shelf: SummaryShelf, isFailure: Bool) -> [Entry] {
        var entries = shelf.inOrder.map { row in
            var rule = row.kind.rule
            rule?.text = nil
            let clients = row.clients.map(\.description).joined(separator: ", ")
            return Entry(
                mark: style.mark(row.outcome), code: row.kind.code.rawValue,
                way: row.kind.dialled.description
                    + (row.kind.translated.map { " \(style.rewrite)\(gluedSpace)\($0)" } ?? ""),
                rule: rule.flatMap { StepWords.rule($0, style: style) } ?? "",
                clients: row.hasMoreClients ? "many" : clients, count: String(row.count), last: time(row.last),
                advice: row.advice.map(style.outside), isFailure: isFailure)
        }
        if shelf.others.count > 0 {
            entries.append(
                Entry(
                    mark: isFailure ? style.mark(.failure) : style.mark(.success), code: "other",
                    way: isFailure ? "failures of more kinds" : "more destinations", rule: "", clients: "",
                    count: String(shelf.others.count), last: time(shelf.others.last), advice: nil,
                    isFailure: isFailure))
        }
        return entries
    }

    /// `23:59:59Z`
    private func time(_ monotonic: UInt64) -> String { clock.timeOfDay(monotonic).prefix(8) + "Z" }

    private func layout(_ entries: [Entry], width: Int) -> Layout {
        func widest(_ text: (Entry) -> String) -> Int { entries.reduce(0) { max($0, columns(text($1))) } }
        var layout = Layout()
        layout.code = max(widest(\.code), "verdict".utf8.count)
        layout.count = max(layout.count, widest(\.count))
        let way = max(widest(\.way), columns(wayHeading))
        // What is left for the way and what may stand beside it.
        var room = max(width - layout.indent - 2 - layout.count - 2 - layout.last, 8)
        layout.way = min(way, room)
        room -= layout.way + 2
        let rule = widest(\.rule)
        if rule > 0, room >= rule {
            layout.rule = rule
            room -= rule + 2
        }
        // Who dialled is told only where nothing else suffers.
        let clients = widest(\.clients)
        if clients > 0, rule == layout.rule, room >= max(clients, 4) { layout.clients = max(clients, 4) }
        return layout
    }

    private var wayHeading: String { "dialled \(style.rewrite) translated" }

    private func header(_ layout: Layout) -> String {
        style.paint(
            line(
                layout, mark: " ", code: "verdict",
                way: clipped(wayHeading, to: layout.way, ellipsis: style.ellipsis), rule: "rule", clients: "from",
                count: "count",
                last: "last seen"), .dim)
    }

    private func line(
        _ layout: Layout, mark: String, code: String, way: String, rule: String, clients: String, count: String,
        last: String
    ) -> String {
        var text = " \(mark) " + padded(code, to: layout.code) + "  " + padded(way, to: layout.way)
        if layout.rule > 0 { text += "  " + padded(rule, to: layout.rule) }
        if layout.clients > 0 { text += "  " + padded(clients, to: layout.clients) }
        return text + "  " + padded(count, to: layout.count, left: true) + "  " + padded(last, to: layout.last)
    }

    /// The way in as many lines as it takes, and the rule below it where it has no column.
    private func rows(of entry: Entry, _ layout: Layout) -> [String] {
        let way = wrapped(entry.way, width: layout.way)
        let first = line(
            layout, mark: entry.mark.text, code: entry.code, way: way[0], rule: entry.rule, clients: entry.clients,
            count: entry.count, last: entry.last)
        // The mark and the verdict stand out.
        let head = " \(entry.mark.text) " + entry.code
        var lines = [" " + style.paint(String(head.dropFirst()), entry.mark.tone) + first.dropFirst(head.count)]
        let indent = String(repeating: " ", count: layout.indent)
        lines += way.dropFirst().map { indent + $0 }
        if layout.rule == 0, !entry.rule.isEmpty {
            let room = layout.way + 2 + layout.count + 2 + layout.last
            lines += wrapped(entry.rule, width: room).map { indent + style.paint($0, .dim) }
        }
        return lines
    }

    // MARK: below it

    /// For each failure the first advice, with what it is about; the same one is told once. Where lines are few, each
    /// takes one.
    private func advice(of entries: [Entry], width: Int, isCut: Bool) -> [[String]] {
        let prose = min(width, TerminalSink.proseColumns)
        var told: Set<String> = []
        return entries.compactMap { entry in
            guard entry.isFailure, let advice = entry.advice, !advice.isEmpty, told.insert(advice).inserted else {
                return nil
            }
            let target = entry.way.split(separator: " ").first.map(String.init) ?? ""
            let text = "\(target)  "
            let indent = 3 + columns(text)
            if isCut {
                let shown = clipped(advice, to: prose - indent, ellipsis: style.ellipsis)
                return ["   " + style.paint(text, .dim) + style.paint(shown, .bold)]
            }
            let lines = CommandInAdvice(advice).lines(prose: prose - indent, room: width - indent)
            return lines.enumerated().map { index, part in
                (index == 0 ? "   " + style.paint(text, .dim) : String(repeating: " ", count: indent))
                    + style.paint(part, .bold)
            }
        }
    }

    private func lossLines(_ width: Int) -> [String] {
        losses.flatMap { loss in
            wrapped(
                "!! \(loss.events) \(loss.events == 1 ? "event" : "events") lost: \(style.outside(loss.reason))",
                width: width
            ).map { style.paint($0, .warning) }
        }
    }
}
