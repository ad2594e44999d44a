import CNattrace
import Glibc

/// A file descriptor with one owner, closed with it.
struct Descriptor: ~Copyable {
    let raw: Int32

    /// Takes over an open descriptor.
    init(owning raw: Int32) {
        self.raw = raw
    }

    /// open(2), with O_CLOEXEC.
    init(path: String, flags: Int32 = O_RDONLY) throws(FactFailure) {
        var fd: Int32
        repeat { fd = open(path, flags | O_CLOEXEC) } while fd < 0 && errno == EINTR
        guard fd >= 0 else { throw FactFailure(call: "open(\(path))") }
        raw = fd
    }

    deinit { close(raw) }

    /// pipe2(2), with O_CLOEXEC: both ends, for the caller to own.
    static func pipe() throws(FactFailure) -> (reader: Int32, writer: Int32) {
        var ends: [Int32] = [-1, -1]
        guard pipe2(&ends, O_CLOEXEC) == 0 else { throw FactFailure(call: "pipe2") }
        return (ends[0], ends[1])
    }
}

/// What tells two files apart: inode numbers alone are unique on one file system only.
struct FileIdentity: Hashable {
    var device: UInt64
    var inode: UInt64

    init(device: UInt64, inode: UInt64) {
        self.device = device
        self.inode = inode
    }

    /// stat(2): the target of a link, which for `/proc/PID/ns/net` is the namespace itself.
    init(path: String) throws(FactFailure) {
        var status = stat()
        guard stat(path, &status) == 0 else { throw FactFailure(call: "stat(\(path))") }
        self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }

    init(_ descriptor: borrowing Descriptor) throws(FactFailure) {
        var status = stat()
        guard fstat(descriptor.raw, &status) == 0 else { throw FactFailure(call: "fstat") }
        self.init(device: UInt64(status.st_dev), inode: UInt64(status.st_ino))
    }
}
