// What the tools printed of rulesets like those of Docker, kube-proxy, firewalld and ufw.

import Handshake
import Testing

@testable import Rulesets

@Suite("Rulesets as tools print them")
struct RealRulesetsTests {
    // MARK: Docker

    static func docker() throws -> [Ruleset] { [try Fixture.iptablesNft("docker"), try Fixture.legacy("docker")] }

    @Test("Whether rules translate")
    func translates() throws {
        for docker in try Self.docker() { #expect(docker.translates == true && docker.ruleCount > 0) }
        #expect(try Fixture.nft("zoo").translates == true)
        let none = Ruleset(RulesetTexts(isComplete: true))
        #expect(none.translates == false && none.ruleCount == 0)
    }

    @Test("Docker: the port's DNAT rule, by the words of iptables")
    func dockerTranslation() throws {
        for ruleset in try Self.docker() {
            let found = ruleset.ask(
                .translateDestination(to: end("172.17.0.2:80")), .prerouting, "192.0.2.1:40000", "192.0.2.2:8080",
                input: "eth0")
            #expect(found.texts == ["! -i docker0 -p tcp -m tcp --dport 8080 -j DNAT --to-destination 172.17.0.2:80"])
            #expect(found.rulesets == ["ip nat DOCKER"])
            // Whether the address is local is not known.
            #expect(found.candidates.map(\.isCertain) == [false])
            #expect(found.only?.text == found.texts[0])
            // It is where its own addresses are.
            #expect(
                ruleset.found(
                    .translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8080", input: "eth0",
                    own: ["127.0.0.1", "192.0.2.2"]
                ).map { $0.hasSuffix("!") } == [true])
            // Another port, another target, from docker0 itself.
            #expect(ruleset.found(.translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8082") == [])
            #expect(
                ruleset.found(
                    .translateDestination(to: end("172.17.0.9:80")), .prerouting, "192.0.2.1:1", "192.0.2.2:8080") == []
            )
            #expect(
                ruleset.found(
                    .translateDestination(to: nil), .prerouting, "172.17.0.5:1", "192.0.2.2:8080", input: "docker0")
                    == [])
            // Bound to loopback only.
            #expect(ruleset.found(.translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8081") == [])
        }
    }

    @Test("Docker: numbers of legacy rules count within the chain, handles are the kernel's")
    func dockerNumbers() throws {
        let rulesets = try Self.docker()
        let nft = rulesets[0].ask(
            .translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8080", input: "eth0")
        let legacy = rulesets[1].ask(
            .translateDestination(to: nil), .prerouting, "192.0.2.1:1", "192.0.2.2:8080", input: "eth0")
        #expect(legacy.candidates.map(\.rule.id) == ["2"])
        #expect(legacy.candidates[0].rule.tool == .iptablesLegacy)
        #expect(nft.candidates.first?.rule.tool == .iptablesNft)
        let id = try #require(nft.candidates.first?.rule.id)
        #expect(
            rulesets[0].rule(family: .ip, table: "nat", handle: try #require(UInt64(id))) == nft.candidates[0].rule)
        #expect(rulesets[1].rule(family: .ip, table: "nat", handle: 2) == nil)
    }

    @Test("Docker: the policy of FORWARD drops what no rule lets through")
    func dockerPolicy() throws {
        // As where it is seen: the kernel does not say who made the chain.
        for (ruleset, tool) in zip(try Self.docker(), [RuleTool.nft, .iptablesLegacy]) {
            let found = ruleset.ask(
                .drop, .forward, "192.0.2.1:40000", "10.5.5.5:80", input: "eth0", output: "eth1")
            #expect(found.only == Rule(ruleset: "ip filter FORWARD", text: "policy drop", tool: tool))
            #expect(found.candidates[0].isCertain)
            // Between containers of one network it is accepted, and nothing else drops it.
            #expect(
                ruleset.found(.drop, .forward, "172.17.0.2:1", "172.17.0.3:80", input: "docker0", output: "docker0")
                    == [])
            // To a published port: an earlier rule may accept it or not, a later one certainly does.
            #expect(
                ruleset.found(.drop, .forward, "192.0.2.1:1", "172.17.0.2:80", input: "eth0", output: "docker0") == [])
            // To one that is not.
            let closed = ruleset.ask(.drop, .forward, "192.0.2.1:1", "172.17.0.2:81", input: "eth0", output: "docker0")
            #expect(closed.texts == ["policy drop"])
            #expect(closed.candidates.map(\.isCertain) == [false])
            // Devices that are not known leave more open.
            #expect(ruleset.found(.drop, .forward, "192.0.2.1:1", "172.17.0.2:80").count == 2)
        }
    }

    @Test("Docker: raw, masquerading, NOTRACK")
    func dockerOthers() throws {
        for ruleset in try Self.docker() {
            #expect(
                ruleset.ask(.drop, .prerouting, "192.0.2.1:1", "172.17.0.2:80", input: "eth0").texts
                    == ["-d 172.17.0.2/32 ! -i docker0 -j DROP"])
            #expect(ruleset.ask(.drop, .prerouting, "192.0.2.1:1", "172.17.0.2:80", input: "docker0").texts == [])
            #expect(
                ruleset.ask(
                    .translateSource(to: end("192.0.2.9:61000")), .postrouting, "172.17.0.2:40000", "198.51.100.1:80",
                    output: "eth0"
                ).texts == ["-s 172.17.0.0/16 ! -o docker0 -j MASQUERADE"])
            #expect(
                ruleset.ask(.notrack, .prerouting, "192.0.2.1:1", "192.0.2.2:9999").texts
                    == ["-p tcp -m tcp --dport 9999 -j CT --notrack"])
            #expect(ruleset.ask(.notrack, .prerouting).texts == [])
        }
    }

    @Test("Without its words, an extension's rule is still a candidate")
    func withoutWords() throws {
        let ruleset = try Fixture.nft("docker")
        let found = ruleset.ask(
            .translateDestination(to: end("172.17.0.2:80")), .prerouting, "192.0.2.1:40000", "192.0.2.2:8080",
            input: "eth0")
        // nft's JSON has only the extension's name, so that it is not known where to it translates.
        #expect(found.texts == [#"iifname != "docker0" tcp dport 8080 counter dnat to 172.17.0.2:80"#])
        #expect(
            ruleset.ask(.notrack, .prerouting, "192.0.2.1:1", "192.0.2.2:9999").candidates.map(\.isCertain) == [false])
    }

    // MARK: kube-proxy

    @Test("kube-proxy with iptables: either endpoint's rule, and only that of the endpoint asked for")
    func kubeProxy() throws {
        for ruleset in [try Fixture.iptablesNft("kube"), try Fixture.legacy("kube")] {
            func ask(_ target: String?, _ destination: String) -> RuleCandidates {
                ruleset.ask(
                    .translateDestination(to: target.map { end($0) }), .prerouting, "10.244.3.3:40000", destination,
                    input: "cni0")
            }
            #expect(ask(nil, "10.96.12.34:80").rulesets == ["ip nat KUBE-SEP-A", "ip nat KUBE-SEP-B"])
            #expect(ask("10.244.1.5:8080", "10.96.12.34:80").rulesets == ["ip nat KUBE-SEP-A"])
            let second = ask("10.244.2.7:8080", "10.96.12.34:80")
            #expect(second.rulesets == ["ip nat KUBE-SEP-B"])
            // Every match on the way to it holds, whatever the coin says.
            #expect(second.candidates.map(\.isCertain) == [true])
            #expect(ask("10.244.2.7:80", "10.96.12.34:80").rulesets == [])
            #expect(ask("10.244.2.7:8080", "192.0.2.10:30080").rulesets == ["ip nat KUBE-SEP-B"])
            #expect(ask(nil, "10.96.0.10:53").rulesets == ["ip nat KUBE-SEP-DNS"])
            #expect(ask(nil, "10.96.0.10:80").rulesets == [])
            #expect(
                ruleset.ask(.reject, .forward, "10.244.3.3:40000", "10.96.55.1:443").rulesets
                    == ["ip filter KUBE-SERVICES"])
            #expect(
                ruleset.ask(.drop, .input, "192.0.2.1:40000", "127.0.0.1:80").rulesets == ["ip filter KUBE-FIREWALL"])
            #expect(ruleset.ask(.drop, .input, "127.0.0.1:40000", "127.0.0.1:80").rulesets == [])
        }
    }

    @Test("kube-proxy with nftables: maps of verdicts with keys of three parts")
    func kubeProxyNft() throws {
        let ruleset = try Fixture.nft("kube-nft")
        func ask(_ target: String?, _ destination: String) -> RuleCandidates {
            ruleset.ask(
                .translateDestination(to: target.map { end($0) }), .prerouting, "10.244.3.3:40000", destination,
                input: "cni0")
        }
        #expect(
            ask(nil, "10.96.12.34:80").rulesets == ["ip kube-proxy endpoint-a", "ip kube-proxy endpoint-b"])
        #expect(ask("10.244.2.7:8080", "10.96.12.34:80").texts == ["meta l4proto tcp dnat to 10.244.2.7:8080"])
        #expect(ask("10.244.2.7:8080", "192.0.2.10:30080").rulesets == ["ip kube-proxy endpoint-b"])
        let dns = ask("10.244.0.2:53", "10.96.0.10:53")
        #expect(dns.only?.ruleset == "ip kube-proxy endpoint-dns")
        #expect(dns.candidates.map(\.isCertain) == [true])
        #expect(ask(nil, "10.96.0.10:54").texts == [])
        #expect(ruleset.ask(.reject, .forward, "10.244.3.3:1", "10.96.55.1:443").texts.first == "reject")
        #expect(
            ruleset.ask(.drop, .forward, "10.244.3.3:1", "10.96.55.2:443").texts
                == [
                    "ct state new ip daddr . meta l4proto . th dport vmap @no-endpoint-services",
                    "ip daddr 10.96.0.0/12 drop",
                ])
        #expect(
            ruleset.ask(.drop, .forward, "10.244.3.3:1", "10.96.99.99:443").texts == ["ip daddr 10.96.0.0/12 drop"])
        // A cluster's address is rejected before.
        #expect(ruleset.ask(.drop, .forward, "10.244.3.3:1", "10.96.0.10:99").texts == [])
    }

    // MARK: firewalld

    @Test("firewalld: zones by source and by device, sets, rejection")
    func firewalld() throws {
        let ruleset = try Fixture.nft("firewalld")
        func reject(_ source: String, _ destination: String, _ input: String?) -> [String] {
            ruleset.ask(.reject, .input, source, destination, input: input).rulesets
        }
        func drop(_ source: String, _ destination: String, _ input: String?) -> [String] {
            ruleset.ask(.drop, .input, source, destination, input: input).texts
        }
        #expect(
            reject("203.0.113.9:1", "203.0.113.1:8443", "eth0") == ["inet firewalld filter_IN_public_deny"])
        #expect(reject("203.0.113.9:1", "203.0.113.1:80", "eth0") == ["inet firewalld filter_INPUT"])
        // Accepted.
        #expect(reject("203.0.113.9:1", "203.0.113.1:22", "eth0") == [])
        #expect(reject("203.0.113.9:1", "203.0.113.1:80", "eth1") == [])
        #expect(reject("203.0.113.9:1", "203.0.113.1:80", "lo") == [])
        #expect(drop("203.0.113.9:1", "203.0.113.1:80", "eth0") == ["ct state invalid drop"])
        #expect(
            drop("203.0.113.7:1", "203.0.113.1:80", "eth0") == [
                "ct state invalid drop", "ip saddr @blocked counter drop",
            ])
        #expect(
            drop("198.51.100.200:1", "203.0.113.1:80", "eth7")
                == ["ct state invalid drop", "ip saddr @blocked counter drop"])
        // The whole zone drops: a wildcard in a map.
        #expect(drop("203.0.113.9:1", "203.0.113.1:80", "ens3") == ["ct state invalid drop", "drop"])
        #expect(drop("192.0.2.9:1", "203.0.113.1:80", nil).last == "drop")
        #expect(reject("[2001:db8::9]:1", "[2001:db8::1]:80", "eth0") == ["inet firewalld filter_INPUT"])
    }

    @Test("firewalld: translation in a table for both families")
    func firewalldTranslation() throws {
        let ruleset = try Fixture.nft("firewalld")
        func ask(_ source: String, _ destination: String) -> [String] {
            ruleset.ask(.translateDestination(to: nil), .prerouting, source, destination, input: "eth0").texts
        }
        #expect(ask("203.0.113.9:1", "203.0.113.1:8080") == ["meta nfproto ipv4 tcp dport 8080 dnat ip to 10.1.2.3:80"])
        #expect(
            ask("[2001:db8::9]:1", "[2001:db8::1]:8080")
                == ["meta nfproto ipv6 tcp dport 8080 dnat ip6 to [2001:db8::3]:80"])
        #expect(ask("203.0.113.9:1", "203.0.113.1:443") == ["tcp dport 443 redirect to :8443"])
        let toOther = RuleSearch.Effect.translateDestination(to: end("203.0.113.1:8444"))
        #expect(ruleset.found(toOther, .prerouting, "203.0.113.9:1", "203.0.113.1:443", input: "eth0") == [])
        #expect(
            ruleset.ask(
                .translateSource(to: end("10.1.255.1:9")), .postrouting, "192.0.2.1:1", "10.1.9.9:80", output: "eth3"
            ).texts == ["ip daddr 10.1.0.0/16 snat ip to 10.1.255.1"])
        #expect(
            ruleset.ask(
                .translateSource(to: nil), .postrouting, "192.0.2.1:1", "10.1.9.9:80", output: "eth0"
            ).texts == [#"oifname "eth0" masquerade"#])
    }

    // MARK: ufw

    @Test("ufw: user rules, the policy, and the rules that cannot be excluded")
    func ufw() throws {
        for ruleset in [try Fixture.iptablesNft("ufw"), try Fixture.legacy("ufw")] {
            func drop(_ source: String, _ destination: String) -> [String] {
                let found = ruleset.ask(.drop, .input, source, destination, input: "eth0")
                return found.candidates.map { "\($0.rule.ruleset ?? ""): \($0.rule.text ?? "")" }
            }
            let invalid = "ip filter ufw-before-input: -m conntrack --ctstate INVALID -j DROP"
            let notLocal = "ip filter ufw-not-local: -j DROP"
            let policy = "ip filter INPUT: policy drop"
            #expect(
                drop("192.0.2.1:1", "192.0.2.2:8080") == [
                    invalid, notLocal, "ip filter ufw-skip-to-policy-input: -j DROP", policy,
                ])
            #expect(drop("192.0.2.1:1", "192.0.2.2:80") == [invalid, notLocal])
            #expect(drop("192.0.2.1:1", "192.0.2.2:22") == [invalid, notLocal])
            #expect(
                drop("203.0.113.5:1", "192.0.2.2:5432") == [
                    invalid, notLocal, "ip filter ufw-user-input: -s 203.0.113.0/24 -p tcp -m tcp --dport 5432 -j DROP",
                ])
            #expect(
                drop("192.0.2.1:1", "192.0.2.2:139").last == "ip filter ufw-skip-to-policy-input: -j DROP")
            #expect(
                ruleset.ask(.reject, .input, "192.0.2.1:1", "192.0.2.2:5433", input: "eth0").texts
                    == ["-p tcp -m tcp --dport 5433 -j REJECT --reject-with tcp-reset"])
            #expect(ruleset.ask(.drop, .input, "127.0.0.1:1", "127.0.0.1:8080", input: "lo").texts == [])
        }
    }

    @Test("Every fixture is read whole, and every rule has its text and its place")
    func whole() throws {
        for name in [
            "ctstate", "docker", "extensions", "firewalld", "kube", "kube-nft", "layers", "states", "ufw", "zoo",
        ] {
            let ruleset = try Fixture.nft(name)
            #expect(ruleset.problem == nil, "\(name)")
            #expect(ruleset.ask(.drop, nil).isComplete)
            let texts = NftText.read(try Fixture.bytes("\(name).txt"))
            #expect(!texts.isEmpty)
            for (key, text) in texts {
                let rule = try #require(ruleset.rule(family: key.family, table: key.table, handle: key.handle))
                #expect(rule.text == text.text)
                #expect(rule.id == String(key.handle))
                #expect(rule.ruleset == "\(key.family.name) \(key.table) \(text.chain)")
            }
        }
    }
}
