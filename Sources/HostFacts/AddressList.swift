// The addresses of a namespace, of all families, by a dump of RTM_GETADDR.

import CNattrace
import Glibc
import Handshake

struct AddressList: NetlinkList {
    static let subject = "rtnetlink"
    static let name = "the addresses"
    /// Addresses kept. A namespace with more is no container.
    static let maximumAddresses = 4096

    private(set) var addresses: [IPAddress] = []

    func request(sequence: UInt32) -> NetlinkRequest {
        NetlinkRequest(type: Int32(RTM_GETADDR), flags: NLM_F_DUMP, sequence: sequence, body: ifaddrmsg())
    }

    /// IFA_LOCAL is the own address where IFA_ADDRESS is the other end's (point-to-point).
    mutating func add(_ message: NetlinkMessage) throws(FactFailure) {
        guard message.type == Int32(RTM_NEWADDR) else { return }
        guard message.body.count >= MemoryLayout<ifaddrmsg>.size else {
            throw FactFailure("rtnetlink: an address of \(message.body.count) bytes is too short")
        }
        var local: IPAddress?
        var address: IPAddress?
        var attributes = NetlinkAttributes(
            message.body.dropFirst(MemoryLayout<ifaddrmsg>.size), subject: Self.subject)
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
}
