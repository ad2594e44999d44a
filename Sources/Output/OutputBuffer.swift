// The one way out: bytes collected in raw memory, handed to a descriptor in batches.

import Glibc
import Handshake

/// Collects bytes and writes them to a file descriptor, one `write` for each batch.
///
/// Lines are never torn by this class: a write ends at the end of a line, unless the kernel
/// takes less. A descriptor that failed takes no more, and what is appended then is thrown
/// away: the program asks for `state` after each `flush` and ends accordingly.
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

    private let descriptor: Int32
    private var base: UnsafeMutablePointer<UInt8>
    private var capacity: Int
    private(set) var count = 0

    /// The descriptor stays the caller's, who closes it. SIGPIPE has to be ignored.
    public init(descriptor: Int32, name: String) {
        self.descriptor = descriptor
        self.name = name
        capacity = Self.batchBytes + 16 * 1024
        base = .allocate(capacity: capacity)
    }

    deinit { base.deallocate() }

    /// Writes what is there and waits until the descriptor took it. Returns the state after it.
    @discardableResult
    public func flush() -> State {
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
            case EPIPE: state = .readerGone
            case let code: state = .failed(OutputError(operation: .write, name: name, code: code, written: written))
            }
        }
        count = 0
        return state
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
    private var end: UnsafeMutablePointer<UInt8> { base + count }

    /// 0 where nothing was appended since the last batch.
    @inline(__always)
    var last: UInt8 { count == 0 ? 0 : base[count - 1] }

    @inline(__always)
    func put(_ byte: UInt8) {
        reserve(1)
        end.pointee = byte
        count += 1
    }

    @inline(__always)
    func put(_ text: StaticString) {
        let length = text.utf8CodeUnitCount
        reserve(length)
        end.update(from: text.utf8Start, count: length)
        count += length
    }

    @inline(__always)
    func put(_ bytes: UnsafeRawBufferPointer) {
        guard let start = bytes.baseAddress else { return }
        reserve(bytes.count)
        memcpy(end, start, bytes.count)
        count += bytes.count
    }

    /// As it is: for text that is known to hold nothing to escape.
    @inline(__always)
    func put(text: String) {
        var text = text
        text.withUTF8 { put(UnsafeRawBufferPointer($0)) }
    }

    /// Decimal.
    @inline(__always)
    func put(_ number: UInt64) {
        if number < 10 {
            put(UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number))
        } else {
            putLong(number)
        }
    }

    private func putLong(_ number: UInt64) {
        reserve(20)
        var digits = 1
        var rest = number / 10
        while rest > 0 {
            digits += 1
            rest /= 10
        }
        putDigits(number, count: digits)
    }

    @inline(__always)
    func put(_ number: some FixedWidthInteger & UnsignedInteger) { put(UInt64(number)) }

    /// Decimal with leading zeros up to `digits`, which must suffice.
    @inline(__always)
    func put(_ number: UInt64, digits: Int) {
        reserve(digits)
        putDigits(number, count: digits)
    }

    @inline(__always)
    private func putDigits(_ number: UInt64, count digits: Int) {
        var rest = number
        var place = end + digits
        for _ in 0..<digits {
            place -= 1
            place.pointee = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        count += digits
    }

    /// Lower-case hexadecimal with leading zeros.
    func putHex(_ number: UInt64, digits: Int) {
        reserve(digits)
        for i in 0..<digits {
            end[i] = Self.hexDigit(UInt8(truncatingIfNeeded: number >> UInt64(4 * (digits - 1 - i))))
        }
        count += digits
    }

    /// Of the low four bits.
    @inline(__always)
    static func hexDigit(_ value: UInt8) -> UInt8 {
        let nibble = value & 15
        return nibble < 10 ? UInt8(ascii: "0") + nibble : UInt8(ascii: "a") + nibble - 10
    }

    /// Dotted decimal, or IPv6 as RFC 5952 wants it, like `IPAddress.description`, but without
    /// making a string.
    func put(_ address: IPAddress) {
        guard address.family == .v6 else { return putDotted(address.low) }
        if address.high == 0, address.low >> 32 == 0xffff {
            put("::ffff:")
            return putDotted(address.low)
        }
        func group(_ index: Int) -> UInt64 {
            (index < 4 ? address.high : address.low) >> UInt64(48 - 16 * (index & 3)) & 0xffff
        }
        // The longest run of at least two zero groups becomes `::`, the first of equals.
        var gap = 8..<8
        var index = 0
        while index < 8 {
            var after = index
            while after < 8, group(after) == 0 { after += 1 }
            if after - index > max(1, gap.count) { gap = index..<after }
            index = max(after, index + 1)
        }
        index = 0
        while index < 8 {
            if index == gap.lowerBound {
                put("::")
                index = gap.upperBound
                continue
            }
            if index > 0, index != gap.upperBound { put(UInt8(ascii: ":")) }
            let value = group(index)
            putHex(value, digits: value > 0xfff ? 4 : value > 0xff ? 3 : value > 0xf ? 2 : 1)
            index += 1
        }
    }

    /// The low 32 bits as an IPv4 address.
    private func putDotted(_ address: UInt64) {
        put(address >> 24 & 255)
        put(UInt8(ascii: "."))
        put(address >> 16 & 255)
        put(UInt8(ascii: "."))
        put(address >> 8 & 255)
        put(UInt8(ascii: "."))
        put(address & 255)
    }
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
