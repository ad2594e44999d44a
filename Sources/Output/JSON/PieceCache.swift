// Pieces of lines that come again and again: how a connection's ends are written, where a step happened.

/// Remembers what was written lately, by what it says, each at a place that its hash leads to: what comes to the same
/// place takes it over, so its memory is fixed. A piece that was written before costs a copy.
final class PieceCache<Key: Equatable> {
    private let shift: UInt64
    /// Longer pieces are not kept.
    private let maximumBytes: Int
    private let keys: UnsafeMutableBufferPointer<Key?>
    private let lengths: UnsafeMutableBufferPointer<Int>
    private let bytes: UnsafeMutableBufferPointer<UInt8>

    /// 2 to the power of `bits` pieces of at most `maximumBytes`.
    init(bits: Int, maximumBytes: Int) {
        shift = UInt64(64 - bits)
        self.maximumBytes = maximumBytes
        keys = .allocate(capacity: 1 << bits)
        keys.initialize(repeating: nil)
        lengths = .allocate(capacity: 1 << bits)
        lengths.initialize(repeating: 0)
        bytes = .allocate(capacity: maximumBytes << bits)
        bytes.initialize(repeating: 0)
    }

    deinit {
        keys.deinitialize()
        keys.deallocate()
        lengths.deallocate()
        bytes.deallocate()
    }

    /// Appends the piece that `write` writes for this key, and for no other.
    @inline(__always)
    func put(_ key: Key, hash: UInt64, to output: OutputBuffer, write: () -> Void) {
        // Fibonacci hashing: the upper bits of the product depend on all of the hash.
        let place = Int(truncatingIfNeeded: (hash &* 0x9e37_79b9_7f4a_7c15) >> shift)
        if keys[place] == key {
            let start = bytes.baseAddress! + place * maximumBytes
            output.put(UnsafeRawBufferPointer(start: start, count: lengths[place]))
            return
        }
        let start = output.count
        write()
        let length = output.count - start
        guard length <= maximumBytes else { return }
        keys[place] = key
        lengths[place] = length
        (bytes.baseAddress! + place * maximumBytes).update(from: output.base + start, count: length)
    }
}
