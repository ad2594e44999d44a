// A flood of the same on a terminal: the first few, and in one line how many more there were.

import Testing

@testable import Handshake
@testable import Output

private let second: UInt64 = 1_000_000_000

/// A connection that was refused, and its verdict.
private func refused(
    from port: UInt16, to destination: Endpoint = endpoint("203.0.113.10", 8080), at time: UInt64,
    code: VerdictCode = .noListener, rule: Rule? = nil
) -> (connection: Connection, verdict: Verdict) {
    let dialled = Tuple(source: endpoint("198.51.100.7", port), destination: destination)
    let connection = Connection(isn: UInt32(port), dialled: dialled, startTime: ArticleCase.startTime + time)
    connection.steps = [
        makeStep(
            0, at: time, .syn, .ingress, function: "net:netif_receive_skb",
            packet: Packet(tuple: dialled, flags: .syn, seq: 1, ack: 0, payload: 0)),
        makeStep(1, at: time + 1000, .reset, .socket, function: "tcp_v4_send_reset", detail: .reset(.tcp)),
    ]
    var verdict = makeVerdict(code, .failure, "Nothing listens on \(destination).", stage: .socket, rule: rule)
    verdict.time = ArticleCase.startTime + time
    return (connection, verdict)
}

/// What a terminal shows of these, in order.
private func shown(
    width: Int = 80, unicode: Bool = true, follow: Bool = false, blocks: Int = 40, stop: Bool = true,
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

@Suite struct FoldingTests {
    private func flood(_ sink: FoldingSink) {
        for number in 0..<815 { tell(sink, refused(from: UInt16(40_000 + number), at: UInt64(number) * 1_000_000)) }
    }

    @Test func threeOfAKindAndTheRestInOneLine() {
        let text = shown(flood)
        #expect(blocks(in: text) == 3)
        #expect(
            text.hasSuffix(
                """

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
        #expect(blocks(in: text) == 30)
        #expect(!text.contains("more"))
    }

    @Test func eachSecondAnew() {
        let text = shown { sink in
            for number in 0..<10 { tell(sink, refused(from: UInt16(number + 1), at: UInt64(number))) }
            for number in 10..<15 { tell(sink, refused(from: UInt16(number + 1), at: second + UInt64(number))) }
        }
        #expect(blocks(in: text) == 6)
        #expect(text.contains("7 more like this"))
        #expect(text.contains("2 more like this"))
        // Before the blocks of the next second.
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
        #expect(blocks(in: text) == 6)
        let lines = text.split(separator: "\n").filter { $0.hasPrefix(" …") }
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
