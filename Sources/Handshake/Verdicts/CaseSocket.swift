// What happened at the socket, beside there being none: queues that are full, and TCP's refusals.

extension Case {
    struct FullQueue {
        var place: Sighting
        var listener: Listener?
        var isSynQueue = false
        var length: UInt32
        var limit: UInt32
        var evidence: [Evidence] = []
    }

    /// The listener had no room for the SYN, or for the connection that its last ACK would have made.
    func findFullQueue() -> FullQueue? {
        // Where it was seen, the numbers are those of that moment.
        if let finishing = connection.attempt.finishing, let queues = finishing.listener.queues {
            switch ending {
            case .overflow, .reset: break
            case .dropped(let drop) where drop.role == .ack: break
            default: return nil
            }
            var full = FullQueue(
                place: endSighting ?? finishing.sighting, listener: nil, length: queues.accept, limit: queues.limit)
            complete(&full)
            return full
        }
        if case .overflow(let at) = ending, let queues = connection.attempt.lookup?.found?.queues {
            let isSynQueue = !queues.isAcceptQueueFull
            // A full SYN queue drops nothing where there are cookies, and what answers may not have been seen.
            if isSynQueue, isFinal || isIncomplete || hasCookies(in: at.netns) { return nil }
            var full = FullQueue(
                place: at, listener: nil, isSynQueue: isSynQueue, length: isSynQueue ? queues.syn : queues.accept,
                limit: queues.limit)
            complete(&full)
            return full
        }
        return findFullSynBacklog() ?? findFullQueueByFacts()
    }

    /// Without SYN cookies the last quarter of tcp_max_syn_backlog is kept for clients that are known to be
    /// real (tcp_conn_request).
    private func findFullSynBacklog() -> FullQueue? {
        guard case .lost(let at) = ending, !isFinal, !isIncomplete, let lookup = connection.attempt.lookup,
            let queues = lookup.found?.queues, connection.attempt.request == nil, at.netns != 0,
            facts.sysctl("net/ipv4/tcp_syncookies", netns: at.netns) == "0",
            let limit = facts.sysctl("net/ipv4/tcp_max_syn_backlog", netns: at.netns).flatMap({ UInt32($0) }),
            Int(limit) - Int(queues.syn) < Int(limit) >> 2
        else { return nil }
        var full = FullQueue(
            place: lookup.sighting, listener: nil, isSynQueue: true, length: queues.syn, limit: limit,
            evidence: [.sysctl(name: "net.ipv4.tcp_max_syn_backlog", value: String(limit))])
        complete(&full)
        return full
    }

    /// Whether a full queue would have been seen where the last ACK meets the half-open handshake; with SYN cookies
    /// there is none to meet (tcp_v4_cookie_check).
    private var wouldSeeFullQueue: Bool {
        connection.attempt.request != nil && observedHooks.contains(.tcpCheckReq)
    }

    /// Without hooks: the packet came to the namespace of a listener that takes it and whose queue is
    /// full now, and nothing else became of it.
    private func findFullQueueByFacts() -> FullQueue? {
        let place: Sighting
        switch ending {
        case .lost(let at) where !isFinal && !isIncomplete && connection.attempt.firstSynack == nil:
            // A look-up that was seen told how full the queues were then; without one, TCP never had the SYN
            // where it would have been seen there.
            let isIPv6 = target.address.family == .v6
            guard at.stage == .ingress || at.stage == .socket, connection.attempt.lookup == nil,
                !observedHooks.contains(isIPv6 ? .inet6LookupListener : .inetLookupListener)
            else { return nil }
            place = at
        case .dropped(let drop) where drop.role == .ack && step(drop.sighting)?.stage == .socket:
            // Want of room has no reason of its own; whatever has another is something else.
            let reason = step(drop.sighting)?.reason ?? "NOT_SPECIFIED"
            guard reason == "NOT_SPECIFIED" && !wouldSeeFullQueue || reason.contains("OVERFLOW") else { return nil }
            place = drop.sighting
        case .reset(let reset) where reset.maker == .tcp && reset.packet.flags.role == .ack && !wouldSeeFullQueue:
            place = reset.sighting
        default: return nil
        }
        // From 6.17 on the kernel says so itself of an ACK.
        let saysSo = droppedPacket.flatMap { step($0.sighting) }?.reason == "TCP_LISTEN_OVERFLOW"
        guard
            let listener = matchingListeners.first(where: { $0.acceptQueue > $0.acceptQueueLimit })
                ?? (saysSo ? matchingListeners.first : nil)
        else { return nil }
        var full = FullQueue(
            place: place, listener: listener, length: listener.acceptQueue, limit: listener.acceptQueueLimit)
        complete(&full)
        return full
    }

    /// Whether a listener in another namespace is one of several that the translating rule distributes to: then
    /// that it listens there says nothing of the one that does not listen here.
    func isSibling(_ listener: Listener) -> Bool {
        guard let elsewhere = listener.elsewhere,
            let translator = connection.trail.translators.last(where: { $0.action == .natDestination }),
            translator.netns != 0
        else { return false }
        var addresses = [listener.address]
        if listener.address.isUnspecified {
            guard case .addresses(let all) = facts.answer(.addresses(netns: elsewhere.inode)) else { return false }
            addresses = all.filter { $0.family == target.address.family && !$0.isLoopback }
        }
        return addresses.contains { address in
            guard address != translator.after.destination.address else { return false }
            let search = RuleSearch(
                effect: .translateDestination(to: Endpoint(address: address, port: listener.port)),
                stage: translator.stage, tuple: translator.before, flags: .syn, inputInterface: nil,
                outputInterface: nil, netns: translator.netns)
            return facts.rules(search)?.candidates.isEmpty == false
        }
    }

    private func hasCookies(in netns: UInt32) -> Bool {
        netns != 0 && (facts.sysctl("net/ipv4/tcp_syncookies", netns: netns) ?? "0") != "0"
    }

    private func complete(_ full: inout FullQueue) {
        if full.listener == nil { full.listener = matchingListeners.first }
        let netns = full.place.netns
        guard netns != 0 else { return }
        if full.isSynQueue {
            full.evidence.append(.counter(name: "syn_queue", value: UInt64(full.length)))
            if let value = facts.sysctl("net/ipv4/tcp_syncookies", netns: netns) {
                full.evidence.append(.sysctl(name: "net.ipv4.tcp_syncookies", value: value))
            }
        } else if case .reset = ending, let value = facts.sysctl("net/ipv4/tcp_abort_on_overflow", netns: netns) {
            full.evidence.append(.sysctl(name: "net.ipv4.tcp_abort_on_overflow", value: value))
        }
    }

    private var endSighting: Sighting? {
        switch ending {
        case .reset(let reset): reset.sighting
        case .dropped(let drop): drop.sighting
        case .overflow(let at): at
        default: nil
        }
    }

    /// Reasons for which a packet is freed in TCP's functions and that say nothing about a socket.
    private static let reasonsWithoutSocket: Set<String> = [
        "NO_SOCKET", "NOT_SPECIFIED", "TCP_CSUM", "PKT_TOO_SMALL", "OTHERHOST", "NETFILTER_DROP", "NOMEM",
        "XFRM_POLICY",
    ]

    /// Where TCP refused although there is a socket: with an RST, or by dropping the packet for a reason
    /// that it names, or after a look-up that found one.
    var refusal: Sighting? {
        switch ending {
        case .reset(let reset) where reset.maker == .tcp && reset.hasSocket && reset.packet.flags.role != .synack:
            return reset.sighting
        case .dropped(let drop):
            guard let step = step(drop.sighting), step.stage == .socket, drop.role == .syn || drop.role == .ack else {
                return nil
            }
            let isNamed = step.reason.map { !Self.reasonsWithoutSocket.contains($0) } ?? false
            let isFound = connection.attempt.lookup?.found != nil && step.reason != "TCP_CSUM"
            return isNamed || isFound ? drop.sighting : nil
        default: return nil
        }
    }
}
