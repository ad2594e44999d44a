// timerfd_create(2): one point in time as a descriptor.

import CNattrace
import Glibc

/// Readable once CLOCK_MONOTONIC has passed a deadline. At most one deadline stands.
struct DeadlineTimer: ~Copyable {
    private let owned: OwnedDescriptor
    var descriptor: Int32 { owned.rawValue }

    init() throws(TracerError) {
        owned = try OwnedDescriptor(
            timerfd_create(CLOCK_MONOTONIC, Int32(TFD_CLOEXEC | TFD_NONBLOCK)),
            from: "timerfd_create")
    }

    /// `deadline` is CLOCK_MONOTONIC in nanoseconds, one that has passed is due at once;
    /// nil clears it. Either replaces what was set before.
    func set(_ deadline: UInt64?) throws(TracerError) {
        var setting = itimerspec()
        if let deadline {
            // Zero would clear the timer instead of making it due.
            let deadline = max(deadline, 1)
            setting.it_value.tv_sec = Int(clamping: deadline / 1_000_000_000)
            setting.it_value.tv_nsec = Int(deadline % 1_000_000_000)
        }
        guard timerfd_settime(owned.rawValue, Int32(TFD_TIMER_ABSTIME), &setting, nil) == 0 else {
            throw .last("timerfd_settime")
        }
    }

    /// Makes the descriptor unreadable until the next deadline. False: none had passed.
    func acknowledge() throws(TracerError) -> Bool {
        var expirations: UInt64 = 0
        return try withUnsafeMutableBytes(of: &expirations) { (buffer) throws(TracerError) in
            try owned.read(into: buffer)
        } != nil
    }
}
