// The four questions of a troubleshooter.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)

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

    @Test(
        "A SYN of this machine that is stopped before it leaves arrives nowhere",
        arguments: [Stage.output, .postrouting])
    func stopped(stage: Stage) throws {
        let drop = someSyn.byTracepoint().dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", stage)
        #expect(try checklist(Story(), [drop]).synArrived == false)
        #expect(try checklist(Story(), [someSyn.received(by: "eth0"), drop]).synArrived == true)
        #expect(try checklist(Story(), [someSyn.sent(by: "eth0"), drop]).synArrived == nil)
    }

    @Test("An ICMP error that quotes it is not the SYN, whichever way it goes")
    func quoted() throws {
        let sent = someSyn.transmitted()
        let errors = [
            someSyn.icmp(from: "198.51.100.7", .egress, by: "lo"),
            someSyn.icmp(from: "198.51.100.7", .ingress, by: "lo"),
        ]
        #expect(try checklist(Story(), [sent] + errors, end: .seconds(5)).synArrived == nil)
        let drop = someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .output)
        let list = try checklist(Story(), [sent] + errors + [drop])
        #expect(list.synArrived == false && list.answer == .icmp)
    }

    @Test("Where a SYN was dropped that came from elsewhere unseen, or after a loss, nothing is said")
    func notStopped() throws {
        let drop = someSyn.byTracepoint().dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward)
        #expect(try checklist(Story(), [drop]).synArrived == nil)
        let story = Story()
        story.at(.zero, someSyn.byTracepoint().dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .output))
        story.loses(at: .milliseconds(1))
        story.silence(until: Story.settled)
        #expect(story.verdicts.first?.checklist.synArrived == nil)
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

    @Test("TCP may get a packet of IPv6 without the entry that it had: there its absence says nothing")
    func entryLetGo() throws {
        let six = syn(from: "[2001:db8::7]:41234", to: "[2001:db8::10]:80")
        let four = try checklist(Story(), [someSyn.received(by: "eth0"), someSyn.delivered(), someSyn.reset()])
        #expect(four.conntrack == Checklist.Conntrack.none)
        #expect(try checklist(Story(), [six.received(by: "eth0"), six.delivered(), six.reset()]).conntrack == nil)
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
