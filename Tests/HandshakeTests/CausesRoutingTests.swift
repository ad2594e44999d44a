// Causes on the way: settings that forbid, routes that refuse, neighbours that do not answer.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)
private let throughNAT = syn(from: client, to: inner).with(.toInner)
/// Everything of a SYN that is translated here, up to routing.
private let translated = Array(Scene.synReachesTCP.dropLast())

extension Story {
    /// The SYN is translated and ends here, on its way on.
    fileprivate func ends(with drop: nattrace_observation) {
        tell(translated + [drop], at: .zero)
        silence(until: Self.settled)
    }
}

@Suite("Forwarding is off")
struct ForwardingDisabledTests {
    private func story(forwarding: Int?, overall: Int? = nil) -> Story {
        let story = Story()
        if let forwarding { story.facts.sysctl("net/ipv4/conf/eth0/forwarding", is: forwarding) }
        if let overall { story.facts.sysctl("net/ipv4/ip_forward", is: overall) }
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth1")
        return story
    }

    private let drop = throughNAT.dropped(in: "ip_error", by: "eth0")

    @Test("For all devices")
    func off() throws {
        let story = story(forwarding: 0, overall: 0)
        story.facts.netns("blue", is: Place.gateway)
        story.ends(with: drop)
        #expect(story.codes == [.forwardingDisabled])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "10.0.0.2:8080 (dialled as 203.0.113.10:80) is not an address of network namespace blue, which does not forward what comes in by eth0."
        )
        #expect(verdict.advice == ["Turn forwarding on: ip netns exec blue sysctl -w net.ipv4.ip_forward=1"])
        #expect(
            verdict.evidence == [
                .sysctl(name: "net.ipv4.ip_forward", value: "0"),
                .sysctl(name: "net.ipv4.conf.eth0.forwarding", value: "0"),
            ])
        #expect(verdict.stage == .routing && verdict.function == "ip_error")
    }

    @Test("For one device only")
    func offForDevice() {
        let story = story(forwarding: 0, overall: 1)
        story.ends(with: drop)
        #expect(story.codes == [.forwardingDisabled])
        #expect(story.verdicts[0].advice == ["Turn forwarding on: sysctl -w net.ipv4.conf.eth0.forwarding=1"])
    }

    @Test("It is on, or not known")
    func on() {
        for value in [1, nil] {
            let story = story(forwarding: value, overall: 1)
            story.ends(with: drop)
            #expect(story.codes == [.dropped])
        }
    }

    @Test("The address is this namespace's own")
    func local() {
        let story = story(forwarding: 0, overall: 0)
        story.facts.route(to: "10.0.0.2", .local, by: "lo")
        story.ends(with: drop)
        #expect(story.codes == [.dropped])
    }

    @Test("It was dropped by something that does not ask for the setting")
    func elsewhere() {
        for end in [
            throughNAT.dropped(in: "ip_rcv_finish_core", by: "eth0"),
            throughNAT.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .forward, by: "eth0"),
            throughNAT.dropped(in: "ip_error"),
        ] {
            let story = story(forwarding: 0, overall: 0)
            story.facts.rules()
            story.ends(with: end)
            #expect(story.codes == [.dropped])
        }
    }

    @Test("The answer is what came in by the device that does not forward")
    func answer() {
        let answer = synack(from: inner, to: client)
        let story = Story()
        story.facts.sysctl("net/ipv4/conf/eth1/forwarding", is: 0)
        story.facts.sysctl("net/ipv4/ip_forward", is: 1)
        story.facts.route(to: "198.51.100.7", .unicast, by: "eth0")
        story.tell(
            translated + [
                throughNAT.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
                answer.answering(.toInner).dropped(in: "ip_error", by: "eth1"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.forwardingDisabled])
        #expect(
            story.verdicts[0].sentence
                == "198.51.100.7:41234 is not an address of this network namespace, which does not forward what comes in by eth1; the SYN-ACK for it was dropped."
        )
        #expect(story.verdicts[0].advice == ["Turn forwarding on: sysctl -w net.ipv4.conf.eth1.forwarding=1"])
    }

    @Test("In IPv6 one setting decides")
    func version6() {
        let packet = syn(from: "[2001:db8::7]:41234", to: "[fd00::2]:8080")
        for (value, code) in [(0, VerdictCode.forwardingDisabled), (1, .dropped)] {
            let story = Story()
            story.facts.sysctl("net/ipv6/conf/all/forwarding", is: value)
            story.settles(packet.received(by: "eth0"), packet.dropped(in: "ip6_forward", by: "eth0"))
            #expect(story.codes == [code])
            guard value == 0 else { continue }
            #expect(story.verdicts[0].advice == ["Turn forwarding on: sysctl -w net.ipv6.conf.all.forwarding=1"])
            #expect(story.verdicts[0].evidence == [.sysctl(name: "net.ipv6.conf.all.forwarding", value: "0")])
        }
    }
}

@Suite("Translated to loopback")
struct RouteLocalnetTests {
    private let toLoopback = Entry(flow(client, published), to: flow(client, "127.0.0.1:8080"))

    private func story(_ all: Int?, _ device: Int?, in function: String = "ip_rcv_finish_core") -> Story {
        let story = Story()
        if let all { story.facts.sysctl("net/ipv4/conf/all/route_localnet", is: all) }
        if let device { story.facts.sysctl("net/ipv4/conf/eth0/route_localnet", is: device) }
        story.settles(
            someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.new),
            someSyn.with(toLoopback).rewritten(.destination, .prerouting),
            syn(from: client, to: "127.0.0.1:8080").with(toLoopback).dropped(in: function, by: "eth0"))
        return story
    }

    @Test("And route_localnet does not allow it")
    func off() throws {
        let story = story(0, 0)
        #expect(story.codes == [.routeLocalnetDisabled])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The SYN came in by eth0 and was translated to 127.0.0.1:8080, a loopback address, which route_localnet=0 forbids."
        )
        #expect(
            verdict.evidence == [
                .sysctl(name: "net.ipv4.conf.all.route_localnet", value: "0"),
                .sysctl(name: "net.ipv4.conf.eth0.route_localnet", value: "0"),
            ])
        #expect(verdict.advice.count == 2)
        #expect(verdict.advice[1].hasSuffix("sysctl -w net.ipv4.conf.eth0.route_localnet=1"))
    }

    @Test("One of the settings allows it, or is not known")
    func on() {
        let settings: [(all: Int?, device: Int?)] = [(0, 1), (1, 0), (nil, 0), (0, nil)]
        for (all, device) in settings { #expect(story(all, device).codes == [.dropped]) }
    }

    @Test("It was dropped by something that does not ask for the setting")
    func elsewhere() {
        #expect(story(0, 0, in: "tcp_v4_rcv").codes == [.dropped])
    }

    @Test("It is not translated that is sent to loopback from outside")
    func untranslated() {
        let story = Story()
        for device in ["all", "eth0"] { story.facts.sysctl("net/ipv4/conf/\(device)/route_localnet", is: 0) }
        let packet = syn(from: client, to: "127.0.0.1:80")
        story.settles(packet.received(by: "eth0"), packet.dropped(in: "ip_rcv_finish_core", by: "eth0"))
        #expect(story.codes == [.dropped])
    }
}

@Suite("The reverse-path check")
struct ReversePathTests {
    private func story(_ all: Int?, _ device: Int?, _ change: (Story) -> Void = { _ in }) -> Story {
        let story = Story()
        if let all { story.facts.sysctl("net/ipv4/conf/all/rp_filter", is: all) }
        if let device { story.facts.sysctl("net/ipv4/conf/eth0/rp_filter", is: device) }
        change(story)
        story.settles(
            someSyn.received(by: "eth0"), someSyn.dropped(in: "ip_rcv_finish_core", for: "IP_RPFILTER", by: "eth0"))
        return story
    }

    @Test("The route back leads elsewhere")
    func elsewhere() throws {
        let story = story(0, 1) { $0.facts.route(to: "198.51.100.7", .unicast, by: "eth2", "198.51.100.0/24 dev eth2") }
        #expect(story.codes == [.rpFilter])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The SYN from 198.51.100.7 came in by eth0 and failed the reverse-path check (rp_filter=1): the route back leads by eth2."
        )
        #expect(
            verdict.evidence == [
                .sysctl(name: "net.ipv4.conf.all.rp_filter", value: "0"),
                .sysctl(name: "net.ipv4.conf.eth0.rp_filter", value: "1"), .route("198.51.100.0/24 dev eth2"),
            ])
        #expect(verdict.advice[1].contains("sysctl -w net.ipv4.conf.eth0.rp_filter=2"))
        #expect(verdict.stage == .routing && verdict.reason == "IP_RPFILTER")
    }

    @Test("There is no route back")
    func none() {
        let story = story(2, 0) { $0.facts.route(to: "198.51.100.7", .none) }
        #expect(story.codes == [.rpFilter])
        #expect(
            story.verdicts[0].sentence.hasSuffix(
                "failed the reverse-path check (rp_filter=2): there is no route back to it."))
    }

    @Test("The kernel's word is enough")
    func withoutFacts() {
        let story = story(nil, nil)
        #expect(story.codes == [.rpFilter])
        #expect(story.verdicts[0].evidence.isEmpty)
        #expect(
            story.verdicts[0].sentence.hasSuffix(
                "failed the reverse-path check: the route back does not lead there."))
    }

    @Test("Without the kernel's word nothing says so")
    func withoutReason() {
        let story = Story()
        story.facts.sysctl("net/ipv4/conf/all/rp_filter", is: 1)
        story.settles(someSyn.received(by: "eth0"), someSyn.dropped(in: "ip_rcv_finish_core", by: "eth0"))
        #expect(story.codes == [.dropped])
    }
}

@Suite("No route")
struct NoRouteTests {
    @Test("The namespace has none")
    func none() throws {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .none, "unreachable")
        story.ends(with: throughNAT.dropped(in: "ip_error", for: "IP_INNOROUTES", by: "eth0"))
        #expect(story.codes == [.noRoute])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "The SYN to 10.0.0.2:8080 (dialled as 203.0.113.10:80) could not be sent on: this network namespace has no route to it."
        )
        #expect(
            verdict.advice == [
                "Add a route: ip route add 10.0.0.2 via GATEWAY",
                "See what the kernel would do: ip route get 10.0.0.2",
            ])
    }

    @Test("A route refuses", arguments: [Route.Kind.blackhole, .unreachable, .prohibit])
    func refuses(_ kind: Route.Kind) {
        let story = Story()
        story.facts.route(to: "10.0.0.2", kind, "\(kind.rawValue) 10.0.0.0/8")
        story.ends(with: throughNAT.dropped(in: "ip_error", by: "eth0"))
        #expect(story.codes == [.noRoute])
        #expect(
            story.verdicts[0].sentence.hasSuffix(
                "could not be sent on: a route refuses it: \(kind.rawValue) 10.0.0.0/8."))
        #expect(story.verdicts[0].evidence.contains(.route("\(kind.rawValue) 10.0.0.0/8")))
        #expect(story.verdicts[0].advice[0] == "Remove or correct the route: ip route show table all")
    }

    @Test("A route refuses what comes from there by that device, and nothing else")
    func refusesBySource() {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth1")
        story.facts.route(
            to: "10.0.0.2", .blackhole, "blackhole 10.0.0.0/8 table 77", from: "198.51.100.7", input: "eth0")
        story.ends(with: throughNAT.dropped(in: "ip_error", by: "eth0"))
        #expect(story.codes == [.noRoute])
        #expect(story.verdicts[0].evidence.contains(.route("blackhole 10.0.0.0/8 table 77")))
    }

    @Test("There is a route for what comes from there by that device only")
    func routedBySource() {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .none)
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth1", from: "198.51.100.7", input: "eth0")
        story.ends(with: throughNAT.dropped(in: "ip_forward", by: "eth0"))
        #expect(story.codes == [.dropped])
    }

    @Test("The kernel says so, and routes cannot be asked for")
    func unknown() {
        for reason in ["IP_INNOROUTES", "IP_OUTNOROUTES"] {
            let story = Story()
            story.ends(with: throughNAT.dropped(in: "ip_error", for: reason, by: "eth0"))
            #expect(story.codes == [.noRoute])
        }
        let silent = Story()
        silent.ends(with: throughNAT.dropped(in: "ip_error", by: "eth0"))
        #expect(silent.codes == [.dropped])
    }

    @Test("There is a route, so it was something else")
    func routed() {
        for kind in [Route.Kind.unicast, .local, .refused] {
            let story = Story()
            story.facts.route(to: "10.0.0.2", kind, by: "eth1")
            story.ends(with: throughNAT.dropped(in: "ip_forward", by: "eth0"))
            #expect(story.codes == [.dropped])
        }
    }

    @Test("The kernel says so, and there is a route for what begins here only")
    func routedForItself() {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .local, by: "lo", "local 10.0.0.2 dev lo")
        story.ends(with: throughNAT.dropped(in: "ip_error", for: "IP_INNOROUTES", by: "eth0"))
        #expect(story.codes == [.noRoute])
        #expect(!story.verdicts[0].evidence.contains(.route("local 10.0.0.2 dev lo")))
        #expect(story.verdicts[0].advice[0].hasPrefix("Add a route"))
    }

    @Test("A function that does not route says nothing of routes")
    func otherFunction() {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .none)
        story.ends(with: throughNAT.dropped(in: "tcp_v4_rcv", by: "eth0"))
        #expect(story.codes == [.dropped])
    }

    @Test("In IPv6")
    func version6() {
        let packet = syn(from: "[2001:db8::7]:41234", to: "[fd00::2]:8080")
        let story = Story()
        story.facts.route(to: "fd00::2", .none)
        story.settles(packet.received(by: "eth0"), packet.dropped(in: "ip6_pkt_drop", for: "IPV6_NOROUTE", by: "eth0"))
        #expect(story.codes == [.noRoute])
        #expect(story.verdicts[0].advice[0] == "Add a route: ip -6 route add fd00::2 via GATEWAY")
    }

    @Test("The answer has no way back")
    func answer() {
        let answer = synack(from: inner, to: client)
        let story = Story()
        story.facts.route(to: "198.51.100.7", .none)
        story.tell(
            translated + [
                throughNAT.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
                answer.answering(.toInner).dropped(in: "ip_error", for: "IP_INNOROUTES", by: "eth1"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.noRoute])
        #expect(
            story.verdicts[0].sentence
                == "The answer of 10.0.0.2:8080 (dialled as 203.0.113.10:80) could not be sent to 198.51.100.7: this network namespace has no route to it."
        )
    }

    // MARK: Rewritten at OUTPUT

    private func rewrittenHere(_ story: Story) {
        story.settles(
            someSyn.transmitted(by: "curl", pid: 4711), someSyn.conntrack(.asked, .output),
            someSyn.with(.plain).conntrack(.new, .output),
            HandshakeTests.natRule(.destination, from: inner, flags: 3, binds: .plain),
            someSyn.with(.toInner).rewritten(.destination, .output),
            throughNAT.dropped(in: "nf_hook_slow", for: "NETFILTER_DROP", .output))
    }

    @Test("What this machine dials was translated to where no route leads: netfilter drops it then")
    func output() {
        let story = Story()
        story.facts.rules()
        story.facts.route(to: "10.0.0.2", .none)
        rewrittenHere(story)
        #expect(story.codes == [.noRoute])
        #expect(story.verdicts[0].function == "nf_hook_slow" && story.verdicts[0].stage == .output)
    }

    @Test("A rule of OUTPUT that could have dropped it never saw it")
    func outputWithRule() {
        let story = Story()
        story.facts.rules(rule(.drop, at: .output))
        story.facts.route(to: "10.0.0.2", .none)
        rewrittenHere(story)
        #expect(story.codes == [.noRoute])
    }

    @Test("A rule of OUTPUT dropped it where there is a route")
    func outputRouted() {
        let story = Story()
        story.facts.rules(rule(.drop, at: .output))
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth1")
        rewrittenHere(story)
        #expect(story.codes == [.filterDropped])
    }
}

@Suite("A neighbour does not answer")
struct NeighborUnreachableTests {
    private func story(state: String?, gateway: String? = nil) -> Story {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth1", gateway: gateway, "10.0.0.0/24 dev eth1")
        if let state { story.facts.neighbour(gateway ?? "10.0.0.2", at: "eth1", is: state) }
        return story
    }

    @Test("The kernel gave up")
    func dropped() throws {
        let story = story(state: "FAILED")
        story.ends(with: throughNAT.dropped(in: "arp_error_report", for: "NEIGH_FAILED", by: "eth1"))
        #expect(story.codes == [.neighborUnreachable])
        let verdict = try #require(story.verdicts.first)
        #expect(
            verdict.sentence
                == "Nobody on eth1 answers ARP for 10.0.0.2:8080 (dialled as 203.0.113.10:80) (FAILED), so the SYN could not be sent."
        )
        #expect(
            verdict.advice == [
                "See whether 10.0.0.2 is up and on this network: ip neigh show 10.0.0.2 dev eth1",
                "If it is not, correct the translation or the route: ip route get 10.0.0.2",
            ])
        #expect(verdict.evidence == [.route("10.0.0.0/24 dev eth1")])
        #expect(verdict.stage == .egress && verdict.reason == "NEIGH_FAILED")
    }

    @Test("It is the gateway that does not answer")
    func gateway() {
        let story = story(state: "FAILED", gateway: "10.0.1.1")
        story.ends(with: throughNAT.dropped(in: "arp_error_report", by: "eth1"))
        #expect(story.codes == [.neighborUnreachable])
        #expect(
            story.verdicts[0].sentence
                == "Nobody on eth1 answers ARP for 10.0.1.1, the gateway to 10.0.0.2:8080 (dialled as 203.0.113.10:80), (FAILED), so the SYN could not be sent."
        )
    }

    @Test("The kernel's word is enough")
    func withoutFacts() {
        for drop in [
            throughNAT.dropped(in: "arp_error_report"), throughNAT.dropped(in: "neigh_flush_dev"),
            throughNAT.dropped(in: "__dev_queue_xmit", for: "NEIGH_QUEUEFULL"),
        ] {
            let story = Story()
            story.ends(with: drop)
            #expect(story.codes == [.neighborUnreachable])
            #expect(story.verdicts[0].sentence.hasPrefix("Nobody answers ARP for 10.0.0.2:8080 (dialled"))
        }
    }

    @Test("In IPv6 it is neighbour discovery")
    func version6() {
        let packet = syn(from: "[2001:db8::7]:41234", to: "[fd00::2]:8080")
        let story = Story()
        story.settles(packet.received(by: "eth0"), packet.dropped(in: "ndisc_error_report"))
        #expect(story.codes == [.neighborUnreachable])
        #expect(
            story.verdicts[0].sentence
                == "Nobody answers neighbour discovery for [fd00::2]:8080, so the SYN could not be sent.")
    }

    @Test("The gateway is that of what comes from there by that device")
    func gatewayBySource() {
        let story = Story()
        story.facts.route(to: "10.0.0.2", .unicast, by: "eth2", gateway: "10.9.9.1")
        story.facts.route(
            to: "10.0.0.2", .unicast, by: "eth1", gateway: "10.1.1.1", from: "198.51.100.7", input: "eth0")
        story.facts.neighbour("10.1.1.1", at: "eth1", is: "FAILED")
        story.ends(with: throughNAT.dropped(in: "arp_error_report", by: "eth1"))
        #expect(story.codes == [.neighborUnreachable])
        #expect(story.verdicts[0].sentence.hasPrefix("Nobody on eth1 answers ARP for 10.1.1.1, the gateway to"))
    }

    @Test("The answer waits for the client's neighbour")
    func answer() {
        let answer = synack(from: inner, to: client)
        let story = Story()
        story.facts.route(to: "198.51.100.7", .unicast, by: "eth0", gateway: "203.0.113.1")
        story.facts.neighbour("203.0.113.1", at: "eth0", is: "FAILED")
        story.tell(
            translated + [
                throughNAT.sent(by: "eth1", index: 3), answer.received(by: "eth1", index: 3),
                synack(from: published, to: client).answering(.toInner).dropped(in: "arp_error_report", by: "eth0"),
            ], at: .zero)
        story.silence(until: Story.settled)
        #expect(story.codes == [.neighborUnreachable])
        #expect(
            story.verdicts[0].sentence
                == "Nobody on eth0 answers ARP for 203.0.113.1, the gateway to 198.51.100.7, (FAILED), so the SYN-ACK could not be sent."
        )
        #expect(
            story.verdicts[0].advice[1] == "If it is not, correct the route: ip route get 198.51.100.7")
    }

    // MARK: Held back

    private func held(_ story: Story) {
        story.tell(translated, at: .zero)
        story.silence(until: .seconds(5))
    }

    @Test("The SYN still waits for it, and nothing was freed", arguments: ["INCOMPLETE", "FAILED"])
    func held(_ state: String) {
        let story = story(state: state)
        held(story)
        #expect(story.codes == [.neighborUnreachable])
        #expect(story.verdicts[0].outcome == .failure && story.verdicts[0].stage == .prerouting)
        #expect(story.verdicts[0].sentence.contains("(\(state)), so the SYN could not be sent."))
    }

    @Test("A SYN of this machine waits for it")
    func heldAtOutput() {
        let story = Story()
        story.facts.route(to: "203.0.113.10", .unicast, by: "eth0")
        story.facts.neighbour("203.0.113.10", at: "eth0", is: "INCOMPLETE")
        story.waits(someSyn.transmitted(by: "curl", pid: 4711), someSyn.with(.plain).conntrack(.new, .output))
        #expect(story.codes == [.neighborUnreachable])
    }

    @Test("The neighbour is known, or nothing is known of it")
    func notHeld() {
        for state in ["REACHABLE", "STALE", "DELAY", nil] {
            let story = story(state: state)
            held(story)
            #expect(story.codes == [.unexplained])
        }
    }

    @Test("The way there is not a neighbour's")
    func notRouted() {
        for kind in [Route.Kind.local, .none, .blackhole] {
            let story = story(state: "FAILED")
            story.facts.route(to: "10.0.0.2", kind, by: "eth1")
            held(story)
            #expect(story.codes == [.unexplained])
        }
    }

    @Test("The SYN left, whatever the neighbour's state is now")
    func sent() {
        let story = story(state: "FAILED")
        story.tell(translated + [throughNAT.sent(by: "eth1", index: 3)], at: .zero)
        story.silence(until: .seconds(5))
        #expect(story.codes == [.synUnanswered])
    }

    @Test("Where observations were lost, it may have left")
    func lost() {
        let story = story(state: "FAILED")
        story.tell(translated, at: .zero)
        story.loses(at: .seconds(1))
        story.silence(until: .seconds(5))
        #expect(story.codes == [.unexplained])
    }

    @Test("When tracing ends, it may still be answered")
    func ends() {
        let story = story(state: "INCOMPLETE")
        story.tell(translated, at: .zero)
        story.ends(at: .seconds(1))
        #expect(story.codes == [.unexplained] && story.verdicts[0].outcome == .unknown)
    }
}
