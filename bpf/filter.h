/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The user's filter. It is constant to the verifier: a kind that was not given
 * leaves no instruction behind.
 */
#ifndef NATTRACE_FILTER_H
#define NATTRACE_FILTER_H

#include "compat.h"

/* One bit for each kind of filter that may hold at different points of a connection's way. */
#define FILTER_SOURCE_PORT 1
#define FILTER_DESTINATION_PORT 2
#define FILTER_PORT 4
#define FILTER_SOURCE 8
#define FILTER_DESTINATION 16
#define FILTER_ADDRESS 32
#define FILTER_INTERFACE 64

/* The kinds that were given: all of these have to hold. */
static __always_inline __u32 filter_required(void)
{
	const volatile struct nattrace_filter *f = &nattrace_config.filter;

	return (f->source_ports ? FILTER_SOURCE_PORT : 0) | (f->destination_ports ? FILTER_DESTINATION_PORT : 0) |
	       (f->ports ? FILTER_PORT : 0) | (f->source_prefixes ? FILTER_SOURCE : 0) |
	       (f->destination_prefixes ? FILTER_DESTINATION : 0) | (f->prefixes ? FILTER_ADDRESS : 0) |
	       (f->interfaces ? FILTER_INTERFACE : 0);
}

/*
 * All comparisons below are arithmetic on sign bits. A branch for each would let
 * the verifier follow every combination of filters and outcomes, of which there
 * are too many; this way there is one path. The barrier keeps the compiler from
 * finding the branch again.
 */

/* All ones where x is negative, else zero. */
static __always_inline __u32 if_negative(__s64 x)
{
	barrier_var(x);
	return (__u32)(x >> 63);
}

/* `bit` where one of the ranges holds the port, else 0. */
static __always_inline __u32 port_in(const volatile struct nattrace_port_range *ranges, __u8 count, __u16 port,
				     __u32 bit)
{
	__u32 found = 0;

	for (int i = 0; i < NATTRACE_FILTER_ENTRIES && i < count; i++)
		found |= ~if_negative(((__s64)port - ranges[i].first) | ((__s64)ranges[i].last - port));
	return found & bit;
}

/* `bit` where one of the prefixes holds the address, else 0. */
static __always_inline __u32 address_in(const volatile struct nattrace_prefix *prefixes, __u8 count, __u8 family,
					const __u8 *address, __u32 bit)
{
	const __u32 *a = (const __u32 *)address;
	__u32 found = 0;

	for (int i = 0; i < NATTRACE_FILTER_ENTRIES && i < count; i++) {
		const volatile __u32 *want = (const volatile __u32 *)prefixes[i].address;
		const volatile __u32 *mask = (const volatile __u32 *)prefixes[i].mask;
		__u32 different = ((a[0] & mask[0]) ^ want[0]) | ((a[1] & mask[1]) ^ want[1]) |
				  ((a[2] & mask[2]) ^ want[2]) | ((a[3] & mask[3]) ^ want[3]) |
				  (prefixes[i].family ^ family);

		found |= if_negative((__s64)different - 1);
	}
	return found & bit;
}

/* FILTER_INTERFACE where the device has one of the names, else 0. */
static __always_inline __u32 interface_in(const char *name)
{
	const volatile struct nattrace_filter *f = &nattrace_config.filter;
	const __u32 *n = (const __u32 *)name;
	__u32 found = 0;

	for (int i = 0; i < NATTRACE_FILTER_ENTRIES && i < f->interfaces; i++) {
		const volatile __u32 *want = (const volatile __u32 *)f->interface[i];
		__u32 different = (n[0] ^ want[0]) | (n[1] ^ want[1]) | (n[2] ^ want[2]) | (n[3] ^ want[3]);

		found |= if_negative((__s64)different - 1);
	}
	return found & FILTER_INTERFACE;
}

/* The kinds that one view of a flow, given in the client's direction, makes hold. */
static __always_inline __u32 filter_view(__u8 family, const __u8 *source, const __u8 *destination, __u16 source_port,
					 __u16 destination_port)
{
	const volatile struct nattrace_filter *f = &nattrace_config.filter;

	return port_in(f->source_port, f->source_ports, source_port, FILTER_SOURCE_PORT) |
	       port_in(f->destination_port, f->destination_ports, destination_port, FILTER_DESTINATION_PORT) |
	       port_in(f->port, f->ports, source_port, FILTER_PORT) |
	       port_in(f->port, f->ports, destination_port, FILTER_PORT) |
	       address_in(f->source_prefix, f->source_prefixes, family, source, FILTER_SOURCE) |
	       address_in(f->destination_prefix, f->destination_prefixes, family, destination, FILTER_DESTINATION) |
	       address_in(f->prefix, f->prefixes, family, source, FILTER_ADDRESS) |
	       address_in(f->prefix, f->prefixes, family, destination, FILTER_ADDRESS);
}

/*
 * The kinds that an observation makes hold, in any of its views: the packet as
 * it is, and if conntrack knows it, as dialled and as translated.
 */
static __always_inline __u32 filter_holds(const struct nattrace_observation *o)
{
	const struct nattrace_tuple *p = &o->packet, *d = &o->ct_original, *t = &o->ct_reply;
	bool from_server = (o->tcp_flags & TCP_FLAG_SYN && o->tcp_flags & TCP_FLAG_ACK) ||
			   (o->tcp_flags & TCP_FLAG_RST && o->seq - 1 != o->isn);
	__u32 held = 0;

	if (o->family && o->kind != NATTRACE_KIND_NAT_SETUP) {
		if (from_server)
			held |= filter_view(o->family, p->destination, p->source, p->destination_port, p->source_port);
		else
			held |= filter_view(o->family, p->source, p->destination, p->source_port, p->destination_port);
	}
	if (o->ct && o->kind != NATTRACE_KIND_LISTENER) { /* with a rule or an ICMP error, ct is 0 */
		held |= filter_view(o->family, d->source, d->destination, d->source_port, d->destination_port);
		held |= filter_view(o->family, t->destination, t->source, t->destination_port, t->source_port);
	}
	if (o->ifindex)
		held |= interface_in(o->name);
	return held;
}

#endif
