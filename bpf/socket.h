/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/* TCP: a packet delivered, a listener looked for, a SYN queued, answers sent, states changed. */
#include "packet.h"

static __always_inline int delivered(struct call call, __u16 hook)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_DELIVER,
		.hook = hook,
		.backend = call.backend,
		.stage = NATTRACE_STAGE_SOCKET,
	};

	return read_packet(&o, (void *)argument(call, 1)) ? observe_packet(&o) : 0;
}

ON_ENTRY(tcp_v4_rcv, tcp_v4_rcv, delivered, NATTRACE_HOOK_TCP_V4_RCV)
ON_ENTRY(tcp_v6_rcv, tcp_v6_rcv, delivered, NATTRACE_HOOK_TCP_V6_RCV)

/*
 * A listener look-up in progress on this CPU, where no program sees arguments and result at once. It runs in softirq, which neither
 * migrates nor nests, so one place a CPU is enough; a look-up from elsewhere
 * (sock_diag) has no packet and empties the place.
 */
struct lookup {
	__u32 valid;
	struct nattrace_observation observation;
};

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct lookup);
} lookups SEC(".maps");

static __always_inline int lookup_begins(struct call call, __u8 position, __u16 hook)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_LISTENER,
		.hook = hook,
		.backend = NATTRACE_BACKEND_KPROBE,
		.stage = NATTRACE_STAGE_SOCKET,
	};
	struct sk_buff *skb = (void *)argument(call, position);
	__u32 zero = 0;
	struct lookup *l = bpf_map_lookup_elem(&lookups, &zero);

	if (!l)
		return 0;
	l->valid = skb && read_packet(&o, skb);
	if (l->valid)
		l->observation = o;
	return 0;
}

/* Where a socket is bound, and how full its queues are. */
static __always_inline void read_listener(struct nattrace_observation *o, const struct sock *sk)
{
	const struct inet_connection_sock *icsk = (const struct inet_connection_sock *)sk;
	__u16 family = BPF_CORE_READ(sk, __sk_common.skc_family);

	o->bound.family = family;
	o->bound.port = BPF_CORE_READ(sk, __sk_common.skc_num);
	o->bound.ifindex = BPF_CORE_READ(sk, __sk_common.skc_bound_dev_if);
	if (family == AF_INET)
		*(__u32 *)o->bound.address = BPF_CORE_READ(sk, __sk_common.skc_rcv_saddr);
	else
		BPF_CORE_READ_INTO((__u8(*)[16])o->bound.address, sk, __sk_common.skc_v6_rcv_saddr.in6_u.u6_addr8);
	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_LISTEN)
		return;
	o->bound.accept_queue = BPF_CORE_READ(sk, sk_ack_backlog);
	o->bound.queue_limit = BPF_CORE_READ(sk, sk_max_ack_backlog);
	o->bound.syn_queue = BPF_CORE_READ(icsk, icsk_accept_queue.qlen.counter);
	o->bound.queues_known = 1;
}

/* The packet stays, its conntrack entry makes room for the socket. */
static __always_inline void note_listener(struct nattrace_observation *o, const struct sock *sk)
{
	o->ct = 0;
	o->sock = (__u64)sk;
	__builtin_memset(&o->ct_original, 0, sizeof(o->ct_original));
	__builtin_memset(&o->ct_reply, 0, sizeof(o->ct_reply));
	if (sk)
		read_listener(o, sk);
}

/* A packet with the socket that was found for it, or none. */
static __always_inline int observe_listener(const struct sk_buff *skb, const struct sock *sk, __u16 hook,
					    __u8 backend)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_LISTENER,
		.hook = hook,
		.backend = backend,
		.stage = NATTRACE_STAGE_SOCKET,
	};

	if (!read_packet(&o, skb))
		return 0;
	note_listener(&o, sk);
	return observe_packet(&o);
}

static __always_inline int lookup_returns(struct sock *sk)
{
	struct nattrace_observation o;
	__u32 zero = 0;
	struct lookup *l = bpf_map_lookup_elem(&lookups, &zero);

	if (!l || !l->valid)
		return 0;
	l->valid = 0;
	o = l->observation;
	note_listener(&o, sk);
	return observe_packet(&o);
}

SEC("kprobe")
int probe_inet_lookup_listener(struct pt_regs *ctx)
{
	return lookup_begins(KPROBE_CALL(ctx), nattrace_config.listener_skb,
			     NATTRACE_HOOK_INET_LOOKUP_LISTENER);
}

SEC("kretprobe")
int BPF_KRETPROBE(return_inet_lookup_listener, struct sock *found)
{
	return lookup_returns(found);
}

SEC("kprobe")
int probe_inet6_lookup_listener(struct pt_regs *ctx)
{
	return lookup_begins(KPROBE_CALL(ctx), nattrace_config.listener6_skb,
			     NATTRACE_HOOK_INET6_LOOKUP_LISTENER);
}

SEC("kretprobe")
int BPF_KRETPROBE(return_inet6_lookup_listener, struct sock *found)
{
	return lookup_returns(found);
}

/* A fexit program has both. A look-up from elsewhere (sock_diag) has no packet. */
static __always_inline int looked_up(struct call call, __u8 skb_position, __u8 found_position, __u16 hook)
{
	struct sk_buff *skb = (void *)argument(call, skb_position);

	return skb ? observe_listener(skb, (void *)argument(call, found_position), hook, NATTRACE_BACKEND_FENTRY) : 0;
}

SEC("fexit/__inet_lookup_listener")
int exit_inet_lookup_listener(__u64 *ctx)
{
	return looked_up(FENTRY_CALL(ctx), nattrace_config.listener_skb,
			 nattrace_config.listener_found, NATTRACE_HOOK_INET_LOOKUP_LISTENER);
}

SEC("fexit/inet6_lookup_listener")
int exit_inet6_lookup_listener(__u64 *ctx)
{
	return looked_up(FENTRY_CALL(ctx), nattrace_config.listener6_skb,
			 nattrace_config.listener6_found, NATTRACE_HOOK_INET6_LOOKUP_LISTENER);
}

/*
 * tcp_check_req(sk, skb, req, ...): a packet for a half-open handshake. Where it is the ACK that ends
 * it, the connection still has to find room in the listener's accept queue.
 */
static __always_inline int request_checked(struct call call)
{
	return observe_listener((void *)argument(call, 2), (void *)argument(call, 1), NATTRACE_HOOK_TCP_CHECK_REQ,
				call.backend);
}

ON_ENTRY(tcp_check_req, tcp_check_req, request_checked)

/* The flow that a socket or request stands for, local end first. IPv4 in a dual-stack socket counts as IPv4. */
static __always_inline void read_socket_tuple(struct nattrace_observation *o, const struct sock_common *sk)
{
	struct in6_addr remote;
	bool v6 = BPF_CORE_READ(sk, skc_family) == AF_INET6;

	if (v6) {
		BPF_CORE_READ_INTO(&remote, sk, skc_v6_daddr);
		v6 = remote.in6_u.u6_addr32[0] || remote.in6_u.u6_addr32[1] ||
		     remote.in6_u.u6_addr32[2] != bpf_htonl(0xffff);
	}
	o->family = v6 ? 6 : 4;
	if (v6) {
		__builtin_memcpy(o->packet.destination, &remote, 16);
		BPF_CORE_READ_INTO((__u8(*)[16])o->packet.source, sk, skc_v6_rcv_saddr.in6_u.u6_addr8);
	} else {
		*(__u32 *)o->packet.source = BPF_CORE_READ(sk, skc_rcv_saddr);
		*(__u32 *)o->packet.destination = BPF_CORE_READ(sk, skc_daddr);
	}
	o->packet.source_port = BPF_CORE_READ(sk, skc_num);
	o->packet.destination_port = bpf_ntohs(BPF_CORE_READ(sk, skc_dport));
	o->netns = BPF_CORE_READ(sk, skc_net.net, ns.inum);
}

static __always_inline void reverse(struct nattrace_tuple *t)
{
	struct nattrace_tuple r = *t;

	__builtin_memcpy(t->source, r.destination, 16);
	__builtin_memcpy(t->destination, r.source, 16);
	t->source_port = r.destination_port;
	t->destination_port = r.source_port;
}

/*
 * A request socket: half open, made for a SYN. Its rcv_isn is the thread. Shown
 * as the SYN that made it, or, where it is answered, as that SYN-ACK.
 */
static __always_inline int observe_request(struct nattrace_observation *o, struct request_sock *req, bool answer)
{
	struct tcp_request_sock *tcp = (struct tcp_request_sock *)req;
	__u32 isn = BPF_CORE_READ(tcp, rcv_isn);

	read_socket_tuple(o, &req->__req_common);
	o->seq = isn;
	o->tcp_flags = TCP_FLAG_SYN;
	if (answer) {
		o->seq = BPF_CORE_READ(tcp, snt_isn);
		o->ack = isn + 1;
		o->tcp_flags |= TCP_FLAG_ACK;
	} else {
		reverse(&o->packet);
	}
	return observe(o, isn, isn, false);
}

/* inet_csk_reqsk_queue_hash_add(sk, req, timeout): the SYN queue takes it. */
static __always_inline int request_queued(struct call call)
{
	struct sock *sk = (void *)argument(call, 1);
	struct request_sock *req = (void *)argument(call, 2);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_REQUEST,
		.hook = NATTRACE_HOOK_REQSK_QUEUE_HASH_ADD,
		.backend = call.backend,
		.stage = NATTRACE_STAGE_SOCKET,
		.sock = (__u64)sk,
	};

	return observe_request(&o, req, false);
}

ON_ENTRY(inet_csk_reqsk_queue_hash_add, inet_csk_reqsk_queue_hash_add, request_queued)

static __always_inline int synack_made(struct call call)
{
	struct sock *sk = (void *)argument(call, 1);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_TRANSMIT,
		.hook = NATTRACE_HOOK_TCP_MAKE_SYNACK,
		.backend = call.backend,
		.stage = NATTRACE_STAGE_OUTPUT,
		.sock = (__u64)sk,
	};
	struct request_sock *req = (struct request_sock *)argument(call, nattrace_config.make_synack_req);

	return req ? observe_request(&o, req, true) : 0;
}

ON_ENTRY(tcp_make_synack, tcp_make_synack, synack_made)

SEC("tp_btf/tcp_retransmit_synack")
int BPF_PROG(trace_tcp_retransmit_synack, struct sock *sk, struct request_sock *req)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RETRANSMIT,
		.hook = NATTRACE_HOOK_TCP_RETRANSMIT_SYNACK,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = NATTRACE_STAGE_OUTPUT,
		.sock = (__u64)sk,
	};

	return observe_request(&o, req, true);
}

/* tcp_connect(sk): the first SYN is about to be made, in the context of the process that dials. */
static __always_inline int connecting(struct call call)
{
	struct sock *sk = (void *)argument(call, 1);
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_TRANSMIT,
		.hook = NATTRACE_HOOK_TCP_CONNECT,
		.backend = call.backend,
		.stage = NATTRACE_STAGE_OUTPUT,
		.sock = (__u64)sk,
		.tcp_flags = TCP_FLAG_SYN,
		.pid = bpf_get_current_pid_tgid() >> 32,
	};

	read_socket_tuple(&o, &sk->__sk_common);
	o.seq = BPF_CORE_READ((struct tcp_sock *)sk, write_seq);
	bpf_get_current_comm(&o.name, sizeof(o.name));
	return observe(&o, o.seq, o.seq, true);
}

ON_ENTRY(tcp_connect, tcp_connect, connecting)

/* A SYN sent again: until it is acknowledged, snd_una is the ISN. */
SEC("tp_btf/tcp_retransmit_skb")
int BPF_PROG(trace_tcp_retransmit_skb, struct sock *sk)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_RETRANSMIT,
		.hook = NATTRACE_HOOK_TCP_RETRANSMIT_SKB,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = NATTRACE_STAGE_OUTPUT,
		.sock = (__u64)sk,
		.tcp_flags = TCP_FLAG_SYN,
	};

	if (BPF_CORE_READ(sk, __sk_common.skc_state) != TCP_SYN_SENT)
		return 0;
	read_socket_tuple(&o, &sk->__sk_common);
	o.seq = BPF_CORE_READ((struct tcp_sock *)sk, snd_una);
	return observe(&o, o.seq, o.seq, true);
}

/*
 * The end of a handshake at one of its ends. A client's snd_una is its ISN, or
 * one more once that is acknowledged; a server's copied_seq is the client's ISN
 * and one until data is read.
 */
SEC("tp_btf/inet_sock_set_state")
int BPF_PROG(trace_inet_sock_set_state, struct sock *sk, int before, int after)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_SOCKET_STATE,
		.hook = NATTRACE_HOOK_INET_SOCK_SET_STATE,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = NATTRACE_STAGE_SOCKET,
		.sock = (__u64)sk,
	};
	__u32 isn, other;

	if (before != TCP_SYN_SENT && before != TCP_SYN_RECV)
		return 0;
	if (after != TCP_ESTABLISHED && after != TCP_CLOSE)
		return 0;
	if (BPF_CORE_READ(sk, sk_protocol) != IPPROTO_TCP)
		return 0;
	o.detail = before << 4 | after;
	isn = before == TCP_SYN_RECV ? BPF_CORE_READ((struct tcp_sock *)sk, copied_seq)
				     : BPF_CORE_READ((struct tcp_sock *)sk, snd_una);
	other = before == TCP_SYN_RECV ? isn - 1 : isn;
	if (!find(&o, isn - 1, other))
		return 0;
	read_socket_tuple(&o, &sk->__sk_common);
	if (before == TCP_SYN_RECV)
		reverse(&o.packet);
	return observe(&o, isn - 1, other, false);
}
