// What the compiler left of a function whose name the kernel does not have.

/// Symbols `NAME.SUFFIX` in the place of a function `NAME`.
enum FunctionClones {
    /// Under which name a function can be hooked all the same, or why it cannot be. `symbols` is the text of
    /// /proc/kallsyms, nil if it cannot be read.
    enum Finding: Equatable {
        case same(as: String)
        case none(String)
    }

    static func find(_ function: String, in symbols: [UInt8]?) -> Finding {
        let clones = symbols.map { names(of: function, in: $0) } ?? []
        let whole = clones.filter { isWhole($0, function) }
        if whole.count == 1 { return .same(as: whole[0]) }
        // Functions of the same name in several files, of which link-time optimisation keeps each under a name
        // of its own: which is meant cannot be told.
        if whole.count > 1 { return .none("only under several names, such as \(whole[0])") }
        return .none(
            clones.first.map { "only as an optimised clone \($0)" }
                ?? "this kernel has no such function, or only inlined")
    }

    /// Whether a clone is the whole function with the arguments as its source has them. `.isra` and `.constprop`
    /// take arguments away or pass them otherwise, `.part` and `.cold` are pieces of a body. Link-time
    /// optimisation (`.llvm.`, `.lto_priv.`) only renames what is static, so that it is unique in the kernel.
    private static func isWhole(_ clone: String, _ function: String) -> Bool {
        let suffixes = clone.dropFirst(function.count).split(separator: ".")
        return !suffixes.isEmpty
            && suffixes.allSatisfy { $0 == "llvm" || $0 == "lto_priv" || $0.allSatisfy(\.isNumber) }
            && suffixes.contains { !$0.allSatisfy(\.isNumber) }
    }

    /// In the order of the text, whose lines are `ADDRESS TYPE NAME[\t[MODULE]]`.
    private static func names(of function: String, in symbols: [UInt8]) -> [String] {
        let start = Array("\(function).".utf8)
        return symbols.split(separator: UInt8(ascii: "\n")).compactMap { line in
            guard let space = line.firstIndex(of: UInt8(ascii: " ")) else { return nil }
            let rest = line[(space + 1)...]
            // Static variables of the function have such names, too; only code is of type t or T.
            guard let type = rest.first, type | 0x20 == UInt8(ascii: "t") else { return nil }
            let name = rest.dropFirst(2).prefix { $0 != UInt8(ascii: "\t") }
            return name.starts(with: start) ? String(decoding: name, as: UTF8.self) : nil
        }
    }
}
