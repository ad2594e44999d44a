import Glibc
import Testing

@testable import HostFacts

/// A network namespace of a test's own, which a process holds until this goes away; it goes with
/// the test program too, however that ends.
final class PrivateNamespace {
    let inode: UInt32
    private let pid: pid_t
    /// The holder reads from here, and ends when nobody holds the other end.
    private var lifeline: Int32

    struct Failure: Error {
        var text: String
    }

    /// Whether this user may make namespaces; root may, unless it is confined.
    static let isPossible = (try? PrivateNamespace()) != nil

    /// Runs `setup`, lines for /bin/sh, in a new namespace with `lo` up.
    init(_ setup: String = "") throws {
        let input = try Descriptor.pipe()
        let output = try Descriptor.pipe()
        pid = try Self.spawn(
            ["/usr/bin/unshare", "--net", "/bin/sh", "-ec", "ip link set lo up\n\(setup)\necho ready\nexec cat"],
            input: input.reader, output: output.writer)
        close(input.reader)
        close(output.writer)
        lifeline = input.writer
        let said = Self.readLine(output.reader)
        close(output.reader)
        guard said == "ready" else {
            close(lifeline)
            waitpid(pid, nil, 0)
            throw Failure(text: "namespace: \(said)\n\(setup)")
        }
        inode = UInt32(truncatingIfNeeded: try FileIdentity(path: "/proc/\(pid)/ns/net").inode)
    }

    /// Runs lines for /bin/sh in it; what they print to both outputs.
    @discardableResult func run(_ script: String) throws -> String {
        let output = try Descriptor.pipe()
        let child = try Self.spawn(
            ["/usr/bin/nsenter", "--net=/proc/\(pid)/ns/net", "/bin/sh", "-ec", "exec 2>&1\n\(script)"],
            input: lifeline, output: output.writer)
        close(output.writer)
        let text = Self.readAll(output.reader)
        close(output.reader)
        var status: Int32 = 0
        waitpid(child, &status, 0)
        guard status == 0 else { throw Failure(text: "\(script): \(text)") }
        return text
    }

    deinit {
        close(lifeline)
        waitpid(pid, nil, 0)
    }

    private static func spawn(_ arguments: [String], input: Int32, output: Int32) throws -> pid_t {
        var actions = posix_spawn_file_actions_t()
        posix_spawn_file_actions_init(&actions)
        defer { posix_spawn_file_actions_destroy(&actions) }
        posix_spawn_file_actions_adddup2(&actions, input, 0)
        posix_spawn_file_actions_adddup2(&actions, output, 1)
        var vector: [UnsafeMutablePointer<CChar>?] = arguments.map { strdup($0) }
        defer { for text in vector { free(text) } }
        vector.append(nil)
        var environment: [UnsafeMutablePointer<CChar>?] = [strdup("PATH=/usr/sbin:/usr/bin:/sbin:/bin"), nil]
        defer { free(environment[0]) }
        var pid: pid_t = 0
        let code = posix_spawn(&pid, arguments[0], &actions, nil, &vector, &environment)
        guard code == 0 else { throw Failure(text: "\(arguments[0]): error \(code)") }
        return pid
    }

    private static func readLine(_ fd: Int32) -> String {
        var bytes: [UInt8] = []
        var byte: UInt8 = 0
        while read(fd, &byte, 1) == 1, byte != UInt8(ascii: "\n") { bytes.append(byte) }
        return String(decoding: bytes, as: UTF8.self)
    }

    private static func readAll(_ fd: Int32) -> String {
        var bytes: [UInt8] = []
        var piece = [UInt8](repeating: 0, count: 4096)
        while case let count = read(fd, &piece, piece.count), count > 0 { bytes += piece.prefix(count) }
        return String(decoding: bytes, as: UTF8.self)
    }
}
