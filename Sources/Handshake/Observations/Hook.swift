// The places in the kernel that nattrace looks at, under the names it shows.

import CNattrace

/// A kernel function or tracepoint that is observed. Raw values are NATTRACE_HOOK_* of
/// bpf/observation.h, which BPF programs write into each observation.
public enum Hook: UInt16, Sendable, BitwiseCopyable, CaseIterable {
    case netifReceiveSkb = 1
    case nfConntrackIn
    case nfConntrackTCPPacket
    case nfCtL4protoLogInvalid
    case nfL4protoLogInvalid
    case nfNatSetupInfo
    case nfNatManipPkt
    case tcpV4Rcv
    case tcpV6Rcv
    case inetLookupListener
    case inet6LookupListener
    case reqskQueueHashAdd
    case tcpMakeSynack
    case tcpConnect
    case tcpV4SendReset
    case tcpV6SendReset
    case tcpSendActiveReset
    case nfSendReset
    case nfSendReset6
    case tcpSendResetTracepoint
    case inetSockSetState
    case tcpRetransmitSkb
    case tcpRetransmitSynack
    case netDevStartXmit
    case kfreeSkb
    case moduleLoad
    case nftTracePacket
    case tcpCheckReq

    /// By the name that it is shown with; nil: none is called so.
    init?(name: String) {
        guard let hook = Self.allCases.first(where: { $0.name == name }) else { return nil }
        self = hook
    }

    /// The kernel's name: a function's symbol, or `system:event` of a tracepoint.
    public var name: String {
        switch self {
        case .netifReceiveSkb: "net:netif_receive_skb"
        case .nfConntrackIn: "nf_conntrack_in"
        case .nfConntrackTCPPacket: "nf_conntrack_tcp_packet"
        case .nfCtL4protoLogInvalid: "nf_ct_l4proto_log_invalid"
        case .nfL4protoLogInvalid: "nf_l4proto_log_invalid"
        case .nfNatSetupInfo: "nf_nat_setup_info"
        case .nfNatManipPkt: "nf_nat_manip_pkt"
        case .tcpV4Rcv: "tcp_v4_rcv"
        case .tcpV6Rcv: "tcp_v6_rcv"
        case .inetLookupListener: "__inet_lookup_listener"
        case .inet6LookupListener: "inet6_lookup_listener"
        case .reqskQueueHashAdd: "inet_csk_reqsk_queue_hash_add"
        case .tcpMakeSynack: "tcp_make_synack"
        case .tcpConnect: "tcp_connect"
        case .tcpV4SendReset: "tcp_v4_send_reset"
        case .tcpV6SendReset: "tcp_v6_send_reset"
        case .tcpSendActiveReset: "tcp_send_active_reset"
        case .nfSendReset: "nf_send_reset"
        case .nfSendReset6: "nf_send_reset6"
        case .tcpSendResetTracepoint: "tcp:tcp_send_reset"
        case .inetSockSetState: "sock:inet_sock_set_state"
        case .tcpRetransmitSkb: "tcp:tcp_retransmit_skb"
        case .tcpRetransmitSynack: "tcp:tcp_retransmit_synack"
        case .netDevStartXmit: "net:net_dev_start_xmit"
        case .kfreeSkb: "skb:kfree_skb"
        case .moduleLoad: "module:module_load"
        case .nftTracePacket: "__nft_trace_packet"
        case .tcpCheckReq: "tcp_check_req"
        }
    }
}

/// How a hook was attached, or that a step was concluded and not seen.
public enum Backend: UInt8, Sendable, BitwiseCopyable, CaseIterable {
    case inferred = 0
    case tracepoint = 1
    case kprobe = 2
    case fentry = 3

    public var name: String {
        switch self {
        case .inferred: "inferred"
        case .tracepoint: "tracepoint"
        case .kprobe: "kprobe"
        case .fentry: "fentry"
        }
    }
}

/// The way of a packet through the kernel, in its order.
public enum Stage: UInt8, Sendable, BitwiseCopyable, CaseIterable, Comparable, Codable {
    case ingress = 1
    case prerouting
    case routing
    case input
    case forward
    case socket
    case output
    case postrouting
    case egress

    public var name: String {
        switch self {
        case .ingress: "ingress"
        case .prerouting: "prerouting"
        case .routing: "routing"
        case .input: "input"
        case .forward: "forward"
        case .socket: "socket"
        case .output: "output"
        case .postrouting: "postrouting"
        case .egress: "egress"
        }
    }

    public static func < (a: Stage, b: Stage) -> Bool { a.rawValue < b.rawValue }
}
