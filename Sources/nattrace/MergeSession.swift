// A replay of several machines' recordings: each connection once, with what all of them saw.

import Handshake
import Output

struct MergeSession {
    let request: MergeRequest

    /// Observations between two looks at how far it is.
    private static let interval = 64

    func run() throws {
        let output = request.output
        var merging = MergedReplay.Request(paths: request.paths) {
            ExplainerOptions(replaying: $0, unansweredAfter: output.unansweredAfter)
        }
        merging.filter = request.filter
        merging.selection = request.selection
        merging.duration = output.duration
        merging.maximum = output.count

        let display = Display(output)
        var observations = 0
        func progress(_ reader: RecordingReader) {
            observations += 1
            guard display.progress.isActive, observations % Self.interval == 0 else { return }
            display.progress.update(
                "reading \(reader.name)", fraction: reader.size.map { Double(reader.position) / Double($0) })
        }
        let replay: MergedReplay
        do {
            replay = try MergedReplay(merging, progress: progress)
        } catch let error as MergeError {
            display.settle()
            throw Failure.usage("\(error)")
        } catch {
            display.settle()
            throw error
        }
        for line in replay.clocks { display.status.note(line) }
        let totals = try replay.tell(as: display.form(output), progress: progress) { display.state == .open }
        display.settle()
        if case .failed(let error) = display.flush() { throw Failure(error) }
        for warning in replay.warnings { display.status.warning(warning) }
        display.status.summary(totals)
        let errors = replay.errors
        for error in errors.dropFirst() { display.status.error("\(error)") }
        if let error = errors.first { throw error }
    }
}
