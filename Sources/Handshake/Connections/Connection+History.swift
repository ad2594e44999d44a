// How a connection is added to, so that it can be put away and made again: whatever changes it comes through here.

import CNattrace

extension Connection {
    /// Takes in one observation: `raw` is what it was decoded from.
    func take(_ observation: Observation, _ raw: nattrace_observation, names: Names) {
        use(names)
        history.append(raw, after: lastRaw)
        lastRaw = raw
        absorb(observation, names: names)
    }

    /// Tells of a decision that was waiting for more: nothing comes before the verdict.
    func settle(names: Names) {
        guard pending != nil else { return }
        use(names)
        add(.settled)
    }

    func add(_ event: HistoryEvent) {
        history.append(event)
        apply(event)
    }

    private func use(_ current: Names) {
        guard names !== current else { return }
        if names == nil {
            names = current
            history.begin(with: current)
        } else {
            add(.names(current))
        }
    }

    private func apply(_ event: HistoryEvent) {
        switch event {
        case .settled: if let names { settlePending(before: nil, names: names) }
        case .succeeded: break  // said by the verdict
        case .names(let current): names = current
        case .learned(let entry, let netns): learn(entry, in: netns)
        case .concluded(let rule, let translator): conclude(rule, by: translator)
        }
    }

    /// The connection that has this past, as it was; nil: it is none's.
    ///
    /// From when it succeeded on, observations mean something else: `verdict`, the one that stands, holds from there.
    convenience init?(from past: History, isn: UInt32, startTime: UInt64, verdict: GivenVerdict?) {
        var reader = past.makeReader()
        guard let names = past.names, case .observation? = reader.next(), let first = Observation(reader.raw),
            let dialled = first.dialled
        else { return nil }
        self.init(isn: isn, dialled: dialled, startTime: startTime)
        self.names = names
        absorb(first, names: names)
        while let item = reader.next() {
            switch item {
            case .observation:
                if let observation = Observation(reader.raw), let names = self.names {
                    absorb(observation, names: names)
                }
            case .event(.succeeded): self.verdict = verdict
            case .event(let event): apply(event)
            }
        }
        self.verdict = verdict
        history = past
        lastRaw = reader.raw
    }
}
