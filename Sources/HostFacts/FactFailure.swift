import Glibc
import SystemSupport

/// Why a question could not be answered, as one line for a person.
struct FactFailure: Error, Equatable, CustomStringConvertible {
    var description: String
    /// The error number behind it; 0: it was no system call that failed.
    var code: Int32

    init(_ description: String) {
        self.description = description
        code = 0
    }

    /// `call` failed with an error number: `setns(net): Operation not permitted`.
    init(call: String, code: Int32 = errno) {
        description = "\(call): \(errorText(code))"
        self.code = code
    }

    /// The kernel withholds it from this user, which root would not meet.
    var isPermission: Bool { code == EACCES || code == EPERM }
}
