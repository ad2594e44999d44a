// What stands in the way of hooks, as far as it has one name and one remedy for many of them.

import Handshake
import Privileges

extension Findings {
    func has(_ capability: Capability) -> Bool { capabilities.allows(capability) }
    func isAbsent(_ feature: Feature) -> Bool { features[feature]?.isAbsent ?? false }

    /// Capabilities that would be of use and are not there; first those that tracing cannot do without.
    public var missingCapabilities: [Capability] {
        let missing = usefulCapabilities.members.filter { !has($0) }
        let needed: [Capability] = [.bpf, .perfmon]
        return needed.filter(missing.contains) + missing.filter { !needed.contains($0) }
    }

    /// perf_event_open(2), which each kprobe takes, then wants CAP_SYS_ADMIN (Debian, Ubuntu).
    var kprobesAreForbidden: Bool { settings[.perfEventParanoid].map { $0 > 2 } ?? false && !has(.sysAdmin) }

    /// What rule tracing needs beside a kprobe: its own namespace with a rule in it.
    var capabilitiesForRules: [Capability] { [.sysAdmin, .netAdmin].filter { !has($0) } }

    /// Why a hook will not be attached although its module is all that is waited for; nil: it will be.
    public func obstacle(to hook: Hook) -> String? {
        if kprobesAreForbidden { return "\(Setting.perfEventParanoid.name) is above 2, and CAP_SYS_ADMIN is missing" }
        guard hook == .nftTracePacket else { return nil }
        let missing = capabilitiesForRules
        if !missing.isEmpty { return missing.map(\.name).joined(separator: " and ") + " missing" }
        // Which member of nf_tables' types is where, no other place says.
        return isAbsent(.moduleTypes) ? "this kernel has no BTF of modules" : nil
    }

    /// Hooks that show nothing, now or ever. One that another stands in for is among them: what verdicts lose
    /// by it is in their grounds.
    public var missingHooks: [HookFinding] {
        hooks.filter {
            switch $0.state {
            case .attached, .unneeded, .untried: false
            case .replaced, .unavailable: true
            case .waiting: obstacle(to: $0.hook) != nil
            }
        }
    }

    /// All that verdicts could stand on and cannot here.
    public var missingMeans: Set<Means> {
        var means = Set(missingHooks.map { Means.hook($0.hook) })
        if isAbsent(.dropReasons) { means.insert(.dropReasons) }
        if isAbsent(.functionNames) { means.insert(.functionNames) }
        // There may be no rules and no entries now: those that come could not be read.
        if !has(.netAdmin) || namespace.rulesetProblem != nil { means.insert(.rulesets) }
        if !has(.netAdmin) || namespace.conntrackProblem != nil { means.insert(.conntrackTable) }
        if !namespace.entersOthers { means.insert(.otherNamespaces) }
        return means
    }

    /// How it is known which rule decided.
    public enum RuleTracing: String, Sendable {
        /// The kernel tells each decision of nftables.
        case seen
        /// It will, once nf_tables is loaded.
        case waiting
        /// From the rulesets, where only one rule can have done it.
        case concluded
        /// It is not, for the rules cannot be read either.
        case unknown
    }

    /// nil: not tried.
    public var ruleTracing: RuleTracing? {
        let otherwise = missingMeans.contains(.rulesets) ? RuleTracing.unknown : .concluded
        return switch hooks.first(where: { $0.hook == .nftTracePacket })?.state {
        case .attached: .seen
        case .waiting: obstacle(to: .nftTracePacket) == nil ? .waiting : otherwise
        case .untried, nil: nil
        case .replaced, .unneeded, .unavailable: otherwise
        }
    }
}
