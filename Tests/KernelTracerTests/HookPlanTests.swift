// The table of hooks against the object that has their programs.

import Handshake
import Testing

@testable import KernelTracer

@Suite("Hook plan")
struct HookPlanTests {
    @Test("Every hook has one plan")
    func complete() {
        #expect(HookPlan.all.map(\.hook.rawValue).sorted() == Hook.allCases.map(\.rawValue).sorted())
    }

    @Test("Every program of the plan is in the object, in the right section, and no others but that for symbols")
    func programs() throws {
        var planned = [KernelTracer.symbolProgram: "syscall"]
        for way in HookPlan.all.flatMap(\.ways) {
            for program in way.programs {
                planned[program] =
                    switch way.target {
                    case .event(let event): "tp_btf/\(event)"
                    case .function(let name):
                        switch program.prefix(while: { $0 != "_" }) {
                        case "entry": "fentry/\(name)"
                        case "exit": "fexit/\(name)"
                        case "return": "kretprobe"
                        default: "kprobe"
                        }
                    }
            }
        }
        let contents = try ProgramObject.contents()
        #expect(Dictionary(uniqueKeysWithValues: contents.map { ($0.program, $0.section) }) == planned)
    }

    @Test("What stands in for others comes after them")
    func order() throws {
        for (index, plan) in HookPlan.all.enumerated() {
            for hook in plan.standsInFor + plan.supersedes {
                #expect(HookPlan.all[..<index].contains { $0.hook == hook })
            }
        }
    }

    @Test("A function's name in the plan is the hook's name")
    func names() {
        for plan in HookPlan.all {
            for way in plan.ways {
                switch way.target {
                case .function(let name): #expect(name == plan.hook.name)
                case .event(let event): #expect(plan.hook.name.hasSuffix(":\(event)"))
                }
            }
        }
    }

    @Test("What is lost is told with its cause")
    func losses() throws {
        let plan = try #require(HookPlan.plan(for: .tcpV4SendReset))
        #expect(HookStatus.attached(.kprobe).loss(of: plan) == nil)
        #expect(HookStatus.replaced(by: .tcpSendResetTracepoint, isComplete: true).loss(of: plan) == nil)
        #expect(
            HookStatus.replaced(by: .tcpSendResetTracepoint, isComplete: false).loss(of: plan)?
                .hasPrefix("tcp:tcp_send_reset shows only RSTs that concern a full socket") == true)
        #expect(HookStatus.waiting(module: "nf_nat").loss(of: plan) == "attached when module nf_nat is loaded")
        #expect(
            HookStatus.unavailable("this kernel has no kprobes").loss(of: plan)
                == "this kernel has no kprobes: that this machine answers with an RST is concluded from the IPv4 packet that leaves"
        )
    }
}
