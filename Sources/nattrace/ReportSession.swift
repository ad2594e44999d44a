// A report: the same explanations as a replay, as one page.

import Handshake
import Output
import Report

/// Explains a recording up to its end, or up to where it is damaged, and then writes the page.
struct ReportSession {
    let request: ReportRequest

    func run() throws {
        let reader = try RecordingReader(path: request.path)
        // Before the work, which may take a while; the file is made when there is something to write.
        let file = try OutputFile(path: request.output, unlike: request.path)
        var options = ExplainerOptions(replaying: reader.header, unansweredAfter: nil)
        options.filter = request.filter
        options.selection = request.selection
        let sink = ReportSink()
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)

        var damage: RecordingError?
        let line = ProgressLine.onStandardError()
        defer { line.end() }
        let progress = ReplayProgress(line, of: reader)
        sink.start(reader.header.start)
        do {
            try explainer.replay(reader) {
                progress.step()
                return true
            }
        } catch {
            damage = error
        }
        explainer.finish(
            at: max(explainer.time, reader.header.start.time), observations: reader.end?.observations)
        let source = ReportSource(
            name: request.path, filter: request.filterText, selection: request.selection, version: nattraceVersion,
            damage: damage?.description)
        line.update("writing the page")
        let written = try file.write { sink.write(source, to: $0) }
        line.end()
        let status = StatusWriter()
        status.summary(explainer.totals)
        if let name = request.output { status.note("\(name): \((written + 1023) / 1024) KiB") }
        if let damage { throw damage }
    }
}
