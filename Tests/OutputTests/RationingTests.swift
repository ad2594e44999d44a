// What is left out when nobody reads: the least important first, and each line counted.

import Glibc
import Testing

@testable import Handshake
@testable import Output

/// Notes what it is told, and makes so many bytes of each.
private final class Notes: BlockSink {
    let output: OutputBuffer
    let size: Int
    var told: [String] = []
    var losses: [Loss] = []
    var totals: Totals?

    init(_ output: OutputBuffer, size: Int) { (self.output, self.size) = (output, size) }

    private func note(_ what: String) {
        told.append(what)
        output.put(text: String(repeating: "x", count: size - 1))
        output.endLine()
    }

    func start(_ start: StartInfo) { note("start") }
    func step(_ step: Step, of connection: Connection) { note("step") }
    func verdict(_ verdict: Verdict, of connection: Connection) { note("verdict") }
    func loss(_ loss: Loss) {
        losses.append(loss)
        note("loss")
    }
    func stop(_ totals: Totals) {
        self.totals = totals
        note("stop")
    }
    func folded(_ blocks: FoldedBlocks) { note("folded") }
    func repeated(_ block: RepeatedBlock) { note("repeated") }
}

/// A pipe that somebody else has filled, with a sink on it that has room for so many units.
private final class Stuck {
    static let unit = 1000
    let output: OutputBuffer
    let notes: Notes
    let sink: RationingSink<Notes>
    let article = ArticleCase()
    private var ends: [Int32] = [-1, -1]

    init(units: Int, showsSteps: Bool = true) {
        precondition(pipe(&ends) == 0)
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        output = OutputBuffer(outlet: Outlet(ends[1]), name: "a pipe")
        while output.awaited == nil {
            output.put(text: String(repeating: "f", count: 4096))
            output.flush()
        }
        precondition(output.unwritten <= 4096)
        // What is left of it counts as well.
        notes = Notes(output, size: Self.unit)
        sink = RationingSink(notes, output: output, limit: units * Self.unit, showsSteps: showsSteps)
    }

    deinit { for end in ends { close(end) } }

    func step(_ number: Int = 1) {
        for _ in 0..<number { sink.step(article.connection.steps[0], of: article.connection) }
    }

    func verdict(_ number: Int = 1) {
        for _ in 0..<number { sink.verdict(article.verdict, of: article.connection) }
    }

    func succeed(_ number: Int) {
        var verdict = article.verdict
        verdict.outcome = .success
        for _ in 0..<number { sink.verdict(verdict, of: article.connection) }
    }

    /// The reader takes so many bytes, or all.
    func read(_ bytes: Int = .max) {
        var rest = bytes
        var chunk = [UInt8](repeating: 0, count: 4096)
        while rest > 0 {
            output.flush()
            let count = Glibc.read(ends[0], &chunk, min(chunk.count, rest))
            if count <= 0 { break }
            rest -= count
        }
        output.flush()
    }

    func count(_ what: String) -> Int { notes.told.count { $0 == what } }
}

@Suite struct RationingTests {
    @Test func stepsGoFirstAndTheEndIsAlwaysTold() {
        let stuck = Stuck(units: 160)
        stuck.step(1000)
        let steps = stuck.count("step")
        #expect((70...81).contains(steps))
        stuck.succeed(1000)
        let successes = stuck.count("verdict")
        #expect((35...45).contains(successes))
        stuck.verdict(1000)
        let verdicts = stuck.count("verdict")
        #expect((60...75).contains(verdicts))
        for _ in 0..<1000 { stuck.sink.loss(ArticleCase.loss) }
        let losses = stuck.count("loss")
        #expect((9...12).contains(losses))
        #expect(stuck.output.unwritten <= 161 * Stuck.unit)
        let leftOut = 4000 - steps - verdicts - losses
        #expect(stuck.sink.totalLeftOut == UInt64(leftOut))

        stuck.sink.stop(ArticleCase.totals)
        #expect(stuck.notes.told.suffix(2) == ["loss", "stop"])
        #expect(stuck.notes.losses.last?.events == UInt64(leftOut))
        #expect(stuck.notes.totals?.lost == ArticleCase.totals.lost + UInt64(leftOut))
    }

    @Test func whatWasLeftOutIsToldBeforeWhatFollows() throws {
        let stuck = Stuck(units: 160)
        stuck.step(100)
        let steps = stuck.count("step")
        stuck.read()
        #expect(stuck.output.unwritten == 0)
        stuck.step(2)
        #expect(stuck.notes.told.suffix(3) == ["loss", "step", "step"])
        let loss = try #require(stuck.notes.losses.first)
        let time = stuck.article.connection.steps[0].time
        #expect(
            loss
                == Loss(
                    reason: "output not read", scope: .output, events: UInt64(100 - steps), total: UInt64(100 - steps),
                    time: time,
                    since: time))
        stuck.sink.stop(ArticleCase.totals)
        #expect(stuck.notes.losses.count == 1)
    }

    @Test func repeatedFailuresAreRationedAsVerdictsAre() {
        let stuck = Stuck(units: 160)
        let block = RepeatedBlock(
            kind: 1, code: .noListener, tuple: stuck.article.connection.dialled, time: 1, count: 2)
        for _ in 0..<1000 { stuck.sink.repeated(block) }
        let told = stuck.count("repeated")
        #expect((140...155).contains(told))
        #expect(stuck.sink.totalLeftOut == UInt64(1000 - told))
        stuck.read()
        stuck.sink.repeated(block)
        #expect(stuck.notes.told.suffix(2) == ["loss", "repeated"])
    }

    /// Not each time that there is room for one more.
    @Test func stepsWaitUntilThereIsRoomForMany() {
        let stuck = Stuck(units: 400)
        stuck.step(300)
        let steps = stuck.count("step")
        // The pipe itself holds 64 KiB.
        stuck.read(90_000)
        #expect((100_000...190_000).contains(stuck.output.unwritten))
        stuck.step(10)
        #expect(stuck.count("step") == steps)
        stuck.verdict()
        #expect(stuck.count("verdict") == 1)
        stuck.read()
        stuck.step(10)
        #expect(stuck.count("step") == steps + 10)
    }

    @Test func toldWithoutAnythingThatFollows() {
        let stuck = Stuck(units: 160)
        stuck.step(100)
        stuck.sink.tick(at: ArticleCase.startTime + 5_000_000_000)
        stuck.read()
        #expect(stuck.count("loss") == 1)
        stuck.sink.tick(at: ArticleCase.startTime + 6_000_000_000)
        #expect(stuck.count("loss") == 1)
    }

    /// Who reads nothing gets no heap of reports; who reads slowly gets one a second.
    @Test func reportsToASlowReader() {
        let stuck = Stuck(units: 400)
        stuck.read(10_000)
        stuck.step(400)
        for second in 1...50 {
            stuck.step()
            stuck.sink.tick(at: ArticleCase.startTime + UInt64(second) * 1_000_000_000)
        }
        #expect(stuck.count("loss") <= 1)
        stuck.read(20_000)
        stuck.step()
        stuck.sink.tick(at: ArticleCase.startTime + 60_000_000_000)
        #expect(stuck.count("loss") == 2)
        #expect(stuck.notes.losses.reduce(0) { $0 + $1.events } == stuck.sink.totalLeftOut)
    }

    /// A reader that takes all gets all, although a batch is longer than steps may wait.
    @Test func whatWasNotTriedYetIsNotLeftOut() {
        let descriptor = open("/dev/null", O_WRONLY)
        defer { close(descriptor) }
        let output = OutputBuffer(outlet: Outlet(descriptor), name: "nowhere")
        let notes = Notes(output, size: 1000)
        let sink = RationingSink(notes, output: output, limit: OutputBuffer.batchBytes, showsSteps: true)
        let article = ArticleCase()
        for _ in 0..<1000 { sink.step(article.connection.steps[0], of: article.connection) }
        for _ in 0..<1000 { sink.verdict(article.verdict, of: article.connection) }
        #expect(notes.told.count == 2000)
        #expect(sink.totalLeftOut == 0)
    }

    @Test func stepsThatAreNotShownAreNotMissed() {
        let stuck = Stuck(units: 160, showsSteps: false)
        stuck.verdict(100)
        stuck.step(100)
        #expect(stuck.sink.totalLeftOut == 0)
    }

    /// Lines that were read, and lines that were counted as left out, are all there were.
    @Test func nothingIsTornAndAllIsCounted() {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let output = OutputBuffer(outlet: Outlet(ends[1]), name: "a pipe")
        let sink = RationingSink(JSONLinesSink(output: output), output: output, limit: 200_000, showsSteps: true)
        let article = ArticleCase()
        var came: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 100_000)
        func read() {
            let count = Glibc.read(ends[0], &chunk, chunk.count)
            if count > 0 { came += chunk[..<count] }
        }
        let rounds = 3000
        sink.start(ArticleCase.start)
        for round in 0..<rounds {
            for step in article.connection.steps { sink.step(step, of: article.connection) }
            sink.verdict(article.verdict, of: article.connection)
            output.flush()
            if round % 7 == 0 { read() }
        }
        sink.stop(ArticleCase.totals)
        while output.unwritten > 0 {
            output.flush()
            read()
        }
        read()
        let lines = came.split(separator: UInt8(ascii: "\n"), omittingEmptySubsequences: false).dropLast()
        var kinds: [String: Int] = [:]
        for bytes in lines {
            let text = String(decoding: bytes, as: UTF8.self)
            #expect(text.hasPrefix("{") && text.hasSuffix("}"))
            for kind in ["start", "step", "verdict", "loss", "stop"] where text.contains("\"nattrace.\(kind)\"") {
                kinds[kind, default: 0] += 1
            }
        }
        #expect(sink.totalLeftOut > 1000)
        #expect(kinds["start"] == 1 && kinds["stop"] == 1)
        #expect((kinds["loss"] ?? 0) > 1)
        let all = rounds * (article.connection.steps.count + 1)
        #expect((kinds["step"] ?? 0) + (kinds["verdict"] ?? 0) + Int(sink.totalLeftOut) == all)
        // Of verdicts less is missing than of steps.
        #expect((kinds["verdict"] ?? 0) * article.connection.steps.count > kinds["step"] ?? 0)
    }
}

@Suite struct StatusBacklogTests {
    @Test func linesThatNobodyReadsAreCounted() {
        var ends: [Int32] = [-1, -1]
        #expect(pipe(&ends) == 0)
        defer { for end in ends { close(end) } }
        _ = fcntl(ends[0], F_SETFL, O_NONBLOCK)
        let status = StatusWriter(outlet: Outlet(ends[1]))
        for number in 0..<10_000 { status.note("line \(number) of many") }
        #expect(status.output.unwritten < StatusWriter.backlogLimit + 100)
        var came: [UInt8] = []
        var chunk = [UInt8](repeating: 0, count: 65536)
        func read() {
            while true {
                let count = Glibc.read(ends[0], &chunk, chunk.count)
                guard count > 0 else { return }
                came += chunk[..<count]
            }
        }
        while status.output.unwritten > 0 {
            read()
            status.flush()
        }
        read()
        let lines = String(decoding: came, as: UTF8.self).split(separator: "\n")
        let missing = 10_000 - (lines.count - 1)
        #expect(missing > 1000)
        #expect(lines.last == "nattrace: \(missing) lines are missing here: standard error was not read")
        #expect(lines.dropLast().enumerated().allSatisfy { $1 == "nattrace: line \($0) of many" })
    }
}
