// What a tracer does until it traces, for a person who waits.

/// What comes next.
public enum StartProgress: Sendable, Hashable {
    /// What the kernel has, by its BTF, symbols and modules.
    case examining
    /// The kernel's verifier takes most of the time.
    case loading(programs: Int)
    case attaching(hook: String, done: Int, of: Int)

    public var words: String {
        switch self {
        case .examining: "looking at what this kernel can trace"
        case .loading(let programs): "loading \(programs) \(programs == 1 ? "program" : "programs")"
        case .attaching(let hook, let done, let all): "attaching hook \(done + 1) of \(all): \(hook)"
        }
    }

    /// nil: not known.
    public var fraction: Double? {
        guard case .attaching(_, let done, let all) = self, all > 0 else { return nil }
        return Double(done) / Double(all)
    }
}
