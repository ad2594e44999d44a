// Writes a recording: observations as they come, and the facts that verdicts asked for.

import CNattrace
import CZlib
import FoundationEssentials
import Glibc
import Handshake

/// Writes the format that RecordingFormat.swift describes.
///
/// An observation has to be given before it is explained: it is kept until the next one comes
/// or the batch is flushed, so that the facts asked for meanwhile stand before it in the file.
/// Errors do not throw; they are in `state` after `flush` and `finish`, as with any output.
public final class RecordingWriter {
    /// Observations in one record at most.
    static let batch = 256

    private let descriptor: Int32
    private let output: OutputBuffer
    private let encoder = JSONEncoder()
    private let pending: UnsafeMutablePointer<nattrace_observation>
    private var pendingCount = 0
    private var isClosed = false
    /// Observations given so far.
    private(set) var observations: UInt64 = 0
    /// The last that was written; CLOCK_MONOTONIC, nanoseconds.
    private var lastTime: UInt64 = 0

    /// Creates or empties the file, readable by its owner only, and writes the header at once.
    public init(path: String, header: RecordingHeader) throws(OutputError) {
        descriptor = try OutputBuffer.create(file: path)
        output = OutputBuffer(descriptor: descriptor, name: path)
        pending = .allocate(capacity: Self.batch)
        encoder.outputFormatting = .sortedKeys
        RecordingFormat.magic.withUnsafeBytes { output.put($0) }
        output.put(RecordingFormat.version)
        RecordingFormat.byteOrder.withUnsafeBytes { output.put($0) }
        json(.header, header)
        if case .failed(let error) = output.flush() {
            _ = close(descriptor)
            isClosed = true
            throw error
        }
    }

    deinit {
        if !isClosed { _ = close(descriptor) }
        pending.deallocate()
    }

    public var state: OutputBuffer.State { output.state }

    /// `passed`: up to when time was let pass before it is explained; CLOCK_MONOTONIC, nanoseconds.
    public func observation(_ raw: nattrace_observation, passed: UInt64 = 0) {
        if raw.time_ns < passed { time(passed) }
        if pendingCount == Self.batch { writePending() }
        (pending + pendingCount).initialize(to: raw)
        pendingCount += 1
        observations += 1
    }

    func fact(_ question: Question, _ answer: Answer) {
        let fact = RecordedFact(after: observations, question: question, answer: answer)
        if !json(.fact, fact) {
            json(
                .fact,
                RecordedFact(
                    after: observations, question: question,
                    answer: .unavailable("the answer was too long to be recorded")))
        }
    }

    public func loss(_ loss: Loss) {
        // Its place among the observations matters: what came before it was complete.
        writePending()
        json(.loss, loss)
    }

    /// Writes the batch. To be called after its observations were explained.
    @discardableResult
    public func flush() -> OutputBuffer.State {
        writePending()
        return output.flush()
    }

    /// Writes the end and closes the file.
    @discardableResult
    public func finish(_ totals: Totals) -> OutputBuffer.State {
        guard !isClosed else { return output.state }
        writePending()
        json(
            .end,
            RecordingEnd(
                time: totals.time, events: totals.events, lost: totals.lost, observations: totals.observations))
        output.flush()
        isClosed = true
        // Some file systems say only now that there was no room.
        let result = close(descriptor)
        let code = errno
        if result != 0, code != EINTR, output.state == .open {
            return .failed(OutputError(operation: .write, name: output.name, code: code, written: output.written))
        }
        return output.state
    }

    /// Once, however many observations are older.
    private func time(_ time: UInt64) {
        guard time != lastTime else { return }
        lastTime = time
        writePending()
        json(.time, RecordedTime(time: time))
    }

    private func writePending() {
        guard pendingCount > 0 else { return }
        record(.observations, UnsafeRawBufferPointer(UnsafeMutableBufferPointer(start: pending, count: pendingCount)))
        pendingCount = 0
    }

    /// False: too long for one record, nothing was written.
    @discardableResult
    private func json(_ type: RecordingFormat.RecordType, _ value: some Encodable) -> Bool {
        // Nothing that is recorded has a value that JSON cannot hold.
        guard let data = try? encoder.encode(value), data.count <= RecordingFormat.maximumPayload else { return false }
        Array(data).withUnsafeBytes { record(type, $0) }
        return true
    }

    private func record(_ type: RecordingFormat.RecordType, _ payload: UnsafeRawBufferPointer) {
        let length = UInt32(payload.count)
        var frame: [UInt8] = [type.rawValue]
        for shift: UInt32 in [0, 8, 16, 24] { frame.append(UInt8(truncatingIfNeeded: length >> shift)) }
        var checksum: UInt = frame.withUnsafeBytes { bytes in
            output.put(bytes)
            return crc32_z(0, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
        }
        output.put(payload)
        checksum = crc32_z(checksum, payload.bindMemory(to: UInt8.self).baseAddress, payload.count)
        for shift: UInt in [0, 8, 16, 24] { output.put(UInt8(truncatingIfNeeded: checksum >> shift)) }
        output.endUnit()
    }
}

/// Facts that writes down what it is asked and what it answers.
///
/// Who listens changes while the machine runs, and is written each time. The name of a symbol, a
/// reason or a namespace is written when it was not written before.
public final class RecordingFacts: Facts {
    /// Answers remembered as written; beyond that they are written again.
    static let maximumRemembered = 65_536

    private let facts: any Facts
    private let writer: RecordingWriter
    private var written: [Question: Answer] = [:]

    public init(_ facts: any Facts, writer: RecordingWriter) {
        self.facts = facts
        self.writer = writer
    }

    public func answer(_ question: Question) -> Answer {
        let answer = facts.answer(question)
        switch question {
        case .listeners, .listenersElsewhere, .sysctl, .route, .neighbour, .addresses, .vrf, .conntrackEntry, .rules:
            writer.fact(question, answer)
        case .symbol, .dropReason, .resetReason, .netnsName, .rule:
            if written[question] != answer {
                if written.count >= Self.maximumRemembered { written.removeAll() }
                written[question] = answer
                writer.fact(question, answer)
            }
        }
        return answer
    }
}
