import Testing

@testable import HostFacts

private func parse(_ text: String, pieces: Int = .max) -> SymbolTable {
    var parser = SymbolTable.Parser()
    var rest = Array(text.utf8)[...]
    while !rest.isEmpty {
        rest.prefix(pieces).withUnsafeBytes { parser.add($0) }
        rest = rest.dropFirst(pieces)
    }
    return parser.finish()
}

@Suite struct SymbolTableTests {
    // Kernel functions and data in order, then a module at lower addresses, a BPF program,
    // and a per-CPU symbol, which has no address.
    private static let text = """
        0000000000000000 A fixed_percpu_data
        ffffffff81000000 T _stext
        ffffffff81000000 T _text
        ffffffff81000140 t do_one_initcall
        ffffffff81a00000 D init_task
        ffffffff81a81230 T tcp_v4_rcv
        ffffffff81a82000 t tcp_v4_rcv.cold
        ffffffff81a82100 W weak_function
        ffffffffc0305000 t nf_nat_inet_fn\t[nf_nat]
        ffffffffc0304000 T nf_nat_setup_info\t[nf_nat]
        ffffffffc0306000 t bpf_prog_6deef7357e7b4530_sd_fw_ingress\t[bpf]
        """

    @Test(arguments: [Int.max, 1, 7, 64])
    func findsTheFunctionThatHoldsAnAddress(pieces: Int) {
        let table = parse(Self.text, pieces: pieces)
        #expect(table.count == 8)
        #expect(table.hiddenCount == 0)
        #expect(table.name(of: 0xffff_ffff_81a8_1230) == "tcp_v4_rcv")
        #expect(table.name(of: 0xffff_ffff_81a8_1fff) == "tcp_v4_rcv")
        #expect(table.name(of: 0xffff_ffff_81a8_2000) == "tcp_v4_rcv.cold")
        #expect(table.name(of: 0xffff_ffff_81a8_2101) == "weak_function")
        #expect(table.name(of: 0xffff_ffff_c030_4abc) == "nf_nat_setup_info")
        #expect(table.name(of: 0xffff_ffff_c030_5001) == "nf_nat_inet_fn")
        #expect(table.name(of: 0xffff_ffff_c030_6001) == "bpf_prog_6deef7357e7b4530_sd_fw_ingress")
    }

    @Test func takesTheFirstOfSeveralNames() {
        #expect(parse(Self.text).name(of: 0xffff_ffff_8100_0010) == "_stext")
        // Also where they stand out of order.
        #expect(parse("20 T b\n10 T first\n10 T second").name(of: 0x10) == "first")
    }

    @Test func namesNothingOutsideOfFunctions() {
        let table = parse(Self.text)
        #expect(table.name(of: 0) == nil)
        #expect(table.name(of: 0xffff_ffff_80ff_ffff) == nil)
        // Data far behind the function before it.
        #expect(table.name(of: 0xffff_ffff_81a0_0000) == nil)
        #expect(table.name(of: .max) == nil)
        #expect(SymbolTable().name(of: 1) == nil)
    }

    @Test func countsHiddenAddresses() {
        let table = parse("0000000000000000 T _stext\n0000000000000000 t tcp_v4_rcv\n0000000000000000 D init_task\n")
        #expect(table.count == 0)
        #expect(table.hiddenCount == 2)
    }

    @Test func passesOverLinesThatAreNone() {
        let long = String(repeating: "x", count: SymbolTable.maximumNameLength)
        let table = parse(
            "\n\nxyz\nffff\nffff T\nffff T \n10 T good\n20 T \(long)\n30 T \(long.dropLast())\n\u{0}\u{1}")
        #expect(table.count == 2)
        #expect(table.name(of: 0x12) == "good")
        #expect(table.name(of: 0x31) == String(long.dropLast()))
    }

    @Test func saysWhyThereAreNone() throws {
        try withTemporaryFolder { folder in
            try folder.write("hidden", "0000000000000000 T _stext\n")
            try folder.write("empty", "")
            let hidden = #expect(throws: FactFailure.self) { try SymbolTable.load(folder.path + "/hidden") }
            #expect(hidden?.description.contains("kptr_restrict") == true)
            let empty = #expect(throws: FactFailure.self) { try SymbolTable.load(folder.path + "/empty") }
            #expect(empty?.description.contains("names no kernel function") == true)
            let missing = #expect(throws: FactFailure.self) { try SymbolTable.load(folder.path + "/missing") }
            #expect(missing?.description.contains("No such file") == true)
        }
    }
}
