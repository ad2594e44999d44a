// What netfilter did to the packet that did not get through: the rule, the translation, the
// conntrack table. Facts are asked once each, and only when a cause wants to know.

extension Case {
    /// A rule or policy that decided: seen, or the only one that can have; nil: which one is not known.
    struct Decision {
        var rule: Rule?
    }

    // MARK: Drops

    /// The packet that netfilter dropped; nil: none, or another part of the kernel did.
    var netfilterDrop: Attempt.Drop? {
        guard let drop = droppedPacket, step(drop.sighting)?.isFreedByNetfilter == true else { return nil }
        return drop
    }

    /// The packet whose drop is the end, or went with the RST that is.
    var droppedPacket: Attempt.Drop? {
        switch ending {
        case .dropped(let drop): drop
        case .reset, .resetFromHere: connection.attempt.drop
        default: nil
        }
    }

    /// Whether the packet was freed by nftables itself, which it does for rules and policies only
    /// (nft_do_chain; NF_DROP_REASON).
    private func isFreedByRule(_ drop: Attempt.Drop) -> Bool {
        step(drop.sighting)?.function?.hasPrefix("nft_do_chain") ?? false
    }

    /// The rule or policy that dropped the packet; nil: none did, or nothing says so.
    func findDroppingRule() -> Decision? {
        guard let drop = netfilterDrop else { return nil }
        if let ruling = ruling(on: drop.role, at: drop.sighting) {
            return Decision(rule: ruling.rule)
        }
        var found = candidates(.drop, for: drop)
        if found?.candidates.isEmpty == true { found = candidatesOfOtherHooks(for: drop) }
        if isFreedByRule(drop) { return mayHaveBeenAnswered(drop, found) ? nil : Decision(rule: found?.only) }
        // nf_hook_slow frees for whoever says so, conntrack and NAT included: a rule it was only if
        // there is one that must have met the packet, or is all that can have done it. What OUTPUT
        // rewrote for a destination without route comes to no filter (nf_nat_ipv4_local_fn).
        guard let found, found.isComplete, found.only != nil || found.hasCertain, !conntrackRefused, clash == nil,
            missingRoute == nil
        else { return nil }
        return Decision(rule: found.only)
    }

    /// Whether a rule may have answered unseen what nftables freed. In OUTPUT its answer leaves first, and where the
    /// drop is the first that was seen of the connection nothing was followed before. Then only rulesets tell.
    private func mayHaveBeenAnswered(_ drop: Attempt.Drop, _ dropping: RuleCandidates?) -> Bool {
        guard let step = step(drop.sighting), step.stage == .output, step.time == connection.startTime else {
            return false
        }
        guard let dropping, dropping.isComplete, let rejecting = candidates(.reject, for: drop) else { return true }
        return dropping.candidates.isEmpty || !rejecting.isComplete || !rejecting.candidates.isEmpty
    }

    /// The rule that answered with an RST or an ICMP error.
    func findRejectingRule() -> Decision? {
        guard let place = rejection else { return nil }
        let role = step(place)?.packet?.flags.role ?? .syn
        if let ruling = ruling(on: role, at: place) { return Decision(rule: ruling.rule) }
        guard let drop = connection.attempt.drop, drop.sighting.netns == place.netns else {
            return Decision(rule: nil)
        }
        return Decision(rule: candidates(.reject, for: drop)?.only)
    }

    /// The rule or policy that ended a packet's way here. What was queued may have come back, and gone on to
    /// another hook.
    private func ruling(on role: PacketRole, at end: Sighting) -> Attempt.Ruling? {
        guard let ruling = connection.attempt.rulings[end.netns], ruling.role == role else { return nil }
        switch ruling.verdict {
        case .accept, .proceed: return nil
        case .drop: return ruling
        case .stolen, .queue, .other: return ruling.sighting.stage == step(end)?.stage ? ruling : nil
        }
    }

    /// Whether nftables freed the packet, no rule or policy can have dropped it, and some can have rejected
    /// it: then the answer was not seen.
    func findSilentRejection() -> Sighting? {
        guard let drop = netfilterDrop, isFreedByRule(drop), ruling(on: drop.role, at: drop.sighting) == nil,
            let dropping = candidates(.drop, for: drop, anywhere: true), dropping.isComplete,
            dropping.candidates.isEmpty, candidates(.reject, for: drop)?.candidates.isEmpty == false
        else { return nil }
        return drop.sighting
    }

    /// Hooks of bridges and devices cannot always be told from those of IP, nor from each other. A packet that
    /// is routed on is none that INPUT or OUTPUT saw, whatever their rules would have done with it.
    private func candidatesOfOtherHooks(for drop: Attempt.Drop) -> RuleCandidates? {
        guard var found = candidates(.drop, for: drop, anywhere: true) else { return nil }
        let foreign: [Stage] =
            switch step(drop.sighting)?.stage {
            case .ingress, .prerouting: [.input, .forward, .output, .postrouting]
            case .input: [.forward, .output, .postrouting]
            case .forward, .postrouting: [.input, .output]
            case .output: [.prerouting, .input, .forward]
            default: []
            }
        for stage in foreign {
            guard let there = candidates(.drop, for: drop, at: stage) else { continue }
            let rules = Set(there.candidates.map(\.rule).filter(\.isOfIP))
            found.candidates.removeAll { rules.contains($0.rule) }
        }
        return found
    }

    private func candidates(
        _ effect: RuleSearch.Effect, for drop: Attempt.Drop, anywhere: Bool = false, at other: Stage? = nil
    ) -> RuleCandidates? {
        guard drop.sighting.netns != 0 else { return nil }
        let stage = anywhere ? nil : other ?? step(drop.sighting)?.stage
        // The device that the packet had is the one it came by, until it is to leave.
        let isLeaving = stage == .output || stage == .postrouting || stage == .egress
        return facts.rules(
            RuleSearch(
                effect: effect, stage: stage, tuple: drop.packet.tuple, flags: drop.packet.flags,
                inputInterface: isLeaving ? nil : drop.interface, outputInterface: nil,
                netns: drop.sighting.netns, tracking: tracking(of: drop)))
    }

    /// What `ct state` of rules said of a packet where it was dropped. nil: without an entry it may have been
    /// INVALID, or not have come to conntrack yet.
    private func tracking(of drop: Attempt.Drop) -> RuleSearch.TrackingState? {
        guard let step = step(drop.sighting) else { return nil }
        if let entry = step.conntrack {
            return entry.status.contains(.expected) ? nil : entry.isNew ? .new : .established
        }
        return connection.attempt.untracked[drop.role]?.netns == drop.sighting.netns ? .untracked : nil
    }

    // MARK: Conntrack

    /// Whether conntrack itself had the packet dropped: it was asked, said nothing, and the packet was gone
    /// (nf_conntrack_in gives NF_DROP where no entry can be made). Without hooks: netfilter dropped it at the
    /// door, it has no entry, and no rule can have done it; those of raw tables come before conntrack.
    var conntrackRefused: Bool {
        guard let drop = netfilterDrop, !isFreedByRule(drop), ruling(on: drop.role, at: drop.sighting) == nil
        else { return false }
        if let asked = connection.attempt.askedConntrack { return asked.netns == drop.sighting.netns }
        guard !observedHooks.contains(.nfConntrackIn), let step = step(drop.sighting), step.conntrack == nil else {
            return false
        }
        let isSeen = connection.steps.contains {
            $0.netns == drop.sighting.netns && [.conntrackNew, .conntrackMatch].contains($0.action)
        }
        guard !isSeen, connection.attempt.untracked[drop.role] == nil, connection.attempt.invalid[drop.role] == nil,
            step.stage == .prerouting || step.stage == .output
        else { return false }
        return candidates(.drop, for: drop).map { $0.isComplete && $0.candidates.isEmpty } ?? false
    }

    /// nf_conntrack_max and the number of entries, where conntrack refused and the table is full, give or
    /// take what ended since.
    func findFullTable() -> (limit: UInt64, count: UInt64)? {
        guard conntrackRefused, let netns = netfilterDrop?.sighting.netns,
            let limit = facts.sysctl("net/netfilter/nf_conntrack_max", netns: netns).flatMap({ UInt64($0) }), limit > 0,
            let count = facts.sysctl("net/netfilter/nf_conntrack_count", netns: netns).flatMap({ UInt64($0) }),
            count + max(limit / 20, 1) >= limit
        else { return nil }
        return (limit, count)
    }

    /// An entry that has the place in the table which the dropped packet's new entry asked for
    /// (__nf_conntrack_confirm).
    func findClash() -> TrackedFlow? {
        guard let drop = netfilterDrop, !isFreedByRule(drop), let entry = step(drop.sighting)?.conntrack,
            !entry.status.contains(.confirmed), entry.original.reversed != entry.reply,
            let other = facts.conntrackEntry(
                ConntrackQuery(tuple: entry.reply, zone: entry.zone, netns: drop.sighting.netns)),
            other.original != entry.original
        else { return nil }
        return other
    }

    // MARK: NAT

    /// Rules that would have translated the SYN's destination where it was kept from them, where `to` is
    /// given, to that; nil: not known.
    private func natCandidates(to destination: Endpoint? = nil, at sighting: Sighting) -> RuleCandidates? {
        guard sighting.netns != 0, let step = step(sighting),
            let tuple = step.packet?.tuple ?? step.conntrack?.original
        else { return nil }
        return facts.rules(
            RuleSearch(
                effect: .translateDestination(to: destination), stage: natStage(at: step), tuple: tuple, flags: .syn,
                inputInterface: arrivalDevice(in: sighting.netns), outputInterface: nil, netns: sighting.netns))
    }

    /// Destinations are translated at PREROUTING for what came in, and at OUTPUT for what began here.
    private func natStage(at step: Step) -> Stage {
        if let stage = step.stage, stage == .prerouting || stage == .output { return stage }
        let first = connection.steps.first { $0.netns == step.netns && $0.packet?.flags.role == .syn }
        return first?.stage == .ingress ? .prerouting : .output
    }

    /// Whether a NAT rule was kept from a SYN: there is one that would have translated it. Where rules
    /// cannot be read, or perhaps do not match, nobody says so.
    private func wouldTranslate(at sighting: Sighting) -> Bool { natCandidates(at: sighting)?.hasCertain ?? false }

    /// The rule that a SYN was kept from, where it is the only one.
    func missedRule(at sighting: Sighting) -> Rule? { natCandidates(at: sighting)?.only }

    /// The older entry that the SYN matched, where the NAT rules would have done something else with it.
    func findStaleEntry() -> (sighting: Sighting, entry: ConntrackEntry)? {
        guard let stale = connection.attempt.stale else { return nil }
        // What IPVS translates it enters itself, without NAT's bit (ip_vs_update_conntrack): no rule would agree.
        guard stale.entry.translatesDestination == stale.entry.status.contains(.destinationNAT) else { return nil }
        guard stale.entry.translatesDestination else { return wouldTranslate(at: stale.sighting) ? stale : nil }
        // The rules may well say what the entry says: then it is not the entry that is to blame.
        guard let agreeing = natCandidates(to: stale.entry.translated.destination, at: stale.sighting),
            agreeing.isComplete, agreeing.candidates.isEmpty
        else { return nil }
        return stale
    }

    /// Where a packet was untracked, and NAT could not act on it.
    func findUntracked() -> Sighting? { keptFromNAT(connection.attempt.untracked, [.syn, .synack]) }

    /// Where conntrack called a packet INVALID that NAT should have translated.
    func findInvalid() -> Sighting? { keptFromNAT(connection.attempt.invalid, [.syn, .synack, .ack]) }

    /// The first of these packets that NAT would have translated: the SYN, where there is a rule for it and nothing
    /// translated it; what follows, in a namespace that translates the connection.
    private func keptFromNAT(_ sightings: [PacketRole: Sighting], _ roles: [PacketRole]) -> Sighting? {
        for role in roles {
            guard let place = sightings[role] else { continue }
            let isTranslated = connection.isTranslated(in: place.netns)
            if role == .syn ? !isTranslated && wouldTranslate(at: place) : isTranslated { return place }
        }
        return nil
    }

    /// A SYN that was swallowed after it came in; or one whose answer was kept from conntrack.
    private var whereTableIsAsked: (at: Sighting, tuple: Tuple)? {
        if case .lost(let at) = ending, !isIncomplete, at.stage == .ingress, let tuple = step(at)?.packet?.tuple {
            return (at, tuple)
        }
        guard let answer = connection.attempt.untracked[.synack] else { return nil }
        let syn = connection.steps.last { $0.action == .syn && $0.netns == answer.netns && $0.stage == .ingress }
        return syn?.packet.map { (answer, $0.tuple) }
    }

    /// The translation of a SYN that came in and was swallowed, where nothing after that showed its entry: the
    /// conntrack table has it. Noted as steps that were concluded.
    func consultTable() {
        guard let (at, tuple) = whereTableIsAsked, at.netns != 0, connection.translated == nil,
            let flow = facts.conntrackEntry(ConntrackQuery(tuple: tuple, zone: 0, netns: at.netns)),
            flow.original == tuple, flow.reply != tuple.reversed
        else { return }
        connection.add(.learned(flow.asEntry, netns: at.netns))
    }

    // MARK: The rule that translated

    /// The rule that translated the destination last on the way, seen or the only one that can have.
    var translatingRule: Rule? {
        guard let index = connection.trail.translators.lastIndex(where: { $0.action == .natDestination }) else {
            return nil
        }
        return connection.trail.translators[index].rule ?? concludedRules[index]
    }

    /// For translations whose rule was not seen: the only rule that can have made them. By their place in
    /// the trail.
    func findConcludedRules() -> [Int: Rule] {
        var rules: [Int: Rule] = [:]
        for (index, translator) in connection.trail.translators.enumerated()
        where translator.rule == nil && translator.netns != 0 {
            let effect: RuleSearch.Effect =
                translator.action == .natSource
                ? .translateSource(to: translator.after.source)
                : .translateDestination(to: translator.after.destination)
            rules[index] =
                facts.rules(
                    RuleSearch(
                        effect: effect, stage: translator.stage, tuple: translator.before, flags: .syn,
                        inputInterface: nil, outputInterface: nil, netns: translator.netns))?.only
        }
        return rules
    }

    /// Adds a step for each rule that was concluded and not seen, so that the timeline has it too.
    func tellConcludedRules() {
        for (index, rule) in concludedRules.sorted(by: { $0.key < $1.key }) {
            connection.add(.concluded(rule, translator: index))
        }
    }
}

extension Connection {
    /// An entry that was found in the table, as the steps that made it.
    func learn(_ entry: ConntrackEntry, in netns: UInt32) {
        guard let last = steps.last else { return }
        var tuple = entry.original
        course.translated = entry.translated
        trail.note(entry.translated)
        func tell(_ action: Action, _ detail: StepDetail) {
            guard steps.count < Connection.maximumSteps else { return }
            steps.append(
                Step(
                    sequence: steps.count + omittedSteps, time: last.time, offset: last.offset, action: action,
                    stage: .prerouting, function: Hook.nfConntrackIn.name, backend: .inferred, netns: netns,
                    netnsName: last.netnsName, cpu: 0, packet: nil, conntrack: entry, reason: nil, rule: nil,
                    process: nil, interface: nil, detail: detail, course: course))
        }
        tell(.conntrackNew, .none)
        if entry.translatesDestination {
            let before = tuple
            tuple.destination = entry.translated.destination
            trail.note(
                Trail.Translator(
                    netns: netns, action: .natDestination, stage: .prerouting, before: before, after: tuple))
            tell(.natDestination, .translation(before: before, after: tuple, asked: nil))
        }
    }

    func isTranslated(in netns: UInt32) -> Bool { trail.translators.contains { $0.netns == netns } }

    /// A step for a rule that must have translated: at the time of the last one, for it is concluded now.
    func conclude(_ rule: Rule, by index: Int) {
        let translator = trail.translators[index]
        trail.translators[index].rule = rule
        guard steps.count < Connection.maximumSteps, let last = steps.last else { return }
        steps.append(
            Step(
                sequence: steps.count + omittedSteps, time: last.time, offset: last.offset, action: .rule,
                stage: translator.stage, function: nil, backend: .inferred, netns: translator.netns,
                netnsName: steps.last { $0.netns == translator.netns }?.netnsName, cpu: 0, packet: nil,
                conntrack: nil, reason: nil, rule: rule, process: nil, interface: nil, detail: .none, course: course))
    }
}
