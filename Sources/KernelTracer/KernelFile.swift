// Files of /proc and /sys, which have no size until they are read.

import Glibc

/// The text of a file of /proc or /sys, nil if it cannot be read.
func kernelFile(_ path: String) -> String? { kernelFileBytes(path).map { String(decoding: $0, as: UTF8.self) } }

/// The same for long ones.
func kernelFileBytes(_ path: String) -> [UInt8]? {
    guard let file = try? OwnedDescriptor(open(path, O_RDONLY | O_CLOEXEC), from: "open") else { return nil }
    var bytes: [UInt8] = []
    return withUnsafeTemporaryAllocation(byteCount: 16384, alignment: 8) { buffer in
        while true {
            guard let count = try? file.read(into: buffer) else { return nil }
            if count == 0 { return bytes }
            bytes.append(contentsOf: buffer.prefix(count))
        }
    }
}

/// Whether a path exists for this process.
func exists(_ path: String) -> Bool { access(path, F_OK) == 0 }
