// Causes beyond what is observed, and at the client: resets and errors that came in, answers that never
// came, and those that came another way.

extension Cause {
    // MARK: The client

    static let hairpinWithoutSNAT = Cause(
        code: .hairpinWithoutSNAT,
        applies: { $0.sharedNetwork != nil },
        place: { $0.untranslatedAnswer?.place },
        sentence: { c in
            guard let (translator, interface) = c.sharedNetwork, let answer = c.untranslatedAnswer?.answer else {
                return ""
            }
            return
                "\(translator.before.source.address) and the backend \(translator.after.destination) are both on \(interface): the answer went to the client directly, from \(answer.source), which it had not dialled, and the client reset it."
        },
        advice: { c in
            guard let (translator, interface) = c.sharedNetwork else { return [] }
            let backend = translator.after.destination
            let (command, remark) = c.masquerading(
                from: translator.before.source.address, to: backend, on: interface, beside: c.translatingRule)
            return [
                "Translate the source as well, so that answers come back: "
                    + c.command(command, in: translator.netns, named: c.netnsName(translator.netns))
                    + (remark.isEmpty ? "" : " (\(remark))"),
                "Or let clients of that network dial \(backend) itself",
            ]
        },
        evidence: { c in
            c.translationEvidence
                + (c.sharedNetwork.map { [.interface(name: $0.interface, addresses: [])] } ?? [])
        },
        rule: { $0.translatingRule })

    static let asymmetricReply = Cause(
        code: .asymmetricReply,
        applies: { $0.untranslatedAnswer != nil && $0.answerPassedTranslator == false },
        place: { $0.untranslatedAnswer?.place },
        sentence: { c in
            guard let (_, answer, translator) = c.untranslatedAnswer else { return "" }
            let by =
                c.netnsName(translator.netns).map { "network namespace \($0)" } ?? "the namespace that translated it"
            return
                "The answer came from \(answer.source) instead of \(c.connection.dialled.destination): it did not come back by \(by), where the translation would have been undone, and the client reset it."
        },
        advice: { c in
            guard let (_, _, translator) = c.untranslatedAnswer else { return [] }
            return [
                "Route the backend's answers to \(translator.before.source.address) back by the machine that translates",
                "Or translate the source there as well (masquerade), so that answers come back to it",
            ]
        },
        evidence: { $0.translationEvidence })

    static let resetByClient = Cause(
        code: .resetByClient,
        applies: { $0.refusedAnswer != nil },
        place: { $0.refusedAnswer?.place },
        sentence: { c in
            guard let answer = c.refusedAnswer?.answer else { return "" }
            return answer.source == c.connection.dialled.destination
                ? "\(c.connection.dialled.source) answered the SYN-ACK of \(c.destinationInWords) with a reset: it no longer wanted the connection."
                : "\(c.connection.dialled.source) got the answer from \(answer.source) instead of \(c.connection.dialled.destination), and reset it."
        },
        advice: { c in
            guard let answer = c.refusedAnswer?.answer else { return [] }
            return answer.source == c.connection.dialled.destination
                ? [
                    "Look at the client: its program gave up before the answer came, or it probes ports without connecting"
                ] : ["See why the translation was not undone for the answer"]
        })

    // MARK: Others

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

    // MARK: No answer

    static let icmpUnreachable = Cause(
        code: .icmpUnreachable,
        applies: { if case .icmp = $0.ending { !$0.isIncomplete } else { false } },
        place: { if case .icmp(let at, _) = $0.ending { at } else { nil } },
        sentence: { c in
            guard case .icmp(_, let error) = c.ending else { return "" }
            let what =
                c.clientOfICMP.map { "\($0), to which the SYN-ACK went," } ?? c.destinationInWords
            return "\(error.source) says that \(what) cannot be reached: \(error.words)."
        },
        advice: { c in
            guard case .icmp(_, let error) = c.ending else { return [] }
            return ["On \(error.source), see its routes and filter rules for \(c.clientOfICMP ?? c.target)"]
        },
        evidence: { $0.translationEvidence })

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
}

extension Case {
    /// The client, where it is an answer to it that an ICMP error quotes.
    fileprivate var clientOfICMP: Endpoint? {
        guard case .icmp(let at, _) = ending, let packet = step(at)?.packet, packet.flags.role == .synack else {
            return nil
        }
        return packet.tuple.destination
    }
}
