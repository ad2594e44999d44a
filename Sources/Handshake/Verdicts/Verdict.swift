// A verdict: how a handshake ended, why, on what evidence, and what to change.

/// The contract's verdict codes.
public enum VerdictCode: String, Sendable, CaseIterable, Codable {
    case established
    case noListener = "no_listener"
    case listenerOtherAddress = "listener_other_address"
    case listenerLoopbackOnly = "listener_loopback_only"
    case listenerOtherDevice = "listener_other_device"
    case listenerOtherNetns = "listener_other_netns"
    case acceptQueueFull = "accept_queue_full"
    case socketRefused = "socket_refused"
    case filterDropped = "filter_dropped"
    case filterRejected = "filter_rejected"
    case forwardingDisabled = "forwarding_disabled"
    case routeLocalnetDisabled = "route_localnet_disabled"
    case rpFilter = "rp_filter"
    case noRoute = "no_route"
    case neighborUnreachable = "neighbor_unreachable"
    case conntrackFull = "conntrack_full"
    case conntrackInvalid = "conntrack_invalid"
    case staleConntrack = "stale_conntrack"
    case untracked
    case natExhausted = "nat_exhausted"
    case resetByBackend = "reset_by_backend"
    case resetByClient = "reset_by_client"
    case hairpinWithoutSNAT = "hairpin_without_snat"
    case asymmetricReply = "asymmetric_reply"
    case icmpUnreachable = "icmp_unreachable"
    case synUnanswered = "syn_unanswered"
    case synackUnanswered = "synack_unanswered"
    case dropped
    case unexplained
}

public enum Outcome: String, Sendable, Codable {
    case success, failure, unknown
}

/// A fact that a verdict stands on, beside the steps.
public enum Evidence: Hashable, Sendable {
    case listener(Listener)
    case sysctl(name: String, value: String)
    case route(String)
    case conntrackEntry(ConntrackEntry)
    case rule(Rule)
    case interface(name: String, addresses: [IPAddress])
    case counter(name: String, value: UInt64)

    /// The contract's `kind`.
    public var kind: String {
        switch self {
        case .listener: "listener"
        case .sysctl: "sysctl"
        case .route: "route"
        case .conntrackEntry: "conntrack_entry"
        case .rule: "rule"
        case .interface: "interface"
        case .counter: "counter"
        }
    }
}

/// The four questions of a troubleshooter. nil: the evidence does not say.
public struct Checklist: Hashable, Sendable {
    public enum Answer: String, Sendable { case synack, rst, icmp, none }
    public enum Conntrack: String, Sendable { case new, established, stale, invalid, untracked, none }

    public var synArrived: Bool?
    public var answer: Answer?
    public var conntrack: Conntrack?
    public var listenerMatches: Bool?

    public init(
        synArrived: Bool? = nil, answer: Answer? = nil, conntrack: Conntrack? = nil, listenerMatches: Bool? = nil
    ) {
        self.synArrived = synArrived
        self.answer = answer
        self.conntrack = conntrack
        self.listenerMatches = listenerMatches
    }
}

public struct Verdict: Sendable {
    public var code: VerdictCode
    public var outcome: Outcome
    /// One sentence that a person understands, naming addresses, rule, process.
    public var sentence: String
    /// What to change, most promising first, with the command to run where there is one.
    public var advice: [String]
    public var evidence: [Evidence]
    public var checklist: Checklist
    /// Where it ended.
    public var stage: Stage?
    public var function: String?
    public var reason: String?
    public var netns: UInt32
    public var netnsName: String?
    public var rule: Rule?
    public var process: ProcessIdentity?
    /// CLOCK_MONOTONIC, nanoseconds: when it was given.
    public var time: UInt64
    /// Nanoseconds from the first to the last step.
    public var duration: UInt64
    /// Whether it replaces an earlier verdict on the same connection.
    public var isRevised: Bool
    /// The earlier verdict, if it was told; for who counts.
    public var replaces: Replaced?

    public struct Replaced: Hashable, Sendable {
        public var code: VerdictCode
        /// `Verdict.ruleInQuestion` of that one.
        public var rule: Rule?
    }

    /// The rule that did it, or else the one that evidence names: which translated the destination, or would have.
    public var ruleInQuestion: Rule? {
        if let rule { return rule }
        for case .rule(let rule) in evidence { return rule }
        return nil
    }
}
