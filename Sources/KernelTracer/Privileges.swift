// What this process may do, asked before anything is tried: a refused system call in the
// middle would say EPERM and not which capability.

import Glibc

/// The effective capabilities of this process (capabilities(7)).
public struct Privileges: Sendable, Equatable {
    public enum Capability: Int, Sendable, CaseIterable {
        case netAdmin = 12
        case sysPtrace = 19
        case sysAdmin = 21
        case perfmon = 38
        case bpf = 39

        public var name: String {
            switch self {
            case .netAdmin: "CAP_NET_ADMIN"
            case .sysPtrace: "CAP_SYS_PTRACE"
            case .sysAdmin: "CAP_SYS_ADMIN"
            case .perfmon: "CAP_PERFMON"
            case .bpf: "CAP_BPF"
            }
        }
    }

    let effective: UInt64

    /// Of the running process.
    public init() {
        self.init(status: kernelFile("/proc/self/status") ?? "")
    }

    /// From the text of /proc/PID/status; without the line `CapEff` there are none.
    init(status: String) {
        let line = status.split(separator: "\n").first { $0.hasPrefix("CapEff:") }
        effective = line.flatMap { $0.split(separator: "\t").last }.flatMap { UInt64($0, radix: 16) } ?? 0
    }

    public func has(_ capability: Capability) -> Bool { effective >> UInt64(capability.rawValue) & 1 == 1 }

    /// What tracing cannot do without. CAP_SYS_ADMIN stands for the three that were split
    /// off it in 5.8.
    func requireTracing() throws(TracerError) {
        guard !has(.sysAdmin) else { return }
        for capability in [Capability.bpf, .perfmon, .netAdmin] where !has(capability) {
            throw .notPermitted(capability: capability.name)
        }
    }

    /// What verdicts are poorer without, each with what is lost: not an error.
    public var limits: [(capability: Capability, loss: String)] {
        var limits: [(Capability, String)] = []
        if !has(.sysAdmin) {
            limits.append((.sysAdmin, "sockets and settings in other network namespaces are not seen"))
        }
        if !has(.sysPtrace) && !has(.sysAdmin) {
            limits.append((.sysPtrace, "processes of other users are not named"))
        }
        return limits
    }
}
