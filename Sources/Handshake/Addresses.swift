// Addresses, endpoints and tuples: plain values, comparable, without allocation.

import CNattrace

/// An IPv4 or IPv6 address.
///
/// Held as two words in host order of the address read as one big-endian number; an
/// IPv4 address occupies the low 32 bits of `low`, so that addresses order as people
/// expect.
public struct IPAddress: Hashable, Comparable, Sendable, BitwiseCopyable {
    public enum Family: UInt8, Sendable, BitwiseCopyable, Codable {
        case v4 = 4
        case v6 = 6
    }

    public let high: UInt64
    public let low: UInt64
    /// Last, so that what follows an address, such as a port, is laid into the padding behind it: a tuple takes 48
    /// bytes and not 64.
    public let family: Family

    public init(v4 address: UInt32) {
        high = 0
        low = UInt64(address)
        family = .v4
    }

    public init(v6High high: UInt64, low: UInt64) {
        self.high = high
        self.low = low
        family = .v6
    }

    /// Bytes in network order; an IPv4 address stands in the first four.
    public init(
        family: Family,
        bytes b: (
            UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
            UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
        )
    ) {
        let words = unsafeBitCast(b, to: (UInt64, UInt64).self)
        switch family {
        case .v4: self.init(v4: UInt32(truncatingIfNeeded: UInt64(bigEndian: words.0) >> 32))
        case .v6: self.init(v6High: UInt64(bigEndian: words.0), low: UInt64(bigEndian: words.1))
        }
    }

    /// Network order; an IPv4 address stands in the first four bytes, the rest is zero.
    public var bytes:
        (
            UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
            UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
        )
    {
        let words: (UInt64, UInt64) =
            switch family {
            case .v4: ((low << 32).bigEndian, 0)
            case .v6: (high.bigEndian, low.bigEndian)
            }
        return unsafeBitCast(
            words,
            to: (
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8,
                UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8, UInt8
            ).self)
    }

    /// `0.0.0.0` or `::`, which a listener uses to say "every address".
    public var isUnspecified: Bool { high == 0 && low == 0 }

    /// 127.0.0.0/8, `::1`, or the IPv4-mapped form of the former.
    public var isLoopback: Bool {
        switch family {
        case .v4: low >> 24 == 127
        case .v6: (high == 0 && low == 1) || (unmapped.family == .v4 && unmapped.isLoopback)
        }
    }

    /// The IPv4 address inside an IPv4-mapped IPv6 address (RFC 4291, 2.5.5.2), else self.
    public var unmapped: IPAddress {
        guard family == .v6, high == 0, low >> 32 == 0xffff else { return self }
        return IPAddress(v4: UInt32(truncatingIfNeeded: low))
    }

    public static func < (a: IPAddress, b: IPAddress) -> Bool {
        (a.family.rawValue, a.high, a.low) < (b.family.rawValue, b.high, b.low)
    }
}

extension IPAddress: LosslessStringConvertible {
    /// Dotted decimal, or IPv6 text as RFC 5952 wants it. No zone index.
    public init?(_ text: String) {
        if let v4 = Self.parseV4(text[...]) {
            self = v4
        } else if let v6 = Self.parseV6(text) {
            self = v6
        } else {
            return nil
        }
    }

    private static func parseV4(_ text: Substring) -> IPAddress? {
        let parts = text.split(separator: ".", omittingEmptySubsequences: false)
        guard parts.count == 4 else { return nil }
        var address: UInt32 = 0
        for part in parts {
            // No sign, no leading zero: inet_aton would read that as octal.
            guard let first = part.utf8.first, first != UInt8(ascii: "+"), first != UInt8(ascii: "-"),
                part.utf8.count == 1 || first != UInt8(ascii: "0"), let byte = UInt8(part)
            else { return nil }
            address = address << 8 | UInt32(byte)
        }
        return IPAddress(v4: address)
    }

    private static func parseV6(_ text: String) -> IPAddress? {
        // IPv4 text may only be the very end of it.
        func groups(_ half: Substring, mayEndInV4: Bool) -> [UInt16]? {
            if half.isEmpty { return [] }
            var result: [UInt16] = []
            let parts = half.split(separator: ":", omittingEmptySubsequences: false)
            for (index, part) in parts.enumerated() {
                if part.contains("."), mayEndInV4, index == parts.count - 1 {
                    guard let v4 = parseV4(part) else { return nil }
                    result.append(UInt16(truncatingIfNeeded: v4.low >> 16))
                    result.append(UInt16(truncatingIfNeeded: v4.low))
                } else {
                    // No sign, which the integer would take: `-0` is a number to it.
                    guard (1...4).contains(part.utf8.count), part.allSatisfy(\.isHexDigit),
                        let group = UInt16(part, radix: 16)
                    else { return nil }
                    result.append(group)
                }
            }
            return result
        }
        var all: [UInt16]
        if let gap = text.firstRange(of: "::") {
            guard let head = groups(text[..<gap.lowerBound], mayEndInV4: false),
                let tail = groups(text[gap.upperBound...], mayEndInV4: true), head.count + tail.count <= 7
            else { return nil }
            all = head + [UInt16](repeating: 0, count: 8 - head.count - tail.count) + tail
        } else {
            guard let groups = groups(text[...], mayEndInV4: true), groups.count == 8 else { return nil }
            all = groups
        }
        func word(_ part: ArraySlice<UInt16>) -> UInt64 { part.reduce(0) { $0 << 16 | UInt64($1) } }
        return IPAddress(v6High: word(all[0..<4]), low: word(all[4..<8]))
    }

    public var description: String {
        switch family {
        case .v4:
            return String(unsafeUninitializedCapacity: Self.dottedBytes) { writeDotted(to: $0) }
        case .v6:
            let mapped = unmapped
            if mapped.family == .v4 { return "::ffff:\(mapped)" }
            let groups = (0..<8).map { i in
                UInt16(truncatingIfNeeded: (i < 4 ? high : low) >> UInt64(48 - 16 * (i & 3)))
            }
            // RFC 5952, 4.2: the longest run of at least two zero groups, the first of equals.
            var best = 0..<0
            var i = 0
            while i < 8 {
                var j = i
                while j < 8, groups[j] == 0 { j += 1 }
                if j - i > Swift.max(1, best.count) { best = i..<j }
                i = Swift.max(j, i + 1)
            }
            func text(_ range: Range<Int>) -> String {
                groups[range].map { String($0, radix: 16) }.joined(separator: ":")
            }
            return best.isEmpty ? text(0..<8) : text(0..<best.lowerBound) + "::" + text(best.upperBound..<8)
        }
    }
}

extension IPAddress {
    // Every verdict's sentence has addresses: they are written into strings' own bytes.

    fileprivate static let dottedBytes = 15

    /// An IPv4 address as dotted decimal; returns the number of bytes.
    fileprivate func writeDotted(to text: UnsafeMutableBufferPointer<UInt8>) -> Int {
        var count = 0
        for shift: UInt64 in [24, 16, 8, 0] {
            count += (low >> shift & 255).writeDecimal(to: text, at: count)
            guard shift > 0 else { break }
            text[count] = UInt8(ascii: ".")
            count += 1
        }
        return count
    }
}

extension UInt64 {
    /// A number below 100,000; returns the number of digits.
    fileprivate func writeDecimal(to text: UnsafeMutableBufferPointer<UInt8>, at start: Int) -> Int {
        let count = self < 10 ? 1 : self < 100 ? 2 : self < 1000 ? 3 : self < 10_000 ? 4 : 5
        var rest = self
        for index in (start..<start + count).reversed() {
            text[index] = UInt8(ascii: "0") + UInt8(truncatingIfNeeded: rest % 10)
            rest /= 10
        }
        return count
    }
}

extension IPAddress: Codable {
    public init(from decoder: any Decoder) throws {
        let container = try decoder.singleValueContainer()
        let text = try container.decode(String.self)
        guard let address = IPAddress(text) else {
            throw DecodingError.dataCorruptedError(in: container, debugDescription: "\(text) is not an IP address")
        }
        self = address
    }

    public func encode(to encoder: any Encoder) throws {
        var container = encoder.singleValueContainer()
        try container.encode(description)
    }
}

/// One end of a TCP flow. The port is in host order.
public struct Endpoint: Hashable, Sendable, BitwiseCopyable, Codable, CustomStringConvertible {
    public var address: IPAddress
    public var port: UInt16

    public init(address: IPAddress, port: UInt16) {
        self.address = address
        self.port = port
    }

    /// `192.0.2.1:80` or `[2001:db8::1]:80`.
    public var description: String {
        guard address.family == .v4 else { return "[\(address)]:\(port)" }
        return String(unsafeUninitializedCapacity: IPAddress.dottedBytes + 6) { text in
            let count = address.writeDotted(to: text)
            text[count] = UInt8(ascii: ":")
            return count + 1 + UInt64(port).writeDecimal(to: text, at: count + 1)
        }
    }
}

/// Both ends of a TCP flow, in the direction of a packet.
public struct Tuple: Hashable, Sendable, BitwiseCopyable, Codable, CustomStringConvertible {
    public var source: Endpoint
    public var destination: Endpoint

    public init(source: Endpoint, destination: Endpoint) {
        self.source = source
        self.destination = destination
    }

    init(_ raw: nattrace_tuple, family: IPAddress.Family) {
        source = Endpoint(address: IPAddress(family: family, bytes: raw.source), port: raw.source_port)
        destination = Endpoint(
            address: IPAddress(family: family, bytes: raw.destination), port: raw.destination_port)
    }

    public var reversed: Tuple { Tuple(source: destination, destination: source) }
    public var family: IPAddress.Family { source.address.family }
    public var description: String { "\(source) → \(destination)" }
}
