// All connections that are kept: a place for each, and the ways to find it, by number, by number and tuple, and by
// age. Every way costs the same however many there are, and whatever numbers and addresses somebody chose.

/// What is known of a connection without making it again, and itself, at work or put away.
struct ConnectionSlot {
    struct Flags: OptionSet {
        let rawValue: UInt8
        /// It passes the filter.
        static let askedFor = Flags(rawValue: 1 << 0)
        /// The sink was told of its steps.
        static let shown = Flags(rawValue: 1 << 1)
        /// It began under load: its steps are told only if it fails.
        static let brief = Flags(rawValue: 1 << 2)
        /// Its tuples are in the index.
        static let indexed = Flags(rawValue: 1 << 3)
        /// It was wanted since it was last thought of putting it away.
        static let used = Flags(rawValue: 1 << 4)
        /// Put away, there is something to decide when it is due.
        static let undecided = Flags(rawValue: 1 << 5)
        /// Put away, there is something to say of it when tracing ends.
        static let unsaid = Flags(rawValue: 1 << 6)
        /// It began under load and succeeded: its steps are not told.
        static let leftOut = Flags(rawValue: 1 << 7)
    }

    let isn: UInt32
    /// A number for each that begins: tells which of two began later.
    let serial: UInt32
    let startTime: UInt64
    let id: UInt64
    var flags: Flags = []
    /// Under which verdict the totals have it; nil: not at all.
    var countedAs: VerdictCode?
    /// When it wants to be looked at next; CLOCK_MONOTONIC, nanoseconds. `.max`: no more.
    var due = UInt64.max
    /// Put away, until when it is kept if nothing is to be decided.
    var keptUntil: UInt64 = 0
    /// One of these two is there.
    var work: Connection?
    var history: History?
    var verdict: GivenVerdict?
    /// Where it is among those at work.
    var workPosition: UInt32 = 0

    // Links of the table.
    fileprivate var nextInBucket = ConnectionTable.none
    fileprivate var older = ConnectionTable.none
    fileprivate var newer = ConnectionTable.none
    fileprivate var before = ConnectionTable.none
    fileprivate var after = ConnectionTable.none
    fileprivate var firstTuple = ConnectionTable.none
    fileprivate var indexedTuples: UInt8 = 0
}

final class ConnectionTable {
    typealias Index = UInt32
    static let none = Index.max

    let capacity: Int
    private(set) var count = 0
    /// Of these, those without a verdict.
    private(set) var inFlightCount = 0

    private let slots: UnsafeMutablePointer<ConnectionSlot>
    /// Slots that were used ever; beyond them memory was not touched.
    private var touched = 0
    /// Of these, slots that are free again.
    private var free: ContiguousArray<Index> = []
    private var serial: UInt32 = 0

    /// The newest connection of each number, by hash. A number's others hang on that.
    private let buckets: UnsafeMutablePointer<Index>
    private let hash: SeededHash
    private var tuples: TupleIndex

    /// In the order of their beginning, those without a verdict; in the order of their verdicts, the others.
    private var inFlight = Line()
    private var concluded = Line()

    private struct Line {
        var first = ConnectionTable.none
        var last = ConnectionTable.none
    }

    init(capacity: Int) {
        self.capacity = max(capacity, 1)
        hash = SeededHash(buckets: self.capacity)
        slots = .allocate(capacity: self.capacity)
        buckets = .allocate(capacity: hash.buckets)
        buckets.initialize(repeating: Self.none, count: hash.buckets)
        tuples = TupleIndex(buckets: self.capacity)
    }

    deinit {
        for index in all { (slots + Int(index)).deinitialize(count: 1) }
        slots.deallocate()
        buckets.deallocate()
    }

    var isFull: Bool { count == capacity }

    subscript(index: Index) -> UnsafeMutablePointer<ConnectionSlot> { slots + Int(index) }

    // MARK: Coming and going

    /// There has to be room.
    func insert(_ connection: Connection) {
        precondition(!isFull)
        let index: Index
        if let last = free.popLast() {
            index = last
        } else {
            index = Index(touched)
            touched += 1
        }
        serial &+= 1
        (slots + Int(index)).initialize(
            to: ConnectionSlot(
                isn: connection.isn, serial: serial, startTime: connection.startTime, id: connection.id,
                work: connection))
        connection.index = index
        count += 1
        inFlightCount += 1
        append(index, to: &inFlight)
        enterNumber(index)
    }

    func remove(_ index: Index) {
        leaveNumber(index)
        if self[index].pointee.verdict == nil {
            inFlightCount -= 1
            unlink(index, from: &inFlight)
        } else {
            unlink(index, from: &concluded)
        }
        removeTuples(of: index)
        (slots + Int(index)).deinitialize(count: 1)
        free.append(index)
        count -= 1
    }

    // MARK: By age

    /// The verdict that stands. The first one moves it behind all that had theirs.
    func give(_ verdict: GivenVerdict, to index: Index) {
        if self[index].pointee.verdict == nil {
            inFlightCount -= 1
            unlink(index, from: &inFlight)
            append(index, to: &concluded)
        }
        self[index].pointee.verdict = verdict
    }

    /// Which one is missed least: the oldest of those that had their verdict, else the oldest.
    var mostDispensable: Index? {
        concluded.first != Self.none ? concluded.first : inFlight.first != Self.none ? inFlight.first : nil
    }

    /// All there are, those in flight first.
    var all: [Index] {
        var all: [Index] = []
        all.reserveCapacity(count)
        for line in [inFlight, concluded] {
            var index = line.first
            while index != Self.none {
                all.append(index)
                index = self[index].pointee.after
            }
        }
        return all
    }

    private func append(_ index: Index, to line: inout Line) {
        let last = line.last
        self[index].pointee.before = last
        self[index].pointee.after = Self.none
        if last == Self.none { line.first = index } else { self[last].pointee.after = index }
        line.last = index
    }

    private func unlink(_ index: Index, from line: inout Line) {
        let (before, after) = (self[index].pointee.before, self[index].pointee.after)
        if before == Self.none { line.first = after } else { self[before].pointee.after = after }
        if after == Self.none { line.last = before } else { self[after].pointee.before = before }
    }

    // MARK: By number

    /// The newest connection of this number.
    func newest(_ isn: UInt32) -> Index? {
        var index = buckets[hash.bucket(isn)]
        while index != Self.none {
            if self[index].pointee.isn == isn { return index }
            index = self[index].pointee.nextInBucket
        }
        return nil
    }

    /// The one of the same number that began before it.
    func older(than index: Index) -> Index? {
        let older = self[index].pointee.older
        return older == Self.none ? nil : older
    }

    private func enterNumber(_ index: Index) {
        let isn = self[index].pointee.isn
        guard let newest = newest(isn) else {
            let bucket = hash.bucket(isn)
            self[index].pointee.nextInBucket = buckets[bucket]
            buckets[bucket] = index
            return
        }
        self[index].pointee.older = newest
        self[newest].pointee.newer = index
        replaceInBucket(newest, by: index)
    }

    private func leaveNumber(_ index: Index) {
        let (older, newer) = (self[index].pointee.older, self[index].pointee.newer)
        if older != Self.none { self[older].pointee.newer = newer }
        if newer != Self.none { self[newer].pointee.older = older } else { replaceInBucket(index, by: older) }
    }

    /// In a bucket's list; `none`: without another in its place.
    private func replaceInBucket(_ old: Index, by new: Index) {
        let next = self[old].pointee.nextInBucket
        self[old].pointee.nextInBucket = Self.none
        if new != Self.none { self[new].pointee.nextInBucket = next }
        let replacement = new != Self.none ? new : next
        let bucket = hash.bucket(self[old].pointee.isn)
        guard buckets[bucket] != old else {
            buckets[bucket] = replacement
            return
        }
        var index = buckets[bucket]
        while self[index].pointee.nextInBucket != old { index = self[index].pointee.nextInBucket }
        self[index].pointee.nextInBucket = replacement
    }

    // MARK: By number and tuple

    /// Connections of one number are found by their tuples, once there are several of it: a scanner may dial all
    /// ports with one number.
    func noteTuples(of connection: Connection) {
        let slot = self[connection.index]
        if !slot.pointee.flags.contains(.indexed) {
            guard slot.pointee.older != Self.none || slot.pointee.newer != Self.none else { return }
            slot.pointee.flags.insert(.indexed)
        }
        let all = connection.trail.tuples
        while Int(slot.pointee.indexedTuples) < all.count {
            let tuple = all[Int(slot.pointee.indexedTuples)]
            slot.pointee.firstTuple = tuples.add(
                slot.pointee.isn, tuple, connection.index, before: slot.pointee.firstTuple)
            slot.pointee.indexedTuples += 1
        }
    }

    /// Connections that may have been seen with this number and tuple: their trails have to confirm it.
    func forEach(_ isn: UInt32, _ tuple: Tuple, _ body: (Index) -> Void) { tuples.forEach(isn, tuple, body) }

    private func removeTuples(of index: Index) {
        guard self[index].pointee.flags.contains(.indexed) else { return }
        tuples.remove(from: self[index].pointee.firstTuple)
    }
}
