// Lines of iptables-save: options, quoting, targets.

import Handshake
import Testing

@testable import Rulesets

@Suite("iptables")
struct IptablesTests {
    private func ruleset(_ rules: [String], table: String = "filter", chain: String = "INPUT") -> Ruleset {
        let lines = ["*\(table)", ":\(chain) ACCEPT [12:3456]", ":u - [0:0]"] + rules + ["COMMIT", ""]
        return Ruleset(RulesetTexts(iptablesSave: Array(lines.joined(separator: "\n").utf8), isComplete: true))
    }

    private func truth(
        _ matches: String, _ source: String = "192.0.2.1:40000", _ destination: String = "198.51.100.2:80",
        flags: TCPFlags = .syn
    ) -> String {
        let found = ruleset(["-A INPUT \(matches) -j DROP"]).ask(
            .drop, .input, source, destination, flags: flags, input: "eth0", own: ["198.51.100.2"])
        return found.candidates.isEmpty ? "no" : found.candidates[0].isCertain ? "yes" : "perhaps"
    }

    @Test(
        "Matches",
        arguments: [
            ("-s 192.0.2.1/32", "yes"), ("! -s 192.0.2.1/32", "no"), ("-s 192.0.2.0/24 -d 198.51.100.2/32", "yes"),
            ("-d 198.51.100.0/255.255.255.0", "yes"), ("-d 198.51.100.3/255.255.255.254", "yes"),
            ("-d 198.0.100.2/255.0.255.255", "yes"), ("-d 198.0.100.3/255.0.255.255", "no"), ("-s nonsense", "perhaps"),
            ("-i eth0", "yes"), ("-i eth+", "yes"), ("-i +", "yes"), ("-i eth1", "no"), ("! -i eth1", "yes"),
            ("-o eth0", "perhaps"), ("-p tcp", "yes"), ("-p udp", "no"), ("! -p udp", "yes"), ("-p 6", "yes"),
            ("-p all", "yes"), ("-p 0", "yes"), ("-p 47", "no"), ("-p strange", "perhaps"),
            ("-p tcp -m tcp --dport 80", "yes"), ("-p tcp -m tcp --dport 79:81", "yes"),
            ("-p tcp -m tcp --dport 81:", "no"), ("-p tcp -m tcp --dport :80", "yes"),
            ("-p tcp -m tcp ! --dport 80", "no"), ("-p tcp -m tcp --sport 40000", "yes"),
            ("-p tcp -m multiport --dports 22,79:80", "yes"), ("-p tcp -m multiport ! --dports 22,443", "yes"),
            ("-p tcp -m multiport --ports 40000", "yes"), ("-p tcp -m multiport --sports 1:1024,2000", "no"),
            ("-p tcp -m tcp --tcp-flags FIN,SYN,RST,ACK SYN", "yes"),
            ("-p tcp -m tcp ! --tcp-flags FIN,SYN,RST,ACK SYN", "no"),
            ("-p tcp -m tcp --syn", "yes"), ("-p tcp -m tcp --tcp-flags ALL NONE", "no"),
            ("-p tcp -m tcp --tcp-flags SYN,URG SYN", "perhaps"), ("-p tcp -m tcp --tcp-option 8", "perhaps"),
            ("-m iprange --src-range 192.0.2.0-192.0.2.9", "yes"),
            ("-m iprange ! --dst-range 198.51.100.0-198.51.100.9", "no"),
            ("-m comment --comment plain", "yes"), (#"-m comment --comment "-j ACCEPT \"x\" it\'s""#, "yes"),
            ("-m conntrack --ctstate NEW", "perhaps"), ("-m limit --limit 3/min", "perhaps"),
            ("-m rpfilter --invert", "perhaps"),
            ("-m socket", "perhaps"), ("-m set --match-set x src,dst", "perhaps"), ("-f", "perhaps"),
            ("! -f", "perhaps"),
            ("-m addrtype --dst-type LOCAL -p udp", "no"), ("-m addrtype --dst-type LOCAL", "yes"),
            ("-m addrtype ! --dst-type LOCAL", "no"), ("-m addrtype --dst-type UNICAST,LOCAL", "yes"),
            ("-m addrtype --dst-type BROADCAST", "no"), ("-m addrtype --src-type LOCAL", "perhaps"),
            ("-m addrtype --dst-type LOCAL --limit-iface-in", "perhaps"),
            ("-m string --string abc --algo bm --to 65535", "perhaps"),
            // A word that is taken for a target's option leaves everything open.
            ("-m string --string -j --algo bm", "perhaps"), ("-p", "perhaps"), ("stray", "perhaps"),
            ("--dport", "perhaps"),
        ])
    func matches(_ matches: String, _ expected: String) {
        #expect(truth(matches) == expected, "\(matches)")
    }

    @Test("Targets and chains")
    func targets() {
        func found(_ rules: [String], _ effect: RuleSearch.Effect = .drop) -> [String] {
            ruleset(rules).found(effect, .input)
        }
        #expect(found(["-A INPUT -j LOG --log-prefix \"-j ACCEPT \"", "-A INPUT -j DROP"]) == ["2!"])
        #expect(found(["-A INPUT -j ACCEPT", "-A INPUT -j DROP"]) == [])
        #expect(found(["-A INPUT -m comment --comment nothing", "[3:4] -A INPUT -j DROP"]) == ["2!"])
        #expect(found(["-A INPUT -j u", "-A INPUT -j DROP", "-A u -j RETURN"]) == ["2!"])
        #expect(found(["-A INPUT -g u", "-A INPUT -j DROP", "-A u -j RETURN"]) == [])
        #expect(found(["-A INPUT -j REJECT --reject-with tcp-reset"], .reject) == ["1!"])
        #expect(found(["-A INPUT -j NFQUEUE --queue-num 3"]) == [])
        #expect(found(["-A INPUT -p tcp -j TPROXY --on-port 3 --on-ip 127.0.0.1 --tproxy-mark 0x1/0x1"]) == ["1"])
        #expect(found(["-A INPUT -j MARK --set-xmark 0x1/0xffffffff"], .notrack) == [])
        #expect(found(["-A INPUT -j CT --notrack"], .notrack) == ["1!"])
        #expect(found(["-A INPUT -j CT --zone 3"], .notrack) == [])
        #expect(found(["-A INPUT -j NOTRACK"], .notrack) == ["1!"])
        #expect(found(["-A INPUT -j SOMETHING --new"], .reject) == ["1"])
        #expect(found(["-A INPUT -j DROP -j ACCEPT"], .reject) == ["1"])
        #expect(found(["-A INPUT -j DROP", "-A OTHER -j DROP"]) == ["1!"])
    }

    @Test("NAT's targets")
    func nat() {
        func made(_ target: String, _ to: String, chain: String = "PREROUTING") -> Bool {
            let effect: RuleSearch.Effect =
                chain == "PREROUTING" ? .translateDestination(to: end(to)) : .translateSource(to: end(to))
            return ruleset(["-A \(chain) -p tcp -j \(target)"], table: "nat", chain: chain).found(effect, nil) == ["1!"]
        }
        #expect(made("DNAT --to-destination 10.0.0.1:8080", "10.0.0.1:8080"))
        #expect(!made("DNAT --to-destination 10.0.0.1:8080", "10.0.0.1:80"))
        #expect(made("DNAT --to-destination 10.0.0.1", "10.0.0.1:80"))
        #expect(made("DNAT --to-destination :90", "192.0.2.2:90"))
        #expect(made("DNAT --to-destination 10.0.0.1-10.0.0.4:90-95 --persistent", "10.0.0.3:93"))
        #expect(!made("DNAT --to-destination 10.0.0.1-10.0.0.4:90-95 --persistent", "10.0.0.5:93"))
        #expect(made("DNAT --to-destination 10.0.0.1:90-95/80", "10.0.0.1:95"))
        #expect(made("DNAT --to-destination 10.0.0.1 --to-destination 10.0.0.9", "10.0.0.9:80"))
        #expect(made("REDIRECT --to-ports 8080", "10.7.7.7:8080"))
        #expect(!made("REDIRECT --to-ports 8080", "10.7.7.7:80"))
        #expect(made("REDIRECT --to-ports 8080-8090 --random", "10.7.7.7:8085"))
        #expect(made("REDIRECT", "10.7.7.7:80"))
        #expect(made("NETMAP --to 10.1.0.0/24", "10.1.0.2:80"))
        #expect(!made("NETMAP --to 10.1.0.0/24", "10.1.0.3:80"))
        #expect(made("NETMAP --to 10.1.0.0/24", "10.1.0.1:40000", chain: "POSTROUTING"))
        #expect(made("SNAT --to-source 1.2.3.4", "1.2.3.4:1030", chain: "POSTROUTING"))
        #expect(made("SNAT --to-source 1.2.3.4-1.2.3.9:1000-2000", "1.2.3.5:1030", chain: "POSTROUTING"))
        #expect(!made("SNAT --to-source 1.2.3.4-1.2.3.9:1000-2000", "1.2.3.5:3000", chain: "POSTROUTING"))
        #expect(made("MASQUERADE --random-fully", "1.2.3.5:3000", chain: "POSTROUTING"))
        #expect(!made("MASQUERADE --to-ports 1000-2000", "1.2.3.5:3000", chain: "POSTROUTING"))
    }

    @Test("IPv6 has brackets around addresses with ports")
    func six() {
        let text = """
            *nat
            :PREROUTING ACCEPT [0:0]
            -A PREROUTING -d 2001:db8::/32 -p tcp -m tcp --dport 80 -j DNAT --to-destination [2001:db8::5]:8080
            -A PREROUTING -p tcp -j DNAT --to-destination 2001:db8::6
            -A PREROUTING -p tcp -j DNAT --to-destination [2001:db8::7-2001:db8::9]:81
            COMMIT

            """
        let ruleset = Ruleset(RulesetTexts(ip6tablesSave: Array(text.utf8), isComplete: true))
        func found(_ to: String, _ destination: String) -> [String] {
            ruleset.found(.translateDestination(to: end(to)), .prerouting, "[2001:db8::1]:1", destination)
        }
        #expect(found("[2001:db8::5]:8080", "[2001:db8::2]:80") == ["1!"])
        #expect(found("[2001:db8::6]:443", "[2001:db8::2]:443") == ["2!"])
        #expect(found("[2001:db8::6]:80", "[2001:db8::2]:80") == [])
        #expect(ruleset.found(.translateDestination(to: nil), nil, "192.0.2.1:1", "192.0.2.2:80") == [])
        #expect(
            ruleset.ask(.translateDestination(to: nil), nil, "[2001:db8::1]:1", "[2001:db8::2]:81").rulesets == [
                "ip6 nat PREROUTING"
            ])
    }

    @Test("Extensions: what nft's JSON cannot say is read from the words, and both agree with legacy")
    func extensions() throws {
        let nft = try Fixture.iptablesNft("extensions")
        let legacy = try Fixture.legacy("extensions")
        for effect in [RuleSearch.Effect.drop, .reject, .translateDestination(to: nil), .translateSource(to: nil)] {
            for port in [22, 80, 81, 82, 84, 85, 93, 99, 150, 2000] {
                for flags in [TCPFlags.syn, .rst] {
                    let destination = "10.9.0.5:\(port)"
                    let one = nft.ask(effect, nil, "10.0.0.1:2000", destination, flags: flags, input: "eth0")
                    let other = legacy.ask(effect, nil, "10.0.0.1:2000", destination, flags: flags, input: "eth0")
                    #expect(one.texts == other.texts)
                    #expect(one.rulesets == other.rulesets)
                }
            }
        }
        let quoted = try #require(nft.rule(family: .ip, table: "filter", handle: 5))
        #expect(quoted.text == #"-p tcp -m tcp --dport 22 -m comment --comment "it\'s \"ssh\" -j DROP" -j ACCEPT"#)
        #expect(quoted.ruleset == "ip filter INPUT")
        #expect(
            nft.ask(.translateDestination(to: end("10.8.0.5:70")), .prerouting, "192.0.2.1:1", "10.9.0.5:70").texts
                == ["-d 10.9.0.0/24 -j NETMAP --to 10.8.0.0/24"])
    }

    @Test("Words of a chain that has changed meanwhile are not used")
    func changedMeanwhile() throws {
        let words = String(decoding: try Fixture.bytes("docker.words"), as: UTF8.self)
            .split(separator: "\n").filter { !$0.hasPrefix("-A DOCKER -i docker0") }.joined(separator: "\n")
        let ruleset = Ruleset(
            RulesetTexts(
                nftJSON: try Fixture.bytes("docker.json"), nftText: try Fixture.bytes("docker.txt"),
                iptablesNftSave: Array(words.utf8), isComplete: true))
        let found = ruleset.ask(
            .translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8080", input: "eth0")
        #expect(found.texts == [#"iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80"#])
        #expect(
            ruleset.ask(.drop, .prerouting, "192.0.2.1:1", "172.17.0.2:80", input: "eth0").texts
                == ["-d 172.17.0.2/32 ! -i docker0 -j DROP"])
    }
}
