import Glibc
import Handshake
import Testing

@testable import nattrace

private func configuration(_ text: String) throws(Failure) -> ConfigurationFile {
    try ConfigurationFile(path: "n.conf", bytes: Array(text.utf8))
}

private func words(_ text: String, _ commandLine: String = "") throws -> String {
    try configuration(text).arguments(besides: commandLine.split(separator: " ").map(String.init))
        .joined(separator: " ")
}

/// What is said of a configuration that is refused.
private func refusal(_ text: String) -> String? {
    do throws(Failure) {
        _ = try configuration(text)
        return nil
    } catch {
        return error.status == .usage ? error.message : nil
    }
}

/// A file with this text, for as long as `body` runs.
private func withFile<T>(_ text: String, _ body: (String) throws -> T) throws -> T {
    var path = Array("/tmp/nattrace-test-XXXXXX".utf8CString)
    let descriptor = mkstemp(&path)
    try #require(descriptor >= 0)
    let name = String(decoding: path.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { unlink(name) }
    let bytes = Array(text.utf8)
    try #require(write(descriptor, bytes, bytes.count) == bytes.count)
    close(descriptor)
    return try body(name)
}

@Suite struct ConfigurationFileTests {
    @Test func readsOptionsByTheirLongNames() throws {
        let text = """
            # What to look at.
            dport = 80
              dport=8000-8080\t# the others
            \tdaddr =  2001:db8::/32\r

            failed
            4
            i = eth0
            unanswered-after = 2s
            record = /var/lib/nattrace/a#b c=d.ntrace
            """
        #expect(
            try words(text)
                == "--dport=80 --dport=8000-8080 --daddr=2001:db8::/32 --failed -4 -i eth0 --unanswered-after=2s"
                + " --record=/var/lib/nattrace/a#b c=d.ntrace")
        #expect(try configuration(text).settings.map(\.line) == [2, 3, 4, 6, 7, 8, 9, 10])
        #expect(try words("\u{FEFF}json\n") == "--json")
        #expect(try words("") == "")
        #expect(try words("# nothing\n \n#=\n") == "")
    }

    @Test func leavesToTheCommandLineWhatThatSays() throws {
        let text = "dport = 80\ndport = 81\ninterface = lo\n4\njson\ncount = 7\n"
        #expect(try words(text, "--sport 9") == "--dport=80 --dport=81 --interface=lo -4 --json --count=7 --sport 9")
        // All of one kind of filter.
        #expect(try words(text, "--dport=443") == "--interface=lo -4 --json --count=7 --dport=443")
        #expect(try words(text, "-i eth0 -6") == "--dport=80 --dport=81 --json --count=7 -i eth0 -6")
        #expect(try words(text, "-6i eth0") == "--dport=80 --dport=81 --json --count=7 -6i eth0")
        #expect(try words("i = lo\n", "--interface eth0") == "--interface eth0")
    }

    @Test func isAskedForByAnOption() throws {
        try withFile("dport = 80\njson\ncount = 7\n") { path in
            func request(_ words: String...) throws -> TraceRequest {
                try #require(try Nattrace.parse(commandLine: words) as? Trace).request()
            }
            var expected = try request("--dport", "80", "--json", "--count", "7")
            #expect(try request("--config", path) == expected)
            #expect(try request("trace", "--config=\(path)") == expected)
            expected.output.count = 2
            #expect(try request("--config", path, "--count", "2") == expected)
            #expect(try request("--count", "2", "--config", path) == expected)
            #expect(try request("--config", path, "--dport", "443").filterText == "--dport 443")
            // Of a replay and of doctor there is none.
            #expect(Nattrace.perform(["replay", "x", "--config", path]).status == .usage)
            #expect(Nattrace.perform(["doctor", "--config", path]).status == .usage)
            // Nothing that the command line has wrong is hidden by it.
            #expect(Nattrace.perform(["--config", path, "--dprt", "1"]).error?.contains("'--dprt'") == true)
        }
        for path in ["/nowhere/n.conf", "/tmp"] {
            let outcome = Nattrace.perform(["--config", path])
            #expect(outcome.status == .noInput)
            #expect(outcome.error?.hasPrefix("the configuration '\(path)' cannot be read: ") == true)
        }
        // It never ends.
        #expect(
            Nattrace.perform(["--config", "/dev/zero"]).error?.hasPrefix("/dev/zero is no configuration:") == true)
    }

    @Test func saysTheFileAndTheLine() throws {
        try withFile("json\n\ndprt = 80\n") { path in
            #expect(
                Nattrace.perform(["--config", path])
                    == Nattrace.Outcome(
                        status: .usage,
                        error: "\(path):3: unknown option 'dprt': did you mean 'dport'? See 'nattrace --help'."))
        }
    }

    @Test(arguments: [
        (
            "dport = 0",
            "the value '0' is invalid for 'dport <port>': write a port from 1 to 65535, or a range like 8000-8080"
        ),
        ("dport", "missing value for 'dport <port>'"),
        ("verdict = no_listner", "the value 'no_listner' is invalid for 'verdict <code>': did you mean 'no_listener'?"),
        ("ipv4", "unknown option 'ipv4': did you mean '4'?"),
        ("dport =", "there is no value behind 'dport ='"),
        ("= 80", "there is no name before '='"),
        ("--dport = 80", "write 'dport', without the dashes of the command line"),
        ("dport 80", "write 'dport = 80', with '='"),
        ("[Service]", "'[Service]' is no name of an option: write 'name = value', or a name alone for a flag"),
        ("--", "'--' is no name of an option: write 'name = value', or a name alone for a flag"),
        ("config = other.conf", "'config' is for the command line: a configuration cannot name another one"),
        ("help", "'help' is for the command line only"),
        ("version", "'version' is for the command line only"),
        ("h", "'h' is for the command line only"),
        ("generate-completion-script = bash", "'generate-completion-script' is for the command line only"),
        ("record = a\u{1b}[31m", "the line holds a control character"),
        ("record = a\0b", "the line holds a control character"),
    ])
    func saysInOneLineWhatIsWrong(line: String, message: String) {
        #expect(refusal("json\n\(line)\n") == "n.conf:2: \(message)")
    }

    @Test func refusesAValueOfAFlag() throws {
        let message = try #require(refusal("json = yes\n"))
        #expect(message.hasPrefix("n.conf:1: ") && message.contains("'json"))
    }

    @Test func refusesWhatIsNoText() {
        let failure = #expect(throws: Failure.self) {
            try ConfigurationFile(path: "n.conf", bytes: Array("json\nrecord = ".utf8) + [0xC3, 0x28])
        }
        #expect(failure == .usage("n.conf:2: the line is not UTF-8"))
    }

    /// Where each line is right and all together are not, the line is told that is too much.
    @Test func findsTheLineThatIsTooMuch() throws {
        #expect(refusal("4\njson\n6\nfailed\n")?.hasPrefix("n.conf:3: -4 and -6 exclude each other") == true)
        let seventeen = String(repeating: "\ndport = 7", count: 17)
        #expect(refusal(seventeen + "\njson")?.hasPrefix("n.conf:18: --dport is given 17 times") == true)
        #expect(try configuration(String(repeating: "dport = 7\n", count: 16)).settings.count == 16)
    }

    @Test func hasBounds() {
        #expect(refusal(String(repeating: "json\n", count: 513)) == "n.conf:513: more than 512 settings")
        #expect(
            refusal("json\nrecord = \(String(repeating: "x", count: 5000))")
                == "n.conf:2: the line has more than 4096 bytes")
        #expect(
            refusal(String(repeating: "#\n", count: 40_000))
                == "n.conf is no configuration: it has more than 65536 bytes")
    }

    /// Pieces of right and wrong lines, and any bytes, in any order: refused in one line or taken, and nothing else.
    @Test func takesOrRefusesWhateverComes() throws {
        var random = SplitMix(state: 7)
        let pieces = [
            "dport", "json", "daddr", "record", "config", "help", "4", "i", "=", " = ", "\n", "\r\n", "#", " ", "\t",
            "--",
            "-", "80", "8000-8080", "no_listener", "192.0.2.0/24", "é", "\u{301}", "\u{202E}", "\"", "'", "\\", "\0",
            "%s",
            "99999999999999999999", "dport = 80\n", "verdict = dropped\n", "failed\n",
        ].map { Array($0.utf8) }
        for _ in 0..<400 {
            var bytes: [UInt8] = []
            for _ in 0..<Int.random(in: 0...12, using: &random) {
                if Int.random(in: 0..<8, using: &random) == 0 {
                    bytes.append(UInt8.random(in: 0...255, using: &random))
                } else {
                    bytes += pieces.randomElement(using: &random)!
                }
            }
            do throws(Failure) {
                let file = try ConfigurationFile(path: "n.conf", bytes: bytes)
                // What was taken is a command line.
                #expect(throws: Never.self, "\(bytes)") {
                    try Nattrace.parseAsRoot(["trace"] + file.settings.flatMap(\.words))
                }
            } catch {
                #expect(error.status == .usage)
                #expect(error.message.hasPrefix("n.conf:"), "\(bytes): \(error.message)")
            }
        }
    }
}

/// Random numbers that are the same each time.
private struct SplitMix: RandomNumberGenerator {
    var state: UInt64

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var z = state
        z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
        z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
        return z ^ (z >> 31)
    }
}
