// Routes as rtnetlink(7) tells them.

import CNattrace
import Glibc
import Handshake

/// One RTM_NEWROUTE message: a route of a table, or what a look-up came to.
struct RouteMessage: Equatable {
    var family: IPAddress.Family
    /// RTN_*
    var type: Int32
    /// The prefix that it is for, or the address that was looked up; nil: every address.
    var destination: IPAddress?
    var prefixLength: Int
    /// Number of the table (`ip route show table`).
    var table: UInt32
    /// The next hop, of any family; nil: none, or there are several.
    var gateway: IPAddress?
    /// Index of the device by which it leaves; nil: none, or there are several.
    var outputInterface: UInt32?
    /// The device of every next hop of several.
    var nextHopInterfaces: [UInt32] = []
    /// Of routes for one prefix the one with the lowest counts.
    var metric: UInt32

    private static let subject = "rtnetlink"

    /// Reads the body of a message.
    init(_ body: ArraySlice<UInt8>) throws(FactFailure) {
        guard let fixed = body.load(rtmsg.self), let family = IPAddress.Family(socketFamily: fixed.rtm_family) else {
            throw FactFailure("rtnetlink: a route of \(body.count) bytes that is none of IPv4 or IPv6")
        }
        self.family = family
        type = Int32(fixed.rtm_type)
        prefixLength = Int(fixed.rtm_dst_len)
        table = UInt32(fixed.rtm_table)
        metric = 0
        var attributes = NetlinkAttributes(body.dropFirst(MemoryLayout<rtmsg>.size), subject: Self.subject)
        while let attribute = try attributes.next() {
            switch UInt32(attribute.type) {
            case RTA_DST.rawValue: destination = IPAddress(networkOrder: attribute.value)
            // Numbers of tables over 255 have no room in the fixed part.
            case RTA_TABLE.rawValue: table = attribute.value.load(UInt32.self) ?? table
            case RTA_GATEWAY.rawValue: gateway = IPAddress(networkOrder: attribute.value)
            // struct rtvia: a family of two bytes, and an address of that.
            case RTA_VIA.rawValue: gateway = IPAddress(networkOrder: attribute.value.dropFirst(2))
            case RTA_OIF.rawValue: outputInterface = attribute.value.load(UInt32.self)
            case RTA_MULTIPATH.rawValue: nextHopInterfaces = try Self.interfaces(ofNextHops: attribute.value)
            case RTA_PRIORITY.rawValue: metric = attribute.value.load(UInt32.self) ?? 0
            default: break
            }
        }
        guard prefixLength <= family.bitCount, destination.map({ $0.family == family }) ?? true else {
            throw FactFailure("rtnetlink: a route whose prefix is none")
        }
    }

    /// struct rtnexthop after struct rtnexthop, each with attributes of its own.
    private static func interfaces(ofNextHops bytes: ArraySlice<UInt8>) throws(FactFailure) -> [UInt32] {
        var result: [UInt32] = []
        var rest = bytes
        while let hop = rest.load(rtnexthop.self) {
            let length = Int(hop.rtnh_len)
            guard length >= MemoryLayout<rtnexthop>.size, length <= rest.count else {
                throw FactFailure("rtnetlink: a next hop of \(length) bytes where \(rest.count) are left")
            }
            if let index = UInt32(exactly: hop.rtnh_ifindex) { result.append(index) }
            rest = rest.dropFirst(netlinkAligned(length))
        }
        return result
    }

    /// Whether the prefix holds an address.
    func contains(_ address: IPAddress) -> Bool {
        guard address.family == family else { return false }
        guard let destination, prefixLength > 0 else { return true }
        // The leading 64 bits of IPv6, or all 32 of IPv4, then the rest.
        func agree(_ a: UInt64, _ b: UInt64, bits: Int) -> Bool {
            bits <= 0 || (a ^ b) >> UInt64(64 - min(bits, 64)) == 0
        }
        switch family {
        case .v4: return agree(address.low << 32, destination.low << 32, bits: prefixLength)
        case .v6:
            return agree(address.high, destination.high, bits: prefixLength)
                && agree(address.low, destination.low, bits: prefixLength - 64)
        }
    }

    /// nil: a type that never ends a look-up (RTN_THROW, RTN_NAT and the like).
    var kind: Route.Kind? {
        switch type {
        case Int32(RTN_UNICAST): .unicast
        case Int32(RTN_LOCAL): .local
        case Int32(RTN_BROADCAST): .broadcast
        // RTN_ANYCAST of IPv6 is received as local is.
        case Int32(RTN_ANYCAST): .local
        case Int32(RTN_MULTICAST): .multicast
        case Int32(RTN_BLACKHOLE): .blackhole
        case Int32(RTN_UNREACHABLE): .unreachable
        case Int32(RTN_PROHIBIT): .prohibit
        default: nil
        }
    }

    /// The route as `ip route` prints it, in short: type, prefix, next hop, device and table.
    /// `interface` names the device by its index.
    func text(interface name: (UInt32) -> String?) -> String {
        var words: [String] = []
        if let kind, kind != .unicast { words.append(kind.rawValue) }
        let host = family.bitCount
        if let destination, prefixLength > 0 {
            words.append(prefixLength == host ? "\(destination)" : "\(destination)/\(prefixLength)")
        } else {
            words.append("default")
        }
        if let gateway { words.append(gateway.family == family ? "via \(gateway)" : "via inet6 \(gateway)") }
        // IPv6 ties routes that lead nowhere to `lo`.
        if let outputInterface, kind?.leadsOn ?? true, let name = name(outputInterface) { words.append("dev \(name)") }
        switch Int32(bitPattern: table) {
        case Int32(RT_TABLE_UNSPEC.rawValue), Int32(RT_TABLE_MAIN.rawValue), Int32(RT_TABLE_LOCAL.rawValue): break
        default: words.append("table \(table)")
        }
        return words.joined(separator: " ")
    }
}

extension Route.Kind {
    /// Whether a packet goes on along such a route.
    var leadsOn: Bool {
        switch self {
        case .unicast, .local, .broadcast, .multicast: true
        case .blackhole, .unreachable, .prohibit, .none, .refused: false
        }
    }
}

extension IPAddress.Family {
    /// Bits of an address.
    var bitCount: Int { self == .v4 ? 32 : 128 }
}
