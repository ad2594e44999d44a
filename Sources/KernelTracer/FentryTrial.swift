// Whether functions can be hooked by fentry: tried, since neither version nor program type says so.

import CLibBPF
import Glibc
import SystemSupport

public enum FentryTrial: Sendable, Equatable {
    case works
    case refused(String)
    /// Not tried, for want of privileges.
    case unknown

    /// A function of the kernel that is there to try this on, and that nothing calls but a test.
    private static let function = "bpf_fentry_test1"

    /// Loads a program that does nothing, and attaches it for a moment. Architectures that load it cannot all
    /// attach it.
    init(_ types: KernelTypes?) {
        guard let types else {
            self = .refused("this kernel has no BTF")
            return
        }
        guard let id = types.kernel.identifier(of: Self.function, kind: BTF_KIND_FUNC) else {
            self = .refused("this kernel has no \(Self.function) to try it on")
            return
        }
        // r0 = 0; exit
        var program = [bpf_insn(), bpf_insn()]
        program[0].code = UInt8(BPF_ALU64 | BPF_MOV | BPF_K)
        program[1].code = UInt8(BPF_JMP | BPF_EXIT)
        var options = bpf_prog_load_opts()
        options.sz = MemoryLayout<bpf_prog_load_opts>.size
        options.expected_attach_type = BPF_TRACE_FENTRY
        options.attach_btf_id = id
        let loaded = bpf_prog_load(BPF_PROG_TYPE_TRACING, "nattrace_trial", "GPL", program, program.count, &options)
        guard loaded >= 0 else {
            self = .refused("loading: \(errorText(errno))")
            return
        }
        defer { close(loaded) }
        let link = bpf_raw_tracepoint_open(nil, loaded)
        guard link >= 0 else {
            self = .refused("attaching: \(errorText(errno))")
            return
        }
        close(link)
        self = .works
    }
}
