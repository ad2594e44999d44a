// What routing did to the packet that did not get through: settings, routes, neighbours, and the way
// that the answer took.

extension Case {
    /// Where a route was looked for and what became of it.
    struct Obstacle {
        var drop: Attempt.Drop
        /// sysctls that decide, with their values.
        var sysctls: [Evidence] = []
        var route: Route?
    }

    /// The function that dropped the packet and the reason, where it is the end.
    private var dropStep: (drop: Attempt.Drop, function: String, reason: String?)? {
        guard case .dropped(let drop) = ending, let step = step(drop.sighting), let function = step.function else {
            return nil
        }
        return (drop, function, step.reason)
    }

    /// Functions in which a packet is freed because of what routing says of it, on its way in
    /// (net/ipv4/route.c, ip_input.c; net/ipv6/route.c, ip6_output.c).
    private static let routingFunctions = [
        "ip_error", "ip_rcv_finish", "ip_route_input", "ip_list_rcv_finish", "ip_sublist_rcv", "ip6_pkt_",
        "ip6_forward",
        "ip_forward", "ip6_rcv_finish", "ip6_list_rcv_finish", "dst_discard",
    ]

    private var isDroppedByRouting: Bool {
        guard let (_, function, _) = dropStep else { return false }
        return Self.routingFunctions.contains { function.hasPrefix($0) }
    }

    private func value(_ name: String, in netns: UInt32) -> Int? {
        facts.sysctl(name, netns: netns).flatMap { Int($0) }
    }

    // MARK: Settings

    /// A packet for another machine, in a namespace that does not forward what comes in by this device.
    func findForwardingOff() -> Obstacle? {
        guard let (drop, function, reason) = dropStep, isDroppedByRouting, drop.sighting.netns != 0,
            reason != "IP_RPFILTER", !drop.packet.tuple.destination.address.isLoopback
        else { return nil }
        let netns = drop.sighting.netns
        let address = drop.packet.tuple.destination.address
        if address.family == .v6 {
            guard function.hasPrefix("ip6_forward"), value("net/ipv6/conf/all/forwarding", in: netns) == 0 else {
                return nil
            }
            return Obstacle(drop: drop, sysctls: [.sysctl(name: "net.ipv6.conf.all.forwarding", value: "0")])
        }
        // With forwarding off, whatever is not for this machine ends in ip_error (ip_route_input_slow).
        guard function == "ip_error", let device = drop.interface,
            value("net/ipv4/conf/\(device)/forwarding", in: netns) == 0,
            facts.route(routeQuery(to: address, in: netns))?.kind != .local
        else { return nil }
        let isOff = value("net/ipv4/ip_forward", in: netns) == 0
        return Obstacle(
            drop: drop,
            sysctls: [
                .sysctl(name: "net.ipv4.ip_forward", value: isOff ? "0" : "1"),
                .sysctl(name: "net.ipv4.conf.\(device).forwarding", value: "0"),
            ])
    }

    /// A packet from outside whose destination was translated to 127.0.0.0/8, which is refused as a
    /// martian unless route_localnet allows it (ip_route_input_slow).
    func findLocalnetOff() -> Obstacle? {
        guard let (drop, _, _) = dropStep, isDroppedByRouting, let device = drop.interface else { return nil }
        let address = drop.packet.tuple.destination.address
        guard address.family == .v4, address.isLoopback, address != connection.dialled.destination.address,
            drop.sighting.netns != 0
        else { return nil }
        let names = ["all", device].map { "net/ipv4/conf/\($0)/route_localnet" }
        let values = names.map { value($0, in: drop.sighting.netns) }
        guard values.allSatisfy({ $0 == 0 }) else { return nil }
        return Obstacle(drop: drop, sysctls: names.map { .sysctl(name: $0.asSysctlName, value: "0") })
    }

    /// The reverse-path check; its effective value is the larger of all and the device
    /// (IN_DEV_RPFILTER).
    func findReversePath() -> (obstacle: Obstacle, effective: Int?, device: String?)? {
        guard let (drop, _, reason) = dropStep, reason == "IP_RPFILTER" else { return nil }
        var sysctls: [Evidence] = []
        var effective: Int?
        for name in ["all"] + (drop.interface.map { [$0] } ?? []) {
            let path = "net/ipv4/conf/\(name)/rp_filter"
            guard drop.sighting.netns != 0, let value = value(path, in: drop.sighting.netns) else { continue }
            effective = max(effective ?? 0, value)
            sysctls.append(.sysctl(name: path.asSysctlName, value: String(value)))
        }
        let back =
            drop.sighting.netns == 0
            ? nil : facts.route(routeQuery(to: drop.packet.tuple.source.address, in: drop.sighting.netns))
        return (Obstacle(drop: drop, sysctls: sysctls, route: back), effective, drop.interface)
    }

    // MARK: Routes and neighbours

    /// As for a packet of this machine's own, whose source is still to be chosen.
    private func routeQuery(to address: IPAddress, in netns: UInt32) -> RouteQuery {
        RouteQuery(destination: address, source: nil, inputInterface: nil, netns: netns)
    }

    /// As for a packet of the connection on its way through a namespace. Policy routing and VRFs heed the source
    /// that it had, which is translated only after routing, and the device by which it came in.
    private func routeQuery(of role: PacketRole, to address: IPAddress, in netns: UInt32) -> RouteQuery {
        let arrival = connection.steps.last {
            $0.stage == .ingress && $0.netns == netns && $0.action != .icmp && $0.packet?.flags.role == role
                && $0.interface != nil
        }
        guard let source = arrival?.packet?.tuple.source.address, source.family == address.family else {
            return routeQuery(to: address, in: netns)
        }
        return RouteQuery(destination: address, source: source, inputInterface: arrival?.interface, netns: netns)
    }

    /// No route, or one that refuses.
    struct MissingRoute {
        var place: Sighting
        var role: PacketRole
        var destination: IPAddress
        var route: Route?
    }

    func findMissingRoute() -> MissingRoute? {
        if let back = findMissingRouteBack() { return back }
        guard let (drop, function, reason) = dropStep, drop.sighting.netns != 0 else { return nil }
        let address = drop.packet.tuple.destination.address
        let saysSo = reason == "IP_INNOROUTES" || reason == "IP_OUTNOROUTES" || reason == "IPV6_NOROUTE"
        // After OUTPUT rewrote a packet of this machine, a route is looked for again (ip_route_me_harder), and
        // netfilter drops what has none.
        let isRewrittenHere =
            step(drop.sighting)?.stage == .output && netfilterDrop != nil
            && connection.isTranslated(in: drop.sighting.netns)
        let isOutgoing = function.hasPrefix("ip_route_output") || function.hasPrefix("dst_discard_out")
        guard saysSo || isDroppedByRouting || isRewrittenHere || isOutgoing else { return nil }
        var missing = MissingRoute(place: drop.sighting, role: drop.role, destination: address)
        guard let route = facts.route(routeQuery(of: drop.role, to: address, in: drop.sighting.netns)) else {
            return saysSo ? missing : nil
        }
        if route.isRefusing { missing.route = route }
        return saysSo || route.isRefusing ? missing : nil
    }

    /// A SYN that a listener would take is let go without a drop where there is no route for the answer
    /// (tcp_conn_request: route_req).
    private func findMissingRouteBack() -> MissingRoute? {
        guard case .lost(let at) = ending, !isFinal, !isIncomplete, at.netns != 0,
            at.stage == .ingress || at.stage == .socket, connection.attempt.request == nil,
            connection.attempt.firstSynack == nil, let step = step(at), step.packet?.flags.role == .syn,
            !lateListeners.isEmpty || connection.attempt.lookup?.found != nil,
            facts.route(routeQuery(to: target.address, in: at.netns))?.kind == .local,
            let source = step.packet?.tuple.source.address,
            let route = facts.route(
                RouteQuery(destination: source, source: target.address, inputInterface: nil, netns: at.netns)),
            route.isRefusing, vrf(ofArrivalIn: at.netns) == nil
        else { return nil }
        return MissingRoute(place: at, role: .synack, destination: source, route: route)
    }

    /// The neighbour that a SYN waits for, or was dropped for.
    struct MissingNeighbour {
        var place: Sighting
        /// The packet that waits, and where it goes.
        var role: PacketRole
        var destination: IPAddress
        /// The next hop: the destination itself, or a gateway.
        var address: IPAddress
        var interface: String?
        var state: String?
        var route: Route?
    }

    func findMissingNeighbour() -> MissingNeighbour? {
        if let (drop, function, reason) = dropStep {
            let isSeen =
                reason.map { $0.hasPrefix("NEIGH_") } ?? false
                || ["arp_error_report", "ndisc_error_report", "neigh_", "__neigh_"].contains { function.hasPrefix($0) }
            guard isSeen else { return nil }
            let address = drop.packet.tuple.destination.address
            let route =
                drop.sighting.netns == 0
                ? nil : facts.route(routeQuery(of: drop.role, to: address, in: drop.sighting.netns))
            return missing(drop.role, at: drop.sighting, to: address, route, isSeen: true)
        }
        // Held back by the neighbour table: nothing is freed until it gives up.
        guard case .lost(let at) = ending, !isFinal, !isIncomplete, at.netns != 0, at.stage != .egress,
            at.stage != .socket, let packet = step(at)?.packet
        else { return nil }
        let role = packet.flags.role
        let destination =
            role == .syn ? connection.translated?.destination ?? packet.tuple.destination : packet.tuple.destination
        guard let route = facts.route(routeQuery(of: role, to: destination.address, in: at.netns)),
            route.kind == .unicast
        else { return nil }
        return missing(role, at: at, to: destination.address, route, isSeen: false)
    }

    private func missing(
        _ role: PacketRole, at place: Sighting, to address: IPAddress, _ route: Route?, isSeen: Bool
    ) -> MissingNeighbour? {
        let hop = route?.gateway ?? address
        let neighbour = route?.interface.flatMap {
            facts.neighbour(hop, interface: $0, netns: place.netns)
        }
        guard isSeen || neighbour?.isUnresolved == true else { return nil }
        return MissingNeighbour(
            place: place, role: role, destination: address, address: hop, interface: route?.interface,
            state: neighbour?.state, route: route)
    }

    // MARK: The way back

    /// The answer that the client's side refused with an RST, as it looked to the client.
    var refusedAnswer: (place: Sighting, answer: Tuple)? {
        switch ending {
        case .reset(let reset) where reset.maker == .tcp && reset.packet.flags.role == .synack:
            return (reset.sighting, reset.packet.tuple)
        case .resetByClient(let rst):
            return step(rst)?.packet.map { (rst, $0.tuple.reversed) }
        default: return nil
        }
    }

    /// An answer whose source is not what the client dialled: the translation was not undone.
    var untranslatedAnswer: (place: Sighting, answer: Tuple, translator: Trail.Translator)? {
        guard let (place, answer) = refusedAnswer, answer.source != connection.dialled.destination,
            let translator = connection.trail.translators.last(where: {
                $0.action == .natDestination && $0.after.destination == answer.source
            })
        else { return nil }
        return (place, answer, translator)
    }

    /// Whether, seen from where it was translated, client and backend are on the same link: then the backend
    /// answers the client directly.
    func findSharedNetwork() -> (translator: Trail.Translator, interface: String)? {
        guard let (_, _, translator) = untranslatedAnswer, translator.netns != 0,
            let toClient = facts.route(routeQuery(to: translator.before.source.address, in: translator.netns)),
            let toBackend = facts.route(routeQuery(to: translator.after.destination.address, in: translator.netns)),
            toClient.kind == .unicast, toBackend.kind == .unicast, toClient.gateway == nil, toBackend.gateway == nil,
            let interface = toClient.interface, interface == toBackend.interface
        else { return nil }
        return (translator, interface)
    }

    /// Whether the answer came by the namespace that translated, as a packet to be routed: then it
    /// did not go around it. nil: not all that happened was seen.
    var answerPassedTranslator: Bool? {
        guard let (_, answer, translator) = untranslatedAnswer else { return nil }
        let isSeen = connection.steps.contains { step in
            step.netns == translator.netns && step.packet?.tuple == answer && step.packet?.flags.role == .synack
        }
        return isSeen ? true : isIncomplete || connection.omittedSteps > 0 ? nil : false
    }
}

extension Route {
    /// Whether nothing is sent by it.
    var isRefusing: Bool {
        switch kind {
        case .none, .blackhole, .unreachable, .prohibit: true
        default: false
        }
    }
}

extension String {
    /// A sysctl's path under /proc/sys, as sysctl(8) writes names: an interface may have dots.
    var asSysctlName: String {
        String(map { $0 == "/" ? "." : $0 == "." ? "/" : $0 })
    }
}
