/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* RSTs that this machine makes. Each is shown with the packet it answers, not the RST itself. */
#include "packet.h"

/*
 * tcp_v4_send_reset() and tcp_v6_send_reset() return without sending for an
 * RST, and without a socket for a packet that was not routed to this machine.
 */
static __always_inline bool answers_with_reset(const struct nattrace_observation *o, const struct sk_buff *skb,
					       const struct sock *sk)
{
	struct dst_entry *dst;

	if (o->tcp_flags & TCP_FLAG_RST)
		return false;
	if (sk)
		return true;
	dst = skb_dst(skb);
	if (!dst)
		return false;
	if (o->family == 4)
		return BPF_CORE_READ((struct rtable *)dst, rt_type) == RTN_LOCAL;
	return BPF_CORE_READ((struct rt6_info *)dst, rt6i_flags) & RTF_LOCAL;
}

static __always_inline int reset_by_tcp(struct call call, __u16 hook)
{
	const struct sock *sk = (void *)argument(call, 1);
	struct sk_buff *skb = (void *)argument(call, 2);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RESET,
		.hook = hook,
		.backend = call.backend,
		.stage = NATTRACE_STAGE_SOCKET,
		.detail = NATTRACE_RESET_TCP,
		.sock = (__u64)sk,
	};

	if (!read_packet(&o, skb) || !answers_with_reset(&o, skb, sk))
		return 0;
	if (nattrace_config.send_reset_reason) {
		o.reason = (__u32)argument(call, nattrace_config.send_reset_reason);
		o.has_reason = 1;
	}
	return observe_packet(&o);
}

ON_ENTRY(tcp_v4_send_reset, tcp_v4_send_reset, reset_by_tcp, NATTRACE_HOOK_TCP_V4_SEND_RESET)
ON_ENTRY(tcp_v6_send_reset, tcp_v6_send_reset, reset_by_tcp, NATTRACE_HOOK_TCP_V6_SEND_RESET)

/*
 * TCP aborts a connection of its own. Within a handshake that is a client's
 * socket, known by snd_una, or a server's, known by copied_seq.
 */
static __always_inline int reset_of_own(struct nattrace_observation *o, const struct sock *sk)
{
	const struct tcp_sock *tcp = (const struct tcp_sock *)sk;

	o->kind = NATTRACE_KIND_RESET;
	o->stage = NATTRACE_STAGE_SOCKET;
	o->detail = NATTRACE_RESET_ACTIVE;
	o->sock = (__u64)sk;
	read_socket_tuple(o, &sk->__sk_common);
	return observe(o, BPF_CORE_READ(tcp, snd_una) - 1, BPF_CORE_READ(tcp, copied_seq) - 1, false);
}

static __always_inline int reset_of_socket(struct call call)
{
	const struct sock *sk = (void *)argument(call, 1);
	struct nattrace_observation o = {
		.hook = NATTRACE_HOOK_TCP_SEND_ACTIVE_RESET,
		.backend = call.backend,
	};

	if (nattrace_config.active_reset_reason) {
		o.reason = (__u32)argument(call, nattrace_config.active_reset_reason);
		o.has_reason = 1;
	}
	return reset_of_own(&o, sk);
}

ON_ENTRY(tcp_send_active_reset, tcp_send_active_reset, reset_of_socket)

/* tcp:tcp_send_reset(sk, skb[, reason]): the way to both of the above where functions cannot be hooked. */
SEC("tp_btf/tcp_send_reset")
int trace_tcp_send_reset(__u64 *ctx)
{
	struct sock *sk = (struct sock *)ctx[0];
	struct sk_buff *skb = (struct sk_buff *)ctx[1];
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RESET,
		.hook = NATTRACE_HOOK_TCP_SEND_RESET_TRACEPOINT,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = NATTRACE_STAGE_SOCKET,
		.detail = NATTRACE_RESET_TCP,
		.sock = (__u64)sk,
	};

	if (nattrace_config.tcp_send_reset_reason == 3) {
		o.reason = (__u32)ctx[2];
		o.has_reason = 1;
	}
	if (!skb)
		return sk ? reset_of_own(&o, sk) : 0;
	return read_packet(&o, skb) ? observe_packet(&o) : 0;
}

/* REJECT with tcp-reset makes its RST on its own, past the functions above. */
static __always_inline int reset_by_netfilter(struct call call, __u8 position, __u16 hook)
{
	struct sk_buff *skb = (void *)argument(call, position);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RESET,
		.hook = hook,
		.backend = call.backend,
		.detail = NATTRACE_RESET_NETFILTER,
	};

	if (!skb || !read_packet(&o, skb))
		return 0;
	o.stage = stage_by_state(skb, o.family);
	return observe_packet(&o);
}

ON_ENTRY(nf_send_reset, nf_send_reset, reset_by_netfilter, nattrace_config.nf_send_reset_skb,
	 NATTRACE_HOOK_NF_SEND_RESET)
ON_ENTRY(nf_send_reset6, nf_send_reset6, reset_by_netfilter, nattrace_config.nf_send_reset6_skb,
	 NATTRACE_HOOK_NF_SEND_RESET6)
