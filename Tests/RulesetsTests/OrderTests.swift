// Chains and hooks: what is reached, in which order, and what ends it.

import Handshake
import Testing

@testable import Rulesets

@Suite("Chains and hooks")
struct OrderTests {
    private let accept = #"{"accept": null}"#
    private let drop = #"{"drop": null}"#
    private let perhaps = #"{"match": {"op": "in", "left": {"ct": {"key": "state"}}, "right": "new"}}, "#

    @Test("A verdict that is certain ends the chain, one that may be does not")
    func verdicts() {
        func found(_ rules: [String], policy: String = "drop") -> [String] {
            Ruleset.handmade(rules, policy: policy).found(.drop, .input)
        }
        #expect(found([]) == ["policy!"])
        #expect(found([accept]) == [])
        #expect(found([accept, drop]) == [])
        #expect(found([perhaps + accept]) == ["policy"])
        #expect(found([perhaps + accept, drop]) == ["2!"])
        #expect(found([perhaps + drop, drop, drop]) == ["1", "2!"])
        #expect(found([perhaps + drop]) == ["1", "policy"])
        #expect(found([#"{"return": null}"#, drop]) == ["policy!"])
        #expect(found([#"{"reject": null}"#, drop]) == [])
        #expect(found([#"{"queue": null}"#, drop]) == ["2!"])
        #expect(found([drop], policy: "accept") == ["1!"])
        #expect(Ruleset.handmade([#"{"reject": null}"#, drop]).found(.reject, .input) == ["1!"])
    }

    @Test("Jumps return, gotos do not, and both may end everything")
    func jumps() {
        func chain(_ name: String) -> String {
            #"{"chain": {"family": "ip", "table": "t", "name": "\#(name)", "handle": 7}}"#
        }
        func rule(_ chain: String, _ handle: Int, _ expr: String) -> String {
            #"{"rule": {"family": "ip", "table": "t", "chain": "\#(chain)", "handle": \#(handle), "expr": [\#(expr)]}}"#
        }
        func found(_ rules: [String], _ more: [String]) -> [String] {
            Ruleset.handmade(rules, policy: "drop", more: more).found(.drop, .input)
        }
        let jump = #"{"jump": {"target": "a"}}"#
        let goto = #"{"goto": {"target": "a"}}"#
        #expect(found([jump, drop], [chain("a")]) == ["2!"])
        #expect(found([goto, drop], [chain("a")]) == ["policy!"])
        #expect(found([perhaps + goto, drop], [chain("a")]) == ["2!", "policy"])
        #expect(found([jump, drop], [chain("a"), rule("a", 50, accept)]) == [])
        #expect(found([jump], [chain("a"), rule("a", 50, perhaps + drop)]) == ["50", "policy"])
        #expect(found([jump], [chain("a"), rule("a", 50, #"{"return": null}"#), rule("a", 51, drop)]) == ["policy!"])
        // By two ways: the better one counts.
        #expect(found([perhaps + jump, jump], [chain("a"), rule("a", 50, drop)]) == ["50!"])
        // Out of a chain that was gone to, evaluation goes on behind the jump before.
        #expect(
            found(
                [jump, accept],
                [chain("a"), chain("b"), rule("a", 50, #"{"goto": {"target": "b"}}"#), rule("a", 51, drop)])
                == [])
        // Loops, and chains that are not there.
        #expect(
            Ruleset.handmade([jump], more: [chain("a"), rule("a", 50, perhaps + jump), rule("a", 51, drop)]).found(
                .drop, .input) == ["51!"])
        #expect(found([#"{"jump": {"target": "gone"}}"#, accept], []) == ["1", "policy"])
    }

    @Test("Deeper than the kernel jumps, the answer is not complete")
    func depth() {
        let chains = (0..<40).map { #"{"chain": {"family": "ip", "table": "t", "name": "d\#($0)", "handle": 9}}"# }
        let jumps = (0..<39).map {
            #"{"rule": {"family": "ip", "table": "t", "chain": "d\#($0)", "handle": \#(100 + $0), "expr": [{"jump": {"target": "d\#($0 + 1)"}}]}}"#
        }
        let found = Ruleset.handmade([#"{"jump": {"target": "d0"}}"#], more: chains + jumps).ask(.drop, .input)
        #expect(!found.isComplete)
        #expect(found.only == nil)
    }

    @Test("Base chains follow each other by priority, and a drop ends them all")
    func baseChains() throws {
        let ruleset = try Fixture.nft("layers")
        func forward(_ port: Int, _ effect: RuleSearch.Effect = .drop) -> [String] {
            ruleset.ask(effect, .forward, "192.0.2.9:1", "192.0.2.2:\(port)").candidates.map {
                ($0.rule.text ?? "") + ($0.isCertain ? "!" : "")
            }
        }
        #expect(forward(7) == ["tcp dport 7 drop!"])
        #expect(forward(7, .reject) == [])
        // Of two chains with one priority it is not known which comes first.
        #expect(forward(8) == ["tcp dport 8 drop!"])
        #expect(forward(9) == ["policy drop"])
        // The bridge's chain is asked, too.
        #expect(
            ruleset.ask(.drop, .forward, "192.0.2.1:1", "192.0.2.2:9").texts == [
                "ip saddr 192.0.2.1 drop", "policy drop",
            ])
    }

    @Test("Which hooks a stage has")
    func stages() throws {
        let ruleset = try Fixture.nft("layers")
        func texts(_ stage: Stage?, _ source: String = "192.0.2.66:1", _ destination: String = "192.0.2.2:9")
            -> [String]
        {
            ruleset.ask(.drop, stage, source, destination).rulesets
        }
        #expect(texts(.ingress) == ["netdev guard in"])
        #expect(texts(.prerouting) == ["ip early raw"])
        #expect(texts(.input) == ["ip early b"])
        #expect(texts(.routing) == [])
        #expect(texts(.socket) == [])
        #expect(texts(.postrouting) == [])
        #expect(texts(nil) == ["netdev guard in", "ip early raw", "ip early b", "ip early second"])
        #expect(ruleset.found(.notrack, .prerouting, "192.0.2.9:1", "192.0.2.2:9") == ["8!"])
        // The other family passes by.
        #expect(texts(.input, "[2001:db8::1]:1", "[2001:db8::2]:2") == [])
        // Port 1 returns from both chains, port 2 is accepted.
        #expect(ruleset.found(.reject, .input, "192.0.2.9:1", "192.0.2.2:1") == ["21!"])
        #expect(ruleset.found(.reject, .input, "192.0.2.9:1", "192.0.2.2:2") == [])
    }

    @Test("Around NAT, a chain that saw another packet decides nothing for the others")
    func segments() {
        func chain(_ name: String, _ priority: Int, _ type: String = "filter") -> String {
            #"{"chain": {"family": "ip", "table": "t", "name": "\#(name)", "handle": 9, "type": "\#(type)", "#
                + #""hook": "prerouting", "prio": \#(priority), "policy": "accept"}}"#
        }
        func rule(_ chain: String, _ handle: Int) -> String {
            #"{"rule": {"family": "ip", "table": "t", "chain": "\#(chain)", "handle": \#(handle), "expr": [{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "daddr"}}, "right": "192.0.2.2"}}, {"drop": null}]}}"#
        }
        func found(_ first: Int, _ second: Int, _ type: String = "filter") -> [String] {
            Ruleset.handmade(
                [], more: [chain("one", first, type), chain("two", second), rule("one", 1), rule("two", 2)]
            ).found(.drop, .prerouting)
        }
        #expect(found(-300, -150) == ["1!"])
        #expect(found(-150, -300) == ["2!"])
        #expect(found(-300, 0) == ["1!", "2!"])
        #expect(found(-300, -100) == ["1!", "2!"])
        #expect(found(0, 5) == ["1!"])
        #expect(found(5, 5) == ["1!", "2!"])
        // NAT's chains see only what begins a connection.
        #expect(found(-100, 5, "nat") == ["1", "2!"])
        #expect(found(-100, -90, "nat") == ["1", "2!"])
    }

    @Test("NAT: the first rule that certainly translates is the last to be asked")
    func nat() {
        func found(_ rules: [String], _ to: String?, hook: String = "prerouting") -> [String] {
            Ruleset.handmade(rules, hook: hook, type: "nat", priority: -100).found(
                hook == "prerouting" || hook == "output"
                    ? .translateDestination(to: to.map { end($0) }) : .translateSource(to: to.map { end($0) }),
                hook == "prerouting" ? .prerouting : .postrouting)
        }
        let redirect = #"{"redirect": {"port": 8080}}"#
        #expect(found([redirect, redirect], nil) == ["1!"])
        #expect(found([perhaps + redirect, redirect, redirect], nil) == ["1", "2!"])
        #expect(found([redirect], "10.0.0.1:8080") == ["1!"])
        #expect(found([redirect], "10.0.0.1:8081") == [])
        #expect(found([#"{"redirect": null}"#], "10.0.0.1:80") == ["1!"])
        #expect(found([#"{"redirect": null}"#], "10.0.0.1:81") == [])
        #expect(found([redirect], "[2001:db8::1]:8080") == [])
        #expect(found([#"{"dnat": {"addr": "10.0.0.1"}}"#], "10.0.0.1:80") == ["1!"])
        #expect(found([#"{"dnat": {"addr": "10.0.0.1"}}"#], "10.0.0.1:81") == [])
        #expect(found([#"{"dnat": {"port": 81}}"#], "192.0.2.2:81") == ["1!"])
        #expect(found([#"{"dnat": {"port": 81}}"#], "192.0.2.3:81") == [])
        let ranges = #"{"dnat": {"addr": {"range": ["10.0.0.1", "10.0.0.9"]}, "port": {"range": [80, 90]}}}"#
        #expect(found([ranges], "10.0.0.9:90") == ["1!"])
        #expect(found([ranges], "10.0.0.10:90") == [])
        #expect(found([ranges], "10.0.0.9:91") == [])
        // A map that lacks the key lets the packet go on.
        let map =
            #"{"dnat": {"family": "ip", "addr": {"map": {"key": {"payload": {"protocol": "tcp", "field": "dport"}}, "data": {"set": [[80, {"concat": ["10.0.0.1", 8080]}], [443, {"concat": ["10.0.0.2", 8443]}]]}}}}}"#
        #expect(found([map, redirect], "10.0.0.1:8080") == ["1!"])
        #expect(found([map, redirect], "10.0.0.2:8443") == [])
        #expect(found([map.replacingPort(), redirect], "10.0.0.2:8080") == ["2!"])
        // By chance: any of its values, and none for certain.
        let chance =
            #"{"dnat": {"addr": {"map": {"key": {"numgen": {"mode": "random", "mod": 2, "offset": 0}}, "data": {"set": [[0, "10.0.0.1"], [1, "10.0.0.2"]]}}}, "port": 8080}}"#
        #expect(found([chance], "10.0.0.2:8080") == ["1"])
        #expect(found([chance], "10.0.0.3:8080") == [])
        #expect(found([chance], "10.0.0.2:80") == [])
        // A network for a network: the host stays.
        let netmap =
            #"{"dnat": {"addr": {"prefix": {"addr": "10.1.0.0", "len": 24}}, "flags": "netmap", "type_flags": "prefix"}}"#
        #expect(found([netmap], "10.1.0.2:80") == ["1!"])
        #expect(found([netmap], "10.1.0.3:80") == [])
        // Sources: the port is only kept while it is free.
        #expect(found([#"{"snat": {"addr": "10.0.0.1"}}"#], "10.0.0.1:1025", hook: "postrouting") == ["1!"])
        #expect(found([#"{"snat": {"addr": "10.0.0.1"}}"#], "10.0.0.2:40000", hook: "postrouting") == [])
        #expect(
            found([#"{"masquerade": {"port": {"range": [1000, 2000]}}}"#], "10.0.0.2:1500", hook: "postrouting") == [
                "1!"
            ])
        #expect(
            found([#"{"masquerade": {"port": {"range": [1000, 2000]}}}"#], "10.0.0.2:2500", hook: "postrouting") == [])
        #expect(found([#"{"masquerade": null}"#], nil, hook: "postrouting") == ["1!"])
        #expect(found([#"{"masquerade": null}"#], nil) == [])
    }

    @Test("A chain without a name: nft's JSON has it as text only, so that it may do anything")
    func anonymousChain() {
        let json =
            #"{"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 80}}, "#
        let jump = #""jump {\n\t\t\tip saddr 192.0.2.1 drop\n\t\t}""#
        #expect(Ruleset.handmade([json + jump, drop]).found(.drop, .input) == ["1", "2!"])
        #expect(Ruleset.handmade([json + jump]).found(.drop, .input, "192.0.2.1:1", "192.0.2.2:81") == [])
        let text =
            "table ip t { # handle 1\n\tchain c { # handle 1\n\t\ttcp dport 80 jump {\n"
            + "\t\t\tip saddr 192.0.2.1 drop\n\t\t} # handle 4\n\t\tdrop # handle 5\n\t}\n}\n"
        let ruleset = Ruleset(RulesetTexts(nftText: Array(text.utf8), isComplete: true))
        #expect(
            ruleset.rule(family: .ip, table: "t", handle: 4)?.text == "tcp dport 80 jump { ip saddr 192.0.2.1 drop; }")
        #expect(
            ruleset.rule(family: .ip, table: "t", handle: 5)
                == Rule(id: "5", ruleset: "ip t c", text: "drop", tool: .nft))
    }

    @Test("The kinds of NAT rules that nft prints")
    func zoo() throws {
        let ruleset = try Fixture.nft("zoo")
        func texts(_ to: String, _ source: String, _ destination: String) -> [String] {
            ruleset.ask(.translateDestination(to: end(to)), .prerouting, source, destination, input: "eth7").texts
        }
        #expect(
            texts("10.0.0.1:8080", "192.0.2.1:1", "192.0.2.2:80") == ["tcp dport 80 counter dnat to 10.0.0.1:8080"])
        #expect(
            texts("10.0.0.2:8443", "192.0.2.1:1", "192.0.2.2:443") == [])
        #expect(
            texts("10.0.0.5:443", "192.0.2.1:1", "192.0.2.2:443")
                == ["tcp dport { 80, 443, 1000-2000 } dnat to 10.0.0.5"])
        #expect(
            texts("10.0.0.2:99", "192.0.2.1:1", "192.0.2.2:99") == [
                "dnat to numgen random mod 3 map { 0 : 10.0.0.1, 1 : 10.0.0.2, 2 : 10.0.0.3 }",
                "dnat to jhash ip saddr . tcp dport mod 2 map { 0 : 10.0.0.1, 1 : 10.0.0.2 }",
            ])
        #expect(
            texts("192.168.2.7:99", "10.141.11.5:1", "192.0.2.7:99") == ["dnat ip prefix to ip saddr map @pf"])
        #expect(texts("192.168.2.8:99", "10.141.11.5:1", "192.0.2.7:99") == [])
    }
}

extension String {
    /// The map with a key that the packet does not have in place of the one that it has.
    fileprivate func replacingPort() -> String { split(separator: "[80,").joined(separator: "[82,") }
}
