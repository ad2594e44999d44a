// The positions that `struct nattrace_configuration` wants, each asked of BTF.

import CNattrace

extension nattrace_configuration {
    /// Positions that cannot be told yet, because a module is not loaded, stay 0; programs
    /// that need them are loaded later, with a configuration of their own.
    mutating func setArgumentPositions(from types: KernelTypes) {
        // skb:kfree_skb is (skb, location); + reason 5.17 (c504e5c2f964), + rx_sk 6.11.
        kfree_skb_reason = types.kernel.prototype(ofTracepoint: "kfree_skb")?.position(ofEnum: "skb_drop_reason") ?? 0
        // tcp:tcp_send_reset is (sk, skb); + reason 6.10, from when on it shows every RST.
        tcp_send_reset_reason =
            types.kernel.prototype(ofTracepoint: "tcp_send_reset")?.position(ofEnum: "sk_rst_reason") ?? 0
        // Both take the same arguments: they fill the same field of struct request_sock_ops.
        send_reset_reason =
            (types.prototype(ofFunction: "tcp_v4_send_reset") ?? types.prototype(ofFunction: "tcp_v6_send_reset"))?
            .position(ofEnum: "sk_rst_reason") ?? 0
        active_reset_reason =
            types.prototype(ofFunction: "tcp_send_active_reset")?.position(ofEnum: "sk_rst_reason") ?? 0
        let listener = types.prototype(ofFunction: "__inet_lookup_listener")
        listener_skb = listener?.position(ofPointerTo: "sk_buff") ?? 0
        listener_found = listener?.positionOfResult ?? 0
        let listener6 = types.prototype(ofFunction: "inet6_lookup_listener", module: "ipv6")
        listener6_skb = listener6?.position(ofPointerTo: "sk_buff") ?? 0
        listener6_found = listener6?.positionOfResult ?? 0
        // __nft_trace_packet is (info, chain, type) to 6.3, then (pkt, verdict, rule, info, type). Without the
        // module's BTF the rest of what is read could not be found either.
        if let trace = types.prototype(ofFunction: "__nft_trace_packet", module: "nf_tables") {
            nft_trace_info = trace.position(ofPointerTo: "nft_traceinfo")
            nft_trace_type = trace.position(ofEnum: "nft_trace_types")
            nft_trace_chain = trace.position(ofPointerTo: "nft_chain")
            nft_trace_packet = trace.position(ofPointerTo: "nft_pktinfo")
            nft_trace_verdict = trace.position(ofPointerTo: "nft_verdict")
            nft_trace_rule = trace.position(ofPointerTo: "nft_rule_dp")
        }
        make_synack_req = types.prototype(ofFunction: "tcp_make_synack")?.position(ofPointerTo: "request_sock") ?? 0

        // Where there is no BTF of modules (5.10, or CONFIG_DEBUG_INFO_BTF_MODULES is off):
        // nf_send_reset got a socket in 5.11, and 5.10's stable kernels have it as well (seen in
        // Debian's). The log functions changed shortly before kfree_skb got its reason in
        // 5.17, which the kernel's own BTF tells. On the few kernels in between a wrong pointer
        // is read: the kernel side reads it with care and finds no packet, or no words.
        let isOld = kfree_skb_reason == 0
        nf_send_reset_skb =
            types.prototype(ofFunction: "nf_send_reset", module: "nf_reject_ipv4")?.position(ofPointerTo: "sk_buff")
            ?? 3
        nf_send_reset6_skb =
            types.prototype(ofFunction: "nf_send_reset6", module: "nf_reject_ipv6")?.position(ofPointerTo: "sk_buff")
            ?? 3
        ct_log_invalid_text =
            types.prototype(ofFunction: "nf_ct_l4proto_log_invalid", module: "nf_conntrack")?.position(named: "fmt")
            ?? (isOld ? 3 : 4)
        log_invalid_text =
            types.prototype(ofFunction: "nf_l4proto_log_invalid", module: "nf_conntrack")?.position(named: "fmt")
            ?? (isOld ? 5 : 4)
    }
}
