// What the kernel side counted: the observations that it made, and what was lost of them.

import CLibBPF
import CNattrace
import Glibc
import Handshake

/// The counters at one moment.
public struct KernelCounts: Sendable, Equatable {
    /// Every cause, those that never struck included, in a fixed order.
    public internal(set) var losses: [LossCount]
    /// What was made, and how much of it did not get into the ring buffer.
    public let observations: ObservationCount

    /// `counters`: by NATTRACE_COUNTER_*.
    init(counters: [UInt64]) {
        let causes = KernelCounters.causes
        losses = causes.map { LossCount(reason: $0.reason, scope: $0.scope, total: counters[$0.counter]) }
        observations = ObservationCount(
            made: counters[Int(NATTRACE_COUNTER_OBSERVATIONS)],
            lost: counters[1..<Int(NATTRACE_COUNTER_OBSERVED)].reduce(0, &+))
    }
}

struct KernelCounters {
    static let causes: [(counter: Int, reason: String, scope: LossScope)] = [
        (Int(NATTRACE_COUNTER_RING_FULL), "ring buffer full", .observations),
        (Int(NATTRACE_COUNTER_PRESSED), "handshakes not followed under load", .handshakes),
        (Int(NATTRACE_COUNTER_FOLLOW_FULL), "too many handshakes at once", .handshakes),
        (Int(NATTRACE_COUNTER_HELD_FULL), "too much happened to a held SYN", .observations),
        (Int(NATTRACE_COUNTER_NUMBER_FULL), "too many answers at once", .observations),
    ]

    /// The per-CPU map `counters`.
    let map: Int32

    func read() throws(TracerError) -> KernelCounts {
        let cpus = libbpf_num_possible_cpus()
        guard cpus > 0 else { throw .system(call: "counting CPUs", errno: -cpus) }
        var perCPU = [UInt64](repeating: 0, count: Int(cpus))
        var counters: [UInt64] = []
        for index in 0..<UInt32(NATTRACE_COUNTER_COUNT) {
            var key = index
            guard bpf_map_lookup_elem(map, &key, &perCPU) == 0 else { throw .last("reading the counters") }
            counters.append(perCPU.reduce(0, &+))
        }
        return KernelCounts(counters: counters)
    }

    /// How often the kernel skipped one of these programs, given by descriptor, because it was
    /// already running on that CPU. Counted since 5.12; an older kernel leaves the field zero.
    static func skippedRuns(of programs: [Int32]) -> UInt64 {
        programs.reduce(0) { sum, program in
            var info = bpf_prog_info()
            var size = UInt32(MemoryLayout<bpf_prog_info>.size)
            return bpf_obj_get_info_by_fd(program, &info, &size) == 0 ? sum &+ info.recursion_misses : sum
        }
    }
}
