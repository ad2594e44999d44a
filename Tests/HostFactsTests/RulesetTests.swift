import CNattrace
import Glibc
import Rulesets
import SystemSupport
import Testing

@testable import HostFacts

@Suite struct RulesetGenerationTests {
    /// Generation 1 of a new namespace, asked by a process called python3 (Linux 6.18).
    private let pristine = bytes(
        """
        300000000f0a000007000000ff2a00000000000108000100000000010800020000002aff0c000300707974686f6e3300
        """)

    private func decode(_ datagram: [UInt8]) throws -> UInt32 {
        guard case .message(0x0a0f, let body)? = try NetlinkAnswer(in: datagram, sequence: 7, subject: "test") else {
            throw FactFailure("no generation")
        }
        return try RulesetGeneration.decode(body)
    }

    @Test func readsIt() throws {
        #expect(try decode(pristine) == RulesetGeneration.pristine)
        var later = pristine
        later.replaceSubrange(24..<28, with: [1, 2, 3, 4])
        #expect(try decode(later) == 0x0102_0304)
        for length in pristine.indices { _ = try? decode(Array(pristine.prefix(length))) }
        #expect(throws: FactFailure.self) { try RulesetGeneration.decode(pristine[16..<20]) }
        #expect(throws: FactFailure.self) { try RulesetGeneration.decode(pristine[16..<18]) }
    }

    @Test func requestIsWhatTheKernelReads() {
        #expect(
            RulesetGeneration.request(sequence: 7).bytes
                == [20, 0, 0, 0] + [16, 10] + [1, 0] + [7, 0, 0, 0] + [0, 0, 0, 0] + [0, 0, 0, 0])
    }

    @Test func seesWhatIsInTheKernel() throws {
        try withTemporaryFolder { folder in
            func isThere(isBuiltIn: Bool? = nil) throws -> Bool {
                try NFTablesModule(isBuiltIn: isBuiltIn, modulesPath: folder.path + "/modules").isThere()
            }
            // A kernel without modules.
            #expect(try isThere())
            try folder.write("modules", "nf_tables 1 2 - Live 0x0\n")
            #expect(try isThere())
            try folder.write("modules", "x 1 2 - Live 0x0\nnf_tables 1 2 - Live 0x0\n")
            #expect(try isThere())
            try folder.write("modules", "nf_tables_x 1 2 nf_tables Live 0x0\n")
            #expect(throws: FactFailure.self) { try isThere() }
            #expect(try !isThere(isBuiltIn: false))
            #expect(try isThere(isBuiltIn: true))
        }
    }

    @Test func findsWhatNftCannotSpell() {
        #expect(RulesetReader.hasForeignExpressions(Array(#"[{"match": 1}, {"xt": null}]"#.utf8)))
        #expect(!RulesetReader.hasForeignExpressions(Array(#"[{"match": "xt"}]"#.utf8)))
        #expect(!RulesetReader.hasForeignExpressions([]))
    }
}

extension NFTablesModule {
    /// Of the kernel that the tests run on. A module's symbol would go on with the module's name.
    static let here: NFTablesModule = {
        let symbols = (try? Files.bytes("/proc/kallsyms", limit: 1 << 26)) ?? []
        return NFTablesModule(isBuiltIn: String(decoding: symbols, as: UTF8.self).contains(" nft_do_chain\n"))
    }()
}

extension LiveSuites {
    @Suite struct ToolTests {
        private func run(
            _ script: String, limit: Int = 1 << 20, milliseconds: UInt64 = 5000
        ) throws -> Result<String, FactFailure> {
            var result: Result<String, FactFailure>?
            try withTemporaryFolder { folder in
                try folder.write("probe", "#!/bin/sh\n\(script)\n")
                chmod(folder.path + "/probe", 0o700)
                let tool = Tool(folders: ["/nowhere", folder.path])
                do throws(FactFailure) {
                    let running = try tool.start("probe", ["a", "b"])
                    let output = try tool.finish(
                        running, limit: limit, deadline: monotonicTime() + milliseconds * 1_000_000)
                    result = .success(String(decoding: output, as: UTF8.self))
                } catch {
                    result = .failure(error)
                }
            }
            // Nothing is left behind.
            #expect(waitpid(-1, nil, WNOHANG) == -1 && errno == ECHILD)
            return try #require(result)
        }

        @Test func takesWhatItPrints() throws {
            #expect(try run("echo $1 $2; echo ignored >&2") == .success("a b\n"))
            #expect(try run("head -c 300000 /dev/zero | tr '\\0' x").get().utf8.count == 300000)
            #expect(try run("cat") == .success(""))
            #expect(
                try run("env | grep -v ^_= | grep -v ^PWD= | sort")
                    == .success(
                        "LC_ALL=C\nPATH=/usr/sbin:/sbin:/usr/bin:/bin\n"))
        }

        @Test func bequeathsNothing() throws {
            // One that does not close by itself. The shell keeps its own script open as 10.
            let kept = open("/dev/null", O_RDONLY)
            defer { close(kept) }
            let before = signal(SIGPIPE, SIG_IGN)
            defer { signal(SIGPIPE, before) }
            let descriptors = try run(
                "cd /proc/$$/fd; for i in 3 4 5 6 7 8 9 \(kept); do [ ! -e $i ] || readlink $i; done")
            #expect(descriptors == .success(""))
            let blocked = try run("exec grep SigBlk /proc/self/status")
            #expect(blocked == .success("SigBlk:\t0000000000000000\n"))
            // glibc has every child ignore its own two, 32 and 33.
            let ignored = try run("exec grep SigIgn /proc/self/status").get().suffix(9).dropLast()
            #expect(UInt32(ignored, radix: 16).map { $0 & 0x7fff_ffff } == 0)
        }

        @Test func saysWhatWentWrong() throws {
            #expect(
                try run("echo no such table >&2; echo more >&2; exit 1")
                    == .failure(FactFailure("probe a b: no such table")))
            #expect(try run("exit 3") == .failure(FactFailure("probe a b: exit status 3")))
            #expect(try run("kill -9 $$") == .failure(FactFailure("probe a b: ended by signal 9")))
            #expect(try run("yes", limit: 2 << 20) == .failure(FactFailure("probe a b: prints more than 2 MB")))
            #expect(throws: FactFailure("none is not installed")) { _ = try Tool().start("none", []) }
        }

        @Test func doesNotWaitForEver() throws {
            let late = Result<String, FactFailure>.failure(FactFailure("probe a b: takes too long"))
            let start = monotonicTime()
            #expect(try run("sleep 60", milliseconds: 50) == late)
            // One that closed its outputs, and one whose child did not.
            #expect(
                try run("exec >&- 2>&-; sleep 60", milliseconds: 1000)
                    == .failure(FactFailure("probe a b: ended by signal 9")))
            #expect(try run("sleep 60 & exit 0", milliseconds: 50) == late)
            #expect(monotonicTime() - start < 5_000_000_000)
        }
    }

    @Suite(.enabled(if: PrivateNamespace.isPossible, "namespaces cannot be made here"))
    struct RulesetReaderTests {
        private static let hasNft = access("/usr/sbin/nft", X_OK) == 0
        private static let hasLegacy = access("/usr/sbin/iptables-legacy-save", X_OK) == 0

        /// Tools that note each call before they do their work.
        private func withNotedTools(_ body: (Tool, () throws -> [String]) throws -> Void) throws {
            try withTemporaryFolder { folder in
                try folder.write("calls", "")
                for name in [
                    "nft", "iptables-legacy-save", "ip6tables-legacy-save", "iptables-nft-save", "ip6tables-nft-save",
                ] {
                    try folder.write(
                        name, "#!/bin/sh\necho \(name) \"$@\" >>\(folder.path)/calls\nexec /usr/sbin/\(name) \"$@\"\n")
                    chmod("\(folder.path)/\(name)", 0o700)
                }
                try body(Tool(folders: [folder.path])) {
                    let text = try Files.bytes(folder.path + "/calls", limit: 1 << 16)
                    try folder.write("calls", "")
                    return String(decoding: text, as: UTF8.self).split(separator: "\n").map(String.init)
                }
            }
        }

        private func text(_ bytes: [UInt8]?) -> String { bytes.map { String(decoding: $0, as: UTF8.self) } ?? "" }

        @Test func runsNothingWhereThereIsNothing() throws {
            let namespace = try PrivateNamespace()
            let reader = RulesetReader(namespaces: NetworkNamespaces(), tool: Tool(folders: []), module: .here)
            #expect(reader.rulesets(in: namespace.inode) == RulesetTexts(isComplete: true))
            let lost = reader.rulesets(in: 1)
            #expect(!lost.isComplete && lost.problem?.contains("network namespace 1") == true)
        }

        @Test(.enabled(if: hasNft)) func keepsARulesetUntilItChanges() throws {
            let namespace = try PrivateNamespace("nft add table ip blue")
            try withNotedTools { tool, calls in
                // Time stands still: kernels without cookies of namespaces prove nothing for long.
                let reader = RulesetReader(namespaces: NetworkNamespaces(), tool: tool, module: .here, clock: { 1 })
                let first = reader.rulesets(in: namespace.inode)
                #expect(first.isComplete && first.problem == nil)
                #expect(text(first.nftText).contains("table ip blue {"))
                #expect(text(first.nftJSON).contains("\"name\": \"blue\""))
                #expect(first.iptablesSave == nil && first.ip6tablesSave == nil)
                #expect(first.iptablesNftSave == nil && first.ip6tablesNftSave == nil)
                #expect(try calls() == ["nft -j -a list ruleset", "nft -a list ruleset"])
                #expect(reader.rulesets(in: namespace.inode) == first)
                #expect(try calls() == [])
                try namespace.run("nft add chain ip blue red")
                #expect(text(reader.rulesets(in: namespace.inode).nftText).contains("chain red { # handle 1"))
                #expect(try calls().count == 2)
                // Another namespace with a ruleset of as many changes.
                let other = try PrivateNamespace("nft add table ip6 green; nft add chain ip6 green x")
                #expect(text(reader.rulesets(in: other.inode).nftText).contains("table ip6 green"))
                #expect(text(reader.rulesets(in: namespace.inode).nftText).contains("table ip blue"))
                #expect(try calls().count == 2)
            }
        }

        private static let hasCookies =
            (try? NetlinkSocket(family: NETLINK_ROUTE, name: "NETLINK_ROUTE"))?.namespaceCookie != nil

        @Test(.enabled(if: hasNft && hasCookies)) func tellsANamespaceFromALaterOneOfItsNumber() throws {
            let reader = RulesetReader(namespaces: NetworkNamespaces(), module: .here)
            var seen: [UInt32: String] = [:]
            // Numbers are given out anew at once.
            for round in 0..<20 {
                let namespace = try PrivateNamespace("nft add table ip t\(round)")
                let found = text(reader.rulesets(in: namespace.inode).nftText)
                #expect(found.hasPrefix("table ip t\(round) {"))
                seen[namespace.inode] = found
            }
        }

        @Test(.enabled(if: hasNft && hasLegacy)) func readsXTablesOnlyWhereTheyAre() throws {
            let namespace = try PrivateNamespace(
                "iptables-legacy -t nat -A PREROUTING -p tcp --dport 80 -j DNAT --to-destination 10.0.0.3:8080")
            try withNotedTools { tool, calls in
                nonisolated(unsafe) var time: UInt64 = 1
                let reader = RulesetReader(namespaces: NetworkNamespaces(), tool: tool, module: .here, clock: { time })
                let first = reader.rulesets(in: namespace.inode)
                #expect(first.isComplete && first.problem == nil)
                #expect(text(first.iptablesSave).contains("-j DNAT --to-destination 10.0.0.3:8080"))
                #expect(first.ip6tablesSave == nil && first.nftJSON == nil && first.nftText == nil)
                #expect(try calls() == ["iptables-legacy-save"])
                time += RulesetReader.unprovedAge - 1
                #expect(reader.rulesets(in: namespace.inode) == first)
                #expect(try calls() == [])
                time += 1
                try namespace.run("ip6tables-legacy -A INPUT -j DROP")
                #expect(text(reader.rulesets(in: namespace.inode).ip6tablesSave).contains("-A INPUT -j DROP"))
                #expect(try calls() == ["iptables-legacy-save", "ip6tables-legacy-save"])
            }
        }

        @Test(.enabled(if: hasNft && access("/usr/sbin/iptables-nft", X_OK) == 0))
        func asksIPTablesForWhatNftCannotSpell() throws {
            let namespace = try PrivateNamespace(
                "iptables-nft -A INPUT -p tcp -m statistic --mode nth --every 2 --packet 0 -j DROP")
            try withNotedTools { tool, calls in
                let reader = RulesetReader(namespaces: NetworkNamespaces(), tool: tool, module: .here)
                let texts = reader.rulesets(in: namespace.inode)
                #expect(texts.isComplete && texts.problem == nil)
                #expect(text(texts.iptablesNftSave).contains("-m statistic --mode nth --every 2 --packet 0 -j DROP"))
                #expect(texts.ip6tablesNftSave != nil)
                let names = try calls()
                #expect(
                    names == [
                        "nft -j -a list ruleset", "nft -a list ruleset", "iptables-nft-save", "ip6tables-nft-save",
                    ])
            }
        }

        @Test(.enabled(if: hasNft)) func saysWhatItCouldNotRead() throws {
            let namespace = try PrivateNamespace("nft add table ip blue")
            nonisolated(unsafe) var time: UInt64 = 1
            try withTemporaryFolder { folder in
                let reader = RulesetReader(
                    namespaces: NetworkNamespaces(), tool: Tool(folders: [folder.path]), module: .here,
                    clock: { time })
                let missing = RulesetTexts(isComplete: false, problem: "nft is not installed")
                #expect(reader.rulesets(in: namespace.inode) == missing)
                // Not tried again for a while.
                try folder.write("nft", "#!/bin/sh\necho ruleset\n")
                chmod(folder.path + "/nft", 0o700)
                #expect(reader.rulesets(in: namespace.inode) == missing)
                time += RulesetReader.failureAge
                let found = reader.rulesets(in: namespace.inode)
                #expect(found.isComplete && text(found.nftText) == "ruleset\n")
                // One that changes while it is read.
                try folder.write(
                    "nft", "#!/bin/sh\n/usr/sbin/nft add table ip x$$; /usr/sbin/nft delete table ip x$$\necho old\n")
                try namespace.run("nft add table ip red")
                let moving = reader.rulesets(in: namespace.inode)
                #expect(!moving.isComplete && moving.problem == "the ruleset changed each time it was read")
            }
        }
    }
}
