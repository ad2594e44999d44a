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
    /// The rule that decided.
    var rule: @Sendable (Case) -> Rule? = { _ in nil }
}

extension Cause {
    static let all: [Cause] = [
        established,
        // Conntrack and NAT never got to see it as they should: everything after follows from that.
        conntrackFull, staleConntrack, untracked, conntrackInvalid,
        // Somebody decided so.
        filterRejected, filterDropped, natExhausted,
        // On its way it met a setting, a route or a neighbour.
        forwardingDisabled, routeLocalnetDisabled, reversePathFilter, noRoute, neighborUnreachable,
        // It came to TCP: from the most particular to the most general of sockets.
        listenerOtherDevice, listenerLoopbackOnly, listenerOtherAddress, listenerOtherNetns, noListener,
        acceptQueueFull, socketRefused,
        // The answer came to a client that did not want it.
        hairpinWithoutSNAT, asymmetricReply, resetByClient,
        // Somebody else decided.
        resetByBackend, icmpUnreachable,
        // What is known is a place, or silence.
        dropped, synackUnanswered, synUnanswered,
        unexplained,
    ]

    // MARK: Success

    static let established = Cause(
        code: .established, outcome: .success,
        applies: { if case .established = $0.ending { true } else { false } },
        place: { if case .established(let end) = $0.ending { end } else { nil } },
        sentence: { c in
            // Of strings, since most connections succeed: values of other types go a longer way.
            "\(c.connection.dialled.source.description) reached \(c.destinationInWords)."
        },
        advice: { _ in [] })

    // MARK: What remains

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

    static let unexplained = Cause(
        code: .unexplained,
        applies: { _ in true },
        place: { c in
            switch c.ending {
            case .resetFromHere(let at), .resetFromElsewhere(let at), .answeredOnly(let at), .passedOn(let at),
                .lost(let at):
                at
            case .reset(let reset): reset.sighting
            case .overflow(let at), .resetByClient(let at), .icmp(let at, _): at
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
        advice: { _ in [] },
        evidence: { $0.translationEvidence })
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
        case .overflow(let at), .resetByClient(let at), .icmp(let at, _): step(at)
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

    /// `eth0`, with the VRF that has it.
    var arrivalInWords: String {
        guard let device = arrivalDevice else { return "this interface" }
        return device + (arrivalVRF.map { $0 == device ? "" : " (VRF \($0))" } ?? "")
    }

    var othersInWords: String {
        let shown = otherListeners.prefix(3).map { listener in
            "\(listener.owner) listens on \(listener.endpoint)"
                + (listener.address.isUnspecified ? familyInWords(listener) : "")
        }
        let more = otherListeners.count - shown.count
        return shown.joined(separator: ", ") + (more > 0 ? ", and \(more) more on that port" : "")
    }

    /// Why a listener on every address does not take the SYN.
    private func familyInWords(_ listener: Listener) -> String {
        if listener.isIPv6Only == true { return " for IPv6 only" }
        return listener.address.family != target.address.family ? " for IPv4 only" : ""
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
    var elsewhereInWords: String {
        elsewhere.map { $0.name.map { "network namespace \($0)" } ?? "network namespace \($0.inode)" }
            ?? "another namespace"
    }
    var deviceName: String { interface.map { $0.name ?? "interface \($0.index)" } ?? "no interface" }
}

extension PacketRole {
    /// As in `the SYN to 10.0.0.2:80`, `the SYN-ACK of 10.0.0.2:80`.
    var toOrOf: String { self == .synack ? "of" : "to" }

    /// As people write it.
    public var inWords: String {
        switch self {
        case .syn: "SYN"
        case .synack: "SYN-ACK"
        case .ack: "ACK"
        case .rst: "RST"
        }
    }
}
