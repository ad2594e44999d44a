/* SPDX-License-Identifier: MIT */
/*
 * What the kernel side tells user space: one fixed-size observation, the
 * configuration it is given before load, and the numbers both sides share.
 *
 * Included by the BPF programs and, through Sources/CNattrace, imported by
 * Swift. Hence: fixed-width fields only (Swift would treat a C enum as
 * closed), no function-like macros, no flexible arrays, no implicit padding.
 *
 * Byte order: the machine's own, which is little-endian on every machine that
 * nattrace builds for, except addresses, which stay in network order as on
 * the wire. Ports, sequence numbers and flags are in host order.
 */
#ifndef NATTRACE_OBSERVATION_H
#define NATTRACE_OBSERVATION_H

#include <linux/types.h>

/* Raised whenever the layout or meaning of an observation changes; recordings carry it. */
#define NATTRACE_OBSERVATION_VERSION 1

/* Bounds. Each has a name so that what falls out of one can be counted by it. */
#define NATTRACE_CONNECTIONS 131072	    /* handshakes followed at once, unless asked for otherwise */
#define NATTRACE_NUMBERS 2		    /* by which each may be known: the client's and the server's */
#define NATTRACE_MAX_HELD 4096		    /* SYNs that may match only after translation; a power of two */
#define NATTRACE_HELD_OBSERVATIONS 8	    /* what is kept of each of those */
#define NATTRACE_AWAITED_BUCKETS 4096	    /* handshakes whose last ACK is watched for: buckets, a power of two, */
#define NATTRACE_AWAITED_WAYS 8		    /* and places in each */
#define NATTRACE_REFUSED_ENTRIES 16384	    /* handshakes remembered as refused; a power of two */
#define NATTRACE_RING_BYTES (4 << 20)	    /* the ring buffer, unless asked for otherwise; a power of two */
#define NATTRACE_FILTER_ENTRIES 16	    /* how often one kind of filter may be given */
#define NATTRACE_NAME_LENGTH 16		    /* IFNAMSIZ and TASK_COMM_LEN alike, NUL included */
#define NATTRACE_TEXT_LENGTH 72		    /* conntrack's words for INVALID, NUL included if they fit */
#define NATTRACE_SYMBOL_LENGTH 128	    /* of a function and its module as `function [module]`, NUL included */
#define NATTRACE_RULE_NAME_LENGTH 32	    /* of a table or chain; a longer name is cut, and without NUL */

/* nattrace_observation.kind */
#define NATTRACE_KIND_PACKET 1	     /* a packet at ingress or egress of a device */
#define NATTRACE_KIND_CONNTRACK 2    /* conntrack's decision on a packet; detail: NATTRACE_CONNTRACK_* */
#define NATTRACE_KIND_NAT_SETUP 3    /* a NAT rule binds an entry; detail: NATTRACE_MANIP_*; range, not packet */
#define NATTRACE_KIND_NAT_PACKET 4   /* NAT is about to rewrite a packet; detail: NATTRACE_MANIP_* */
#define NATTRACE_KIND_DELIVER 5	     /* a packet reaches TCP */
#define NATTRACE_KIND_LISTENER 6     /* the listener look-up returned; sock 0: nothing found; else bound */
#define NATTRACE_KIND_REQUEST 7	     /* a SYN was put into the listener's SYN queue */
#define NATTRACE_KIND_RESET 8	     /* this machine makes an RST; detail: NATTRACE_RESET_* */
#define NATTRACE_KIND_DROP 9	     /* a packet is freed as dropped; location, reason; stage: if netfilter did it */
#define NATTRACE_KIND_TRANSMIT 10    /* local TCP hands a SYN or SYN-ACK to IP */
#define NATTRACE_KIND_RETRANSMIT 11  /* local TCP sends a SYN or SYN-ACK again */
#define NATTRACE_KIND_SOCKET_STATE 12 /* detail: old state << 4 | new state, TCP_* of net/tcp_states.h */
#define NATTRACE_KIND_RULE 13	     /* an nftables rule or policy decided on a packet; detail: NATTRACE_RULE_*; rule */
#define NATTRACE_KIND_ICMP 14	     /* an ICMP error at a device that quotes a packet: packet, seq, as quoted; icmp */
#define NATTRACE_KIND_MODULE 32	     /* not about a connection: a kernel module was loaded; name */

/* nattrace_observation.stage: the way through the kernel */
#define NATTRACE_STAGE_UNKNOWN 0
#define NATTRACE_STAGE_INGRESS 1
#define NATTRACE_STAGE_PREROUTING 2
#define NATTRACE_STAGE_ROUTING 3
#define NATTRACE_STAGE_INPUT 4
#define NATTRACE_STAGE_FORWARD 5
#define NATTRACE_STAGE_SOCKET 6
#define NATTRACE_STAGE_OUTPUT 7
#define NATTRACE_STAGE_POSTROUTING 8
#define NATTRACE_STAGE_EGRESS 9

/* nattrace_observation.backend: how the hook was attached */
#define NATTRACE_BACKEND_TRACEPOINT 1
#define NATTRACE_BACKEND_KPROBE 2
#define NATTRACE_BACKEND_FENTRY 3

/* detail of NATTRACE_KIND_CONNTRACK */
#define NATTRACE_CONNTRACK_ASKED 0     /* the packet enters nf_conntrack_in; what follows is the answer */
#define NATTRACE_CONNTRACK_NEW 1       /* an entry was made for it, not yet confirmed */
#define NATTRACE_CONNTRACK_MATCH 2     /* it belongs to an entry that was there before */
#define NATTRACE_CONNTRACK_INVALID 3   /* conntrack calls it INVALID; text holds its words */
#define NATTRACE_CONNTRACK_UNTRACKED 4 /* a NOTRACK rule kept it from conntrack */

#define NATTRACE_CONNTRACK_AGAIN 5     /* a SYN sent again: it belongs to the entry that its first one made */

/* detail of NATTRACE_KIND_RULE */
#define NATTRACE_RULE_MATCHED 0 /* all of the rule's matches held; reason: its verdict */
#define NATTRACE_RULE_POLICY 1	/* no rule decided: the base chain's policy did; reason: the policy */

/* nattrace_observation.reason of NATTRACE_KIND_RULE: NF_* and NFT_* verdicts, as the kernel has them */
#define NATTRACE_VERDICT_DROP 0
#define NATTRACE_VERDICT_ACCEPT 1
#define NATTRACE_VERDICT_STOLEN 2
#define NATTRACE_VERDICT_QUEUE 3
#define NATTRACE_VERDICT_CONTINUE 0xffffffff

/* detail of NATTRACE_KIND_NAT_SETUP and _NAT_PACKET: enum nf_nat_manip_type */
#define NATTRACE_MANIP_SOURCE 0
#define NATTRACE_MANIP_DESTINATION 1

/* detail of NATTRACE_KIND_RESET: who makes it */
#define NATTRACE_RESET_TCP 0	   /* TCP answers a packet (tcp_v4_send_reset) */
#define NATTRACE_RESET_ACTIVE 1	   /* TCP aborts a connection of its own (tcp_send_active_reset) */
#define NATTRACE_RESET_NETFILTER 2 /* a REJECT rule (nf_send_reset) */

/* nattrace_observation.ct_info where there is no entry: see enum ip_conntrack_info */
#define NATTRACE_CTINFO_UNTRACKED 7

/* nattrace_observation.hook: the kernel function or tracepoint. Recordings have these numbers: never reused. */
#define NATTRACE_HOOK_NETIF_RECEIVE_SKB 1
#define NATTRACE_HOOK_NF_CONNTRACK_IN 2
#define NATTRACE_HOOK_NF_CONNTRACK_TCP_PACKET 3
#define NATTRACE_HOOK_NF_CT_L4PROTO_LOG_INVALID 4
#define NATTRACE_HOOK_NF_L4PROTO_LOG_INVALID 5
#define NATTRACE_HOOK_NF_NAT_SETUP_INFO 6
#define NATTRACE_HOOK_NF_NAT_MANIP_PKT 7
#define NATTRACE_HOOK_TCP_V4_RCV 8
#define NATTRACE_HOOK_TCP_V6_RCV 9
#define NATTRACE_HOOK_INET_LOOKUP_LISTENER 10
#define NATTRACE_HOOK_INET6_LOOKUP_LISTENER 11
#define NATTRACE_HOOK_REQSK_QUEUE_HASH_ADD 12
#define NATTRACE_HOOK_TCP_MAKE_SYNACK 13
#define NATTRACE_HOOK_TCP_CONNECT 14
#define NATTRACE_HOOK_TCP_V4_SEND_RESET 15
#define NATTRACE_HOOK_TCP_V6_SEND_RESET 16
#define NATTRACE_HOOK_TCP_SEND_ACTIVE_RESET 17
#define NATTRACE_HOOK_NF_SEND_RESET 18
#define NATTRACE_HOOK_NF_SEND_RESET6 19
#define NATTRACE_HOOK_TCP_SEND_RESET_TRACEPOINT 20
#define NATTRACE_HOOK_INET_SOCK_SET_STATE 21
#define NATTRACE_HOOK_TCP_RETRANSMIT_SKB 22
#define NATTRACE_HOOK_TCP_RETRANSMIT_SYNACK 23
#define NATTRACE_HOOK_NET_DEV_START_XMIT 24
#define NATTRACE_HOOK_KFREE_SKB 25
#define NATTRACE_HOOK_MODULE_LOAD 26
#define NATTRACE_HOOK_NFT_TRACE_PACKET 27
#define NATTRACE_HOOK_TCP_CHECK_REQ 28
#define NATTRACE_HOOK_COUNT 29

/*
 * Index into the map `counters`: counted per CPU, since the start. The first counts observations that
 * user space was to be told of, and each that did not get there is in one of the others, up to _OBSERVED:
 * what was delivered and those add up to it, exactly.
 */
#define NATTRACE_COUNTER_OBSERVATIONS 0
#define NATTRACE_COUNTER_RING_FULL 1	 /* no room in the ring buffer */
#define NATTRACE_COUNTER_PRESSED 2	 /* of a handshake that was not followed, to leave room for those that are */
#define NATTRACE_COUNTER_FOLLOW_FULL 3	 /* of one that there was no room to follow */
#define NATTRACE_COUNTER_HELD_FULL 4	 /* more happened to a held SYN than is kept of it */
#define NATTRACE_COUNTER_OBSERVED 5	 /* how many the above are */
#define NATTRACE_COUNTER_NUMBER_FULL 5	 /* not an observation: a number of a followed handshake, for which there was no room */
#define NATTRACE_COUNTER_COUNT 6

/*
 * Two ends of a flow. IPv4 addresses stand in the first four bytes, the rest
 * is zero. Also used for the range that a NAT rule asks for: then source is
 * the lowest and destination the highest address and port.
 */
struct nattrace_tuple {
	__u8 source[16];
	__u8 destination[16];
	__u16 source_port;
	__u16 destination_port;
};

/* Where a listener found by the look-up is bound. */
struct nattrace_bound {
	__u8 address[16]; /* all zero: every address */
	__u16 port;
	__u16 family;	  /* AF_INET or AF_INET6, as the socket was made */
	__u32 ifindex;	  /* SO_BINDTODEVICE, 0 without */
	/* Its queues at that moment; all zero in recordings of versions that did not look. */
	__u32 accept_queue; /* connections waiting for accept(2) (sk_ack_backlog) */
	__u32 queue_limit;  /* what listen(2) set, for each queue (sk_max_ack_backlog) */
	__u32 syn_queue;    /* handshakes half done (icsk_accept_queue.qlen) */
	__u32 queues_known; /* 1: the three above were read */
};

/* The rule, or the base chain whose policy decided (then handle is 0). */
struct nattrace_rule {
	__u32 handle_low; /* two halves: the structure stands at a multiple of four */
	__u32 handle_high;
	char table[NATTRACE_RULE_NAME_LENGTH];
	char chain[NATTRACE_RULE_NAME_LENGTH]; /* empty: not known */
};

/* An ICMP error (RFC 792, RFC 4443). */
struct nattrace_icmp {
	__u8 source[16];      /* who says so; as in tuples */
	__u8 destination[16]; /* to whom */
	__u8 type;
	__u8 code;
	__u8 padding[2];
};

struct nattrace_observation {
	__u64 time_ns;	/* CLOCK_MONOTONIC */
	__u64 sock;	/* kernel address of the socket, an identity only; 0: none */
	__u64 ct;	/* kernel address of the conntrack entry, an identity only; 0: none */
	__u64 location; /* kernel code address: where a packet was dropped, who called */

	__u32 isn;	 /* the client's initial sequence number: the connection's thread */
	__u32 netns;	 /* inode number of the network namespace; 0 if the hook cannot tell */
	__u32 seq;	 /* of the packet */
	__u32 ack;	 /* of the packet, 0 without ACK flag */
	__u32 reason;	 /* the kernel's value: drop or reset reason, NF_NAT_RANGE_* flags; see has_reason */
	__u32 ct_status; /* IPS_* */
	__u32 pid;	 /* process (thread group) in whose context it happened; 0: not known */
	__u32 ifindex;	 /* of the device in `name`; 0: none */

	__u16 hook;
	__u16 payload; /* TCP payload bytes, capped at 65535 */
	__u16 ct_zone;
	__u16 cpu;

	__u8 kind;
	__u8 stage;
	__u8 backend;
	__u8 tcp_flags; /* as on the wire: FIN 1, SYN 2, RST 4, PSH 8, ACK 16, ... */
	__u8 family;	/* 4 or 6 for the tuples below; 0: no packet */
	__u8 detail;	/* by kind */
	__u8 ct_state;	/* enum tcp_conntrack */
	__u8 ct_info;	/* enum ip_conntrack_info of this packet */

	struct nattrace_tuple packet; /* as the packet is at this point */
	union {
		struct {
			struct nattrace_tuple ct_original; /* as dialled, if ct */
			struct nattrace_tuple ct_reply;	   /* as the answer will look, if ct */
		};
		struct nattrace_bound bound;	    /* NATTRACE_KIND_LISTENER */
		struct nattrace_rule rule;	    /* NATTRACE_KIND_RULE */
		struct nattrace_icmp icmp;	    /* NATTRACE_KIND_ICMP */
		char text[NATTRACE_TEXT_LENGTH];    /* NATTRACE_CONNTRACK_INVALID */
	};
	char name[NATTRACE_NAME_LENGTH]; /* device, process (if pid) or module, NUL-padded */

	__u8 has_reason; /* reason holds a value: older kernels have none to give */
	__u8 rule_family; /* NATTRACE_KIND_RULE: of the table, NFPROTO_* of linux/netfilter.h */
	__u8 followed;	 /* the kernel side's own: its connection was found. To user space always 0 */
	__u8 padding[1];
};

/* Closed interval, host order. */
struct nattrace_port_range {
	__u16 first;
	__u16 last;
};

struct nattrace_prefix {
	__u8 address[16]; /* network order, host bits zero */
	__u8 mask[16];
	__u8 family; /* 4 or 6 */
	__u8 padding[3];
};

/*
 * Which connections to follow. Filters of different kinds all have to hold,
 * one kind given several times is an "or"; an unused kind has count 0. Each
 * matches the dialled or the translated view.
 */
struct nattrace_filter {
	__u32 netns;  /* observe only in this namespace (inode); 0: in all */
	__u8 family;  /* 4, 6, or 0: both */
	__u8 source_ports;
	__u8 destination_ports;
	__u8 ports;
	__u8 source_prefixes;
	__u8 destination_prefixes;
	__u8 prefixes;
	__u8 interfaces;
	struct nattrace_port_range source_port[NATTRACE_FILTER_ENTRIES];
	struct nattrace_port_range destination_port[NATTRACE_FILTER_ENTRIES];
	struct nattrace_port_range port[NATTRACE_FILTER_ENTRIES];
	struct nattrace_prefix source_prefix[NATTRACE_FILTER_ENTRIES];
	struct nattrace_prefix destination_prefix[NATTRACE_FILTER_ENTRIES];
	struct nattrace_prefix prefix[NATTRACE_FILTER_ENTRIES];
	char interface[NATTRACE_FILTER_ENTRIES][NATTRACE_NAME_LENGTH];
};

/*
 * Set in .rodata before load, so that the verifier removes what does not
 * apply. Positions are counted from 1; 0 means that this kernel's function
 * has no such argument. They come from the kernel's BTF, never from a version.
 */
struct nattrace_configuration {
	struct nattrace_filter filter;
	/*
	 * With more bytes than this unread in the ring buffer no handshake begins to be followed, and with more
	 * than the second not even one of which this is the end: what is left is for those that are followed.
	 */
	__u32 pressed_bytes;
	__u32 ends_bytes;
	__u8 kfree_skb_reason;		     /* position in tracepoint skb:kfree_skb */
	__u8 tcp_send_reset_reason;	     /* position in tracepoint tcp:tcp_send_reset */
	__u8 send_reset_reason;		     /* position in tcp_v4_send_reset and tcp_v6_send_reset */
	__u8 active_reset_reason;	     /* position in tcp_send_active_reset */
	__u8 listener_skb;		     /* position of skb in __inet_lookup_listener */
	__u8 listener6_skb;		     /* position of skb in inet6_lookup_listener */
	__u8 listener_found;		     /* what these two return stands behind their last argument, */
	__u8 listener6_found;		     /* for programs at their exit */
	__u8 nf_send_reset_skb;		     /* position of oldskb in nf_send_reset */
	__u8 nf_send_reset6_skb;	     /* position of oldskb in nf_send_reset6 */
	__u8 ct_log_invalid_text;	     /* position of fmt in nf_ct_l4proto_log_invalid */
	__u8 log_invalid_text;		     /* position of fmt in nf_l4proto_log_invalid */
	__u8 make_synack_req;		     /* position of req in tcp_make_synack */
	__u8 nft_trace_info;		     /* positions in __nft_trace_packet: of info, */
	__u8 nft_trace_type;		     /* of type, */
	__u8 nft_trace_chain;		     /* of chain (to 6.3), */
	__u8 nft_trace_packet;		     /* and of pkt, verdict and rule, which info holds to 6.3 */
	__u8 nft_trace_verdict;
	__u8 nft_trace_rule;
};

/* A question of user space, answered in place: which function holds an address. */
struct nattrace_symbol {
	__u64 address;
	char name[NATTRACE_SYMBOL_LENGTH]; /* as vsprintf's %ps writes it; 0x... where no function does */
};

_Static_assert(sizeof(struct nattrace_tuple) == 36, "recordings rely on it");
_Static_assert(sizeof(struct nattrace_observation) == 208, "recordings rely on it");

#endif
