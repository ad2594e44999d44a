import Glibc

/// Settings of the kernel below /proc/sys (proc_sys(5)).
enum Sysctl {
    /// A page is what the kernel prints of a value at most (proc_sys_call_handler).
    static let maximumLength = 4096
    static let folder = "/proc/sys"

    /// The value of a setting without the white space around it; nil: there is none of this name.
    ///
    /// `name` is a path, `net/ipv4/ip_forward`; dots stand for themselves, as they do in names of
    /// interfaces. What is below `net` is that of the calling thread's network namespace
    /// (net_ctl_header_lookup), not that of the process.
    static func value(_ name: String, folder: String = folder) throws(FactFailure) -> String? {
        let parts = name.utf8.split(separator: UInt8(ascii: "/"), omittingEmptySubsequences: false)
        guard parts.allSatisfy({ !$0.isEmpty && !$0.elementsEqual("..".utf8) && !$0.contains(0) }) else {
            throw FactFailure("'\(name)' names no sysctl")
        }
        do throws(FactFailure) {
            let bytes = try Files.bytes("\(folder)/\(name)", limit: maximumLength)
            let head = bytes.drop(while: isSpace)
            let end = head.lastIndex { !isSpace($0) }.map { $0 + 1 } ?? head.startIndex
            return String(decoding: head[..<end], as: UTF8.self)
        } catch {
            if error.code == ENOENT || error.code == ENOTDIR { return nil }
            throw error
        }
    }

    private static func isSpace(_ byte: UInt8) -> Bool {
        byte == UInt8(ascii: " ") || byte == UInt8(ascii: "\t") || byte == UInt8(ascii: "\n")
    }
}
