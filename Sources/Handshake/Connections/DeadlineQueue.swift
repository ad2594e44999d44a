// Which connection wants to be looked at next: a binary heap of deadlines, one for each connection at most.
//
// A deadline is only ever moved to an earlier time. The table has the truth: one that comes up too early is put
// back, and that happens less often than deadlines are put off.

/// Connections are named by their places in the table.
struct DeadlineQueue {
    private struct Entry {
        var time: UInt64
        var connection: ConnectionTable.Index
    }

    private var heap: ContiguousArray<Entry> = []
    /// Where in the heap a connection is; -1: nowhere.
    private var positions: ContiguousArray<Int32> = []

    var isEmpty: Bool { heap.isEmpty }
    var count: Int { heap.count }
    /// The earliest time at which a connection may be due; it may turn out not to be.
    var next: UInt64? { heap.first?.time }

    /// The connection is to come up at this time at the latest.
    mutating func add(_ connection: ConnectionTable.Index, at time: UInt64) {
        while positions.count <= Int(connection) { positions.append(-1) }
        let entry = Entry(time: time, connection: connection)
        let known = Int(positions[Int(connection)])
        if known < 0 {
            heap.append(entry)
            siftUp(entry, from: heap.count - 1)
        } else if time < heap[known].time {
            siftUp(entry, from: known)
        }
    }

    /// It does not come up any more.
    mutating func remove(_ connection: ConnectionTable.Index) {
        guard Int(connection) < positions.count, positions[Int(connection)] >= 0 else { return }
        let position = Int(positions[Int(connection)])
        positions[Int(connection)] = -1
        let last = heap.removeLast()
        guard position < heap.count else { return }
        if position > 0, last.time < heap[(position - 1) / 2].time {
            siftUp(last, from: position)
        } else {
            siftDown(last, from: position)
        }
    }

    /// Takes the earliest one if it is due at or before `time`.
    mutating func popDue(by time: UInt64) -> (connection: ConnectionTable.Index, time: UInt64)? {
        guard let first = heap.first, first.time <= time else { return nil }
        remove(first.connection)
        return (first.connection, first.time)
    }

    private mutating func put(_ entry: Entry, at position: Int) {
        heap[position] = entry
        positions[Int(entry.connection)] = Int32(truncatingIfNeeded: position)
    }

    private mutating func siftUp(_ entry: Entry, from start: Int) {
        var child = start
        while child > 0 {
            let parent = (child - 1) / 2
            guard entry.time < heap[parent].time else { break }
            put(heap[parent], at: child)
            child = parent
        }
        put(entry, at: child)
    }

    private mutating func siftDown(_ entry: Entry, from start: Int) {
        var parent = start
        while true {
            var least = 2 * parent + 1
            guard least < heap.count else { break }
            if least + 1 < heap.count, heap[least + 1].time < heap[least].time { least += 1 }
            guard heap[least].time < entry.time else { break }
            put(heap[least], at: parent)
            parent = least
        }
        put(entry, at: parent)
    }
}
