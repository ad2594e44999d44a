// The page over recordings of real kernels, and over hostile texts.

import Foundation
import Testing

@testable import Handshake
@testable import Output
@testable import Report

@Suite("The page of a recording")
struct PageTests {
    static let folder = URL(filePath: #filePath).deletingLastPathComponent().deletingLastPathComponent()
        .appending(path: "HandshakeTests/Recordings")
    static let names: [String] = {
        let files = (try? FileManager.default.contentsOfDirectory(atPath: folder.path)) ?? []
        return files.filter { $0.hasSuffix(".ntrace") }.map { String($0.dropLast(".ntrace".count)) }.sorted()
    }()

    /// Beside the page's sink, one that keeps what it is told.
    private final class Both: Sink {
        let report = ReportSink()
        var told: [UInt64: (verdict: Verdict, connection: Connection, steps: Int)] = [:]

        func start(_ start: StartInfo) { report.start(start) }
        func step(_ step: borrowing Step, of connection: Connection) { report.step(step, of: connection) }
        func verdict(_ verdict: Verdict, of connection: Connection) {
            told[connection.id] = (verdict, connection, connection.steps.count)
            report.verdict(verdict, of: connection)
        }
        func loss(_ loss: Loss) { report.loss(loss) }
        func stop(_ totals: Totals) { report.stop(totals) }
    }

    private static func replayed(_ name: String) throws -> Both {
        let reader = try RecordingReader(path: folder.appending(path: name + ".ntrace").path)
        var options = ExplainerOptions()
        options.hooks = Set(reader.header.start.backends.keys)
        options.unansweredAfter = reader.header.unansweredAfter
        let sink = Both()
        let explainer = Explainer(options: options, facts: reader.facts, sink: sink)
        sink.start(reader.header.start)
        try explainer.replay(reader) { true }
        explainer.finish(at: explainer.time)
        return sink
    }

    @Test(
        "It has each connection, with the verdict that stands and all steps in the terminal's words", arguments: names)
    func complete(_ name: String) throws {
        let sink = try Self.replayed(name)
        let page = try ReadPage(sink.report)
        let rows = try page.rows
        #expect(rows.count == sink.told.count)
        let style = TerminalStyle(colour: false, unicode: true)
        for (verdict, connection, count) in sink.told.values {
            let row = try #require(
                rows.first { $0[3] == connection.dialled.source.description }, "\(connection.dialled)")
            #expect(row[2] == verdict.code.rawValue)
            #expect(row[4] == connection.dialled.destination.description)
            let (strings, details) = try page.details(row[0], row[1])
            #expect(strings[try #require(details["sentence"] as? Int)] == style.outside(verdict.sentence))
            let steps = try #require(details["steps"] as? [[Int]])
            #expect(steps.count == count)
            // A connection's steps may have grown since.
            for (step, told) in zip(connection.steps, steps) {
                #expect(told[0] == Int(step.offset / 1000))
                #expect(told[1] & 1 == (step.backend == .inferred ? 1 : 0))
                let words = StepWords(step, of: connection, style: style)
                #expect(strings[told[4]] == words.what.replacingOccurrences(of: gluedSpace, with: " "))
                #expect(strings[told[6]] == words.remark ?? "")
            }
            let advice = try #require(details["advice"] as? [[Int]]).map { parts in
                parts[..<3].map { strings[$0] }.joined()
            }
            #expect(advice == verdict.advice.map(style.outside))
            #expect(
                try #require(details["evidence"] as? [Int]).map { strings[$0] }
                    == verdict.evidence.map { $0.words(style).replacingOccurrences(of: gluedSpace, with: " ") })
        }
    }

    @Test("The summary names each verdict with its destination and sentence", arguments: names)
    func summarises(_ name: String) throws {
        let sink = try Self.replayed(name)
        let page = try ReadPage(sink.report)
        for (verdict, connection, _) in sink.told.values {
            #expect(page.markup.contains("</span>\(verdict.code.rawValue)</span>"))
            #expect(page.markup.contains(escaped(connection.dialled.destination.description)))
        }
    }

    @Test("A failure is marked at the step where it ended")
    func marksTheEnd() throws {
        let sink = try Self.replayed("article-ipv4-nft-6.12")
        let page = try ReadPage(sink.report)
        let row = try #require(try page.rows.first)
        let (strings, details) = try page.details(row[0], row[1])
        let end = try #require(details["end"] as? Int)
        let step = try #require(details["steps"] as? [[Int]])[end]
        #expect(strings[step[2]] == "reset" && strings[step[4]] == "RST made: NO_SOCKET")
        #expect(row[5] == "10.77.1.1:29309")
        #expect(page.html.contains("<title>nattrace: The connection was not established on "))
    }

    @Test(
        "A revised verdict replaces the earlier one, and leads to it",
        arguments: [
            "repaired-while-the-client-waits-ipv4-6.18"
        ])
    func keepsTheEarlierVerdict(_ name: String) throws {
        let page = try ReadPage(try Self.replayed(name).report)
        let rows = try page.rows
        #expect(rows.map { $0[2] } == ["established"])
        let (_, details) = try page.details(rows[0][0], rows[0][1])
        let earlier = try #require(details["earlier"] as? [Int])
        let (strings, before) = try page.details("\(earlier[0])", "\(earlier[1])")
        #expect(strings[try #require(before["code"] as? Int)] == "filter_dropped")
        #expect(!page.markup.contains("filter_dropped"))
    }

    @Test("The policy names the style and the script, and nothing else may run or be loaded")
    func policy() throws {
        let page = try ReadPage(ReportSink())
        let style = try #require(page.between("<style>", "</style>"))
        let script = try #require(page.between("<script>", "</script>"))
        func hash(_ text: String) -> String {
            "'sha256-" + Data(SHA256.digest(Array(text.utf8))).base64EncodedString() + "'"
        }
        let policy = try #require(page.between("<meta http-equiv=\"Content-Security-Policy\" content=\"", "\">"))
        #expect(
            policy.replacingOccurrences(of: "&#39;", with: "'")
                == "default-src 'none'; style-src \(hash(style)); script-src \(hash(script)); base-uri 'none';"
                + " form-action 'none'")
        // Nothing is referred to, and no text is ever read as markup or as a program.
        let others = page.html.replacingOccurrences(of: "http://www.w3.org/2000/svg", with: "")
        for part in [
            "src=", "url(", "@import", "http:", "https:", "<link", "innerHTML", "outerHTML", "eval(", "onclick",
        ] {
            #expect(!others.contains(part), "\(part)")
        }
    }

    @Test("No text from outside becomes markup", arguments: hostileTexts)
    func resistsHostileTexts(_ text: String) throws {
        func page(_ text: String) throws -> ReadPage {
            let sink = ReportSink()
            sink.start(plainStart(text))
            sink.loss(Loss(reason: text, scope: .observations, events: 1, total: 1, time: 500, since: 400))
            sink.verdict(hostileVerdict(text), of: hostileConnection(text))
            var totals = Totals()
            totals.verdicts = [.filterDropped: 1]
            sink.stop(totals)
            return try ReadPage(
                sink, ReportSource(name: text, filter: text, version: text, damage: text))
        }
        func tags(_ page: ReadPage) -> Int { page.html.utf8.count { $0 == UInt8(ascii: "<") } }
        let hostile = try page(text)
        // Exactly the elements that a harmless text makes.
        #expect(try tags(hostile) == tags(page("harmless")))
        #expect(
            hostile.html.components(separatedBy: "<script").count
                == (try page("harmless")).html.components(separatedBy: "<script").count)
        #expect(!hostile.html.unicodeScalars.contains("\u{202e}") && !hostile.html.unicodeScalars.contains("\u{2028}"))
        #expect(!hostile.html.utf8.contains(0) && !hostile.html.utf8.contains(0x1b))
        // And yet it is there, for whoever looks for it.
        let row = try #require(try hostile.rows.first)
        let (strings, _) = try hostile.details(row[0], row[1])
        #expect(strings.contains { $0.contains(Wording(realtimeOffset: 0).outside(text)) })
        #expect(hostile.markup.contains(escaped(Wording(realtimeOffset: 0).outside(text))))
    }

    @Test("An empty recording makes a page too")
    func empty() throws {
        let sink = ReportSink()
        sink.start(plainStart())
        sink.stop(Totals())
        let page = try ReadPage(sink)
        #expect(page.html.contains("<h1>No connection was recorded</h1>"))
        #expect(try page.rows.isEmpty)
        #expect(!page.html.contains("{{"))
    }

    @Test("It says what was lost, what that makes doubtful, and that the file is damaged")
    func tellsWhatIsMissing() throws {
        let sink = ReportSink()
        sink.start(plainStart())
        sink.loss(
            Loss(reason: "ring buffer full", scope: .observations, events: 1200, total: 1200, time: 1500, since: 0))
        sink.loss(
            Loss(reason: "ring buffer full", scope: .observations, events: 34, total: 1234, time: 2500, since: 1500))
        sink.loss(Loss(reason: "too many", scope: .handshakes, events: 5, total: 5, time: 900, since: 0))
        let (verdict, connection) = judged(.noListener, 1)
        sink.verdict(verdict, of: connection)
        var totals = Totals()
        totals.verdicts = [.noListener: 1]
        sink.stop(totals)
        let page = try ReadPage(sink, ReportSource(name: "x", version: "1", damage: "x is damaged at byte 7"))
        #expect(page.markup.contains("1,234: ring buffer full"))
        #expect(page.markup.contains(LossScope.observations.doubt) && page.markup.contains(LossScope.handshakes.doubt))
        #expect(page.markup.contains("x is damaged at byte 7."))
    }
}
