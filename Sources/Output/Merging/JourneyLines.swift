// The JSON lines of several recordings in one stream.

import Handshake

/// What lines of merged recordings have beside those of one.
struct MergedSource {
    /// Empty: not recorded.
    var host: String
    var path: String
    var clock: RecordingClock
    /// What a connection is part of, and whether its verdict says most of all machines'.
    var journey: (_ connection: UInt64) -> (id: UInt64, isDecisive: Bool)?
}

/// Lets through what is asked for, in the order in which it is told. Times are in the first recording's clock, where the
/// others are compared to it.
final class JourneyLines {
    private let journeys: Journeys
    private let recordings: [JSONLinesSink]
    /// Told when all recordings are at their end: nothing comes after them.
    private var totals: [Totals?]
    /// Verdicts to be told at most; nil: no limit.
    private let maximum: Int?
    private var told = 0
    private(set) var unknown = 0

    init(_ journeys: Journeys, paths: [String], output: OutputBuffer, maximum: Int?) {
        self.journeys = journeys
        self.maximum = maximum
        totals = Array(repeating: nil, count: paths.count)
        recordings = paths.indices.map { recording in
            JSONLinesSink(
                output: output,
                source: MergedSource(
                    host: journeys.parts.starts[recording].hostName, path: paths[recording],
                    clock: journeys.clocks[recording],
                    journey: { connection in
                        guard let place = journeys.parts.place(of: connection, in: recording) else { return nil }
                        let journey = journeys.all[journeys.journeyOfPart[place]]
                        return (journeys.parts.all[journey.parts[0]].id, journey.decisive == place)
                    }))
        }
    }

    var isExhausted: Bool { maximum.map { told >= $0 } ?? false }

    func start() {
        for (recording, lines) in recordings.enumerated() {
            var start = journeys.parts.starts[recording]
            start.realtimeOffset &-= journeys.clocks[recording].aheadOfFirst ?? 0
            lines.start(start)
        }
    }

    func sink(_ recording: Int) -> any Sink { Lines(self, recording) }

    func finish() {
        for (recording, lines) in recordings.enumerated() {
            guard var totals = totals[recording] else { continue }
            totals.verdicts = journeys.verdicts(of: recording)
            lines.stop(totals)
        }
    }

    private func takes(_ connection: Connection, _ recording: Int) -> Bool {
        guard !isExhausted, let number = journeys.journey(of: connection.id, in: recording) else { return false }
        return journeys.all[number].isWanted
    }

    private final class Lines: Sink {
        private let all: JourneyLines
        private let recording: Int

        init(_ all: JourneyLines, _ recording: Int) {
            self.all = all
            self.recording = recording
        }

        func start(_ start: StartInfo) {}

        func step(_ step: borrowing Step, of connection: Connection) {
            if all.takes(connection, recording) { all.recordings[recording].step(step, of: connection) }
        }

        func verdict(_ verdict: Verdict, of connection: Connection) {
            if all.journeys.journey(of: connection.id, in: recording) == nil { all.unknown += 1 }
            guard all.takes(connection, recording) else { return }
            all.told += 1
            all.recordings[recording].verdict(verdict, of: connection)
        }

        func loss(_ loss: Loss) { all.recordings[recording].loss(loss) }
        func stop(_ totals: Totals) { all.totals[recording] = totals }
    }
}
