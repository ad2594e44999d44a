// What commands and options there are, for what has to know all of them: completion, and the search for what was
// meant. Taken from the definitions that the command line is parsed by, so that none can be missing.

import ArgumentParser
import Rulesets

/// A command, such as `replay`.
struct CommandDefinition {
    var name: String
    var abstract: String
    var options: [OptionDefinition]
    /// Arguments without a name, in order.
    var positionals: [OptionDefinition]

    /// The option of a name with its dashes, as `--dport` or `-i`.
    func option(named name: some StringProtocol) -> OptionDefinition? {
        options.first { $0.names.contains { $0 == name } }
    }
}

/// An option, a flag, or an argument without a name.
struct OptionDefinition: Equatable {
    enum Values: Equatable {
        /// Nobody can know them.
        case open
        case listed([String])
        case files
        /// The definition has a function that tells them.
        case asked
    }

    /// With their dashes; the long one first.
    var names: [String]
    var abstract: String
    var takesValue: Bool
    var isRepeating: Bool
    var values: Values

    /// The name to show; empty: it has none.
    var name: String { names.first ?? "" }
}

extension CommandDefinition {
    /// All commands of the program, in the order of its help.
    static let all: [CommandDefinition] = read(Nattrace._dumpHelp())

    /// The one that is meant where none is named.
    static let standard: CommandDefinition = all.first { $0.name == Nattrace.standardCommand }!

    /// Reads what ArgumentParser's `--experimental-dump-help` prints.
    static func read(_ dump: String) -> [CommandDefinition] {
        let root = JSONValue(Array(dump.utf8))?["command"]
        return (root?["subcommands"]?.array ?? []).compactMap(CommandDefinition.init)
            // Put in by ArgumentParser. What it is good for stands in front of each command's own help.
            .filter { $0.name != "help" }
    }

    private init?(_ value: JSONValue) {
        guard let name = value["commandName"]?.string else { return nil }
        self.name = name
        abstract = value["abstract"]?.string ?? ""
        let shown = (value["arguments"]?.array ?? []).filter { $0["shouldDisplay"]?.isTrue ?? true }
        options = shown.filter { $0["kind"]?.string != "positional" }.map(OptionDefinition.init)
        positionals = shown.filter { $0["kind"]?.string == "positional" }.map(OptionDefinition.init)
    }
}

extension OptionDefinition {
    fileprivate init(_ value: JSONValue) {
        let all = (value["names"]?.array ?? []).map { name in
            (name["kind"]?.string == "long" ? "--" : "-") + (name["name"]?.string ?? "")
        }
        let kind = value["kind"]?.string
        names = kind == "positional" ? [] : all.filter { $0.hasPrefix("--") } + all.filter { !$0.hasPrefix("--") }
        abstract = value["abstract"]?.string ?? ""
        takesValue = kind == "option"
        isRepeating = value["isRepeating"]?.isTrue ?? false
        values = .open
        let completion = value["completionKind"]
        if let listed = completion?["list"]?["values"]?.array {
            values = .listed(listed.compactMap(\.string))
        } else if completion?["file"] != nil {
            values = .files
        } else if completion?["custom"] != nil {
            values = .asked
        }
    }
}

extension JSONValue {
    fileprivate var isTrue: Bool {
        if case .bool(true) = self { true } else { false }
    }
}
