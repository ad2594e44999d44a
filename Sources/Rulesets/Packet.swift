// The packet as a rule of one hook sees it.

import Handshake

/// What rules read of a packet, as far as it can be known.
enum Field: Sendable {
    case sourceAddress(IPAddress.Family)
    case destinationAddress(IPAddress.Family)
    /// What kind of address it is for the machine's routing (`fib saddr type`, iptables' addrtype).
    case sourceType
    case destinationType
    case sourcePort
    case destinationPort
    case tcpFlags
    /// The transport protocol (`meta l4proto`, iptables' `-p`).
    case transport
    /// The same, from a header of IPv4.
    case ipProtocol
    case ipVersion(IPAddress.Family)
    /// `meta nfproto`.
    case networkFamily
    /// `meta protocol`.
    case etherType
    case inputInterface
    case outputInterface
    /// Conntrack's state of the packet. Unlike all else of conntrack's, every packet has one.
    case trackingState
    /// A header that no TCP packet has.
    case foreign
    /// Something else of a header of this family.
    case other(IPAddress.Family?)
}

/// Where in the kernel a base chain is called.
enum Layer: Sendable {
    /// The hooks of IPv4 and IPv6.
    case ip
    case bridge
    /// A device's ingress and egress.
    case device
}

struct Packet {
    var tuple: Tuple
    var flags: TCPFlags
    /// nil: not known, or not to be relied on at this hook.
    var inputInterface: String?
    var outputInterface: String?
    var layer: Layer
    /// Rules write into packets: what a match, or one on the way to it, saw is not known.
    var isRewritten: Bool
    /// What conntrack said of it; nil: not known, or not yet said in the chain that is asked.
    var tracking: RuleSearch.TrackingState?
    /// The machine's own addresses; nil: not known.
    var own: OwnAddresses?
    /// Rules untrack packets that conntrack had found invalid: a chain may have seen either state.
    var isUntrackedLate = false

    var family: IPAddress.Family { tuple.family }

    init(_ search: RuleSearch, hook: NetfilterHook, layer: Layer, isRewritten: Bool) {
        tuple = search.tuple
        self.isRewritten = isRewritten
        flags = search.flags
        self.layer = layer
        // At a bridge or a device, the packet's device may be a port or a lower one of what the search
        // names. At the other hooks, a name is there for rules only where the kernel gives it.
        switch (layer, hook) {
        case (.ip, .prerouting), (.ip, .input): inputInterface = search.inputInterface
        case (.ip, .forward), (.ip, .postrouting):
            inputInterface = search.inputInterface
            outputInterface = search.outputInterface
        case (.ip, .output): outputInterface = search.outputInterface
        default: break
        }
    }

    func value(of field: Field) -> Value {
        switch field {
        case .sourceAddress(let family):
            guard family == self.family else { return .absent }
            return isRewritten ? .unknown : .address(tuple.source.address)
        case .destinationAddress(let family):
            guard family == self.family else { return .absent }
            return isRewritten ? .unknown : .address(tuple.destination.address)
        case .sourceType: return isRewritten ? .unknown : type(of: tuple.source.address)
        case .destinationType: return isRewritten ? .unknown : type(of: tuple.destination.address)
        case .sourcePort: return isRewritten ? .unknown : .number(UInt64(tuple.source.port), kind: .port)
        case .destinationPort: return isRewritten ? .unknown : .number(UInt64(tuple.destination.port), kind: .port)
        case .tcpFlags:
            guard !isRewritten else { return .unknown }
            // What the packet is within the handshake is known, the other bits only where they are set:
            // a search may be made without a packet's own flags.
            let role: UInt64 = 1 | 2 | 4 | 16
            let set = UInt64(flags.rawValue)
            return .number(set, known: role | set | ~0xff, kind: .flags)
        case .transport: return .number(6, kind: .transport)
        case .ipProtocol: return family == .v4 ? .number(6, kind: .transport) : .absent
        case .ipVersion(let version):
            return version == family ? .number(UInt64(version.rawValue), kind: .plain) : .absent
        case .networkFamily:
            // Elsewhere it may be the family of the chain.
            return layer == .ip ? .number(family == .v4 ? 2 : 10, kind: .networkFamily) : .unknown
        case .etherType: return .number(family == .v4 ? 0x0800 : 0x86dd, kind: .etherType)
        case .inputInterface: return inputInterface.map { .name($0) } ?? .unknown
        case .outputInterface: return outputInterface.map { .name($0) } ?? .unknown
        case .trackingState:
            guard let tracking else { return .unknown }
            let either = RuleSearch.TrackingState.invalid.bit | RuleSearch.TrackingState.untracked.bit
            if isUntrackedLate, tracking.bit & either != 0 { return .number(0, known: ~either, kind: .tracking) }
            return .number(tracking.bit, kind: .tracking)
        case .foreign: return .absent
        case .other(let family): return family == nil || family == self.family ? .unknown : .absent
        }
    }

    /// An address that no device has may be local none the less, by a route, and a broadcast's is known to routes only.
    private func type(of address: IPAddress) -> Value {
        address.isLoopback || own?.contains(address) == true
            ? .number(Self.local, kind: .addressType) : .unknown
    }

    /// RTN_LOCAL (linux/rtnetlink.h)
    private static let local: UInt64 = 2
}

/// Asks for the machine's own addresses when a rule first wants to know, and once.
final class OwnAddresses {
    private let ask: () -> [IPAddress]
    private lazy var addresses = Set(ask())

    init(_ ask: @escaping () -> [IPAddress]) { self.ask = ask }

    func contains(_ address: IPAddress) -> Bool { addresses.contains(address) }
}

extension RuleSearch.TrackingState {
    /// NF_CT_STATE_BIT (linux/netfilter/nf_conntrack_common.h) and its like.
    var bit: UInt64 {
        switch self {
        case .invalid: 1
        case .established: 2
        case .related: 4
        case .new: 8
        case .untracked: 64
        }
    }
}
