// Each cause: what it takes, what it says, and what comes near it and is something else.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("Nothing listens where the SYN went")
struct ListenerCausesTests {
    private func verdict(where listeners: [Listener]?, _ change: (Story) -> Void = { _ in }) throws -> Verdict {
        let story = Story.refused(where: listeners, change)
        #expect(story.verdicts.count == 1)
        return try #require(story.verdicts.first)
    }

    // MARK: no_listener

    @Test("No socket has the port")
    func nobody() throws {
        let verdict = try verdict(where: [])
        #expect(verdict.code == .noListener && verdict.outcome == .failure)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80), nor on any other address with port 8080."
        )
        #expect(
            verdict.advice
                == ["Start what should listen on port 8080, and check: ss -ltnp 'sport = :8080'"])
        #expect(verdict.stage == .socket && verdict.function == "tcp_v4_send_reset" && verdict.netns == Place.gateway)
        #expect(verdict.evidence.isEmpty && verdict.process == nil)
    }

    @Test("The port and the namespace asked about are those of the translated SYN")
    func question() {
        let story = Story.refused(where: [])
        let questions = story.facts.asked.filter {
            if case .listeners = $0 { true } else { false }
        }
        #expect(Set(questions) == [.listeners(port: 8080, netns: Place.gateway)])
    }

    @Test("Where nobody could be asked, it says so and guesses nothing")
    func unavailable() throws {
        let verdict = try verdict(where: nil)
        #expect(verdict.code == .noListener)
        #expect(
            verdict.sentence
                == "Nothing listened on 10.0.0.2:8080 (dialled as 203.0.113.10:80); who listens elsewhere could not be asked."
        )
        #expect(verdict.evidence.isEmpty)
    }

    @Test(
        "A listener that would take the SYN was started meanwhile",
        arguments: [
            listener("10.0.0.2:8080"), listener("0.0.0.0:8080"), listener("[::]:8080", isIPv6Only: false),
            listener("[::ffff:10.0.0.2]:8080"), listener("[::ffff:0.0.0.0]:8080", isIPv6Only: false),
        ])
    func meanwhile(_ late: Listener) throws {
        let verdict = try verdict(where: [late])
        #expect(verdict.code == .noListener)
        #expect(
            verdict.sentence
                == "Nothing listened on 10.0.0.2:8080 (dialled as 203.0.113.10:80) when the SYN came; nginx (pid 812) does by now."
        )
        #expect(verdict.advice == ["Try again: the service has been started meanwhile"])
        #expect(verdict.evidence == [.listener(late)])
    }

    @Test("The command to run is run in the namespace that has a name")
    func commandInNamespace() throws {
        let named = try verdict(where: []) { $0.facts.netns("blue", is: Place.gateway) }
        #expect(named.advice[0].hasSuffix(": ip netns exec blue ss -ltnp 'sport = :8080'"))
        #expect(named.netnsName == "blue")
        let container = try verdict(where: []) { $0.facts.netns("0123456789ab", is: Place.gateway) }
        #expect(
            container.advice[0].hasSuffix(
                ": nsenter -t $(docker inspect -f '{{.State.Pid}}' 0123456789ab) -n ss -ltnp 'sport = :8080'"))
        let almost = try verdict(where: []) { $0.facts.netns("0123456789aX", is: Place.gateway) }
        #expect(almost.advice[0].contains("ip netns exec 0123456789aX"))
    }

    // MARK: listener_other_address

    @Test("A socket listens on another address of this machine")
    func otherAddress() throws {
        let other = listener("10.0.0.3:8080")
        let verdict = try verdict(where: [other])
        #expect(verdict.code == .listenerOtherAddress)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80): nginx (pid 812) listens on 10.0.0.3:8080."
        )
        #expect(
            verdict.advice == [
                "Let nginx listen on 10.0.0.2, or on every address (0.0.0.0)",
                "Or let the DNAT rule translate to 10.0.0.3:8080",
            ])
        #expect(verdict.evidence == [.listener(other)])
        #expect(verdict.process == ProcessIdentity(pid: 812, name: "nginx"))
    }

    @Test("Where nothing was translated, no rule is to be changed")
    func otherAddressUntranslated() {
        let story = Story()
        story.facts.listening(listener("10.0.0.3:80"), port: 80)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.lookedUp(), someSyn.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
        #expect(story.verdicts[0].advice == ["Let nginx listen on 203.0.113.10, or on every address (0.0.0.0)"])
        #expect(
            story.verdicts[0].sentence
                == "Nothing listens on 203.0.113.10:80: nginx (pid 812) listens on 10.0.0.3:80.")
    }

    @Test("Every IPv6 address is not every address where the socket takes IPv6 only")
    func version6Only() throws {
        let verdict = try verdict(where: [listener("[::]:8080", isIPv6Only: true)])
        #expect(verdict.code == .listenerOtherAddress)
        #expect(verdict.sentence.hasSuffix(": nginx (pid 812) listens on [::]:8080 for IPv6 only."))
    }

    @Test("Every IPv4 address is no IPv6 address")
    func version4ForVersion6() {
        let story = Story()
        story.facts.listening(listener("0.0.0.0:80"), port: 80)
        let packet = syn(from: "[2001:db8::7]:41234", to: "[2001:db8::10]:80")
        story.at(.zero, packet.received(by: "eth0"), packet.lookedUp(), packet.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
        #expect(story.verdicts[0].advice == ["Let nginx listen on 2001:db8::10, or on every address ([::])"])
        #expect(story.verdicts[0].function == "tcp_v6_send_reset")
    }

    @Test("Of many listeners three are named, in the order of their addresses, and the rest counted")
    func several() throws {
        let all = (3...7).map { listener("10.0.0.\($0):8080", by: "app\($0)", pid: $0) }
        let verdict = try verdict(where: all.reversed())
        #expect(
            verdict.sentence.hasSuffix(
                ": app3 (pid 3) listens on 10.0.0.3:8080, app4 (pid 4) listens on 10.0.0.4:8080, "
                    + "app5 (pid 5) listens on 10.0.0.5:8080, and 2 more on that port."))
        #expect(verdict.evidence.count == 5 && verdict.process?.name == "app3")
    }

    @Test("A process that could not be found is said to be that")
    func unknownProcess() throws {
        let verdict = try verdict(where: [listener("10.0.0.3:8080", by: nil)])
        #expect(verdict.sentence.hasSuffix(": a process that could not be found listens on 10.0.0.3:8080."))
        #expect(verdict.advice[0].hasPrefix("Let the service listen"))
        #expect(verdict.process == nil)
    }

    // MARK: listener_loopback_only

    @Test(
        "The only listeners are on loopback",
        arguments: ["127.0.0.1:8080", "127.0.0.53:8080", "[::1]:8080", "[::ffff:127.0.0.1]:8080"])
    func loopback(_ bound: String) throws {
        let verdict = try verdict(where: [listener(bound)])
        #expect(verdict.code == .listenerLoopbackOnly)
        #expect(
            verdict.sentence
                == "Nothing listens on 10.0.0.2:8080 (dialled as 203.0.113.10:80): nginx (pid 812) listens on \(bound), which is loopback and reached only from inside its own network namespace."
        )
        #expect(
            verdict.advice == [
                "Let nginx listen on 10.0.0.2, or on every address (0.0.0.0), instead of \(endpoint(bound).address)"
            ])
    }

    @Test("One on loopback and one on another address are not loopback only")
    func loopbackAndOther() throws {
        #expect(
            try verdict(where: [listener("127.0.0.1:8080"), listener("10.0.0.3:8080", pid: 9)]).code
                == .listenerOtherAddress)
    }

    @Test("A SYN to loopback itself is not told to leave loopback")
    func loopbackTarget() {
        let story = Story()
        story.facts.listening(listener("[::1]:80"), port: 80)
        let packet = syn(from: "127.0.0.1:4000", to: "127.0.0.1:80")
        story.at(.zero, packet.sent(by: "lo"), packet.received(by: "lo"), packet.lookedUp(), packet.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerOtherAddress])
    }

    @Test("A container's loopback is its own")
    func namedNamespace() throws {
        let verdict = try verdict(where: [listener("127.0.0.1:8080")]) { $0.facts.netns("blue", is: Place.gateway) }
        #expect(verdict.sentence.hasSuffix("reached only from inside network namespace blue."))
    }

    // MARK: listener_other_device

    @Test("The only listener there is tied to another interface")
    func otherDevice() throws {
        let tied = listener("0.0.0.0:8080", tiedTo: "eth1")
        let verdict = try verdict(where: [tied])
        #expect(verdict.code == .listenerOtherDevice)
        #expect(
            verdict.sentence
                == "Nothing takes a SYN for 10.0.0.2:8080 (dialled as 203.0.113.10:80) from this interface: nginx (pid 812) listens on 0.0.0.0:8080, tied to eth1."
        )
        #expect(verdict.evidence == [.listener(tied)] && verdict.process?.pid == 812)
    }

    @Test("One that is tied to the very interface was started meanwhile")
    func sameDevice() throws {
        let verdict = try verdict(where: [listener("0.0.0.0:8080", tiedTo: "eth0")])
        #expect(verdict.code == .noListener)
        #expect(verdict.sentence.hasSuffix(" when the SYN came; nginx (pid 812) does by now."))
    }

    @Test("One that is tied to nothing was started meanwhile, and the tied one does not matter")
    func tiedAndFree() throws {
        let verdict = try verdict(where: [
            listener("0.0.0.0:8080", by: "tied", pid: 1, tiedTo: "eth1"), listener("0.0.0.0:8080", by: "free", pid: 2),
        ])
        #expect(verdict.code == .noListener)
        #expect(verdict.sentence.hasSuffix(" when the SYN came; free (pid 2) does by now."))
        #expect(verdict.evidence == [.listener(listener("0.0.0.0:8080", by: "free", pid: 2))])
    }

    @Test("A tied listener on another address is on another address")
    func tiedElsewhere() throws {
        #expect(try verdict(where: [listener("10.0.0.3:8080", tiedTo: "eth1")]).code == .listenerOtherAddress)
    }

    // MARK: The same by tracepoints

    @Test("Tracepoints alone lead to the same verdict")
    func byTracepoints() {
        let story = Story()
        story.facts.listening(listener("127.0.0.1:8080"), port: 8080)
        story.facts.answers[.resetReason(1)] = .name("NO_SOCKET")
        story.tell(Scene.refusalByTracepoints, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.listenerLoopbackOnly])
        #expect(story.verdicts[0].reason == "NO_SOCKET")
    }

    @Test("Where no hook shows the reset, the RST that leaves and the SYN without socket tell")
    func byDropAndRst() {
        let story = Story()
        story.facts.listening(port: 8080)
        story.facts.dropReason("NO_SOCKET", is: 3)
        story.facts.symbol("tcp_v4_rcv", at: 0x1000)
        story.at(
            .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).answering(.toInner).sent(by: "eth0"),
            syn(from: client, to: inner).with(.toInner).dropped(in: 0x1000, reason: 3))
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].function == "tcp_v4_rcv" && story.verdicts[0].stage == .socket)
    }

    @Test("An RST that leaves while netfilter drops the SYN is a rule's, also where its maker is not seen")
    func rejectedUnseen() {
        let story = Story()
        story.facts.dropReason("NETFILTER_DROP", is: 7)
        story.facts.symbol("nft_do_chain", at: 0x1000)
        story.at(
            .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).sent(by: "eth0"),
            someSyn.dropped(in: 0x1000, reason: 7))
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterRejected])
        #expect(story.verdicts[0].function == "nft_do_chain")
    }

    @Test("An RST that leaves while the SYN was dropped for another reason says nothing of listeners")
    func rstAfterOtherDrop() {
        for (reason, netns) in [
            ("TCP_CSUM", Place.gateway), ("NO_SOCKET", Place.backend), ("NETFILTER_DROP", Place.backend),
        ] {
            let story = Story()
            story.facts.dropReason(reason, is: 3)
            story.at(
                .zero, someSyn.received(by: "eth0"), rst(from: published, to: client).sent(by: "eth0"),
                someSyn.at(netns).dropped(reason: 3))
            story.silence(until: Story.settled)
            #expect(story.codes == [.unexplained], "\(reason)")
            #expect(
                story.verdicts[0].sentence
                    == "A reset left this machine for 198.51.100.7:41234, and what made it was not seen.")
        }
    }

    @Test("Before resets had reasons, the freed SYN gives one")
    func reasonOfTheDrop() throws {
        let story = Story()
        story.facts.listening(port: 8080)
        story.facts.dropReason("NO_SOCKET", is: 3)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.at(.milliseconds(1), syn(from: client, to: inner).with(.toInner).dropped(reason: 3))
        story.silence(until: Story.settled)
        #expect(story.verdicts.first?.reason == "NO_SOCKET")
    }
}

@Suite("Other resets")
struct ResetCausesTests {
    @Test("A rule rejects with a reset")
    func rejected() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(by: .netfilter))
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterRejected])
        #expect(
            story.verdicts[0].sentence == "A netfilter rule rejected the SYN to 203.0.113.10:80 with a TCP reset.")
        #expect(
            story.verdicts[0].advice == [
                "Find the rule that rejects port 80: nft -a list ruleset | grep -n reject"
            ])
        #expect(story.verdicts[0].function == "nf_send_reset")
    }

    @Test("A rule's reset asks nobody who listens")
    func rejectedAsksNobody() {
        let story = Story()
        story.facts.listening(listener("127.0.0.1:80"), port: 80)
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(by: .netfilter))
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterRejected] && story.verdicts[0].evidence.isEmpty)
    }

    @Test("A socket was found and TCP reset all the same")
    func refusedBySocket() {
        let story = Story()
        story.facts.answers[.resetReason(5)] = .name("TCP_TIMEWAIT_SOCKET")
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(socket: 0x9000, reason: 5))
        story.silence(until: Story.settled)
        #expect(story.codes == [.socketRefused])
        #expect(
            story.verdicts[0].sentence
                == "TCP found a socket for 203.0.113.10:80 and reset the connection (TCP_TIMEWAIT_SOCKET).")
        #expect(story.verdicts[0].reason == "TCP_TIMEWAIT_SOCKET")
    }

    @Test("A reset without reason has none in its sentence")
    func refusedWithoutReason() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.reset(socket: 0x9000))
        story.silence(until: Story.settled)
        #expect(
            story.verdicts.map(\.sentence) == ["TCP found a socket for 203.0.113.10:80 and reset the connection."])
    }

    @Test("A connection that TCP itself aborts is not refused by it")
    func active() {
        let story = Story()
        story.at(.zero, someSyn.sent(by: "eth0"), someSyn.reset(by: .active, socket: 0x9000))
        story.silence(until: .seconds(4))
        #expect(story.verdicts.isEmpty)
        #expect(story.actions == [.syn, .reset])
    }

    @Test("A reset that answers a SYN-ACK is the client's, and says nothing of listeners")
    func resetOfSynack() {
        let story = Story()
        let answer = synack(from: published, to: client)
        story.at(.zero, someSyn.sent(by: "eth0"), answer.received(by: "eth0"), answer.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.resetByClient])
        #expect(
            story.verdicts[0].sentence
                == "198.51.100.7:41234 answered the SYN-ACK of 203.0.113.10:80 with a reset: it no longer wanted the connection."
        )
        #expect(story.verdicts[0].function == "tcp_v4_send_reset" && story.verdicts[0].stage == .socket)
        #expect(
            !story.facts.asked.contains {
                if case .listeners = $0 { true } else { false }
            })
    }

    @Test("The backend refuses from outside")
    func backend() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
            syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
            rst(from: inner, to: client).received(by: "eth1", index: 3),
            rst(from: published, to: client).answering(.toInner).sent(by: "eth0"))
        story.silence(until: Story.settled)
        #expect(story.codes == [.resetByBackend])
        #expect(
            story.verdicts[0].sentence
                == "10.0.0.2:8080 (dialled as 203.0.113.10:80) refused: its reset came in from outside, by eth1.")
        #expect(
            story.verdicts[0].advice == ["On the machine that has 10.0.0.2, see what listens: ss -ltnp 'sport = :8080'"]
        )
        #expect(story.verdicts[0].stage == .ingress)
    }

    @Test("A backend whose namespace is observed is not outside")
    func backendInside() {
        let story = Story()
        story.facts.listening(port: 8080, in: Place.backend)
        let there = syn(from: client, to: inner).at(Place.backend)
        story.at(
            .zero, someSyn.received(by: "eth0"), syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
            there.received(by: "veth0"), there.lookedUp(), there.reset(),
            rst(from: inner, to: client).at(Place.backend).sent(by: "veth0"),
            rst(from: inner, to: client).received(by: "eth1", index: 3))
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].netns == Place.backend)
        #expect(story.facts.asked.contains(.listeners(port: 8080, netns: Place.backend)))
    }

    @Test("The client's own reset is not the backend's")
    func clientsReset() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            synack(from: published, to: client).received(by: "eth1", index: 3),
            clientRst(from: client, to: published).received(by: "eth0"))
        story.silence(until: .seconds(6))
        #expect(story.actions.last == .rst)
        #expect(!story.codes.contains(.resetByBackend))
    }
}

@Suite("Losses")
struct LossCausesTests {
    private func lose(_ story: Story, at time: Duration) {
        let now = Story.clock(time)
        story.explainer.report(Loss(reason: "ring buffer full", events: 1, total: 1, time: now, since: now))
    }

    @Test("What was not seen proves nothing once observations were lost")
    func unanswered() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        lose(story, at: .seconds(1))
        story.silence(until: .seconds(6))
        #expect(story.codes == [.unexplained])
        #expect(story.verdicts[0].sentence.contains("observations were lost"))
    }

    @Test("A loss before a connection began does not touch it")
    func before() {
        let story = Story()
        lose(story, at: .zero)
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
        lose(story, at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
    }

    @Test("What was due before the loss is judged by what was known before")
    func dueBefore() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3))
        lose(story, at: .seconds(20))
        #expect(story.codes == [.synUnanswered])
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

@Suite("No answer")
struct UnansweredCausesTests {
    @Test("A SYN was passed on and nothing came back")
    func synUnanswered() {
        let story = Story { $0.unansweredAfter = 1_500_000_000 }
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
            syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3))
        story.silence(until: .seconds(2))
        #expect(story.codes == [.synUnanswered])
        #expect(
            story.verdicts[0].sentence
                == "The SYN to 10.0.0.2:8080 (dialled as 203.0.113.10:80) was sent on by eth1, and nothing came back within 1.5 s."
        )
        #expect(story.verdicts[0].stage == .egress && story.verdicts[0].advice.count == 2)
        #expect(story.verdicts[0].advice[1].hasSuffix("ip route get 10.0.0.2"))
    }

    @Test("A SYN-ACK left and nothing came back")
    func synackUnanswered() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.delivered(), someSyn.lookedUp(finding: published),
            someSyn.queued(),
            synack(from: published, to: client).transmitted(), synack(from: published, to: client).sent(by: "eth0"))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.synackUnanswered])
        #expect(
            story.verdicts[0].sentence
                == "203.0.113.10:80 answered with SYN-ACK, which left by eth0; no ACK came from 198.51.100.7:41234 within 5 s."
        )
        #expect(story.verdicts[0].advice[0].hasSuffix("ip route get 198.51.100.7"))
    }

    @Test("A SYN-ACK that came and did not leave is not said to have left")
    func synackLost() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            synack(from: published, to: client).received(by: "eth1", index: 3))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.unexplained])
        #expect(story.verdicts[0].outcome == .failure)
        #expect(story.verdicts[0].stage == .ingress)
        #expect(
            story.verdicts[0].sentence.hasPrefix(
                "The handshake with 203.0.113.10:80 was answered and not completed within 5 s, and the evidence does not say why."
            ))
    }

    @Test("A SYN that came and did not leave is unexplained, and its last place is told")
    func lost() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.unexplained])
        #expect(
            story.verdicts[0].sentence
                == "The SYN to 203.0.113.10:80 had no answer within 5 s, and the evidence does not say why. It was last seen at ingress in net:netif_receive_skb."
        )
        #expect(story.verdicts[0].outcome == .failure && story.verdicts[0].advice.isEmpty)
    }
}

@Suite("The causes as a list")
struct CauseListTests {
    @Test("No code stands twice, and the last one applies to everything")
    func list() {
        let codes = Cause.all.map(\.code)
        #expect(Set(codes).count == codes.count)
        #expect(codes.last == .unexplained)
        let nothing = Case(
            Connection(isn: 1, dialled: flow(client, published), startTime: 0), ending: .nothing, isFinal: false,
            time: 0,
            facts: FakeFacts())
        #expect(Cause.all.filter { $0.applies(nothing) }.map(\.code) == [.unexplained])
    }
}

@Suite("Checklist")
struct ChecklistTests {
    private func checklist(_ story: Story, _ observations: [nattrace_observation], end: Duration = Story.settled) throws
        -> Checklist
    {
        story.tell(observations, at: .zero)
        story.silence(until: end)
        return try #require(story.verdicts.first).checklist
    }

    @Test("A refused SYN arrived, was answered by RST, had a new entry and no listener")
    func refused() {
        #expect(
            Story.refused(where: []).verdicts.first?.checklist
                == Checklist(synArrived: true, answer: .rst, conntrack: .new, listenerMatches: false))
    }

    @Test("A handshake has all of it")
    func established() throws {
        #expect(
            try checklist(Story(), Scene.synReachesTCP + Scene.handshake)
                == Checklist(synArrived: true, answer: .synack, conntrack: .established, listenerMatches: true))
    }

    @Test("A SYN of this machine that goes out did not arrive here, as far as is known")
    func outgoing() throws {
        #expect(
            try checklist(Story(), [someSyn.sent(by: "eth0")], end: .seconds(5))
                == Checklist(synArrived: nil, answer: Checklist.Answer.none, conntrack: Checklist.Conntrack.none))
    }

    @Test("What is untracked, and what conntrack calls invalid, is said")
    func conntrack() throws {
        let drop = someSyn.dropped()
        #expect(
            try checklist(Story(), [someSyn.received(by: "eth0"), someSyn.untracked().conntrack(.untracked), drop])
                .conntrack == .untracked)
        #expect(
            try checklist(Story(), [someSyn.received(by: "eth0"), someSyn.conntrack(.invalid), drop]).conntrack
                == .invalid)
    }

    @Test("Of a SYN that was dropped at the door, conntrack and listener are not known")
    func unknown() throws {
        let list = try checklist(Story(), [someSyn.received(by: "eth0"), someSyn.dropped()])
        #expect(list.conntrack == nil && list.listenerMatches == nil)
        #expect(list.synArrived == true && list.answer == Checklist.Answer.none)
    }

    @Test("Where tracing ended before an answer could come, whether there is one is not known")
    func inFlight() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"))
        story.ends(at: .seconds(1))
        #expect(story.verdicts.first?.checklist.answer == nil)
    }

    @Test("A socket that was found and refused is a listener that matches")
    func found() throws {
        let story = Story()
        let list = try checklist(
            story, [someSyn.received(by: "eth0"), someSyn.lookedUp(finding: published), someSyn.reset(socket: 0x9000)])
        #expect(list.listenerMatches == true && list.answer == .rst)
    }
}
