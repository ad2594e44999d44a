// Which modules are loaded.

/// The kernel's modules at one moment.
struct KernelModules: Equatable {
    /// Loaded, or just being loaded; their functions can be probed in either state.
    let loaded: Set<String>
    /// False: the kernel has no modules at all, none will ever be loaded.
    let areSupported: Bool

    static func now() -> KernelModules { KernelModules(text: kernelFile("/proc/modules")) }

    /// From /proc/modules, nil if there is no such file. A line is
    /// `name size references users state address`.
    init(text: String?) {
        areSupported = text != nil
        loaded = Set(
            (text ?? "").split(separator: "\n").compactMap { line in
                let words = line.split(separator: " ")
                return words.count >= 5 && words[4] != "Unloading" ? words.first.map { String($0) } : nil
            })
    }
}
