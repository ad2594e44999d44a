// SPDX-License-Identifier: MIT
// Linux headers that `import Glibc` leaves out. Each line says who needs it.
#ifndef CNATTRACE_SYSTEM_SHIMS_H
#define CNATTRACE_SYSTEM_SHIMS_H

#include <linux/inet_diag.h>	// HostFacts: listeners
#include <linux/netfilter/nf_tables.h>	// KernelTracer: rule tracing; HostFacts: the generation of a ruleset
#include <linux/netfilter/nfnetlink.h>	// HostFacts, KernelTracer: the transport of both
#include <linux/netfilter/nfnetlink_conntrack.h>	// HostFacts: conntrack entries
#include <linux/netlink.h>	// HostFacts: sock_diag's transport
#include <linux/rtnetlink.h>	// HostFacts: interfaces and addresses
#include <linux/sched.h>	// HostFacts: CLONE_NEWNET
#include <linux/sock_diag.h>	// HostFacts: listeners
#include <sys/epoll.h>		// KernelTracer: the event loop
#include <sys/eventfd.h>
#include <sys/signalfd.h>
#include <sys/ioctl.h>
#include <sys/timerfd.h>

/// Columns of the terminal behind a descriptor, 0 where there is none. ioctl(2) takes
/// variable arguments, which Swift does not call.
static inline unsigned short nattrace_terminal_columns(int descriptor)
{
	struct winsize size = {0};

	return ioctl(descriptor, TIOCGWINSZ, &size) == 0 ? size.ws_col : 0;
}

// Hidden without _GNU_SOURCE, which Swift's importer does not define.
int setns(int fd, int nstype);		// HostFacts, KernelTracer
int pipe2(int pipefd[2], int flags);	// HostFacts: reading what a program says
int unshare(int flags);			// KernelTracer: rule tracing

#endif
