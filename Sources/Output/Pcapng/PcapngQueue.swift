// Packets of several connections in the order of time: each connection's come together, with its verdict.

/// The packets that were written of one connection at once, in the order of their times.
final class PcapngRun {
    struct Block {
        /// CLOCK_MONOTONIC, nanoseconds.
        var time: UInt64
        /// Where it ends in `bytes`.
        var end: Int
    }

    fileprivate let bytes: UnsafeMutableRawBufferPointer
    fileprivate let blocks: [Block]
    fileprivate var next = 0

    /// Copies the bytes. There is at least one block.
    init(_ bytes: UnsafeRawBufferPointer, _ blocks: [Block]) {
        self.bytes = .allocate(byteCount: bytes.count, alignment: 16)
        self.bytes.copyMemory(from: bytes)
        self.blocks = blocks
    }

    deinit { bytes.deallocate() }

    fileprivate var time: UInt64 { blocks[next].time }

    fileprivate func takeNext() -> UnsafeRawBufferPointer {
        let start = next == 0 ? 0 : blocks[next - 1].end
        defer { next += 1 }
        return UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[start..<blocks[next].end])
    }
}

/// Merges runs by time: a binary heap of those that still hold something, by the time of what they hold next.
struct PcapngQueue {
    private struct Entry {
        var time: UInt64
        /// Of equal times, what came first goes first.
        var serial: UInt64
        var run: PcapngRun

        func precedes(_ other: Entry) -> Bool { (time, serial) < (other.time, other.serial) }
    }

    private var heap: [Entry] = []
    private var serial: UInt64 = 0
    private(set) var heldBytes = 0

    var isEmpty: Bool { heap.isEmpty }

    mutating func add(_ run: PcapngRun) {
        heap.append(Entry(time: run.time, serial: serial, run: run))
        serial += 1
        heldBytes += run.bytes.count
        var index = heap.count - 1
        while index > 0, heap[index].precedes(heap[(index - 1) / 2]) {
            heap.swapAt(index, (index - 1) / 2)
            index = (index - 1) / 2
        }
    }

    /// Hands out the blocks that are older than `time`, and the oldest beyond as long as more is held than `bytes`.
    mutating func release(before time: UInt64, holding bytes: Int, _ body: (UnsafeRawBufferPointer) -> Void) {
        while let first = heap.first, first.time < time || heldBytes > bytes {
            let run = first.run
            body(run.takeNext())
            if run.next < run.blocks.count {
                heap[0].time = run.time
            } else {
                heldBytes -= run.bytes.count
                let last = heap.removeLast()
                if heap.isEmpty { return }
                heap[0] = last
            }
            sinkFirst()
        }
    }

    private mutating func sinkFirst() {
        var index = 0
        while true {
            var least = index
            for child in [2 * index + 1, 2 * index + 2] where child < heap.count && heap[child].precedes(heap[least]) {
                least = child
            }
            guard least != index else { return }
            heap.swapAt(index, least)
            index = least
        }
    }
}
