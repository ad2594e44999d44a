// The rules' texts from `nft -a list ruleset`: people know a rule by how nft writes it.

import Handshake

struct RuleText: Sendable {
    var chain: String
    var text: String
}

enum NftText {
    /// Each rule stands on a line of its own within its chain, and ends with its handle. One that has a
    /// chain without a name in it, `jump { ... }`, goes over several.
    static func read(_ bytes: [UInt8]) -> [RuleName: RuleText] {
        var texts: [RuleName: RuleText] = [:]
        var family: RuleFamily?
        var table = ""
        var chain: String?
        var begun: String?
        for line in bytes.split(separator: 0x0a) {
            guard texts.count < Bounds.rules else { break }
            let line = Substring(decoding: line, as: UTF8.self)
            let depth = line.prefix { $0 == "\t" }.utf8.count
            let rest = line.dropFirst(depth)
            switch depth {
            case 0:
                (chain, begun) = (nil, nil)
                let words = rest.split(separator: " ", maxSplits: 3)
                guard words.count >= 3, words[0] == "table" else { continue }
                family = RuleFamily(name: String(words[1]))
                table = String(words[2])
            case 1:
                let words = rest.split(separator: " ", maxSplits: 2)
                begun = nil
                chain = words.count >= 2 && words[0] == "chain" ? String(words[1]) : nil
            case 2:
                guard let family, let chain else { continue }
                if rest.hasSuffix(" {") {
                    begun = String(rest)
                    continue
                }
                let whole = begun.map { "\($0) \(rest)"[...] } ?? rest
                begun = nil
                guard let (text, handle) = rule(whole) else { continue }
                texts[RuleName(family: family, table: table, handle: handle)] = RuleText(chain: chain, text: text)
            default:
                guard let before = begun, before.utf8.count < 4096 else { continue }
                begun = rest.hasSuffix("{") || rest == "}" ? "\(before) \(rest)" : "\(before) \(rest);"
            }
        }
        return texts
    }

    /// `tcp dport 80 counter packets 3 bytes 180 drop # handle 4`
    private static func rule(_ line: Substring) -> (text: String, handle: UInt64)? {
        let words = line.split(separator: " ", omittingEmptySubsequences: false)
        guard words.count >= 4, words[words.count - 3] == "#", words[words.count - 2] == "handle",
            let handle = UInt64(words[words.count - 1])
        else { return nil }
        return (withoutCounts(words.dropLast(3)).joined(separator: " "), handle)
    }

    /// What a counter has counted changes with every packet, and is no part of the rule.
    private static func withoutCounts(_ words: ArraySlice<Substring>) -> [Substring] {
        var kept: [Substring] = []
        var isQuoted = false
        var position = words.startIndex
        while position < words.endIndex {
            let word = words[position]
            if word.utf8.filter({ $0 == UInt8(ascii: "\"") }).count % 2 == 1 { isQuoted.toggle() }
            // iptables' comments leave two spaces where nft says nothing.
            if word.isEmpty, !isQuoted {
                position += 1
                continue
            }
            kept.append(word)
            position += 1
            if word == "counter", !isQuoted, words.endIndex - position >= 4, words[position] == "packets",
                words[position + 2] == "bytes"
            {
                position += 4
            }
        }
        return kept
    }
}
