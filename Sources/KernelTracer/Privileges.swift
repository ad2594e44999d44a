// What this process may do, asked before anything is tried: a refused system call in the
// middle would say EPERM and not which capability.

import Privileges

extension CapabilitySet {
    /// What tracing cannot do without.
    public static let tracing: CapabilitySet = [.bpf, .perfmon]

    /// What some hooks want beside: BTF of modules by its id and the network namespace of `RuleTraceSwitch`
    /// CAP_SYS_ADMIN, the rule in there CAP_NET_ADMIN. CAP_SYS_ADMIN is also asked for by perf_event_open(2)
    /// of kprobes, where kernel.perf_event_paranoid is above 2 (Debian, Ubuntu).
    public static let attaching: CapabilitySet = [.sysAdmin, .netAdmin]

    /// Those of `tracing` that are not there, and that nothing stands for.
    public var missingForTracing: [Capability] { [Capability.bpf, .perfmon].filter { !allows($0) } }

    func requireTracing() throws(TracerError) {
        let missing = missingForTracing
        guard missing.isEmpty else {
            throw .notPermitted(
                capability: missing.map(\.name).joined(separator: " and "),
                whatToDo: "run nattrace as root, or give it CAP_BPF and CAP_PERFMON")
        }
    }
}
