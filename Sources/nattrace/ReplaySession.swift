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
        var options = ExplainerOptions()
        options.unansweredAfter = request.output.unansweredAfter ?? reader.header.unansweredAfter
        options.hooks = Set(reader.header.start.backends.keys)
        options.filter = request.filter
        options.selection = request.selection
        options.maximumVerdicts = request.output.count
        if let recorded = reader.header.maximumConnections {
            // A damaged number must not make it ask for more memory than live.
            options.maximumConnections = TracerLimits(ringBytes: 0, connections: recorded).connections
        }
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
            try explainer.replay(reader, upTo: limit) {
                !explainer.isExhausted && display.state == .open && pcap?.output.state ?? .open == .open
            }
        } catch {
            damage = error
        }
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
