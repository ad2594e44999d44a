// Argument positions as different kernels have them.

import CNattrace
import Testing

@testable import KernelTracer

@Suite("Argument positions")
struct ArgumentPositionTests {
    private func positions(_ describe: (HandmadeTypes) -> Void) throws -> nattrace_configuration {
        let types = try HandmadeTypes()
        describe(types)
        var configuration = nattrace_configuration()
        configuration.setArgumentPositions(from: KernelTypes(kernel: types.finished()))
        return configuration
    }

    @Test("6.10 and later: every reset has a reason, and tcp_make_synack a request")
    func recent() throws {
        let configuration = try positions { types in
            let skb = types.pointer(to: types.structure("sk_buff"))
            let constantSocket = types.pointer(to: types.constant(types.structure("sock")))
            let request = types.pointer(to: types.structure("request_sock"))
            let drop = types.enumeration("skb_drop_reason")
            let reset = types.enumeration("sk_rst_reason")
            let number = types.enumeration("other")
            types.tracepoint("kfree_skb", [skb, types.pointer(to: 0), drop, constantSocket])
            types.tracepoint("tcp_send_reset", [constantSocket, skb, types.constant(reset)])
            types.function("tcp_v4_send_reset", [("sk", constantSocket), ("skb", skb), ("reason", reset)])
            types.function("tcp_send_active_reset", [("sk", constantSocket), ("priority", number), ("reason", reset)])
            types.function("tcp_make_synack", [("sk", constantSocket), ("dst", number), ("req", request)])
            types.function("__inet_lookup_listener", [("net", number), ("skb", skb), ("doff", number)])
            types.function("nf_send_reset", [("net", number), ("sk", constantSocket), ("oldskb", skb)])
            types.function(
                "nf_ct_l4proto_log_invalid", [("skb", skb), ("ct", number), ("state", number), ("fmt", number)])
        }
        // The tracepoints' own first argument is not counted: a program does not see it.
        #expect(configuration.kfree_skb_reason == 3)
        #expect(configuration.tcp_send_reset_reason == 3)
        #expect(configuration.send_reset_reason == 3)
        #expect(configuration.active_reset_reason == 3)
        #expect(configuration.make_synack_req == 3)
        #expect(configuration.listener_skb == 2)
        #expect(configuration.listener_found == 4)
        #expect(configuration.nf_send_reset_skb == 3)
        #expect(configuration.ct_log_invalid_text == 4)
    }

    @Test("5.10: no reasons, other prototypes, and no BTF of modules to tell them")
    func old() throws {
        let configuration = try positions { types in
            let skb = types.pointer(to: types.structure("sk_buff"))
            let socket = types.pointer(to: types.structure("sock"))
            types.tracepoint("kfree_skb", [skb, types.pointer(to: 0)])
            types.tracepoint("tcp_send_reset", [socket, skb])
            types.function("tcp_v4_send_reset", [("sk", socket), ("skb", skb)])
            types.function("__inet_lookup_listener", [("net", socket), ("hashinfo", socket), ("skb", skb)])
        }
        #expect(configuration.kfree_skb_reason == 0)
        #expect(configuration.tcp_send_reset_reason == 0)
        #expect(configuration.send_reset_reason == 0)
        #expect(configuration.listener_skb == 3)
        #expect(configuration.nf_send_reset_skb == 3)
        #expect(configuration.nf_send_reset6_skb == 3)
        #expect(configuration.ct_log_invalid_text == 3)
        #expect(configuration.log_invalid_text == 5)
    }

    @Test("A kernel without BTF of modules that gives drop reasons has the newer prototypes")
    func modulesWithoutTypes() throws {
        let configuration = try positions { types in
            types.tracepoint(
                "kfree_skb", [types.pointer(to: 0), types.pointer(to: 0), types.enumeration("skb_drop_reason")])
        }
        #expect(configuration.nf_send_reset_skb == 3)
        #expect(configuration.log_invalid_text == 4)
    }

    @Test("What is not there has no prototype")
    func absent() throws {
        let types = try HandmadeTypes().finished()
        #expect(!types.hasTracepoint("kfree_skb"))
        #expect(!types.hasFunction("tcp_v4_rcv"))
        #expect(types.prototype(ofFunction: "tcp_v4_rcv") == nil)
        #expect(types.prototype(ofTracepoint: "kfree_skb") == nil)
    }

    @Test("Types are seen through const and typedefs")
    func modifiers() throws {
        let types = try HandmadeTypes()
        let skb = types.pointer(to: types.constant(types.structure("sk_buff")))
        types.function("f", [("a", types.constant(skb)), ("reason", types.constant(types.enumeration("e")))])
        types.function("nothing", [])
        let information = types.finished()
        #expect(
            information.prototype(ofFunction: "f")
                == Prototype(parameters: [
                    .init(name: "a", shape: .pointer(to: "sk_buff")), .init(name: "reason", shape: .enumeration("e")),
                ]))
        #expect(information.prototype(ofFunction: "nothing") == Prototype(parameters: []))
    }
}
