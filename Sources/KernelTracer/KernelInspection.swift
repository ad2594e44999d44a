// What the running kernel offers, asked for its own sake and as far as this process may ask: for `nattrace doctor`.

import CLibBPF
import Handshake
import Privileges

/// nil everywhere: it could not be found out.
public struct KernelInspection: Sendable {
    /// The kernel describes its types (BTF).
    public let hasTypes: Bool
    /// It describes those of its modules. nil also where no module is loaded that could tell.
    public let hasModuleTypes: Bool?
    public let hasModules: Bool
    public let hasRingBuffer: Bool?
    /// Programs can be attached to tracepoints by their BTF.
    public let hasTracepoints: Bool?
    public let hasKprobes: Bool?
    public let hasFentry: Bool?
    /// Why it has no fentry; nil: it has, or that could not be tried.
    public let fentryRefusal: String?
    /// Drops and resets tell why.
    public let hasDropReasons: Bool?
    public let hasResetReasons: Bool?
    /// Programs can be run that name functions (`KernelFeatures.syscallPrograms`).
    public let namesFunctions: Bool?
    /// The mode of lockdown that is in force; nil: this kernel has none, or securityfs is not mounted.
    public let lockdown: String?

    public init() {
        LibbpfLog.capture()
        // In a user namespace capabilities are there, and bpf(2) is refused none the less: a program that every
        // kernel takes tells.
        let mayTry =
            CapabilitySet.effective.missingForTracing.isEmpty
            && libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_RAW_TRACEPOINT, nil) == 1
        let types = try? KernelTypes()
        let modules = KernelModules.now()
        hasTypes = types != nil
        hasModules = modules.areSupported
        hasModuleTypes =
            modules.loaded.isEmpty ? nil : modules.loaded.contains { exists("/sys/kernel/btf/\($0)") }
        // The kernel's own list of map types can be read by everybody.
        hasRingBuffer = types?.kernel.values(ofEnum: "bpf_map_type")?.contains { $0.name == "BPF_MAP_TYPE_RINGBUF" }
        hasTracepoints = types?.kernel.hasTracepoint("kfree_skb")
        // As `KernelFeatures` has it; without the right to load programs only its absence is certain.
        hasKprobes =
            !exists("/sys/bus/event_source/devices/kprobe/type")
            ? false : mayTry ? libbpf_probe_bpf_prog_type(BPF_PROG_TYPE_KPROBE, nil) == 1 : nil
        if let types {
            fentryRefusal = mayTry ? FentrySupport.probe(types.kernel).refusal : nil
            hasFentry = mayTry ? fentryRefusal == nil : nil
        } else {
            fentryRefusal = "this kernel has no BTF"
            hasFentry = false
        }
        hasDropReasons = types.map {
            ($0.kernel.prototype(ofTracepoint: "kfree_skb")?.position(ofEnum: "skb_drop_reason") ?? 0) != 0
        }
        hasResetReasons = types.map { $0.kernel.values(ofEnum: "sk_rst_reason") != nil }
        namesFunctions = types?.kernel.values(ofEnum: "bpf_prog_type")?.contains {
            $0.name == "BPF_PROG_TYPE_SYSCALL"
        }
        lockdown = Self.mode(kernelFile("/sys/kernel/security/lockdown"))
    }

    /// From `none [integrity] confidentiality`.
    static func mode(_ text: String?) -> String? {
        guard let text, let open = text.firstIndex(of: "["), let close = text[open...].firstIndex(of: "]") else {
            return nil
        }
        return String(text[text.index(after: open)..<close])
    }
}

extension KernelTracer {
    /// What cannot be known without a hook, for a person.
    public static func loss(without hook: Hook) -> String { HookPlan.plan(for: hook)?.loss ?? "" }

    /// Every hook that there are ways to, in the order of a packet's way.
    public static var plannedHooks: [Hook] { Hook.allCases.filter { HookPlan.plan(for: $0) != nil } }
}
