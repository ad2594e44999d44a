// Causes beyond what is observed, and at the client.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

@Suite("Other resets")
struct ResetCausesTests {
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
}

@Suite("The client resets")
struct ResetByClientTests {
    private let answer = synack(from: published, to: client)
    private let sent = [someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3)]

    private func verdict(_ observations: [nattrace_observation]) -> Story {
        let story = Story()
        story.tell(sent + observations, at: .zero)
        story.silence(until: Story.settled)
        return story
    }

    @Test("Its reset passes by")
    func passes() throws {
        let story = verdict([
            answer.received(by: "eth1", index: 3), answer.sent(by: "eth0"),
            clientRst(from: client, to: published).received(by: "eth0"),
            clientRst(from: client, to: published).sent(by: "eth1", index: 3),
        ])
        #expect(story.codes == [.resetByClient])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "198.51.100.7:41234 answered the SYN-ACK of 203.0.113.10:80 with a reset: it no longer wanted the connection."
        )
        #expect(
            verdict.advice == [
                "Look at the client: its program gave up before the answer came, or it probes ports without connecting"
            ])
        #expect(verdict.stage == .ingress && verdict.checklist.answer == .synack)
    }

    @Test("It is made here")
    func made() {
        let story = verdict([answer.received(by: "eth1", index: 3), answer.delivered(), answer.reset()])
        #expect(story.codes == [.resetByClient])
        #expect(story.verdicts[0].function == "tcp_v4_send_reset")
        #expect(story.verdicts[0].checklist.answer == .synack)
    }

    @Test("Where what makes a reset cannot be hooked, the answer that it refused is seen freed, which is no drop")
    func madeUnseen() {
        let freed = answer.at(Place.client).dropped(in: "tcp_v4_rcv", .socket)
        func sent(at netns: UInt32) -> Story {
            let story = Story()
            story.tell(
                [
                    someSyn.at(Place.client).sent(by: "eth0"), answer.at(Place.client).received(by: "eth0"),
                    clientRst(from: client, to: published).at(netns).sent(by: "eth0"), freed,
                ], at: .zero)
            story.silence(until: Story.settled)
            return story
        }
        #expect(sent(at: Place.client).codes == [.resetByClient])
        #expect(sent(at: Place.gateway).codes == [.dropped])
    }

    @Test("After the handshake was complete, a reset is no end of it")
    func afterSuccess() {
        let story = verdict([
            answer.received(by: "eth1", index: 3), answer.sent(by: "eth0"),
            ack(from: client, to: published).received(by: "eth0"),
            ack(from: client, to: published).sent(by: "eth1", index: 3),
            clientRst(from: client, to: published).received(by: "eth0"),
        ])
        #expect(story.codes == [.established])
    }

    @Test("It got an answer that another path had left as it was, and nothing tells where")
    func otherSource() {
        let story = verdict([clientRst(from: client, to: inner).received(by: "eth0")])
        #expect(story.codes == [.resetByClient])
        #expect(
            story.verdicts[0].sentence
                == "198.51.100.7:41234 got the answer from 10.0.0.2:8080 instead of 203.0.113.10:80, and reset it.")
        #expect(story.verdicts[0].advice == ["See why the translation was not undone for the answer"])
    }
}

@Suite("The answer went around the translation")
struct OtherWayBackTests {
    private let near = "10.0.0.7:41234"
    private var entry: Entry { Entry(flow(near, published), to: flow(near, inner)) }
    private let natRule = rule(
        .destination(inner), at: .prerouting, for: published, handle: 4, in: "ip nat prerouting",
        "dnat to 10.0.0.2:8080")

    /// The gateway translates and passes on, by the device that the SYN came by.
    private var translated: [nattrace_observation] {
        let packet = syn(from: near, to: published)
        return [
            packet.received(by: "eth0"), packet.with(Entry(flow(near, published))).conntrack(.new),
            packet.with(entry).rewritten(.destination, .prerouting),
            syn(from: near, to: inner).with(entry).sent(by: "eth0", index: 2),
        ]
    }

    private func told(
        _ story: Story, _ end: nattrace_observation...
    ) -> Story {
        story.facts.rules(natRule)
        story.tell(translated + end, at: .zero)
        return story
    }

    private func sharing(_ story: Story = Story()) -> Story {
        story.facts.route(to: "10.0.0.7", .unicast, by: "eth0")
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth0")
        return story
    }

    // MARK: hairpin_without_snat

    @Test("Client and backend are on one network: the client's reset passes by")
    func hairpin() throws {
        let story = told(sharing(), clientRst(from: near, to: inner).received(by: "eth0"))
        story.facts.netns("blue", is: Place.gateway)
        story.silence(until: Story.settled)
        #expect(story.codes == [.hairpinWithoutSNAT])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "10.0.0.7 and the backend 10.0.0.2:8080 are both on eth0: the answer went to the client directly, from 10.0.0.2:8080, which it had not dialled, and the client reset it."
        )
        #expect(
            verdict.advice == [
                "Translate the source as well, so that answers come back: nft add chain ip nat postrouting '{ type nat hook postrouting priority srcnat; };' add rule ip nat postrouting iifname eth0 oifname eth0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade",
                "Or let clients of that network dial 10.0.0.2:8080 itself",
            ])
        #expect(verdict.rule == natRule.rule)
        #expect(verdict.evidence == [.rule(natRule.rule), .interface(name: "eth0", addresses: [])])
    }

    private func repair(_ rule: FakeRule?, device: String = "eth0") -> String? {
        let story = Story()
        story.facts.route(to: "10.0.0.7", .unicast, by: device)
        story.facts.route(to: "10.0.0.2", .unicast, by: device)
        if let rule { story.facts.rules(rule) }
        story.tell(translated + [clientRst(from: near, to: inner).received(by: "eth0")], at: .zero)
        story.silence(until: Story.settled)
        guard let advice = story.verdicts.first?.advice.first else { return nil }
        return advice.split(separator: ": ", maxSplits: 1).last.map(String.init)
    }

    private func dnat(_ ruleset: String, by tool: RuleTool?) -> FakeRule {
        rule(.destination(inner), at: .prerouting, for: published, handle: 4, in: ruleset, "-j DNAT", by: tool)
    }

    @Test("The source is translated with what translates the destination")
    func hairpinByTool() {
        let match = "-t nat -I POSTROUTING -s 10.0.0.7 -d 10.0.0.2 -p tcp --dport 8080 -m conntrack --ctstate DNAT"
        let remark = "(-s with the whole network: for all its clients)"
        for tool in [RuleTool.iptablesNft, .iptablesLegacy] {
            #expect(
                repair(dnat("ip nat PREROUTING", by: tool)) == "\(tool.rawValue) \(match) -j MASQUERADE \(remark)")
        }
        #expect(
            repair(dnat("inet my_nat pre", by: .nft))
                == "nft add chain inet my_nat postrouting '{ type nat hook postrouting priority srcnat; };' add rule inet my_nat postrouting iifname eth0 oifname eth0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade"
        )
    }

    @Test("The rule, or a name, is not one for a command: a table and an address of ours")
    func hairpinWithoutNames() {
        let ours =
            "nft add table ip hairpin ';' add chain ip hairpin postrouting '{ type nat hook postrouting priority srcnat; };' add rule ip hairpin postrouting "
        let match = "ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade"
        #expect(repair(nil) == "\(ours)iifname eth0 oifname eth0 \(match)")
        #expect(repair(dnat("ip a;b pre", by: .nft)) == "\(ours)iifname eth0 oifname eth0 \(match)")
        #expect(
            repair(nil, device: "a;b")
                == "\(ours)ip saddr 10.0.0.7 \(match) (saddr with the whole network: for all its clients)")
    }

    @Test("Client and backend are on one network, and the client is seen to refuse the answer")
    func hairpinAtClient() {
        let answer = synack(from: inner, to: near).at(Place.client)
        let story = told(sharing(), answer.received(by: "veth0"), answer.delivered(), answer.reset())
        story.silence(until: Story.settled)
        #expect(story.codes == [.hairpinWithoutSNAT])
        #expect(story.verdicts[0].netns == Place.client && story.verdicts[0].function == "tcp_v4_send_reset")
    }

    @Test("On the bridge of one machine the answer passes the translator without being routed there")
    func hairpinBridged() {
        let answer = synack(from: inner, to: near)
        let story = told(
            sharing(), answer.received(by: "veth-b", index: 11), answer.sent(by: "veth-a", index: 10),
            clientRst(from: near, to: inner).received(by: "veth-a", index: 10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.hairpinWithoutSNAT])
    }

    // MARK: asymmetric_reply

    @Test("They are not on one network: the answer took another way", arguments: [0, 1, 2, 3])
    func asymmetric(_ variant: Int) throws {
        let story = sharing()
        switch variant {
        case 0: story.facts.route(to: "10.0.0.2", .unicast, by: "eth1")
        case 1: story.facts.route(to: "10.0.0.7", .unicast, by: "eth0", gateway: "10.0.0.1")
        case 2: story.facts.route(to: "10.0.0.7", .local, by: "lo")
        default: story.facts.answers = [:]
        }
        _ = told(story, clientRst(from: near, to: inner).received(by: "eth0"))
        story.silence(until: Story.settled)
        #expect(story.codes == [.asymmetricReply])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The answer came from 10.0.0.2:8080 instead of 203.0.113.10:80: it did not come back by the namespace that translated it, where the translation would have been undone, and the client reset it."
        )
        #expect(verdict.advice.count == 2 && verdict.evidence == [.rule(natRule.rule)])
    }

    @Test("The answer came back by the translator, so its way is not to blame")
    func cameBack() {
        let answer = synack(from: inner, to: near)
        let story = told(
            Story(), answer.received(by: "eth1", index: 3), answer.sent(by: "eth0", index: 2),
            clientRst(from: near, to: inner).received(by: "eth0"))
        story.silence(until: Story.settled)
        #expect(story.codes == [.resetByClient])
    }

    @Test("Where observations were lost, it may have come back by the translator")
    func lost() {
        let story = told(Story(), clientRst(from: near, to: inner).received(by: "eth0"))
        story.loses(at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.resetByClient])
    }

    @Test("The answer was translated back, and the client resets all the same")
    func undone() {
        let story = told(
            sharing(), synack(from: inner, to: near).received(by: "eth0"),
            synack(from: published, to: near).answering(entry).sent(by: "eth0"),
            clientRst(from: near, to: published).received(by: "eth0"))
        story.silence(until: Story.settled)
        #expect(story.codes == [.resetByClient])
        #expect(story.verdicts[0].sentence.hasSuffix("it no longer wanted the connection."))
    }
}

@Suite("An ICMP error")
struct ICMPUnreachableTests {
    private let sent = [
        someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
        syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
    ]

    @Test(
        "Comes from elsewhere",
        arguments: [
            (UInt8(3), UInt8(0), "network unreachable"), (3, 1, "host unreachable"), (3, 3, "port unreachable"),
            (3, 13, "administratively prohibited"), (3, 5, "destination unreachable"), (11, 0, "time exceeded"),
            (12, 0, "parameter problem"),
        ])
    func elsewhere(_ type: UInt8, _ code: UInt8, _ words: String) throws {
        let story = Story()
        story.tell(
            sent + [
                syn(from: client, to: inner).icmp(
                    from: "10.0.0.1", to: "198.51.100.7", type: type, code: code, .ingress)
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.icmpUnreachable])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "10.0.0.1 says that 10.0.0.2:8080 (dialled as 203.0.113.10:80) cannot be reached: \(words) (type \(type), code \(code))."
        )
        #expect(verdict.advice == ["On 10.0.0.1, see its routes and filter rules for 10.0.0.2:8080"])
        #expect(verdict.stage == .ingress && verdict.checklist.answer == .icmp)
    }

    @Test("In IPv6 its types have other meanings")
    func version6() {
        let packet = syn(from: "[2001:db8::7]:41234", to: "[2001:db8::10]:80")
        let story = Story()
        story.settles(
            packet.received(by: "eth0"), packet.sent(by: "eth1", index: 3),
            packet.icmp(from: "2001:db8::1", to: "2001:db8::7", type: 1, code: 3, .ingress))
        #expect(story.codes == [.icmpUnreachable])
        #expect(
            story.verdicts[0].sentence
                == "2001:db8::1 says that [2001:db8::10]:80 cannot be reached: address unreachable (type 1, code 3).")
    }

    @Test("Is about the answer, so it is the client that cannot be reached")
    func answer() {
        let story = Story()
        story.tell(
            sent + [
                synack(from: inner, to: client).received(by: "eth1", index: 3),
                synack(from: published, to: client).answering(.toInner).sent(by: "eth0"),
                synack(from: published, to: client).icmp(
                    from: "198.51.100.1", to: "203.0.113.10", .ingress, by: "eth0"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.icmpUnreachable])
        #expect(
            story.verdicts[0].sentence
                == "198.51.100.1 says that 198.51.100.7:41234, to which the SYN-ACK went, cannot be reached: host unreachable (type 3, code 1)."
        )
        #expect(
            story.verdicts[0].advice == ["On 198.51.100.1, see its routes and filter rules for 198.51.100.7:41234"])
    }

    @Test("Made here is no end: what it tells of has its own cause")
    func made() {
        let story = Story()
        story.tell(
            sent + [syn(from: client, to: inner).icmp(from: "10.0.0.254", .egress, by: "eth0")], at: .zero)
        story.silence(until: .seconds(5))
        #expect(story.codes == [.synUnanswered])
        #expect(story.actions.last == .icmp)
    }

    @Test("Made here for one SYN, it may come to the client when the next one is under way")
    func madeForTheSynBefore() {
        let quoted = syn(from: client, to: inner)
        let story = Story()
        story.tell(sent + [quoted.icmp(from: "10.0.0.254", .egress, by: "eth0")], at: .zero)
        story.tell([someSyn.received(by: "eth0"), quoted.icmp(from: "10.0.0.254", .ingress)], at: .seconds(1))
        story.silence(until: .seconds(10))
        #expect(!story.codes.contains(.icmpUnreachable))
    }

    @Test("Made in another namespace of this machine is no end either")
    func madeInNextNamespace() {
        let quoted = syn(from: client, to: inner)
        let story = Story()
        story.tell(
            sent + [
                quoted.at(Place.backend).icmp(from: "10.0.0.2", .egress, by: "veth0"),
                quoted.icmp(from: "10.0.0.2", .ingress),
            ], at: .zero)
        story.silence(until: .seconds(5))
        #expect(!story.codes.contains(.icmpUnreachable))
    }

    @Test("Where observations were lost, it may have been made here")
    func lost() {
        let story = Story()
        story.tell(sent + [syn(from: client, to: inner).icmp(from: "10.0.0.1", .ingress)], at: .zero)
        story.loses(at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.unexplained])
    }

    @Test("Is soft: a handshake that succeeds after it revises the verdict")
    func revised() {
        let story = Story()
        story.tell(sent + [syn(from: client, to: inner).icmp(from: "10.0.0.1", .ingress)], at: .zero)
        story.silence(until: .milliseconds(500))
        story.at(
            .milliseconds(500), synack(from: inner, to: client).received(by: "eth1", index: 3),
            synack(from: published, to: client).answering(.toInner).sent(by: "eth0"),
            ack(from: client, to: published).received(by: "eth0"),
            ack(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3))
        story.ends(at: .seconds(2))
        #expect(story.codes == [.icmpUnreachable, .established])
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
