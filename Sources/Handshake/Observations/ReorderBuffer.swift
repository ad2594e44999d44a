// Puts observations into the order of their times. The ring buffer keeps the order in which
// CPUs reserved their places; two CPUs that handle the same connection within microseconds
// may have taken their times the other way round.

import CNattrace

/// Holds observations back for a moment and lets them go in the order of time.
public struct ReorderBuffer {
    /// How long one is held back, in nanoseconds. A hook takes its time and its place in the
    /// ring within microseconds, with preemption disabled; an interrupt may come between.
    public static let window: UInt64 = 1_000_000

    private var waiting: [nattrace_observation] = []
    private var isSorted = true

    public init() {}

    public var isEmpty: Bool { waiting.isEmpty }
    public var count: Int { waiting.count }
    /// The time of what came first: the oldest, or at most a moment younger. CLOCK_MONOTONIC, nanoseconds.
    public var oldest: UInt64? { waiting.first?.time_ns }

    public mutating func add(_ observation: nattrace_observation) {
        if let last = waiting.last, last.time_ns > observation.time_ns { isSorted = false }
        waiting.append(observation)
    }

    /// Hands on, in order of time, what was observed up to `time` (CLOCK_MONOTONIC, ns).
    public mutating func release(upTo time: UInt64, _ body: (nattrace_observation) -> Void) {
        guard !waiting.isEmpty else { return }
        if !isSorted {
            // Equal times keep the ring's order: `sort` is stable.
            waiting.sort { $0.time_ns < $1.time_ns }
            isSorted = true
        }
        var count = 0
        while count < waiting.count, waiting[count].time_ns <= time {
            body(waiting[count])
            count += 1
        }
        waiting.removeFirst(count)
    }
}
