// Neighbour entries, asked by RTM_GETNEIGH about one address (Linux 5.0).

import CNattrace
import Glibc
import Handshake

enum NeighbourLookup {
    private static let subject = "rtnetlink"

    /// The entry of an address at an interface, by its name; nil: there is none.
    static func neighbour(
        _ address: IPAddress, interface: String, over transport: borrowing some NetlinkTransport & ~Copyable
    ) throws(FactFailure) -> Neighbour? {
        guard let index = transport.interfaceIndex(interface) else {
            throw FactFailure("there is no interface '\(interface)' in this namespace")
        }
        let request = request(address, interface: index, sequence: 1)
        switch try transport.ask(request, sequence: 1, subject: subject) {
        case .message(Int32(RTM_NEWNEIGH), let body): return try decode(body)
        case .message(let type, _):
            throw FactFailure("rtnetlink: a message of type \(type) where a neighbour was asked for")
        case .refused(ENOENT): return nil
        case .refused(let code): throw FactFailure(call: "neighbour \(address) at \(interface)", code: code)
        }
    }

    static func request(_ address: IPAddress, interface: UInt32, sequence: UInt32) -> NetlinkRequest {
        var body = ndmsg()
        body.ndm_family = address.socketFamily
        body.ndm_ifindex = Int32(bitPattern: interface)
        var request = NetlinkRequest(type: Int32(RTM_GETNEIGH), flags: 0, sequence: sequence, body: body)
        request.add(UInt32(NDA_DST), address.networkOrder)
        return request
    }

    /// Reads the body of an RTM_NEWNEIGH message.
    static func decode(_ body: ArraySlice<UInt8>) throws(FactFailure) -> Neighbour {
        guard let fixed = body.load(ndmsg.self) else {
            throw FactFailure("rtnetlink: a neighbour of \(body.count) bytes is too short")
        }
        var linkAddress: String?
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<ndmsg>.size), subject: subject)
        while let attribute = try attributes.next() {
            guard attribute.type == Int32(NDA_LLADDR), !attribute.value.isEmpty else { continue }
            linkAddress = attribute.value.map(hexByte).joined(separator: ":")
        }
        return Neighbour(state: stateName(fixed.ndm_state), linkAddress: linkAddress)
    }

    private static func hexByte(_ byte: UInt8) -> String {
        (byte < 16 ? "0" : "") + String(byte, radix: 16)
    }

    /// NUD_* as `ip neigh` prints it; a number that has no name stands in hexadecimal.
    static func stateName(_ state: UInt16) -> String {
        switch Int32(state) {
        case NUD_NONE: "NONE"
        case NUD_INCOMPLETE: "INCOMPLETE"
        case NUD_REACHABLE: "REACHABLE"
        case NUD_STALE: "STALE"
        case NUD_DELAY: "DELAY"
        case NUD_PROBE: "PROBE"
        case NUD_FAILED: "FAILED"
        case NUD_NOARP: "NOARP"
        case NUD_PERMANENT: "PERMANENT"
        default: String(state, radix: 16)
        }
    }
}
