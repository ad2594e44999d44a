// Community ID v1: the name under which Zeek, Suricata and others know the same flow.

/// The Community ID of a TCP flow, version 1 with seed 0: the same for both directions.
///
/// SHA-1 is what the specification asks for; here it is a name and protects nothing.
enum CommunityID {
    /// `1:` and 28 characters of base64.
    static func v1(_ tuple: Tuple) -> String {
        let forward = (tuple.source.address, tuple.source.port) < (tuple.destination.address, tuple.destination.port)
        let (first, second) = forward ? (tuple.source, tuple.destination) : (tuple.destination, tuple.source)

        var message: [UInt8] = [0, 0]  // the seed
        message.reserveCapacity(64)
        let length = tuple.family == .v4 ? 4 : 16
        for end in [first, second] {
            withUnsafeBytes(of: end.address.bytes) { message.append(contentsOf: $0.prefix(length)) }
        }
        message += [6, 0]  // IPPROTO_TCP, padding
        for port in [first.port, second.port] {
            message += [UInt8(truncatingIfNeeded: port >> 8), UInt8(truncatingIfNeeded: port)]
        }
        return "1:" + base64(sha1(message))
    }

    /// SHA-1 (FIPS 180-4) of at most 55 bytes: what fits one block, and no flow needs more than 40.
    static func sha1(_ message: [UInt8]) -> [UInt8] {
        precondition(message.count <= 55, "one block only")
        var block = message + [0x80]
        block += [UInt8](repeating: 0, count: 62 - block.count)
        let bits = message.count * 8
        block += [UInt8(bits >> 8), UInt8(bits & 255)]

        var w = (0..<16).map { i in block[4 * i..<4 * i + 4].reduce(0) { $0 << 8 | UInt32($1) } }
        func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
        for i in 16..<80 { w.append(rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1)) }

        let start: [UInt32] = [0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0]
        var (a, b, c, d, e) = (start[0], start[1], start[2], start[3], start[4])
        for i in 0..<80 {
            let (f, k): (UInt32, UInt32) =
                switch i {
                case 0..<20: ((b & c) | (~b & d), 0x5a82_7999)
                case 20..<40: (b ^ c ^ d, 0x6ed9_eba1)
                case 40..<60: ((b & c) | (b & d) | (c & d), 0x8f1b_bcdc)
                default: (b ^ c ^ d, 0xca62_c1d6)
                }
            let next = rotate(a, 5) &+ f &+ e &+ k &+ w[i]
            (a, b, c, d, e) = (next, a, rotate(b, 30), c, d)
        }
        return zip(start, [a, b, c, d, e]).flatMap { pair in
            let word = pair.0 &+ pair.1
            return [24, 16, 8, 0].map { UInt8(truncatingIfNeeded: word >> $0) }
        }
    }

    static func base64(_ bytes: [UInt8]) -> String {
        let alphabet = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)
        var text: [UInt8] = []
        for start in stride(from: 0, to: bytes.count, by: 3) {
            let group = bytes[start..<min(start + 3, bytes.count)]
            let word = group.reduce(0) { $0 << 8 | Int($1) } << (8 * (3 - group.count))
            for i in 0..<4 {
                text.append(i <= group.count ? alphabet[word >> (18 - 6 * i) & 63] : UInt8(ascii: "="))
            }
        }
        return String(decoding: text, as: UTF8.self)
    }
}
