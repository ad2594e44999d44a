/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * ICMP errors, tied to the handshake by the packet that they quote: its TCP header begins with ports and
 * sequence number, and those eight bytes every error has (RFC 792; RFC 4443, 2.4).
 */
#ifndef NATTRACE_ICMP_H
#define NATTRACE_ICMP_H

#include "packet.h"

/* Errors that end an attempt to connect; those about a packet's size do not. */
static __always_inline bool is_icmp_error(__u8 version, __u8 type, __u8 code)
{
	if (version == 4)
		return (type == 3 && code != 4) || type == 11 || type == 12;
	return type == 1 || type == 3 || type == 4;
}

/*
 * `network` is where the packet's IP header is, of which `linear` bytes can be read; h->icmp is
 * where ICMP begins. What is quoted takes the place of the outer headers in `h`: the kernel bounds the stack
 * that a chain of calls may use.
 */
static __noinline bool read_icmp(struct nattrace_observation *o, struct headers *h, const unsigned char *network,
				 __u32 linear)
{
	__u8 version = h->ip.v4.version_ihl >> 4;
	__u32 offset = h->icmp, quoted = version == 4 ? 20 : 40;
	__u8 type_code[2];

	if (offset + 8 + quoted + 8 > linear || bpf_probe_read_kernel(type_code, 2, network + offset) ||
	    !is_icmp_error(version, type_code[0], type_code[1]))
		return false;
	o->icmp.type = type_code[0];
	o->icmp.code = type_code[1];
	if (version == 4) {
		*(__u32 *)o->icmp.source = h->ip.v4.source;
		*(__u32 *)o->icmp.destination = h->ip.v4.destination;
	} else {
		__builtin_memcpy(o->icmp.source, h->ip.v6.source, 16);
		__builtin_memcpy(o->icmp.destination, h->ip.v6.destination, 16);
	}

	offset += 8;
	if (bpf_probe_read_kernel(&h->ip, version == 4 ? 20 : 40, network + offset) ||
	    h->ip.v4.version_ihl >> 4 != version)
		return false;
	if (version == 4) {
		if (h->ip.v4.protocol != IPPROTO_TCP || h->ip.v4.fragment & bpf_htons(0x1fff))
			return false;
		quoted = (h->ip.v4.version_ihl & 15) * 4;
		if (quoted < 20)
			return false;
	} else if (h->ip.v6.next_header != IPPROTO_TCP) {
		return false;
	}
	offset += quoted;
	if (offset + 8 > linear)
		return false;
	/* Most quote more than they must; the flags tell which packet of the handshake it was. */
	__builtin_memset(&h->tcp, 0, sizeof(h->tcp));
	if (offset + 14 <= linear ? bpf_probe_read_kernel(&h->tcp, 14, network + offset)
				  : bpf_probe_read_kernel(&h->tcp, 8, network + offset))
		return false;
	h->family = version;
	h->payload = 0;
	h->followed = 0;
	note_headers(o, h);
	return true;
}

static __noinline int observe_icmp(struct headers *h, const struct sk_buff *skb, const unsigned char *network,
				   __u32 linear, __u16 hook)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_ICMP,
		.hook = hook,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.stage = hook == NATTRACE_HOOK_NETIF_RECEIVE_SKB ? NATTRACE_STAGE_INGRESS : NATTRACE_STAGE_EGRESS,
	};

	if (!read_icmp(&o, h, network, linear))
		return 0;
	read_device(&o, BPF_CORE_READ(skb, dev));
	/* A quoted SYN has the ISN, a SYN-ACK the server's number, an ACK the ISN and one. */
	return observe(&o, o.seq, o.seq - 1, false);
}

#endif
