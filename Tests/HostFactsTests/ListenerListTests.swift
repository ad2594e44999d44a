import Handshake
import Testing

@testable import HostFacts

/// Bytes as the kernel writes them on a little-endian machine, from the layout of
/// linux/netlink.h and linux/inet_diag.h.
private enum Bytes {
    static func le16(_ value: UInt16) -> [UInt8] { [UInt8(value & 255), UInt8(value >> 8)] }
    static func le32(_ value: UInt32) -> [UInt8] { (0..<4).map { UInt8(value >> (8 * $0) & 255) } }

    static let done: UInt16 = 3
    static let error: UInt16 = 2
    static let socket: UInt16 = 20

    static func message(type: UInt16, flags: UInt16 = 2, sequence: UInt32 = 7, _ body: [UInt8]) -> [UInt8] {
        le32(UInt32(16 + body.count))  // nlmsg_len
            + le16(type)  // nlmsg_type
            + le16(flags)  // nlmsg_flags: NLM_F_MULTI
            + le32(sequence)  // nlmsg_seq
            + le32(4242)  // nlmsg_pid: port of the receiver
            + body
    }

    static func listener(
        family: UInt8 = 2, state: UInt8 = 10, port: UInt16 = 8080, address: [UInt8] = [127, 0, 0, 1],
        interface: UInt32 = 0, attributes: [UInt8] = []
    ) -> [UInt8] {
        [family, state, 0, 0]  // AF_INET, TCP_LISTEN, no timer, no retransmission
            + [UInt8(port >> 8), UInt8(port & 255)]  // idiag_sport, network order
            + [0, 0]  // idiag_dport
            + address + [UInt8](repeating: 0, count: 16 - address.count)  // idiag_src, network order
            + [UInt8](repeating: 0, count: 16)  // idiag_dst
            + le32(interface)  // idiag_if
            + [1, 2, 3, 4, 5, 6, 7, 8]  // idiag_cookie
            + le32(0)  // idiag_expires
            + le32(3)  // idiag_rqueue: three wait for accept
            + le32(128)  // idiag_wqueue: listen(fd, 128)
            + le32(1000)  // idiag_uid
            + le32(987654)  // idiag_inode
            + attributes
    }

    static func v6Only(_ value: UInt8) -> [UInt8] {
        le16(5) + le16(8) + [1, 0, 0, 0]  // INET_DIAG_SHUTDOWN first: one byte and three of padding
            + le16(5) + le16(11) + [value, 0, 0, 0]  // INET_DIAG_SKV6ONLY
    }
}

private func decode(_ datagrams: [UInt8]...) throws -> NetlinkDump<ListenerList> {
    var dump = NetlinkDump(ListenerList(port: 8080, family: 2), sequence: 7)
    for datagram in datagrams { try dump.add(datagram) }
    return dump
}

@Suite struct ListenerListTests {
    @Test func requestIsWhatTheKernelReads() {
        let bytes = ListenerList(port: 8080, family: 10).request(sequence: 7).bytes
        let expected: [UInt8] =
            [72, 0, 0, 0]  // nlmsg_len
            + [20, 0]  // SOCK_DIAG_BY_FAMILY
            + [1, 3]  // NLM_F_REQUEST | NLM_F_DUMP
            + [7, 0, 0, 0] + [0, 0, 0, 0]
            + [10, 6, 0, 0]  // AF_INET6, IPPROTO_TCP, no extension, padding
            + [0, 4, 0, 0]  // 1 << TCP_LISTEN
            + [0x1f, 0x90]  // idiag_sport: 8080 in network order
            + [UInt8](repeating: 0, count: 46)
        #expect(bytes == expected)
    }

    @Test func readsAnIPv4Listener() throws {
        let dump = try decode(
            Bytes.message(type: Bytes.socket, Bytes.listener(interface: 5))
                + Bytes.message(type: Bytes.done, [0, 0, 0, 0]))
        #expect(dump.isComplete)
        #expect(
            dump.list.listeners == [
                Listener(
                    address: IPAddress(v4: 0x7f00_0001), port: 8080, isIPv6Only: nil,
                    interface: Listener.Interface(index: 5, name: nil), acceptQueue: 3, acceptQueueLimit: 128,
                    inode: 987654, process: nil)
            ])
    }

    @Test(arguments: [(UInt8(1), true), (0, false)])
    func readsV6Only(_ value: UInt8, _ expected: Bool) throws {
        let address: [UInt8] = [0x20, 1, 0x0d, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]
        let dump = try decode(
            Bytes.message(
                type: Bytes.socket, Bytes.listener(family: 10, address: address, attributes: Bytes.v6Only(value))))
        #expect(!dump.isComplete)
        #expect(dump.list.listeners.map(\.isIPv6Only) == [expected])
        #expect(dump.list.listeners.map(\.address.description) == ["2001:db8::1"])
    }

    @Test func joinsDatagramsAndLeavesOutWhatWasNotAskedFor() throws {
        let dump = try decode(
            Bytes.message(type: Bytes.socket, Bytes.listener(port: 8081))
                + Bytes.message(type: Bytes.socket, Bytes.listener(state: 1))
                + Bytes.message(type: Bytes.socket, Bytes.listener(family: 1))
                + Bytes.message(type: Bytes.socket, sequence: 6, Bytes.listener()),
            Bytes.message(type: Bytes.socket, Bytes.listener(address: [192, 0, 2, 1])),
            Bytes.message(type: Bytes.done, []))
        #expect(dump.isComplete)
        #expect(dump.list.listeners.map(\.address.description) == ["192.0.2.1"])
    }

    @Test func reportsTheKernelsError() {
        // -EPERM
        let error = FactFailure(call: "sock_diag", code: 1)
        #expect(throws: error) { try decode(Bytes.message(type: Bytes.error, Bytes.le32(UInt32(bitPattern: -1)))) }
        #expect(throws: error) { try decode(Bytes.message(type: Bytes.done, Bytes.le32(UInt32(bitPattern: -1)))) }
        #expect(error.description == "sock_diag: Operation not permitted")
        // -ENOENT
        let missing = #expect(throws: FactFailure.self) {
            try decode(Bytes.message(type: Bytes.error, Bytes.le32(UInt32(bitPattern: -2))))
        }
        #expect(missing?.description.contains("tcp_diag") == true)
    }

    @Test func refusesWhatMakesNoSense() {
        let whole = Bytes.message(type: Bytes.socket, Bytes.listener(family: 10, attributes: Bytes.v6Only(1)))
        #expect(throws: FactFailure.self) { try decode(Array(whole.dropLast())) }
        // A length of zero would be read for ever.
        #expect(throws: FactFailure.self) { try decode([UInt8](repeating: 0, count: 16)) }
        #expect(throws: FactFailure.self) { try decode([15] + whole.dropFirst()) }
        #expect(throws: FactFailure.self) { try decode([255, 255, 255, 255] + whole.dropFirst(4)) }
        #expect(throws: FactFailure.self) {
            try decode(Bytes.message(type: Bytes.socket, Array(Bytes.listener().dropLast())))
        }
        #expect(throws: FactFailure.self) { try decode(Bytes.message(type: Bytes.error, [1])) }
        for attribute: [UInt8] in [[0, 0, 11, 0], [3, 0, 11, 0], [9, 0, 11, 0, 1, 0, 0, 0], [4, 0, 11, 0]] {
            #expect(throws: FactFailure.self) {
                try decode(Bytes.message(type: Bytes.socket, Bytes.listener(family: 10, attributes: attribute)))
            }
        }
    }

    @Test func survivesEveryCutAndEveryFlippedByte() {
        let whole =
            Bytes.message(type: Bytes.socket, Bytes.listener(family: 10, attributes: Bytes.v6Only(1)))
            + Bytes.message(type: Bytes.done, [0, 0, 0, 0])
        for length in 0...whole.count {
            // A cut answer is an error or goes on: never a complete one.
            let dump = try? decode(Array(whole.prefix(length)))
            #expect(dump?.isComplete != true || length == whole.count, "\(length) bytes")
        }
        var outcomes = Set<Int>()
        for index in whole.indices {
            for value: UInt8 in [0, 1, 127, 128, 255] {
                var bytes = whole
                bytes[index] = value
                outcomes.insert((try? decode(bytes))?.list.listeners.count ?? -1)
            }
        }
        #expect(outcomes == [-1, 0, 1])
    }

    @Test func refusesMoreThanItKeeps() throws {
        let one = Bytes.message(type: Bytes.socket, Bytes.listener())
        var dump = NetlinkDump(ListenerList(port: 8080, family: 2), sequence: 7)
        for _ in 0..<ListenerList.maximumListeners { try dump.add(one) }
        #expect(dump.list.listeners.count == ListenerList.maximumListeners)
        #expect(throws: FactFailure.self) { try dump.add(one) }
    }
}

@Suite struct ListenerQueryTests {
    private let done = Bytes.message(type: Bytes.done, [0, 0, 0, 0])
    private let v4 = Bytes.message(type: Bytes.socket, Bytes.listener(interface: 5))
    private let v6 = Bytes.message(type: Bytes.socket, Bytes.listener(family: 10, address: [], interface: 9))

    @Test func asksForBothFamiliesAndNamesInterfaces() throws {
        let transport = ScriptedTransport([[v4, done], [v6, done]])
        let listeners = try ListenerList.listeners(port: 8080, over: transport)
        #expect(listeners.map(\.address.description) == ["127.0.0.1", "::"])
        #expect(
            listeners.map(\.interface) == [
                Listener.Interface(index: 5, name: "vrf-blue"), Listener.Interface(index: 9, name: nil),
            ])
        #expect(transport.requests.map { $0[16] } == [2, 10])
    }

    /// Late answers about one family are none about the other.
    @Test func givesEveryRequestANumberOfItsOwn() throws {
        let interrupted = Bytes.message(type: Bytes.done, flags: 2 | 0x10, [0, 0, 0, 0])
        let transport = ScriptedTransport([[v4, interrupted], [v4, done], [done]])
        #expect(try ListenerList.listeners(port: 8080, over: transport).count == 1)
        #expect(transport.requests.map { $0[8] } == [1, 2, 3])
    }
}
