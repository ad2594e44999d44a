// Causes that are rules: one answered for the server, or dropped a packet; and NAT without room.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)
private let throughNAT = syn(from: client, to: inner).with(.toInner)

@Suite("A rule rejects")
struct FilterRejectedTests {
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

    private let rejecting = rule(
        .reject, at: .input, handle: 12, in: "inet filter input", "tcp dport 80 reject with tcp reset")

    @Test("With an RST, by a rule that was seen")
    func ruleSeen() throws {
        let story = Story()
        story.facts.rules(rejecting)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.reset(by: .netfilter),
            someSyn.decided(.drop, by: 12, in: "ip filter input", .input),
            someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .input),
            rst(from: published, to: client).sent(by: "eth0"))
        #expect(story.codes == [.filterRejected])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The rule inet filter input handle 12 \"tcp dport 80 reject with tcp reset\" rejected the SYN to 203.0.113.10:80 with a TCP reset."
        )
        #expect(verdict.rule == rejecting.rule && verdict.evidence == [.rule(rejecting.rule)])
        #expect(
            verdict.advice == [
                "Accept it before: nft insert rule inet filter input position 12 ip daddr 203.0.113.10 tcp dport 80 accept",
                "See the chain: nft -a list chain inet filter input",
            ])
    }

    @Test("With an RST, by the only rule that can have done it")
    func ruleConcluded() {
        let story = Story()
        story.facts.rules(rejecting, rule(.drop, at: .input, handle: 13))
        story.settles(
            someSyn.received(by: "eth0"), someSyn.reset(by: .netfilter),
            someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .input))
        #expect(story.codes == [.filterRejected] && story.verdicts[0].rule == rejecting.rule)
    }

    @Test("With an RST, by one of several rules, or of rules that are not known: none is named")
    func ruleUnknown() {
        let several = Story()
        several.facts.rules(rejecting, rule(.reject, at: .input, handle: 13))
        let some = Story()
        some.facts.rulesAmongOthers(rejecting)
        for story in [several, some, Story()] {
            story.settles(
                someSyn.received(by: "eth0"), someSyn.reset(by: .netfilter),
                someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .input))
            #expect(story.codes == [.filterRejected] && story.verdicts[0].rule == nil)
            #expect(
                story.verdicts[0].sentence == "A netfilter rule rejected the SYN to 203.0.113.10:80 with a TCP reset.")
        }
    }

    @Test("With an ICMP error, made where the packet was dropped")
    func icmp() {
        let story = Story()
        story.facts.rules(rejecting)
        story.settles(
            someSyn.received(by: "eth0"),
            someSyn.icmp(from: "203.0.113.10", type: 3, code: 3, .egress, by: "eth0"),
            someSyn.decided(.drop, by: 12, in: "ip filter input", .input),
            someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .input))
        #expect(story.codes == [.filterRejected])
        #expect(
            story.verdicts[0].sentence
                == "The rule inet filter input handle 12 \"tcp dport 80 reject with tcp reset\" rejected the SYN to 203.0.113.10:80 with an ICMP error, port unreachable (type 3, code 3)."
        )
        #expect(story.verdicts[0].checklist.answer == .icmp)
    }

    @Test("An ICMP error in another namespace, or from elsewhere, is not the answer to this drop")
    func otherICMP() {
        for observation in [
            someSyn.at(Place.client).icmp(from: "198.51.100.1", .egress), someSyn.icmp(from: "198.51.100.1", .ingress),
        ] {
            let story = Story()
            story.settles(
                someSyn.received(by: "eth0"), observation,
                someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .forward))
            #expect(story.codes == [.filterDropped])
        }
    }

    @Test("An ICMP error beside a drop by another part of the kernel is no rule's")
    func icmpWithoutNetfilter() {
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), someSyn.dropped(in: "ip_error", for: "IP_INNOROUTES"),
            someSyn.icmp(from: "203.0.113.1", code: 0, .egress, by: "eth0"))
        #expect(story.codes == [.noRoute])
    }

    @Test("The answer was rejected")
    func answer() {
        let answer = synack(from: published, to: client)
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
            answer.reset(by: .netfilter), answer.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .forward))
        #expect(story.codes == [.filterRejected])
        #expect(
            story.verdicts[0].sentence
                == "A netfilter rule rejected the SYN-ACK of 203.0.113.10:80 with a TCP reset.")
    }
}

@Suite("A rule drops")
struct FilterDroppedTests {
    private let dropping = rule(
        .drop, at: .forward, for: inner, handle: 21, in: "ip filter forward", "tcp dport 8080 drop")

    private func dropped(
        _ story: Story, _ ruling: nattrace_observation? = nil, in function: String = "nf_hook_slow",
        for reason: String? = "NETFILTER_DROP"
    ) {
        let end = throughNAT.dropped(in: function, for: reason, .forward, by: "eth0")
        story.tell(Scene.synReachesTCP.dropLast() + [ruling, end].compactMap(\.self), at: .zero)
        story.silence(until: Story.settled)
    }

    @Test("It was seen")
    func seen() throws {
        let story = Story()
        story.facts.rules(dropping)
        dropped(story, throughNAT.decided(.drop, by: 21, .forward))
        #expect(story.codes == [.filterDropped])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The rule ip filter forward handle 21 \"tcp dport 8080 drop\" dropped the SYN 198.51.100.7:41234 → 10.0.0.2:8080."
        )
        #expect(
            verdict.advice == [
                "Accept it before: nft insert rule ip filter forward position 21 ip daddr 10.0.0.2 tcp dport 8080 accept",
                "See the chain: nft -a list chain ip filter forward",
            ])
        #expect(verdict.rule == dropping.rule && verdict.evidence == [.rule(dropping.rule)])
        #expect(verdict.stage == .forward && verdict.function == "nf_hook_slow")
        #expect(verdict.reason == "NETFILTER_DROP" && verdict.checklist.conntrack == .new)
    }

    @Test("Where the packet does not show at which hook it was dropped, the rule before it does")
    func stageOfRule() throws {
        let end = throughNAT.dropped(in: "nft_do_chain", for: "NETFILTER_DROP")
        func stage(_ observations: nattrace_observation...) throws -> Stage? {
            let story = Story()
            story.tell(Scene.synReachesTCP.dropLast() + observations, at: .zero)
            story.silence(until: Story.settled)
            return try #require(story.verdicts.first).stage
        }
        #expect(try stage(throughNAT.decided(.drop, by: 21, .forward), end) == .forward)
        #expect(try stage(throughNAT.decided(.drop, by: 21, .forward), throughNAT.sent(by: "eth1"), end) == nil)
        #expect(try stage(throughNAT.at(Place.backend).decided(.drop, by: 21, .forward), end) == nil)
        #expect(try stage(end) == nil)
    }

    @Test("It was seen in a user's chain, and its text cannot be read")
    func seenInUserChain() {
        let story = Story()
        dropped(story, throughNAT.decided(.drop, by: 33, in: "ip filter blocked", .forward))
        #expect(story.codes == [.filterDropped])
        #expect(story.verdicts[0].rule == Rule(id: "33", ruleset: "ip filter blocked", text: nil, tool: .nft))
        #expect(
            story.verdicts[0].sentence
                == "The rule ip filter blocked handle 33 dropped the SYN 198.51.100.7:41234 → 10.0.0.2:8080.")
    }

    @Test("A handle has 64 bits")
    func largeHandle() {
        let story = Story()
        dropped(story, throughNAT.decided(.drop, by: 1 << 40 | 5, .forward))
        #expect(story.verdicts.first?.rule?.id == "1099511627781")
    }

    @Test("It was a policy")
    func policy() {
        let story = Story()
        dropped(story, throughNAT.decided(.drop, .forward))
        #expect(story.codes == [.filterDropped])
        #expect(
            story.verdicts[0].sentence
                == "No rule of the chain ip filter forward accepted the SYN 198.51.100.7:41234 → 10.0.0.2:8080, and its policy is to drop."
        )
        #expect(
            story.verdicts[0].advice == [
                "Accept it before: nft insert rule ip filter forward ip daddr 10.0.0.2 tcp dport 8080 accept",
                "See the chain: nft -a list chain ip filter forward",
            ])
    }

    @Test("A rule of iptables is told in its words")
    func iptables() {
        let story = Story()
        story.facts.rules(
            rule(.drop, at: .forward, handle: 3, in: "ip filter FORWARD", "-A FORWARD -p tcp --dport 8080 -j DROP"))
        dropped(story)
        #expect(story.codes == [.filterDropped])
        #expect(story.verdicts[0].sentence.hasPrefix("The rule ip filter FORWARD 3 \"-A FORWARD"))
        #expect(
            story.verdicts[0].advice == [
                "Accept it before: iptables -t filter -I FORWARD -p tcp -d 10.0.0.2 --dport 8080 -j ACCEPT",
                "See the chain: iptables -t filter -nvL FORWARD --line-numbers",
            ])
    }

    /// `iptables` alone may be the other kind, which does not see the rule.
    @Test("The kind of iptables that has the rule is named", arguments: [RuleTool.iptablesNft, .iptablesLegacy])
    func kindOfIptables(_ tool: RuleTool) {
        let story = Story()
        story.facts.rules(
            rule(.drop, at: .forward, handle: 3, in: "ip filter blocked", "-A blocked -j DROP", by: tool))
        dropped(story)
        let program = tool.rawValue
        #expect(
            story.verdicts[0].advice == [
                "Accept it before: \(program) -t filter -I blocked -p tcp -d 10.0.0.2 --dport 8080 -j ACCEPT",
                "See the chain: \(program) -t filter -nvL blocked --line-numbers",
            ])
    }

    @Test("A rule that nft has is left to nft, whatever its chain is called")
    func iptablesNames() {
        let story = Story()
        story.facts.rules(rule(.drop, at: .forward, handle: 3, in: "ip filter FORWARD", "-j", by: .nft))
        dropped(story)
        #expect(
            story.verdicts[0].advice.first
                == "Accept it before: nft insert rule ip filter FORWARD position 3 ip daddr 10.0.0.2 tcp dport 8080 accept"
        )
    }

    /// Who may make chains may call one so, in a namespace of its own; nft takes its words as one script.
    @Test(
        "Names that nft reads as more than a name are not put into its commands",
        arguments: ["a;flush ruleset", "a; flush ruleset", "a{", "a\nflush", "9", "", "é", "a\"b", "$a", "#"])
    func hostileNames(_ name: String) {
        for ruleset in ["ip filter \(name)", "ip \(name) forward"] {
            let story = Story()
            story.facts.rules(rule(.drop, at: .forward, handle: 3, in: ruleset, "drop", by: .nft))
            dropped(story)
            #expect(story.verdicts[0].advice == ["See the rules: nft -a list ruleset"])
        }
    }

    @Test("nftables freed it, which it does for rules only: known or not, one was it")
    func freedByNftables() {
        for isKnown in [true, false] {
            let story = Story()
            if isKnown { story.facts.rules() }
            dropped(story, in: "nft_do_chain")
            #expect(story.codes == [.filterDropped])
            #expect(story.verdicts[0].rule == nil)
            #expect(
                story.verdicts[0].sentence
                    == "A netfilter rule or policy dropped the SYN 198.51.100.7:41234 → 10.0.0.2:8080 at forward.")
            #expect(story.verdicts[0].advice == ["Find what drops it: nft -a list ruleset"])
        }
    }

    @Test("Where the stage is not known, it is left out")
    func stageUnknown() {
        let story = Story()
        story.settles(someSyn.received(by: "eth0"), someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP"))
        #expect(
            story.verdicts.map(\.sentence) == [
                "A netfilter rule or policy dropped the SYN 198.51.100.7:41234 → 203.0.113.10:80."
            ])
    }

    @Test("nf_hook_slow freed it, and there is one rule that can have been it")
    func onlyCandidate() {
        for reason in ["NETFILTER_DROP", nil] {
            let story = Story()
            story.facts.rules(dropping, rule(.drop, at: .input, handle: 22), rule(.drop, at: .forward, for: published))
            dropped(story, for: reason)
            #expect(story.codes == [.filterDropped] && story.verdicts[0].rule == dropping.rule)
        }
    }

    @Test("The search is for the packet as it was there")
    func search() {
        let story = Story()
        story.facts.rules(dropping)
        dropped(story)
        let searches = story.facts.asked.compactMap { question -> RuleSearch? in
            if case .rules(let search) = question, search.effect == .drop { search } else { nil }
        }
        #expect(
            Set(searches) == [
                RuleSearch(
                    effect: .drop, stage: .forward, tuple: flow(client, inner), flags: .syn, inputInterface: "eth0",
                    outputInterface: nil, netns: Place.gateway, tracking: .new)
            ])
    }

    @Test("nf_hook_slow freed it, and there are several rules that can have been it")
    func severalCandidates() {
        let story = Story()
        story.facts.rules(dropping, rule(.drop, at: .forward, handle: 22))
        dropped(story)
        #expect(story.codes == [.filterDropped] && story.verdicts[0].rule == nil)
        #expect(story.verdicts[0].sentence.hasPrefix("A netfilter rule or policy dropped"))
    }

    @Test("nf_hook_slow freed it, and whether one of several rules met it is not known")
    func uncertainCandidates() {
        for certain in [0, 1] {
            let story = Story()
            var (first, second) = (dropping, rule(.drop, at: .forward, handle: 22))
            first.isCertain = false
            second.isCertain = certain == 1
            story.facts.rules(first, second)
            dropped(story)
            #expect(story.codes == [certain == 1 ? .filterDropped : .dropped] && story.verdicts[0].rule == nil)
        }
    }

    @Test("It was at a bridge's hook or a device's, which look like others")
    func otherHook() {
        for (stage, ruleset) in [
            (Stage.input, "bridge filter input"), (.ingress, "netdev filter ingress"),
            (.postrouting, "ip mangle postrouting"),
        ] {
            let story = Story()
            let there = rule(.drop, at: stage, in: ruleset)
            story.facts.rules(there)
            dropped(story)
            #expect(story.codes == [.filterDropped] && story.verdicts[0].rule == there.rule)
        }
    }

    @Test("What is routed on was seen by no rule of INPUT or OUTPUT, freed by nftables or not")
    func foreignHook() {
        for (function, code) in [("nf_hook_slow", VerdictCode.dropped), ("nft_do_chain", .filterDropped)] {
            let story = Story()
            story.facts.rules(rule(.drop, at: .input), rule(.drop, at: .output, handle: 8))
            dropped(story, in: function)
            #expect(story.codes == [code] && story.verdicts[0].rule == nil)
        }
    }

    @Test("nf_hook_slow freed it, and no rule can have been it, or nobody knows")
    func noCandidate() {
        let none = Story()
        none.facts.rules(rule(.drop, at: .input))
        let some = Story()
        some.facts.rulesAmongOthers(dropping)
        for story in [none, some, Story()] {
            dropped(story)
            #expect(story.codes == [.dropped])
            #expect(
                story.verdicts[0].sentence
                    == "The SYN 198.51.100.7:41234 → 10.0.0.2:8080 was dropped in nf_hook_slow, reason NETFILTER_DROP.")
        }
    }

    @Test("A rule that decided on another packet, or in another namespace, did not drop this one")
    func otherRuling() {
        for ruling in [
            synack(from: inner, to: client).decided(.drop, by: 21, .forward),
            throughNAT.at(Place.client).decided(.drop, by: 21, .forward),
        ] {
            let story = Story()
            story.facts.rules()
            dropped(story, ruling)
            #expect(story.codes == [.dropped])
        }
    }

    @Test("A rule of an earlier stage that let it go on did not drop it")
    func earlierRuling() {
        let story = Story()
        story.facts.rules()
        dropped(story, throughNAT.decided(.queue, by: 21, in: "ip mangle prerouting", .prerouting))
        #expect(story.codes == [.dropped])
    }

    @Test("What this machine dials is dropped at OUTPUT")
    func output() {
        let story = Story()
        story.settles(
            someSyn.transmitted(by: "curl", pid: 4711), someSyn.with(.plain).conntrack(.new, .output),
            someSyn.decided(.drop, by: 5, in: "ip filter output", .output),
            someSyn.with(.plain).dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .output))
        #expect(story.codes == [.filterDropped] && story.verdicts[0].stage == .output)
    }

    @Test("What nftables freed in OUTPUT before anything was seen may have been answered: rulesets tell, or nobody")
    func outputUnseen() {
        func code(_ change: (FakeFacts) -> Void, after earlier: nattrace_observation...) -> VerdictCode? {
            let story = Story()
            change(story.facts)
            story.tell(
                earlier + [someSyn.with(.plain).dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .output)],
                at: .zero)
            story.silence(until: Story.settled)
            return story.codes.last
        }
        let drop = rule(.drop, at: .output)
        let reject = rule(.reject, at: .output, handle: 8)
        #expect(code { $0.rules(drop) } == .filterDropped)
        #expect(code { $0.rules(reject) } == .filterRejected)
        #expect(code { $0.rules(drop, reject) } == .dropped)
        #expect(code { $0.rulesAmongOthers(drop) } == .dropped)
        #expect(code { _ in } == .dropped)
        // Its answer would have been seen.
        #expect(code({ _ in }, after: someSyn.transmitted(by: "curl", pid: 4711)) == .filterDropped)
    }

    @Test("The answer was dropped, and its way back is to be opened")
    func answer() {
        let answer = synack(from: inner, to: client)
        let story = Story()
        story.facts.rules(rule(.drop, at: .forward, handle: 21))
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                throughNAT.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
                answer.answering(.toInner).conntrack(.match),
                answer.answering(.toInner).dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward, by: "eth1"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterDropped])
        #expect(
            story.verdicts[0].sentence
                == "The rule ip filter forward handle 21 dropped the SYN-ACK 10.0.0.2:8080 → 198.51.100.7:41234.")
        #expect(
            story.verdicts[0].advice.first
                == "Accept it before: nft insert rule ip filter forward position 21 ip saddr 10.0.0.2 tcp sport 8080 accept"
        )
    }

    @Test("Evidence of a drop stands, whatever was lost")
    func lost() {
        let story = Story()
        story.facts.rules(dropping)
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                throughNAT.decided(.drop, by: 21, .forward),
                throughNAT.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward, by: "eth0"),
            ], at: .zero)
        story.loses(at: .milliseconds(10))
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterDropped])
    }
}

@Suite("NAT has no room")
struct NATExhaustedTests {
    private let port = "192.0.2.1:1024"
    private var masqueraded: Entry { Entry(flow(client, published), to: flow(port, published)) }

    private func clash(_ story: Story, status: ConntrackStatus = []) {
        var entry = masqueraded
        entry.status = status
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
            HandshakeTests.natRule(.source, from: port, flags: 3, binds: .plain),
            someSyn.with(entry).rewritten(.source, .postrouting),
            syn(from: port, to: published).with(entry).dropped(
                in: "nf_hook_slow", for: "NETFILTER_DROP", .postrouting))
    }

    @Test("Another entry has the place that the new one asked for")
    func clash() throws {
        let story = Story()
        let masquerade = rule(
            .source(port), at: .postrouting, handle: 8, in: "ip nat postrouting", "snat to 192.0.2.1:1024")
        story.facts.rules(masquerade)
        story.facts.entry(
            with: flow(published, port), is: (flow("198.51.100.8:5000", published), flow(published, port)))
        clash(story)
        #expect(story.codes == [.natExhausted])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "NAT found no free address and port for 198.51.100.7:41234 towards 203.0.113.10:80: it got 192.0.2.1:1024, which 198.51.100.8:5000 has, and the new entry clashed with that one."
        )
        #expect(verdict.rule == masquerade.rule)
        #expect(
            verdict.advice == [
                "Let the rule translate to more ports or addresses: ip nat postrouting handle 8 \"snat to 192.0.2.1:1024\""
            ])
        #expect(verdict.evidence.map(\.kind) == ["conntrack_entry", "rule"])
    }

    @Test("Nobody has the place, or the connection itself")
    func noClash() {
        let own = Story()
        own.facts.entry(with: flow(published, port), is: (flow(client, published), flow(published, port)))
        for story in [own, Story()] {
            story.facts.rules()
            clash(story)
            #expect(story.codes == [.dropped])
        }
    }

    @Test("An entry that is in the table already does not clash")
    func confirmed() {
        let story = Story()
        story.facts.rules()
        story.facts.entry(
            with: flow(published, port), is: (flow("198.51.100.8:5000", published), flow(published, port)))
        clash(story, status: .confirmed)
        #expect(story.codes == [.dropped])
    }

    @Test("A rule that was seen to drop it is the cause")
    func ruleSeen() {
        let story = Story()
        story.facts.entry(
            with: flow(published, port), is: (flow("198.51.100.8:5000", published), flow(published, port)))
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(masqueraded).rewritten(.source, .postrouting),
            syn(from: port, to: published).with(masqueraded).decided(.drop, by: 3, .postrouting),
            syn(from: port, to: published).with(masqueraded).dropped(
                in: "nf_hook_slow", for: "NETFILTER_DROP", .postrouting))
        #expect(story.codes == [.filterDropped])
    }

    @Test("A rule that may have dropped it does not hide the clash")
    func ruleCandidate() {
        let story = Story()
        story.facts.rules(rule(.drop, at: .postrouting))
        story.facts.entry(
            with: flow(published, port), is: (flow("198.51.100.8:5000", published), flow(published, port)))
        clash(story)
        #expect(story.codes == [.natExhausted])
    }

    @Test("By tracepoints, the dropped packet's entry tells")
    func byTracepoints() {
        let story = Story()
        story.facts.rules()
        story.facts.entry(
            with: flow(published, port), is: (flow("198.51.100.8:5000", published), flow(published, port)))
        story.settles(
            someSyn.received(by: "eth0"),
            syn(from: port, to: published).with(masqueraded).dropped(
                in: "nf_hook_slow", for: "NETFILTER_DROP", .postrouting))
        #expect(story.codes == [.natExhausted])
    }
}
