/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * Kernel differences, all of them, each with the reason it exists. Which one
 * applies is asked of BTF, by user space (argument positions) or by CO-RE
 * (fields), never of a version number: distributions backport.
 */
#ifndef NATTRACE_COMPAT_H
#define NATTRACE_COMPAT_H

#include "kernel_types.h"
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

/*
 * Set by user space before load. Alone in its section, so that the section's
 * bytes are the structure's bytes.
 */
const volatile struct nattrace_configuration nattrace_config SEC(".rodata.config");

/* The last argument in a register on all of them; libbpf has names for five. */
#if defined(__TARGET_ARCH_x86)
#define PT_REGS_SIXTH(regs) ((regs)->r9)
#elif defined(__TARGET_ARCH_arm64)
#define PT_REGS_SIXTH(regs) ((const volatile struct user_pt_regs *)(regs))->regs[5]
#endif

/*
 * Argument `position` (from 1) of a hooked function.
 *
 * Positions moved: __inet_lookup_listener lost its hash table argument in
 * 6.18, nf_send_reset gained a socket, tcp_v4_send_reset and
 * tcp_send_active_reset gained a reason in 6.10 (the latter lost its gfp
 * later), nf_ct_l4proto_log_invalid gained a hook state before its format.
 * The position is a constant to the verifier, so one branch remains. To the
 * compiler it is not: without the barriers it would merge the branches into one
 * load from a computed place of the context, which the verifier refuses.
 */
static __always_inline unsigned long argument(struct pt_regs *regs, __u8 position)
{
	unsigned long value = 0;

	switch (position) {
	case 1:
		value = PT_REGS_PARM1(regs);
		barrier_var(value);
		break;
	case 2:
		value = PT_REGS_PARM2(regs);
		barrier_var(value);
		break;
	case 3:
		value = PT_REGS_PARM3(regs);
		barrier_var(value);
		break;
	case 4:
		value = PT_REGS_PARM4(regs);
		barrier_var(value);
		break;
	case 5:
		value = PT_REGS_PARM5(regs);
		barrier_var(value);
		break;
	/* The words of nf_l4proto_log_invalid(skb, net, pf, protonum, "%s", words), to 5.15. */
	case 6:
		value = PT_REGS_SIXTH(regs);
		barrier_var(value);
		break;
	}
	return value;
}

/* skb->_nfct is not there at all in a kernel without conntrack. */
static __always_inline unsigned long skb_nfct(const struct sk_buff *skb)
{
	if (!bpf_core_field_exists(skb->_nfct))
		return 0;
	return BPF_CORE_READ(skb, _nfct);
}

/* nf_conn.zone is there with CONFIG_NF_CONNTRACK_ZONES only. */
static __always_inline __u16 ct_zone(const struct nf_conn *ct)
{
	if (!bpf_core_field_exists(ct->zone))
		return 0;
	return BPF_CORE_READ(ct, zone.id);
}

#endif
