// What each verdict stands on: the one place that says so. In the order of docs/verdicts.md, which is that of asking.

extension Grounds {
    public static let all: [Grounds] = [
        Grounds(
            .established,
            seen: "`sock:inet_sock_set_state`; the ACK on its way, where the server is elsewhere",
            [
                without(
                    [.hook(.inetSockSetState)],
                    .partly("where the server is elsewhere", otherwise: .codes([.unexplained])))
            ]),

        // Conntrack.
        Grounds(
            .conntrackFull,
            seen: "`nf_conntrack_in` for the packet, no answer of conntrack, drop by netfilter",
            asked: "`nf_conntrack_max`, `nf_conntrack_count`; the rules that can have done it",
            [
                without(
                    [.hook(.nfConntrackIn)],
                    .concluded(
                        from:
                            "a packet dropped at PREROUTING or OUTPUT without an entry, where no rule can have done it")
                ),
                without([.hook(.nfConntrackIn), .rulesets], .never(.codes([.dropped]))),
            ] + netfilterDrops + inOtherNamespaces(.codes([.dropped]))),
        Grounds(
            .staleConntrack,
            seen: "`nf_conntrack_tcp_packet`: the SYN matches an entry that is older, and not its own",
            asked: "NAT rules: that they would have done something else",
            [
                without(
                    [.hook(.nfConntrackTCPPacket)],
                    .partly("if the entry was answered once", otherwise: .whatFollows([.synUnanswered, .noListener]))),
                without([.rulesets], .never(.whatFollows([.synUnanswered, .noListener]))),
            ] + inOtherNamespaces(.whatFollows([.synUnanswered, .noListener]))),
        Grounds(
            .untracked,
            seen: "the packet's mark, `nf_conntrack_in`, or the rule; for an answer, the SYN's translation",
            asked: "NAT rules: that one would have translated the SYN; for an answer, the entry",
            [without([.rulesets], .partly("for an answer", otherwise: .whatFollows([.noListener, .synUnanswered])))]
                + inOtherNamespaces(orElse: "for an answer", .whatFollows([.noListener, .synUnanswered]))),
        Grounds(
            .conntrackInvalid,
            seen:
                "`nf_conntrack_tcp_packet`, `nf_ct_l4proto_log_invalid`, `nf_l4proto_log_invalid`; for an answer, the SYN's translation",
            asked: "NAT rules: that one would have translated the SYN",
            [
                without(
                    [.hook(.nfConntrackTCPPacket), .hook(.nfCtL4protoLogInvalid), .hook(.nfL4protoLogInvalid)],
                    .never(whatAnInvalidPacketLeadsTo)),
                without(
                    [.hook(.nfConntrackTCPPacket)],
                    .partly(
                        "but for an answer without an entry before Linux 6.2", otherwise: whatAnInvalidPacketLeadsTo)),
                without(
                    [.hook(.nfCtL4protoLogInvalid)],
                    .partly("for a packet without an entry", otherwise: whatAnInvalidPacketLeadsTo)),
                without(
                    [.hook(.nfL4protoLogInvalid)],
                    .partly(
                        "for a packet that has an entry, or an answer that has none",
                        otherwise: whatAnInvalidPacketLeadsTo)),
                without([.rulesets], .partly("for an answer", otherwise: whatAnInvalidPacketLeadsTo)),
            ] + inOtherNamespaces(orElse: "for an answer", whatAnInvalidPacketLeadsTo)),

        // Rules, and NAT.
        Grounds(
            .filterRejected,
            seen:
                "`nf_send_reset`, `nf_send_reset6`; or an ICMP error that leaves while netfilter drops the packet it quotes",
            asked: "the rule's text; the rules that can have done it",
            byFamily(
                .nfSendReset, .nfSendReset6,
                .concluded(from: "an RST that leaves while netfilter drops the SYN"))
                + byFamily(
                    .nfSendReset, .nfSendReset6, and: [.dropReasons, .functionNames],
                    .partly("if it rejects with an ICMP error", otherwise: .codes([.unexplained])))
                + [
                    without(
                        [.dropReasons, .functionNames],
                        .partly("if it rejects with a reset", otherwise: .codes([.dropped]))),
                    without(
                        [.hook(.kfreeSkb)], .partly("if it rejects with a reset", otherwise: .codes([.unexplained]))),
                    ruleIsConcluded,
                    without([.hook(.nftTracePacket), .rulesets], .poorer("the rule is not named")),
                ]),
        Grounds(
            .filterDropped,
            seen: "`__nft_trace_packet`: the rule or policy; drop by netfilter",
            asked: "the rule's text; the rules that can have done it",
            [
                ruleIsConcluded,
                without(
                    [.rulesets],
                    .partly("if it is nftables, and without the rule's text", otherwise: .codes([.dropped]))),
                without(
                    [.hook(.nftTracePacket), .rulesets],
                    .partly(
                        "if nftables frees the packet itself, and without the rule", otherwise: .codes([.dropped]))),
                without([.hook(.nftTracePacket), .rulesets, .functionNames], .never(.codes([.dropped]))),
            ] + netfilterDrops + inOtherNamespaces(orElse: "if nftables frees the packet itself", .codes([.dropped]))),
        Grounds(
            .natExhausted,
            seen: "drop by netfilter of a SYN whose entry is new and translated",
            asked: "the entry that has its place",
            [without([.conntrackTable], .never(.codes([.dropped])))] + netfilterDrops
                + inOtherNamespaces(.codes([.dropped]))),

        // Routing.
        Grounds(
            .forwardingDisabled,
            seen: "drop in `ip_error`, `ip6_forward`",
            asked: "`forwarding` of the device, `ip_forward`, the route; IPv6: `all.forwarding`",
            [without([.functionNames], .never(.codes([.dropped]))), noDrops] + inOtherNamespaces(.codes([.dropped]))),
        Grounds(
            .routeLocalnetDisabled,
            seen: "drop by routing, of a packet to 127.0.0.0/8",
            asked: "`route_localnet` of `all` and the device",
            [without([.functionNames], .never(.codes([.dropped]))), noDrops] + inOtherNamespaces(.codes([.dropped]))),
        Grounds(
            .rpFilter,
            seen: "drop with reason `IP_RPFILTER`",
            asked: "`rp_filter` of `all` and the device, the route back",
            [without([.dropReasons], .never(.codes([.dropped]))), noDrops]),
        Grounds(
            .noRoute,
            seen:
                "drop by routing, or with a reason that says so; a SYN that a listener takes and that nothing follows",
            asked: "the route there, or back",
            [
                without([.functionNames], .partly("where the drop's reason says so", otherwise: .codes([.dropped]))),
                without(
                    [.functionNames, .dropReasons],
                    .partly("where the answer has no route", otherwise: .codes([.dropped]))),
                without(
                    [.hook(.kfreeSkb)], .partly("where the answer has no route", otherwise: .codes([.unexplained]))),
            ] + inOtherNamespaces(orElse: "where the drop's reason says so", .codes([.dropped, .unexplained]))),
        Grounds(
            .neighborUnreachable,
            seen:
                "drop with a reason `NEIGH_*` or in ARP or neighbour discovery; a SYN held back before its device",
            asked: "the route, the neighbour entry",
            [
                without(
                    [.functionNames, .dropReasons],
                    .partly("while the packet is held back", otherwise: .codes([.dropped]))),
                without(
                    [.hook(.kfreeSkb)], .partly("while the packet is held back", otherwise: .codes([.unexplained]))),
            ] + inOtherNamespaces(orElse: "once the packet is dropped", .codes([.unexplained]))),

        // Sockets.
        Grounds(
            .listenerOtherDevice, .listenerLoopbackOnly, .listenerOtherAddress,
            seen: "`tcp_v4_send_reset`, `tcp_v6_send_reset` for a SYN, without a socket",
            asked: "sockets that listen on the port; for a device in a VRF, `tcp_l3mdev_accept`",
            resets + inOtherNamespaces(.codes([.noListener]))),
        Grounds(
            .listenerOtherNetns,
            seen: "the same",
            asked: "sockets that listen on the port in all other namespaces; translating rules",
            resets + [without([.otherNamespaces], .never(.codes([.noListener])))]),
        Grounds(.noListener, seen: "the same", asked: "sockets that listen on the port, in all namespaces", resets),
        Grounds(
            .acceptQueueFull, kind: "accept queue",
            seen: "the look-up's listener with its queues, `tcp_check_req`",
            asked: "sockets that listen on the port",
            byFamily(.inetLookupListener, .inet6LookupListener, queueIsAsked)
                + byFamily(
                    .inetLookupListener, .inet6LookupListener, and: [.otherNamespaces],
                    .partly("in nattrace's own network namespace", otherwise: .codes([.unexplained])))
                + [
                    without([.hook(.tcpCheckReq)], queueIsAsked),
                    without(
                        [.hook(.tcpCheckReq), .otherNamespaces],
                        .partly(
                            "in nattrace's own network namespace",
                            otherwise: .codes([.socketRefused, .unexplained]))),
                ]),
        Grounds(
            .acceptQueueFull, kind: "SYN queue",
            seen: "the look-up's listener with its queues, and nothing after it",
            asked: "`tcp_syncookies` (0), `tcp_max_syn_backlog`",
            byFamily(.inetLookupListener, .inet6LookupListener, .never(.codes([.unexplained])))
                + inOtherNamespaces(.codes([.unexplained]))),
        Grounds(
            .socketRefused,
            seen:
                "`tcp_v4_send_reset`, `tcp_v6_send_reset` with a socket; a drop in TCP, after a look-up that found a"
                + " listener or with a reason that names one",
            asked: "sockets that listen on the port",
            byFamily(
                .inetLookupListener, .inet6LookupListener,
                .partly(
                    "if it resets the connection, or where the drop has such a reason", otherwise: .codes([.dropped])))
                + byFamily(
                    .inetLookupListener, .inet6LookupListener, and: [.dropReasons],
                    .partly("if it resets the connection", otherwise: .codes([.dropped])))
                + [
                    without(
                        [.functionNames], .partly("if it resets the connection", otherwise: .codes([.dropped]))),
                    without(
                        [.hook(.kfreeSkb)], .partly("if it resets the connection", otherwise: .codes([.unexplained]))),
                ]),

        // The way back, and elsewhere.
        Grounds(
            .hairpinWithoutSNAT,
            seen: "the client's RST on a SYN-ACK from an address that it did not dial; the translation",
            asked: "the routes to client and backend, where it was translated",
            inOtherNamespaces(.codes([.asymmetricReply, .resetByClient]))),
        Grounds(
            .asymmetricReply,
            seen: "the same, and the answer not in the namespace that translates", asked: "the same"),
        Grounds(.resetByClient, seen: "the client's RST on a SYN-ACK"),
        Grounds(.resetByBackend, seen: "an RST that comes in first", comesIn),
        Grounds(
            .icmpUnreachable, seen: "an ICMP error that comes in first, tied by the packet that it quotes", comesIn),
        Grounds(.dropped, seen: "a drop that no other code explains", [noDrops]),
        Grounds(
            .synackUnanswered, .synUnanswered, seen: "packets",
            [without([.hook(.netDevStartXmit)], .never(.codes([.unexplained])))]),
        Grounds(.unexplained, seen: "none of these"),
    ]

    // MARK: What several codes lack

    private static let noDrops = without([.hook(.kfreeSkb)], .never(.codes([.unexplained])))
    /// Netfilter's drops are known by their reason, or by the function.
    private static let netfilterDrops = [
        noDrops, without([.dropReasons, .functionNames], .never(.codes([.dropped]))),
    ]
    private static let ruleIsConcluded = without(
        [.hook(.nftTracePacket)], .poorer("the rule is concluded, and not named where several can have done it"))
    private static let queueIsAsked = Effect.concluded(from: "the queue's length at the time of the question")
    private static let comesIn = [without([.hook(.netifReceiveSkb)], .never(.codes([.unexplained])))]
    private static let whatAnInvalidPacketLeadsTo = Instead.whatFollows([
        .dropped, .noListener, .resetByClient, .synackUnanswered,
    ])
    /// Who made the RST for a SYN, and that there was no socket.
    private static let resets =
        byFamily(
            .tcpV4SendReset, .tcpV6SendReset,
            .concluded(
                from:
                    "`tcp:tcp_send_reset`, before 6.10 from the RST that leaves and the SYN freed with `NO_SOCKET`, or before 5.17 by `tcp_v4_rcv`, `tcp_v6_rcv`"
            ))
        + byFamily(
            .tcpV4SendReset, .tcpV6SendReset, and: [.dropReasons, .functionNames], .never(.codes([.unexplained])))
        + byFamily(.tcpV4SendReset, .tcpV6SendReset, and: [.hook(.kfreeSkb)], .never(.codes([.unexplained])))

    private static func without(_ missing: Set<Means>, _ effect: Effect) -> Lack {
        Lack(missing: missing, family: nil, effect: effect)
    }

    /// One lack for each family, whose hooks are two.
    private static func byFamily(_ v4: Hook, _ v6: Hook, and others: Set<Means> = [], _ effect: Effect) -> [Lack] {
        [(IPAddress.Family.v4, v4), (.v6, v6)].map { family, hook in
            Lack(missing: others.union([.hook(hook)]), family: family, effect: effect)
        }
    }

    private static func inOtherNamespaces(orElse cases: String? = nil, _ instead: Instead) -> [Lack] {
        let own = "in nattrace's own network namespace"
        return [without([.otherNamespaces], .partly(cases.map { "\(own), or \($0)" } ?? own, otherwise: instead))]
    }
}
