// The vocabulary's small words, as more than one sink spells them.

import Handshake

extension Action {
    /// The raw value, in memory that need not be counted.
    var text: StaticString {
        switch self {
        case .syn: "syn"
        case .synack: "synack"
        case .ack: "ack"
        case .rst: "rst"
        case .conntrackNew: "conntrack.new"
        case .conntrackMatch: "conntrack.match"
        case .conntrackInvalid: "conntrack.invalid"
        case .conntrackUntracked: "conntrack.untracked"
        case .natDestination: "nat.dnat"
        case .natSource: "nat.snat"
        case .natReverse: "nat.reverse"
        case .rule: "rule"
        case .route: "route"
        case .deliver: "deliver"
        case .listener: "listener"
        case .request: "request"
        case .reset: "reset"
        case .drop: "drop"
        case .transmit: "transmit"
        case .retransmit: "retransmit"
        case .established: "established"
        case .icmp: "icmp"
        }
    }
}

extension TCPFlags {
    private static let names: [(flag: TCPFlags, name: StaticString)] = [
        (.syn, "SYN"), (.fin, "FIN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"), (.ece, "ECE"),
        (.cwr, "CWR"),
    ]

    /// `SYN,ACK`
    func put(to output: OutputBuffer) {
        switch self {
        case .syn: output.put("SYN")
        case [.syn, .ack]: output.put("SYN,ACK")
        case .ack: output.put("ACK")
        default: putEach(to: output)
        }
    }

    private func putEach(to output: OutputBuffer) {
        var isFirst = true
        for (flag, name) in Self.names where contains(flag) {
            if !isFirst { output.put(UInt8(ascii: ",")) }
            output.put(name)
            isFirst = false
        }
    }
}

extension NATRange {
    /// NF_NAT_RANGE_MAP_IPS and NF_NAT_RANGE_PROTO_SPECIFIED of linux/netfilter/nf_nat.h.
    var asksAddress: Bool { flags & 1 != 0 }
    var asksPort: Bool { flags & 2 != 0 }
}

extension Rule {
    var saysSomething: Bool {
        [id, ruleset, text].contains { $0.map { !$0.isEmpty } ?? false }
    }
}
