// SPDX-License-Identifier: MIT
// What is known of the build: from make, and from the program itself.
#ifndef CNATTRACE_BUILD_FACTS_H
#define CNATTRACE_BUILD_FACTS_H

#include <stdbool.h>

/// The commit, with `-dirty` where files were changed since; empty: it is not known.
const char *_Nonnull nattrace_build_commit(void);
/// Swift's version, as 6.3.1; empty: it is not known.
const char *_Nonnull nattrace_build_swift(void);
/// What compiled the BPF programs, as its `--version` begins; empty: it is not known.
const char *_Nonnull nattrace_build_bpf_compiler(void);
/// The SHA-256 of the object with the BPF programs; empty: it is not known.
const char *_Nonnull nattrace_build_bpf_hash(void);
/// As uname(1) names the machine that it is built for.
const char *_Nonnull nattrace_build_architecture(void);
/// Whether the program is one file that needs no dynamic linker.
bool nattrace_is_static(void);

#endif
