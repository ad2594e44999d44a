// What a person need not read twice, or could not read at all: blocks that fail like one that was shown, and a flood.

import Handshake

/// A sink that shows connections as blocks, and can say in short what was not shown.
public protocol BlockSink: Sink {
    func folded(_ blocks: FoldedBlocks)
    /// A failure like one that it was given.
    func repeated(_ block: RepeatedBlock)
    /// Of what it was given, how much it left out.
    var totalLeftOut: UInt64 { get }
}

extension BlockSink {
    public var totalLeftOut: UInt64 { 0 }
}

/// Passes on as many blocks a second as a person can be shown; what is more is counted, and told
/// when the second is over. A failure like one that was shown takes a line (see `RepeatMemory`). A loss and the end
/// are always passed on.
///
/// Step by step, a connection is shown as a whole or not at all.
public final class FoldingSink: Sink {
    /// Blocks that are shown in a second, where nothing else was said.
    public static let defaultBlocksPerSecond = 40
    /// Connections that are being shown step by step at once. Of older ones no more is shown.
    static let maximumFollowed = 4096

    private let next: any BlockSink
    /// nil: all are shown.
    private var limiter: BlockLimiter?
    private var repeats = RepeatMemory()
    private let follow: Bool
    private var followed: Set<UInt64> = []
    /// The same in order of their beginning, as a ring.
    private var order: [UInt64] = []
    private var oldest = 0

    /// - Parameter blocksPerSecond: nil: no limit.
    public init(_ next: any BlockSink, blocksPerSecond: Int?, follow: Bool) {
        self.next = next
        self.follow = follow
        limiter = blocksPerSecond.map { BlockLimiter(perSecond: $0) }
    }

    /// When `tick` has something to do; CLOCK_MONOTONIC, nanoseconds. nil: never, as it looks.
    public var nextDeadline: UInt64? { limiter?.end }

    public func start(_ start: StartInfo) { next.start(start) }

    public func step(_ step: Step, of connection: Connection) {
        // Without following, nothing is shown yet.
        guard follow else { return next.step(step, of: connection) }
        tick(at: step.time)
        if step.sequence == 0, limiter?.admits(connectionAt: step.time) ?? true { remember(connection.id) }
        if followed.contains(connection.id) { next.step(step, of: connection) }
    }

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        tick(at: verdict.time)
        if follow {
            if followed.contains(connection.id) { return next.verdict(verdict, of: connection) }
            limiter?.fold(verdict, of: connection)
        } else if limiter?.admits(verdict, of: connection) ?? true {
            show(verdict, of: connection)
        }
    }

    /// What succeeded, and what has changed, is always shown as it is.
    private func show(_ verdict: Verdict, of connection: Connection) {
        guard verdict.outcome != .success, !verdict.isRevised else {
            repeats.noteOther()
            return next.verdict(verdict, of: connection)
        }
        if let block = repeats.take(verdict, of: connection) { return next.repeated(block) }
        let before = next.totalLeftOut
        next.verdict(verdict, of: connection)
        if next.totalLeftOut != before { repeats.forget(verdict, of: connection) }
    }

    public func loss(_ loss: Loss) {
        tick(at: loss.time)
        next.loss(loss)
    }

    public func stop(_ totals: Totals) {
        close()
        next.stop(totals)
    }

    public func tick(at time: UInt64) {
        if let end = limiter?.end, time >= end { close() }
        next.tick(at: time)
    }

    private func close() {
        guard let blocks = limiter?.close() else { return }
        for (kind, count) in blocks.kinds { repeats.add(count, like: kind) }
        next.folded(blocks)
    }

    private func remember(_ id: UInt64) {
        if order.count < Self.maximumFollowed {
            order.append(id)
        } else {
            followed.remove(order[oldest])
            order[oldest] = id
            oldest = (oldest + 1) % Self.maximumFollowed
        }
        followed.insert(id)
    }
}
