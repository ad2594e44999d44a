// Which ways to a hook are open on this kernel at this moment: asked, not yet tried.

import Handshake
import Privileges

struct HookSurvey {
    let features: KernelFeatures
    let modules: KernelModules
    let types: KernelTypes
    let choice: BackendChoice
    /// Whether the kernel lets this process name types of modules: it wants CAP_SYS_ADMIN for that, whatever for.
    var namesModuleTypes = CapabilitySet.effective.contains(.sysAdmin)

    enum Obstacle: Equatable {
        /// Not on this kernel, for this reason.
        case refusal(String)
        /// Not before this module is loaded.
        case notLoaded(module: String)
    }

    /// All ways to a hook, best first, each with what stands in its way; nil: worth a try.
    struct Finding {
        var ways: [(way: Way, obstacle: Obstacle?)] = []

        var open: [Way] { ways.compactMap { $0.obstacle == nil ? $0.way : nil } }

        /// Those that open once a module is loaded.
        var awaited: [Way] {
            ways.compactMap { way, obstacle in if case .notLoaded? = obstacle { way } else { nil } }
        }

        var declined: [DeclinedWay] {
            ways.compactMap { way, obstacle in
                guard case .refusal(let reason)? = obstacle else { return nil }
                return DeclinedWay(backend: way.backend, reason: reason)
            }
        }

        /// The module that more ways open with, once it is loaded.
        var module: String? {
            for (_, obstacle) in ways { if case .notLoaded(let module)? = obstacle { return module } }
            return nil
        }

        /// What becomes of the hook where no way is open.
        var statusIfClosed: HookStatus {
            if let module { return .waiting(module: module) }
            return declined.last.map { .unavailable($0.reason) } ?? .unneeded
        }
    }

    func ways(to plan: HookPlan) -> Finding {
        if plan.hook == .moduleLoad && !modules.areSupported { return Finding() }
        // What the user does not want is of no interest where something else is left.
        let allowed = plan.ways.filter { choice.allows($0.backend) }
        return Finding(ways: (allowed.isEmpty ? plan.ways : allowed).map { ($0, obstacle(on: $0, to: plan)) })
    }

    /// The programs to load now: those of the best way that is open, and those of hooks that are only
    /// waited for, unless they need to know the module's types. fentry programs do: they name the function.
    func loadable(_ plan: HookPlan) -> [String] {
        let finding = ways(to: plan)
        if let best = finding.open.first { return best.programs }
        guard finding.module != nil, !plan.needsModuleTypes else { return [] }
        return finding.awaited.first { $0.backend != .fentry }?.programs ?? []
    }

    /// The module that a function has to be looked for in; nil: the kernel itself.
    func module(of function: String, in plan: HookPlan) -> String? {
        guard let module = plan.module, !types.kernel.hasFunction(function), !isBuiltIn(module) else { return nil }
        return module
    }

    private func obstacle(on way: Way, to plan: HookPlan) -> Obstacle? {
        guard choice.allows(way.backend) else { return .refusal("not used with --backend \(choice.rawValue)") }
        switch way.target {
        case .event(let event):
            return types.kernel.hasTracepoint(event) ? nil : .refusal("this kernel has no such tracepoint")
        case .function(let function) where way.backend == .fentry:
            if let refusal = features.fentry.refusal { return .refusal(refusal) }
            if let module = loadableModule(of: function, in: plan) {
                guard modules.live.contains(module) else { return .notLoaded(module: module) }
                guard namesModuleTypes else { return .refusal("fentry in module \(module) needs CAP_SYS_ADMIN") }
            }
            return features.fentry.obstacle(types.prototype(ofFunction: function, module: plan.module))
                .map { .refusal($0) }
        case .function(let function):
            guard features.kprobes else { return .refusal("this kernel has no kprobes") }
            guard let module = loadableModule(of: function, in: plan) else { return nil }
            return modules.loaded.contains(module) ? nil : .notLoaded(module: module)
        }
    }

    private func loadableModule(of function: String, in plan: HookPlan) -> String? {
        modules.areSupported ? module(of: function, in: plan) : nil
    }

    /// A module that is built in has its functions in the kernel's own BTF. One of them may be
    /// missing there, because the compiler changed it; not all.
    private func isBuiltIn(_ module: String) -> Bool {
        HookPlan.all.contains { plan in
            plan.module == module
                && plan.ways.contains {
                    if case .function(let name) = $0.target { types.kernel.hasFunction(name) } else { false }
                }
        }
    }
}
