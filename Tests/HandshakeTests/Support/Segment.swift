// Observations, written down as sentences: a packet, and what happened to it.
//
//     syn(from: client, to: public).with(entry).received(by: "eth0")
//
// Times come from whoever tells them (see Story).

import CNattrace

@testable import Handshake

/// `192.0.2.1:80` or `[2001:db8::1]:80`.
func endpoint(_ text: String) -> Endpoint {
    guard let colon = text.lastIndex(of: ":"), let port = UInt16(text[text.index(after: colon)...]),
        let address = IPAddress(text[..<colon].trimming("[", "]"))
    else { fatalError("not an endpoint: \(text)") }
    return Endpoint(address: address, port: port)
}

func address(_ text: String) -> IPAddress {
    guard let address = IPAddress(text) else { fatalError("not an address: \(text)") }
    return address
}

func flow(_ source: String, _ destination: String) -> Tuple {
    Tuple(source: endpoint(source), destination: endpoint(destination))
}

extension Substring {
    fileprivate func trimming(_ first: Character, _ last: Character) -> String {
        String(self.first == first && self.last == last ? dropFirst().dropLast() : self)
    }
}

/// Where the tests play.
enum Place {
    static let gateway: UInt32 = 4_026_532_001
    static let backend: UInt32 = 4_026_532_002
    static let client: UInt32 = 4_026_532_003
}

let client = "198.51.100.7:41234"
let published = "203.0.113.10:80"
let inner = "10.0.0.2:8080"

/// A conntrack entry.
struct Entry {
    var identity: UInt64 = 0xffff_8880_0000_0100
    var original: Tuple
    var translated: Tuple
    /// NAT's own bits aside.
    var status: ConntrackStatus = []
    var state: UInt8 = 1
    /// IPVS translates without NAT.
    var isTranslatedByNAT = true

    fileprivate var fullStatus: ConntrackStatus {
        guard isTranslatedByNAT else { return status }
        var full = status
        if original.destination != translated.destination { full.insert(.destinationNAT) }
        if original.source != translated.source { full.insert(.sourceNAT) }
        return full
    }

    /// An entry for a flow that is translated, or is not.
    init(_ original: Tuple, to translated: Tuple? = nil, identity: UInt64 = 0xffff_8880_0000_0100) {
        self.original = original
        self.translated = translated ?? original
        self.identity = identity
    }
}

/// A TCP packet at one place, from which observations are made.
struct Segment {
    var tuple: Tuple
    var flags: TCPFlags
    var seq: UInt32
    var ack: UInt32 = 0
    var payload: UInt16 = 0
    var isn: UInt32
    var netns = Place.gateway
    var entry: Entry?
    var entryInfo: UInt8 = 0
    var hooks = Backend.kprobe
}

let someISN: UInt32 = 0x1000_0000
let serverISN: UInt32 = 0x5000_0000

func syn(from source: String, to destination: String, isn: UInt32 = someISN) -> Segment {
    Segment(tuple: flow(source, destination), flags: .syn, seq: isn, isn: isn)
}

/// `source` is the server.
func synack(from source: String, to destination: String, isn: UInt32 = someISN) -> Segment {
    Segment(tuple: flow(source, destination), flags: [.syn, .ack], seq: serverISN, ack: isn &+ 1, isn: isn)
}

func ack(from source: String, to destination: String, isn: UInt32 = someISN, payload: UInt16 = 0) -> Segment {
    Segment(
        tuple: flow(source, destination), flags: .ack, seq: isn &+ 1, ack: serverISN &+ 1, payload: payload, isn: isn)
}

/// The RST that answers a SYN; `source` is the server.
func rst(from source: String, to destination: String, isn: UInt32 = someISN) -> Segment {
    Segment(tuple: flow(source, destination), flags: [.rst, .ack], seq: 0, ack: isn &+ 1, isn: isn)
}

/// The RST that answers a SYN-ACK.
func clientRst(from source: String, to destination: String, isn: UInt32 = someISN) -> Segment {
    Segment(tuple: flow(source, destination), flags: .rst, seq: isn &+ 1, isn: isn)
}

// MARK: What the packet carries

extension Segment {
    func at(_ netns: UInt32) -> Segment { changed { $0.netns = netns } }

    /// It carries this entry, in the direction of its original tuple.
    func with(_ entry: Entry) -> Segment {
        changed {
            $0.entry = entry
            $0.entryInfo = flags.role == .syn ? 2 : 0
        }
    }

    /// It carries this entry, in the direction of its answers.
    func answering(_ entry: Entry) -> Segment {
        changed {
            $0.entry = entry
            $0.entryInfo = 3
        }
    }

    func untracked() -> Segment { changed { $0.entryInfo = UInt8(NATTRACE_CTINFO_UNTRACKED) } }

    private func changed(_ change: (inout Segment) -> Void) -> Segment {
        var copy = self
        change(&copy)
        return copy
    }
}

// MARK: What happens to it

extension Segment {
    func received(by device: String, index: UInt32 = 2) -> nattrace_observation {
        observation(.packet, .netifReceiveSkb, .ingress, device: device, index: index)
    }

    func sent(by device: String, index: UInt32 = 2) -> nattrace_observation {
        observation(.packet, .netDevStartXmit, .egress, device: device, index: index)
    }

    func conntrack(_ decision: ConntrackDecision, _ stage: Stage = .prerouting) -> nattrace_observation {
        let hook: Hook =
            switch decision {
            case .new: .nfConntrackTCPPacket
            case .invalid: .nfCtL4protoLogInvalid
            default: .nfConntrackIn
            }
        return observation(.conntrack, hook, stage, detail: decision.rawValue)
    }

    /// Conntrack calls it INVALID, in these words.
    func invalid(_ words: String, _ stage: Stage = .prerouting) -> nattrace_observation {
        var o = conntrack(.invalid, stage)
        copy(words, to: &o.text)
        return o
    }

    /// NAT is about to rewrite it.
    func rewritten(_ manipulation: Manipulation, _ stage: Stage) -> nattrace_observation {
        observation(.natPacket, .nfNatManipPkt, stage, detail: manipulation.rawValue)
    }

    func delivered() -> nattrace_observation {
        observation(.deliver, tuple.family == .v4 ? .tcpV4Rcv : .tcpV6Rcv, .socket)
    }

    func lookedUp(
        finding listener: String? = nil, isIPv6Socket: Bool? = nil, tiedTo device: UInt32 = 0,
        queues: ListenerQueues? = nil
    ) -> nattrace_observation {
        var o = observation(.listener, tuple.family == .v4 ? .inetLookupListener : .inet6LookupListener, .socket)
        o.ct = 0
        if let listener { o.name(listener, isIPv6Socket: isIPv6Socket, tiedTo: device, queues) }
        return o
    }

    /// It belongs to a half-open handshake with this listener.
    func finishing(at listener: String, queues: ListenerQueues? = nil) -> nattrace_observation {
        var o = observation(.listener, .tcpCheckReq, .socket)
        o.ct = 0
        o.name(listener, isIPv6Socket: nil, tiedTo: 0, queues)
        return o
    }

    /// An nftables rule decides on it; without a handle, the policy of its chain.
    func decided(
        _ verdict: RuleVerdict, by handle: UInt64? = nil, in ruleset: String = "ip filter forward", _ stage: Stage?
    ) -> nattrace_observation {
        var o = observation(
            .rule, .nftTracePacket, stage,
            detail: UInt8(handle == nil ? NATTRACE_RULE_POLICY : NATTRACE_RULE_MATCHED))
        let words = ruleset.split(separator: " ").map(String.init)
        o.ct = 0
        o.reason = verdict.number
        o.rule_family = words[0] == "ip6" ? RuleFamily.ip6.rawValue : RuleFamily.ip.rawValue
        o.rule = nattrace_rule()
        o.rule.handle_low = UInt32(truncatingIfNeeded: handle ?? 0)
        o.rule.handle_high = UInt32((handle ?? 0) >> 32)
        copy(words[1], to: &o.rule.table)
        if words.count > 2 { copy(words[2], to: &o.rule.chain) }
        return o
    }

    /// An ICMP error that quotes it comes in by a device, or leaves by it. Without type: host unreachable.
    func icmp(
        from source: String, to destination: String = "198.51.100.7", type: UInt8 = 3, code: UInt8 = 1,
        _ stage: Stage, by device: String = "eth1"
    ) -> nattrace_observation {
        let hook = stage == .ingress ? Hook.netifReceiveSkb : .netDevStartXmit
        var o = observation(.icmp, hook, stage, device: device, index: 3)
        o.ct = 0
        o.icmp = nattrace_icmp(
            source: address(source).bytes, destination: address(destination).bytes, type: type, code: code,
            padding: (0, 0))
        return o
    }

    func queued() -> nattrace_observation {
        var o = observation(.request, .reqskQueueHashAdd, .socket)
        o.sock = 0xffff_8880_0000_9000
        return o
    }

    /// This machine answers it with an RST.
    func reset(by maker: ResetMaker = .tcp, socket: UInt64 = 0, reason: UInt32? = nil) -> nattrace_observation {
        let v4 = tuple.family == .v4
        let hook: Hook =
            switch (maker, hooks) {
            case (.netfilter, _): v4 ? .nfSendReset : .nfSendReset6
            case (.active, _): .tcpSendActiveReset
            case (.tcp, .tracepoint): .tcpSendResetTracepoint
            case (.tcp, _): v4 ? .tcpV4SendReset : .tcpV6SendReset
            }
        var o = observation(.reset, hook, maker == .netfilter ? nil : .socket, detail: maker.rawValue)
        o.sock = socket
        o.reason = reason ?? 0
        o.has_reason = reason == nil ? 0 : 1
        return o
    }

    func dropped(in location: UInt64 = 0, reason: UInt32? = nil) -> nattrace_observation {
        var o = observation(.drop, .kfreeSkb, nil)
        o.location = location
        o.reason = reason ?? 0
        o.has_reason = reason == nil ? 0 : 1
        return o
    }

    /// It is freed in this function, for this reason where the kernel has reasons. Netfilter's functions know the
    /// stage; the device is the one that it came by, until it is to leave.
    func dropped(in function: String, for reason: String? = nil, _ stage: Stage? = nil, by device: String? = nil)
        -> nattrace_observation
    {
        var o = dropped(in: FakeKernel.address(of: function), reason: reason.map(FakeKernel.number))
        o.stage = stage?.rawValue ?? 0
        if let device { o.name = fixed(device) }
        return o
    }

    /// Local TCP hands it to IP.
    func transmitted(by process: String? = nil, pid: UInt32 = 0) -> nattrace_observation {
        var o = observation(.transmit, flags.role == .syn ? .tcpConnect : .tcpMakeSynack, .output)
        o.pid = pid
        if let process { o.name = fixed(process) }
        return o
    }

    func retransmitted() -> nattrace_observation {
        observation(.retransmit, flags.role == .syn ? .tcpRetransmitSkb : .tcpRetransmitSynack, .output)
    }

    /// A socket of this flow, as a packet from the client would run, changes its state.
    func socket(from old: SocketState, to new: SocketState) -> nattrace_observation {
        var o = observation(
            .socketState, .inetSockSetState, .socket, detail: old.rawValue << 4 | new.rawValue)
        o.tcp_flags = 0
        o.seq = 0
        o.ack = 0
        return o
    }

    func observation(
        _ kind: Kind, _ hook: Hook, _ stage: Stage?, detail: UInt8 = 0, device: String? = nil, index: UInt32 = 0
    ) -> nattrace_observation {
        var o = nattrace_observation()
        o.kind = kind.rawValue
        o.hook = hook.rawValue
        o.backend = (hook.name.contains(":") ? Backend.tracepoint : hooks).rawValue
        o.stage = stage?.rawValue ?? 0
        o.detail = detail
        o.netns = netns
        o.isn = isn
        o.seq = seq
        o.ack = ack
        o.payload = payload
        o.tcp_flags = flags.rawValue
        o.family = tuple.family.rawValue
        o.packet = raw(tuple)
        o.ifindex = index
        if let device { o.name = fixed(device) }
        o.ct_info = entryInfo
        if let entry { o.carry(entry) }
        return o
    }
}

/// A NAT rule binds an entry: its range is from `first` to `last`, with NF_NAT_RANGE_* as flags.
func natRule(
    _ manipulation: Manipulation, from first: String, to last: String? = nil, flags: UInt32, binds entry: Entry,
    isn: UInt32 = someISN, in netns: UInt32 = Place.gateway
) -> nattrace_observation {
    var o = nattrace_observation()
    o.kind = Kind.natSetup.rawValue
    o.hook = Hook.nfNatSetupInfo.rawValue
    o.backend = Backend.kprobe.rawValue
    o.detail = manipulation.rawValue
    o.isn = isn
    o.netns = netns
    o.ct_info = 2
    o.carry(entry)
    o.packet = raw(flow(first, last ?? first))
    o.reason = flags
    return o
}

extension RuleVerdict {
    /// As the kernel has it; for `other`, a later kernel's.
    fileprivate var number: UInt32 {
        switch self {
        case .drop: UInt32(NATTRACE_VERDICT_DROP)
        case .accept: UInt32(NATTRACE_VERDICT_ACCEPT)
        case .stolen: UInt32(NATTRACE_VERDICT_STOLEN)
        case .queue: UInt32(NATTRACE_VERDICT_QUEUE)
        case .proceed: NATTRACE_VERDICT_CONTINUE
        case .other: 77
        }
    }
}

extension nattrace_observation {
    fileprivate mutating func name(
        _ listener: String, isIPv6Socket: Bool?, tiedTo device: UInt32, _ queues: ListenerQueues?
    ) {
        let listener = endpoint(listener)
        sock = 0xffff_8880_0000_9000
        bound = nattrace_bound()
        bound.address = listener.address.bytes
        bound.port = listener.port
        bound.family = isIPv6Socket ?? (listener.address.family == .v6) ? 10 : 2
        bound.ifindex = device
        guard let queues else { return }
        bound.accept_queue = queues.accept
        bound.syn_queue = queues.syn
        bound.queue_limit = queues.limit
        bound.queues_known = 1
    }

    fileprivate mutating func carry(_ entry: Entry) {
        family = entry.original.family.rawValue
        ct = entry.identity
        ct_original = raw(entry.original)
        ct_reply = raw(entry.translated.reversed)
        ct_status = entry.fullStatus.rawValue
        ct_state = entry.state
    }
}

func raw(_ tuple: Tuple) -> nattrace_tuple {
    nattrace_tuple(
        source: tuple.source.address.bytes, destination: tuple.destination.address.bytes,
        source_port: tuple.source.port, destination_port: tuple.destination.port)
}

/// As far as there is room, NUL-padded.
func copy<Characters: BitwiseCopyable>(_ text: String, to characters: inout Characters) {
    withUnsafeMutableBytes(of: &characters) { bytes in
        bytes.copyBytes(from: text.utf8.prefix(bytes.count))
        bytes[min(text.utf8.count, bytes.count)...].initializeMemory(as: UInt8.self, repeating: 0)
    }
}

/// NUL-padded, as the kernel keeps names.
func fixed(_ name: String) -> FixedName.Bytes {
    var bytes: FixedName.Bytes = (0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    withUnsafeMutableBytes(of: &bytes) { $0.copyBytes(from: name.utf8.prefix(15)) }
    return bytes
}
