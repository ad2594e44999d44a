import CNattrace
import Testing

@testable import KernelTracer

@Suite("Loss counters")
struct LossCountersTests {
    @Test("Every counter of the kernel side has its own words")
    func reasons() {
        #expect(LossCounters.reasons.count == Int(NATTRACE_LOST_COUNT))
        #expect(Set(LossCounters.reasons).count == LossCounters.reasons.count)
    }
}
