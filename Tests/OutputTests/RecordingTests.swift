// Recordings: what goes in comes out, and damage is found, at every byte.

import CNattrace
import Glibc
import Testing

@testable import Handshake
@testable import Output

/// Answers that change with each question about listeners.
private final class CountingFacts: Facts {
    var asked = 0
    func answer(_ question: Question) -> Answer {
        asked += 1
        switch question {
        case .listeners: return .listeners([Self.listener(pid: Int32(asked))])
        case .symbol: return .name("tcp_v4_rcv")
        case .netnsName: return .nothing
        default: return .unavailable("no")
        }
    }

    static func listener(pid: Int32) -> Listener {
        Listener(
            address: endpoint("::1", 80).address, port: 80, isIPv6Only: true, interface: .init(index: 2, name: "eth0"),
            acceptQueue: 1, acceptQueueLimit: 2, inode: .max, process: ProcessIdentity(pid: pid, name: "x"))
    }
}

@Suite struct RecordingTests {
    private static let header = RecordingHeader(start: ArticleCase.start, unansweredAfter: 5_000_000_000)
    private static let listeners = Question.listeners(port: 80, netns: .max)

    private func observation(_ number: UInt64) -> nattrace_observation {
        var raw = nattrace_observation()
        raw.time_ns = number
        raw.isn = UInt32(number) &* 2_654_435_761
        raw.kind = UInt8(NATTRACE_KIND_PACKET)
        raw.hook = UInt16(NATTRACE_HOOK_TCP_V4_RCV)
        raw.backend = UInt8(NATTRACE_BACKEND_KPROBE)
        return raw
    }

    /// Three observations, two of them with questions, and a loss.
    private func record(to path: String) throws {
        let writer = try RecordingWriter(path: path, header: Self.header)
        let facts = RecordingFacts(CountingFacts(), writer: writer)
        writer.observation(observation(1))
        writer.observation(observation(2))
        #expect(facts.answer(Self.listeners) == .listeners([CountingFacts.listener(pid: 1)]))
        _ = facts.answer(.symbol(address: .max))
        _ = facts.answer(.symbol(address: .max))
        writer.flush()
        writer.loss(ArticleCase.loss)
        writer.observation(observation(3))
        _ = facts.answer(Self.listeners)
        writer.flush()
        #expect(writer.finish(ArticleCase.totals) == .open)
    }

    /// Items as text, and the error that ended it, if any. The reader must stay ended.
    private func read(_ path: String) -> (items: [String], error: RecordingError?) {
        var items: [String] = []
        do {
            let reader = try RecordingReader(path: path)
            do {
                while let item = try reader.next() {
                    switch item {
                    case .observation(let raw): items.append("observation \(raw.time_ns) \(raw.isn)")
                    case .loss(let loss): items.append("loss \(loss)")
                    case .time(let passed): items.append("time \(passed.time)")
                    case .end(let end): items.append("end \(end)")
                    }
                }
                #expect(try reader.next() == nil)
                return (items, nil)
            } catch {
                #expect(throws: error) { try reader.next() }
                return (items, error)
            }
        } catch {
            return (items, error)
        }
    }

    @Test func roundTrip() throws {
        let file = TemporaryFile()
        try record(to: file.path)
        let reader = try RecordingReader(path: file.path)
        #expect(reader.header == Self.header)
        var losses: [Loss] = []
        var times: [UInt64] = []
        var end: RecordingEnd?
        while let item = try reader.next() {
            switch item {
            case .observation(var raw):
                times.append(raw.time_ns)
                var expected = observation(raw.time_ns)
                #expect(memcmp(&raw, &expected, MemoryLayout<nattrace_observation>.size) == 0)
                // The answer is there when the observation is that led to the question.
                if raw.time_ns == 2 {
                    #expect(reader.facts.answer(Self.listeners) == .listeners([CountingFacts.listener(pid: 1)]))
                    #expect(reader.facts.answer(.symbol(address: .max)) == .name("tcp_v4_rcv"))
                    #expect(reader.facts.answer(.symbol(address: .max)) == .name("tcp_v4_rcv"))
                }
                if raw.time_ns == 3 {
                    #expect(reader.facts.answer(Self.listeners) == .listeners([CountingFacts.listener(pid: 4)]))
                    #expect(reader.facts.answer(Self.listeners) == .listeners([CountingFacts.listener(pid: 4)]))
                    #expect(reader.facts.answer(.dropReason(1)) == .unavailable("the recording does not hold it"))
                }
            case .loss(let loss): losses.append(loss)
            case .time: Issue.record("nothing was late")
            case .end(let value): end = value
            }
        }
        #expect(times == [1, 2, 3])
        #expect(losses == [ArticleCase.loss])
        #expect(
            end
                == RecordingEnd(
                    time: ArticleCase.totals.time, events: 57, lost: 0,
                    observations: ObservationCount(made: 60, lost: 3)))
    }

    @Test func timePassesBeforeWhatIsLate() throws {
        let file = TemporaryFile()
        let writer = try RecordingWriter(path: file.path, header: Self.header)
        writer.observation(observation(5), passed: 4)
        writer.observation(observation(6), passed: 9)
        writer.observation(observation(7), passed: 9)
        writer.observation(observation(9), passed: 9)
        writer.finish(ArticleCase.totals)
        let kinds = read(file.path).items.dropLast().map { $0.split(separator: " ").prefix(2).joined(separator: " ") }
        #expect(kinds == ["observation 5", "time 9", "observation 6", "observation 7", "observation 9"])
    }

    @Test func moreObservationsThanOneRecordHolds() throws {
        let file = TemporaryFile()
        let writer = try RecordingWriter(path: file.path, header: Self.header)
        for number in 1...1000 { writer.observation(observation(UInt64(number))) }
        writer.finish(ArticleCase.totals)
        let reader = try RecordingReader(path: file.path)
        var count: UInt64 = 0
        while let item = try reader.next() {
            if case .observation(let raw) = item {
                count += 1
                #expect(raw.time_ns == count)
            }
        }
        #expect(count == 1000)
    }

    @Test func truncatedAtEveryByte() throws {
        let file = TemporaryFile()
        try record(to: file.path)
        let whole = file.bytes
        let expected = read(file.path)
        #expect(expected.error == nil)
        #expect(expected.items.count == 5)
        var longest = 0
        for length in 0..<whole.count {
            file.bytes = Array(whole[..<length])
            let (items, error) = read(file.path)
            #expect(items == Array(expected.items.prefix(items.count)), "cut at \(length)")
            #expect(items.count >= longest, "cut at \(length)")
            longest = items.count
            let found = try #require(error, "cut at \(length)")
            #expect(found.exitStatus == 65)
            #expect(found.offset == length || found.kind == .notARecording)
            #expect([.truncated, .withoutEnd, .notARecording].contains(found.kind), "cut at \(length): \(found)")
        }
        #expect(longest == 4)
    }

    @Test func everyFlippedBitIsFound() throws {
        let file = TemporaryFile()
        try record(to: file.path)
        let whole = file.bytes
        let expected = read(file.path).items
        for position in whole.indices {
            for bit in [0, 3, 7] {
                var bytes = whole
                bytes[position] ^= 1 << bit
                file.bytes = bytes
                let (items, error) = read(file.path)
                #expect(error?.exitStatus == 65, "byte \(position), bit \(bit)")
                #expect(items == Array(expected.prefix(items.count)), "byte \(position), bit \(bit)")
            }
        }
    }

    @Test func damageIsNamed() throws {
        let file = TemporaryFile()
        func error(_ bytes: [UInt8]) -> RecordingError? {
            file.bytes = bytes
            return read(file.path).error
        }
        try record(to: file.path)
        let whole = file.bytes
        #expect(error(Array("{\"json\":1}\n".utf8))?.kind == .notARecording)
        #expect(error([])?.kind == .notARecording)
        var newer = whole
        newer[9] = 3
        #expect(error(newer)?.kind == .newerVersion(3))
        var older = whole
        older[9] = 1
        #expect(error(older) == nil)
        older[9] = 0
        #expect(error(older)?.description.contains("there is no format 0") == true)
        // A length of nearly 4 GB: refused, not allocated.
        var long = whole
        for i in 13...16 { long[i] = 0xff }
        #expect(error(long)?.description.contains("damaged at byte 12: a record of 4294967295 bytes") == true)
        #expect(error(whole + [0])?.description.contains("something follows the end record") == true)
        #expect(read("/nonexistent/x").error?.kind == .cannotOpen(ENOENT))
        #expect(read("/nonexistent/x").error?.exitStatus == 66)
        #expect(read("/").error?.kind == .cannotRead(EISDIR))
    }

    @Test func nobodyElseMayReadIt() throws {
        let file = TemporaryFile()
        unlink(file.path)
        try record(to: file.path)
        var status = stat()
        #expect(stat(file.path, &status) == 0)
        #expect(status.st_mode & 0o777 == 0o600)
    }

    @Test func aFileThatCannotBeMadeIsRefused() {
        #expect(throws: OutputError(operation: .create, name: "/nonexistent/x", code: ENOENT)) {
            _ = try RecordingWriter(path: "/nonexistent/x", header: Self.header)
        }
    }

    @Test func aFullDiskIsAnError() {
        do {
            _ = try RecordingWriter(path: "/dev/full", header: Self.header)
            Issue.record("no error")
        } catch {
            #expect(error == OutputError(operation: .write, name: "/dev/full", code: ENOSPC))
            #expect(error.exitStatus == 74)
            #expect(
                error.description == "cannot write /dev/full: No space left on device; the first 0 bytes are written")
        }
    }
}

@Suite struct RecordedFactsTests {
    private let question = Question.listeners(port: 80, netns: 1)
    private func fact(after: UInt64, _ name: String) -> RecordedFact {
        RecordedFact(after: after, question: question, answer: .name(name))
    }

    @Test func eachTimeHasItsAnswer() {
        let facts = RecordedFacts()
        facts.add(fact(after: 5, "by the passing of time after 5"))
        facts.add(fact(after: 6, "by 6"))
        facts.position = 6
        #expect(facts.answer(question) == .name("by the passing of time after 5"))
        #expect(facts.answer(question) == .name("by 6"))
        #expect(facts.answer(question) == .name("by 6"))
    }

    @Test func whatWasNotAskedForThisTimeIsPassedOver() {
        let facts = RecordedFacts()
        for after: UInt64 in [1, 2, 9, 20] { facts.add(fact(after: after, "\(after)")) }
        facts.position = 10
        #expect(facts.answer(question) == .name("9"))
        facts.position = 15
        #expect(facts.answer(question) == .name("9"))
        facts.position = 30
        #expect(facts.answer(question) == .name("20"))
    }

    @Test func askedTooEarlyTheNextAnswerServes() {
        let facts = RecordedFacts()
        facts.add(fact(after: 5, "5"))
        facts.position = 1
        #expect(facts.answer(question) == .name("5"))
    }

    @Test func memoryIsBounded() {
        let facts = RecordedFacts()
        for after in 1...UInt64(RecordedFacts.maximumAhead + 10) { facts.add(fact(after: after, "\(after)")) }
        for address in 0...UInt64(RecordedFacts.maximumQuestions) {
            facts.add(RecordedFact(after: 1, question: .symbol(address: address), answer: .nothing))
        }
        let last = Question.symbol(address: UInt64(RecordedFacts.maximumQuestions))
        #expect(facts.answer(last) == .unavailable("the recording does not hold it"))
        #expect(facts.answer(question) == .name("11"))
    }
}
