/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Which observations reach user space.
 *
 * The ISN is the thread: a SYN that passes the filter puts its ISN into
 * `followed`; every later packet whose numbers lead there is followed, across
 * rewrites, directions and namespaces. A SYN that does not pass may still do
 * so once it is translated: what happened to it until then waits in `held`.
 */
#ifndef NATTRACE_FOLLOW_H
#define NATTRACE_FOLLOW_H

#include "filter.h"

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NATTRACE_RING_BYTES);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NATTRACE_LOST_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} lost SEC(".maps");

struct follow {
	__u32 isn; /* the connection's; differs from the key where that is the server's number */
};

/*
 * By initial sequence number, of the client and, once it answered, of the
 * server. Not an LRU map: user space removes what has ended, and an insertion
 * that fails is counted, where an LRU map would forget silently.
 */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, NATTRACE_MAX_FOLLOWED);
	__type(key, __u32);
	__type(value, struct follow);
} followed SEC(".maps");

struct held {
	__u32 count;
	__u32 filter; /* FILTER_* that hold so far */
	struct nattrace_observation observation[NATTRACE_HELD_OBSERVATIONS];
};

struct {
	__uint(type, BPF_MAP_TYPE_LRU_HASH);
	__uint(max_entries, NATTRACE_MAX_HELD);
	__type(key, __u32);
	__type(value, struct held);
} held SEC(".maps");

static const struct held nothing_held;

/*
 * The sequence number with which the ACK of a followed handshake will come,
 * by a few of its bits. Almost every packet of a busy machine is a plain ACK;
 * this tells those that end a handshake apart with one load.
 */
static __u32 awaited[NATTRACE_MAX_AWAITED];

static __always_inline __u32 *awaited_slot(__u32 seq)
{
	/* Multiplicative hashing: sequence numbers of one client are not far apart. */
	return &awaited[(seq * 2654435769u) >> 18 & (NATTRACE_MAX_AWAITED - 1)];
}

static __always_inline void count_lost(__u32 what)
{
	__u64 *count = bpf_map_lookup_elem(&lost, &what);

	if (count)
		*count += 1;
}

static __always_inline void emit(const struct nattrace_observation *o)
{
	if (bpf_ringbuf_output(&ring, (void *)o, sizeof(*o), 0))
		count_lost(NATTRACE_LOST_RING_FULL);
}

static __always_inline void follow(__u32 number, __u32 isn)
{
	struct follow value = { .isn = isn };

	if (bpf_map_update_elem(&followed, &number, &value, BPF_ANY))
		count_lost(NATTRACE_LOST_FOLLOW_FULL);
}

/* Whether a packet with these flags and numbers can be part of a handshake at all. */
static __always_inline bool may_concern_handshake(__u8 flags, __u32 seq)
{
	if (flags & (TCP_FLAG_SYN | TCP_FLAG_RST))
		return true;
	return *awaited_slot(seq) == seq && seq && (flags & (TCP_FLAG_ACK | TCP_FLAG_FIN)) == TCP_FLAG_ACK;
}

/*
 * Finds the connection that a number belongs to and notes its ISN. `second` is
 * tried where the first is unknown: an RST may come from either side.
 */
static __always_inline bool is_followed(struct nattrace_observation *o, __u32 first, __u32 second)
{
	struct follow *f = bpf_map_lookup_elem(&followed, &first);

	if (!f && second != first)
		f = bpf_map_lookup_elem(&followed, &second);
	if (!f)
		return false;
	o->isn = f->isn;
	return true;
}

/*
 * Keeps what happened to a SYN that does not pass the filter yet, or, if it
 * does now, lets all of that go. Returns whether it is followed from here on.
 */
static __always_inline bool hold_or_release(struct nattrace_observation *o, bool may_begin)
{
	__u32 isn = o->isn;
	__u32 required = filter_required(), now = filter_holds(o);
	struct held *h = NULL;

	if (required != (now & required)) {
		h = bpf_map_lookup_elem(&held, &isn);
		if (!h) {
			if (!may_begin)
				return false;
			bpf_map_update_elem(&held, &isn, &nothing_held, BPF_ANY);
			h = bpf_map_lookup_elem(&held, &isn);
			if (!h)
				return false;
		}
		h->filter |= now;
		if ((h->filter & required) != required) {
			__u32 n = h->count;

			if (n < NATTRACE_HELD_OBSERVATIONS) {
				h->observation[n] = *o;
				h->count = n + 1;
			}
			return false;
		}
	} else {
		if (required)
			h = bpf_map_lookup_elem(&held, &isn);
		if (!h && !may_begin)
			return false;
	}

	follow(isn, isn);
	if (h) {
		for (__u32 i = 0; i < NATTRACE_HELD_OBSERVATIONS && i < h->count; i++)
			emit(&h->observation[i]);
		if (h->count >= NATTRACE_HELD_OBSERVATIONS)
			count_lost(NATTRACE_LOST_HELD_FULL);
		bpf_map_delete_elem(&held, &isn);
	}
	return true;
}

/*
 * The way of every observation to user space. `first` and `second` are the
 * numbers by which its connection may be known; `may_begin`: it shows a SYN, so
 * a connection may begin with it.
 */
static __noinline int observe(struct nattrace_observation *o, __u32 first, __u32 second, bool may_begin)
{
	const volatile struct nattrace_filter *f = &nattrace_config.filter;

	if (f->netns && o->netns != f->netns)
		return 0;
	if (f->family && o->family && o->family != f->family)
		return 0;
	o->time_ns = bpf_ktime_get_ns();
	o->cpu = bpf_get_smp_processor_id();
	o->isn = first;
	if (!is_followed(o, first, second) && !hold_or_release(o, may_begin))
		return 0;
	if ((o->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK)) {
		__u32 *slot = awaited_slot(o->ack);

		if (*slot != o->ack) {
			*slot = o->ack;
			follow(o->seq, o->isn);
		}
	}
	emit(o);
	return 0;
}

/* As observe(), for an observation that shows a packet: its flags say which numbers lead on. */
static __always_inline int observe_packet(struct nattrace_observation *o)
{
	__u8 flags = o->tcp_flags;

	if (flags & TCP_FLAG_RST)
		return observe(o, flags & TCP_FLAG_ACK ? o->ack - 1 : o->seq - 1, o->seq - 1, false);
	if (flags & TCP_FLAG_SYN)
		return flags & TCP_FLAG_ACK ? observe(o, o->ack - 1, o->ack - 1, false)
					    : observe(o, o->seq, o->seq, true);
	return observe(o, o->seq - 1, o->seq - 1, false);
}

#endif
