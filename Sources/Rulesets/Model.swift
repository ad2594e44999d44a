// Rulesets as they are evaluated, whichever language they were written in.

import Handshake

/// A hook that a base chain is called from.
enum NetfilterHook: String, Sendable {
    case ingress, prerouting, input, forward, output, postrouting, egress

    /// In the order in which a packet meets them.
    static let all: [NetfilterHook] = [.ingress, .prerouting, .input, .forward, .output, .postrouting, .egress]
}

enum Verdict: Sendable {
    case accept, drop, continues, returns
    case jump(String)
    case goto(String)
}

/// What one entry of a map gives.
enum MapData: Sendable {
    case verdict(Verdict)
    case literal(Literal)
    case unknown
}

struct MapEntry: Sendable {
    var key: Literal
    var data: MapData
}

enum MapSource: Sendable {
    case entries([MapEntry])
    case named(String)
    case unknown
}

/// What a rule reads.
enum Operand: Sendable {
    case field(Field)
    indirect case masked(Operand, Literal)
    case concatenation([Operand])
    case unknown
}

enum Comparison: Sendable {
    case equal, notEqual, less, lessOrEqual, greater, greaterOrEqual
    /// Any of these bits, or none of them.
    case anyBit, noBit
}

/// What an operand is compared with.
enum Pattern: Sendable {
    case literal(Literal)
    case anyOf([Literal])
    case set(String)
}

enum Condition: Sendable {
    case compare(Comparison, Operand, Pattern)
    case any([Condition])
    indirect case not(Condition)
    case unknown
}

/// What a rule may do, for those of which no more is known.
struct Effects: OptionSet, Sendable {
    let rawValue: UInt8
    static let drop = Effects(rawValue: 1)
    static let reject = Effects(rawValue: 2)
    static let notrack = Effects(rawValue: 4)
    static let translateDestination = Effects(rawValue: 8)
    static let translateSource = Effects(rawValue: 16)
    static let all: Effects = [.drop, .reject, .notrack, .translateDestination, .translateSource]
}

struct Translation: Sendable {
    enum Direction: Sendable {
        case destination, source
        /// NETMAP: the destination before routing, the source after it.
        case byHook
    }

    enum Address: Sendable {
        case unchanged
        /// One of this machine's own: which one is the device's affair.
        case local
        case literal(Literal)
        case lookup(Operand, MapSource)
        case unknown
    }

    enum Port: Sendable {
        case unchanged
        case literal(Literal)
        case lookup(Operand, MapSource)
        case unknown
    }

    struct Target: Sendable {
        var address: Address
        var port: Port
    }

    var direction: Direction
    /// Packets of the other family pass by.
    var family: IPAddress.Family?
    /// One of these.
    var targets: [Target]
    /// Only the network changes: bits of the host stay.
    var keepsHost = false
}

enum Statement: Sendable {
    case condition(Condition)
    case verdict(Verdict)
    case verdictMap(Operand, MapSource)
    case reject
    case notrack
    case translate(Translation)
    /// Takes the packet out of the hook, and may let it go on later: `queue`, `synproxy`, `fwd`.
    case mayTake
    /// Not known well enough: it may match or not, and may do any of this.
    case opaque(Effects)

    var mayUntrack: Bool {
        switch self {
        case .notrack: true
        case .opaque(let effects): effects.contains(.notrack)
        default: false
        }
    }
}

struct ModelRule: Sendable {
    var id: String?
    var text: String?
    var statements: [Statement]
}

struct BaseChain: Sendable {
    var hook: NetfilterHook
    var layer: Layer
    var priority: Int64
    var isNAT: Bool
    var policyDrops: Bool
    /// Only packets of this family come by; nil: of both.
    var family: IPAddress.Family?

    /// Where conntrack looks at packets that come in or are sent (NF_IP_PRI_CONNTRACK).
    private static let conntrack: Int64 = -200

    /// Whether packets come here before conntrack looks at them. With its own priority, a chain may be
    /// called before it or after it.
    var isBeforeConntrack: Bool { isBesideConntrack && priority < Self.conntrack }

    /// Whether conntrack has looked at every packet that comes here.
    var isBehindConntrack: Bool {
        // A bridge has its own, and whether it asks IP's is not known.
        layer == .ip && (!isBesideConntrack || priority > Self.conntrack)
    }

    private var isBesideConntrack: Bool { layer == .ip && (hook == .prerouting || hook == .output) }
}

struct Chain: Sendable {
    /// `ip nat prerouting`.
    var ruleset: String
    /// Index of its table.
    var table: Int
    var base: BaseChain?
    var rules: [ModelRule] = []
    /// What it is read and changed with.
    var tool = RuleTool.nft
}

/// A rule by its chain and its position there, both from 0.
struct RulePlace: Hashable, Sendable {
    var chain: Int
    var rule: Int
}

struct NamedSet: Sendable {
    var elements: [MapEntry]
    /// Packets or time change it: what it held when the packet came is not known.
    var isVolatile: Bool
}

struct TableName: Hashable, Sendable {
    var table: Int
    var name: String
}

/// All rulesets of a namespace.
struct Model: Sendable {
    var chains: [Chain] = []
    var chainIndex: [TableName: Int] = [:]
    var sets: [TableName: NamedSet] = [:]
    /// Tables are told apart by number: legacy iptables' may have the names of nftables'.
    var tableCount = 0
    var ruleCount = 0
    var elementCount = 0
    /// Some rule writes addresses or ports: what a rule before it saw was another packet than what one
    /// after it sees.
    var rewritesPackets = false
    /// Some rule may untrack packets behind conntrack: those that it found invalid become so.
    var untracksLate = false
    var problems: [String] = []

    /// To be called when all is read.
    mutating func findLateUntracking() {
        // Chains are called from those of their own table only.
        let tables = Set(chains.filter { $0.base.map { !$0.isBeforeConntrack } ?? false }.map(\.table))
        untracksLate = chains.contains { chain in
            tables.contains(chain.table) && chain.rules.contains { $0.statements.contains { $0.mayUntrack } }
        }
    }

    mutating func newTable() -> Int {
        tableCount += 1
        return tableCount - 1
    }

    /// The chain of this name, made if there is none.
    mutating func chain(_ name: String, table: Int, ruleset: @autoclosure () -> String) -> Int {
        let key = TableName(table: table, name: name)
        if let known = chainIndex[key] { return known }
        chains.append(Chain(ruleset: ruleset(), table: table))
        chainIndex[key] = chains.count - 1
        return chains.count - 1
    }

    /// Room for one more rule?
    mutating func admitRule() -> Bool {
        guard ruleCount < Bounds.rules else {
            note("more than \(Bounds.rules) rules")
            return false
        }
        ruleCount += 1
        return true
    }

    mutating func note(_ problem: String) {
        if !problems.contains(problem) { problems.append(problem) }
    }
}
