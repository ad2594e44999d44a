/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * From kernel objects to the fields of an observation: headers of a packet,
 * its conntrack entry, its namespace, its socket.
 *
 * The cost rule lives here: read_headers() gives up on a packet that is no part
 * of a handshake after one read of its headers, before anything is looked up.
 */
#ifndef NATTRACE_PACKET_H
#define NATTRACE_PACKET_H

#include "follow.h"
#include <bpf/bpf_endian.h>

struct ip_header { /* the first 40 bytes: IPv4 with the TCP header behind it, or IPv6 */
	union {
		struct {
			__u8 version_ihl, tos;
			__be16 total_length, id, fragment;
			__u8 ttl, protocol;
			__be16 checksum;
			__be32 source, destination;
			__u8 tcp[20];
		} v4;
		struct {
			__be32 version_class_flow;
			__be16 payload_length;
			__u8 next_header, hop_limit;
			__u8 source[16], destination[16];
		} v6;
	};
};

struct tcp_header {
	__be16 source_port, destination_port;
	__be32 seq, ack;
	__u8 offset, flags;
	__be16 window, checksum, urgent;
};

#define IPV6_EXTENSIONS 4 /* headers skipped on the way to TCP, at most */

/* Offset of TCP behind IPv6 extension headers (RFC 8200, 4), 0: none there, or a later fragment. */
static __always_inline __u32 skip_ipv6_extensions(const unsigned char *network, __u8 next)
{
	__u32 offset = 40;

	for (int i = 0; i < IPV6_EXTENSIONS; i++) {
		struct {
			__u8 next, length;
			__be16 fragment;
		} extension;

		if (next == IPPROTO_TCP)
			return offset;
		if (next != 0 && next != 43 && next != 44 && next != 60)
			return 0;
		if (bpf_probe_read_kernel(&extension, sizeof(extension), network + offset))
			return 0;
		if (next == 44 && extension.fragment & bpf_htons(0xfff8))
			return 0;
		offset += next == 44 ? 8 : (extension.length + 1) * 8;
		next = extension.next;
	}
	return next == IPPROTO_TCP ? offset : 0;
}

struct headers {
	struct ip_header ip;
	struct tcp_header tcp;
	__u32 payload; /* TCP payload in bytes */
	__u32 isn;     /* its connection's, if that is followed */
	__u8 followed;
	__u8 family;   /* 4 or 6 */
	__u8 icmp;     /* offset of an ICMP header that may be an error's; else 0 */
};

/*
 * Whether its connection is followed, which is noted, or may begin with it. Has a frame of its own: the kernel bounds
 * what a chain of calls may use, and other chains are longer.
 */
static __noinline bool is_of_interest(struct headers *h)
{
	struct numbers n = numbers_of(h->tcp.flags, bpf_ntohl(h->tcp.seq), bpf_ntohl(h->tcp.ack));

	h->followed = is_followed(&h->isn, n.first, n.second);
	return h->followed || n.may_begin || is_held(n.first);
}

/*
 * Reads the headers of the TCP packet at `network`, of which `linear` bytes lie
 * in the linear buffer. False: not TCP, not readable, or no part of a handshake.
 */
static __always_inline bool read_headers(struct headers *h, const unsigned char *network, __u32 linear)
{
	__u32 offset, length;
	__u8 version;

	h->icmp = 0;
	if (linear < sizeof(h->ip) || linear > 65535 || bpf_probe_read_kernel(&h->ip, sizeof(h->ip), network))
		return false;
	version = h->ip.v4.version_ihl >> 4;
	if (version == 4) {
		offset = (h->ip.v4.version_ihl & 15) * 4;
		if (h->ip.v4.protocol != IPPROTO_TCP || h->ip.v4.fragment & bpf_htons(0x1fff)) {
			if (h->ip.v4.protocol == IPPROTO_ICMP)
				h->icmp = offset;
			return false;
		}
		length = bpf_ntohs(h->ip.v4.total_length);
	} else if (version == 6) {
		offset = 40;
		if (h->ip.v6.next_header == IPPROTO_ICMPV6) {
			h->icmp = offset;
			return false;
		}
		if (h->ip.v6.next_header != IPPROTO_TCP)
			offset = skip_ipv6_extensions(network, h->ip.v6.next_header);
		length = bpf_ntohs(h->ip.v6.payload_length) + 40;
	} else {
		return false;
	}
	if (offset == 20) /* the common IPv4 header: TCP's has been read with it */
		__builtin_memcpy(&h->tcp, h->ip.v4.tcp, sizeof(h->tcp));
	else if (offset < 20 || offset + sizeof(h->tcp) > linear ||
		 bpf_probe_read_kernel(&h->tcp, sizeof(h->tcp), network + offset))
		return false;
	if (!may_concern_handshake(h->tcp.flags, bpf_ntohl(h->tcp.seq)))
		return false;
	if (!is_of_interest(h))
		return false;
	offset += (h->tcp.offset >> 4) * 4;
	h->payload = length > offset ? length - offset : 0;
	h->family = version;
	/* One way on for the verifier, however they were found: see forget_how(). */
	bpf_probe_read_kernel(h, sizeof(*h), h);
	return true;
}

static __always_inline void note_headers(struct nattrace_observation *o, const struct headers *h)
{
	o->family = h->family;
	o->tcp_flags = h->tcp.flags;
	o->seq = bpf_ntohl(h->tcp.seq);
	o->ack = h->tcp.flags & TCP_FLAG_ACK ? bpf_ntohl(h->tcp.ack) : 0;
	o->payload = h->payload;
	o->isn = h->isn;
	o->followed = h->followed;
	o->packet.source_port = bpf_ntohs(h->tcp.source_port);
	o->packet.destination_port = bpf_ntohs(h->tcp.destination_port);
	if (h->family == 4) {
		*(__u32 *)o->packet.source = h->ip.v4.source;
		*(__u32 *)o->packet.destination = h->ip.v4.destination;
	} else {
		__builtin_memcpy(o->packet.source, h->ip.v6.source, 16);
		__builtin_memcpy(o->packet.destination, h->ip.v6.destination, 16);
	}
}

static __always_inline void read_tuple(struct nattrace_tuple *to, const struct nf_conntrack_tuple *from)
{
	BPF_CORE_READ_INTO((__u32(*)[4])to->source, from, src.u3.all);
	BPF_CORE_READ_INTO((__u32(*)[4])to->destination, from, dst.u3.all);
	to->source_port = bpf_ntohs(BPF_CORE_READ(from, src.u.all));
	to->destination_port = bpf_ntohs(BPF_CORE_READ(from, dst.u.all));
}

/* The entry that skb->_nfct (or a hooked function) names; `info`: enum ip_conntrack_info. */
static __always_inline void read_conntrack(struct nattrace_observation *o, const struct nf_conn *ct, __u8 info)
{
	__u32 status;

	o->ct_info = info;
	if (!ct)
		return;
	status = BPF_CORE_READ(ct, status);
	if (status & IPS_TEMPLATE) /* a zone or helper for an entry to come, not an entry */
		return;
	o->ct = (__u64)ct;
	o->ct_status = status;
	o->ct_state = BPF_CORE_READ(ct, proto.tcp.state);
	o->ct_zone = ct_zone(ct);
	if (!o->family)
		o->family = BPF_CORE_READ(ct, tuplehash[0].tuple.src.l3num) == AF_INET ? 4 : 6;
	read_tuple(&o->ct_original, &ct->tuplehash[0].tuple);
	read_tuple(&o->ct_reply, &ct->tuplehash[1].tuple);
}

static __always_inline void read_device(struct nattrace_observation *o, const struct net_device *dev)
{
	if (!dev)
		return;
	o->netns = BPF_CORE_READ(dev, nd_net.net, ns.inum);
	o->ifindex = BPF_CORE_READ(dev, ifindex);
	BPF_CORE_READ_STR_INTO(&o->name, dev, name);
}

static __always_inline struct dst_entry *skb_dst(const struct sk_buff *skb)
{
	return (struct dst_entry *)(BPF_CORE_READ(skb, _skb_refdst) & SKB_DST_PTRMASK);
}

/* A packet's namespace: TCP clears skb->dev early, so its other references are asked as well. */
static __always_inline void read_netns(struct nattrace_observation *o, const struct sk_buff *skb)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	const struct nf_conn *ct;
	struct dst_entry *dst;
	struct sock *sk;

	if (dev) {
		read_device(o, dev);
		return;
	}
	sk = BPF_CORE_READ(skb, sk);
	if (sk) {
		o->netns = BPF_CORE_READ(sk, __sk_common.skc_net.net, ns.inum);
		return;
	}
	dst = skb_dst(skb);
	if (dst) {
		o->netns = BPF_CORE_READ(dst, dev, nd_net.net, ns.inum);
		return;
	}
	ct = (const struct nf_conn *)o->ct;
	if (ct)
		o->netns = BPF_CORE_READ(ct, ct_net.net, ns.inum);
}

/* The rest of what an observation says of a packet, once its headers say that it may matter. */
static __noinline bool note_packet(struct nattrace_observation *o, const struct headers *h,
				  const struct sk_buff *skb)
{
	unsigned long nfct;
	__be16 protocol = BPF_CORE_READ(skb, protocol);

	if (protocol != bpf_htons(ETH_P_IP) && protocol != bpf_htons(ETH_P_IPV6))
		return false;
	note_headers(o, h);
	forget_how(o);
	nfct = skb_nfct(skb);
	read_conntrack(o, (struct nf_conn *)(nfct & NFCT_PTRMASK), nfct & NFCT_INFOMASK);
	forget_how(o);
	read_netns(o, skb);
	return true;
}

/*
 * Reads a packet whose network header is where the skb says. False: it is no
 * part of a handshake. For programs that may not dereference `skb` directly.
 */
static __noinline bool read_packet(struct nattrace_observation *o, const struct sk_buff *skb)
{
	unsigned char *head = BPF_CORE_READ(skb, head);
	__u16 network = BPF_CORE_READ(skb, network_header);
	struct headers h;

	return read_headers(&h, head + network, BPF_CORE_READ(skb, tail) - network) && note_packet(o, &h, skb);
}

static __always_inline bool is_routed_here(const struct dst_entry *dst, __u8 family)
{
	__u32 flags = family == 4 ? BPF_CORE_READ((struct rtable *)dst, rt_flags)
				  : BPF_CORE_READ((struct rt6_info *)dst, rt6i_flags);

	return flags & RTCF_LOCAL; /* RTF_LOCAL is the same bit */
}

/*
 * Which of netfilter's hooks a packet is at that begins here. It has no device
 * before ip_output() or ip6_output() gives it its route's; another is lent.
 */
static __always_inline __u8 stage_of_own(const struct net_device *dev, const struct dst_entry *dst, __u8 family)
{
	bool by_loopback;

	if (!dev)
		return NATTRACE_STAGE_OUTPUT;
	by_loopback = BPF_CORE_READ(dev, ifindex) == LOOPBACK_IFINDEX;
	/* A VRF lends its own, for both hooks (vrf_ip_out_direct). */
	if (!dst || BPF_CORE_READ(dst, dev) != dev)
		return by_loopback ? NATTRACE_STAGE_OUTPUT : NATTRACE_STAGE_UNKNOWN;
	/* To reject with ICMPv6 in OUTPUT, nf_send_unreach6() lends loopback: it may be the route's too. */
	return by_loopback && family == 6 ? NATTRACE_STAGE_UNKNOWN : NATTRACE_STAGE_POSTROUTING;
}

/*
 * Which of netfilter's hooks a packet is at, told by what the stack has done to
 * it by then: routed or not, to here or on, its device already the one to leave
 * by. Unknown where two hooks look alike: over loopback, whose packets keep the
 * route that they were sent with, and out by the device that it came in by.
 */
static __always_inline __u8 stage_by_state(const struct sk_buff *skb, __u8 family)
{
	struct net_device *dev = BPF_CORE_READ(skb, dev);
	struct dst_entry *dst = skb_dst(skb);
	int came_in_by = BPF_CORE_READ(skb, skb_iif);

	if (!came_in_by)
		return stage_of_own(dev, dst, family);
	if (!dst) {
		int noted_by_ip;

		/* ip_rcv_core() and ip6_rcv_core() begin by noting the device in the first field of their part of cb. */
		bpf_probe_read_kernel(&noted_by_ip, sizeof(noted_by_ip), &skb->cb);
		return noted_by_ip == came_in_by ? NATTRACE_STAGE_PREROUTING : NATTRACE_STAGE_INGRESS;
	}
	if (came_in_by == LOOPBACK_IFINDEX)
		return NATTRACE_STAGE_UNKNOWN;
	if (is_routed_here(dst, family))
		return NATTRACE_STAGE_INPUT;
	if (BPF_CORE_READ(dst, dev, ifindex) == came_in_by || !dev)
		return NATTRACE_STAGE_UNKNOWN;
	return BPF_CORE_READ(dev, ifindex) == came_in_by ? NATTRACE_STAGE_FORWARD : NATTRACE_STAGE_POSTROUTING;
}

/* enum nf_inet_hooks to stage. */
static __always_inline __u8 stage_of_hook(__u8 hook)
{
	switch (hook) {
	case 0: return NATTRACE_STAGE_PREROUTING;
	case 1: return NATTRACE_STAGE_INPUT;
	case 2: return NATTRACE_STAGE_FORWARD;
	case 3: return NATTRACE_STAGE_OUTPUT;
	case 4: return NATTRACE_STAGE_POSTROUTING;
	case 5: return NATTRACE_STAGE_INGRESS;
	default: return NATTRACE_STAGE_UNKNOWN;
	}
}

#endif
