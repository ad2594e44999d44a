// Which of the connections at work is put away next: one that nothing was wanted of since it was last thought of
// (the second-chance algorithm). To be wanted costs one bit.

struct WorkRing {
    private var members: ContiguousArray<ConnectionTable.Index> = []
    private var hand = 0

    var count: Int { members.count }

    mutating func add(_ index: ConnectionTable.Index, _ table: ConnectionTable) {
        table[index].pointee.workPosition = UInt32(members.count)
        table[index].pointee.flags.insert(.used)
        members.append(index)
    }

    mutating func remove(_ index: ConnectionTable.Index, _ table: ConnectionTable) {
        let position = Int(table[index].pointee.workPosition)
        let last = members.removeLast()
        guard position < members.count else { return }
        members[position] = last
        table[last].pointee.workPosition = UInt32(position)
    }

    /// nil: there is none.
    mutating func next(_ table: ConnectionTable) -> ConnectionTable.Index? {
        // Whoever was wanted is so once: the second round finds one.
        for _ in 0..<2 * members.count {
            if hand >= members.count { hand = 0 }
            let index = members[hand]
            guard table[index].pointee.flags.contains(.used) else { return index }
            table[index].pointee.flags.remove(.used)
            hand += 1
        }
        return members.first
    }
}
