// Programs of the system that print what no system call tells.

import CNattrace
import Glibc
import SystemSupport

/// Finds and runs programs, one at a time, and takes what they print.
///
/// A child belongs to nobody but this: it is waited for by its pid alone, no handler of SIGCHLD is
/// set, and it inherits no descriptor, as all of ours close on exec. It runs in a process group of
/// its own, so that the keys which end this program do not cut its output short.
final class Tool {
    /// Where programs are looked for, whatever PATH says: they run with all of root's rights.
    static let folders = ["/usr/sbin", "/sbin", "/usr/bin", "/bin"]
    private static let environment = ["LC_ALL=C", "PATH=/usr/sbin:/sbin:/usr/bin:/bin"]
    /// Bytes of error output kept.
    static let maximumErrorText = 512
    /// Nanoseconds for which an ended or killed child is waited for.
    private static let patience: UInt64 = 200_000_000

    private let folders: [String]
    /// Children that were killed and had not gone yet.
    private var leftover: [pid_t] = []

    init(folders: [String] = folders) {
        self.folders = folders
    }

    /// A program that runs, with the ends of its outputs.
    struct Running: ~Copyable {
        fileprivate let pid: pid_t
        fileprivate let output: Descriptor
        fileprivate let errors: Descriptor
        /// For error texts: `nft -j -a list ruleset`.
        fileprivate let name: String
    }

    /// Starts a program in the network namespace that the calling thread is in, which the child
    /// inherits (clone(2)). Whoever starts it finishes it.
    func start(_ name: String, _ arguments: [String]) throws(FactFailure) -> Running {
        leftover.removeAll { waitpid($0, nil, WNOHANG) != 0 }
        guard let path = path(of: name) else { throw FactFailure("\(name) is not installed") }
        let outputEnds = try Descriptor.pipe()
        let output = Descriptor(owning: outputEnds.reader)
        let outputWriter = Descriptor(owning: outputEnds.writer)
        let errorEnds = try Descriptor.pipe()
        let errors = Descriptor(owning: errorEnds.reader)
        let errorWriter = Descriptor(owning: errorEnds.writer)
        let pid = try Self.spawn(path, [name] + arguments, output: outputWriter.raw, errors: errorWriter.raw)
        return Running(
            pid: pid, output: output, errors: errors, name: ([name] + arguments).joined(separator: " "))
    }

    /// nil: it is not installed.
    func path(of name: String) -> String? {
        for folder in folders {
            let path = "\(folder)/\(name)"
            if access(path, X_OK) == 0 { return path }
        }
        return nil
    }

    /// Everything that the program printed, once it has ended well. It is killed when it prints more
    /// than `limit` bytes or has not ended at `deadline` (nanoseconds of `monotonicTime`).
    func finish(_ running: consuming Running, limit: Int, deadline: UInt64) throws(FactFailure) -> [UInt8] {
        var output: [UInt8] = []
        var errors: [UInt8] = []
        do throws(FactFailure) {
            try Self.collect(running, limit: limit, deadline: deadline, output: &output, errors: &errors)
        } catch {
            kill(-running.pid, SIGKILL)
            _ = status(of: running.pid, until: monotonicTime() &+ Self.patience)
            throw error
        }
        // Both ends are closed: it ends any moment.
        var ended = status(of: running.pid, until: max(deadline, monotonicTime() &+ Self.patience), isKeptIfNot: false)
        if ended == nil {
            kill(-running.pid, SIGKILL)
            ended = status(of: running.pid, until: monotonicTime() &+ Self.patience)
        }
        guard let ended else { throw FactFailure("\(running.name): does not end") }
        guard ended != 0 else { return output }
        let text = String(decoding: errors.prefix { $0 != UInt8(ascii: "\n") }, as: UTF8.self)
        let how = ended & 0x7f == 0 ? "exit status \(ended >> 8 & 0xff)" : "ended by signal \(ended & 0x7f)"
        throw FactFailure("\(running.name): \(text.isEmpty ? how : text)")
    }

    private static func collect(
        _ running: borrowing Running, limit: Int, deadline: UInt64, output: inout [UInt8], errors: inout [UInt8]
    ) throws(FactFailure) {
        var descriptors = [
            pollfd(fd: running.output.raw, events: Int16(POLLIN), revents: 0),
            pollfd(fd: running.errors.raw, events: Int16(POLLIN), revents: 0),
        ]
        let piece = UnsafeMutableRawBufferPointer.allocate(byteCount: 1 << 16, alignment: 16)
        defer { piece.deallocate() }
        // poll(2) passes over negative descriptors.
        while descriptors.contains(where: { $0.fd >= 0 }) {
            let now = monotonicTime()
            guard now < deadline else { throw FactFailure("\(running.name): takes too long") }
            let ready = poll(&descriptors, nfds_t(descriptors.count), Int32((deadline - now) / 1_000_000 + 1))
            guard ready >= 0 || errno == EINTR else { throw FactFailure(call: "poll") }
            guard ready > 0 else { continue }
            for index in descriptors.indices where descriptors[index].fd >= 0 && descriptors[index].revents != 0 {
                let count = read(descriptors[index].fd, piece.baseAddress, piece.count)
                if count < 0, errno == EINTR { continue }
                if count <= 0 {
                    descriptors[index].fd = -1
                    continue
                }
                if index == 0 {
                    guard output.count + count <= limit else {
                        throw FactFailure("\(running.name): prints more than \(limit >> 20) MB")
                    }
                    output += piece[..<count]
                } else {
                    errors += piece[..<min(count, maximumErrorText - errors.count)]
                }
            }
        }
    }

    /// What waitpid(2) says of a child's end, looked for every millisecond; nil: it has not ended.
    /// `isKeptIfNot`: it was killed, and is waited for again later.
    private func status(of pid: pid_t, until deadline: UInt64, isKeptIfNot: Bool = true) -> Int32? {
        var pause = timespec(tv_sec: 0, tv_nsec: 1_000_000)
        while true {
            var status: Int32 = 0
            let result = waitpid(pid, &status, WNOHANG)
            if result == pid { return status }
            // Where SIGCHLD is ignored since before this program began, the kernel keeps no status:
            // what was printed to the end counts.
            if result < 0, errno == ECHILD { return 0 }
            guard monotonicTime() < deadline else { break }
            nanosleep(&pause, nil)
            pause.tv_nsec = 1_000_000
        }
        if isKeptIfNot { leftover.append(pid) }
        return nil
    }

    private static func spawn(
        _ path: String, _ arguments: [String], output: Int32, errors: Int32
    ) throws(FactFailure) -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, output, STDOUT_FILENO)
        posix_spawn_file_actions_adddup2(&actions, errors, STDERR_FILENO)
        posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY, 0)
        nattrace_spawn_close_from(&actions, STDERR_FILENO + 1)
        var attributes = posix_spawnattr_t()
        posix_spawnattr_init(&attributes)
        defer { posix_spawnattr_destroy(&attributes) }
        // This program blocks some signals and ignores others, which a child would inherit.
        var none = sigset_t()
        sigemptyset(&none)
        posix_spawnattr_setsigmask(&attributes, &none)
        var all = sigset_t()
        sigfillset(&all)
        posix_spawnattr_setsigdefault(&attributes, &all)
        posix_spawnattr_setpgroup(&attributes, 0)
        posix_spawnattr_setflags(
            &attributes,
            Int16(POSIX_SPAWN_SETSIGMASK) | Int16(POSIX_SPAWN_SETSIGDEF) | Int16(POSIX_SPAWN_SETPGROUP))
        let vector = arguments.map { strdup($0) } + [nil]
        let environment = Self.environment.map { strdup($0) } + [nil]
        defer { for text in vector + environment { free(text) } }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, path, &actions, &attributes, vector, environment)
        guard code == 0 else { throw FactFailure(call: path, code: code) }
        return pid
    }
}
