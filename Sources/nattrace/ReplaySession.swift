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
        let explainer = Explainer(options: options, facts: reader.facts, sink: display.sink)
        let limit = request.output.duration.map { reader.header.start.time &+ $0 } ?? .max

        func isWanted() -> Bool { !explainer.isExhausted && display.state == .open }

        var damage: RecordingError?
        var observations: ObservationCount?
        display.sink.start(reader.header.start)
        do {
            while let item = try reader.next() {
                if case .end(let end) = item, limit == .max { observations = end.observations }
                guard explainer.replay(item, upTo: limit), isWanted(),
                    explainer.replay(batchOf: reader, upTo: limit, while: isWanted)
                else { break }
            }
        } catch {
            damage = error
        }
        explainer.finish(at: max(explainer.time, reader.header.start.time), observations: observations)
        if case .failed(let error) = display.flush() { throw Failure(error) }
        display.status.summary(explainer.totals)
        if let damage { throw damage }
    }
}
