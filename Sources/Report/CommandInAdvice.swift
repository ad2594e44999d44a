// The command that a piece of advice ends with, so that it can be copied.

/// Advice is a sentence for a person; where there is a command to run, it stands behind a colon, perhaps with a remark
/// in parentheses behind it.
struct CommandInAdvice: Equatable {
    /// All but the command.
    var before: String
    var command = ""
    var after = ""
    /// Whether a shell takes each word of it as a word: names in it come from outside, and one that holds a `;` is not
    /// to be pasted unread.
    var isPlain: Bool { Self.isPlain(command) }

    init(_ advice: String) {
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
        "nft",
        "nsenter", "ss", "sysctl", "tcpdump",
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
        "$(docker inspect -f '{{.State.Pid}}' ", ") -n ", " | grep -n reject",
        " { type nat hook postrouting priority srcnat; }; add rule ", "nft 'add table ip hairpin; ",
        "nft 'add table ip6 hairpin; ",
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
