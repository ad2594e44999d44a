// SPDX-License-Identifier: MIT
// Capabilities of a thread (capabilities(7)): calls that glibc has no headers for, or that take
// variable arguments, which Swift does not call.
#ifndef CNATTRACE_CAPABILITY_SHIMS_H
#define CNATTRACE_CAPABILITY_SHIMS_H

#include <linux/capability.h>
#include <linux/securebits.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

/// The three sets of capset(2), one bit for each capability.
struct nattrace_capabilities {
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
};

/// Of the calling thread; -1 and errno where it fails.
static inline int nattrace_capget(struct nattrace_capabilities *_Nonnull sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3];

	if (syscall(SYS_capget, &header, half) < 0)
		return -1;
	sets->effective = half[0].effective | (uint64_t)half[1].effective << 32;
	sets->permitted = half[0].permitted | (uint64_t)half[1].permitted << 32;
	sets->inheritable = half[0].inheritable | (uint64_t)half[1].inheritable << 32;
	return 0;
}

static inline int nattrace_capset(struct nattrace_capabilities sets)
{
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct half[_LINUX_CAPABILITY_U32S_3] = {
		{(uint32_t)sets.effective, (uint32_t)sets.permitted, (uint32_t)sets.inheritable},
		{sets.effective >> 32, sets.permitted >> 32, sets.inheritable >> 32},
	};

	return syscall(SYS_capset, &header, half);
}

/// prctl(2); the arguments that an option does not take are 0, as some want it.
static inline int nattrace_prctl(int option, unsigned long second, unsigned long third)
{
	return prctl(option, second, third, 0, 0);
}

// Built of shifts, which Swift does not import.
static const unsigned long nattrace_no_root = SECBIT_NOROOT | SECBIT_NOROOT_LOCKED;

#endif
