// Blocks and headers, byte for byte.

import Testing

@testable import Handshake
@testable import Output

/// What is appended to a buffer.
private func bytes(_ write: (OutputBuffer) -> Void) -> [UInt8] {
    let output = OutputBuffer(descriptor: -1, name: "nothing")
    write(output)
    return Array(UnsafeBufferPointer(start: output.base, count: output.count))
}

private func hex(_ text: String) -> [UInt8] {
    var digits = text.filter { !$0.isWhitespace }[...]
    var bytes: [UInt8] = []
    while let byte = UInt8(digits.prefix(2), radix: 16) {
        bytes.append(byte)
        digits = digits.dropFirst(2)
    }
    return bytes
}

private func packet(
    _ tuple: Tuple, _ flags: TCPFlags, seq: UInt32 = 0, ack: UInt32 = 0, payload: UInt16 = 0
) -> Packet { Packet(tuple: tuple, flags: flags, seq: seq, ack: ack, payload: payload) }

private let syn = packet(tuple("198.51.100.7", 41234, "203.0.113.10", 80), .syn, seq: 3_735_928_559)
private let rst6 = packet(
    tuple("2001:db8:ffff::7", 41234, "fd00:10:2:3::2", 8080), [.rst, .ack], ack: 3_735_928_560)

@Suite struct PcapngFormatTests {
    @Test func aSectionSaysWhatWroteIt() {
        let written = bytes {
            PcapngWriter(output: $0).section(
                comment: "abc", hardware: nil, operatingSystem: "Linux", application: "ab")
        }
        #expect(
            written
                == hex(
                    """
                    0a0d0d0a 3c000000 4d3c2b1a 0100 0000 ffffffffffffffff
                    0100 0300 61626300  0300 0500 4c696e7578000000  0400 0200 61620000  0000 0000
                    3c000000
                    """))
    }

    @Test func anInterfaceHasANameAndNanoseconds() {
        let written = bytes { PcapngWriter(output: $0).interface(name: "b/eth0", description: "d") }
        #expect(
            written
                == hex(
                    """
                    01000000 34000000 6500 0000 00000000
                    0200 0600 622f657468300000  0300 0100 64000000  0900 0100 09000000  0000 0000
                    34000000
                    """))
    }

    @Test func aPacketHasItsCommentsAndItsDirection() {
        let written = bytes {
            let writer = PcapngWriter(output: $0)
            writer.packet(interface: 3, time: 0x0102_0304_0506_0708, .tcp(syn), direction: .inbound) {
                writer.comment { writer.output.put("→") }
            }
        }
        #expect(
            written
                == hex("06000000 5c000000 03000000 04030201 08070605 28000000 28000000")
                + bytes { RebuiltPacket.tcp(syn).write(to: $0) }
                + hex("0100 0300 e2869200  0200 0400 01000000  0000 0000 5c000000"))
    }

    @Test func countersStandAtTheEnd() {
        let written = bytes {
            PcapngWriter(output: $0).statistics(
                interface: 1, from: 1, to: 0x1_0000_0002, received: 7, dropped: nil, comments: [])
        }
        #expect(
            written
                == hex(
                    """
                    05000000 40000000 01000000 01000000 02000000
                    0200 0800 00000000 01000000  0300 0800 01000000 02000000  0400 0800 0700000000000000  0000 0000
                    40000000
                    """))
    }

    /// As a person would write them; a comment that is too long is cut between two characters.
    @Test(arguments: [
        ("a\u{1b}[31mb\n\t\u{7f}", "a?[31mb???"), ("\u{85}\u{9f}é\u{a0}→", "??é →"), ("", ""), ("\u{0}", "?"),
        (String(repeating: "é", count: 2000), String(repeating: "é", count: 1022) + "…"),
        (String(repeating: "x", count: 2048), String(repeating: "x", count: 2048)),
        (String(repeating: "x", count: 2049), String(repeating: "x", count: 2045) + "…"),
    ])
    func commentsAreText(text: String, shown: String) {
        let written = bytes {
            let writer = PcapngWriter(output: $0)
            writer.interface(name: "", description: "")
            writer.packet(interface: 0, time: 0, .tcp(syn), direction: .unknown) {
                writer.comment { writer.output.put(text: text) }
            }
        }
        let reading = PcapngReading(
            bytes { PcapngWriter(output: $0).section(comment: "", hardware: nil, operatingSystem: "", application: "") }
                + written)
        #expect(reading.problems == [])
        #expect(reading.comments == [shown])
    }

    // MARK: Headers. The expected bytes were worked out by another program.

    @Test func headersOfIPv4() {
        #expect(
            bytes { RebuiltPacket.tcp(syn).write(to: $0) }
                == hex(
                    """
                    45000028000000004006148bc6336407cb00710a
                    a1120050deadbeef000000005002ffff0a9d0000
                    """))
    }

    @Test func headersOfIPv6() {
        #expect(
            bytes { RebuiltPacket.tcp(rst6).write(to: $0) }
                == hex(
                    """
                    600000000014064020010db8ffff00000000000000000007fd000010000200030000000000000002
                    a1121f9000000000deadbef05014ffff26b80000
                    """))
    }

    @Test func icmpQuotesThePacket() {
        let error = ICMPError(
            source: endpoint("192.0.2.1", 0).address, destination: syn.tuple.source.address, type: 3, code: 1)
        #expect(
            bytes { RebuiltPacket.icmp(error, quoting: syn).write(to: $0) }
                == hex(
                    """
                    450000440000000040018e7dc0000201c63364070301635f00000000
                    45000028000000004006148bc6336407cb00710aa1120050deadbeef000000005002ffff0a9d0000
                    """))
    }

    @Test func icmpOfIPv6QuotesThePacket() {
        let quoted = packet(rst6.tuple, .syn, seq: 3_735_928_559)
        let error = ICMPError(
            source: endpoint("2001:db8::1", 0).address, destination: quoted.tuple.source.address, type: 1, code: 4)
        #expect(
            bytes { RebuiltPacket.icmp(error, quoting: quoted).write(to: $0) }
                == hex(
                    """
                    6000000000443a4020010db800000000000000000000000120010db8ffff00000000000000000007
                    01043cc900000000
                    600000000014064020010db8ffff00000000000000000007fd000010000200030000000000000002
                    a1121f90deadbeef000000005002ffff26cb0000
                    """))
    }

    /// Its length is known, its bytes are not: the checksum over them is not either.
    @Test func aPayloadIsMissing() {
        var data = syn
        data.payload = 1000
        let rebuilt = RebuiltPacket.tcp(data)
        #expect(rebuilt.headerBytes == 40 && rebuilt.wireBytes == 1040)
        let written = bytes { rebuilt.write(to: $0) }
        #expect(written.count == 40)
        #expect(Array(written[2..<4]) == [0x04, 0x10])
        #expect(Array(written[36..<38]) == [0, 0])
        data.payload = .max
        #expect(RebuiltPacket.tcp(data).wireBytes == 65535)
    }
}
