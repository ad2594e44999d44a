// What verdicts ask of routing, neighbours and the conntrack table of a namespace.

/// A question to the routing tables (RTM_GETROUTE, rtnetlink(7)).
public struct RouteQuery: Hashable, Sendable, Codable {
    public var destination: IPAddress
    /// nil: as for a packet that this machine sends and whose source is still to be chosen.
    public var source: IPAddress?
    /// Device by which the packet came in; nil: this machine sends it.
    public var inputInterface: String?
    public var netns: UInt32

    public init(destination: IPAddress, source: IPAddress?, inputInterface: String?, netns: UInt32) {
        self.destination = destination
        self.source = source
        self.inputInterface = inputInterface
        self.netns = netns
    }
}

/// What a route does with a packet.
public struct Route: Hashable, Sendable, Codable {
    /// RTN_* of linux/rtnetlink.h, and the lack of a route.
    public enum Kind: String, Hashable, Sendable, Codable {
        case unicast, local, broadcast, multicast, blackhole, unreachable, prohibit
        /// No route matches (ENETUNREACH).
        case none
        /// A route matches, and the kernel refuses the packet for another reason, see `refusal`.
        case refused
    }

    public var kind: Kind
    /// The next hop; nil: the destination is on the link, or is not forwarded at all.
    public var gateway: IPAddress?
    /// Device by which it leaves; nil: by none.
    public var interface: String?
    /// The kernel's answer in words where it refuses (`EXDEV`, the reverse-path check; `EINVAL`); nil: it
    /// does not.
    public var refusal: String?
    /// The route as `ip route` prints it, `blackhole 10.9.0.0/16`.
    public var text: String

    public init(kind: Kind, gateway: IPAddress?, interface: String?, refusal: String? = nil, text: String) {
        self.kind = kind
        self.gateway = gateway
        self.interface = interface
        self.refusal = refusal
        self.text = text
    }
}

/// A neighbour entry (RTM_GETNEIGH).
public struct Neighbour: Hashable, Sendable, Codable {
    /// NUD_* without its prefix, as `ip neigh` prints it: `REACHABLE`, `INCOMPLETE`, `FAILED`, ...
    public var state: String
    /// nil: not known.
    public var linkAddress: String?

    public init(state: String, linkAddress: String?) {
        self.state = state
        self.linkAddress = linkAddress
    }

    /// Whether the kernel does not know, for the time being, where to send.
    public var isUnresolved: Bool { state == "FAILED" || state == "INCOMPLETE" }
}

/// A look into the conntrack table (IPCTNL_MSG_CT_GET): the entry that has `tuple` as the tuple of
/// this direction.
public struct ConntrackQuery: Hashable, Sendable, Codable {
    public var tuple: Tuple
    public var zone: UInt16
    public var netns: UInt32

    public init(tuple: Tuple, zone: UInt16, netns: UInt32) {
        self.tuple = tuple
        self.zone = zone
        self.netns = netns
    }
}

/// An entry as the conntrack table has it now.
public struct TrackedFlow: Hashable, Sendable, Codable {
    public var original: Tuple
    public var reply: Tuple
    /// enum tcp_conntrack.
    public var state: UInt8
    /// IPS_*.
    public var status: UInt32
    public var zone: UInt16

    public init(original: Tuple, reply: Tuple, state: UInt8, status: UInt32, zone: UInt16) {
        self.original = original
        self.reply = reply
        self.state = state
        self.status = status
        self.zone = zone
    }
}
