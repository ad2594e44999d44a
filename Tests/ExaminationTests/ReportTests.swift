// What is made of the findings: the answer, what is missing, what that costs, what to do.

import Examination
import Handshake
import Privileges
import Testing

@Suite("Reports on machines that are made up")
struct ReportTests {
    private func verdict(_ code: VerdictCode, _ report: Report, kind: String? = nil) -> Report.VerdictLoss? {
        report.verdicts.first { $0.codes.contains(code) && $0.kind == kind }
    }

    @Test("Nothing is missing")
    func good() {
        let report = Report(.good())
        #expect(report.outcome == .complete)
        #expect(report.lacks.isEmpty && report.verdicts.isEmpty)
        #expect(
            report.headline
                == "nattrace can trace here: 15 hooks (kprobe 11, tracepoint 4), 1 more once their modules are loaded;"
                + " nothing is missing")
        #expect(report.findings.ruleTracing == .seen)
    }

    @Test("A hook whose module will come is not missing")
    func waiting() {
        var found = Findings.good()
        found.set(hook(.nftTracePacket, .waiting(module: "nf_tables")))
        let report = Report(found)
        #expect(report.outcome == .complete && report.verdicts.isEmpty)
        #expect(report.findings.ruleTracing == .waiting)
    }

    @Test("Without kprobes one thing is missing, not one for each hook")
    func withoutKprobes() throws {
        let report = Report(.withoutKprobes())
        #expect(report.outcome == .limited)
        #expect(report.lacks.map(\.what) == ["kprobes and fentry"])
        #expect(report.lacks.first?.advice.first?.contains("CONFIG_KPROBE_EVENTS") == true)
        #expect(report.headline.hasSuffix("5 hooks (tracepoint 5); missing: kprobes and fentry"))
        #expect(report.findings.ruleTracing == .concluded)
        // The tracepoint shows what stands in for it.
        #expect(verdict(.noListener, report)?.isWhole == true)
        let refused = try #require(verdict(.filterDropped, report))
        #expect(!refused.isLoss && !refused.isWhole)
        #expect(verdict(.conntrackFull, report)?.isWhole == true)
        #expect(verdict(.rpFilter, report) == nil)
    }

    @Test("perf_event_paranoid of Debian, without CAP_SYS_ADMIN")
    func paranoid() {
        var found = Findings.withoutKprobes()
        found.features[.kprobes] = .present
        found.features[.fentry] = .present
        found.settings[.perfEventParanoid] = 3
        found.capabilities = everything.subtracting([.sysAdmin])
        found.namespace.entersOthers = false
        let why = HookFinding.Declined(.kprobe, "attaching failed: Permission denied")
        for hook in found.hooks where !hook.declined.isEmpty {
            var changed = hook
            changed.declined = [why]
            if case .unavailable = hook.state { changed.state = .unavailable(why.reason) }
            found.set(changed)
        }
        found.set(hook(.nfSendReset, .waiting(module: "nf_reject_ipv4")))
        let report = Report(found)
        #expect(report.lacks.map(\.what) == ["kprobes", "CAP_SYS_ADMIN"])
        // It would be refused as well.
        #expect(report.findings.missingHooks.contains { $0.hook == .nfSendReset })
        #expect(report.lacks.first?.why?.contains("perf_event_paranoid") == true)
        #expect(report.lacks.first?.advice.first == "sysctl -w kernel.perf_event_paranoid=2")
        #expect(verdict(.listenerOtherNetns, report)?.isNeverGiven == true)
        // With the capability the setting does not stand in the way.
        found.capabilities = everything
        #expect(Report(found).lacks.allSatisfy { $0.why?.contains("perf_event_paranoid") != true })
    }

    @Test("5.10: no BTF of modules, no reasons, names of functions from /proc/kallsyms")
    func oldKernel() throws {
        var found = Findings.good()
        for feature in [Feature.moduleTypes, .dropReasons, .resetReasons] { found.features[feature] = .absent(nil) }
        found.set(hook(.nftTracePacket, .waiting(module: "nf_tables")))
        let report = Report(found)
        #expect(report.lacks.map(\.what) == ["BTF of modules", "reasons of drops"])
        #expect(report.findings.obstacle(to: .nftTracePacket) == "this kernel has no BTF of modules")
        #expect(report.findings.ruleTracing == .concluded)
        #expect(verdict(.rpFilter, report)?.isNeverGiven == true)
        // The same once nf_tables is there and the kernel refused the program: said once.
        found.set(
            hook(
                .nftTracePacket, .unavailable("the kernel refused its program"),
                .init(.kprobe, "the kernel refused its program")))
        #expect(Report(found).lacks.map(\.what) == ["BTF of modules", "reasons of drops"])
    }

    @Test("Names of functions hidden by kptr_restrict")
    func hiddenNames() {
        var found = Findings.good()
        found.features[.functionNames] = .absent("/proc/kallsyms hides the kernel's addresses")
        found.settings[.kptrRestrict] = 2
        let report = Report(found)
        #expect(report.lacks.map(\.what) == ["names of functions"])
        #expect(report.lacks.first?.advice.first == "sysctl -w kernel.kptr_restrict=1")
        #expect(verdict(.forwardingDisabled, report)?.isNeverGiven == true)
    }

    @Test("CAP_BPF and CAP_PERFMON alone")
    func leastPrivilege() throws {
        var found = Findings.good()
        found.capabilities = [.bpf, .perfmon]
        found.userID = 65534
        found.namespace.entersOthers = false
        found.namespace.rulesetProblem = "nf_tables: Operation not permitted"
        let report = Report(found)
        let lack = try #require(report.lacks.first)
        // One thing that is missing, with what each costs; the rulesets follow from it.
        #expect(report.lacks.count == 1 && lack.losses.count == found.missingCapabilities.count)
        #expect(lack.what.hasPrefix("CAP_DAC_READ_SEARCH, CAP_NET_ADMIN"))
        #expect(lack.advice.first?.contains("root") == true)
        #expect(report.findings.ruleTracing == .seen)
        found.set(hook(.nftTracePacket, .waiting(module: "nf_tables")))
        #expect(found.obstacle(to: .nftTracePacket) == "CAP_SYS_ADMIN and CAP_NET_ADMIN missing")
        #expect(found.ruleTracing == .unknown)
        #expect(verdict(.listenerOtherNetns, report)?.isNeverGiven == true)
        #expect(verdict(.natExhausted, report)?.isNeverGiven == true)
        #expect(verdict(.filterDropped, report)?.isLoss == true)
    }

    @Test("CAP_SYS_ADMIN stands for CAP_BPF and CAP_PERFMON")
    func sysAdmin() {
        var found = Findings.good()
        found.capabilities = everything.subtracting([.bpf, .perfmon])
        #expect(Report(found).outcome == .complete)
    }

    @Test("Rules that a tool is missing for")
    func missingTool() throws {
        var found = Findings.good()
        found.namespace.rulesetProblem = "nft is not installed"
        found.tools = [ToolFinding(name: "nft", path: nil, purpose: "rules of nftables")]
        let lack = try #require(Report(found).lacks.first)
        #expect(lack.why == "nft is not installed" && lack.advice == ["install nftables"])
        #expect(verdict(.untracked, Report(found))?.isLoss == true)
        // Not in use, not missing.
        found.namespace.rulesetProblem = nil
        #expect(Report(found).outcome == .complete)
    }

    @Test("A function that was inlined is missing for a reason of its own")
    func inlined() throws {
        var found = Findings.good()
        let why = "this kernel has no such function, or only inlined"
        found.set(hook(.tcpCheckReq, .unavailable(why), .init(.kprobe, why)))
        let report = Report(found)
        #expect(report.lacks.map(\.what) == ["tcp_check_req"])
        #expect(report.lacks.first?.why == why && report.lacks.first?.losses.count == 1)
        #expect(verdict(.acceptQueueFull, report, kind: "accept queue")?.isWhole == true)
        #expect(verdict(.acceptQueueFull, report, kind: "SYN queue") == nil)
    }

    @Test(
        "Where nothing can be traced the answer says why and what to do, and nothing of verdicts",
        arguments: [
            (Int32(69), "this kernel cannot be traced, for it does not describe its types", "use one that is built"),
            (69, "this kernel cannot be traced, for its lockdown mode is confidentiality", "boot it with integrity"),
            (77, "CAP_PERFMON missing", "run nattrace as root"),
        ])
    func refused(status: Int32, what: String, whatToDo: String) {
        let report = Report(.refused(status, what, whatToDo))
        #expect(report.outcome == .impossible)
        #expect(report.headline == "nattrace cannot trace here: \(what)")
        #expect(report.verdicts.isEmpty && report.hookCounts.isEmpty)
        #expect(report.findings.ruleTracing == nil)
        #expect(report.findings.missingHooks.isEmpty)
    }
}
