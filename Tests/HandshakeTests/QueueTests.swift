// What keeps order: deadlines by their time, observations by theirs.

import CNattrace
import Testing

@testable import Handshake

@Suite("Deadline queue")
struct DeadlineQueueTests {
    @Test("Deadlines come up in the order of their times, however they were added")
    func order() {
        var queue = DeadlineQueue()
        let times = (0..<500).map { UInt64(($0 * 7919) % 1009) }
        for (index, time) in times.enumerated() { queue.add(UInt32(index), at: time) }
        var popped: [UInt64] = []
        while let (connection, time) = queue.popDue(by: .max) {
            #expect(times[Int(connection)] == time)
            popped.append(time)
        }
        #expect(popped == times.sorted())
        #expect(queue.isEmpty)
    }

    @Test("Nothing comes up before its time")
    func notBefore() {
        var queue = DeadlineQueue()
        queue.add(1, at: 10)
        #expect(queue.popDue(by: 9) == nil)
        #expect(queue.next == 10)
        #expect(queue.popDue(by: 10)?.time == 10)
        #expect(queue.next == nil && queue.popDue(by: .max) == nil)
    }

    @Test("What is added between takes its place")
    func addedBetween() {
        var queue = DeadlineQueue()
        for (index, time) in [UInt64(5), 1, 9].enumerated() { queue.add(UInt32(index), at: time) }
        #expect(queue.popDue(by: 5)?.time == 1)
        queue.add(1, at: 3)
        #expect(queue.popDue(by: 5)?.time == 3)
        #expect(queue.popDue(by: 5)?.time == 5)
        #expect(queue.popDue(by: 5) == nil)
    }

    @Test("A connection has one deadline, the earliest that it was given")
    func oneEach() {
        var queue = DeadlineQueue()
        for time: UInt64 in [7, 9, 3, 8] { queue.add(4, at: time) }
        #expect(queue.count == 1)
        #expect(queue.popDue(by: .max)?.time == 3)
        #expect(queue.isEmpty)
    }

    @Test("It agrees with a list that is searched, whatever is added, moved, removed and taken")
    func asModel() {
        var random = SeededRandom(seed: 5)
        var queue = DeadlineQueue()
        var model: [UInt32: UInt64] = [:]
        for _ in 0..<20_000 {
            let connection = UInt32.random(in: 0..<200, using: &random)
            switch Int.random(in: 0..<10, using: &random) {
            case 0..<6:
                let time = UInt64.random(in: 0..<1000, using: &random)
                queue.add(connection, at: time)
                model[connection] = min(model[connection] ?? .max, time)
            case 6..<8:
                queue.remove(connection)
                model[connection] = nil
            default:
                let taken = queue.popDue(by: UInt64.random(in: 0..<1000, using: &random))
                guard let taken else { continue }
                #expect(model[taken.connection] == taken.time && model.values.allSatisfy { $0 >= taken.time })
                model[taken.connection] = nil
            }
            #expect(queue.count == model.count && queue.next == model.values.min())
        }
    }
}

@Suite("Reorder buffer")
struct ReorderBufferTests {
    private func observation(_ time: UInt64, _ cpu: UInt16 = 0) -> nattrace_observation {
        var o = nattrace_observation()
        o.time_ns = time
        o.cpu = cpu
        return o
    }

    private func released(_ buffer: inout ReorderBuffer, upTo time: UInt64) -> [UInt64] {
        var times: [UInt64] = []
        buffer.release(upTo: time) { times.append($0.time_ns) }
        return times
    }

    @Test("What two processors wrote the other way round comes out in order")
    func order() {
        var buffer = ReorderBuffer()
        for time: UInt64 in [3, 1, 2, 5, 4] { buffer.add(observation(time)) }
        #expect(released(&buffer, upTo: 5) == [1, 2, 3, 4, 5])
        #expect(buffer.isEmpty)
    }

    @Test("What is younger is held back, and joined by what comes after")
    func heldBack() {
        var buffer = ReorderBuffer()
        for time: UInt64 in [10, 30] { buffer.add(observation(time)) }
        #expect(released(&buffer, upTo: 29) == [10])
        #expect(buffer.count == 1)
        buffer.add(observation(20))
        #expect(released(&buffer, upTo: 19) == [])
        #expect(released(&buffer, upTo: 30) == [20, 30])
    }

    @Test("Equal times keep the order of the ring")
    func equalTimes() {
        var buffer = ReorderBuffer()
        buffer.add(observation(2, 0))
        for cpu: UInt16 in 1...40 { buffer.add(observation(1, cpu)) }
        var cpus: [UInt16] = []
        buffer.release(upTo: 1) { cpus.append($0.cpu) }
        #expect(cpus == Array(1...40))
    }
}

@Suite("Names that are asked for once")
struct NamesTests {
    @Test("A name is asked for once, and so is the lack of one")
    func once() {
        let facts = FakeFacts()
        facts.symbol("nf_hook_slow", at: 0x1000)
        let names = Names(facts: facts)
        for _ in 1...3 {
            #expect(names.symbol(at: 0x1000) == "nf_hook_slow")
            #expect(names.symbol(at: 0x2000) == nil)
        }
        #expect(facts.asked == [.symbol(address: 0x1000), .symbol(address: 0x2000)])
    }

    @Test("Address zero and namespace zero are nobody's, and nobody is asked")
    func zero() {
        let facts = FakeFacts()
        let names = Names(facts: facts)
        #expect(names.symbol(at: 0) == nil && names.netns(0) == nil)
        #expect(facts.asked.isEmpty)
    }

    @Test("Drop and reset reasons of the same number are different questions")
    func reasons() {
        let facts = FakeFacts()
        facts.answers = [.dropReason(3): .name("NO_SOCKET"), .resetReason(3): .name("TCP_ABORT")]
        let names = Names(facts: facts)
        #expect(names.dropReason(3) == "NO_SOCKET")
        #expect(names.resetReason(3) == "TCP_ABORT")
    }

    @Test("What could not be asked is no name")
    func unavailable() {
        let facts = FakeFacts()
        facts.answers = [.netnsName(inode: 5): .unavailable("not permitted")]
        #expect(Names(facts: facts).netns(5) == nil)
    }

    @Test("After a module came, addresses are asked for anew")
    func forgotten() {
        let facts = FakeFacts()
        facts.symbol("before", at: 0x1000)
        let names = Names(facts: facts)
        #expect(names.symbol(at: 0x1000) == "before")
        facts.symbol("after", at: 0x1000)
        #expect(names.symbol(at: 0x1000) == "before")
        #expect(names.successor(forgettingSymbols: true).symbol(at: 0x1000) == "after")
        #expect(names.symbol(at: 0x1000) == "before", "who has the names of then keeps them")
    }

    @Test("Namespaces that came and went do not pile up")
    func bounded() {
        let facts = FakeFacts()
        var names = Names(facts: facts)
        for inode in UInt32(1)...5000 {
            _ = names.netns(inode)
            if names.isFull { names = names.successor() }
        }
        facts.netns("blue", is: 1)
        #expect(names.netns(1) == "blue")
    }

    @Test("A rule is asked for again after a second, and what it was before is remembered")
    func rules() throws {
        let facts = FakeFacts()
        let names = Names(facts: facts)
        let packet = syn(from: client, to: published)
        let decided = try #require(Observation(packet.decided(.drop, by: 7, in: "ip filter input", .input)))
        guard case .rule(let seen) = decided.detail else { fatalError("no rule: \(decided.detail)") }
        let question = Question.rule(family: .ip, table: "filter", handle: 7, netns: 1)
        func text(at seconds: Double) -> String? {
            names.rule(seen, netns: 1, at: UInt64(seconds * 1_000_000_000)).text
        }
        for (second, expected) in [(10.0, "a"), (11.5, "a"), (20, "b"), (30, "a")] {
            facts.answers[question] = .rule(Rule(id: "7", ruleset: nil, text: expected))
            #expect(text(at: second) == expected)
            #expect(text(at: second + 0.9) == expected)
        }
        let asked = facts.asked.count
        #expect(asked == 4)
        for (second, expected) in [(10.0, "a"), (12.4, "a"), (20.5, "b"), (30, "a"), (10.9, "a")] {
            #expect(text(at: second) == expected)
        }
        #expect(facts.asked.count == asked)
    }
}

@Suite("A connection's identity")
struct ConnectionIdentityTests {
    private func id(_ isn: UInt32, _ tuple: Tuple, _ time: UInt64) -> UInt64 {
        Connection(isn: isn, dialled: tuple, startTime: time).id
    }

    @Test("The same attempt has the same number in each run")
    func same() {
        #expect(id(7, flow(client, published), 99) == id(7, flow(client, published), 99))
        #expect(String(id(7, flow(client, published), 99), radix: 16) == "137c0f0bea7b241e")
    }

    @Test("Another number, time, address or port make another one")
    func different() {
        let all = [
            id(7, flow(client, published), 99),
            id(8, flow(client, published), 99),
            id(7, flow(client, published), 100),
            id(7, flow("198.51.100.8:41234", published), 99),
            id(7, flow("198.51.100.7:41235", published), 99),
            id(7, flow(client, "203.0.113.10:81"), 99),
            id(7, flow(client, "203.0.113.11:80"), 99),
            id(7, flow(client, published).reversed, 99),
        ]
        #expect(Set(all).count == all.count)
    }
}

@Suite("The trail of tuples")
struct TrailTests {
    @Test("A tuple is kept once, and found in its own direction only")
    func noted() {
        let trail = Trail()
        trail.note(flow(client, published))
        trail.note(flow(client, published))
        #expect(trail.tuples == [flow(client, published)])
        #expect(trail.contains(flow(client, published)))
        #expect(!trail.contains(flow(published, client)))
    }

    @Test("A packet that is rewritten again and again does not grow it without end")
    func bounded() {
        let trail = Trail()
        for port in 1...1000 { trail.note(flow("198.51.100.7:\(port)", published)) }
        #expect(trail.tuples.count == 16)
    }

    @Test("A tuple with one end kept may belong to it, one with none kept does not")
    func sharedEnd() {
        let trail = Trail()
        trail.note(flow(client, published))
        #expect(trail.sharesEnd(with: flow(client, inner)))
        #expect(trail.sharesEnd(with: flow("192.0.2.1:1024", published)))
        #expect(!trail.sharesEnd(with: flow("192.0.2.1:1024", inner)))
    }
}
