// How text gets into the page: escaped where it is markup, packed where it is data.

import CZlib

/// Text between tags, or in a quoted attribute: nothing in it can end where it stands.
func escaped(_ text: String) -> String {
    var result: [UInt8] = []
    result.reserveCapacity(text.utf8.count)
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "&"): result += "&amp;".utf8
        case UInt8(ascii: "<"): result += "&lt;".utf8
        case UInt8(ascii: ">"): result += "&gt;".utf8
        case UInt8(ascii: "\""): result += "&quot;".utf8
        case UInt8(ascii: "'"): result += "&#39;".utf8
        default: result.append(byte)
        }
    }
    return String(decoding: result, as: UTF8.self)
}

/// A value in the part of an address behind `#`, as URLSearchParams reads it.
func fragment(_ text: String) -> String {
    var result = ""
    for byte in text.utf8 {
        switch byte {
        case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
            UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "-"), UInt8(ascii: "."), UInt8(ascii: "_"):
            result.unicodeScalars.append(Unicode.Scalar(byte))
        default:
            let digits = String(byte, radix: 16, uppercase: true)
            result += digits.count < 2 ? "%0\(digits)" : "%\(digits)"
        }
    }
    return result
}

/// JSON: numbers, strings and lists, one after the other.
struct JSONList {
    private(set) var bytes: [UInt8] = []

    mutating func open(_ text: String = "[") {
        separate()
        bytes += text.utf8
    }

    mutating func close(_ text: String = "]") { bytes += text.utf8 }

    /// The name of a member, whose value has to follow.
    mutating func key(_ name: StaticString) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        bytes += UnsafeBufferPointer(start: name.utf8Start, count: name.utf8CodeUnitCount)
        bytes += "\":".utf8
    }

    mutating func add(_ number: some BinaryInteger) {
        separate()
        bytes += String(number).utf8
    }

    mutating func add(_ text: String) {
        separate()
        bytes.append(UInt8(ascii: "\""))
        for byte in text.utf8 {
            switch byte {
            case UInt8(ascii: "\""), UInt8(ascii: "\\"): bytes += [UInt8(ascii: "\\"), byte]
            case ..<0x20: bytes += ((byte < 16 ? "\\u000" : "\\u00") + String(byte, radix: 16)).utf8
            default: bytes.append(byte)
            }
        }
        bytes.append(UInt8(ascii: "\""))
    }

    /// Values that were written elsewhere.
    mutating func add(written: [UInt8]) {
        guard !written.isEmpty else { return }
        separate()
        bytes += written
    }

    mutating func removeAll() { bytes.removeAll(keepingCapacity: true) }

    private mutating func separate() {
        guard let last = bytes.last else { return }
        switch last {
        case UInt8(ascii: "["), UInt8(ascii: "{"), UInt8(ascii: ":"): break
        default: bytes.append(UInt8(ascii: ","))
        }
    }
}

/// zlib's format, which a browser's DecompressionStream calls `deflate`.
func deflated(_ bytes: [UInt8]) -> [UInt8] {
    var length = compressBound(UInt(bytes.count))
    return [UInt8](unsafeUninitializedCapacity: Int(length)) { room, count in
        // With room for the bound, nothing can fail but memory.
        let status = compress2(room.baseAddress, &length, bytes, UInt(bytes.count), Z_DEFAULT_COMPRESSION)
        precondition(status == Z_OK, "zlib has no memory")
        count = Int(length)
    }
}

/// RFC 4648, with padding.
func base64(_ bytes: [UInt8]) -> [UInt8] {
    let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
    var result: [UInt8] = []
    result.reserveCapacity((bytes.count + 2) / 3 * 4)
    var index = 0
    while index < bytes.count {
        let rest = bytes.count - index
        let word =
            UInt32(bytes[index]) << 16 | (rest > 1 ? UInt32(bytes[index + 1]) << 8 : 0)
            | (rest > 2 ? UInt32(bytes[index + 2]) : 0)
        result.append(alphabet[Int(word >> 18)])
        result.append(alphabet[Int(word >> 12 & 63)])
        result.append(rest > 1 ? alphabet[Int(word >> 6 & 63)] : UInt8(ascii: "="))
        result.append(rest > 2 ? alphabet[Int(word & 63)] : UInt8(ascii: "="))
        index += 3
    }
    return result
}
