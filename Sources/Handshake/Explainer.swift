// The core: observations in, steps and verdicts out. Pure: time is what observations and
// the caller say it is, facts come through one protocol, output goes to one sink.

import CNattrace

/// What may be set from outside. Times are in nanoseconds.
public struct ExplainerOptions: Sendable, Codable, Hashable {
    /// How long a handshake may stay without an answer.
    public var unansweredAfter: UInt64 = 5_000_000_000
    public var filter = ConnectionFilter()
    public var selection = VerdictSelection()
    /// Hooks that are attached from the start, by name (`StartInfo.backends`). That one of them saw nothing means
    /// that nothing happened there.
    public var hooks: Set<String> = []
    /// The network namespace from which commands of advice are run (`StartInfo.netns`); nil: not known.
    public var homeNetns: UInt32?
    /// Verdicts to be told at most; nil: no limit. When it is reached, `isExhausted`.
    public var maximumVerdicts: Int?
    /// Connections kept at once. Beyond that the one that is missed least goes (`Explainer.evicted`).
    public var maximumConnections = 131_072
    /// Connections that are kept ready for what comes next; others are put away as what made them.
    var maximumAtWork = 4096
    /// Memory of those, taken together.
    var maximumBytesAtWork = 20 << 20
    /// Memory that the pasts of those put away may take together, by what they take on average with NAT; where it is
    /// used up, there are too many connections.
    var maximumHistoryBytes: Int { maximumConnections * 320 }

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
    /// Memory that the past of one connection may take. Beyond that it goes as where there are too many.
    static let maximumHistoryBytesOfOne = 64 << 10
    /// About what a connection at work takes beside its steps and its history.
    private static let bytesOfOneAtWork = 2304
    /// How many connections of one number are compared with an observation that none of them was seen like: the
    /// newest ones. Clients choose numbers at random, but scanners may have one for all.
    static let maximumLikely = 8

    public private(set) var totals = Totals()
    /// Verdicts told to the sink, revisions included.
    public private(set) var verdictsGiven = 0
    /// No further verdict will be told: there is no use in going on.
    public var isExhausted: Bool { options.maximumVerdicts.map { verdictsGiven >= $0 } ?? false }
    /// Connections that have no verdict yet.
    public var inFlight: Int { table.inFlightCount }
    /// Connections that had to go before their end.
    public private(set) var evicted: UInt64 = 0
    /// Whether the owner falls behind: set by it. Of connections that begin meanwhile steps are told only if they
    /// fail, and then with the verdict; of those that succeed the verdict alone.
    public var isPressed = false
    /// Steps that were left out for that.
    public private(set) var stepsLeftOut: UInt64 = 0
    /// Counts what the filters take.
    public var meter: (any Meter)?

    private let options: ExplainerOptions
    private let facts: RecentAnswers
    private let sink: any Sink
    private var names: Names
    /// Told the numbers under which the kernel side need not follow any longer.
    private let forget: (UInt32) -> Void
    private let table: ConnectionTable
    private var deadlines = DeadlineQueue()
    private var atWork = WorkRing()
    private var bytesAtWork = 0
    /// What those take that are put away.
    private var historyBytes = 0
    /// The last verdict, for the many that are the same in a flood.
    private var lastGiven: GivenVerdict?
    /// Those of the start, and those that have shown something since.
    private var observedHooks: Set<Hook>
    /// The same as bits, which are asked for each observation.
    private var observedHookBits: UInt64 = 0
    /// When a loss was told last; CLOCK_MONOTONIC, nanoseconds.
    private var lastLoss: UInt64 = 0

    public init(
        options: ExplainerOptions, facts: any Facts, sink: any Sink, forget: @escaping (UInt32) -> Void = { _ in }
    ) {
        self.options = options
        self.facts = RecentAnswers(facts, maximumAge: Self.settleTime)
        self.sink = sink
        self.forget = forget
        names = Names(facts: facts)
        table = ConnectionTable(capacity: options.maximumConnections)
        observedHooks = Set(options.hooks.compactMap(Hook.init(name:)))
    }

    // MARK: In

    /// Takes in one observation, which was decoded from `raw`. They come in the order of their times.
    public func observe(_ observation: Observation, raw: nattrace_observation) {
        totals.events += 1
        noteHook(observation.hook)
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
        connection.take(observation, raw, names: names)
        table.noteTuples(of: connection)
        show(connection, from: before)
        if connection.history.count > Self.maximumHistoryBytesOfOne {
            evict(connection.index, at: observation.time)
        } else {
            schedule(connection)
            countBytes(of: connection)
        }
        putAwayWhatIsTooMuch()
    }

    private func noteHook(_ hook: Hook) {
        let bit: UInt64 = 1 << UInt64(hook.rawValue)
        guard observedHookBits & bit == 0 else { return }
        observedHookBits |= bit
        observedHooks.insert(hook)
    }

    /// Lets time pass: gives the verdicts and ends the connections that are due.
    public func advance(to time: UInt64) {
        while let (index, entry) = deadlines.popDue(by: time) {
            let due = table[index].pointee.due
            if due > entry {
                if due != .max { deadlines.add(index, at: due) }
                continue
            }
            table[index].pointee.due = .max
            decide(index, at: due)
            putAwayWhatIsTooMuch()
        }
        totals.time = max(totals.time, time)
    }

    /// Up to when time has passed; CLOCK_MONOTONIC, nanoseconds.
    public var time: UInt64 { totals.time }

    /// When `advance` has something to do next; CLOCK_MONOTONIC, nanoseconds. nil: nothing.
    public var nextDeadline: UInt64? { deadlines.next }

    /// A kernel module came or went: code addresses mean something else.
    public func forgetSymbols() { names = names.successor(forgettingSymbols: true) }

    /// Tells of a loss. Where observations were lost, connections from before it are judged with that in mind; what
    /// was merely not told was seen nevertheless.
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
        let open = isExhausted ? [] : table.all.filter(isUnsaid)
        let inOrder = open.sorted {
            let (a, b) = (table[$0], table[$1])
            return (a.pointee.startTime, a.pointee.id) < (b.pointee.startTime, b.pointee.id)
        }
        for index in inOrder {
            conclude(connection(at: index), at: time, isFinal: true)
            // Nothing comes after this: it need not be put away again.
            letGo(index)
        }
        totals.time = time
        totals.observations = observations
        sink.stop(totals)
    }

    // MARK: Which connection

    /// The connection that an observation belongs to. The ISN leads there, and tuples confirm:
    /// 32 bits can be the same by chance, addresses then tell apart. A SYN may begin a new one.
    private func connection(for o: Observation) -> Connection? {
        if let newest = table.newest(o.isn), let known = knownConnection(for: o, newest: newest) { return known }
        // What an ICMP error quotes may have been translated: it does not tell what was dialled.
        guard o.kind != .icmp, o.packet?.flags.role == .syn, o.packet?.flags.isEmpty == false,
            let dialled = o.dialled
        else { return nil }
        if names.isFull { names = names.successor() }
        while table.isFull || historyBytes > options.maximumHistoryBytes, let index = table.mostDispensable {
            evict(index, at: o.time)
        }
        let connection = Connection(isn: o.isn, dialled: dialled, startTime: o.time)
        table.insert(connection)
        let slot = table[connection.index]
        if isPressed { slot.pointee.flags.insert(.brief) }
        atWork.add(connection.index, table)
        // Those of the same number are told apart by their tuples from now on.
        if let older = table.older(than: connection.index) { table.noteTuples(of: self.connection(at: older)) }
        return connection
    }

    private func knownConnection(for o: Observation, newest: ConnectionTable.Index) -> Connection? {
        let views = ClientViews(o)
        guard table.older(than: newest) != nil else {
            let only = connection(at: newest)
            if views.isEmpty { return only }
            let isKnown = views.contains { only.trail.contains($0) }
            return isKnown || only.mayHaveBecome(o, views) ? only : nil
        }
        guard !views.isEmpty else { return nil }
        var known: Connection?
        views.visit { view in
            table.forEach(o.isn, view) { index in
                if let known, table[known.index].pointee.serial >= table[index].pointee.serial { return }
                let candidate = connection(at: index)
                if candidate.isn == o.isn, candidate.trail.contains(view) { known = candidate }
            }
        }
        if let known { return known }
        var next: ConnectionTable.Index? = newest
        for _ in 0..<Self.maximumLikely {
            guard let index = next else { break }
            let candidate = connection(at: index)
            if candidate.mayHaveBecome(o, views) { return candidate }
            next = table.older(than: index)
        }
        return nil
    }

    // MARK: At work and put away

    /// The connection at a place of the table, made again if it was put away.
    private func connection(at index: ConnectionTable.Index) -> Connection {
        let slot = table[index]
        slot.pointee.flags.insert(.used)
        if let connection = slot.pointee.work { return connection }
        guard let past = slot.pointee.history,
            let connection = Connection(
                from: past, isn: slot.pointee.isn, startTime: slot.pointee.startTime, verdict: slot.pointee.verdict)
        else { preconditionFailure("a connection has a past that begins with its SYN") }
        historyBytes -= past.count
        connection.index = index
        connection.isBrief = slot.pointee.flags.contains(.leftOut)
        slot.pointee.work = connection
        slot.pointee.history = nil
        atWork.add(index, table)
        countBytes(of: connection)
        return connection
    }

    private func countBytes(of connection: Connection) {
        let bytes =
            Self.bytesOfOneAtWork + connection.history.room + connection.steps.capacity * MemoryLayout<Step>.stride
        bytesAtWork += bytes - connection.countedBytes
        connection.countedBytes = bytes
    }

    private func putAwayWhatIsTooMuch() {
        while atWork.count > options.maximumAtWork || bytesAtWork > options.maximumBytesAtWork,
            let index = atWork.next(table)
        {
            putAway(index)
        }
    }

    /// Keeps of a connection what made it.
    private func putAway(_ index: ConnectionTable.Index) {
        let slot = table[index]
        guard let connection = slot.pointee.work else { return }
        var flags = slot.pointee.flags.subtracting([.undecided, .unsaid])
        if isUndecided(connection) { flags.insert(.undecided) }
        if isUnsaid(connection) { flags.insert(.unsaid) }
        slot.pointee.flags = flags
        slot.pointee.keptUntil = connection.lastTime &+ linger(connection)
        let past = connection.history.kept(with: connection.followedNumbers)
        historyBytes += past.count
        stopWork(index, connection)
        slot.pointee.history = past
    }

    private func stopWork(_ index: ConnectionTable.Index, _ connection: Connection) {
        atWork.remove(index, table)
        bytesAtWork -= connection.countedBytes
        table[index].pointee.work = nil
    }

    // MARK: Going

    /// There is no room for it any more. What was begun to be told of it gets an end; the rest is counted.
    private func evict(_ index: ConnectionTable.Index, at time: UInt64) {
        if table[index].pointee.verdict == nil {
            evicted += 1
            if table[index].pointee.flags.contains(.shown) {
                conclude(connection(at: index), at: time, isFinal: true, isEvicted: true)
            }
        }
        remove(index)
    }

    private func remove(_ index: ConnectionTable.Index) {
        let slot = table[index]
        for number in slot.pointee.work?.followedNumbers ?? slot.pointee.history?.numbers ?? [] { forget(number) }
        letGo(index)
    }

    private func letGo(_ index: ConnectionTable.Index) {
        let slot = table[index]
        if let connection = slot.pointee.work { stopWork(index, connection) }
        if let past = slot.pointee.history { historyBytes -= past.count }
        deadlines.remove(index)
        table.remove(index)
    }

    // MARK: Showing

    /// Hands new steps to the sink, or all of them once the connection turns out to be asked for.
    private func show(_ connection: Connection, from first: Int) {
        guard connection.steps.count > first, !isExhausted else { return }
        let slot = table[connection.index]
        var firstToCount = first
        if !slot.pointee.flags.contains(.askedFor) {
            guard options.filter.matches(connection) else { return }
            slot.pointee.flags.insert(.askedFor)
            firstToCount = 0
        }
        if let meter {
            for index in firstToCount..<connection.steps.count { meter.step(connection.steps[index]) }
        }
        if slot.pointee.flags.contains(.shown) {
            for index in first..<connection.steps.count { sink.step(connection.steps[index], of: connection) }
        } else if connection.isBrief {
            stepsLeftOut += UInt64(connection.steps.count - first)
        } else if options.selection.takesAll, !slot.pointee.flags.contains(.brief) {
            showAll(connection)
        }
    }

    private func showAll(_ connection: Connection) {
        let slot = table[connection.index]
        guard !slot.pointee.flags.contains(.shown) else { return }
        slot.pointee.flags.insert(.shown)
        for step in connection.steps { sink.step(step, of: connection) }
    }

    // MARK: Deciding

    private func schedule(_ connection: Connection) {
        let last = connection.lastTime
        let wanted: UInt64
        if connection.verdict?.outcome == .success {
            let due = table[connection.index].pointee.due
            wanted = due != .max ? due : last &+ Self.lingerAfterSuccess
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
        setDue(connection.index, wanted)
    }

    /// The queue's time is never later. Where it is earlier, the connection comes up and is put back.
    private func setDue(_ index: ConnectionTable.Index, _ time: UInt64) {
        guard table[index].pointee.due != time else { return }
        table[index].pointee.due = time
        deadlines.add(index, at: time)
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

    /// Whether a verdict is to be given when it is due.
    private func isUndecided(_ connection: Connection) -> Bool {
        guard let verdict = connection.verdict else { return true }
        return verdict.outcome != .success && connection.ending.explainsMore(than: connection)
    }

    /// Whether a verdict is to be given when tracing ends.
    private func isUnsaid(_ connection: Connection) -> Bool {
        guard let verdict = connection.verdict else { return true }
        return verdict.outcome != .success
            && connection.decisiveEnding.map { $0.key(in: connection) != connection.concluded } ?? false
    }

    private func isUnsaid(_ index: ConnectionTable.Index) -> Bool {
        table[index].pointee.work.map(isUnsaid) ?? table[index].pointee.flags.contains(.unsaid)
    }

    private func decide(_ index: ConnectionTable.Index, at time: UInt64) {
        let slot = table[index]
        // Put away, and nothing but its end to wait for: it need not be made again for that.
        if slot.pointee.work == nil, !slot.pointee.flags.contains(.undecided) {
            if time >= slot.pointee.keptUntil { remove(index) } else { setDue(index, slot.pointee.keptUntil) }
            return
        }
        let connection = connection(at: index)
        if isUndecided(connection) {
            conclude(connection, at: time, isFinal: false)
            setDue(index, max(time, connection.lastTime) &+ linger(connection))
            countBytes(of: connection)
            // It has done its work, most likely: others need the room more.
            if atWork.count > options.maximumAtWork / 2 || bytesAtWork > options.maximumBytesAtWork / 2 {
                putAway(index)
            }
        } else if time >= connection.lastTime &+ linger(connection) {
            remove(index)
        } else {
            setDue(index, connection.lastTime &+ linger(connection))
        }
    }

    private func conclude(_ connection: Connection, at time: UInt64, isFinal: Bool, isEvicted: Bool = false) {
        let before = connection.steps.count
        connection.settle(names: names)
        let ending = connection.ending
        facts.judging(at: time, end: connection.lastTime)
        let evidence = Case(
            connection, ending: ending, isFinal: isFinal, isEvicted: isEvicted,
            isIncomplete: lastLoss >= connection.startTime, time: time, observedHooks: observedHooks,
            homeNetns: options.homeNetns, facts: facts)
        evidence.consultTable()
        var verdict = judge(evidence)
        if verdict.outcome != .success { evidence.tellConcludedRules() }
        show(connection, from: before)
        let known = connection.verdict
        let given = GivenVerdict(verdict, ending: ending.key(in: connection))
        // Known by another sign, such as a drop that came of what was concluded before: nothing new.
        let isNews = known.map { !given.says(theSameAs: $0) } ?? true
        stand(given, for: connection)
        guard isNews else { return }
        verdict.isRevised = known != nil
        let slot = table[connection.index]
        guard slot.pointee.flags.contains(.askedFor), !isExhausted else { return }
        if let earlier = slot.pointee.countedAs { totals.retract(earlier) }
        slot.pointee.countedAs = verdict.code
        totals.verdicts[verdict.code, default: 0] += 1
        meter?.verdict(verdict, of: connection)
        let isShown = slot.pointee.flags.contains(.shown)
        guard isShown || options.selection.takes(verdict) else { return }
        // One that was not asked for was not told either.
        if isShown, let known { verdict.replaces = Verdict.Replaced(code: known.code, rule: known.ruleInQuestion) }
        if !isShown, slot.pointee.flags.contains(.brief), verdict.outcome == .success {
            connection.isBrief = true
            slot.pointee.flags.insert(.leftOut)
            stepsLeftOut += UInt64(connection.steps.count)
        } else {
            showAll(connection)
        }
        verdictsGiven += 1
        sink.verdict(verdict, of: connection)
    }

    /// What is remembered of a verdict. Floods end all the same way: that is kept once.
    private func stand(_ given: GivenVerdict, for connection: Connection) {
        let kept: GivenVerdict
        if let lastGiven, lastGiven.isEqual(to: given) { kept = lastGiven } else { kept = given }
        lastGiven = kept
        if kept.outcome == .success, connection.verdict?.outcome != .success { connection.add(.succeeded) }
        connection.verdict = kept
        table.give(kept, to: connection.index)
    }

    private func judge(_ evidence: Case) -> Verdict {
        let cause = Cause.all.first { $0.applies(evidence) } ?? Cause.unexplained
        return Verdict(cause, evidence)
    }
}

extension Verdict {
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
    /// Whether an observation may be its own after a rewrite that was not seen.
    fileprivate func mayHaveBecome(_ o: Observation, _ views: ClientViews) -> Bool {
        views.contains { trail.sharesEnd(with: $0) } && !wasSeenOtherwise(at: o)
    }

    /// Whether its SYN came by this place before, with other addresses or ports. It is not rewritten
    /// on the spot: a scanner dials many ports with one number.
    private func wasSeenOtherwise(at o: Observation) -> Bool {
        guard o.kind == .packet, let packet = o.packet, packet.flags.role == .syn else { return false }
        return attempt.places.contains {
            $0.hook == o.hook && $0.netns == o.netns && $0.interface == o.interfaceIndex && $0.tuple != packet.tuple
        }
    }
}
