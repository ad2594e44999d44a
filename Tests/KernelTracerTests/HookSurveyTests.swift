// Which way is chosen on which kernel.

import Handshake
import Testing

@testable import KernelTracer

@Suite("Choice of ways")
struct HookSurveyTests {
    private func finding(
        _ hook: Hook, kprobes: Bool = true, modules: String? = "", choice: BackendChoice = .auto,
        functions: [String] = [], tracepoints: [String] = []
    ) throws -> HookSurvey.Finding {
        let types = try HandmadeTypes()
        for function in functions { types.function(function, []) }
        for event in tracepoints { types.tracepoint(event, []) }
        let survey = HookSurvey(
            features: KernelFeatures(kprobes: kprobes, syscallPrograms: false), modules: KernelModules(text: modules),
            types: KernelTypes(kernel: types.finished()), choice: choice)
        return survey.ways(to: try #require(HookPlan.plan(for: hook)))
    }

    private func isOpen(_ finding: HookSurvey.Finding) -> Bool { !finding.open.isEmpty }

    private func status(_ finding: HookSurvey.Finding) -> HookStatus? {
        finding.open.isEmpty ? finding.statusIfClosed : nil
    }

    @Test("A function of a module that is not loaded is waited for")
    func waiting() throws {
        #expect(try status(finding(.nfNatSetupInfo)) == .waiting(module: "nf_nat"))
        #expect(try isOpen(finding(.nfNatSetupInfo, modules: "nf_nat 1 0 - Live 0x0\n")))
        #expect(
            try status(finding(.nfNatSetupInfo, modules: "nf_nat 1 0 - Unloading 0x0\n")) == .waiting(module: "nf_nat"))
    }

    @Test("A module that is built in is not waited for, nor one on a kernel without modules")
    func builtIn() throws {
        #expect(try isOpen(finding(.nfNatSetupInfo, functions: ["nf_nat_setup_info"])))
        // The compiler may have changed this one function; its neighbour tells.
        #expect(try isOpen(finding(.nfNatSetupInfo, functions: ["nf_nat_manip_pkt"])))
        #expect(try isOpen(finding(.nfNatSetupInfo, modules: nil)))
    }

    @Test("What is waited for is loaded already, but for programs that need the module's types")
    func loadable() throws {
        let survey = HookSurvey(
            features: KernelFeatures(kprobes: true, syscallPrograms: false), modules: KernelModules(text: ""),
            types: KernelTypes(kernel: try HandmadeTypes().finished()), choice: .auto)
        func loadable(_ hook: Hook) throws -> [String] { survey.loadable(try #require(HookPlan.plan(for: hook))) }
        #expect(try loadable(.nfNatManipPkt) == ["probe_nf_nat_manip_pkt"])
        #expect(try loadable(.nfSendReset) == [])
        #expect(try loadable(.kfreeSkb) == [])
    }

    @Test("Without kprobes there is no way to a function")
    func noKprobes() throws {
        let finding = try finding(.tcpV4Rcv, kprobes: false)
        #expect(status(finding) == .unavailable("this kernel has no kprobes"))
        #expect(finding.declined == [DeclinedWay(backend: .kprobe, reason: "this kernel has no kprobes")])
    }

    @Test("A module that is waited for is no reason against a way")
    func waitingDeclinesNothing() throws {
        #expect(try finding(.nfNatSetupInfo).declined == [])
        // Without kprobes nothing is waited for.
        #expect(try status(finding(.nfNatSetupInfo, kprobes: false)) == .unavailable("this kernel has no kprobes"))
    }

    @Test("A tracepoint is there if BTF describes it")
    func tracepoints() throws {
        #expect(try isOpen(finding(.kfreeSkb, tracepoints: ["kfree_skb"])))
        #expect(try status(finding(.tcpRetransmitSynack)) == .unavailable("this kernel has no such tracepoint"))
    }

    @Test("--backend tracepoint uses no kprobes, --backend kprobe keeps what exists as tracepoint only")
    func choices() throws {
        #expect(
            try status(finding(.tcpV4Rcv, choice: .tracepoint)) == .unavailable("not used with --backend tracepoint"))
        #expect(try isOpen(finding(.kfreeSkb, choice: .kprobe, tracepoints: ["kfree_skb"])))
    }

    @Test("A kernel without modules needs not be watched for them")
    func noModules() throws {
        #expect(try status(finding(.moduleLoad, modules: nil)) == .unneeded)
    }
}
