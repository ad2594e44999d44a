// A flood of the same on a terminal: the first in full, a few in a line, and in one line how many more there were.

import Testing

@testable import Handshake
@testable import Output

private let second: UInt64 = 1_000_000_000

/// A connection that was refused, and its verdict.
private func refused(
    from port: UInt16, to destination: Endpoint = endpoint("203.0.113.10", 8080), at time: UInt64,
    code: VerdictCode = .noListener, rule: Rule? = nil, sentence: String? = nil
) -> (connection: Connection, verdict: Verdict) {
    let dialled = Tuple(source: endpoint("198.51.100.7", port), destination: destination)
    let connection = Connection(isn: UInt32(port), dialled: dialled, startTime: ArticleCase.startTime + time)
    connection.steps = [
        makeStep(
            0, at: time, .syn, .ingress, function: "net:netif_receive_skb",
            packet: Packet(tuple: dialled, flags: .syn, seq: 1, ack: 0, payload: 0)),
        makeStep(1, at: time + 1000, .reset, .socket, function: "tcp_v4_send_reset", detail: .reset(.tcp)),
    ]
    var verdict = makeVerdict(
        code, .failure, sentence ?? "Nothing listens on \(destination).", stage: .socket, rule: rule)
    verdict.time = ArticleCase.startTime + time
    return (connection, verdict)
}

/// What a terminal shows of these, in order.
private func shown(
    width: Int = 80, unicode: Bool = true, follow: Bool = false, blocks: Int? = 40, stop: Bool = true,
    _ body: (FoldingSink) -> Void
) -> String {
    let capture = Capture()
    let terminal = TerminalSink(output: capture.output, width: width, colour: false, unicode: unicode, follow: follow)
    let sink = FoldingSink(terminal, blocksPerSecond: blocks, follow: follow)
    sink.start(ArticleCase.start)
    body(sink)
    if stop { sink.stop(ArticleCase.totals) }
    return capture.text()
}

private func tell(_ sink: FoldingSink, _ one: (connection: Connection, verdict: Verdict)) {
    for step in one.connection.steps { sink.step(step, of: one.connection) }
    sink.verdict(one.verdict, of: one.connection)
}

private func blocks(in text: String) -> Int { text.split(separator: "\n").count { $0.hasPrefix(" ✗ ") } }

/// Failures that were told in a line.
private func repeats(in text: String) -> Int { text.split(separator: "\n").count { $0.contains(" again, ") } }

@Suite struct FoldingTests {
    private func flood(_ sink: FoldingSink) {
        for number in 0..<815 { tell(sink, refused(from: UInt16(40_000 + number), at: UInt64(number) * 1_000_000)) }
    }

    @Test func threeOfAKindAndTheRestInOneLine() {
        let text = shown(flood)
        #expect(blocks(in: text) == 1)
        #expect(repeats(in: text) == 2)
        #expect(
            text.hasSuffix(
                """
                 … 23:59:59Z no_listener again, 3 times: 198.51.100.7:40002 → 203.0.113.10:8080

                 … 812 more like this in the last second: no_listener 203.0.113.10:8080 (e.g.
                   from 198.51.100.7:40814)


                """))
        let wide = shown(width: 200, flood)
        #expect(
            wide.hasSuffix(
                """

                 … 812 more like this in the last second: no_listener 203.0.113.10:8080 (e.g. from 198.51.100.7:40814)


                """))
    }

    @Test func withoutUnicode() {
        let text = shown(unicode: false, flood)
        #expect(text.utf8.allSatisfy { $0 < 0x80 })
        #expect(text.contains("\n ... 812 more like this in the last second: no_listener 203.0.113.10:8080 (e.g."))
    }

    @Test func whatIsSlowIsShown() {
        let text = shown { sink in
            for number in 0..<30 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number) * 400_000_000)) }
        }
        #expect(blocks(in: text) == 1)
        #expect(repeats(in: text) == 29)
        #expect(!text.contains("more"))
    }

    @Test func eachSecondAnew() {
        let text = shown { sink in
            for number in 0..<10 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number))) }
            for number in 10..<15 { tell(sink, refused(from: UInt16(number + 1), at: second + UInt64(number))) }
        }
        #expect(blocks(in: text) == 1)
        #expect(repeats(in: text) == 5)
        #expect(text.contains("7 more like this"))
        #expect(text.contains("2 more like this"))
        // What was only counted counts as well.
        #expect(text.contains("again, 11 times: 198.51.100.7:11 → 203.0.113.10:8080"))
        // Before what is shown of the next second.
        let first = text.firstRange(of: "7 more")?.lowerBound
        let next = text.firstRange(of: "198.51.100.7:11 →")?.lowerBound
        if let first, let next { #expect(first < next) } else { Issue.record("not shown: \(text)") }
    }

    @Test func aSecondEndsWithoutAnythingMore() {
        let capture = Capture()
        let terminal = TerminalSink(output: capture.output, width: 80, colour: false, unicode: true, follow: false)
        let sink = FoldingSink(terminal, blocksPerSecond: 40, follow: false)
        #expect(sink.nextDeadline == nil)
        for number in 0..<10 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number))) }
        #expect(sink.nextDeadline == ArticleCase.startTime + second)
        sink.tick(at: ArticleCase.startTime + second - 1)
        #expect(!capture.text().contains("more like this"))
        sink.tick(at: ArticleCase.startTime + second)
        #expect(capture.text().contains("7 more like this"))
        #expect(sink.nextDeadline == nil)
    }

    /// Three of each of a hundred services, of which forty blocks are shown.
    @Test func allKindsTogetherAreLimited() {
        let text = shown { sink in
            for round in 0..<4 {
                for service in 0..<100 {
                    let destination = endpoint("203.0.113.10", UInt16(8000 + service))
                    let code: VerdictCode = service < 90 ? .noListener : .synUnanswered
                    tell(sink, refused(from: UInt16(round + 1), to: destination, at: 5, code: code))
                }
            }
        }
        #expect(blocks(in: text) == 40)
        // Five kinds have their lines; no one is forgotten.
        let lines = text.split(separator: "\n").filter { $0.hasPrefix(" …") }
        #expect(lines.count == 6)
        #expect(lines.prefix(5).allSatisfy { $0.hasPrefix(" … 3 more like this in the last second: no_listener") })
        #expect(lines.last == " … 345 others in the last second: 305 no_listener, 40 syn_unanswered")
    }

    /// The most frequent first, and what is not the same is told apart.
    @Test func kindsByPlaceAndRule() {
        let rule = Rule(id: "7", ruleset: "ip filter input", text: "tcp dport 8080 drop")
        let text = shown(width: 200) { sink in
            for number in 0..<10 { tell(sink, refused(from: UInt16(number + 1), at: 1)) }
            for number in 0..<20 {
                tell(sink, refused(from: UInt16(number + 100), at: 2, code: .filterDropped, rule: rule))
            }
        }
        #expect(blocks(in: text) == 2)
        #expect(repeats(in: text) == 4)
        let lines = text.split(separator: "\n").filter { $0.contains("more like this") }
        #expect(
            lines == [
                " … 17 more like this in the last second: filter_dropped 203.0.113.10:8080 by rule ip filter input 7 "
                    + "(e.g. from 198.51.100.7:119)",
                " … 7 more like this in the last second: no_listener 203.0.113.10:8080 (e.g. from 198.51.100.7:10)",
            ])
    }

    /// A scan of many ports: what is kept stays bounded, and the sum right.
    @Test func moreKindsThanAreKept() {
        let text = shown(blocks: 10) { sink in
            for port in 1...5000 {
                tell(sink, refused(from: 1, to: endpoint("203.0.113.10", UInt16(port)), at: UInt64(port)))
            }
        }
        #expect(blocks(in: text) == 10)
        #expect(text.hasSuffix("\n … 4990 more in the last second: 4990 no_listener\n\n"))
    }

    @Test func aLossIsAlwaysShown() {
        let text = shown(blocks: 1) { sink in
            flood(sink)
            var loss = ArticleCase.loss
            loss.time = ArticleCase.startTime + 2 * second
            sink.loss(loss)
        }
        let folded = text.firstRange(of: "814 more like this")?.lowerBound
        let lost = text.firstRange(of: "!! 12 events lost")?.lowerBound
        if let folded, let lost { #expect(folded < lost) } else { Issue.record("not shown: \(text)") }
    }

    /// Step by step, a connection is shown with all its steps, or not at all.
    @Test func following() {
        let text = shown(follow: true, blocks: 2) { sink in
            let all = (1...5).map { refused(from: UInt16($0), at: UInt64($0)) }
            for one in all { sink.step(one.connection.steps[0], of: one.connection) }
            for one in all { sink.step(one.connection.steps[1], of: one.connection) }
            for one in all { sink.verdict(one.verdict, of: one.connection) }
        }
        for port in 1...2 { #expect(text.contains("198.51.100.7:\(port) →")) }
        for port in 3...5 { #expect(!text.contains("198.51.100.7:\(port) →")) }
        #expect(text.split(separator: "\n").count { $0.contains("RST made") } == 2)
        #expect(text.split(separator: "\n").count { $0.contains("✗ no_listener") } == 2)
        #expect(text.hasSuffix("\n … 3 more in the last second: 3 no_listener\n\n"))
    }

    @Test func leftOutByTheReaderIsSaidInTheTerminalsWay() {
        let capture = Capture()
        let terminal = TerminalSink(output: capture.output, width: 80, colour: false, unicode: true, follow: false)
        terminal.loss(Loss(reason: Loss.outputNotRead, scope: .output, events: 812, total: 900, time: 2, since: 1))
        #expect(
            capture.text() == """
                !! 812 parts of this left out, because it was not read in time (900 since the
                start).

                """)
    }
}

/// What fails again as something that was shown did.
@Suite struct RepeatTests {
    private let minute: UInt64 = 60_000_000_000
    private let other = endpoint("203.0.113.99", 25)

    @Test func aHealthCheckIsExplainedOnce() {
        let text = shown { sink in
            for number in 0..<5 { tell(sink, refused(from: UInt16(40_000 + number), at: UInt64(number) * 2 * second)) }
        }
        #expect(blocks(in: text) == 1)
        #expect(
            text.hasSuffix(
                """
                   where     socket

                 … 00:00:01Z no_listener again, 2 times: 198.51.100.7:40001 → 203.0.113.10:8080
                 … 00:00:03Z no_listener again, 3 times: 198.51.100.7:40002 → 203.0.113.10:8080
                 … 00:00:05Z no_listener again, 4 times: 198.51.100.7:40003 → 203.0.113.10:8080
                 … 00:00:07Z no_listener again, 5 times: 198.51.100.7:40004 → 203.0.113.10:8080

                """))
    }

    /// In a replay nothing is limited by rate; with 0 there is no folding at all, which `Display` decides.
    @Test func withoutALimitByRate() {
        let text = shown(blocks: nil) { sink in
            for number in 0..<500 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number))) }
        }
        #expect(blocks(in: text) == 1)
        #expect(repeats(in: text) == 499)
        #expect(!text.contains("more like this"))
    }

    @Test func theClientDoesNotCount() {
        let sentences = [
            "10.0.0.1:4000 and 10.0.0.1 (sport 4000) at 10.0.0.12",
            "10.0.0.2:5000 and 10.0.0.2 (sport 5000) at 10.0.0.12",
        ]
        let text = shown { sink in
            for (index, sentence) in sentences.enumerated() {
                let client = endpoint("10.0.0.\(index + 1)", UInt16(4000 + 1000 * index))
                let dialled = Tuple(source: client, destination: other)
                let connection = Connection(isn: 1, dialled: dialled, startTime: ArticleCase.startTime)
                var verdict = makeVerdict(.dropped, .failure, sentence, advice: ["Look at \(client)"])
                verdict.time = ArticleCase.startTime + UInt64(index) * second
                sink.verdict(verdict, of: connection)
            }
        }
        #expect(blocks(in: text) == 1 && repeats(in: text) == 1)
    }

    @Test func othersAreShownInFull() {
        let rule = Rule(id: "7", ruleset: "ip filter input", text: "drop")
        let text = shown { sink in
            let all = [
                refused(from: 1, at: 0), refused(from: 2, to: other, at: 0), refused(from: 3, at: 0, rule: rule),
                refused(from: 4, at: 0, code: .dropped), refused(from: 5, at: 0, sentence: "Something else."),
                refused(from: 6, at: 0, sentence: "To 198.51.100.70."),
                refused(from: 7, at: 0, sentence: "To 198.51.100.71."),
            ]
            for (index, one) in all.enumerated() {
                var one = one
                one.verdict.time += UInt64(index) * second
                tell(sink, one)
            }
            var advised = refused(from: 8, at: 9 * second)
            advised.verdict.advice = ["Do something"]
            tell(sink, advised)
            let translated = refused(from: 9, at: 11 * second)
            translated.connection.course.translated = Tuple(
                source: translated.connection.dialled.source, destination: endpoint("10.0.0.2", 80))
            tell(sink, translated)
            var revised = refused(from: 10, at: 13 * second)
            revised.verdict.isRevised = true
            tell(sink, revised)
            var established = refused(from: 11, at: 15 * second)
            established.verdict.outcome = .success
            tell(sink, established)
            established.verdict.time += second
            tell(sink, established)
        }
        #expect(blocks(in: text) == 10)
        #expect(text.split(separator: "\n").count { $0.hasPrefix(" ✓ ") } == 2)
        #expect(repeats(in: text) == 0)
    }

    /// After ten minutes, if something else was shown since, or if it stayed away.
    @Test func inFullAgainWhenItIsOutOfSight() {
        // Alone, and again and again: never.
        let alone = shown { sink in
            for number in 0..<40 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number) * minute)) }
        }
        #expect(blocks(in: alone) == 1)
        // With something else in between: once in ten minutes, and no more.
        let among = shown { sink in
            for number in 0..<40 {
                tell(sink, refused(from: UInt16(number + 1), at: UInt64(number) * minute))
                if number == 5 { tell(sink, refused(from: 1, to: other, at: UInt64(number) * minute + 1)) }
            }
        }
        #expect(blocks(in: among) == 3)
        #expect(among.contains("198.51.100.7:11 → 203.0.113.10:8080   "))
        let away = shown { sink in
            tell(sink, refused(from: 1, at: 0))
            tell(sink, refused(from: 2, at: 9 * minute))
            tell(sink, refused(from: 3, at: 19 * minute))
        }
        #expect(blocks(in: away) == 2 && repeats(in: away) == 1)
    }

    @Test func whatIsRememberedIsBounded() {
        var memory = RepeatMemory()
        func isRepeated(_ port: Int, at time: UInt64) -> Bool {
            let one = refused(from: 1, to: endpoint("203.0.113.10", UInt16(port)), at: time)
            return memory.take(one.verdict, of: one.connection) != nil
        }
        for port in 1...RepeatMemory.maximumKinds { #expect(!isRepeated(port, at: UInt64(port))) }
        for port in 2...RepeatMemory.maximumKinds { #expect(isRepeated(port, at: UInt64(1000 + port))) }
        #expect(!isRepeated(60_000, at: 5000))
        // The one that stayed away longest made room.
        #expect(!isRepeated(1, at: 6000))
    }

    /// Where rows can be taken back, each kind has one, as it is now; they are written before something else is.
    @Test func heldAtTheBottomOfATerminal() {
        let capture = Capture()
        let terminal = TerminalSink(output: capture.output, width: 100, colour: false, unicode: true, follow: false)
        terminal.holdsRepeats = true
        let sink = FoldingSink(terminal, blocksPerSecond: 40, follow: false)
        sink.start(ArticleCase.start)
        tell(sink, refused(from: 1, at: 0))
        tell(sink, refused(from: 2, to: other, at: 0))
        let before = capture.text()
        for number in 1...9 {
            tell(sink, refused(from: UInt16(100 * number), at: UInt64(number) * 2 * second))
            #expect(terminal.holdsNews)
            if number == 3 { tell(sink, refused(from: 7, to: other, at: UInt64(number) * 2 * second + 1)) }
            _ = terminal.heldRows()
            #expect(!terminal.holdsNews)
        }
        #expect(capture.text() == before)
        let rows = terminal.heldRows()
        #expect(rows.count == 2)
        #expect(rows[0].hasPrefix(" … 00:00:05Z no_listener again, 2 times: 198.51.100.7:7 → 203.0.113.99:25"))
        #expect(rows[1].hasPrefix(" … 00:00:17Z no_listener again, 10 times: 198.51.100.7:900 → 203.0.113.10:8080"))
        #expect(rows.allSatisfy { columns($0) < 100 })
        tell(sink, refused(from: 3, to: endpoint("203.0.113.50", 1), at: 30 * second))
        #expect(terminal.heldRows().isEmpty)
        let rest = String(capture.text().dropFirst(before.count))
        #expect(rest.hasPrefix(rows.joined(separator: "\n") + "\n\n198.51.100.7:3 → 203.0.113.50:1 "))
        tell(sink, refused(from: 9, at: 40 * second))
        sink.stop(ArticleCase.totals)
        #expect(capture.lines().dropLast().last?.contains("11 times: ") == true)
    }

    /// As many kinds as there are rows for; the others are written.
    @Test func notTooManyAreHeld() {
        let capture = Capture()
        let terminal = TerminalSink(output: capture.output, width: 100, colour: false, unicode: true, follow: false)
        terminal.holdsRepeats = true
        let sink = FoldingSink(terminal, blocksPerSecond: nil, follow: false)
        for round in 0..<2 {
            for port in 1...8 {
                tell(sink, refused(from: 5, to: endpoint("203.0.113.10", UInt16(port)), at: UInt64(round)))
            }
        }
        #expect(terminal.heldRows().count == TerminalSink.maximumHeld)
        #expect(repeats(in: capture.text()) == 3)
    }

    /// What was left out because nobody read is not known yet.
    @Test func whatWasLeftOutIsNoExplanation() {
        final class Deaf: BlockSink {
            var totalLeftOut: UInt64 = 0
            var shown = 0
            var repeated = 0
            func start(_ start: StartInfo) {}
            func step(_ step: borrowing Step, of connection: Connection) {}
            func verdict(_ verdict: Verdict, of connection: Connection) {
                if shown == 0, totalLeftOut == 0 { totalLeftOut = 1 } else { shown += 1 }
            }
            func loss(_ loss: Loss) {}
            func stop(_ totals: Totals) {}
            func folded(_ blocks: FoldedBlocks) {}
            func repeated(_ block: RepeatedBlock) { repeated += 1 }
        }
        let deaf = Deaf()
        let sink = FoldingSink(deaf, blocksPerSecond: nil, follow: false)
        for number in 1...3 { tell(sink, refused(from: UInt16(number), at: UInt64(number))) }
        #expect(deaf.shown == 1 && deaf.repeated == 1)
    }
}
