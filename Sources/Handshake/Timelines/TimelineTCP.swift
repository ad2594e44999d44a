// The steps that TCP makes: delivery, the look-up of a listener, requests, answers, states, and
// the ends: resets and drops.

extension StepWriter {
    func deliver() {
        if isBeyondHandshake { return }
        inferFromConntrack()
        let sighting = add(.deliver)
        if role == .syn {
            connection.attempt.delivered = sighting
            noteSyn(sighting)
        }
    }

    func listener() {
        guard case .listener(let found) = o.detail else { return }
        // A packet for a half-open handshake. Told where the queue is full; else it is no news.
        if o.hook == .tcpCheckReq {
            guard role == .ack, !isBeyondHandshake, let found else { return }
            guard found.queues?.isAcceptQueueFull == true else {
                connection.attempt.finishing = nil
                return
            }
            connection.attempt.finishing = (add(.listener, detail: .listener(found)), found)
            return
        }
        guard role == .syn else { return }
        let sighting = add(.listener, detail: .listener(found))
        connection.attempt.lookup = (sighting, found)
    }

    func transmit() {
        let action: Action = o.kind == .retransmit ? .retransmit : .transmit
        let process: ProcessIdentity? =
            o.pid == 0 ? nil : ProcessIdentity(pid: Int32(truncatingIfNeeded: o.pid), name: o.name.string)
        let sighting = add(action, process: process)
        if role == .synack {
            if let number = o.packet?.seq { noteAnswer(number, isMadeHere: true) }
            if connection.attempt.firstSynack == nil { connection.attempt.firstSynack = sighting }
        } else if role == .syn, o.kind == .transmit {
            noteSyn(sighting)
        }
    }

    func socketState() {
        guard case .socketState(let old, let new) = o.detail, new == .established else { return }
        let sighting = add(.established, detail: o.detail.asStepDetail)
        if old == .synSent {
            connection.establishment.client = sighting
        } else {
            connection.establishment.server = sighting
        }
    }

    // MARK: Resets and drops

    func reset() {
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
    func inferLookup() {
        if connection.attempt.delivered == nil {
            connection.attempt.delivered = infer(
                .deliver, stage: .socket, hook: isIPv6 ? .tcpV6Rcv : .tcpV4Rcv, showsPacket: true)
        }
        if connection.attempt.lookup == nil {
            let hook = isIPv6 ? Hook.inet6LookupListener : .inetLookupListener
            connection.attempt.lookup = (
                infer(
                    .listener, stage: .socket, hook: hook, showsPacket: true, detail: .listener(nil)),
                nil
            )
        }
    }

    func drop() {
        guard let packet = o.packet, connection.verdict?.outcome != .success else { return }
        if isBeyondHandshake { return }
        let function = names.symbol(at: o.location)
        let reason = o.reason.flatMap(names.dropReason)
        let stage = self.stage(ofDropIn: function, for: reason, ruledAt: stageOfRuling)
        inferFromConntrack()
        let sighting = add(.drop, stage: stage, function: function ?? o.hook.name, reason: reason)
        // A bridge that does not know the way floods copies; those for others end with this reason.
        guard role != .rst, reason != "OTHERHOST" else { return }
        if role == .syn {
            noteEntry()
            if connection.attempt.firstSynack != nil { return }
        }
        connection.attempt.drop = Attempt.Drop(
            sighting: sighting, role: packet.flags.role, packet: packet,
            device: o.name)
    }

    // MARK: ICMP

    /// An error from here is seen as it leaves, one from elsewhere first as it comes in.
    func icmp() {
        guard case .icmp(let error) = o.detail, connection.verdict?.outcome != .success else { return }
        let sighting = add(.icmp, detail: .icmp(error))
        guard connection.attempt.icmp == nil else { return }
        if o.stage == .egress { connection.trail.ownErrorSources.insert(error.source) }
        // One that came of the SYN before, on its way to the client while the next one is: no news from elsewhere.
        if o.stage == .ingress, connection.trail.ownErrorSources.contains(error.source) { return }
        connection.attempt.icmp = (sighting, error)
    }

    /// Where a rule or policy has just decided to drop this packet.
    private var stageOfRuling: Stage? {
        guard let ruling = connection.attempt.rulings[o.netns], ruling.verdict == .drop, ruling.role == role,
            ruling.sighting.step == connection.steps.indices.last
        else { return nil }
        return ruling.sighting.stage
    }

    /// The stage of functions that free packets. Netfilter works at several: there the packet's state
    /// told the kernel side which it was, or else the rule that decided. Where functions have no names (without
    /// CAP_SYSLOG), the reason says that it was netfilter.
    private func stage(ofDropIn function: String?, for reason: String?, ruledAt: Stage?) -> Stage? {
        guard let function else { return reason == "NETFILTER_DROP" ? o.stage ?? ruledAt : nil }
        if ["nf_", "nft_", "ipt_", "ip6t_"].contains(where: function.hasPrefix) { return o.stage ?? ruledAt }
        return Self.dropStages.first { function.hasPrefix($0.0) }?.1
    }

    private static let dropStages: [(String, Stage)] = [
        ("tcp_", .socket), ("inet_csk_", .socket), ("sk_", .socket), ("ip_forward", .forward),
        ("ip6_forward", .forward),
        ("ip_route_input", .routing), ("ip6_route_input", .routing), ("ip_rcv_finish", .routing),
        ("ip6_rcv_finish", .routing), ("ip_error", .routing), ("ip6_pkt_", .routing), ("dst_discard", .routing),
        ("ip_local_deliver", .input),
        ("ip6_input", .input), ("ip6_protocol_deliver", .input), ("ip_protocol_deliver", .input),
        ("ip_finish_output", .postrouting), ("ip6_finish_output", .postrouting), ("neigh_", .egress),
        ("arp_error_report", .egress), ("ndisc_error_report", .egress), ("__dev_queue_xmit", .egress),
        ("dev_hard_start_xmit", .egress), ("sch_", .egress), ("veth_xmit", .egress), ("ip_rcv_core", .ingress),
        ("ip6_rcv_core", .ingress), ("__netif_receive_skb", .ingress),
    ]
}

extension ObservationDetail {
    fileprivate var asStepDetail: StepDetail {
        guard case .socketState(let from, let to) = self else { return .none }
        return .socketState(from: from, to: to)
    }
}
