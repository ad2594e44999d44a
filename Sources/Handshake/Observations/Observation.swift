// One observation of the kernel side, decoded: what `struct nattrace_observation` in
// bpf/observation.h says, as Swift values. Decoding copies and never allocates: all of it is plain bytes
// (BitwiseCopyable), so that handing one on costs a copy of memory and no counting of references.

import CNattrace

/// What a hook saw. Unknown raw values are refused by `Observation.init`, not trapped on.
public enum Kind: UInt8, Sendable, BitwiseCopyable {
    case packet = 1
    case conntrack
    case natSetup
    case natPacket
    case deliver
    case listener
    case request
    case reset
    case drop
    case transmit
    case retransmit
    case socketState
    case rule
    case icmp
    case module = 32
}

/// TCP flags as on the wire (RFC 9293, 3.1).
public struct TCPFlags: OptionSet, Hashable, Sendable, BitwiseCopyable, Codable {
    public let rawValue: UInt8
    public init(rawValue: UInt8) { self.rawValue = rawValue }
    public static let fin = TCPFlags(rawValue: 1)
    public static let syn = TCPFlags(rawValue: 2)
    public static let rst = TCPFlags(rawValue: 4)
    public static let psh = TCPFlags(rawValue: 8)
    public static let ack = TCPFlags(rawValue: 16)
    public static let urg = TCPFlags(rawValue: 32)
    public static let ece = TCPFlags(rawValue: 64)
    public static let cwr = TCPFlags(rawValue: 128)

    /// What a packet is within a handshake.
    public var role: PacketRole {
        if contains(.rst) { return .rst }
        if contains(.syn) { return contains(.ack) ? .synack : .syn }
        return .ack
    }
}

public enum PacketRole: Sendable, BitwiseCopyable {
    case syn, synack, ack, rst
}

/// A TCP packet as it was at one point.
public struct Packet: Hashable, Sendable, BitwiseCopyable {
    public var tuple: Tuple
    public var flags: TCPFlags
    public var seq: UInt32
    public var ack: UInt32
    /// TCP payload in bytes, at most 65535.
    public var payload: UInt16

    public init(tuple: Tuple, flags: TCPFlags, seq: UInt32, ack: UInt32, payload: UInt16) {
        self.tuple = tuple
        self.flags = flags
        self.seq = seq
        self.ack = ack
        self.payload = payload
    }
}

/// A conntrack entry as `skb->_nfct` or the hooked function showed it (`struct nf_conn`).
public struct ConntrackEntry: Hashable, Sendable, BitwiseCopyable {
    /// Kernel address: tells entries apart, never followed. Freed addresses are reused.
    public var identity: UInt64
    /// The flow as dialled, and as its answers look; what differs was translated.
    public var original: Tuple
    public var reply: Tuple
    /// IPS_* (linux/netfilter/nf_conntrack_common.h).
    public var status: ConntrackStatus
    /// enum tcp_conntrack.
    public var state: UInt8
    public var zone: UInt16
    /// Whether the packet that showed the entry ran in the direction of `reply`.
    public var isReplyDirection: Bool
    public var isNew: Bool

    /// The flow as it leaves the translation: where the packets really go.
    public var translated: Tuple { reply.reversed }
    public var translatesDestination: Bool { original.destination != translated.destination }
    public var translatesSource: Bool { original.source != translated.source }
}

/// Status bits of an entry, IPS_* in linux/netfilter/nf_conntrack_common.h.
public struct ConntrackStatus: OptionSet, Hashable, Sendable, BitwiseCopyable {
    public let rawValue: UInt32
    public init(rawValue: UInt32) { self.rawValue = rawValue }
    public static let expected = ConntrackStatus(rawValue: 1 << 0)
    public static let seenReply = ConntrackStatus(rawValue: 1 << 1)
    public static let assured = ConntrackStatus(rawValue: 1 << 2)
    public static let confirmed = ConntrackStatus(rawValue: 1 << 3)
    public static let sourceNAT = ConntrackStatus(rawValue: 1 << 4)
    public static let destinationNAT = ConntrackStatus(rawValue: 1 << 5)
    public static let sequenceAdjust = ConntrackStatus(rawValue: 1 << 6)
    public static let sourceNATDone = ConntrackStatus(rawValue: 1 << 7)
    public static let destinationNATDone = ConntrackStatus(rawValue: 1 << 8)
    public static let dying = ConntrackStatus(rawValue: 1 << 9)

    static let names: [(ConntrackStatus, String)] = [
        (.expected, "EXPECTED"), (.seenReply, "SEEN_REPLY"), (.assured, "ASSURED"), (.confirmed, "CONFIRMED"),
        (.sourceNAT, "SRC_NAT"), (.destinationNAT, "DST_NAT"), (.sequenceAdjust, "SEQ_ADJUST"),
        (.sourceNATDone, "SRC_NAT_DONE"), (.destinationNATDone, "DST_NAT_DONE"), (.dying, "DYING"),
    ]

    /// The kernel's names without `IPS_`, lowest bit first.
    public var names: [String] { Self.names.filter { contains($0.0) }.map(\.1) }

    /// Like `names`, without making a list.
    public func forEachName(_ body: (String) -> Void) {
        for (bit, name) in Self.names where contains(bit) { body(name) }
    }

    /// Whether any bit is set that has a name.
    public var hasNames: Bool { Self.names.contains { contains($0.0) } }
}

extension ConntrackEntry {
    private static let states = [
        "NONE", "SYN_SENT", "SYN_RECV", "ESTABLISHED", "FIN_WAIT", "CLOSE_WAIT", "LAST_ACK", "TIME_WAIT", "CLOSE",
        "SYN_SENT2",
    ]

    /// enum tcp_conntrack without `TCP_CONNTRACK_`, as `conntrack -L` prints it.
    public var stateName: String? {
        Int(state) < Self.states.count ? Self.states[Int(state)] : nil
    }
}

public enum ConntrackDecision: UInt8, Sendable, BitwiseCopyable {
    case asked = 0
    case new
    case match
    case invalid
    case untracked
    /// A SYN sent again, and the entry that its first one made.
    case again
}

public enum Manipulation: UInt8, Sendable, BitwiseCopyable {
    case source = 0
    case destination
}

public enum ResetMaker: UInt8, Sendable, BitwiseCopyable {
    /// TCP answered a packet with it.
    case tcp = 0
    /// TCP aborted a connection of its own.
    case active
    /// A netfilter rule rejected the packet.
    case netfilter
}

/// TCP_* of net/tcp_states.h.
public enum SocketState: UInt8, Sendable, BitwiseCopyable {
    case established = 1
    case synSent, synReceived, finWait1, finWait2, timeWait, close, closeWait, lastAck, listen, closing
    case newSynReceived
}

/// What a NAT rule asks for (`struct nf_nat_range2`): an interval of addresses and ports.
public struct NATRange: Hashable, Sendable, BitwiseCopyable {
    public var first: Endpoint
    public var last: Endpoint
    /// NF_NAT_RANGE_*: which of the two is asked for at all.
    public var flags: UInt32
}

/// Where the listener that a look-up found is bound.
public struct BoundListener: Hashable, Sendable, BitwiseCopyable {
    public var address: IPAddress
    public var port: UInt16
    public var interfaceIndex: UInt32
    /// How full its queues were then; nil: not known.
    public var queues: ListenerQueues?
}

/// The two queues of a listener, which share one limit (`sk_max_ack_backlog`).
public struct ListenerQueues: Hashable, Sendable, BitwiseCopyable {
    /// Connections waiting for accept(2), half-open handshakes, and the limit of listen(2) for each.
    public var accept: UInt32
    public var syn: UInt32
    public var limit: UInt32

    /// As `sk_acceptq_is_full` has it: one more than the limit may wait.
    public var isAcceptQueueFull: Bool { accept > limit }

    /// As `inet_csk_reqsk_queue_is_full` had it, which lately lets one more in: full only if the SYN was then
    /// let go.
    public var isSynQueueFull: Bool { syn >= limit }
}

/// An nftables rule, or the policy of a base chain, that decided on a packet, as the kernel told.
public struct RuleSighting: Hashable, Sendable, BitwiseCopyable {
    public var family: RuleFamily
    public var verdict: RuleVerdict
    public var isPolicy: Bool
    /// 0: a policy has none.
    public var handle: UInt64
    private let tableText: FixedText32
    private let chainText: FixedText32

    public var table: String { tableText.string }
    /// nil: not known.
    public var chain: String? { chainText.isEmpty ? nil : chainText.string }

    init(family: RuleFamily, rule: nattrace_rule, isPolicy: Bool, verdict: RuleVerdict) {
        self.family = family
        self.verdict = verdict
        self.isPolicy = isPolicy
        handle = UInt64(rule.handle_high) << 32 | UInt64(rule.handle_low)
        tableText = FixedText32(rule.table)
        chainText = FixedText32(rule.chain)
    }
}

/// What a rule says of a packet: NF_* of linux/netfilter.h, NFT_* of nf_tables.h.
public enum RuleVerdict: Hashable, Sendable, BitwiseCopyable {
    case drop, accept, stolen, queue
    /// All its matches held, and the next rule is asked.
    case proceed
    /// A jump, a return, or what a later kernel knows.
    case other

    public var name: String {
        switch self {
        case .drop: "drop"
        case .accept: "accept"
        case .stolen: "stolen"
        case .queue: "queue"
        case .proceed: "continue"
        case .other: "other"
        }
    }

    init(_ raw: UInt32) {
        switch raw & 0xff {
        case _ where raw == UInt32(NATTRACE_VERDICT_CONTINUE): self = .proceed
        case _ where raw > 0x7fff_ffff: self = .other
        case UInt32(NATTRACE_VERDICT_DROP): self = .drop
        case UInt32(NATTRACE_VERDICT_ACCEPT): self = .accept
        case UInt32(NATTRACE_VERDICT_STOLEN): self = .stolen
        case UInt32(NATTRACE_VERDICT_QUEUE): self = .queue
        default: self = .other
        }
    }
}

/// An ICMP error that quotes a packet of the handshake.
public struct ICMPError: Hashable, Sendable, BitwiseCopyable {
    /// Who says so, and to whom.
    public var source: IPAddress
    public var destination: IPAddress
    public var type: UInt8
    public var code: UInt8
}

/// What is particular to one kind of observation.
public enum ObservationDetail: Hashable, Sendable, BitwiseCopyable {
    case none
    case conntrack(ConntrackDecision)
    case natSetup(Manipulation, NATRange)
    case natPacket(Manipulation)
    /// nil: the look-up found nothing.
    case listener(BoundListener?)
    case reset(ResetMaker)
    case socketState(from: SocketState, to: SocketState)
    /// Why conntrack calls a packet INVALID, in its own words, if it has any.
    case invalid(FixedText72)
    case rule(RuleSighting)
    case icmp(ICMPError)
}

public struct Observation: Sendable, BitwiseCopyable {
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64
    /// Kernel address of the socket, an identity only; 0: none.
    public var socket: UInt64
    /// Kernel code address: where a packet was dropped; 0: not known.
    public var location: UInt64
    /// The client's initial sequence number.
    public var isn: UInt32
    /// Inode number of the network namespace, 0: not known.
    public var netns: UInt32
    /// Raw drop or reset reason; nil where the kernel has none.
    public var reason: UInt32?
    /// Process in whose context it happened, 0: not known.
    public var pid: UInt32
    public var interfaceIndex: UInt32
    public var cpu: UInt16
    public var kind: Kind
    public var hook: Hook
    public var backend: Backend
    public var stage: Stage?
    public var detail: ObservationDetail
    public var packet: Packet?
    public var conntrack: ConntrackEntry?
    /// Whether `skb->_nfct` said "untracked" (IP_CT_UNTRACKED).
    public var isUntracked: Bool
    /// Device or process name, NUL-padded; see `nameString`.
    public var name: FixedName

    /// Decodes the kernel's bytes. nil: a kind, hook or backend that this version does not know.
    public init?(_ raw: borrowing nattrace_observation) {
        guard let kind = Kind(rawValue: raw.kind), let hook = Hook(rawValue: raw.hook),
            let backend = Backend(rawValue: raw.backend), backend != .inferred
        else { return nil }
        self.kind = kind
        self.hook = hook
        self.backend = backend
        time = raw.time_ns
        socket = raw.sock
        location = raw.location
        isn = raw.isn
        netns = raw.netns
        pid = raw.pid
        interfaceIndex = raw.ifindex
        cpu = raw.cpu
        stage = Stage(rawValue: raw.stage)
        reason = raw.has_reason != 0 ? raw.reason : nil
        name = FixedName(raw.name)
        isUntracked = raw.ct == 0 ? raw.ct_info == UInt8(NATTRACE_CTINFO_UNTRACKED) : false

        let family = IPAddress.Family(rawValue: raw.family)
        packet = nil
        conntrack = nil
        if let family {
            if kind != .natSetup {
                packet = Packet(
                    tuple: Tuple(raw.packet, family: family), flags: TCPFlags(rawValue: raw.tcp_flags), seq: raw.seq,
                    ack: raw.ack, payload: raw.payload)
            }
            if raw.ct != 0, kind != .listener, kind != .rule, kind != .icmp {
                // enum ip_conntrack_info: 0 ESTABLISHED, 1 RELATED, 2 NEW, +3 in the reply direction.
                conntrack = ConntrackEntry(
                    identity: raw.ct, original: Tuple(raw.ct_original, family: family),
                    reply: Tuple(raw.ct_reply, family: family), status: ConntrackStatus(rawValue: raw.ct_status),
                    state: raw.ct_state, zone: raw.ct_zone, isReplyDirection: raw.ct_info >= 3,
                    isNew: raw.ct_info == 2)
            }
        }

        switch kind {
        case .conntrack:
            guard let decision = ConntrackDecision(rawValue: raw.detail) else { return nil }
            detail = decision == .invalid ? .invalid(FixedText72(raw.text)) : .conntrack(decision)
            if decision == .invalid { conntrack = nil }
        case .natSetup:
            guard let manipulation = Manipulation(rawValue: raw.detail), let family else { return nil }
            let range = Tuple(raw.packet, family: family)
            detail = .natSetup(
                manipulation, NATRange(first: range.source, last: range.destination, flags: raw.reason))
            reason = nil
        case .natPacket:
            guard let manipulation = Manipulation(rawValue: raw.detail) else { return nil }
            detail = .natPacket(manipulation)
        case .listener:
            // A dual-stack listener that was found for IPv4 is bound in IPv6: AF_INET6 is 10.
            let bound = raw.bound
            detail = .listener(
                raw.sock == 0
                    ? nil
                    : BoundListener(
                        address: IPAddress(family: bound.family == 10 ? .v6 : .v4, bytes: bound.address),
                        port: bound.port, interfaceIndex: bound.ifindex,
                        queues: bound.queues_known == 0
                            ? nil
                            : ListenerQueues(
                                accept: bound.accept_queue, syn: bound.syn_queue, limit: bound.queue_limit)))
        case .reset:
            guard let maker = ResetMaker(rawValue: raw.detail) else { return nil }
            detail = .reset(maker)
        case .socketState:
            guard let old = SocketState(rawValue: raw.detail >> 4), let new = SocketState(rawValue: raw.detail & 15)
            else { return nil }
            detail = .socketState(from: old, to: new)
        case .rule:
            guard let ruleFamily = RuleFamily(rawValue: raw.rule_family) else { return nil }
            detail = .rule(
                RuleSighting(
                    family: ruleFamily, rule: raw.rule, isPolicy: raw.detail == UInt8(NATTRACE_RULE_POLICY),
                    verdict: RuleVerdict(raw.reason)))
        case .icmp:
            guard let family else { return nil }
            detail = .icmp(
                ICMPError(
                    source: IPAddress(family: family, bytes: raw.icmp.source),
                    destination: IPAddress(family: family, bytes: raw.icmp.destination), type: raw.icmp.type,
                    code: raw.icmp.code))
        default:
            detail = .none
        }
    }
}
