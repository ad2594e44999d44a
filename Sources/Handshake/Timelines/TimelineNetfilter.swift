// The steps that netfilter makes: conntrack's decisions and NAT's rewriting, seen where they
// can be hooked, else concluded from the entry that a packet carries.

extension StepWriter {
    func noteEntry() {
        if let entry = o.conntrack {
            connection.attempt.entry = entry
        } else if o.isUntracked {
            guard connection.attempt.untracked[.syn] == nil else { return }
            // Not seen where it happened: concluded from how the packet is marked now.
            noteUntracked(
                infer(
                    .conntrackUntracked, stage: firstStage, hook: .nfConntrackIn, showsPacket: true),
                .syn)
        } else if isPastConntrack {
            connection.attempt.passedWithoutEntry.insert(o.netns)
        }
    }

    /// Whether the entry that a packet had would still be seen. Older kernels (5.10) let go of it before they hand
    /// a packet of IPv6 to TCP (nf_reset_ct in ip6_protocol_deliver_rcu); nothing but that tells them apart.
    private var isPastConntrack: Bool {
        switch o.kind {
        case .deliver, .reset: !isIPv6
        case .packet: o.stage == .egress
        default: false
        }
    }

    func conntrack() {
        if case .invalid(let words) = o.detail {
            invalid(words.string)
            return
        }
        guard case .conntrack(let decision) = o.detail else { return }
        switch decision {
        case .asked:
            // A question. The answer has a step of its own; none at all is one as well. Over loopback a packet
            // comes by a second time, has its entry already, and is not answered (nf_conntrack_in).
            guard o.conntrack == nil else { return }
            connection.attempt.conntrackStages[o.netns] = o.stage
            if let last = connection.steps.indices.last {
                connection.attempt.askedConntrack = Sighting(
                    time: o.time, step: last, netns: o.netns, kind: o.kind, stage: o.stage)
            }
        case .invalid: break
        case .new, .match, .again:
            if isBeyondHandshake { return }
            let sighting = add(decision == .new ? .conntrackNew : .conntrackMatch)
            if let entry = o.conntrack {
                let isKnown = !connection.trail.trackedEntries.insert(entry.identity)
                if role == .syn {
                    // A new one may have the address of the one that it replaced.
                    if decision == .new { connection.trail.olderEntries.remove(entry.identity) }
                    noteAge(
                        of: entry, sighting,
                        isOlder: decision == .match
                            && (!isKnown || connection.trail.olderEntries.contains(entry.identity)))
                }
            }
            if role == .syn { noteSyn(sighting) }
        case .untracked:
            let sighting = add(.conntrackUntracked)
            if let role { noteUntracked(sighting, role) }
        }
    }

    /// Whatever follows a question to conntrack in the same namespace, but a drop, is its answer.
    func noteAnswerOfConntrack() {
        guard let asked = connection.attempt.askedConntrack, asked.netns == o.netns, o.kind != .drop else { return }
        connection.attempt.askedConntrack = nil
    }

    func noteUntracked(_ sighting: Sighting?, _ role: PacketRole) {
        if connection.attempt.untracked[role] == nil { connection.attempt.untracked[role] = sighting }
    }

    /// A SYN that finds an entry which was there before it: NAT rules are not asked, the entry's
    /// translation holds. A new entry in the same namespace replaced it (NF_REPEAT in nf_conntrack_in).
    func noteAge(of entry: ConntrackEntry, _ sighting: Sighting, isOlder: Bool) {
        if isOlder {
            connection.trail.olderEntries.insert(entry.identity)
            if connection.attempt.stale == nil { connection.attempt.stale = (sighting, entry) }
        } else if connection.attempt.stale?.sighting.netns == o.netns {
            connection.attempt.stale = nil
        }
    }

    /// The log functions are also called for packets that conntrack merely ignores, which keep their entry
    /// (`packet (index %d) in dir %d ignored`, nf_conntrack_tcp_packet).
    func invalid(_ words: String) {
        if words.contains("ignored") { return }
        let sighting = add(
            .conntrackInvalid, stage: o.stage ?? connection.attempt.conntrackStages[o.netns],
            reason: words.isEmpty ? nil : words)
        guard let role, connection.attempt.invalid[role] == nil else { return }
        connection.attempt.invalid[role] = sighting
    }

    // MARK: Decisions told with what comes next

    /// Whether the next observation may tell more of it: the rule that made a translation; the words for
    /// an answer for which there is no entry.
    var isToldWithTheNext: Bool { o.kind == .natSetup || isAnswerWithoutEntry }

    /// Conntrack makes no entry for an answer or a reset: the one that it had prepared is thrown away, and the
    /// packet is INVALID (tcp_new: tcp_conntracks[0][..][TCP_CONNTRACK_NONE] is sIV). Before 6.2 no log
    /// function says so.
    private var isAnswerWithoutEntry: Bool {
        guard case .conntrack(.new) = o.detail else { return false }
        return role == .synack || role == .rst
    }

    /// A rule that accepts is told with the translation that it makes.
    var isTranslatingRule: Bool {
        if case .rule(let seen) = o.detail { seen.verdict == .accept } else { false }
    }

    /// Writes a decision that waited. Returns whether that is all that the next observation says.
    func write(with next: Observation?) -> Bool {
        let next = next?.netns == o.netns ? next : nil
        guard o.kind != .natSetup else {
            guard case .rule(let rule)? = next?.detail, rule.verdict == .accept else {
                natSetup(by: nil)
                return false
            }
            natSetup(by: rule)
            return true
        }
        guard case .invalid(let words)? = next?.detail, next?.packet?.flags.role == role else {
            invalid("")
            return false
        }
        invalid(words.string)
        return true
    }

    // MARK: Rules

    /// A rule or policy that decided: it dropped, queued, or kept from conntrack. Rules that translate
    /// are told with the translation.
    func rule() {
        guard case .rule(let seen) = o.detail, let role else { return }
        // After `notrack` every rule that merely counts looks the same.
        if seen.verdict == .proceed, connection.attempt.untracked[role]?.netns == o.netns { return }
        let rule = names.rule(seen, netns: o.netns, at: o.time)
        let sighting = add(.rule, rule: rule, detail: .rule(seen))
        if seen.verdict == .proceed { noteUntracked(sighting, role) }
        connection.attempt.rulings[o.netns] = Attempt.Ruling(
            sighting: sighting, rule: rule, isPolicy: seen.isPolicy, verdict: seen.verdict, role: role)
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
    func natSetup(by seen: RuleSighting?) {
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
        let rule = seen.map { names.rule($0, netns: o.netns, at: o.time) }
        let stage = manipulation == .source ? .postrouting : natSetupStage
        connection.trail.note(
            Trail.Translator(
                netns: o.netns, action: action, stage: stage, before: before, after: after, rule: rule))
        _ = add(
            action, stage: stage, rule: rule, detail: .translation(before: before, after: after, asked: range))
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
        var rule: Rule?
        if action != .natReverse {
            connection.trail.note(
                Trail.Translator(netns: o.netns, action: action, stage: o.stage, before: before, after: after))
            rule = connection.trail.translators.first { $0.netns == o.netns && $0.action == action }?.rule
        }
        let sighting = add(action, rule: rule, detail: .translation(before: before, after: after, asked: nil))
        if role == .syn { noteSyn(sighting) }
    }

    /// Where conntrack and NAT cannot be hooked, the entry that a packet carries tells what they
    /// did: steps that were concluded, marked so, at the time at which they became known.
    func inferFromConntrack() {
        guard let entry = o.conntrack, let packet = o.packet else { return }
        if connection.trail.trackedEntries.insert(entry.identity) {
            // An answer was seen on it already: it is not this SYN that it was made for.
            let isOlder =
                packet.flags.role == .syn && !entry.isReplyDirection && entry.status.contains(.seenReply)
                && connection.attempt.firstSynack == nil && connection.attempt.firstRst == nil
            let sighting = infer(
                isOlder ? .conntrackMatch : .conntrackNew, stage: firstStage, hook: .nfConntrackIn)
            if isOlder { noteAge(of: entry, sighting, isOlder: true) }
        } else if packet.flags.role == .syn, connection.trail.olderEntries.contains(entry.identity),
            connection.attempt.stale == nil, let last = connection.attempt.lastSyn
        {
            connection.attempt.stale = (last, entry)
        }
        let reply = entry.isReplyDirection
        if entry.translatesDestination, inferOnce(entry, .natDestination) {
            var after = entry.original
            after.destination = entry.translated.destination
            noteTranslator(.natDestination, firstStage, from: entry.original, to: after)
            infer(
                .natDestination, stage: firstStage, hook: .nfNatManipPkt,
                detail: .translation(before: entry.original, after: after, asked: nil))
        }
        // The source is translated on the way out: the entry shows it from there on.
        if entry.translatesSource, reply || o.stage == .egress, inferOnce(entry, .natSource) {
            var before = entry.original
            before.destination = entry.translated.destination
            noteTranslator(.natSource, .postrouting, from: before, to: entry.translated)
            infer(
                .natSource, stage: .postrouting, hook: .nfNatManipPkt,
                detail: .translation(before: before, after: entry.translated, asked: nil))
        }
        if reply, entry.original.reversed != entry.reply, packet.tuple == entry.original.reversed,
            inferOnce(entry, .natReverse)
        {
            infer(
                .natReverse, stage: .postrouting, hook: .nfNatManipPkt,
                detail: .translation(before: entry.reply, after: entry.original.reversed, asked: nil))
        }
        connection.trail.note(entry.original)
        connection.trail.note(entry.translated)
    }

    private func noteTranslator(_ action: Action, _ stage: Stage, from before: Tuple, to after: Tuple) {
        connection.trail.note(
            Trail.Translator(netns: o.netns, action: action, stage: stage, before: before, after: after))
    }

    func inferOnce(_ entry: ConntrackEntry, _ action: Action) -> Bool {
        connection.trail.translations.insert(.init(entry: entry.identity, action: action))
    }

    /// PREROUTING for a connection that came in to this namespace, OUTPUT for one that began here.
    var firstStage: Stage {
        let cameIn = connection.steps.contains { $0.netns == o.netns && $0.showsSyn(at: .ingress) }
        return cameIn ? .prerouting : .output
    }
}
