// What verdicts ask of a namespace's rulesets: a rule by its handle, and which rules could have
// done something to a packet.

/// nfproto (linux/netfilter.h): the family of a table, by its number in the kernel.
public enum RuleFamily: UInt8, Hashable, Sendable, BitwiseCopyable, Codable {
    case inet = 1
    case ip = 2
    case arp = 3
    case netdev = 5
    case bridge = 7
    case ip6 = 10

    /// As `nft` calls it.
    public var name: String {
        switch self {
        case .inet: "inet"
        case .ip: "ip"
        case .arp: "arp"
        case .netdev: "netdev"
        case .bridge: "bridge"
        case .ip6: "ip6"
        }
    }
}

/// A search for the rules that could have done something to a packet, in the rulesets of one
/// namespace: nftables, and both iptables of the old kind.
public struct RuleSearch: Hashable, Sendable, Codable {
    public enum Effect: Hashable, Sendable, Codable {
        /// Dropped it: by a verdict, or as the policy of a base chain.
        case drop
        /// Rejected it, with an RST or an ICMP error.
        case reject
        /// Kept it from conntrack.
        case notrack
        /// Translates its destination; where `to` is given, to this.
        case translateDestination(to: Endpoint?)
        /// Translates its source; where `to` is given, to this.
        case translateSource(to: Endpoint?)
    }

    /// What rules call conntrack's state of a packet (`ct state`, `--ctstate`): just one of these.
    public enum TrackingState: String, Codable, Hashable, Sendable {
        case new, established, related
        /// It has no entry: conntrack could not place it.
        case invalid
        /// It has no entry: a rule kept it from conntrack.
        case untracked
    }

    public var effect: Effect
    /// Where it happened: rules are asked that are reached from netfilter's hook of this stage;
    /// nil: from any.
    public var stage: Stage?
    /// The packet as it was there: ends, and whether it was a SYN, a SYN-ACK, an ACK or an RST.
    public var tuple: Tuple
    public var flags: TCPFlags
    /// Names of the devices by which it came in and is to leave; nil: not known.
    public var inputInterface: String?
    public var outputInterface: String?
    public var netns: UInt32
    /// Conntrack's state of the packet where it happened; nil: not known. Chains before conntrack are asked
    /// without it.
    public var tracking: TrackingState?

    public init(
        effect: Effect, stage: Stage?, tuple: Tuple, flags: TCPFlags, inputInterface: String?,
        outputInterface: String?, netns: UInt32, tracking: TrackingState? = nil
    ) {
        self.effect = effect
        self.stage = stage
        self.tuple = tuple
        self.flags = flags
        self.inputInterface = inputInterface
        self.outputInterface = outputInterface
        self.netns = netns
        self.tracking = tracking
    }
}

/// The answer: rules that would have that effect and of whose matches none is known to fail.
public struct RuleCandidates: Hashable, Sendable, Codable {
    public struct Candidate: Hashable, Sendable, Codable {
        public var rule: Rule
        /// Whether every one of its matches, and of those on a way to its chain, is known to hold.
        public var isCertain: Bool

        public init(rule: Rule, isCertain: Bool) {
            self.rule = rule
            self.isCertain = isCertain
        }
    }

    /// In the order in which a packet would meet them.
    public var candidates: [Candidate]
    /// Whether every ruleset of the namespace could be read: a rule that is the only candidate of all
    /// there are has done it.
    public var isComplete: Bool

    public init(candidates: [Candidate], isComplete: Bool) {
        self.candidates = candidates
        self.isComplete = isComplete
    }

    /// Whether one of them must have met the packet.
    public var hasCertain: Bool { candidates.contains(where: \.isCertain) }

    /// The rule that must have done it; nil: none or several could have, or not all could be read.
    public var only: Rule? { isComplete && candidates.count == 1 ? candidates[0].rule : nil }
}
