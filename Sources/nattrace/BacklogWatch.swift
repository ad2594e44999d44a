// Output that waits for a reader: written on when there is room again, and at the end for a while.

import Glibc
import KernelTracer
import Output
import SystemSupport

/// Writes on what waits, as soon as its descriptor becomes writable, without holding up the loop.
final class BacklogWatch {
    /// At the end, how long a reader may take nothing before it is given up, and how long it may
    /// take in all; nanoseconds.
    static let patience: UInt64 = 2_000_000_000
    static let wholePatience: UInt64 = 20_000_000_000
    /// Nanoseconds until what said that it is writable, and took nothing, is asked again: a terminal
    /// with room for less than its next character does so.
    private static let retryInterval: UInt64 = 50_000_000

    /// After each attempt to write.
    var onWrite: () -> Void = {}

    private let display: Display
    /// What is written beside it.
    private let others: [OutputBuffer]
    private let loop: EventLoop
    private var watched: Set<Int32> = []
    /// When something was taken last.
    private var lastProgress: UInt64 = 0

    init(_ display: Display, beside others: [OutputBuffer], on loop: EventLoop) {
        self.display = display
        self.others = others
        self.loop = loop
    }

    /// To be called once a turn: watches what waits now.
    func watch() throws(TracerError) {
        for output in outputs {
            guard let descriptor = output.awaited, watched.insert(descriptor).inserted else { continue }
            try loop.watch(descriptor, for: .writable) { [unowned self] () throws(TracerError) in
                try write(output, to: descriptor)
            }
        }
    }

    private func write(_ output: OutputBuffer, to descriptor: Int32) throws(TracerError) {
        let before = output.written
        display.flush()
        for other in others { other.flush() }
        let isTaken = output.written > before
        if isTaken { lastProgress = monotonicTime() }
        if output.awaited == nil || !isTaken {
            watched.remove(descriptor)
            try loop.unwatch(descriptor)
        }
        onWrite()
    }

    /// The end: who is only slow gets the rest. Ends when all is written, when nothing is taken any
    /// more, or with the next signal. The loop's callbacks are replaced.
    func drain() {
        guard isWaiting else { return }
        let end = monotonicTime() &+ Self.wholePatience
        lastProgress = monotonicTime()
        onWrite = { [unowned self] in if !isWaiting { loop.stop() } }
        loop.onSignal = { [unowned loop] number in if number != SIGWINCH { loop.stop() } }
        loop.onDeadline = { [unowned self] () throws(TracerError) in
            let now = monotonicTime()
            guard now < end, now < lastProgress &+ Self.patience else { return loop.stop() }
            try watch()
            try loop.setDeadline(now &+ Self.retryInterval)
        }
        // Without the loop there is nobody to wait with: what waits is given up.
        try? loop.setDeadline(1)
        try? loop.run()
    }

    private var outputs: [OutputBuffer] { display.outputs + others }
    private var isWaiting: Bool { outputs.contains { $0.awaited != nil } }
}
