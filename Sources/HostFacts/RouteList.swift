// The routes of one type whose prefix holds an address, by a dump of all tables.

import CNattrace
import Glibc
import Handshake

struct RouteList: NetlinkList {
    static let subject = "rtnetlink"
    static let name = "the routing tables"
    /// Routes kept: each prefix of an address, in several tables. Others are counted as none.
    static let maximumRoutes = 1024

    let destination: IPAddress
    /// RTN_*
    let type: Int32
    private(set) var routes: [RouteMessage] = []

    init(destination: IPAddress, type: Int32) {
        self.destination = destination
        self.type = type
    }

    /// A kernel that checks strictly leaves out all other types by itself, so that a table of a million
    /// routes costs a walk and no copies (inet_dump_fib, rt6_dump_route).
    func request(sequence: UInt32) -> NetlinkRequest {
        var body = rtmsg()
        body.rtm_family = destination.socketFamily
        body.rtm_type = UInt8(truncatingIfNeeded: type)
        return NetlinkRequest(type: Int32(RTM_GETROUTE), flags: NLM_F_DUMP, sequence: sequence, body: body)
    }

    mutating func add(_ message: NetlinkMessage) throws(FactFailure) {
        guard message.type == Int32(RTM_NEWROUTE) else { return }
        let route = try RouteMessage(message.body)
        if route.type == type, route.contains(destination), routes.count < Self.maximumRoutes {
            routes.append(route)
        }
    }

    /// Of each table the route that a look-up in it would find, the lowest number of a table first.
    var best: [RouteMessage] {
        var best: [UInt32: RouteMessage] = [:]
        for route in routes {
            if let other = best[route.table],
                (other.prefixLength, ~other.metric) >= (route.prefixLength, ~route.metric)
            {
                continue
            }
            best[route.table] = route
        }
        return best.values.sorted { $0.table < $1.table }
    }
}
