// What is shown and what is written beside it.

import Handshake

/// Tells several sinks the same, one after the other. Without any it is silent.
public final class FanOutSink: Sink {
    private let sinks: [any Sink]

    public init(_ sinks: [any Sink]) { self.sinks = sinks }

    public func start(_ start: StartInfo) { for sink in sinks { sink.start(start) } }
    public func step(_ step: borrowing Step, of connection: Connection) {
        for sink in sinks { sink.step(step, of: connection) }
    }
    public func verdict(_ verdict: Verdict, of connection: Connection) {
        for sink in sinks { sink.verdict(verdict, of: connection) }
    }
    public func loss(_ loss: Loss) { for sink in sinks { sink.loss(loss) } }
    public func stop(_ totals: Totals) { for sink in sinks { sink.stop(totals) } }
    public func tick(at time: UInt64) { for sink in sinks { sink.tick(at: time) } }
}
