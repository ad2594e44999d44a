// Bytes, numbers and addresses into an output buffer, without making strings of them.

import Glibc
import Handshake

extension OutputBuffer {
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
