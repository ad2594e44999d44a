import Glibc
import Handshake
import SystemSupport

/// Which process holds a socket, by `/proc/PID/fd`.
///
/// One walk through all descriptors of a machine answers for a set of sockets. What it found
/// is kept and proved again by one readlink, so that a listener under load, about which one
/// is asked again and again, costs one walk.
final class SocketOwners {
    /// Descriptors looked at in one walk; about half a second. An owner behind is not found.
    static let maximumDescriptors = 1 << 19
    /// Owners kept. When they are more, all are forgotten.
    static let maximumKept = 1024
    /// Nanoseconds for which a walk that did not find a socket's owner is not repeated for it.
    static let patience: UInt64 = 2_000_000_000

    private struct Holder {
        var pid: Int32
        /// As in `/proc/PID/fd/FD`.
        var descriptor: String
    }

    private let processes: ProcessTable
    private let clock: () -> UInt64
    private var known: [UInt64: Holder] = [:]
    /// When the owner of a socket was looked for in vain.
    private var missed: [UInt64: UInt64] = [:]

    /// `clock` in nanoseconds, monotonic.
    init(processes: ProcessTable = ProcessTable(), clock: @escaping () -> UInt64 = monotonicTime) {
        self.processes = processes
        self.clock = clock
    }

    /// Of each socket, by inode number in sockfs, the holder with the lowest pid; a socket
    /// whose holder is not found, or may not be looked into, is left out.
    func owners(of inodes: Set<UInt64>) -> [UInt64: ProcessIdentity] {
        var result: [UInt64: ProcessIdentity] = [:]
        var wanted: Set<UInt64> = []
        let now = clock()
        // Inode 0: a socket that no descriptor leads to any more.
        for inode in inodes where inode != 0 {
            if let holder = known[inode] {
                if stillHolds(holder, inode) {
                    result[inode] = processes.identity(of: holder.pid)
                    continue
                }
                known[inode] = nil
            }
            if let time = missed[inode], now &- time < Self.patience { continue }
            wanted.insert(inode)
        }
        guard !wanted.isEmpty else { return result }
        let found = search(wanted)
        if known.count + found.count > Self.maximumKept { known.removeAll() }
        if missed.count + wanted.count > Self.maximumKept { missed.removeAll() }
        for inode in wanted {
            missed[inode] = found[inode] == nil ? now : nil
            guard let holder = found[inode] else { continue }
            known[inode] = holder
            result[inode] = processes.identity(of: holder.pid)
        }
        return result
    }

    private func stillHolds(_ holder: Holder, _ inode: UInt64) -> Bool {
        let path = "\(processes.folder)/\(holder.pid)/fd/\(holder.descriptor)"
        return Self.socketInode(AT_FDCWD, path) == inode
    }

    private func search(_ wanted: Set<UInt64>) -> [UInt64: Holder] {
        var found: [UInt64: Holder] = [:]
        var budget = Self.maximumDescriptors
        for pid in (try? processes.pids()) ?? [] {
            // Processes that go away or may not be looked into are passed over.
            try? Files.visit("\(processes.folder)/\(pid)/fd") { folder, name in
                budget -= 1
                if let inode = Self.socketInode(folder, name), wanted.contains(inode), found[inode] == nil {
                    found[inode] = Holder(pid: pid, descriptor: String(cString: name))
                }
                return budget > 0 && found.count < wanted.count
            }
            if budget <= 0 || found.count == wanted.count { break }
        }
        return found
    }

    /// The inode number in a link to `socket:[NUMBER]` (proc_pid_fd(5)); nil: no socket.
    private static func socketInode(_ folder: Int32, _ name: UnsafePointer<CChar>) -> UInt64? {
        withUnsafeTemporaryAllocation(of: CChar.self, capacity: 40) { target -> UInt64? in
            guard let start = target.baseAddress else { return nil }
            let count = readlinkat(folder, name, start, target.count)
            // A link as long as the buffer may be longer: none to a socket is.
            guard count > 0, count < target.count else { return nil }
            return target[..<count].withMemoryRebound(to: UInt8.self) { parse($0) }
        }
    }

    private static func parse(_ link: UnsafeMutableBufferPointer<UInt8>) -> UInt64? {
        let prefix: StaticString = "socket:["
        guard link.count > prefix.utf8CodeUnitCount + 1, link.last == UInt8(ascii: "]"),
            prefix.withUTF8Buffer({ link.starts(with: $0) })
        else { return nil }
        var inode: UInt64 = 0
        for byte in link.dropFirst(prefix.utf8CodeUnitCount).dropLast() {
            guard (UInt8(ascii: "0")...UInt8(ascii: "9")).contains(byte) else { return nil }
            inode = inode &* 10 &+ UInt64(byte - UInt8(ascii: "0"))
        }
        return inode
    }
}
