// A service's configuration: the options of a live run, one a line. The lines become words of a command line, so that
// names, values and what is said of mistakes are those of the options.

import Glibc
import SystemSupport

/// What `--config FILE` names, read and found right.
struct ConfigurationFile {
    /// A line that sets something.
    struct Setting: Equatable {
        var line: Int
        /// As the line has it, without dashes.
        var name: String
        /// The same on a command line.
        var words: [String]
    }

    let path: String
    private(set) var settings: [Setting] = []

    /// Bytes of a file, bytes of a line, and lines that set something: many times what anybody writes.
    private static let longestFile = 1 << 16
    private static let longestLine = 1 << 12
    private static let mostSettings = 512

    init(path: String) throws(Failure) {
        try self.init(path: path, bytes: Self.read(path))
    }

    init(path: String, bytes: [UInt8]) throws(Failure) {
        self.path = path
        guard bytes.count <= Self.longestFile else {
            throw .usage("\(path) is no configuration: it has more than \(Self.longestFile) bytes")
        }
        let mark: [UInt8] = [0xEF, 0xBB, 0xBF]
        let text = bytes.starts(with: mark) ? bytes.dropFirst(mark.count) : bytes[...]
        let lines = text.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false)
        for (index, line) in lines.enumerated() {
            do throws(LineError) {
                guard let (name, words) = try Self.setting(line) else { continue }
                settings.append(Setting(line: index + 1, name: name, words: words))
                guard settings.count <= Self.mostSettings else {
                    throw LineError("more than \(Self.mostSettings) settings")
                }
            } catch {
                throw failure(error.text, line: index + 1)
            }
        }
        try check()
    }

    // MARK: With the command line

    /// The words of a command line with those of the file in front of them. What the command line says is not asked of
    /// the file: a filter given there takes the place of all of the file's of that kind.
    func arguments(besides commandLine: [String]) -> [String] {
        let given = Self.kinds(in: commandLine)
        return settings.filter { !given.contains(Self.kind($0.name)) }.flatMap(\.words) + commandLine
    }

    /// What a command line sets. A word that begins with a dash is never a value.
    private static func kinds(in commandLine: [String]) -> Set<String> {
        var kinds: Set<String> = []
        for word in commandLine where word.hasPrefix("-") {
            let name = word.drop { $0 == "-" }.prefix { $0 != "=" }
            // Short options may stand together, as in `-4i`.
            let names = word.hasPrefix("--") ? [String(name)] : name.map { String($0) }
            kinds.formUnion(names.map(kind))
        }
        return kinds
    }

    /// One name for what is the same setting.
    private static func kind(_ name: String) -> String {
        switch name {
        case "i": "interface"
        case "6": "4"
        default: name
        }
    }

    // MARK: A line

    /// What is wrong with a line.
    private struct LineError: Error {
        var text: String

        init(_ text: String) { self.text = text }
    }

    /// `name = value`, or `name` alone; nil: the line sets nothing.
    private static func setting(_ line: ArraySlice<UInt8>) throws(LineError) -> (name: String, words: [String])? {
        guard line.count <= longestLine else { throw LineError("the line has more than \(longestLine) bytes") }
        let content = trimmed(withoutComment(line))
        guard !content.isEmpty else { return nil }
        guard !content.contains(where: { $0 < 0x20 && $0 != UInt8(ascii: "\t") || $0 == 0x7F }) else {
            throw LineError("the line holds a control character")
        }
        let parts = content.split(separator: UInt8(ascii: "="), maxSplits: 1, omittingEmptySubsequences: false)
        guard let name = String(validating: trimmed(parts[0]), as: UTF8.self),
            let value = String(validating: parts.count > 1 ? trimmed(parts[1]) : [], as: UTF8.self)
        else { throw LineError("the line is not UTF-8") }
        try check(name, hasValue: parts.count > 1)
        guard parts.count > 1 else { return (name, [name.count == 1 ? "-\(name)" : "--\(name)"]) }
        guard !value.isEmpty else { throw LineError("there is no value behind '\(name) ='") }
        return (name, name.count == 1 ? ["-\(name)", value] : ["--\(name)=\(value)"])
    }

    private static func check(_ name: String, hasValue: Bool) throws(LineError) {
        guard !name.isEmpty else { throw LineError("there is no name before '='") }
        let plain = name.drop { $0 == "-" }
        guard plain.count == name.count || plain.isEmpty else {
            throw LineError("write '\(plain)', without the dashes of the command line")
        }
        let words = name.split(whereSeparator: \.isWhitespace)
        if words.count > 1, !hasValue {
            throw LineError("write '\(words[0]) = \(words.dropFirst().joined(separator: " "))', with '='")
        }
        guard name.utf8.allSatisfy({ isLetterOrDigit($0) || $0 == UInt8(ascii: "-") || $0 == UInt8(ascii: "_") }),
            !plain.isEmpty
        else { throw LineError("'\(name)' is no name of an option: write 'name = value', or a name alone for a flag") }
    }

    private static func isLetterOrDigit(_ byte: UInt8) -> Bool {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"):
            true
        default: false
        }
    }

    /// `#` begins a comment where a word could begin: within one, as in a file's name, it is a character like others.
    private static func withoutComment(_ line: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        for index in line.indices where line[index] == UInt8(ascii: "#") {
            if index == line.startIndex || isBlank(line[index - 1]) { return line[..<index] }
        }
        return line
    }

    private static func trimmed(_ text: ArraySlice<UInt8>) -> ArraySlice<UInt8> {
        var text = text.drop(while: isBlank)
        while let last = text.last, isBlank(last) { text.removeLast() }
        return text
    }

    /// Also the carriage return that some editors put before the end of a line.
    private static func isBlank(_ byte: UInt8) -> Bool { byte == 0x20 || byte == 0x09 || byte == 0x0D }

    // MARK: What the options say of it

    private func check() throws(Failure) {
        for setting in settings {
            if let problem = Self.problem(with: [setting]) { throw failure(problem, line: setting.line) }
        }
        guard let problem = Self.problem(with: settings) else { return }
        // Each is right by itself: the one to name is the first that does not go with those before it.
        var (right, wrong) = (0, settings.count)
        while wrong - right > 1 {
            let middle = (right + wrong) / 2
            if Self.problem(with: settings[..<middle]) == nil { right = middle } else { wrong = middle }
        }
        throw failure(problem, line: settings[wrong - 1].line)
    }

    private static func problem(with settings: some Collection<Setting>) -> String? {
        if let other = settings.first(where: { $0.name == "config" }) {
            return "'\(other.name)' is for the command line: a configuration cannot name another one"
        }
        let words = settings.flatMap(\.words)
        do {
            // Where help is asked for, it is another command that stands for it, or an error that is none.
            if try Nattrace.parseAsRoot([Nattrace.standardCommand] + words) is Trace { return nil }
            return onlyOnCommandLine(settings)
        } catch {
            guard !Nattrace.exitCode(for: error).isSuccess else { return onlyOnCommandLine(settings) }
            // Names stand here without dashes.
            let message = Nattrace.refusal(of: [Nattrace.standardCommand] + words, error).message
            return message.replacing("'--", with: "'").replacing("did you mean '-", with: "did you mean '")
        }
    }

    private static func onlyOnCommandLine(_ settings: some Collection<Setting>) -> String {
        "'\(settings.first?.name ?? "")' is for the command line only"
    }

    private func failure(_ problem: String, line: Int) -> Failure { .usage("\(path):\(line): \(problem)") }

    // MARK: The file

    private static func read(_ path: String) throws(Failure) -> [UInt8] {
        func failed() -> Failure {
            let why = errorText(errno)
            return Failure(.noInput, "the configuration '\(path)' cannot be read: \(why)")
        }
        let descriptor = open(path, O_RDONLY | O_CLOEXEC)
        guard descriptor >= 0 else { throw failed() }
        defer { close(descriptor) }
        // One byte more than there may be tells that there is too much, also of what never ends.
        var bytes = [UInt8](repeating: 0, count: longestFile + 1)
        var filled = 0
        while filled < bytes.count {
            let count = bytes.withUnsafeMutableBytes { room in
                Glibc.read(descriptor, room.baseAddress! + filled, room.count - filled)
            }
            if count < 0 {
                if errno == EINTR { continue }
                throw failed()
            }
            if count == 0 { break }
            filled += count
        }
        return Array(bytes[..<filled])
    }
}
