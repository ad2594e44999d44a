/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel's types, reduced to the fields that are read. CO-RE relocates
 * every access to where the running kernel keeps the field, so nothing but
 * names and nesting matters here; no header of one kernel is needed to build.
 */
#ifndef NATTRACE_KERNEL_TYPES_H
#define NATTRACE_KERNEL_TYPES_H

#include <linux/types.h>
#include <stdbool.h>

/* libbpf's register macros then use the kernel's own names of registers. */
#define __VMLINUX_H__

#if defined(__TARGET_ARCH_x86)
struct pt_regs {
	unsigned long r15, r14, r13, r12, bp, bx, r11, r10, r9, r8;
	unsigned long ax, cx, dx, si, di, orig_ax, ip, cs, flags, sp, ss;
};
#elif defined(__TARGET_ARCH_arm64)
struct user_pt_regs {
	__u64 regs[31], sp, pc, pstate;
};
struct pt_regs {
	struct user_pt_regs user_regs;
};
#else
#error "nattrace is built for x86_64 and arm64"
#endif

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

struct ns_common {
	unsigned int inum;
};

struct net {
	struct ns_common ns;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	char name[16];
	int ifindex;
	possible_net_t nd_net;
};

struct dst_entry {
	struct net_device *dev;
};

struct rtable {
	struct dst_entry dst;
	unsigned int rt_flags;
	__u16 rt_type;
};

struct rt6_info {
	struct dst_entry dst;
	unsigned int rt6i_flags;
};

struct in6_addr {
	union {
		__u8 u6_addr8[16];
		__u32 u6_addr32[4];
	} in6_u;
};

struct sock_common {
	__be32 skc_daddr;
	__be32 skc_rcv_saddr;
	__be16 skc_dport;
	__u16 skc_num;
	unsigned short skc_family;
	volatile unsigned char skc_state;
	int skc_bound_dev_if;
	possible_net_t skc_net;
	struct in6_addr skc_v6_daddr;
	struct in6_addr skc_v6_rcv_saddr;
};

struct sock {
	struct sock_common __sk_common;
	__u16 sk_protocol;
	__u32 sk_ack_backlog;
	__u32 sk_max_ack_backlog;
};

typedef struct {
	int counter;
} atomic_t;

struct request_sock_queue {
	atomic_t qlen;
};

struct inet_connection_sock {
	struct request_sock_queue icsk_accept_queue;
};

struct tcp_sock {
	__u32 snd_una;
	__u32 write_seq;
	__u32 copied_seq;
};

struct request_sock {
	struct sock_common __req_common;
};

struct tcp_request_sock {
	__u32 rcv_isn;
	__u32 snt_isn;
};

struct sk_buff {
	struct net_device *dev;
	struct sock *sk;
	unsigned long _skb_refdst;
	unsigned long _nfct;
	unsigned int len, data_len;
	__be16 protocol;
	int skb_iif;
	__u16 network_header;
	char cb[48];
	unsigned int tail;
	unsigned char *head, *data;
};

union nf_inet_addr {
	__u32 all[4];
};

union nf_conntrack_man_proto {
	__be16 all;
};

struct nf_conntrack_man {
	union nf_inet_addr u3;
	union nf_conntrack_man_proto u;
	__u16 l3num;
};

struct nf_conntrack_tuple {
	struct nf_conntrack_man src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
		__u8 protonum;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct nf_conntrack_zone {
	__u16 id;
};

struct ip_ct_tcp_state {
	__u32 td_end;
};

struct ip_ct_tcp {
	struct ip_ct_tcp_state seen[2];
	__u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

struct nf_conn {
	struct nf_conntrack_zone zone;
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	possible_net_t ct_net;
	union nf_conntrack_proto proto;
};

struct nf_hook_state {
	__u8 hook;
	__u8 pf;
	struct net *net;
};

/* In the BTF of module nf_tables. */
struct nft_table {
	__u16 family : 6;
	char *name;
};

struct nft_chain {
	struct nft_table *table;
	char *name;
};

enum nft_chain_types {
	NFT_CHAIN_T_DEFAULT,
	NFT_CHAIN_T_ROUTE,
	NFT_CHAIN_T_NAT,
};

struct nft_chain_type {
	enum nft_chain_types type;
};

struct nft_base_chain {
	const struct nft_chain_type *type;
	__u8 policy;
	struct nft_chain chain;
};

struct nft_rule_dp {
	__u64 is_last : 1, dlen : 12, handle : 42;
};

struct nft_rule_dp_last {
	const struct nft_chain *chain;
};

struct nft_verdict {
	__u32 code;
};

struct nft_pktinfo {
	struct sk_buff *skb;
	const struct nf_hook_state *state;
};

struct nft_traceinfo {
	const struct nft_base_chain *basechain;
};

/* The same to 6.3, when what it traces was still told by it. */
struct nft_traceinfo___holding {
	const struct nft_pktinfo *pkt;
	const struct nft_rule_dp *rule;
	const struct nft_verdict *verdict;
};

struct module {
	char name[56];
};

#pragma clang attribute pop

/*
 * Part of the kernel's interface to user space (linux/netfilter/nf_nat.h), so its
 * layout is fixed. Its BTF is in module nf_nat, or nowhere (5.10): relocated, the
 * program could not be loaded before the module is.
 */
struct nf_nat_range2 {
	unsigned int flags;
	__u32 min_addr[4];
	__u32 max_addr[4];
	__be16 min_proto;
	__be16 max_proto;
	__be16 base_proto;
};

/* Constants of the kernel's headers, by their own names. */
#define AF_INET 2
#define AF_INET6 10
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_ICMPV6 58
#define RTN_LOCAL 2
#define RTCF_LOCAL 0x80000000u
#define RTF_LOCAL 0x80000000u
#define LOOPBACK_IFINDEX 1
#define SKB_DST_PTRMASK (~1UL)
#define NFCT_INFOMASK 7UL
#define NFCT_PTRMASK (~7UL)
#define IPS_CONFIRMED (1 << 3)
#define IPS_TEMPLATE (1 << 11)
#define IP_CT_NEW 2
#define TCP_CONNTRACK_SYN_SENT 1
#define TCP_CONNTRACK_SYN_RECV 2
#define NFPROTO_NETDEV 5
#define NF_NETDEV_INGRESS 0
#define NF_ACCEPT 1
#define NFT_CONTINUE 0xffffffffu
#define NFT_JUMP 0xfffffffdu /* -3, NFT_GOTO -4, NFT_RETURN -5: none of them decides */
#define NFT_GOTO 0xfffffffcu
#define NFT_RETURN 0xfffffffbu
#define NFT_TRACETYPE_POLICY 1
#define NFT_TRACETYPE_RULE 3
#define NF_NAT_RANGE_MAP_IPS 1
#define NF_NAT_MANIP_SRC 0
#define TCP_ESTABLISHED 1
#define TCP_SYN_SENT 2
#define TCP_SYN_RECV 3
#define TCP_CLOSE 7
#define TCP_LISTEN 10

#define TCP_FLAG_FIN 0x01
#define TCP_FLAG_SYN 0x02
#define TCP_FLAG_RST 0x04
#define TCP_FLAG_ACK 0x10

#endif
