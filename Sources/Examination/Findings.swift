// What `nattrace doctor` found out about a machine: plain values, so that a test can make up any machine.

import Handshake
import Privileges

/// Something that a kernel offers or does not. Raw values are the names in JSON.
public enum Feature: String, Sendable, CaseIterable {
    case types = "btf"
    case moduleTypes = "module_btf"
    case ringBuffer = "ring_buffer"
    case tracepoints = "tracepoint"
    case kprobes = "kprobe"
    case fentry
    case dropReasons = "drop_reasons"
    case resetReasons = "reset_reasons"
    case functionNames = "function_names"

    /// For a person.
    public var name: String {
        switch self {
        case .types: "BTF"
        case .moduleTypes: "BTF of modules"
        case .ringBuffer: "BPF ring buffers"
        case .tracepoints: "BTF tracepoints"
        case .kprobes: "kprobes"
        case .fentry: "fentry"
        case .dropReasons: "reasons of drops"
        case .resetReasons: "reasons of resets"
        case .functionNames: "names of functions"
        }
    }
}

/// What is known of a feature.
public enum Presence: Sendable, Equatable {
    case present
    /// The reason, if there is one to tell; without an end mark.
    case absent(String?)
    /// Why it could not be found out.
    case unknown(String)

    public init(_ isThere: Bool?, ifUnknown why: @autoclosure () -> String) {
        self = isThere.map { $0 ? .present : .absent(nil) } ?? .unknown(why())
    }

    public var isAbsent: Bool { if case .absent = self { true } else { false } }
}

/// What became of a hook when it was tried.
public struct HookFinding: Sendable {
    public enum State: Sendable, Equatable {
        case attached(Backend)
        case waiting(module: String)
        case replaced(by: Hook, isComplete: Bool)
        case unneeded
        case unavailable(String)
        /// Nothing could be tried.
        case untried
    }

    /// A better way than the one that was taken, and why it was not.
    public struct Declined: Sendable, Equatable {
        public var backend: Backend
        public var reason: String

        public init(_ backend: Backend, _ reason: String) {
            self.backend = backend
            self.reason = reason
        }
    }

    public var hook: Hook
    public var state: State
    public var declined: [Declined]
    /// What cannot be known without the hook.
    public var loss: String

    public init(_ hook: Hook, _ state: State, declined: [Declined] = [], loss: String) {
        self.hook = hook
        self.state = state
        self.declined = declined
        self.loss = loss
    }
}

/// A program of the system that nattrace runs to know more.
public struct ToolFinding: Sendable {
    public var name: String
    /// nil: it is not installed.
    public var path: String?
    /// What it is for: `nftables rules`.
    public var purpose: String

    public init(name: String, path: String?, purpose: String) {
        self.name = name
        self.path = path
        self.purpose = purpose
    }
}

/// What is in use in the network namespace that nattrace runs in. nil: not known.
public struct NamespaceFindings: Sendable {
    public var inode: UInt32?
    /// Entries in conntrack's table, and how many the machine allows; nil: nf_conntrack is not loaded.
    public var conntrackCount: UInt64?
    public var conntrackMaximum: UInt64?
    /// Whether entries can be asked for; nil: not tried.
    public var conntrackProblem: String?
    public var usesNftables: Bool?
    public var usesIptablesLegacy: Bool?
    /// Rules that could be read.
    public var rules: Int
    /// Whether a rule translates addresses; nil: not known.
    public var translates: Bool?
    /// Why not all rules could be read; nil: they could.
    public var rulesetProblem: String?
    /// Whether other network namespaces can be entered.
    public var entersOthers: Bool

    public init(
        inode: UInt32? = nil, conntrackCount: UInt64? = nil, conntrackMaximum: UInt64? = nil,
        conntrackProblem: String? = nil, usesNftables: Bool? = nil, usesIptablesLegacy: Bool? = nil, rules: Int = 0,
        translates: Bool? = nil, rulesetProblem: String? = nil, entersOthers: Bool
    ) {
        self.inode = inode
        self.conntrackCount = conntrackCount
        self.conntrackMaximum = conntrackMaximum
        self.conntrackProblem = conntrackProblem
        self.usesNftables = usesNftables
        self.usesIptablesLegacy = usesIptablesLegacy
        self.rules = rules
        self.translates = translates
        self.rulesetProblem = rulesetProblem
        self.entersOthers = entersOthers
    }
}

/// Why nothing can be traced.
public struct Refusal: Sendable, Equatable {
    /// As the program ends with it.
    public var status: Int32
    /// `it has no BPF ring buffer`, `tracing needs CAP_BPF, which ...`
    public var what: String
    /// nil: nothing is known that helps.
    public var whatToDo: String?

    public init(status: Int32, what: String, whatToDo: String?) {
        self.status = status
        self.what = what
        self.whatToDo = whatToDo
    }
}

public struct Findings: Sendable {
    public var version: String
    public var hostName: String
    /// Release, as `uname -r` says, and `uname -m`.
    public var kernel: String
    public var architecture: String
    /// CLOCK_REALTIME, nanoseconds.
    public var time: UInt64
    /// nil: it can be traced.
    public var refusal: Refusal?
    public var features: [Feature: Presence]
    /// The mode in force, `none`, `integrity` or `confidentiality`; nil: not known, or the kernel has none.
    public var lockdown: String?
    /// Settings of the kernel that can stand in the way, by their names.
    public var settings: [Setting: Int]
    public var userID: UInt32
    /// Capabilities are then not those of the machine.
    public var isInUserNamespace: Bool
    /// In effect when nattrace began.
    public var capabilities: CapabilitySet
    /// All that nattrace could use on this kernel.
    public var usefulCapabilities: CapabilitySet
    /// In the order of a packet's way.
    public var hooks: [HookFinding]
    public var namespace: NamespaceFindings
    public var tools: [ToolFinding]

    /// A sysctl below `kernel`.
    public enum Setting: String, Sendable, CaseIterable {
        case perfEventParanoid = "perf_event_paranoid"
        case kptrRestrict = "kptr_restrict"
        case unprivilegedBPF = "unprivileged_bpf_disabled"

        public var name: String { "kernel.\(rawValue)" }
    }

    public init(
        version: String, hostName: String, kernel: String, architecture: String, time: UInt64, refusal: Refusal?,
        features: [Feature: Presence], lockdown: String?, settings: [Setting: Int], userID: UInt32,
        isInUserNamespace: Bool = false, capabilities: CapabilitySet, usefulCapabilities: CapabilitySet,
        hooks: [HookFinding],
        namespace: NamespaceFindings, tools: [ToolFinding]
    ) {
        self.version = version
        self.hostName = hostName
        self.kernel = kernel
        self.architecture = architecture
        self.time = time
        self.refusal = refusal
        self.features = features
        self.lockdown = lockdown
        self.settings = settings
        self.userID = userID
        self.isInUserNamespace = isInUserNamespace
        self.capabilities = capabilities
        self.usefulCapabilities = usefulCapabilities
        self.hooks = hooks
        self.namespace = namespace
        self.tools = tools
    }
}
