// SPDX-License-Identifier: MIT
#include "build_facts.h"

#include <elf.h>
#include <link.h>
#include <sys/auxv.h>

// make writes it, and leaves it as it is while nothing in it changes.
#if __has_include("../../.build/bpf/build_facts.h")
#include "../../.build/bpf/build_facts.h"
#else
#define NATTRACE_COMMIT ""
#define NATTRACE_SWIFT ""
#define NATTRACE_BPF_COMPILER ""
#define NATTRACE_BPF_HASH ""
#endif

const char *nattrace_build_commit(void)
{
	return NATTRACE_COMMIT;
}

const char *nattrace_build_swift(void)
{
	return NATTRACE_SWIFT;
}

const char *nattrace_build_bpf_compiler(void)
{
	return NATTRACE_BPF_COMPILER;
}

const char *nattrace_build_bpf_hash(void)
{
	return NATTRACE_BPF_HASH;
}

const char *nattrace_build_architecture(void)
{
#if defined(__x86_64__)
	return "x86_64";
#elif defined(__aarch64__)
	return "aarch64";
#else
	return "";
#endif
}

// The kernel hands over the program's own headers: with a dynamic linker, one of them names it.
bool nattrace_is_static(void)
{
	const ElfW(Phdr) *header = (const void *)getauxval(AT_PHDR);
	unsigned long count = header ? getauxval(AT_PHNUM) : 0;

	for (unsigned long i = 0; i < count; i++)
		if (header[i].p_type == PT_INTERP)
			return false;
	return count > 0;
}
