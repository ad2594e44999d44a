import Glibc
import Handshake
import Testing

@testable import nattrace

private func trace(_ line: String) throws -> TraceRequest {
    let command = try Nattrace.parse(commandLine: line.split(separator: " ").map(String.init))
    return try #require(command as? Trace).request()
}

private func replay(_ line: String) throws -> ReplayRequest {
    let command = try Nattrace.parse(commandLine: line.split(separator: " ").map(String.init))
    return try #require(command as? Replay).request()
}

/// What a command line that asks for nothing sensible gets to read.
private func refusal(_ arguments: [String]) -> String? {
    let outcome = Nattrace.perform(arguments)
    guard outcome.status == .usage, outcome.text.isEmpty, let error = outcome.error else { return nil }
    return Nattrace.oneLine(error)
}

private func refusal(_ line: String) -> String? { refusal(line.split(separator: " ").map(String.init)) }

@Suite struct CommandLineTests {
    @Test func tracesByDefault() throws {
        #expect(try trace("") == TraceRequest())
        var expected = TraceRequest()
        expected.filter.destinationPorts = [80...80]
        expected.filterText = "--dport 80"
        #expect(try trace("--dport 80") == expected)
        #expect(try trace("trace --dport 80") == expected)
        #expect(try trace("--dport=80") == expected)
    }

    @Test func readsEveryFilter() throws {
        let line =
            "--dport 80 --dport 8000-8080 --sport 1024-65535 --port 443 --daddr 192.0.2.0/24 --saddr 198.51.100.7"
            + " --addr 203.0.113.0/24 --interface eth0 --interface lo -4 --failed --verdict no_listener"
            + " --verdict dropped"
        let request = try trace(line)
        var filter = ConnectionFilter()
        filter.destinationPorts = [80...80, 8000...8080]
        filter.sourcePorts = [1024...65535]
        filter.ports = [443...443]
        filter.destinations = [try #require(AddressPrefix("192.0.2.0/24"))]
        filter.sources = [try #require(AddressPrefix("198.51.100.7"))]
        filter.addresses = [try #require(AddressPrefix("203.0.113.0/24"))]
        filter.interfaces = ["eth0", "lo"]
        filter.family = .v4
        #expect(request.filter == filter)
        #expect(request.selection == VerdictSelection(failedOnly: true, codes: [.noListener, .dropped]))
        #expect(request.filterText == line)
        #expect(try trace("-i eth0 -6").filterText == "--interface eth0 -6")
        #expect(try trace("-6").filter.family == .v6)
    }

    @Test func readsEveryOutputOption() throws {
        let request = try trace(
            "--json --record /tmp/x --pcap /tmp/y --color never --follow --count 3 --duration 2m --unanswered-after 500ms"
                + " --backend tracepoint --blocks-per-second 7 --output-backlog 512k")
        #expect(
            request.output
                == OutputRequest(
                    json: true, recordPath: "/tmp/x", pcapPath: "/tmp/y", color: .never, follow: true,
                    blocksPerSecond: 7, count: 3,
                    duration: 120_000_000_000, unansweredAfter: 500_000_000))
        #expect(request.backend == .tracepoint)
        #expect(request.outputBacklog == 512 * 1024)
        #expect(try trace("--summary --failed").output == OutputRequest(summary: true))
        #expect(try replay("replay x --summary").output.summary)
        #expect(try trace("--blocks-per-second 0").output.blocksPerSecond == 0)
        #expect(request.filterText == "")
        #expect(try trace("--pcap -").output.pcapPath == "-")
        #expect(try replay("replay x --pcap y").output.pcapPath == "y")
        #expect(try trace("").output.unansweredAfter == nil)
    }

    @Test func readsReplaysOfSeveralRecordings() throws {
        func merge(_ words: [String]) throws -> MergeRequest {
            try #require(try Nattrace.parse(commandLine: words) as? Replay).mergeRequest()
        }
        var expected = MergeRequest(paths: ["a.ntr", "b.ntr", "c.ntr"])
        expected.filter.destinationPorts = [80...80]
        expected.selection.failedOnly = true
        expected.output.json = true
        #expect(try merge(["replay", "a.ntr", "--dport", "80", "b.ntr", "--failed", "--json", "c.ntr"]) == expected)
        #expect(throws: Failure.self) { try merge(["replay", "a.ntr", "/dev/null"]) }
        #expect(refusal("replay a port 80") == "'port 80' is written '--port 80' here. See 'nattrace --help'.")
        #expect(
            refusal("replay a b --follow")
                == "--follow is for one recording, not for several: each connection is shown when all machines have said"
                + " their last word. See 'nattrace --help'.")
        let many = "replay " + (0..<33).map { "r\($0)" }.joined(separator: " ")
        #expect(
            refusal(many) == "33 recordings are too many to merge, which can be 32 at most. See 'nattrace --help'.")
        let outcome = Nattrace.perform(["replay", "/nowhere/a", "/nowhere/b"])
        #expect(outcome.status == .noInput && outcome.error?.contains("/nowhere/a") == true)
    }

    @Test func readsReplays() throws {
        var expected = ReplayRequest(path: "night.ntr")
        expected.filter.ports = [80...80]
        expected.filter.netns = 4_026_531_840
        expected.filterText = "--port 80 --netns 4026531840"
        expected.output.json = true
        #expect(try replay("replay night.ntr --port 80 --json --netns 4026531840") == expected)
        #expect(try replay("replay --json --netns 4026531840 night.ntr --port 80") == expected)
        #expect(refusal("replay x --netns pid:1")?.contains("'--netns pid:1'") == true)
    }

    @Test func findsTheNamespaceOfARecording() throws {
        let folder = #filePath.split(separator: "/").dropLast(2).joined(separator: "/")
        let file = "/\(folder)/HandshakeTests/Recordings/article-ipv4-nft-6.18.ntrace"
        #expect(try replay("replay \(file) --netns nt-1047-8-server").filter.netns == 4_026_532_177)
        #expect(try replay("replay \(file) --netns nt-1047-8-server").filterText == "--netns nt-1047-8-server")
        // Numbers are not looked for.
        #expect(try replay("replay \(file) --netns 7").filter.netns == 7)
        for name in ["blue", "0", "07", "4294967296"] {
            let outcome = Nattrace.perform(["replay", file, "--netns", name])
            #expect(outcome.status == .noInput)
            let error = try #require(outcome.error)
            #expect(error.hasPrefix("'--netns \(name)': /"))
            #expect(error.hasSuffix("it names nt-1047-8-client, nt-1047-8-server"))
        }
        #expect(Nattrace.perform(["replay", "/nowhere", "--netns", "blue"]).status == .noInput)
        #expect(refusal("replay /dev/null --netns blue")?.contains("can be read only once") == true)
    }

    @Test func findsTheNamespace() throws {
        var status = stat()
        try #require(stat("/proc/self/ns/net", &status) == 0)
        let inode = UInt32(truncatingIfNeeded: status.st_ino)
        #expect(try trace("--netns pid:\(getpid())").filter.netns == inode)
        #expect(try trace("--netns \(inode)").filter.netns == inode)
        #expect(Nattrace.perform(["--netns", "no-such-name"]).status == .noInput)
        #expect(Nattrace.perform(["--netns", "pid:\(Int32.max)"]).status == .noInput)
        #expect(Nattrace.perform(["--netns", "a/b"]).status == .usage)
    }

    @Test func limitsFiltersToWhatTheKernelSideHolds() throws {
        for option in ["--dport 7", "--sport 7", "--port 7", "--daddr ::", "--saddr ::", "--addr ::", "--interface x"] {
            let sixteen = Array(repeating: option, count: 16).joined(separator: " ")
            _ = try trace(sixteen)
            let name = option.prefix { $0 != " " }
            #expect(refusal("\(sixteen) \(option)")?.hasPrefix("\(name) is given 17 times") == true, "\(option)")
        }
    }

    @Test(arguments: [
        ("--dprt 80", "unknown option '--dprt': did you mean '--dport'? See 'nattrace --help'."),
        ("-x", "unknown option '-x'. See 'nattrace --help'."),
        ("--dport", "missing value for '--dport <port>'. See 'nattrace --help'."),
        (
            "--dport 0",
            "the value '0' is invalid for '--dport <port>': write a port from 1 to 65535, or a range like 8000-8080."
                + " See 'nattrace --help'."
        ),
        ("--dport 80 extra", "unexpected argument 'extra'. See 'nattrace --help'."),
        ("rplay x", "unknown command 'rplay': did you mean 'replay'? See 'nattrace --help'."),
        ("help rplay", "unknown command 'rplay': did you mean 'replay'? See 'nattrace --help'."),
        ("reprt x", "unknown command 'reprt': did you mean 'report'? See 'nattrace --help'."),
        (
            "explain x",
            "unknown command 'explain': there are 'trace', 'replay', 'report' and 'doctor'. See 'nattrace --help'."
        ),
        ("report", "missing expected argument '<file>'. See 'nattrace --help'."),
        ("replay", "missing expected argument '<file>'. See 'nattrace --help'."),
        ("-4 -6", "-4 and -6 exclude each other: leave both out to see IPv4 and IPv6. See 'nattrace --help'."),
        (
            "--summary --json",
            "--summary and --json exclude each other: the line nattrace.stop has the totals. See 'nattrace --help'."
        ),
        (
            "replay x --summary --follow",
            "--summary and --follow exclude each other: leave one of them out. See 'nattrace --help'."
        ),
        (
            "--verdict no_listner",
            "the value 'no_listner' is invalid for '--verdict <code>': did you mean 'no_listener'?"
                + " See 'nattrace --help'."
        ),
    ])
    func saysInOneLineWhatIsWrong(line: String, message: String) {
        #expect(refusal(line) == message)
    }

    /// Options of later versions are unknown, not ignored.
    @Test(arguments: [
        "--pcap=", "--pcap - --json", "--pcap - --follow", "--pcap - --summary", "--pcap x --record x",
        "replay x --json --pcap -", "--metrics localhost:9000", "replay x --metrics 9464", "--summary=5",
        "doctor --dport 80", "--backend uprobe",
        "--color sometimes",
        "--count 0", "--duration 5x", "--unanswered-after 0", "--json=5", "--record=", "replay x --backend kprobe",
        "replay x --record y",
        "replay x --output-backlog 8M", "--blocks-per-second -1", "--blocks-per-second x", "--output-backlog 1",
        "replay a b --follow", "replay a b --pcap c", "replay a b --netns 7", "report a b", "report a -o",
        "report a --json", "report a --output=", "-i abcdefghijklmnopq",
        "--verdict x", "--addr localhost", "trace replay",
        "doctor gateway", "doctor --color blue",
    ])
    func refusesWhatThereIsNot(line: String) throws {
        let error = try #require(refusal(line))
        #expect(error.hasSuffix("See 'nattrace --help'."))
        #expect(!error.contains("\n"))
    }

    @Test func tellsFailuresOfTheRunFromThoseOfTheCommandLine() {
        struct Other: Error, CustomStringConvertible {
            var description: String { "the ring broke" }
        }
        #expect(Nattrace.run {} == Nattrace.Outcome(status: .done))
        #expect(Nattrace.run { throw Other() } == Nattrace.Outcome(status: .system, error: "the ring broke"))
        #expect(
            Nattrace.run { throw Failure(.notPermitted, "CAP_BPF is missing") }
                == Nattrace.Outcome(status: .notPermitted, error: "CAP_BPF is missing"))
    }

    @Test func readsAReport() throws {
        func report(_ line: String) throws -> ReportRequest {
            let command = try Nattrace.parse(commandLine: line.split(separator: " ").map(String.init))
            return try #require(command as? ReportCommand).request()
        }
        #expect(try report("report x.ntrace") == ReportRequest(path: "x.ntrace"))
        #expect(try report("report x.ntrace -o -") == ReportRequest(path: "x.ntrace"))
        var expected = ReportRequest(path: "x.ntrace", output: "y.html")
        expected.filter.destinationPorts = [80...80]
        expected.filter.netns = 7
        expected.filterText = "--dport 80 --netns 7 --failed"
        expected.selection.failedOnly = true
        #expect(try report("report -o y.html x.ntrace --dport 80 --failed --netns 7") == expected)
        #expect(try report("report x.ntrace --output=y.html --dport=80 --failed --netns=7") == expected)
    }

    @Test func keepsMessagesOnOneLine() throws {
        #expect(try #require(refusal(["--a\nb\u{1b}[31m"])).contains("--a b\\u{1b}[31m"))
    }

    @Test func helpsAndTellsItsVersion() {
        let lines = [
            ["--help"], ["-h"], ["help"], ["trace", "--help"], ["help", "trace"], ["--dport", "80", "--help"],
        ]
        for line in lines {
            let outcome = Nattrace.perform(line)
            #expect(outcome.status == .done && outcome.error == nil, "\(line)")
            for part in ["sudo nattrace --dport 80", "nattrace replay FILE", "--unanswered-after", "--verdict", "-4"] {
                #expect(outcome.text.contains(part), "\(line) \(part)")
            }
        }
        for line in [["replay", "--help"], ["help", "replay"]] {
            let outcome = Nattrace.perform(line)
            #expect(outcome.status == .done && outcome.error == nil, "\(line)")
            #expect(outcome.text.contains("USAGE: nattrace replay FILE...") && !outcome.text.contains("--backend"))
        }
        for line in [["report", "--help"], ["help", "report"]] {
            let outcome = Nattrace.perform(line)
            #expect(outcome.status == .done && outcome.error == nil, "\(line)")
            #expect(
                outcome.text.contains("USAGE: nattrace report FILE -o OUT.html") && outcome.text.contains("--dport"))
        }
        for line in [["doctor", "--help"], ["help", "doctor"]] {
            let outcome = Nattrace.perform(line)
            #expect(outcome.status == .done && outcome.error == nil, "\(line)")
            #expect(outcome.text.contains("USAGE: nattrace doctor [--json]") && !outcome.text.contains("--dport"))
        }
        for line in [["--version"], ["replay", "--version"]] {
            #expect(Nattrace.perform(line) == Nattrace.Outcome(status: .done, text: BuildFacts.text + "\n"), "\(line)")
        }
    }

    /// At 80 columns, as somebody reads it who has no time: examples on the first screen, options in one line.
    @Test(arguments: ["trace", "replay", "doctor"])
    func helpsAtAGlance(command: String) {
        let lines = Nattrace.perform([command, "--help"]).text.split(separator: "\n", omittingEmptySubsequences: false)
        #expect(lines.allSatisfy { $0.count <= 80 })
        #expect(lines.prefix(5).contains("EXAMPLES:"))
        let options = lines.drop { !$0.hasPrefix("FILTERS:") && !$0.hasPrefix("OPTIONS:") }
        let broken = options.filter { $0.hasPrefix("   ") }.count
        #expect(broken <= options.filter { $0.hasPrefix("  -") }.count / 3)
    }

    @Test func tellsBuildFacts() {
        var facts = BuildFacts()
        facts.commit = "0123456789ab-dirty"
        facts.swift = ""
        facts.architecture = "x86_64"
        facts.isStatic = true
        facts.isOptimised = true
        facts.libbpf = "1.1"
        facts.objectCompiler = "clang version 14.0.6"
        facts.objectSize = 4711
        facts.objectHash = "abc"
        #expect(
            facts.text == """
                nattrace \(nattraceVersion)
                commit  0123456789ab-dirty
                build   x86_64, release, static, Swift unknown, libbpf 1.1
                BPF     4711 bytes, compiler clang version 14.0.6
                sha256  abc (BPF)
                """)
        // What make and the compilers told of this very build.
        #expect(BuildFacts().objectSize > 10_000 && !BuildFacts().isOptimised)
        #expect(BuildFacts().objectHash.count == 64 && BuildFacts().libbpf.hasPrefix("1."))
    }
}
