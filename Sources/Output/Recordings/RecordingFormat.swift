// The recording's format: what writer and reader agree on.
//
//     file     preamble record*
//     preamble "nattrace\n"  version: u8  byte order: "LE"
//     record   type: u8  length: u32  payload: length bytes  crc: u32
//
// All numbers are little-endian, on every machine; so are the fields of observations, but for
// addresses, which stay in network order. `crc` is zlib's CRC-32 of type, length and payload.
// The first record is the header and the last one the end, each once.
//
// A fact stands before the batch of observations whose explanation asked for it, so that a
// reader has the answer when the question comes, in one pass, from a pipe as well as from a
// file. It says after how many observations it was asked, since the same question may be
// answered differently later.

import CNattrace
import CZlib
import Handshake
import SystemSupport

enum RecordingFormat {
    static let magic = Array("nattrace\n".utf8)
    /// Raised whenever an older program could not read the file any more. 2 has `time` records.
    static let version: UInt8 = 2
    /// Versions of which all can be read.
    static let readableVersions: ClosedRange<UInt8> = 1...version
    static let byteOrder = Array("LE".utf8)
    static let preambleBytes = magic.count + 1 + byteOrder.count

    static let frameBytes = 5
    static let checksumBytes = 4
    /// No payload is longer: a damaged length must not make a reader ask for gigabytes.
    static let maximumPayload = 4 << 20

    enum RecordType: UInt8 {
        case header = 1
        /// Any number of `struct nattrace_observation`, in the order in which they were seen.
        case observations = 2
        /// JSON: `RecordedFact`.
        case fact = 3
        /// JSON: `Loss`.
        case loss = 4
        /// JSON: `RecordingEnd`.
        case end = 5
        /// JSON: `RecordedTime`.
        case time = 6
    }

    /// Of both, one after the other.
    static func checksum(_ frame: UnsafeRawBufferPointer, _ payload: UnsafeRawBufferPointer) -> UInt32 {
        var checksum: UInt = 0
        // Where nothing is pointed at, zlib begins anew.
        for bytes in [frame, payload] where !bytes.isEmpty {
            checksum = crc32_z(checksum, bytes.bindMemory(to: UInt8.self).baseAddress, bytes.count)
        }
        return UInt32(truncatingIfNeeded: checksum)
    }
}

/// What a recording says about itself, first.
public struct RecordingHeader: Sendable, Hashable, Codable {
    /// How the recording run observed.
    public var start: StartInfo
    /// NATTRACE_OBSERVATION_VERSION of the program that recorded.
    public var observationVersion: UInt32
    /// Bytes of one observation.
    public var observationSize: Int
    /// How long a handshake might stay without an answer, nanoseconds (`--unanswered-after`).
    public var unansweredAfter: UInt64
    /// Connections kept at once (`--max-connections`); nil: made before it could be chosen.
    public var maximumConnections: Int?

    public init(start: StartInfo, unansweredAfter: UInt64, maximumConnections: Int? = nil) {
        self.start = start
        self.unansweredAfter = unansweredAfter
        self.maximumConnections = maximumConnections
        observationVersion = UInt32(NATTRACE_OBSERVATION_VERSION)
        observationSize = MemoryLayout<nattrace_observation>.size
    }
}

/// A question with the answer that the recorded machine gave.
public struct RecordedFact: Sendable, Hashable, Codable {
    /// How many observations had been seen when it was asked, the one being explained included.
    public var after: UInt64
    public var question: Question
    public var answer: Answer

    public init(after: UInt64, question: Question, answer: Answer) {
        self.after = after
        self.question = question
        self.answer = answer
    }
}

/// How far time had been let pass when the next observation came, where that one is older. What a SYN did
/// before it matched the filter is told late, and others may have been judged meanwhile: a replay has to judge
/// them first as well.
public struct RecordedTime: Sendable, Hashable, Codable {
    /// CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64

    public init(time: UInt64) { self.time = time }
}

/// What a recording says last; without it, it was cut off.
public struct RecordingEnd: Sendable, Hashable, Codable {
    /// CLOCK_MONOTONIC when observing ended, nanoseconds: what is still in flight then has
    /// waited until here.
    public var time: UInt64
    /// Observations that crossed the ring buffer, and events that were lost.
    public var events: UInt64
    public var lost: UInt64
    /// What the kernel side says of those that it made; nil: not known.
    public var observations: ObservationCount?

    public init(time: UInt64, events: UInt64, lost: UInt64, observations: ObservationCount? = nil) {
        self.time = time
        self.events = events
        self.lost = lost
        self.observations = observations
    }
}

/// One thing that a recording holds, beside its header and its facts.
public enum RecordingItem {
    case observation(nattrace_observation)
    case loss(Loss)
    case time(RecordedTime)
    case end(RecordingEnd)
}

/// Why a recording cannot be read, or not to its end.
public struct RecordingError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Kind: Hashable, Sendable {
        /// open(2) failed with this errno.
        case cannotOpen(Int32)
        /// read(2) failed with this errno.
        case cannotRead(Int32)
        case notARecording
        /// Made by a newer program: the version of the file or of its observations.
        case newerVersion(Int)
        case damaged(String)
        case truncated
        /// Whole records up to its last byte, but not the last record: the recorder was killed.
        case withoutEnd
    }

    public var kind: Kind
    /// Path, or `standard input`.
    public var name: String
    /// Where in the file, in bytes from its beginning.
    public var offset: UInt64

    /// After sysexits: 66 EX_NOINPUT, 71 EX_OSERR, else 65 EX_DATAERR.
    public var exitStatus: Int32 {
        switch kind {
        case .cannotOpen: 66
        case .cannotRead: 71
        default: 65
        }
    }

    /// One line.
    public var description: String {
        let name = sanitized(name)
        switch kind {
        case .cannotOpen(let code): return "cannot open \(name): \(errorText(code))"
        case .cannotRead(let code): return "cannot read \(name) at byte \(offset): \(errorText(code))"
        case .notARecording: return "\(name) is not a recording of nattrace; make one with --record FILE"
        case .newerVersion(let version):
            return "\(name) was recorded by a newer nattrace (format \(version)); replay it with that one"
        case .damaged(let what):
            return "\(name) is damaged at byte \(offset): \(what); what stood before it was read"
        case .truncated:
            return "\(name) is truncated at byte \(offset), within a record; what stood before it was read"
        case .withoutEnd:
            return
                "\(name) ends at byte \(offset) without its end record: the recording was cut off; all of it was read"
        }
    }
}
