/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which nftables rule, or which chain's policy, decided on a packet.
 *
 * __nft_trace_packet() is called for each rule whose matches held, as long as any
 * rule of the machine turns tracing on; it then does nothing for packets that
 * are not traced, and nothing is changed for them. See RuleTraceSwitch.swift for
 * who turns it on. Of all it is called for, few decide: those are told.
 */
#include "packet.h"

#define RULES_WALKED 256 /* rules behind the one that matched, on the way to the end of their chain */

/*
 * The chain of a rule, from 6.4 on: it stands behind the last rule. NULL where that is too far; the
 * rule's handle still leads there.
 */
static __always_inline const struct nft_chain *chain_of(const struct nft_rule_dp *rule)
{
	for (int i = 0; i < RULES_WALKED; i++) {
		if (BPF_CORE_READ_BITFIELD_PROBED(rule, is_last))
			return BPF_CORE_READ((const struct nft_rule_dp_last *)rule, chain);
		rule = (const void *)rule + bpf_core_type_size(struct nft_rule_dp) +
		       BPF_CORE_READ_BITFIELD_PROBED(rule, dlen);
	}
	return NULL;
}

/* Whether a rule's verdict is one that is told: it ends the packet's way through this chain. */
static __always_inline bool decides(const struct nattrace_observation *o, __u32 verdict,
				    const struct nft_base_chain *base)
{
	if (verdict == NFT_JUMP || verdict == NFT_GOTO || verdict == NFT_RETURN)
		return false;
	/* `notrack` leaves nothing behind but a packet that is marked so. */
	if (verdict == NFT_CONTINUE)
		return !o->ct && o->ct_info == NATTRACE_CTINFO_UNTRACKED;
	/* A rule that accepts is of interest where it translates. */
	if (verdict == NF_ACCEPT)
		return BPF_CORE_READ(base, type, type) == NFT_CHAIN_T_NAT;
	return true;
}

static __always_inline int rule_traced(struct call call)
{
	const struct nft_traceinfo *info = (void *)argument(call, nattrace_config.nft_trace_info);
	const struct nft_traceinfo___holding *holding = (const void *)info;
	const struct nft_base_chain *base = BPF_CORE_READ(info, basechain);
	const struct nft_chain *chain = NULL;
	const struct nft_table *table;
	const struct nft_verdict *verdict;
	const struct nft_pktinfo *packet;
	const struct nft_rule_dp *rule;
	const struct nf_hook_state *state;
	__u8 type = argument(call, nattrace_config.nft_trace_type);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RULE,
		.hook = NATTRACE_HOOK_NFT_TRACE_PACKET,
		.backend = call.backend,
	};
	__u64 handle = 0;

	if (nattrace_config.nft_trace_packet) {
		packet = (void *)argument(call, nattrace_config.nft_trace_packet);
		verdict = (void *)argument(call, nattrace_config.nft_trace_verdict);
		rule = (void *)argument(call, nattrace_config.nft_trace_rule);
	} else {
		packet = BPF_CORE_READ(holding, pkt);
		verdict = BPF_CORE_READ(holding, verdict);
		rule = BPF_CORE_READ(holding, rule);
	}
	if (!read_packet(&o, BPF_CORE_READ(packet, skb)))
		return 0;

	if (type == NFT_TRACETYPE_POLICY) {
		o.detail = NATTRACE_RULE_POLICY;
		o.reason = BPF_CORE_READ(base, policy);
		if (o.reason == NF_ACCEPT)
			return 0;
		chain = &base->chain;
	} else if (type == NFT_TRACETYPE_RULE) {
		o.reason = BPF_CORE_READ(verdict, code);
		if (!rule || !decides(&o, o.reason, base))
			return 0;
		handle = BPF_CORE_READ_BITFIELD_PROBED(rule, handle);
		if (nattrace_config.nft_trace_chain)
			chain = (void *)argument(call, nattrace_config.nft_trace_chain);
		else
			chain = chain_of(rule);
	} else {
		return 0;
	}

	o.ct = 0;
	__builtin_memset(&o.ct_original, 0, sizeof(o.ct_original));
	__builtin_memset(&o.ct_reply, 0, sizeof(o.ct_reply));
	o.rule.handle_low = handle;
	o.rule.handle_high = handle >> 32;
	/* A user's chain is in the table of the base chain that led there. */
	table = BPF_CORE_READ(base, chain.table);
	o.rule_family = BPF_CORE_READ_BITFIELD_PROBED(table, family);
	bpf_probe_read_kernel_str(o.rule.table, sizeof(o.rule.table), BPF_CORE_READ(table, name));
	if (chain)
		bpf_probe_read_kernel_str(o.rule.chain, sizeof(o.rule.chain), BPF_CORE_READ(chain, name));

	state = BPF_CORE_READ(packet, state);
	o.netns = BPF_CORE_READ(state, net, ns.inum);
	if (BPF_CORE_READ(state, pf) == NFPROTO_NETDEV)
		o.stage = BPF_CORE_READ(state, hook) == NF_NETDEV_INGRESS ? NATTRACE_STAGE_INGRESS
									     : NATTRACE_STAGE_EGRESS;
	else
		o.stage = stage_of_hook(BPF_CORE_READ(state, hook));
	return observe_packet(&o);
}

ON_ENTRY(nft_trace_packet, __nft_trace_packet, rule_traced)
