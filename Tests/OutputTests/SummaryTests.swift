// --summary: what is counted together, what a table shows first, and that it fits.

import Testing

@testable import Handshake
@testable import Output

private let second: UInt64 = 1_000_000_000

/// A connection and its verdict.
private func ended(
    _ code: VerdictCode, from client: String = "198.51.100.7", _ port: UInt16 = 40_000, to destination: Endpoint,
    becoming translated: Endpoint? = nil, rule: Rule? = nil, evidence: [Evidence] = [], advice: [String] = [],
    at time: UInt64 = 0,
    replacing earlier: Verdict.Replaced? = nil
) -> (connection: Connection, verdict: Verdict) {
    let dialled = Tuple(source: endpoint(client, port), destination: destination)
    let connection = Connection(isn: UInt32(port), dialled: dialled, startTime: ArticleCase.startTime + time)
    if let translated { connection.course.translated = Tuple(source: dialled.source, destination: translated) }
    var verdict = makeVerdict(
        code, code == .established ? .success : code == .unexplained ? .unknown : .failure, "So it is.",
        advice: advice, evidence: evidence, rule: rule)
    verdict.time = ArticleCase.startTime + time
    verdict.replaces = earlier
    verdict.isRevised = earlier != nil
    return (connection, verdict)
}

private let dnat = Rule(id: "4", ruleset: "ip demo prerouting", text: "tcp dport 80 dnat to 10.77.1.1:8080")

/// A service that is translated wrongly, one that nobody offers, and one that works.
private func tell(_ take: (Verdict, Connection) -> Void) {
    func add(_ one: (connection: Connection, verdict: Verdict)) { take(one.verdict, one.connection) }
    for number in 0..<12 {
        add(
            ended(
                .listenerOtherAddress, UInt16(40_000 + number), to: endpoint("203.0.113.10", 80),
                becoming: endpoint("10.77.1.1", 8080), evidence: [.sysctl(name: "x", value: "1"), .rule(dnat)],
                advice: ["Let webapp listen on 10.77.1.1, or on every address (0.0.0.0)", "Or do something else"],
                at: UInt64(number) * second))
    }
    for number in 0..<801 { add(ended(.established, UInt16(number + 1), to: endpoint("10.77.0.1", 443), at: 3)) }
    for client in ["198.51.100.8", "198.51.100.9"] {
        add(ended(.noListener, from: client, to: endpoint("10.77.0.1", 22), advice: ["Start sshd"], at: 5 * second))
    }
    add(ended(.unexplained, to: endpoint("10.77.0.1", 23), at: 7 * second))
}

private func table(_ body: ((Verdict, Connection) -> Void) -> Void = tell) -> SummaryTable {
    var table = SummaryTable()
    body { table.take($0, of: $1) }
    return table
}

private func lines(
    _ table: SummaryTable = table(), width: Int, height: Int? = nil, colour: Bool = false, unicode: Bool = true,
    losses: [(reason: String, events: UInt64)] = []
) -> [String] {
    SummaryText(
        table: table, style: TerminalStyle(colour: colour, unicode: unicode),
        clock: Clock(realtimeOffset: ArticleCase.realtimeOffset), losses: losses
    ).lines(width: width, height: height)
}

private func trimmed(_ lines: [String]) -> String {
    lines.map { $0.replacing(#/ +$/#, with: "") }.joined(separator: "\n")
}

@Suite struct SummaryTests {
    @Test func eightyColumns() {
        #expect(
            trimmed(lines(width: 80)) == """
                   verdict                 dialled ⇒ translated              count  last seen
                 ✗ listener_other_address  203.0.113.10:80 ⇒ 10.77.1.1:8080     12  00:00:10Z
                                           rule ip demo prerouting 4
                 ✗ no_listener             10.77.0.1:22                          2  00:00:04Z
                 ? unexplained             10.77.0.1:23                          1  00:00:06Z
                 ✓ established             10.77.0.1:443                       801  23:59:59Z
                 what to change
                   203.0.113.10:80  Let webapp listen on 10.77.1.1, or on every address
                                    (0.0.0.0)
                   10.77.0.1:22  Start sshd
                """)
    }

    @Test func wideTablesHaveTheRuleAndTheClientsBesideIt() {
        #expect(
            trimmed(Array(lines(width: 140).prefix(5))) == """
                   verdict                 dialled ⇒ translated              rule                       from                      \
                  count  last seen
                 ✗ listener_other_address  203.0.113.10:80 ⇒ 10.77.1.1:8080  rule ip demo prerouting 4  198.51.100.7              \
                     12  00:00:10Z
                 ✗ no_listener             10.77.0.1:22                                                 198.51.100.8, 198.51.100.9\
                      2  00:00:04Z
                 ? unexplained             10.77.0.1:23                                                 198.51.100.7              \
                      1  00:00:06Z
                 ✓ established             10.77.0.1:443                                                198.51.100.7              \
                    801  23:59:59Z
                """)
        // Not so wide: the rule comes first.
        #expect(lines(width: 120)[0].contains("rule") && !lines(width: 120)[0].contains("from"))
    }

    @Test func nothingIsWiderThanTheTerminal() {
        let long = Rule(id: "4", ruleset: "inet a-table-with-a-long-name a-chain-with-a-long-name", text: "drop")
        let wide = table { take in
            tell(take)
            let one = ended(
                .routeLocalnetDisabled, to: endpoint("2001:db8:1234:5678:9abc:def0:1234:5678", 65_535),
                becoming: endpoint("fd00:1234:5678:9abc:def0:1234:5678:9abc", 65_535), rule: long,
                advice: ["ip6tables -t nat -I PREROUTING -p tcp -d 2001:db8:1234:5678:9abc:def0:1234:5678 -j ACCEPT"])
            take(one.verdict, one.connection)
        }
        let losses: [(reason: String, events: UInt64)] = [("ring buffer full", 12_000)]
        for width in [60, 61, 79, 80, 100, 119, 120, 140, 200, 300] {
            for height in [nil, 10, 24] {
                for line in lines(wide, width: width, height: height, losses: losses) {
                    #expect(columns(line) <= width, "\(width): \(line)")
                }
            }
        }
    }

    /// Failures before advice, advice before what succeeded; and always how much is missing.
    @Test func neverTallerThanAsked() {
        let many = table { take in
            tell(take)
            for port in 1...50 {
                let one = ended(
                    .noListener, to: endpoint("203.0.113.99", UInt16(port)), advice: ["Start number \(port)"])
                take(one.verdict, one.connection)
            }
        }
        for height in 4...80 {
            let shown = lines(many, width: 80, height: height)
            #expect(shown.count <= height, "\(height)")
            let rows = shown.count { $0.contains("listener") || $0.contains("unexplained") || $0.contains("✓") }
            let missing = shown.compactMap { $0.firstMatch(of: /… (\d+) rows? not shown/)?.1 }.first.flatMap { Int($0) }
            #expect(rows + (missing ?? 0) == 54, "\(height)")
            if height >= 10 { #expect(shown.contains { $0.contains("Let webapp listen") }, "\(height)") }
        }
        // All that there is, where it fits.
        #expect(lines(width: 80, height: 10) == lines(width: 80))
        #expect(!lines(width: 80, height: 9).contains { $0.contains("not shown") })
    }

    @Test func adviceIsOneLineInAWindowAndWholeAtTheEnd() {
        let advice = String(repeating: "word ", count: 40) + "end"
        let one = table { take in
            let one = ended(.dropped, to: endpoint("10.0.0.1", 1), advice: [advice])
            take(one.verdict, one.connection)
        }
        #expect(lines(one, width: 80, height: 5).last?.hasSuffix("…") != true)
        #expect(lines(one, width: 80, height: 24) == lines(one, width: 80))
        let crowded = table { take in
            tell(take)
            let last = ended(.dropped, to: endpoint("10.0.0.1", 1), advice: [advice])
            take(last.verdict, last.connection)
        }
        #expect(lines(crowded, width: 80, height: 13).contains { $0.hasSuffix("…") })
        #expect(lines(one, width: 80).last?.hasSuffix("end") == true)
    }

    @Test func aRevisedVerdictIsCountedOnce() {
        let destination = endpoint("203.0.113.10", 80)
        var table = SummaryTable()
        func take(_ one: (connection: Connection, verdict: Verdict)) { table.take(one.verdict, of: one.connection) }
        take(ended(.synUnanswered, to: destination))
        take(ended(.synUnanswered, to: destination))
        // What it is translated to became known with the second verdict.
        take(
            ended(
                .established, to: destination, becoming: endpoint("10.0.0.2", 80),
                replacing: .init(code: .synUnanswered, rule: nil)))
        #expect(table.failures.rows.map(\.count) == [1])
        #expect(table.successes.rows.map(\.count) == [1])
        take(ended(.dropped, to: destination, replacing: .init(code: .synUnanswered, rule: nil)))
        #expect(table.failures.rows.map(\.kind.code) == [.dropped])
    }

    @Test func kindsAreToldApart() {
        let destination = endpoint("203.0.113.10", 80)
        let all = [
            ended(.dropped, to: destination), ended(.dropped, to: destination, rule: dnat),
            ended(.noListener, to: destination), ended(.noListener, to: endpoint("203.0.113.10", 81)),
            ended(.noListener, to: destination, becoming: endpoint("10.0.0.1", 80)),
        ]
        let rows = table { take in
            for one in all + all { take(one.verdict, one.connection) }
        }.failures.inOrder
        #expect(rows.map(\.count) == [2, 2, 2, 2, 2])
    }

    /// A scan of all ports, with a service that fails again and again among it, and what succeeds beside it.
    @Test func memoryIsBounded() {
        let scanned = table { take in
            for port in 1...5000 {
                let one = ended(.noListener, to: endpoint("203.0.113.10", UInt16(port)), at: UInt64(port))
                take(one.verdict, one.connection)
                let other = ended(.established, to: endpoint("203.0.113.11", UInt16(port)))
                take(other.verdict, other.connection)
                guard port > 4000, port % 100 == 0 else { continue }
                let again = ended(.dropped, to: endpoint("203.0.113.12", 443))
                take(again.verdict, again.connection)
            }
        }
        #expect(scanned.failures.rows.count == SummaryTable.maximumFailures)
        #expect(scanned.successes.rows.count == SummaryTable.maximumSuccesses)
        #expect(scanned.failures.rows.reduce(0) { $0 + $1.count } + scanned.failures.others.count == 5010)
        #expect(scanned.successes.rows.reduce(0) { $0 + $1.count } + scanned.successes.others.count == 5000)
        #expect(scanned.failures.inOrder[0].kind.code == .dropped)
        #expect(scanned.failures.inOrder[0].count == 10)
        let shown = lines(scanned, width: 80)
        #expect(shown.contains { $0.contains("✗ other") && $0.contains("4489") })
        #expect(shown.contains { $0.contains("✓ other") && $0.contains("4872") })
    }

    @Test func manyClients() {
        let crowd = table { take in
            for number in 1...9 {
                let one = ended(.noListener, from: "198.51.100.\(number)", to: endpoint("203.0.113.10", 1))
                take(one.verdict, one.connection)
            }
        }
        #expect(lines(crowd, width: 120)[1].contains("  many  "))
    }

    @Test func hostileNamesAndNoUnicode() {
        let rule = Rule(id: "\u{1b}[2J", ruleset: "ip \n\u{202e}nat büro", text: "x")
        let one = table { take in
            let one = ended(.dropped, to: endpoint("10.0.0.1", 1), rule: rule, advice: ["Stop \u{1b}]0;x\u{7}"])
            take(one.verdict, one.connection)
        }
        for unicode in [true, false] {
            for width in [80, 200] {
                for line in lines(one, width: width, unicode: unicode, losses: [("\u{9b}31m", 1)]) {
                    #expect(!line.unicodeScalars.contains { $0.value < 0x20 || (0x7f..<0xa0).contains($0.value) })
                    #expect(unicode || line.utf8.allSatisfy { $0 < 0x80 })
                }
            }
        }
    }

    @Test func colourChangesNothingElse() {
        for width in [80, 200] {
            let coloured = lines(width: width, colour: true)
            #expect(coloured.map { $0.replacing(/\u{1b}\[[0-9;]+m/, with: "") } == lines(width: width))
            #expect(coloured[1].contains("\u{1b}[1;31m✗ listener_other_address\u{1b}[0m"))
        }
    }

    @Test func theSinkWritesItsTableAtTheEndOnly() {
        let capture = Capture()
        let sink = SummarySink(
            output: capture.output, style: TerminalStyle(colour: false, unicode: true), width: 80)
        sink.start(ArticleCase.start)
        #expect(sink.rows(height: 20) == [" no verdict yet"])
        tell { sink.verdict($0, of: $1) }
        sink.loss(ArticleCase.loss)
        sink.loss(ArticleCase.loss)
        #expect(capture.text() == "")
        #expect(sink.rows(height: 20).last == "!! 24 events lost: ring buffer full")
        #expect(sink.rows(height: 20).allSatisfy { columns($0) < 80 })
        sink.stop(ArticleCase.totals)
        #expect(capture.lines().dropLast() == lines(width: 80, losses: [("ring buffer full", 24)])[...])
    }

    @Test func nothingIsSaidOfNothing() {
        let capture = Capture()
        let sink = SummarySink(
            output: capture.output, style: TerminalStyle(colour: false, unicode: true), width: 80)
        sink.start(ArticleCase.start)
        sink.stop(Totals())
        #expect(capture.text() == "")
    }
}
