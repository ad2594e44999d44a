// Causes on the way: settings that forbid, routes that refuse, neighbours that do not answer.

extension Cause {
    static let forwardingDisabled = Cause(
        code: .forwardingDisabled,
        applies: { $0.forwardingOff != nil },
        place: { $0.forwardingOff?.drop.sighting },
        sentence: { c in
            let drop = c.forwardingOff?.drop
            let by = drop?.interface.map { " by \($0)" } ?? ""
            guard let drop, drop.role != .syn else {
                return
                    "\(c.destinationInWords) is not an address of \(c.placeInWords), which does not forward what comes in\(by)."
            }
            return
                "\(drop.packet.tuple.destination) is not an address of \(c.placeInWords), which does not forward what comes in\(by); the \(drop.role.inWords) for it was dropped."
        },
        advice: { c in
            guard let drop = c.forwardingOff?.drop else { return [] }
            if drop.packet.tuple.destination.address.family == .v6 {
                return ["Turn forwarding on: \(c.commandHere("sysctl -w net.ipv6.conf.all.forwarding=1"))"]
            }
            let isOnElsewhere =
                c.forwardingOff?.sysctls.contains(.sysctl(name: "net.ipv4.ip_forward", value: "1")) == true
            let name =
                isOnElsewhere
                ? "net/ipv4/conf/\(drop.interface ?? "all")/forwarding".asSysctlName : "net.ipv4.ip_forward"
            return ["Turn forwarding on: \(c.commandHere("sysctl -w \("\(name)=1".shellWord)"))"]
        },
        evidence: { c in (c.forwardingOff?.sysctls ?? []) + c.translationEvidence })

    static let routeLocalnetDisabled = Cause(
        code: .routeLocalnetDisabled,
        applies: { $0.localnetOff != nil },
        place: { $0.localnetOff?.drop.sighting },
        sentence: { c in
            let by = c.localnetOff?.drop.interface.map { " by \($0)" } ?? ""
            return
                "The SYN came in\(by) and was translated to \(c.target), a loopback address, which route_localnet=0 forbids."
        },
        advice: { c in
            let name = "net/ipv4/conf/\(c.localnetOff?.drop.interface ?? "all")/route_localnet".asSysctlName
            return [
                "Let the service listen on another address, and translate to that",
                "Or allow it, and then keep others away from loopback's services: \(c.commandHere("sysctl -w \("\(name)=1".shellWord)"))",
            ]
        },
        evidence: { c in (c.localnetOff?.sysctls ?? []) + c.translationEvidence })

    static let reversePathFilter = Cause(
        code: .rpFilter,
        applies: { $0.reversePath != nil },
        place: { $0.reversePath?.obstacle.drop.sighting },
        sentence: { c in
            guard let found = c.reversePath else { return "" }
            let source = found.obstacle.drop.packet.tuple.source.address
            let by = found.device.map { " by \($0)" } ?? ""
            let value = found.effective.map { " (rp_filter=\($0))" } ?? ""
            let back: String =
                switch found.obstacle.route {
                case .some(let route) where route.kind == .none: "there is no route back to it"
                case .some(let route):
                    route.interface.map { "the route back leads by \($0)" } ?? "no route leads back by it"
                case .none: "the route back does not lead there"
                }
            return
                "The \(found.obstacle.drop.role.inWords) from \(source) came in\(by) and failed the reverse-path check\(value): \(back)."
        },
        advice: { c in
            let device = c.reversePath?.device ?? "all"
            let name = "net/ipv4/conf/\(device)/rp_filter".asSysctlName
            return [
                "Route \(c.reversePath?.obstacle.drop.packet.tuple.source.address.description ?? "the source") back by the interface that it comes from",
                "Or check loosely: \(c.commandHere("sysctl -w \("\(name)=2".shellWord)")) (the larger of all and the interface counts)",
            ]
        },
        evidence: { c in
            (c.reversePath?.obstacle.sysctls ?? [])
                + (c.reversePath?.obstacle.route.map { [.route($0.text)] } ?? [])
        })

    static let noRoute = Cause(
        code: .noRoute,
        applies: { $0.missingRoute != nil },
        place: { $0.missingRoute?.place },
        sentence: { c in
            let address = c.missingRoute?.destination.description ?? ""
            let why: String =
                switch c.missingRoute?.route?.kind {
                case .blackhole, .unreachable, .prohibit:
                    "a route refuses it: \(c.missingRoute?.route?.text ?? "")"
                default: "\(c.placeInWords) has no route to it"
                }
            if c.missingRoute?.role == .synack {
                return "The answer of \(c.destinationInWords) could not be sent to \(address): \(why)."
            }
            let role = c.missingRoute?.role ?? .syn
            return "The \(role.inWords) \(role.toOrOf) \(c.destinationInWords) could not be sent on: \(why)."
        },
        advice: { c in
            guard let found = c.missingRoute else { return [] }
            let address = found.destination
            let ip = address.family == .v4 ? "ip" : "ip -6"
            return [
                found.route.map { $0.kind != .none } == true
                    ? "Remove or correct the route: \(c.commandHere("\(ip) route show table all"))"
                    : "Add a route: \(c.commandHere("\(ip) route add \(address) via GATEWAY"))",
                "See what the kernel would do: \(c.commandHere("\(ip) route get \(address)"))",
            ]
        },
        evidence: { c in (c.missingRoute?.route.map { [.route($0.text)] } ?? []) + c.translationEvidence })

    static let neighborUnreachable = Cause(
        code: .neighborUnreachable,
        applies: { $0.missingNeighbour != nil },
        place: { $0.missingNeighbour?.place },
        sentence: { c in
            guard let found = c.missingNeighbour else { return "" }
            let on = found.interface.map { " on \($0)" } ?? ""
            let how = found.address.family == .v4 ? "ARP" : "neighbour discovery"
            let destination = found.role == .syn ? c.destinationInWords : "\(found.destination)"
            let what =
                found.address == found.destination ? destination : "\(found.address), the gateway to \(destination),"
            let state = found.state.map { " (\($0))" } ?? ""
            return
                "Nobody\(on) answers \(how) for \(what)\(state), so the \(found.role.inWords) could not be sent."
        },
        advice: { c in
            guard let found = c.missingNeighbour else { return [] }
            let device = found.interface.map { " dev \($0.shellWord)" } ?? ""
            return [
                "See whether \(found.address) is up and on this network: \(c.commandHere("ip neigh show \(found.address)\(device)"))",
                "If it is not, correct the \(found.role == .syn ? "translation or the " : "")route: \(c.commandHere("ip route get \(found.destination)"))",
            ]
        },
        evidence: { c in (c.missingNeighbour?.route.map { [.route($0.text)] } ?? []) + c.translationEvidence })
}

extension Case {
    /// The rule that sent the packet here, if one did.
    var translationEvidence: [Evidence] { translatingRule.map { [.rule($0)] } ?? [] }

    /// The namespace by name or number; `this network namespace` is the one that nattrace runs in, if that is known.
    var placeInWords: String {
        guard let step = placeStep else { return "this network namespace" }
        if let name = step.netnsName { return "network namespace \(name)" }
        return isAway(step.netns) ? "network namespace \(step.netns)" : "this network namespace"
    }
}
