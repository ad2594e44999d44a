// `--netns NAME|INODE|pid:N`: how people point to a network namespace.

import Glibc

/// Why an argument does not lead to a network namespace.
public struct NetnsError: Error, Equatable, CustomStringConvertible {
    public enum Code: Sendable {
        /// It is neither a name, nor a number, nor `pid:N`.
        case malformed
        /// No namespace of this name, number or process is there.
        case notFound
        /// It may be there, but this user may not look.
        case notPermitted
        /// The system failed otherwise.
        case system
    }

    public let code: Code
    /// One line, naming what was asked and what to do.
    public let description: String
}

/// The inode number of the network namespace that an argument names: a name under /run/netns
/// (`ip netns list`), an inode number (`lsns -t net`), or `pid:N`, the namespace of a process.
/// A name that is a number goes before the number.
public func netnsInode(of argument: String) throws(NetnsError) -> UInt32 {
    try NetnsArgument(text: argument).inode()
}

struct NetnsArgument {
    let text: String
    var folder = NamespaceNames.folder
    var namespaces = NetworkNamespaces()

    func inode() throws(NetnsError) -> UInt32 {
        if text.hasPrefix("pid:") { return try ofProcess(text.dropFirst(4)) }
        guard !text.isEmpty, text != ".", text != "..", !text.utf8.contains(UInt8(ascii: "/")),
            !text.utf8.contains(0)
        else {
            throw NetnsError(
                code: .malformed,
                description: "'\(text)' names no network namespace: write a name, an inode number or pid:N"
            )
        }
        if let number = try namespace(at: "\(folder)/\(text)") { return number }
        if text.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) { return try ofNumber() }
        throw NetnsError(
            code: .notFound, description: "there is no network namespace '\(text)': 'ip netns list' shows the names")
    }

    private func ofProcess(_ digits: Substring) throws(NetnsError) -> UInt32 {
        guard digits.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains), let pid = Int32(digits) else {
            throw NetnsError(code: .malformed, description: "'\(text)' names no process: write pid:N with a number")
        }
        guard let number = try namespace(at: "/proc/\(pid)/ns/net") else {
            throw NetnsError(code: .notFound, description: "there is no process \(pid), so it has no network namespace")
        }
        return number
    }

    private func ofNumber() throws(NetnsError) -> UInt32 {
        let missing = NetnsError(
            code: .notFound, description: "there is no network namespace \(text): 'lsns -t net' shows the numbers")
        guard let number = UInt32(text), number > 0 else { throw missing }
        if let own = namespaces.ownIdentity, own.inode == UInt64(number) { return number }
        do throws(FactFailure) {
            _ = try namespaces.find(number)
            return number
        } catch {
            guard error.code == ENOENT else { throw self.error(error) }
            throw missing
        }
    }

    /// The number of the namespace at a path; nil: there is none, or a file that is no namespace,
    /// as `ip netns` leaves behind at times.
    private func namespace(at path: String) throws(NetnsError) -> UInt32? {
        do throws(FactFailure) {
            let identity = try FileIdentity(path: path)
            guard let own = namespaces.ownIdentity, identity.device == own.device else { return nil }
            return UInt32(exactly: identity.inode)
        } catch {
            if [ENOENT, ESRCH, ENOTDIR, ENAMETOOLONG].contains(error.code) { return nil }
            throw self.error(error)
        }
    }

    private func error(_ failure: FactFailure) -> NetnsError {
        failure.isPermission
            ? NetnsError(
                code: .notPermitted,
                description: "network namespace '\(text)' may not be looked at: that needs CAP_SYS_PTRACE; run as root")
            : NetnsError(code: .system, description: failure.description)
    }
}
