// signalfd(2): signals as something to read, so that no code runs in a handler.

import CNattrace
import Glibc

/// Blocks signals in the calling thread and hands them out one by one.
///
/// Threads inherit the mask, so this must exist before any other thread does: a signal for
/// the process is otherwise delivered to a thread that does not block it. A signal that the
/// parent had ignored (a shell does so for what it runs in the background) is still seen,
/// because the kernel drops no signal that is blocked.
struct SignalDescriptor: ~Copyable {
    private let owned: OwnedDescriptor
    var descriptor: Int32 { owned.rawValue }

    init(_ signals: [Int32]) throws(TracerError) {
        var set = sigset_t()
        sigemptyset(&set)
        for signal in signals {
            guard sigaddset(&set, signal) == 0 else { throw .last("sigaddset") }
        }
        let failure = pthread_sigmask(SIG_BLOCK, &set, nil)
        guard failure == 0 else { throw .system(call: "pthread_sigmask", errno: failure) }
        owned = try OwnedDescriptor(
            signalfd(-1, &set, Int32(SFD_CLOEXEC | SFD_NONBLOCK)), from: "signalfd")
    }

    /// The next pending signal's number, nil if there is none.
    func next() throws(TracerError) -> Int32? {
        var info = signalfd_siginfo()
        let count = try withUnsafeMutableBytes(of: &info) { (buffer) throws(TracerError) in
            try owned.read(into: buffer)
        }
        return count == nil ? nil : Int32(bitPattern: info.ssi_signo)
    }
}
