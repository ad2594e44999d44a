// Recordings of real kernels, replayed: whatever explained them once explains them still.
//
// Recordings/NAME.ntrace was made live (`Tests/live/run --save-recordings DIR SCENARIO`, also with
// --kernel), and beside it NAME.expected says what is told of it: for each connection the tuple
// as dialled, a line for each step, and the verdicts where they were given. Every recording in
// the folder is replayed.
//
// Where a change of the program is meant to change what is told, renew the expectations and
// read the difference before it is committed:
//
//     NATTRACE_RENEW_EXPECTATIONS=1 swift test --filter RecordingTests && git diff Tests

import Foundation
import Handshake
import Output
import Testing

@Suite("Recordings")
struct RecordingTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().appending(path: "Recordings")
    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".ntrace") }.map { String($0.dropLast(".ntrace".count)) }.sorted()
    }()
    static let renews = ProcessInfo.processInfo.environment["NATTRACE_RENEW_EXPECTATIONS"] == "1"

    @Test("There are recordings, and no expectation without one")
    func complete() throws {
        #expect(!Self.names.isEmpty)
        let files = try FileManager.default.contentsOfDirectory(atPath: Self.folder.path)
        let expectations = files.filter { $0.hasSuffix(".expected") }.map { String($0.dropLast(".expected".count)) }
        #expect(expectations.sorted() == Self.names)
    }

    @Test("A recording is explained as expected", arguments: names)
    func replay(_ name: String) throws {
        let told = try Self.replay(Self.folder.appending(path: name + ".ntrace").path)
        let file = Self.folder.appending(path: name + ".expected")
        if Self.renews { try told.write(to: file, atomically: true, encoding: .utf8) }
        #expect(told == (try String(contentsOf: file, encoding: .utf8)))
    }

    @Test("A recording is explained the same way each time, item by item and batch by batch", arguments: names)
    func replayAgain(_ name: String) throws {
        let path = Self.folder.appending(path: name + ".ntrace").path
        #expect(try Self.replay(path) == Self.replay(path, byItem: false))
    }

    private static func replay(_ path: String, byItem: Bool = true) throws -> String {
        let reader = try RecordingReader(path: path)
        var options = ExplainerOptions()
        options.hooks = Set(reader.header.start.backends.keys)
        options.unansweredAfter = reader.header.unansweredAfter
        let sink = TextSink()
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)
        while let item = try reader.next() {
            explainer.replay(item)
            if !byItem { #expect(explainer.replay(batchOf: reader) { true }) }
        }
        explainer.finish(at: explainer.time)
        return sink.text
    }
}

/// Tells each connection in a few lines.
private final class TextSink: Sink {
    private var connections: [(connection: Connection, lines: [String])] = []
    private var others: [String] = []

    var text: String {
        let told = connections.map { "\($0.connection.dialled)\n" + $0.lines.map { "    \($0)\n" }.joined() }
        return told.joined(separator: "\n") + others.map { "\($0)\n" }.joined()
    }

    func start(_ start: StartInfo) {}

    func step(_ step: Step, of connection: Connection) {
        var words = [step.action.rawValue, step.stage?.name ?? "-", step.function ?? "-"]
        if let tuple = step.packet?.tuple { words.append("\(tuple)") }
        if step.backend == .inferred { words.append("(inferred)") }
        append(words.joined(separator: " "), to: connection)
    }

    func verdict(_ verdict: Verdict, of connection: Connection) {
        let revised = verdict.isRevised ? " (revised)" : ""
        append("=> \(verdict.code.rawValue)\(revised): \(verdict.sentence)", to: connection)
    }

    func loss(_ loss: Loss) { others.append("lost \(loss.events): \(loss.reason)") }
    func stop(_ totals: Totals) {}

    private func append(_ line: String, to connection: Connection) {
        if let index = connections.firstIndex(where: { $0.connection.id == connection.id }) {
            connections[index].lines.append(line)
        } else {
            connections.append((connection, [line]))
        }
    }
}
