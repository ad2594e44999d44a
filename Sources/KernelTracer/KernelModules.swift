// Which modules are loaded.

/// The kernel's modules at one moment.
struct KernelModules: Equatable {
    /// Loaded, or just being loaded; their functions can be probed in either state.
    let loaded: Set<String>
    /// Those whose functions can also be hooked by fentry, for which the kernel holds on to the module.
    let live: Set<String>
    /// False: the kernel has no modules at all, none will ever be loaded.
    let areSupported: Bool

    static func now() -> KernelModules { KernelModules(text: kernelFile("/proc/modules")) }

    /// From /proc/modules, nil if there is no such file. A line is
    /// `name size references users state address`.
    init(text: String?) {
        areSupported = text != nil
        var loaded: Set<String> = []
        var live: Set<String> = []
        for line in (text ?? "").split(separator: "\n") {
            let words = line.split(separator: " ")
            guard words.count >= 5, words[4] != "Unloading" else { continue }
            loaded.insert(String(words[0]))
            if words[4] == "Live" { live.insert(String(words[0])) }
        }
        self.loaded = loaded
        self.live = live
    }
}
