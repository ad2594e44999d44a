/// Kernel functions by address, from the text of /proc/kallsyms, where the kernel cannot be asked for one
/// (before 5.14). To write that text takes the kernel a tenth of a second, by far the most of it.
///
/// A kernel has about 100000 of them: names lie in one buffer, addresses in one sorted array.
struct SymbolTable {
    /// Far more than any kernel with all its modules has.
    static let maximumSymbols = 1 << 21
    /// KSYM_NAME_LEN of 6.1 and later, which counts the NUL.
    static let maximumNameLength = 512
    /// No function is nearly as long: a larger distance means that the address lies beyond the
    /// last function of the kernel or of a module.
    static let maximumFunctionSize: UInt64 = 1 << 20

    /// Ascending; an address occurs once.
    private var addresses: [UInt64] = []
    /// Where the name of the symbol of the same index begins in `names`; it ends before a zero.
    private var offsets: [UInt32] = []
    private var names: [UInt8] = []
    /// Symbols without an address: the kernel hides them (kptr_restrict), or they are absolute.
    private(set) var hiddenCount = 0

    var count: Int { addresses.count }

    /// Name of the function that holds an address, as the kernel spells it, without offset and
    /// module; nil: no function there.
    ///
    /// The address has to be one of code: data symbols are not kept, so an address of data
    /// right behind code is taken for the function before it.
    func name(of address: UInt64) -> String? {
        // First index whose address is greater.
        var low = 0
        var high = addresses.count
        while low < high {
            let middle = (low + high) / 2
            if addresses[middle] <= address { low = middle + 1 } else { high = middle }
        }
        guard low > 0, address - addresses[low - 1] < Self.maximumFunctionSize else { return nil }
        let name = names[Int(offsets[low - 1])...].prefix { $0 != 0 }
        return String(decoding: name, as: UTF8.self)
    }

    /// Reads `ADDRESS TYPE NAME[\t[MODULE]]` lines in pieces, however they are cut.
    struct Parser: ~Copyable {
        private enum Field {
            case address, type, name, rest
        }

        private var table = SymbolTable()
        private var field = Field.address
        private var address: UInt64 = 0
        private var isText = false
        private var nameStart = 0
        private var isSorted = true

        /// Bytes of one more piece of the file.
        mutating func add(_ piece: UnsafeRawBufferPointer) {
            for byte in piece {
                if byte == UInt8(ascii: "\n") {
                    endLine()
                    continue
                }
                switch field {
                case .address: addressByte(byte)
                case .type:
                    if byte == UInt8(ascii: " ") {
                        field = isText ? .name : .rest
                    } else {
                        isText = Self.isText(byte)
                    }
                case .name:
                    if byte == UInt8(ascii: "\t") || byte == UInt8(ascii: " ") {
                        field = .rest
                    } else {
                        table.names.append(byte)
                    }
                case .rest: break
                }
            }
        }

        /// The table of all that was added; a last line without a newline counts.
        consuming func finish() -> SymbolTable {
            endLine()
            if !isSorted { table.sort() }
            table.dropAliases()
            return table
        }

        private mutating func addressByte(_ byte: UInt8) {
            switch byte {
            case UInt8(ascii: "0")...UInt8(ascii: "9"): address = address << 4 | UInt64(byte - UInt8(ascii: "0"))
            case UInt8(ascii: "a")...UInt8(ascii: "f"): address = address << 4 | UInt64(byte - UInt8(ascii: "a") + 10)
            case UInt8(ascii: " "): field = .type
            default: field = .rest
            }
        }

        /// Text, global or local, and weak functions (nm(1)).
        private static func isText(_ type: UInt8) -> Bool {
            switch type {
            case UInt8(ascii: "t"), UInt8(ascii: "T"), UInt8(ascii: "w"), UInt8(ascii: "W"): true
            default: false
            }
        }

        private mutating func endLine() {
            defer {
                field = .address
                address = 0
                isText = false
                nameStart = table.names.count
            }
            let length = table.names.count - nameStart
            guard length > 0 else { return }
            guard address != 0, length < maximumNameLength, table.count < maximumSymbols else {
                if address == 0 { table.hiddenCount += 1 }
                table.names.removeSubrange(nameStart...)
                return
            }
            table.names.append(0)
            if let last = table.addresses.last, last > address { isSorted = false }
            table.addresses.append(address)
            table.offsets.append(UInt32(truncatingIfNeeded: nameStart))
        }
    }

    /// Modules follow the kernel proper in the file, at lower addresses.
    private mutating func sort() {
        var pairs = zip(addresses, offsets).map { (address: $0, offset: $1) }
        // Offsets grow along the file, so aliases stay in its order.
        pairs.sort { ($0.address, $0.offset) < ($1.address, $1.offset) }
        for (index, pair) in pairs.enumerated() {
            addresses[index] = pair.address
            offsets[index] = pair.offset
        }
    }

    /// Of several names of one address the first stands, as in the kernel's own traces
    /// (get_symbol_pos).
    private mutating func dropAliases() {
        var kept = 0
        for index in addresses.indices where index == 0 || addresses[index] != addresses[kept - 1] {
            addresses[kept] = addresses[index]
            offsets[kept] = offsets[index]
            kept += 1
        }
        addresses.removeSubrange(kept...)
        offsets.removeSubrange(kept...)
    }

    /// Reads a file like /proc/kallsyms.
    static func load(_ path: String = "/proc/kallsyms") throws(FactFailure) -> SymbolTable {
        var parser = Parser()
        try Files.read(path, pieceSize: 1 << 18) { parser.add($0) }
        let table = parser.finish()
        if table.count > 0 { return table }
        if table.hiddenCount > 0 {
            throw FactFailure("\(path) hides the kernel's addresses (kernel.kptr_restrict, or CAP_SYSLOG is missing)")
        }
        throw FactFailure("\(path) names no kernel function")
    }
}
