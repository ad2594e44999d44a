// Conntrack's state of a packet: which rules it excludes, and where it is not to be relied on.

import Handshake
import Testing

@testable import Rulesets

extension RuleSearch.TrackingState {
    fileprivate static let all: [Self] = [.new, .established, .related, .invalid, .untracked]
}

@Suite("Conntrack's state")
struct TrackingTests {
    private let drop = #"{"drop": null}"#
    private let accept = #"{"accept": null}"#

    private func match(_ right: String, _ op: String = "in") -> String {
        #"{"match": {"op": "\#(op)", "left": {"ct": {"key": "state"}}, "right": \#(right)}}, "#
    }

    /// What the first candidate of each state is, in the order new, established, related, invalid,
    /// untracked: `y`es, `n`o (there is none, or it is the policy) or perhaps (`?`).
    private func truths(_ ruleset: Ruleset, _ stage: Stage, port: Int = 80) -> String {
        RuleSearch.TrackingState.all.map { tracking in
            let found = ruleset.ask(
                .drop, stage, "192.0.2.1:40000", "192.0.2.2:\(port)", input: "eth0", tracking: tracking)
            #expect(found.isComplete)
            guard let first = found.candidates.first, first.rule.text != "policy drop" else { return "n" }
            return first.isCertain ? "y" : "?"
        }.joined()
    }

    @Test(
        "nft's forms of a match",
        arguments: [
            (2, "ynnnn"), (3, "nyyyy"), (4, "nyynn"), (7, "ynnyy"), (8, "nyynn"), (9, "ynnyy"), (10, "nynnn"),
            (13, "ynynn"), (14, "nnnyn"), (15, "ynnnn"), (16, "nnnny"), (18, "ynnyy"),
            // The kernel compares 5 and 6 with both bits at once, other releases of nft with one of them.
            (5, "?????"), (6, "?????"), (11, "?????"), (12, "?????"),
            // What else conntrack knows of a packet is not the state.
            (17, "?nnnn"), (19, "?????"),
        ])
    func forms(_ port: Int, _ expected: String) throws {
        #expect(truths(try Fixture.nft("states"), .input, port: port) == expected)
        // Without the state, all is open.
        let open = try Fixture.nft("states").found(.drop, .input, "192.0.2.1:40000", "192.0.2.2:\(port)")
        #expect(open.count == 2 && open[0].last != "!")
    }

    @Test(
        "iptables' forms of a match",
        arguments: [
            (2, "ynnnn"), (3, "nyyny"), (9, "nnnyy"),
            // Whether the entry translates is not known, but RELATED is enough.
            (4, "?yy??"), (5, "?nn??"), (8, "?nnnn"),
            // Beside a state that fails, nothing else matters; beside one that holds, it does.
            (6, "?nnnn"), (7, "???nn"), (10, "?????"),
        ])
    func iptables(_ port: Int, _ expected: String) throws {
        for ruleset in [try Fixture.iptablesNft("ctstate"), try Fixture.legacy("ctstate")] {
            #expect(truths(ruleset, .input, port: port) == expected)
        }
        // nft's JSON has but the name of the match.
        #expect(truths(try Fixture.nft("ctstate"), .input, port: port) == "?????")
    }

    @Test(
        "Lines that iptables does not print decide nothing",
        arguments: [
            "-m conntrack", "-m conntrack --ctstate new,,", "-m conntrack --ctstate NEWER", "-m state --ctstate NEW",
            "--state NEW", "-m conntrack --state NEW", "-m conntrack --ctstate ! NEW", "-m conntrack --ctstate",
            "-m conntrack --ctstate 8",
        ])
    func oddLines(_ matches: String) {
        let text = "*filter\n:INPUT ACCEPT [0:0]\n-A INPUT \(matches) -j DROP\nCOMMIT\n"
        let ruleset = Ruleset(RulesetTexts(iptablesSave: Array(text.utf8), isComplete: true))
        for tracking in RuleSearch.TrackingState.all where tracking != .new {
            #expect(ruleset.found(.drop, .input, tracking: tracking) == ["1"], "\(matches)")
        }
    }

    @Test("Before conntrack no chain sees a state, and with its own priority none surely does")
    func beforeConntrack() throws {
        for (hook, stage) in [("prerouting", Stage.prerouting), ("output", .output)] {
            for priority in [-400, -300, -201, -200, -199, -150, 0, 300] {
                let ruleset = Ruleset.handmade([match(#""new""#) + drop], hook: hook, priority: priority)
                #expect(
                    truths(ruleset, stage) == (priority > -200 ? "ynnnn" : "?????"), "\(hook) \(priority)")
            }
        }
        // At the other hooks conntrack is long done, whatever the priority.
        for (hook, stage) in [("input", Stage.input), ("forward", .forward), ("postrouting", .postrouting)] {
            let ruleset = Ruleset.handmade([match(#""new""#) + drop], hook: hook, priority: -450)
            #expect(truths(ruleset, stage) == "ynnnn", "\(hook)")
        }
        // Bridges and devices.
        let bridge = Ruleset.handmade([match(#""new""#) + drop], family: "bridge", hook: "forward")
        #expect(truths(bridge, .forward) == "?????")
        let device = Ruleset.handmade([match(#""new""#) + drop], family: "netdev", hook: "ingress")
        #expect(truths(device, .ingress) == "?????")
        // As the tools print it: raw, conntrack's own priority, mangle.
        let states = try Fixture.nft("states")
        #expect(
            states.ask(.drop, .prerouting, "192.0.2.1:1", "192.0.2.2:1", tracking: .new).texts == [
                "ct state invalid drop", "ct state new drop", "tcp dport 1 ct state new drop",
            ])
        #expect(
            states.ask(.drop, .prerouting, "192.0.2.1:1", "192.0.2.2:1", tracking: .established).texts == [
                "ct state invalid drop", "ct state new drop",
            ])
        #expect(states.found(.drop, .output, tracking: .new).count == 1)
        #expect(states.found(.notrack, .prerouting, "192.0.2.1:1", "192.0.2.2:8000", tracking: .new).count == 1)
        for ruleset in [try Fixture.iptablesNft("ctstate"), try Fixture.legacy("ctstate")] {
            func found(_ tracking: RuleSearch.TrackingState, _ flags: TCPFlags) -> [String] {
                ruleset.ask(.drop, .prerouting, flags: flags, tracking: tracking).candidates.map {
                    ($0.rule.ruleset ?? "") + ($0.isCertain ? "!" : "")
                }
            }
            #expect(found(.new, .syn) == ["ip raw PREROUTING"])
            #expect(found(.new, [.syn, .ack]) == ["ip raw PREROUTING", "ip mangle PREROUTING!"])
            #expect(found(.established, [.syn, .ack]) == ["ip raw PREROUTING"])
            #expect(found(.invalid, .syn) == ["ip raw PREROUTING", "ip mangle PREROUTING!"])
        }
    }

    /// One chain that is called from two places: the state that it sees at one says nothing about the other.
    @Test("A chain that is reached before conntrack and after it")
    func sharedChain() {
        func chain(_ name: String, _ priority: Int?) -> String {
            let hook = priority.map { #", "type": "filter", "hook": "prerouting", "prio": \#($0), "policy": "accept""# }
            return
                #"{"chain": {"family": "ip", "table": "t", "name": "\#(name)", "handle": 9\#(hook ?? "")}}"#
        }
        func rule(_ chain: String, _ handle: Int, _ expressions: String) -> String {
            #"{"rule": {"family": "ip", "table": "t", "chain": "\#(chain)", "handle": \#(handle), "expr": [\#(expressions)]}}"#
        }
        let jump = #"{"jump": {"target": "shared"}}"#
        let shared = rule("shared", 7, match(#""new""#) + drop)
        func found(_ first: Int, _ second: Int, _ tracking: RuleSearch.TrackingState) -> [String] {
            Ruleset.handmade(
                [],
                more: [
                    chain("shared", nil), chain("one", first), chain("two", second), shared, rule("one", 1, jump),
                    rule("two", 2, jump),
                ]
            ).found(.drop, .prerouting, tracking: tracking)
        }
        #expect(found(-300, -150, .established) == ["7"])
        #expect(found(-150, -300, .established) == ["7"])
        #expect(found(-150, -140, .established) == [])
        #expect(found(-300, -150, .new) == ["7!"])
        #expect(found(-300, -250, .new) == ["7"])
    }

    /// `notrack` does nothing to a packet with an entry, but takes one that conntrack found invalid out of
    /// its sight: a rule before it saw another state than one after it.
    @Test("Untracking behind conntrack leaves open which of two states a rule saw")
    func lateUntracking() {
        func truths(_ match: String, priority: Int = 0, _ before: String = #"{"notrack": null}"#) -> String {
            self.truths(Ruleset.handmade([before, match + drop], hook: "prerouting", priority: priority), .prerouting)
        }
        #expect(truths(match(#""invalid""#)) == "nnn??")
        #expect(truths(match(#""untracked""#)) == "nnn??")
        #expect(truths(match(#""untracked""#, "!=")) == "yyy??")
        #expect(truths(match(#"{"set": ["invalid", "untracked"]}"#, "==")) == "nnn??")
        #expect(truths(match(#"["invalid", "untracked"]"#)) == "nnn??")
        #expect(truths(match(#"["invalid", "untracked"]"#, "!")) == "yyy??")
        #expect(truths(match(#""established""#)) == "nynnn")
        #expect(truths(match(#""established""#, "!=")) == "ynyyy")
        // In words that are not understood, too.
        #expect(truths(match(#""invalid""#), #""jump {\n notrack\n}""#).hasSuffix("??"))
        #expect(truths(match(#""invalid""#), #"{"new thing": 3}"#).hasSuffix("??"))
        #expect(truths(match(#""invalid""#), #"{"counter": null}"#) == "nnnyn")
        // In raw it is early, and changes nothing.
        let early = [
            #"{"chain": {"family": "ip", "table": "r", "name": "raw", "handle": 9, "type": "filter", "#
                + #""hook": "prerouting", "prio": -300, "policy": "accept"}}"#,
            #"{"rule": {"family": "ip", "table": "r", "chain": "raw", "handle": 70, "expr": [{"notrack": null}]}}"#,
        ]
        #expect(
            self.truths(Ruleset.handmade([match(#""invalid""#) + drop], hook: "prerouting", more: early), .prerouting)
                == "nnnyn")
    }

    @Test("Other words, numbers and lists stay open")
    func otherWords() {
        for (right, op) in [
            (#""snat""#, "in"), ("8", "in"), ("8", "=="), (#"["new", 2]"#, "in"), (#"["new", "strange"]"#, "!"),
            (#"["established", "related"]"#, "=="), (#"["established", "related"]"#, "!="), (#"["new"]"#, "!="),
            (#"{"|": ["established", "related"]}"#, "=="), (#"{"range": ["established", "new"]}"#, "=="),
            (#"{"range": [1, 8]}"#, "=="), (#""new""#, "<"), (#""new""#, ">="), ("null", "in"),
        ] {
            #expect(truths(Ruleset.handmade([match(right, op) + drop]), .input) == "?????", "\(op) \(right)")
        }
        let directed =
            #"{"match": {"op": "in", "left": {"ct": {"key": "state", "dir": "reply"}}, "right": "new"}}, "#
        #expect(truths(Ruleset.handmade([directed + drop]), .input) == "?????")
        // One that is known decides beside one that is not.
        let set = match(#"{"set": ["new", "strange"]}"#, "==")
        #expect(truths(Ruleset.handmade([set + drop]), .input) == "y????")
    }

    // MARK: What it is for

    @Test("A drop of what is invalid is not to blame for a new packet: the policy is")
    func policyAlone() {
        let ruleset = Ruleset.handmade(
            [match(#"["established", "related"]"#) + accept, match(#""invalid""#) + drop], policy: "drop")
        #expect(ruleset.found(.drop, .input) == ["2", "policy"])
        #expect(ruleset.found(.drop, .input, tracking: .new) == ["policy!"])
        #expect(ruleset.found(.drop, .input, tracking: .untracked) == ["policy!"])
        #expect(ruleset.found(.drop, .input, tracking: .invalid) == ["2!"])
        #expect(ruleset.found(.drop, .input, tracking: .established) == [])
        #expect(ruleset.ask(.drop, .input, tracking: .new).only?.text == "policy drop")
    }

    @Test("Maps of verdicts: the entry of the state, through a chain, and the policy behind")
    func verdictMap() throws {
        let ruleset = try Fixture.nft("states")
        func forward(_ port: Int, _ tracking: RuleSearch.TrackingState?) -> [String] {
            ruleset.ask(.drop, .forward, "192.0.2.1:1", "192.0.2.2:\(port)", tracking: tracking).candidates.map {
                ($0.rule.text ?? "") + ($0.isCertain ? "!" : "")
            }
        }
        #expect(forward(81, nil) == ["counter drop", "policy drop"])
        #expect(forward(81, .new) == ["policy drop!"])
        #expect(forward(80, .new) == [])
        #expect(forward(81, .established) == [])
        #expect(forward(80, .related) == [])
        #expect(forward(80, .invalid) == ["counter drop!"])
        #expect(forward(80, .untracked) == ["policy drop!"])
    }

    @Test("firewalld: a zone's drop alone, and rejection for certain")
    func firewalld() throws {
        let ruleset = try Fixture.nft("firewalld")
        func texts(_ effect: RuleSearch.Effect, _ input: String, _ tracking: RuleSearch.TrackingState?) -> [String] {
            ruleset.ask(effect, .input, "203.0.113.9:1", "203.0.113.1:80", input: input, tracking: tracking).texts
        }
        #expect(texts(.drop, "eth0", .new) == [])
        #expect(texts(.drop, "ens3", .new) == ["drop"])
        #expect(texts(.drop, "ens3", .untracked) == ["drop"])
        #expect(texts(.drop, "eth0", .invalid) == ["ct state invalid drop"])
        #expect(texts(.drop, "ens3", .established) == [])
        #expect(texts(.reject, "eth0", .new) == ["reject with icmpx admin-prohibited"])
        #expect(texts(.reject, "eth0", .established) == [])
        // A service for new and untracked connections.
        func open(_ tracking: RuleSearch.TrackingState) -> [String] {
            ruleset.found(.reject, .input, "203.0.113.9:1", "203.0.113.1:9090", input: "eth0", tracking: tracking)
        }
        #expect(open(.new) == [])
        #expect(open(.untracked) == [])
        // It may be translated, and accepted for that, before it is dropped as invalid.
        #expect(open(.invalid) == [])
    }

    @Test("ufw: no longer the rule for what is invalid")
    func ufw() throws {
        for ruleset in [try Fixture.iptablesNft("ufw"), try Fixture.legacy("ufw")] {
            func texts(_ destination: String, _ tracking: RuleSearch.TrackingState) -> [String] {
                let found = ruleset.ask(.drop, .input, "192.0.2.1:1", destination, input: "eth0", tracking: tracking)
                return found.candidates.map { "\($0.rule.ruleset ?? ""): \($0.rule.text ?? "")" }
            }
            let notLocal = "ip filter ufw-not-local: -j DROP"
            #expect(
                texts("192.0.2.2:8080", .new) == [
                    notLocal, "ip filter ufw-skip-to-policy-input: -j DROP", "ip filter INPUT: policy drop",
                ])
            #expect(texts("192.0.2.2:22", .new) == [notLocal])
            #expect(texts("192.0.2.2:8080", .established) == [])
            #expect(
                texts("192.0.2.2:8080", .invalid) == [
                    "ip filter ufw-before-input: -m conntrack --ctstate INVALID -j DROP"
                ])
        }
    }

    @Test("Docker: an answer to a container is let in, and nothing but the policy drops a SYN to a closed port")
    func docker() throws {
        for ruleset in try RealRulesetsTests.docker() {
            func found(_ tracking: RuleSearch.TrackingState?) -> [String] {
                ruleset.found(
                    .drop, .forward, "192.0.2.1:1", "172.17.0.2:81", input: "eth0", output: "docker0",
                    tracking: tracking)
            }
            #expect(found(nil) == ["policy"])
            #expect(found(.new) == ["policy!"])
            #expect(found(.invalid) == ["policy!"])
            #expect(found(.established) == [])
        }
    }

    @Test("kube-proxy: chains that only new packets come to, and translation that is not the state's affair")
    func kubeProxy() throws {
        for ruleset in [try Fixture.iptablesNft("kube"), try Fixture.legacy("kube")] {
            func reject(_ tracking: RuleSearch.TrackingState?) -> [Bool] {
                ruleset.ask(.reject, .forward, "10.244.3.3:1", "10.96.55.1:443", tracking: tracking).candidates.map(
                    \.isCertain)
            }
            #expect(reject(nil) == [false])
            #expect(reject(.new).count == 1)
            #expect(reject(.established) == [])
            #expect(reject(.invalid) == [])
            func local(_ tracking: RuleSearch.TrackingState?) -> [Bool] {
                ruleset.ask(.drop, .input, "192.0.2.1:1", "127.0.0.1:80", tracking: tracking).candidates.map(
                    \.isCertain)
            }
            // --ctstate RELATED,ESTABLISHED,DNAT behind a `!`.
            #expect(local(.new) == [false])
            #expect(local(.established) == [])
            #expect(
                ruleset.ask(.drop, .forward, "10.244.3.3:1", "10.9.9.9:443", tracking: .new).candidates.isEmpty)
            #expect(
                ruleset.found(.drop, .forward, "10.244.3.3:1", "10.9.9.9:443", tracking: .invalid).count == 1)
        }
        let nft = try Fixture.nft("kube-nft")
        func drops(_ tracking: RuleSearch.TrackingState) -> [String] {
            nft.ask(.drop, .forward, "10.244.3.3:1", "10.96.55.2:443", tracking: tracking).texts
        }
        #expect(drops(.new) == ["ct state new ip daddr . meta l4proto . th dport vmap @no-endpoint-services"])
        #expect(drops(.established) == [])
        #expect(drops(.invalid) == [])
    }
}
