// The connections of a page, packed as soon as their verdicts are there.

/// Keeps rows and details in blocks: a page opens by its rows, and unpacks the details of one block when a connection
/// in it is opened. What is kept is bounded; where there is more, those that succeeded go first.
struct ConnectionStore {
    struct Bounds {
        /// With more, a browser takes long to filter, and nobody reads them.
        var connections = 50_000
        /// Bytes of packed details: what a ticket takes as an attachment, base64 included.
        var packedBytes = 24 << 20
        /// A block is closed when it has so many, or so many bytes before they are packed.
        var blockConnections = 64
        var blockBytes = 256 << 10
    }

    let bounds: Bounds
    /// Connections that are in the list.
    private(set) var count = 0
    private(set) var leftOutSucceeded = 0
    private(set) var leftOutFailed = 0
    private var packedBytes = 0
    /// Closed blocks by number; nil: dropped again.
    private var blocks: [Block?] = []
    /// Those being filled: of successes, and of all others.
    private var open: (succeeded: OpenBlock?, failed: OpenBlock?)

    private struct Block {
        var rows: Rows
        var packed: [UInt8]
        var isOfSuccesses: Bool
    }

    /// A connection whose verdict was revised has none any more.
    private struct Rows {
        var strings = StringTable()
        var rows: [[UInt8]?] = []
        var count: Int { rows.count { $0 != nil } }
    }

    private struct OpenBlock {
        var number: Int
        var rows = Rows()
        var strings = StringTable()
        var details = JSONList()
        var bytes: Int { details.bytes.count + strings.json.bytes.count }
    }

    init(bounds: Bounds = Bounds()) { self.bounds = bounds }

    /// Adds a connection; nil: there was no room for it.
    mutating func add(_ record: ConnectionRecord) -> DetailPlace? {
        let isSuccess = record.verdict.outcome == .success
        while count >= bounds.connections || packedBytes >= bounds.packedBytes {
            guard !isSuccess, dropSuccesses() else {
                if isSuccess { leftOutSucceeded += 1 } else { leftOutFailed += 1 }
                return nil
            }
        }
        // Taken out while it is changed: what is held twice would be copied.
        var block = (isSuccess ? open.succeeded.take() : open.failed.take()) ?? begin()
        let index = block.rows.rows.count
        block.details.add(written: record.details(&block.strings))
        let row = record.row(index, &block.rows.strings)
        block.rows.rows.append(row)
        count += 1
        let isFull = index + 1 >= bounds.blockConnections || block.bytes >= bounds.blockBytes
        if isFull { close(block, isOfSuccesses: isSuccess) }
        if isSuccess { open.succeeded = isFull ? nil : block } else { open.failed = isFull ? nil : block }
        return DetailPlace(block: Int32(block.number), index: Int32(index))
    }

    /// Takes a connection from the list whose verdict was revised. Its details stay: they tell what was said before.
    mutating func remove(_ place: DetailPlace) {
        let (number, index) = (Int(place.block), Int(place.index))
        if open.failed?.number == number {
            open.failed?.rows.rows[index] = nil
        } else if blocks[number] != nil {
            blocks[number]?.rows.rows[index] = nil
        } else {
            return
        }
        count -= 1
    }

    mutating func closeAll() {
        if let block = open.succeeded { close(block, isOfSuccesses: true) }
        if let block = open.failed { close(block, isOfSuccesses: false) }
        open = (nil, nil)
    }

    /// The rows of all blocks: [[number, [strings], [rows]], ...]
    func index() -> [UInt8] {
        var json = JSONList()
        json.open()
        for (number, block) in blocks.enumerated() {
            guard let block else { continue }
            json.open()
            json.add(number)
            json.open()
            json.add(written: block.rows.strings.json.bytes)
            json.close()
            json.open()
            for row in block.rows.rows.compactMap({ $0 }) { json.add(written: row) }
            json.close()
            json.close()
        }
        json.close()
        return json.bytes
    }

    /// Number and packed details of each block.
    var packedBlocks: [(number: Int, bytes: [UInt8])] {
        blocks.enumerated().compactMap { number, block in block.map { (number, $0.packed) } }
    }

    private mutating func begin() -> OpenBlock {
        blocks.append(nil)
        return OpenBlock(number: blocks.count - 1)
    }

    private mutating func close(_ block: OpenBlock, isOfSuccesses: Bool) {
        var json = JSONList()
        json.open()
        json.open()
        json.add(written: block.strings.json.bytes)
        json.close()
        json.open()
        json.add(written: block.details.bytes)
        json.close()
        json.close()
        let packed = deflated(json.bytes)
        packedBytes += packed.count
        blocks[block.number] = Block(rows: block.rows, packed: packed, isOfSuccesses: isOfSuccesses)
    }

    /// Gives up the newest block of connections that succeeded. False: there is none.
    private mutating func dropSuccesses() -> Bool {
        if let block = open.succeeded {
            open.succeeded = nil
            leftOutSucceeded += block.rows.count
            count -= block.rows.count
            return true
        }
        guard let number = blocks.lastIndex(where: { $0?.isOfSuccesses == true }), let block = blocks[number] else {
            return false
        }
        blocks[number] = nil
        packedBytes -= block.packed.count
        leftOutSucceeded += block.rows.count
        count -= block.rows.count
        return true
    }
}
