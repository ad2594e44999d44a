// Whether the kernel runs programs at the entry and the exit of its functions (fentry, fexit).

import CLibBPF
import Glibc
import SystemSupport

/// Asked once, with a program that does nothing: hardened kernels refuse all of them, and to find that out with
/// the programs themselves would take one load of the object for each.
struct FentrySupport: Equatable {
    /// Why it runs none; nil: it does.
    let refusal: String?
    /// Functions with so many arguments or more are refused: trampolines pass on what is in registers, on x86
    /// from 6.6 on also what is on the stack.
    let tooManyArguments: Int

    static let complete = FentrySupport(refusal: nil, tooManyArguments: .max)
    static func refused(_ reason: String) -> FentrySupport { FentrySupport(refusal: reason, tooManyArguments: 0) }

    /// What stands in the way of a function; nil: nothing that is known.
    func obstacle(_ prototype: Prototype?) -> String? {
        guard let prototype else { return "BTF does not describe this function" }
        if prototype.isVariadic { return "fentry takes no function with variable arguments" }
        if prototype.parameters.count >= tooManyArguments {
            return "fentry on this kernel takes no function with \(prototype.parameters.count) arguments"
        }
        return nil
    }

    /// Tries the function with most arguments first: where it can be attached to, so can be all others.
    static func probe(_ types: TypeInformation) -> FentrySupport {
        let functions = ["__inet_lookup_listener", "tcp_connect"].compactMap { name in
            types.functionIdentifier(name).map { ($0, types.prototype(ofFunction: name)?.parameters.count ?? 0) }
        }
        guard !functions.isEmpty else { return .refused("BTF describes no function of TCP") }
        var tooManyArguments = Int.max
        var error: Int32 = 0
        for (function, arguments) in functions {
            error = attach(to: function)
            if error == 0 { return FentrySupport(refusal: nil, tooManyArguments: tooManyArguments) }
            if error != notSupported { break }
            tooManyArguments = arguments
        }
        return .refused("this kernel refuses fentry programs (\(text(of: error)))")
    }

    /// For a person; the kernel's own ENOTSUPP has no text.
    static func text(of error: Int32) -> String { error == notSupported ? "not supported" : errorText(error) }

    /// ENOTSUPP of linux/errno.h, which is not for user space but gets there.
    private static let notSupported: Int32 = 524

    /// Attaches to a function for a moment. Returns the error, 0: none.
    private static func attach(to function: UInt32) -> Int32 {
        let instructions: [UInt64] = [0xb7, 0x95]  // r0 = 0; exit
        var options = bpf_prog_load_opts()
        options.sz = MemoryLayout<bpf_prog_load_opts>.size
        options.expected_attach_type = BPF_TRACE_FENTRY
        options.attach_btf_id = function
        let program = instructions.withUnsafeBytes {
            bpf_prog_load(
                BPF_PROG_TYPE_TRACING, "fentry_probe", "GPL", $0.bindMemory(to: bpf_insn.self).baseAddress,
                instructions.count, &options)
        }
        guard program >= 0 else { return -program }
        defer { close(program) }
        let link = bpf_raw_tracepoint_open(nil, program)
        guard link >= 0 else { return -link }
        close(link)
        return 0
    }
}
