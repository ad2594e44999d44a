// What a process may do, and what an error says.

import Glibc
import Testing

@testable import KernelTracer

@Suite("Privileges and errors")
struct PrivilegesTests {
    private func privileges(_ capabilities: [Privileges.Capability]) -> Privileges {
        let set = capabilities.reduce(UInt64(0)) { $0 | 1 << UInt64($1.rawValue) }
        return Privileges(status: "Name:\tx\nCapPrm:\tffff\nCapEff:\t\(String(set, radix: 16))\nCapBnd:\t0\n")
    }

    @Test("CAP_SYS_ADMIN is enough, and so are the three that were split off it")
    func enough() throws {
        try privileges([.sysAdmin]).requireTracing()
        try privileges([.bpf, .perfmon, .netAdmin]).requireTracing()
    }

    @Test("A missing capability is named", arguments: [Privileges.Capability.bpf, .perfmon, .netAdmin])
    func missing(capability: Privileges.Capability) {
        let others = [Privileges.Capability.bpf, .perfmon, .netAdmin].filter { $0 != capability }
        #expect(throws: TracerError.notPermitted(capability: capability.name)) {
            try privileges(others).requireTracing()
        }
    }

    @Test("What cannot be read is no privilege", arguments: ["", "CapEff:\tzzz\n", "CapEff:"])
    func unreadable(status: String) {
        #expect(Privileges(status: status).effective == 0)
    }

    @Test("Fewer capabilities than root's are told as limits")
    func limits() {
        #expect(privileges(Privileges.Capability.allCases).limits.isEmpty)
        #expect(privileges([.bpf]).limits.map(\.capability) == [.sysAdmin, .sysPtrace])
    }

    @Test("Errors are one line and have the exit status of sysexits")
    func errors() {
        let errors: [(TracerError, Int32)] = [
            (.notPermitted(capability: "CAP_BPF"), 77),
            (.unsupportedKernel(what: "it has no BPF ring buffer", whatToDo: "use Linux 5.8 or newer"), 69),
            (.filter("--port is given too often"), 64),
            (.system(call: "epoll_wait", errno: ENOMEM), 71),
        ]
        for (error, status) in errors {
            #expect(error.exitStatus == status)
            #expect(!error.description.contains("\n"))
        }
        #expect(
            TracerError.system(call: "epoll_wait", errno: ENOMEM).description
                == "epoll_wait failed: Cannot allocate memory")
    }
}
