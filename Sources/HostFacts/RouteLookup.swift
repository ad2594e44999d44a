// What the kernel does with a packet by its routing tables, asked by RTM_GETROUTE.

import CNattrace
import Glibc
import Handshake

/// Look-ups in the routing tables of one namespace.
///
/// The kernel answers a look-up by the route that it took, or by an error number, and that is the
/// same for several causes. Which it was is told by further questions: the same look-up for a
/// packet of this machine's own without a source (the "plain" one), and, as a look-up does not
/// name a route that forbids (RTM_F_FIB_MATCH neither), the routes of that type.
final class RouteLookup<Transport: NetlinkTransport & ~Copyable> {
    private let transport: Transport
    /// Values of sysctls in that namespace; nil: there is none of the name.
    private let sysctl: (String) throws(FactFailure) -> String?
    private var sequence: UInt32 = 0

    private let subject = "rtnetlink"

    init(_ transport: consuming Transport, sysctl: @escaping (String) throws(FactFailure) -> String?) {
        self.transport = transport
        self.sysctl = sysctl
    }

    /// The answer to a query; `query.netns` is where the transport already is.
    func route(_ query: RouteQuery) throws(FactFailure) -> Route {
        let input = try query.inputInterface.map { name throws(FactFailure) in try index(of: name) }
        if let source = query.source, source.family != query.destination.family {
            throw FactFailure("a route from \(source) to \(query.destination) cannot be")
        }
        if input != nil, query.source == nil, query.destination.family == .v4 {
            // IPv4 calls a packet without a source martian (ip_route_input_slow).
            throw FactFailure("the route of a packet that came in needs its source")
        }
        switch try ask(query.destination, from: query.source, input: input) {
        case .found(let found):
            let matched = try? ask(query.destination, from: query.source, input: input, isMatch: true).message
            return success(found, matched: matched ?? found, isInput: input != nil)
        case .refused(let code):
            return try refusal(code, query, input: input)
        }
    }

    private func success(_ found: RouteMessage, matched: RouteMessage, isInput: Bool) -> Route {
        var matched = matched
        // Of several next hops the text names the one that was taken.
        if matched.outputInterface == nil { matched.outputInterface = found.outputInterface }
        if matched.gateway == nil { matched.gateway = found.gateway }
        let kind = found.kind ?? .unicast
        // A packet that came in and is for this machine leaves by no device; the kernel says `lo`.
        let leaves = !(isInput && kind == .local)
        return Route(
            kind: kind, gateway: found.gateway,
            interface: leaves ? name(found.outputInterface) : nil,
            text: matched.text(interface: { self.name($0) }))
    }

    // MARK: - Refusals

    private func refusal(_ code: Int32, _ query: RouteQuery, input: UInt32?) throws(FactFailure) -> Route {
        let isPlain = query.source == nil && input == nil
        guard [ENETUNREACH, EHOSTUNREACH, EACCES, EINVAL, EXDEV].contains(code) else {
            throw FactFailure(call: "route to \(query.destination)", code: code)
        }
        let plain: Lookup = isPlain ? .refused(code) : try ask(query.destination, isMatch: true)
        switch plain {
        case .refused(let reason):
            // The tables have nothing good for the destination, wherever it comes from. Where
            // forwarding is off, the kernel says EHOSTUNREACH of that for all that comes in.
            guard let kind = Self.kind(reason) else { return Self.none(query.destination) }
            return forbidding(kind, try routes(kind, to: query.destination), query.destination)
        case .found(let found):
            return try refusal(code, query, input: input, plain: found)
        }
    }

    /// A packet of this machine's own without a source would go along `plain`.
    private func refusal(
        _ code: Int32, _ query: RouteQuery, input: UInt32?, plain: RouteMessage
    ) throws(FactFailure) -> Route {
        guard let input, let source = query.source else {
            return try refusal(code, query, output: plain)
        }
        // Routes for what came in by this device or from this source only (ip rule) lie in
        // tables that the plain look-up did not end in.
        func others(_ kind: Route.Kind) throws(FactFailure) -> [RouteMessage] {
            try routes(kind, to: query.destination).filter { $0.table != plain.table }
        }
        switch code {
        case ENETUNREACH: return Self.none(query.destination)
        // Nothing but a route or a rule says so.
        case EACCES: return forbidding(.prohibit, try others(.prohibit), query.destination)
        case EHOSTUNREACH:
            if query.destination.family == .v4, try !isForwarding(query.inputInterface) {
                return refused("EHOSTUNREACH", plain)
            }
            let unreachable = try others(.unreachable)
            return unreachable.isEmpty
                ? refused("EHOSTUNREACH", plain) : forbidding(.unreachable, unreachable, query.destination)
        case EXDEV: return refused("EXDEV", plain)
        default:
            if query.destination.family == .v4, isMartian(source) { return refused("EINVAL", plain) }
            if query.destination.family == .v4, try failsReversePath(source, query.inputInterface, input) {
                return refused("EXDEV", plain)
            }
            let blackholes = try others(.blackhole)
            return blackholes.isEmpty
                ? refused("EINVAL", plain) : forbidding(.blackhole, blackholes, query.destination)
        }
    }

    /// A packet of this machine's own, whose source makes the difference.
    private func refusal(
        _ code: Int32, _ query: RouteQuery, output plain: RouteMessage
    ) throws(FactFailure) -> Route {
        // IPv4 refuses a source that is not this machine's own, by EINVAL, by ENETUNREACH in 6.18
        // (ip_route_output_key_hash_rcu).
        if let source = query.source, source.family == .v4 {
            guard case .found(let own) = try ask(source), own.kind == .local else {
                return refused(ErrorName.text(code), plain)
            }
        }
        guard let kind = Self.kind(code) else { return Self.none(query.destination) }
        let others = try routes(kind, to: query.destination).filter { $0.table != plain.table }
        return forbidding(kind, others, query.destination)
    }

    /// What the kernel says of the packet, and the route that it does not take.
    private func refused(_ reason: String, _ plain: RouteMessage) -> Route {
        Route(
            kind: .refused, gateway: nil, interface: nil, refusal: reason,
            text: plain.text(interface: { self.name($0) }))
    }

    /// A route that lets nothing through; of several tables it may be the route of each, as rules
    /// choose the table.
    private func forbidding(_ kind: Route.Kind, _ routes: [RouteMessage], _ destination: IPAddress) -> Route {
        let texts = routes.map { $0.text(interface: { self.name($0) }) }
        return Route(
            kind: kind, gateway: nil, interface: nil,
            // None of that type: a rule (`ip rule add blackhole`) or a nexthop object says it.
            text: texts.isEmpty ? "\(kind.rawValue) \(destination) by a rule" : texts.joined(separator: " or "))
    }

    private static func none(_ destination: IPAddress) -> Route {
        Route(kind: .none, gateway: nil, interface: nil, text: "no route to \(destination)")
    }

    /// The type of route that the kernel gives this error number for (fib_props, ip6_route_info_create).
    private static func kind(_ code: Int32) -> Route.Kind? {
        switch code {
        case EINVAL: .blackhole
        case EACCES: .prohibit
        case EHOSTUNREACH: .unreachable
        default: nil
        }
    }

    // MARK: - The kernel's checks of what comes in

    /// IN_DEV_FORWARD of the device by which it came in.
    private func isForwarding(_ interface: String?) throws(FactFailure) -> Bool {
        guard let interface else { return true }
        return try sysctl("net/ipv4/conf/\(interface)/forwarding").map { $0 != "0" } ?? true
    }

    /// Sources that IPv4 takes from no wire, route_localnet aside (ip_route_input_slow).
    private func isMartian(_ source: IPAddress) -> Bool {
        let first = source.low >> 24
        return first == 0 || first == 127 || first >= 224
    }

    /// Whether the reverse-path check explains a refusal (__fib_validate_source). Kernels before
    /// about 6.13 say so by EXDEV; later ones say EINVAL of that as of all else.
    ///
    /// Told by the route back, from no source: rules that heed the source may choose another.
    private func failsReversePath(
        _ source: IPAddress, _ interface: String?, _ input: UInt32
    ) throws(FactFailure) -> Bool {
        guard let interface else { return false }
        // The greater of the two counts (IN_DEV_RPFILTER).
        let all = try sysctl("net/ipv4/conf/all/rp_filter").flatMap { Int($0) } ?? 0
        let own = try sysctl("net/ipv4/conf/\(interface)/rp_filter").flatMap { Int($0) } ?? 0
        let mode = max(all, own)
        guard mode > 0 else { return false }
        switch try ask(source, isMatch: true) {
        case .refused: return true
        case .found(let back):
            // A source of this machine's own is martian in any mode.
            guard back.kind == .unicast else { return false }
            let devices = back.nextHopInterfaces + (back.outputInterface.map { [$0] } ?? [])
            return mode == 1 && !devices.contains(input)
        }
    }

    // MARK: - Questions to the kernel

    private enum Lookup {
        case found(RouteMessage)
        case refused(Int32)

        var message: RouteMessage? {
            guard case .found(let message) = self else { return nil }
            return message
        }
    }

    private func name(_ interface: UInt32?) -> String? { interface.flatMap { transport.interfaceName($0) } }

    private func index(of interface: String) throws(FactFailure) -> UInt32 {
        guard let index = transport.interfaceIndex(interface) else {
            throw FactFailure("there is no interface '\(interface)' in this namespace")
        }
        return index
    }

    /// One look-up. `isMatch`: the answer is the route as it stands in its table, with its prefix
    /// (RTM_F_FIB_MATCH, Linux 4.13).
    private func ask(
        _ destination: IPAddress, from source: IPAddress? = nil, input: UInt32? = nil, isMatch: Bool = false
    ) throws(FactFailure) -> Lookup {
        sequence += 1
        let request = Self.request(destination, from: source, input: input, isMatch: isMatch, sequence: sequence)
        switch try transport.ask(request, sequence: sequence, subject: subject) {
        case .refused(let code): return .refused(code)
        case .message(Int32(RTM_NEWROUTE), let body): return .found(try RouteMessage(body))
        case .message(let type, _):
            throw FactFailure("rtnetlink: a message of type \(type) where a route was asked for")
        }
    }

    static func request(
        _ destination: IPAddress, from source: IPAddress?, input: UInt32?, isMatch: Bool, sequence: UInt32
    ) -> NetlinkRequest {
        var body = rtmsg()
        body.rtm_family = destination.socketFamily
        body.rtm_dst_len = UInt8(truncatingIfNeeded: destination.family.bitCount)
        body.rtm_src_len = source == nil ? 0 : body.rtm_dst_len
        // IPv4 says the main table otherwise, whichever it was; IPv6 tells it unasked, and a strict
        // kernel refuses the flag there (inet6_rtm_valid_getroute_req).
        if destination.family == .v4 { body.rtm_flags |= UInt32(RTM_F_LOOKUP_TABLE) }
        if isMatch { body.rtm_flags |= UInt32(RTM_F_FIB_MATCH) }
        var request = NetlinkRequest(type: Int32(RTM_GETROUTE), flags: 0, sequence: sequence, body: body)
        request.add(RTA_DST.rawValue, destination.networkOrder)
        if let source { request.add(RTA_SRC.rawValue, source.networkOrder) }
        if let input { request.add(RTA_IIF.rawValue, withUnsafeBytes(of: input) { Array($0) }) }
        return request
    }

    /// The routes of a type that hold an address: of each table the best.
    private func routes(_ kind: Route.Kind, to destination: IPAddress) throws(FactFailure) -> [RouteMessage] {
        let type =
            switch kind {
            case .blackhole: Int32(RTN_BLACKHOLE)
            case .prohibit: Int32(RTN_PROHIBIT)
            default: Int32(RTN_UNREACHABLE)
            }
        return try transport.dump(RouteList(destination: destination, type: type), after: &sequence).best
    }
}

/// Names of error numbers, as errno(3) spells them.
enum ErrorName {
    /// Those by which the kernel refuses to route; others as a number.
    static func text(_ code: Int32) -> String {
        switch code {
        case EACCES: "EACCES"
        case EHOSTUNREACH: "EHOSTUNREACH"
        case EINVAL: "EINVAL"
        case ENETUNREACH: "ENETUNREACH"
        case EXDEV: "EXDEV"
        default: "error \(code)"
        }
    }
}
