// From findings to what an operator wants to know: can it trace, what is missing, what is lost, what to do.

import Handshake
import Privileges

public struct Report: Sendable {
    public enum Outcome: String, Sendable {
        /// It can be traced, and nothing is missing.
        case complete
        /// It can be traced, with less than there could be.
        case limited
        case impossible
    }

    /// Something that is missing.
    public struct Lack: Sendable, Equatable {
        /// `kprobes`, `CAP_NET_ADMIN, CAP_SYSLOG`
        public var what: String
        /// Why it is; nil: that says itself.
        public var why: String?
        public var losses: [String]
        /// Each is one way to get it; empty: there is none on this kernel.
        public var advice: [String]
    }

    /// Verdicts that are less specific, or stand on less.
    public struct VerdictLoss: Sendable {
        public var codes: [VerdictCode]
        public var kind: String?
        public var effects: [Grounds.Lack]

        /// Whether the same code is given in all cases, with as much said.
        public var isWhole: Bool {
            effects.allSatisfy { if case .concluded = $0.effect { true } else { false } }
        }

        public var isNeverGiven: Bool {
            effects.contains { if case .never = $0.effect { $0.family == nil } else { false } }
        }

        public var isLoss: Bool { effects.contains { $0.effect.isLoss } }
    }

    public let findings: Findings
    public let outcome: Outcome
    /// What costs most first.
    public let lacks: [Lack]
    /// In the order of the grounds; empty where nothing can be traced.
    public let verdicts: [VerdictLoss]

    public init(_ findings: Findings) {
        self.findings = findings
        lacks = findings.lacks
        outcome = findings.refusal != nil ? .impossible : lacks.isEmpty ? .complete : .limited
        let missing = findings.missingMeans
        verdicts =
            outcome == .impossible
            ? []
            : Grounds.all.compactMap { grounds in
                let effects = grounds.effects(missing: missing)
                return effects.isEmpty
                    ? nil : VerdictLoss(codes: grounds.codes, kind: grounds.kind, effects: effects)
            }
    }

    /// Attached hooks by backend, the better one first.
    public var hookCounts: [(backend: Backend, count: Int)] {
        [Backend.fentry, .kprobe, .tracepoint].compactMap { backend in
            let count = findings.hooks.filter { $0.state == .attached(backend) }.count
            return count > 0 ? (backend, count) : nil
        }
    }

    /// One sentence without an end mark: whether it can be traced here, how, and what is missing.
    public var headline: String {
        if let refusal = findings.refusal {
            return "nattrace cannot trace here: \(refusal.what)"
        }
        let waiting = findings.hooks.filter {
            if case .waiting = $0.state { findings.obstacle(to: $0.hook) == nil } else { false }
        }
        let total = hookCounts.reduce(0) { $0 + $1.count }
        let how = hookCounts.map { "\($0.backend.name) \($0.count)" }.joined(separator: ", ")
        return "nattrace can trace here: \(total) \(total == 1 ? "hook" : "hooks") (\(how))"
            + (waiting.isEmpty ? "" : ", \(waiting.count) more once their modules are loaded")
            + (lacks.isEmpty ? "; nothing is missing" : "; missing: " + lacks.map(\.what).joined(separator: ", "))
    }
}
