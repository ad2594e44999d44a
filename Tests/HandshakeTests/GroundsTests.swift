// What verdicts stand on, proved on recordings of real kernels: with the observations of a hook taken out, a verdict
// stands as it did, or another does that the table names.

import CNattrace
import Foundation
import Handshake
import Output
import Testing

@Suite("Grounds of recorded verdicts")
struct RecordedGroundsTests {
    /// Recordings of kernels whose functions were hooked.
    private static let names = RecordingTests.names.filter { !$0.hasSuffix("-6.18") }

    /// What may be missing together: each hook of a function alone, and all of them.
    private static let functions: [Hook] = [
        .nfConntrackIn, .nfConntrackTCPPacket, .nfCtL4protoLogInvalid, .nfL4protoLogInvalid, .nfNatSetupInfo,
        .nfNatManipPkt, .nftTracePacket, .tcpV4Rcv, .tcpV6Rcv, .inetLookupListener, .inet6LookupListener,
        .reqskQueueHashAdd, .tcpCheckReq, .tcpMakeSynack, .tcpConnect, .tcpV4SendReset, .tcpV6SendReset,
        .tcpSendActiveReset, .nfSendReset, .nfSendReset6,
    ]

    @Test("Without a hook the verdict stands, or another that is named", arguments: names)
    func withoutOne(_ name: String) throws {
        let whole = try Self.codes(of: name, without: [])
        #expect(!whole.isEmpty)
        for hook in Self.functions { try Self.compare(name, whole, without: [hook]) }
    }

    @Test("Without all functions, too", arguments: names)
    func withoutAll(_ name: String) throws {
        try Self.compare(name, try Self.codes(of: name, without: []), without: Set(Self.functions))
    }

    @Test("Something was taken out, and it made a difference somewhere")
    func differs() throws {
        let all = Set(Self.functions)
        #expect(try Self.names.contains { try Self.steps(of: $0, without: all) < Self.steps(of: $0, without: []) })
    }

    private static func compare(
        _ name: String, _ whole: [String: [VerdictCode]], without hooks: Set<Hook>
    ) throws {
        let rest = try codes(of: name, without: hooks)
        let missing = Set(hooks.map(Means.hook))
        for (connection, codes) in whole {
            let came = rest[connection] ?? []
            // A verdict that is revised may come once instead.
            for code in Set(came).subtracting(codes) {
                #expect(
                    codes.contains { allowed(insteadOf: $0, missing).contains(code) },
                    "\(name), \(connection): \(code.rawValue) without \(hooks.map(\.name).sorted()), was \(codes)")
            }
            #expect(!came.isEmpty, "\(name), \(connection): nothing is said without \(hooks.map(\.name).sorted())")
        }
    }

    private static func allowed(insteadOf code: VerdictCode, _ missing: Set<Means>) -> Set<VerdictCode> {
        let lacks = Grounds.all.filter { $0.codes.contains(code) }.flatMap { $0.effects(missing: missing) }
        return Set(lacks.compactMap(\.effect.instead).flatMap(\.codes))
    }

    private static func codes(of name: String, without hooks: Set<Hook>) throws -> [String: [VerdictCode]] {
        let verdicts = try replay(name, without: hooks).verdicts
        return Dictionary(grouping: verdicts) { "\($0.connection.dialled)" }
            .mapValues { $0.map(\.verdict.code) }
    }

    private static func steps(of name: String, without hooks: Set<Hook>) throws -> Int {
        try replay(name, without: hooks).steps.count
    }

    private static func replay(_ name: String, without hooks: Set<Hook>) throws -> CollectingSink {
        let reader = try RecordingReader(path: RecordingTests.folder.appending(path: name + ".ntrace").path)
        var options = ExplainerOptions()
        options.unansweredAfter = reader.header.unansweredAfter
        let sink = CollectingSink()
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)
        while let item = try reader.next() {
            if case .observation(let raw) = item, let hook = Hook(rawValue: raw.hook), hooks.contains(hook) { continue }
            explainer.replay(item)
        }
        explainer.finish(at: explainer.time)
        return sink
    }
}
