// From an observation to the steps of a connection: what is told, under which action, and
// what it means for the state that verdicts are drawn from. Here: packets at devices, and how
// a step is written; what netfilter and TCP do stands in files of their own.

extension Connection {
    /// Takes in one observation and appends the steps it makes; none for what adds nothing.
    func absorb(_ o: Observation, names: Names) {
        lastTime = max(lastTime, o.time)
        let isUsed = pending != nil && settlePending(before: o, names: names)
        let writer = StepWriter(connection: self, observation: o, names: names)
        if writer.isOfEstablished { return }
        if writer.isToldWithTheNext {
            writer.noteAnswerOfConntrack()
            pending = o
        } else if !isUsed {
            writer.write()
        }
    }

    /// Tells of a decision that was waiting, with what the observation after it adds; nil: nothing comes any
    /// more. Returns whether that is all that the observation says.
    @discardableResult
    func settlePending(before next: Observation?, names: Names) -> Bool {
        guard let decision = pending else { return false }
        pending = nil
        return StepWriter(connection: self, observation: decision, names: names).write(with: next)
    }
}

extension Connection {
    /// Whether its SYN came by this place already: it was sent again.
    func isRepeated(by o: Observation) -> Bool {
        guard o.kind == .packet, let packet = o.packet, packet.flags.role == .syn else { return false }
        return attempt.places.contains(Attempt.Place(o, packet.tuple))
    }
}

extension Attempt.Place {
    init(_ o: Observation, _ tuple: Tuple) {
        self.init(hook: o.hook, netns: o.netns, interface: o.interfaceIndex, tuple: tuple)
    }
}

/// Writes the steps of one observation.
struct StepWriter {
    let connection: Connection
    let o: Observation
    let names: Names

    init(connection: Connection, observation: Observation, names: Names) {
        self.connection = connection
        o = observation
        self.names = names
    }

    var isIPv6: Bool { o.packet?.tuple.family == .v6 }
    var role: PacketRole? { o.packet?.flags.role }

    /// A segment of a connection of which it is told that it got established: nothing more is, but that its
    /// SYN or its answer was sent again.
    var isOfEstablished: Bool {
        guard connection.verdict?.outcome == .success, let packet = o.packet, !packet.flags.isEmpty else {
            return false
        }
        return packet.flags.role == .ack || packet.flags.role == .rst
    }

    func write() {
        noteTuples()
        noteAnswerOfConntrack()
        if isTranslatingRule { return }
        switch o.kind {
        case .packet: packet()
        case .conntrack: conntrack()
        case .natSetup: natSetup(by: nil)
        case .natPacket: natPacket()
        case .deliver: deliver()
        case .listener: listener()
        case .request:
            connection.attempt.request = add(.request)
        case .transmit, .retransmit: transmit()
        case .socketState: socketState()
        case .reset: reset()
        case .drop: drop()
        case .rule: rule()
        case .icmp: icmp()
        case .module: break
        }
    }

    // MARK: Packets

    func packet() {
        guard let packet = o.packet, let stage = o.stage else { return }
        switch packet.flags.role {
        case .syn:
            if stage == .ingress || o.interfaceIndex != 0 { beginAttemptIfRepeated(packet.tuple) }
            inferFromConntrack()
            noteInterface(stage)
            if packet.payload > 0 { connection.dataNumber = packet.seq &+ UInt32(packet.payload) }
            noteSyn(add(.syn))
        case .synack:
            inferFromConntrack()
            let sighting = add(.synack)
            if o.isUntracked { noteUntracked(sighting, .synack) }
            if connection.attempt.firstSynack == nil { connection.attempt.firstSynack = sighting }
            connection.attempt.lastSynack = sighting
            forgetDrop(of: .synack)
            // What was dropped of the SYN was a copy: another one was answered.
            forgetDrop(of: .syn)
            noteAnswer(packet.seq, isMadeHere: stage == .egress)
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

    func noteAnswer(_ number: UInt32, isMadeHere: Bool) {
        if isMadeHere, !connection.serverNumbers.contains(number) { connection.trail.localNumbers.insert(number) }
        connection.attempt.answerNumber = number
        connection.noteServerNumber(number)
    }

    /// An RST from the client's side has the tuple that the client's other packets have.
    func isFromClient(_ packet: Packet) -> Bool {
        if connection.trail.contains(packet.tuple) { return true }
        if connection.trail.contains(packet.tuple.reversed) { return false }
        return packet.seq == connection.isn &+ 1
    }

    /// A SYN that comes by the same place again was sent again: what follows may end otherwise.
    func beginAttemptIfRepeated(_ tuple: Tuple) {
        let place = Attempt.Place(o, tuple)
        if connection.attempt.places.contains(place) {
            connection.attempt = Attempt()
            connection.isSentAgain = true
        }
        connection.attempt.places.insert(place)
    }

    func noteInterface(_ stage: Stage) {
        guard !o.name.isEmpty else { return }
        let isIngressKnown = !connection.course.ingressDevice.isEmpty
        if stage == .ingress, !isIngressKnown {
            connection.course.ingressDevice = o.name
            // What was noted before is the way out of the client's namespace.
            if connection.trail.ingressNetns != o.netns { connection.course.egressDevice = FixedName() }
            connection.trail.ingressNetns = o.netns
        } else if stage == .egress, !isIngressKnown || connection.trail.ingressNetns == o.netns {
            connection.course.egressDevice = o.name
        }
    }

    func noteSyn(_ sighting: Sighting) {
        if connection.attempt.firstSyn == nil { connection.attempt.firstSyn = sighting }
        connection.attempt.lastSyn = sighting
        forgetDrop(of: .syn)
        noteEntry()
    }

    /// A drop followed by the same kind of packet elsewhere was that of a copy (a flooding bridge,
    /// a tap), not the end of the way.
    func forgetDrop(of role: PacketRole) {
        if connection.attempt.drop?.role == role { connection.attempt.drop = nil }
    }

    func noteTuples() {
        if let packet = o.packet, o.kind != .icmp {
            switch packet.flags.role {
            case .syn, .ack:
                // A state change of a closed socket no longer knows its port.
                if packet.tuple.source.port != 0, !packet.flags.isEmpty { connection.trail.note(packet.tuple) }
            case .synack: connection.trail.note(packet.tuple.reversed)
            case .rst: break
            }
        }
        guard let entry = o.conntrack, o.kind != .natSetup else {
            noteTranslationByPacket()
            return
        }
        connection.trail.note(entry.original)
        connection.trail.note(entry.translated)
        guard entry.original != entry.translated else { return }
        // The SYN meets the translations of several namespaces in their order: the last one counts.
        if role == .syn, !entry.isReplyDirection {
            connection.course.translated = entry.translated
        } else if connection.translated == nil || connection.translated == entry.original {
            // An answer meets them in their reverse order: what it meets first translated last.
            connection.course.translated = entry.translated
        }
    }

    /// A SYN that goes elsewhere than it was dialled to was translated, also where its entry is not to be
    /// seen: TCP lets go of it before a socket's filter is asked (nf_reset_ct in tcp_v4_rcv).
    private func noteTranslationByPacket() {
        guard connection.translated == nil, o.kind == .drop || o.kind == .deliver || o.kind == .reset,
            let packet = o.packet, packet.flags.role == .syn, packet.tuple.destination != connection.dialled.destination
        else { return }
        connection.course.translated = packet.tuple
    }

    // MARK: Writing

    @discardableResult
    func add(
        _ action: Action, stage: Stage? = nil, function: String? = nil, reason: String? = nil,
        process: ProcessIdentity? = nil, rule: Rule? = nil, detail: StepDetail = .none
    ) -> Sighting {
        let isUsual = function == nil && reason == nil && process == nil && rule == nil
        let labels =
            isUsual
            ? names.labels(of: o.hook, in: o.netns)
            : StepLabels(
                function: function ?? o.hook.name, netnsName: names.netns(o.netns), reason: reason, rule: rule,
                process: process)
        return append(
            action, stage: stage ?? (o.kind == .drop ? nil : o.stage), labels: labels, backend: o.backend,
            packet: shownPacket, device: o.kind == .packet || o.kind == .icmp ? o.name : FixedName(), detail: detail)
    }

    /// `hook` is where it must have happened. How the packet looked there was not seen, unless
    /// `showsPacket`: it is the one at hand.
    @discardableResult
    func infer(
        _ action: Action, stage: Stage, hook: Hook, showsPacket: Bool = false, detail: StepDetail = .none
    ) -> Sighting {
        append(
            action, stage: stage, labels: names.labels(of: hook, in: o.netns), backend: .inferred,
            packet: showsPacket ? shownPacket : nil, device: FixedName(), detail: detail)
    }

    /// A socket's state has ends but no packet.
    var shownPacket: Packet? { o.packet.flatMap { $0.flags.isEmpty ? nil : $0 } }

    private func append(
        _ action: Action, stage: Stage?, labels: StepLabels, backend: Backend, packet: Packet?, device: FixedName,
        detail: StepDetail
    ) -> Sighting {
        let count = connection.steps.count
        let time = max(o.time, count == 0 ? connection.startTime : connection.steps[count - 1].time)
        let isKept = count < Connection.maximumSteps
        if isKept {
            // Most have a few: they are not to be moved at each of the first.
            if count == 0 { connection.steps.reserveCapacity(4) }
            connection.steps.append(
                Step(
                    sequence: count + connection.omittedSteps, time: time, offset: time - connection.startTime,
                    action: action, stage: stage, labels: labels, backend: backend, netns: o.netns, cpu: o.cpu,
                    packet: packet, conntrack: o.conntrack, device: device, detail: detail, course: connection.course))
        } else {
            connection.omittedSteps += 1
        }
        return Sighting(time: time, step: isKept ? count : -1, netns: o.netns, kind: o.kind, stage: stage)
    }
}
