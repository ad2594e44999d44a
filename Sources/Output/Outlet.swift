// A descriptor that is written to without ever waiting for who reads it.

import Glibc

/// Hands bytes to a descriptor as far as they are taken at once.
///
/// O_NONBLOCK belongs to the open file, which a shell or another program may share: it is never
/// set on what was inherited. What there is instead depends on what the descriptor is.
public final class Outlet {
    enum Way: Hashable {
        /// Files take what they get, and so do devices without a reader, such as /dev/null. They are
        /// not opened anew: that would lose the offset and O_APPEND.
        case plain
        /// A pipe or a terminal, opened once more: this open file is our own, and does not wait.
        case own
        /// Each call can ask not to wait.
        case socket
        /// A pipe or a terminal that could not be opened. Its readiness is asked for, and then only so
        /// much written as a pipe takes that is ready at all. A terminal may take less, and then
        /// this waits; and so it does if somebody else fills the pipe in between.
        case asked
    }

    let way: Way
    /// What to wait for until it can be written.
    let descriptor: Int32

    /// The descriptor stays the caller's. To be called while there is the right to open it again.
    public init(_ descriptor: Int32) {
        var status = stat()
        // What is not open at all fails when it is written to.
        let kind = fstat(descriptor, &status) == 0 ? status.st_mode & S_IFMT : 0
        let own = kind == S_IFIFO || isatty(descriptor) == 1 ? Self.reopen(descriptor, status) : nil
        self.descriptor = own ?? descriptor
        way =
            if own != nil {
                .own
            } else if kind == S_IFSOCK {
                .socket
            } else if kind == S_IFIFO || isatty(descriptor) == 1 {
                .asked
            } else {
                .plain
            }
    }

    /// As where a pipe or a terminal could not be opened again.
    init(asking descriptor: Int32) { (way, self.descriptor) = (.asked, descriptor) }

    deinit { if way == .own { close(descriptor) } }

    /// The number of the device that makes a new terminal each time it is opened: major 5, minor 2.
    private static let terminalMultiplexer: dev_t = 0x502

    private static func reopen(_ descriptor: Int32, _ status: stat) -> Int32? {
        guard status.st_rdev != terminalMultiplexer else { return nil }
        let own = open("/proc/self/fd/\(descriptor)", O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)
        guard own >= 0 else { return nil }
        var opened = stat()
        guard fstat(own, &opened) == 0, (opened.st_dev, opened.st_ino) == (status.st_dev, status.st_ino) else {
            close(own)
            return nil
        }
        return own
    }

    enum Answer: Hashable {
        case took(Int)
        /// Nothing for now.
        case wouldWait
        case failed(errno: Int32)
    }

    /// One attempt; less than all may be taken.
    func take(_ bytes: UnsafeRawBufferPointer) -> Answer {
        while true {
            let result: Int
            switch way {
            case .plain, .own:
                result = write(descriptor, bytes.baseAddress, bytes.count)
            case .socket:
                result = send(descriptor, bytes.baseAddress, bytes.count, Int32(MSG_DONTWAIT) | Int32(MSG_NOSIGNAL))
            case .asked:
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                // A reader that is gone counts as ready: the write then says so.
                if poll(&ready, 1, 0) == 0 { return .wouldWait }
                result = write(descriptor, bytes.baseAddress, min(bytes.count, Int(PIPE_BUF)))
            }
            if result >= 0 { return .took(result) }
            switch errno {
            case EINTR: continue
            case EAGAIN: return .wouldWait
            case let code: return .failed(errno: code)
            }
        }
    }
}
