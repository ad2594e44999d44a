/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* Packets at the edges: coming in by a device, leaving by one, and freed as dropped. */
#include "icmp.h"

/* The rest of a program at a device, in a frame of its own: the kernel bounds what a chain of calls may use. */
static __noinline int observe_at_device(const struct headers *h, const struct sk_buff *skb, __u16 hook)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_PACKET,
		.hook = hook,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = hook == NATTRACE_HOOK_NETIF_RECEIVE_SKB ? NATTRACE_STAGE_INGRESS : NATTRACE_STAGE_EGRESS,
	};

	return note_packet(&o, h, skb) ? observe_packet(&o) : 0;
}

/*
 * These two see every packet of the machine, so they read the headers' place by
 * direct loads, which BTF tracepoints may do, and fill nothing in before that.
 */
SEC("tp_btf/netif_receive_skb")
int BPF_PROG(trace_netif_receive_skb, struct sk_buff *skb)
{
	struct headers h;
	unsigned char *data = skb->data;

	/* Fired before skb_reset_network_header(): here the network header is where data is. */
	if (!read_headers(&h, data, skb->tail - (data - skb->head))) {
		if (h.icmp)
			observe_icmp(&h, skb, data, skb->tail - (data - skb->head), NATTRACE_HOOK_NETIF_RECEIVE_SKB);
		return 0;
	}
	return observe_at_device(&h, skb, NATTRACE_HOOK_NETIF_RECEIVE_SKB);
}

SEC("tp_btf/net_dev_start_xmit")
int BPF_PROG(trace_net_dev_start_xmit, struct sk_buff *skb)
{
	struct headers h;
	__u16 network = skb->network_header;

	if (!read_headers(&h, skb->head + network, skb->tail - network)) {
		if (h.icmp)
			observe_icmp(&h, skb, skb->head + network, skb->tail - network,
				     NATTRACE_HOOK_NET_DEV_START_XMIT);
		return 0;
	}
	return observe_at_device(&h, skb, NATTRACE_HOOK_NET_DEV_START_XMIT);
}

/* Raw context, because the number of arguments grew: a reason came in 5.17, a socket in 6.11. */
SEC("tp_btf/kfree_skb")
int trace_kfree_skb(__u64 *ctx)
{
	struct sk_buff *skb = (struct sk_buff *)ctx[0];
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_DROP,
		.hook = NATTRACE_HOOK_KFREE_SKB,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
	};

	if (!read_packet(&o, skb))
		return 0;
	o.location = ctx[1];
	o.stage = stage_by_state(skb, o.family);
	if (nattrace_config.kfree_skb_reason == 3) {
		o.reason = (__u32)ctx[2];
		o.has_reason = 1;
	}
	return observe_packet(&o);
}
