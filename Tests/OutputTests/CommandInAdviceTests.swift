import Glibc
import Testing

@testable import Output

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
            "See what fills it: nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==4026532567{print $2}') -n conntrack -L",
            "See what fills it: ",
            "nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==4026532567{print $2}') -n conntrack -L", ""
        ),
        (
            "Translate the source as well, so that answers come back: ip netns exec gw nft add table ip hairpin ';' add chain ip hairpin postrouting '{ type nat hook postrouting priority srcnat; };' add rule ip hairpin postrouting iifname br0 oifname br0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade",
            "Translate the source as well, so that answers come back: ",
            "ip netns exec gw nft add table ip hairpin ';' add chain ip hairpin postrouting '{ type nat hook postrouting priority srcnat; };' add rule ip hairpin postrouting iifname br0 oifname br0 ip daddr 10.0.0.2 tcp dport 8080 ct status dnat masquerade",
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
            !CommandInAdvice(
                "See it: nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==\(name){print $2}') -n conntrack -L"
            )
            .isPlain
        )
    }

    private static let long = [
        "Accept it before: ip netns exec shop nft insert rule inet guard input position 5 ip daddr 10.77.1.1 tcp dport 8080 accept",
        "See: nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==4026532567{print $2}') -n ss -ltnp 'sport = :8080' (now)",
        "Do: ip netns exec 'it'\\''s  a \\ name' nft add chain ip nat postrouting '{ type nat hook postrouting; };' add rule x",
    ]

    /// Asked of a real shell, which shall see the same words.
    @Test(arguments: long, [20, 40, 66, 100])
    func aShellTakesTheLinesAsTheyAre(advice: String, width: Int) throws {
        let parts = CommandInAdvice(advice)
        let lines = parts.lines(prose: width, room: width)
        let command = lines.filter { $0.hasPrefix("  ") }
        guard lines.count > 1 else {
            #expect(columns(advice) <= width && lines == [advice])
            return
        }
        #expect(lines.first.map { columns($0) <= width } == true)
        func words(_ command: String) throws -> String {
            let pipe = try #require(popen("lsns() { echo 4026532567 \"$*\"; }; printf '<%s>' \(command)", "r"))
            defer { pclose(pipe) }
            var bytes = [UInt8](repeating: 0, count: 4096)
            return String(decoding: bytes[..<fread(&bytes, 1, bytes.count, pipe)], as: UTF8.self)
        }
        #expect(try words(command.joined(separator: "\n")) == words(parts.command))
        // Only what cannot be broken is wider.
        for line in command where columns(line) > width {
            let bare = line.hasSuffix(" \\") ? String(line.dropLast(2)) : line
            #expect(bare.drop { $0 == " " }.split(separator: " ").count == 1 || bare.contains("'"))
        }
    }

    @Test func keepsProseAndRemarkApartFromTheCommand() {
        let advice =
            "Or check loosely: sysctl -w net.ipv4.conf.eth0.rp_filter=2 (the larger of all and the interface counts)"
        #expect(
            CommandInAdvice(advice).lines(prose: 60, room: 60) == [
                "Or check loosely:", "  sysctl -w net.ipv4.conf.eth0.rp_filter=2",
                "(the larger of all and the interface counts)",
            ])
        #expect(CommandInAdvice(advice).lines(prose: 120, room: 60) == [advice])
        #expect(
            CommandInAdvice("Let it listen elsewhere").lines(prose: 12, room: 40) == ["Let it", "listen", "elsewhere"])
    }
}
