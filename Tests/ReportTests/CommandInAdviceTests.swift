import Testing

@testable import Report

@Suite("Commands in advice")
struct CommandInAdviceTests {
    @Test(arguments: [
        (
            "Start what should listen on port 8081, and check: ip netns exec web ss -ltnp 'sport = :8081'",
            "Start what should listen on port 8081, and check: ", "ip netns exec web ss -ltnp 'sport = :8081'", ""
        ),
        (
            "Or check loosely: sysctl -w net.ipv4.conf.eth0.rp_filter=2 (the larger of all and the interface counts)",
            "Or check loosely: ", "sysctl -w net.ipv4.conf.eth0.rp_filter=2",
            " (the larger of all and the interface counts)"
        ),
        (
            "See what fills it: nsenter -t $(docker inspect -f '{{.State.Pid}}' 0123456789ab) -n conntrack -L",
            "See what fills it: ", "nsenter -t $(docker inspect -f '{{.State.Pid}}' 0123456789ab) -n conntrack -L", ""
        ),
        (
            "Translate the source as well, so that answers come back: ip netns exec gw nft 'add table ip hairpin; add chain ip hairpin postrouting { type nat hook postrouting priority srcnat; }; add rule ip hairpin postrouting iifname br0 oifname br0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade'",
            "Translate the source as well, so that answers come back: ",
            "ip netns exec gw nft 'add table ip hairpin; add chain ip hairpin postrouting { type nat hook postrouting priority srcnat; }; add rule ip hairpin postrouting iifname br0 oifname br0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade'",
            ""
        ),
        (
            "Accept it before: iptables-legacy -t filter -I INPUT -p tcp -d 10.0.0.2 --dport 80 -j ACCEPT",
            "Accept it before: ", "iptables-legacy -t filter -I INPUT -p tcp -d 10.0.0.2 --dport 80 -j ACCEPT", ""
        ),
        (
            "Find the rule that rejects port 80: nft -a list ruleset | grep -n reject",
            "Find the rule that rejects port 80: ", "nft -a list ruleset | grep -n reject", ""
        ),
    ])
    func findsCommands(advice: String, before: String, command: String, after: String) {
        let parts = CommandInAdvice(advice)
        #expect(parts.before == before && parts.command == command && parts.after == after)
        #expect(parts.isPlain)
    }

    @Test(arguments: [
        "Let the rule translate to more ports: ip nat postrouting 4: masquerade to :1024-2000",
        "Let nginx listen on 10.77.1.1, or on every address (0.0.0.0)",
        "Look at the client: its program gave up before the answer came", "", ": ", "ip link",
    ])
    func neverLosesText(advice: String) {
        let parts = CommandInAdvice(advice)
        #expect(parts.before + parts.command + parts.after == advice)
    }

    @Test func findsNoneWhereThereIsNone() {
        #expect(CommandInAdvice("Let nginx listen on 10.77.1.1, or on every address (0.0.0.0)").command == "")
        #expect(CommandInAdvice("Look at the client: its program gave up").command == "")
        #expect(CommandInAdvice("Translate to more ports: ip nat postrouting handle 4: masquerade").command == "")
    }

    /// A name from outside stands in the command: a shell must not make more of it than a word.
    @Test(arguments: [";reboot", "$(reboot)", "`reboot`", "a&&reboot", "a|sh", "a>b", "a\nreboot", "a\u{202e}b"])
    func offersNothingToCopyThatAShellTakesApart(name: String) {
        #expect(!CommandInAdvice("See it: ip netns exec \(name) nft -a list ruleset").isPlain)
        #expect(
            !CommandInAdvice("See it: nsenter -t $(docker inspect -f '{{.State.Pid}}' \(name)) -n conntrack -L").isPlain
        )
    }
}
