// A live run: one thread and one loop, from the ring buffer to the sinks.

import CNattrace
import Glibc
import Handshake
import HostFacts
import KernelTracer
import Metrics
import Output
import Privileges
import SystemSupport

/// Traces until a signal, a limit or a closed pipe ends it.
///
/// Everything here belongs to the thread that runs the loop.
final class TraceSession {
    private let request: TraceRequest
    private let loop: EventLoop
    private let tracer: KernelTracer
    private let facts: LiveFacts
    private let explainer: Explainer
    private let recorder: RecordingWriter?
    private let pcap: PcapOutput?
    private let display: Display
    /// Both.
    private let sink: any Sink
    private let backlog: BacklogWatch
    private let start: StartInfo
    private let metering: Metering?
    private var waiting = ReorderBuffer()
    private var losses: LossReports
    private var end: UInt64?
    private var nextLossCheck: UInt64
    private var failure: Failure?
    private var watchdog = Watchdog()
    /// Up to then steps of what succeeds are left out. CLOCK_MONOTONIC, nanoseconds.
    private var pressedUntil: UInt64 = 0
    /// Observations that this program does not know: the kernel side is its own, so none.
    private var undecodable: UInt64 = 0

    /// How often the kernel's loss counters are read, in nanoseconds.
    private static let lossInterval: UInt64 = 1_000_000_000
    /// Observations taken from the ring before what they mean is worked out.
    private static let batch = 8192
    private static let leftOut = "steps of successful connections left out under load"
    /// For how long after it had fallen behind it saves work, in nanoseconds.
    private static let pressure: UInt64 = 1_000_000_000
    /// Between two looks into the ring, in nanoseconds: a look costs some microseconds.
    private static let shortestPause: UInt64 = 500_000

    init(_ request: TraceRequest) throws {
        self.request = request
        let (pcapPath, recordPath) = (request.output.pcapPath, request.output.recordPath)
        let beside = recordPath.map { [($0, "the file of --record")] } ?? []
        var pcapFile: PcapFile?
        if let pcapPath { try PcapFile.check(pcapPath, beside: beside) }
        // While it waits for who reads a pipe, a signal ends the program. Opened twice, it waits the first time only.
        let pipe = try recordPath.flatMap { PcapFile.isPipe($0) ? try OutputBuffer.create(file: $0) : nil }
        defer { if let pipe { _ = close(pipe) } }
        if let pcapPath, PcapFile.isPipe(pcapPath) { pcapFile = try PcapFile(pcapPath, beside: beside) }
        // Before anything that might start a thread: signals are blocked for the whole process.
        loop = try EventLoop(signals: [SIGINT, SIGTERM, SIGHUP, SIGWINCH])
        let display = Display(request.output, backlog: request.outputBacklog)
        self.display = display
        defer { display.progress.end() }
        tracer = try KernelTracer(filter: request.filter, backend: request.backend, limits: request.limits) {
            // Loading programs takes seconds on some machines, and says nothing meanwhile.
            display.progress.update($0.words, fraction: $0.fraction, atOnce: true)
        }
        facts = LiveFacts(names: tracer.names, symbols: tracer)
        let now = monotonicTime()
        let start = StartInfo(
            version: nattraceVersion, hostName: hostName(), kernel: kernelRelease(), backends: tracer.backends,
            missing: tracer.missing, filter: request.filterText, time: now, realtimeOffset: realtimeOffset(),
            netns: facts.homeNetns)
        self.start = start

        var options = ExplainerOptions()
        if let wanted = request.output.unansweredAfter { options.unansweredAfter = wanted }
        options.hooks = Set(start.backends.keys)
        options.homeNetns = start.netns
        options.filter = request.filter
        options.selection = request.selection
        options.maximumVerdicts = request.output.count
        options.maximumConnections = request.limits.connections
        let header = RecordingHeader(
            start: start, unansweredAfter: options.unansweredAfter, maximumConnections: options.maximumConnections)
        let recorder = try recordPath.map { try RecordingWriter(path: $0, header: header) }
        self.recorder = recorder
        if let pcapPath { pcapFile = try pcapFile ?? PcapFile(pcapPath, beside: beside) }
        pcap = pcapFile.map {
            PcapOutput($0, hardware: architecture(), selection: request.selection, backlog: request.outputBacklog)
        }
        sink = pcap.map { FanOutSink([display.sink, $0.sink]) } ?? display.sink
        backlog = BacklogWatch(display, beside: pcap.map { [$0.output] } ?? [], on: loop)
        let facts = facts
        let asked: any Facts = recorder.map { RecordingFacts(facts, writer: $0) } ?? facts
        let tracer = tracer
        explainer = Explainer(options: options, facts: asked, sink: sink) { tracer.unfollow($0) }
        metering = try request.metrics.map { try Metering(at: $0, start) }
        explainer.meter = metering?.metrics
        end = request.output.duration.map { now &+ $0 }
        losses = LossReports(begin: now)
        nextLossCheck = now
    }

    func run() throws {
        tracer.onAttach = { [unowned self] hook, backend in
            facts.invalidateSymbols()
            explainer.forgetSymbols()
            display.status.note("now also watching \(hook.name) (\(backend.name)): its module was loaded")
        }
        tracer.onUnavailable = { [unowned self] hook, why in
            display.status.note("cannot watch \(hook.name): \(why)")
        }
        loop.onSignal = { [unowned self] number in
            if number == SIGWINCH { resized() } else { loop.stop() }
        }
        loop.onDeadline = { [unowned self] () throws(TracerError) in try turn() }
        backlog.onWrite = { [unowned self] in
            look(at: display.state)
            if let pcap { look(at: pcap.output.state) }
        }
        try loop.watchOnce(tracer.descriptor) { [unowned self] () throws(TracerError) in try turn() }

        giveUpPrivileges()
        sink.start(start)
        display.flush()
        pcap?.flush()
        display.status.tracing(start)
        tellMissingPrivileges()
        notifySystemd("READY=1")
        try turn()
        try metering?.open()
        var stopped: TracerError?
        do { try loop.run() } catch { stopped = error }
        finish()
        tracer.close()
        metering?.close()
        if let stopped { throw stopped }
        if let failure { throw failure }
    }

    // MARK: Privileges

    /// All hooks are attached and all files open: what follows takes less.
    private func giveUpPrivileges() {
        let kept = tracer.capabilitiesNeededLater.union(facts.usefulCapabilities)
        do throws(PrivilegeError) {
            try LeastPrivilege.keep(kept, forChildren: LiveFacts.toolCapabilities)
        } catch {
            display.status.warning("more privileges are kept than needed: \(error)")
        }
    }

    /// Once, for verdicts depend on it.
    private func tellMissingPrivileges() {
        let missing = facts.usefulCapabilities.subtracting(.effective).members
        guard !missing.isEmpty else { return }
        display.status.note(
            "without \(missing.map(\.name).joined(separator: ", ")) some verdicts are more general, as"
                + " `nattrace doctor` says")
    }

    // MARK: The loop's turn

    /// Takes what the ring holds, works out what is old enough, writes, and sets the next deadline.
    ///
    /// As long as something waits for its time, the ring is looked into by the clock. Only when nothing does, the
    /// next observation wakes this process.
    private func turn() throws(TracerError) {
        tracer.isAwake()
        let now = monotonicTime()
        let complete = try collect()
        if complete != .max { pressedUntil = now &+ Self.pressure }
        explainer.isPressed = now < pressedUntil
        // What is judged next depends on what was lost by now. Without much in the ring, nothing was for want of room.
        if now >= nextLossCheck || complete != .max { try reportLosses(tracer.counts(), at: now) }
        let time = min(now, complete) &- ReorderBuffer.window
        work(upTo: time, lettingPass: time)
        tracer.forgetUnfollowed()
        if now >= nextLossCheck {
            if tracer.isPollingNeeded { tracer.lookForModules() }
            nextLossCheck = now &+ Self.lossInterval
        }
        sink.tick(at: time)
        try write()
        if watchdog.isDue(at: now) { notifySystemd("WATCHDOG=1") }
        if explainer.isExhausted || end.map({ now >= $0 }) ?? false { loop.stop() }
        // What is left in the ring waits no longer than it must.
        guard complete == .max else { return try loop.setDeadline(now) }
        try loop.setDeadline(nextDeadline(after: now))
        guard waiting.isEmpty else { return }
        tracer.willSleep()
        try loop.watchAgain(tracer.descriptor)
    }

    /// Empties the ring, or takes so much that the rest has to wait. Returns the time up to which
    /// nothing is left in it.
    private func collect() throws(TracerError) -> UInt64 {
        var last: UInt64 = 0
        let count = try tracer.drain(limit: Self.batch) { observation in
            waiting.add(observation.pointee)
            last = observation.pointee.time_ns
        }
        return count < Self.batch ? .max : last
    }

    /// Takes in what was observed up to a time, and then lets time pass as far as it has.
    private func work(upTo last: UInt64, lettingPass time: UInt64) {
        waiting.release(upTo: last) { raw in
            guard !explainer.isExhausted else { return }
            guard let observation = Observation(raw) else {
                undecodable += 1
                return
            }
            recorder?.observation(raw, passed: explainer.time)
            explainer.observe(observation, raw: raw)
        }
        if !explainer.isExhausted { explainer.advance(to: time) }
    }

    private func nextDeadline(after now: UInt64) -> UInt64 {
        var next = nextLossCheck
        if let oldest = waiting.oldest {
            next = min(next, max(oldest &+ ReorderBuffer.window, now &+ Self.shortestPause))
        }
        if let due = explainer.nextDeadline { next = min(next, due &+ ReorderBuffer.window) }
        if let due = display.nextDeadline { next = min(next, due &+ ReorderBuffer.window) }
        if let due = watchdog.nextDeadline { next = min(next, due) }
        if let end { next = min(next, end) }
        return max(next, now)
    }

    private func reportLosses(_ counts: KernelCounts, at now: UInt64) {
        let own = [
            LossCount(reason: "too many connections at once", scope: .output, total: explainer.evicted),
            LossCount(reason: "observation not understood", scope: .observations, total: undecodable),
            LossCount(reason: Self.leftOut, scope: .output, total: explainer.stepsLeftOut),
        ]
        metering?.publish(counts, own, inFlight: explainer.inFlight, backends: tracer.backends)
        for loss in losses.news(in: counts.losses + own, at: now, passed: explainer.time) {
            // A replay has the time to tell them.
            if loss.reason != Self.leftOut { recorder?.loss(loss) }
            explainer.report(loss)
        }
    }

    /// One write for each output. What a reader does not take waits until it does.
    private func write() throws(TracerError) {
        look(at: display.flush())
        if let pcap { look(at: pcap.flush()) }
        if case .failed(let error)? = recorder?.flush() { fail(error) }
        refresh()
        try backlog.watch()
    }

    /// What the numbers are now, for a terminal.
    private func refresh() {
        let now = monotonicTime()
        display.refresh(at: now) {
            RunFigures(
                inFlight: explainer.inFlight, verdicts: explainer.totals.verdicts,
                observations: explainer.totals.events, lost: explainer.totals.lost, elapsed: now &- start.time,
                remaining: end.map { $0 > now ? $0 - now : 0 })
        }
    }

    private func resized() {
        display.resized()
        refresh()
    }

    /// A reader that is gone is a reason to end, a full disk an error.
    private func look(at state: OutputBuffer.State) {
        switch state {
        case .open: break
        case .readerGone: loop.stop()
        case .failed(let error): fail(error)
        }
    }

    private func fail(_ error: OutputError) {
        failure = failure ?? Failure(error)
        loop.stop()
    }

    // MARK: The end

    /// Nothing that was captured is lost: the ring is emptied, and what is in flight gets the
    /// verdict that stands so far.
    private func finish() {
        notifySystemd("STOPPING=1")
        tracer.stopObserving()
        while !explainer.isExhausted, let last = try? collect(), last != .max {}
        let now = monotonicTime()
        work(upTo: .max, lettingPass: now)
        let counts = try? tracer.counts()
        if let counts { reportLosses(counts, at: now) }
        explainer.finish(at: now, observations: explainer.isExhausted ? nil : counts?.observations.losing(undecodable))
        if case .failed(let error)? = recorder?.finish(explainer.totals) { fail(error) }
        display.settle()
        if case .failed(let error) = display.flush() { fail(error) }
        pcap?.flush()
        display.status.summary(explainer.totals)
        try? loop.unwatch(tracer.descriptor)
        backlog.drain()
        if case .failed(let error) = display.state { fail(error) }
        if let undelivered = display.undelivered() { failure = failure ?? undelivered }
        guard let pcap else { return }
        if let undelivered = pcap.undelivered(display.status) { failure = failure ?? undelivered }
        if case .failed(let error) = pcap.finish() { fail(error) }
    }
}

/// Turns growing totals into reports of what is new.
struct LossReports {
    /// When counting began; CLOCK_MONOTONIC, nanoseconds.
    let begin: UInt64
    private var known: [String: (total: UInt64, time: UInt64)] = [:]

    init(begin: UInt64) { self.begin = begin }

    /// One report for each cause that struck since it was last asked. `passed`: see `Loss.passed`.
    mutating func news(in counts: [LossCount], at now: UInt64, passed: UInt64) -> [Loss] {
        counts.compactMap { count in
            let before = known[count.reason] ?? (0, begin)
            known[count.reason] = (count.total, now)
            guard count.total > before.total else { return nil }
            return Loss(
                reason: count.reason, scope: count.scope, events: count.total - before.total, total: count.total,
                time: now, since: before.time, passed: passed)
        }
    }
}
