// What can come next on a command line. The scripts for the shells (CompletionScripts.swift) ask the program itself:
//
//     nattrace ---complete WORD... LAST
//
// The words are those before the cursor, without the program's name; the last one, which may be empty, is being
// written. The answer is a line that says of which kind it is, `words` or `files`, and, for words, a line for each:
// the whole word, a tab, and what it means. Which of them begin as the last word does is for the shell to tell.

import ArgumentParser
import Handshake

enum Completion: Equatable {
    /// A path. Behind a `=` of the last word, if that begins with the name of an option.
    case files
    case words([Candidate])

    struct Candidate: Equatable {
        var text: String
        var meaning = ""
    }

    static let request = "---complete"

    /// `ask` tells the values of an option that has a function for it, by command and option.
    init(
        of words: [String], commands: [CommandDefinition], standard: CommandDefinition,
        ask: (CommandDefinition, OptionDefinition) -> [String]
    ) {
        var before = words[...]
        let last = before.popLast() ?? ""
        var command = standard
        let names = commands.map { Candidate(text: $0.name, meaning: $0.abstract) }
        if let first = before.first {
            if first == "help" {
                self = .words(before.count == 1 ? names : [])
                return
            }
            if let named = commands.first(where: { $0.name == first }) {
                command = named
                before.removeFirst()
            }
        } else if !last.hasPrefix("-") {
            self = .words(names + [Candidate(text: "help", meaning: "Shows the help of a command.")])
            return
        }

        let place = Place(after: before, in: command)
        func values(of option: OptionDefinition, behind prefix: String = "") -> Completion {
            switch option.values {
            case .files: return .files
            case .open: return .words([])
            case .listed(let values): return .words(values.map { Candidate($0, behind: prefix) })
            case .asked: return .words(ask(command, option).map { Candidate($0, behind: prefix) })
            }
        }
        if let option = place.option {
            self = values(of: option)
        } else if place.takesOptions, last.hasPrefix("--"), let mark = last.firstIndex(of: "=") {
            let option = command.option(named: last[..<mark])
            self = option.map { $0.takesValue ? values(of: $0, behind: "\(last[...mark])") : .words([]) } ?? .words([])
        } else if place.takesOptions, last.hasPrefix("-") {
            let open = command.options.filter { $0.isRepeating || !place.used.contains($0.name) }
            // A short name is of use to who knows it already, unless it is the only one.
            let short = open.filter { $0.names.contains(last) && $0.name != last }
            self = .words(
                open.map { Candidate(text: $0.name, meaning: $0.abstract) }
                    + short.map { Candidate(text: last, meaning: $0.abstract) })
        } else if place.positionals < command.positionals.count {
            self = values(of: command.positionals[place.positionals])
        } else {
            self = .words([])
        }
    }

    /// As the shells' scripts read it.
    var text: String {
        switch self {
        case .files: "files\n"
        case .words(let candidates):
            "words\n" + candidates.map { $0.meaning.isEmpty ? "\($0.text)\n" : "\($0.text)\t\($0.meaning)\n" }.joined()
        }
    }
}

extension Completion.Candidate {
    fileprivate init(_ value: String, behind prefix: String) {
        self.init(text: prefix + value, meaning: VerdictCode(rawValue: value)?.summary ?? "")
    }
}

/// What the words before the one that is being written leave open.
private struct Place {
    /// The option whose value comes next.
    var option: OptionDefinition?
    /// Names of options that were given.
    var used: Set<String> = []
    /// How many arguments without a name were given.
    var positionals = 0
    /// Whether `--` has not ended the options.
    var takesOptions = true

    init(after words: ArraySlice<String>, in command: CommandDefinition) {
        for word in words {
            if option != nil {
                option = nil
            } else if !takesOptions || !word.hasPrefix("-") || word == "-" {
                positionals += 1
            } else if word == "--" {
                takesOptions = false
            } else if let given = command.option(named: word.prefix { $0 != "=" }) {
                used.insert(given.name)
                if given.takesValue, !word.contains("=") { option = given }
            }
        }
    }
}

extension Completion {
    /// For the program's own definitions, on this machine.
    static func answer(_ words: [String]) -> String {
        let commands = CommandDefinition.all
        let completion = Completion(of: words, commands: commands, standard: .standard) { command, option in
            // ArgumentParser's own way to a definition's function: an error whose message is the answer.
            let question = ["---completion", command.name, "--", option.name, "0", "0"]
            do {
                _ = try Nattrace.parseAsRoot(question + words.suffix(1))
                return []
            } catch {
                guard Nattrace.exitCode(for: error).isSuccess else { return [] }
                return Nattrace.fullMessage(for: error).split(separator: "\n").map(String.init)
            }
        }
        return completion.text
    }

    /// Those of a machine's names that mean nothing to a shell: others can be made by anybody, to be run by who
    /// completes them.
    static func harmless(_ names: [String]) -> [String] {
        names.filter { name in
            !name.isEmpty && !name.hasPrefix("-")
                && name.utf8.allSatisfy { byte in
                    switch byte {
                    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                        UInt8(ascii: "0")...UInt8(ascii: "9"):
                        true
                    default: "_.@:+-".utf8.contains(byte)
                    }
                }
        }
    }
}
