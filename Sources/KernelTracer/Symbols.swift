// Which function holds an address, asked of the kernel.

import CLibBPF
import CNattrace
import Glibc
import Handshake
import SystemSupport

extension KernelTracer: KernelSymbols {
    /// Its name in the object.
    static let symbolProgram = "name_symbol"

    /// Takes microseconds, and is right whatever modules came and went.
    public func symbol(at address: UInt64) -> Answer {
        guard let program = symbolProgram else { return .unavailable("this kernel names no functions to programs") }
        var symbol = nattrace_symbol()
        symbol.address = address
        let result = withUnsafeMutablePointer(to: &symbol) { context in
            var options = bpf_test_run_opts()
            options.sz = MemoryLayout<bpf_test_run_opts>.size
            options.ctx_in = UnsafeRawPointer(context)
            options.ctx_size_in = UInt32(MemoryLayout<nattrace_symbol>.size)
            return bpf_prog_test_run_opts(program, &options) == 0 ? Int(Int32(bitPattern: options.retval)) : -Int(errno)
        }
        guard result > 0 else { return .unavailable("asking the kernel for a symbol: \(errorText(Int32(-result)))") }
        guard result <= MemoryLayout.size(ofValue: symbol.name) else {
            return .unavailable("a symbol of \(result) bytes is too long")
        }
        return Self.answer(withUnsafeBytes(of: symbol.name) { String(decoding: $0.prefix(result - 1), as: UTF8.self) })
    }

    /// From what `%ps` writes: `nf_nat_packet [nf_nat]`, or the address where no function holds it.
    static func answer(_ text: String) -> Answer {
        let name = text.prefix { $0 != " " }
        return name.isEmpty || name.hasPrefix("0x") ? .nothing : .name(String(name))
    }
}
