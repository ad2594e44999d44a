import Handshake
import SystemSupport

/// What people call a network namespace.
final class NamespaceNames {
    /// Where `ip netns add NAME` mounts a namespace (ip-netns(8)).
    static let folder = "/run/netns"
    /// Namespaces remembered, with a container or without. When they are more, all are forgotten.
    static let maximumKept = 1024
    /// Nanoseconds for which a namespace without a container is not looked for again.
    static let patience: UInt64 = 2_000_000_000

    private let folder: String
    private let processes: ProcessTable
    private let own: FileIdentity?
    private let clock: () -> UInt64
    /// A process in the namespace that is in a container.
    private var members: [UInt32: Int32] = [:]
    private var nameless: [UInt32: UInt64] = [:]

    /// `own`: the namespace of this thread, whose device tells namespaces from other files.
    /// `clock` in nanoseconds, monotonic.
    init(
        own: FileIdentity?, processes: ProcessTable = ProcessTable(), folder: String = NamespaceNames.folder,
        clock: @escaping () -> UInt64 = monotonicTime
    ) {
        self.own = own
        self.processes = processes
        self.folder = folder
        self.clock = clock
    }

    /// The name under /run/netns; else the short id of a container that runs in it; else none.
    ///
    /// The namespace of this program and that of process 1 never get a container's name:
    /// containers on the host's network run there too.
    func name(of inode: UInt32) -> Answer {
        guard let own else { return .unavailable("/proc/thread-self/ns/net cannot be read; is /proc mounted?") }
        let wanted = FileIdentity(device: own.device, inode: UInt64(inode))
        for name in (try? Files.names(in: folder, limit: NetworkNamespaces.maximumNames))?.sorted() ?? []
        where (try? FileIdentity(path: "\(folder)/\(name)")) == wanted {
            return .name(name)
        }
        if wanted == own || namespace(of: 1) == wanted { return .nothing }
        if let pid = members[inode] {
            if namespace(of: pid) == wanted, let id = processes.containerID(of: pid) { return .name(id) }
            members[inode] = nil
        }
        let now = clock()
        if let time = nameless[inode], now &- time < Self.patience { return .nothing }
        return search(wanted, inode: inode, now: now)
    }

    private func search(_ wanted: FileIdentity, inode: UInt32, now: UInt64) -> Answer {
        let pids: [Int32]
        do throws(FactFailure) {
            pids = try processes.pids()
        } catch {
            return .unavailable(error.description)
        }
        var denied = false
        for pid in pids {
            do throws(FactFailure) {
                guard try FileIdentity(path: processes.networkNamespacePath(of: pid)) == wanted,
                    let id = processes.containerID(of: pid)
                else { continue }
                if members.count >= Self.maximumKept { members.removeAll() }
                members[inode] = pid
                return .name(id)
            } catch {
                // Others have exited meanwhile.
                if error.isPermission { denied = true }
            }
        }
        if denied { return .unavailable("not permitted to see which namespaces all processes are in") }
        if nameless.count >= Self.maximumKept { nameless.removeAll() }
        nameless[inode] = now
        return .nothing
    }

    private func namespace(of pid: Int32) -> FileIdentity? {
        try? FileIdentity(path: processes.networkNamespacePath(of: pid))
    }
}
