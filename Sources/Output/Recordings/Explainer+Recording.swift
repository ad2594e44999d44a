// A recording told to the core, item by item: the one place that knows what each item is to a replay.

import Handshake

extension Explainer {
    /// Takes in all that a recording still holds, up to the limit (as below), or while it is wanted. Facts are
    /// asked of the reader meanwhile.
    public func replay(
        _ reader: RecordingReader, upTo limit: UInt64 = .max, while isWanted: () -> Bool
    ) throws(RecordingError) {
        while let item = try reader.next() {
            guard replay(item, upTo: limit), isWanted() else { return }
            let isWhole = reader.takeObservations { raw in
                guard raw.pointee.time_ns <= limit else { return false }
                if let observation = Observation(raw.pointee) { observe(observation, raw: raw.pointee) }
                return isWanted()
            }
            guard isWhole else { return }
        }
    }

    /// Takes in what a recording holds next, as it was taken in live. Time passes up to `limit` at most
    /// (CLOCK_MONOTONIC, nanoseconds). False: what was observed next lies behind the limit, and was not taken in.
    @discardableResult
    public func replay(_ item: RecordingItem, upTo limit: UInt64 = .max) -> Bool {
        switch item {
        case .observation(let raw):
            guard raw.time_ns <= limit else { return false }
            if let observation = Observation(raw) { observe(observation, raw: raw) }
        case .loss(let loss): report(loss)
        case .time(let passed): advance(to: min(passed.time, limit))
        case .end(let end): advance(to: min(end.time, limit))
        }
        return true
    }
}
