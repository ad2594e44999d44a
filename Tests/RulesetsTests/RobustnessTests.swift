// Bytes of any kind, rulesets of any size.

import Handshake
import Testing

@testable import Rulesets

@Suite("Robustness")
struct RobustnessTests {
    @Test("Without anything there are no candidates, and the answer is as complete as it was said to be")
    func empty() {
        #expect(
            Ruleset(RulesetTexts(isComplete: true)).ask(.drop, nil) == RuleCandidates(candidates: [], isComplete: true))
        let partial = Ruleset(RulesetTexts(isComplete: false, problem: "nft is not installed"))
        #expect(!partial.ask(.drop, nil).isComplete)
        #expect(partial.problem == "nft is not installed")
        let nothing = Ruleset(RulesetTexts(nftJSON: Array(#"{"nftables": []}"#.utf8), isComplete: true))
        #expect(nothing.ask(.drop, nil).isComplete)
        #expect(nothing.rule(family: .ip, table: "t", handle: 1) == nil)
    }

    @Test(
        "What is no JSON of nft's is said",
        arguments: ["", "{", "[]", "null", "{\"nftables\": 3}", "\u{0}", "}{", "[[[", "Error: no"])
    func noJSON(_ text: String) {
        let ruleset = Ruleset(RulesetTexts(nftJSON: Array(text.utf8), isComplete: true))
        #expect(!ruleset.ask(.drop, nil).isComplete)
        #expect(ruleset.problem != nil)
    }

    @Test("Deep nesting ends")
    func nesting() {
        #expect(JSONValue([UInt8](repeating: UInt8(ascii: "["), count: 1_000_000)) == nil)
        let deep = String(repeating: #"{"a":"#, count: 100_000)
        #expect(JSONValue(Array(deep.utf8)) == nil)
    }

    @Test("JSON: escapes, numbers, damage")
    func json() {
        #expect(JSONValue(Array(#""a\"\\\/\n\u00e9\ud83d\ude00""#.utf8))?.string == "a\"\\/\n\u{e9}\u{1f600}")
        #expect(JSONValue(Array(#""\ud83d""#.utf8))?.string == "\u{fffd}")
        #expect(JSONValue(Array("-12".utf8))?.integer == -12)
        #expect(JSONValue(Array("9223372036854775807".utf8))?.integer == .max)
        #expect(JSONValue(Array("9223372036854775808".utf8))?.integer == nil)
        #expect(JSONValue(Array(" [1, 2.5, {\"a\": null}] ".utf8))?.array?.count == 3)
        for damaged in [#""\x""#, #""\u12""#, "\"", "[1,]", "[1 2]", "{\"a\" 1}", "{1: 2}", "-", "tru", "1 2", "{,}"] {
            #expect(JSONValue(Array(damaged.utf8)) == nil, "\(damaged)")
        }
    }

    @Test(
        "Damaged outputs never crash",
        arguments: ["docker", "extensions", "firewalld", "kube-nft", "layers", "states", "zoo"])
    func damaged(_ name: String) throws {
        let json = try Fixture.bytes("\(name).json")
        let text = try Fixture.bytes("\(name).txt")
        let words = (try? Fixture.bytes("\(name).words")) ?? text
        var random = SmallRandom(state: 7)
        for round in 0..<60 {
            func damage(_ bytes: [UInt8]) -> [UInt8] {
                var bytes = bytes
                for _ in 0...(round % 4) where !bytes.isEmpty {
                    let position = Int(random.next() % UInt64(bytes.count))
                    switch random.next() % 4 {
                    case 0: bytes[position] = UInt8(truncatingIfNeeded: random.next())
                    case 1: bytes.removeSubrange(position..<min(bytes.count, position + 9))
                    case 2: bytes.removeLast(min(bytes.count, Int(random.next() % 50)))
                    // Another digit: the JSON stays whole, and says something else.
                    default:
                        if let digit = bytes[position...].firstIndex(where: { (0x30...0x39).contains($0) }) {
                            bytes[digit] = 0x30 + UInt8(random.next() % 10)
                        }
                    }
                }
                return bytes
            }
            let ruleset = Ruleset(
                RulesetTexts(
                    nftJSON: damage(json), nftText: damage(text), iptablesSave: damage(words),
                    ip6tablesSave: damage(words), iptablesNftSave: damage(words), isComplete: true))
            _ = ruleset.ask(.drop, nil)
            _ = ruleset.ask(.translateDestination(to: end("10.0.0.1:80")), nil, "[2001:db8::1]:1", "[2001:db8::2]:2")
        }
    }

    @Test("Thousands of rules and elements in well under a second")
    func speed() {
        var rules: [String] = []
        for i in 0..<2000 {
            rules.append(
                #"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "10.\#(i >> 8).\#(i & 255).1"}}, {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": \#(i)}}, {"limit": {"rate": 3, "per": "second"}}, {"counter": {"packets": 0, "bytes": 0}}, {"drop": null}"#
            )
        }
        let elements = (0..<5000).map { "\"10.\($0 >> 16).\($0 >> 8 & 255).\($0 & 255)\"" }.joined(separator: ",")
        rules.append(
            #"{"match": {"op": "==", "left": {"payload": {"protocol": "ip", "field": "saddr"}}, "right": "@s"}}, {"drop": null}"#
        )
        let set =
            #"{"set": {"family": "ip", "name": "s", "table": "t", "type": "ipv4_addr", "handle": 9, "elem": [\#(elements)]}}"#
        let clock = ContinuousClock()
        var found: RuleCandidates?
        let took = clock.measure {
            found = Ruleset.handmade(rules, more: [set]).ask(.drop, .input, "10.0.3.1:1", "192.0.2.2:3")
        }
        #expect(found?.candidates.map(\.rule.id) == ["4", "2001"])
        // Generous: tests run without optimisation, beside others.
        #expect(took < .seconds(10), "\(took)")
    }

    @Test("Chains that jump to each other without end cost no more than the bound")
    func explosion() {
        // Each of 16 chains jumps a thousand times to the next.
        var more = (0..<16).map { #"{"chain": {"family": "ip", "table": "t", "name": "d\#($0)", "handle": 9}}"# }
        var handle = 100
        for chain in 0..<15 {
            for _ in 0..<1000 {
                handle += 1
                more.append(
                    #"{"rule": {"family": "ip", "table": "t", "chain": "d\#(chain)", "handle": \#(handle), "expr": [{"jump": {"target": "d\#(chain + 1)"}}]}}"#
                )
            }
        }
        let found = Ruleset.handmade([#"{"jump": {"target": "d0"}}"#, #"{"drop": null}"#], more: more).ask(
            .drop, .input)
        #expect(found.only?.id == "2")
    }

    @Test("Past the bound of rules, the answer is not complete")
    func tooMany() {
        let line = "-A INPUT -j LOG\n"
        let text = "*filter\n:INPUT ACCEPT [0:0]\n" + String(repeating: line, count: Bounds.rules + 5) + "COMMIT\n"
        let ruleset = Ruleset(RulesetTexts(iptablesSave: Array(text.utf8), isComplete: true))
        #expect(!ruleset.ask(.drop, .input).isComplete)
        #expect(ruleset.problem?.contains("rules") == true)
    }
}

/// xorshift: the same damage in every run.
private struct SmallRandom {
    var state: UInt64

    mutating func next() -> UInt64 {
        state ^= state << 13
        state ^= state >> 7
        state ^= state << 17
        return state
    }
}
