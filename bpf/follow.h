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

/* User space sets the size of this map and of `followed` before load. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, NATTRACE_RING_BYTES);
} ring SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, NATTRACE_COUNTER_COUNT);
	__type(key, __u32);
	__type(value, __u64);
} counters SEC(".maps");

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
	__uint(max_entries, NATTRACE_CONNECTIONS * NATTRACE_NUMBERS);
	__type(key, __u32);
	__type(value, struct follow);
} followed SEC(".maps");

struct held {
	__u32 isn;
	__u32 count;  /* of what happened, kept or not; 0: nothing is held here, whatever the ISN says */
	__u32 filter; /* FILTER_* that hold so far */
	__u32 padding;
	struct nattrace_observation observation[NATTRACE_HELD_OBSERVATIONS];
};

/*
 * By a hash of the ISN: the next SYN with the same one takes the place. An array, because every SYN that
 * the user did not ask for passes here, and to insert into a hash map costs ten times as much.
 */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NATTRACE_MAX_HELD);
	__type(key, __u32);
	__type(value, struct held);
} held SEC(".maps");

/* Multiplicative hashing: sequence numbers of one client are not far apart. */
static __always_inline __u32 hash_of(__u32 number)
{
	return number * 2654435769u;
}

/* The place that this ISN has or would have. */
static __always_inline struct held *held_place(__u32 isn)
{
	__u32 index = hash_of(isn) >> 16 & (NATTRACE_MAX_HELD - 1);

	return bpf_map_lookup_elem(&held, &index);
}

/*
 * The sequence numbers with which the ACKs of followed handshakes will come.
 * Almost every packet of a busy machine is a plain ACK; this tells those that
 * end a handshake apart by looking at 16 bytes, without a map look-up. A bucket
 * holds the newest few, so that handshakes that never ended make room by
 * themselves, and one that is under way is only pushed out by as many others
 * within its round trip. Of a number 16 bits are kept: what is taken for an
 * awaited one by chance is not found afterwards. So the whole is small enough to stay
 * in a cache near the CPU, which matters more than anything else here.
 */
static __u64 awaited[NATTRACE_AWAITED_BUCKETS][NATTRACE_AWAITED_WAYS / 4];

#define EACH_PLACE 0x0001000100010001ull
#define TOP_OF_EACH_PLACE 0x8000800080008000ull

static __always_inline __u64 *awaited_bucket(__u32 seq)
{
	return awaited[hash_of(seq) >> 20 & (NATTRACE_AWAITED_BUCKETS - 1)];
}

/* What is kept of a number: never 0, which is an empty place. */
static __always_inline __u64 awaited_mark(__u32 seq)
{
	__u64 mark = hash_of(seq) >> 4 & 0xffff;

	return mark + !mark;
}

/* Whether one of four places is zero (and then the top bit of one of them is set). */
static __always_inline __u64 has_empty_place(__u64 places)
{
	return (places - EACH_PLACE) & ~places & TOP_OF_EACH_PLACE;
}

static __always_inline bool is_awaited(__u32 seq)
{
	const __u64 *bucket = awaited_bucket(seq);
	__u64 mark = awaited_mark(seq) * EACH_PLACE;

	return has_empty_place(bucket[0] ^ mark) | has_empty_place(bucket[1] ^ mark);
}

/* The oldest goes. CPUs that do this to one bucket at once may lose an entry, not more. */
static __always_inline void await_ack(__u32 seq)
{
	__u64 *bucket = awaited_bucket(seq);

	bucket[1] = bucket[1] << 16 | bucket[0] >> 48;
	bucket[0] = bucket[0] << 16 | awaited_mark(seq);
}

/*
 * Handshakes that were refused, by their ISN: they stay refused. One that is followed from its middle
 * on would look like another. Each has one place, which the next one takes.
 */
static __u32 refused[NATTRACE_REFUSED_ENTRIES];

static __always_inline __u32 *refused_place(__u32 isn)
{
	return &refused[hash_of(isn) >> 18 & (NATTRACE_REFUSED_ENTRIES - 1)];
}

/* Atomic: a program may be interrupted by another one on the same CPU. */
static __always_inline void count(__u32 what, __u64 times)
{
	__u64 *counter = bpf_map_lookup_elem(&counters, &what);

	if (counter)
		__sync_fetch_and_add(counter, times);
}

/*
 * Whether user space waits to be woken. To wake it takes an interrupt and a switch to another process, so
 * it looks by itself while there is something to do, and sets this before it sleeps: see KernelTracer.swift,
 * which maps this section.
 */
volatile __u32 sleeping SEC(".data.wake");

/* Comes after what was written to the ring buffer, which ends with a full barrier. */
static __always_inline void wake(void)
{
	void *nothing;

	if (!sleeping)
		return;
	sleeping = 0;
	nothing = bpf_ringbuf_reserve(&ring, sizeof(__u64), 0);
	if (nothing)
		bpf_ringbuf_discard(nothing, BPF_RB_FORCE_WAKEUP);
}

/* Returns how many were lost by it: 0 or 1. */
static __always_inline __u64 emit(const struct nattrace_observation *o)
{
	/* An error is negative: its sign bit, and no branch for the verifier to follow. */
	return (__u64)bpf_ringbuf_output(&ring, (void *)o, sizeof(*o), BPF_RB_NO_WAKEUP) >> 63;
}

/* To user space, or into the count of what did not get there. */
static __always_inline void tell(const struct nattrace_observation *o)
{
	count(NATTRACE_COUNTER_OBSERVATIONS, 1);
	if (emit(o))
		count(NATTRACE_COUNTER_RING_FULL, 1);
	wake();
}

/* False: there is no room for one more. */
static __always_inline bool follow(__u32 number, __u32 isn)
{
	struct follow value = { .isn = isn };

	return !bpf_map_update_elem(&followed, &number, &value, BPF_ANY);
}

/* One more number of a handshake that is followed. */
static __always_inline void follow_also(__u32 number, __u32 isn)
{
	if (!follow(number, isn))
		count(NATTRACE_COUNTER_NUMBER_FULL, 1);
}

/* Whether a packet with these flags and numbers can be part of a handshake at all. */
static __always_inline bool may_concern_handshake(__u8 flags, __u32 seq)
{
	if (flags & (TCP_FLAG_SYN | TCP_FLAG_RST))
		return true;
	return is_awaited(seq) && (flags & (TCP_FLAG_ACK | TCP_FLAG_FIN)) == TCP_FLAG_ACK;
}

/*
 * Finds the connection that a number belongs to and notes its ISN. `second` is
 * tried where the first is unknown: an RST may come from either side.
 */
static __always_inline bool is_followed(__u32 *isn, __u32 first, __u32 second)
{
	struct follow *f = bpf_map_lookup_elem(&followed, &first);

	if (!f && second != first)
		f = bpf_map_lookup_elem(&followed, &second);
	if (!f)
		return false;
	*isn = f->isn;
	return true;
}

/* Whether a SYN with this ISN was held: what happens to it is of interest, although it is not followed. */
static __always_inline bool is_held(__u32 isn)
{
	struct held *h = held_place(isn);

	return filter_required() && h && h->isn == isn && h->count;
}

/*
 * Whether an observation that no handshake begins with can be of use, before it is filled in. If its
 * connection is found, that is noted.
 */
static __always_inline bool find(struct nattrace_observation *o, __u32 first, __u32 second)
{
	o->followed = is_followed(&o->isn, first, second);
	return o->followed || is_held(first);
}

/*
 * Begins to follow a handshake. When user space does not keep up, those that are followed already come
 * first: they will be explained in full. Of the others, those that end here are worth more than those
 * that may yet succeed. Returns 0, or what to count where it is refused.
 */
static __always_inline __u32 begin(const struct nattrace_observation *o)
{
	bool ends = o->kind == NATTRACE_KIND_RESET || o->kind == NATTRACE_KIND_DROP;
	__u64 unread = bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA);
	__u32 *place = refused_place(o->isn);
	__u32 cause = NATTRACE_COUNTER_PRESSED;

	if (unread <= (ends ? nattrace_config.ends_bytes : nattrace_config.pressed_bytes) &&
	    (ends || *place != o->isn)) {
		if (follow(o->isn, o->isn))
			return 0;
		cause = NATTRACE_COUNTER_FOLLOW_FULL;
	}
	*place = o->isn;
	return cause;
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
	__u32 refusal, kept = 0;
	__u64 lost = 0;

	if (required) {
		h = held_place(isn);
		if (!h)
			return false;
		if (h->isn == isn && h->count) {
			now |= h->filter;
			kept = h->count;
		} else if (!may_begin) {
			return false;
		}
	} else if (!may_begin) {
		return false;
	}
	if (required != (now & required)) {
		if (kept < NATTRACE_HELD_OBSERVATIONS)
			h->observation[kept] = *o;
		h->filter = now;
		h->count = kept + 1;
		h->isn = isn;
		return false;
	}

	refusal = begin(o);
	if (h)
		h->count = 0;
	if (refusal) {
		count(NATTRACE_COUNTER_OBSERVATIONS, kept + 1);
		count(refusal, kept + 1);
		return false;
	}
	if (kept) {
		/* Another SYN may have taken the place meanwhile, on another CPU: user space tells them apart. */
		for (__u32 i = 0; i < NATTRACE_HELD_OBSERVATIONS && i < kept; i++)
			lost += emit(&h->observation[i]);
		count(NATTRACE_COUNTER_OBSERVATIONS, kept);
		count(NATTRACE_COUNTER_RING_FULL, lost);
		if (kept > NATTRACE_HELD_OBSERVATIONS)
			count(NATTRACE_COUNTER_HELD_FULL, kept - NATTRACE_HELD_OBSERVATIONS);
	}
	return true;
}

/*
 * Makes the verifier forget what it knows of an observation's bytes. It would
 * otherwise walk the rest of the program once for each way in which they can
 * have been filled in, which costs the user a second of start-up. A copy onto
 * itself by a helper is the cheapest thing that does it on every kernel.
 */
static __always_inline void forget_how(struct nattrace_observation *o)
{
	bpf_probe_read_kernel(o, sizeof(*o), o);
}

/*
 * The way of every observation to user space. `first` and `second` are the
 * numbers by which its connection may be known; `may_begin`: it shows a SYN, so
 * a connection may begin with it.
 */
static __noinline int observe(struct nattrace_observation *o, __u32 first, __u32 second, bool may_begin)
{
	const volatile struct nattrace_filter *f = &nattrace_config.filter;

	forget_how(o);
	if (f->netns && o->netns != f->netns)
		return 0;
	if (f->family && o->family && o->family != f->family)
		return 0;
	o->time_ns = bpf_ktime_get_ns();
	o->cpu = bpf_get_smp_processor_id();
	if (!o->followed && !is_followed(&o->isn, first, second)) {
		o->isn = first;
		if (!hold_or_release(o, may_begin))
			return 0;
	}
	o->followed = 0;
	/* TCP Fast Open: an answer may acknowledge the data in the SYN as well (RFC 7413, 4.2). */
	if ((o->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == TCP_FLAG_SYN && o->payload)
		follow_also(o->seq + o->payload, o->isn);
	if ((o->tcp_flags & (TCP_FLAG_SYN | TCP_FLAG_ACK)) == (TCP_FLAG_SYN | TCP_FLAG_ACK)) {
		if (!is_awaited(o->ack)) {
			await_ack(o->ack);
			follow_also(o->seq, o->isn);
		}
	}
	tell(o);
	return 0;
}

/*
 * Which connection a packet belongs to, by its flags and numbers: the ISN that it has if it is the client's
 * (`first`), or else may have (`second`).
 */
struct numbers {
	__u32 first, second;
	bool may_begin;
};

static __always_inline struct numbers numbers_of(__u8 flags, __u32 seq, __u32 ack)
{
	struct numbers n = {
		.first = seq - 1, /* the ISN behind an ACK or RST of the client */
		.second = seq - 1,
		.may_begin = (flags & (TCP_FLAG_SYN | TCP_FLAG_ACK | TCP_FLAG_RST)) == TCP_FLAG_SYN,
	};

	if (flags & TCP_FLAG_RST) {
		if (flags & TCP_FLAG_ACK)
			n.first = ack - 1; /* the ISN behind an answer of the server */
	} else if (flags & TCP_FLAG_SYN) {
		n.first = n.second = flags & TCP_FLAG_ACK ? ack - 1 : seq;
	}
	return n;
}

/*
 * As observe(), for an observation that shows a packet. One call of observe(), through which the verifier walks once for
 * each that it meets; and no frame of its own, of which the kernel counts at least 32 bytes.
 */
static __always_inline int observe_packet(struct nattrace_observation *o)
{
	struct numbers n = numbers_of(o->tcp_flags, o->seq, o->ack);

	return observe(o, n.first, n.second, n.may_begin);
}

#endif
