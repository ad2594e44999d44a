// The steps of rules, of decisions that wait for what follows, and of ICMP errors.

import CNattrace
import Testing

@testable import Handshake

private let someSyn = syn(from: client, to: published)
private let translating = rule(
    .destination(inner), at: .prerouting, for: published, handle: 4, in: "ip nat prerouting",
    "tcp dport 80 dnat to 10.0.0.2:8080")

@Suite("Steps of netfilter's rules")
struct RuleStepTests {
    /// Up to the NAT decision.
    private let decided = Array(Scene.synReachesTCP.prefix(4))
    private let accepting = someSyn.decided(.accept, by: 4, in: "ip nat prerouting", .prerouting)

    private func rules(_ story: Story) -> [Rule?] {
        story.sink.steps.map(\.step).filter { $0.action == .natDestination || $0.action == .rule }.map(\.rule)
    }

    @Test("A rule that translates is told with its translation, and with the packet that is rewritten")
    func translation() {
        let story = Story()
        story.facts.rules(translating)
        story.tell(decided + [accepting, Scene.synReachesTCP[4]], at: .zero)
        #expect(story.actions == [.syn, .conntrackNew, .natDestination, .natDestination])
        #expect(rules(story) == [translating.rule, translating.rule])
    }

    @Test("A rule that accepts without a translation is no step")
    func accepts() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), accepting, someSyn.delivered())
        #expect(story.actions == [.syn, .deliver])
    }

    @Test("A rule in another namespace, or one that does not accept, did not translate")
    func otherRule() {
        for (other, actions) in [
            (someSyn.at(Place.client).decided(.accept, by: 4, in: "ip nat prerouting", .prerouting), []),
            (someSyn.decided(.drop, by: 4, in: "ip filter prerouting", .prerouting), [Action.rule]),
        ] {
            let story = Story()
            story.facts.rules(translating)
            story.tell(decided + [other], at: .zero)
            #expect(story.actions == [.syn, .conntrackNew, .natDestination] + actions)
            #expect(story.sink.steps[2].step.rule == nil)
        }
    }

    @Test("Where no rule was seen, the only one that can have translated has a step of its own")
    func concluded() throws {
        let story = Story()
        story.facts.rules(translating, rule(.destination("10.0.0.3:8080"), at: .prerouting, for: published))
        story.facts.listening(port: 8080)
        story.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        story.silence(until: Story.settled)
        #expect(story.steps.last == "(rule prerouting)")
        let step = try #require(story.sink.steps.last?.step)
        #expect(step.rule == translating.rule && step.function == nil && step.packet == nil)
        #expect(story.codes == [.noListener] && story.verdicts[0].evidence == [.rule(translating.rule)])
        #expect(story.sink.steps.map(\.step.sequence) == Array(0..<story.steps.count))
    }

    @Test("It is concluded once, also where the verdict is revised")
    func concludedOnce() {
        let story = Story()
        story.facts.rules(translating)
        story.facts.listening(port: 8080)
        for second in [0, 1] {
            story.tell(
                second == 0
                    ? Scene.synReachesTCP + Scene.nobodyListens
                    : Scene.synReachesTCP.dropLast() + [
                        syn(from: client, to: inner).with(.toInner).dropped(in: "ip_forward", by: "eth0")
                    ], at: .seconds(second))
            story.silence(until: .milliseconds(second * 1000 + 900))
        }
        #expect(story.codes == [.noListener, .dropped])
        #expect(story.steps.count { $0 == "(rule prerouting)" } == 1)
    }

    @Test("Of several rules none is concluded, and none for a handshake that succeeds")
    func notConcluded() {
        let several = Story()
        several.facts.rules(translating, rule(.destination(nil), at: .prerouting, handle: 5))
        several.facts.listening(port: 8080)
        several.tell(Scene.synReachesTCP + Scene.nobodyListens, at: .zero)
        several.silence(until: Story.settled)
        #expect(several.codes == [.noListener] && !several.actions.contains(.rule))
        let success = Story()
        success.facts.rules(translating)
        success.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        success.silence(until: Story.settled)
        #expect(success.codes == [.established] && !success.actions.contains(.rule))
        #expect(
            !success.facts.asked.contains {
                if case .rules = $0 { true } else { false }
            })
    }

    @Test("A rule's text is asked for once in a second")
    func remembered() {
        let story = Story()
        story.facts.rules(translating)
        for milliseconds in [0, 100, 999, 1100] {
            story.at(
                .milliseconds(milliseconds),
                syn(from: client, to: published, isn: UInt32(milliseconds)).received(by: "eth0"),
                syn(from: client, to: published, isn: UInt32(milliseconds)).decided(
                    .queue, by: 4, in: "ip nat prerouting", .prerouting))
        }
        #expect(
            story.facts.asked.count {
                if case .rule = $0 { true } else { false }
            } == 2)
        #expect(rules(story) == Array(repeating: translating.rule, count: 4))
    }

    @Test("The table's family, the chain and the policy are told as nft writes them")
    func places() {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.decided(.queue, by: 4, in: "ip6 mangle", .forward),
            someSyn.decided(.drop, in: "ip filter input", .input))
        #expect(
            rules(story) == [
                Rule(id: "4", ruleset: "ip6 mangle", tool: .nft),
                Rule(ruleset: "ip filter input", text: "policy drop", tool: .nft),
            ])
        #expect(story.steps == ["syn ingress", "rule forward", "rule input"])
    }
}

@Suite("Steps of conntrack that wait for words")
struct ConntrackWordsTests {
    private let answer = synack(from: published, to: client)
    private var unasked: nattrace_observation { answer.with(Entry(flow(published, client))).conntrack(.new) }

    private func story(_ next: nattrace_observation...) -> Story {
        let story = Story()
        story.tell([someSyn.sent(by: "eth0"), answer.received(by: "eth0"), unasked] + next, at: .zero)
        return story
    }

    @Test("The words that follow are told with the answer for which there is no entry")
    func words() {
        let story = story(answer.invalid("invalid new"))
        #expect(story.actions == [.syn, .synack, .conntrackInvalid])
        #expect(story.sink.steps.last?.step.reason == "invalid new")
        #expect(story.sink.steps.last?.step.function == "nf_conntrack_tcp_packet")
    }

    @Test("What follows without words is told after it")
    func withoutWords() {
        let story = story(answer.delivered())
        #expect(story.actions == [.syn, .synack, .conntrackInvalid, .deliver])
        #expect(story.sink.steps[2].step.reason == nil)
    }

    @Test("Words for another packet, or in another namespace, are told of that one")
    func otherWords() {
        for other in [
            clientRst(from: client, to: published).invalid("invalid rst"),
            answer.at(Place.client).invalid("invalid new"),
        ] {
            let story = story(other)
            #expect(story.actions == [.syn, .synack, .conntrackInvalid, .conntrackInvalid])
            #expect(story.sink.steps[2].step.reason == nil && story.sink.steps[3].step.reason != nil)
        }
    }

    @Test("A SYN sent again matches the entry that its first one made")
    func again() {
        let story = Story()
        story.at(.zero, someSyn.received(by: "eth0"), someSyn.with(.plain).conntrack(.again))
        #expect(story.steps == ["syn ingress", "conntrack.match prerouting"])
    }
}

@Suite("Steps of ICMP errors")
struct ICMPStepTests {
    @Test("An ICMP error belongs to the connection whose packet it quotes, and shows that packet")
    func step() throws {
        let story = Story()
        story.at(
            .zero, someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            someSyn.icmp(from: "203.0.113.1", type: 3, code: 1, .ingress))
        let step = try #require(story.sink.steps.last?.step)
        #expect(story.steps == ["syn ingress", "syn egress", "icmp ingress"])
        #expect(step.packet?.tuple == flow(client, published) && step.interface == "eth1")
        #expect(
            step.detail
                == .icmp(
                    ICMPError(
                        source: address("203.0.113.1"), destination: address("198.51.100.7"), type: 3, code: 1)))
    }

    @Test("One that quotes no more than it must has no flags, and no packet to show")
    func withoutFlags() throws {
        var quoted = someSyn
        quoted.flags = []
        let story = Story()
        story.settles(
            someSyn.received(by: "eth0"), someSyn.sent(by: "eth1", index: 3),
            quoted.icmp(from: "203.0.113.1", .ingress))
        #expect(story.sink.steps.last?.step.packet == nil)
        #expect(story.codes == [.icmpUnreachable])
        #expect(story.verdicts[0].sentence.hasPrefix("203.0.113.1 says that 203.0.113.10:80 cannot be reached"))
    }

    @Test("One that quotes a packet of no connection begins none")
    func stranger() {
        for flags in [TCPFlags.syn, []] {
            let story = Story()
            var quoted = someSyn
            quoted.flags = flags
            story.at(.zero, quoted.icmp(from: "203.0.113.1", .ingress))
            #expect(story.steps.isEmpty)
        }
    }

    @Test("After success, one is no step")
    func afterSuccess() {
        let story = Story()
        story.tell(Scene.synReachesTCP + Scene.handshake, at: .zero)
        story.silence(until: .milliseconds(500))
        let before = story.steps
        story.at(.milliseconds(500), someSyn.icmp(from: "203.0.113.1", .ingress))
        #expect(story.steps == before)
    }
}
