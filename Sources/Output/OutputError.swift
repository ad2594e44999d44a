// What can go wrong with a file or stream that is written.

import Glibc
import SystemSupport

/// An output file could not be made or written.
public struct OutputError: Error, Hashable, Sendable, CustomStringConvertible {
    public enum Operation: Hashable, Sendable {
        case create
        case write
    }

    public var operation: Operation
    /// The file or stream, as a person knows it: `standard output`, or a path.
    public var name: String
    /// errno of the system call that failed.
    public var code: Int32
    /// How many bytes had been written before.
    public var written: UInt64

    public init(operation: Operation, name: String, code: Int32, written: UInt64 = 0) {
        self.operation = operation
        self.name = name
        self.code = code
        self.written = written
    }

    /// After sysexits: 73 EX_CANTCREAT, 74 EX_IOERR.
    public var exitStatus: Int32 {
        switch operation {
        case .create: 73
        case .write: 74
        }
    }

    /// One line: what was asked, why it failed, what is left.
    public var description: String {
        let reason = errorText(code)
        switch operation {
        case .create: return "cannot create \(sanitized(name)): \(reason)"
        case .write: return "cannot write \(sanitized(name)): \(reason); the first \(written) bytes are written"
        }
    }
}
