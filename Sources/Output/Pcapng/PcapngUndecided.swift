// Which connections are being told of without their verdict.

/// Connections of which it is not known how they end, and which of them is the oldest.
struct UndecidedConnections {
    private var numbers: Set<UInt64> = []
    /// In the order in which they were begun to be told; those that are decided are taken out when they come up.
    private var order: [(id: UInt64, startTime: UInt64)] = []
    private var first = 0

    func contains(_ id: UInt64) -> Bool { numbers.contains(id) }

    mutating func add(_ id: UInt64, startTime: UInt64) {
        if numbers.insert(id).inserted { order.append((id, startTime)) }
    }

    mutating func remove(_ id: UInt64) -> Bool { numbers.remove(id) != nil }

    /// When the oldest began; older ones than `time` are not waited for. nil: there is none.
    mutating func oldest(since time: UInt64) -> UInt64? {
        while first < order.count, order[first].startTime < time || !numbers.contains(order[first].id) { first += 1 }
        if first > 1024, first > order.count / 2 {
            order.removeFirst(first)
            first = 0
        }
        return first < order.count ? order[first].startTime : nil
    }
}
