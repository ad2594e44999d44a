import Handshake
import Testing

@testable import HostFacts

/// The bytes that hexadecimal digits stand for; the request's number is 7, the receiver's port 10991.
func bytes(_ hex: String) -> [UInt8] {
    let digits = hex.utf8.compactMap { Character(Unicode.Scalar($0)).hexDigitValue }
    return stride(from: 0, to: digits.count - 1, by: 2).map { UInt8(digits[$0] << 4 | digits[$0 + 1]) }
}

/// What Linux 6.18 answered to RTM_GETROUTE and RTM_GETNEIGH, byte by byte.
private enum Captured {
    /// RTM_F_LOOKUP_TABLE, to 10.50.0.1, which a rule sends to table 100: `via 10.1.0.9 dev 3`.
    static let lookup = bytes(
        """
        700000001800000007000000ff2a000002200000640000010002000008000f0064000000080001000a32000108000400
        03000000080007000a010001080005000a010009080019000000000024000c0002000000000000000000000000000000
        00000000000000000000000000000000
        """)
    /// With RTM_F_FIB_MATCH: `10.50.0.0/16 via 10.1.0.9 dev 3 table 100`.
    static let match = bytes(
        """
        3c0000001800000007000000ff2a000002100000640300010000000008000f0064000000080001000a32000008000500
        0a0100090800040003000000
        """)
    /// `10.30.0.0/16 nexthop via 10.1.0.9 dev 3 nexthop via 10.2.0.9 dev 2`
    static let multipath = bytes(
        """
        500000001800000007000000ff2a000002100000fe0300010000000008000f00fe000000080001000a1e000024000900
        1000000003000000080005000a0100091000000002000000080005000a020009
        """)
    /// `10.70.0.0/16 via inet6 fe80::1 dev 3`
    static let via = bytes(
        """
        4c0000001800000007000000ff2a000002100000fe0300010000000008000f00fe000000080001000a46000016001200
        0a00fe80000000000000000000000000000100000800040003000000
        """)
    /// EINVAL, with the request behind it: a blackhole.
    static let invalid = bytes(
        """
        380000000200000007000000ff2a0000eaffffff240000001a0001000700000000000000022000000000000000100000
        080001000a090001
        """)
    /// A dump of blackholes: `blackhole 10.9.0.0/16`.
    static let blackhole = bytes(
        "2c0000001800220007000000ff2a000002100000fe0300060000000008000f00fe000000080001000a090000")
    /// `blackhole 2001:db8:9::/48 dev lo metric 1024`
    static let blackhole6 = bytes(
        """
        740000001800220007000000ff2a00000a300000fe0300060000000008000f00fe0000001400010020010db800090000
        00000000000000000800060000040000080004000100000024000c000000000000000000000000000000000000000000
        0000000000000000000000000500140000000000
        """)
    static let done = bytes("140000000300020007000000ff2a000000000000")
}

private func route(_ datagram: [UInt8]) throws -> RouteMessage {
    guard case .message(24, let body)? = try NetlinkAnswer(in: datagram, sequence: 7, subject: "rtnetlink") else {
        throw FactFailure("no route")
    }
    return try RouteMessage(body)
}

@Suite struct RouteMessageTests {
    private func name(_ index: UInt32) -> String? { [1: "lo", 2: "eth1", 3: "eth0"][index] }

    @Test func readsALookUp() throws {
        let message = try route(Captured.lookup)
        #expect(message.kind == .unicast)
        #expect(message.table == 100)
        #expect(message.gateway == IPAddress("10.1.0.9"))
        #expect(message.outputInterface == 3)
        #expect(message.text(interface: name) == "10.50.0.1 via 10.1.0.9 dev eth0 table 100")
    }

    @Test func printsRoutesAsIPDoes() throws {
        #expect(try route(Captured.match).text(interface: name) == "10.50.0.0/16 via 10.1.0.9 dev eth0 table 100")
        #expect(try route(Captured.via).text(interface: name) == "10.70.0.0/16 via inet6 fe80::1 dev eth0")
        #expect(try route(Captured.blackhole).text(interface: name) == "blackhole 10.9.0.0/16")
        #expect(try route(Captured.blackhole6).text(interface: name) == "blackhole 2001:db8:9::/48")
        let several = try route(Captured.multipath)
        #expect(several.nextHopInterfaces == [3, 2])
        #expect(several.outputInterface == nil && several.gateway == nil)
        #expect(several.text(interface: name) == "10.30.0.0/16")
    }

    @Test func tellsARefusal() throws {
        #expect(try NetlinkAnswer(in: Captured.invalid, sequence: 7, subject: "x") == .refused(22))
        #expect(try NetlinkAnswer(in: Captured.invalid, sequence: 8, subject: "x") == nil)
        #expect(try NetlinkAnswer(in: [], sequence: 7, subject: "x") == nil)
    }

    @Test func knowsItsPrefix() throws {
        func holds(_ bytes: [UInt8], _ address: String) throws -> Bool {
            try route(bytes).contains(#require(IPAddress(address)))
        }
        #expect(try holds(Captured.blackhole, "10.9.255.255"))
        #expect(try !holds(Captured.blackhole, "10.8.255.255"))
        #expect(try !holds(Captured.blackhole, "::10.9.0.1"))
        #expect(try holds(Captured.blackhole6, "2001:db8:9:ffff::1"))
        #expect(try !holds(Captured.blackhole6, "2001:db8:a::1"))
        var long = try route(Captured.blackhole6)
        long.prefixLength = 127
        #expect(try long.contains(#require(IPAddress("2001:db8:9::1"))))
        #expect(try !long.contains(#require(IPAddress("2001:db8:9::2"))))
        long.prefixLength = 0
        #expect(try long.contains(#require(IPAddress("fe80::1"))))
    }

    @Test func survivesEveryCutAndEveryFlippedByte() throws {
        for whole in [Captured.lookup, Captured.multipath, Captured.via, Captured.blackhole6] {
            for length in 0..<whole.count { #expect((try? route(Array(whole.prefix(length)))) == nil) }
            for index in whole.indices {
                for value: UInt8 in [0, 1, 127, 128, 255] {
                    var bytes = whole
                    bytes[index] = value
                    if let message = try? route(bytes) {
                        _ = message.text(interface: name)
                        _ = message.contains(IPAddress(v6High: 1, low: 1))
                    }
                }
            }
        }
    }

    @Test func keepsTheBestRouteOfEachTable() throws {
        let destination = try #require(IPAddress("10.9.0.1"))
        var dump = NetlinkDump(RouteList(destination: destination, type: 6), sequence: 7)
        var wide = Captured.blackhole
        wide[17] = 8  // rtm_dst_len
        wide[41] = 0  // 10.0.0.0
        var other = wide
        other[32] = 42  // RTA_TABLE
        var elsewhere = Captured.blackhole
        elsewhere[41] = 7  // 10.7.0.0/16
        try dump.add(wide + Captured.blackhole + other + elsewhere + Captured.match)
        #expect(!dump.isComplete)
        try dump.add(Captured.done)
        #expect(dump.isComplete && !dump.isInterrupted)
        #expect(
            dump.list.best.map { $0.text { _ in nil } } == ["blackhole 10.0.0.0/8 table 42", "blackhole 10.9.0.0/16"])
    }

    @Test func requestsAreWhatTheKernelReads() throws {
        let destination = try #require(IPAddress("10.9.0.1"))
        let request = RouteLookup<NetlinkSocket>.request(
            destination, from: IPAddress("10.1.0.5"), input: 3, isMatch: true, sequence: 7)
        let expected: [UInt8] =
            [52, 0, 0, 0]  // nlmsg_len
            + [26, 0]  // RTM_GETROUTE
            + [1, 0]  // NLM_F_REQUEST
            + [7, 0, 0, 0] + [0, 0, 0, 0]
            + [2, 32, 32, 0, 0, 0, 0, 0]  // AF_INET, both addresses whole
            + [0, 0x30, 0, 0]  // RTM_F_LOOKUP_TABLE | RTM_F_FIB_MATCH
            + [8, 0, 1, 0, 10, 9, 0, 1]  // RTA_DST
            + [8, 0, 2, 0, 10, 1, 0, 5]  // RTA_SRC
            + [8, 0, 3, 0, 3, 0, 0, 0]  // RTA_IIF
        #expect(request.bytes == expected)
    }
}
