// Community ID v1: the name under which Zeek, Suricata and others know the same flow.

/// The Community ID of a TCP flow, version 1 with seed 0: the same for both directions.
///
/// SHA-1 is what the specification asks for; here it is a name and protects nothing.
enum CommunityID {
    static func v1(_ tuple: Tuple) -> String {
        let forward = (tuple.source.address, tuple.source.port) < (tuple.destination.address, tuple.destination.port)
        let (first, second) = forward ? (tuple.source, tuple.destination) : (tuple.destination, tuple.source)

        return withUnsafeTemporaryAllocation(of: UInt32.self, capacity: SHA1Block.words) { words in
            var message = SHA1Block(words)
            message.append(0)  // the seed
            message.append(first.address)
            message.append(second.address)
            message.append(0x0600)  // IPPROTO_TCP, padding
            message.append(first.port)
            message.append(second.port)
            return text(message.digest())
        }
    }

    /// `1:` and the digest in base64.
    static func text(_ digest: SHA1Block.Digest) -> String {
        withUnsafeBytes(of: digest) { bytes in
            String(unsafeUninitializedCapacity: 30) { text in
                text[0] = UInt8(ascii: "1")
                text[1] = UInt8(ascii: ":")
                for group in 0..<7 {
                    let start = 3 * group
                    // Twenty bytes: the last group has two.
                    let last = group < 6 ? UInt32(bytes[start + 2]) : 0
                    let word = UInt32(bytes[start]) << 16 | UInt32(bytes[start + 1]) << 8 | last
                    for place in 0..<4 {
                        let value = UInt8(truncatingIfNeeded: word >> UInt32(18 - 6 * place) & 63)
                        text[2 + 4 * group + place] = character(value)
                    }
                }
                text[29] = UInt8(ascii: "=")
                return 30
            }
        }
    }

    private static func character(_ value: UInt8) -> UInt8 {
        switch value {
        case ..<26: UInt8(ascii: "A") + value
        case ..<52: UInt8(ascii: "a") + value - 26
        case ..<62: UInt8(ascii: "0") + value - 52
        case 62: UInt8(ascii: "+")
        default: UInt8(ascii: "/")
        }
    }
}

/// SHA-1 (FIPS 180-4) of at most 54 bytes, an even number of them: what fits one block, and no flow needs more than 40.
struct SHA1Block {
    /// In network order, as is a digest.
    typealias Digest = (UInt32, UInt32, UInt32, UInt32, UInt32)

    /// A block, and what is made of it.
    static let words = 80

    private let words: UnsafeMutableBufferPointer<UInt32>
    private var count = 0

    /// `words` stay the caller's, and need not be set.
    init(_ words: UnsafeMutableBufferPointer<UInt32>) {
        self.words = words
        words.initialize(repeating: 0)
    }

    /// Two bytes, in the order of the network.
    mutating func append(_ unit: UInt16) {
        precondition(count < 27, "one block only")
        put(unit)
        count += 1
    }

    /// The low bytes of a number, two by two.
    mutating func append(_ number: UInt64, units: Int) {
        for index in (0..<units).reversed() { append(UInt16(truncatingIfNeeded: number >> UInt64(16 * index))) }
    }

    mutating func append(_ address: IPAddress) {
        if address.family == .v6 { append(address.high, units: 4) }
        append(address.low, units: address.family == .v6 ? 4 : 2)
    }

    private func put(_ unit: UInt16) { words[count / 2] |= UInt32(unit) << (count % 2 == 0 ? 16 : 0) }

    /// Closes the block: nothing can be appended after it.
    func digest() -> Digest {
        let w = words
        put(0x8000)
        w[15] = UInt32(16 * count)
        func rotate(_ x: UInt32, _ n: UInt32) -> UInt32 { x << n | x >> (32 - n) }
        for i in 16..<80 { w[i] = rotate(w[i - 3] ^ w[i - 8] ^ w[i - 14] ^ w[i - 16], 1) }
        let start: Digest = (0x6745_2301, 0xefcd_ab89, 0x98ba_dcfe, 0x1032_5476, 0xc3d2_e1f0)
        var (a, b, c, d, e) = start
        func round(_ f: UInt32, _ k: UInt32, _ word: UInt32) {
            let next = rotate(a, 5) &+ f &+ e &+ k &+ word
            (a, b, c, d, e) = (next, a, rotate(b, 30), c, d)
        }
        for i in 0..<20 { round((b & c) | (~b & d), 0x5a82_7999, w[i]) }
        for i in 20..<40 { round(b ^ c ^ d, 0x6ed9_eba1, w[i]) }
        for i in 40..<60 { round((b & c) | (b & d) | (c & d), 0x8f1b_bcdc, w[i]) }
        for i in 60..<80 { round(b ^ c ^ d, 0xca62_c1d6, w[i]) }
        return (
            (start.0 &+ a).bigEndian, (start.1 &+ b).bigEndian, (start.2 &+ c).bigEndian, (start.3 &+ d).bigEndian,
            (start.4 &+ e).bigEndian
        )
    }
}
