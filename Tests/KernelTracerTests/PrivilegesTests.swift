// What a process may do, and what an error says.

import Glibc
import Privileges
import Testing

@testable import KernelTracer

@Suite("Privileges and errors")
struct PrivilegesTests {
    @Test(
        "CAP_SYS_ADMIN is enough, and so are the two that were split off it",
        arguments: [
            [.sysAdmin], [.bpf, .perfmon], [.bpf, .sysAdmin],
        ] as [CapabilitySet])
    func enough(capabilities: CapabilitySet) throws {
        try capabilities.requireTracing()
        #expect(capabilities.missingForTracing.isEmpty)
    }

    private func refusal(_ missing: String) -> TracerError {
        .notPermitted(
            capability: missing, whatToDo: "run nattrace as root, or give it CAP_BPF and CAP_PERFMON")
    }

    @Test("What is missing is named")
    func missing() {
        let all = CapabilitySet(rawValue: .max).subtracting([.sysAdmin])
        for capability in [Capability.bpf, .perfmon] {
            #expect(throws: refusal(capability.name)) {
                try all.subtracting(CapabilitySet([capability])).requireTracing()
            }
        }
        #expect(throws: refusal("CAP_BPF and CAP_PERFMON")) {
            try CapabilitySet([.netAdmin]).requireTracing()
        }
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
