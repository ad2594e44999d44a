// The command that a piece of advice ends with, so that it can be copied; and its lines on a terminal.

/// Advice is a sentence for a person; where there is a command to run, it stands behind a colon, perhaps with a remark
/// in parentheses behind it.
public struct CommandInAdvice: Equatable {
    /// All but the command.
    public var before: String
    public var command = ""
    public var after = ""
    /// Whether a shell takes each word of it as a word: names in it come from outside, and one that holds a `;` is not
    /// to be pasted unread.
    public var isPlain: Bool { Self.isPlain(command) }

    public init(_ advice: String) {
        before = advice
        var rest = advice[...]
        while let colon = rest.firstRange(of: ": ") {
            let tail = rest[colon.upperBound...]
            if Self.beginsCommand(tail) {
                before = String(advice[..<colon.upperBound])
                command = String(tail)
                if command.hasSuffix(")"), let remark = Self.lastRange(of: " (", in: command) {
                    after = String(command[remark...])
                    command = String(command[..<remark])
                }
                return
            }
            rest = tail
        }
    }

    /// Those that causes write. A rule begins with its family, which may be `ip` too.
    private static let programs: Set<String> = [
        "conntrack", "ip6tables", "ip6tables-legacy", "ip6tables-nft", "iptables", "iptables-legacy", "iptables-nft",
        "nft", "nsenter", "ss", "sysctl", "tcpdump",
    ]
    private static let objectsOfIP: Set<String> = ["-6", "addr", "link", "neigh", "netns", "route", "rule", "vrf"]

    private static func beginsCommand(_ text: Substring) -> Bool {
        let words = text.split(separator: " ", maxSplits: 2)
        guard let program = words.first else { return false }
        if program == "ip" { return words.count > 1 && objectsOfIP.contains(String(words[1])) }
        return programs.contains(String(program))
    }

    /// What our own commands have beside plain words.
    private static let known = [
        "$(lsns -rnt net -o NS,PID | awk '$1==", "{print $2}') -n ", " | grep -n reject", " ';' add chain ",
        " '{ type nat hook postrouting priority srcnat; };' add rule ",
    ]

    private static func isPlain(_ command: String) -> Bool {
        guard !command.isEmpty else { return false }
        var rest = command
        for part in known {
            if let range = rest.firstRange(of: part) { rest.replaceSubrange(range, with: " ") }
        }
        return rest.utf8.allSatisfy { byte in
            switch byte {
            case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
                UInt8(ascii: "0")...UInt8(ascii: "9"):
                true
            default: " '._-/:=,@%+[]".utf8.contains(byte)
            }
        }
    }

    private static func lastRange(of wanted: String, in text: String) -> String.Index? {
        var found: String.Index?
        var rest = text[...]
        while let range = rest.firstRange(of: wanted) {
            found = range.lowerBound
            rest = rest[range.upperBound...]
        }
        return found
    }
}

extension CommandInAdvice {
    /// The advice in lines of at most `prose` columns; where it takes more than one, its command stands on lines of
    /// its own of at most `room` columns, that a shell takes as they are: with a backslash where it goes on. A word that
    /// is longer is not broken, which the terminal does better: it gives back one line when it is copied.
    func lines(prose: Int, room: Int) -> [String] {
        let whole = before + command + after
        if command.isEmpty || columns(whole) <= prose { return wrapped(whole, width: prose) }
        let commandLines = Self.broken(command, width: room - 2).map { "  " + $0 }
        return wrapped(before, width: prose) + commandLines + (after.isEmpty ? [] : wrapped(after, width: prose))
    }

    private static func broken(_ command: String, width: Int) -> [String] {
        var lines: [String] = []
        var line = ""
        for word in words(of: command) {
            if !line.isEmpty, columns(line) + 1 + columns(word) + 2 > width {
                lines.append(line + " \\")
                line = "  " + word
            } else {
                line += line.isEmpty ? word : " " + word
            }
        }
        return lines + [line]
    }

    /// Between its spaces that are outside quotes.
    private static func words(of command: String) -> [String] {
        var words = [""]
        var isQuoted = false
        var isEscaped = false
        for character in command {
            if character == " ", !isQuoted, !isEscaped {
                words.append("")
                continue
            }
            if character == "'", !isEscaped { isQuoted.toggle() }
            isEscaped = character == "\\" && !isQuoted && !isEscaped
            words[words.count - 1].append(character)
        }
        return words.filter { !$0.isEmpty }
    }
}
