// Waits for the verdicts of all machines on a connection, and then tells it as a whole.

import Handshake

/// Takes in the recordings once more, all of them in one order of time, and gives each connection to its reader as
/// soon as every machine has said its last word.
final class JourneyAssembler {
    /// Steps that wait for other machines' verdicts, some 250 bytes each. With more, a connection is told without those
    /// that are still to come.
    static let maximumSteps = 262_144

    private let journeys: Journeys
    private let reader: any JourneyReader
    /// By number of the journey.
    private var waiting: [Int: Waiting] = [:]
    /// Their numbers in the order in which they came; those that were told since are skipped.
    private var order: [Int] = []
    private var oldest = 0
    private var steps = 0
    /// Connections to be told at most; nil: no limit.
    private let maximum: Int?
    private(set) var told = 0
    /// Connections that were told in several places, because too much waited.
    private(set) var tornApart = 0
    /// Connections that were not there in the first reading.
    private(set) var unknown = 0
    private var totals = Totals()
    private var isOver = false

    private struct Waiting {
        var chapters: [Int: JourneyStory.Chapter] = [:]
        var verdicts = 0
    }

    init(_ journeys: Journeys, reader: any JourneyReader, maximum: Int?) {
        self.journeys = journeys
        self.reader = reader
        self.maximum = maximum
    }

    /// As many as were asked for were told.
    var isExhausted: Bool { maximum.map { told >= $0 } ?? false }

    /// To be told all of a recording.
    func sink(_ recording: Int) -> any Sink { PartSink(self, recording) }

    /// All recordings are at their end.
    func finish() {
        for number in waiting.keys.sorted() { tell(number) }
        totals.verdicts = journeys.verdicts
        reader.stop(totals)
    }

    private func verdict(_ verdict: Verdict, of connection: Connection, in recording: Int) {
        guard let place = journeys.parts.place(of: connection.id, in: recording) else {
            unknown += 1
            return
        }
        let number = journeys.journeyOfPart[place]
        let journey = journeys.all[number]
        guard journey.isWanted, let position = journey.parts.firstIndex(of: place) else { return }
        if waiting[number] == nil {
            waiting[number] = Waiting()
            order.append(number)
        }
        let earlier = waiting[number]?.chapters[position]
        steps += connection.steps.count - (earlier?.steps.count ?? 0)
        waiting[number]?.verdicts += 1
        waiting[number]?.chapters[position] = JourneyStory.Chapter(
            recording: recording, connection: connection, steps: connection.steps,
            omittedSteps: connection.omittedSteps, verdict: verdict,
            realtimeOffset: journeys.parts.starts[recording].realtimeOffset, ahead: journey.ahead[position])
        if waiting[number]?.verdicts == journey.parts.reduce(0, { $0 + journeys.parts.all[$1].verdicts }) {
            tell(number)
        }
        while steps > Self.maximumSteps, oldest < order.count {
            if waiting[order[oldest]] != nil { tell(order[oldest]) }
            oldest += 1
        }
    }

    private func tell(_ number: Int) {
        guard let waited = waiting.removeValue(forKey: number) else { return }
        steps -= waited.chapters.values.reduce(0) { $0 + $1.steps.count }
        guard !isExhausted else { return }
        let journey = journeys.all[number]
        let positions = waited.chapters.keys.sorted()
        let isIncomplete = positions.count < journey.parts.count
        if isIncomplete { tornApart += 1 }
        let wanted = journey.parts.firstIndex(of: journey.decisive)
        told += 1
        reader.story(
            JourneyStory(
                chapters: positions.compactMap { waited.chapters[$0] },
                decisive: positions.firstIndex { $0 == wanted } ?? 0, isIncomplete: isIncomplete))
    }

    private final class PartSink: Sink {
        private let assembler: JourneyAssembler
        private let recording: Int

        init(_ assembler: JourneyAssembler, _ recording: Int) {
            self.assembler = assembler
            self.recording = recording
        }

        func start(_ start: StartInfo) {}
        func step(_ step: borrowing Step, of connection: Connection) {}
        func verdict(_ verdict: Verdict, of connection: Connection) {
            assembler.verdict(verdict, of: connection, in: recording)
        }
        func loss(_ loss: Loss) { assembler.reader.loss(loss, in: recording) }
        func stop(_ totals: Totals) {
            assembler.totals.events += totals.events
            assembler.totals.lost += totals.lost
        }
    }
}
