// What a step is, in a few words for a person.

import Handshake

/// A step in words: what happened, and a remark for the line below it.
struct StepWords {
    var what: String
    var tone = TerminalStyle.Tone.plain
    /// The rule that did it.
    var remark: String?

    init(_ step: Step, of connection: Connection, style: TerminalStyle) {
        let packet = step.packet
        let role = packet?.flags.role.inWords
        let reason = step.reason.flatMap { $0.isEmpty ? nil : ": " + style.outside($0) }
        let device = step.interface.flatMap { $0.isEmpty ? nil : " by " + style.outside($0) } ?? ""
        // Where a packet runs to, or from whom an answer comes.
        var direction: String? {
            packet.map { connection.isAnswer($0) ? " from \($0.tuple.source)" : " to \($0.tuple.destination)" }
        }
        let state = step.conntrack?.stateName.flatMap { $0 == "NONE" ? nil : ", " + $0 } ?? ""
        var saysReason = false
        var saysProcess = false

        switch step.action {
        case .syn, .synack, .ack, .rst:
            let way =
                switch step.stage {
                case .ingress: " in" + device
                case .egress: " out" + device
                default: ""
                }
            // As the client sees it, the line above the steps says it; else it is worth a look.
            let tuple = packet?.tuple ?? connection.dialled
            let isDialled = tuple == connection.dialled || tuple.reversed == connection.dialled
            what =
                Self.word(step.action)
                + (isDialled && !way.isEmpty ? way : (direction ?? "") + (way.isEmpty ? "" : "," + way))
            if step.action == .rst { tone = .bad }
        case .conntrackNew: what = "conntrack: new entry"
        case .conntrackMatch:
            what =
                step.conntrack?.isReplyDirection == true
                ? "conntrack: answer to an entry" : "conntrack: matches an entry"
            what += state
        case .conntrackInvalid:
            what = "conntrack: INVALID" + (reason ?? "")
            saysReason = true
            tone = .bad
        case .conntrackUntracked: what = "conntrack: not tracked"
        case .natDestination, .natSource, .natReverse:
            what = Self.translation(step, of: connection, style: style)
            tone = .rewrite
        case .rule:
            what = Self.decision(step)
            if what != Self.decided { tone = .failure }
        case .route: what = "routed" + (device.isEmpty ? "" : " out" + device)
        case .deliver:
            what = (role ?? "packet") + " delivered to TCP" + (packet.map { " on \($0.tuple.destination)" } ?? "")
        case .listener:
            if case .listener(let bound?) = step.detail {
                what = "listener found on \(Self.bound(Endpoint(address: bound.address, port: bound.port)))"
                if let queues = bound.queues, queues.isAcceptQueueFull || queues.syn > queues.limit {
                    what += ", \(queues.accept) waiting, \(queues.syn) half done, limit \(queues.limit)"
                    tone = .bad
                }
            } else {
                what = "no listener" + (packet.map { " for \($0.tuple.destination)" } ?? " found")
                tone = .bad
            }
        case .request: what = "SYN put into the listener's queue"
        case .reset:
            tone = .failure
            switch step.detail {
            case .reset(.active): what = "RST made: TCP aborts its connection"
            case .reset(.netfilter): what = "RST made by a rule"
            default: what = reason == nil ? "RST made by TCP" : "RST made"
            }
        case .drop:
            what = (role ?? "packet") + (direction ?? "") + " dropped"
            tone = .failure
        case .transmit: what = (role ?? "packet") + (direction ?? "") + " sent" + (step.process == nil ? " by TCP" : "")
        case .retransmit:
            what = (role ?? "packet") + (direction ?? "") + " sent again"
            tone = .warning
        case .icmp:
            tone = .bad
            if case .icmp(let error) = step.detail {
                let way = step.stage == .egress ? " out" + device : " in" + device
                what = "ICMP: \(error.words) from \(error.source)," + way
            } else {
                what = "ICMP error"
            }
        case .established:
            // A client's socket comes from SYN_SENT, a server's from SYN_RECV.
            if case .socketState(let from, _) = step.detail {
                what = from == .synSent ? "client's socket established" : "server's socket established"
            } else {
                what = "established"
            }
            tone = .good
        }
        if let process = step.process, step.action == .listener {
            what += ", " + style.process(process)
            saysProcess = true
        }
        if let reason, !saysReason { what += reason }
        if let process = step.process, !saysProcess, step.action != .syn { what += " by " + style.process(process) }
        // Once is enough: the packet is rewritten by the rule that the step before told.
        remark = step.rule.flatMap { step.followsItsRule(in: connection) ? nil : Self.rule($0, style: style) }
    }

    /// What a rule or policy said; of one that was concluded, that is known by what it led to.
    private static func decision(_ step: Step) -> String {
        guard case .rule(let seen) = step.detail else { return decided }
        return switch seen.verdict {
        case .drop: seen.isPolicy ? "policy: drop" : "rule: drop"
        case .stolen: "rule: took the packet"
        case .queue: "rule: to a program (queue)"
        case .proceed: "rule: keeps it from conntrack"
        case .accept, .other: "rule: \(seen.verdict.name)"
        }
    }
    private static let decided = "by a rule"

    private static func word(_ action: Action) -> String {
        switch action {
        case .synack: "SYN-ACK"
        case .ack: "ACK"
        case .rst: "RST"
        default: "SYN"
        }
    }

    /// `DNAT 203.0.113.10:80 → 10.0.0.2:8080`
    private static func translation(_ step: Step, of connection: Connection, style: TerminalStyle) -> String {
        let name =
            switch step.action {
            case .natDestination: "DNAT"
            case .natSource: "SNAT"
            default: "un-NAT"
            }
        guard case .translation(let before, let after, let asked) = step.detail else { return name }
        if asked == nil, step.followsItsRule(in: connection) {
            return "rewritten to \(step.action == .natSource ? after.source : after.destination)"
        }
        var text = name
        if before.source != after.source { text += " " + style.flow(before.source, after.source) }
        if before.destination != after.destination {
            text += (before.source != after.source ? ", " : " ") + style.flow(before.destination, after.destination)
        }
        if before == after { text += ": nothing to change" }
        if let asked, asked.asksAddress, asked.first.address != asked.last.address {
            text += " (of \(asked.first.address) to \(asked.last.address))"
        }
        return text
    }

    /// `rule ip nat prerouting 4: tcp dport 80 dnat to 10.0.0.2:8080`
    static func rule(_ rule: Rule, style: TerminalStyle) -> String? {
        let place = [rule.ruleset, rule.id].compactMap { $0 }.filter { !$0.isEmpty }.map(style.outside)
        let text = rule.text.flatMap { $0.isEmpty ? nil : style.outside($0) }
        guard !place.isEmpty || text != nil else { return nil }
        return (["rule"] + place).joined(separator: " ") + (text.map { ": " + $0 } ?? "")
    }

    /// `*:80` for a listener on every IPv4 address.
    static func bound(_ end: Endpoint) -> String {
        end.address.isUnspecified && end.address.family == .v4 ? "*:\(end.port)" : end.description
    }
}

extension Step {
    /// Whether it is the rewriting of a packet, and the rule's decision to do so stands above it with
    /// both ends.
    fileprivate func followsItsRule(in connection: Connection) -> Bool {
        guard action != .natReverse, let entry = conntrack?.identity else { return false }
        return connection.steps.contains { earlier in
            guard case .translation(_, _, .some) = earlier.detail else { return false }
            return earlier.sequence < sequence && earlier.action == action && earlier.conntrack?.identity == entry
        }
    }
}

extension Connection {
    /// Whether a packet comes from the end that was dialled.
    func isAnswer(_ packet: Packet) -> Bool {
        if packet.flags.role == .synack { return true }
        if packet.flags.role == .syn { return false }
        let source = packet.tuple.source
        return source == dialled.destination || source == translated?.destination
    }
}
