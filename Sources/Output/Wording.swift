// The words of steps and verdicts, for sinks in other modules: the same as a terminal has, so that there is one
// vocabulary only.

import Handshake

/// Everything that it returns is for people, and passed the gate for text from outside (`sanitized`).
package struct Wording {
    /// What a step is in words, and what else a table of steps says of it. Empty: nothing to say.
    package struct StepText: Equatable {
        package var what: String
        /// How it looks: `plain`, `good`, `bad`, `failure`, `warning`, `rewrite`.
        package var tone: String
        /// The rule that did it.
        package var remark: String
        /// `SYN`, `SYN-ACK`, `ACK`, `RST`
        package var role: String
        package var source: String
        package var destination: String
        /// Whether the packet comes from the end that was dialled.
        package var isAnswer: Bool
        package var netns: String
        package var device: String
        package var function: String
        package var reason: String
    }

    private let style = TerminalStyle(colour: false, unicode: true)
    private let clock: Clock

    /// - Parameter realtimeOffset: CLOCK_REALTIME minus CLOCK_MONOTONIC, nanoseconds.
    package init(realtimeOffset: Int64) { clock = Clock(realtimeOffset: realtimeOffset) }

    package func step(_ step: Step, of connection: Connection) -> StepText {
        let words = StepWords(step, of: connection, style: style)
        return StepText(
            what: unglued(words.what), tone: Self.name(words.tone), remark: words.remark ?? "",
            role: step.packet?.flags.role.inWords ?? "", source: step.packet?.tuple.source.description ?? "",
            destination: step.packet?.tuple.destination.description ?? "",
            isAnswer: step.packet.map(connection.isAnswer) ?? false, netns: netns(step.netns, step.netnsName),
            device: outside(step.interface), function: outside(step.function), reason: outside(step.reason))
    }

    /// Where a handshake ended; empty: not known.
    package func place(of verdict: Verdict) -> String { verdict.place(style).joined(separator: ", ") }

    package func rule(_ rule: Rule?) -> String {
        rule.flatMap { StepWords.rule($0, style: style) } ?? ""
    }

    package func evidence(_ evidence: Evidence) -> String { unglued(evidence.words(style)) }

    package func checks(_ checklist: Checklist) -> String { checklist.words ?? "" }

    package func process(_ process: ProcessIdentity?) -> String { process.map(style.process) ?? "" }

    /// `✓`, `✗` or `?`
    package func mark(_ outcome: Outcome) -> String { style.mark(outcome).text }

    /// A namespace's name, or else its number; empty: not known.
    package func netns(_ inode: UInt32, _ name: String?) -> String { style.netns(inode, name) ?? "" }

    /// Text that others chose, and sentences that quote it.
    package func outside(_ text: String?) -> String { text.map(style.outside) ?? "" }

    /// Seconds since 1970 and nanoseconds of a monotonic time.
    package func realtime(_ monotonic: UInt64) -> (seconds: Int64, nanoseconds: UInt64) { clock.realtime(monotonic) }

    /// `2025-01-31 23:59:59Z`
    package func date(_ monotonic: UInt64) -> String {
        let time = CivilTime(secondsSinceEpoch: clock.realtime(monotonic).seconds)
        func digits(_ number: Int, _ count: Int) -> String {
            let text = String(number)
            return String(repeating: "0", count: max(0, count - text.count)) + text
        }
        return "\(digits(time.year, 4))-\(digits(time.month, 2))-\(digits(time.day, 2)) "
            + [time.second / 3600, time.second / 60 % 60, time.second % 60].map { digits($0, 2) }.joined(separator: ":")
            + "Z"
    }

    private static func name(_ tone: TerminalStyle.Tone) -> String {
        switch tone {
        case .plain, .dim, .bold: "plain"
        case .good: "good"
        case .bad: "bad"
        case .failure: "failure"
        case .warning: "warning"
        case .rewrite: "rewrite"
        }
    }

    /// Whoever searches for a text types a space.
    private func unglued(_ text: String) -> String {
        text.split(separator: gluedSpace, omittingEmptySubsequences: false).joined(separator: " ")
    }
}

extension OutputBuffer {
    /// Appends text or bytes as they are, and writes a batch that is full.
    package func append(_ text: String) {
        put(text: text)
        endUnit()
    }

    package func append(_ bytes: UnsafeRawBufferPointer) {
        put(bytes)
        endUnit()
    }
}
