// A machine of which verdicts ask facts: its kernel's names, its settings, routes and rules.

@testable import Handshake

/// A machine that answers what a test wants it to answer, and remembers what it was asked.
final class FakeFacts: Facts {
    var answers: [Question: Answer] = [:]
    /// By namespace; a namespace that is not here cannot be asked for its rules.
    var rulesets: [UInt32: FakeRuleset] = [:]
    private(set) var asked: [Question] = []

    func answer(_ question: Question) -> Answer {
        asked.append(question)
        return known(question)
    }

    fileprivate func known(_ question: Question) -> Answer {
        if let answer = answers[question] { return answer }
        switch question {
        case .symbol(let address): return FakeKernel.function(at: address).map(Answer.name) ?? .nothing
        case .dropReason(let raw): return FakeKernel.reason(raw).map(Answer.name) ?? .nothing
        case .route(let query):
            // Unless a test says otherwise, neither source nor device matters.
            let plain = RouteQuery(
                destination: query.destination, source: nil, inputInterface: nil, netns: query.netns)
            return answers[.route(plain)] ?? .nothing
        case .rules(let search):
            return rulesets[search.netns].map { .rules($0.candidates(for: search)) } ?? .unavailable("not permitted")
        case .rule(_, _, let handle, let netns):
            return rulesets[netns]?.rules.first { $0.rule.id == String(handle) }.map { .rule($0.rule) } ?? .nothing
        default: return .nothing
        }
    }

    func symbol(_ name: String, at address: UInt64) { answers[.symbol(address: address)] = .name(name) }
    func dropReason(_ name: String, is raw: UInt32) { answers[.dropReason(raw)] = .name(name) }
    func netns(_ name: String, is inode: UInt32) { answers[.netnsName(inode: inode)] = .name(name) }

    func listening(_ listeners: Listener..., port: UInt16, in netns: UInt32 = Place.gateway) {
        answers[.listeners(port: port, netns: netns)] = .listeners(listeners)
    }

    /// Sockets in other namespaces than this one.
    func listeningElsewhere(_ listeners: Listener..., port: UInt16, than netns: UInt32 = Place.gateway) {
        answers[.listenersElsewhere(port: port, netns: netns)] = .listeners(listeners)
    }

    /// `net/ipv4/ip_forward`.
    func sysctl(_ name: String, is value: Int, in netns: UInt32 = Place.gateway) {
        answers[.sysctl(name: name, netns: netns)] = .name(String(value))
    }

    func route(
        to destination: String, _ kind: Route.Kind, by interface: String? = nil, gateway: String? = nil,
        _ text: String = "", in netns: UInt32 = Place.gateway, from source: String? = nil, input: String? = nil
    ) {
        let query = RouteQuery(
            destination: address(destination), source: source.map(address), inputInterface: input, netns: netns)
        answers[.route(query)] = .route(
            Route(kind: kind, gateway: gateway.map(address), interface: interface, text: text))
    }

    func neighbour(_ neighbour: String, at interface: String, is state: String, in netns: UInt32 = Place.gateway) {
        answers[.neighbour(address: address(neighbour), interface: interface, netns: netns)] = .neighbour(
            Neighbour(state: state, linkAddress: nil))
    }

    /// The entry that has this tuple in one of its directions.
    func entry(
        with tuple: Tuple, is entry: (original: Tuple, reply: Tuple)?, in netns: UInt32 = Place.gateway
    ) {
        answers[.conntrackEntry(ConntrackQuery(tuple: tuple, zone: 0, netns: netns))] =
            entry.map {
                .conntrackEntry(TrackedFlow(original: $0.original, reply: $0.reply, state: 3, status: 0, zone: 0))
            } ?? .nothing
    }

    /// These are all rules of the namespace.
    func rules(_ rules: FakeRule..., in netns: UInt32 = Place.gateway) {
        rulesets[netns] = FakeRuleset(rules: rules, isComplete: true)
    }

    /// These are rules of the namespace, and what else it has could not be read.
    func rulesAmongOthers(_ rules: FakeRule..., in netns: UInt32 = Place.gateway) {
        rulesets[netns] = FakeRuleset(rules: rules, isComplete: false)
    }
}

/// The same machine, asked by somebody else.
final class SameFacts: Facts {
    private let facts: FakeFacts
    private(set) var asked: [Question] = []

    init(_ facts: FakeFacts) { self.facts = facts }

    func answer(_ question: Question) -> Answer {
        asked.append(question)
        return facts.known(question)
    }
}

/// What a rule does.
enum FakeEffect {
    case drop, reject, notrack
    /// Translates to this; nil: to something that the rule leaves open.
    case destination(String?)
    case source(String?)
}

/// A rule, told by what it does, where, and to packets for which destination.
struct FakeRule {
    var rule: Rule
    var effect: FakeEffect
    var stage: Stage
    /// nil: to all packets.
    var destination: String?
    /// The device by which they come in; nil: any.
    var input: String?
    /// Whether all its matches can be known.
    var isCertain = true

    fileprivate func matches(_ search: RuleSearch) -> Bool {
        guard search.stage == nil || search.stage == stage,
            destination == nil || search.tuple.destination == destination.map(endpoint),
            input == nil || search.inputInterface == nil || search.inputInterface == input
        else { return false }
        switch (effect, search.effect) {
        case (.drop, .drop), (.reject, .reject), (.notrack, .notrack): return true
        case (.destination(let own), .translateDestination(let wanted)),
            (.source(let own), .translateSource(let wanted)):
            return own == nil || wanted == nil || own.map(endpoint) == wanted
        default: return false
        }
    }
}

func rule(
    _ effect: FakeEffect, at stage: Stage, for destination: String? = nil, handle: Int = 7,
    in ruleset: String = "ip filter forward", _ text: String? = nil, by tool: RuleTool? = nil
) -> FakeRule {
    FakeRule(
        rule: Rule(id: String(handle), ruleset: ruleset, text: text, tool: tool), effect: effect, stage: stage,
        destination: destination)
}

struct FakeRuleset {
    var rules: [FakeRule]
    var isComplete: Bool

    fileprivate func candidates(for search: RuleSearch) -> RuleCandidates {
        RuleCandidates(
            candidates: rules.filter { $0.matches(search) }.map { .init(rule: $0.rule, isCertain: $0.isCertain) },
            isComplete: isComplete)
    }
}

/// Functions that free packets and reasons for which they do, under numbers of their own.
enum FakeKernel {
    private static let functions = [
        "nf_hook_slow", "nft_do_chain", "tcp_v4_rcv", "tcp_v6_rcv", "tcp_rcv_state_process", "tcp_conn_request",
        "ip_error", "ip_rcv_finish_core", "ip_route_input_slow", "ip_forward", "ip6_forward", "ip6_pkt_drop",
        "ip_route_output_key_hash_rcu", "ip_list_rcv_finish", "arp_error_report", "ndisc_error_report",
        "neigh_flush_dev", "__dev_queue_xmit",
    ]
    private static let reasons = [
        "NOT_SPECIFIED", "NETFILTER_DROP", "NO_SOCKET", "TCP_CSUM", "IP_RPFILTER", "IP_INNOROUTES", "IP_OUTNOROUTES",
        "IPV6_NOROUTE", "NEIGH_FAILED", "NEIGH_QUEUEFULL", "TCP_MINTTL", "TCP_MD5NOTFOUND", "XFRM_POLICY",
        "SOCKET_FILTER", "NOMEM", "TCP_LISTEN_OVERFLOW",
    ]
    private static let text: UInt64 = 0xffff_ffff_8100_0000
    private static let firstReason: UInt32 = 0x100

    static func address(of function: String) -> UInt64 {
        guard let index = functions.firstIndex(of: function) else { fatalError("no such function: \(function)") }
        return text + UInt64(index) * 0x100
    }

    static func number(of reason: String) -> UInt32 {
        guard let index = reasons.firstIndex(of: reason) else { fatalError("no such reason: \(reason)") }
        return firstReason + UInt32(index)
    }

    fileprivate static func function(at address: UInt64) -> String? {
        guard address >= text else { return nil }
        let index = Int((address - text) / 0x100)
        return functions.indices.contains(index) ? functions[index] : nil
    }

    fileprivate static func reason(_ raw: UInt32) -> String? {
        guard raw >= firstReason else { return nil }
        let index = Int(raw - firstReason)
        return reasons.indices.contains(index) ? reasons[index] : nil
    }
}

func listener(
    _ endpoint: String, by process: String? = "nginx", pid: Int32 = 812, isIPv6Only: Bool? = nil,
    tiedTo device: String? = nil, waiting: UInt32 = 0, of limit: UInt32 = 128, in netns: Listener.Namespace? = nil
) -> Listener {
    let bound = HandshakeTests.endpoint(endpoint)
    return Listener(
        address: bound.address, port: bound.port, isIPv6Only: isIPv6Only,
        interface: device.map { .init(index: 7, name: $0) }, acceptQueue: waiting, acceptQueueLimit: limit,
        inode: UInt64(pid), process: process.map { ProcessIdentity(pid: pid, name: $0) }, elsewhere: netns)
}
