// What verdicts stand on, against the hooks that there are and the document that shows it.

import Foundation
import Handshake
import Testing

@testable import KernelTracer

@Suite("Grounds of verdicts")
struct GroundsTests {
    /// Hooks without which every verdict stands as it does with them.
    private static let detail: Set<Hook> = [
        // The rewriting is concluded from how packets look, delivery from what TCP does.
        .nfNatSetupInfo, .nfNatManipPkt, .tcpV4Rcv, .tcpV6Rcv, .reqskQueueHashAdd,
        // Packets are seen at devices too.
        .tcpMakeSynack, .tcpConnect, .tcpSendActiveReset, .tcpRetransmitSkb, .tcpRetransmitSynack,
        // Counts only where it stands in for others: then it is their lack that is asked for.
        .tcpSendResetTracepoint,
        .moduleLoad,
    ]

    /// What there is only as a function.
    private static let functions = Set(
        HookPlan.all.filter { !$0.ways.contains { $0.backend == .tracepoint } }.map { Means.hook($0.hook) })

    @Test("Every verdict has its grounds, once")
    func complete() {
        let kinds = Grounds.all.flatMap { grounds in grounds.codes.map { "\($0.rawValue) \(grounds.kind ?? "")" } }
        #expect(Set(kinds).count == kinds.count)
        #expect(Set(Grounds.all.flatMap(\.codes)) == Set(VerdictCode.allCases))
    }

    @Test("Every hook of the plan is one that some verdict needs, or known to be a detail")
    func hooks() {
        let needed = HookPlan.all.map(\.hook).filter { hook in
            Grounds.all.contains { !$0.effects(missing: [.hook(hook)]).isEmpty }
        }
        #expect(Set(needed).isDisjoint(with: Self.detail))
        #expect(Set(needed).union(Self.detail) == Set(HookPlan.all.map(\.hook)))
    }

    @Test("With all means nothing is lost")
    func nothingMissing() {
        for grounds in Grounds.all { #expect(grounds.effects(missing: []).isEmpty) }
    }

    @Test("What lacks more counts, for each family")
    func largest() throws {
        let grounds = try #require(Grounds.all.first { $0.codes == [.listenerOtherNetns] })
        let v6 = grounds.effects(missing: [.hook(.tcpV6SendReset)])
        #expect(v6.map(\.family) == [.v6] && v6.first?.effect.isLoss == false)
        let both = grounds.effects(missing: [.hook(.tcpV4SendReset), .hook(.tcpV6SendReset)])
        #expect(both.map(\.family) == [nil] && both.map(\.effect) == v6.map(\.effect))
        let all = grounds.effects(missing: Set([.dropReasons, .functionNames, .otherNamespaces]).union(Self.functions))
        #expect(Set(all.map(\.effect)) == [.never(.codes([.unexplained])), .never(.codes([.noListener]))])
    }

    @Test("docs/evidence.md has the table")
    func document() throws {
        let file = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "../../docs/evidence.md")
        let lines = try String(contentsOf: file, encoding: .utf8).split(separator: "\n").map(String.init)
        let begin = try #require(lines.firstIndex { $0.hasPrefix("| code | what must have been seen") })
        let told = lines[(begin + 2)...].prefix { $0.hasPrefix("|") }
        let wanted = Grounds.all.map(Self.line)
        #expect(Array(told) == wanted, "\n\(wanted.joined(separator: "\n"))")
    }

    private static func line(_ grounds: Grounds) -> String {
        let codes = grounds.codes.map { "`\($0.rawValue)`" }.joined(separator: ", ")
        let effects = grounds.effects(missing: functions).map { $0.effect.words { "`\($0.rawValue)`" } }
        // Each begins with the same word, which is said once.
        let cell = effects.isEmpty ? "yes" : effects.joined(separator: "; ").replacing("; yes: ", with: "; ")
        return "| \(codes)\(grounds.kind.map { ", \($0)" } ?? "") | \(grounds.seen) | \(grounds.asked) | \(cell) |"
    }
}
