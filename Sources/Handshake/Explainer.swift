// The core: observations in, steps and verdicts out. Pure: time is what observations and
// the caller say it is, facts come through one protocol, output goes to one sink.

/// What may be set from outside. Times are in nanoseconds.
public struct ExplainerOptions: Sendable, Codable, Hashable {
    /// How long a handshake may stay without an answer.
    public var unansweredAfter: UInt64 = 5_000_000_000
    public var filter = ConnectionFilter()
    public var selection = VerdictSelection()
    /// Hooks that are attached from the start, by name (`StartInfo.backends`). That one of them saw nothing means
    /// that nothing happened there.
    public var hooks: Set<String> = []
    /// Verdicts to be told at most; nil: no limit. When it is reached, `isExhausted`.
    public var maximumVerdicts: Int?

    public init() {}
}

/// Which connections are told of, by how they ended. They are all counted.
public struct VerdictSelection: Sendable, Codable, Hashable {
    /// Only those that did not get established.
    public var failedOnly = false
    /// Only these verdicts; empty: all.
    public var codes: Set<VerdictCode> = []

    public init(failedOnly: Bool = false, codes: Set<VerdictCode> = []) {
        self.failedOnly = failedOnly
        self.codes = codes
    }

    /// Whether steps may be told as they happen, before it is known how the connection ends.
    var takesAll: Bool { !failedOnly && codes.isEmpty }

    func takes(_ verdict: Verdict) -> Bool {
        (!failedOnly || verdict.outcome != .success) && (codes.isEmpty || codes.contains(verdict.code))
    }
}

/// Builds one timeline per connection and gives it a verdict as soon as its evidence stands.
public final class Explainer {
    /// Between the evidence and the verdict: the RST that was just made still goes out, is
    /// translated back and reaches a client on this machine, and belongs to the timeline.
    static let settleTime: UInt64 = 50_000_000
    /// The same while an RST was made and not yet seen leaving: it may have to wait for a neighbour's
    /// address, or be dropped on its way out without a word.
    static let settleTimeUntilReset: UInt64 = 250_000_000
    /// How long a finished connection is kept, for what still trickles in.
    static let lingerAfterSuccess: UInt64 = 1_000_000_000
    /// A client that was reset does not send its SYN again. One that the RST did not reach does, after 1 s
    /// (RFC 6298), or 3 s where it is old (RFC 1122).
    static let lingerAfterReset: UInt64 = 4_000_000_000
    /// The longest pause between two SYNs of one attempt is 64 s (tcp_syn_retries up to 6).
    static let lingerAfterFailure: UInt64 = 70_000_000_000
    /// Connections kept at once. Beyond that the oldest goes, with the verdict that stands so
    /// far, and is counted as a loss.
    public static let maximumConnections = 16_384

    public private(set) var totals = Totals()
    /// Verdicts told to the sink, revisions included.
    public private(set) var verdictsGiven = 0
    /// No further verdict will be told: there is no use in going on.
    public var isExhausted: Bool { options.maximumVerdicts.map { verdictsGiven >= $0 } ?? false }
    /// Connections that had to go before their end.
    public private(set) var evicted: UInt64 = 0

    private let options: ExplainerOptions
    private let facts: any Facts
    private let sink: any Sink
    private let names: Names
    /// Told the numbers under which the kernel side need not follow any longer.
    private let forget: (UInt32) -> Void
    private var connections: [UInt32: [Connection]] = [:]
    private var count = 0
    /// In the order of their beginning, those that are gone included; kept ones start at `oldest`.
    private var arrivals: [Connection] = []
    private var oldest = 0
    private var deadlines = DeadlineQueue()
    /// Those of the start, and those that have shown something since.
    private var observedHooks: Set<Hook>
    /// When a loss was told last; CLOCK_MONOTONIC, nanoseconds.
    private var lastLoss: UInt64 = 0

    public init(
        options: ExplainerOptions, facts: any Facts, sink: any Sink, forget: @escaping (UInt32) -> Void = { _ in }
    ) {
        self.options = options
        self.facts = facts
        self.sink = sink
        self.forget = forget
        names = Names(facts: facts)
        observedHooks = Set(options.hooks.compactMap(Hook.init(name:)))
    }

    // MARK: In

    /// Takes in one observation. They come in the order of their times.
    public func observe(_ observation: Observation) {
        totals.events += 1
        observedHooks.insert(observation.hook)
        advance(to: observation.time)
        if let only = options.filter.netns, observation.netns != only { return }
        guard let connection = connection(for: observation) else { return }
        // How the last attempt ended is told before the next one makes it forgotten.
        if connection.isRepeated(by: observation), connection.verdict?.outcome != .success,
            let ending = connection.decisiveEnding, ending.explainsMore(than: connection)
        {
            conclude(connection, at: observation.time, isFinal: false)
        }
        let before = connection.steps.count
        connection.absorb(observation, names: names)
        show(connection, from: before)
        schedule(connection)
    }

    /// Lets time pass: gives the verdicts and ends the connections that are due.
    public func advance(to time: UInt64) {
        while let (connection, entry) = deadlines.popDue(by: time) {
            guard let due = connection.due else { continue }
            if due > entry {
                deadlines.add(connection, at: due)
                continue
            }
            connection.due = nil
            decide(connection, at: due)
        }
        totals.time = max(totals.time, time)
    }

    /// Up to when time has passed; CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64 { totals.time }

    /// When `advance` has something to do next; CLOCK_MONOTONIC, nanoseconds. nil: nothing.
    public var nextDeadline: UInt64? { deadlines.next }

    /// A kernel module came or went: code addresses mean something else.
    public func forgetSymbols() { names.forgetSymbols() }

    public func report(_ loss: Loss) {
        // What was due before is judged by what was known before, live as in a replay.
        advance(to: loss.passed ?? loss.time &- min(loss.time, ReorderBuffer.window))
        // Of a handshake that is not followed there is nothing to judge, and what was not told was seen.
        if loss.scope == .observations { lastLoss = loss.time }
        totals.lost += loss.events
        sink.loss(loss)
    }

    /// Tracing ends: every connection still in flight gets the verdict that stands so far.
    /// `observations`: what the kernel side says of those that it made, where all of them were taken in.
    public func finish(at time: UInt64, observations: ObservationCount? = nil) {
        advance(to: time)
        let open =
            isExhausted
            ? []
            : connections.values.joined().filter { connection in
                guard let verdict = connection.verdict else { return true }
                return verdict.outcome != .success
                    && connection.decisiveEnding.map { $0.key(in: connection) != connection.concluded } ?? false
            }
        for connection in open.sorted(by: { ($0.startTime, $0.id) < ($1.startTime, $1.id) }) {
            conclude(connection, at: time, isFinal: true)
        }
        totals.time = time
        totals.observations = observations
        sink.stop(totals)
    }

    // MARK: Which connection

    /// The connection that an observation belongs to. The ISN leads there, and tuples confirm:
    /// 32 bits can be the same by chance, addresses then tell apart. A SYN may begin a new one.
    private func connection(for o: Observation) -> Connection? {
        let candidates = connections[o.isn] ?? []
        let views = o.clientViews
        if views.isEmpty {
            if candidates.count == 1 { return candidates[0] }
        } else {
            if let known = candidates.last(where: { c in views.contains { c.trail.contains($0) } }) { return known }
            let near = candidates.last { c in
                views.contains { c.trail.sharesEnd(with: $0) } && !c.wasSeenOtherwise(at: o)
            }
            if let near { return near }
        }
        // What an ICMP error quotes may have been translated: it does not tell what was dialled.
        guard o.kind != .icmp, o.packet?.flags.role == .syn, o.packet?.flags.isEmpty == false,
            let dialled = o.dialled
        else { return nil }
        makeRoom(at: o.time)
        let connection = Connection(isn: o.isn, dialled: dialled, startTime: o.time)
        connection.trail.note(dialled)
        connections[o.isn, default: []].append(connection)
        arrivals.append(connection)
        count += 1
        return connection
    }

    /// Evicts in the order of arrival, so that a flood costs no search.
    private func makeRoom(at time: UInt64) {
        while count >= Self.maximumConnections, oldest < arrivals.count {
            let connection = arrivals[oldest]
            oldest += 1
            guard !connection.isGone else { continue }
            if connection.verdict == nil {
                conclude(connection, at: time, isFinal: true, isEvicted: true)
                evicted += 1
            }
            remove(connection)
        }
    }

    private func remove(_ connection: Connection) {
        connection.due = nil
        connection.isGone = true
        for number in connection.followedNumbers { forget(number) }
        connections[connection.isn]?.removeAll { $0 === connection }
        if connections[connection.isn]?.isEmpty == true { connections[connection.isn] = nil }
        count -= 1
        letGo()
    }

    /// Lets go of connections that are gone, once they are more than half of what is held: seldom
    /// enough to cost each of them little.
    private func letGo() {
        let most = 2 * count + 64
        if arrivals.count > most {
            arrivals = arrivals[oldest...].filter { !$0.isGone }
            oldest = 0
        }
        if deadlines.count > most {
            deadlines = DeadlineQueue()
            for connection in connections.values.joined() {
                if let due = connection.due { deadlines.add(connection, at: due) }
            }
        }
    }

    // MARK: Showing

    /// Hands new steps to the sink, or all of them once the connection turns out to be asked for.
    private func show(_ connection: Connection, from first: Int) {
        guard connection.steps.count > first, !isExhausted else { return }
        if !connection.isAskedFor {
            guard options.filter.matches(connection) else { return }
            connection.isAskedFor = true
        }
        if connection.isShown {
            for index in first..<connection.steps.count { sink.step(connection.steps[index], of: connection) }
        } else if options.selection.takesAll {
            showAll(connection)
        }
    }

    private func showAll(_ connection: Connection) {
        guard !connection.isShown else { return }
        connection.isShown = true
        for step in connection.steps { sink.step(step, of: connection) }
    }

    // MARK: Deciding

    private func schedule(_ connection: Connection) {
        let last = connection.lastTime
        let wanted: UInt64
        if connection.verdict?.outcome == .success {
            wanted = connection.due ?? last &+ Self.lingerAfterSuccess
        } else if let key = connection.decisiveEnding?.key(in: connection) {
            wanted = last &+ (key == connection.concluded ? linger(connection) : settleTime(of: connection))
        } else if connection.verdict == nil {
            wanted = connection.startTime &+ options.unansweredAfter
        } else {
            // A SYN or an answer sent again after a verdict, or an answer that came late: it may go unanswered
            // in another way.
            let begun =
                connection.attempt.lastSynack ?? connection.attempt.firstSynack ?? connection.attempt.firstSyn
            wanted = (begun?.time ?? last) &+ options.unansweredAfter
        }
        setDue(connection, wanted)
    }

    /// An entry of the queue that comes up too early is put back; one too late would be missed.
    private func setDue(_ connection: Connection, _ time: UInt64) {
        guard connection.due != time else { return }
        let needsEntry = connection.due.map { time < $0 } ?? true
        connection.due = time
        if needsEntry { deadlines.add(connection, at: time) }
    }

    private func settleTime(of connection: Connection) -> UInt64 {
        connection.attempt.reset != nil && connection.attempt.firstRst == nil && connection.attempt.clientRst == nil
            ? Self.settleTimeUntilReset : Self.settleTime
    }

    private func linger(_ connection: Connection) -> UInt64 {
        if connection.verdict?.outcome == .success { return Self.lingerAfterSuccess }
        return connection.attempt.hasResetForClient && !connection.isSentAgain
            ? Self.lingerAfterReset : Self.lingerAfterFailure
    }

    private func decide(_ connection: Connection, at time: UInt64) {
        let ending = connection.ending
        if connection.verdict == nil
            || (connection.verdict?.outcome != .success && ending.explainsMore(than: connection))
        {
            conclude(connection, at: time, isFinal: false)
            setDue(connection, max(time, connection.lastTime) &+ linger(connection))
        } else if time >= connection.lastTime &+ linger(connection) {
            remove(connection)
        } else {
            setDue(connection, connection.lastTime &+ linger(connection))
        }
    }

    private func conclude(_ connection: Connection, at time: UInt64, isFinal: Bool, isEvicted: Bool = false) {
        let before = connection.steps.count
        connection.settlePending(before: nil, names: names)
        let ending = connection.ending
        let evidence = Case(
            connection, ending: ending, isFinal: isFinal, isEvicted: isEvicted,
            isIncomplete: lastLoss >= connection.startTime, time: time, observedHooks: observedHooks, facts: facts)
        evidence.consultTable()
        var verdict = judge(evidence)
        if verdict.outcome != .success { evidence.tellConcludedRules() }
        show(connection, from: before)
        connection.concluded = ending.key(in: connection)
        // Known by another sign, such as a drop that came of what was concluded before: nothing new.
        if let known = connection.verdict, verdict.saysTheSame(as: known) { return }
        verdict.isRevised = connection.verdict != nil
        connection.verdict = verdict
        guard connection.isAskedFor, !isExhausted else { return }
        if let earlier = connection.countedAs { totals.retract(earlier) }
        connection.countedAs = verdict.code
        totals.verdicts[verdict.code, default: 0] += 1
        guard connection.isShown || options.selection.takes(verdict) else { return }
        showAll(connection)
        verdictsGiven += 1
        sink.verdict(verdict, of: connection)
    }

    private func judge(_ evidence: Case) -> Verdict {
        let cause = Cause.all.first { $0.applies(evidence) } ?? Cause.unexplained
        return Verdict(cause, evidence)
    }
}

extension Verdict {
    /// The same cause at the same place, by the same rule.
    fileprivate func saysTheSame(as other: Verdict) -> Bool {
        code == other.code && netns == other.netns && rule == other.rule && process == other.process
    }

    init(_ cause: Cause, _ c: Case) {
        let place = cause.place(c)
        let step = place.flatMap(c.step)
        self.init(
            code: cause.code, outcome: cause.code == .unexplained && c.isFinal ? .unknown : cause.outcome,
            sentence: cause.sentence(c), advice: cause.advice(c), evidence: cause.evidence(c),
            checklist: Checklist(c, code: cause.code), stage: step?.stage, function: step?.function,
            reason: step?.reason ?? (step?.action == .reset ? c.reasonOfDropAfterReset : nil), netns: step?.netns ?? 0,
            netnsName: step?.netnsName,
            rule: cause.rule(c), process: cause.process(c), time: c.time,
            duration: (c.connection.steps.last?.time ?? c.connection.startTime) - c.connection.startTime,
            isRevised: false)
    }
}

extension Case {
    /// Before 6.10 a reset has no reason, but the SYN that it answers is freed with one.
    var reasonOfDropAfterReset: String? {
        guard case .reset = ending, let drop = connection.attempt.drop, drop.role == .syn else { return nil }
        return step(drop.sighting)?.reason
    }
}

extension Checklist {
    init(_ c: Case, code: VerdictCode) {
        let attempt = c.connection.attempt
        let arrived: Bool? =
            if c.connection.steps.contains(where: {
                $0.showsSyn(at: .ingress) || $0.action == .deliver && $0.packet?.flags.role == .syn
            }) {
                true
            } else if c.isStoppedBeforeItLeft {
                false
            } else {
                nil
            }
        let answered: Answer? =
            if attempt.hasResetForClient {
                .rst
            } else if attempt.firstSynack != nil {
                .synack
            } else if attempt.icmp != nil {
                .icmp
            } else if code == .unexplained && c.isFinal || code == .filterRejected {
                // A rejection always has an answer; which one was not seen.
                nil
            } else {
                Answer.none
            }
        let conntrack: Conntrack? =
            if attempt.invalid[.syn] != nil {
                .invalid
            } else if code == .conntrackInvalid {
                .invalid
            } else if code == .untracked {
                .untracked
            } else if code == .staleConntrack {
                .stale
            } else if attempt.entry != nil || !c.connection.trail.trackedEntries.isEmpty {
                code == .established ? .established : .new
            } else if attempt.untracked[.syn] != nil {
                .untracked
            } else if let place = c.placeStep, attempt.passedWithoutEntry.contains(place.netns) {
                Conntrack.none
            } else {
                nil
            }
        let listener: Bool? =
            if c.unheardSyn != nil {
                false
            } else if attempt.request != nil || c.connection.establishment.server != nil || attempt.lookup?.found != nil
                || c.connection.isServerLocal || code == .acceptQueueFull || code == .socketRefused
            {
                true
            } else if attempt.lookup != nil {
                false
            } else {
                nil
            }
        self.init(
            synArrived: arrived, answer: answered, conntrack: conntrack, listenerMatches: listener)
    }
}

extension Connection {
    /// Whether its SYN came by this place before, with other addresses or ports. It is not rewritten
    /// on the spot: a scanner dials many ports with one number.
    fileprivate func wasSeenOtherwise(at o: Observation) -> Bool {
        guard o.kind == .packet, let packet = o.packet, packet.flags.role == .syn else { return false }
        return attempt.places.contains {
            $0.hook == o.hook && $0.netns == o.netns && $0.interface == o.interfaceIndex && $0.tuple != packet.tuple
        }
    }
}

extension Observation {
    /// How the flow looks in this observation, in the client's direction. An RST may run either way.
    var clientViews: [Tuple] {
        var views: [Tuple] = []
        if let entry = conntrack { views = [entry.original, entry.translated] }
        guard let packet, kind != .socketState || packet.tuple.source.port != 0 else { return views }
        switch packet.flags.role {
        case .syn: views.append(packet.tuple)
        case .synack: views.append(packet.tuple.reversed)
        case .ack, .rst: views += [packet.tuple, packet.tuple.reversed]
        }
        return views
    }

    /// What the client dialled, as far as this first sight of a SYN tells.
    var dialled: Tuple? {
        if let entry = conntrack, !entry.isReplyDirection { return entry.original }
        return packet?.tuple
    }
}
