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
 * A call of a hooked function, as the two kinds of programs get it: a kprobe finds the arguments in
 * registers, a fentry or fexit program in an array, in fexit followed by what was returned. Which it is
 * is known to the compiler: nothing of the choice is left in a program.
 */
struct call {
	void *ctx;
	__u8 backend;
};

#define KPROBE_CALL(ctx) ((struct call){ ctx, NATTRACE_BACKEND_KPROBE })
#define FENTRY_CALL(ctx) ((struct call){ ctx, NATTRACE_BACKEND_FENTRY })

/*
 * The programs of a hook at the entry of `function`, probe_NAME and entry_NAME, which are both
 * body(call, ...). User space loads the one that the kernel can attach.
 */
#define ON_ENTRY(name, function, body, ...)                                        \
	SEC("kprobe")                                                              \
	int probe_##name(struct pt_regs *ctx)                                      \
	{                                                                          \
		return body(KPROBE_CALL(ctx), ##__VA_ARGS__);                      \
	}                                                                          \
	SEC("fentry/" #function)                                                   \
	int entry_##name(__u64 *ctx)                                               \
	{                                                                          \
		return body(FENTRY_CALL(ctx), ##__VA_ARGS__);                      \
	}

/* Keeps the loads of different positions apart; see argument(). */
#define AT(position, load)        \
	case position:            \
		value = (load);   \
		barrier_var(value); \
		break

/*
 * Argument `position` (from 1) of a hooked function; behind the last one, in fexit, what it returned.
 *
 * Positions moved: __inet_lookup_listener lost its hash table argument in
 * 6.18, nf_send_reset gained a socket, tcp_v4_send_reset and
 * tcp_send_active_reset gained a reason in 6.10 (the latter lost its gfp
 * later), nf_ct_l4proto_log_invalid gained a hook state before its format.
 * The position is a constant to the verifier, so one branch remains. To the
 * compiler it is not: without the barriers it would merge the branches into one
 * load from a computed place of the context, which the verifier refuses.
 */
static __always_inline unsigned long argument(struct call call, __u8 position)
{
	struct pt_regs *registers = call.ctx;
	const __u64 *arguments = call.ctx;
	unsigned long value = 0;

	if (call.backend == NATTRACE_BACKEND_FENTRY) {
		switch (position) {
		AT(1, arguments[0]);
		AT(2, arguments[1]);
		AT(3, arguments[2]);
		AT(4, arguments[3]);
		AT(5, arguments[4]);
		AT(6, arguments[5]);
		AT(7, arguments[6]);
		AT(8, arguments[7]);
		AT(9, arguments[8]);
		AT(10, arguments[9]);
		/* What a function of ten arguments returned: __inet_lookup_listener. */
		AT(11, arguments[10]);
		}
		return value;
	}
	switch (position) {
	AT(1, PT_REGS_PARM1(registers));
	AT(2, PT_REGS_PARM2(registers));
	AT(3, PT_REGS_PARM3(registers));
	AT(4, PT_REGS_PARM4(registers));
	AT(5, PT_REGS_PARM5(registers));
	/* The words of nf_l4proto_log_invalid(skb, net, pf, protonum, "%s", words), to 5.15. */
	AT(6, PT_REGS_SIXTH(registers));
	}
	return value;
}

#undef AT

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
