import Handshake
import Testing

@testable import HostFacts

/// A list of numbers, one a message of type 16.
private struct Numbers: NetlinkList {
    static let subject = "test"
    static let name = "the numbers"

    var numbers: [UInt8] = []

    func request(sequence: UInt32) -> NetlinkRequest {
        NetlinkRequest(type: 18, flags: 0x300, sequence: sequence, body: UInt32(0))
    }

    mutating func add(_ message: NetlinkMessage) throws(FactFailure) {
        guard message.type == 16, let number = message.body.first else { throw FactFailure("no number") }
        numbers.append(number)
    }
}

private func message(type: UInt8, flags: UInt8 = 2, sequence: UInt8 = 7, _ body: [UInt8]) -> [UInt8] {
    [UInt8(16 + body.count), 0, 0, 0, type, 0, flags, 0, sequence, 0, 0, 0, 0, 0, 0, 0] + body
}

private func number(_ number: UInt8) -> [UInt8] { message(type: 16, [number, 0, 0, 0]) }
private let done = message(type: 3, [0, 0, 0, 0])
/// NLM_F_MULTI | NLM_F_DUMP_INTR
private let interrupted = message(type: 3, flags: 0x12, [0, 0, 0, 0])
private let minusOne: [UInt8] = [255, 255, 255, 255]

@Suite struct NetlinkDumpTests {
    private func decode(_ datagrams: [UInt8]...) throws -> NetlinkDump<Numbers> {
        var dump = NetlinkDump(Numbers(), sequence: 7)
        for datagram in datagrams { try dump.add(datagram) }
        return dump
    }

    @Test func joinsDatagramsUpToTheEnd() throws {
        let part = try decode(number(1) + number(2), number(3))
        #expect(part.list.numbers == [1, 2, 3] && !part.isComplete)
        let whole = try decode(number(1), number(2) + done + number(3), number(4))
        #expect(whole.list.numbers == [1, 2] && whole.isComplete && !whole.isInterrupted)
    }

    @Test func passesOverAnswersToOtherRequests() throws {
        let dump = try decode(
            message(type: 16, sequence: 6, [9, 0, 0, 0]) + number(1), message(type: 3, sequence: 6, []))
        #expect(dump.list.numbers == [1] && !dump.isComplete)
    }

    @Test func seesThatTheListChanged() throws {
        #expect(try decode(number(1), interrupted).isInterrupted)
        #expect(try decode(message(type: 16, flags: 0x12, [1, 0, 0, 0]), done).isInterrupted)
    }

    @Test func reportsTheKernelsError() {
        let error = FactFailure(call: "test", code: 1)
        #expect(throws: error) { try decode(message(type: 2, minusOne)) }
        #expect(throws: error) { try decode(message(type: 3, minusOne)) }
        // NLMSG_OVERRUN, and an error without a number.
        #expect(throws: FactFailure.self) { try decode(message(type: 4, [])) }
        #expect(throws: FactFailure.self) { try decode(message(type: 2, [1])) }
        // The one number that has no opposite.
        #expect(throws: FactFailure.self) { try decode(message(type: 2, [0, 0, 0, 128])) }
    }

    @Test func readsAgainAListThatChanged() throws {
        let transport = ScriptedTransport([[number(1), number(1), interrupted], [number(1), number(2), done]])
        var sequence: UInt32 = 40
        #expect(try transport.dump(Numbers(), after: &sequence).numbers == [1, 2])
        #expect(transport.requests.map { $0[8] } == [41, 42])
        #expect(sequence == 42)
    }

    @Test func givesUpOnAListThatNeverStands() {
        let transport = ScriptedTransport(Array(repeating: [number(1), interrupted], count: maximumDumpAttempts + 1))
        var sequence: UInt32 = 0
        let failure = #expect(throws: FactFailure.self) { try transport.dump(Numbers(), after: &sequence) }
        #expect(failure?.description == "the numbers changed each of 4 times that they were read")
        #expect(transport.requests.count == maximumDumpAttempts)
    }

    @Test func doesNotTakeSilenceForAnEmptyList() {
        let transport = ScriptedTransport([[number(1)]])
        var sequence: UInt32 = 0
        #expect(throws: FactFailure(call: "recvfrom", code: 11)) {
            try transport.dump(Numbers(), after: &sequence)
        }
    }
}

/// As Linux 6.18 answered.
@Suite struct AddressListTests {
    /// `10.1.0.1 peer 10.1.0.9/32 dev eth0`: IFA_ADDRESS is the other end's, and comes first.
    private let pointToPoint = bytes(
        """
        500000001400020007000000ff2a00000220800003000000080001000a010009080002000a0100010900030065746830
        00000000080008008000000014000600ffffffffffffffffbe382900be382900
        """)
    /// `2001:db8::1/64 dev eth0`, which has no IFA_LOCAL.
    private let v6 = bytes(
        """
        480000001400020007000000ff2a00000a408200030000001400010020010db800000000000000000000000114000600
        ffffffffffffffffbe382900be3829000800080082000000
        """)

    private func addresses(_ datagram: [UInt8]) throws -> [String] {
        var dump = NetlinkDump(AddressList(), sequence: 7)
        try dump.add(datagram)
        return dump.list.addresses.map(\.description)
    }

    @Test func readsOwnAddresses() throws {
        #expect(try addresses(pointToPoint + v6 + done) == ["10.1.0.1", "2001:db8::1"])
        // Another kind of message, RTM_NEWLINK.
        #expect(try addresses(message(type: 16, [0, 0, 0, 0])) == [])
    }

    @Test func survivesEveryCutAndEveryFlippedByte() throws {
        for whole in [pointToPoint, v6] {
            for length in 1..<whole.count { #expect((try? addresses(Array(whole.prefix(length)))) ?? [] == []) }
            for index in whole.indices {
                for value: UInt8 in [0, 1, 127, 128, 255] {
                    var bytes = whole
                    bytes[index] = value
                    _ = try? addresses(bytes)
                }
            }
        }
        #expect(throws: FactFailure.self) { try addresses(message(type: 20, [2, 32, 0, 0])) }
    }

    @Test func keepsNoMoreThanItsBound() throws {
        var list = AddressList()
        var messages = NetlinkMessages(v6, subject: "test")
        let address = try #require(try messages.next())
        for _ in 0...AddressList.maximumAddresses { try list.add(address) }
        #expect(list.addresses.count == AddressList.maximumAddresses)
    }

    @Test func requestIsWhatTheKernelReads() {
        let expected: [UInt8] =
            [24, 0, 0, 0] + [22, 0] + [1, 3] + [7, 0, 0, 0] + [0, 0, 0, 0]  // RTM_GETADDR, NLM_F_REQUEST | NLM_F_DUMP
            + [UInt8](repeating: 0, count: 8)  // every family, every device
        #expect(AddressList().request(sequence: 7).bytes == expected)
    }
}
