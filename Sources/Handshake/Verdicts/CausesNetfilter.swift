// Causes in netfilter: rules and policies, the conntrack table, and NAT that could not act.

extension Cause {
    // MARK: Conntrack

    static let conntrackFull = Cause(
        code: .conntrackFull,
        applies: { $0.fullTable != nil },
        place: { $0.netfilterDrop?.sighting },
        sentence: { c in
            let table = c.fullTable.map { " (\($0.count) of \($0.limit) entries)" } ?? ""
            return
                "The conntrack table is full\(table), so the \(c.droppedRoleInWords) \(c.droppedRole.toOrOf) \(c.destinationInWords) was dropped before any rule saw it."
        },
        advice: { c in
            [
                "Make room for more: \(c.fullTable.map { "sysctl -w net.netfilter.nf_conntrack_max=\($0.limit * 2)" } ?? "raise net.netfilter.nf_conntrack_max")",
                "See what fills it: \(c.commandHere("conntrack -L"))",
            ]
        },
        evidence: { c in
            c.fullTable.map {
                [
                    .sysctl(name: "net.netfilter.nf_conntrack_max", value: String($0.limit)),
                    .sysctl(name: "net.netfilter.nf_conntrack_count", value: String($0.count)),
                ]
            } ?? []
        })

    static let staleConntrack = Cause(
        code: .staleConntrack,
        applies: { $0.hasFailed && $0.staleEntry != nil },
        place: { $0.staleEntry?.sighting },
        sentence: { c in
            guard let entry = c.staleEntry?.entry else { return "" }
            let state = entry.stateName.flatMap { $0 == "NONE" ? nil : " in state \($0)" } ?? ""
            let instead =
                entry.translatesDestination
                ? "sends it to \(entry.translated.destination)" : "leaves its destination as it is"
            return
                "The SYN \(entry.original) matched an older conntrack entry\(state), which \(instead); NAT rules are asked only for new entries."
        },
        advice: { c in
            guard let (place, entry) = c.staleEntry else { return [] }
            let step = c.step(place)
            return [
                "Remove the entry: "
                    + c.command(
                        "conntrack -D -p tcp -s \(entry.original.source.address) --sport \(entry.original.source.port)"
                            + " -d \(entry.original.destination.address) --dport \(entry.original.destination.port)",
                        in: place.netns, named: step?.netnsName)
            ]
        },
        evidence: { c in
            guard let (place, entry) = c.staleEntry else { return [] }
            return [.conntrackEntry(entry)] + (c.missedRule(at: place).map { [.rule($0)] } ?? [])
        })

    static let untracked = Cause(
        code: .untracked,
        applies: { $0.hasFailed && $0.untracked != nil },
        place: { $0.untracked },
        sentence: { c in
            let by = c.untrackingRule.map { ", by rule \($0.inWords)" } ?? ""
            let role = c.untracked.flatMap(c.step)?.packet?.flags.role ?? .syn
            return role == .synack
                ? "The answer of \(c.destinationInWords) was kept from conntrack\(by): the translation was not undone."
                : "The SYN to \(c.connection.dialled.destination) was kept from conntrack\(by): NAT rules cannot act on it."
        },
        advice: { c in
            ["Let the notrack rule leave out port \(c.connection.dialled.destination.port), or do without NAT for it"]
        },
        evidence: { c in
            // The rule that kept it, and the one that it was kept from.
            [c.untrackingRule, c.untracked.flatMap(c.missedRule)].compactMap { $0.map(Evidence.rule) }
        },
        rule: { $0.untrackingRule })

    static let conntrackInvalid = Cause(
        code: .conntrackInvalid,
        applies: { $0.hasFailed && $0.invalid != nil },
        place: { $0.invalid },
        sentence: { c in
            let step = c.invalid.flatMap(c.step)
            let words = step?.reason.map { ": \"\($0)\"" } ?? ""
            return
                "Conntrack calls the \(step?.packet?.flags.role.inWords ?? "packet") \(step?.packet.map { "\($0.tuple)" } ?? "") INVALID\(words); NAT left it as it was."
        },
        advice: { c in
            let step = c.invalid.flatMap(c.step)
            let reason = step?.reason ?? ""
            if reason.contains("checksum") {
                return ["Look at the sender, its offloading and what changes packets on the way: the checksum is wrong"]
            }
            return [
                "See whether both directions of the flow pass here, and whether its entry was removed meanwhile: "
                    + c.command("conntrack -E -p tcp", in: step?.netns ?? 0, named: step?.netnsName)
            ]
        },
        evidence: { c in c.invalid.flatMap(c.missedRule).map { [.rule($0)] } ?? [] })

    // MARK: Rules

    static let filterRejected = Cause(
        code: .filterRejected,
        applies: { $0.rejection != nil },
        place: { $0.rejection },
        sentence: { c in
            let with: String? =
                if let icmp = c.connection.attempt.icmp, c.connection.attempt.reset == nil,
                    c.connection.attempt.firstRst == nil
                {
                    " with an ICMP error, \(icmp.error.words)"
                } else if c.connection.attempt.reset != nil || c.connection.attempt.firstRst != nil {
                    " with a TCP reset"
                } else {
                    nil
                }
            let by = c.rejectingRule?.rule.map { "The rule \($0.inWords)" } ?? "A netfilter rule"
            let role = c.rejection.flatMap(c.step)?.packet?.flags.role ?? .syn
            return "\(by) rejected the \(role.inWords) \(role.toOrOf) \(c.destinationInWords)\(with ?? "")."
        },
        advice: { c in
            guard let rule = c.rejectingRule?.rule else {
                return [
                    "Find the rule that rejects port \(c.target.port): \(c.commandHere("nft -a list ruleset | grep -n reject"))"
                ]
            }
            return c.advice(against: rule)
        },
        evidence: { c in c.rejectingRule?.rule.map { [.rule($0)] } ?? [] },
        rule: { $0.rejectingRule?.rule })

    static let filterDropped = Cause(
        code: .filterDropped,
        applies: { $0.droppingRule != nil },
        place: { $0.netfilterDrop?.sighting },
        sentence: { c in
            let what = "the \(c.droppedRoleInWords) \(c.droppedTupleInWords)"
            guard let rule = c.droppingRule?.rule else {
                let stage = c.netfilterDrop.flatMap { c.step($0.sighting) }?.stage.map { " at \($0.name)" } ?? ""
                return "A netfilter rule or policy dropped \(what)\(stage)."
            }
            return rule.isPolicy
                ? "No rule of the chain \(rule.ruleset ?? "") accepted \(what), and its policy is to drop."
                : "The rule \(rule.inWords) dropped \(what)."
        },
        advice: { c in
            guard let rule = c.droppingRule?.rule else {
                return ["Find what drops it: \(c.commandHere("nft -a list ruleset"))"]
            }
            return c.advice(against: rule)
        },
        evidence: { c in c.droppingRule?.rule.map { [.rule($0)] } ?? [] },
        rule: { $0.droppingRule?.rule })

    // MARK: NAT

    static let natExhausted = Cause(
        code: .natExhausted,
        applies: { $0.clash != nil },
        place: { $0.netfilterDrop?.sighting },
        sentence: { c in
            let entry = c.netfilterDrop.flatMap { c.step($0.sighting) }?.conntrack
            let source = entry.map { "\($0.translated.source)" } ?? "its new source"
            let held = c.clash.map { ", which \($0.original.source) has" } ?? ""
            return
                "NAT found no free address and port for \(c.connection.dialled.source) towards \(c.target): it got \(source)\(held), and the new entry clashed with that one."
        },
        advice: { c in
            [
                "Let the rule translate to more ports or addresses\(c.translatingSourceRule.map { ": \($0.inWords)" } ?? "")"
            ]
        },
        evidence: { c in
            (c.clash.map { [.conntrackEntry($0.asEntry)] } ?? [])
                + (c.translatingSourceRule.map { [.rule($0)] } ?? [])
        },
        rule: { $0.translatingSourceRule })
}

extension Case {
    /// The `notrack` rule, seen or the only one that there is.
    var untrackingRule: Rule? {
        guard let place = untracked else { return nil }
        if let ruling = connection.attempt.rulings[place.netns], ruling.verdict == .proceed { return ruling.rule }
        return onlyRule(.notrack, at: place)
    }

    /// Whether there is an end that wants a reason; else the general causes say that there is none.
    var hasFailed: Bool {
        switch ending {
        case .established, .nothing: false
        case .passedOn, .answeredOnly, .lost: !isFinal && !isIncomplete
        default: true
        }
    }

    var droppedRole: PacketRole { netfilterDrop?.role ?? .syn }
    var droppedRoleInWords: String { droppedRole.inWords }
    var droppedTupleInWords: String {
        netfilterDrop.map { "\($0.packet.tuple.source) → \($0.packet.tuple.destination)" } ?? ""
    }

    /// The rule that translated the source last on the way.
    var translatingSourceRule: Rule? {
        guard let index = connection.trail.translators.lastIndex(where: { $0.action == .natSource }) else { return nil }
        return connection.trail.translators[index].rule ?? concludedRules[index]
    }

    /// The only rule that can have had this effect on the SYN in the namespace where it was seen.
    func onlyRule(_ effect: RuleSearch.Effect, at sighting: Sighting) -> Rule? {
        guard sighting.netns != 0, let step = step(sighting), let tuple = step.packet?.tuple else { return nil }
        return facts.rules(
            RuleSearch(
                effect: effect, stage: nil, tuple: tuple, flags: .syn, inputInterface: nil, outputInterface: nil,
                netns: sighting.netns))?.only
    }
}

extension TrackedFlow {
    /// As evidence shows entries.
    var asEntry: ConntrackEntry {
        ConntrackEntry(
            identity: 0, original: original, reply: reply, status: ConntrackStatus(rawValue: status), state: state,
            zone: zone, isReplyDirection: false, isNew: false)
    }
}

extension ICMPError {
    /// `port unreachable (type 3, code 3)`; RFC 792 and its successors, RFC 4443.
    public var words: String {
        let words: String? =
            switch (source.family, type, code) {
            case (.v4, 3, 0): "network unreachable"
            case (.v4, 3, 1): "host unreachable"
            case (.v4, 3, 2): "protocol unreachable"
            case (.v4, 3, 3): "port unreachable"
            case (.v4, 3, 9), (.v4, 3, 10), (.v4, 3, 13): "administratively prohibited"
            case (.v4, 3, _): "destination unreachable"
            case (.v4, 11, _), (.v6, 3, _): "time exceeded"
            case (.v4, 12, _), (.v6, 4, _): "parameter problem"
            case (.v6, 1, 0): "no route"
            case (.v6, 1, 1): "administratively prohibited"
            case (.v6, 1, 3): "address unreachable"
            case (.v6, 1, 4): "port unreachable"
            case (.v6, 1, 5): "failed policy"
            case (.v6, 1, 6): "reject route"
            case (.v6, 1, _): "destination unreachable"
            default: nil
            }
        return words.map { "\($0) (type \(type), code \(code))" } ?? "type \(type), code \(code)"
    }
}
