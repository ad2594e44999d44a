// Sets of capabilities, as the kernel writes them: a bit each.

import CNattrace

public struct CapabilitySet: Sendable, Hashable, ExpressibleByArrayLiteral {
    /// Bits by the kernel's numbers, also of capabilities that have no name here.
    public let rawValue: UInt64

    public init(rawValue: UInt64) { self.rawValue = rawValue }

    public init(_ members: [Capability]) {
        rawValue = members.reduce(0) { $0 | 1 << UInt64($1.rawValue) }
    }

    public init(arrayLiteral members: Capability...) { self.init(members) }

    /// What the calling thread may do now.
    public static var effective: CapabilitySet {
        var sets = nattrace_capabilities()
        return nattrace_capget(&sets) == 0 ? CapabilitySet(rawValue: sets.effective) : []
    }

    public func contains(_ capability: Capability) -> Bool { rawValue >> UInt64(capability.rawValue) & 1 == 1 }

    /// Whether it allows what a capability is for: CAP_SYS_ADMIN is enough for CAP_BPF and CAP_PERFMON, which were
    /// split off it in 5.8 (bpf_capable, perfmon_capable), and for no other.
    public func allows(_ capability: Capability) -> Bool {
        switch capability {
        case .bpf, .perfmon: contains(capability) || contains(.sysAdmin)
        default: contains(capability)
        }
    }

    /// Those that have a name here, in the order of their numbers.
    public var members: [Capability] { Capability.allCases.filter(contains) }

    public func union(_ other: Self) -> Self { Self(rawValue: rawValue | other.rawValue) }
    public func intersection(_ other: Self) -> Self { Self(rawValue: rawValue & other.rawValue) }
    public func subtracting(_ other: Self) -> Self { Self(rawValue: rawValue & ~other.rawValue) }
}
