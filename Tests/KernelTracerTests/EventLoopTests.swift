// How to use the event loop, with real descriptors.

import CNattrace
import Glibc
import SystemSupport
import Testing

@testable import KernelTracer

// Each test stays on one thread: signals are blocked per thread.
@Suite("Event loop")
struct EventLoopTests {
    private func eventDescriptor() throws -> Int32 {
        let descriptor = eventfd(0, Int32(EFD_CLOEXEC | EFD_NONBLOCK))
        try #require(descriptor >= 0)
        return descriptor
    }

    @Test("A readable descriptor calls back until it was read")
    func readable() throws {
        let loop = try EventLoop(signals: [])
        let descriptor = try eventDescriptor()
        defer { close(descriptor) }
        eventfd_write(descriptor, 3)

        var calls = 0
        var value: eventfd_t = 0
        try loop.watch(descriptor) { [unowned loop] in
            calls += 1
            guard calls == 2 else { return }
            eventfd_read(descriptor, &value)
            loop.stop()
        }
        try loop.run()
        #expect(calls == 2)
        #expect(value == 3)
    }

    @Test("What is not watched any more does not call, even if it was ready in the same batch")
    func unwatch() throws {
        let loop = try EventLoop(signals: [])
        let descriptors = try [eventDescriptor(), eventDescriptor()]
        defer { for descriptor in descriptors { close(descriptor) } }
        var calls = 0
        for (index, descriptor) in descriptors.enumerated() {
            eventfd_write(descriptor, 1)
            try loop.watch(descriptor) { [unowned loop] () throws(TracerError) in
                calls += 1
                try loop.unwatch(descriptors[1 - index])
                try loop.unwatch(descriptor)
                try loop.setDeadline(monotonicTime())
            }
        }
        loop.onDeadline = { [unowned loop] in loop.stop() }
        try loop.run()
        #expect(calls == 1)
    }

    @Test("A full pipe calls when it was read from, not before")
    func writable() throws {
        let loop = try EventLoop(signals: [])
        var ends: [Int32] = [-1, -1]
        try #require(pipe2(&ends, O_NONBLOCK | O_CLOEXEC) == 0)
        defer { for end in ends { close(end) } }
        var page = [UInt8](repeating: 0, count: 4096)
        while write(ends[1], page, page.count) > 0 {}

        var events: [String] = []
        try loop.watch(ends[1], for: .writable) { [unowned loop] () throws(TracerError) in
            events.append("writable")
            try loop.unwatch(ends[1])
            loop.stop()
        }
        loop.onDeadline = { [unowned loop] () throws(TracerError) in
            events.append("deadline")
            if events.count == 1 {
                while read(ends[0], &page, page.count) > 0 {}
                try loop.setDeadline(monotonicTime() + 10_000_000_000)
            } else {
                loop.stop()
            }
        }
        try loop.setDeadline(monotonicTime() + 20_000_000)
        try loop.run()
        #expect(events == ["deadline", "writable"])
    }

    @Test("What is watched for writing is told that its reader is gone")
    func readerGone() throws {
        let loop = try EventLoop(signals: [])
        var ends: [Int32] = [-1, -1]
        try #require(pipe2(&ends, O_NONBLOCK | O_CLOEXEC) == 0)
        defer { close(ends[1]) }
        let page = [UInt8](repeating: 0, count: 4096)
        while write(ends[1], page, page.count) > 0 {}
        close(ends[0])
        var calls = 0
        try loop.watch(ends[1], for: .writable) { [unowned loop] in
            calls += 1
            loop.stop()
        }
        loop.onDeadline = { [unowned loop] in loop.stop() }
        try loop.setDeadline(monotonicTime() + 10_000_000_000)
        try loop.run()
        #expect(calls == 1)
    }

    @Test("A deadline calls once, not before its time")
    func deadline() throws {
        let loop = try EventLoop(signals: [])
        let deadline = monotonicTime() + 20_000_000
        var passed: [UInt64] = []
        loop.onDeadline = { [unowned loop] () throws(TracerError) in
            passed.append(monotonicTime())
            if passed.count == 1 { try loop.setDeadline(monotonicTime() + 1_000_000) } else { loop.stop() }
        }
        try loop.setDeadline(deadline)
        try loop.run()
        #expect(passed.count == 2)
        #expect(passed[0] >= deadline)
        #expect(passed[1] > passed[0])
    }

    @Test("A deadline that has passed is due at once", arguments: [0, 1, 1_000_000_000] as [UInt64])
    func pastDeadline(deadline: UInt64) throws {
        let loop = try EventLoop(signals: [])
        loop.onDeadline = { [unowned loop] in loop.stop() }
        try loop.setDeadline(deadline)
        try loop.run()
    }

    @Test("A cleared deadline does not call; a later one replaces an earlier")
    func clearedDeadline() throws {
        let timer = try DeadlineTimer()
        try timer.set(monotonicTime())
        try timer.set(nil)
        #expect(try !timer.acknowledge())
        try timer.set(1)
        try timer.set(.max)
        #expect(try !timer.acknowledge())
        try timer.set(1)
        #expect(try timer.acknowledge())
        #expect(try !timer.acknowledge())
    }

    @Test("What is watched once is told once, and again when it is asked for again, also if it was ready before")
    func watchedOnce() throws {
        let loop = try EventLoop(signals: [])
        let event = eventfd(1, Int32(EFD_CLOEXEC))
        defer { close(event) }
        var told = 0
        try loop.watchOnce(event) {
            told += 1
            loop.stop()
        }
        try loop.run()
        #expect(told == 1)
        // Still readable, and nobody asks.
        loop.onDeadline = { [unowned loop] in loop.stop() }
        try loop.setDeadline(monotonicTime() + 20_000_000)
        try loop.run()
        #expect(told == 1)
        try loop.watchAgain(event)
        try loop.run()
        #expect(told == 2)
        try loop.unwatch(event)
    }

    @Test("Signals are told by number, each once")
    func signals() throws {
        let loop = try EventLoop(signals: [SIGUSR1, SIGWINCH])
        var seen: Set<Int32> = []
        loop.onSignal = { [unowned loop] signal in
            seen.insert(signal)
            if seen.count == 2 { loop.stop() }
        }
        // To this thread: the test process has others, which do not block them. SIGWINCH is
        // ignored by default and told nevertheless.
        pthread_kill(pthread_self(), SIGUSR1)
        pthread_kill(pthread_self(), SIGWINCH)
        try loop.run()
        #expect(seen == [SIGUSR1, SIGWINCH])
    }

    @Test("What a callback throws, run() throws, and the loop can run again")
    func throwing() throws {
        let loop = try EventLoop(signals: [])
        let failure = TracerError.system(call: "reading", errno: EIO)
        loop.onDeadline = { () throws(TracerError) in throw failure }
        try loop.setDeadline(1)
        #expect(throws: failure) { try loop.run() }

        loop.onDeadline = { [unowned loop] in loop.stop() }
        try loop.setDeadline(1)
        try loop.run()
    }

    @Test("What cannot be watched is an error that names the call")
    func unwatchable() throws {
        let loop = try EventLoop(signals: [])
        #expect(throws: TracerError.system(call: "epoll_ctl(EPOLL_CTL_ADD)", errno: EBADF)) { try loop.watch(-1) {} }
        let file = open("/etc/passwd", O_RDONLY | O_CLOEXEC)
        defer { close(file) }
        #expect(throws: TracerError.system(call: "epoll_ctl(EPOLL_CTL_ADD)", errno: EPERM)) { try loop.watch(file) {} }
    }

    @Test("Descriptors are not inherited by programs that are started")
    func closeOnExec() throws {
        let timer = try DeadlineTimer()
        let signals = try SignalDescriptor([SIGUSR2])
        #expect(fcntl(timer.descriptor, F_GETFD) & FD_CLOEXEC != 0)
        #expect(fcntl(signals.descriptor, F_GETFD) & FD_CLOEXEC != 0)
    }
}
