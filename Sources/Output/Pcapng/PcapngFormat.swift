// The pcapng format, as far as it is written here: blocks, their options, and how they are laid out
// (draft-ietf-opsawg-pcapng). What stands in them is decided elsewhere.
//
// Numbers are little-endian, which the section header's magic says. Blocks and options are filled up to a multiple
// of four bytes.

enum PcapngFormat {
    enum Block {
        static let section: UInt32 = 0x0a0d_0d0a
        static let interface: UInt32 = 1
        static let statistics: UInt32 = 5
        static let packet: UInt32 = 6
    }

    enum Option {
        static let end: UInt16 = 0
        static let comment: UInt16 = 1
        static let hardware: UInt16 = 2
        static let operatingSystem: UInt16 = 3
        static let application: UInt16 = 4
        static let interfaceName: UInt16 = 2
        static let interfaceDescription: UInt16 = 3
        static let timeResolution: UInt16 = 9
        static let packetFlags: UInt16 = 2
        static let startTime: UInt16 = 2
        static let endTime: UInt16 = 3
        static let received: UInt16 = 4
        static let dropped: UInt16 = 7
    }

    static let byteOrderMagic: UInt32 = 0x1a2b_3c4d
    /// Packets begin with their IP header (LINKTYPE_RAW).
    static let rawIP: UInt16 = 101
    /// Times are in nanoseconds: ten to the power of minus nine.
    static let nanoseconds: UInt8 = 9
    /// Bytes of one text; an option can hold 65535. What is longer is cut.
    static let maximumText = 2048
}

/// Which way a packet passed its interface (epb_flags).
enum PcapngDirection: UInt32 {
    case unknown = 0
    case inbound = 1
    case outbound = 2
}

/// Appends blocks to a buffer, each as a whole. Whoever owns the buffer ends the unit.
struct PcapngWriter {
    let output: OutputBuffer

    // MARK: Blocks

    func section(comment: String, hardware: String?, operatingSystem: String, application: String) {
        block(PcapngFormat.Block.section) {
            put(PcapngFormat.byteOrderMagic)
            put(UInt16(1))
            put(UInt16(0))
            // How long the section will be is not known.
            put(UInt64.max)
            text(PcapngFormat.Option.comment, comment)
            if let hardware { text(PcapngFormat.Option.hardware, hardware) }
            text(PcapngFormat.Option.operatingSystem, operatingSystem)
            text(PcapngFormat.Option.application, application)
            endOptions()
        }
    }

    /// Interfaces count from 0 in the order of their blocks.
    func interface(name: String, description: String) {
        block(PcapngFormat.Block.interface) {
            put(PcapngFormat.rawIP)
            put(UInt16(0))
            // No bound for a packet's length.
            put(UInt32(0))
            text(PcapngFormat.Option.interfaceName, name)
            text(PcapngFormat.Option.interfaceDescription, description)
            option(PcapngFormat.Option.timeResolution) { output.put(PcapngFormat.nanoseconds) }
            endOptions()
        }
    }

    /// `time`: nanoseconds since 1970. `comments` appends each of them with `comment`.
    func packet(
        interface: UInt32, time: UInt64, _ packet: RebuiltPacket, direction: PcapngDirection, comments: () -> Void
    ) {
        block(PcapngFormat.Block.packet) {
            put(interface)
            put(time: time)
            put(UInt32(packet.headerBytes))
            put(UInt32(packet.wireBytes))
            // Headers are a multiple of four bytes long.
            packet.write(to: output)
            comments()
            if direction != .unknown { option(PcapngFormat.Option.packetFlags) { put(direction.rawValue) } }
            endOptions()
        }
    }

    /// Times are in nanoseconds since 1970. `dropped`: what was lost between the kernel and this file.
    func statistics(
        interface: UInt32, from start: UInt64, to end: UInt64, received: UInt64, dropped: UInt64?, comments: [String]
    ) {
        block(PcapngFormat.Block.statistics) {
            put(interface)
            put(time: end)
            for text in comments { self.text(PcapngFormat.Option.comment, text) }
            option(PcapngFormat.Option.startTime) { put(time: start) }
            option(PcapngFormat.Option.endTime) { put(time: end) }
            option(PcapngFormat.Option.received) { put(received) }
            if let dropped { option(PcapngFormat.Option.dropped) { put(dropped) } }
            endOptions()
        }
    }

    private func block(_ type: UInt32, _ body: () -> Void) {
        let start = output.count
        put(type)
        put(UInt32(0))
        body()
        let length = UInt32(output.count - start + 4)
        UnsafeMutableRawPointer(output.base + start + 4).storeBytes(of: length.littleEndian, as: UInt32.self)
        put(length)
    }

    // MARK: Options

    func comment(_ write: () -> Void) { option(PcapngFormat.Option.comment, tidies: true, write) }

    private func text(_ code: UInt16, _ text: String) { option(code, tidies: true) { output.put(text: text) } }

    private func option(_ code: UInt16, tidies: Bool = false, _ write: () -> Void) {
        put(code)
        put(UInt16(0))
        let start = output.count
        write()
        if tidies { tidy(from: start) }
        let length = output.count - start
        UnsafeMutableRawPointer(output.base + start - 2).storeBytes(of: UInt16(length).littleEndian, as: UInt16.self)
        for _ in 0..<(-length & 3) { output.put(UInt8(0)) }
    }

    private func endOptions() { put(UInt32(PcapngFormat.Option.end)) }

    /// Cuts what is too long behind a character, and takes out what a text must not have: control characters, and
    /// the spaces that only hold words together.
    private func tidy(from start: Int) {
        if output.count - start > PcapngFormat.maximumText {
            output.count = start + PcapngFormat.maximumText - 3
            while output.count > start, output.base[output.count] & 0xc0 == 0x80 { output.count -= 1 }
            output.put("…")
        }
        let bytes = output.base
        var place = start
        var index = start
        while index < output.count {
            let byte = bytes[index]
            let next = index + 1 < output.count ? bytes[index + 1] : 0
            if byte == 0xc2, next <= 0xa0 {
                // U+0080 to U+009F are control characters, U+00A0 is the space that does not break.
                bytes[place] = next == 0xa0 ? UInt8(ascii: " ") : UInt8(ascii: "?")
                index += 1
            } else {
                bytes[place] = byte < 0x20 || byte == 0x7f ? UInt8(ascii: "?") : byte
            }
            place += 1
            index += 1
        }
        output.count = place
    }

    // MARK: Numbers

    /// The upper half comes first, whatever the byte order.
    private func put(time: UInt64) {
        put(UInt32(truncatingIfNeeded: time >> 32))
        put(UInt32(truncatingIfNeeded: time))
    }

    private func put<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number) {
        output.reserve(MemoryLayout<Number>.size)
        UnsafeMutableRawPointer(output.end).storeBytes(of: number.littleEndian, as: Number.self)
        output.count += MemoryLayout<Number>.size
    }
}
