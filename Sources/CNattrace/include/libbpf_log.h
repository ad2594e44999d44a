// SPDX-License-Identifier: MIT
// Keeps the last lines that libbpf says. A shim, because libbpf hands its message over as
// a va_list, which Swift cannot format. It knows nothing of libbpf's headers, so that what
// needs only the shared layout links without libbpf.
#ifndef CNATTRACE_LIBBPF_LOG_H
#define CNATTRACE_LIBBPF_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define NATTRACE_LOG_LINES 128	     /* lines kept, the oldest go first */
#define NATTRACE_LOG_LINE_LENGTH 256 /* bytes kept of a line, NUL included */

/// The function for `libbpf_set_print`, as a pointer without its type: the type is libbpf's.
void *_Nonnull nattrace_log_function(void);

/// Whether every message, debug ones included, goes to stderr as well.
void nattrace_log_echo(bool echo);

/// How many lines there have been since the program started.
uint64_t nattrace_log_count(void);

/// Copies line `index`, counted from 0; false if there is no such line or no longer.
bool nattrace_log_line(uint64_t index, char *_Nonnull line, size_t size);

#endif
