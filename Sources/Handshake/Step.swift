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

/// A netfilter rule that acted on a connection.
public struct Rule: Hashable, Sendable, Codable {
    /// Handle (nftables) or number (iptables-legacy).
    public var id: String?
    /// `ip nat prerouting`: family, table, chain.
    public var ruleset: String?
    /// The rule's text.
    public var text: String?

    public init(id: String? = nil, ruleset: String? = nil, text: String? = nil) {
        self.id = id
        self.ruleset = ruleset
        self.text = text
    }
}

/// What is particular to a step's action, for sinks that say it in words.
public enum StepDetail: Hashable, Sendable {
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

public struct Step: Sendable {
    /// From 0 within the connection, without gaps.
    public var sequence: Int
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64
    /// Nanoseconds since the connection's first step.
    public var offset: UInt64
    public var action: Action
    public var stage: Stage?
    /// Kernel symbol or tracepoint. For an inferred step, where it would have happened; nil if unknown.
    public var function: String?
    public var backend: Backend
    /// Inode number of the network namespace; 0: not known.
    public var netns: UInt32
    /// As `ip netns` or the container runtime calls it.
    public var netnsName: String?
    public var cpu: UInt16
    public var packet: Packet?
    public var conntrack: ConntrackEntry?
    /// The kernel's name of the drop or reset reason, without the enum's prefix; of an INVALID packet,
    /// conntrack's words.
    public var reason: String?
    public var rule: Rule?
    public var process: ProcessIdentity?
    /// Device that the packet came in by (stage ingress) or leaves by (stage egress).
    public var interface: String?
    public var detail: StepDetail
    /// What was known of the connection's way by then.
    public var course: Course

    /// The SYN itself was there; an ICMP error that quotes it is another packet.
    func showsSyn(at stage: Stage) -> Bool {
        self.stage == stage && action != .icmp && packet?.flags.role == .syn
    }
}
