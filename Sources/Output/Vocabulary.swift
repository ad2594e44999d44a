// The vocabulary's small words, as more than one sink spells them.

import Handshake

extension TCPFlags {
    private static let names: [(flag: TCPFlags, name: StaticString)] = [
        (.syn, "SYN"), (.fin, "FIN"), (.rst, "RST"), (.psh, "PSH"), (.ack, "ACK"), (.urg, "URG"), (.ece, "ECE"),
        (.cwr, "CWR"),
    ]

    /// `SYN,ACK`
    func put(to output: OutputBuffer) {
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
