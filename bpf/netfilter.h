/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Connection tracking and NAT: what was decided, and the packet being rewritten. */
#include "packet.h"

/*
 * nf_conntrack_in(skb, state): the packet is put to conntrack. The answer is
 * seen where it is given, in nf_conntrack_tcp_packet and the log functions: a
 * return probe here would cost every packet of the machine more than an entry probe.
 * No answer at all, and then a drop, is one as well: no entry could be made.
 */
static __always_inline int conntrack_asked(struct call call)
{
	struct sk_buff *skb = (void *)argument(call, 1);
	struct nf_hook_state *state = (void *)argument(call, 2);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_CONNTRACK,
		.hook = NATTRACE_HOOK_NF_CONNTRACK_IN,
		.backend = call.backend,
		.detail = NATTRACE_CONNTRACK_ASKED,
	};

	if (!read_packet(&o, skb))
		return 0;
	if (!o.ct && o.ct_info == NATTRACE_CTINFO_UNTRACKED)
		o.detail = NATTRACE_CONNTRACK_UNTRACKED;
	o.stage = stage_of_hook(BPF_CORE_READ(state, hook));
	o.netns = BPF_CORE_READ(state, net, ns.inum);
	return observe_packet(&o);
}

ON_ENTRY(nf_conntrack_in, nf_conntrack_in, conntrack_asked)

/*
 * Whether a SYN is the one that the entry was made for, sent again: nothing came after it in its
 * direction, so the entry's end of the sequence space is still this SYN's.
 */
static __always_inline bool is_sent_again(const struct nattrace_observation *o, const struct nf_conn *ct)
{
	if ((o->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) != TCP_FLAG_SYN)
		return false;
	if (o->ct_state != TCP_CONNTRACK_SYN_SENT && o->ct_state != TCP_CONNTRACK_SYN_RECV)
		return false;
	return BPF_CORE_READ(ct, proto.tcp.seen[0].td_end) == o->seq + o->payload + 1;
}

/* nf_conntrack_tcp_packet(ct, skb, dataoff, ctinfo, state): skb->_nfct is set, nothing is decided by state yet. */
static __always_inline int conntrack_answered(struct call call)
{
	struct nf_conn *ct = (void *)argument(call, 1);
	struct sk_buff *skb = (void *)argument(call, 2);
	struct nf_hook_state *state = (void *)argument(call, 5);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_CONNTRACK,
		.hook = NATTRACE_HOOK_NF_CONNTRACK_TCP_PACKET,
		.backend = call.backend,
	};

	if (!read_packet(&o, skb))
		return 0;
	o.detail = !(o.ct_status & IPS_CONFIRMED) ? NATTRACE_CONNTRACK_NEW
		   : is_sent_again(&o, ct)	  ? NATTRACE_CONNTRACK_AGAIN
						  : NATTRACE_CONNTRACK_MATCH;
	o.stage = stage_of_hook(BPF_CORE_READ(state, hook));
	o.netns = BPF_CORE_READ(state, net, ns.inum);
	return observe_packet(&o);
}

ON_ENTRY(nf_conntrack_tcp_packet, nf_conntrack_tcp_packet, conntrack_answered)

/*
 * Called for INVALID packets even with nf_conntrack_log_invalid=0; the format string is the reason. No
 * fentry programs: the kernel has none for functions with variable arguments.
 */
static __always_inline int conntrack_invalid(struct pt_regs *ctx, __u16 hook, __u8 position)
{
	struct call call = KPROBE_CALL(ctx);
	struct sk_buff *skb = (void *)argument(call, 1);
	const char *format = (const char *)argument(call, position);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_CONNTRACK,
		.hook = hook,
		.backend = call.backend,
		.detail = NATTRACE_CONNTRACK_INVALID,
	};

	if (!read_packet(&o, skb))
		return 0;
	o.ct = 0;
	__builtin_memset(&o.text, 0, sizeof(o.text));
	if (format)
		bpf_probe_read_kernel_str(&o.text, sizeof(o.text), format);
	/* tcp_error_log() hands its words over as the argument of a format that is nothing but "%s". */
	if (o.text[0] == '%' && o.text[1] == 's' && !o.text[2])
		bpf_probe_read_kernel_str(&o.text, sizeof(o.text), (const char *)argument(call, position + 1));
	return observe_packet(&o);
}

SEC("kprobe")
int probe_nf_ct_l4proto_log_invalid(struct pt_regs *ctx)
{
	return conntrack_invalid(ctx, NATTRACE_HOOK_NF_CT_L4PROTO_LOG_INVALID, nattrace_config.ct_log_invalid_text);
}

SEC("kprobe")
int probe_nf_l4proto_log_invalid(struct pt_regs *ctx)
{
	return conntrack_invalid(ctx, NATTRACE_HOOK_NF_L4PROTO_LOG_INVALID, nattrace_config.log_invalid_text);
}

/*
 * nf_nat_setup_info(ct, range, maniptype): a rule, or the lack of one, binds a
 * new entry. There is no packet, but tcp_new() has just noted where the SYN's
 * sequence space ends: its ISN and one.
 */
static __always_inline int nat_set_up(struct call call)
{
	struct nf_conn *ct = (void *)argument(call, 1);
	struct nf_nat_range2 *range = (void *)argument(call, 2);
	unsigned int manip = argument(call, 3);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_NAT_SETUP,
		.hook = NATTRACE_HOOK_NF_NAT_SETUP_INFO,
		.backend = call.backend,
		.detail = manip,
	};
	struct nf_nat_range2 asked = {};
	__u32 isn, *low, *high, *kept;

	if (BPF_CORE_READ(ct, tuplehash[0].tuple.dst.protonum) != IPPROTO_TCP)
		return 0;
	read_conntrack(&o, ct, IP_CT_NEW);
	if (!o.ct)
		return 0;
	bpf_probe_read_kernel(&asked, sizeof(asked), range);
	o.reason = asked.flags;
	__builtin_memcpy(o.packet.source, asked.min_addr, sizeof(asked.min_addr));
	__builtin_memcpy(o.packet.destination, asked.max_addr, sizeof(asked.max_addr));
	o.packet.source_port = bpf_ntohs(asked.min_proto);
	o.packet.destination_port = bpf_ntohs(asked.max_proto);

	/*
	 * nf_nat_alloc_null_binding() asks for the address that the flow has
	 * anyway: no rule matched, nothing is rewritten, nothing is to be told.
	 */
	low = (__u32 *)o.packet.source;
	high = (__u32 *)o.packet.destination;
	kept = (__u32 *)(manip == NF_NAT_MANIP_SRC ? o.ct_reply.destination : o.ct_reply.source);
	if (o.reason == NF_NAT_RANGE_MAP_IPS && low[0] == high[0] && low[1] == high[1] && low[2] == high[2] &&
	    low[3] == high[3] && low[0] == kept[0] && low[1] == kept[1] && low[2] == kept[2] && low[3] == kept[3])
		return 0;

	o.netns = BPF_CORE_READ(ct, ct_net.net, ns.inum);
	isn = BPF_CORE_READ(ct, proto.tcp.seen[0].td_end) - 1;
	return observe(&o, isn, isn, false);
}

ON_ENTRY(nf_nat_setup_info, nf_nat_setup_info, nat_set_up)

/*
 * nf_nat_packet() asks nf_nat_manip_pkt(skb, ct, mtype, dir) for the destination
 * at PREROUTING and OUTPUT, and for the source at POSTROUTING and INPUT. Which
 * of the two is told by what the packet has by then.
 */
static __always_inline __u8 nat_stage(const struct sk_buff *skb, unsigned int manip, __u8 family)
{
	bool came_in = BPF_CORE_READ(skb, skb_iif) != 0;
	struct dst_entry *dst;

	if (manip != NF_NAT_MANIP_SRC)
		return came_in ? NATTRACE_STAGE_PREROUTING : NATTRACE_STAGE_OUTPUT;
	dst = skb_dst(skb);
	if (!came_in || !dst)
		return NATTRACE_STAGE_POSTROUTING;
	return is_routed_here(dst, family) ? NATTRACE_STAGE_INPUT : NATTRACE_STAGE_POSTROUTING;
}

static __always_inline int nat_rewrites(struct call call)
{
	struct sk_buff *skb = (void *)argument(call, 1);
	struct nf_conn *ct = (void *)argument(call, 2);
	unsigned int manip = argument(call, 3);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_NAT_PACKET,
		.hook = NATTRACE_HOOK_NF_NAT_MANIP_PKT,
		.backend = call.backend,
		.detail = manip,
	};

	if (!read_packet(&o, skb))
		return 0;
	o.stage = nat_stage(skb, manip, o.family);
	o.netns = BPF_CORE_READ(ct, ct_net.net, ns.inum);
	return observe_packet(&o);
}

ON_ENTRY(nf_nat_manip_pkt, nf_nat_manip_pkt, nat_rewrites)
