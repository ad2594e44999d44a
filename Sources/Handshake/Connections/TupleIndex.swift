// Where connections are by number and tuple: a hash table whose entries lie in one piece of memory.

/// Spreads numbers over buckets in a way that nobody outside can foresee, so that no numbers can be chosen that all
/// come to one bucket.
struct SeededHash {
    let buckets: Int
    private let shift: UInt64
    private let seed = UInt64.random(in: 0 ... .max)
    private let factor = UInt64.random(in: 0 ... .max) | 1

    /// For so many entries.
    init(buckets wanted: Int) {
        var bits = 4
        while 1 << bits < wanted { bits += 1 }
        buckets = 1 << bits
        shift = UInt64(64 - bits)
    }

    func mix(_ hash: UInt64, _ word: UInt64) -> UInt64 {
        let product = (hash ^ word).multipliedFullWidth(by: factor)
        return product.high ^ product.low
    }

    func bucket(_ isn: UInt32) -> Int { bucket(mix(seed, UInt64(isn))) }
    func bucket(_ hash: UInt64) -> Int { Int(truncatingIfNeeded: (hash &* factor) >> shift) }

    func hash(_ isn: UInt32, _ tuple: Tuple) -> UInt64 {
        var hash = mix(seed, UInt64(isn))
        for end in [tuple.source, tuple.destination] {
            hash = mix(hash, end.address.high)
            hash = mix(hash, end.address.low)
            hash = mix(hash, UInt64(end.port) << 8 | UInt64(end.address.family.rawValue))
        }
        return hash
    }
}

struct TupleIndex {
    private struct Entry {
        var hash: UInt64
        var connection: ConnectionTable.Index
        var nextInBucket: UInt32
        /// The same connection's next entry; of a free one, the next free one.
        var sibling: UInt32
    }

    private static let none = ConnectionTable.none

    private let hash: SeededHash
    /// Made when first there are several connections of one number, which is seldom.
    private var buckets: ContiguousArray<UInt32> = []
    private var entries: ContiguousArray<Entry> = []
    private var firstFree = Self.none

    init(buckets: Int) { hash = SeededHash(buckets: buckets) }

    /// Returns the entry, which leads to `sibling`.
    mutating func add(
        _ isn: UInt32, _ tuple: Tuple, _ connection: ConnectionTable.Index, before sibling: UInt32
    ) -> UInt32 {
        if buckets.isEmpty { buckets = ContiguousArray(repeating: Self.none, count: hash.buckets) }
        let key = hash.hash(isn, tuple)
        let bucket = hash.bucket(key)
        let entry = Entry(hash: key, connection: connection, nextInBucket: buckets[bucket], sibling: sibling)
        let place: UInt32
        if firstFree == Self.none {
            place = UInt32(entries.count)
            entries.append(entry)
        } else {
            place = firstFree
            firstFree = entries[Int(place)].sibling
            entries[Int(place)] = entry
        }
        buckets[bucket] = place
        return place
    }

    /// All entries of one connection.
    mutating func remove(from first: UInt32) {
        var place = first
        while place != Self.none {
            let entry = entries[Int(place)]
            let bucket = hash.bucket(entry.hash)
            if buckets[bucket] == place {
                buckets[bucket] = entry.nextInBucket
            } else {
                var other = buckets[bucket]
                while entries[Int(other)].nextInBucket != place { other = entries[Int(other)].nextInBucket }
                entries[Int(other)].nextInBucket = entry.nextInBucket
            }
            entries[Int(place)].sibling = firstFree
            firstFree = place
            place = entry.sibling
        }
    }

    func forEach(_ isn: UInt32, _ tuple: Tuple, _ body: (ConnectionTable.Index) -> Void) {
        guard !buckets.isEmpty else { return }
        let key = hash.hash(isn, tuple)
        var place = buckets[hash.bucket(key)]
        while place != Self.none {
            if entries[Int(place)].hash == key { body(entries[Int(place)].connection) }
            place = entries[Int(place)].nextInBucket
        }
    }
}
