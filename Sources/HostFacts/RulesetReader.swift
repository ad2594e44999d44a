// The rulesets of a namespace, as the tools that made them print them.

import CNattrace
import Glibc
import Rulesets
import SystemSupport

extension RulesetTexts {
    fileprivate mutating func fail(_ failure: FactFailure, isComplete: Bool = false) {
        if !isComplete { self.isComplete = false }
        problem = problem.map { "\($0); \(failure)" } ?? failure.description
    }

    fileprivate var size: Int {
        [nftJSON, nftText, iptablesSave, ip6tablesSave, iptablesNftSave, ip6tablesNftSave]
            .reduce(0) { $0 + ($1?.count ?? 0) }
    }
}

/// Reads rulesets with the system's own tools, and only where there are some: the tools would load
/// kernel modules otherwise, and a table that is loaded has its share in every packet.
///
/// An answer takes some ten milliseconds, so it is kept as long as it is proved to be valid.
final class RulesetReader {
    /// Bytes that a tool may print; some 30000 rules.
    static let maximumLength = 4 << 20
    /// Nanoseconds that a tool may take: so long that a busy machine runs it to its end, and one that hangs is noticed.
    static let timeLimit: UInt64 = 5_000_000_000
    /// Nanoseconds for which a ruleset of x_tables counts as unchanged, which has no generation; and
    /// any, where the kernel has no cookie of a namespace to tell it from a later one of its number.
    static let unprovedAge: UInt64 = 1_000_000_000
    /// Nanoseconds for which a tool that failed on a generation is not run again for it.
    static let failureAge: UInt64 = 10_000_000_000
    /// Namespaces kept, and bytes of their texts. When they are more, all are forgotten.
    static let maximumKept = 64
    static let maximumKeptBytes = 32 << 20
    /// How often a ruleset that changes meanwhile is read.
    private static let maximumAttempts = 2

    private let namespaces: NetworkNamespaces
    private let tool: Tool
    private let module: NFTablesModule
    private let clock: () -> UInt64
    private var kept: [Key: Kept] = [:]

    /// A namespace for all time; the number of its inode, where the kernel has no cookies (before 5.14).
    private enum Key: Hashable {
        case cookie(UInt64)
        case inode(UInt32)

        var isProved: Bool {
            if case .cookie = self { return true }
            return false
        }
    }

    private struct Kept {
        var nft: Part?
        var legacy: Part?
        var size: Int { (nft?.texts.size ?? 0) + (legacy?.texts.size ?? 0) }
    }

    /// Some of the texts, with when they were read and of which generation; 0: of none.
    private struct Part {
        var texts: RulesetTexts
        var generation: UInt32
        var time: UInt64
    }

    /// What is in use in a namespace.
    private struct Census {
        var key: Key
        /// nil: no nf_tables.
        var generation: Result<UInt32?, FactFailure>
        var usesIPTables: Result<Bool, FactFailure>
        var usesIP6Tables: Result<Bool, FactFailure>
    }

    /// `clock` in nanoseconds, monotonic.
    init(
        namespaces: NetworkNamespaces, tool: Tool = Tool(), module: NFTablesModule,
        clock: @escaping () -> UInt64 = monotonicTime
    ) {
        self.namespaces = namespaces
        self.tool = tool
        self.module = module
        self.clock = clock
    }

    /// The rulesets of a namespace, by its inode number. Takes up to a few seconds where tools hang.
    func rulesets(in netns: UInt32) -> RulesetTexts {
        let census: Census
        do throws(FactFailure) {
            census = try self.census(netns)
        } catch {
            return RulesetTexts(isComplete: false, problem: error.description)
        }
        var entry = kept[census.key] ?? Kept()
        entry.nft = nft(netns, census, entry.nft)
        entry.legacy = legacy(netns, census, entry.legacy)
        keep(entry, census.key)
        var result = entry.nft?.texts ?? RulesetTexts(isComplete: true)
        if let legacy = entry.legacy?.texts {
            result.iptablesSave = legacy.iptablesSave
            result.ip6tablesSave = legacy.ip6tablesSave
            if let problem = legacy.problem { result.fail(FactFailure(problem), isComplete: legacy.isComplete) }
        }
        return result
    }

    private func keep(_ entry: Kept, _ key: Key) {
        kept[key] = nil
        if kept.count >= Self.maximumKept
            || kept.values.reduce(entry.size, { $0 + $1.size }) > Self.maximumKeptBytes
        {
            kept.removeAll()
        }
        kept[key] = entry
    }

    // MARK: - What is in use

    private func census(_ netns: UInt32) throws(FactFailure) -> Census {
        // Asked outside: it reads no namespace, and takes long once.
        let isThere: Result<Bool, FactFailure>
        do throws(FactFailure) {
            isThere = .success(try module.isThere())
        } catch {
            isThere = .failure(error)
        }
        return try namespaces.inside(netns) { () throws(FactFailure) in
            let socket = try NetlinkSocket(family: NETLINK_ROUTE, name: "NETLINK_ROUTE")
            let generation: Result<UInt32?, FactFailure> =
                switch isThere {
                case .success(true): Self.result { () throws(FactFailure) in try Self.generation() }
                case .success(false): .success(nil)
                case .failure(let failure): .failure(failure)
                }
            return Census(
                key: socket.namespaceCookie.map(Key.cookie) ?? .inode(netns), generation: generation,
                usesIPTables: Self.result { () throws(FactFailure) in try Self.hasTables("ip_tables_names") },
                usesIP6Tables: Self.result { () throws(FactFailure) in try Self.hasTables("ip6_tables_names") })
        }
    }

    private static func result<T>(_ body: () throws(FactFailure) -> T) -> Result<T, FactFailure> {
        do throws(FactFailure) {
            return .success(try body())
        } catch {
            return .failure(error)
        }
    }

    /// Of the namespace that this thread is in; nil: no nf_tables.
    private static func generation() throws(FactFailure) -> UInt32? {
        do throws(FactFailure) {
            return try RulesetGeneration.current(
                over: try NetlinkSocket(family: NETLINK_NETFILTER, name: "NETLINK_NETFILTER"))
        } catch {
            if error.code == EPROTONOSUPPORT { return nil }
            throw error
        }
    }

    /// Whether x_tables has a table in the namespace that this thread is in. Not by `/proc/net`,
    /// which is that of the process's first thread.
    private static func hasTables(_ file: String) throws(FactFailure) -> Bool {
        do throws(FactFailure) {
            return try !Files.bytes("/proc/thread-self/net/\(file)", limit: 1).isEmpty
        } catch {
            if error.code == ENOENT { return false }
            throw error
        }
    }

    // MARK: - nf_tables

    private func nft(_ netns: UInt32, _ census: Census, _ old: Part?) -> Part? {
        var generation: UInt32
        switch census.generation {
        case .failure(let failure):
            var texts = RulesetTexts(isComplete: true)
            texts.fail(failure)
            return Part(texts: texts, generation: 0, time: clock())
        case .success(nil), .success(RulesetGeneration.pristine): return nil
        case .success(let number?): generation = number
        }
        if let old, old.generation == generation, isValid(old, census.key) { return old }
        var texts = RulesetTexts(isComplete: true)
        for _ in 0..<Self.maximumAttempts {
            texts = readNft(netns)
            // What failed is not read twice.
            guard texts.isComplete else { break }
            let after = Self.result { () throws(FactFailure) in
                try namespaces.inside(netns) { () throws(FactFailure) in try Self.generation() }
            }
            guard case .success(let number?) = after, number != generation else {
                return Part(texts: texts, generation: generation, time: clock())
            }
            generation = number
            texts.fail(FactFailure("the ruleset changed each time it was read"))
        }
        return Part(texts: texts, generation: generation, time: clock())
    }

    private func isValid(_ part: Part, _ key: Key) -> Bool {
        let age = clock() &- part.time
        if !part.texts.isComplete { return age < Self.failureAge }
        return key.isProved || age < Self.unprovedAge
    }

    private func readNft(_ netns: UInt32) -> RulesetTexts {
        var texts = RulesetTexts(isComplete: true)
        do throws(FactFailure) {
            texts.nftJSON = try run("nft", ["-j", "-a", "list", "ruleset"], in: netns)
            texts.nftText = try run("nft", ["-a", "list", "ruleset"], in: netns)
        } catch {
            texts.fail(error)
            return texts
        }
        guard texts.nftJSON.map(Self.hasForeignExpressions) == true else { return texts }
        do throws(FactFailure) {
            texts.iptablesNftSave = try run("iptables-nft-save", [], in: netns)
            texts.ip6tablesNftSave = try run("ip6tables-nft-save", [], in: netns)
        } catch {
            texts.fail(error, isComplete: true)
        }
        return texts
    }

    /// Whether a rule holds `{"xt": ...}`, which nft writes for what x_tables does (xt_stmt_json).
    static func hasForeignExpressions(_ json: [UInt8]) -> Bool {
        let mark: StaticString = "{\"xt\":"
        return json.withUnsafeBytes { text in
            guard let start = text.baseAddress else { return false }
            return memmem(start, text.count, mark.utf8Start, mark.utf8CodeUnitCount) != nil
        }
    }

    // MARK: - x_tables

    private func legacy(_ netns: UInt32, _ census: Census, _ old: Part?) -> Part? {
        if case .success(false) = census.usesIPTables, case .success(false) = census.usesIP6Tables { return nil }
        if let old {
            let age = clock() &- old.time
            if age < (old.texts.isComplete ? Self.unprovedAge : Self.failureAge) { return old }
        }
        var texts = RulesetTexts(isComplete: true)
        do throws(FactFailure) {
            if try census.usesIPTables.get() { texts.iptablesSave = try run("iptables-legacy-save", [], in: netns) }
        } catch {
            texts.fail(error)
        }
        do throws(FactFailure) {
            if try census.usesIP6Tables.get() { texts.ip6tablesSave = try run("ip6tables-legacy-save", [], in: netns) }
        } catch {
            texts.fail(error)
        }
        return Part(texts: texts, generation: 0, time: clock())
    }

    /// What a tool prints in a namespace.
    private func run(_ name: String, _ arguments: [String], in netns: UInt32) throws(FactFailure) -> [UInt8] {
        let deadline = monotonicTime() &+ Self.timeLimit
        let running = try namespaces.inside(netns) { () throws(FactFailure) in try tool.start(name, arguments) }
        return try tool.finish(running, limit: Self.maximumLength, deadline: deadline)
    }
}
