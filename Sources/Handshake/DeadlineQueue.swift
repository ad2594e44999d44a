// Which connection wants to be looked at next: a binary heap of deadlines.
//
// An entry is never searched for or moved. A connection's own `due` is the truth; an entry
// that no longer agrees with it is passed over when it comes up.

struct DeadlineQueue {
    private struct Entry {
        var time: UInt64
        var connection: Connection
    }

    private var heap: [Entry] = []

    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }
    /// The earliest time at which a connection may be due; it may turn out not to be.
    var next: UInt64? { heap.first?.time }

    mutating func add(_ connection: Connection, at time: UInt64) {
        heap.append(Entry(time: time, connection: connection))
        var child = heap.count - 1
        while child > 0 {
            let parent = (child - 1) / 2
            guard heap[child].time < heap[parent].time else { return }
            heap.swapAt(child, parent)
            child = parent
        }
    }

    /// Takes the earliest entry if it is due at or before `time`.
    mutating func popDue(by time: UInt64) -> (connection: Connection, time: UInt64)? {
        guard let first = heap.first, first.time <= time else { return nil }
        let last = heap.removeLast()
        if !heap.isEmpty {
            heap[0] = last
            siftDown()
        }
        return (first.connection, first.time)
    }

    private mutating func siftDown() {
        var parent = 0
        while true {
            var least = parent
            for child in [2 * parent + 1, 2 * parent + 2]
            where child < heap.count && heap[child].time < heap[least].time {
                least = child
            }
            if least == parent { return }
            heap.swapAt(least, parent)
            parent = least
        }
    }
}
