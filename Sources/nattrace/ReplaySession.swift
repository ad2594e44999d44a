// A replay: the same explanations as live, from a recording, anywhere and without privilege.

import Glibc
import Handshake
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
        let display = Display(request.output)
        let explainer = Explainer(options: options, facts: reader.facts, sink: display.sink)
        let limit = request.output.duration.map { reader.header.start.time &+ $0 } ?? .max

        var end = reader.header.start.time
        var damage: RecordingError?
        display.sink.start(reader.header.start)
        do {
            reading: while let item = try reader.next() {
                switch item {
                case .observation(let raw):
                    guard raw.time_ns <= limit else { break reading }
                    end = max(end, raw.time_ns)
                    if let observation = Observation(raw) { explainer.observe(observation) }
                case .loss(let loss): explainer.report(loss)
                case .end(let record): end = max(end, min(record.time, limit))
                }
                if explainer.isExhausted || display.state != .open { break reading }
            }
        } catch {
            damage = error
        }
        explainer.finish(at: end)
        if case .failed(let error) = display.flush() { throw Failure(error) }
        display.status.summary(explainer.totals)
        if let damage { throw damage }
    }
}
