// What `nattrace --version` says: enough to tell which program somebody has, when they send what it said.

import CNattrace
import KernelTracer

/// As the JSON lines say it, too.
let nattraceVersion = "0.1.0"

struct BuildFacts {
    var version = nattraceVersion
    /// Empty strings: not known, as where the build was without make or git.
    var commit = String(cString: nattrace_build_commit())
    var architecture = String(cString: nattrace_build_architecture())
    var isStatic = nattrace_is_static()
    var isOptimised = Self.isOptimised
    var swift = String(cString: nattrace_build_swift())
    var libbpf = libbpfVersion
    var objectCompiler = String(cString: nattrace_build_bpf_compiler())
    var objectHash = String(cString: nattrace_build_bpf_hash())
    var objectSize = Self.objectSize

    /// The first line is for programs, too: a name and a version. No line break behind the last.
    var text: String {
        func known(_ text: String) -> String { text.isEmpty ? "unknown" : text }
        let kind = "\(isOptimised ? "release" : "debug"), \(isStatic ? "static" : "dynamic")"
        return """
            nattrace \(version)
            commit  \(known(commit))
            build   \(known(architecture)), \(kind), Swift \(known(swift)), libbpf \(known(libbpf))
            BPF     \(objectSize) bytes, compiler \(known(objectCompiler))
            sha256  \(known(objectHash)) (BPF)
            """
    }

    static var text: String { BuildFacts().text }

    private static var objectSize: Int {
        var size = 0
        _ = nattrace_embedded_object(&size)
        return size
    }

    #if DEBUG
        private static let isOptimised = false
    #else
        private static let isOptimised = true
    #endif
}
