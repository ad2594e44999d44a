// A replay: the same explanations as live, from a recording, anywhere and without privilege.

import Glibc
import Handshake
import KernelTracer
import Output

/// Explains a recording up to its end, or up to where it is damaged.
struct ReplaySession {
    let request: ReplayRequest

    func run() throws {
        let reader = try RecordingReader(path: request.path)
        var options = ExplainerOptions(
            replaying: reader.header, unansweredAfter: request.output.unansweredAfter)
        options.filter = request.filter
        options.selection = request.selection
        options.maximumVerdicts = request.output.count
        let display = Display(request.output)
        let pcap = try request.output.pcapPath.map { path in
            // Where it was recorded, and on what machine, is not known.
            PcapOutput(
                try PcapFile(path, beside: [(request.path, "the recording that is read")]), hardware: nil,
                selection: request.selection, backlog: nil)
        }
        let sink: any Sink = pcap.map { FanOutSink([display.sink, $0.sink]) } ?? display.sink
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)
        let limit = request.output.duration.map { reader.header.start.time &+ $0 } ?? .max

        var damage: RecordingError?
        sink.start(reader.header.start)
        do {
            let progress = ReplayProgress(display.progress, of: reader)
            try explainer.replay(reader, upTo: limit) {
                progress.step()
                return !explainer.isExhausted && display.state == .open && pcap?.output.state ?? .open == .open
            }
        } catch {
            damage = error
        }
        display.settle()
        explainer.finish(
            at: max(explainer.time, reader.header.start.time),
            observations: limit == .max ? reader.end?.observations : nil)
        let (shown, written) = (display.flush(), pcap?.flush())
        if case .failed(let error) = shown { throw Failure(error) }
        if case .failed(let error)? = written { throw Failure(error) }
        if case .failed(let error)? = pcap?.finish() { throw Failure(error) }
        display.status.summary(explainer.totals)
        if let damage { throw damage }
    }
}

extension ExplainerOptions {
    /// As the recording run had them.
    init(replaying header: RecordingHeader, unansweredAfter: UInt64?) {
        self.init()
        self.unansweredAfter = unansweredAfter ?? header.unansweredAfter
        hooks = Set(header.start.backends.keys)
        homeNetns = header.start.netns
        if let recorded = header.maximumConnections {
            // A damaged number must not make it ask for more memory than live.
            maximumConnections = TracerLimits(ringBytes: 0, connections: recorded).connections
        }
    }
}

/// How far a recording is read, by its bytes.
final class ReplayProgress {
    private let line: ProgressLine
    private let reader: RecordingReader
    private var steps = 0

    /// Observations between two looks at the clock.
    private static let interval = 64

    init(_ line: ProgressLine, of reader: RecordingReader) {
        self.line = line
        self.reader = reader
    }

    /// To be called for each observation.
    func step() {
        steps += 1
        guard line.isActive, steps % Self.interval == 0 else { return }
        line.update("reading \(reader.name)", fraction: reader.size.map { Double(reader.position) / Double($0) })
    }
}
