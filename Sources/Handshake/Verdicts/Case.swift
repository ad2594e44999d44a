// What is laid before the causes: one connection's evidence, and the facts that they ask for.

/// How the latest attempt ended, as far as it was seen. Ordered: what proves more comes first.
enum Ending {
    case established(Sighting)
    /// This machine made an RST, seen where it was made.
    case reset(Attempt.Reset)
    /// An RST left this machine and the hook that makes it was not seen.
    case resetFromHere(Sighting)
    /// An RST came in from outside of what is observed.
    case resetFromElsewhere(Sighting)
    case dropped(Attempt.Drop)
    /// The listener had no room: the packet that asked for it went no further, without a drop.
    case overflow(Sighting)
    /// The client's side answered a SYN-ACK with an RST.
    case resetByClient(Sighting)
    /// An ICMP error came in from outside of what is observed.
    case icmp(Sighting, ICMPError)
    /// A SYN-ACK went out and nothing came back.
    case answeredOnly(Sighting)
    /// The SYN was passed on and nothing came back.
    case passedOn(Sighting)
    /// The SYN was last seen here.
    case lost(Sighting)
    case nothing
}

/// What makes two endings the same: the kind, and where.
struct EndingKey: Hashable {
    var kind: Int
    var function: String?
    var netns: UInt32
}

extension Ending {
    func key(in connection: Connection) -> EndingKey {
        func key(_ kind: Int, _ at: Sighting?) -> EndingKey {
            let step = at.flatMap { connection.steps.indices.contains($0.step) ? connection.steps[$0.step] : nil }
            return EndingKey(kind: kind, function: step?.function, netns: at?.netns ?? 0)
        }
        return switch self {
        case .established(let at): key(0, at)
        case .reset(let reset): key(1, reset.sighting)
        case .resetFromHere(let at): key(2, at)
        case .resetFromElsewhere(let at): key(3, at)
        case .dropped(let drop): key(4, drop.sighting)
        case .answeredOnly(let at): key(5, at)
        case .passedOn(let at): key(6, at)
        case .lost(let at): key(7, at)
        case .nothing: key(8, nil)
        case .overflow(let at): key(9, at)
        case .resetByClient(let at): key(10, at)
        case .icmp(let at, _): key(11, at)
        }
    }

    /// Whether it differs from what the connection's verdict was drawn from, and is not merely the
    /// lack of anything better.
    func explainsMore(than connection: Connection) -> Bool {
        switch self {
        case .lost, .nothing: false
        default: key(in: connection) != connection.concluded
        }
    }
}

extension Connection {
    /// nil: nothing has ended yet.
    var decisiveEnding: Ending? {
        if let end = establishedBy { return .established(end) }
        if let reset = attempt.reset { return .reset(reset) }
        if let rst = attempt.firstRst {
            return rst.stage == .egress ? .resetFromHere(rst) : .resetFromElsewhere(rst)
        }
        if let drop = attempt.drop, !isRefusedByClient(drop) { return .dropped(drop) }
        if let overflow = attempt.overflow { return .overflow(overflow) }
        if let rst = attempt.clientRst { return .resetByClient(rst) }
        if let icmp = attempt.icmp, icmp.sighting.stage == .ingress { return .icmp(icmp.sighting, icmp.error) }
        return nil
    }

    /// An answer that the client's TCP freed, which it had refused with the RST that left there.
    private func isRefusedByClient(_ drop: Attempt.Drop) -> Bool {
        guard drop.role == .synack, drop.sighting.stage == .socket, let rst = attempt.clientRst else { return false }
        return rst.stage == .egress && rst.netns == drop.sighting.netns
    }

    /// How it stands when waiting is over.
    var ending: Ending {
        if let decisive = decisiveEnding { return decisive }
        if let synack = attempt.lastSynack ?? attempt.firstSynack, attempt.ack == nil {
            return synack.stage == .egress ? .answeredOnly(synack) : .lost(synack)
        }
        guard let syn = attempt.lastSyn else { return .nothing }
        return syn.stage == .egress && attempt.ack == nil ? .passedOn(syn) : .lost(attempt.ack ?? syn)
    }

    /// The last end that has to say so: a server on this machine, else a client on it, else the
    /// ACK on its way to the server.
    private var establishedBy: Sighting? {
        if let server = establishment.server { return server }
        if isServerLocal { return nil }
        return establishment.client ?? (attempt.firstSynack == nil ? nil : establishment.forwarded)
    }

    /// Whether the SYN-ACK was made on this machine: it was seen going out before it came in. What an
    /// attempt begins with may be that answer sent again, and already be under way.
    var isServerLocal: Bool {
        attempt.request != nil || attempt.answerNumber.map(trail.localNumbers.contains) ?? false
    }
}

/// One connection at the moment of its verdict.
final class Case {
    let connection: Connection
    let ending: Ending
    /// Tracing ends: what stands is said, and what does not is said to be unknown.
    let isFinal: Bool
    /// It ends because there is no room for more, not because tracing does.
    let isEvicted: Bool
    /// Observations were lost since the connection began: what was not seen proves nothing.
    let isIncomplete: Bool
    /// When the verdict is given; CLOCK_MONOTONIC, nanoseconds.
    let time: UInt64
    /// Hooks that are known to be attached.
    let observedHooks: Set<Hook>
    let homeNetns: UInt32?
    let facts: any Facts

    init(
        _ connection: Connection, ending: Ending, isFinal: Bool, isEvicted: Bool = false,
        isIncomplete: Bool = false, time: UInt64, observedHooks: Set<Hook>, homeNetns: UInt32? = nil,
        facts: any Facts
    ) {
        self.connection = connection
        self.ending = ending
        self.isFinal = isFinal
        self.isEvicted = isEvicted
        self.isIncomplete = isIncomplete
        self.time = time
        self.observedHooks = observedHooks
        self.homeNetns = homeNetns
        self.facts = facts
    }

    // MARK: Evidence

    /// A SYN that TCP answered with RST without having found a socket.
    ///
    /// Where the maker of the RST cannot be hooked, an RST that leaves and the SYN being freed for
    /// want of a socket say the same.
    var unheardSyn: Attempt.Reset? {
        if case .reset(let reset) = ending, reset.maker == .tcp, !reset.hasSocket, reset.packet.flags.role == .syn {
            return reset
        }
        return synFreedBesideReset(by: \.isFreedWithoutSocket).map {
            Attempt.Reset(sighting: $0.sighting, maker: .tcp, hasSocket: false, packet: $0.packet)
        }
    }

    /// Where netfilter rejected a packet with an RST of its own, or, unseen, with one that left while
    /// the SYN was dropped by it.
    var rejection: Sighting? {
        if case .reset(let reset) = ending, reset.maker == .netfilter { return reset.sighting }
        if let drop = synFreedBesideReset(by: \.isFreedByNetfilter) { return drop.sighting }
        // An ICMP error that was made here while netfilter dropped the packet that it quotes.
        guard case .dropped(let drop) = ending, netfilterDrop != nil else { return nil }
        if let icmp = connection.attempt.icmp, icmp.sighting.netns == drop.sighting.netns,
            icmp.sighting.stage == .egress
        {
            return drop.sighting
        }
        return silentRejection
    }

    /// The SYN that was freed so in the namespace that an RST left, its maker unseen.
    private func synFreedBesideReset(by kind: KeyPath<Step, Bool>) -> Attempt.Drop? {
        guard case .resetFromHere(let rst) = ending, let drop = connection.attempt.drop, drop.role == .syn,
            drop.sighting.netns == rst.netns, step(drop.sighting)?[keyPath: kind] == true
        else { return nil }
        return drop
    }

    /// Whether the SYN was stopped on the machine that made it, and by no device left.
    var isStoppedBeforeItLeft: Bool {
        guard !isIncomplete, let place = droppedPacket?.sighting ?? rejection, let step = step(place),
            step.packet?.flags.role == .syn, step.stage == .output || step.stage == .postrouting
        else { return false }
        return !connection.steps.contains { $0.showsSyn(at: .egress) }
    }

    /// Where the client's SYN really went, in the namespace that ended it.
    var target: Endpoint {
        if let reset = unheardSyn { return reset.packet.tuple.destination }
        if case .dropped(let drop) = ending, drop.role == .syn { return drop.packet.tuple.destination }
        return connection.translated?.destination ?? connection.dialled.destination
    }

    func step(_ sighting: Sighting) -> Step? {
        connection.steps.indices.contains(sighting.step) ? connection.steps[sighting.step] : nil
    }

    // MARK: Facts

    /// Sockets that listen on the target's port in the namespace that looked for one; nil: could
    /// not be asked.
    lazy var listeners: [Listener]? = {
        guard let place = listeningPlace, place.netns != 0 else { return nil }
        return facts.listeners(port: target.port, netns: place.netns)?
            .sorted { ($0.address, $0.inode) < ($1.address, $1.inode) }
    }()

    /// The same in all other namespaces of the machine.
    lazy var listenersElsewhere: [Listener]? = {
        guard let place = listeningPlace, place.netns != 0 else { return nil }
        return facts.listenersElsewhere(port: target.port, netns: place.netns)?
            .filter { !isSibling($0) }
            .sorted {
                ($0.elsewhere?.inode ?? 0, $0.address, $0.inode) < ($1.elsewhere?.inode ?? 0, $1.address, $1.inode)
            }
    }()

    /// Where a listener was looked for, or must have been.
    private var listeningPlace: Sighting? {
        if let reset = unheardSyn { return reset.sighting }
        switch ending {
        case .overflow(let at), .lost(let at): return at
        case .reset(let reset): return reset.sighting
        case .dropped(let drop): return drop.sighting
        default: return nil
        }
    }

    /// Those that would take a SYN to the target, but for the device that they are tied to.
    var matchingListeners: [Listener] { (listeners ?? []).filter { $0.accepts(target.address) } }
    /// Those that no device keeps from it: they listen since after the SYN came.
    var lateListeners: [Listener] {
        matchingListeners.filter { listener in
            guard let tied = listener.interface else { return deafVRF == nil }
            return tied.name != nil && (tied.name == arrivalDevice || tied.name == arrivalVRF)
        }
    }

    /// The VRF by which the SYN came in, where sockets that are tied to nothing hear nothing of it
    /// (tcp_l3mdev_accept, inet_bound_dev_eq); nil: none, or they do.
    var deafVRF: String? { hearsNoVRF ? arrivalVRF : nil }

    /// The VRF that has the device by which the SYN came in.
    lazy var arrivalVRF: String? = {
        unheardSyn.flatMap { vrf(ofArrivalIn: $0.sighting.netns) }
    }()

    /// The VRF that has the device by which the SYN came into a namespace; nil: none.
    func vrf(ofArrivalIn netns: UInt32) -> String? {
        guard netns != 0, let device = arrivalDevice(in: netns) else { return nil }
        return facts.name(.vrf(interface: device, netns: netns))
    }

    private lazy var hearsNoVRF: Bool = {
        guard let netns = unheardSyn?.sighting.netns, netns != 0 else { return false }
        return facts.sysctl("net/ipv4/tcp_l3mdev_accept", netns: netns) == "0"
    }()

    /// The device by which the SYN came into the namespace that looked for a listener.
    var arrivalDevice: String? { unheardSyn.flatMap { arrivalDevice(in: $0.sighting.netns) } }

    /// The device by which the SYN came into a namespace: of a bridge's port and the bridge, the bridge.
    func arrivalDevice(in netns: UInt32) -> String? {
        connection.steps.last { $0.action == .syn && $0.stage == .ingress && $0.netns == netns }?.interface
    }
    var otherListeners: [Listener] { (listeners ?? []).filter { !$0.accepts(target.address) } }

    // What several causes ask is found once.
    lazy var droppingRule = findDroppingRule()
    private lazy var silentRejection = findSilentRejection()
    lazy var rejectingRule = findRejectingRule()
    lazy var fullTable = findFullTable()
    lazy var clash = findClash()
    lazy var staleEntry = findStaleEntry()
    lazy var untracked = findUntracked()
    lazy var invalid = findInvalid()
    lazy var concludedRules = findConcludedRules()
    lazy var forwardingOff = findForwardingOff()
    lazy var localnetOff = findLocalnetOff()
    lazy var reversePath = findReversePath()
    lazy var missingRoute = findMissingRoute()
    lazy var missingNeighbour = findMissingNeighbour()
    lazy var sharedNetwork = findSharedNetwork()
    lazy var fullQueue = findFullQueue()

    // MARK: Words

    /// `203.0.113.10:80`, and what it is translated to.
    var destinationInWords: String {
        target == connection.dialled.destination
            ? target.description : "\(target) (dialled as \(connection.dialled.destination))"
    }

    /// What people call a namespace that the connection came through.
    func netnsName(_ inode: UInt32) -> String? { connection.steps.last { $0.netns == inode }?.netnsName }

    /// Whether it is known to be another network namespace than the one that nattrace runs in.
    func isAway(_ netns: UInt32) -> Bool { netns != 0 && homeNetns.map { $0 != netns } ?? false }

    /// A command to run in a network namespace, from the one that nattrace runs in: by the name that it has, else by a
    /// process that is in it, for each container runtime names its own in another way, and some namespaces have none.
    /// Where it is gone by then, nsenter gets no process and refuses.
    func command(_ text: String, in netns: UInt32, named name: String?) -> String {
        if let name, !ContainerID.isShort(name) { return "ip netns exec \(name.shellWord) \(text)" }
        guard netns != 0, name != nil || isAway(netns) else { return text }
        return "nsenter -t $(lsns -rnt net -o NS,PID | awk '$1==\(netns){print $2}') -n \(text)"
    }
}

/// Who freed a packet, by the reason, or before 5.17, when there were none, by the function.
extension Step {
    /// TCP, for want of a socket. The function also frees what has a bad checksum or was refused by IPsec, which
    /// is answered by nothing.
    var isFreedWithoutSocket: Bool { isFreed(for: "NO_SOCKET", in: ["tcp_v4_rcv", "tcp_v6_rcv"]) }

    var isFreedByNetfilter: Bool { isFreed(for: "NETFILTER_DROP", in: ["nf_hook_slow", "nft_do_chain"]) }

    private func isFreed(for known: String, in functions: [String]) -> Bool {
        if let reason { return reason == known }
        return function.map { function in functions.contains { function.hasPrefix($0) } } ?? false
    }
}

extension Listener {
    /// Whether a SYN to this address finds the socket (`compute_score` of inet_hashtables.c), its
    /// device aside.
    func accepts(_ destination: IPAddress) -> Bool {
        let (own, wanted) = (address.unmapped, destination.unmapped)
        if own == wanted { return true }
        guard own.isUnspecified else { return false }
        return own.family == wanted.family || (own.family == .v6 && isIPv6Only != true)
    }

    /// `nginx (pid 812)`, or what is known of it.
    var owner: String {
        guard let process else { return "a process that could not be found" }
        let home = process.container.map { ", container \($0)" } ?? process.unit.map { ", \($0)" } ?? ""
        return "\(process.name ?? "process") (pid \(process.pid)\(home))"
    }
}
