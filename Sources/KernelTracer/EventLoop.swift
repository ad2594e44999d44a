// The one loop of the program: a thread that waits for the ring, a signal or a deadline.

import Glibc

/// Waits for descriptors, signals and one deadline, and calls back on the thread that runs
/// it. Everything that the callbacks touch belongs to that thread: no locks.
///
///     let loop = try EventLoop(signals: [SIGINT, SIGTERM])
///     loop.onSignal = { [unowned loop] _ in loop.stop() }
///     try loop.watch(descriptor) { try read(descriptor) }
///     try loop.run()
///
/// Make it before the process has other threads (see `SignalDescriptor`). A callback that
/// captures the loop should do so `unowned`. What a callback throws, `run()` throws.
public final class EventLoop {
    public typealias Callback = () throws(TracerError) -> Void

    /// What a descriptor is watched for.
    public enum Readiness: Sendable {
        case readable
        /// Something can be written to it without waiting.
        case writable
    }

    /// A signal that `init` was given, by number.
    public var onSignal: (Int32) throws(TracerError) -> Void = { _ in }
    /// The deadline has passed. It stands no longer, and may be set anew here.
    public var onDeadline: Callback = {}

    private let epoll: EpollSet
    private let signals: SignalDescriptor
    private let timer: DeadlineTimer
    private var watched: [Int32: Callback] = [:]
    private var isRunning = false

    public init(signals: [Int32]) throws(TracerError) {
        epoll = try EpollSet()
        self.signals = try SignalDescriptor(signals)
        timer = try DeadlineTimer()
        try epoll.add(self.signals.descriptor, for: .readable, token: UInt64(self.signals.descriptor))
        try epoll.add(timer.descriptor, for: .readable, token: UInt64(timer.descriptor))
    }

    /// Calls `action` for as long as `descriptor` is readable, or writable, or broken. It is watched
    /// for one of both at a time. The descriptor stays the caller's, who must `unwatch` it before
    /// closing it.
    public func watch(
        _ descriptor: Int32, for readiness: Readiness = .readable, _ action: @escaping Callback
    ) throws(TracerError) {
        switch readiness {
        case .readable: try add(descriptor, for: .readable, action)
        case .writable: try add(descriptor, for: .writable, action)
        }
    }

    /// Calls `action` when `descriptor` is readable, or broken: one time, and again after each `watchAgain`.
    public func watchOnce(_ descriptor: Int32, _ action: @escaping Callback) throws(TracerError) {
        try add(descriptor, for: [.readable, .once], action)
    }

    private func add(
        _ descriptor: Int32, for events: EpollSet.Events, _ action: @escaping Callback
    ) throws(TracerError) {
        guard descriptor >= 0 else { throw .system(call: "epoll_ctl(EPOLL_CTL_ADD)", errno: EBADF) }
        try epoll.add(descriptor, for: events, token: UInt64(descriptor))
        watched[descriptor] = action
    }

    /// Watches a descriptor once more that was given to `watchOnce`. If it is readable already, its action is next.
    public func watchAgain(_ descriptor: Int32) throws(TracerError) {
        try epoll.modify(descriptor, for: [.readable, .once], token: UInt64(descriptor))
    }

    public func unwatch(_ descriptor: Int32) throws(TracerError) {
        guard watched.removeValue(forKey: descriptor) != nil else { return }
        try epoll.remove(descriptor)
    }

    /// CLOCK_MONOTONIC in nanoseconds; replaces the one before. nil: none.
    public func setDeadline(_ deadline: UInt64?) throws(TracerError) {
        try timer.set(deadline)
    }

    /// Returns once `stop()` was called, or throws what a callback threw.
    public func run() throws(TracerError) {
        isRunning = true
        defer { isRunning = false }
        while isRunning {
            _ = try epoll.wait(timeout: nil) { (token, _) throws(TracerError) in
                // A callback of the same batch may have stopped the loop.
                guard isRunning else { return }
                try dispatch(Int32(truncatingIfNeeded: token))
            }
        }
    }

    /// Makes `run()` return after the callback that is running. What is ready but was not
    /// told yet waits for the next `run()`.
    public func stop() {
        isRunning = false
    }

    private func dispatch(_ descriptor: Int32) throws(TracerError) {
        if descriptor == signals.descriptor {
            while isRunning, let signal = try signals.next() { try onSignal(signal) }
        } else if descriptor == timer.descriptor {
            if try timer.acknowledge() { try onDeadline() }
        } else {
            // Absent: unwatched by a callback of the same batch.
            try watched[descriptor]?()
        }
    }
}
