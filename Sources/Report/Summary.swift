// The top of the page, which is there without any script: what ended how, where, why, how often; what was lost; how it
// was observed. Everything that was not written here goes through `escaped`.

import Handshake
import Output

struct Summary {
    private let sink: ReportSink
    private let source: ReportSource
    private var wording: Wording { sink.wording }

    /// Rows of the table; a page is for a look, and the list below has all.
    private static let maximumRows = 40

    init(_ sink: ReportSink, _ source: ReportSource) {
        self.sink = sink
        self.source = source
    }

    // MARK: The whole

    var title: String { "nattrace: \(answer)" + (host.isEmpty ? "" : " on \(host)") }

    var html: String {
        var html = "<h1>\(escaped(answer))</h1>\n<p class=\"lead\">\(escaped(scene))</p>\n"
        html += notices
        html += table
        html += "<details class=\"about\"><summary>About this recording</summary>\n\(about)</details>\n"
        return html
    }

    /// Who reads a ticket need not know the folders of who wrote it.
    var footer: String {
        let name = source.name.split(separator: "/").last.map(String.init) ?? source.name
        return "Made by nattrace \(escaped(wording.outside(source.version))) of \(escaped(wording.outside(name))). "
            + "This page is one file: it loads nothing and sends nothing."
    }

    // MARK: The answer

    private var host: String { wording.outside(sink.info?.hostName) }
    private var total: Int { sink.totals.verdicts.values.reduce(0, +) }
    private var established: Int { sink.totals.verdicts[.established] ?? 0 }

    /// In one line.
    private var answer: String {
        let failed = total - established
        if total == 0 { return "No connection was recorded" }
        if total == 1 { return failed == 1 ? "The connection was not established" : "The connection was established" }
        if failed == 0 { return "All \(number(total)) connections were established" }
        return (failed == total ? "None of \(number(total))" : "\(number(failed)) of \(number(total))")
            + " connections "
            + (failed == 1 ? "was" : "were") + (failed == total ? "" : " not") + " established"
    }

    /// Where and when.
    private var scene: String {
        guard let start = sink.info else { return "" }
        var parts: [String] = []
        if !host.isEmpty { parts.append(host) }
        parts.append("kernel \(wording.outside(start.kernel))")
        let from = wording.date(start.time)
        let to = wording.date(max(sink.totals.time, start.time))
        // The same day is not said twice.
        parts.append(
            from == to ? from : from + " to " + (to.prefix(10) == from.prefix(10) ? String(to.dropFirst(11)) : to))
        return parts.joined(separator: ", ")
    }

    // MARK: What is missing

    private var notices: String {
        var html = ""
        if let damage = source.damage {
            html += notice(
                "The recording is not whole", [wording.outside(damage) + "."],
                "What it held up to there is explained here. Connections that were under way have the verdict that "
                    + "stood by then.")
        }
        for (scope, kinds) in Dictionary(grouping: sink.losses.kinds, by: \.scope).sorted(by: {
            $0.value[0].since < $1.value[0].since
        }) {
            html += notice(
                scope == .output ? "Something was not told" : "Something was lost",
                kinds.map { kind in
                    let when = wording.date(kind.since).dropFirst(11) + " to " + wording.date(kind.time).dropFirst(11)
                    return "\(number(kind.events)): \(wording.outside(kind.reason)), \(when)"
                }, scope.doubt)
        }
        if sink.losses.others > 0 {
            html += notice("Something was lost", ["\(number(sink.losses.others)) for other reasons"], "")
        }
        let left = [
            (sink.store.leftOutFailed, "that failed"), (sink.store.leftOutSucceeded, "that were established"),
        ].filter { $0.0 > 0 }.map { "\(number($0.0)) \($0.1)" }
        if !left.isEmpty {
            html += notice(
                "The list below is cut",
                ["It has \(number(sink.store.count)) connections and leaves out \(left.joined(separator: " and "))."],
                "They are counted in the table. To see others, make the report with a filter.")
        }
        let hidden = total - sink.kinds.kinds.values.reduce(0) { $0 + $1.count } - sink.kinds.others.values.reduce(0, +)
        if source.selection != VerdictSelection(), hidden > 0 {
            html +=
                "<p class=\"hint\">\(number(hidden)) more \(hidden == 1 ? "connection" : "connections") passed the "
                + "other filters and \(hidden == 1 ? "is" : "are") not shown: \(escaped(wording.outside(source.filter))).</p>\n"
        }
        return html
    }

    private func notice(_ heading: String, _ lines: [String], _ meaning: String) -> String {
        "<div class=\"notice\" role=\"note\"><strong><span aria-hidden=\"true\">⚠ </span>"
            + "\(escaped(heading)).</strong>"
            + lines.map { " <span>\(escaped($0))</span>" }.joined(separator: "<br>")
            + (meaning.isEmpty ? "" : "<br>\(escaped(meaning))") + "</div>\n"
    }

    // MARK: The table

    private var table: String {
        let rows = sink.kinds.inOrder
        guard !rows.isEmpty || !sink.kinds.others.isEmpty else { return "" }
        var html = """
            <section aria-labelledby="kinds"><h2 id="kinds">What happened</h2>
            <table class="kinds"><thead><tr><th scope="col">Verdict</th><th scope="col">Destination</th>\
            <th scope="col">Why, and what to change</th><th scope="col" class="number">Connections</th></tr></thead>
            <tbody>

            """
        for (key, kind) in rows.prefix(Self.maximumRows) { html += row(key, kind) }
        html += "</tbody></table>\n"
        var rest = sink.kinds.others
        for (key, kind) in rows.dropFirst(Self.maximumRows) { rest[key.code, default: 0] += kind.count }
        if !rest.isEmpty {
            let words = VerdictCode.allCases.compactMap { code in rest[code].map { "\(number($0)) \(code.rawValue)" } }
            html +=
                "<p class=\"hint\">And more that happened less often: \(escaped(words.joined(separator: ", "))).</p>\n"
        }
        return html + "</section>\n"
    }

    private func row(_ key: Kinds.Key, _ kind: Kinds.Kind) -> String {
        let ends = [key.dialled, key.translated].filter { !$0.isEmpty }
        let link = "#verdict=\(key.code.rawValue)&text=\(fragment(ends.joined(separator: " ")))"
        var why = "<p>\(escaped(kind.sentence))</p>"
        if key.outcome != .success {
            if !key.rule.isEmpty, !kind.sentence.contains(key.rule) {
                why += "<p class=\"rule\"><code>\(escaped(key.rule))</code></p>"
            }
            why += kind.advice.prefix(1).map(advice).joined()
        }
        let destination =
            "<span class=\"end\">\(escaped(key.dialled))</span>"
            + (key.translated.isEmpty
                ? ""
                : " <span class=\"rewrite\"><span aria-hidden=\"true\">⇒ </span>"
                    + "<span class=\"spoken\">translated to </span>\(escaped(key.translated))</span>")
        return "<tr><th scope=\"row\">\(badge(key.code, key.outcome))</th><td>\(destination)</td><td>\(why)</td>"
            + "<td class=\"number\"><a href=\"\(escaped(link))\" aria-label=\"\(kind.count): show them in the list\">"
            + "\(number(kind.count))</a></td></tr>\n"
    }

    private func badge(_ code: VerdictCode, _ outcome: Outcome) -> String {
        "<span class=\"badge \(outcome.rawValue)\"><span aria-hidden=\"true\">\(escaped(wording.mark(outcome))) </span>"
            + "\(escaped(code.rawValue))</span>"
    }

    private func advice(_ text: String) -> String {
        let parts = CommandInAdvice(text)
        return "<p class=\"advice\"><span class=\"spoken\">To change: </span>\(escaped(parts.before))"
            + (parts.command.isEmpty ? "" : "<code>\(escaped(parts.command))</code>") + escaped(parts.after) + "</p>"
    }

    // MARK: How it was observed

    private var about: String {
        guard let start = sink.info else { return "" }
        var html = "<dl>\n"
        func item(_ name: String, _ value: String) {
            html += "<div><dt>\(name)</dt><dd>\(escaped(value))</dd></div>\n"
        }
        if !host.isEmpty { item("Host", host) }
        item("Kernel", wording.outside(start.kernel))
        item("Recorded by", "nattrace \(wording.outside(start.version))")
        item("From", wording.date(start.time))
        item("To", wording.date(max(sink.totals.time, start.time)))
        item("Filter when recorded", start.filter.isEmpty ? "none" : wording.outside(start.filter))
        item("Filter of this page", source.filter.isEmpty ? "none" : wording.outside(source.filter))
        item("Observed by", backends(start))
        let codes = VerdictCode.allCases.compactMap { code in
            sink.totals.verdicts[code].flatMap { $0 > 0 ? "\(number($0)) \(code.rawValue)" : nil }
        }
        item("Connections", codes.isEmpty ? "none" : codes.joined(separator: ", "))
        item(
            "Events",
            "\(number(sink.totals.events)), \(sink.totals.lost == 0 ? "none lost" : "\(number(sink.totals.lost)) lost")"
        )
        if let seen = sink.totals.observations {
            item("Observations in the kernel", "\(number(seen.made)) made, \(number(seen.lost)) lost")
        }
        html += "</dl>\n"
        let absent = start.missing.filter { $0.module == nil }
        if !absent.isEmpty {
            html +=
                "<p>What this kernel does not let be observed; steps marked ~ were concluded from later ones:</p><ul>\n"
            for missing in absent {
                html += "<li><code>\(escaped(wording.outside(missing.hook)))</code>: "
                html += "\(escaped(wording.outside(missing.loss)))</li>\n"
            }
            html += "</ul>\n"
        }
        return html
    }

    private func backends(_ start: StartInfo) -> String {
        var counts: [String: Int] = [:]
        for backend in start.backends.values { counts[wording.outside(backend), default: 0] += 1 }
        let words = counts.sorted { $0.key < $1.key }.map { "\($0.value) hooks by \($0.key)" }
        return words.isEmpty ? "nothing" : words.joined(separator: ", ")
    }

    private func number(_ value: Int) -> String { number(UInt64(max(0, value))) }

    /// `12,345`
    private func number(_ value: UInt64) -> String {
        var groups: [Substring] = []
        var rest = Substring(String(value))
        while rest.count > 3 {
            groups.append(rest.suffix(3))
            rest = rest.dropLast(3)
        }
        return ([rest] + groups.reversed()).joined(separator: ",")
    }
}
