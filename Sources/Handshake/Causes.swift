// Every reason for which nattrace gives a verdict, in one list: what must have been seen,
// which fact decides, the sentence, the advice, the evidence.
//
// The list is in the order of asking, and the first that applies wins: what lies nearer to
// the root stands before what follows from it. A new cause is a new entry here, and a test.

/// One reason why a handshake ended as it did.
struct Cause: Sendable {
    var code: VerdictCode
    var outcome: Outcome = .failure
    /// Whether the evidence, and the fact that decides, stand.
    var applies: @Sendable (Case) -> Bool
    /// Where it ended; nil: at no step in particular.
    var place: @Sendable (Case) -> Sighting?
    /// One sentence for a person, naming addresses, rule, process.
    var sentence: @Sendable (Case) -> String
    /// What to change, most promising first.
    var advice: @Sendable (Case) -> [String]
    var evidence: @Sendable (Case) -> [Evidence] = { _ in [] }
    var process: @Sendable (Case) -> ProcessIdentity? = { _ in nil }
}

extension Cause {
    static let all: [Cause] = [
        established,
        filterRejected,
        listenerOtherDevice, listenerLoopbackOnly, listenerOtherAddress, noListener,
        socketRefused,
        resetByBackend,
        dropped,
        synackUnanswered, synUnanswered,
        unexplained,
    ]

    // MARK: Success

    static let established = Cause(
        code: .established, outcome: .success,
        applies: { if case .established = $0.ending { true } else { false } },
        place: { if case .established(let end) = $0.ending { end } else { nil } },
        sentence: { c in
            "\(c.connection.dialled.source) reached \(c.destinationInWords)."
        },
        advice: { _ in [] })

    // MARK: Resets that this machine makes

    static let filterRejected = Cause(
        code: .filterRejected,
        applies: { $0.rejection != nil },
        place: { $0.rejection },
        sentence: { c in
            "A netfilter rule rejected the SYN to \(c.destinationInWords) with a TCP reset."
        },
        advice: { c in
            [
                "Find the rule that rejects port \(c.target.port): \(c.commandHere("nft -a list ruleset | grep -n reject"))"
            ]
        })

    static let listenerOtherDevice = Cause(
        code: .listenerOtherDevice,
        applies: { c in
            c.unheardSyn != nil && !c.matchingListeners.isEmpty && c.lateListeners.isEmpty
        },
        place: { $0.unheardSyn?.sighting },
        sentence: { c in
            let tied = c.matchingListeners.map { "\($0.owner) listens on \($0.endpoint), tied to \($0.deviceName)" }
            return
                "Nothing takes a SYN for \(c.destinationInWords) from this interface: \(tied.joined(separator: "; "))."
        },
        advice: { c in
            c.matchingListeners.prefix(1).map {
                "Run \($0.processName) without SO_BINDTODEVICE (systemd: BindToDevice=), or tie it to the interface that the packets come in by"
            }
        },
        evidence: { $0.matchingListeners.map(Evidence.listener) },
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
        evidence: { $0.otherListeners.map(Evidence.listener) },
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
        evidence: { $0.otherListeners.map(Evidence.listener) },
        process: { $0.otherListeners.first?.process })

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
        evidence: { $0.lateListeners.map(Evidence.listener) })

    static let socketRefused = Cause(
        code: .socketRefused,
        applies: { if case .reset(let reset) = $0.ending { reset.maker == .tcp && reset.hasSocket } else { false } },
        place: { if case .reset(let reset) = $0.ending { reset.sighting } else { nil } },
        sentence: { c in
            let reason = c.placeStep?.reason.map { " (\($0))" } ?? ""
            return "TCP found a socket for \(c.destinationInWords) and reset the connection\(reason)."
        },
        advice: { c in
            ["Look at the socket and its queues: \(c.commandHere("ss -ltnpe 'sport = :\(c.target.port)'"))"]
        })

    // MARK: Resets from elsewhere

    static let resetByBackend = Cause(
        code: .resetByBackend,
        applies: { if case .resetFromElsewhere = $0.ending { !$0.isIncomplete } else { false } },
        place: { if case .resetFromElsewhere(let rst) = $0.ending { rst } else { nil } },
        sentence: { c in
            let by = c.placeStep?.interface.map { ", by \($0)" } ?? ""
            return "\(c.destinationInWords) refused: its reset came in from outside\(by)."
        },
        advice: { c in
            ["On the machine that has \(c.target.address), see what listens: ss -ltnp 'sport = :\(c.target.port)'"]
        })

    // MARK: Drops

    static let dropped = Cause(
        code: .dropped,
        applies: { if case .dropped = $0.ending { true } else { false } },
        place: { if case .dropped(let drop) = $0.ending { drop.sighting } else { nil } },
        sentence: { c in
            guard case .dropped(let drop) = c.ending else { return "" }
            let reason = c.placeStep?.reason.map { ", reason \($0)" } ?? ""
            return
                "The \(drop.role.inWords) \(drop.packet.tuple.source) → \(drop.packet.tuple.destination) was dropped in \(c.placeStep?.function ?? "the kernel")\(reason)."
        },
        advice: { c in
            c.placeStep?.reason == "NETFILTER_DROP"
                ? ["A netfilter rule or policy dropped it; see the rules: \(c.commandHere("nft -a list ruleset"))"] : []
        })

    // MARK: No answer

    static let synackUnanswered = Cause(
        code: .synackUnanswered,
        applies: { if case .answeredOnly = $0.ending { !$0.isFinal && !$0.isIncomplete } else { false } },
        place: { if case .answeredOnly(let synack) = $0.ending { synack } else { nil } },
        sentence: { c in
            let by = c.placeStep?.interface.map { " by \($0)" } ?? ""
            return
                "\(c.destinationInWords) answered with SYN-ACK, which left\(by); no ACK came from \(c.connection.dialled.source) within \(c.waited)."
        },
        advice: { c in
            [
                "See whether the answer's way leads to the client: \(c.commandHere("ip route get \(c.connection.dialled.source.address)"))"
            ]
        })

    static let synUnanswered = Cause(
        code: .synUnanswered,
        applies: { if case .passedOn = $0.ending { !$0.isFinal && !$0.isIncomplete } else { false } },
        place: { if case .passedOn(let syn) = $0.ending { syn } else { nil } },
        sentence: { c in
            let by = c.placeStep?.interface.map { " by \($0)" } ?? ""
            return "The SYN to \(c.destinationInWords) was sent on\(by), and nothing came back within \(c.waited)."
        },
        advice: { c in
            [
                "On the machine that has \(c.target.address), see whether the SYN arrives: tcpdump -ni any 'tcp port \(c.target.port)'",
                "See the way there: \(c.commandHere("ip route get \(c.target.address)"))",
            ]
        })

    // MARK: What remains

    static let unexplained = Cause(
        code: .unexplained,
        applies: { _ in true },
        place: { c in
            switch c.ending {
            case .resetFromHere(let at), .resetFromElsewhere(let at), .answeredOnly(let at), .passedOn(let at),
                .lost(let at):
                at
            case .reset(let reset): reset.sighting
            default: c.connection.attempt.lastSyn
            }
        },
        sentence: { c in
            let place = c.placeStep.map { step in
                " It was last seen at \(step.stage?.name ?? "an unknown stage") in \(step.function ?? "the kernel")."
            }
            if case .resetFromHere = c.ending {
                return "A reset left this machine for \(c.connection.dialled.source), and what made it was not seen."
            }
            if case .reset(let reset) = c.ending {
                return
                    "This machine answered the \(reset.packet.flags.role.inWords) \(reset.packet.tuple) with a reset, and the evidence does not say why."
            }
            if c.isEvicted {
                return
                    "The connection to \(c.destinationInWords) was let go \(c.waited) after its first SYN, before anything was decided: there were too many at once."
                    + (place ?? "")
            }
            if c.isFinal {
                return
                    "Tracing ended \(c.waited) after the first SYN to \(c.destinationInWords), before anything was decided."
                    + (place ?? "")
            }
            if c.isIncomplete {
                return
                    "What became of the SYN to \(c.destinationInWords) is not known: observations were lost meanwhile."
                    + (place ?? "")
            }
            let what =
                c.connection.attempt.firstSynack == nil
                ? "The SYN to \(c.destinationInWords) had no answer"
                : "The handshake with \(c.destinationInWords) was answered and not completed"
            return "\(what) within \(c.waited), and the evidence does not say why." + (place ?? "")
        },
        advice: { _ in [] })
}

// MARK: Words that several causes use

extension Case {
    /// The step at which the ending was seen.
    var placeStep: Step? {
        switch ending {
        case .established(let at), .resetFromHere(let at), .resetFromElsewhere(let at), .answeredOnly(let at),
            .passedOn(let at), .lost(let at):
            step(at)
        case .reset(let reset): step(reset.sighting)
        case .dropped(let drop): step(drop.sighting)
        case .nothing: nil
        }
    }

    func commandHere(_ text: String) -> String {
        command(text, in: placeStep?.netns ?? 0, named: placeStep?.netnsName)
    }

    /// The wildcard of the family that the SYN has.
    var anyAddress: String { target.address.family == .v4 ? "0.0.0.0" : "[::]" }

    var namespaceInWords: String {
        placeStep?.netnsName.map { "network namespace \($0)" } ?? "its own network namespace"
    }

    var othersInWords: String {
        let shown = otherListeners.prefix(3).map { listener in
            "\(listener.owner) listens on \(listener.endpoint)"
                + (listener.isIPv6Only == true && listener.address.isUnspecified ? " for IPv6 only" : "")
        }
        let more = otherListeners.count - shown.count
        return shown.joined(separator: ", ") + (more > 0 ? ", and \(more) more on that port" : "")
    }

    /// How long it has been since the first SYN, to a tenth of a second.
    var waited: String {
        let tenths = (time - min(time, connection.startTime) + 50_000_000) / 100_000_000
        return tenths % 10 == 0 ? "\(tenths / 10) s" : "\(tenths / 10).\(tenths % 10) s"
    }
}

extension Listener {
    /// The process, for advice that is a sentence to follow.
    var processName: String { process?.name ?? "the service" }
    var deviceName: String { interface.map { $0.name ?? "interface \($0.index)" } ?? "no interface" }
}

extension PacketRole {
    var inWords: String {
        switch self {
        case .syn: "SYN"
        case .synack: "SYN-ACK"
        case .ack: "ACK"
        case .rst: "RST"
        }
    }
}
