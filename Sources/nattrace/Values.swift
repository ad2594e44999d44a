// Values of options as people write them. All pure: text in, value out, or a message that
// says what is right.

import Handshake
import KernelTracer

/// Why a value is refused; ArgumentParser shows the description behind the value and its option.
struct ValueError: Error, Equatable, CustomStringConvertible {
    let description: String

    init(_ description: String) {
        self.description = description
    }
}

enum Values {
    /// `8080`, or a range with both ends in it: `8000-8080`. Port 0 is none.
    static func ports(_ text: String) throws(ValueError) -> ClosedRange<UInt16> {
        let ends = text.split(separator: "-", maxSplits: 1, omittingEmptySubsequences: false).map { port($0) }
        switch ends.count {
        case 1:
            if let only = ends[0] { return only...only }
        default:
            if let first = ends[0], let last = ends[1] {
                if first <= last { return first...last }
                throw ValueError("a range begins with its lower port: write \(last)-\(first)")
            }
        }
        throw ValueError("write a port from 1 to 65535, or a range like 8000-8080")
    }

    private static func port(_ text: Substring) -> UInt16? {
        guard let number = decimal(text), number > 0 else { return nil }
        return UInt16(exactly: number)
    }

    /// `192.0.2.7`, `2001:db8::/32`.
    static func prefix(_ text: String) throws(ValueError) -> AddressPrefix {
        if let prefix = AddressPrefix(text) { return prefix }
        throw ValueError("write an IPv4 or IPv6 address, or a block like 192.0.2.0/24 or 2001:db8::/32")
    }

    /// A name that a network interface can have (dev_valid_name): 1 to 15 bytes, no slash,
    /// colon or white space.
    static func interface(_ text: String) throws(ValueError) -> String {
        guard (1...15).contains(text.utf8.count) else {
            throw ValueError("names of interfaces have 1 to 15 bytes")
        }
        let forbidden: [UInt8] = [UInt8(ascii: "/"), UInt8(ascii: ":"), UInt8(ascii: " ")]
        guard text != ".", text != "..", text.utf8.allSatisfy({ !forbidden.contains($0) && !(9...13).contains($0) })
        else {
            throw ValueError("no interface can have this name; 'ip link' shows them")
        }
        return text
    }

    /// A verdict's code, as `no_listener`.
    static func verdict(_ text: String) throws(ValueError) -> VerdictCode {
        if let code = VerdictCode(rawValue: text) { return code }
        let codes = VerdictCode.allCases.map(\.rawValue)
        let plain = text.lowercased().split { $0 == "-" || $0 == " " }.joined(separator: "_")
        if let near = suggestion(for: plain, among: codes) { throw ValueError("did you mean '\(near)'?") }
        // A word of several codes, as `listener`.
        let related = plain.utf8.count > 2 ? codes.filter { $0.contains(plain) } : []
        if related.count == 1 { throw ValueError("did you mean '\(related[0])'?") }
        throw ValueError("write one of \((related.isEmpty ? codes : related).joined(separator: ", "))")
    }

    /// `30s`, `500ms`, `2m`, `1h`, or a plain number of seconds, as nanoseconds; more than nothing.
    static func duration(_ text: String) throws(ValueError) -> UInt64 {
        let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
        let unit: UInt64? =
            switch text[digits.endIndex...] {
            case "ms": 1_000_000
            case "", "s": 1_000_000_000
            case "m": 60_000_000_000
            case "h": 3_600_000_000_000
            default: nil
            }
        guard let unit, let count = decimal(digits), count > 0 else {
            throw ValueError("write a time like 500ms, 30s, 2m or 1h")
        }
        // Within the kernel's own range of times, so that one may be added to another.
        let (time, overflow) = count.multipliedReportingOverflow(by: unit)
        guard !overflow, time <= UInt64(Int64.max) else {
            throw ValueError("that is longer than this machine can measure")
        }
        return time
    }

    /// `127.0.0.1:9464`, `[::1]:9464`, or a port alone, which is one of 127.0.0.1.
    static func listenAddress(_ text: String) throws(ValueError) -> Endpoint {
        let mark = text.lastIndex(of: ":")
        var host = mark.map { text[..<$0] } ?? ""
        if host.hasPrefix("["), host.hasSuffix("]") {
            host = host.dropFirst().dropLast()
            // An IPv4 address wants none.
            if !host.contains(":") { host = "?" }
        } else if host.contains(":") {
            throw ValueError("write an IPv6 address in brackets, like [::1]:9464")
        }
        guard let port = port(mark.map { text[text.index(after: $0)...] } ?? text[...]),
            let address = host.isEmpty ? IPAddress(v4: 0x7f00_0001) : IPAddress(String(host))
        else { throw ValueError("write an address and a port, like 127.0.0.1:9464 or [::1]:9464, or a port alone") }
        return Endpoint(address: address, port: port)
    }

    /// A count of at least one.
    static func count(_ text: String) throws(ValueError) -> Int {
        guard let number = decimal(text[...]), number > 0, let count = Int(exactly: number) else {
            throw ValueError("write a number from 1")
        }
        return count
    }

    /// A count, or 0.
    static func countFromZero(_ text: String) throws(ValueError) -> Int {
        guard let number = decimal(text[...]), let count = Int(exactly: number) else {
            throw ValueError("write a number from 0")
        }
        return count
    }

    /// `512k`, `4M`, `1G`, or a plain number of bytes, for what a buffer may hold; a unit is 1024 times the one before.
    static func bufferSize(_ text: String) throws(ValueError) -> Int {
        let digits = text.prefix { $0.isASCII && $0.isWholeNumber }
        let unit: UInt64? =
            switch text[digits.endIndex...] {
            case "": 1
            case "k": 1 << 10
            case "M": 1 << 20
            case "G": 1 << 30
            default: nil
            }
        guard let unit, let count = decimal(digits),
            case (let size, false) = count.multipliedReportingOverflow(by: unit),
            (1 << 16...1 << 30).contains(size)
        else { throw ValueError("write a size from 64k to 1G, like 512k or 8M") }
        return Int(size)
    }

    /// Handshakes at once.
    static func connections(_ text: String) throws(ValueError) -> Int {
        let range = TracerLimits.connectionsRange
        guard let count = try? count(text), range.contains(count) else {
            throw ValueError("write a number from \(range.lowerBound) to \(range.upperBound)")
        }
        return count
    }

    /// Digits only: `UInt64("+1")` would take a sign.
    private static func decimal(_ text: Substring) -> UInt64? {
        text.utf8.allSatisfy((UInt8(ascii: "0")...UInt8(ascii: "9")).contains) ? UInt64(text) : nil
    }

    /// The candidate that was probably meant: at most every third letter is another.
    static func suggestion(for text: String, among candidates: [String]) -> String? {
        // Nobody means any of them by what is much longer, and the table would be large.
        guard text.utf8.count <= 64 else { return nil }
        let nearest = candidates.map { (candidate: $0, distance: distance(Array(text.utf8), Array($0.utf8))) }
            .min { $0.distance < $1.distance }
        guard let nearest, nearest.distance * 3 <= max(text.utf8.count, 3) else { return nil }
        return nearest.candidate
    }

    /// How many letters have to be inserted, removed, replaced or swapped with their neighbour.
    static func distance(_ a: [UInt8], _ b: [UInt8]) -> Int {
        var beforeLast: [Int] = []
        var last = Array(0...b.count)
        for i in a.indices {
            var row = [i + 1]
            row.reserveCapacity(b.count + 1)
            for j in b.indices {
                var best = min(last[j] + (a[i] == b[j] ? 0 : 1), last[j + 1] + 1, row[j] + 1)
                if i > 0, j > 0, a[i] == b[j - 1], a[i - 1] == b[j] { best = min(best, beforeLast[j - 1] + 1) }
                row.append(best)
            }
            beforeLast = last
            last = row
        }
        return last[b.count]
    }
}

extension ClosedRange<UInt16> {
    /// As on the command line.
    var optionText: String { lowerBound == upperBound ? "\(lowerBound)" : "\(lowerBound)-\(upperBound)" }
}

extension AddressPrefix {
    /// As on the command line.
    var optionText: String {
        length == (address.family == .v4 ? 32 : 128) ? "\(address)" : "\(address)/\(length)"
    }
}
