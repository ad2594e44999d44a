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
        // Three times eight digits at most.
        reserve(24)
        if number < 100_000_000 { return putUpToEight(number) }
        let (upper, lower) = number.quotientAndRemainder(dividingBy: 100_000_000)
        if upper < 100_000_000 {
            putUpToEight(upper)
        } else {
            putUpToEight(upper / 100_000_000)
            putEight(upper % 100_000_000)
        }
        putEight(lower)
    }

    /// Room for eight bytes must be there.
    @inline(__always)
    private func putEight(_ number: UInt64) {
        UnsafeMutableRawPointer(end).storeBytes(of: Self.eightDigits(number).littleEndian, as: UInt64.self)
        count += 8
    }

    /// Without leading zeros; room for eight bytes must be there.
    @inline(__always)
    private func putUpToEight(_ number: UInt64) {
        let digits = Self.eightDigits(number)
        // The first digit stands in the lowest byte. Bits that a digit has beside those of "0" say that it is none.
        let zeros = min(7, (digits ^ 0x3030_3030_3030_3030).trailingZeroBitCount / 8)
        UnsafeMutableRawPointer(end).storeBytes(of: (digits >> UInt64(8 * zeros)).littleEndian, as: UInt64.self)
        count += 8 - zeros
    }

    /// A number below 100,000,000 as eight characters, the first in the lowest byte: its halves, their halves and
    /// their digits are divided side by side in one word, by multiplication with what is just above 1/100 and 1/10.
    @inline(__always)
    private static func eightDigits(_ number: UInt64) -> UInt64 {
        let halves = number / 10_000 | (number % 10_000) << 32
        let hundreds = ((halves &* 10_486) >> 20) & 0x0000_007f_0000_007f
        let pairs = hundreds | (halves &- 100 &* hundreds) << 16
        let tens = ((pairs &* 103) >> 10) & 0x000f_000f_000f_000f
        return (tens | (pairs &- 10 &* tens) << 8) | 0x3030_3030_3030_3030
    }

    @inline(__always)
    func put(_ number: some FixedWidthInteger & UnsignedInteger) { put(UInt64(number)) }

    /// Decimal with leading zeros up to nine digits, which must suffice: the fraction of a second.
    @inline(__always)
    func putNine(_ number: UInt64) {
        reserve(9)
        end.pointee = UInt8(ascii: "0") &+ UInt8(truncatingIfNeeded: number / 100_000_000)
        count += 1
        putEight(number % 100_000_000)
    }

    /// Lower-case hexadecimal with leading zeros.
    func putHex(_ number: UInt64, digits: Int) {
        reserve(digits)
        for i in 0..<digits {
            end[i] = Self.hexDigit(UInt8(truncatingIfNeeded: number >> UInt64(4 * (digits - 1 - i))))
        }
        count += digits
    }

    /// Lower-case hexadecimal, all sixteen digits: eight of them at once.
    @inline(__always)
    func putHex16(_ number: UInt64) {
        func eight(_ number: UInt64) -> UInt64 {
            // A digit into each byte, the first into the lowest.
            var digits = (number & 0xffff) << 32 | number >> 16 & 0xffff
            digits = (digits & 0x0000_00ff_0000_00ff) << 16 | digits >> 8 & 0x0000_00ff_0000_00ff
            digits = (digits & 0x000f_000f_000f_000f) << 8 | digits >> 4 & 0x000f_000f_000f_000f
            let letters = (digits &+ 0x0606_0606_0606_0606) >> 4 & 0x0101_0101_0101_0101
            return digits &+ 0x3030_3030_3030_3030 &+ letters &* UInt64(UInt8(ascii: "a") - 10 - UInt8(ascii: "0"))
        }
        reserve(16)
        let place = UnsafeMutableRawPointer(end)
        place.storeBytes(of: eight(number >> 32).littleEndian, as: UInt64.self)
        place.storeBytes(of: eight(number & 0xffff_ffff).littleEndian, toByteOffset: 8, as: UInt64.self)
        count += 16
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
