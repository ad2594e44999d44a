// What is asked of the running kernel for `nattrace doctor`.

import Handshake
import Privileges
import Testing

@testable import KernelTracer

@Suite("Inspection of the kernel")
struct KernelInspectionTests {
    @Test("The mode of lockdown is the one in brackets")
    func lockdown() {
        #expect(KernelInspection.mode("none [integrity] confidentiality\n") == "integrity")
        #expect(KernelInspection.mode("[none] integrity confidentiality\n") == "none")
        #expect(KernelInspection.mode("") == nil && KernelInspection.mode(nil) == nil)
        #expect(KernelInspection.mode("]none[") == nil)
    }

    @Test("What needs no privilege is known, the rest is tried where that is allowed")
    func running() {
        let kernel = KernelInspection()
        let mayTry = kernel.hasFentry != nil
        // In a user namespace that is not enough.
        if !CapabilitySet.effective.missingForTracing.isEmpty { #expect(!mayTry) }
        #expect((kernel.hasRingBuffer == nil) == !kernel.hasTypes)
        #expect((kernel.hasTracepoints == nil) == !kernel.hasTypes)
        if mayTry, let types = try? KernelTypes(), let features = try? KernelFeatures.probe(types) {
            #expect(kernel.hasFentry == (features.fentry.refusal == nil))
            #expect(kernel.fentryRefusal == features.fentry.refusal)
            #expect(kernel.hasKprobes == features.kprobes)
            #expect(kernel.namesFunctions == nil || kernel.namesFunctions == features.syscallPrograms)
        }
    }

    @Test("Every hook has a loss to tell")
    func losses() {
        #expect(KernelTracer.plannedHooks.count == HookPlan.all.count)
        for hook in KernelTracer.plannedHooks { #expect(!KernelTracer.loss(without: hook).isEmpty) }
    }
}
