// The addresses of a namespace, by a dump of RTM_GETADDR.

import CNattrace
import Glibc
import Handshake

struct AddressDump {
    /// Addresses kept. A namespace with more is no container.
    static let maximumAddresses = 4096

    let sequence: UInt32
    private(set) var addresses: [IPAddress] = []
    private(set) var isComplete = false
    /// The list changed while it was walked through.
    private(set) var isInterrupted = false

    init(sequence: UInt32) { self.sequence = sequence }

    /// Of all families.
    var request: NetlinkRequest {
        NetlinkRequest(type: Int32(RTM_GETADDR), flags: NLM_F_DUMP, sequence: sequence, body: ifaddrmsg())
    }

    /// Takes one datagram.
    mutating func add(_ datagram: [UInt8]) throws(FactFailure) {
        var messages = NetlinkMessages(datagram, subject: "rtnetlink")
        while !isComplete, let message = try messages.next() {
            guard message.sequence == sequence else { continue }
            if message.flags & UInt16(NLM_F_DUMP_INTR) != 0 { isInterrupted = true }
            switch message.type {
            case NLMSG_DONE:
                if let code = message.body.load(Int32.self), code < 0 {
                    throw FactFailure(call: "rtnetlink", code: 0 &- code)
                }
                isComplete = true
            case NLMSG_ERROR: throw FactFailure(call: "rtnetlink", code: try message.errorCode("rtnetlink"))
            case NLMSG_OVERRUN: throw FactFailure("rtnetlink: the kernel lost a part of its answer")
            case Int32(RTM_NEWADDR): try add(message.body)
            default: break
            }
        }
    }

    /// IFA_LOCAL is the own address where IFA_ADDRESS is the other end's (point-to-point).
    private mutating func add(_ body: ArraySlice<UInt8>) throws(FactFailure) {
        guard body.count >= MemoryLayout<ifaddrmsg>.size else {
            throw FactFailure("rtnetlink: an address of \(body.count) bytes is too short")
        }
        var local: IPAddress?
        var address: IPAddress?
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<ifaddrmsg>.size), subject: "rtnetlink")
        while let attribute = try attributes.next() {
            switch attribute.type {
            case Int32(IFA_LOCAL): local = IPAddress(networkOrder: attribute.value)
            case Int32(IFA_ADDRESS): address = IPAddress(networkOrder: attribute.value)
            default: break
            }
        }
        guard let own = local ?? address, addresses.count < Self.maximumAddresses else { return }
        addresses.append(own)
    }

    static func addresses(
        over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> [IPAddress] {
        for attempt in 1...UInt32(ListenerDump.maximumAttempts) {
            var dump = AddressDump(sequence: attempt)
            try transport.send(dump.request.bytes)
            while !dump.isComplete { try dump.add(try transport.receive()) }
            if !dump.isInterrupted { return dump.addresses }
        }
        throw FactFailure("the addresses changed each of \(ListenerDump.maximumAttempts) times they were read")
    }
}
