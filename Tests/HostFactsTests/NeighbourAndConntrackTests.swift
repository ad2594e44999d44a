import Handshake
import Testing

@testable import HostFacts

private func message(_ datagram: [UInt8]) throws -> ArraySlice<UInt8> {
    guard case .message(_, let body)? = try NetlinkAnswer(in: datagram, sequence: 7, subject: "test") else {
        throw FactFailure("no message")
    }
    return body
}

private func everyCutAndEveryFlippedByte(of whole: [UInt8], _ decode: ([UInt8]) throws -> Void) {
    for length in whole.indices { try? decode(Array(whole.prefix(length))) }
    for index in whole.indices {
        for value: UInt8 in [0, 1, 127, 128, 255] {
            var bytes = whole
            bytes[index] = value
            try? decode(bytes)
        }
    }
}

/// As Linux 6.18 answered.
@Suite struct NeighbourTests {
    /// `10.1.0.9 dev 3 lladdr 02:00:00:00:00:09 PERMANENT`
    private let permanent = bytes(
        """
        4c0000001c00000007000000ff2a0000020000000300000080000001080001000a0100090a0002000200000000090000
        0800040000000000140003001f0000001f0000001f00000001000000
        """)

    @Test func readsAnEntry() throws {
        let expected = Neighbour(state: "PERMANENT", linkAddress: "02:00:00:00:00:09")
        #expect(try NeighbourLookup.decode(message(permanent)) == expected)
        everyCutAndEveryFlippedByte(of: permanent) { _ = try NeighbourLookup.decode(message($0)) }
    }

    @Test func namesStatesAsIPDoes() {
        let states: [UInt16] = [0, 1, 2, 4, 8, 0x10, 0x20, 0x40, 0x80, 0x300]
        #expect(
            states.map(NeighbourLookup.stateName) == [
                "NONE", "INCOMPLETE", "REACHABLE", "STALE", "DELAY", "PROBE", "FAILED", "NOARP", "PERMANENT", "300",
            ])
    }

    @Test func requestIsWhatTheKernelReads() throws {
        let address = try #require(IPAddress("10.1.0.9"))
        let expected: [UInt8] =
            [36, 0, 0, 0] + [30, 0] + [1, 0] + [7, 0, 0, 0] + [0, 0, 0, 0]  // RTM_GETNEIGH, NLM_F_REQUEST
            + [2, 0, 0, 0] + [3, 0, 0, 0] + [0, 0, 0, 0]  // AF_INET, index 3, no state, flags and type
            + [8, 0, 1, 0, 10, 1, 0, 9]  // NDA_DST
        #expect(NeighbourLookup.request(address, interface: 3, sequence: 7).bytes == expected)
    }
}

@Suite struct ConntrackTests {
    /// 10.0.0.1:40000 dialled 10.0.0.2:80, translated to 10.0.0.3:8080, SYN_SENT, zone 7.
    private let entry = bytes(
        """
        f80000000001020007000000ff2a0000020000003400018014000180080001000a000001080002000a0000021c000280
        0500010006000000060002009c40000006000300005000003400028014000180080001000a000003080002000a000001
        1c0002800500010006000000060002001f900000060003009c4000000600120000070000080003000000000808000800
        0000000008000c00db211c6408000b00000000020800070000000063300004802c000180050001000100000005000200
        000000000500030000000000060004000a000000060005000a0000001c00188008000100000000000800020000000000
        0800030000000000
        """)

    private func tuple(_ a: String, _ p: UInt16, _ b: String, _ q: UInt16) throws -> Tuple {
        Tuple(
            source: Endpoint(address: try #require(IPAddress(a)), port: p),
            destination: Endpoint(address: try #require(IPAddress(b)), port: q))
    }

    @Test func readsAnEntry() throws {
        let expected = TrackedFlow(
            original: try tuple("10.0.0.1", 40000, "10.0.0.2", 80),
            reply: try tuple("10.0.0.3", 8080, "10.0.0.1", 40000),
            state: 1, status: 8, zone: 7)
        #expect(try ConntrackLookup.decode(message(entry)) == expected)
        everyCutAndEveryFlippedByte(of: entry) { _ = try ConntrackLookup.decode(message($0)) }
    }

    @Test func refusesAnotherProtocol() throws {
        var udp = entry
        let index = try #require(udp.firstRange(of: [5, 0, 1, 0, 6])).upperBound - 1
        udp[index] = 17
        #expect(throws: FactFailure.self) { try ConntrackLookup.decode(message(udp)) }
    }

    @Test func requestIsWhatTheKernelReads() throws {
        let request = try ConntrackLookup.request(tuple("10.0.0.1", 40000, "10.0.0.2", 80), zone: 7, sequence: 7)
        let expected: [UInt8] =
            [80, 0, 0, 0] + [1, 1] + [1, 0] + [7, 0, 0, 0] + [0, 0, 0, 0]  // IPCTNL_MSG_CT_GET of ctnetlink
            + [2, 0, 0, 0]  // AF_INET
            + [0x34, 0, 1, 0x80]  // CTA_TUPLE_ORIG
            + [0x14, 0, 1, 0x80] + [8, 0, 1, 0, 10, 0, 0, 1] + [8, 0, 2, 0, 10, 0, 0, 2]
            + [0x1c, 0, 2, 0x80] + [5, 0, 1, 0, 6, 0, 0, 0]  // TCP
            + [6, 0, 2, 0, 0x9c, 0x40, 0, 0] + [6, 0, 3, 0, 0, 80, 0, 0]
            + [6, 0, 18, 0, 0, 7, 0, 0]  // CTA_ZONE
        #expect(request.bytes == expected)
    }
}
