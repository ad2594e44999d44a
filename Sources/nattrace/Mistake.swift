// What was probably meant by a command line that is refused. ArgumentParser knows options that differ in a letter or
// two; people also bring the spelling of other programs, and tcpdump's expressions.

enum Mistake {
    /// The first option that there is not, or what is too much; nil: the mistake is another one.
    static func inArguments(_ arguments: [String]) -> Failure? {
        var words = arguments[...]
        var command = CommandDefinition.standard
        if let first = words.first, let named = CommandDefinition.all.first(where: { $0.name == first }) {
            command = named
            words.removeFirst()
        }
        var positionals = 0
        while let word = words.popFirst() {
            if word == "--" { return nil }
            guard word.hasPrefix("-"), word != "-" else {
                positionals += 1
                if positionals > command.positionals.count {
                    return inWords([word] + words.prefix { !$0.hasPrefix("-") }, of: command)
                }
                continue
            }
            let name = word.prefix { $0 != "=" }
            if let option = command.option(named: name) {
                if option.takesValue, name.count == word.count { _ = words.popFirst() }
            } else if !isGroup(word, of: command) {
                return .usage(message(for: String(name), in: command))
            }
        }
        return nil
    }

    /// Short options in one word, as `-4i`; what stands behind one that takes a value is the value.
    private static func isGroup(_ word: String, of command: CommandDefinition) -> Bool {
        guard !word.hasPrefix("--") else { return false }
        for letter in word.dropFirst() {
            guard let option = command.option(named: "-\(letter)") else { return false }
            if option.takesValue { return true }
        }
        return true
    }

    // MARK: Options

    /// What to write instead of an option that there is not.
    private static func message(for name: String, in command: CommandDefinition) -> String {
        let unknown = "unknown option '\(name)'"
        if let text = unneeded[name] { return "\(unknown): \(text)" }
        if let other = CommandDefinition.all.first(where: { $0.option(named: name) != nil }) {
            return "'\(name)' is an option of 'nattrace \(other.name)', not of 'nattrace \(command.name)'"
        }
        if let near = nearest(to: name, in: command) { return "\(unknown): did you mean '\(near)'?" }
        return unknown
    }

    /// The name of the option that was meant.
    static func nearest(to name: String, in command: CommandDefinition) -> String? {
        if let habit = habits[name], command.option(named: habit) != nil { return habit }
        let plain = plain(name)
        let names = command.options.flatMap(\.names)
        if let same = names.first(where: { Self.plain($0) == plain }) { return same }
        if let habit = habits[plain], command.option(named: habit) != nil { return habit }
        guard plain.count > 2 else { return nil }
        // Cut short: if there is but one that it can be.
        let begun = names.filter { Self.plain($0).hasPrefix(plain) }
        if begun.count == 1 { return begun[0] }
        let near = Values.suggestion(for: plain, among: names.filter { $0.hasPrefix("--") }.map(Self.plain))
        return near.map { "--\($0)" }
    }

    /// Without dashes before it, and with one spelling of letters and dashes within.
    private static func plain(_ name: String) -> String {
        name.drop { $0 == "-" }.lowercased().split(separator: "_").joined(separator: "-")
    }

    /// Names that other programs have for what is an option here, and other words for the same.
    static let habits: [String: String] = [
        "p": "--port", "ports": "--port", "dst-port": "--dport", "dstport": "--dport", "dest-port": "--dport",
        "destination-port": "--dport", "to-port": "--dport", "src-port": "--sport", "srcport": "--sport",
        "source-port": "--sport", "from-port": "--sport", "d": "--daddr", "dst": "--daddr", "dest": "--daddr",
        "dst-addr": "--daddr", "dst-ip": "--daddr", "dstip": "--daddr", "destination": "--daddr",
        "destination-address": "--daddr", "to": "--daddr", "s": "--saddr", "src": "--saddr", "src-addr": "--saddr",
        "src-ip": "--saddr", "srcip": "--saddr", "source": "--saddr", "source-address": "--saddr", "from": "--saddr",
        "client": "--saddr", "host": "--addr", "ip": "--addr", "address": "--addr", "net": "--addr", "cidr": "--addr",
        "iface": "--interface", "if": "--interface", "dev": "--interface", "device": "--interface",
        "nic": "--interface", "ns": "--netns", "net-ns": "--netns", "namespace": "--netns",
        "network-namespace": "--netns", "ipv4": "-4", "ip4": "-4", "inet": "-4", "ipv6": "-6", "ip6": "-6",
        "inet6": "-6", "fail": "--failed", "fails": "--failed", "failing": "--failed", "failure": "--failed",
        "failures": "--failed", "failed-only": "--failed", "only-failed": "--failed", "errors": "--failed",
        "code": "--verdict", "codes": "--verdict", "reason": "--verdict", "j": "--json", "jsonl": "--json",
        "w": "--record", "write": "--record", "save": "--record", "output": "--record", "o": "--record",
        "v": "--follow", "verbose": "--follow", "f": "--follow", "live": "--follow", "steps": "--follow",
        "c": "--count", "limit": "--count", "n-verdicts": "--count", "time": "--duration", "seconds": "--duration",
        "for": "--duration", "method": "--backend", "mode": "--backend", "ring-buffer": "--buffer",
        "buffer-size": "--buffer", "-V": "--version",
    ]

    /// What other programs have an option for, and this one does not need.
    private static let unneeded: [String: String] = [
        "-n": numbersOnly, "-nn": numbersOnly, "--numeric": numbersOnly,
        "-r": "write 'nattrace replay FILE'", "--read": "write 'nattrace replay FILE'",
    ]

    private static let numbersOnly = "addresses and ports are never turned into names"

    // MARK: Words without a name

    /// Words where none, or no more, are expected. `command`: the one that was named, if one was.
    static func inWords(_ words: some Collection<String>, of command: CommandDefinition?) -> Failure {
        let words = Array(words)
        let first = words.first ?? ""
        let joined = words.joined(separator: " ")
        if (command ?? .standard).option(named: "--port") != nil {
            if let options = TcpdumpExpression.options(for: words) {
                return .usage("'\(joined)' is written '\(options)' here")
            }
            if TcpdumpExpression.isOne(words) {
                return .usage("'\(joined)': filters are options here, such as '--port 80' or '--addr 192.0.2.0/24'")
            }
        }
        guard command == nil else { return .usage("unexpected argument '\(first)'") }
        if first.hasSuffix(".ntrace") || first.hasSuffix(".ntr") {
            return .usage("to explain a recording, write 'nattrace replay \(first)'")
        }
        let commands = CommandDefinition.all.map(\.name)
        if let near = Values.suggestion(for: first, among: commands) {
            return .usage("unknown command '\(first)': did you mean '\(near)'?")
        }
        let list = commands.dropLast().map { "'\($0)'" }.joined(separator: ", ")
        return .usage("unknown command '\(first)': there are \(list) and '\(commands.last ?? "")'.")
    }
}
