// What one SYN led to, as far as it was seen: what verdicts are drawn from.

/// Where a packet was seen last.
struct Sighting: BitwiseCopyable {
    var time: UInt64
    /// Index of its step; -1: the step was not kept.
    var step: Int
    var netns: UInt32
    var kind: Kind
    var stage: Stage?
}

/// What one SYN led to.
struct Attempt {
    /// A place on the way; to come by it again means that the SYN was sent again.
    struct Place: Hashable {
        var hook: Hook
        var netns: UInt32
        var interface: UInt32
        var tuple: Tuple
    }

    var places = Few<Place>()
    var firstSyn: Sighting?
    var lastSyn: Sighting?
    var delivered: Sighting?
    /// The look-up's result; outer nil: no look-up was seen.
    var lookup: (sighting: Sighting, found: BoundListener?)?
    var request: Sighting?
    /// The first sighting of a SYN-ACK says whether it was made on this machine.
    var firstSynack: Sighting?
    var lastSynack: Sighting?
    /// The server's initial sequence number in the latest SYN-ACK.
    var answerNumber: UInt32?
    var ack: Sighting?
    /// An RST that this machine made.
    var reset: Reset?
    /// The first and last sightings of an RST packet from the server's side.
    var firstRst: Sighting?
    var lastRst: Sighting?
    /// The first sighting of an RST packet from the client.
    var clientRst: Sighting?
    /// Steps of drops that no later sighting of the same kind of packet outlived.
    var drop: Drop?
    /// Packets that conntrack called INVALID, by their role: the first of each.
    var invalid: [PacketRole: Sighting] = [:]
    /// Where packets were kept from conntrack, by their role: the first of each.
    var untracked: [PacketRole: Sighting] = [:]
    /// Where the SYN matched an entry that was there before the connection began, and that entry.
    var stale: (sighting: Sighting, entry: ConntrackEntry)?
    /// Put to conntrack, which has not said anything yet.
    var askedConntrack: Sighting?
    /// Where packets were put to conntrack last, by namespace: its functions do not all tell.
    var conntrackStages = FewByKey<UInt32, Stage>()
    var entry: ConntrackEntry?
    /// The rule or policy that decided last on a packet, by namespace.
    var rulings: [UInt32: Ruling] = [:]
    /// The first ICMP error about it, seen where it came in or was made.
    var icmp: (sighting: Sighting, error: ICMPError)?
    /// The listener that a finished handshake came to, and its queues then.
    var finishing: (sighting: Sighting, listener: BoundListener)?
    /// Namespaces in which a packet was past conntrack's hooks and had no entry.
    var passedWithoutEntry = Few<UInt32>()

    /// Where a listener was found and had no room for the SYN, which is then let go without a drop
    /// (tcp_conn_request); or none for the connection that its last ACK would have made.
    var overflow: Sighting? {
        if let finishing { return finishing.sighting }
        guard let lookup, let queues = lookup.found?.queues, request == nil, firstSynack == nil,
            queues.isAcceptQueueFull || queues.isSynQueueFull
        else { return nil }
        return lookup.sighting
    }

    /// Whether the SYN was answered with an RST. That of an answer is the client's own.
    var hasResetForClient: Bool {
        firstRst != nil || reset.map { $0.packet.flags.role != .synack } == true
    }

    struct Reset {
        var sighting: Sighting
        var maker: ResetMaker
        var hasSocket: Bool
        var packet: Packet
    }

    struct Drop {
        var sighting: Sighting
        var role: PacketRole
        var packet: Packet
        var device: FixedName

        /// The device that the packet had then: by which it came, or was to leave.
        var interface: String? { device.text }
    }

    /// A rule's or policy's decision, seen where it was made.
    struct Ruling {
        var sighting: Sighting
        var rule: Rule
        var isPolicy: Bool
        var verdict: RuleVerdict
        var role: PacketRole
    }
}

/// Which ends of the connection say that it is established. Once said, it stays.
struct Establishment {
    var client: Sighting?
    var server: Sighting?
    /// The ACK that ends the handshake, seen leaving towards the server.
    var forwarded: Sighting?
}
