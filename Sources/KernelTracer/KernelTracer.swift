// The kernel side, running: programs loaded, hooks attached, observations and losses read.

import CLibBPF
import CNattrace
import Glibc
import Handshake
import Privileges

/// Observes handshakes from the moment it is made until `close()` or its end.
///
/// Belongs to one thread. Nothing is pinned: programs, maps and links are descriptors of this
/// process, so that nothing stays in the kernel however it ends.
public final class KernelTracer {
    /// Called when a hook was attached after the start, because its module was loaded.
    public var onAttach: ((Hook, Backend) -> Void)?
    /// Called when a hook could not be attached although its module was loaded, and why.
    public var onUnavailable: ((Hook, String) -> Void)?

    /// What became of each hook.
    public private(set) var statuses: [Hook: HookStatus] = [:]
    /// For each hook the ways that were not taken although they would have been better than the one
    /// that was, best first; where none was taken, all that were refused.
    public private(set) var declined: [Hook: [DeclinedWay]] = [:]

    /// The running kernel's names for its numbers.
    public let names: BTFNames

    private let features: KernelFeatures
    private let choice: BackendChoice
    private let filter: nattrace_filter
    private var modules: KernelModules

    /// The first object, whose maps all later ones share. nil: closed.
    private var object: ProgramObject?
    private var attachments: [Hook: Attachment] = [:]
    /// On while `__nft_trace_packet` is attached.
    private var ruleTrace: RuleTraceSwitch?
    private var reader: RingReader?
    private let followed: Int32
    private let sleepFlag: SleepFlag
    private let counters: KernelCounters
    private let limits: TracerLimits
    /// Nobody waits any more once it traces.
    private var onProgress: (StartProgress) -> Void
    /// Numbers that need not be followed any longer, to be removed all at once.
    private var unfollowed: [UInt32] = []
    private static let unfollowBatch = 1024
    /// Whether everything was detached: nothing more will be attached.
    private var isStopped = false
    /// Skipped runs of programs that are attached no more.
    private var retiredSkips: UInt64 = 0

    /// The ring buffer: readable while there are observations. For epoll(7), one time each: see `willSleep()`.
    public let descriptor: Int32

    /// Loads and attaches; when it returns, every hook in `backends` observes.
    ///
    /// Throws `.notPermitted`, `.unsupportedKernel`, `.filter` for a filter that the kernel
    /// side has no room for, or `.system`. A hook that cannot be attached is no error as long
    /// as there are others; see `missing`. `onProgress` is told what comes next, since it may take seconds.
    public init(
        filter: ConnectionFilter, backend choice: BackendChoice = .auto, limits: TracerLimits = .standard,
        onProgress: @escaping (StartProgress) -> Void = { _ in }
    ) throws(TracerError) {
        self.filter = try nattrace_filter(filter)
        self.choice = choice
        self.limits = limits
        self.onProgress = onProgress
        try CapabilitySet.effective.requireTracing()
        LibbpfLog.capture()
        onProgress(.examining)
        let types = try KernelTypes()
        names = BTFNames(of: types)
        features = try KernelFeatures.probe(types)
        if choice == .kprobe && !features.kprobes {
            throw .unsupportedKernel(
                what: "it has no kprobes (CONFIG_KPROBE_EVENTS is off)",
                whatToDo: "leave out --backend kprobe, so that its tracepoints are used")
        }
        if choice == .fentry, features.fentry.refusal != nil {
            throw .unsupportedKernel(
                what: features.fentry.refusal ?? "",
                whatToDo: "leave out --backend fentry, so that \(features.kprobes ? "kprobes" : "tracepoints") are used"
            )
        }
        modules = KernelModules.now()

        let survey = HookSurvey(features: features, modules: modules, types: types, choice: choice)
        var candidates: [Candidate] = []
        for plan in HookPlan.all {
            let finding = survey.ways(to: plan)
            if finding.open.isEmpty {
                statuses[plan.hook] = finding.statusIfClosed
                declined[plan.hook] = finding.declined
            } else {
                candidates.append(Candidate(plan, finding))
            }
        }
        let configuration = Self.configuration(self.filter, limits, types)
        var programs = Set(HookPlan.all.flatMap(survey.loadable))
        if features.syscallPrograms { programs.insert(Self.symbolProgram) }
        onProgress(.loading(programs: programs.count))
        let object = try ProgramObject(loading: programs, configuration: configuration, limits: limits)
        let ring = try object.map("ring")
        descriptor = ring
        reader = try RingReader(map: ring)
        followed = try object.map("followed")
        counters = KernelCounters(map: try object.map("counters"))
        sleepFlag = try SleepFlag(map: try object.map(".data.wake"))
        self.object = object

        let standIns = candidates.filter { !$0.plan.standsInFor.isEmpty }
        attach(candidates.filter { $0.plan.standsInFor.isEmpty }, of: object, survey, configuration) { plan, status in
            statuses[plan.hook] = status
        }
        for candidate in standIns {
            let plan = candidate.plan
            guard plan.standsInFor.allSatisfy({ attachments[$0] == nil }) else {
                statuses[plan.hook] = .unneeded
                continue
            }
            attach([candidate], of: object, survey, configuration) { statuses[$0.hook] = $1 }
            guard attachments[plan.hook] != nil else { continue }
            for hook in plan.standsInFor {
                // The tracepoint that tells a reason is also the one that shows every RST.
                statuses[hook] = .replaced(by: plan.hook, isComplete: configuration.tcp_send_reset_reason != 0)
            }
            for hook in plan.supersedes {
                attachments[hook] = nil
                statuses[hook] = .replaced(by: plan.hook, isComplete: true)
            }
        }
        guard attachments.contains(where: { $0.key != .moduleLoad }) else {
            throw .unsupportedKernel(
                what: "no hook could be attached" + (missing.first.map { ", e.g. \($0.hook): \($0.loss)" } ?? ""),
                whatToDo: "see `nattrace doctor`")
        }
        // A module may have been loaded after the list was read and before its loading was told.
        lookForModules()
        self.onProgress = { _ in }
    }

    deinit { close() }

    /// Attached hooks and how, both by name.
    public var backends: [String: String] {
        Dictionary(uniqueKeysWithValues: attachments.map { ($0.key.name, $0.value.backend.name) })
    }

    /// Hooks that are not attached, in the order of a packet's way, and what is lost by it or
    /// when they will be. Hooks that another one stands in for completely are not among them.
    public var missing: [StartInfo.Missing] {
        Hook.allCases.compactMap { hook in
            guard let status = statuses[hook], let plan = HookPlan.plan(for: hook),
                let loss = status.loss(of: plan)
            else { return nil }
            return StartInfo.Missing(hook: hook.name, loss: loss, module: status.awaitedModule)
        }
    }

    /// Hands at most `limit` observations to `body`, oldest first; the memory is gone after it.
    /// Attaches hooks of modules whose loading was told. Returns how many were handed over; the
    /// descriptor stays readable while there are more.
    public func drain(
        limit: Int, _ body: (UnsafePointer<nattrace_observation>) -> Void
    ) throws(TracerError) -> Int {
        guard let reader else { return 0 }
        let count = try reader.drain(limit: limit, body)
        let events = reader.takeModuleEvents()
        if !events.isEmpty {
            for event in events where !isStopped { detach(from: event.name, attachedBefore: event.time) }
            lookForModules()
        }
        return count
    }

    /// From here on an observation makes `descriptor` readable. To be called before it is waited for; what came
    /// before shows when waiting begins.
    public func willSleep() { sleepFlag.set() }

    /// From here on no observation wakes anybody, until `willSleep()`: the ring buffer is looked into from time to
    /// time. That costs what is traced least.
    public func isAwake() { sleepFlag.clear() }

    /// Stops following a handshake by one of its numbers, the client's ISN or the server's, with the next
    /// `forgetUnfollowed()`. Unknown ones are no error: a reset or a full map may have removed them before.
    public func unfollow(_ number: UInt32) {
        unfollowed.append(number)
        if unfollowed.count >= Self.unfollowBatch { forgetUnfollowed() }
    }

    /// Removes in one call what was given to `unfollow`.
    public func forgetUnfollowed() {
        guard object != nil else { return unfollowed.removeAll() }
        var rest = unfollowed[...]
        while !rest.isEmpty {
            var count = UInt32(rest.count)
            let result = rest.withUnsafeBufferPointer { bpf_map_delete_batch(followed, $0.baseAddress, &count, nil) }
            // The kernel stops at one that it does not have, and says how many came before that.
            rest = rest.dropFirst(Int(count) + (result == 0 ? 0 : 1))
        }
        unfollowed.removeAll(keepingCapacity: true)
    }

    /// What was counted since the start.
    public func counts() throws(TracerError) -> KernelCounts {
        guard object != nil else {
            return KernelCounts(counters: .init(repeating: 0, count: Int(NATTRACE_COUNTER_COUNT)))
        }
        let skipped = attachments.values.reduce(retiredSkips) { $0 &+ KernelCounters.skippedRuns(of: $1.descriptors) }
        var counts = try counters.read()
        counts.losses.append(
            LossCount(reason: "nested program run skipped by the kernel", scope: .observations, total: skipped))
        return counts
    }

    /// Detaches everything. When it returns no program runs any more: what the ring buffer holds and what the
    /// counters say is all, and stays until `close()`.
    public func stopObserving() {
        isStopped = true
        for (hook, attachment) in attachments where hook != .moduleLoad { retire(attachment) }
        if let attachment = attachments[.moduleLoad] { retire(attachment) }
        attachments = [:]
        ruleTrace = nil
        // A program that was running on another CPU has ended when the kernel's grace period is over, for
        // which this waits. Before 4.16 and without SMP there is no such call, and in the latter case no need.
        _ = nattrace_membarrier_global()
    }

    /// Attaches hooks whose module is there by now, and lets go of those whose module is gone.
    /// Called by itself when the kernel tells that a module was loaded; where it does not
    /// (`isPollingNeeded`) to be called about once a second. Reads /proc/modules, no more.
    public func lookForModules() {
        guard modules.areSupported, object != nil, !isStopped else { return }
        modules = KernelModules.now()
        for (hook, attachment) in attachments {
            if let module = attachment.module, !modules.loaded.contains(module) { detach(hook, from: module) }
        }
        let due = HookPlan.all.filter { plan in
            if case .waiting(let module)? = statuses[plan.hook] { modules.loaded.contains(module) } else { false }
        }
        if !due.isEmpty { attachLate(due) }
    }

    /// Whether `lookForModules()` has to be called from time to time: nothing tells of modules, or one whose loading
    /// was told was not ready then.
    public var isPollingNeeded: Bool {
        modules.areSupported
            && (attachments[.moduleLoad] == nil
                || statuses.values.contains { $0.awaitedModule.map(modules.loaded.contains) ?? false })
    }

    /// What is needed from now on, however much was needed to begin with.
    ///
    /// Where the kernel has modules, hooks may have to be attached at any time, and everything that takes: a module
    /// can also be removed and come back. Else only the maps are asked, for which kernels before 5.19 want CAP_BPF.
    public var capabilitiesNeededLater: CapabilitySet {
        modules.areSupported ? CapabilitySet.tracing.union(.attaching) : [.bpf]
    }

    /// The descriptor of the program that names functions; nil: this kernel has no such programs.
    var symbolProgram: Int32? { object?.program(Self.symbolProgram).map { bpf_program__fd($0) } }

    /// Detaches everything and frees it. May be called more than once.
    public func close() {
        // What tells of new modules goes first, then all others.
        attachments[.moduleLoad] = nil
        ruleTrace = nil
        attachments = [:]
        reader = nil
        object = nil
    }

    /// Attaches hooks whose module has just appeared. Most of their kprobes are loaded already, and are taken for
    /// being there in time for the first packet. The rest gets an object of its own, because argument positions,
    /// offsets and the functions that fentry programs go to are constants of a loaded object; maps are shared. A
    /// failure costs these hooks, not the trace.
    private func attachLate(_ plans: [HookPlan]) {
        guard let object else { return }
        do throws(TracerError) {
            let types = try KernelTypes()
            let survey = HookSurvey(features: features, modules: modules, types: types, choice: choice)
            let findings = plans.map { (plan: $0, finding: survey.ways(to: $0)) }
            // The module is there, and does not say what it takes.
            for (plan, finding) in findings where finding.open.isEmpty && finding.module == nil {
                declined[plan.hook] = finding.declined
                report(plan.hook, finding.statusIfClosed)
            }
            let candidates = findings.map { Candidate($0, $1) }.filter { $0.next != nil }
            let configuration = Self.configuration(filter, limits, types)
            let ready = candidates.compactMap {
                $0.startingWithWay { $0.programs.allSatisfy { object.program($0) != nil } }
            }
            let hooks = Set(ready.map(\.plan.hook))
            attach(ready, of: object, survey, configuration) { report($0.hook, $1) }
            attach(candidates.filter { !hooks.contains($0.plan.hook) }, of: nil, survey, configuration) {
                report($0.hook, $1)
            }
        } catch {
            for plan in plans where attachments[plan.hook] == nil { report(plan.hook, .unavailable(error.description)) }
        }
    }

    private func report(_ hook: Hook, _ status: HookStatus) {
        statuses[hook] = status
        switch status {
        case .attached(let backend): onAttach?(hook, backend)
        case .unavailable(let cause): onUnavailable?(hook, cause)
        default: break
        }
    }

    /// Tries the ways to all of these hooks, in rounds: what is refused goes on with its next way in the round
    /// after, for whose programs an object is loaded. Mostly there is one round, with the programs of `object`.
    private func attach(
        _ candidates: [Candidate], of object: ProgramObject?, _ survey: HookSurvey,
        _ configuration: nattrace_configuration, _ settle: (HookPlan, HookStatus) -> Void
    ) {
        var pending = candidates
        var loaded = object
        var settled = 0
        while !pending.isEmpty {
            let current: ProgramObject
            do throws(TracerError) {
                if let loaded {
                    current = loaded
                } else {
                    let programs = Set(pending.flatMap { $0.next?.programs ?? [] })
                    onProgress(.loading(programs: programs.count))
                    current = try ProgramObject(
                        loading: programs, configuration: configuration, limits: limits, sharing: self.object)
                }
            } catch {
                for candidate in pending { settle(candidate.plan, .unavailable(error.description)) }
                return
            }
            loaded = nil
            pending = pending.compactMap { candidate in
                var candidate = candidate
                guard let way = candidate.next else { return nil }
                onProgress(.attaching(hook: candidate.plan.hook.name, done: settled, of: candidates.count))
                let refusal = attach(candidate.plan, way, of: current, survey)
                if let refusal { candidate.refuse(refusal) }
                declined[candidate.plan.hook] = candidate.declined
                if refusal != nil && candidate.next != nil { return candidate }
                settled += 1
                settle(
                    candidate.plan,
                    refusal == nil ? .attached(way.backend) : .unavailable(candidate.declined.last?.reason ?? ""))
                return nil
            }
        }
    }

    /// Returns why it cannot be attached; nil: it is.
    private func attach(_ plan: HookPlan, _ way: Way, of object: ProgramObject, _ survey: HookSurvey) -> String? {
        let programs = way.programs.compactMap(object.program)
        guard programs.count == way.programs.count else {
            let reasons = way.programs.compactMap { object.refused[$0] }
            return "the kernel refused its program (\(reasons.first ?? "no reason given"))"
        }
        var module: String?
        if case .function(let name) = way.target { module = survey.module(of: name, in: plan) }
        do throws(TracerError) {
            try attach(plan, way, programs, of: object, module)
            return nil
        } catch .system(_, let error) where error == ENOENT {
            return attachToClone(plan, way, programs, of: object, module)
        } catch .system(_, let error) where way.backend == .fentry {
            return "attaching failed: \(FentrySupport.text(of: error))"
        } catch {
            return error.description
        }
    }

    private func attach(
        _ plan: HookPlan, _ way: Way, _ programs: [OpaquePointer], of object: ProgramObject, symbol: String? = nil,
        _ module: String?
    ) throws(TracerError) {
        attachments[plan.hook] = try Attachment(way, symbol: symbol, module: module, programs: programs, of: object)
        if plan.hook == .nftTracePacket { try turnOnRuleTracing() }
    }

    /// The kernel has no such function, but perhaps the whole of it under another name.
    private func attachToClone(
        _ plan: HookPlan, _ way: Way, _ programs: [OpaquePointer], of object: ProgramObject, _ module: String?
    ) -> String? {
        guard way.backend == .kprobe, case .function(let name) = way.target else { return "the kernel has it no more" }
        switch FunctionClones.find(name, in: kernelFileBytes("/proc/kallsyms")) {
        case .none(let reason): return reason
        case .same(as: let symbol):
            do throws(TracerError) {
                try attach(plan, way, programs, of: object, symbol: symbol, module)
                return nil
            } catch {
                return error.description
            }
        }
    }

    /// A module was loaded at `time`: what was attached to its functions before died with the
    /// one that was unloaded in between.
    private func detach(from module: String, attachedBefore time: UInt64) {
        for (hook, attachment) in attachments where attachment.module == module && attachment.time < time {
            detach(hook, from: module)
        }
    }

    /// Attached first, so that nothing is called for nothing.
    private func turnOnRuleTracing() throws(TracerError) {
        do throws(TracerError) {
            ruleTrace = try RuleTraceSwitch()
        } catch {
            attachments[.nftTracePacket] = nil
            throw error
        }
    }

    private func detach(_ hook: Hook, from module: String) {
        if hook == .nftTracePacket { ruleTrace = nil }
        guard let attachment = attachments.removeValue(forKey: hook) else { return }
        retire(attachment)
        statuses[hook] = .waiting(module: module)
    }

    private func retire(_ attachment: Attachment) {
        attachment.detach()
        retiredSkips &+= KernelCounters.skippedRuns(of: attachment.descriptors)
    }

    private static func configuration(
        _ filter: nattrace_filter, _ limits: TracerLimits, _ types: KernelTypes
    ) -> nattrace_configuration {
        var configuration = nattrace_configuration()
        configuration.filter = filter
        configuration.pressed_bytes = UInt32(limits.pressedBytes)
        configuration.ends_bytes = UInt32(limits.endsBytes)
        configuration.setArgumentPositions(from: types)
        return configuration
    }
}

extension HookStatus {
    /// The module that has to be loaded first; nil: it is not that.
    var awaitedModule: String? {
        if case .waiting(let module) = self { module } else { nil }
    }

    /// What is lost by it, for a person; nil: nothing.
    func loss(of plan: HookPlan) -> String? {
        switch self {
        case .attached, .unneeded, .replaced(_, isComplete: true): nil
        case .waiting(let module): "attached when module \(module) is loaded"
        case .replaced(let other, isComplete: false):
            "\(other.name) shows only RSTs that concern a full socket on this kernel; for a port without"
                + " listener \(plan.loss)"
        case .unavailable(let cause): "\(cause): \(plan.loss)"
        }
    }
}
