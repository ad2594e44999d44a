// Collects what a page of `nattrace report` tells.

import Handshake
import Output

/// Takes in a replay, with bounded memory, and writes the page once it is over.
public final class ReportSink: Sink {
    /// How the recording run observed.
    var info: StartInfo?
    var wording = Wording(realtimeOffset: 0)
    var store: ConnectionStore
    var kinds: Kinds
    var losses = Losses()
    var totals = Totals()
    /// Of those told: first and last step; CLOCK_MONOTONIC, nanoseconds.
    var firstTime: UInt64?
    var lastTime: UInt64 = 0

    /// What is known of a connection whose verdict may still be revised.
    private struct Told {
        var kind: Kinds.Key?
        var code: VerdictCode
        /// nil: left out.
        var place: DetailPlace?
    }
    private var told: [UInt64: Told] = [:]
    /// Its keys, the oldest at `oldest` once there are `maximumTold`.
    private var toldOrder: [UInt64] = []
    private var oldest = 0
    /// A verdict is revised within a minute or so of what came before it. One that is revised after so many others
    /// failed is counted as a connection of its own in the table of kinds, and listed twice.
    private static let maximumTold = 262_144

    public convenience init() { self.init(bounds: ConnectionStore.Bounds()) }

    init(bounds: ConnectionStore.Bounds, maximumKinds: Int = 2000) {
        store = ConnectionStore(bounds: bounds)
        kinds = Kinds(maximum: maximumKinds)
    }

    public func start(_ start: StartInfo) {
        info = start
        wording = Wording(realtimeOffset: start.realtimeOffset)
    }

    /// Connections are told with their verdicts.
    public func step(_ step: borrowing Step, of connection: Connection) {}

    public func verdict(_ verdict: Verdict, of connection: Connection) {
        var record = ConnectionRecord(
            verdict: verdict, connection: connection, wording: wording, base: info?.time ?? 0)
        record.isIncomplete = losses.lastOfObservations.map { $0 >= connection.startTime } ?? false
        let before = verdict.isRevised ? told[connection.id] : nil
        if let before {
            kinds.retract(before.kind, before.code)
            if let place = before.place { store.remove(place) }
            record.earlier = before.place
        }
        let place = store.add(record)
        let key = kinds.count(
            Kinds.Key(
                code: verdict.code, outcome: verdict.outcome, dialled: record.dialled, translated: record.translated,
                rule: wording.rule(verdict.ruleInQuestion)),
            at: connection.startTime, sentence: wording.outside(verdict.sentence),
            advice: verdict.advice.map { wording.outside($0) })
        let now = Told(kind: key, code: verdict.code, place: place)
        if before != nil {
            told[connection.id] = now
        } else if verdict.outcome != .success {
            remember(connection.id, now)
        }
        firstTime = min(firstTime ?? .max, connection.startTime)
        lastTime = max(lastTime, connection.startTime &+ verdict.duration)
    }

    public func loss(_ loss: Loss) { losses.add(loss) }

    public func stop(_ totals: Totals) { self.totals = totals }

    private func remember(_ id: UInt64, _ what: Told) {
        if toldOrder.count < Self.maximumTold {
            toldOrder.append(id)
        } else {
            told[toldOrder[oldest]] = nil
            toldOrder[oldest] = id
            oldest = (oldest + 1) % Self.maximumTold
        }
        told[id] = what
    }
}
