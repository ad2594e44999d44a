// Which ways there are to observe each hook, in order of preference, and what is lost
// without. A hook is a line here and a program in bpf/; nothing else knows them.

import Handshake

/// One way to observe a hook: the BPF programs it takes and what they are attached to.
struct Way: Sendable, Equatable {
    enum Target: Sendable, Equatable {
        /// Every one of the programs goes to this kernel function: to its entry, or to its return
        /// if it is one for that.
        case function(String)
        /// A tracepoint, by the name of its event.
        case event(String)
    }

    let backend: Backend
    let target: Target
    /// By their C names. In the order of attaching, so that a return never comes without its
    /// entry; `return_*` are return probes.
    let programs: [String]
}

extension [Way] {
    /// To the entry of a kernel function.
    static func entry(of function: String) -> [Way] {
        let name = programName(function)
        return [
            Way(backend: .fentry, target: .function(function), programs: ["entry_\(name)"]),
            Way(backend: .kprobe, target: .function(function), programs: ["probe_\(name)"]),
        ]
    }

    /// As `entry(of:)`, of one with variable arguments, for which the kernel has no fentry programs.
    static func entry(ofVariadic function: String) -> [Way] {
        [Way(backend: .kprobe, target: .function(function), programs: ["probe_\(programName(function))"])]
    }

    /// To what a kernel function is given, together with what it returns.
    static func result(of function: String) -> [Way] {
        let name = programName(function)
        return [
            Way(backend: .fentry, target: .function(function), programs: ["exit_\(name)"]),
            Way(backend: .kprobe, target: .function(function), programs: ["probe_\(name)", "return_\(name)"]),
        ]
    }

    static func tracepoint(_ event: String) -> [Way] {
        [Way(backend: .tracepoint, target: .event(event), programs: ["trace_\(event)"])]
    }

    private static func programName(_ function: String) -> Substring { function.drop { $0 == "_" } }
}

struct HookPlan: Sendable {
    let hook: Hook
    /// The best one first.
    let ways: [Way]
    /// The module that the function is in, on kernels that do not have it built in.
    let module: String?
    /// Whether its program has to be told argument positions that the module's BTF knows: it
    /// cannot be loaded before the module is, while others are loaded at the start and only
    /// attached when the module appears, which takes milliseconds.
    let needsModuleTypes: Bool
    /// What cannot be known without, for a person; follows a colon.
    let loss: String
    /// Used only where none of these could be attached, because it shows the same.
    let standsInFor: [Hook]
    /// Where it is used, it shows the whole of these, which are then left out.
    let supersedes: [Hook]

    init(
        _ hook: Hook, _ ways: [Way], module: String? = nil, needsModuleTypes: Bool = false, standsInFor: [Hook] = [],
        supersedes: [Hook] = [], loss: String
    ) {
        self.hook = hook
        self.ways = ways
        self.module = module
        self.needsModuleTypes = needsModuleTypes
        self.loss = loss
        self.standsInFor = standsInFor
        self.supersedes = supersedes
    }

    /// In an order in which what stands in for others comes after them, and modules are
    /// watched before anything that may be in one is looked for.
    static let all: [HookPlan] = [
        HookPlan(
            .moduleLoad, .tracepoint("module_load"),
            loss: "hooks in modules that are loaded later are attached up to a second later"),
        HookPlan(
            .netifReceiveSkb, .tracepoint("netif_receive_skb"),
            loss: "packets are first seen when a later hook meets them, not when they come in"),
        HookPlan(
            .nfConntrackIn, .entry(of: "nf_conntrack_in"), module: "nf_conntrack",
            loss: "conntrack's decision on a packet is concluded from the entry that the packet carries later"),
        HookPlan(
            .nfConntrackTCPPacket, .entry(of: "nf_conntrack_tcp_packet"),
            module: "nf_conntrack",
            loss: "the state that conntrack had before a packet is not known"),
        HookPlan(
            .nfCtL4protoLogInvalid, .entry(ofVariadic: "nf_ct_l4proto_log_invalid"),
            module: "nf_conntrack", needsModuleTypes: true,
            loss: "why conntrack calls a packet of a known flow INVALID is not known"),
        HookPlan(
            .nfL4protoLogInvalid, .entry(ofVariadic: "nf_l4proto_log_invalid"),
            module: "nf_conntrack", needsModuleTypes: true,
            loss: "why conntrack calls a packet without a flow INVALID is not known"),
        HookPlan(
            .nfNatSetupInfo, .entry(of: "nf_nat_setup_info"), module: "nf_nat",
            loss: "what a NAT rule asked for is not known, only what the flow got"),
        HookPlan(
            .nfNatManipPkt, .entry(of: "nf_nat_manip_pkt"), module: "nf_nat",
            loss: "the rewriting of a packet is concluded from how it looks before and after"),
        HookPlan(
            .nftTracePacket, .entry(of: "__nft_trace_packet"), module: "nf_tables",
            needsModuleTypes: true,
            loss: "which rule decided is concluded from the ruleset, where only one can have"),
        HookPlan(
            .tcpV4Rcv, .entry(of: "tcp_v4_rcv"),
            loss: "that an IPv4 packet reached TCP is concluded from what TCP does with it"),
        HookPlan(
            .tcpV6Rcv, .entry(of: "tcp_v6_rcv"), module: "ipv6",
            loss: "that an IPv6 packet reached TCP is concluded from what TCP does with it"),
        HookPlan(
            .inetLookupListener,
            .result(of: "__inet_lookup_listener"),
            loss: "which socket the kernel found for an IPv4 SYN is concluded from its answer"),
        HookPlan(
            .inet6LookupListener,
            .result(of: "inet6_lookup_listener"),
            module: "ipv6", needsModuleTypes: true,
            loss: "which socket the kernel found for an IPv6 SYN is concluded from its answer"),
        HookPlan(
            .reqskQueueHashAdd, .entry(of: "inet_csk_reqsk_queue_hash_add"),
            loss: "that a SYN was queued is concluded from the SYN-ACK"),
        HookPlan(
            .tcpCheckReq, .entry(of: "tcp_check_req"),
            loss: "that a finished handshake finds no room in the accept queue is concluded from the queue's length"),
        HookPlan(
            .tcpMakeSynack, .entry(of: "tcp_make_synack"),
            loss: "a SYN-ACK is first seen when it leaves through a device"),
        HookPlan(
            .tcpConnect, .entry(of: "tcp_connect"),
            loss: "a SYN of this machine is first seen when it leaves through a device, and not which process sent it"),
        HookPlan(
            .tcpV4SendReset, .entry(of: "tcp_v4_send_reset"),
            loss: "that this machine answers with an RST is concluded from the IPv4 packet that leaves"),
        HookPlan(
            .tcpV6SendReset, .entry(of: "tcp_v6_send_reset"), module: "ipv6",
            loss: "that this machine answers with an RST is concluded from the IPv6 packet that leaves"),
        HookPlan(
            .tcpSendActiveReset, .entry(of: "tcp_send_active_reset"),
            loss: "that a process aborts its connection is concluded from the RST that leaves"),
        HookPlan(
            .tcpSendResetTracepoint, .tracepoint("tcp_send_reset"), standsInFor: [.tcpV4SendReset, .tcpV6SendReset],
            supersedes: [.tcpSendActiveReset],
            loss: "that this machine makes an RST, and why, is not seen by the tracepoint either"),
        HookPlan(
            .nfSendReset, .entry(of: "nf_send_reset"), module: "nf_reject_ipv4",
            needsModuleTypes: true,
            loss: "that a rule made an IPv4 RST is concluded from the dropped packet and the RST that leaves"),
        HookPlan(
            .nfSendReset6, .entry(of: "nf_send_reset6"), module: "nf_reject_ipv6",
            needsModuleTypes: true,
            loss: "that a rule made an IPv6 RST is concluded from the dropped packet and the RST that leaves"),
        HookPlan(
            .inetSockSetState, .tracepoint("inet_sock_set_state"),
            loss: "that a socket got established is concluded from the packets"),
        HookPlan(
            .tcpRetransmitSkb, .tracepoint("tcp_retransmit_skb"),
            loss: "a SYN that is sent again is told from the first only by its number"),
        HookPlan(
            .tcpRetransmitSynack, .tracepoint("tcp_retransmit_synack"),
            loss: "a SYN-ACK that is sent again is told from the first only by its number"),
        HookPlan(
            .netDevStartXmit, .tracepoint("net_dev_start_xmit"),
            loss: "what leaves this machine, the answer included, is not seen"),
        HookPlan(
            .kfreeSkb, .tracepoint("kfree_skb"),
            loss: "where the kernel drops a packet, and why, is not seen"),
    ]

    static func plan(for hook: Hook) -> HookPlan? { all.first { $0.hook == hook } }
}
