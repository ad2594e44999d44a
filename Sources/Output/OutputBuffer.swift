// The one way out: bytes collected in raw memory, handed to a descriptor in batches.

import Glibc
import Handshake

/// Collects bytes and writes them to a file descriptor, one `write` for each batch.
///
/// Lines are never torn by this class: a write ends at the end of a line, unless the kernel
/// takes less. A descriptor that failed takes no more, and what is appended then is thrown
/// away: the program asks for `state` after each `flush` and ends accordingly.
///
/// With a descriptor it waits for who reads; with an outlet it does not. What was not taken then
/// is kept for the next `flush`, in order and without bound: who appends looks at `unwritten` (see
/// `RationingSink`), and who runs the loop at `awaited`.
///
/// Raw memory, since bounds-checked arrays cost two to nine times as much an event.
public final class OutputBuffer {
    public enum State: Hashable, Sendable {
        case open
        /// Whoever read the other end of the pipe is gone (EPIPE): a reason to end, no error.
        case readerGone
        case failed(OutputError)
    }

    /// A batch is written when it has reached this size, or when it is flushed.
    public static let batchBytes = 64 * 1024

    /// As a person knows it, for errors.
    public let name: String
    public private(set) var state = State.open
    /// Bytes that the descriptor took.
    public private(set) var written: UInt64 = 0

    /// Asked before bytes go out; false: not now. For what has to be taken off a terminal first (see `Footer`).
    public var beforeWriting: (() -> Bool)?

    private let descriptor: Int32
    /// nil: waits.
    private let outlet: Outlet?
    private var backlog = ByteQueue()
    var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    var count = 0

    /// The descriptor stays the caller's, who closes it. SIGPIPE has to be ignored.
    public convenience init(descriptor: Int32, name: String) {
        self.init(descriptor: descriptor, outlet: nil, name: name)
    }

    /// Never waits for who reads.
    public convenience init(outlet: Outlet, name: String) {
        self.init(descriptor: outlet.descriptor, outlet: outlet, name: name)
    }

    private init(descriptor: Int32, outlet: Outlet?, name: String) {
        self.descriptor = descriptor
        self.outlet = outlet
        self.name = name
        capacity = Self.batchBytes + 16 * 1024
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    /// Bytes that the descriptor has yet to take.
    @inline(__always)
    public var unwritten: Int { backlog.count + count }

    /// What has to become writable before more can be written; nil: nothing waits for that.
    public var awaited: Int32? { backlog.isEmpty ? nil : descriptor }

    /// Lines that end in what the descriptor has yet to take, one that it took in part included.
    public var unwrittenLines: Int {
        func lines(_ bytes: UnsafeRawBufferPointer) -> Int { bytes.count { $0 == UInt8(ascii: "\n") } }
        return lines(backlog.bytes) + lines(UnsafeRawBufferPointer(start: base, count: count))
    }

    /// Writes what is there, and waits until the descriptor took it, or, with an outlet, as much of
    /// it as is taken at once. Returns the state after it.
    @discardableResult
    public func flush() -> State {
        let mayWrite = unwritten == 0 || (beforeWriting?() ?? true)
        if let outlet { return flush(to: outlet, mayWrite) }
        var start = 0
        while start < count, state == .open {
            let result = Glibc.write(descriptor, base + start, count - start)
            if result >= 0 {
                start += result
                written += UInt64(result)
                continue
            }
            switch errno {
            case EINTR: break
            case EAGAIN:
                // Somebody who shares the open file made it non-blocking; it is not ours to change.
                var ready = pollfd(fd: descriptor, events: Int16(POLLOUT), revents: 0)
                _ = poll(&ready, 1, -1)
            case let code: fail(code)
            }
        }
        count = 0
        return state
    }

    private func flush(to outlet: Outlet, _ mayWrite: Bool) -> State {
        while mayWrite, !backlog.isEmpty {
            let taken = take(backlog.bytes, by: outlet)
            guard taken > 0 else { break }
            backlog.removeFirst(taken)
        }
        var start = 0
        while mayWrite, backlog.isEmpty, start < count {
            let taken = take(UnsafeRawBufferPointer(start: base + start, count: count - start), by: outlet)
            guard taken > 0 else { break }
            start += taken
        }
        if state == .open {
            backlog.append(UnsafeRawBufferPointer(start: base + start, count: count - start))
        } else {
            backlog.removeAll()
        }
        count = 0
        return state
    }

    /// 0: nothing for now, or never again.
    private func take(_ bytes: UnsafeRawBufferPointer, by outlet: Outlet) -> Int {
        guard state == .open else { return 0 }
        switch outlet.take(bytes) {
        case .took(let number):
            written += UInt64(number)
            return number
        case .wouldWait: break
        case .failed(let code): fail(code)
        }
        return 0
    }

    private func fail(_ code: Int32) {
        switch code {
        // A socket whose reader went without having read all says the second.
        case EPIPE, ECONNRESET: state = .readerGone
        default: state = .failed(OutputError(operation: .write, name: name, code: code, written: written))
        }
    }

    /// Ends a line, or another unit that should not be torn; writes a batch that is full.
    @inline(__always)
    func endUnit() {
        if count >= Self.batchBytes { flush() }
    }

    @inline(__always)
    func endLine() {
        put(UInt8(ascii: "\n"))
        endUnit()
    }

    // MARK: appending

    /// Room for `bytes` more; afterwards `end` may be written to without checks.
    @inline(__always)
    func reserve(_ bytes: Int) {
        if capacity - count < bytes { grow(bytes) }
    }

    @inline(never)
    private func grow(_ bytes: Int) {
        capacity = max(capacity * 2, count + bytes)
        let larger = UnsafeMutablePointer<UInt8>.allocate(capacity: capacity)
        larger.update(from: base, count: count)
        base.deallocate()
        base = larger
    }

    @inline(__always)
    var end: UnsafeMutablePointer<UInt8> { base + count }
}

extension OutputBuffer {
    /// Creates or empties a file that only its owner may read, since what it will hold tells who
    /// talks to whom. The caller closes the descriptor.
    public static func create(file path: String) throws(OutputError) -> Int32 {
        while true {
            let descriptor = Glibc.open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOCTTY, 0o600)
            if descriptor >= 0 { return descriptor }
            guard errno == EINTR else { throw OutputError(operation: .create, name: path, code: errno) }
        }
    }
}
