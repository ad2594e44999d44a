// What a sink is told, as text: to compare two explainers by.

@testable import Handshake

/// Keeps each step and verdict with all that it holds.
final class Telling: Sink {
    private(set) var all: [String] = []

    func takeAll() -> [String] {
        defer { all = [] }
        return all
    }

    func start(_ start: StartInfo) { all.append("\(start)") }
    func step(_ step: Step, of connection: Connection) { all.append("\(name(connection)) \(step)") }
    func verdict(_ verdict: Verdict, of connection: Connection) {
        // Sinks may tell the whole way with the verdict.
        let steps = connection.steps.map { "\($0)" }.joined(separator: "; ")
        all.append("\(name(connection)) \(verdict) \(connection.omittedSteps) \(connection.isBrief) \(steps)")
    }
    func loss(_ loss: Loss) { all.append("\(loss)") }
    func stop(_ totals: Totals) {
        let verdicts = totals.verdicts.map { "\($0.key) \($0.value)" }.sorted()
        all.append("\(verdicts) \(totals.events) \(totals.lost) \(totals.time)")
    }

    private func name(_ connection: Connection) -> String {
        "\(connection.id) \(connection.startTime) \(connection.dialled) \(connection.course)"
    }
}

/// Tells both.
final class BothSinks: Sink {
    private let first: any Sink
    private let second: any Sink

    init(_ first: any Sink, _ second: any Sink) {
        self.first = first
        self.second = second
    }

    func start(_ start: StartInfo) {
        first.start(start)
        second.start(start)
    }
    func step(_ step: Step, of connection: Connection) {
        first.step(step, of: connection)
        second.step(step, of: connection)
    }
    func verdict(_ verdict: Verdict, of connection: Connection) {
        first.verdict(verdict, of: connection)
        second.verdict(verdict, of: connection)
    }
    func loss(_ loss: Loss) {
        first.loss(loss)
        second.loss(loss)
    }
    func stop(_ totals: Totals) {
        first.stop(totals)
        second.stop(totals)
    }
}
