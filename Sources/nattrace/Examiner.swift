// Asks this machine what `nattrace doctor` reports. What it comes to is the report's own affair.

import Examination
import Glibc
import Handshake
import HostFacts
import KernelTracer
import Output
import Privileges
import SystemSupport

enum Examiner {
    /// Traces, for as long as it takes to look, what no connection is: nothing is left when this returns.
    static func examine() -> (findings: Findings, refusal: TracerError?) {
        let capabilities = CapabilitySet.effective
        let kernel = KernelInspection()
        var tracer: KernelTracer?
        var refusal: TracerError?
        do throws(TracerError) { tracer = try KernelTracer(filter: nothing) } catch { refusal = error }
        defer { tracer?.close() }

        let facts = LiveFacts(names: tracer?.names ?? (try? BTFNames()), symbols: tracer)
        var useful = CapabilitySet.tracing.union(facts.usefulCapabilities)
        // What could not be tried here would be of no use once it can.
        if tracer == nil, kernel.namesFunctions == true { useful = useful.subtracting([.syslog]) }
        if let tracer { keepWhatTracingKeeps(tracer, facts) }
        let functionNames: Presence =
            tracer == nil
            ? .unknown("asked of a program that could not be loaded")
            : facts.problemWithFunctionNames().map { .absent($0) } ?? .present
        let findings = Findings(
            version: nattraceVersion, hostName: hostName(), kernel: kernelRelease(), architecture: architecture(),
            time: UInt64(bitPattern: realtimeOffset()) &+ monotonicTime(), refusal: refusal.map(Refusal.init),
            features: features(kernel, functionNames), lockdown: kernel.lockdown, settings: settings(),
            userID: geteuid(), isInUserNamespace: LiveFacts.isInUserNamespace, capabilities: capabilities,
            usefulCapabilities: useful, hooks: hooks(tracer),
            namespace: NamespaceFindings(facts.examineOwnNamespace()),
            tools: LiveFacts.examineTools().map { ToolFinding(name: $0.name, path: $0.path, purpose: $0.purpose) })
        return (findings, refusal)
    }

    /// No packet is of IPv4 and to an address of IPv6.
    private static var nothing: ConnectionFilter {
        var filter = ConnectionFilter()
        filter.family = .v4
        filter.destinations = [AddressPrefix("2001:db8::1")].compactMap { $0 }
        return filter
    }

    /// What is asked from here on is asked as in a trace: tools that list rules get their capabilities this way.
    private static func keepWhatTracingKeeps(_ tracer: KernelTracer, _ facts: LiveFacts) {
        let kept = tracer.capabilitiesNeededLater.union(facts.usefulCapabilities)
        do throws(PrivilegeError) {
            try LeastPrivilege.keep(kept, forChildren: LiveFacts.toolCapabilities)
        } catch {
            StatusWriter().warning("more privileges are kept than needed: \(error)")
        }
    }

    private static func features(_ kernel: KernelInspection, _ functionNames: Presence) -> [Feature: Presence] {
        let noTypes = "the kernel describes no types"
        return [
            .types: Presence(kernel.hasTypes, ifUnknown: ""),
            .moduleTypes: Presence(
                kernel.hasModuleTypes,
                ifUnknown: kernel.hasModules ? "no module is loaded" : "the kernel has no modules"),
            .ringBuffer: Presence(kernel.hasRingBuffer, ifUnknown: noTypes),
            .tracepoints: Presence(kernel.hasTracepoints, ifUnknown: noTypes),
            .kprobes: Presence(kernel.hasKprobes, ifUnknown: "not permitted to try"),
            .fentry: kernel.fentryRefusal.map(Presence.absent)
                ?? Presence(kernel.hasFentry, ifUnknown: "not permitted to try"),
            .dropReasons: Presence(kernel.hasDropReasons, ifUnknown: noTypes),
            .resetReasons: Presence(kernel.hasResetReasons, ifUnknown: noTypes),
            .functionNames: functionNames,
        ]
    }

    private static func settings() -> [Findings.Setting: Int] {
        var settings: [Findings.Setting: Int] = [:]
        for setting in Findings.Setting.allCases {
            settings[setting] = LiveFacts.kernelSetting(setting.rawValue)
        }
        return settings
    }

    private static func hooks(_ tracer: KernelTracer?) -> [HookFinding] {
        KernelTracer.plannedHooks.map { hook in
            HookFinding(
                hook, tracer?.statuses[hook].map(HookFinding.State.init) ?? .untried,
                declined: (tracer?.declined[hook] ?? []).map { .init($0.backend, $0.reason) },
                loss: KernelTracer.loss(without: hook))
        }
    }
}

extension HookFinding.State {
    init(_ status: HookStatus) {
        self =
            switch status {
            case .attached(let backend): .attached(backend)
            case .waiting(let module): .waiting(module: module)
            case .replaced(let other, let isComplete): .replaced(by: other, isComplete: isComplete)
            case .unneeded: .unneeded
            case .unavailable(let reason): .unavailable(reason)
            }
    }
}

extension Refusal {
    init(_ error: TracerError) {
        switch error {
        case .notPermitted(let capability, let whatToDo):
            self.init(
                status: error.exitStatus, what: "it needs \(capability), which this process does not have",
                whatToDo: whatToDo)
        case .unsupportedKernel(let what, let whatToDo):
            self.init(
                status: error.exitStatus, what: "this kernel cannot be traced, for \(what)",
                // That is what is being read.
                whatToDo: whatToDo.contains("nattrace doctor") ? nil : whatToDo)
        case .filter, .system:
            self.init(status: error.exitStatus, what: error.description, whatToDo: nil)
        }
    }
}

extension NamespaceFindings {
    init(_ found: NamespaceExamination) {
        self.init(
            inode: found.inode, conntrackCount: found.conntrackCount, conntrackMaximum: found.conntrackMaximum,
            conntrackProblem: found.conntrackProblem, usesNftables: found.usesNftables,
            usesIptablesLegacy: found.usesIptablesLegacy, rules: found.rules, translates: found.translates,
            rulesetProblem: found.rulesetProblem, entersOthers: found.entersOthers)
    }
}
