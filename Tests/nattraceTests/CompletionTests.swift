import Handshake
import Testing

@testable import nattrace

/// What is offered for a line; the last word is the one that is written. nil: files.
private func offers(_ line: String) -> [String]? {
    let words = line.split(separator: " ", omittingEmptySubsequences: false).map(String.init)
    let completion = Completion(of: words, commands: CommandDefinition.all, standard: .standard) { command, option in
        ["asked:\(command.name):\(option.name)"]
    }
    guard case .words(let candidates) = completion else { return nil }
    return candidates.map(\.text)
}

@Suite struct CompletionTests {
    @Test func knowsTheDefinitions() throws {
        let names = CommandDefinition.all.map(\.name)
        #expect(names == Nattrace.configuration.subcommands.map { $0._commandName })
        #expect(CommandDefinition.standard.name == "trace")
        let trace = CommandDefinition.standard
        #expect(trace.positionals.isEmpty)
        let interface = try #require(trace.option(named: "-i"))
        #expect(interface.names == ["--interface", "-i"] && interface.takesValue && interface.isRepeating)
        #expect(interface.values == .asked && trace.option(named: "--netns")?.values == .asked)
        #expect(trace.option(named: "--failed")?.takesValue == false)
        #expect(trace.option(named: "--verdict")?.values == .listed(VerdictCode.allCases.map(\.rawValue)))
        #expect(trace.option(named: "--backend")?.values == .listed(["auto", "kprobe", "fentry", "tracepoint"]))
        #expect(trace.option(named: "--record")?.values == .files && trace.option(named: "--dport")?.values == .open)
        #expect(trace.option(named: "--help") != nil && trace.option(named: "--version") != nil)
        let replay = try #require(CommandDefinition.all.first { $0.name == "replay" })
        #expect(replay.positionals.map(\.values) == [.files])
    }

    @Test func offersCommands() {
        let commands = CommandDefinition.all.map(\.name)
        #expect(offers("") == commands + ["help"])
        #expect(offers("re") == commands + ["help"])
        #expect(offers("help ") == commands)
        #expect(offers("help replay ") == [])
    }

    @Test func offersOptionsOfTheCommand() throws {
        for line in ["-", "--dp", "trace --", "--dport 80 --", "--json -"] {
            let found = try #require(offers(line))
            #expect(found.contains("--dport") && found.contains("-4") && found.contains("--backend"), "\(line)")
            #expect(!found.contains("-i"))
        }
        #expect(try #require(offers("replay --")).contains("--dport"))
        #expect(try !#require(offers("replay --")).contains("--backend"))
        #expect(try !#require(offers("doctor --")).contains("--dport"))
        #expect(try #require(offers("-i")).contains("-i"))
    }

    @Test func offersOnceWhatCanBeGivenOnce() throws {
        let found = try #require(offers("--failed --dport 80 --color=always -"))
        #expect(!found.contains("--failed") && !found.contains("--color") && found.contains("--dport"))
        // What looks like an option is a value here.
        #expect(try #require(offers("--record --failed -")).contains("--failed"))
    }

    @Test func offersValues() {
        #expect(offers("--color ") == ["auto", "always", "never"])
        #expect(offers("--color=a") == ["--color=auto", "--color=always", "--color=never"])
        #expect(offers("doctor --json --color ") == ["auto", "always", "never"])
        #expect(offers("--verdict no_listener --verdict ") == VerdictCode.allCases.map(\.rawValue))
        #expect(offers("-i ") == ["asked:trace:--interface"])
        #expect(offers("replay x --netns=") == ["--netns=asked:replay:--netns"])
        #expect(offers("--dport ") == [] && offers("--failed=") == [] && offers("--nothing=") == [])
    }

    @Test func offersFiles() {
        for line in ["replay ", "replay --failed x", "replay --dport 80 ", "replay -- -", "--record ", "--record=x"] {
            #expect(offers(line) == nil, "\(line)")
        }
        #expect(offers("replay x ") == [] && offers("--dport 80 ") == [] && offers("trace ") == [])
    }

    @Test func tellsWhatCodesMean() {
        let text = Completion.words([Completion.Candidate(text: "a", meaning: "b"), Completion.Candidate(text: "c")])
            .text
        #expect(text == "words\na\tb\nc\n")
        #expect(Completion.files.text == "files\n")
        let answer = Nattrace.perform(["---complete", "--verdict", ""]).text
        #expect(answer.contains("\nno_listener\treset: nothing listens on the port\n"))
    }

    @Test func fitsCodesAndTheirMeaningsIntoALine() {
        for code in VerdictCode.allCases { #expect(code.summary.count <= 50, "\(code)") }
        #expect(Set(VerdictCode.allCases.map(\.summary)).count == VerdictCode.allCases.count)
    }

    @Test func asksThisMachine() {
        #expect(Nattrace.perform(["---complete", "-i", ""]).text.contains("\nlo\n"))
        #expect(Nattrace.perform(["---complete", "--interface=l"]).text.contains("\n--interface=lo\n"))
        #expect(Nattrace.perform(["---complete"]).text.hasPrefix("words\ntrace\t"))
    }

    /// Anybody who may make a namespace or an interface could have it run by who completes its name.
    @Test func leavesOutWhatShellsWouldTakeForMore() {
        let names = [
            "blue", "a;b", "$(x)", "a b", "`x`", "-n", "", "a\nb", "eth0.7", "veth@x", "é", "a'b", "a\\b", "*",
        ]
        #expect(Completion.harmless(names) == ["blue", "eth0.7", "veth@x"])
    }

    @Test func writesScripts() {
        for shell in ["bash", "zsh", "fish"] {
            let outcome = Nattrace.perform(["--generate-completion-script", shell])
            #expect(outcome.status == .done && outcome.text.contains("# \(shell) completion for nattrace"))
            #expect(Nattrace.perform(["--generate-completion-script=\(shell)"]) == outcome)
        }
        for words in [["tcsh"], ["bash", "zsh"], [""]] {
            #expect(Nattrace.perform(["--generate-completion-script"] + words).status == .usage)
        }
    }
}
