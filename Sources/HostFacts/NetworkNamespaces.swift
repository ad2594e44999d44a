import CNattrace
import Glibc
import SystemSupport

/// Finds network namespaces by inode number, and does something inside one.
///
/// Only paths are kept, never open namespaces: a descriptor would keep the namespace of a
/// container alive, with its interfaces, after the container is gone. Inode numbers are
/// reused, so each path is proved when it is opened.
final class NetworkNamespaces {
    /// Paths kept. When they are more, all are forgotten.
    static let maximumKept = 1024
    /// Names read in a folder of names.
    static let maximumNames = 1 << 14

    private let processes: ProcessTable
    /// Where `ip netns` keeps names, and where Docker keeps namespaces of its containers.
    private let folders: [String]
    private var known: [UInt32: String] = [:]
    /// The namespace that this thread is in, kept open to come back to; nil: /proc is missing.
    private let own: Descriptor?
    /// nil: as `own`. Its device is that of every namespace (nsfs).
    let ownIdentity: FileIdentity?

    init(
        processes: ProcessTable = ProcessTable(), folders: [String] = [NamespaceNames.folder, "/run/docker/netns"]
    ) {
        self.processes = processes
        self.folders = folders
        if let descriptor = try? Descriptor(path: "/proc/thread-self/ns/net"),
            let identity = try? FileIdentity(descriptor)
        {
            ownIdentity = identity
            own = consume descriptor
        } else {
            ownIdentity = nil
            own = nil
        }
    }

    /// Does `body` in the namespace with this inode number, on this thread, which is back
    /// where it was afterwards.
    func inside<Result: ~Copyable>(
        _ inode: UInt32, _ body: () throws(FactFailure) -> Result
    ) throws(FactFailure) -> Result {
        guard let ownIdentity else { throw FactFailure("/proc/thread-self/ns/net cannot be opened; is /proc mounted?") }
        if UInt64(inode) == ownIdentity.inode { return try body() }
        let target = try open(inode)
        // Coming back must not fail, so it is tried before leaving: it needs CAP_SYS_ADMIN
        // in the user namespace that owns this one (setns(2)).
        try enterOwn()
        guard setns(target.raw, CLONE_NEWNET) == 0 else {
            throw FactFailure(call: "setns(network namespace \(inode))")
        }
        defer {
            do throws(FactFailure) {
                try enterOwn()
            } catch {
                // All that followed would be observed and answered in the wrong namespace.
                fatalError("nattrace: cannot return to its own network namespace: \(error)")
            }
        }
        return try body()
    }

    /// Whether others can be entered, and left again: tried on the one that this thread is in.
    var canReturn: Bool {
        do throws(FactFailure) {
            try enterOwn()
            return true
        } catch {
            return false
        }
    }

    private func enterOwn() throws(FactFailure) {
        let result = own.use { setns($0, CLONE_NEWNET) }
        guard result == 0 else { throw FactFailure(call: "setns(own network namespace)") }
    }

    /// Opens the namespace with this inode number. Throws where nothing leads to it.
    private func open(_ inode: UInt32) throws(FactFailure) -> Descriptor {
        if let path = known[inode] {
            if let descriptor = openVerified(path, inode) { return descriptor }
            known[inode] = nil
        }
        // Twice: what was found may be gone by the time it is opened, and something else may
        // lead there.
        for _ in 0..<2 {
            let path = try find(inode)
            if let descriptor = openVerified(path, inode) { return descriptor }
        }
        throw FactFailure("network namespace \(inode) is gone")
    }

    private func openVerified(_ path: String, _ inode: UInt32) -> Descriptor? {
        guard let descriptor = try? Descriptor(path: path), let identity = try? FileIdentity(descriptor),
            identity == self.identity(inode)
        else { return nil }
        return descriptor
    }

    /// Any file of this number that is not on nsfs is something else.
    private func identity(_ inode: UInt32) -> FileIdentity? {
        ownIdentity.map { FileIdentity(device: $0.device, inode: UInt64(inode)) }
    }

    /// A path that leads to a namespace: names first, then processes, the lowest pid first.
    func find(_ inode: UInt32) throws(FactFailure) -> String {
        let wanted = identity(inode)
        var result: String?
        let isDenied = try visitAll { path, number in
            if identity(number) == wanted { result = path }
            return result == nil
        }
        if let result { return result }
        if isDenied {
            throw FactFailure(
                call: "network namespace \(inode) not found among those that may be looked at", code: EACCES)
        }
        throw FactFailure(call: "no name and no process leads to network namespace \(inode)", code: ENOENT)
    }

    /// Inode numbers of every namespace but one that a name or a process leads to, each once.
    ///
    /// At most `limit` of them, and those found until `deadline` (nanoseconds of
    /// `monotonicTime`); `isComplete` says whether these cut something off. Throws where this user
    /// may look at none.
    func others(
        than inode: UInt32, limit: Int, until deadline: UInt64
    ) throws(FactFailure) -> (inodes: [UInt32], isComplete: Bool) {
        var inodes: [UInt32] = []
        var seen: Set<UInt32> = [inode]
        var isComplete = true
        let isDenied = try visitAll { _, number in
            if !seen.contains(number) {
                guard inodes.count < limit else {
                    isComplete = false
                    return false
                }
                seen.insert(number)
                inodes.append(number)
            }
            isComplete = monotonicTime() < deadline
            return isComplete
        }
        if isDenied, isComplete, inodes.isEmpty {
            throw FactFailure(call: "no other network namespace may be looked at", code: EACCES)
        }
        return (inodes, isComplete)
    }

    /// Shows every path that leads to a namespace, with the namespace's inode number, until `body`
    /// says false; paths are remembered. Returns whether some may not be looked at.
    private func visitAll(_ body: (String, UInt32) -> Bool) throws(FactFailure) -> Bool {
        var isDenied = false
        func visit(_ path: String) -> Bool {
            do throws(FactFailure) {
                let identity = try FileIdentity(path: path)
                guard identity.device == ownIdentity?.device, let number = UInt32(exactly: identity.inode) else {
                    return true
                }
                if known[number] == nil {
                    if known.count >= Self.maximumKept { known.removeAll() }
                    known[number] = path
                }
                return body(path, number)
            } catch {
                if error.isPermission { isDenied = true }
                return true
            }
        }
        for folder in folders {
            // Most machines have none of these folders.
            for name in (try? Files.names(in: folder, limit: Self.maximumNames)) ?? [] {
                if !visit("\(folder)/\(name)") { return isDenied }
            }
        }
        for pid in try processes.pids() {
            if !visit(processes.networkNamespacePath(of: pid)) { break }
        }
        return isDenied
    }
}

extension Optional where Wrapped == Descriptor {
    /// -1 without a descriptor.
    fileprivate borrowing func use(_ body: (Int32) -> Int32) -> Int32 {
        switch self {
        case .some(let descriptor): body(descriptor.raw)
        case .none: -1
        }
    }
}
