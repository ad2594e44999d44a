// Reads pcapng for tests, block by block, and notes whatever is not as the format has it.

struct PcapngReading {
    struct Packet {
        var interface: Int
        var time: UInt64
        var wireBytes: Int
        var bytes: [UInt8]
        var comments: [String]
        var flags: UInt32?
    }

    struct Statistics {
        var interface: Int
        var received: UInt64?
        var dropped: UInt64?
        var comments: [String]
    }

    typealias Options = [(code: Int, value: [UInt8])]

    private(set) var section: Options = []
    private(set) var interfaces: [Options] = []
    private(set) var packets: [Packet] = []
    private(set) var statistics: [Statistics] = []
    private(set) var problems: [String] = []

    init(_ bytes: [UInt8]) {
        var place = 0
        while place < bytes.count {
            guard place + 12 <= bytes.count else {
                note("\(bytes.count - place) bytes are no block")
                return
            }
            let length = Self.number(bytes[(place + 4)..<(place + 8)])
            guard length >= 12, length % 4 == 0, place + length <= bytes.count,
                Self.number(bytes[(place + length - 4)..<(place + length)]) == length
            else {
                note("a block at \(place) has a length of \(length)")
                return
            }
            let body = Array(bytes[(place + 8)..<(place + length - 4)])
            block(Self.number(bytes[place..<(place + 4)]), body, isFirst: place == 0)
            place += length
        }
    }

    /// All comments of all packets.
    var comments: [String] { packets.flatMap(\.comments) }

    func name(ofInterface number: Int) -> String { Self.text(interfaces[number], 2) ?? "" }

    /// The only option with a code, as text.
    static func text(_ options: Options, _ code: Int) -> String? {
        options.first { $0.code == code }.map { String(decoding: $0.value, as: UTF8.self) }
    }

    private mutating func block(_ type: Int, _ body: [UInt8], isFirst: Bool) {
        switch type {
        case 0x0a0d_0d0a:
            if !isFirst || Array(body.prefix(8)) != [0x4d, 0x3c, 0x2b, 0x1a, 1, 0, 0, 0] { note("a section header") }
            section = options(body[16...])
        case 1:
            if Self.number(body[..<2]) != 101 { note("a link type of \(Self.number(body[..<2]))") }
            interfaces.append(options(body[8...]))
        case 6:
            let captured = Self.number(body[12..<16])
            let options = options(body[(20 + (captured + 3) / 4 * 4)...])
            let packet = Packet(
                interface: Self.number(body[..<4]), time: Self.time(body[4..<12]),
                wireBytes: Self.number(body[16..<20]), bytes: Array(body[20..<(20 + captured)]),
                comments: comments(options),
                flags: options.first { $0.code == 2 }.map { UInt32(Self.number($0.value[...])) })
            if packet.interface >= interfaces.count { note("interface \(packet.interface) before its block") }
            packets.append(packet)
        case 5:
            let options = options(body[12...])
            func counter(_ code: Int) -> UInt64? {
                options.first { $0.code == code }.map { UInt64(Self.number($0.value[...])) }
            }
            statistics.append(
                Statistics(
                    interface: Self.number(body[..<4]), received: counter(4), dropped: counter(7),
                    comments: comments(options)))
        default: note("a block of type \(type)")
        }
    }

    private mutating func comments(_ options: Options) -> [String] {
        options.filter { $0.code == 1 }.map { option in
            guard let text = String(validating: option.value, as: UTF8.self) else {
                note("a comment is no UTF-8")
                return ""
            }
            if text.unicodeScalars.contains(where: { $0.properties.generalCategory == .control }) {
                note("control characters in \(text)")
            }
            return text
        }
    }

    private mutating func options(_ bytes: ArraySlice<UInt8>) -> Options {
        var rest = bytes
        var options: Options = []
        while rest.count >= 4 {
            let (code, length) = (Self.number(rest.prefix(2)), Self.number(rest.dropFirst(2).prefix(2)))
            rest = rest.dropFirst(4)
            if code == 0 {
                if length != 0 || !rest.isEmpty { note("the end of options is not the end") }
                return options
            }
            let padded = (length + 3) / 4 * 4
            guard padded <= rest.count else { break }
            if rest.dropFirst(length).prefix(padded - length).contains(where: { $0 != 0 }) { note("padding is not 0") }
            options.append((code, Array(rest.prefix(length))))
            rest = rest.dropFirst(padded)
        }
        note("options without their end")
        return options
    }

    private mutating func note(_ problem: String) { problems.append(problem) }

    private static func number(_ bytes: ArraySlice<UInt8>) -> Int {
        bytes.reversed().reduce(0) { $0 << 8 | Int($1) }
    }

    private static func time(_ bytes: ArraySlice<UInt8>) -> UInt64 {
        UInt64(number(bytes.prefix(4))) << 32 | UInt64(number(bytes.suffix(4)))
    }
}
