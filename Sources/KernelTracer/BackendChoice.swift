// --backend: which kinds of hooks may be used.

import Handshake

/// What the user allows. Hooks that exist in one form only (drops and devices are
/// tracepoints on every kernel) keep it.
public enum BackendChoice: String, Sendable, CaseIterable {
    /// The best that the kernel offers, hook by hook.
    case auto
    /// Functions by kprobe; an error where the kernel has none.
    case kprobe
    /// Functions by fentry and fexit; an error where the kernel refuses them.
    case fentry
    /// Tracepoints only.
    case tracepoint

    func allows(_ backend: Backend) -> Bool {
        switch self {
        case .auto: true
        case .kprobe: backend != .fentry
        case .fentry: backend != .kprobe
        case .tracepoint: backend == .tracepoint
        }
    }
}
