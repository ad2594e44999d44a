// Names of reasons from BTF.

import Testing

@testable import KernelTracer

@Suite("Names of drop and reset reasons")
struct BTFNamesTests {
    private func names(modules: [UInt32: String] = [:]) throws -> BTFNames {
        let types = try HandmadeTypes()
        _ = types.enumeration(
            "skb_drop_reason",
            [
                ("SKB_NOT_DROPPED_YET", 0), ("SKB_CONSUMED", 1), ("SKB_DROP_REASON_NOT_SPECIFIED", 2),
                ("SKB_DROP_REASON_NO_SOCKET", 3), ("SKB_DROP_REASON_MAX", 4),
            ])
        _ = types.enumeration(
            "skb_drop_reason_subsys",
            [("SKB_DROP_REASON_SUBSYS_CORE", 0), ("SKB_DROP_REASON_SUBSYS_OPENVSWITCH", 2)])
        _ = types.enumeration("sk_rst_reason", [("SK_RST_REASON_NOT_SPECIFIED", 0), ("SK_RST_REASON_NO_SOCKET", 1)])
        return BTFNames(from: types.finished()) { module, value in module == "openvswitch" ? modules[value] : nil }
    }

    @Test("The kernel's spelling without the enum's prefix")
    func prefixes() throws {
        let names = try names()
        #expect(names.dropReason(3) == "NO_SOCKET")
        #expect(names.dropReason(1) == "SKB_CONSUMED")
        #expect(names.resetReason(1) == "NO_SOCKET")
    }

    @Test("That no reason is given is a name as well")
    func notSpecified() throws {
        let names = try names()
        #expect(names.dropReason(2) == "NOT_SPECIFIED")
        #expect(names.resetReason(0) == "NOT_SPECIFIED")
    }

    @Test("A value that this kernel does not have has no name")
    func unknown() throws {
        let names = try names()
        #expect(names.dropReason(99) == nil)
        #expect(names.resetReason(99) == nil)
        #expect(names.dropReason(7 << 16 | 1) == nil)
    }

    @Test("A subsystem's reason has its module's name for it, else the subsystem's and the number")
    func subsystems() throws {
        let names = try names(modules: [2 << 16 | 1: "OVS_DROP_LAST_ACTION"])
        #expect(names.dropReason(2 << 16 | 1) == "OVS_DROP_LAST_ACTION")
        #expect(names.dropReason(2 << 16 | 5) == "OPENVSWITCH_5")
    }

    @Test("What is built in has functions in the kernel's own BTF")
    func builtIn() throws {
        #expect(try !names().hasNFTablesBuiltIn)
        let types = try HandmadeTypes()
        types.function("nft_register_expr", [])
        #expect(BTFNames(from: types.finished()) { _, _ in nil }.hasNFTablesBuiltIn)
    }

    @Test("A kernel before 5.17 has no reasons at all")
    func old() throws {
        let names = BTFNames(from: try HandmadeTypes().finished()) { _, _ in nil }
        #expect(names.dropReason(2) == nil)
        #expect(names.resetReason(0) == nil)
    }

    @Test("The enums of a module are its own, not the kernel's")
    func moduleEnums() throws {
        let kernel = try HandmadeTypes()
        _ = kernel.enumeration("skb_drop_reason", [("SKB_DROP_REASON_NO_SOCKET", 3)])
        let module = try HandmadeTypes(base: kernel.finished())
        _ = module.enumeration("ovs_drop_reason", [("OVS_DROP_LAST_ACTION", 0x20001)])
        #expect(module.finished().values(ofEnumsNamed: "_drop_reason").map(\.name) == ["OVS_DROP_LAST_ACTION"])
    }
}
