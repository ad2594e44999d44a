// Each verdict in a few words, for lists of codes: in completions and in the manual page.

import Handshake

extension VerdictCode {
    /// Not longer than fits behind a code in 80 columns.
    var summary: String {
        switch self {
        case .established: "succeeded"
        case .noListener: "reset: nothing listens on the port"
        case .listenerOtherAddress: "reset: the listener is on another address"
        case .listenerLoopbackOnly: "reset: the listener is on loopback only"
        case .listenerOtherDevice: "reset: the listener is tied to another interface"
        case .listenerOtherNetns: "reset: the listener is in another namespace"
        case .acceptQueueFull: "the listener's queue is full"
        case .socketRefused: "refused by TCP, which had found a socket"
        case .filterDropped: "dropped by a netfilter rule or policy"
        case .filterRejected: "rejected by a netfilter rule"
        case .forwardingDisabled: "was to be forwarded, which is switched off"
        case .routeLocalnetDisabled: "translated to 127.0.0.0/8, route_localnet is 0"
        case .rpFilter: "failed the reverse-path check"
        case .noRoute: "no route, or one that refuses"
        case .neighborUnreachable: "the neighbour does not answer ARP or ND"
        case .conntrackFull: "dropped: the conntrack table was full"
        case .conntrackInvalid: "called INVALID by conntrack, so left alone by NAT"
        case .staleConntrack: "matched an older entry: NAT rules were not asked"
        case .untracked: "kept from conntrack, so NAT rules cannot act"
        case .natExhausted: "NAT found no free address and port"
        case .resetByBackend: "reset from outside of what is observed"
        case .resetByClient: "reset by the client itself"
        case .hairpinWithoutSNAT: "the answer went around the NAT, in one network"
        case .asymmetricReply: "the answer came by a way without translation"
        case .icmpUnreachable: "ended by an ICMP error from elsewhere"
        case .synUnanswered: "passed on, and nothing came back"
        case .synackUnanswered: "answered with SYN-ACK, and no ACK came"
        case .dropped: "dropped elsewhere, with the kernel's reason"
        case .unexplained: "failed, and the evidence does not say why"
        }
    }
}
