// Small files, links and folders: what /proc and /run are made of.

import Glibc

enum Files {
    /// Hands a file's bytes to `body` in pieces of up to `pieceSize`, in order.
    static func read(
        _ path: String, pieceSize: Int = 4096, _ body: (UnsafeRawBufferPointer) -> Void
    ) throws(FactFailure) {
        let file = try Descriptor(path: path)
        let buffer = UnsafeMutableRawBufferPointer.allocate(byteCount: pieceSize, alignment: 16)
        defer { buffer.deallocate() }
        while true {
            let count = Glibc.read(file.raw, buffer.baseAddress, buffer.count)
            if count < 0 {
                if errno == EINTR { continue }
                throw FactFailure(call: "read(\(path))")
            }
            if count == 0 { return }
            body(UnsafeRawBufferPointer(rebasing: buffer[..<count]))
        }
    }

    /// The first `limit` bytes of a file.
    static func bytes(_ path: String, limit: Int) throws(FactFailure) -> [UInt8] {
        var result: [UInt8] = []
        try read(path) { piece in
            result.append(contentsOf: piece.prefix(limit - result.count))
        }
        return result
    }

    /// Names in a folder but for `.` and `..`, in no order, at most `limit`.
    static func names(in folder: String, limit: Int) throws(FactFailure) -> [String] {
        var result: [String] = []
        try visit(folder) { _, name in
            result.append(String(cString: name))
            return result.count < limit
        }
        return result
    }

    /// Calls `body` with the folder's descriptor and each name, until it says false.
    static func visit(_ folder: String, _ body: (Int32, UnsafePointer<CChar>) -> Bool) throws(FactFailure) {
        guard let stream = opendir(folder) else { throw FactFailure(call: "opendir(\(folder))") }
        defer { closedir(stream) }
        let descriptor = dirfd(stream)
        // An error on the way ends the list like its end does: of a process that exits
        // meanwhile, what was seen is as good as it gets.
        while let entry = readdir(stream) {
            let goOn = withUnsafePointer(to: &entry.pointee.d_name) { tuple in
                tuple.withMemoryRebound(to: CChar.self, capacity: MemoryLayout.size(ofValue: tuple.pointee)) { name in
                    isDotOrDotDot(name) || body(descriptor, name)
                }
            }
            if !goOn { return }
        }
    }

    private static func isDotOrDotDot(_ name: UnsafePointer<CChar>) -> Bool {
        let dot = CChar(UInt8(ascii: "."))
        return name[0] == dot && (name[1] == 0 || (name[1] == dot && name[2] == 0))
    }
}
