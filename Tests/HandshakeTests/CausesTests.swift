// The list of causes: what stands last, what losses leave of it, and in which order it is asked.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("The causes as a list")
struct CauseListTests {
    @Test("No code stands twice, and the last one applies to everything")
    func list() {
        let codes = Cause.all.map(\.code)
        #expect(Set(codes).count == codes.count)
        #expect(codes.last == .unexplained)
        let nothing = Case(
            Connection(isn: 1, dialled: flow(client, published), startTime: 0), ending: .nothing, isFinal: false,
            time: 0, observedHooks: [],
            facts: FakeFacts())
        #expect(Cause.all.filter { $0.applies(nothing) }.map(\.code) == [.unexplained])
    }
}

@Suite("Drops")
struct DropCausesTests {
    private func dropped(_ reason: String?, _ change: (Story) -> Void = { _ in }) throws -> Verdict {
        let story = Story()
        story.facts.symbol("nf_hook_slow", at: 0x1000)
        if let reason { story.facts.dropReason(reason, is: 8) }
        change(story)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.dropped(in: 0x1000, reason: reason == nil ? nil : 8))
        story.silence(until: Story.settled)
        return try #require(story.verdicts.first)
    }

    @Test("A dropped SYN has the function and the kernel's reason")
    func reason() throws {
        let verdict = try dropped("TCP_CSUM")
        #expect(verdict.code == .dropped && verdict.outcome == .failure)
        #expect(
            verdict.sentence
                == "The SYN 198.51.100.7:41234 → 203.0.113.10:80 was dropped in nf_hook_slow, reason TCP_CSUM.")
        #expect(verdict.reason == "TCP_CSUM" && verdict.function == "nf_hook_slow" && verdict.advice.isEmpty)
    }

    @Test("A kernel without reasons gives none")
    func noReason() throws {
        let verdict = try dropped(nil)
        #expect(
            verdict.sentence == "The SYN 198.51.100.7:41234 → 203.0.113.10:80 was dropped in nf_hook_slow.")
        #expect(verdict.reason == nil)
    }

    @Test("Where netfilter dropped it, the rules are to be looked at, in their namespace")
    func netfilter() throws {
        let verdict = try dropped("NETFILTER_DROP") { $0.facts.netns("blue", is: Place.gateway) }
        #expect(
            verdict.advice == [
                "A netfilter rule or policy dropped it; see the rules: ip netns exec blue nft -a list ruleset"
            ])
    }

    @Test("A dropped SYN-ACK is said to be one")
    func synackDropped() {
        let story = Story()
        let answer = synack(from: published, to: client)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1"), answer.received(by: "eth1"), answer.dropped()
        )
        story.silence(until: Story.settled)
        #expect(story.codes == [.dropped])
        #expect(
            story.verdicts[0].sentence
                == "The SYN-ACK 203.0.113.10:80 → 198.51.100.7:41234 was dropped in skb:kfree_skb.")
    }

    @Test("A dropped RST ends nothing that it did not end before")
    func rstDropped() {
        let story = Story.refused(where: [])
        let late = Story()
        late.at(.zero, someSyn.received(by: "eth0"), rst(from: published, to: client).dropped())
        late.silence(until: .seconds(1))
        #expect(late.verdicts.isEmpty && late.actions == [.syn, .drop])
        story.at(.milliseconds(40), rst(from: published, to: client).dropped())
        story.silence(until: .seconds(1))
        #expect(story.codes == [.noListener])
    }
}

@Suite("Losses")
struct LossCausesTests {
    @Test("What was not seen proves nothing once observations were lost")
    func unanswered() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.loses(at: .seconds(1))
        story.silence(until: .seconds(6))
        #expect(story.codes == [.unexplained])
        #expect(story.verdicts[0].sentence.contains("observations were lost"))
    }

    @Test("A loss before a connection began does not touch it")
    func before() {
        let story = Story()
        story.loses(at: .zero)
        story.at(.seconds(1), someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(7))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("An RST from outside may have been made here, where observations were lost")
    func resetFromOutside() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            rst(from: published, to: client).received(by: "eth1"))
        story.loses(at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
    }

    @Test("What was due before the loss is judged by what was known before")
    func dueBefore() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.loses(at: .seconds(20))
        #expect(story.codes == [.synUnanswered])
    }
}
