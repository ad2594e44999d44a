// Connections that are put away: their observations in few bytes, and made again as they were.

import CNattrace
import Foundation
import Output
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("Observations made small")
struct ObservationCodecTests {
    private static func bytes(_ raw: nattrace_observation) -> [UInt8] { withUnsafeBytes(of: raw) { Array($0) } }

    /// Written and read back; returns the bytes that it took.
    private func roundTrip(_ raw: nattrace_observation, after previous: nattrace_observation) -> Int {
        let room = ObservationCodec.maximumBytes + ObservationCodec.slack
        return withUnsafeTemporaryAllocation(byteCount: room + 8, alignment: 8) { buffer in
            // Where nothing may be written, there is a sign that nothing was.
            buffer.initializeMemory(as: UInt8.self, repeating: 0xa5)
            let start = buffer.baseAddress! + 1
            let count = ObservationCodec.encode(raw, after: previous, to: start)
            #expect(count <= ObservationCodec.maximumBytes)
            #expect(buffer[0] == 0xa5 && buffer[(1 + room)...].allSatisfy { $0 == 0xa5 })
            // What stands behind it is something else's.
            (start + count).storeBytes(of: .max, as: UInt64.self)
            var read = previous
            #expect(ObservationCodec.decode(from: start, onto: &read) == count)
            #expect(Self.bytes(read) == Self.bytes(raw))
            return count
        }
    }

    @Test("Whatever the bytes are, they come back, in no more than the bound")
    func random() {
        var random = SeededRandom(seed: 1)
        var previous = nattrace_observation()
        for _ in 0..<2000 {
            let raw: nattrace_observation = random.bytes()
            _ = roundTrip(raw, after: previous)
            previous = raw
        }
    }

    @Test("Single bytes that differ come back, wherever they are")
    func sparse() {
        var random = SeededRandom(seed: 2)
        let previous: nattrace_observation = random.bytes()
        for position in 0..<MemoryLayout<nattrace_observation>.size {
            for others in 0..<4 {
                var raw = previous
                withUnsafeMutableBytes(of: &raw) { bytes in
                    bytes[position] ^= UInt8.random(in: 1...255, using: &random)
                    for _ in 0..<others {
                        bytes[Int.random(in: bytes.indices, using: &random)] ^= UInt8.random(
                            in: 1...255, using: &random)
                    }
                }
                _ = roundTrip(raw, after: previous)
            }
        }
    }

    @Test("The largest takes the bound, the same again four bytes")
    func bounds() {
        var ones = nattrace_observation()
        _ = withUnsafeMutableBytes(of: &ones) { $0.initializeMemory(as: UInt8.self, repeating: 0xff) }
        #expect(roundTrip(ones, after: nattrace_observation()) == ObservationCodec.maximumBytes)
        #expect(roundTrip(ones, after: ones) == 4)
    }
}

@Suite("A connection's past")
struct HistoryTests {
    @Test("Observations and events come back in their order, numbers beside them")
    func order() {
        var random = SeededRandom(seed: 4)
        var history = History()
        let names = Names(facts: FakeFacts())
        history.begin(with: names)
        var previous = nattrace_observation()
        var expected: [String] = []
        func word(_ raw: nattrace_observation) -> String { "\(withUnsafeBytes(of: raw) { Array($0) })" }
        for count in 0..<300 {
            switch count % 7 {
            case 2:
                history.append(.settled)
                expected.append("settled")
            case 3:
                history.append(.concluded(Rule(id: "\(count)"), translator: count))
                expected.append("rule \(count)")
            case 5:
                history.append(.succeeded)
                expected.append("succeeded")
            default:
                let raw: nattrace_observation = random.bytes()
                history.append(raw, after: previous)
                previous = raw
                expected.append(word(raw))
            }
        }
        for numbers: [UInt32] in [[], [7], [1, 2, 3, 4, 5, 6, 7, 8, 9, .max]] {
            let kept = history.kept(with: numbers)
            #expect(kept.numbers == numbers && kept.names === names)
            var reader = kept.makeReader()
            var found: [String] = []
            while let item = reader.next() {
                switch item {
                case .observation: found.append(word(reader.raw))
                case .event(.settled): found.append("settled")
                case .event(.succeeded): found.append("succeeded")
                case .event(.concluded(let rule, let index)):
                    #expect(rule.id == "\(index)")
                    found.append("rule \(index)")
                case .event: found.append("?")
                }
            }
            #expect(found == expected)
        }
    }

    @Test("What is kept can be written on, and stays as it was")
    func writtenOn() {
        var history = History()
        let raw = someSyn.received(by: "eth0")
        history.append(raw, after: nattrace_observation())
        let numbers: [UInt32] = Array(1...40)
        let kept = history.kept(with: numbers)
        var next = kept
        next.append(.settled)
        next.append(someSyn.delivered(), after: raw)
        var another = next
        another.append(.concluded(Rule(id: "1"), translator: 0))
        func items(_ history: History) -> Int {
            var reader = history.makeReader()
            var count = 0
            while reader.next() != nil { count += 1 }
            return count
        }
        #expect(items(kept) == 1 && kept.numbers == numbers)
        #expect(items(next) == 3 && items(another) == 4)
    }
}

@Suite("Put away and made again")
struct PuttingAwayTests {
    private func replay(_ name: String, _ change: (inout ExplainerOptions) -> Void) throws -> [String] {
        let reader = try RecordingReader(path: RecordingTests.folder.appending(path: name + ".ntrace").path)
        var options = ExplainerOptions()
        options.hooks = Set(reader.header.start.backends.keys)
        options.unansweredAfter = reader.header.unansweredAfter
        change(&options)
        let told = Telling()
        let explainer = Explainer(options: options, facts: reader.facts, sink: told)
        while let item = try reader.next() { explainer.replay(item) }
        explainer.finish(at: explainer.time)
        return told.all
    }

    @Test("A recording is explained the same, however few connections are at work", arguments: RecordingTests.names)
    func recording(_ name: String) throws {
        let expected = try replay(name) { _ in }
        #expect(!expected.isEmpty)
        for bound in [0, 1, 3] { #expect(try replay(name) { $0.maximumAtWork = bound } == expected) }
        #expect(try replay(name) { $0.maximumBytesAtWork = 20_000 } == expected)
        let failed = try replay(name) { $0.selection.failedOnly = true }
        #expect(
            try replay(name) {
                $0.selection.failedOnly = true
                $0.maximumAtWork = 0
            } == failed)
    }

    @Test("What was found in the conntrack table for a verdict stays, and is not asked for again")
    func foundInTable() {
        let story = Story()
        story.facts.entry(
            with: flow(client, published), is: (flow(client, published), flow(inner, client)))
        story.waits(someSyn.received(by: "eth0"))
        #expect(story.steps == ["syn ingress", "(conntrack.new prerouting)", "(nat.dnat prerouting)"])
        story.at(.seconds(6), someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.ends(at: .seconds(7))
        #expect(story.verdicts.count == 2)
        #expect(story.sink.verdicts.last?.connection.translated == flow(client, inner))
        #expect(story.sink.verdicts.last?.connection.steps.count == 5)
    }

    @Test("A decision that was told without the rule that made it is not told with a later one")
    func settled() {
        let story = Story { $0.selection.failedOnly = true }
        story.waits(someSyn.received(by: "eth0"), natRule(.destination, from: inner, flags: 3, binds: .plain))
        story.at(
            .seconds(6), someSyn.decided(.accept, by: 7, in: "ip nat prerouting", .prerouting),
            someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.ends(at: .seconds(7))
        #expect(story.sink.steps.filter { $0.step.action == .natDestination }.map(\.step.rule) == [nil])
    }

    @Test("Names stay those that were given, also where they have come to mean something else")
    func names() {
        let story = Story { $0.selection.failedOnly = true }
        story.facts.symbol("nf_hook_slow", at: 0x1000)
        story.facts.netns("blue", is: Place.gateway)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.dropped(in: 0x1000, reason: 2))
        story.facts.symbol("another_function", at: 0x1000)
        story.forgetsSymbols()
        let other = syn(from: "198.51.100.8:5000", to: published, isn: 99)
        story.at(.milliseconds(1), other.received(by: "eth0"), other.dropped(in: 0x1000, reason: 2))
        story.silence(until: .seconds(1))
        #expect(story.verdicts.map(\.function) == ["nf_hook_slow", "another_function"])
        // The first one goes on, and has both.
        story.at(.seconds(1), someSyn.received(by: "eth0"), someSyn.dropped(in: 0x1000, reason: 2))
        story.silence(until: .seconds(2))
        #expect(story.verdicts.last?.function == "another_function")
        story.at(.seconds(3), someSyn.received(by: "eth0"), someSyn.dropped(in: 0x1000, reason: 2))
        story.ends(at: .seconds(4))
    }

    @Test("A rule's text stays the one that it had when it decided")
    func ruleTexts() {
        let story = Story { $0.selection.failedOnly = true }
        for (second, text) in [(0, "drop the first"), (3, "drop the second"), (9, "drop the third")] {
            story.facts.rules(rule(.drop, at: .forward, handle: 7, text))
            story.at(
                .seconds(second), someSyn.received(by: "eth0"), someSyn.decided(.drop, by: 7, .forward),
                someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward))
            story.silence(until: .seconds(second + 1))
        }
        story.ends(at: .seconds(11))
        let texts = story.sink.steps.compactMap(\.step.rule?.text)
        #expect(texts == ["drop the first", "drop the second", "drop the third"])
    }
}
