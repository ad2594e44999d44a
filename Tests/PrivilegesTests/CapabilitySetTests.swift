// Sets of capabilities, and what stands for what.

import CNattrace
import Testing

@testable import Privileges

@Suite("Capability sets")
struct CapabilitySetTests {
    @Test("Numbers are the kernel's")
    func numbers() {
        let numbers: [(Capability, Int32)] = [
            (.dacReadSearch, CAP_DAC_READ_SEARCH), (.netAdmin, CAP_NET_ADMIN), (.netRaw, CAP_NET_RAW),
            (.sysPtrace, CAP_SYS_PTRACE), (.sysAdmin, CAP_SYS_ADMIN), (.sysResource, CAP_SYS_RESOURCE),
            (.syslog, CAP_SYSLOG), (.perfmon, CAP_PERFMON), (.bpf, CAP_BPF),
        ]
        #expect(numbers.map(\.0) == Capability.allCases)
        for (capability, number) in numbers { #expect(capability.rawValue == Int(number)) }
    }

    @Test("A set has its members, and those that have no name here")
    func members() {
        let set: CapabilitySet = [.bpf, .netAdmin]
        #expect(set.rawValue == 1 << 39 | 1 << 12)
        #expect(set.members == [.netAdmin, .bpf])
        #expect(set.contains(.bpf) && !set.contains(.perfmon))
        let all = CapabilitySet(rawValue: .max)
        #expect(all.subtracting(set).union(set) == all)
        #expect(all.subtracting(set).intersection(set) == [])
        #expect(CapabilitySet(rawValue: 1).members == [])
    }

    @Test("CAP_SYS_ADMIN stands for what was split off it for BPF, and for nothing else")
    func standIn() {
        let admin: CapabilitySet = [.sysAdmin]
        for capability in Capability.allCases {
            let isAllowed = [.sysAdmin, .bpf, .perfmon].contains(capability)
            #expect(admin.allows(capability) == isAllowed, "\(capability.name)")
            #expect(CapabilitySet([capability]).allows(capability))
        }
    }

    @Test("Those of this thread are what /proc says")
    func effective() throws {
        var sets = nattrace_capabilities()
        try #require(nattrace_capget(&sets) == 0)
        #expect(CapabilitySet.effective.rawValue == sets.effective)
        #expect(ThreadStatus().sets["CapEff"] == sets.effective)
        #expect(ThreadStatus().sets["CapPrm"] == sets.permitted)
        #expect(ThreadStatus().sets["CapInh"] == sets.inheritable)
    }
}
