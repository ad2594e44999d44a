// Bytes that wait: first in, first out.

/// A queue of bytes that lies in one piece, so that any number of them can be handed on at once.
///
/// Takes no memory while it is empty. It knows no bound: who appends has to look at `count`.
struct ByteQueue: ~Copyable {
    private var base: UnsafeMutableRawPointer?
    private var capacity = 0
    private var head = 0
    private(set) var count = 0

    var isEmpty: Bool { count == 0 }

    /// All of it, valid until the next change.
    var bytes: UnsafeRawBufferPointer { UnsafeRawBufferPointer(start: base.map { $0 + head }, count: count) }

    deinit { base?.deallocate() }

    mutating func append(_ more: UnsafeRawBufferPointer) {
        guard let start = more.baseAddress, more.count > 0 else { return }
        if capacity - head - count < more.count { makeRoom(for: more.count) }
        (base! + head + count).copyMemory(from: start, byteCount: more.count)
        count += more.count
    }

    mutating func removeFirst(_ number: Int) {
        precondition(number <= count)
        head += number
        count -= number
        if count == 0 { removeAll() }
    }

    mutating func removeAll() {
        base?.deallocate()
        base = nil
        (capacity, head, count) = (0, 0, 0)
    }

    /// Moves what there is only where at least as much was taken before: each byte is moved once on average.
    private mutating func makeRoom(for more: Int) {
        if head >= count, capacity - count >= more, let base {
            base.copyMemory(from: base + head, byteCount: count)
        } else {
            capacity = max(2 * count, count + more)
            let larger = UnsafeMutableRawPointer.allocate(byteCount: capacity, alignment: 16)
            if let base { larger.copyMemory(from: base + head, byteCount: count) }
            base?.deallocate()
            base = larger
        }
        head = 0
    }
}
