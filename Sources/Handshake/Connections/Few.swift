// Sets of which most have one element or none, as a connection has many.
//
// What only looks is inlined: a call would be handed a copy of the whole set, and of all that it stands in.

/// The first element stands in place, and only a second one allocates. Searched one by one: where there are a few,
/// that is cheaper than hashing.
struct Few<Element: Equatable> {
    private var first: Element?
    private var others: [Element] = []

    @inline(__always)
    var isEmpty: Bool { first == nil }

    @inline(__always)
    func contains(_ element: Element) -> Bool { contains { $0 == element } }

    @inline(__always)
    func contains(where isWanted: (Element) -> Bool) -> Bool {
        guard let first else { return false }
        return isWanted(first) || others.contains(where: isWanted)
    }

    /// Whether it was not there yet.
    @discardableResult
    mutating func insert(_ element: Element) -> Bool {
        if first == nil {
            first = element
            return true
        }
        guard !contains(element) else { return false }
        others.append(element)
        return true
    }

    mutating func remove(_ element: Element) {
        if first == element {
            first = others.popLast()
        } else if let index = others.firstIndex(of: element) {
            others.remove(at: index)
        }
    }
}

/// The same for a dictionary.
struct FewByKey<Key: Equatable, Value> {
    private var first: (key: Key, value: Value)?
    private var others: [(key: Key, value: Value)] = []

    subscript(key: Key) -> Value? {
        @inline(__always) get {
            guard let first else { return nil }
            return first.key == key ? first.value : others.first { $0.key == key }?.value
        }
        set {
            guard let newValue else { return remove(key) }
            if first == nil || first?.key == key {
                first = (key, newValue)
            } else if let index = others.firstIndex(where: { $0.key == key }) {
                others[index].value = newValue
            } else {
                others.append((key, newValue))
            }
        }
    }

    private mutating func remove(_ key: Key) {
        if first?.key == key {
            first = others.popLast()
        } else {
            others.removeAll { $0.key == key }
        }
    }
}
