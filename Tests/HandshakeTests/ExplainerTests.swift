// Which observation belongs to which connection, when a verdict is given, and to whom it is told.

import CNattrace
import FoundationEssentials
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("Which connection an observation belongs to")
struct BelongingTests {
    @Test("A SYN before and after its translation, in two namespaces, is one connection")
    func oneConnection() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
            syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
            syn(from: client, to: inner).at(Place.backend).received(by: "veth0"),
            synack(from: inner, to: client).at(Place.backend).sent(by: "veth0"),
            synack(from: published, to: client).answering(.toInner).sent(by: "eth0"))
        #expect(story.sink.connections.count == 1)
    }

    @Test("A rewrite that nothing told of is followed by the end that stayed the same")
    func unseenRewrite() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), syn(from: client, to: inner).at(Place.backend).received(by: "veth0"))
        #expect(story.sink.connections.count == 1)
        #expect(story.steps.count == 2)
    }

    @Test("The same number by chance on other addresses and ports is another connection")
    func sameNumber() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), syn(from: "192.0.2.1:1024", to: "10.9.9.9:443").received(by: "eth0"))
        #expect(
            story.sink.connections.map(\.dialled) == [flow(client, published), flow("192.0.2.1:1024", "10.9.9.9:443")])
        #expect(story.sink.connections.allSatisfy { $0.steps.count == 1 })
    }

    @Test("Answers of two connections with the same number find their own")
    func sameNumberAnswers() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), syn(from: "192.0.2.1:1024", to: "10.9.9.9:443").received(by: "eth0"),
            synack(from: published, to: client).sent(by: "eth0"),
            rst(from: "10.9.9.9:443", to: "192.0.2.1:1024").sent(by: "eth0"))
        #expect(story.sink.connections.map { $0.steps.map(\.action) } == [[.syn, .synack], [.syn, .rst]])
    }

    @Test("A scanner that dials many ports with one number makes many connections")
    func scanner() {
        let story = Story()
        for port in 1...5 {
            story.at(.milliseconds(port), syn(from: client, to: "203.0.113.10:\(port)").received(by: "eth0"))
        }
        #expect(story.sink.connections.map(\.dialled.destination.port) == [1, 2, 3, 4, 5])
    }

    @Test("The same ports with another number are another connection")
    func samePorts() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"))
        story.at(.milliseconds(1), syn(from: client, to: published, isn: someISN + 1).received(by: "eth0"))
        #expect(story.sink.connections.count == 2)
        #expect(Set(story.sink.connections.map(\.id)).count == 2)
    }

    @Test("A SYN that is sent again belongs to its connection although its client reset an answer")
    func answerNotUnderstood() {
        let story = Story()
        let answer = synack(from: inner, to: client)
        let pauses: [Duration] = [.zero, .seconds(1), .seconds(3), .seconds(7), .seconds(15)]
        for time in pauses {
            story.at(
                time, someSyn.at(Place.client).sent(by: "eth0"), answer.at(Place.client).received(by: "eth0"),
                answer.at(Place.client).reset(), clientRst(from: client, to: inner).at(Place.client).sent(by: "eth0"))
        }
        #expect(story.sink.connections.count == 1)
    }

    @Test("A SYN that is sent again although it was answered with an RST: that did not reach the client")
    func resetNotReceived() {
        let story = Story()
        let pauses: [Duration] = [.zero, .seconds(1), .seconds(3), .seconds(7), .seconds(15)]
        for time in pauses {
            story.at(
                time, someSyn.received(by: "eth0"), someSyn.reset(), rst(from: published, to: client).sent(by: "eth0"))
        }
        #expect(story.sink.connections.count == 1)
    }

    @Test("What is no SYN begins no connection")
    func noSyn() {
        let story = Story()
        story.at(
            .zero, synack(from: published, to: client).received(by: "eth0"),
            ack(from: client, to: published).received(by: "eth0"),
            rst(from: published, to: client).sent(by: "eth0"),
            ack(from: client, to: published).socket(from: .synSent, to: .established),
            natRule(.destination, from: inner, flags: 3, binds: .plain))
        #expect(story.steps.isEmpty)
        #expect(story.explainer.totals.events == 5)
    }

    @Test("What was dialled is known from the entry, also where the SYN is seen translated first")
    func dialledFromEntry() {
        let story = Story()
        story.at(.zero, syn(from: client, to: inner).with(.toInner).delivered())
        #expect(story.sink.connections.first?.dialled == flow(client, published))
        #expect(story.sink.connections.first?.translated == flow(client, inner))
    }

    @Test("A closed socket without port belongs to the only connection with its number")
    func withoutPort() {
        let story = Story()
        story.at(
            .zero, someSyn.sent(by: "eth0"),
            ack(from: "198.51.100.7:0", to: published).socket(from: .synSent, to: .established))
        #expect(story.actions == [.syn, .established])
    }

    @Test("Only the namespace that is asked for is observed")
    func netns() {
        let story = Story { $0.filter.netns = Place.gateway }
        story.at(.zero, someSyn.at(Place.client).sent(by: "veth"), someSyn.received(by: "eth0"))
        #expect(story.steps == ["syn ingress"])
    }
}

@Suite("When a verdict is given")
struct VerdictTimeTests {
    @Test("The reset that was just made still finds its way into the timeline")
    func settles() {
        let story = Story()
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens.prefix(2), at: .zero)
        story.silence(until: .milliseconds(200))
        #expect(story.verdicts.isEmpty)
        story.tell(Array(Scene.nobodyListens.dropFirst(2)), at: .milliseconds(200))
        story.silence(until: .milliseconds(249))
        #expect(story.verdicts.isEmpty)
        story.silence(until: .milliseconds(251))
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].duration == 200_001_000)
    }

    @Test("A reset that is never seen leaving is waited for no longer than a quarter of a second")
    func settlesWithoutReset() {
        let story = Story()
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens.prefix(2), at: .zero)
        story.silence(until: .milliseconds(249))
        #expect(story.verdicts.isEmpty)
        story.silence(until: .milliseconds(251))
        #expect(story.codes == [.noListener])
    }

    @Test("A SYN that was passed on is unanswered after the time set, and not before")
    func unanswered() {
        let story = Story { $0.unansweredAfter = 2_000_000_000 }
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.silence(until: .milliseconds(1999))
        #expect(story.verdicts.isEmpty)
        #expect(story.explainer.nextDeadline.map { $0 <= Story.clock(.seconds(2)) } == true)
        story.silence(until: .seconds(2))
        #expect(story.codes == [.synUnanswered])
        #expect(story.verdicts[0].time == Story.clock(.seconds(2)))
    }

    @Test("A client that sends its SYN again does not put off the verdict")
    func resending() {
        let story = Story()
        for second in [0, 1, 3] {
            story.at(.seconds(second), someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        }
        story.silence(until: .seconds(5))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("Established is said once its last end says so")
    func established() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake.dropLast(), at: .zero)
        story.silence(until: .milliseconds(100))
        #expect(story.verdicts.isEmpty)
        story.at(.milliseconds(100), Scene.handshake.last!)
        story.silence(until: .milliseconds(100) + Story.settled)
        #expect(story.codes == [.established])
        #expect(story.verdicts[0].outcome == .success && story.verdicts[0].advice.isEmpty)
        #expect(story.verdicts[0].sentence == "198.51.100.7:41234 reached 10.0.0.2:8080 (dialled as 203.0.113.10:80).")
    }

    @Test("Once it is said, nothing is told of the segments that follow")
    func afterEstablished() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.established])
        let count = story.actions.count
        let segments = [ack(from: client, to: published), clientRst(from: client, to: published)]
        for segment in segments {
            story.at(
                Story.settled, segment.received(by: "eth0"), segment.with(.toInner).conntrack(.match),
                segment.invalid("packet (index %d) in dir %d invalid, state %s"),
                segment.with(.toInner).rewritten(.destination, .prerouting), segment.with(.toInner).delivered())
        }
        #expect(story.actions.count == count)
        #expect(story.codes == [.established])
    }

    @Test("A client on this machine is established when its own socket says so")
    func establishedClient() {
        let story = Story()
        story.at(
            .zero, someSyn.sent(by: "eth0"), synack(from: published, to: client).received(by: "eth0"),
            ack(from: client, to: published).socket(from: .synSent, to: .established))
        story.silence(until: Story.settled)
        #expect(story.codes == [.established])
    }

    @Test("A client's word is not enough where the server is on this machine too")
    func establishedClientOnly() {
        let story = Story()
        story.at(
            .zero, someSyn.sent(by: "lo"), synack(from: published, to: client).sent(by: "lo"),
            ack(from: client, to: published).socket(from: .synSent, to: .established))
        story.silence(until: Story.settled)
        #expect(story.verdicts.isEmpty)
    }

    @Test("Between two others, the ACK that is passed on establishes")
    func establishedForwarded() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            synack(from: published, to: client).received(by: "eth1"),
            synack(from: published, to: client).sent(by: "eth0"),
            ack(from: client, to: published).received(by: "eth0"))
        story.silence(until: Story.settled)
        #expect(story.verdicts.isEmpty)
        story.at(Story.settled, ack(from: client, to: published).sent(by: "eth1"))
        story.silence(until: Story.settled + Story.settled)
        #expect(story.codes == [.established])
    }

    @Test("Facts are not asked for a connection that succeeds")
    func noFactsForSuccess() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        story.ends(at: .seconds(1))
        #expect(story.codes == [.established])
        #expect(
            !story.facts.asked.contains {
                if case .listeners = $0 { true } else { false }
            })
    }

    @Test("A drop of a copy, as a bridge makes, decides nothing once the SYN goes on")
    func copies() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "br0"), someSyn.dropped(reason: 2), someSyn.sent(by: "veth1", index: 5))
        story.silence(until: .seconds(4))
        #expect(story.verdicts.isEmpty)
    }

    @Test("A drop of a copy decides nothing once there is an answer")
    func copyBeforeAnswer() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "veth1", index: 5), someSyn.dropped(reason: 2),
            synack(from: published, to: client).received(by: "veth1", index: 5),
            synack(from: published, to: client).sent(by: "eth0"))
        story.silence(until: .milliseconds(100))
        #expect(story.verdicts.isEmpty)
    }

    @Test("A copy that a bridge flooded to somebody else decides nothing, however late the answer")
    func copyForAnother() {
        let story = Story()
        story.facts.dropReason("OTHERHOST", is: 9)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1"),
            someSyn.received(by: "veth"), someSyn.dropped(reason: 9))
        story.silence(until: Story.settled)
        #expect(story.verdicts.isEmpty)
    }

    @Test("A copy that is dropped after the answer decides nothing either")
    func copyAfterAnswer() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "veth1", index: 5),
            synack(from: published, to: client).received(by: "veth1", index: 5),
            synack(from: published, to: client).sent(by: "eth0"), someSyn.dropped(reason: 2))
        story.silence(until: .milliseconds(100))
        #expect(story.verdicts.isEmpty)
    }

    @Test("A drop that nothing follows is a verdict")
    func drop() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.silence(until: Story.settled)
        #expect(story.codes == [.dropped])
    }
}

@Suite("Sent again and repaired")
struct RevisionTests {
    private func refusedTwice(second: Duration) -> Story {
        let story = Story()
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: .seconds(1))
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: second)
        story.silence(until: .seconds(2))
        return story
    }

    @Test("A SYN sent again that ends the same adds steps and no verdict")
    func sameEnd() {
        let story = refusedTwice(second: .seconds(1))
        #expect(story.codes == [.noListener])
        #expect(story.sink.connections.count == 1)
        #expect(story.actions.count { $0 == .reset } == 2)
        #expect(story.explainer.totals.verdicts == [.noListener: 1])
    }

    @Test("One that is established after a repair revises the verdict, and counts once")
    func repaired() {
        let story = Story()
        let sending = rule(
            .destination(inner), at: .prerouting, for: published, handle: 4, in: "ip nat prerouting",
            "dnat to 10.0.0.2:8080")
        story.facts.rules(sending)
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: .seconds(1))
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .seconds(1))
        story.ends(at: .seconds(2))
        #expect(story.codes == [.noListener, .established])
        #expect(story.verdicts.map(\.isRevised) == [false, true])
        #expect(story.verdicts.map(\.replaces?.code) == [nil, .noListener])
        // For who counts by it: only evidence names it.
        #expect(story.verdicts[0].rule == nil && story.verdicts[1].replaces?.rule == sending.rule)
        #expect(story.sink.totals?.verdicts == [.established: 1])
        #expect(story.explainer.verdictsGiven == 2)
    }

    @Test("Who was not told the first verdict does not hear that another one takes its place")
    func repairedAndOnlyThenAskedFor() {
        let story = Story { $0.selection.codes = [.established] }
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        #expect(story.explainer.inFlight == 1)
        story.silence(until: .seconds(1))
        #expect(story.explainer.inFlight == 0)
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .seconds(1))
        story.ends(at: .seconds(2))
        #expect(story.codes == [.established])
        #expect(story.verdicts.map(\.isRevised) == [true])
        #expect(story.verdicts.map(\.replaces) == [nil])
    }

    @Test("After a drop, a SYN sent again is a new attempt with an end of its own")
    func newAttempt() {
        let story = Story()
        story.facts.listening(port: 80)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.silence(until: .seconds(1))
        story.at(.seconds(1), someSyn.received(by: "eth0"), someSyn.lookedUp(), someSyn.reset())
        story.silence(until: .seconds(2))
        #expect(story.codes == [.dropped, .noListener])
        #expect(story.sink.connections.count == 1)
    }

    @Test("What an earlier attempt led to does not decide the next one")
    func earlierAttempt() {
        let story = Story()
        story.facts.listening(port: 80)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.lookedUp(), someSyn.reset())
        story.silence(until: .seconds(1))
        story.at(.seconds(1), someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.silence(until: .seconds(2))
        #expect(story.codes == [.noListener, .dropped])
        #expect(story.verdicts.last?.checklist.answer == Checklist.Answer.none)
        #expect(story.sink.connections.count == 1)
    }

    @Test("A SYN sent again that is lost from sight takes no verdict back")
    func lostAgain() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(7))
        story.at(.seconds(7), someSyn.received(by: "eth0"))
        story.silence(until: .seconds(60))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("An answer sent again after one that was dropped has its own time to be answered")
    func answeredAgain() {
        let story = Story()
        let answer = synack(from: published, to: client)
        story.at(
            .zero, someSyn.received(by: "eth0"), answer.sent(by: "eth0"),
            answer.at(Place.client).dropped(reason: 2))
        story.silence(until: .seconds(8))
        story.at(.seconds(8), answer.sent(by: "eth0"))
        story.silence(until: .seconds(12))
        #expect(story.codes == [.dropped])
        story.silence(until: .seconds(13))
        #expect(story.codes == [.dropped, .synackUnanswered])
    }

    @Test("A client that resets the answer sends its SYN again, for as long as one that gets none")
    func clientResetsAndSendsAgain() {
        let story = Story()
        for second in [0, 1, 3, 7] {
            story.at(
                .seconds(second), syn(from: client, to: published).received(by: "eth0"),
                synack(from: inner, to: client).sent(by: "eth0"), synack(from: inner, to: client).reset(),
                clientRst(from: client, to: inner).received(by: "eth0"))
        }
        story.ends(at: .seconds(8))
        #expect(story.codes.count == 1)
        #expect(story.sink.connections.count == 1)
    }

    @Test("A dropped SYN is not forgotten because it is sent again and dropped again")
    func droppedAgain() {
        let story = Story()
        for second in [0, 1, 3, 7] {
            story.at(.seconds(second), someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        }
        story.ends(at: .seconds(8))
        #expect(story.codes == [.dropped])
    }

    @Test("An unanswered SYN that is sent again and unanswered again has one verdict")
    func unansweredAgain() {
        let story = Story()
        for second in [0, 1, 3, 7, 15, 31] {
            story.at(.seconds(second), someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        }
        story.silence(until: .seconds(50))
        #expect(story.codes == [.synUnanswered])
        #expect(story.sink.connections.count == 1)
    }

    @Test("An answer that comes after the verdict is given its time to be answered")
    func lateAnswer() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(6))
        #expect(story.codes == [.synUnanswered])
        story.at(
            .seconds(6), synack(from: published, to: client).received(by: "eth1", index: 3),
            synack(from: published, to: client).sent(by: "eth0"))
        story.silence(until: .milliseconds(6100))
        #expect(story.codes == [.synUnanswered])
        story.silence(until: .seconds(12))
        #expect(story.codes == [.synUnanswered, .synackUnanswered])
    }

    @Test("What follows success adds no verdict")
    func afterSuccess() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        story.silence(until: .milliseconds(100))
        story.at(
            .milliseconds(100), rst(from: published, to: client).sent(by: "eth0"),
            ack(from: client, to: inner).dropped(reason: 2),
            ack(from: client, to: inner).reset(socket: 0x9000))
        story.ends(at: .seconds(10))
        #expect(story.codes == [.established])
        #expect(story.actions.last == .established)
    }
}

@Suite("What is told of a run")
struct TellingTests {
    private func oneOfEach(_ change: (inout ExplainerOptions) -> Void) -> Story {
        let story = Story(change)
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: .milliseconds(100))
        let other = syn(from: "198.51.100.8:5000", to: published, isn: 99)
        story.at(
            .milliseconds(100), other.sent(by: "eth0"),
            ack(from: "198.51.100.8:5000", to: published, isn: 99).socket(from: .synSent, to: .established))
        story.silence(until: .milliseconds(200))
        let third = syn(from: "198.51.100.9:5000", to: published, isn: 199)
        story.at(.milliseconds(200), third.received(by: "eth0"), third.dropped(reason: 2))
        story.ends(at: .seconds(1))
        return story
    }

    @Test("Without a selection all are told, as they happen")
    func all() {
        let story = oneOfEach { _ in }
        #expect(story.codes == [.noListener, .established, .dropped])
    }

    @Test("--failed leaves out what succeeded, steps and all, and counts it")
    func failedOnly() {
        let story = oneOfEach { $0.selection.failedOnly = true }
        #expect(story.codes == [.noListener, .dropped])
        #expect(!story.actions.contains(.established))
        #expect(story.sink.totals?.verdicts == [.noListener: 1, .established: 1, .dropped: 1])
    }

    @Test("--verdict tells only those, steps and all")
    func codes() {
        let story = oneOfEach { $0.selection.codes = [.dropped] }
        #expect(story.codes == [.dropped])
        #expect(story.steps == ["syn ingress", "drop nowhere"])
    }

    @Test("With a selection, no step is told before its verdict")
    func stepsWait() {
        let story = Story { $0.selection.failedOnly = true }
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        #expect(story.steps.isEmpty)
        story.silence(until: Story.settled)
        #expect(story.steps.count == 9 && story.codes == [.noListener])
    }

    @Test("A connection that was told is also told when it ends otherwise")
    func toldOnce() {
        let story = Story { $0.selection.failedOnly = true }
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: .seconds(1))
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .seconds(1))
        story.ends(at: .seconds(2))
        #expect(story.codes == [.noListener, .established])
    }

    @Test("After the verdicts asked for, no more is told")
    func maximumVerdicts() {
        let story = oneOfEach { $0.maximumVerdicts = 2 }
        #expect(story.codes == [.noListener, .established])
        #expect(story.explainer.isExhausted && story.explainer.verdictsGiven == 2)
        #expect(story.actions.last == .established)
        #expect(story.sink.totals?.verdicts == [.noListener: 1, .established: 1])
    }

    @Test("Verdicts that are not selected do not use up the count")
    func maximumOfSelected() {
        let story = oneOfEach {
            $0.maximumVerdicts = 1
            $0.selection.codes = [.dropped]
        }
        #expect(story.codes == [.dropped])
    }

    @Test("What the filter does not take is neither told nor counted")
    func filtered() {
        let story = oneOfEach { $0.filter.sources = [AddressPrefix("198.51.100.9")!] }
        #expect(story.codes == [.dropped])
        #expect(story.sink.totals?.verdicts == [.dropped: 1])
        #expect(story.sink.connections.count == 1)
    }

    @Test("One that turns out to match after its translation is told from its beginning")
    func filteredLate() {
        let story = Story { $0.filter.destinationPorts = [8080...8080] }
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new))
        #expect(story.steps.isEmpty)
        story.at(.milliseconds(1), syn(from: client, to: inner).with(.toInner).delivered())
        #expect(story.actions.first == .syn)
        #expect(story.sink.steps.map(\.step.sequence) == Array(0..<story.steps.count))
    }

    @Test("A verdict that was never counted is not taken back from another connection")
    func uncounted() {
        let story = Story { $0.filter.interfaces = ["eth1"] }
        let other = syn(from: "198.51.100.8:5000", to: published, isn: 99)
        story.at(.zero, other.received(by: "eth1", index: 3), other.dropped(reason: 2))
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.dropped(reason: 2))
        story.silence(until: .seconds(1))
        #expect(story.explainer.totals.verdicts == [.dropped: 1])
        story.facts.listening(port: 80)
        story.at(.seconds(1), someSyn.received(by: "eth1", index: 3), someSyn.lookedUp(), someSyn.reset())
        story.ends(at: .seconds(2))
        #expect(story.sink.totals?.verdicts == [.dropped: 1, .noListener: 1])
    }

    @Test("Losses are told and summed")
    func losses() {
        let story = Story()
        for count: UInt64 in [3, 4] {
            story.loses(
                Loss(reason: "ring buffer full", scope: .observations, events: count, total: count, time: 0, since: 0))
        }
        story.ends(at: .seconds(1))
        #expect(story.sink.losses.map(\.events) == [3, 4])
        #expect(story.sink.totals?.lost == 7)
    }
}

@Suite("What a loss makes doubtful")
struct LossScopeTests {
    @Test(
        "Only what was lost of followed handshakes does",
        arguments: [
            (LossScope.observations, VerdictCode.unexplained), (.handshakes, .synUnanswered), (.output, .synUnanswered),
        ])
    func scopes(_ scope: LossScope, _ code: VerdictCode) {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1"))
        story.loses(at: .seconds(1), scope: scope)
        story.silence(until: .seconds(6))
        #expect(story.codes == [code])
    }

    @Test("A loss recorded before there were scopes makes everything doubtful")
    func older() throws {
        let text = #"{"events":1,"reason":"ring buffer full","since":1,"time":2,"total":1}"#
        #expect(try JSONDecoder().decode(Loss.self, from: Data(text.utf8)).scope == .observations)
    }
}

@Suite("When tracing ends")
struct EndTests {
    @Test("A reset that has not settled yet is a verdict")
    func unsettled() {
        let story = Story()
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens.prefix(2), at: .zero)
        story.ends(at: .milliseconds(1))
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].outcome == .failure)
    }

    @Test("What nothing decided has an unknown outcome")
    func undecided() {
        for last in [someSyn.sent(by: "eth1", index: 3), synack(from: published, to: client).sent(by: "eth0")] {
            let story = Story()
            story.at(.zero, someSyn.received(by: "eth0"), last)
            story.ends(at: .seconds(1))
            #expect(story.codes == [.unexplained])
            #expect(story.verdicts[0].outcome == .unknown)
            #expect(
                story.verdicts[0].sentence.hasPrefix(
                    "Tracing ended 1 s after the first SYN to 203.0.113.10:80, before anything was decided."))
        }
    }

    @Test("A time that is over by the end is over")
    func deadlineFirst() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.ends(at: .seconds(6))
        #expect(story.codes == [.synUnanswered])
        #expect(story.verdicts[0].outcome == .failure)
    }

    @Test("Those in flight are told in the order of their beginning, and then the totals")
    func order() {
        let story = Story()
        for number: UInt32 in [5, 3, 9, 1] {
            story.at(
                .milliseconds(Int(10 - number)), syn(from: client, to: published, isn: number).received(by: "eth0"))
        }
        // Observations come in the order of their times but for a moment: beginnings count.
        story.ends(at: .seconds(1))
        let times = story.sink.verdicts.map(\.connection.startTime)
        #expect(times.count == 4 && times == times.sorted())
        #expect(story.sink.totals?.verdicts == [.unexplained: 4])
        #expect(story.sink.totals?.events == 4)
    }

    @Test("A verdict that stands is not given again")
    func standing() {
        let story = Story.refused(where: [])
        story.ends(at: .milliseconds(40))
        #expect(story.codes == [.noListener])
    }

    @Test("A change that has not settled yet is told")
    func lateChange() {
        let story = Story.refused(where: [])
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .milliseconds(100))
        story.ends(at: .milliseconds(101))
        #expect(story.codes == [.noListener, .established])
    }
}

@Suite("Bounds and forgetting")
struct BoundTests {
    @Test("A finished connection is forgotten under all of its numbers")
    func forgotten() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        story.silence(until: .milliseconds(500))
        #expect(story.forgotten.isEmpty)
        story.silence(until: .seconds(6))
        #expect(story.forgotten == [someISN, serverISN])
    }

    @Test("A SYN with data is followed by the number behind its data as well (TCP Fast Open)")
    func forgottenWithData() {
        let story = Story()
        var syn = someSyn
        syn.payload = 100
        story.at(.zero, syn.received(by: "eth0"), syn.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(300))
        #expect(story.forgotten == [someISN, someISN + 100])
    }

    @Test("After it was forgotten, its number begins another connection")
    func numberAgain() {
        let story = Story.refused(where: [])
        story.silence(until: .seconds(10))
        #expect(story.forgotten == [someISN])
        story.at(.seconds(10), someSyn.received(by: "eth0"))
        #expect(story.sink.connections.count == 2)
        #expect(story.explainer.nextDeadline != nil)
    }

    @Test("An unanswered one is kept for the SYN that comes a minute later")
    func keptLong() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(63))
        story.at(.seconds(63), someSyn.received(by: "eth0"))
        #expect(story.sink.connections.count == 1)
        story.silence(until: .seconds(300))
        #expect(story.forgotten == [someISN])
        #expect(story.explainer.nextDeadline == nil)
    }

    private static let bound = 64

    private func story(_ change: (inout ExplainerOptions) -> Void = { _ in }) -> Story {
        Story {
            $0.maximumConnections = Self.bound
            change(&$0)
        }
    }

    private func fill(_ story: Story, _ numbers: Range<Int>) {
        for number in numbers {
            var raw = syn(from: client, to: published, isn: UInt32(number)).received(by: "eth0")
            raw.time_ns = Story.clock(.milliseconds(200)) + UInt64(number) * 1000
            story.observes(raw)
        }
    }

    @Test("Beyond the bound the oldest goes; what was begun to be told gets an end")
    func evicted() {
        let story = story()
        fill(story, 0..<Self.bound)
        #expect(story.explainer.evicted == 0 && story.verdicts.isEmpty)
        fill(story, Self.bound..<Self.bound + 3)
        #expect(story.explainer.evicted == 3)
        #expect(story.sink.verdicts.map(\.connection.isn) == [0, 1, 2])
        #expect(story.verdicts.allSatisfy { $0.code == .unexplained && $0.outcome == .unknown })
        #expect(story.verdicts.allSatisfy { !$0.sentence.contains("Tracing ended") })
        #expect(story.forgotten == [0, 1, 2])
    }

    @Test("One of which nothing was told goes without a word, and is counted")
    func evictedInSilence() {
        let story = story { $0.selection.failedOnly = true }
        fill(story, 0..<Self.bound + 3)
        #expect(story.explainer.evicted == 3 && story.forgotten == [0, 1, 2])
        #expect(story.verdicts.isEmpty && story.steps.isEmpty)
        #expect(story.explainer.totals.verdicts.isEmpty)
    }

    @Test("First go those that had their verdict, the oldest verdict first, and are not counted as lost")
    func evictedAfterVerdict() {
        let story = story { $0.selection.codes = [.dropped] }
        // The second one began later and was dropped earlier.
        for (number, time) in [(90_001, 2), (90_002, 1)] as [(UInt32, Int)] {
            let syn = syn(from: client, to: published, isn: number)
            story.at(.milliseconds(Int(number - 90_001)), syn.received(by: "eth0"))
            story.at(.milliseconds(10 * time), syn.dropped())
        }
        story.silence(until: .milliseconds(150))
        #expect(story.codes == [.dropped, .dropped])
        fill(story, 0..<Self.bound - 2)
        #expect(story.forgotten.isEmpty)
        fill(story, Self.bound - 2..<Self.bound - 1)
        #expect(story.forgotten == [90_002])
        fill(story, Self.bound - 1..<Self.bound)
        #expect(story.forgotten == [90_002, 90_001])
        #expect(story.explainer.evicted == 0)
        fill(story, Self.bound..<Self.bound + 1)
        #expect(story.forgotten == [90_002, 90_001, 0])
        #expect(story.explainer.evicted == 1)
    }

    @Test("What was told of an evicted connection does not come again: its number begins another one")
    func afterEviction() {
        let story = story()
        fill(story, 0..<Self.bound + 1)
        var raw = syn(from: client, to: published, isn: 0).received(by: "eth0")
        raw.time_ns = Story.clock(.milliseconds(300))
        story.observes(raw)
        #expect(story.sink.steps.filter { $0.connection.isn == 0 }.map(\.step.sequence) == [0, 0])
    }

    @Test("What is gone is not kept in memory")
    func released() {
        let sink = WeakSink()
        let explainer = Explainer(options: ExplainerOptions(), facts: FakeFacts(), sink: sink)
        for number: UInt32 in 0..<1000 {
            var first = syn(from: client, to: published, isn: number).sent(by: "eth0")
            var last = ack(from: client, to: published, isn: number).socket(from: .synSent, to: .established)
            first.time_ns = Story.clock(.seconds(Int(number)))
            last.time_ns = first.time_ns + 1000
            for raw in [first, last] { explainer.observe(Observation(raw)!, raw: raw) }
        }
        #expect(explainer.totals.verdicts == [.established: 999])
        #expect(sink.alive < 5)
    }

    @Test("A flood keeps no more at work than so many, nor what it pushed out")
    func flood() {
        let sink = WeakSink()
        var options = ExplainerOptions()
        options.maximumConnections = 2000
        options.maximumAtWork = 100
        let explainer = Explainer(options: options, facts: FakeFacts(), sink: sink)
        for number in 0..<UInt32(6000) {
            var raw = syn(from: client, to: published, isn: number).sent(by: "eth0")
            raw.time_ns = Story.clock(.zero) + UInt64(number)
            explainer.observe(Observation(raw)!, raw: raw)
        }
        #expect(explainer.evicted == 4000)
        #expect(sink.alive == 100)
    }

    /// So many connections begin, with so many steps each; returns how many of them are at work in the end.
    private func atWork(_ connections: Int, steps: Int, _ change: (inout ExplainerOptions) -> Void) -> Int {
        let sink = WeakSink()
        var options = ExplainerOptions()
        change(&options)
        let explainer = Explainer(options: options, facts: FakeFacts(), sink: sink)
        for number in 0..<connections {
            let syn = syn(from: client, to: published, isn: UInt32(number))
            for step in 0..<steps {
                var raw = syn.received(by: "eth0", index: UInt32(step + 1))
                raw.time_ns = Story.clock(.zero) + UInt64(number) * 100 + UInt64(step)
                explainer.observe(Observation(raw)!, raw: raw)
            }
        }
        return sink.alive
    }

    @Test("At work, memory is what is bounded: the more steps, the fewer connections")
    func bytesAtWork() {
        let bound = 50 * 4096
        let (short, long) = (
            atWork(500, steps: 1) { $0.maximumBytesAtWork = bound },
            atWork(500, steps: 20) { $0.maximumBytesAtWork = bound }
        )
        #expect(short > 2 * long && long > 0)
        #expect(short * MemoryLayout<Step>.stride <= bound && long * 20 * MemoryLayout<Step>.stride <= bound)
        #expect(atWork(500, steps: 20) { _ in } == 500)
    }

    @Test("A connection to which more happens than is kept of one goes, and is counted")
    func endless() {
        var options = ExplainerOptions()
        options.selection.failedOnly = true
        let sink = CollectingSink()
        var forgotten: [UInt32] = []
        let explainer = Explainer(options: options, facts: FakeFacts(), sink: sink) { forgotten.append($0) }
        // Nothing of one observation is like the one before it.
        var random = SeededRandom(seed: 3)
        for count in 0..<1000 {
            var raw = syn(from: client, to: published).received(by: "eth0")
            raw.time_ns = Story.clock(.zero) + UInt64(count) * 1000
            raw.location = random.next()
            raw.ct_original = random.bytes()
            raw.ct_reply = random.bytes()
            explainer.observe(Observation(raw)!, raw: raw)
        }
        #expect(explainer.evicted == 1)
        #expect(forgotten == [someISN])
        #expect(sink.verdicts.isEmpty && sink.steps.isEmpty)
        explainer.finish(at: explainer.time)
        #expect(sink.verdicts.count == 1, "its number began another one")
    }
}

@Suite("Many connections with one number")
struct OneNumberTests {
    @Test("Each packet finds its own among those that a scanner dials with one number")
    func scanner() {
        let story = Story { $0.selection.failedOnly = true }
        let ports = 1000..<1300
        func target(_ port: Int) -> String { "203.0.113.10:\(port)" }
        story.facts.answers = Dictionary(
            uniqueKeysWithValues: ports.map {
                (.listeners(port: UInt16($0), netns: Place.gateway), .listeners([]))
            })
        for (index, port) in ports.enumerated() {
            let syn = syn(from: client, to: target(port))
            story.at(.microseconds(10 * index), syn.received(by: "eth0"), syn.delivered())
        }
        // The answers come in another order.
        for (index, port) in ports.reversed().enumerated() where port % 2 == 0 {
            story.at(
                .milliseconds(10) + .microseconds(10 * index), syn(from: client, to: target(port)).lookedUp(),
                syn(from: client, to: target(port)).reset(),
                rst(from: target(port), to: client).sent(by: "eth0"))
        }
        story.silence(until: .seconds(1))
        #expect(story.codes == Array(repeating: .noListener, count: 150))
        #expect(Set(story.sink.verdicts.map(\.connection.dialled.destination.port)).count == 150)
        #expect(story.sink.verdicts.allSatisfy { $0.connection.dialled.destination.port % 2 == 0 })
        #expect(story.sink.connections.allSatisfy { $0.steps.count == 5 })
        story.silence(until: .seconds(300))
        #expect(story.forgotten.count == 300)
        #expect(story.explainer.nextDeadline == nil)
    }
}

@Suite("Under pressure")
struct PressureTests {
    private func handshake(_ story: Story, isn: UInt32, at time: Duration) {
        let ends = (client: "198.51.100.8:\(isn)", server: published)
        story.at(
            time, syn(from: ends.client, to: ends.server, isn: isn).sent(by: "eth0"),
            synack(from: ends.server, to: ends.client, isn: isn).received(by: "eth0"),
            ack(from: ends.client, to: ends.server, isn: isn).socket(from: .synSent, to: .established))
    }

    @Test("Of those that succeed the verdict is told alone, and their steps are counted")
    func success() {
        let story = Story()
        story.isPressed(true)
        handshake(story, isn: 99, at: .zero)
        story.silence(until: .milliseconds(100))
        #expect(story.codes == [.established] && story.steps.isEmpty)
        #expect(story.explainer.stepsLeftOut == 3)
        #expect(story.sink.verdicts[0].connection.isBrief)
        // Sent again after that, it is left out as well.
        story.at(.milliseconds(200), syn(from: "198.51.100.8:99", to: published, isn: 99).sent(by: "eth0"))
        #expect(story.steps.isEmpty && story.explainer.stepsLeftOut == 4)
        story.ends(at: .seconds(10))
        #expect(story.sink.totals?.verdicts == [.established: 1])
    }

    @Test("Of those that fail all is told, with the verdict")
    func failure() {
        let story = Story()
        story.isPressed(true)
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        #expect(story.steps.isEmpty)
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener] && story.steps.count == 9)
        #expect(story.explainer.stepsLeftOut == 0)
        // It is told from now on.
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .seconds(1))
        story.ends(at: .seconds(2))
        #expect(story.codes == [.noListener, .established])
        #expect(story.actions.last == .established)
    }

    @Test("What began before goes on being told, what begins after is told again")
    func begunBefore() {
        let story = Story()
        let (first, last) = (Scene.synReachesTCP, Scene.handshake)
        story.tell(first, at: .zero)
        story.isPressed(true)
        story.tell(last, at: .milliseconds(1))
        handshake(story, isn: 99, at: .milliseconds(2))
        story.isPressed(false)
        handshake(story, isn: 199, at: .milliseconds(3))
        story.silence(until: .seconds(1))
        #expect(story.codes == [.established, .established, .established])
        #expect(Set(story.sink.steps.map(\.connection.isn)) == [someISN, 199])
        #expect(story.explainer.stepsLeftOut == 3)
    }

    @Test("That steps were left out makes no verdict more general")
    func evidenceStands() {
        for scope in [LossScope.observations, .handshakes, .output] {
            let story = Story()
            story.at(.zero, someSyn.received(by: "eth0"))
            let now = Story.clock(.milliseconds(1))
            story.loses(Loss(reason: "", scope: scope, events: 1, total: 1, time: now, since: now))
            story.silence(until: .seconds(6))
            #expect(story.verdicts[0].sentence.contains("observations were lost") == (scope == .observations))
            #expect(story.sink.losses.count == 1)
        }
    }

    @Test("What nobody asked for is not counted as left out")
    func notAskedFor() {
        let story = Story { $0.filter.destinationPorts = [443...443] }
        story.isPressed(true)
        handshake(story, isn: 99, at: .zero)
        story.ends(at: .seconds(1))
        #expect(story.explainer.stepsLeftOut == 0)
    }

    @Test("When tracing ends, what is in flight is told with its steps")
    func end() {
        let story = Story()
        story.isPressed(true)
        story.at(.zero, someSyn.received(by: "eth0"))
        story.ends(at: .milliseconds(1))
        #expect(story.codes == [.unexplained] && story.steps == ["syn ingress"])
    }
}

/// Remembers connections without keeping them.
private final class WeakSink: Sink {
    private struct Reference { weak var connection: Connection? }
    private var references: [Reference] = []
    var alive: Int { references.count { $0.connection != nil } }

    func start(_ start: StartInfo) {}
    func step(_ step: Step, of connection: Connection) {
        if step.sequence == 0 { references.append(Reference(connection: connection)) }
    }
    func verdict(_ verdict: Verdict, of connection: Connection) {}
    func loss(_ loss: Loss) {}
    func stop(_ totals: Totals) {}
}
