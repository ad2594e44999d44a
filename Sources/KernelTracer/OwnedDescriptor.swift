// A file descriptor with one owner.

import Glibc

/// Closes its descriptor when it goes.
struct OwnedDescriptor: ~Copyable {
    let rawValue: Int32

    /// Takes over what a system call returned; negative means that the call failed.
    init(_ result: Int32, from call: String) throws(TracerError) {
        guard result >= 0 else { throw .last(call) }
        rawValue = result
    }

    deinit { close(rawValue) }

    /// One read of at most `buffer.count` bytes; nil where a descriptor that does not
    /// block has nothing. Interruptions are retried.
    func read(into buffer: UnsafeMutableRawBufferPointer) throws(TracerError) -> Int? {
        while true {
            let count = Glibc.read(rawValue, buffer.baseAddress, buffer.count)
            if count >= 0 { return count }
            switch errno {
            case EINTR: continue
            case EAGAIN: return nil
            default: throw .last("read")
            }
        }
    }
}
