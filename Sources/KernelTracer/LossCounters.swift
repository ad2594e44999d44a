// What was lost in the kernel, read where it was counted.

import CLibBPF
import CNattrace
import Glibc

/// A cause of loss and how often it struck since tracing began.
public struct LossCount: Sendable, Equatable {
    /// For a person and for alerts, always spelled the same: `ring buffer full`.
    public var reason: String
    public var total: UInt64

    public init(reason: String, total: UInt64) {
        self.reason = reason
        self.total = total
    }
}

struct LossCounters {
    /// In the order of NATTRACE_LOST_*.
    static let reasons = [
        "ring buffer full", "too many handshakes at once", "unpaired return", "too much happened to a held SYN",
    ]

    /// The per-CPU map `lost`.
    let map: Int32

    /// What the programs themselves counted; every cause, those that never struck included.
    func read() throws(TracerError) -> [LossCount] {
        let cpus = libbpf_num_possible_cpus()
        guard cpus > 0 else { throw .system(call: "counting CPUs", errno: -cpus) }
        var perCPU = [UInt64](repeating: 0, count: Int(cpus))
        var counts: [LossCount] = []
        for (index, reason) in Self.reasons.enumerated() {
            var key = UInt32(index)
            guard bpf_map_lookup_elem(map, &key, &perCPU) == 0 else { throw .last("reading the loss counters") }
            counts.append(LossCount(reason: reason, total: perCPU.reduce(0, &+)))
        }
        return counts
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
