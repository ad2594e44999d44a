import Glibc
import Testing

@testable import HostFacts

/// A folder of a test's own, with small files and links in it.
struct TemporaryFolder {
    let path: String

    struct Failure: Error {
        var call: String
        var code = errno
    }

    func makeFolder(_ name: String) throws {
        var path = self.path
        for part in name.split(separator: "/") {
            path += "/\(part)"
            guard mkdir(path, 0o700) == 0 || errno == EEXIST else { throw Failure(call: "mkdir(\(path))") }
        }
    }

    func write(_ name: String, _ text: String) throws {
        if let slash = name.lastIndex(of: "/") { try makeFolder(String(name[..<slash])) }
        let fd = open("\(path)/\(name)", O_WRONLY | O_CREAT | O_TRUNC, 0o600)
        guard fd >= 0 else { throw Failure(call: "open(\(name))") }
        defer { close(fd) }
        var text = text
        let written = text.withUTF8 { Glibc.write(fd, $0.baseAddress, $0.count) }
        guard written == text.utf8.count else { throw Failure(call: "write(\(name))") }
    }

    func link(_ name: String, to target: String) throws {
        if let slash = name.lastIndex(of: "/") { try makeFolder(String(name[..<slash])) }
        unlink("\(path)/\(name)")
        guard symlink(target, "\(path)/\(name)") == 0 else { throw Failure(call: "symlink(\(name))") }
    }

    func remove(_ name: String) {
        unlink("\(path)/\(name)")
    }
}

func withTemporaryFolder(_ body: (TemporaryFolder) throws -> Void) throws {
    var template = Array("/tmp/nattrace-test-XXXXXX".utf8CString)
    let made = template.withUnsafeMutableBufferPointer { buffer in
        buffer.baseAddress.flatMap { mkdtemp($0) } != nil
    }
    try #require(made)
    let path = String(decoding: template.dropLast().map { UInt8(bitPattern: $0) }, as: UTF8.self)
    defer { removeAll(path) }
    try body(TemporaryFolder(path: path))
}

/// Removes a file, a link, or a folder with what is in it; links are not followed.
private func removeAll(_ path: String) {
    var status = stat()
    guard lstat(path, &status) == 0 else { return }
    if status.st_mode & S_IFMT == S_IFDIR {
        for name in (try? Files.names(in: path, limit: .max)) ?? [] { removeAll("\(path)/\(name)") }
    }
    remove(path)
}
