// Causes in conntrack: a full table, an entry that was there before, packets that NAT was kept from.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)
/// Would have translated the SYN.
private let natRule = rule(
    .destination(inner), at: .prerouting, for: published, handle: 4, in: "ip nat prerouting",
    "tcp dport 80 dnat to 10.0.0.2:8080")

@Suite("The conntrack table is full")
struct ConntrackFullTests {
    private func story(count: Int?, of limit: Int?) -> Story {
        let story = Story()
        if let count { story.facts.sysctl("net/netfilter/nf_conntrack_count", is: count) }
        if let limit { story.facts.sysctl("net/netfilter/nf_conntrack_max", is: limit) }
        return story
    }

    private let dropped = someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting)

    @Test("A SYN was put to conntrack, which said nothing, and was gone")
    func asked() throws {
        let story = story(count: 1000, of: 1000)
        story.settles(someSyn.received(by: "eth0"), someSyn.conntrack(.asked), dropped)
        #expect(story.codes == [.conntrackFull])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The conntrack table is full (1000 of 1000 entries), so the SYN to 203.0.113.10:80 was dropped before any rule saw it."
        )
        #expect(
            verdict.advice == [
                "Make room for more: sysctl -w net.netfilter.nf_conntrack_max=2000", "See what fills it: conntrack -L",
            ])
        #expect(
            verdict.evidence == [
                .sysctl(name: "net.netfilter.nf_conntrack_max", value: "1000"),
                .sysctl(name: "net.netfilter.nf_conntrack_count", value: "1000"),
            ])
        #expect(verdict.stage == .prerouting && verdict.function == "nf_hook_slow" && verdict.rule == nil)
    }

    @Test("Before drops had reasons, the function tells that netfilter did it")
    func withoutReason() {
        let story = story(count: 1000, of: 1000)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.conntrack(.asked), someSyn.dropped(in: "nf_hook_slow", .prerouting))
        #expect(story.codes == [.conntrackFull])
    }

    @Test("What ended since is allowed for", arguments: [(950, true), (949, false), (1001, true)])
    func nearlyFull(_ count: Int, _ isFull: Bool) {
        let story = story(count: count, of: 1000)
        story.settles(someSyn.received(by: "eth0"), someSyn.conntrack(.asked), dropped)
        #expect(story.codes == [isFull ? .conntrackFull : .dropped])
    }

    @Test("A table that has no limit, or cannot be asked for, is not full")
    func notKnown() {
        for story in [story(count: 1000, of: nil), story(count: nil, of: 1000), story(count: 5, of: 0)] {
            story.settles(someSyn.received(by: "eth0"), someSyn.conntrack(.asked), dropped)
            #expect(story.codes == [.dropped])
        }
    }

    @Test(
        "Conntrack answered, so it was not the table",
        arguments: [
            someSyn.with(.plain).conntrack(.new), someSyn.with(.plain).conntrack(.match),
            someSyn.invalid("bad checksum"),
        ])
    func answered(_ answer: nattrace_observation) {
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(someSyn.received(by: "eth0"), someSyn.conntrack(.asked), answer, dropped)
        #expect(story.codes == [.dropped])
    }

    @Test("An answer for which there is no entry is INVALID, not refused")
    func answerWithoutEntry() {
        let answer = synack(from: published, to: client)
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(
            someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
            answer.conntrack(.asked), answer.with(Entry(flow(published, client))).conntrack(.new),
            answer.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting))
        #expect(story.codes == [.dropped])
    }

    @Test("Over loopback a packet meets conntrack twice, the second time with its entry and without an answer")
    func loopback() {
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(
            someSyn.transmitted(by: "curl", pid: 4711), someSyn.conntrack(.asked, .output),
            someSyn.with(.plain).conntrack(.new, .output), someSyn.with(.plain).sent(by: "lo"),
            someSyn.with(.plain).received(by: "lo"), someSyn.with(.plain).conntrack(.asked),
            someSyn.with(.plain).dropped(in: "nf_hook_slow", for: "NETFILTER_DROP"))
        #expect(story.codes == [.dropped])
    }

    @Test("With hooks, conntrack refuses nothing that it was not asked about")
    func notAsked() {
        for hooks in [["nf_conntrack_in"], []] as [Set<String>] {
            let story = Story { $0.hooks = hooks }
            story.facts.sysctl("net/netfilter/nf_conntrack_max", is: 1000)
            story.facts.sysctl("net/netfilter/nf_conntrack_count", is: 1000)
            story.facts.rules()
            story.settles(
                someSyn.received(by: "eth0"), someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting))
            #expect(story.codes == [hooks.isEmpty ? .conntrackFull : .dropped])
        }
    }

    @Test("A question in another namespace is not the one")
    func elsewhere() {
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(
            someSyn.at(Place.client).transmitted(by: "curl", pid: 4711),
            someSyn.at(Place.client).conntrack(.asked, .output),
            someSyn.with(.plain).dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting))
        #expect(story.codes == [.dropped])
    }

    @Test("Another part of the kernel dropped it")
    func otherReason() {
        let story = story(count: 1000, of: 1000)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.conntrack(.asked), someSyn.dropped(in: "nf_hook_slow", for: "NOMEM"))
        #expect(story.codes == [.dropped])
    }

    // MARK: By tracepoints

    @Test("Without hooks, a SYN that netfilter dropped at the door without an entry, and no rule can have")
    func byTracepoints() {
        let story = story(count: 1000, of: 1000)
        story.facts.rules(rule(.drop, at: .forward))
        story.settles(someSyn.received(by: "eth0"), dropped)
        #expect(story.codes == [.conntrackFull])
    }

    @Test("Without hooks, one that a rule can have dropped before conntrack was asked")
    func byTracepointsWithRule() {
        let story = story(count: 1000, of: 1000)
        story.facts.rules(rule(.drop, at: .prerouting, in: "ip raw prerouting"))
        story.settles(someSyn.received(by: "eth0"), dropped)
        #expect(story.codes == [.filterDropped])
    }

    @Test("Without hooks and names of functions, the packet's state says at which door")
    func byTracepointsWithoutFunction() {
        var drop = someSyn.dropped(reason: FakeKernel.number(of: "NETFILTER_DROP"))
        drop.stage = Stage.prerouting.rawValue
        let story = story(count: 1000, of: 1000)
        // It would have dropped the SYN, had it come so far.
        story.facts.rules(rule(.drop, at: .input))
        story.settles(someSyn.received(by: "eth0"), drop)
        #expect(story.codes == [.conntrackFull])
        #expect(story.verdicts.first?.stage == .prerouting && story.verdicts.first?.function == "skb:kfree_skb")
    }

    @Test("Without hooks and without knowing the rules, nothing says who dropped it")
    func byTracepointsRulesUnknown() {
        let story = story(count: 1000, of: 1000)
        story.settles(someSyn.received(by: "eth0"), dropped)
        #expect(story.codes == [.dropped])
        let some = self.story(count: 1000, of: 1000)
        some.facts.rulesAmongOthers()
        some.settles(someSyn.received(by: "eth0"), dropped)
        #expect(some.codes == [.dropped])
    }

    @Test(
        "Without hooks, one that has an entry, or was past conntrack",
        arguments: [
            someSyn.with(.plain).dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting),
            someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward),
            someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .prerouting),
        ])
    func byTracepointsPastConntrack(_ drop: nattrace_observation) {
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(someSyn.received(by: "eth0"), drop)
        #expect(!story.codes.contains(.conntrackFull))
    }

    @Test("An untracked SYN needs no entry")
    func untracked() {
        let story = story(count: 1000, of: 1000)
        story.facts.rules()
        story.settles(
            someSyn.received(by: "eth0"),
            someSyn.untracked().dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting))
        #expect(story.codes == [.dropped])
    }
}

@Suite("An older entry keeps the NAT rules from being asked")
struct StaleConntrackTests {
    /// Left over from before there was a rule.
    private var older: Entry {
        var entry = Entry(flow(client, published), identity: 0xffff_8880_0000_0900)
        entry.status = [.confirmed]
        return entry
    }

    /// Left over from another rule.
    private var elsewhere: Entry {
        var entry = Entry(
            flow(client, published), to: flow(client, "10.0.0.9:8080"), identity: 0xffff_8880_0000_0900)
        entry.status = [.confirmed]
        entry.state = 3
        return entry
    }

    private func untranslated(_ story: Story, _ decision: ConntrackDecision = .match) {
        story.facts.listening(port: 80)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.conntrack(.asked), someSyn.with(older).conntrack(decision),
            someSyn.with(older).delivered(), someSyn.lookedUp(), someSyn.with(older).reset())
    }

    @Test("The SYN matched an entry without translation, and there is a rule that translates")
    func untranslated() throws {
        let story = Story()
        story.facts.rules(natRule)
        untranslated(story)
        #expect(story.codes == [.staleConntrack])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The SYN 198.51.100.7:41234 → 203.0.113.10:80 matched an older conntrack entry in state SYN_SENT, which leaves its destination as it is; NAT rules are asked only for new entries."
        )
        #expect(
            verdict.advice == [
                "Remove the entry: conntrack -D -p tcp -s 198.51.100.7 --sport 41234 -d 203.0.113.10 --dport 80"
            ])
        #expect(verdict.evidence.map(\.kind) == ["conntrack_entry", "rule"])
        #expect(verdict.stage == .prerouting && verdict.function == "nf_conntrack_in")
        #expect(verdict.checklist.conntrack == .stale)
    }

    @Test("The entry translates to where the rules no longer do")
    func translatedElsewhere() {
        let story = Story()
        story.facts.rules(natRule)
        story.waits(
            someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            someSyn.with(elsewhere).rewritten(.destination, .prerouting),
            syn(from: client, to: "10.0.0.9:8080").with(elsewhere).sent(by: "eth1", index: 3))
        #expect(story.codes == [.staleConntrack])
        #expect(
            story.verdicts[0].sentence
                == "The SYN 198.51.100.7:41234 → 203.0.113.10:80 matched an older conntrack entry in state ESTABLISHED, which sends it to 10.0.0.9:8080; NAT rules are asked only for new entries."
        )
    }

    @Test("The entry translates, and there is no rule for it any more")
    func ruleIsGone() {
        let story = Story()
        story.facts.rules()
        story.waits(
            someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            syn(from: client, to: "10.0.0.9:8080").with(elsewhere).sent(by: "eth1", index: 3))
        #expect(story.codes == [.staleConntrack])
        #expect(story.verdicts[0].evidence.map(\.kind) == ["conntrack_entry"])
    }

    @Test("IPVS translates without rules: they cannot agree")
    func madeByIPVS() {
        let story = Story()
        var entry = elsewhere
        entry.isTranslatedByNAT = false
        story.facts.rules()
        story.waits(
            someSyn.received(by: "eth0"), someSyn.with(entry).conntrack(.match),
            syn(from: client, to: "10.0.0.9:8080").with(entry).sent(by: "eth1", index: 3))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("The rule may not match, so that the entry need not be to blame")
    func uncertainRule() {
        for isCertain in [false, true] {
            let story = Story()
            var rule = natRule
            rule.isCertain = isCertain
            story.facts.rules(rule)
            story.waits(
                someSyn.received(by: "eth0"), someSyn.with(older).conntrack(.match),
                someSyn.with(older).sent(by: "eth1", index: 3))
            #expect(story.codes == [isCertain ? .staleConntrack : .synUnanswered])
        }
    }

    @Test("A rule for what comes in by another device was kept from nothing")
    func otherDevice() {
        for device in ["eth0", "eth7"] {
            let story = Story()
            var rule = natRule
            rule.input = device
            story.facts.rules(rule)
            story.waits(
                someSyn.received(by: "eth0"), someSyn.with(older).conntrack(.match),
                someSyn.with(older).sent(by: "eth1", index: 3))
            #expect(story.codes == [device == "eth0" ? .staleConntrack : .synUnanswered])
        }
    }

    @Test("The rules say what the entry says: it is not to blame")
    func rulesAgree() {
        let story = Story()
        story.facts.rules(rule(.destination("10.0.0.9:8080"), at: .prerouting, for: published))
        story.waits(
            someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            syn(from: client, to: "10.0.0.9:8080").with(elsewhere).sent(by: "eth1", index: 3))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("No rule translates it, and neither does the entry")
    func noRule() {
        let story = Story()
        story.facts.rules(rule(.destination(inner), at: .prerouting, for: "203.0.113.10:443"))
        untranslated(story)
        #expect(story.codes == [.noListener])
    }

    @Test("A rule for what this machine dials itself says nothing of what came in")
    func ruleAtOutput() {
        let story = Story()
        story.facts.rules(rule(.destination(inner), at: .output, for: published))
        untranslated(story)
        #expect(story.codes == [.noListener])
    }

    @Test("Where the rules are not known, nobody says that the entry is to blame")
    func rulesUnknown() {
        for isPartlyKnown in [false, true] {
            let untranslated = Story()
            if isPartlyKnown { untranslated.facts.rulesAmongOthers() }
            self.untranslated(untranslated)
            #expect(untranslated.codes == [.noListener])
            let translated = Story()
            if isPartlyKnown { translated.facts.rulesAmongOthers() }
            translated.waits(
                someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
                syn(from: client, to: "10.0.0.9:8080").with(elsewhere).sent(by: "eth1", index: 3))
            #expect(translated.codes == [.synUnanswered])
        }
    }

    @Test("A SYN sent again belongs to the entry that its first one made")
    func again() {
        let story = Story()
        story.facts.rules(natRule)
        untranslated(story, .again)
        #expect(story.codes == [.noListener])
    }

    @Test("A SYN sent again on the entry that its first one matched still follows the older entry")
    func againOnOlder() {
        let story = Story()
        story.facts.rules(natRule)
        let inner = syn(from: client, to: "10.0.0.9:8080").with(elsewhere)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            inner.sent(by: "eth1", index: 3))
        story.at(
            .seconds(1), someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.again),
            inner.sent(by: "eth1", index: 3))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.staleConntrack])
    }

    @Test("Conntrack replaced the older entry for this very SYN")
    func replaced() {
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(port: 8080)
        story.tell(
            [
                someSyn.received(by: "eth0"), someSyn.conntrack(.asked), someSyn.with(older).conntrack(.match),
                someSyn.conntrack(.asked),
            ] + Scene.synReachesTCP.dropFirst(2) + Scene.nobodyListens, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener])
        #expect(story.verdicts[0].checklist.conntrack == .new)
    }

    @Test("A new entry at the address of the one that it replaced is not older")
    func replacedInPlace() {
        var fresh = Entry.plain
        fresh.identity = older.identity
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(port: 80)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(older).conntrack(.match),
            someSyn.with(fresh).conntrack(.new), someSyn.with(fresh).delivered())
        story.at(
            .seconds(1), someSyn.received(by: "eth0"), someSyn.with(fresh).conntrack(.again),
            someSyn.with(fresh).delivered(), someSyn.lookedUp(), someSyn.with(fresh).reset())
        story.silence(until: .seconds(2))
        #expect(story.codes == [.noListener])
    }

    @Test("A new entry in the next namespace does not replace the older one here")
    func nextNamespace() {
        var there = Entry(flow(client, "10.0.0.9:8080"), identity: 0xffff_8880_0000_0a00)
        there.status = []
        let story = Story()
        story.facts.rules(natRule)
        let inner = syn(from: client, to: "10.0.0.9:8080")
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            inner.with(elsewhere).sent(by: "eth1", index: 3), inner.at(Place.backend).received(by: "veth0"),
            inner.at(Place.backend).with(there).conntrack(.new), inner.at(Place.backend).lookedUp(),
            inner.at(Place.backend).with(there).reset())
        #expect(story.codes == [.staleConntrack])
    }

    @Test("It succeeded all the same")
    func established() {
        let story = Story()
        story.facts.rules(natRule)
        story.tell(
            [someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match)] + Scene.handshake, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.established])
    }

    @Test("When tracing ends before an answer, the entry is not blamed yet")
    func ends() {
        let story = Story()
        story.facts.rules(natRule)
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.with(elsewhere).conntrack(.match),
            syn(from: client, to: "10.0.0.9:8080").with(elsewhere).sent(by: "eth1", index: 3))
        story.ends(at: .seconds(1))
        #expect(story.codes == [.unexplained] && story.verdicts[0].outcome == .unknown)
    }

    @Test("Tracepoints show an entry that has seen answers before this SYN had one")
    func byTracepoints() {
        var seen = older
        seen.status = [.confirmed, .seenReply]
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(port: 80)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(seen).byTracepoint().reset(),
            rst(from: published, to: client).answering(seen).sent(by: "eth0"))
        #expect(story.codes == [.staleConntrack])
        #expect(story.steps.prefix(2) == ["syn ingress", "(conntrack.match prerouting)"])
    }
}

@Suite("NAT is kept from a packet by NOTRACK")
struct UntrackedTests {
    private let kept = someSyn.untracked()

    private func refused(_ story: Story, _ observations: nattrace_observation...) {
        story.facts.listening(port: 80)
        story.tell(
            [someSyn.received(by: "eth0")] + observations + [kept.delivered(), someSyn.lookedUp(), kept.reset()],
            at: .zero)
        story.silence(until: Story.settled)
    }

    @Test("A rule that was seen keeps the SYN from conntrack, and another would have translated it")
    func byRule() throws {
        let story = Story()
        story.facts.rules(
            natRule, rule(.notrack, at: .prerouting, handle: 9, in: "ip raw prerouting", "tcp dport 80 notrack"))
        refused(story, kept.decided(.proceed, by: 9, in: "ip raw prerouting", .prerouting), kept.conntrack(.untracked))
        #expect(story.codes == [.untracked])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The SYN to 203.0.113.10:80 was kept from conntrack, by rule ip raw prerouting handle 9 \"tcp dport 80 notrack\": NAT rules cannot act on it."
        )
        #expect(verdict.rule?.id == "9" && verdict.rule?.ruleset == "ip raw prerouting")
        #expect(verdict.evidence.first == verdict.rule.map(Evidence.rule))
        #expect(verdict.evidence.dropFirst() == [.rule(natRule.rule)])
        #expect(
            verdict.advice == ["Let the notrack rule leave out port 80, or do without NAT for it"])
        #expect(verdict.stage == .prerouting && verdict.checklist.conntrack == .untracked)
    }

    @Test("After notrack, rules that merely count are no steps")
    func counting() {
        let story = Story()
        story.facts.rules(natRule)
        refused(
            story, kept.decided(.proceed, by: 9, in: "ip raw prerouting", .prerouting),
            kept.decided(.proceed, by: 10, in: "ip filter input", .input))
        #expect(story.actions.count { $0 == .rule } == 1)
        #expect(story.verdicts.first?.rule?.id == "9")
    }

    @Test("Without rule hooks, the only rule that can have done it is named")
    func ruleConcluded() {
        let story = Story()
        let notrack = rule(.notrack, at: .prerouting, in: "ip raw prerouting")
        story.facts.rules(natRule, notrack)
        refused(story, kept.conntrack(.untracked))
        #expect(story.codes == [.untracked] && story.verdicts[0].rule == notrack.rule)
        #expect(
            story.verdicts[0].sentence
                == "The SYN to 203.0.113.10:80 was kept from conntrack, by rule ip raw prerouting handle 7: NAT rules cannot act on it."
        )
    }

    @Test("By tracepoints the packet itself says that it is not tracked")
    func byTracepoints() {
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(port: 80)
        story.settles(
            someSyn.received(by: "eth0"), kept.byTracepoint().reset(), rst(from: published, to: client).sent(by: "eth0")
        )
        #expect(story.codes == [.untracked])
    }

    @Test("No rule would have translated it")
    func noRule() {
        let story = Story()
        story.facts.rules(rule(.destination(inner), at: .prerouting, for: "203.0.113.10:443"))
        refused(story, kept.conntrack(.untracked))
        #expect(story.codes == [.noListener])
    }

    @Test("A rule for what this machine dials itself is no rule for what came in")
    func ruleAtOutput() {
        let story = Story()
        story.facts.rules(rule(.destination(inner), at: .output, for: published))
        refused(story, kept.conntrack(.untracked))
        #expect(story.codes == [.noListener])
    }

    @Test("What this machine dials itself meets the rules of OUTPUT")
    func output() {
        for (stage, code) in [(Stage.output, VerdictCode.untracked), (.prerouting, .synUnanswered)] {
            let story = Story()
            story.facts.rules(rule(.destination(inner), at: stage, for: published))
            story.waits(
                someSyn.transmitted(by: "curl", pid: 4711), kept.conntrack(.untracked, .output), kept.sent(by: "eth0"))
            #expect(story.codes == [code])
        }
    }

    @Test("Where the rules are not known, it is not said that one was kept from the SYN")
    func rulesUnknown() {
        let story = Story()
        refused(story, kept.conntrack(.untracked))
        #expect(story.codes == [.noListener])
        let some = Story()
        some.facts.rulesAmongOthers()
        refused(some, kept.conntrack(.untracked))
        #expect(some.codes == [.noListener])
    }

    @Test("In a namespace that translated it, another copy was untracked")
    func translatedAllTheSame() {
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(port: 8080)
        story.tell(
            [someSyn.received(by: "br0", index: 9), kept.conntrack(.untracked)] + Scene.synReachesTCP
                + Scene.nobodyListens, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.noListener])
    }

    @Test("The answer is untracked where the connection is translated")
    func answer() {
        let answer = synack(from: inner, to: client)
        let story = Story()
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
                answer.received(by: "eth1", index: 3), answer.untracked().conntrack(.untracked),
                answer.untracked().sent(by: "eth0"),
            ], at: .zero)
        story.silence(until: .seconds(5))
        #expect(story.codes == [.untracked])
        #expect(
            story.verdicts[0].sentence
                == "The answer of 10.0.0.2:8080 (dialled as 203.0.113.10:80) was kept from conntrack: the translation was not undone."
        )
    }

    @Test("The answer is untracked where nothing is translated")
    func answerElsewhere() {
        let answer = synack(from: inner, to: client).at(Place.backend)
        let story = Story()
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
                answer.untracked().conntrack(.untracked), answer.untracked().sent(by: "veth0"),
            ], at: .zero)
        story.silence(until: .seconds(5))
        #expect(story.codes == [.synackUnanswered])
    }
}

@Suite("Conntrack calls a packet INVALID")
struct ConntrackInvalidTests {
    private func refused(_ story: Story, _ invalid: nattrace_observation) {
        story.facts.listening(port: 80)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.conntrack(.asked), invalid, someSyn.delivered(), someSyn.lookedUp(),
            someSyn.reset())
    }

    @Test("The SYN, for which there is a rule, and why")
    func syn() throws {
        let story = Story()
        story.facts.rules(natRule)
        refused(story, someSyn.invalid("bad checksum"))
        #expect(story.codes == [.conntrackInvalid])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "Conntrack calls the SYN 198.51.100.7:41234 → 203.0.113.10:80 INVALID: \"bad checksum\"; NAT left it as it was."
        )
        #expect(
            verdict.advice == [
                "Look at the sender, its offloading and what changes packets on the way: the checksum is wrong"
            ])
        #expect(verdict.reason == "bad checksum" && verdict.stage == .prerouting)
        #expect(verdict.evidence == [.rule(natRule.rule)] && verdict.checklist.conntrack == .invalid)
    }

    @Test("Without words, none are told")
    func withoutWords() {
        let story = Story()
        story.facts.rules(natRule)
        story.facts.netns("blue", is: Place.gateway)
        refused(story, someSyn.conntrack(.invalid))
        #expect(story.codes == [.conntrackInvalid])
        #expect(
            story.verdicts[0].sentence
                == "Conntrack calls the SYN 198.51.100.7:41234 → 203.0.113.10:80 INVALID; NAT left it as it was.")
        #expect(story.verdicts[0].reason == nil)
        #expect(
            story.verdicts[0].advice == [
                "See whether both directions of the flow pass here, and whether its entry was removed meanwhile: ip netns exec blue conntrack -E -p tcp"
            ])
    }

    @Test("No rule would have translated it, or that is not known")
    func noRule() {
        for isKnown in [true, false] {
            let story = Story()
            if isKnown { story.facts.rules() }
            refused(story, someSyn.invalid("bad checksum"))
            #expect(story.codes == [.noListener])
        }
    }

    @Test("What conntrack merely ignores keeps its entry")
    func ignored() {
        let story = Story()
        story.facts.rules(natRule)
        refused(story, someSyn.invalid("packet (index %d) in dir %d ignored, state %s"))
        #expect(story.codes == [.noListener])
        #expect(!story.actions.contains(.conntrackInvalid))
    }

    // MARK: The answer

    private let answer = synack(from: inner, to: client)
    private var unasked: Entry { Entry(flow(inner, client), identity: 0xffff_8880_0000_0b00) }

    /// The entry was removed before the answer came, which is passed on as it is.
    private func answered(_ story: Story, _ decisions: nattrace_observation...) {
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                HandshakeTests.syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
                answer.received(by: "eth1", index: 3), answer.conntrack(.asked),
            ] + decisions + [answer.sent(by: "eth0")], at: .zero)
        story.silence(until: .seconds(5))
    }

    @Test("An answer without entry, on a kernel that has words for it")
    func answerWithWords() {
        let story = Story()
        answered(story, answer.with(unasked).conntrack(.new), answer.invalid("invalid new"))
        #expect(story.codes == [.conntrackInvalid])
        #expect(
            story.verdicts[0].sentence
                == "Conntrack calls the SYN-ACK 10.0.0.2:8080 → 198.51.100.7:41234 INVALID: \"invalid new\"; NAT left it as it was."
        )
        #expect(story.actions.count { $0 == .conntrackInvalid } == 1)
        #expect(!story.actions.dropFirst(3).contains(.conntrackNew))
    }

    @Test("An answer without entry, on a kernel without words")
    func answerWithoutWords() {
        let story = Story()
        answered(story, answer.with(unasked).conntrack(.new))
        #expect(story.codes == [.conntrackInvalid])
        #expect(story.verdicts[0].reason == nil)
        #expect(story.actions.count { $0 == .conntrackInvalid } == 1)
    }

    @Test("An answer that has an entry is not INVALID")
    func answerWithEntry() {
        let story = Story()
        answered(story, answer.answering(.toInner).conntrack(.match))
        #expect(story.codes == [.synackUnanswered])
    }

    @Test("An answer without entry where nothing is translated")
    func answerElsewhere() {
        let answer = synack(from: published, to: client)
        let story = Story()
        story.waits(
            someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
            answer.with(Entry(flow(published, client))).conntrack(.new), answer.sent(by: "eth0"))
        #expect(story.codes == [.synackUnanswered])
    }

    @Test("The ACK, where the connection is translated")
    func ack() {
        let last = HandshakeTests.ack(from: client, to: published)
        let story = Story()
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                HandshakeTests.syn(from: client, to: inner).with(.toInner).sent(by: "eth1", index: 3),
                answer.received(by: "eth1", index: 3),
                synack(from: published, to: client).answering(.toInner).sent(by: "eth0"),
                last.received(by: "eth0"), last.invalid("invalid state"),
                last.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.conntrackInvalid])
        #expect(
            story.verdicts[0].sentence.hasPrefix("Conntrack calls the ACK 198.51.100.7:41234 → 203.0.113.10:80 INVALID")
        )
    }

    @Test("A connection that gets established all the same had a packet that did not matter")
    func established() {
        let story = Story()
        story.facts.rules(natRule)
        story.tell(
            Scene.synReachesTCP + Scene.handshake.prefix(6) + [
                HandshakeTests.ack(from: client, to: published).invalid("invalid state")
            ] + Scene.handshake.suffix(2), at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.established])
    }
}
