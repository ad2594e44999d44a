// JSON into an output buffer: names, strings, nothing that allocates.

import Handshake

extension OutputBuffer {
    /// A member's name, with the comma before it where one is needed. `name` comes with its
    /// quotes and colon, so that it is copied in one go.
    @inline(__always)
    func key(_ name: StaticString) {
        separate()
        put(name)
    }

    /// The comma between members and between elements: whatever stands before one opened
    /// neither an object nor a list.
    @inline(__always)
    func separate() {
        if last != UInt8(ascii: "{"), last != UInt8(ascii: "[") { put(UInt8(ascii: ",")) }
    }

    @inline(__always)
    func open() { put(UInt8(ascii: "{")) }

    @inline(__always)
    func close() { put(UInt8(ascii: "}")) }

    /// In quotes, escaped.
    func jsonString(_ text: String) {
        var text = text
        text.withUTF8 { bytes in
            put(UInt8(ascii: "\""))
            escape(bytes)
            put(UInt8(ascii: "\""))
        }
    }

    /// In quotes, escaped; bytes that are no UTF-8 become U+FFFD.
    func jsonString(bytes: UnsafeBufferPointer<UInt8>) {
        if bytes.allSatisfy({ $0 < 0x80 }) {
            put(UInt8(ascii: "\""))
            escape(bytes)
            put(UInt8(ascii: "\""))
        } else {
            jsonString(String(decoding: bytes, as: UTF8.self))
        }
    }

    /// In quotes; for text of our own that holds nothing to escape.
    @inline(__always)
    func jsonName(_ text: String) {
        put(UInt8(ascii: "\""))
        put(text: text)
        put(UInt8(ascii: "\""))
    }

    /// Escapes what JSON wants escaped, and DEL and the C1 controls, which it does not: lines
    /// are also read on terminals, and names are chosen by others.
    private func escape(_ bytes: UnsafeBufferPointer<UInt8>) {
        var clean = 0
        var index = 0
        func flushClean() { put(UnsafeRawBufferPointer(rebasing: UnsafeRawBufferPointer(bytes)[clean..<index])) }
        while index < bytes.count {
            if isClean(bytes, from: index) {
                index += 8
                continue
            }
            let byte = bytes[index]
            if byte >= 0x20, byte < 0x7f, byte != UInt8(ascii: "\""), byte != UInt8(ascii: "\\") {
                index += 1
                continue
            }
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"):
                flushClean()
                put(UInt8(ascii: "\\"))
                put(byte)
            case UInt8(ascii: "\n"):
                flushClean()
                put("\\n")
            case UInt8(ascii: "\r"):
                flushClean()
                put("\\r")
            case UInt8(ascii: "\t"):
                flushClean()
                put("\\t")
            case ..<0x20, 0x7f:
                flushClean()
                put("\\u")
                putHex(UInt64(byte), digits: 4)
            case 0xc2 where index + 1 < bytes.count && bytes[index + 1] < 0xa0:
                flushClean()
                put("\\u")
                putHex(UInt64(bytes[index + 1]), digits: 4)
                index += 1
            default:
                index += 1
                continue
            }
            index += 1
            clean = index
        }
        flushClean()
    }

    /// Whether the next eight bytes are there, and none needs to be escaped or looked at.
    @inline(__always)
    private func isClean(_ bytes: UnsafeBufferPointer<UInt8>, from index: Int) -> Bool {
        guard index + 8 <= bytes.count else { return false }
        let word = UnsafeRawBufferPointer(bytes).loadUnaligned(fromByteOffset: index, as: UInt64.self)
        let ones: UInt64 = 0x0101_0101_0101_0101
        // Sets the top bit of bytes below a bound, of all that are below 0x80 themselves.
        func below(_ bound: UInt64, _ word: UInt64) -> UInt64 { (word &- ones &* bound) & ~word }
        func equal(_ byte: UInt8) -> UInt64 { below(1, word ^ (ones &* UInt64(byte))) }
        let dirty =
            word | below(0x20, word) | equal(UInt8(ascii: "\"")) | equal(UInt8(ascii: "\\")) | equal(0x7f)
        return dirty & (ones &* 0x80) == 0
    }

    /// `"ip":"192.0.2.1","port":80`
    @inline(__always)
    func jsonEndpoint(_ end: Endpoint) {
        key("\"ip\":\"")
        put(end.address)
        put("\",\"port\":")
        put(end.port)
    }
}
