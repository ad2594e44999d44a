// The report as text and as JSON: what comes first, that nothing is wider than the terminal, that both say the same.

import Examination
import Foundation
import Glibc
import Handshake
import Output
import Privileges
import Testing

/// What `body` writes.
func written(_ body: (OutputBuffer) -> Void) throws -> String {
    let file = try #require(tmpfile())
    defer { fclose(file) }
    let output = OutputBuffer(descriptor: fileno(file), name: "test")
    body(output)
    #expect(output.flush() == .open)
    rewind(file)
    let handle = FileHandle(fileDescriptor: fileno(file), closeOnDealloc: false)
    return String(decoding: try #require(try handle.readToEnd()), as: UTF8.self)
}

private func text(_ findings: Findings, width: Int = 80, colour: Bool = false, unicode: Bool = true) throws -> String {
    try written {
        DoctorText(output: $0, width: width, colour: colour, unicode: unicode).write(Report(findings))
    }
}

private func json(_ findings: Findings) throws -> [String: Any] {
    let text = try written { DoctorJSON(output: $0).write(Report(findings)) }
    #expect(text.hasSuffix("\n") && text.split(separator: "\n").count == 1)
    return try #require(JSONSerialization.jsonObject(with: Data(text.utf8)) as? [String: Any])
}

@Suite("How reports are shown")
struct RenderingTests {
    private static let hostile: Findings = {
        var found = Findings.withoutKprobes()
        found.hostName = "evil\u{1b}[2J\nhost"
        found.namespace.rulesetProblem = "nft: \u{1b}]0;title\u{7} says \"no\"\n"
        return found
    }()

    @Test("The answer comes first, with what to do")
    func answerFirst() throws {
        let good = try text(.good()).split(separator: "\n")
        #expect(good[0] == "✓ nattrace can trace here: 15 hooks (kprobe 11, tracepoint 4), 1 more once their")
        #expect(good[1] == "  modules are loaded; nothing is missing")
        #expect(!good.contains("missing") && !good.contains("verdicts"))
        let limited = try text(.withoutKprobes()).split(separator: "\n").prefix(6).joined(separator: "\n")
        #expect(limited.hasPrefix("! nattrace can trace here: 5 hooks (tracepoint 5); missing: kprobes and fentry\n"))
        #expect(limited.contains("conntrack_invalid") && limited.contains("to do: use a kernel"))
        let refused = try text(.refused(77, "CAP_BPF missing", "run nattrace as root")).split(separator: "\n")
        #expect(
            refused.prefix(2) == ["✗ nattrace cannot trace here: CAP_BPF missing", "  to do: run nattrace as root"])
        #expect(refused.contains { $0.hasPrefix(" not tried") })
    }

    @Test("Each hook is shown, those alike in one row")
    func hooks() throws {
        let shown = try text(.withoutKprobes())
        for finding in Findings.withoutKprobes().hooks { #expect(shown.contains(finding.hook.name)) }
        #expect(shown.ranges(of: "(this kernel has no kprobes)").count == 1)
        let later = try text(.good())
        #expect(later.contains(" later      with nf_reject_ipv4: nf_send_reset\n"))
    }

    @Test("Every verdict that suffers is named, and what stands instead")
    func verdicts() throws {
        let shown = try text(.withoutKprobes())
        #expect(shown.contains(" accept_queue_full (SYN queue)\n            never; instead unexplained\n"))
        #expect(shown.contains(" conntrack_invalid\n            never; instead what follows, such as dropped,"))
        #expect(shown.contains("As ever, but concluded and not seen: conntrack_full"))
        #expect(!shown.contains("`"))
    }

    @Test("No line is wider than the terminal", arguments: [60, 80, 120, 200])
    func width(_ width: Int) throws {
        for findings in [Findings.good(), .withoutKprobes(), Self.hostile] {
            for line in try text(findings, width: width).split(separator: "\n") {
                #expect(line.unicodeScalars.count <= width, "\(line)")
            }
        }
    }

    @Test("Colour and letters beyond ASCII only where they are wanted, and no control characters from outside")
    func style() throws {
        #expect(try text(.good(), colour: true).hasPrefix("\u{1b}[1;32m✓ nattrace can"))
        let plain = try text(Self.hostile, unicode: false)
        #expect(plain.utf8.allSatisfy { $0 == 10 || ($0 >= 32 && $0 < 127) })
        #expect(plain.contains("evil\\x1b[2J\\x0ahost"))
    }

    @Test("JSON says what the report says")
    func fields() throws {
        let object = try json(.withoutKprobes())
        let own = try #require(object["nattrace"] as? [String: Any])
        #expect(own["version"] as? String == "0.1.0" && own["outcome"] as? String == "limited")
        #expect((own["exit"] as? [String: Any])?["status"] as? Int == 0)
        #expect(object["message"] as? String == Report(.withoutKprobes()).headline)
        #expect((object["event"] as? [String: Any])?["outcome"] as? String == "success")
        let backends = try #require(own["backend"] as? [String: String])
        #expect(backends.count == 5 && backends["skb:kfree_skb"] == "tracepoint")
        let hooks = try #require(own["hooks"] as? [[String: Any]])
        #expect(hooks.count == Findings.withoutKprobes().hooks.count)
        #expect(hooks.filter { $0["state"] as? String == "replaced" }.count == 2)
        #expect((own["lacks"] as? [[String: Any]])?.first?["what"] as? String == "kprobes and fentry")
        let verdicts = try #require(own["verdicts"] as? [[String: Any]])
        #expect(verdicts.count == Report(.withoutKprobes()).verdicts.count)
        #expect(
            verdicts.contains {
                ($0["codes"] as? [String]) == ["accept_queue_full"] && $0["kind"] as? String == "SYN queue"
            })
    }

    @Test("Capabilities of a user namespace are not taken for the machine's")
    func userNamespace() throws {
        var found = Findings.refused(77, "it needs CAP_BPF outside of a user namespace", "run nattrace as root")
        #expect(try !text(found).contains("user namespace, whose"))
        found.isInUserNamespace = true
        #expect(try text(found).contains("root of a user namespace, whose capabilities are not the machine's"))
        #expect((try json(found)["nattrace"] as? [String: Any])?["user_namespace"] as? Bool == true)
    }

    @Test("JSON of a refusal, and of a machine where nothing is missing")
    func extremes() throws {
        let refused = try json(.refused(69, "it has no BPF ring buffer", "use Linux 5.8 or newer"))
        let own = try #require(refused["nattrace"] as? [String: Any])
        let exit = try #require(own["exit"] as? [String: Any])
        #expect(exit["status"] as? Int == 69 && exit["advice"] as? String == "use Linux 5.8 or newer")
        #expect(own["outcome"] as? String == "impossible" && own["backend"] == nil && own["verdicts"] == nil)
        #expect((refused["event"] as? [String: Any])?["outcome"] as? String == "failure")
        let good = try #require(try json(.good())["nattrace"] as? [String: Any])
        #expect(good["lacks"] == nil && good["verdicts"] == nil && good["missing_capabilities"] == nil)
        #expect((try json(Self.hostile)["host"] as? [String: Any])?["name"] as? String == "evil\u{1b}[2J\nhost")
    }
}
