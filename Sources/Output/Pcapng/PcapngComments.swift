// What is told of a packet in Wireshark: the steps that happened to it, and the verdict, in the terminal's words.

import Handshake

struct PcapngComments {
    /// Arrows and marks as they are: comments are UTF-8.
    static let style = TerminalStyle(colour: false, unicode: true)
    /// Steps told of one packet.
    static let maximumSteps = 64

    let writer: PcapngWriter
    private var output: OutputBuffer { writer.output }

    init(_ writer: PcapngWriter) { self.writer = writer }

    /// `+36.127 ms prerouting: DNAT 203.0.113.10:80 → 10.0.0.2:8080 [nat.dnat nf_nat_setup_info]; rule ip nat ...`
    func step(_ step: Step, _ words: StepWords) {
        writer.comment {
            if step.backend == .inferred { output.put("~ ") }
            output.put("+")
            putMilliseconds(step.offset)
            output.put(" ")
            if let stage = step.stage {
                output.put(text: stage.name)
                output.put(": ")
            }
            output.put(text: words.what)
            output.put(" [")
            output.put(text: step.action.rawValue)
            if let function = step.function, !function.isEmpty {
                output.put(" ")
                output.put(text: Self.style.outside(function))
            }
            output.put("]")
            if let remark = words.remark {
                output.put("; ")
                output.put(text: remark)
            }
        }
    }

    func moreSteps(_ number: Int) { line("\(number) more \(number == 1 ? "step" : "steps") of this packet") }

    /// All of it, on the packet where it ended.
    func verdict(_ verdict: Verdict, of connection: Connection) {
        head(verdict, of: connection, isWhole: true)
        if verdict.outcome != .success {
            if let place = Self.place(of: verdict) { line("where: " + place) }
            if let checks = verdict.checklist.words { line("checked: " + checks) }
        }
        for evidence in verdict.evidence { line("evidence: " + evidence.words(Self.style)) }
        for advice in verdict.advice { line("change: " + Self.style.outside(advice)) }
    }

    /// In short, on the SYN with which it began.
    func outlook(_ verdict: Verdict, of connection: Connection) { head(verdict, of: connection, isWhole: false) }

    func line(_ text: String) { writer.comment { output.put(text: text) } }

    private func head(_ verdict: Verdict, of connection: Connection, isWhole: Bool) {
        writer.comment {
            output.put(text: Self.style.mark(verdict.outcome).text)
            output.put(" ")
            output.put(text: verdict.code.rawValue)
            output.put(" after ")
            putMilliseconds(verdict.duration)
            if verdict.isRevised { output.put(", revised: what happened since has changed the verdict") }
            if !verdict.sentence.isEmpty {
                output.put(": ")
                output.put(text: Self.style.outside(verdict.sentence))
            }
            output.put(isWhole ? " [verdict of connection " : " [connection ")
            output.putHex16(connection.id)
            output.put("]")
        }
    }

    private static func place(of verdict: Verdict) -> String? {
        var parts: [String] = []
        if let stage = verdict.stage { parts.append(stage.name) }
        if let function = verdict.function, !function.isEmpty { parts.append(style.outside(function)) }
        if let reason = verdict.reason, !reason.isEmpty { parts.append("reason " + style.outside(reason)) }
        if let name = verdict.netnsName, !name.isEmpty {
            parts.append("netns " + style.outside(name))
        } else if verdict.netns != 0 {
            parts.append("netns \(verdict.netns)")
        }
        if let rule = verdict.rule, !verdict.evidence.contains(.rule(rule)),
            let text = StepWords.rule(rule, style: style)
        {
            parts.append(text)
        }
        return parts.isEmpty ? nil : parts.joined(separator: ", ")
    }

    /// `0.018 ms`
    private func putMilliseconds(_ nanoseconds: UInt64) {
        let microseconds = nanoseconds / 1000
        output.put(microseconds / 1000)
        output.put(".")
        let fraction = microseconds % 1000
        if fraction < 100 { output.put("0") }
        if fraction < 10 { output.put("0") }
        output.put(fraction)
        output.put(" ms")
    }
}
