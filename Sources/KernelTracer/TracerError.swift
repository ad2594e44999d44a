// What can go wrong between this program and the kernel, each as one line for a person.

import Glibc
import SystemSupport

/// Why tracing cannot start or go on.
public enum TracerError: Error, Equatable, Sendable {
    /// A capability is missing, by its name in capabilities(7); or several are.
    case notPermitted(capability: String, whatToDo: String = "run nattrace as root")
    /// The kernel lacks something that tracing cannot do without.
    case unsupportedKernel(what: String, whatToDo: String)
    /// The filter cannot be given to the kernel side.
    case filter(String)
    /// A system call, or a libbpf function that stands for one, failed. `errno` is positive.
    case system(call: String, errno: Int32)

    /// As sysexits.h has it: EX_NOPERM, EX_UNAVAILABLE, EX_USAGE, EX_OSERR.
    public var exitStatus: Int32 {
        switch self {
        case .notPermitted: 77
        case .unsupportedKernel: 69
        case .filter: 64
        case .system: 71
        }
    }

    /// The error of a call that has just failed, from `errno`.
    static func last(_ call: String) -> TracerError { .system(call: call, errno: Glibc.errno) }
}

extension TracerError: CustomStringConvertible {
    /// One line: what was asked and what to do.
    public var description: String {
        switch self {
        case .notPermitted(let capability, let whatToDo):
            "tracing needs \(capability), which this process does not have: \(whatToDo)"
        case .unsupportedKernel(let what, let whatToDo):
            "this kernel cannot be traced: \(what); \(whatToDo)"
        case .filter(let what):
            what
        case .system(let call, let errno):
            "\(call) failed: \(errorText(errno))"
        }
    }
}
