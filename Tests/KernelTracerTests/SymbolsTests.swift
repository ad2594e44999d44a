// What the kernel writes for an address.

import Handshake
import Testing

@testable import KernelTracer

@Suite("Symbols as the kernel writes them")
struct SymbolsTests {
    @Test("A function, without its module")
    func function() {
        #expect(KernelTracer.answer("tcp_v4_rcv") == .name("tcp_v4_rcv"))
        #expect(KernelTracer.answer("nf_nat_packet [nf_nat]") == .name("nf_nat_packet"))
        #expect(KernelTracer.answer("tcp_v4_rcv.cold") == .name("tcp_v4_rcv.cold"))
    }

    @Test("An address that no function holds stays a number", arguments: ["0x1234", "0xffffffffff000000", "", " "])
    func nothing(text: String) {
        #expect(KernelTracer.answer(text) == .nothing)
    }
}
