// SPDX-License-Identifier: MIT
// Linux headers that `import Glibc` leaves out. Each line says who needs it.
#ifndef CNATTRACE_SYSTEM_SHIMS_H
#define CNATTRACE_SYSTEM_SHIMS_H

#include <linux/inet_diag.h>	// HostFacts: listeners
#include <linux/membarrier.h>	// KernelTracer: the end of what runs on other CPUs
#include <linux/netfilter/nf_tables.h>	// KernelTracer: rule tracing; HostFacts: the generation of a ruleset
#include <linux/netfilter/nfnetlink.h>	// HostFacts, KernelTracer: the transport of both
#include <linux/netfilter/nfnetlink_conntrack.h>	// HostFacts: conntrack entries
#include <linux/netlink.h>	// HostFacts: sock_diag's transport
#include <linux/rtnetlink.h>	// HostFacts: interfaces and addresses
#include <linux/sched.h>	// HostFacts: CLONE_NEWNET
#include <linux/sock_diag.h>	// HostFacts: listeners
#include <spawn.h>		// HostFacts: programs that list rulesets
#include <sys/epoll.h>		// KernelTracer: the event loop
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/timerfd.h>
#include <unistd.h>

/// Columns of the terminal behind a descriptor, 0 where there is none. ioctl(2) takes
/// variable arguments, which Swift does not call.
static inline unsigned short nattrace_terminal_columns(int descriptor)
{
	struct winsize size = {0};

	return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

/// Rows of the terminal behind a descriptor, 0 where there is none.
static inline unsigned short nattrace_terminal_rows(int descriptor)
{
	struct winsize size = {0};

	return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_row : 0;
}

/// The number of the terminal behind a descriptor, also where that is /dev/tty; 0 where there is none.
static inline unsigned nattrace_terminal_device(int descriptor)
{
	unsigned device = 0;

	return ioctl(descriptor, TIOCGDEV, &device) == 0 ? device : 0;
}

// Hidden without _GNU_SOURCE, which Swift's importer does not define.
int setns(int fd, int nstype);	// HostFacts, KernelTracer
int unshare(int flags);		// KernelTracer: rule tracing
int pipe2(int *_Nonnull ends, int flags);

/// Waits until all CPUs have left what they ran with preemption off or under RCU (synchronize_rcu). syscall(2)
/// takes variable arguments. 0, or -1 with errno: ENOSYS where there is no such call, EINVAL where CPUs are isolated
/// (nohz_full).
static inline int nattrace_membarrier_global(void)
{
	return (int)syscall(SYS_membarrier, MEMBARRIER_CMD_GLOBAL, 0, 0);
}

/// KernelTracer: stores where a BPF program reads, with a full barrier behind it. Swift's atomics want an object of
/// their own.
static inline void nattrace_store_flag(void *_Nonnull place, unsigned value)
{
	__atomic_store_n((unsigned *)place, value, __ATOMIC_SEQ_CST);
	__atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/// Has a child that is spawned close what it inherited, from this descriptor on. Ours close by
/// themselves; this is for what whoever started this program left open. Nothing before glibc 2.34.
static inline void nattrace_spawn_close_from(posix_spawn_file_actions_t *_Nonnull actions, int first)
{
#if __GLIBC_PREREQ(2, 34)
	int posix_spawn_file_actions_addclosefrom_np(posix_spawn_file_actions_t *, int);

	posix_spawn_file_actions_addclosefrom_np(actions, first);
#endif
}

// HostFacts: as setns.
void *_Nullable memmem(const void *_Nonnull text, size_t size, const void *_Nonnull wanted, size_t length);

// HostFacts: the number that a network namespace never shares (Linux 5.14), in older headers missing.
#ifndef SO_NETNS_COOKIE
#define SO_NETNS_COOKIE 71
#endif

#endif
