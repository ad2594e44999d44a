import CNattrace
import Handshake
import Testing

@testable import KernelTracer

@Suite("Counters of the kernel side")
struct KernelCountersTests {
    @Test("Every cause of loss has a counter and words of its own")
    func reasons() {
        let causes = KernelCounters.causes
        #expect(causes.map(\.counter).sorted() == Array(1..<Int(NATTRACE_COUNTER_COUNT)))
        #expect(Set(causes.map(\.reason)).count == causes.count)
    }

    @Test("What is lost of the observations is what their causes add up to")
    func observations() {
        let counts = KernelCounts(counters: [100, 1, 2, 4, 8, 16])
        #expect(counts.observations == ObservationCount(made: 100, lost: 15))
        #expect(counts.losses.map(\.total) == [1, 2, 4, 8, 16])
    }

    @Test("Handshakes that were not followed make nothing doubtful that was")
    func scopes() {
        let counts = KernelCounts(counters: [0, 0, 0, 0, 0, 0])
        #expect(
            counts.losses.filter { $0.scope == .handshakes }.map(\.reason)
                == ["handshakes not followed under load", "too many handshakes at once"])
    }
}

@Suite("Limits of the kernel side")
struct TracerLimitsTests {
    @Test(
        "A ring buffer has the next size that there is",
        arguments: [
            (1, 64 << 10), (64 << 10, 64 << 10), (5_000_000, 8 << 20), (4 << 20, 4 << 20), (.max, 1 << 30),
        ])
    func ring(_ wanted: Int, _ size: Int) {
        let limits = TracerLimits(ringBytes: wanted, connections: 1)
        #expect(limits.ringBytes == size)
        #expect(limits.pressedBytes < limits.endsBytes && limits.endsBytes < size)
    }

    @Test("Each handshake has room for both of its numbers, also while user space does not know of it yet")
    func numbers() {
        let limits = TracerLimits(ringBytes: 64 << 10, connections: 1024)
        #expect(limits.numbers == 2 * (1024 + (64 << 10) / MemoryLayout<nattrace_observation>.size))
        #expect(TracerLimits(ringBytes: 1, connections: 0).connections == TracerLimits.connectionsRange.lowerBound)
        #expect(TracerLimits(ringBytes: 1, connections: .max).connections == TracerLimits.connectionsRange.upperBound)
    }
}
