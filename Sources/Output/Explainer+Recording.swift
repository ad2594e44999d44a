// A recording told to the core, item by item: the one place that knows what each item is to a replay.

import CNattrace
import Handshake

extension Explainer {
    /// Takes in what a recording holds next, as it was taken in live. Time passes up to `limit` at most
    /// (CLOCK_MONOTONIC, nanoseconds). False: what was observed next lies behind the limit, and was not taken in.
    @discardableResult
    public func replay(_ item: RecordingItem, upTo limit: UInt64 = .max) -> Bool {
        switch item {
        case .observation(let raw): return observe(raw, upTo: limit)
        case .loss(let loss): report(loss)
        case .time(let passed): advance(to: min(passed.time, limit))
        case .end(let end): advance(to: min(end.time, limit))
        }
        return true
    }

    /// Takes in the observations that the reader would give out before it reads on, in place: for the sake of speed,
    /// as items are copied several times on their way. False: one lies behind the limit, or no more is wanted.
    public func replay(
        batchOf reader: RecordingReader, upTo limit: UInt64 = .max, while isWanted: () -> Bool
    ) -> Bool {
        reader.takeObservations { observe($0.pointee, upTo: limit) && isWanted() }
    }

    private func observe(_ raw: nattrace_observation, upTo limit: UInt64) -> Bool {
        guard raw.time_ns <= limit else { return false }
        if let observation = Observation(raw) { observe(observation, raw: raw) }
        return true
    }
}
