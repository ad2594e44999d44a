// Packets as bytes again: IP, TCP and ICMP headers with what was observed, and right lengths and checksums.

import Handshake

/// A packet of which the headers are known.
///
/// Not observed, and the same in each: hop limit 64, window 65535, no options, no payload, identification 0. A window
/// of 0 would be read as a receiver that wants nothing.
enum RebuiltPacket: Equatable {
    case tcp(Packet)
    /// An ICMP error and the packet that it quotes.
    case icmp(ICMPError, quoting: Packet)

    static let hopLimit: UInt8 = 64
    static let window: UInt16 = 65535

    private static let tcpBytes = 20
    private static let icmpBytes = 8

    private static func ipBytes(_ family: IPAddress.Family) -> Int { family == .v4 ? 20 : 40 }

    /// What is written of it.
    var headerBytes: Int {
        switch self {
        case .tcp(let packet): Self.ipBytes(packet.tuple.family) + Self.tcpBytes
        case .icmp(_, let packet): 2 * Self.ipBytes(packet.tuple.family) + Self.icmpBytes + Self.tcpBytes
        }
    }

    /// How long it was, with its payload. Of what an ICMP error quotes no more is known than what is written.
    var wireBytes: Int {
        guard case .tcp(let packet) = self else { return headerBytes }
        // As much as an IPv4 header can say.
        return min(headerBytes + Int(packet.payload), 65535)
    }

    func write(to output: OutputBuffer) {
        output.reserve(headerBytes)
        let start = UnsafeMutableRawPointer(output.end)
        switch self {
        case .tcp(let packet): Self.write(packet, at: start, wireBytes: wireBytes)
        case .icmp(let error, let packet): Self.write(error, quoting: packet, at: start, bytes: headerBytes)
        }
        output.count += headerBytes
    }

    private static func write(_ packet: Packet, at start: UnsafeMutableRawPointer, wireBytes: Int) {
        let tuple = packet.tuple
        let ip = ipBytes(tuple.family)
        writeIP(
            at: start, from: tuple.source.address, to: tuple.destination.address, carrying: 6, bytes: wireBytes - ip)
        let tcp = start + ip
        tcp.store(tuple.source.port)
        (tcp + 2).store(tuple.destination.port)
        (tcp + 4).store(packet.seq)
        (tcp + 8).store(packet.ack)
        (tcp + 12).store(UInt8(tcpBytes / 4) << 4)
        (tcp + 13).store(packet.flags.rawValue)
        (tcp + 14).store(window)
        (tcp + 16).store(UInt32(0))
        // With a payload that is not known there is none.
        guard packet.payload == 0 else { return }
        let pseudo = pseudoHeader(tuple.source.address, tuple.destination.address, carrying: 6, bytes: tcpBytes)
        (tcp + 16).store(checksum(UnsafeRawBufferPointer(start: tcp, count: tcpBytes), with: pseudo))
    }

    private static func write(
        _ error: ICMPError, quoting packet: Packet, at start: UnsafeMutableRawPointer, bytes: Int
    ) {
        let family = packet.tuple.family
        let ip = ipBytes(family)
        let next: UInt8 = family == .v4 ? 1 : 58
        writeIP(at: start, from: error.source, to: error.destination, carrying: next, bytes: bytes - ip)
        let icmp = start + ip
        icmp.store(error.type)
        (icmp + 1).store(error.code)
        (icmp + 2).store(UInt16(0))
        (icmp + 4).store(UInt32(0))
        var quoted = packet
        quoted.payload = 0
        write(quoted, at: icmp + icmpBytes, wireBytes: ip + tcpBytes)
        let pseudo =
            family == .v4 ? 0 : pseudoHeader(error.source, error.destination, carrying: next, bytes: bytes - ip)
        (icmp + 2).store(checksum(UnsafeRawBufferPointer(start: icmp, count: bytes - ip), with: pseudo))
    }

    /// `bytes`: what comes behind the header.
    private static func writeIP(
        at start: UnsafeMutableRawPointer, from source: IPAddress, to destination: IPAddress, carrying next: UInt8,
        bytes: Int
    ) {
        switch source.family {
        case .v4:
            start.store(UInt16(0x4500))
            (start + 2).store(UInt16(20 + bytes))
            (start + 4).store(UInt32(0))
            (start + 8).store(hopLimit)
            (start + 9).store(next)
            (start + 10).store(UInt16(0))
            (start + 12).store(UInt32(truncatingIfNeeded: source.low))
            (start + 16).store(UInt32(truncatingIfNeeded: destination.low))
            (start + 10).store(checksum(UnsafeRawBufferPointer(start: start, count: 20), with: 0))
        case .v6:
            start.store(UInt32(0x6000_0000))
            (start + 4).store(UInt16(bytes))
            (start + 6).store(next)
            (start + 7).store(hopLimit)
            (start + 8).store(source.high)
            (start + 16).store(source.low)
            (start + 24).store(destination.high)
            (start + 32).store(destination.low)
        }
    }

    // MARK: Checksums (RFC 1071)

    /// The sum over what TCP and ICMPv6 count in beside themselves.
    private static func pseudoHeader(
        _ source: IPAddress, _ destination: IPAddress, carrying next: UInt8, bytes: Int
    ) -> UInt64 {
        var sum = UInt64(next) + UInt64(bytes)
        for word in [source.high, source.low, destination.high, destination.low] {
            sum += word >> 48 + word >> 32 & 0xffff + word >> 16 & 0xffff + word & 0xffff
        }
        return sum
    }

    /// Of an even number of bytes in which the checksum's own place is 0.
    private static func checksum(_ bytes: UnsafeRawBufferPointer, with start: UInt64) -> UInt16 {
        var sum = start
        for place in stride(from: 0, to: bytes.count, by: 2) {
            sum += UInt64(UInt16(bigEndian: bytes.loadUnaligned(fromByteOffset: place, as: UInt16.self)))
        }
        while sum > 0xffff { sum = sum & 0xffff + sum >> 16 }
        return ~UInt16(truncatingIfNeeded: sum)
    }
}

extension UnsafeMutableRawPointer {
    /// In network order.
    fileprivate func store<Number: FixedWidthInteger & BitwiseCopyable>(_ number: Number) {
        storeBytes(of: number.bigEndian, as: Number.self)
    }
}
