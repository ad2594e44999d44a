// One handshake attempt as the client dialled it, with everything that happened to it.

/// A TCP handshake attempt, followed through every rewrite, namespace and direction.
public final class Connection {
    /// The same on all lines of a connection; unlikely to be met again, also in another run.
    public let id: UInt64
    /// The client's initial sequence number.
    public let isn: UInt32
    /// As the client dialled it.
    public let dialled: Tuple
    /// CLOCK_MONOTONIC of the first step, nanoseconds.
    public let startTime: UInt64
    /// What is known of its way by now.
    public internal(set) var course = Course()
    /// In the order of time, at most `maximumSteps`.
    public internal(set) var steps: [Step] = []
    /// Steps that happened but were not kept, because `maximumSteps` were there already.
    public internal(set) var omittedSteps = 0
    public internal(set) var verdict: Verdict?
    /// Community ID v1 of the flow as dialled; computed when a sink first asks for it.
    public private(set) lazy var communityID: String = CommunityID.v1(dialled)

    /// A handshake takes some thirty steps through two namespaces; a SYN that is sent again
    /// and again for two minutes stays below this.
    public static let maximumSteps = 512

    /// As the packets really run after all translations seen so far; nil: not translated.
    public var translated: Tuple? { course.translated }

    var trail = Trail()
    /// What the latest SYN, first or sent again, led to. A later one may end otherwise.
    var attempt = Attempt()
    /// Whether a SYN came by a place for the second time: nothing that it was answered with ended the client's wait.
    var isSentAgain = false
    var establishment = Establishment()
    /// The server's initial sequence numbers: one, but for SYN cookies and servers that forget.
    private(set) var serverNumbers: [UInt32] = []
    /// The number that acknowledges the data in a SYN as well, less one (TCP Fast Open).
    var dataNumber: UInt32?
    /// Numbers under which the kernel side follows the connection.
    var followedNumbers: [UInt32] { [isn] + serverNumbers + (dataNumber.map { [$0] } ?? []) }
    /// When the connection wants to be looked at next; CLOCK_MONOTONIC, nanoseconds.
    var due: UInt64?
    var lastTime: UInt64
    /// The ending that the verdict was drawn from.
    var concluded: EndingKey?
    /// Under which verdict the totals have it; nil: not at all.
    var countedAs: VerdictCode?
    /// Whether it passes the filter.
    var isAskedFor = false
    /// Whether the sink was told of its steps.
    var isShown = false
    /// A decision of conntrack or NAT of which the next observation may tell more: the rule, the words.
    var pending: Observation?
    /// Whether it was ended and may only be looked at, not continued.
    var isGone = false

    init(isn: UInt32, dialled: Tuple, startTime: UInt64) {
        self.isn = isn
        self.dialled = dialled
        self.startTime = startTime
        lastTime = startTime
        id = Self.identity(isn: isn, dialled: dialled, startTime: startTime)
    }

    /// More than these would be no server that is worth following.
    private static let maximumServerNumbers = 8

    func noteServerNumber(_ number: UInt32) {
        guard !serverNumbers.contains(number), serverNumbers.count < Self.maximumServerNumbers else { return }
        serverNumbers.append(number)
    }

    /// FNV-1a over what makes the attempt unique: a replay must come to the same.
    private static func identity(isn: UInt32, dialled: Tuple, startTime: UInt64) -> UInt64 {
        var hash: UInt64 = 0xcbf2_9ce4_8422_2325
        func mix(_ word: UInt64) {
            for shift in stride(from: UInt64(0), to: 64, by: 8) {
                hash = (hash ^ (word >> shift & 0xff)) &* 0x100_0000_01b3
            }
        }
        mix(startTime)
        mix(UInt64(isn))
        for end in [dialled.source, dialled.destination] {
            mix(end.address.high)
            mix(end.address.low)
            mix(UInt64(end.port))
        }
        return hash
    }
}

/// What is known of a connection's way at one moment. A step keeps what was known then, so that
/// it reads the same whenever it is told.
public struct Course: Hashable, Sendable {
    /// As the packets really run after all translations seen so far; nil: not translated.
    public internal(set) var translated: Tuple?
    /// Devices by which the SYN first came in, and by which that namespace passed it on.
    public internal(set) var ingressInterface: String?
    public internal(set) var egressInterface: String?
}

/// What is known of the way that packets take: the tuples under which they were seen.
struct Trail {
    /// In the client's direction.
    private(set) var tuples: [Tuple] = []
    /// Entries whose decision or translation has its step already.
    var trackedEntries: Set<UInt64> = []
    var translations: Set<Translation> = []
    var ingressNetns: UInt32?
    /// Entries that a SYN of this connection matched and that were older than it.
    var olderEntries: Set<UInt64> = []
    /// Who of this machine sent ICMP errors about it: seen going out before any came in.
    var ownErrorSources: Set<IPAddress> = []
    /// Initial sequence numbers of servers whose SYN-ACK was first seen being made or going out.
    var localNumbers: Set<UInt32> = []
    /// Where the flow was translated, in the order of its way, with the rule where it is known.
    var translators: [Translator] = []

    struct Translation: Hashable {
        var entry: UInt64
        var action: Action
    }

    /// One side's translation in one namespace.
    struct Translator {
        var netns: UInt32
        var action: Action
        var stage: Stage?
        var before: Tuple
        var after: Tuple
        var rule: Rule?
    }

    /// A packet that is rewritten more often than this is in a loop.
    private static let maximumTuples = 16

    /// Once for each namespace and side; a rule that comes to be known later is added.
    mutating func note(_ translator: Translator) {
        guard
            let index = translators.firstIndex(where: {
                $0.netns == translator.netns && $0.action == translator.action
            })
        else {
            if translators.count < Self.maximumTuples { translators.append(translator) }
            return
        }
        if translators[index].rule == nil { translators[index].rule = translator.rule }
        // Seen when it was asked for, a choice was still to be made.
        translators[index].after = translator.after
    }

    mutating func note(_ tuple: Tuple) {
        guard !tuples.contains(tuple), tuples.count < Self.maximumTuples else { return }
        tuples.append(tuple)
    }

    func contains(_ tuple: Tuple) -> Bool { tuples.contains(tuple) }

    /// Whether a tuple may be this connection's after a rewrite that was not seen: one end is the same.
    func sharesEnd(with tuple: Tuple) -> Bool {
        tuples.contains {
            $0.source == tuple.source || $0.destination == tuple.destination
                || $0.source.address == tuple.source.address || $0.source.port == tuple.source.port
                || $0.destination.address == tuple.destination.address
        }
    }
}

/// Where a packet was seen last.
struct Sighting {
    var time: UInt64
    var kind: Kind
    var stage: Stage?
    var netns: UInt32
    var interface: String?
    /// Index of its step; -1: the step was not kept.
    var step: Int
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

    var places: Set<Place> = []
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
    var conntrackStages: [UInt32: Stage] = [:]
    var entry: ConntrackEntry?
    /// The rule or policy that decided last on a packet, by namespace.
    var rulings: [UInt32: Ruling] = [:]
    /// The first ICMP error about it, seen where it came in or was made.
    var icmp: (sighting: Sighting, error: ICMPError)?
    /// The listener that a finished handshake came to, and its queues then.
    var finishing: (sighting: Sighting, listener: BoundListener)?
    /// Namespaces in which a packet was past conntrack's hooks and had no entry.
    var passedWithoutEntry: Set<UInt32> = []

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
        /// The device that the packet had then: by which it came, or was to leave.
        var interface: String?
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
