// What is left out when nobody reads: whole lines, the least important first, and counted.

import Handshake

extension Loss {
    /// The reason of lines that were left out because what came before them was not read. Nothing
    /// is missing in what was observed: the loss is this output's alone.
    public static let outputNotRead = "output not read"
}

/// Passes on to another sink what its output has room for, so that what waits for the reader stays
/// within a bound.
///
/// Steps are left out from half of the bound on, until the reader has taken all but a quarter, and
/// verdicts of handshakes that succeeded from three quarters on. Other verdicts go on nearly to the
/// bound, losses up to it, and the end is always told. One unit may
/// reach beyond: how long it is shows when it is made. What was left out is told, as a
/// loss, as soon as there is room again; while the reader is slow, once a second.
public final class RationingSink<Inner: Sink>: Sink {
    private let inner: Inner
    private let output: OutputBuffer
    private let limit: Int
    private let showsSteps: Bool
    private var isSparingSteps = false
    /// Since the last report; its first and last time, CLOCK_MONOTONIC, nanoseconds.
    private var leftOut: UInt64 = 0
    private var since: UInt64 = 0
    private var last: UInt64 = 0
    private var reported: (time: UInt64, written: UInt64) = (0, 0)
    /// How many lines, or blocks, were left out since the start.
    public private(set) var totalLeftOut: UInt64 = 0

    /// Between two reports to a reader that is slow, in nanoseconds.
    private static var reportInterval: UInt64 { 1_000_000_000 }

    /// - Parameters:
    ///   - output: what `inner` appends to.
    ///   - limit: bytes that may wait in it.
    ///   - showsSteps: whether `inner` makes something of steps; else none can be lost.
    public init(_ inner: Inner, output: OutputBuffer, limit: Int, showsSteps: Bool) {
        self.inner = inner
        self.output = output
        self.limit = limit
        self.showsSteps = showsSteps
    }

    public func start(_ start: StartInfo) { inner.start(start) }

    public func step(_ step: Step, of connection: Connection) {
        guard showsSteps else { return inner.step(step, of: connection) }
        if isSparingSteps || !hasRoom(within: limit / 2) {
            isSparingSteps = !hasRoom(within: limit / 4)
            guard !isSparingSteps else { return leaveOut(at: step.time) }
        }
        if leftOut > 0 { catchUp() }
        inner.step(step, of: connection)
    }

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        let bound = verdict.outcome == .success ? limit - limit / 4 : limit - limit / 16
        guard hasRoom(within: bound) else { return leaveOut(at: verdict.time) }
        if leftOut > 0 { catchUp() }
        inner.verdict(verdict, of: connection)
    }

    public func loss(_ loss: Loss) {
        guard hasRoom(within: limit) else { return leaveOut(at: loss.time) }
        if leftOut > 0 { catchUp() }
        inner.loss(loss)
    }

    public func stop(_ totals: Totals) {
        if leftOut > 0 { report() }
        var totals = totals
        totals.lost += totalLeftOut
        inner.stop(totals)
    }

    public func tick(at time: UInt64) {
        inner.tick(at: time)
        guard leftOut > 0 else { return }
        if hasRoom(within: limit / 4) {
            isSparingSteps = false
            report()
        } else if hasRoom(within: limit), output.written != reported.written,
            time >= reported.time &+ Self.reportInterval
        {
            // Who reads nothing at all would get one report after the other for the first thing to read.
            report()
        }
    }

    /// Whether no more waits than that. What was not tried to write yet does not count: a batch may be
    /// as long as the least bound.
    @inline(__always)
    private func hasRoom(within bound: Int) -> Bool {
        output.unwritten <= bound || output.count > 0 && output.flush() == .open && output.unwritten <= bound
    }

    /// Before something is told: that something else was not, if there is room for all again.
    private func catchUp() {
        guard hasRoom(within: limit / 4) else { return }
        isSparingSteps = false
        report()
    }

    private func leaveOut(at time: UInt64) {
        if leftOut == 0 { since = time }
        last = max(since, time)
        leftOut += 1
        totalLeftOut += 1
    }

    private func report() {
        inner.loss(
            Loss(
                reason: Loss.outputNotRead, scope: .output, events: leftOut, total: totalLeftOut, time: last,
                since: since))
        reported = (last, output.written)
        leftOut = 0
    }
}

extension RationingSink: BlockSink where Inner: BlockSink {
    public func folded(_ blocks: FoldedBlocks) {
        guard hasRoom(within: limit - limit / 16) else { return leaveOut(at: blocks.time) }
        if leftOut > 0 { catchUp() }
        inner.folded(blocks)
    }

    public func repeated(_ block: RepeatedBlock) {
        guard hasRoom(within: limit - limit / 16) else { return leaveOut(at: block.time) }
        if leftOut > 0 { catchUp() }
        inner.repeated(block)
    }
}
