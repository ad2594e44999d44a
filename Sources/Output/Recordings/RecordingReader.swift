// Reads a recording back, up to its end or its first damage.

import CNattrace
import FoundationEssentials
import Glibc
import Handshake

/// Reads the format that RecordingFormat.swift describes, in one pass and with bounded memory,
/// from a file or a pipe. Whatever the bytes are, it ends with an error or with the end record.
public final class RecordingReader {
    public let header: RecordingHeader
    /// The facts of what was read so far, to be given to whatever explains the observations.
    public let facts = RecordedFacts()
    /// What it says last, once that was read.
    public private(set) var end: RecordingEnd?

    /// As a person knows it.
    public var name: String { input.name }
    /// Bytes read so far, and of the file; nil: a pipe, which does not say.
    public var position: UInt64 { input.offset }
    public var size: UInt64? { input.size }

    private var input: RecordingInput
    private let decoder = JSONDecoder()
    private var payload: [UInt8] = []
    /// Observations in `payload`, and how many of them were given out.
    private var batch = 0
    private var given = 0
    private var ending: Result<Void, RecordingError>?

    /// Opens the file and reads its header.
    public convenience init(path: String) throws(RecordingError) {
        var descriptor: Int32
        repeat { descriptor = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY) } while descriptor < 0 && errno == EINTR
        guard descriptor >= 0 else { throw RecordingError(kind: .cannotOpen(errno), name: path, offset: 0) }
        try self.init(RecordingInput(descriptor: descriptor, closes: true, name: path))
    }

    /// Reads from a descriptor that stays the caller's, e.g. standard input.
    public convenience init(descriptor: Int32, name: String) throws(RecordingError) {
        try self.init(RecordingInput(descriptor: descriptor, closes: false, name: name))
    }

    private init(_ input: RecordingInput) throws(RecordingError) {
        self.input = input
        let preamble = try input.read(upTo: RecordingFormat.preambleBytes)
        let magic = RecordingFormat.magic
        guard !preamble.isEmpty, preamble.starts(with: magic.prefix(preamble.count)) else {
            throw input.error(.notARecording, at: 0)
        }
        guard preamble.count == RecordingFormat.preambleBytes else { throw input.error(.truncated) }
        let version = preamble[magic.count]
        guard version <= RecordingFormat.version else { throw input.error(.newerVersion(Int(version)), at: 9) }
        guard RecordingFormat.readableVersions.contains(version) else {
            throw input.error(.damaged("there is no format \(version)"), at: 9)
        }
        guard preamble.suffix(2) == RecordingFormat.byteOrder[...] else {
            throw input.error(.damaged("the byte order is not \"LE\""), at: 10)
        }
        let start = input.offset
        guard let type = try input.record(into: &payload) else { throw input.error(.withoutEnd) }
        guard type == .header, let header = try? decoder.decode(RecordingHeader.self, from: Data(payload)) else {
            throw input.error(.damaged("no header"), at: start)
        }
        guard header.observationVersion <= UInt32(NATTRACE_OBSERVATION_VERSION) else {
            throw input.error(.newerVersion(Int(header.observationVersion)), at: start)
        }
        guard header.observationVersion == UInt32(NATTRACE_OBSERVATION_VERSION),
            header.observationSize == MemoryLayout<nattrace_observation>.size
        else {
            throw input.error(.damaged("observations are not as this version writes them"), at: start)
        }
        self.header = header
        payload.removeAll(keepingCapacity: true)
    }

    /// The next item; nil after the end record. After an error, the same error again.
    ///
    /// Facts are taken into `facts` on the way; they are no items.
    public func next() throws(RecordingError) -> RecordingItem? {
        // Where the end or an error was met, no observation is left.
        if given < batch { return .observation(takeObservation()) }
        if let ending {
            try ending.get()
            return nil
        }
        do {
            return try read()
        } catch {
            ending = .failure(error)
            throw error
        }
    }

    /// Hands out in place what `next` would give out before it reads on, until `body` returns false; returns whether
    /// it never did. Each item that `next` makes is copied several times on its way.
    func takeObservations(_ body: (UnsafePointer<nattrace_observation>) -> Bool) -> Bool {
        payload.withUnsafeBytes { payload in
            let observations = payload.bindMemory(to: nattrace_observation.self)
            while given < batch {
                given += 1
                facts.position += 1
                guard body(observations.baseAddress! + (given - 1)) else { return false }
            }
            return true
        }
    }

    private func takeObservation() -> nattrace_observation {
        let offset = given * MemoryLayout<nattrace_observation>.size
        given += 1
        facts.position += 1
        return payload.withUnsafeBytes { $0.loadUnaligned(fromByteOffset: offset, as: nattrace_observation.self) }
    }

    private func read() throws(RecordingError) -> RecordingItem? {
        while true {
            given = 0
            batch = 0
            let start = input.offset
            guard let type = try input.record(into: &payload) else { throw input.error(.withoutEnd) }
            let data = type == .observations ? Data() : Data(payload)
            switch type {
            case .observations:
                let (count, rest) = payload.count.quotientAndRemainder(
                    dividingBy: MemoryLayout<nattrace_observation>.size)
                guard rest == 0 else { throw input.error(.damaged("half an observation"), at: start) }
                guard count > 0 else { continue }
                batch = count
                return .observation(takeObservation())
            case .fact, .loss, .time, .end, .header:
                payload.removeAll(keepingCapacity: true)
            }
            switch type {
            case .fact:
                facts.add(try decode(RecordedFact.self, data, at: start))
            case .loss:
                return .loss(try decode(Loss.self, data, at: start))
            case .time:
                return .time(try decode(RecordedTime.self, data, at: start))
            case .end:
                let end = try decode(RecordingEnd.self, data, at: start)
                self.end = end
                // The end stands as it is, also where something was appended to it.
                let offset = input.offset
                ending =
                    try input.read(upTo: 1).isEmpty
                    ? .success(()) : .failure(input.error(.damaged("something follows the end record"), at: offset))
                return .end(end)
            case .header, .observations:
                throw input.error(.damaged("a second header"), at: start)
            }
        }
    }

    private func decode<T: Decodable>(_ type: T.Type, _ data: Data, at offset: UInt64) throws(RecordingError) -> T {
        do {
            return try decoder.decode(type, from: data)
        } catch {
            throw input.error(
                .damaged("a record whose checksum is right, but that this version cannot read"), at: offset)
        }
    }
}

/// The bytes of a recording and the frames in them.
private final class RecordingInput {
    let name: String
    /// Bytes taken so far.
    private(set) var offset: UInt64 = 0

    private let descriptor: Int32
    private let closes: Bool
    /// nil: no file, or an empty one.
    let size: UInt64?
    private var buffer = [UInt8](repeating: 0, count: 64 * 1024)
    private var start = 0
    private var end = 0

    init(descriptor: Int32, closes: Bool, name: String) {
        self.descriptor = descriptor
        self.closes = closes
        self.name = name
        var status = stat()
        let isFile = fstat(descriptor, &status) == 0 && status.st_mode & S_IFMT == S_IFREG
        size = isFile && status.st_size > 0 ? UInt64(status.st_size) : nil
    }

    deinit {
        if closes { _ = close(descriptor) }
    }

    func error(_ kind: RecordingError.Kind, at offset: UInt64? = nil) -> RecordingError {
        RecordingError(kind: kind, name: name, offset: offset ?? self.offset)
    }

    /// As many bytes as asked for, or fewer at the end of the file.
    func read(upTo count: Int) throws(RecordingError) -> [UInt8] {
        var bytes: [UInt8] = []
        try read(count, onto: &bytes)
        return bytes
    }

    /// Appends `count` bytes, or fewer at the end of the file: memory grows with what is really
    /// there, not with what a length claims.
    private func read(_ count: Int, onto bytes: inout [UInt8]) throws(RecordingError) {
        var missing = count
        while missing > 0 {
            if start == end {
                start = 0
                end = 0
                let result = buffer.withUnsafeMutableBytes { Glibc.read(descriptor, $0.baseAddress, $0.count) }
                if result < 0 {
                    let code = errno
                    if code == EINTR { continue }
                    throw error(.cannotRead(code))
                }
                if result == 0 { return }
                end = result
            }
            let taken = min(missing, end - start)
            bytes.append(contentsOf: buffer[start..<start + taken])
            start += taken
            offset += UInt64(taken)
            missing -= taken
        }
    }

    /// The next record's type, and its payload in `payload`; nil at the end of the file. A record
    /// is given only if it is whole and its checksum right.
    func record(into payload: inout [UInt8]) throws(RecordingError) -> RecordingFormat.RecordType? {
        payload.removeAll(keepingCapacity: true)
        let begin = offset
        let frame = try read(upTo: RecordingFormat.frameBytes)
        if frame.isEmpty { return nil }
        guard frame.count == RecordingFormat.frameBytes else { throw error(.truncated) }
        let length = number(frame[1...])
        guard length <= RecordingFormat.maximumPayload else {
            throw error(.damaged("a record of \(length) bytes is longer than any"), at: begin)
        }
        do throws(RecordingError) {
            try read(Int(length), onto: &payload)
            let checksum = try read(upTo: RecordingFormat.checksumBytes)
            guard checksum.count == RecordingFormat.checksumBytes else { throw error(.truncated) }
            let actual = payload.withUnsafeBytes { payload in
                frame.withUnsafeBytes { RecordingFormat.checksum($0, payload) }
            }
            guard actual == number(checksum[...]) else {
                throw error(.damaged("the checksum does not match"), at: begin)
            }
            guard let type = RecordingFormat.RecordType(rawValue: frame[0]) else {
                throw error(.damaged("a record of unknown type \(frame[0])"), at: begin)
            }
            return type
        } catch {
            payload.removeAll()
            throw error
        }
    }

    private func number(_ bytes: ArraySlice<UInt8>) -> UInt32 {
        bytes.reversed().reduce(0) { $0 << 8 | UInt32($1) }
    }
}
