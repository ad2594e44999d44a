// Who made a load fail, read from libbpf's words.

import Testing

@testable import KernelTracer

@Suite("Refused programs")
struct RefusalTests {
    @Test("The verifier's last words before its statistics")
    func verifier() {
        let refusal = Refusal(log: [
            "prog 'probe_tcp_v4_rcv': BPF program load failed: Permission denied",
            "prog 'probe_tcp_v4_rcv': -- BEGIN PROG LOAD LOG --",
            "0: R1=ctx(off=0,imm=0) R10=fp0",
            "R2 invalid mem access 'scalar'",
            "processed 12 insns (limit 1000000) max_states_per_insn 0",
            "-- END PROG LOAD LOG --",
            "prog 'probe_tcp_v4_rcv': failed to load: -13",
            "failed to load object 'nattrace'",
        ])
        #expect(refusal?.program == "probe_tcp_v4_rcv")
        #expect(refusal?.reason == "R2 invalid mem access 'scalar'")
    }

    @Test("Of a log that was too long to keep, the end")
    func longLog() {
        let refusal = Refusal(log: [
            "120: (85) call unknown#195896080", "invalid func unknown#195896080",
            "processed 120 insns (limit 1000000) max_states_per_insn 0", "-- END PROG LOAD LOG --",
            "prog 'probe_x': failed to load: -22",
        ])
        #expect(refusal == Refusal(program: "probe_x", reason: "invalid func unknown#195896080"))
    }

    @Test("Without a verifier's log, what libbpf said first about the program")
    func withoutLog() {
        let refusal = Refusal(log: [
            "prog 'trace_kfree_skb': failed to find kernel BTF type ID of 'kfree_skb': -3",
            "prog 'trace_kfree_skb': failed to prepare load attributes: -3",
            "prog 'trace_kfree_skb': failed to load: -3",
            "failed to load object 'nattrace'",
        ])
        #expect(refusal?.program == "trace_kfree_skb")
        #expect(refusal?.reason == "failed to find kernel BTF type ID of 'kfree_skb': -3")
    }

    @Test("A failure that is no program's blames none")
    func map() {
        #expect(Refusal(log: ["Error in bpf_create_map_xattr(ring):Operation not permitted(-1)"]) == nil)
        #expect(Refusal(log: []) == nil)
    }
}
