// Which ways to a hook are open on this kernel at this moment: asked, not yet tried.

import Handshake

struct HookSurvey {
    let features: KernelFeatures
    let modules: KernelModules
    let types: KernelTypes
    let choice: BackendChoice

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
        return Finding(ways: plan.ways.map { ($0, obstacle(on: $0, to: plan)) })
    }

    /// The programs that can be loaded now: those of ways that are open, and those of hooks
    /// that are only waited for, unless they need to know the module's types.
    func loadable(_ plan: HookPlan) -> [String] {
        let finding = ways(to: plan)
        guard finding.open.isEmpty, finding.module != nil else { return finding.open.flatMap(\.programs) }
        return plan.needsModuleTypes ? [] : plan.ways.filter { choice.allows($0.backend) }.flatMap(\.programs)
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
        case .function(let function):
            guard features.kprobes else { return .refusal("this kernel has no kprobes") }
            guard modules.areSupported, let module = module(of: function, in: plan) else { return nil }
            return modules.loaded.contains(module) ? nil : .notLoaded(module: module)
        }
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
