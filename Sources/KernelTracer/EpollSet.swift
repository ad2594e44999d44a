// epoll(7): which of several descriptors has something to say.

import CNattrace
import Glibc

/// A set of descriptors, each under a token of the owner's choice. Level-triggered.
struct EpollSet: ~Copyable {
    /// What a descriptor is waited for; a bit mask of epoll_ctl(2).
    struct Events: OptionSet, Sendable {
        let rawValue: UInt32
        static let readable = Events(rawValue: EPOLLIN.rawValue)
        static let writable = Events(rawValue: EPOLLOUT.rawValue)
        /// Told one time, and then not until it is asked for again.
        static let once = Events(rawValue: EPOLLONESHOT.rawValue)
        /// Never asked for, always told.
        static let failed = Events(rawValue: EPOLLERR.rawValue | EPOLLHUP.rawValue)
    }

    private let descriptor: OwnedDescriptor

    init() throws(TracerError) {
        descriptor = try OwnedDescriptor(epoll_create1(Int32(EPOLL_CLOEXEC)), from: "epoll_create1")
    }

    /// The set does not own `watched`: it has to be removed before it is closed.
    func add(_ watched: Int32, for events: Events, token: UInt64) throws(TracerError) {
        var event = epoll_event(events: events.rawValue, data: epoll_data_t(u64: token))
        guard epoll_ctl(descriptor.rawValue, EPOLL_CTL_ADD, watched, &event) == 0 else {
            throw .last("epoll_ctl(EPOLL_CTL_ADD)")
        }
    }

    /// Asks anew for a descriptor that was added. What is ready already is told by the next `wait`.
    func modify(_ watched: Int32, for events: Events, token: UInt64) throws(TracerError) {
        var event = epoll_event(events: events.rawValue, data: epoll_data_t(u64: token))
        guard epoll_ctl(descriptor.rawValue, EPOLL_CTL_MOD, watched, &event) == 0 else {
            throw .last("epoll_ctl(EPOLL_CTL_MOD)")
        }
    }

    func remove(_ watched: Int32) throws(TracerError) {
        guard epoll_ctl(descriptor.rawValue, EPOLL_CTL_DEL, watched, nil) == 0 else {
            throw .last("epoll_ctl(EPOLL_CTL_DEL)")
        }
    }

    /// Waits until something is ready and tells its tokens. `timeout` in milliseconds; nil:
    /// for as long as it takes. The number told: 0 after the time, or after an interruption.
    func wait(
        timeout: Int32?, _ body: (UInt64, Events) throws(TracerError) -> Void
    ) throws(TracerError) -> Int {
        // On the stack: the loop allocates nothing for a wait. What does not fit is told by the next.
        var ready = InlineArray<16, epoll_event>(repeating: epoll_event())
        var span = ready.mutableSpan
        let count = span.withUnsafeMutableBufferPointer { buffer in
            epoll_wait(descriptor.rawValue, buffer.baseAddress, Int32(buffer.count), timeout ?? -1)
        }
        guard count >= 0 else {
            if errno == EINTR { return 0 }
            throw .last("epoll_wait")
        }
        for index in 0..<Int(count) {
            try body(ready[index].data.u64, Events(rawValue: ready[index].events))
        }
        return Int(count)
    }
}
