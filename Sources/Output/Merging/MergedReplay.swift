// Several recordings explained together: each by itself, as always, and then told as one.

import Handshake

/// Why recordings cannot be merged.
public enum MergeError: Error, Hashable, CustomStringConvertible {
    case tooManyConnections
    case sameRecording(String, String)

    public var description: String {
        switch self {
        case .tooManyConnections:
            "the recordings have more than \(ConnectionParts.maximum) connections together, which is too many to compare:"
                + " merge recordings of a shorter time, or made with filters"
        case .sameRecording(let a, let b):
            "\(sanitized(a)) and \(sanitized(b)) are the same recording: give one of each machine"
        }
    }
}

/// Reads recordings of several machines twice: first to find which of their connections are one and how far the clocks
/// are apart, then, all in one order of time, to tell them. What each machine says is what it says alone.
public final class MergedReplay {
    public struct Request {
        /// At most `maximumRecordings`; each can be read twice.
        public var paths: [String]
        public var filter = ConnectionFilter()
        public var selection = VerdictSelection()
        /// How each recording is explained; without filter, selection and limit, which are applied to whole connections.
        public var options: (RecordingHeader) -> ExplainerOptions
        /// Nanoseconds from the start of each recording; nil: all of it.
        public var duration: UInt64?
        /// Connections as text, or verdicts as lines, to be told at most; nil: no limit.
        public var maximum: Int?

        public init(paths: [String], options: @escaping (RecordingHeader) -> ExplainerOptions) {
            self.paths = paths
            self.options = options
        }
    }

    /// How it is told.
    public enum Form {
        /// `blocksPerSecond`: 0: all, and in full; nil: no limit.
        case blocks(TerminalSink, blocksPerSecond: Int?)
        case summary(SummarySink)
        case lines(OutputBuffer)
    }

    public static let maximumRecordings = Journeys.maximumRecordings

    private let request: Request
    private let journeys: Journeys
    private let hosts: MergedHosts
    /// The first thing that was wrong with each recording; what stood before it counts.
    private var damages: [RecordingError?]

    /// Reads all recordings for the first time. `progress` is called all the while.
    public init(_ request: Request, progress: (RecordingReader) -> Void) throws {
        precondition(!request.paths.isEmpty && request.paths.count <= Self.maximumRecordings)
        self.request = request
        let parts = ConnectionParts(filter: request.filter)
        damages = Array(repeating: nil, count: request.paths.count)
        for (recording, path) in request.paths.enumerated() {
            let reader = try RecordingReader(path: path)
            let start = reader.header.start
            if let same = parts.starts.firstIndex(of: start) {
                throw MergeError.sameRecording(request.paths[same], path)
            }
            let collector = parts.collector()
            collector.start(start)
            let explainer = Explainer(options: request.options(reader.header), facts: reader.facts, sink: collector)
            do throws(RecordingError) {
                try explainer.replay(reader, upTo: Self.limit(request, start)) {
                    progress(reader)
                    return !parts.isFull
                }
            } catch {
                damages[recording] = error
            }
            explainer.finish(at: max(explainer.time, start.time))
            if parts.isFull { throw MergeError.tooManyConnections }
        }
        journeys = Journeys(parts, selection: request.selection)
        hosts = MergedHosts(parts.starts, paths: request.paths, clocks: journeys.clocks)
    }

    /// What was wrong with the recordings: each with its name.
    public var errors: [RecordingError] { damages.compactMap { $0 } }

    /// How the clocks differ, one line for each host but the first.
    public var clocks: [String] {
        request.paths.indices.compactMap { recording in
            hosts.clock(recording).map { "clock of \(hosts.names[recording]): \($0)" }
        }
    }

    /// What is to be said at the end of what could not be told as it should, one line each.
    public private(set) var warnings: [String] = []

    /// Reads all of them once more and tells them, while it is wanted. Returns how connections ended that pass the
    /// filter, each counted once.
    public func tell(
        as form: Form, progress: (RecordingReader) -> Void, while isWanted: () -> Bool
    ) throws(RecordingError) -> Totals {
        var readers: [RecordingReader] = []
        for path in request.paths { readers.append(try RecordingReader(path: path)) }
        let first = journeys.parts.starts[0]
        let counter = Counter()
        switch form {
        case .lines(let output):
            let lines = JourneyLines(journeys, paths: request.paths, output: output, maximum: request.maximum)
            lines.start()
            let sinks = readers.indices.map { FanOutSink([lines.sink($0), counter]) }
            replay(readers, to: sinks, progress) { !lines.isExhausted && isWanted() }
            lines.finish()
            note(unknown: lines.unknown)
        case .blocks, .summary:
            let reader: any JourneyReader =
                switch form {
                case .summary(let summary): JourneySummary(summary, first: first, hosts: hosts)
                case .blocks(let terminal, let limit):
                    JourneyBlocks(terminal, first: first, hosts: hosts, blocksPerSecond: limit)
                case .lines: preconditionFailure("lines are told above")
                }
            let assembler = JourneyAssembler(journeys, reader: reader, maximum: request.maximum)
            let sinks = readers.indices.map { FanOutSink([assembler.sink($0), counter]) }
            replay(readers, to: sinks, progress) { !assembler.isExhausted && isWanted() }
            assembler.finish()
            note(unknown: assembler.unknown)
            if assembler.tornApart > 0 {
                warnings.append(
                    "\(Self.connections(assembler.tornApart)) told in parts: too much had to wait for other hosts' verdicts"
                )
            }
        }
        var totals = counter.totals
        totals.verdicts = journeys.verdicts
        return totals
    }

    private func note(unknown: Int) {
        guard unknown > 0 else { return }
        warnings.append(
            "\(Self.connections(unknown)) left out, which came into the recordings while they were read: replay them once"
                + " more")
    }

    private static func connections(_ count: Int) -> String { "\(count) \(count == 1 ? "connection" : "connections")" }

    private static func limit(_ request: Request, _ start: StartInfo) -> UInt64 {
        guard let duration = request.duration else { return .max }
        let (end, isOver) = start.time.addingReportingOverflow(duration)
        return isOver ? .max : end
    }

    // MARK: in one order of time

    /// A recording on its way.
    private struct Stream {
        let reader: RecordingReader
        let explainer: Explainer
        let limit: UInt64
        /// What makes times comparable: CLOCK_REALTIME minus CLOCK_MONOTONIC, in the first recording's clock.
        let offset: Int64
        /// What comes next, and when; nil: it is at its end.
        var next: (item: RecordingItem, time: Int64)?
    }

    private func replay(
        _ readers: [RecordingReader], to sinks: [any Sink], _ progress: (RecordingReader) -> Void,
        while isWanted: () -> Bool
    ) {
        var streams = readers.indices.map { recording in
            let (reader, start) = (readers[recording], readers[recording].header.start)
            return Stream(
                reader: reader,
                explainer: Explainer(
                    options: request.options(reader.header), facts: reader.facts, sink: sinks[recording]),
                limit: Self.limit(request, start),
                offset: start.realtimeOffset &- (journeys.clocks[recording].aheadOfFirst ?? 0))
        }
        for recording in streams.indices {
            fetch(&streams, recording)
            if streams[recording].next == nil { finish(streams[recording]) }
        }
        while let recording = streams.indices.filter({ streams[$0].next != nil })
            .min(by: { streams[$0].next!.time < streams[$1].next!.time }), let next = streams[recording].next,
            isWanted()
        {
            progress(streams[recording].reader)
            if streams[recording].explainer.replay(next.item, upTo: streams[recording].limit) {
                fetch(&streams, recording)
            } else {
                streams[recording].next = nil
            }
            if streams[recording].next == nil { finish(streams[recording]) }
        }
        for stream in streams where stream.next != nil { finish(stream) }
    }

    private func fetch(_ streams: inout [Stream], _ recording: Int) {
        let offset = streams[recording].offset
        do throws(RecordingError) {
            streams[recording].next = try streams[recording].reader.next().map { item in
                let time =
                    switch item {
                    case .observation(let raw): raw.time_ns
                    case .loss(let loss): loss.time
                    case .time(let passed): passed.time
                    case .end(let end): end.time
                    }
                return (item, Int64(truncatingIfNeeded: time) &+ offset)
            }
        } catch {
            streams[recording].next = nil
            damages[recording] = damages[recording] ?? error
        }
    }

    private func finish(_ stream: Stream) {
        stream.explainer.finish(
            at: max(stream.explainer.time, stream.reader.header.start.time),
            observations: stream.limit == .max ? stream.reader.end?.observations : nil)
    }

    /// Adds up what the recordings say of themselves.
    private final class Counter: Sink {
        var totals = Totals()
        func start(_ start: StartInfo) {}
        func step(_ step: borrowing Step, of connection: Connection) {}
        func verdict(_ verdict: Verdict, of connection: Connection) {}
        func loss(_ loss: Loss) {}
        func stop(_ totals: Totals) {
            self.totals.events += totals.events
            self.totals.lost += totals.lost
        }
    }
}
