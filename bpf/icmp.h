/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * ICMP errors, tied to the handshake by the packet that they quote: its TCP header begins with ports and
 * sequence number, and those eight bytes every error has (RFC 792; RFC 4443, 2.4).
 */
#ifndef NATTRACE_ICMP_H
#define NATTRACE_ICMP_H

#include "packet.h"

struct icmp_error {
	__u8 type, code;
	__be16 checksum;
	__be32 unused;
	struct ip_header quoted; /* IPv4: with the beginning of what follows */
};

/* Errors that end an attempt to connect; those about a packet's size do not. */
static __always_inline bool is_icmp_error(__u8 version, __u8 type, __u8 code)
{
	if (version == 4)
		return (type == 3 && code != 4) || type == 11 || type == 12;
	return type == 1 || type == 3 || type == 4;
}

/*
 * `network` is where the packet's IP header is, of which `linear` bytes can be read; h->icmp is
 * where ICMP begins.
 */
static __noinline int observe_icmp(const struct headers *h, const struct sk_buff *skb, const unsigned char *network,
				   __u32 linear, __u16 hook)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_ICMP,
		.hook = hook,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = hook == NATTRACE_HOOK_NETIF_RECEIVE_SKB ? NATTRACE_STAGE_INGRESS : NATTRACE_STAGE_EGRESS,
	};
	__u8 version = h->ip.v4.version_ihl >> 4;
	struct icmp_error error = {};
	struct tcp_header tcp = {};
	__u32 offset = h->icmp, quoted = version == 4 ? 20 : 40;

	if (offset + 8 + quoted + 8 > linear ||
	    bpf_probe_read_kernel(&error, 8 + quoted, network + offset))
		return 0;
	if (!is_icmp_error(version, error.type, error.code) || error.quoted.v4.version_ihl >> 4 != version)
		return 0;
	if (version == 4) {
		if (error.quoted.v4.protocol != IPPROTO_TCP || error.quoted.v4.fragment & bpf_htons(0x1fff))
			return 0;
		quoted = (error.quoted.v4.version_ihl & 15) * 4;
		if (quoted < 20)
			return 0;
	} else if (error.quoted.v6.next_header != IPPROTO_TCP) {
		return 0;
	}
	offset += 8 + quoted;
	if (offset + 8 > linear)
		return 0;
	/* Most quote more than they must; the flags tell which packet of the handshake it was. */
	if (offset + 14 <= linear ? bpf_probe_read_kernel(&tcp, 14, network + offset)
				  : bpf_probe_read_kernel(&tcp, 8, network + offset))
		return 0;

	o.family = version;
	o.tcp_flags = tcp.flags;
	o.seq = bpf_ntohl(tcp.seq);
	o.ack = tcp.flags & TCP_FLAG_ACK ? bpf_ntohl(tcp.ack) : 0;
	o.packet.source_port = bpf_ntohs(tcp.source_port);
	o.packet.destination_port = bpf_ntohs(tcp.destination_port);
	o.icmp.type = error.type;
	o.icmp.code = error.code;
	if (version == 4) {
		*(__u32 *)o.packet.source = error.quoted.v4.source;
		*(__u32 *)o.packet.destination = error.quoted.v4.destination;
		*(__u32 *)o.icmp.source = h->ip.v4.source;
		*(__u32 *)o.icmp.destination = h->ip.v4.destination;
	} else {
		__builtin_memcpy(o.packet.source, error.quoted.v6.source, 16);
		__builtin_memcpy(o.packet.destination, error.quoted.v6.destination, 16);
		__builtin_memcpy(o.icmp.source, h->ip.v6.source, 16);
		__builtin_memcpy(o.icmp.destination, h->ip.v6.destination, 16);
	}
	read_device(&o, BPF_CORE_READ(skb, dev));
	/* A quoted SYN has the ISN, a SYN-ACK the server's number, an ACK the ISN and one. */
	return observe(&o, o.seq, o.seq - 1, false);
}

#endif
