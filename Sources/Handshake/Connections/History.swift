// All that made a connection what it is, small enough to keep a hundred thousand of them: its observations, and
// what was added to it otherwise, in their order. From that it is made again.

import CNattrace

/// What changes a connection beside its observations. They come from verdicts, which ask facts that may be
/// answered otherwise the next time. Few connections have any: hence indirect, so that lists of them are short.
indirect enum HistoryEvent {
    /// A decision that waited for the next observation was told without one.
    case settled
    /// The verdict was given that it is established.
    case succeeded
    /// From here on, names are these.
    case names(Names)
    /// This entry was found in the conntrack table of this namespace.
    case learned(ConntrackEntry, netns: UInt32)
    /// This rule was concluded to be that of the trail's translator at this place.
    case concluded(Rule, translator: Int)
}

/// A connection's past. Written while the connection is at work, in memory that grows; kept in as much as it takes.
struct History {
    /// Marks of events, in place of the mark of an observation. Those with contents have them in `contents`.
    fileprivate enum EventMark {
        static let settled: UInt32 = 1 << 31
        static let succeeded: UInt32 = 1 << 31 | 1
        static let other: UInt32 = 1 << 31 | 2
    }

    fileprivate struct Header {
        /// Bytes written, and bytes that there is room for.
        var count: Int32 = 0
        var room: Int32
        /// Numbers of four bytes that stand behind what is written; where history is kept only.
        var numbers: Int32 = 0
        /// What names were at the beginning.
        var names: Names?
        var contents: [HistoryEvent] = []
    }

    fileprivate final class Storage: ManagedBuffer<Header, UInt8> {
        static func with(room: Int) -> Storage {
            // Says the superclass: `create` makes an instance of the class that it is called on.
            unsafeDowncast(create(minimumCapacity: room) { _ in Header(room: Int32(room)) }, to: Storage.self)
        }
    }

    private var storage: Storage

    /// What most connections that come to nothing take.
    private static let firstRoom = 256

    init() { storage = Storage.with(room: Self.firstRoom) }

    /// Bytes of what is written.
    var count: Int { Int(storage.header.count) }

    /// Bytes that there is room for.
    var room: Int { Int(storage.header.room) }

    // MARK: Writing

    /// What names are at the beginning.
    func begin(with names: Names) { storage.header.names = names }

    mutating func append(_ raw: nattrace_observation, after previous: nattrace_observation) {
        makeRoom(for: ObservationCodec.maximumBytes)
        let (header, bytes) = storage.withUnsafeMutablePointers { ($0, $1) }
        let taken = ObservationCodec.encode(
            raw, after: previous, to: UnsafeMutableRawPointer(bytes + Int(header.pointee.count)))
        header.pointee.count += Int32(taken)
    }

    mutating func append(_ event: HistoryEvent) {
        let mark: UInt32
        switch event {
        case .settled: mark = EventMark.settled
        case .succeeded: mark = EventMark.succeeded
        default: mark = EventMark.other
        }
        makeRoom(for: 4)
        if mark == EventMark.other { storage.header.contents.append(event) }
        storage.withUnsafeMutablePointers { header, bytes in
            UnsafeMutableRawPointer(bytes + Int(header.pointee.count)).storeBytes(of: mark, as: UInt32.self)
            header.pointee.count += 4
        }
    }

    private mutating func makeRoom(for bytes: Int) {
        let needed = count + bytes + ObservationCodec.slack
        // What is kept has its numbers where more would be written.
        guard needed > room || storage.header.numbers > 0 || !isKnownUniquelyReferenced(&storage) else { return }
        storage = copy(room: max(needed, needed > room ? 2 * room : room))
    }

    private func copy(room: Int) -> Storage {
        let copy = Storage.with(room: room)
        copy.header.count = storage.header.count
        copy.header.names = storage.header.names
        copy.header.contents = storage.header.contents
        copy.withUnsafeMutablePointerToElements { new in
            storage.withUnsafeMutablePointerToElements { new.update(from: $0, count: count) }
        }
        return copy
    }

    // MARK: Keeping

    /// The same in as much memory as it takes. `numbers` are kept beside it, to be had without reading it.
    func kept(with numbers: [UInt32]) -> History {
        var kept = self
        kept.storage = copy(room: count + max(numbers.count * 4, ObservationCodec.slack))
        kept.storage.header.numbers = Int32(numbers.count)
        kept.storage.withUnsafeMutablePointerToElements { bytes in
            for (index, number) in numbers.enumerated() {
                UnsafeMutableRawPointer(bytes + count + index * 4).storeBytes(of: number, as: UInt32.self)
            }
        }
        return kept
    }

    var numbers: [UInt32] {
        storage.withUnsafeMutablePointers { header, bytes in
            (0..<Int(header.pointee.numbers)).map {
                UnsafeRawPointer(bytes + Int(header.pointee.count) + $0 * 4).loadUnaligned(as: UInt32.self)
            }
        }
    }

    // MARK: Reading

    /// What names were at the beginning.
    var names: Names? { storage.header.names }

    /// Goes through what is kept, in its order.
    struct Reader {
        enum Item {
            /// It is in `raw`.
            case observation
            case event(HistoryEvent)
        }

        private let storage: Storage
        private var position = 0
        private var told = 0
        /// The last observation.
        private(set) var raw = nattrace_observation()

        fileprivate init(_ storage: Storage) { self.storage = storage }

        mutating func next() -> Item? {
            guard position < Int(storage.header.count) else { return nil }
            return withExtendedLifetime(storage) {
                let start = UnsafeRawPointer(storage.withUnsafeMutablePointerToElements { $0 }) + position
                let mark = start.loadUnaligned(as: UInt32.self)
                guard mark & ~ObservationCodec.wordBits != 0 else {
                    position += ObservationCodec.decode(from: start, onto: &raw)
                    return .observation
                }
                position += 4
                switch mark {
                case EventMark.settled: return .event(.settled)
                case EventMark.succeeded: return .event(.succeeded)
                default:
                    told += 1
                    return .event(storage.header.contents[told - 1])
                }
            }
        }
    }

    func makeReader() -> Reader { Reader(storage) }
}
