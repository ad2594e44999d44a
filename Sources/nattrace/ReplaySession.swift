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

        var damage: RecordingError?
        display.sink.start(reader.header.start)
        do {
            try explainer.replay(reader, upTo: limit) { !explainer.isExhausted && display.state == .open }
        } catch {
            damage = error
        }
        explainer.finish(at: max(explainer.time, reader.header.start.time))
        if case .failed(let error) = display.flush() { throw Failure(error) }
        display.status.summary(explainer.totals)
        if let damage { throw damage }
    }
}
