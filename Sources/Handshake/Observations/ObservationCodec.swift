// Observations made small: each by what it has other than the one before it of the same connection.
//
// Most of an observation is what the one before it said: namespaces, addresses, numbers. XOR makes that zero, and
// only the words of eight bytes that are not zero are written, of each the bytes from its first to its last that
// are not. What is written never leaves memory, so it needs no version and no checks against malice.

import CNattrace

enum ObservationCodec {
    private static let words = MemoryLayout<nattrace_observation>.size / 8
    /// The bits of a mark that say which words follow.
    static let wordBits: UInt32 = 1 << UInt32(words) - 1
    /// The most that one observation can take: the mark, and each word with a byte before it.
    static let maximumBytes = 4 + words * 9
    /// Words are written and read whole where they may be shorter: room behind the end.
    static let slack = 8

    /// Writes `raw`, and returns how many bytes it took. There has to be room for `maximumBytes` and `slack`.
    static func encode(
        _ raw: nattrace_observation, after previous: nattrace_observation,
        to start: UnsafeMutableRawPointer
    ) -> Int {
        withUnsafeBytes(of: raw) { new in
            withUnsafeBytes(of: previous) { old in
                var mark: UInt32 = 0
                var end = start + 4
                for index in 0..<words {
                    let word =
                        new.load(fromByteOffset: index * 8, as: UInt64.self)
                        ^ old.load(fromByteOffset: index * 8, as: UInt64.self)
                    guard word != 0 else { continue }
                    mark |= 1 << UInt32(index)
                    let first = word.trailingZeroBitCount / 8
                    let count = 8 - word.leadingZeroBitCount / 8 - first
                    end.storeBytes(of: UInt8(truncatingIfNeeded: first << 4 | count), as: UInt8.self)
                    (end + 1).storeBytes(of: word >> UInt64(first * 8), as: UInt64.self)
                    end += 1 + count
                }
                start.storeBytes(of: mark, as: UInt32.self)
                return end - start
            }
        }
    }

    /// Turns the observation before it into the one that is written at `start`, and returns how many bytes that took.
    static func decode(from start: UnsafeRawPointer, onto raw: inout nattrace_observation) -> Int {
        var mark = start.loadUnaligned(as: UInt32.self)
        return withUnsafeMutableBytes(of: &raw) { bytes in
            var end = start + 4
            while mark != 0 {
                let offset = mark.trailingZeroBitCount * 8
                mark &= mark - 1
                let form = end.load(as: UInt8.self)
                let (first, count) = (UInt64(form >> 4), Int(form & 15))
                let written = (end + 1).loadUnaligned(as: UInt64.self)
                let word = (written & UInt64.max >> UInt64(64 - count * 8)) << (first * 8)
                let old = bytes.load(fromByteOffset: offset, as: UInt64.self)
                bytes.storeBytes(of: old ^ word, toByteOffset: offset, as: UInt64.self)
                end += 1 + count
            }
            return end - start
        }
    }
}
