/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel side of nattrace, one object of many programs, grouped by what
 * they observe. User space chooses which of them to load: see HookPlan.swift.
 */
#include <linux/bpf.h>
#include "observation.h"
#include "compat.h"
#include "filter.h"
#include "follow.h"
#include "packet.h"

#include "device.h"
#include "netfilter.h"
#include "rules.h"
#include "socket.h"
#include "reset.h"
#include "symbol.h"

/* Modules may bring functions to hook: nf_nat is often loaded with the first rule. */
SEC("tp_btf/module_load")
int BPF_PROG(trace_module_load, struct module *mod)
{
	struct nattrace_observation o = {
		.kind = NATTRACE_KIND_MODULE,
		.hook = NATTRACE_HOOK_MODULE_LOAD,
		.backend = NATTRACE_BACKEND_TRACEPOINT,
		.time_ns = bpf_ktime_get_ns(),
	};

	BPF_CORE_READ_STR_INTO(&o.name, mod, name);
	/* Not about a handshake: counted with those only where it is lost. */
	if (emit(&o)) {
		count(NATTRACE_COUNTER_OBSERVATIONS, 1);
		count(NATTRACE_COUNTER_RING_FULL, 1);
	}
	wake();
	return 0;
}

/* The kernel asks for a GPL-compatible license where helpers of tracing are used. */
char kernel_license[] SEC("license") = "Dual MIT/GPL";
