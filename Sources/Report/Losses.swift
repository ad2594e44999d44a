// What was lost, by reason, and what that makes doubtful.

import Handshake

struct Losses {
    struct Kind {
        var reason: String
        var scope: LossScope
        var events: UInt64
        var since: UInt64
        var time: UInt64
    }

    /// There are a dozen reasons; a recording that was tampered with may name more.
    static let maximumReasons = 64

    private(set) var kinds: [Kind] = []
    /// Of reasons that were too many.
    private(set) var others: UInt64 = 0
    /// When observations were lost last; CLOCK_MONOTONIC, nanoseconds.
    private(set) var lastOfObservations: UInt64?

    mutating func add(_ loss: Loss) {
        if loss.scope == .observations { lastOfObservations = max(lastOfObservations ?? 0, loss.time) }
        if let index = kinds.firstIndex(where: { $0.reason == loss.reason && $0.scope == loss.scope }) {
            kinds[index].events = sum(kinds[index].events, loss.events)
            kinds[index].since = min(kinds[index].since, loss.since)
            kinds[index].time = max(kinds[index].time, loss.time)
        } else if kinds.count < Self.maximumReasons {
            kinds.append(
                Kind(reason: loss.reason, scope: loss.scope, events: loss.events, since: loss.since, time: loss.time))
        } else {
            others = sum(others, loss.events)
        }
    }

    /// Numbers come from a file, which may claim any.
    private func sum(_ a: UInt64, _ b: UInt64) -> UInt64 {
        let (sum, overflow) = a.addingReportingOverflow(b)
        return overflow ? .max : sum
    }
}

extension LossScope {
    /// What a reader has to doubt.
    var doubt: String {
        switch self {
        case .observations:
            "Parts of what happened were not seen: of connections that were under way then, steps may be missing, "
                + "and a verdict may be more general than it could be. They are marked."
        case .handshakes:
            "Handshakes were not followed: they are missing here. Those that are here were seen in full."
        case .output:
            "It was seen and explained, but not told where the tracing was watched: nothing here is doubtful."
        }
    }
}
