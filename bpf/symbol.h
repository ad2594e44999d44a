/* SPDX-License-Identifier: MIT OR GPL-2.0-only */
/*
 * The kernel's own answer to where an address is. Attached to nothing: user space
 * runs it (Symbols.swift). To read /proc/kallsyms instead takes the kernel a tenth of a
 * second, for it writes all of it.
 */
#include "compat.h"

SEC("syscall")
int name_symbol(struct nattrace_symbol *symbol)
{
	static const char format[] = "%ps";
	__u64 address = symbol->address;
	/* Helpers do not write to this context. */
	__u64 words[sizeof(symbol->name) / sizeof(__u64)] = {};
	long length = bpf_snprintf((char *)words, sizeof(words), format, &address, sizeof(address));

	for (__u32 i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		((__u64 *)symbol->name)[i] = words[i];
	return length;
}
