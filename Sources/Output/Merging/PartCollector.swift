// The first reading of a recording that is to be merged with others: what its connections are.

import Handshake

/// The connections of all recordings.
final class ConnectionParts {
    /// Some 500 bytes for each.
    static let maximum = 131_072

    private(set) var all: [ConnectionPart] = []
    private(set) var starts: [StartInfo] = []
    private var places: [[UInt64: Int]] = []
    /// There were more than `maximum`: nothing can be said of them.
    private(set) var isFull = false

    private let filter: ConnectionFilter

    /// - Parameter filter: which ones are asked for.
    init(filter: ConnectionFilter = ConnectionFilter()) { self.filter = filter }

    /// To be told all of a recording, without a filter: what is not shown may still compare two clocks. Its parts get
    /// the number of the recording, from 0 on in the order of these calls.
    func collector() -> any Sink {
        places.append([:])
        return Collector(self, recording: places.count - 1)
    }

    /// Which part a connection is; nil: it was not there in the first reading.
    func place(of id: UInt64, in recording: Int) -> Int? { places[recording][id] }

    private final class Collector: Sink {
        private let parts: ConnectionParts
        private let recording: Int
        private var realtimeOffset: Int64 = 0

        init(_ parts: ConnectionParts, recording: Int) {
            self.parts = parts
            self.recording = recording
        }

        func start(_ start: StartInfo) {
            realtimeOffset = start.realtimeOffset
            parts.starts.append(start)
        }

        func step(_ step: borrowing Step, of connection: Connection) {
            guard let place = place(of: connection) else { return }
            parts.all[place].note(step, at: realtime(step.time))
        }

        func verdict(_ verdict: Verdict, of connection: Connection) {
            guard let place = place(of: connection) else { return }
            parts.all[place].code = verdict.code
            parts.all[place].outcome = verdict.outcome
            parts.all[place].verdicts += 1
            parts.all[place].isServerEnd = verdict.code == .established && verdict.checklist.listenerMatches == true
            if parts.filter.matches(connection) { parts.all[place].passesFilter = true }
        }

        func loss(_ loss: Loss) {}
        func stop(_ totals: Totals) {}

        private func realtime(_ time: UInt64) -> Int64 { Int64(truncatingIfNeeded: time) &+ realtimeOffset }

        private func place(of connection: Connection) -> Int? {
            if let known = parts.places[recording][connection.id] { return known }
            guard parts.all.count < ConnectionParts.maximum else {
                parts.isFull = true
                return nil
            }
            parts.places[recording][connection.id] = parts.all.count
            parts.all.append(
                ConnectionPart(
                    recording: recording, id: connection.id, isn: connection.isn, start: realtime(connection.startTime))
            )
            return parts.all.count - 1
        }
    }
}
