// A file that is there when it is complete, and not before.

import Glibc
import Output

/// Where a page goes: a file, which takes the place of an older one once it is complete, or standard output.
struct OutputFile {
    /// As it was named; nil: standard output.
    private let path: String?
    /// Whether it is, or will be, a file of its own: a device or a pipe is written to as it is.
    private let isMoved: Bool

    /// Refuses what cannot be written, and what is the recording itself, before any work is done.
    init(path: String?, unlike input: String) throws {
        self.path = path
        var source = stat()
        let isInputKnown = stat(input, &source) == 0
        var target = stat()
        guard let path else {
            isMoved = false
            if isInputKnown, fstat(STDOUT_FILENO, &target) == 0 {
                try Self.refuse("standard output", target, source, input)
            }
            return
        }
        guard stat(path, &target) == 0 else {
            isMoved = true
            // ENOENT may also be that of its folder.
            guard errno == ENOENT, faccessat(AT_FDCWD, Self.folder(of: path), W_OK | X_OK, AT_EACCESS) == 0 else {
                throw OutputError(operation: .create, name: path, code: errno)
            }
            return
        }
        if isInputKnown { try Self.refuse("'-o \(path)'", target, source, input) }
        switch target.st_mode & S_IFMT {
        case S_IFDIR: throw OutputError(operation: .create, name: path, code: EISDIR)
        case S_IFREG:
            isMoved = true
            guard faccessat(AT_FDCWD, Self.folder(of: Self.resolved(path)), W_OK | X_OK, AT_EACCESS) == 0 else {
                throw OutputError(operation: .create, name: path, code: errno)
            }
        default: isMoved = false
        }
    }

    /// Has `body` write all of it; returns how many bytes it is.
    func write(_ body: (OutputBuffer) -> Void) throws -> UInt64 {
        guard let path else { return try write(to: STDOUT_FILENO, "standard output", body) }
        guard isMoved else {
            let descriptor = try OutputBuffer.create(file: path)
            defer { close(descriptor) }
            return try write(to: descriptor, path, body)
        }
        let final = Self.resolved(path)
        // Readable by its owner only, as a recording: it tells who talks to whom.
        var template = Array("\(Self.folder(of: final))/.nattrace-XXXXXX".utf8CString)
        let descriptor = mkstemp(&template)
        guard descriptor >= 0 else { throw OutputError(operation: .create, name: path, code: errno) }
        do {
            defer { close(descriptor) }
            let written = try write(to: descriptor, path, body)
            // Some file systems say only now that there is no room.
            guard fsync(descriptor) == 0 || errno == EINVAL || errno == ENOTSUP else {
                throw OutputError(operation: .write, name: path, code: errno, written: written)
            }
            guard rename(template, final) == 0 else { throw OutputError(operation: .create, name: path, code: errno) }
            return written
        } catch {
            unlink(template)
            throw error
        }
    }

    private func write(to descriptor: Int32, _ name: String, _ body: (OutputBuffer) -> Void) throws -> UInt64 {
        let output = OutputBuffer(descriptor: descriptor, name: name)
        body(output)
        if case .failed(let error) = output.flush() { throw error }
        return output.written
    }

    private static func refuse(_ what: String, _ target: stat, _ source: stat, _ input: String) throws {
        guard source.st_mode & S_IFMT == S_IFREG, (target.st_dev, target.st_ino) == (source.st_dev, source.st_ino)
        else {
            return
        }
        throw Failure.usage("\(what) is the recording \(input) itself: write the page to another file")
    }

    /// What a link leads to: the link stays.
    private static func resolved(_ path: String) -> String {
        guard let real = realpath(path, nil) else { return path }
        defer { free(real) }
        return String(cString: real)
    }

    private static func folder(of path: String) -> String {
        guard let slash = path.lastIndex(of: "/") else { return "." }
        return slash == path.startIndex ? "/" : String(path[..<slash])
    }
}
