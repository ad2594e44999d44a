// Functions that the kernel has under another name only, by hand-made symbol lists.

import Testing

@testable import KernelTracer

@Suite("Optimised clones")
struct FunctionClonesTests {
    private func find(_ function: String, in symbols: String...) -> FunctionClones.Finding {
        FunctionClones.find(function, in: Array(symbols.map { "ffffffff81000000 \($0)\n" }.joined().utf8))
    }

    @Test("Link-time optimisation only renames")
    func renamed() {
        #expect(find("tcp_connect", in: "t tcp_connect.llvm.1234") == .same(as: "tcp_connect.llvm.1234"))
        #expect(
            find("nf_nat_manip_pkt", in: "t nf_nat_manip_pkt.lto_priv.0\t[nf_nat]")
                == .same(as: "nf_nat_manip_pkt.lto_priv.0"))
    }

    @Test(
        "What changes arguments, or is a piece of a body, is not hooked",
        arguments: [
            "isra.0", "constprop.0", "part.0", "cold", "isra.0.cold", "constprop.0.isra.0", "llvm.1234.isra.0",
            "lto_priv.0.part.0", "0", "unknown.1",
        ])
    func changed(suffix: String) {
        #expect(
            find("tcp_connect", in: "T tcp_connectx", "t tcp_connect.\(suffix)", "T tcp_close")
                == .none("only as an optimised clone tcp_connect.\(suffix)"))
    }

    @Test("Beside pieces of it, the whole is found")
    func whole() {
        #expect(
            find("tcp_connect", in: "t tcp_connect.llvm.1234.cold", "t tcp_connect.llvm.1234")
                == .same(as: "tcp_connect.llvm.1234"))
    }

    @Test("Of several functions of that name none is chosen")
    func several() {
        #expect(
            find("reset", in: "t reset.lto_priv.0", "t reset.lto_priv.1")
                == .none("only under several names, such as reset.lto_priv.0"))
    }

    @Test("A function that is not there at all, also where a longer name or a variable looks like it")
    func absent() {
        let absent = FunctionClones.Finding.none("this kernel has no such function, or only inlined")
        #expect(find("tcp_connect", in: "T tcp_connect_init", "d tcp_connect.once", "T mptcp_connect.llvm.1") == absent)
        #expect(FunctionClones.find("tcp_connect", in: nil) == absent)
        #expect(FunctionClones.find("tcp_connect", in: Array(" tcp_connect.llvm.1".utf8)) == absent)
    }
}
