// A step: one thing that happened to a connection, as people and log pipelines see it.

/// `event.action` of a step. Raw values are the contract's.
public enum Action: String, Sendable, CaseIterable {
    case syn
    case synack
    case ack
    case rst
    case conntrackNew = "conntrack.new"
    case conntrackMatch = "conntrack.match"
    case conntrackInvalid = "conntrack.invalid"
    case conntrackUntracked = "conntrack.untracked"
    case natDestination = "nat.dnat"
    case natSource = "nat.snat"
    case natReverse = "nat.reverse"
    case rule
    case route
    case deliver
    case listener
    case request
    case reset
    case drop
    case transmit
    case retransmit
    case established
    /// An ICMP error that quotes a packet of the handshake.
    case icmp
}

/// The programs that rules are made with. iptables has two kinds, which do not see each other's rules, and `iptables`
/// alone is either of them, by an alternative of the system.
public enum RuleTool: String, Hashable, Sendable, Codable {
    case nft
    /// iptables-nft(8), of whose rules nft cannot say all.
    case iptablesNft = "iptables-nft"
    /// iptables-legacy(8), not in nf_tables at all.
    case iptablesLegacy = "iptables-legacy"
}

/// A netfilter rule that acted on a connection.
public struct Rule: Hashable, Sendable, Codable {
    /// Handle (nftables) or number (iptables-legacy).
    public var id: String?
    /// `ip nat prerouting`: family, table, chain.
    public var ruleset: String?
    /// The rule's text.
    public var text: String?
    /// What it is best read and changed with; nil: not known.
    public var tool: RuleTool?

    public init(id: String? = nil, ruleset: String? = nil, text: String? = nil, tool: RuleTool? = nil) {
        self.id = id
        self.ruleset = ruleset
        self.text = text
        self.tool = tool
    }
}

/// What is particular to a step's action, for sinks that say it in words.
public enum StepDetail: Hashable, Sendable, BitwiseCopyable {
    case none
    /// Translation: how the flow looked before and looks after it, both in the direction of
    /// the packet. `asked` is what the rule asked for, where its decision was seen.
    case translation(before: Tuple, after: Tuple, asked: NATRange?)
    /// The listener look-up's result, nil: nothing found.
    case listener(BoundListener?)
    case reset(ResetMaker)
    case socketState(from: SocketState, to: SocketState)
    case rule(RuleSighting)
    case icmp(ICMPError)
}

/// What is said of a step in words. Most steps of a hook in a namespace have the same: these share one of these
/// (`Names.labels`), so that a step is plain bytes and one reference, and cheap to copy.
package final class StepLabels: Sendable {
    package let function: String?
    package let netnsName: String?
    package let reason: String?
    package let rule: Rule?
    package let process: ProcessIdentity?

    /// Whether the hook and the namespace say all of it.
    package let isUsual: Bool

    init(
        function: String?, netnsName: String?, reason: String? = nil, rule: Rule? = nil,
        process: ProcessIdentity? = nil
    ) {
        self.function = function
        self.netnsName = netnsName
        self.reason = reason
        self.rule = rule
        self.process = process
        isUsual = reason == nil && rule == nil && process == nil
    }
}

/// Few steps have a detail, and it is long: what is not there takes no room in a connection's list of steps.
private final class StepDetailBox: Sendable {
    let detail: StepDetail

    init(_ detail: StepDetail) { self.detail = detail }
}

public struct Step: Sendable {
    /// From 0 within the connection, without gaps.
    public var sequence: Int
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64
    /// Nanoseconds since the connection's first step.
    public var offset: UInt64
    /// Inode number of the network namespace; 0: not known.
    public var netns: UInt32
    public var cpu: UInt16
    public var action: Action
    public var stage: Stage?
    public var backend: Backend
    package let labels: StepLabels
    private let device: FixedName
    public var packet: Packet?
    public var conntrack: ConntrackEntry?
    private let boxedDetail: StepDetailBox?
    /// What was known of the connection's way by then.
    public var course: Course

    init(
        sequence: Int, time: UInt64, offset: UInt64, action: Action, stage: Stage?, labels: StepLabels,
        backend: Backend, netns: UInt32, cpu: UInt16, packet: Packet?, conntrack: ConntrackEntry?,
        device: FixedName, detail: StepDetail, course: Course
    ) {
        self.sequence = sequence
        self.time = time
        self.offset = offset
        self.netns = netns
        self.cpu = cpu
        self.action = action
        self.stage = stage
        self.backend = backend
        self.labels = labels
        self.device = device
        self.packet = packet
        self.conntrack = conntrack
        boxedDetail = if case .none = detail { nil } else { StepDetailBox(detail) }
        self.course = course
    }

    init(
        sequence: Int, time: UInt64, offset: UInt64, action: Action, stage: Stage?, function: String?,
        backend: Backend, netns: UInt32, netnsName: String?, cpu: UInt16, packet: Packet?,
        conntrack: ConntrackEntry?, reason: String?, rule: Rule?, process: ProcessIdentity?, interface: String?,
        detail: StepDetail, course: Course
    ) {
        self.init(
            sequence: sequence, time: time, offset: offset, action: action, stage: stage,
            labels: StepLabels(
                function: function, netnsName: netnsName, reason: reason, rule: rule, process: process),
            backend: backend, netns: netns, cpu: cpu, packet: packet, conntrack: conntrack,
            device: FixedName(interface), detail: detail, course: course)
    }

    public var detail: StepDetail { boxedDetail?.detail ?? .none }
    /// Kernel symbol or tracepoint. For an inferred step, where it would have happened; nil if unknown.
    public var function: String? { labels.function }
    /// As `ip netns` or the container runtime calls it.
    public var netnsName: String? { labels.netnsName }
    /// The kernel's name of the drop or reset reason, without the enum's prefix; of an INVALID packet,
    /// conntrack's words.
    public var reason: String? { labels.reason }
    public var rule: Rule? { labels.rule }
    public var process: ProcessIdentity? { labels.process }
    /// Device that the packet came in by (stage ingress) or leaves by (stage egress).
    public var interface: String? { device.text }

    /// The SYN itself was there; an ICMP error that quotes it is another packet.
    func showsSyn(at stage: Stage) -> Bool {
        self.stage == stage && action != .icmp && packet?.flags.role == .syn
    }
}
