// One run of the explainer: a machine with facts, what happens on it, and what is told of it.

import CNattrace

@testable import Handshake

/// A machine that answers what a test wants it to answer, and remembers what it was asked.
final class FakeFacts: Facts {
    var answers: [Question: Answer] = [:]
    private(set) var asked: [Question] = []

    func answer(_ question: Question) -> Answer {
        asked.append(question)
        return answers[question] ?? .nothing
    }

    func symbol(_ name: String, at address: UInt64) { answers[.symbol(address: address)] = .name(name) }
    func dropReason(_ name: String, is raw: UInt32) { answers[.dropReason(raw)] = .name(name) }
    func netns(_ name: String, is inode: UInt32) { answers[.netnsName(inode: inode)] = .name(name) }

    func listening(_ listeners: Listener..., port: UInt16, in netns: UInt32 = Place.gateway) {
        answers[.listeners(port: port, netns: netns)] = .listeners(listeners)
    }
}

func listener(
    _ endpoint: String, by process: String? = "nginx", pid: Int32 = 812, isIPv6Only: Bool? = nil,
    tiedTo device: String? = nil
) -> Listener {
    let bound = HandshakeTests.endpoint(endpoint)
    return Listener(
        address: bound.address, port: bound.port, isIPv6Only: isIPv6Only,
        interface: device.map { .init(index: 7, name: $0) }, acceptQueue: 0, acceptQueueLimit: 128,
        inode: UInt64(pid), process: process.map { ProcessIdentity(pid: pid, name: $0) })
}

/// Keeps all that a sink is told, in order.
final class CollectingSink: Sink {
    private(set) var connections: [Connection] = []
    private(set) var steps: [(step: Step, connection: Connection)] = []
    private(set) var verdicts: [(verdict: Verdict, connection: Connection)] = []
    private(set) var losses: [Loss] = []
    private(set) var totals: Totals?

    func start(_ start: StartInfo) {}
    func step(_ step: Step, of connection: Connection) {
        if !connections.contains(where: { $0 === connection }) { connections.append(connection) }
        steps.append((step, connection))
    }
    func verdict(_ verdict: Verdict, of connection: Connection) { verdicts.append((verdict, connection)) }
    func loss(_ loss: Loss) { losses.append(loss) }
    func stop(_ totals: Totals) { self.totals = totals }
}

/// What happens on a machine, told to an explainer.
final class Story {
    static let start: UInt64 = 1_000_000_000_000

    let facts = FakeFacts()
    let sink = CollectingSink()
    let explainer: Explainer
    private let forgetting = Numbers()

    private final class Numbers { var all: [UInt32] = [] }

    init(_ change: (inout ExplainerOptions) -> Void = { _ in }) {
        var options = ExplainerOptions()
        change(&options)
        explainer = Explainer(options: options, facts: facts, sink: sink) { [forgetting] in forgetting.all.append($0) }
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
            guard let decoded = Observation(raw) else { fatalError("not an observation: kind \(raw.kind)") }
            explainer.observe(decoded)
        }
    }

    /// Nothing happens until then.
    func silence(until time: Duration) { explainer.advance(to: Self.clock(time)) }
    func ends(at time: Duration) { explainer.finish(at: Self.clock(time)) }

    static func clock(_ time: Duration) -> UInt64 {
        let parts = time.components
        return start + UInt64(parts.seconds) * 1_000_000_000 + UInt64(parts.attoseconds / 1_000_000_000)
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
