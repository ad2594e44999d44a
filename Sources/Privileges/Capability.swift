// The capabilities that nattrace can use, and what each is for.

/// A capability of Linux (capabilities(7)). Raw values are the kernel's, of linux/capability.h.
public enum Capability: Int, Sendable, CaseIterable {
    case dacReadSearch = 2
    case netAdmin = 12
    case netRaw = 13
    case sysPtrace = 19
    case sysAdmin = 21
    case sysResource = 24
    case syslog = 34
    case perfmon = 38
    case bpf = 39

    /// As people and service managers spell it.
    public var name: String {
        switch self {
        case .dacReadSearch: "CAP_DAC_READ_SEARCH"
        case .netAdmin: "CAP_NET_ADMIN"
        case .netRaw: "CAP_NET_RAW"
        case .sysPtrace: "CAP_SYS_PTRACE"
        case .sysAdmin: "CAP_SYS_ADMIN"
        case .sysResource: "CAP_SYS_RESOURCE"
        case .syslog: "CAP_SYSLOG"
        case .perfmon: "CAP_PERFMON"
        case .bpf: "CAP_BPF"
        }
    }

    /// What it is for; docs/capabilities.md has the same words.
    public var purpose: String {
        switch self {
        case .dacReadSearch:
            "sockets of other users' processes, with CAP_SYS_PTRACE; rules of iptables-legacy, with CAP_NET_RAW"
        case .netAdmin: "rulesets and the conntrack table; tracing nftables rules, with CAP_SYS_ADMIN"
        case .netRaw: "rules of iptables-legacy"
        case .sysPtrace: "which namespaces and sockets other users' processes have"
        case .sysAdmin:
            "questions in other network namespaces; tracing nftables rules;"
                + " kprobes where kernel.perf_event_paranoid is above 2"
        case .sysResource: "memory for BPF maps before Linux 5.11"
        case .syslog: "names of kernel functions before Linux 5.14"
        case .perfmon: "BPF programs that read the kernel's memory, and attaching them"
        case .bpf: "loading BPF programs and maps"
        }
    }

    /// What is lost without it; docs/capabilities.md has the same words.
    public var loss: String {
        switch self {
        case .dacReadSearch:
            "processes of other users are not named; as another user than root, no rule is named where"
                + " iptables-legacy is in use"
        case .sysPtrace:
            "processes of other users are not named, nor their namespaces found where these have no name"
        case .netAdmin: "rules are neither named nor searched, and conntrack entries not found"
        case .netRaw: "no rule is named where iptables-legacy is in use"
        case .sysAdmin:
            "what is in other network namespaces is not known: sockets, settings, routes, rules;"
                + " rules are concluded, not traced"
        case .sysResource: "before Linux 5.11 no tracing, status 77, unless RLIMIT_MEMLOCK is unlimited"
        case .syslog:
            "before Linux 5.14, drops have no function, and a setting or route that caused one is not named"
        case .perfmon, .bpf: "no tracing, status 77"
        }
    }
}
