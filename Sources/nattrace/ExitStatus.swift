import KernelTracer
import Output

/// How the program ends, after sysexits(3).
enum ExitStatus: Int32 {
    /// Done, also after SIGINT, SIGTERM, or a reader that closed the pipe.
    case done = 0
    /// EX_USAGE: the command line asks for something that there is not.
    case usage = 64
    /// EX_DATAERR: a recording is damaged.
    case damagedRecording = 65
    /// EX_NOINPUT: there is no such recording, or no such network namespace.
    case noInput = 66
    /// EX_UNAVAILABLE: this kernel cannot be traced.
    case cannotTrace = 69
    /// EX_OSERR: a system call failed.
    case system = 71
    /// EX_CANTCREAT: an output file could not be made.
    case cannotCreate = 73
    /// EX_IOERR: an output file could not be written.
    case cannotWrite = 74
    /// EX_NOPERM: not permitted; the message names the capability that is missing.
    case notPermitted = 77
}

/// What ends the program before it is done: an exit status, and one line that names what was
/// asked and what to do.
struct Failure: Error, Equatable {
    var status: ExitStatus
    /// Without the program's name, newline and closing full stop.
    var message: String

    init(_ status: ExitStatus, _ message: String) {
        self.status = status
        self.message = message
    }

    /// A usage error.
    static func usage(_ message: String) -> Failure {
        Failure(.usage, message)
    }
}

extension Failure {
    /// The errors of the modules below know their exit statuses.
    init(_ error: TracerError) {
        self.init(ExitStatus(rawValue: error.exitStatus) ?? .system, error.description)
    }

    init(_ error: OutputError) {
        self.init(ExitStatus(rawValue: error.exitStatus) ?? .cannotWrite, error.description)
    }

    init(_ error: RecordingError) {
        self.init(ExitStatus(rawValue: error.exitStatus) ?? .damagedRecording, error.description)
    }
}
