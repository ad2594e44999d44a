// The steps that netfilter makes: conntrack's decisions and NAT's rewriting, seen where they
// can be hooked, else concluded from the entry that a packet carries.

extension StepWriter {
    func noteEntry() {
        if let entry = o.conntrack {
            connection.attempt.entry = entry
        } else if o.isUntracked {
            connection.attempt.untracked = true
        } else if o.kind == .deliver || o.kind == .reset || (o.kind == .packet && o.stage == .egress) {
            connection.attempt.passedWithoutEntry.insert(o.netns)
        }
    }

    func conntrack() {
        if case .invalid(let words) = o.detail {
            if role == .syn { connection.attempt.conntrackInvalid = true }
            _ = add(.conntrackInvalid, reason: words.isEmpty ? nil : words)
            return
        }
        guard case .conntrack(let decision) = o.detail else { return }
        switch decision {
        case .asked, .invalid: return  // a question; the answer has a step of its own
        case .new, .match, .again:
            if isBeyondHandshake { return }
            if let entry = o.conntrack { connection.trail.trackedEntries.insert(entry.identity) }
            let sighting = add(decision == .new ? .conntrackNew : .conntrackMatch)
            if role == .syn { noteSyn(sighting) }
        case .untracked:
            if role == .syn { connection.attempt.untracked = true }
            _ = add(.conntrackUntracked)
        }
    }

    /// Whether an ACK is not, or no longer, the one that ends the handshake: it acknowledges data, it
    /// closes, or it is the first data segment, which carries the same numbers as the ACK before it.
    var isBeyondHandshake: Bool {
        guard let packet = o.packet, packet.flags.role == .ack else { return false }
        return connection.verdict?.outcome == .success
            || !connection.serverNumbers.contains(packet.ack &- 1)
            || connection.attempt.ack != nil && (packet.payload > 0 || packet.flags.contains(.fin))
    }

    /// A rule binds the entry. What the flow gets is known once the packet is rewritten, or was
    /// asked for without a choice.
    func natSetup() {
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
    var natSetupStage: Stage? {
        connection.steps.last { $0.netns == o.netns && $0.stage != nil && $0.action == .conntrackNew }?.stage
    }

    func natPacket() {
        guard case .natPacket(let manipulation) = o.detail, let packet = o.packet, let entry = o.conntrack else {
            return
        }
        if isBeyondHandshake { return }
        let before = packet.tuple
        // nf_nat_packet() makes the packet look like the inverse of the other direction's tuple.
        let target = entry.isReplyDirection ? entry.original.reversed : entry.translated
        var after = before
        switch manipulation {
        case .source: after.source = target.source
        case .destination: after.destination = target.destination
        }
        // Over loopback a packet meets the hook twice, the second time as it is to be.
        guard before != after else { return }
        let action: Action =
            entry.isReplyDirection ? .natReverse : manipulation == .source ? .natSource : .natDestination
        connection.trail.translations.insert(.init(entry: entry.identity, action: action))
        connection.trail.note(entry.isReplyDirection ? after.reversed : after)
        let sighting = add(action, detail: .translation(before: before, after: after, asked: nil))
        if role == .syn { noteSyn(sighting) }
    }

    /// Where conntrack and NAT cannot be hooked, the entry that a packet carries tells what they
    /// did: steps that were concluded, marked so, at the time at which they became known.
    func inferFromConntrack() {
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

    func inferOnce(_ entry: ConntrackEntry, _ action: Action) -> Bool {
        connection.trail.translations.insert(.init(entry: entry.identity, action: action)).inserted
    }

    /// PREROUTING for a connection that came in to this namespace, OUTPUT for one that began here.
    var firstStage: Stage {
        let cameIn = connection.steps.contains {
            $0.netns == o.netns && $0.stage == .ingress && $0.packet?.flags.role == .syn
        }
        return cameIn ? .prerouting : .output
    }
}
