// Single matches: what holds, what does not, and what stays open.

import Handshake
import Testing

@testable import Rulesets

@Suite("Matches")
struct MatchTests {
    /// What a rule of this match, with a verdict of drop, is to a packet: yes, no or perhaps.
    private func truth(
        _ match: String, _ source: String = "192.0.2.1:40000", _ destination: String = "198.51.100.2:80",
        flags: TCPFlags = .syn, input: String? = "eth0", family: String = "inet", more: [String] = [],
        own: [String] = []
    ) -> String {
        let ruleset = Ruleset.handmade([#"\#(match), {"drop": null}"#], family: family, more: more)
        let found = ruleset.ask(.drop, .input, source, destination, flags: flags, input: input, own: own)
        #expect(found.isComplete, "\(ruleset.problem ?? "")")
        return found.candidates.isEmpty ? "no" : found.candidates[0].isCertain ? "yes" : "perhaps"
    }

    private func match(_ left: String, _ right: String, _ op: String = "==") -> String {
        #"{"match": {"op": "\#(op)", "left": \#(left), "right": \#(right)}}"#
    }

    private func payload(_ header: String, _ field: String) -> String {
        #"{"payload": {"protocol": "\#(header)", "field": "\#(field)"}}"#
    }

    private func meta(_ key: String) -> String { #"{"meta": {"key": "\#(key)"}}"# }

    @Test("Addresses: values, prefixes, ranges, sets, masks, the other family")
    func addresses() {
        let saddr = payload("ip", "saddr")
        #expect(truth(match(saddr, #""192.0.2.1""#)) == "yes")
        #expect(truth(match(saddr, #""192.0.2.1""#, "!=")) == "no")
        #expect(truth(match(saddr, #""192.0.2.3""#, "!=")) == "yes")
        #expect(truth(match(saddr, #"{"prefix": {"addr": "192.0.2.0", "len": 24}}"#)) == "yes")
        #expect(truth(match(saddr, #"{"prefix": {"addr": "192.0.3.0", "len": 24}}"#)) == "no")
        #expect(truth(match(saddr, #"{"prefix": {"addr": "0.0.0.0", "len": 0}}"#)) == "yes")
        #expect(truth(match(saddr, #"{"prefix": {"addr": "0.0.0.0", "len": 99}}"#)) == "perhaps")
        #expect(truth(match(saddr, #"{"range": ["192.0.2.0", "192.0.2.1"]}"#)) == "yes")
        #expect(truth(match(saddr, #"{"range": ["192.0.2.2", "192.0.2.9"]}"#)) == "no")
        #expect(truth(match(saddr, #"{"set": ["192.0.2.9", {"prefix": {"addr": "192.0.2.0", "len": 30}}]}"#)) == "yes")
        #expect(truth(match(saddr, #"{"set": ["192.0.2.9", "a-name"]}"#)) == "perhaps")
        #expect(truth(match(saddr, #"{"set": []}"#)) == "no")
        #expect(truth(match(#"{"&": [\#(saddr), "255.0.0.255"]}"#, #""192.0.0.1""#)) == "yes")
        #expect(truth(match(#"{"&": [\#(saddr), "255.0.0.255"]}"#, #""192.0.0.2""#)) == "no")
        #expect(truth(match(saddr, #""192.0.2.9""#, "<")) == "yes")
        // A packet of the other family is not `unequal`: nft matches the family first.
        #expect(truth(match(payload("ip6", "saddr"), #""2001:db8::1""#, "!=")) == "no")
        #expect(truth(match(saddr, #""192.0.2.1""#, "!="), "[2001:db8::1]:1", "[2001:db8::2]:2") == "no")
        let six = payload("ip6", "daddr")
        #expect(
            truth(
                match(six, #"{"prefix": {"addr": "2001:db8::", "len": 33}}"#), "[2001:db8::1]:1", "[2001:db8:7fff::2]:2"
            )
                == "yes")
        #expect(
            truth(
                match(six, #"{"prefix": {"addr": "2001:db8::", "len": 33}}"#), "[2001:db8::1]:1", "[2001:db8:8000::2]:2"
            )
                == "no")
    }

    @Test("Ports, protocols and headers of others")
    func ports() {
        let dport = payload("tcp", "dport")
        #expect(truth(match(dport, "80")) == "yes")
        #expect(truth(match(dport, #"{"set": [22, {"range": [79, 81]}]}"#)) == "yes")
        #expect(truth(match(dport, #"{"set": [22, {"range": [81, 82]}]}"#, "!=")) == "yes")
        #expect(truth(match(payload("th", "sport"), "1024", ">")) == "yes")
        #expect(truth(match(payload("th", "sport"), "40000", "<")) == "no")
        #expect(truth(match(payload("th", "sport"), "40000", "<=")) == "yes")
        #expect(truth(match(dport, #""http""#)) == "perhaps")
        #expect(truth(match(#"{"&": [\#(dport), 1]}"#, "0")) == "yes")
        #expect(truth(match(payload("udp", "dport"), "80")) == "no")
        #expect(truth(match(payload("udp", "dport"), "80", "!=")) == "no")
        #expect(truth(match(payload("icmp", "type"), "8")) == "no")
        for right in [#""tcp""#, "6", #"{"set": ["udp", "tcp"]}"#, #"{"set": [17, 6]}"#] {
            #expect(truth(match(meta("l4proto"), right)) == "yes")
            #expect(truth(match(payload("ip", "protocol"), right)) == "yes")
        }
        #expect(truth(match(meta("l4proto"), #""udp""#)) == "no")
        #expect(truth(match(meta("l4proto"), #""strange""#)) == "perhaps")
        #expect(truth(match(meta("nfproto"), #""ipv4""#)) == "yes")
        #expect(truth(match(meta("nfproto"), #""ipv6""#)) == "no")
        #expect(truth(match(meta("protocol"), #""ip6""#)) == "no")
        #expect(truth(match(meta("protocol"), "8")) == "yes")
        #expect(truth(match(meta("protocol"), #""8021q""#)) == "perhaps")
        #expect(truth(match(payload("ip", "ttl"), "3")) == "perhaps")
        #expect(truth(match(payload("ip6", "nexthdr"), "6")) == "no")
    }

    @Test("Flags: one of these, just these, none of these, under a mask")
    func flags() {
        let flags = payload("tcp", "flags")
        let handshake = #"{"&": [\#(flags), ["fin", "syn", "rst", "ack"]]}"#
        #expect(truth(match(handshake, #""syn""#)) == "yes")
        #expect(truth(match(#"{"&": [\#(flags), {"|": ["fin", "syn", "rst", "ack"]}]}"#, #""syn""#)) == "yes")
        #expect(truth(match(#"{"&": [\#(flags), [1, 2, 4, 16]]}"#, "2")) == "yes")
        #expect(truth(match(handshake, #""syn""#), flags: [.syn, .ack]) == "no")
        #expect(truth(match(handshake, #""syn""#, "!="), flags: [.syn, .ack]) == "yes")
        #expect(truth(match(handshake, #"["syn", "ack"]"#), flags: [.syn, .ack]) == "yes")
        #expect(truth(match(flags, #""syn""#, "in")) == "yes")
        #expect(truth(match(flags, #"["syn", "ack"]"#, "in"), flags: .ack) == "yes")
        #expect(truth(match(flags, #"["syn", "ack"]"#, "in"), flags: .rst) == "no")
        #expect(truth(match(flags, #""ack""#, "!")) == "yes")
        #expect(truth(match(flags, #""syn""#, "!")) == "no")
        // A SYN may have the bits of ECN beside.
        #expect(truth(match(flags, #""syn""#)) == "perhaps")
        #expect(truth(match(flags, #""syn""#), flags: .ack) == "no")
        #expect(truth(match(flags, #""ecn""#, "in"), flags: [.syn, .ece]) == "yes")
        #expect(truth(match(flags, #"{"set": ["syn", {"|": ["syn", "ack"]}]}"#), flags: .rst) == "no")
    }

    @Test("Devices: names, wildcards, indices, and what is not known at the hook")
    func devices() {
        let iifname = meta("iifname")
        #expect(truth(match(iifname, #""eth0""#)) == "yes")
        #expect(truth(match(iifname, #""eth*""#)) == "yes")
        #expect(truth(match(iifname, #""eth\\*""#)) == "no")
        #expect(truth(match(iifname, #""eth1""#)) == "no")
        #expect(truth(match(iifname, #""eth1""#, "!=")) == "yes")
        #expect(truth(match(iifname, #"{"set": ["eth1", "eth*"]}"#)) == "yes")
        #expect(truth(match(meta("iif"), #""lo""#)) == "no")
        #expect(truth(match(meta("iif"), "7")) == "perhaps")
        #expect(truth(match(iifname, #""eth0""#), input: nil) == "perhaps")
        #expect(truth(match(meta("oifname"), #""eth0""#)) == "perhaps")
        #expect(truth(match(iifname, #""10.0.0.1""#), input: "10.0.0.1") == "yes")
    }

    @Test("Of types of addresses, only that one is the machine's own is known")
    func addressTypes() {
        for flags in [#"["daddr"]"#, #""daddr""#] {
            let type = #"{"fib": {"result": "type", "flags": \#(flags)}}"#
            #expect(truth(match(type, #""local""#), own: ["198.51.100.2"]) == "yes")
            #expect(truth(match(type, #""local""#, "!="), own: ["198.51.100.2"]) == "no")
            #expect(truth(match(type, #""broadcast""#), own: ["198.51.100.2"]) == "no")
            #expect(truth(match(type, #"{"set": ["unicast", "local"]}"#), own: ["198.51.100.2"]) == "yes")
            #expect(truth(match(type, #""local""#), own: ["192.0.2.1"]) == "perhaps")
            #expect(truth(match(type, #""local""#), "192.0.2.1:9", "127.0.0.9:80") == "yes")
            #expect(truth(match(type, "2"), own: ["198.51.100.2"]) == "perhaps")
        }
        let source = #"{"fib": {"result": "type", "flags": ["saddr"]}}"#
        #expect(truth(match(source, #""local""#), own: ["192.0.2.1"]) == "yes")
        #expect(truth(match(source, #""local""#), own: ["198.51.100.2"]) == "perhaps")
        let byDevice = #"{"fib": {"result": "type", "flags": ["daddr", "iif"]}}"#
        #expect(truth(match(byDevice, #""local""#), own: ["198.51.100.2"]) == "perhaps")
    }

    @Test("What cannot be known is neither yes nor no")
    func unknown() {
        for statement in [
            match(#"{"ct": {"key": "state"}}"#, #""new""#, "in"), match(meta("mark"), "4"),
            match(#"{"fib": {"result": "type", "flags": ["daddr"]}}"#, #""local""#),
            match(#"{"ct": {"key": "ip daddr", "dir": "original"}}"#, #""192.0.2.9""#, "!="),
            match(#"{"payload": {"base": "th", "offset": 16, "len": 16}}"#, "80"),
            match(#"{"payload": {"tunnel": "vxlan", "protocol": "ip", "field": "saddr"}}"#, #""192.0.2.1""#),
            match(payload("tcp", "dport"), "80", "~"), #"{"limit": {"rate": 3, "per": "second"}}"#,
            #"{"quota": {"val": 100, "val_unit": "bytes"}}"#, #"{"ct count": {"val": 20}}"#,
            #"{"xt": {"type": "match", "name": "string"}}"#, #"{"xt": null}"#,
            #"{"set": {"op": "add", "elem": \#(payload("ip", "saddr")), "set": "@s"}}"#,
            #"{"mangle": {"key": \#(meta("mark")), "value": {"ct": {"key": "mark"}}}}"#, #"{"new thing": 3}"#,
            #"{"meter": {}}"#, #"{"tproxy": {"port": 80}}"#, #"{}"#, #"17"#, #"{"match": 3}"#, #"{"match": {}}"#,
            #"{"queue": {"num": 3}}"#, #"{"synproxy": null}"#, #"{"vmap": null}"#, #"{"jump": {"target": "away"}}"#,
        ] {
            #expect(truth(statement) == "perhaps", "\(statement)")
        }
        for statement in [
            #"{"counter": {"packets": 3, "bytes": 180}}"#, #"{"log": {"prefix": "x"}}"#, #"{"counter": "mine"}"#,
            #"{"xt": {"type": "match", "name": "comment"}}"#,
            #"{"mangle": {"key": {"meta": {"key": "mark"}}, "value": 3}}"#,
            #"{"mangle": {"key": {"meta": {"key": "mark"}}, "value": {"|": [{"meta": {"key": "mark"}}, 16384]}}}"#,
            #"{"ct helper": "ftp"}"#, #"{"notrack": null}"#, #"{"continue": null}"#, #"{"last": null}"#,
        ] {
            #expect(truth(statement) == "yes", "\(statement)")
        }
    }

    @Test("Named sets: intervals, several parts, elements with counters, a default, and those that change")
    func sets() {
        func set(_ elements: String, _ rest: String = "") -> String {
            #"{"set": {"family": "inet", "name": "s", "table": "t", "type": "x", "handle": 9, "elem": [\#(elements)]\#(rest)}}"#
        }
        let pair = #"{"concat": [\#(payload("ip", "saddr")), \#(payload("tcp", "dport"))]}"#
        func holds(_ left: String, _ set: String, _ op: String = "==") -> String {
            truth(match(left, #""@s""#, op), more: [set])
        }
        let saddr = payload("ip", "saddr")
        #expect(holds(saddr, set(#""192.0.2.1""#)) == "yes")
        #expect(holds(saddr, set(#""192.0.2.1""#), "!=") == "no")
        #expect(holds(saddr, set(#"{"range": ["192.0.2.3", "192.0.2.9"]}"#)) == "no")
        #expect(holds(saddr, set(#"{"elem": {"val": "192.0.2.1", "counter": {"packets": 3, "bytes": 4}}}"#)) == "yes")
        #expect(holds(saddr, set(#""192.0.2.2", "*""#)) == "yes")
        #expect(holds(saddr, set(#"{"elem": {"val": "*", "comment": "rest"}}"#)) == "yes")
        #expect(holds(saddr, set("")) == "no")
        #expect(
            holds(pair, set(#"{"concat": [{"prefix": {"addr": "192.0.2.0", "len": 24}}, {"range": [80, 90]}]}"#))
                == "yes")
        #expect(
            holds(pair, set(#"{"concat": [{"prefix": {"addr": "192.0.2.0", "len": 24}}, {"range": [81, 90]}]}"#))
                == "no")
        #expect(holds(pair, set(#"{"concat": ["192.0.2.1"]}"#)) == "perhaps")
        let partly = #"{"concat": [\#(saddr), {"ct": {"key": "state"}}]}"#
        #expect(holds(partly, set(#"{"concat": ["192.0.2.1", "new"]}"#)) == "perhaps")
        #expect(holds(partly, set(#"{"concat": ["192.0.2.2", "new"]}"#)) == "no")
        for rest in [
            #", "flags": ["timeout"]"#, #", "flags": ["dynamic"]"#, #", "flags": "dynamic""#, #", "timeout": 60"#,
        ] {
            #expect(holds(saddr, set(#""192.0.2.1""#, rest)) == "perhaps")
            #expect(holds(saddr, set(#""192.0.2.2""#, rest)) == "perhaps")
        }
        // Packets put elements into it, whatever its flags say.
        let adds = #"{"set": {"op": "update", "elem": \#(saddr), "set": "@s"}}, "#
        #expect(truth(adds + match(saddr, #""@s""#), more: [set(#""192.0.2.2""#)]) == "perhaps")
        #expect(truth(match(saddr, #""@missing""#)) == "perhaps")
    }

    @Test("Maps of verdicts: what is known to be the key excludes the others")
    func verdictMaps() {
        func vmap(_ key: String, _ elements: String) -> String {
            #"{"vmap": {"key": \#(key), "data": {"set": [\#(elements)]}}}"#
        }
        func found(_ rules: [String]) -> [String] { Ruleset.handmade(rules, family: "inet").found(.drop, .input) }
        let dport = payload("tcp", "dport")
        let rest = #"{"drop": null}"#
        #expect(found([vmap(dport, #"[80, {"drop": null}]"#), rest]) == ["1!"])
        #expect(found([vmap(dport, #"[80, {"accept": null}], [81, {"drop": null}]"#), rest]) == [])
        #expect(found([vmap(dport, #"[81, {"drop": null}]"#), rest]) == ["2!"])
        #expect(found([vmap(dport, #"[81, {"accept": null}], ["*", {"drop": null}]"#), rest]) == ["1!"])
        #expect(found([vmap(dport, #"[80, {"continue": null}]"#), rest]) == ["2!"])
        #expect(found([vmap(dport, #"[80, {"jump": {"target": "away"}}]"#), rest]) == ["1", "2!"])
        let state = #"{"ct": {"key": "state"}}"#
        #expect(found([vmap(state, #"["new", {"accept": null}], ["invalid", {"drop": null}]"#), rest]) == ["1", "2!"])
        #expect(found([vmap(state, #"["new", {"accept": null}], ["*", {"accept": null}]"#), rest]) == [])
        #expect(found([vmap(payload("udp", "dport"), #"["*", {"drop": null}]"#), rest]) == ["2!"])
        #expect(found([#"{"vmap": {"key": \#(dport), "data": "@missing"}}"#, rest]) == ["1", "2!"])
    }

    @Test("Rules that write addresses make every match of addresses open")
    func rewriting() {
        let writes = #"{"mangle": {"key": \#(payload("ip", "daddr")), "value": "192.0.2.9"}}"#
        let rules = [
            writes, match(payload("ip", "daddr"), #""203.0.113.1""#) + #", {"accept": null}"#, #"{"drop": null}"#,
        ]
        #expect(Ruleset.handmade(rules, family: "inet").found(.drop, .input) == ["3!"])
        let jump = match(payload("ip", "daddr"), #""203.0.113.1""#) + ", \(writes), " + #"{"drop": null}"#
        #expect(Ruleset.handmade([jump], family: "inet").found(.drop, .input) == ["1"])
    }
}
