// One run of the explainer: what happens on a machine, and what is told of it.

import CNattrace
import Testing

@testable import Handshake

/// Keeps all that a sink is told, in order.
final class CollectingSink: Sink {
    private(set) var connections: [Connection] = []
    private(set) var steps: [(step: Step, connection: Connection)] = []
    private(set) var verdicts: [(verdict: Verdict, connection: Connection)] = []
    private(set) var losses: [Loss] = []
    private(set) var totals: Totals?

    func start(_ start: StartInfo) {}
    func step(_ step: Step, of connection: Connection) {
        if !connections.contains(where: { $0.id == connection.id }) { connections.append(connection) }
        steps.append((step, connection))
    }
    func verdict(_ verdict: Verdict, of connection: Connection) { verdicts.append((verdict, connection)) }
    func loss(_ loss: Loss) { losses.append(loss) }
    func stop(_ totals: Totals) { self.totals = totals }
}

/// What happens on a machine, told to an explainer.
///
/// It is told to a second one as well, which puts each connection away whenever it can. Both have to say the same
/// and to ask the same: whatever a test is about, it is also about that.
final class Story {
    static let start: UInt64 = 1_000_000_000_000

    let facts = FakeFacts()
    let sink = CollectingSink()
    let explainer: Explainer
    private let forgetting = Numbers()
    private let told = Telling()
    private let other: Counterpart

    private final class Numbers { var all: [UInt32] = [] }

    /// The explainer that puts away.
    private struct Counterpart {
        let explainer: Explainer
        let told = Telling()
        let facts: SameFacts
        let forgetting = Numbers()

        init(_ options: ExplainerOptions, _ facts: FakeFacts) {
            var options = options
            options.maximumAtWork = 0
            self.facts = SameFacts(facts)
            explainer = Explainer(options: options, facts: self.facts, sink: told) { [forgetting] in
                forgetting.all.append($0)
            }
        }
    }

    init(_ change: (inout ExplainerOptions) -> Void = { _ in }) {
        var options = ExplainerOptions()
        change(&options)
        explainer = Explainer(options: options, facts: facts, sink: BothSinks(sink, told)) { [forgetting] in
            forgetting.all.append($0)
        }
        other = Counterpart(options, facts)
    }

    /// To both.
    private func both(_ body: (Explainer) -> Void) {
        body(explainer)
        body(other.explainer)
        let (own, others) = (told.takeAll(), other.told.takeAll())
        #expect(own == others, "putting connections away changes nothing")
        #expect(forgetting.all == other.forgetting.all)
        #expect(facts.asked == other.facts.asked, "making them again asks nothing")
        #expect(explainer.totals == other.explainer.totals && explainer.evicted == other.explainer.evicted)
        #expect(explainer.stepsLeftOut == other.explainer.stepsLeftOut)
        #expect(explainer.nextDeadline == other.explainer.nextDeadline)
    }

    /// Numbers that the kernel side was told to forget.
    var forgotten: [UInt32] { forgetting.all }

    /// These happen from `time` after the start on, a microsecond apart.
    func at(_ time: Duration, _ observations: nattrace_observation...) {
        tell(observations, at: time)
    }

    func tell(_ observations: [nattrace_observation], at time: Duration) {
        for (index, observation) in observations.enumerated() {
            var raw = observation
            raw.time_ns = Self.clock(time) + UInt64(index) * 1000
            observes(raw)
        }
    }

    /// This happens, at its own time.
    func observes(_ raw: nattrace_observation) {
        guard let decoded = Observation(raw) else { fatalError("not an observation: kind \(raw.kind)") }
        both { $0.observe(decoded, raw: raw) }
    }

    /// A module comes, and addresses mean something else.
    func forgetsSymbols() { both { $0.forgetSymbols() } }

    /// The owner of the explainer falls behind, or does so no more.
    func isPressed(_ isPressed: Bool) { both { $0.isPressed = isPressed } }

    /// Nothing happens until then.
    func silence(until time: Duration) { both { $0.advance(to: Self.clock(time)) } }
    func ends(at time: Duration) { both { $0.finish(at: Self.clock(time)) } }

    static func clock(_ time: Duration) -> UInt64 {
        let parts = time.components
        return start + UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
    }

    /// Something is lost.
    func loses(at time: Duration, scope: LossScope = .observations) {
        let now = Self.clock(time)
        loses(Loss(reason: "any", scope: scope, events: 1, total: 1, time: now, since: now))
    }

    func loses(_ loss: Loss) {
        both { $0.report(loss) }
    }

    /// These happen, and then nothing until it has settled.
    func settles(_ observations: nattrace_observation...) {
        tell(observations, at: .zero)
        silence(until: Self.settled)
    }

    /// These happen, and then nothing until it is too late for an answer.
    func waits(_ observations: nattrace_observation...) {
        tell(observations, at: .zero)
        silence(until: .seconds(5))
    }

    var verdicts: [Verdict] { sink.verdicts.map(\.verdict) }
    var codes: [VerdictCode] { verdicts.map(\.code) }
    var actions: [Action] { sink.steps.map(\.step.action) }
    /// The steps told, each as `action stage`; concluded ones are in parentheses.
    var steps: [String] {
        sink.steps.map(\.step).map { step in
            let text = "\(step.action.rawValue) \(step.stage?.name ?? "nowhere")"
            return step.backend == .inferred ? "(\(text))" : text
        }
    }
}
