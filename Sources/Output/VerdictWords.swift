// Where a handshake ended, evidence and checks, in a few words for a person.

import Handshake

extension Verdict {
    /// Where it ended: stage, function, reason, namespace, as far as they are known.
    func place(_ style: TerminalStyle) -> [String] {
        var parts: [String] = []
        if let stage { parts.append(stage.name) }
        if let function, !function.isEmpty { parts.append(style.outside(function)) }
        if let reason, !reason.isEmpty { parts.append("reason " + style.outside(reason)) }
        if let netns = style.netns(netns, netnsName) { parts.append("netns " + netns) }
        return parts
    }
}

extension Evidence {
    func words(_ style: TerminalStyle) -> String {
        switch self {
        case .listener(let listener):
            var text = listener.process.map(style.process) ?? "a socket"
            if let home = listener.process?.container ?? listener.process?.unit { text += " of \(style.outside(home))" }
            text += " listens on " + StepWords.bound(listener.endpoint)
            if let elsewhere = listener.elsewhere {
                text += " in netns " + (elsewhere.name.map(style.outside) ?? String(elsewhere.inode))
            }
            if let interface = listener.interface {
                text += ", only by device " + (interface.name.map(style.outside) ?? "number \(interface.index)")
            }
            if listener.isIPv6Only == true { text += ", for IPv6 only" }
            return text + ", \(listener.acceptQueue) of \(listener.acceptQueueLimit) waiting for accept"
        case .sysctl(let name, let value): return "sysctl \(style.outside(name)) is \(style.outside(value))"
        case .route(let text): return "route " + style.outside(text)
        case .conntrackEntry(let entry):
            var text = "conntrack entry"
            if let state = entry.stateName { text += " " + state }
            text += " " + style.flow(entry.original.source, entry.original.destination)
            text += ", answers " + style.flow(entry.reply.source, entry.reply.destination)
            if entry.zone != 0 { text += ", zone \(entry.zone)" }
            return text
        case .rule(let rule): return StepWords.rule(rule, style: style) ?? "a rule"
        case .interface(let name, let addresses):
            let list = addresses.map(\.description).joined(separator: ", ")
            return "device \(style.outside(name))" + (list.isEmpty ? "" : " has " + list)
        case .counter(let name, let value): return "counter \(style.outside(name)) is \(value)"
        }
    }
}

extension Checklist {
    /// `SYN arrived, answer: rst, conntrack: new, no listener matches`; nil: nothing is known.
    var words: String? {
        var parts: [String] = []
        if let synArrived { parts.append(synArrived ? "SYN arrived" : "no SYN arrived") }
        if let answer { parts.append("answer: \(answer.rawValue)") }
        if let conntrack { parts.append("conntrack: \(conntrack.rawValue)") }
        if let listenerMatches { parts.append(listenerMatches ? "a listener matches" : "no listener matches") }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }
}
