// What a verdict stands on, and what becomes of it on a machine that lacks some of that.
//
// The table is in GroundsTable.swift. docs/evidence.md shows it, which a test sees to, and `nattrace doctor` says
// what it comes to on the machine at hand.

/// Something to know by that a machine, or this process on it, may lack.
public enum Means: Hashable, Sendable {
    /// Observations of this hook.
    case hook(Hook)
    /// The reason that a drop gives (5.17).
    case dropReasons
    /// Names of functions by address, as drops have them.
    case functionNames
    /// What rules there are, of all kinds that are in use.
    case rulesets
    /// Entries of the conntrack table.
    case conntrackTable
    /// Sockets, settings, routes and rules of other network namespaces than nattrace's own.
    case otherNamespaces
}

/// What verdicts of some codes stand on.
public struct Grounds: Sendable {
    public let codes: [VerdictCode]
    /// Where a code has several kinds, which; as `accept queue`.
    public let kind: String?
    /// What must have been seen, and what is asked; markdown.
    public let seen: String
    public let asked: String
    let lacks: [Lack]

    /// What becomes of a verdict where all these are missing.
    public struct Lack: Hashable, Sendable {
        public var missing: Set<Means>
        /// nil: of both.
        public var family: IPAddress.Family?
        public var effect: Effect
    }

    public enum Effect: Hashable, Sendable {
        /// The same code, by this evidence.
        case concluded(from: String)
        /// The same code, with less said.
        case poorer(String)
        /// The same code in these cases, which follow a comma; another in all others.
        case partly(String, otherwise: Instead)
        /// Another code.
        case never(Instead)
    }

    /// The verdict that stands where this one cannot be given.
    public enum Instead: Hashable, Sendable {
        case codes([VerdictCode])
        /// Whatever the handshake came to, such as these.
        case whatFollows([VerdictCode])

        public var codes: [VerdictCode] {
            switch self {
            case .codes(let codes), .whatFollows(let codes): codes
            }
        }
    }

    init(
        _ codes: VerdictCode..., kind: String? = nil, seen: String, asked: String = "nothing",
        _ lacks: [Lack] = []
    ) {
        self.codes = codes
        self.kind = kind
        self.seen = seen
        self.asked = asked
        self.lacks = lacks
    }

    /// What becomes of it where these are missing, each once; empty: nothing does.
    ///
    /// A lack counts only where none applies that contains it, and a code that is never given is not given in part.
    public func effects(missing: Set<Means>) -> [Lack] {
        let applying = lacks.filter { $0.missing.isSubset(of: missing) }
        let largest = applying.filter { lack in
            !applying.contains { lack.missing.isStrictSubset(of: $0.missing) }
        }
        let merged = Self.merged(largest)
        let never = merged.filter { if case .never = $0.effect { $0.family == nil } else { false } }
        return never.isEmpty ? merged : never
    }

    /// Lacks with the same effect as one; what befalls both families befalls all.
    private static func merged(_ lacks: [Lack]) -> [Lack] {
        var result: [Lack] = []
        for lack in lacks {
            guard let index = result.firstIndex(where: { $0.effect == lack.effect }) else {
                result.append(lack)
                continue
            }
            result[index].missing.formUnion(lack.missing)
            if result[index].family != lack.family { result[index].family = nil }
        }
        return result
    }
}

extension Grounds.Effect {
    /// Whether another code is given at times.
    public var isLoss: Bool {
        switch self {
        case .concluded, .poorer: false
        case .partly, .never: true
        }
    }

    public var instead: Grounds.Instead? {
        switch self {
        case .concluded, .poorer: nil
        case .partly(_, let instead), .never(let instead): instead
        }
    }

    /// For a table's cell: `yes, if the entry was answered once; else ...`. `code` writes a verdict's code.
    public func words(code: (VerdictCode) -> String) -> String {
        switch self {
        case .concluded(let evidence): "yes: concluded from \(evidence)"
        case .poorer(let how): "yes: \(how)"
        case .partly(let cases, let instead): "yes, \(cases); else \(instead.words(code: code))"
        case .never(let instead): "no: \(instead.words(code: code))"
        }
    }
}

extension Grounds.Instead {
    func words(code: (VerdictCode) -> String) -> String {
        switch self {
        case .codes(let codes): codes.map(code).joined(separator: " or ")
        case .whatFollows(let codes):
            "the code of what follows, such as " + codes.map(code).joined(separator: ", ")
        }
    }
}
