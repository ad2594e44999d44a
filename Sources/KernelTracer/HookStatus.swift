// What became of each hook.

import Handshake

/// Whether and how a hook is observed.
public enum HookStatus: Sendable, Equatable {
    case attached(Backend)
    /// Will be attached as soon as this module is loaded.
    case waiting(module: String)
    /// Another hook shows the same: `isComplete`, or only a part of it.
    case replaced(by: Hook, isComplete: Bool)
    /// No use on this kernel, nothing is lost.
    case unneeded
    /// Cannot be attached, because of this.
    case unavailable(String)
}

/// A way to a hook that was not taken, and why not.
public struct DeclinedWay: Sendable, Equatable {
    public var backend: Backend
    /// For a person, without an end mark: `this kernel has no kprobes`.
    public var reason: String

    public init(backend: Backend, reason: String) {
        self.backend = backend
        self.reason = reason
    }
}
