// From an observation to the steps of a connection: what is told, under which action, and
// what it means for the state that verdicts are drawn from.

extension Connection {
    /// Takes in one observation and appends the steps it makes; none for what adds nothing.
    func absorb(_ o: Observation, names: Names) {
        lastTime = max(lastTime, o.time)
        var writer = StepWriter(connection: self, observation: o, names: names)
        writer.write()
    }
}

/// Writes the steps of one observation.
private struct StepWriter {
    let connection: Connection
    let o: Observation
    let names: Names

    init(connection: Connection, observation: Observation, names: Names) {
        self.connection = connection
        o = observation
        self.names = names
    }

    private var isIPv6: Bool { o.packet?.tuple.family == .v6 }
    private var role: PacketRole? { o.packet?.flags.role }

    mutating func write() {
        noteTuples()
        switch o.kind {
        case .packet: packet()
        case .conntrack: conntrack()
        case .natSetup: natSetup()
        case .natPacket: natPacket()
        case .deliver: deliver()
        case .listener: listener()
        case .request:
            connection.attempt.request = add(.request)
        case .transmit, .retransmit: transmit()
        case .socketState: socketState()
        case .reset: reset()
        case .drop: drop()
        case .module: break
        }
    }

    // MARK: Packets

    private mutating func packet() {
        guard let packet = o.packet, let stage = o.stage else { return }
        switch packet.flags.role {
        case .syn:
            if stage == .ingress || o.interfaceIndex != 0 { beginAttemptIfRepeated(packet.tuple) }
            inferFromConntrack()
            noteInterface(stage)
            if packet.payload > 0 { connection.dataNumber = packet.seq &+ UInt32(packet.payload) }
            noteSyn(add(.syn))
            if stage == .egress { noteEntry() }
        case .synack:
            inferFromConntrack()
            let sighting = add(.synack)
            if connection.attempt.firstSynack == nil { connection.attempt.firstSynack = sighting }
            connection.attempt.lastSynack = sighting
            forgetDrop(of: .synack)
            // What was dropped of the SYN was a copy: another one was answered.
            forgetDrop(of: .syn)
            connection.noteServerNumber(packet.seq)
        case .ack:
            if isBeyondHandshake { return }
            inferFromConntrack()
            let sighting = add(.ack)
            connection.attempt.ack = sighting
            forgetDrop(of: .ack)
            if stage == .egress, connection.establishment.forwarded == nil {
                connection.establishment.forwarded = sighting
            }
        case .rst:
            guard connection.verdict?.outcome != .success else { return }
            inferFromConntrack()
            let sighting = add(.rst)
            if isFromClient(packet) {
                if connection.attempt.clientRst == nil { connection.attempt.clientRst = sighting }
            } else {
                if connection.attempt.firstRst == nil { connection.attempt.firstRst = sighting }
                connection.attempt.lastRst = sighting
            }
        }
    }

    /// An RST from the client's side has the tuple that the client's other packets have.
    private func isFromClient(_ packet: Packet) -> Bool {
        if connection.trail.contains(packet.tuple) { return true }
        if connection.trail.contains(packet.tuple.reversed) { return false }
        return packet.seq == connection.isn &+ 1
    }

    /// A SYN that comes by the same place again was sent again: what follows may end otherwise.
    private func beginAttemptIfRepeated(_ tuple: Tuple) {
        let place = Attempt.Place(hook: o.hook, netns: o.netns, interface: o.interfaceIndex, tuple: tuple)
        if connection.attempt.places.contains(place) { connection.attempt = Attempt() }
        connection.attempt.places.insert(place)
    }

    private func noteInterface(_ stage: Stage) {
        let name = o.name.string
        guard !name.isEmpty else { return }
        if stage == .ingress, connection.course.ingressInterface == nil {
            connection.course.ingressInterface = name
            // What was noted before is the way out of the client's namespace.
            if connection.trail.ingressNetns != o.netns { connection.course.egressInterface = nil }
            connection.trail.ingressNetns = o.netns
        } else if stage == .egress,
            connection.course.ingressInterface == nil || connection.trail.ingressNetns == o.netns
        {
            connection.course.egressInterface = name
        }
    }

    private func noteSyn(_ sighting: Sighting) {
        if connection.attempt.firstSyn == nil { connection.attempt.firstSyn = sighting }
        connection.attempt.lastSyn = sighting
        forgetDrop(of: .syn)
        noteEntry()
    }

    /// A drop followed by the same kind of packet elsewhere was that of a copy (a flooding bridge,
    /// a tap), not the end of the way.
    private func forgetDrop(of role: PacketRole) {
        if connection.attempt.drop?.role == role { connection.attempt.drop = nil }
    }

    // MARK: Conntrack and NAT

    private func noteEntry() {
        if let entry = o.conntrack {
            connection.attempt.entry = entry
        } else if o.isUntracked {
            connection.attempt.untracked = true
        } else if o.kind == .deliver || o.kind == .reset || (o.kind == .packet && o.stage == .egress) {
            connection.attempt.passedWithoutEntry = true
        }
    }

    private mutating func conntrack() {
        guard case .conntrack(let decision) = o.detail else { return }
        switch decision {
        case .asked: return  // a question; the answer has a step of its own
        case .new, .match:
            if isBeyondHandshake { return }
            if let entry = o.conntrack { connection.trail.trackedEntries.insert(entry.identity) }
            let sighting = add(decision == .new ? .conntrackNew : .conntrackMatch)
            if role == .syn { noteSyn(sighting) }
        case .invalid:
            if role == .syn { connection.attempt.conntrackInvalid = true }
            _ = add(.conntrackInvalid)
        case .untracked:
            if role == .syn { connection.attempt.untracked = true }
            _ = add(.conntrackUntracked)
        }
    }

    /// Whether an ACK is not, or no longer, the one that ends the handshake: it acknowledges data, it
    /// closes, or it is the first data segment, which carries the same numbers as the ACK before it.
    private var isBeyondHandshake: Bool {
        guard let packet = o.packet, packet.flags.role == .ack else { return false }
        return connection.verdict?.outcome == .success
            || !connection.serverNumbers.contains(packet.ack &- 1)
            || connection.attempt.ack != nil && (packet.payload > 0 || packet.flags.contains(.fin))
    }

    /// A rule binds the entry. What the flow gets is known once the packet is rewritten, or was
    /// asked for without a choice.
    private mutating func natSetup() {
        guard case .natSetup(let manipulation, let range) = o.detail, let entry = o.conntrack else { return }
        let before = entry.translated
        var after = before
        let asksAddress = range.flags & 1 != 0
        let asksPort = range.flags & 2 != 0
        func fill(_ end: inout Endpoint) {
            if asksAddress, range.first.address == range.last.address { end.address = range.first.address }
            if asksPort, range.first.port == range.last.port { end.port = range.first.port }
        }
        switch manipulation {
        case .source: fill(&after.source)
        case .destination: fill(&after.destination)
        }
        let action: Action = manipulation == .source ? .natSource : .natDestination
        connection.trail.translations.insert(.init(entry: entry.identity, action: action))
        _ = add(
            action, stage: manipulation == .source ? .postrouting : natSetupStage,
            detail: .translation(before: before, after: after, asked: range))
    }

    /// A destination is bound at the hook where conntrack was asked: PREROUTING or OUTPUT.
    private var natSetupStage: Stage? {
        connection.steps.last { $0.netns == o.netns && $0.stage != nil && $0.action == .conntrackNew }?.stage
    }

    private mutating func natPacket() {
        guard case .natPacket(let manipulation) = o.detail, let packet = o.packet, let entry = o.conntrack else { return }
        if isBeyondHandshake { return }
        let before = packet.tuple
        // nf_nat_packet() makes the packet look like the inverse of the other direction's tuple.
        let target = entry.isReplyDirection ? entry.original.reversed : entry.translated
        var after = before
        switch manipulation {
        case .source: after.source = target.source
        case .destination: after.destination = target.destination
        }
        let action: Action =
            entry.isReplyDirection ? .natReverse : manipulation == .source ? .natSource : .natDestination
        connection.trail.translations.insert(.init(entry: entry.identity, action: action))
        connection.trail.note(entry.isReplyDirection ? after.reversed : after)
        let sighting = add(action, detail: .translation(before: before, after: after, asked: nil))
        if role == .syn { noteSyn(sighting) }
    }

    /// Where conntrack and NAT cannot be hooked, the entry that a packet carries tells what they
    /// did: steps that were concluded, marked so, at the time at which they became known.
    private mutating func inferFromConntrack() {
        guard let entry = o.conntrack, let packet = o.packet else { return }
        if connection.trail.trackedEntries.insert(entry.identity).inserted {
            let isOld = entry.isReplyDirection || entry.status.contains(.seenReply) && packet.flags.role == .syn
            infer(
                isOld && packet.flags.role == .syn ? .conntrackMatch : .conntrackNew, stage: firstStage,
                function: Hook.nfConntrackIn.name)
        }
        let reply = entry.isReplyDirection
        if entry.translatesDestination, inferOnce(entry, .natDestination) {
            var after = entry.original
            after.destination = entry.translated.destination
            infer(
                .natDestination, stage: firstStage, function: Hook.nfNatManipPkt.name,
                detail: .translation(before: entry.original, after: after, asked: nil))
        }
        // The source is translated on the way out: the entry shows it from there on.
        if entry.translatesSource, reply || o.stage == .egress, inferOnce(entry, .natSource) {
            var before = entry.original
            before.destination = entry.translated.destination
            infer(
                .natSource, stage: .postrouting, function: Hook.nfNatManipPkt.name,
                detail: .translation(before: before, after: entry.translated, asked: nil))
        }
        if reply, entry.original.reversed != entry.reply, packet.tuple == entry.original.reversed,
            inferOnce(entry, .natReverse)
        {
            infer(
                .natReverse, stage: .postrouting, function: Hook.nfNatManipPkt.name,
                detail: .translation(before: entry.reply, after: entry.original.reversed, asked: nil))
        }
        connection.trail.note(entry.original)
        connection.trail.note(entry.translated)
    }

    private func inferOnce(_ entry: ConntrackEntry, _ action: Action) -> Bool {
        connection.trail.translations.insert(.init(entry: entry.identity, action: action)).inserted
    }

    /// PREROUTING for a connection that came in to this namespace, OUTPUT for one that began here.
    private var firstStage: Stage {
        let cameIn = connection.steps.contains {
            $0.netns == o.netns && $0.stage == .ingress && $0.packet?.flags.role == .syn
        }
        return cameIn ? .prerouting : .output
    }

    private func noteTuples() {
        if let packet = o.packet {
            switch packet.flags.role {
            case .syn, .ack:
                // A state change of a closed socket no longer knows its port.
                if packet.tuple.source.port != 0, !packet.flags.isEmpty { connection.trail.note(packet.tuple) }
            case .synack: connection.trail.note(packet.tuple.reversed)
            case .rst: break
            }
        }
        guard let entry = o.conntrack, o.kind != .natSetup else { return }
        connection.trail.note(entry.original)
        connection.trail.note(entry.translated)
        guard entry.original != entry.translated else { return }
        // The SYN meets the translations of several namespaces in their order: the last one counts.
        if role == .syn, !entry.isReplyDirection {
            connection.course.translated = entry.translated
        } else if connection.translated == nil {
            connection.course.translated = entry.translated
        }
    }

    // MARK: TCP

    private mutating func deliver() {
        if isBeyondHandshake { return }
        inferFromConntrack()
        let sighting = add(.deliver)
        if role == .syn {
            connection.attempt.delivered = sighting
            noteSyn(sighting)
        }
    }

    private mutating func listener() {
        guard role == .syn, case .listener(let found) = o.detail else { return }
        let sighting = add(.listener, detail: .listener(found))
        connection.attempt.lookup = (sighting, found)
    }

    private mutating func transmit() {
        let action: Action = o.kind == .retransmit ? .retransmit : .transmit
        let process: ProcessIdentity? =
            o.pid == 0 ? nil : ProcessIdentity(pid: Int32(truncatingIfNeeded: o.pid), name: o.name.string)
        let sighting = add(action, process: process)
        if role == .synack {
            if let number = o.packet?.seq { connection.noteServerNumber(number) }
            if connection.attempt.firstSynack == nil { connection.attempt.firstSynack = sighting }
        } else if role == .syn, o.kind == .transmit {
            noteSyn(sighting)
        }
    }

    private mutating func socketState() {
        guard case .socketState(let old, let new) = o.detail, new == .established else { return }
        let sighting = add(.established, detail: o.detail.asStepDetail)
        if old == .synSent {
            connection.establishment.client = sighting
        } else {
            connection.establishment.server = sighting
        }
    }

    // MARK: Ends

    private mutating func reset() {
        guard case .reset(let maker) = o.detail, let packet = o.packet,
            connection.verdict?.outcome != .success
        else { return }
        if role == .syn {
            inferFromConntrack()
            if o.hook == .tcpSendResetTracepoint, o.socket == 0 { inferLookup() }
            noteEntry()
        }
        let sighting = add(
            .reset, reason: o.reason.flatMap(names.resetReason), detail: .reset(maker))
        guard maker != .active else { return }
        connection.attempt.reset = Attempt.Reset(
            sighting: sighting, maker: maker, hasSocket: o.socket != 0, packet: packet)
    }

    /// TCP answers a SYN with an RST and without a socket only after a look-up that found none.
    private mutating func inferLookup() {
        if connection.attempt.delivered == nil {
            connection.attempt.delivered = infer(
                .deliver, stage: .socket, function: (isIPv6 ? Hook.tcpV6Rcv : .tcpV4Rcv).name, showsPacket: true)
        }
        if connection.attempt.lookup == nil {
            let function = isIPv6 ? Hook.inet6LookupListener : .inetLookupListener
            connection.attempt.lookup = (
                infer(
                    .listener, stage: .socket, function: function.name, showsPacket: true, detail: .listener(nil)),
                nil
            )
        }
    }

    private mutating func drop() {
        guard let packet = o.packet, connection.verdict?.outcome != .success else { return }
        if isBeyondHandshake { return }
        inferFromConntrack()
        let function = names.symbol(at: o.location)
        let reason = o.reason.flatMap(names.dropReason)
        let sighting = add(
            .drop, stage: function.flatMap(stage(ofDropIn:)), function: function ?? o.hook.name, reason: reason)
        // A bridge that does not know the way floods copies; those for others end with this reason.
        guard role != .rst, reason != "OTHERHOST" else { return }
        if role == .syn {
            noteEntry()
            if connection.attempt.firstSynack != nil { return }
        }
        connection.attempt.drop = Attempt.Drop(sighting: sighting, role: packet.flags.role, packet: packet)
    }

    /// The stage of functions that free packets. Netfilter works at several: there the packet's state
    /// told the kernel side which it was.
    private func stage(ofDropIn function: String) -> Stage? {
        if ["nf_", "nft_", "ipt_", "ip6t_"].contains(where: function.hasPrefix) { return o.stage }
        return Self.dropStages.first { function.hasPrefix($0.0) }?.1
    }

    private static let dropStages: [(String, Stage)] = [
        ("tcp_", .socket), ("inet_csk_", .socket), ("sk_", .socket), ("ip_forward", .forward), ("ip6_forward", .forward),
        ("ip_route_input", .routing), ("ip6_route_input", .routing), ("ip_rcv_finish", .routing),
        ("ip6_rcv_finish", .routing), ("ip_error", .routing), ("ip6_pkt_", .routing), ("ip_local_deliver", .input),
        ("ip6_input", .input), ("ip6_protocol_deliver", .input), ("ip_protocol_deliver", .input),
        ("ip_finish_output", .postrouting), ("ip6_finish_output", .postrouting), ("neigh_", .egress),
        ("arp_error_report", .egress), ("ndisc_error_report", .egress), ("__dev_queue_xmit", .egress),
        ("dev_hard_start_xmit", .egress), ("sch_", .egress), ("veth_xmit", .egress), ("ip_rcv_core", .ingress),
        ("ip6_rcv_core", .ingress), ("__netif_receive_skb", .ingress),
    ]

    // MARK: Writing

    @discardableResult
    private func add(
        _ action: Action, stage: Stage? = nil, function: String? = nil, reason: String? = nil,
        process: ProcessIdentity? = nil, detail: StepDetail = .none
    ) -> Sighting {
        let interface = o.kind == .packet && !o.name.isEmpty ? o.name.string : nil
        return append(
            step(
                action, stage: stage ?? (o.kind == .drop ? nil : o.stage), function: function ?? o.hook.name, backend: o.backend, reason: reason,
                process: process, interface: interface, detail: detail))
    }

    /// `function` is where it must have happened. How the packet looked there was not seen, unless
    /// `showsPacket`: it is the one at hand.
    @discardableResult
    private func infer(
        _ action: Action, stage: Stage, function: String, showsPacket: Bool = false, detail: StepDetail = .none
    ) -> Sighting {
        var step = step(action, stage: stage, function: function, backend: .inferred, detail: detail)
        if !showsPacket { step.packet = nil }
        return append(step)
    }

    private func step(
        _ action: Action, stage: Stage?, function: String?, backend: Backend, reason: String? = nil,
        process: ProcessIdentity? = nil, interface: String? = nil, detail: StepDetail
    ) -> Step {
        let last = connection.steps.last
        let time = max(o.time, last?.time ?? connection.startTime)
        return Step(
            sequence: connection.steps.count + connection.omittedSteps, time: time,
            offset: time - connection.startTime, action: action, stage: stage, function: function, backend: backend,
            netns: o.netns, netnsName: names.netns(o.netns), cpu: o.cpu, packet: shownPacket, conntrack: o.conntrack,
            reason: reason, rule: nil, process: process, interface: interface, detail: detail, course: connection.course)
    }

    /// A socket's state has ends but no packet.
    private var shownPacket: Packet? { o.packet.flatMap { $0.flags.isEmpty ? nil : $0 } }

    private func append(_ step: Step) -> Sighting {
        let isKept = connection.steps.count < Connection.maximumSteps
        if isKept {
            connection.steps.append(step)
        } else {
            connection.omittedSteps += 1
        }
        return Sighting(
            time: step.time, kind: o.kind, stage: step.stage, netns: o.netns, interface: step.interface,
            step: isKept ? connection.steps.count - 1 : -1)
    }
}

extension ObservationDetail {
    fileprivate var asStepDetail: StepDetail {
        guard case .socketState(let from, let to) = self else { return .none }
        return .socketState(from: from, to: to)
    }
}
