// What `nattrace doctor` shows to a person: whether it can trace, then why not more, then what to do.

import Examination
import Handshake

/// Writes a report in groups, the answer first. No line is wider than the terminal, and none breaks a name.
public struct DoctorText {
    private let output: OutputBuffer
    private let width: Int
    private let style: TerminalStyle

    /// Columns of the names of rows.
    private static let label = 12
    private static let narrowest = 60
    /// From here on verdicts have room beside their names.
    private static let wide = 120
    private static let nameColumns = 36
    /// Lists of names are read well in longer lines than sentences.
    private static let widest = 160

    /// `width`: of the terminal; `unicode`: the locale is UTF-8.
    public init(output: OutputBuffer, width: Int, colour: Bool, unicode: Bool) {
        self.output = output
        self.width = min(max(width, Self.narrowest), Self.widest)
        style = TerminalStyle(colour: colour, unicode: unicode)
    }

    public func write(_ report: Report) {
        headline(report)
        kernel(report.findings)
        machine(report.findings)
        hooks(report)
        lacks(report)
        verdicts(report)
    }

    // MARK: The answer

    private func headline(_ report: Report) {
        let (mark, tone): (String, TerminalStyle.Tone) =
            switch report.outcome {
            case .complete: style.mark(.success)
            case .limited: ("!", .warning)
            case .impossible: style.mark(.failure)
            }
        paragraph(style.outside(report.headline), after: "\(mark) ", then: "  ", tone)
        if let refusal = report.findings.refusal {
            if let whatToDo = refusal.whatToDo {
                paragraph("to do: \(style.outside(whatToDo))", after: "  ", then: "  ")
            }
            return
        }
        let never = report.verdicts.filter(\.isNeverGiven)
        let partly = report.verdicts.filter { $0.isLoss && !$0.isNeverGiven }
        var lost: [String] = []
        if !never.isEmpty { lost.append("never \(names(never))") }
        if !partly.isEmpty { lost.append("not always \(names(partly))") }
        if !lost.isEmpty { paragraph("verdicts: \(lost.joined(separator: "; "))", after: "  ", then: "  ") }
        if let advice = report.lacks.lazy.compactMap(\.advice.first).first {
            paragraph("to do: \(style.outside(advice))", after: "  ", then: "  ")
        }
    }

    private func names(_ verdicts: [Report.VerdictLoss]) -> String {
        verdicts.map(name).joined(separator: ", ")
    }

    private func name(_ verdict: Report.VerdictLoss) -> String {
        verdict.codes.map(\.rawValue).joined(separator: ", ") + (verdict.kind.map { " (\($0))" } ?? "")
    }

    // MARK: What there is

    private func kernel(_ found: Findings) {
        title("kernel")
        row("release", "\(found.kernel) \(found.architecture), host \(found.hostName)")
        let known = Feature.allCases.compactMap { feature in found.features[feature].map { (feature, $0) } }
        row("has", known.filter { $0.1 == .present }.map(\.0.name).joined(separator: ", "))
        let absent = known.compactMap { feature, presence -> String? in
            guard case .absent(let why) = presence else { return nil }
            return feature.name + (why.map { " (\($0))" } ?? "")
        }
        row("has not", absent.joined(separator: ", "))
        let unknown = known.compactMap { feature, presence -> String? in
            guard case .unknown(let why) = presence else { return nil }
            return "\(feature.name) (\(why))"
        }
        row("unknown", unknown.joined(separator: ", "))
        let settings = Findings.Setting.allCases.compactMap { setting in
            found.settings[setting].map { "\(setting.name)=\($0)" }
        }
        let lockdown = found.lockdown.map { ["lockdown \($0)"] } ?? []
        row("settings", (lockdown + settings).joined(separator: ", "))
    }

    private func machine(_ found: Findings) {
        title("privileges and this network namespace")
        let missing = found.missingCapabilities
        let held = found.usefulCapabilities.members.filter { !missing.contains($0) }
        row(
            "user",
            (found.userID == 0 ? "root" : "uid \(found.userID)")
                + (found.isInUserNamespace ? " of a user namespace, whose capabilities are not the machine's" : ""))
        row("has", missing.isEmpty ? "all capabilities that are of use" : held.map(\.name).joined(separator: ", "))
        row("has not", missing.map(\.name).joined(separator: ", "))
        let namespace = found.namespace
        if let count = namespace.conntrackCount, let maximum = namespace.conntrackMaximum {
            row("conntrack", "\(count) \(count == 1 ? "entry" : "entries"), \(maximum) at most")
        } else {
            row("conntrack", "not loaded")
        }
        row("rules", rules(namespace))
        switch found.ruleTracing {
        case .seen: row("decisions", "seen: the kernel tells which nftables rule decided")
        case .waiting: row("decisions", "seen, once nf_tables is loaded")
        case .concluded: row("decisions", "concluded from the rules, where only one can have decided")
        case .unknown: row("decisions", "not known: they are not seen, and the rules cannot be read")
        case nil: break
        }
        row("tools", found.tools.filter { $0.path != nil }.map(\.name).joined(separator: ", "))
        let absent = found.tools.filter { $0.path == nil }.map { "\($0.name) (\($0.purpose))" }
        row("no tools", absent.joined(separator: ", "))
    }

    private func rules(_ namespace: NamespaceFindings) -> String {
        var kinds: [String] = []
        if namespace.usesNftables == true { kinds.append("nftables") }
        if namespace.usesIptablesLegacy == true { kinds.append("iptables-legacy") }
        if let problem = namespace.rulesetProblem {
            return "not all could be read: \(problem)"
                + (kinds.isEmpty ? "" : "; read: \(kinds.joined(separator: ", "))")
        }
        guard !kinds.isEmpty else { return "none" }
        let nat =
            switch namespace.translates {
            case true: "NAT"
            case false: "no NAT"
            default: "whether NAT is not known"
            }
        return
            "\(kinds.joined(separator: " and ")), \(namespace.rules) \(namespace.rules == 1 ? "rule" : "rules"), \(nat)"
    }

    // MARK: Hooks

    /// What became of some hooks, which are one row.
    private struct Fate: Equatable {
        var label: String
        /// The module that has to be loaded first.
        var module: String?
        var reason: String?

        /// The good ones first.
        static let labels = [
            "fentry", "kprobe", "tracepoint", "later", "in part", "none", "never", "not needed", "not tried",
        ]
    }

    private func hooks(_ report: Report) {
        title("hooks")
        var rows: [(fate: Fate, hooks: [String])] = []
        for finding in report.findings.hooks {
            let fate = fate(of: finding, report.findings)
            if let index = rows.firstIndex(where: { $0.fate == fate }) {
                rows[index].hooks.append(finding.hook.name)
            } else {
                rows.append((fate, [finding.hook.name]))
            }
        }
        var last: String?
        for label in Fate.labels {
            let alike = rows.filter { $0.fate.label == label }
            for (fate, hooks) in alike.filter({ $0.fate.reason == nil }) + alike.filter({ $0.fate.reason != nil }) {
                let names = (fate.module.map { "with \($0): " } ?? "") + hooks.joined(separator: ", ")
                labelled(last == label ? "" : " " + label, style.outside(names))
                if let reason = fate.reason { note("(\(reason))") }
                last = label
            }
        }
    }

    private func fate(of finding: HookFinding, _ findings: Findings) -> Fate {
        // The last one is why there is none.
        let isSaid = finding.declined.count == 1 && finding.state == .unavailable(finding.declined[0].reason)
        let declined =
            isSaid ? "" : finding.declined.map { "no \($0.backend.name): \($0.reason)" }.joined(separator: "; ")
        switch finding.state {
        case .attached(let backend):
            return Fate(label: backend.name, reason: declined.isEmpty ? nil : declined)
        case .waiting(let module):
            let obstacle = findings.obstacle(to: finding.hook)
            return Fate(label: obstacle == nil ? "later" : "never", module: module, reason: obstacle)
        case .replaced(let other, let isComplete):
            let shown = "\(other.name) shows \(isComplete ? "the same" : "a part of it")"
            return Fate(
                label: isComplete ? "not needed" : "in part",
                reason: declined.isEmpty ? shown : "\(shown); \(declined)")
        case .unneeded: return Fate(label: "not needed")
        case .unavailable(let reason): return Fate(label: "none", reason: declined.isEmpty ? reason : declined)
        case .untried: return Fate(label: "not tried")
        }
    }

    // MARK: What is missing

    private func lacks(_ report: Report) {
        guard !report.lacks.isEmpty else { return }
        title("missing")
        for lack in report.lacks {
            let what = style.outside(lack.what + (lack.why.map { ": \($0)" } ?? ""))
            paragraph(what, after: " ! ", then: "   ", .warning)
            for loss in lack.losses { labelled("   lost", style.outside(loss)) }
            for advice in lack.advice { labelled("   to do", style.outside(advice)) }
        }
    }

    private func verdicts(_ report: Report) {
        guard !report.verdicts.isEmpty else { return }
        title("verdicts")
        for verdict in report.verdicts where !verdict.isWhole {
            let name = name(verdict)
            if width < Self.wide || columns(name) + 2 > Self.nameColumns {
                paragraph(name, after: " ", then: " ", .bold)
                for effect in verdict.effects { labelled("", words(effect)) }
                continue
            }
            for (index, effect) in verdict.effects.enumerated() {
                labelled(index == 0 ? " " + name : "", words(effect), .bold, columns: Self.nameColumns)
            }
        }
        let whole = report.verdicts.filter(\.isWhole)
        if !whole.isEmpty {
            paragraph("As ever, but concluded and not seen: \(names(whole))", after: " ", then: " ")
        }
        let touched = Set(report.verdicts.flatMap(\.codes))
        let rest = VerdictCode.allCases.count - touched.count
        paragraph(
            "Nothing changes for the other \(rest). docs/evidence.md has the whole table.", after: " ", then: " ", .dim)
    }

    private func words(_ lack: Grounds.Lack) -> String {
        let family = lack.family.map { $0 == .v4 ? "IPv4: " : "IPv6: " } ?? ""
        let words: String =
            switch lack.effect {
            case .concluded(let evidence): "concluded from \(evidence)"
            case .poorer(let how): how
            case .partly(let cases, let instead): "only \(cases); else \(instead.text)"
            case .never(let instead): "never; instead \(instead.text)"
            }
        return family + words.filter { $0 != "`" }
    }

    // MARK: Lines

    private func put(_ text: String) {
        output.put(text: text)
        output.endLine()
    }

    private func title(_ text: String) {
        put("")
        put(style.paint(text, .bold))
    }

    /// Nothing to say is no row.
    private func row(_ label: String, _ text: String) {
        guard !text.isEmpty else { return }
        labelled(" " + label, style.outside(text))
    }

    private func note(_ text: String) {
        for line in wrapped(style.outside(text), width: width - Self.label) {
            put(String(repeating: " ", count: Self.label) + style.paint(line, .dim))
        }
    }

    private func labelled(
        _ label: String, _ text: String, _ tone: TerminalStyle.Tone = .dim, columns room: Int = label
    ) {
        for (index, line) in wrapped(text, width: width - room).enumerated() {
            let label = index == 0 ? label : ""
            put(style.paint(label, tone) + padded("", to: room - columns(label)) + line)
        }
    }

    private func paragraph(
        _ text: String, after first: String, then rest: String, _ tone: TerminalStyle.Tone = .plain
    ) {
        for (index, line) in wrapped(text, width: width - columns(first)).enumerated() {
            put(style.paint((index == 0 ? first : rest) + line, tone))
        }
    }
}

extension Grounds.Instead {
    fileprivate var text: String {
        let names = codes.map(\.rawValue)
        switch self {
        case .codes: return names.joined(separator: " or ")
        case .whatFollows: return "what follows, such as \(names.joined(separator: ", "))"
        }
    }
}
