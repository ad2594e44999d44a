// Where two causes apply, the one nearer to the root is told.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)
private let natRule = rule(.destination(inner), at: .prerouting, for: published, in: "ip nat prerouting")
private let throughNAT = syn(from: client, to: inner).with(.toInner)

@Suite("Which of two causes is told")
struct CauseOrderTests {
    private var older: Entry {
        var entry = Entry(flow(client, published), to: flow(client, inner), identity: 0xffff_8880_0000_0900)
        entry.status = .confirmed
        return entry
    }

    @Test("The order of the list is that of a packet's way")
    func list() {
        #expect(
            Cause.all.map(\.code) == [
                .established, .conntrackFull, .staleConntrack, .untracked, .conntrackInvalid, .filterRejected,
                .filterDropped, .natExhausted, .forwardingDisabled, .routeLocalnetDisabled, .rpFilter, .noRoute,
                .neighborUnreachable, .listenerOtherDevice, .listenerLoopbackOnly, .listenerOtherAddress,
                .listenerOtherNetns, .noListener, .acceptQueueFull, .socketRefused, .hairpinWithoutSNAT,
                .asymmetricReply, .resetByClient, .resetByBackend, .icmpUnreachable, .dropped, .synackUnanswered,
                .synUnanswered, .unexplained,
            ])
        #expect(Set(Cause.all.map(\.code)) == Set(VerdictCode.allCases))
    }

    @Test("A stale entry led to where nobody listens")
    func staleOverNoListener() {
        let story = Story()
        story.facts.rules(rule(.destination("10.0.0.3:8080"), at: .prerouting, for: published))
        story.facts.listening(port: 8080)
        let packet = syn(from: client, to: inner).with(older)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(older).conntrack(.match),
            someSyn.with(older).rewritten(.destination, .prerouting), packet.delivered(), packet.lookedUp(),
            packet.reset())
        #expect(story.codes == [.staleConntrack])
    }

    @Test("A stale entry led to where a rule drops")
    func staleOverFilter() {
        let story = Story()
        story.facts.rules(rule(.destination("10.0.0.3:8080"), at: .prerouting, for: published))
        let packet = syn(from: client, to: inner).with(older)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(older).conntrack(.match), packet.decided(.drop, by: 3, .forward),
            packet.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .forward))
        #expect(story.codes == [.staleConntrack])
    }

    @Test("An INVALID SYN was dropped by a rule for INVALID packets")
    func invalidOverFilter() {
        let story = Story()
        story.facts.rules(natRule, rule(.drop, at: .input, handle: 3, "ct state invalid drop"))
        story.settles(
            someSyn.received(by: "eth0"), someSyn.invalid("bad checksum"), someSyn.decided(.drop, by: 3, .input),
            someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .input))
        #expect(story.codes == [.conntrackInvalid])
    }

    @Test("An INVALID SYN that NAT would have left alone was dropped by a rule")
    func filterWithoutNAT() {
        let story = Story()
        story.facts.rules(rule(.drop, at: .input, handle: 3, "ct state invalid drop"))
        story.settles(
            someSyn.received(by: "eth0"), someSyn.invalid("bad checksum"), someSyn.decided(.drop, by: 3, .input),
            someSyn.dropped(in: "nft_do_chain", for: "NETFILTER_DROP", .input))
        #expect(story.codes == [.filterDropped])
    }

    @Test("An untracked SYN went to where nobody listens")
    func untrackedOverNoListener() {
        let story = Story()
        story.facts.rules(natRule)
        story.facts.listening(listener("127.0.0.1:80"), port: 80)
        let packet = someSyn.untracked()
        story.settles(
            someSyn.received(by: "eth0"), packet.conntrack(.untracked), packet.delivered(), packet.lookedUp(),
            packet.reset())
        #expect(story.codes == [.untracked])
    }

    @Test("A rule dropped what would not have been forwarded either")
    func filterOverForwarding() {
        let story = Story()
        story.facts.sysctl("net/ipv4/conf/eth0/forwarding", is: 0)
        story.facts.sysctl("net/ipv4/ip_forward", is: 0)
        story.facts.rules(rule(.drop, at: .prerouting))
        story.tell(
            Scene.synReachesTCP.dropLast() + [
                throughNAT.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting, by: "eth0")
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.filterDropped])
    }

    @Test("Without forwarding, routes do not matter")
    func forwardingOverRoute() {
        let story = Story()
        story.facts.sysctl("net/ipv4/conf/eth0/forwarding", is: 0)
        story.facts.sysctl("net/ipv4/ip_forward", is: 0)
        story.facts.route(to: "10.0.0.2", .none)
        story.tell(
            Scene.synReachesTCP.dropLast() + [throughNAT.dropped(in: "ip_error", for: "IP_INNOROUTES", by: "eth0")],
            at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.forwardingDisabled])
    }

    @Test("A full table is told where a rule would have dropped it as well")
    func fullOverFilter() {
        let story = Story()
        story.facts.sysctl("net/netfilter/nf_conntrack_count", is: 1000)
        story.facts.sysctl("net/netfilter/nf_conntrack_max", is: 1000)
        story.facts.rules(rule(.drop, at: .prerouting))
        story.settles(
            someSyn.received(by: "eth0"), someSyn.conntrack(.asked),
            someSyn.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .prerouting))
        #expect(story.codes == [.conntrackFull])
    }

    @Test("An ICMP error that came in is told where the neighbour's state is old")
    func icmpOverNeighbour() {
        let story = Story()
        story.facts.route(to: "203.0.113.10", .unicast, by: "eth1")
        story.facts.neighbour("203.0.113.10", at: "eth1", is: "FAILED")
        story.settles(
            someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            someSyn.icmp(from: "203.0.113.1", .ingress))
        #expect(story.codes == [.icmpUnreachable])
    }

    @Test("Nothing is asked of the machine for a handshake that is on its way")
    func asksNothing() {
        let story = Story()
        story.tell(Scene.synReachesTCP, at: .zero)
        #expect(
            !story.facts.asked.contains {
                switch $0 {
                case .rules, .route, .neighbour, .sysctl, .listeners, .listenersElsewhere, .conntrackEntry: true
                default: false
                }
            })
    }
}
