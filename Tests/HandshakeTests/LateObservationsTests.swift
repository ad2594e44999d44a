// A SYN that matches the filter only once it is translated is told late: the kernel side holds back what it did
// before. Others were judged meanwhile, and a replay has to judge them in the same order.

import CNattrace
import Foundation
import Output
import Testing

@testable import Handshake

@Suite("Late observations")
struct LateObservationsTests {
    @Test("A recording tells what was late in the order in which it was told live")
    func replay() throws {
        let path = FileManager.default.temporaryDirectory.appending(path: "nattrace-\(UUID()).ntrace").path
        defer { try? FileManager.default.removeItem(atPath: path) }
        let start = StartInfo(
            version: "0", hostName: "host", kernel: "6.1", backends: [:], missing: [], filter: "", time: Story.start,
            realtimeOffset: 0)
        let writer = try RecordingWriter(
            path: path, header: RecordingHeader(start: start, unansweredAfter: 5_000_000_000))
        let live = Order()
        let explainer = Explainer(options: ExplainerOptions(), facts: NoFacts(), sink: live)
        func observe(_ observations: [nattrace_observation], at time: Duration) throws {
            for (index, observation) in observations.enumerated() {
                var raw = observation
                raw.time_ns = Story.clock(time) + UInt64(index) * 1000
                writer.observation(raw, passed: explainer.time)
                explainer.observe(try #require(Observation(raw)), raw: raw)
            }
        }

        try observe(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        // The verdict of the first is due in between.
        explainer.advance(to: Story.clock(.milliseconds(60)))
        let other = syn(from: client, to: inner, isn: someISN &+ 1_000_000)
        try observe([other.received(by: "eth0")], at: .milliseconds(45))
        try observe([other.reset()], at: .milliseconds(61))
        explainer.advance(to: Story.clock(.seconds(1)))
        explainer.finish(at: explainer.time)
        writer.finish(explainer.totals)
        #expect(live.told.firstIndex(of: "verdict 0")! < live.told.firstIndex(of: "step 1")!)

        let reader = try RecordingReader(path: path)
        let again = Order()
        let replay = Explainer(options: ExplainerOptions(), facts: NoFacts(), sink: again)
        while let item = try reader.next() { replay.replay(item) }
        replay.finish(at: replay.time)
        #expect(again.told == live.told)
    }

    private final class NoFacts: Facts {
        func answer(_ question: Question) -> Answer { .unavailable("not asked") }
    }

    /// What is told of which connection, numbered by their beginnings.
    private final class Order: Sink {
        private(set) var told: [String] = []
        private var known: [Connection] = []

        func start(_ start: StartInfo) {}
        func step(_ step: Step, of connection: Connection) { told.append("step \(number(connection))") }
        func verdict(_ verdict: Verdict, of connection: Connection) { told.append("verdict \(number(connection))") }
        func loss(_ loss: Loss) {}
        func stop(_ totals: Totals) {}

        private func number(_ connection: Connection) -> Int {
            if let known = known.firstIndex(where: { $0.id == connection.id }) { return known }
            known.append(connection)
            return known.count - 1
        }
    }
}
