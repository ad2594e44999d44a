// What libbpf says: kept for error messages, shown as it comes with NATTRACE_DEBUG=1.

import CLibBPF
import CNattrace
import Glibc

enum LibbpfLog {
    /// From here on libbpf writes nothing to stderr, but for NATTRACE_DEBUG=1.
    static func capture() {
        nattrace_log_echo(getenv("NATTRACE_DEBUG").map { String(cString: $0) } == "1")
        libbpf_set_print(unsafeBitCast(nattrace_log_function(), to: libbpf_print_fn_t.self))
    }

    /// A place in the log, for `lines(since:)`.
    static var mark: UInt64 { nattrace_log_count() }

    /// What was said since, oldest first; of very much only the end.
    static func lines(since mark: UInt64) -> [String] {
        let count = nattrace_log_count()
        let kept = UInt64(NATTRACE_LOG_LINES)
        return (max(mark, count > kept ? count - kept : 0)..<max(mark, count)).compactMap(line)
    }

    private static func line(_ index: UInt64) -> String? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: Int(NATTRACE_LOG_LINE_LENGTH)) { buffer in
            guard let start = buffer.baseAddress, nattrace_log_line(index, start, buffer.count) else { return nil }
            let text = String(cString: start)
            return text.hasPrefix("libbpf: ") ? String(text.dropFirst(8)) : text
        }
    }
}

/// Which program made a load fail, read from what libbpf said about it. libbpf gives no other
/// way to know: after a failure all programs are unloaded.
struct Refusal: Equatable {
    /// Name of the BPF program.
    let program: String
    /// The verifier's last words, or libbpf's.
    let reason: String

    init(program: String, reason: String) {
        self.program = program
        self.reason = reason
    }

    /// nil: nothing blames a program, the failure is of another kind (a map, say).
    init?(log lines: [String]) {
        func named(_ line: String) -> Substring? {
            guard line.hasPrefix("prog '") else { return nil }
            return line.dropFirst(6).prefix { $0 != "'" }
        }
        guard let last = lines.last(where: { named($0) != nil }), let name = named(last) else { return nil }
        program = String(name)

        var verifier = lines[..<0]
        if let end = lines.lastIndex(where: { $0.hasPrefix("-- END PROG LOAD LOG") }) {
            // The beginning of a long log is not kept.
            let begin = lines[..<end].lastIndex { $0.hasSuffix("-- BEGIN PROG LOAD LOG --") }
            verifier = lines[(begin.map { $0 + 1 } ?? 0)..<end]
        }
        // The verifier closes with statistics.
        if let words = verifier.last(where: { !$0.hasPrefix("processed ") }) {
            reason = words
        } else {
            // Of libbpf's own lines about the program the first names the cause.
            let first = lines.first { named($0) == name } ?? last
            reason = String(first.dropFirst("prog '': ".count + name.count))
        }
    }
}
