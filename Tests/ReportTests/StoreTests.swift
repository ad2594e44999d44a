// What is kept of many connections, and what goes first.

import Testing

@testable import Handshake
@testable import Output
@testable import Report

@Suite("Many connections")
struct StoreTests {
    private func sink(_ connections: Int, block: Int = 4) -> ReportSink {
        let sink = ReportSink(bounds: .init(connections: connections, blockConnections: block))
        sink.start(plainStart())
        return sink
    }

    private func tell(_ sink: ReportSink, _ code: VerdictCode, _ number: Int, isRevised: Bool = false) {
        let (verdict, connection) = judged(code, number, isRevised: isRevised)
        sink.verdict(verdict, of: connection)
    }

    @Test func keepsFailuresBeforeSuccesses() throws {
        let sink = sink(10)
        for number in 0..<30 { tell(sink, number % 5 == 4 ? .noListener : .established, number) }
        // Six failures, whenever they came; as many successes as there is room for, by whole blocks.
        let rows = try ReadPage(sink).rows
        #expect(rows.count { $0[2] == "no_listener" } == 6)
        #expect(rows.count <= 10)
        #expect(sink.store.leftOutFailed == 0)
        #expect(sink.store.leftOutSucceeded + rows.count == 30)
    }

    @Test func saysHowManyFailuresAreLeftOut() throws {
        let sink = sink(5)
        for number in 0..<12 { tell(sink, .noListener, number) }
        var totals = Totals()
        totals.verdicts = [.noListener: 12]
        sink.stop(totals)
        let page = try ReadPage(sink)
        #expect(try page.rows.count == 5)
        #expect(page.markup.contains("It has 5 connections and leaves out 7 that failed."))
        // The summary counts them all.
        #expect(page.markup.contains("None of 12 connections were established"))
        #expect(page.markup.contains(">12</a>"))
    }

    @Test func isBoundedInBytes() throws {
        let sink = ReportSink(bounds: .init(packedBytes: 2000, blockConnections: 4))
        sink.start(plainStart())
        for number in 0..<200 { tell(sink, .noListener, number) }
        #expect(sink.store.leftOutFailed > 0)
        #expect(sink.store.packedBlocks.reduce(0) { $0 + $1.bytes.count } < 4000)
    }

    @Test(arguments: [1, 3, 64])
    func countsARevisedConnectionOnce(block: Int) throws {
        let sink = sink(100, block: block)
        for number in 0..<3 { tell(sink, .noListener, number) }
        tell(sink, .established, 1, isRevised: true)
        let rows = try ReadPage(sink).rows
        #expect(rows.map { $0[2] }.sorted() == ["established", "no_listener", "no_listener"])
        #expect(sink.kinds.inOrder.map(\.kind.count) == [2, 1])
        tell(sink, .filterDropped, 2, isRevised: true)
        tell(sink, .noRoute, 2, isRevised: true)
        #expect(
            sink.kinds.inOrder.map(\.key.code).sorted { $0.rawValue < $1.rawValue } == [
                .established, .noListener, .noRoute,
            ])
        #expect(sink.store.count == 3)
    }

    @Test func listsEachConnectionOnceWhateverTheBlocks() throws {
        for count in [0, 1, 63, 64, 65, 200] {
            let sink = ReportSink()
            sink.start(plainStart())
            for number in 0..<count { tell(sink, number % 3 == 0 ? .established : .dropped, number) }
            let page = try ReadPage(sink)
            let rows = try page.rows
            #expect(Set(rows.map { $0[3] }).count == count)
            for row in rows {
                let (strings, details) = try page.details(row[0], row[1])
                #expect(strings[try #require(details["client"] as? Int)] == row[3])
            }
        }
    }

    @Test func boundsTheTable() throws {
        let sink = ReportSink(bounds: .init(), maximumKinds: 3)
        sink.start(plainStart())
        for number in 0..<10 {
            let (verdict, connection) = judged(.noListener, number, port: UInt16(number + 1))
            sink.verdict(verdict, of: connection)
        }
        #expect(sink.kinds.kinds.count == 3 && sink.kinds.others == [.noListener: 7])
        let (revised, connection) = judged(.established, 9, port: 10, isRevised: true)
        sink.verdict(revised, of: connection)
        #expect(sink.kinds.others == [.noListener: 6, .established: 1])
        #expect(try ReadPage(sink).markup.contains("And more that happened less often: 1 established, 6 no_listener."))
    }

    @Test func boundsLosses() {
        var losses = Losses()
        for number in 0..<1000 {
            losses.add(
                Loss(reason: "\(number)", scope: .handshakes, events: .max, total: 1, time: 1, since: 0))
        }
        #expect(losses.kinds.count == Losses.maximumReasons && losses.others == .max)
    }
}
