// From observations to steps: each kind tells what it should, and what adds nothing adds no step.

import CNattrace
import Testing

@testable import Handshake

@Suite("Timeline")
struct TimelineTests {
    @Test("A refused SYN is told from the device to TCP and back")
    func refusal() {
        let story = Story.refused(where: [])
        #expect(
            story.steps == [
                "syn ingress", "conntrack.new prerouting", "nat.dnat prerouting", "nat.dnat prerouting",
                "deliver socket", "listener socket", "reset socket", "nat.reverse output", "rst egress",
            ])
    }

    @Test("A handshake is told up to its end")
    func handshake() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        #expect(
            story.steps.dropFirst(5) == [
                "listener socket", "request socket", "transmit output", "nat.reverse output", "synack egress",
                "ack ingress", "deliver socket", "established socket",
            ])
    }

    @Test("Steps are numbered from zero without gaps, and their time never goes back")
    func numbers() {
        let story = Story()
        var late = syn(from: client, to: inner).with(.toInner).delivered()
        story.tell(Scene.synReachesTCP, at: .milliseconds(2))
        late.time_ns = Story.clock(.milliseconds(1))
        story.observes(late)
        let steps = story.sink.steps.map(\.step)
        #expect(steps.count == 6)
        #expect(steps.map(\.sequence) == Array(0..<6))
        #expect(zip(steps, steps.dropFirst()).allSatisfy { $0.time <= $1.time })
        #expect(steps.allSatisfy { $0.offset == $0.time - Story.clock(.milliseconds(2)) })
    }

    @Test("A step has the place, the packet and the device that were seen")
    func whatAStepHolds() throws {
        let story = Story()
        story.facts.netns("blue", is: Place.gateway)
        story.at(.zero, syn(from: client, to: published).received(by: "eth0"))
        let step = try #require(story.sink.steps.first?.step)
        #expect(step.function == "net:netif_receive_skb" && step.backend == .tracepoint)
        #expect(step.netns == Place.gateway && step.netnsName == "blue" && step.interface == "eth0")
        #expect(step.packet?.tuple == flow(client, published) && step.packet?.seq == someISN)
    }

    // MARK: Conntrack and NAT

    @Test("The question to conntrack is no step, its answers are")
    func conntrackAnswers() {
        for (decision, action) in [
            (ConntrackDecision.new, Action.conntrackNew), (.match, .conntrackMatch), (.invalid, .conntrackInvalid),
            (.untracked, .conntrackUntracked),
        ] {
            let story = Story()
            story.at(
                .zero, syn(from: client, to: published).received(by: "eth0"),
                syn(from: client, to: published).conntrack(.asked), syn(from: client, to: published).conntrack(decision)
            )
            #expect(story.actions == [.syn, action])
        }
    }

    @Test("A NAT decision is told with the observation after it, which may name the rule")
    func natRuleWaits() {
        let story = Story()
        story.tell(Array(Scene.synReachesTCP.prefix(4)), at: .zero)
        #expect(story.actions == [.syn, .conntrackNew])
        story.tell([Scene.synReachesTCP[4]], at: .milliseconds(1))
        #expect(story.actions == [.syn, .conntrackNew, .natDestination, .natDestination])
        // It is told at the time of the decision.
        #expect(story.sink.steps.map(\.step.offset) == [0, 2000, 3000, 1_000_000])
    }

    @Test("A rule that asks for one address and port says what the flow gets")
    func natRuleWithoutChoice() {
        let story = Story()
        story.tell(Array(Scene.synReachesTCP.prefix(4)), at: .zero)
        story.ends(at: .milliseconds(1))
        let range = NATRange(first: endpoint(inner), last: endpoint(inner), flags: 3)
        #expect(
            story.sink.steps.last?.step.detail
                == .translation(before: flow(client, published), after: flow(client, inner), asked: range))
    }

    @Test("A rule that leaves a choice, or asks for an address alone, promises no more than that")
    func natRuleWithChoice() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            natRule(.destination, from: "10.0.0.2:8080", to: "10.0.0.2:8090", flags: 3, binds: .plain),
            natRule(.destination, from: "10.0.0.2:0", flags: 1, binds: .plain),
            natRule(.source, from: "192.0.2.1:1024", to: "192.0.2.9:1024", flags: 3, binds: .plain))
        story.ends(at: .milliseconds(1))
        let after = story.sink.steps.dropFirst().map { told -> Tuple? in
            guard case .translation(_, let after, _) = told.step.detail else { return nil }
            return after
        }
        #expect(
            after == [
                flow(client, "10.0.0.2:80"), flow(client, "10.0.0.2:80"), flow("198.51.100.7:1024", published),
            ])
        #expect(story.actions == [.syn, .natDestination, .natDestination, .natSource])
    }

    @Test("A rewritten packet shows how it looked and will look")
    func rewritten() {
        let story = Story()
        story.tell(Scene.synReachesTCP, at: .zero)
        #expect(
            story.sink.steps[3].step.detail
                == .translation(before: flow(client, published), after: flow(client, inner), asked: nil))
        story.tell(Scene.nobodyListens, at: .microseconds(50))
        #expect(
            story.sink.steps[7].step.detail
                == .translation(before: flow(inner, client), after: flow(published, client), asked: nil))
    }

    @Test("A source that is rewritten on the way out is SNAT")
    func sourceRewritten() {
        let masqueraded = Entry(flow(client, published), to: flow("192.0.2.1:1024", published))
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: published).with(.plain).conntrack(.new),
            syn(from: client, to: published).with(masqueraded).rewritten(.source, .postrouting),
            syn(from: "192.0.2.1:1024", to: published).with(masqueraded).sent(by: "eth1", index: 3))
        #expect(story.steps == ["syn ingress", "conntrack.new prerouting", "nat.snat postrouting", "syn egress"])
        #expect(story.sink.connections.count == 1)
        #expect(story.sink.connections[0].translated == flow("192.0.2.1:1024", published))
        #expect(story.sink.connections[0].dialled == flow(client, published))
    }

    // MARK: Concluded steps

    @Test("Where only tracepoints are to be had, the entry and the reset tell what must have been")
    func inferred() {
        let story = Story()
        story.facts.symbol("tcp_v4_rcv", at: 0x1000)
        story.tell(Scene.refusalByTracepoints, at: .zero)
        #expect(
            story.steps == [
                "syn ingress", "(conntrack.new prerouting)", "(nat.dnat prerouting)", "(deliver socket)",
                "(listener socket)", "reset socket", "(nat.reverse postrouting)", "rst egress", "drop socket",
            ])
        let functions = story.sink.steps.map(\.step).filter { $0.backend == .inferred }.map(\.function)
        #expect(
            functions == [
                "nf_conntrack_in", "nf_nat_manip_pkt", "tcp_v4_rcv", "__inet_lookup_listener", "nf_nat_manip_pkt",
            ])
    }

    @Test("In IPv6 the concluded functions are those of IPv6")
    func inferredVersion6() {
        let story = Story()
        let packet = syn(from: "[2001:db8::7]:41234", to: "[2001:db8::10]:80").byTracepoint()
        story.at(.zero, packet.received(by: "eth0"), packet.reset())
        #expect(
            story.sink.steps.map(\.step.function) == [
                "net:netif_receive_skb", "tcp_v6_rcv", "inet6_lookup_listener", "tcp:tcp_send_reset",
            ])
    }

    @Test("What was seen is not concluded again")
    func notInferredTwice() {
        let story = Story()
        let packet = syn(from: client, to: inner).with(.toInner)
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"), packet.delivered(), packet.lookedUp(),
            packet.byTracepoint().reset())
        #expect(story.actions.count { $0 == .deliver } == 1)
        #expect(story.actions.count { $0 == .listener } == 1)
        #expect(story.actions.count { $0 == .conntrackNew } == 1)
        #expect(story.actions.count { $0 == .natDestination } == 1)
    }

    @Test("A reset for a socket that was found does not say that none was")
    func noLookupInferredWithSocket() {
        let story = Story()
        let packet = syn(from: client, to: inner).byTracepoint()
        story.at(.zero, packet.received(by: "eth0"), packet.reset(socket: 0x9000))
        #expect(story.actions == [.syn, .reset])
    }

    @Test("A flow that began on this machine was translated at OUTPUT")
    func inferredAtOutput() {
        let story = Story()
        story.at(.zero, syn(from: client, to: inner).with(.toInner).sent(by: "eth0"))
        #expect(story.steps == ["(conntrack.new output)", "(nat.dnat output)", "syn egress"])
        #expect(story.sink.connections[0].dialled == flow(client, published))
    }

    @Test("A source is concluded to be translated only once it is on its way out")
    func inferredSource() {
        let masqueraded = Entry(flow(client, published), to: flow("192.0.2.1:1024", published))
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: published).with(masqueraded).delivered())
        #expect(!story.actions.contains(.natSource))
        story.at(.milliseconds(1), syn(from: "192.0.2.1:1024", to: published).with(masqueraded).sent(by: "eth1"))
        #expect(story.steps.suffix(2) == ["(nat.snat postrouting)", "syn egress"])
    }

    @Test("A SYN that carries an entry which has seen answers matched an older one")
    func inferredMatch() {
        var old = Entry.plain
        old.status = [.seenReply]
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: published).with(old).delivered())
        #expect(story.steps == ["syn ingress", "(conntrack.match prerouting)", "deliver socket"])
    }

    // MARK: TCP

    @Test("Data after the ACK is no step")
    func data() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).sent(by: "eth0"),
            synack(from: published, to: client).received(by: "eth0"), ack(from: client, to: published).sent(by: "eth0"))
        let before = story.steps
        let data = ack(from: client, to: published, payload: 100).with(.plain)
        story.at(.milliseconds(1), data.received(by: "eth1"), data.conntrack(.match), data.delivered(), data.dropped())
        #expect(before == ["syn egress", "synack ingress", "ack egress"])
        #expect(story.steps == before)
    }

    @Test("What acknowledges the server's data, or ends the connection, is no step")
    func afterData() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            synack(from: published, to: client).sent(by: "eth0"), ack(from: client, to: published).received(by: "eth0"))
        var acknowledging = ack(from: client, to: published)
        acknowledging.ack += 10
        var ending = ack(from: client, to: published)
        ending.flags.insert(.fin)
        let again = ack(from: client, to: published)
        story.at(
            .milliseconds(1), acknowledging.received(by: "eth0"), ending.received(by: "eth0"),
            again.received(by: "eth1"))
        #expect(story.steps == ["syn ingress", "synack egress", "ack ingress", "ack ingress"])
    }

    @Test("An ACK before any SYN-ACK is no step")
    func strayAck() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).sent(by: "eth0"), ack(from: client, to: published).sent(by: "eth0"))
        #expect(story.steps == ["syn egress"])
    }

    @Test("A process that dials is named")
    func process() {
        let story = Story()
        story.at(.zero, syn(from: client, to: published).transmitted(by: "curl", pid: 4711))
        #expect(story.steps == ["transmit output"])
        #expect(story.sink.steps.first?.step.process == ProcessIdentity(pid: 4711, name: "curl"))
    }

    @Test("What is sent again is told as that")
    func retransmits() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).sent(by: "eth0"), syn(from: client, to: published).retransmitted(),
            synack(from: published, to: client).retransmitted())
        #expect(story.steps == ["syn egress", "retransmit output", "retransmit output"])
    }

    @Test("A socket that closes is no step, one that gets established is")
    func socketStates() {
        let story = Story()
        let end = ack(from: client, to: published)
        story.at(
            .zero, syn(from: client, to: published).sent(by: "eth0"), end.socket(from: .synSent, to: .close),
            end.socket(from: .synSent, to: .established))
        #expect(story.steps == ["syn egress", "established socket"])
        #expect(story.sink.steps.last?.step.packet == nil)
    }

    // MARK: Drops

    @Test("A drop has the function, the stage of that function and the reason")
    func drop() throws {
        let story = Story()
        story.facts.symbol("ip_route_input_slow", at: 0x1000)
        story.facts.dropReason("IP_RPFILTER", is: 40)
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: published).dropped(in: 0x1000, reason: 40))
        let step = try #require(story.sink.steps.last?.step)
        #expect(step.action == .drop && step.function == "ip_route_input_slow" && step.reason == "IP_RPFILTER")
        #expect(step.stage == .routing)
    }

    @Test("A drop in a function without name is told of by its hook")
    func dropWithoutSymbol() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"), syn(from: client, to: published).dropped())
        #expect(story.sink.steps.last?.step.function == "skb:kfree_skb")
        #expect(story.sink.steps.last?.step.reason == nil)
    }

    @Test("A dropped SYN shows what its entry did to it")
    func dropAfterTranslation() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: inner).with(.toInner).dropped(in: 0x1000, reason: 8))
        #expect(story.actions == [.syn, .conntrackNew, .natDestination, .drop])
    }

    // MARK: Interfaces

    @Test("The devices of a connection are those by which the SYN came in and was passed on")
    func interfaces() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).at(Place.client).sent(by: "veth-c"),
            syn(from: client, to: published).received(by: "eth0"),
            syn(from: client, to: inner).sent(by: "eth1", index: 3),
            syn(from: client, to: inner).at(Place.backend).received(by: "veth-b"))
        let connection = story.sink.connections[0]
        #expect(connection.course.ingressInterface == "eth0" && connection.course.egressInterface == "eth1")
    }

    @Test("A SYN that is delivered here leaves by no device")
    func noEgress() {
        let story = Story()
        story.at(
            .zero, syn(from: client, to: published).at(Place.client).sent(by: "veth-c"),
            syn(from: client, to: published).received(by: "eth0"))
        #expect(story.sink.connections[0].course.egressInterface == nil)
    }

    @Test("Beyond its bound a connection counts steps and keeps no more")
    func boundedSteps() {
        let story = Story()
        let packet = syn(from: client, to: published)
        for count in 0..<Connection.maximumSteps + 5 { story.at(.milliseconds(count), packet.received(by: "eth0")) }
        let connection = story.sink.connections[0]
        #expect(connection.steps.count == Connection.maximumSteps)
        #expect(connection.omittedSteps == 5)
    }

    @Test("What ends a connection beyond its bound is not looked for among other steps")
    func endBeyondBound() throws {
        let story = Story()
        story.facts.listening(port: 80)
        let packet = syn(from: client, to: published)
        for count in 0..<Connection.maximumSteps { story.at(.milliseconds(count), packet.received(by: "eth0")) }
        story.at(.milliseconds(600), packet.reset())
        story.silence(until: .milliseconds(600) + Story.settled)
        let verdict = try #require(story.verdicts.first)
        #expect(verdict.code == .noListener)
        #expect(verdict.function != "net:netif_receive_skb")
    }
}
