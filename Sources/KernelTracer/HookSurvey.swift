// Which ways to a hook are open on this kernel at this moment: asked, not yet tried.

import Handshake

struct HookSurvey {
    let features: KernelFeatures
    let modules: KernelModules
    let types: KernelTypes
    let choice: BackendChoice

    enum Finding {
        /// Worth a try, in this order.
        case open([Way])
        /// None is, and that is why.
        case closed(HookStatus)
    }

    func ways(to plan: HookPlan) -> Finding {
        if plan.hook == .moduleLoad && !modules.areSupported { return .closed(.unneeded) }
        var open: [Way] = []
        var obstacle = HookStatus.unneeded
        for way in plan.ways {
            if let found = self.obstacle(on: way, to: plan) { obstacle = found } else { open.append(way) }
        }
        return open.isEmpty ? .closed(obstacle) : .open(open)
    }

    /// The programs that can be loaded now: those of ways that are open, and those of hooks
    /// that are only waited for, unless they need to know the module's types.
    func loadable(_ plan: HookPlan) -> [String] {
        switch ways(to: plan) {
        case .open(let ways): ways.flatMap(\.programs)
        case .closed(.waiting) where !plan.needsModuleTypes:
            plan.ways.filter { choice.allows($0.backend) }.flatMap(\.programs)
        case .closed: []
        }
    }

    /// The module that a function has to be looked for in; nil: the kernel itself.
    func module(of function: String, in plan: HookPlan) -> String? {
        guard let module = plan.module, !types.kernel.hasFunction(function), !isBuiltIn(module) else { return nil }
        return module
    }

    private func obstacle(on way: Way, to plan: HookPlan) -> HookStatus? {
        guard choice.allows(way.backend) else {
            return .unavailable("not used with --backend \(choice.rawValue)")
        }
        switch way.target {
        case .event(let event):
            return types.kernel.hasTracepoint(event) ? nil : .unavailable("this kernel has no such tracepoint")
        case .function(let function):
            guard features.kprobes else { return .unavailable("this kernel has no kprobes") }
            guard modules.areSupported, let module = module(of: function, in: plan) else { return nil }
            return modules.loaded.contains(module) ? nil : .waiting(module: module)
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
