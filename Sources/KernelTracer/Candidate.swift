// A hook that is being attached, with what was tried so far.

import Handshake

/// The ways to a hook that are still open, best first, and why the better ones are not.
struct Candidate {
    let plan: HookPlan
    private var ways: ArraySlice<(way: Way, obstacle: HookSurvey.Obstacle?)>
    private(set) var declined: [DeclinedWay] = []

    init(_ plan: HookPlan, _ finding: HookSurvey.Finding) {
        self.plan = plan
        ways = finding.ways[...]
        skipClosed()
    }

    /// The way to try now; nil: there is none left.
    var next: Way? { ways.first?.way }

    /// It was tried in vain.
    mutating func refuse(_ reason: String) {
        guard let way = ways.popFirst()?.way else { return }
        declined.append(DeclinedWay(backend: way.backend, reason: reason))
        skipClosed()
    }

    /// The same without the ways before the first that is ready; nil: none is.
    func startingWithWay(_ isReady: (Way) -> Bool) -> Candidate? {
        var candidate = self
        while let way = candidate.next {
            if isReady(way) { return candidate }
            candidate.refuse("its program can only be loaded when its module is, which takes longer")
        }
        return nil
    }

    private mutating func skipClosed() {
        while let (way, obstacle) = ways.first, let obstacle {
            switch obstacle {
            case .refusal(let reason): declined.append(DeclinedWay(backend: way.backend, reason: reason))
            case .notLoaded(let module):
                declined.append(DeclinedWay(backend: way.backend, reason: "module \(module) is not loaded"))
            }
            ways.removeFirst()
        }
    }
}
