// Causes at the socket: nobody listens, elsewhere, or has no room; or TCP refuses.

extension Cause {
    static let listenerOtherDevice = Cause(
        code: .listenerOtherDevice,
        applies: { c in
            c.unheardSyn != nil && !c.matchingListeners.isEmpty && c.lateListeners.isEmpty
        },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in
            let tied = c.matchingListeners.map { listener in
                "\(listener.owner) listens on \(listener.endpoint), "
                    + (listener.interface == nil
                        ? "tied to no device, which hears nothing of a VRF"
                        : "tied to \(listener.deviceName)")
            }
            return
                "Nothing takes a SYN for \(c.destinationInWords) from \(c.arrivalInWords): \(tied.joined(separator: "; "))."
        },
        advice: { c in
            if let vrf = c.deafVRF, c.matchingListeners.contains(where: { $0.interface == nil }) {
                return [
                    "Let sockets that are tied to nothing hear what comes by VRFs: \(c.commandHere("sysctl -w net.ipv4.tcp_l3mdev_accept=1"))",
                    "Or run \(c.matchingListeners[0].processName) in the VRF: \(c.commandHere("ip vrf exec \(vrf) COMMAND"))",
                ]
            }
            return c.matchingListeners.prefix(1).map {
                "Run \($0.processName) without SO_BINDTODEVICE (systemd: BindToDevice=), or tie it to the interface that the packets come in by"
            }
        },
        evidence: { c in
            c.matchingListeners.map(Evidence.listener)
                + (c.deafVRF == nil ? [] : [.sysctl(name: "net.ipv4.tcp_l3mdev_accept", value: "0")])
                + c.translationEvidence
        },
        process: { $0.matchingListeners.first?.process })

    static let listenerLoopbackOnly = Cause(
        code: .listenerLoopbackOnly,
        applies: { c in
            c.unheardSyn != nil && c.matchingListeners.isEmpty && !c.otherListeners.isEmpty
                && !c.target.address.isLoopback && c.otherListeners.allSatisfy(\.address.isLoopback)
        },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in
            "Nothing listens on \(c.destinationInWords): \(c.othersInWords), which is loopback and reached only from inside \(c.namespaceInWords)."
        },
        advice: { c in
            c.otherListeners.prefix(1).map {
                "Let \($0.processName) listen on \(c.target.address), or on every address (\(c.anyAddress)), instead of \($0.address)"
            }
        },
        evidence: { c in c.otherListeners.map(Evidence.listener) + c.translationEvidence },
        process: { $0.otherListeners.first?.process })

    static let listenerOtherAddress = Cause(
        code: .listenerOtherAddress,
        applies: { $0.unheardSyn != nil && $0.matchingListeners.isEmpty && !$0.otherListeners.isEmpty },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in "Nothing listens on \(c.destinationInWords): \(c.othersInWords)." },
        advice: { c in
            var advice: [String] = c.otherListeners.prefix(1).map {
                "Let \($0.processName) listen on \(c.target.address), or on every address (\(c.anyAddress))"
            }
            if c.connection.translated != nil {
                advice += c.otherListeners.prefix(1).map { "Or let the DNAT rule translate to \($0.endpoint)" }
            }
            return advice
        },
        evidence: { c in c.otherListeners.map(Evidence.listener) + c.translationEvidence },
        process: { $0.otherListeners.first?.process })

    static let listenerOtherNetns = Cause(
        code: .listenerOtherNetns,
        applies: { c in
            c.unheardSyn != nil && c.listeners?.isEmpty == true && c.listenersElsewhere?.isEmpty == false
        },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in
            let elsewhere = c.listenersElsewhere ?? []
            let shown = elsewhere.prefix(3).map {
                "\($0.owner) listens on \($0.endpoint) in \($0.elsewhereInWords)"
            }
            let more = elsewhere.count - shown.count
            return
                "Nothing listens on \(c.destinationInWords) in \(c.placeInWords), but \(shown.joined(separator: ", "))\(more > 0 ? ", and \(more) more" : "")."
        },
        advice: { c in
            guard let other = c.listenersElsewhere?.first else { return [] }
            return [
                "Translate to an address of \(other.elsewhereInWords), or run \(other.processName) in \(c.placeInWords)"
            ]
        },
        evidence: { c in (c.listenersElsewhere ?? []).prefix(8).map(Evidence.listener) + c.translationEvidence },
        process: { $0.listenersElsewhere?.first?.process })

    static let acceptQueueFull = Cause(
        code: .acceptQueueFull,
        applies: { $0.fullQueue != nil },
        place: { $0.fullQueue?.place },
        sentence: { c in
            guard let full = c.fullQueue else { return "" }
            let owner =
                full.listener.map { "\($0.owner), which listens on \($0.endpoint)," } ?? "The listener on \(c.target)"
            let queue =
                full.isSynQueue
                ? "has its SYN queue full (\(full.length) of \(full.limit) handshakes half done)"
                : "does not accept its connections fast enough: its queue is full (\(full.length) of \(full.limit))"
            let what =
                switch c.ending {
                case .reset: "the connection was reset"
                case .dropped(let drop) where drop.role == .ack: "the last ACK of the handshake was dropped"
                default: "the SYN was dropped"
                }
            return "\(owner) \(queue), so \(what)."
        },
        advice: { c in
            guard let full = c.fullQueue else { return [] }
            let name = full.listener?.processName ?? "the service"
            if full.isSynQueue {
                return [
                    "Turn SYN cookies on: \(c.commandHere("sysctl -w net.ipv4.tcp_syncookies=1"))",
                    "Or let \(name) call listen() with a longer queue (and raise net.core.somaxconn)",
                ]
            }
            return [
                "See why \(name) does not accept: it may hang, or be overloaded: \(c.commandHere("ss -ltnp 'sport = :\(c.target.port)'"))",
                "Or let it call listen() with a longer queue (and raise net.core.somaxconn)",
            ]
        },
        evidence: { c in
            guard let full = c.fullQueue else { return [] }
            return (full.listener.map { [.listener($0)] } ?? []) + full.evidence
        },
        process: { $0.fullQueue?.listener?.process })

    static let noListener = Cause(
        code: .noListener,
        applies: { $0.unheardSyn != nil },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in
            guard let listeners = c.listeners else {
                return "Nothing listened on \(c.destinationInWords); who listens elsewhere could not be asked."
            }
            return listeners.isEmpty
                ? "Nothing listens on \(c.destinationInWords), nor on any other address with port \(c.target.port)."
                : "Nothing listened on \(c.destinationInWords) when the SYN came; \(c.lateListeners.map { "\($0.owner) does by now" }.joined(separator: "; "))."
        },
        advice: { c in
            c.lateListeners.isEmpty
                ? [
                    "Start what should listen on port \(c.target.port), and check: \(c.commandHere("ss -ltnp 'sport = :\(c.target.port)'"))"
                ] : ["Try again: the service has been started meanwhile"]
        },
        evidence: { c in c.lateListeners.map(Evidence.listener) + c.translationEvidence })

    static let socketRefused = Cause(
        code: .socketRefused,
        applies: { $0.refusal != nil },
        place: { $0.refusal },
        sentence: { c in
            let step = c.refusal.flatMap(c.step)
            let reason = step?.reason.map { " (\($0))" } ?? ""
            if case .dropped(let drop) = c.ending {
                return
                    "TCP found a socket for \(c.destinationInWords) and dropped the \(drop.role.inWords)\(reason)."
            }
            return "TCP found a socket for \(c.destinationInWords) and reset the connection\(reason)."
        },
        advice: { c in
            ["Look at the socket and its queues: \(c.commandHere("ss -ltnpe 'sport = :\(c.target.port)'"))"]
        },
        evidence: { c in c.matchingListeners.prefix(1).map(Evidence.listener) + c.translationEvidence },
        process: { $0.matchingListeners.first?.process })
}
