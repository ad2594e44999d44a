// What is missing, what that costs, and how to get it: one place for each.

import Handshake
import Privileges

extension Findings {
    /// The refusal is not among them: it has its own place.
    var lacks: [Report.Lack] {
        [functions, moduleTypes, capabilitiesLack, functionNames, dropReasons, rulesets, conntrack].compactMap { $0 }
            + otherHooks
    }

    private static let concluded =
        "the kernel's decisions are concluded from the packets before and after, not seen: steps are marked ~"

    /// No function can be hooked at all.
    private var functions: Report.Lack? {
        guard !missingFunctionHooks.isEmpty else { return nil }
        if isAbsent(.kprobes) {
            return .init(
                what: isAbsent(.fentry) ? "kprobes and fentry" : "kprobes", losses: [Self.concluded],
                advice: ["use a kernel that is built with CONFIG_KPROBE_EVENTS=y, as those of the distributions are"])
        }
        guard kprobesAreForbidden else { return nil }
        return .init(
            what: "kprobes", why: "kernel.perf_event_paranoid is above 2, and CAP_SYS_ADMIN is missing",
            losses: [Self.concluded],
            advice: ["sysctl -w kernel.perf_event_paranoid=2", "or give nattrace CAP_SYS_ADMIN"])
    }

    /// Those whose module is not there yet are all functions.
    private var missingFunctionHooks: [HookFinding] {
        missingHooks.filter { finding in
            if case .waiting = finding.state { return true }
            return finding.declined.contains { $0.backend == .kprobe || $0.backend == .fentry }
        }
    }

    private var moduleTypes: Report.Lack? {
        guard isAbsent(.moduleTypes), !isAbsent(.kprobes), let rules = missing(.nftTracePacket) else { return nil }
        return .init(
            what: "BTF of modules", losses: [rules.loss],
            advice: ["use Linux 5.11 or newer that is built with CONFIG_DEBUG_INFO_BTF_MODULES=y"])
    }

    private var capabilitiesLack: Report.Lack? {
        let missing = missingCapabilities
        guard !missing.isEmpty else { return nil }
        return .init(
            what: missing.map(\.name).joined(separator: ", "),
            losses: missing.map { "\($0.name): \($0.loss)" },
            advice: ["run nattrace as root, or give it those: docs/capabilities.md has the commands"])
    }

    private var functionNames: Report.Lack? {
        guard case .absent(let why)? = features[.functionNames] else { return nil }
        var advice: [String] = []
        if settings[.kptrRestrict] == 2 { advice.append("sysctl -w kernel.kptr_restrict=1") }
        if !has(.syslog) { advice.append("give nattrace CAP_SYSLOG") }
        return .init(
            what: Feature.functionNames.name, why: why,
            losses: ["drops have no function, and a setting or route that caused one is not named"], advice: advice)
    }

    private var dropReasons: Report.Lack? {
        guard isAbsent(.dropReasons) else { return nil }
        return .init(
            what: Feature.dropReasons.name, losses: ["why a packet was dropped is known by the function alone"],
            advice: ["use Linux 5.17 or newer"])
    }

    /// Beyond what a capability would change.
    private var rulesets: Report.Lack? {
        guard let problem = namespace.rulesetProblem, has(.netAdmin) else { return nil }
        return .init(
            what: "the rules of this network namespace", why: problem,
            losses: ["rules have no text, and where they are not seen they are not concluded"],
            advice: packages(toInstall: problem))
    }

    private func packages(toInstall problem: String) -> [String] {
        guard problem.contains("is not installed") else { return [] }
        let names = tools.filter { $0.path == nil && problem.contains("\($0.name) is not installed") }
        let packages = Set(names.map { $0.name.hasPrefix("nft") ? "nftables" : "iptables" }).sorted()
        return packages.isEmpty ? [] : ["install \(packages.joined(separator: " and "))"]
    }

    private var conntrack: Report.Lack? {
        guard let problem = namespace.conntrackProblem, has(.netAdmin) else { return nil }
        return .init(
            what: "conntrack's table", why: problem, losses: ["entries in the way of others are not found"], advice: [])
    }

    /// Hooks that are missing for reasons of their own, those with the same reason together.
    private var otherHooks: [Report.Lack] {
        if functions != nil {
            let explained = Set(missingFunctionHooks.map(\.hook))
            return hooksByReason(missingHooks.filter { !explained.contains($0.hook) })
        }
        let rulesAreExplained = isAbsent(.moduleTypes) || !capabilitiesForRules.isEmpty
        return hooksByReason(missingHooks.filter { !rulesAreExplained || $0.hook != .nftTracePacket })
    }

    private func hooksByReason(_ hooks: [HookFinding]) -> [Report.Lack] {
        var lacks: [Report.Lack] = []
        for finding in hooks {
            // What another hook shows completely is not missed.
            guard let reason = reason(of: finding) else { continue }
            if let index = lacks.firstIndex(where: { $0.why == reason }) {
                lacks[index].what += ", " + finding.hook.name
                lacks[index].losses.append(finding.loss)
            } else {
                lacks.append(.init(what: finding.hook.name, why: reason, losses: [finding.loss], advice: []))
            }
        }
        return lacks
    }

    private func reason(of finding: HookFinding) -> String? {
        switch finding.state {
        case .unavailable(let reason): reason
        case .replaced(let other, isComplete: false): "only \(other.name), which shows less, can be observed"
        case .waiting: obstacle(to: finding.hook)
        case .attached, .unneeded, .untried, .replaced(_, isComplete: true): nil
        }
    }

    private func missing(_ hook: Hook) -> HookFinding? { missingHooks.first { $0.hook == hook } }
}
