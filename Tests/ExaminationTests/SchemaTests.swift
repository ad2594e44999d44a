// The JSON of every machine that is made up, against docs/nattrace-doctor.schema.json.

import Examination
import Foundation
import Handshake
import Output
import Privileges
import Testing

@Suite("JSON of reports, by its schema")
struct SchemaTests {
    /// All good, little of it, none of it, and as little as can be known.
    private static let machines: [Findings] = {
        var bare = Findings.refused(71, "bpf(2) failed", nil)
        bare.hostName = ""
        bare.features = [:]
        bare.settings = [:]
        bare.lockdown = nil
        bare.capabilities = []
        bare.namespace = NamespaceFindings(entersOthers: false)
        bare.isInUserNamespace = true
        var poor = Findings.withoutKprobes()
        poor.capabilities = [.bpf, .perfmon]
        poor.features[.functionNames] = .absent("hidden")
        poor.features[.dropReasons] = .absent(nil)
        poor.namespace.rulesetProblem = "nft is not installed"
        poor.namespace.conntrackProblem = "refused"
        poor.tools = [ToolFinding(name: "nft", path: nil, purpose: "rules of nftables")]
        poor.set(hook(.nftTracePacket, .waiting(module: "nf_tables")))
        poor.set(hook(.tcpV4SendReset, .replaced(by: .tcpSendResetTracepoint, isComplete: false)))
        return [.good(), .withoutKprobes(), .refused(69, "it has no BTF", "use another"), bare, poor]
    }()

    @Test("Each is as the schema wants it")
    func valid() throws {
        let text = try Self.machines.map(json).joined()
        let (status, said) = try validate(text)
        #expect(status == 0 && said == "\(Self.machines.count) passed, 0 failed\n", "\(said)")
    }

    @Test("The schema refuses what is not so")
    func invalid() throws {
        let line = try json(.withoutKprobes())
        let changes = [
            (#""state":"attached","#, #""state":"nailed","#), (#""outcome":"limited""#, #""outcome":"""#),
            (#""exit":{"status":0}"#, #""exit":{"status":1}"#), (#""by":"tcp:tcp_send_reset","#, ""),
            (#""kind":"state","#, #""kind":"state","more":1,"#), (#""kprobe":false"#, #""kprobe":null"#),
        ]
        var bad = ""
        for (from, to) in changes { bad += line.replacingCharacters(in: try #require(line.range(of: from)), with: to) }
        let (status, said) = try validate(bad)
        #expect(status == 1 && said.hasSuffix("\n0 passed, \(changes.count) failed\n"), "\(said)")
    }

    private func json(_ findings: Findings) throws -> String {
        try written { DoctorJSON(output: $0).write(Report(findings)) }
    }

    private func validate(_ text: String) throws -> (status: Int32, said: String) {
        let file = FileManager.default.temporaryDirectory.appendingPathComponent("nattrace-test-\(UUID().uuidString)")
        try Data(text.utf8).write(to: file)
        defer { try? FileManager.default.removeItem(at: file) }
        let tests = URL(fileURLWithPath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        let process = Process()
        process.executableURL = tests.appendingPathComponent("schema/validate")
        process.arguments = [file.path]
        let pipe = Pipe()
        process.standardOutput = pipe
        process.standardError = pipe
        try process.run()
        let said = String(decoding: pipe.fileHandleForReading.readDataToEndOfFile(), as: UTF8.self)
        process.waitUntilExit()
        return (process.terminationStatus, said)
    }
}
