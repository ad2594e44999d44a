// Which way is chosen on which kernel.

import Handshake
import Testing

@testable import KernelTracer

@Suite("Choice of ways")
struct HookSurveyTests {
    private func finding(
        _ hook: Hook, kprobes: Bool = true, fentry: FentrySupport = .refused("not here"), modules: String? = "",
        choice: BackendChoice = .auto,
        functions: [String] = [], tracepoints: [String] = [], arguments: Int = 0, isVariadic: Bool = false,
        namesModuleTypes: Bool = true
    ) throws -> HookSurvey.Finding {
        let types = try HandmadeTypes()
        let number = types.enumeration("number")
        let parameters = (0..<arguments).map { ("a\($0)", number) } + (isVariadic ? [("", 0)] : [])
        for function in functions { types.function(function, parameters) }
        for event in tracepoints { types.tracepoint(event, []) }
        let survey = HookSurvey(
            features: KernelFeatures(kprobes: kprobes, fentry: fentry, syscallPrograms: false),
            modules: KernelModules(text: modules), types: KernelTypes(kernel: types.finished()), choice: choice,
            namesModuleTypes: namesModuleTypes)
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
            features: KernelFeatures(kprobes: true, fentry: .complete, syscallPrograms: false),
            modules: KernelModules(text: ""), types: KernelTypes(kernel: try HandmadeTypes().finished()), choice: .auto)
        func loadable(_ hook: Hook) throws -> [String] { survey.loadable(try #require(HookPlan.plan(for: hook))) }
        #expect(try loadable(.nfNatManipPkt) == ["probe_nf_nat_manip_pkt"])
        #expect(try loadable(.nfSendReset) == [])
        #expect(try loadable(.kfreeSkb) == [])
    }

    @Test("Without kprobes there is no way to a function")
    func noKprobes() throws {
        let finding = try finding(.tcpV4Rcv, kprobes: false, choice: .kprobe)
        #expect(status(finding) == .unavailable("this kernel has no kprobes"))
        #expect(finding.declined == [DeclinedWay(backend: .kprobe, reason: "this kernel has no kprobes")])
    }

    @Test("A module that is waited for is no reason against a way")
    func waitingDeclinesNothing() throws {
        #expect(try finding(.nfNatSetupInfo, fentry: .complete).declined == [])
        // Without kprobes nothing is waited for.
        #expect(try status(finding(.nfNatSetupInfo, kprobes: false)) == .unavailable("this kernel has no kprobes"))
    }

    private func backends(_ finding: HookSurvey.Finding) -> [Backend] { finding.open.map(\.backend) }

    @Test("fentry is better than kprobes, where the kernel has it and BTF the function")
    func fentry() throws {
        #expect(try backends(finding(.tcpV4Rcv, fentry: .complete, functions: ["tcp_v4_rcv"])) == [.fentry, .kprobe])
        #expect(try backends(finding(.tcpV4Rcv, functions: ["tcp_v4_rcv"])) == [.kprobe])
        #expect(
            try finding(.tcpV4Rcv, functions: ["tcp_v4_rcv"]).declined
                == [DeclinedWay(backend: .fentry, reason: "not here")])
        #expect(
            try finding(.tcpV4Rcv, fentry: .complete).declined
                == [DeclinedWay(backend: .fentry, reason: "BTF does not describe this function")])
    }

    @Test("A function with too many arguments for fentry is hooked by kprobe")
    func manyArguments() throws {
        let registersOnly = FentrySupport(refusal: nil, tooManyArguments: 10)
        func lookup(_ support: FentrySupport, _ arguments: Int) throws -> HookSurvey.Finding {
            try finding(
                .inetLookupListener, fentry: support, functions: ["__inet_lookup_listener"], arguments: arguments)
        }
        #expect(try backends(lookup(registersOnly, 10)) == [.kprobe])
        #expect(
            try lookup(registersOnly, 10).declined
                == [DeclinedWay(backend: .fentry, reason: "fentry on this kernel takes no function with 10 arguments")])
        #expect(try backends(lookup(registersOnly, 6)) == [.fentry, .kprobe])
        #expect(try backends(lookup(.complete, 10)) == [.fentry, .kprobe])
    }

    @Test("So is one with variable arguments")
    func variableArguments() throws {
        #expect(
            try finding(.tcpV4Rcv, fentry: .complete, functions: ["tcp_v4_rcv"], arguments: 1, isVariadic: true)
                .declined
                == [DeclinedWay(backend: .fentry, reason: "fentry takes no function with variable arguments")])
    }

    @Test("fentry waits for a module to be ready, kprobes do not")
    func comingModule() throws {
        let coming = "nf_nat 1 0 - Loading 0x0\n"
        #expect(try backends(finding(.nfNatSetupInfo, fentry: .complete, modules: coming)) == [.kprobe])
        #expect(
            try status(finding(.nfNatSetupInfo, fentry: .complete, modules: coming, choice: .fentry))
                == .waiting(module: "nf_nat"))
    }

    @Test("Functions of modules are hooked by kprobe without CAP_SYS_ADMIN")
    func unprivileged() throws {
        let finding = try finding(
            .nfNatSetupInfo, fentry: .complete, modules: "nf_nat 1 0 - Live 0x0\n", namesModuleTypes: false)
        #expect(backends(finding) == [.kprobe])
        #expect(
            finding.declined == [DeclinedWay(backend: .fentry, reason: "fentry in module nf_nat needs CAP_SYS_ADMIN")])
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
        #expect(try isOpen(finding(.kfreeSkb, choice: .fentry, tracepoints: ["kfree_skb"])))
        #expect(
            try backends(finding(.tcpV4Rcv, fentry: .complete, choice: .fentry, functions: ["tcp_v4_rcv"]))
                == [.fentry])
        #expect(
            try status(finding(.nfCtL4protoLogInvalid, fentry: .complete, choice: .fentry))
                == .unavailable("not used with --backend fentry"))
    }

    @Test("A kernel without modules needs not be watched for them")
    func noModules() throws {
        #expect(try status(finding(.moduleLoad, modules: nil)) == .unneeded)
    }
}
