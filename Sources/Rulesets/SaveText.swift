// The format of iptables-save, for all that print it: tables, chains with their policies, rules.

/// One line `-A CHAIN ...`.
struct SavedRule {
    /// Behind the chain's name, as it was printed.
    var text: String
    var words: [Word]

    struct Word {
        var text: String
        /// In quotes: never the name of an option.
        var isQuoted = false
    }
}

struct SavedChain {
    var name: String
    /// nil: a user's chain.
    var policy: String?
    var rules: [SavedRule] = []
}

struct SavedTable {
    var name: String
    var chains: [SavedChain] = []

    static func read(_ bytes: [UInt8]) -> [SavedTable] {
        var tables: [SavedTable] = []
        var chains: [String: Int] = [:]
        var ruleCount = 0
        for line in bytes.split(separator: 0x0a) {
            let line = Substring(decoding: line, as: UTF8.self)
            if line.hasPrefix("*") {
                tables.append(SavedTable(name: String(line.dropFirst())))
                chains = [:]
                continue
            }
            guard let table = tables.indices.last else { continue }
            func chain(_ name: String) -> Int {
                if let known = chains[name] { return known }
                tables[table].chains.append(SavedChain(name: name, policy: nil))
                chains[name] = tables[table].chains.count - 1
                return tables[table].chains.count - 1
            }
            if line.hasPrefix(":") {
                // :INPUT DROP [0:0]
                let words = line.dropFirst().split(separator: " ")
                guard words.count >= 2 else { continue }
                let index = chain(String(words[0]))
                tables[table].chains[index].policy = words[1] == "-" ? nil : String(words[1])
                continue
            }
            // With counters, they stand before: [3:180] -A INPUT ...
            var rest = line
            if rest.hasPrefix("["), let end = rest.firstIndex(of: "]") {
                rest = rest[rest.index(after: end)...].drop { $0 == " " }
            }
            guard rest.hasPrefix("-A "), ruleCount <= Bounds.rules else { continue }
            rest = rest.dropFirst(3)
            let name = rest.prefix { $0 != " " }
            let text = rest.dropFirst(name.count).drop { $0 == " " }
            ruleCount += 1
            let index = chain(String(name))
            tables[table].chains[index].rules.append(SavedRule(text: String(text), words: words(of: text)))
        }
        return tables
    }

    /// Splits at spaces. Quotes hold together, a backslash takes the next character as it is.
    private static func words(of text: Substring) -> [SavedRule.Word] {
        var words: [SavedRule.Word] = []
        var word: SavedRule.Word?
        var units: [UInt8] = []
        var isInQuotes = false
        var isEscaped = false
        func end() {
            guard var done = word else { return }
            done.text = String(decoding: units, as: UTF8.self)
            words.append(done)
            word = nil
            units = []
        }
        for byte in text.utf8 {
            if isEscaped {
                units.append(byte)
                isEscaped = false
            } else if byte == UInt8(ascii: "\\") {
                word = word ?? SavedRule.Word(text: "")
                isEscaped = true
            } else if byte == UInt8(ascii: "\"") {
                isInQuotes.toggle()
                word = SavedRule.Word(text: "", isQuoted: true)
            } else if byte == UInt8(ascii: " "), !isInQuotes {
                end()
            } else {
                word = word ?? SavedRule.Word(text: "")
                units.append(byte)
            }
        }
        end()
        return words
    }
}
