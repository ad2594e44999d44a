import Testing

@testable import nattrace

/// What a command line gets to read, without the hint to the help.
private func refusal(_ line: String) -> String? {
    let outcome = Nattrace.perform(line.split(separator: " ").map(String.init))
    guard outcome.status == .usage, outcome.text.isEmpty, let error = outcome.error else { return nil }
    for hint in [". See 'nattrace --help'.", " See 'nattrace --help'."] where error.hasSuffix(hint) {
        return String(error.dropLast(hint.count))
    }
    return error
}

private let optionsOnly = "filters are options here, such as '--port 80' or '--addr 192.0.2.0/24'"

@Suite struct MistakeTests {
    @Test(arguments: [
        ("-dport 80", "unknown option '-dport': did you mean '--dport'?"),
        ("--Dport 80", "unknown option '--Dport': did you mean '--dport'?"),
        ("--dprt=80", "unknown option '--dprt': did you mean '--dport'?"),
        ("--destination-port 80", "unknown option '--destination-port': did you mean '--dport'?"),
        ("--dst_port 80", "unknown option '--dst_port': did you mean '--dport'?"),
        ("--failing", "unknown option '--failing': did you mean '--failed'?"),
        ("--namespace blue", "unknown option '--namespace': did you mean '--netns'?"),
        ("--unanswered 3s", "unknown option '--unanswered': did you mean '--unanswered-after'?"),
        ("--colour never", "unknown option '--colour': did you mean '--color'?"),
        ("-p 80", "unknown option '-p': did you mean '--port'?"),
        ("-w x.ntr", "unknown option '-w': did you mean '--record'?"),
        ("-c 5", "unknown option '-c': did you mean '--count'?"),
        ("-V", "unknown option '-V': did you mean '--version'?"),
        ("-nn -i eth0", "unknown option '-nn': addresses and ports are never turned into names"),
        ("-r x.ntr", "unknown option '-r': write 'nattrace replay FILE'"),
        ("replay x --backend kprobe", "'--backend' is an option of 'nattrace trace', not of 'nattrace replay'"),
        ("doctor --dport 80", "'--dport' is an option of 'nattrace trace', not of 'nattrace doctor'"),
        ("replay x --failing", "unknown option '--failing': did you mean '--failed'?"),
        ("--failed --qqqqqq", "unknown option '--qqqqqq'"),
    ])
    func findsTheOptionThatWasMeant(line: String, message: String) {
        #expect(refusal(line) == message)
    }

    @Test func leavesValuesAlone() {
        // What stands behind an option is its value, however it looks.
        #expect(refusal("--dport -dport")?.contains("dport") == true)
        #expect(refusal("--dport=") == "missing value for '--dport <port>'")
        #expect(refusal("--dport 70000")?.hasSuffix("write a port from 1 to 65535, or a range like 8000-8080") == true)
        #expect(refusal("--max-connections 5")?.hasSuffix("write a number from 1024 to 4194304") == true)
    }

    /// Each leads to an option that there is, and is none itself.
    @Test func hasNoHabitThatLeadsNowhere() {
        for (name, option) in Mistake.habits {
            #expect(CommandDefinition.standard.option(named: option) != nil, "\(name)")
            for dashes in ["-", "--"] where !name.hasPrefix("-") {
                #expect(CommandDefinition.standard.option(named: dashes + name)?.name != option, "\(name)")
            }
        }
    }

    @Test(arguments: [
        ("port 80", "'port 80' is written '--port 80' here"),
        ("tcp port 80", "'tcp port 80' is written '--port 80' here"),
        (
            "tcp dst port 443 and src host 10.0.0.1",
            "'tcp dst port 443 and src host 10.0.0.1' is written '--dport 443 --saddr 10.0.0.1' here"
        ),
        ("host 10.0.0.1", "'host 10.0.0.1' is written '--addr 10.0.0.1' here"),
        ("net 10.0.0.0/8", "'net 10.0.0.0/8' is written '--addr 10.0.0.0/8' here"),
        ("portrange 80-90", "'portrange 80-90' is written '--port 80-90' here"),
        ("ip6 dst 2001:db8::1", "'ip6 dst 2001:db8::1' is written '-6 --daddr 2001:db8::1' here"),
        ("10.0.0.1", "'10.0.0.1' is written '--addr 10.0.0.1' here"),
        ("10.0.0.1:80", "'10.0.0.1:80' is written '--addr 10.0.0.1 --port 80' here"),
        ("[2001:db8::1]:80", "'[2001:db8::1]:80' is written '--addr 2001:db8::1 --port 80' here"),
        ("80", "'80' is written '--port 80' here"),
        ("-i eth0 port 80", "'port 80' is written '--port 80' here"),
        ("replay x port 80 --failed", "'port 80' is written '--port 80' here"),
        ("host example.org", "'host example.org': \(optionsOnly)"),
        ("port 80 or port 81", "'port 80 or port 81': \(optionsOnly)"),
        ("udp port 53", "'udp port 53': \(optionsOnly)"),
        ("src", "'src': \(optionsOnly)"),
        ("doctor port 80", "unexpected argument 'port'"),
        ("night.ntrace", "to explain a recording, write 'nattrace replay night.ntrace'"),
        ("relpay x", "unknown command 'relpay': did you mean 'replay'?"),
    ])
    func understandsTcpdumpsExpressions(line: String, message: String) {
        #expect(refusal(line) == message)
    }

    @Test(arguments: [
        ("no-listener", "did you mean 'no_listener'?"), ("NO_LISTENER", "did you mean 'no_listener'?"),
        ("conntrackfull", "did you mean 'conntrack_full'?"), ("hairpin", "did you mean 'hairpin_without_snat'?"),
        (
            "listener",
            "write one of no_listener, listener_other_address, listener_loopback_only, listener_other_device,"
                + " listener_other_netns"
        ),
    ])
    func findsTheCodeThatWasMeant(text: String, message: String) {
        #expect(throws: ValueError(message)) { try Values.verdict(text) }
    }

    @Test func saysWhichNamespacesThereAre() {
        #expect(
            Trace.hint(for: "blu", among: ["blue", "red"])
                == "there is no network namespace 'blu': did you mean 'blue'?")
        #expect(
            Trace.hint(for: "x", among: ["blue", "red"]) == "there is no network namespace 'x'; there are blue, red")
        let many = (1...9).map { "ns-\($0)" }
        #expect(Trace.hint(for: "x", among: many)?.hasSuffix("ns-8 and 1 more") == true)
        #expect(Trace.hint(for: "x", among: []) == nil)
        #expect(Trace.hint(for: "pid:1", among: many) == nil && Trace.hint(for: "4026531840", among: many) == nil)
    }
}
