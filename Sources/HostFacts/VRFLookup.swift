// The VRF that an interface belongs to, asked by RTM_GETLINK.

import CNattrace
import Glibc
import Handshake

enum VRFLookup {
    private static let subject = "rtnetlink"
    /// IFLA_MASTER leads from a VLAN over a bond to a VRF; more steps than this are a loop.
    static let maximumMasters = 8

    /// What is needed of an interface.
    struct Link: Equatable {
        var name: String?
        /// Index of the bond, bridge or VRF that has it; nil: none.
        var master: UInt32?
        /// `vrf`, `bridge`, ...; nil: a physical one, or unknown.
        var kind: String?
    }

    /// The name of the VRF that has the interface, directly or not, or that it is; nil: none.
    static func vrf(
        of interface: String, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> String? {
        guard var index = transport.interfaceIndex(interface) else {
            throw FactFailure("there is no interface '\(interface)' in this namespace")
        }
        for step in 1...UInt32(maximumMasters) {
            let link = try link(index, sequence: step, over: transport)
            if link.kind == "vrf" { return link.name }
            guard let master = link.master else { return nil }
            index = master
        }
        return nil
    }

    private static func link(
        _ index: UInt32, sequence: UInt32, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> Link {
        var body = ifinfomsg()
        body.ifi_index = Int32(bitPattern: index)
        let request = NetlinkRequest(type: Int32(RTM_GETLINK), flags: 0, sequence: sequence, body: body)
        switch try transport.ask(request, sequence: sequence, subject: subject) {
        case .message(Int32(RTM_NEWLINK), let body): return try decode(body)
        case .message(let type, _):
            throw FactFailure("rtnetlink: a message of type \(type) where an interface was asked for")
        case .refused(let code): throw FactFailure(call: "interface \(index)", code: code)
        }
    }

    /// Reads the body of an RTM_NEWLINK message.
    static func decode(_ body: ArraySlice<UInt8>) throws(FactFailure) -> Link {
        var link = Link()
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<ifinfomsg>.size), subject: subject)
        while let attribute = try attributes.next() {
            switch attribute.type {
            case Int32(IFLA_IFNAME): link.name = text(attribute.value)
            case Int32(IFLA_MASTER): link.master = attribute.value.load(UInt32.self)
            case Int32(IFLA_LINKINFO):
                var nested = NetlinkAttributes(attribute.value, subject: subject)
                while let inner = try nested.next() {
                    if inner.type == Int32(IFLA_INFO_KIND) { link.kind = text(inner.value) }
                }
            default: break
            }
        }
        return link
    }

    private static func text(_ bytes: ArraySlice<UInt8>) -> String {
        String(decoding: bytes.prefix { $0 != 0 }, as: UTF8.self)
    }
}
