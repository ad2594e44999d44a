// SPDX-License-Identifier: MIT
// The compiled BPF programs, carried inside the program so that one file is enough.
#ifndef CNATTRACE_EMBEDDED_OBJECT_H
#define CNATTRACE_EMBEDDED_OBJECT_H

#include <stddef.h>

/// The ELF object that `make` compiled from bpf/; it lives as long as the program.
const void *_Nonnull nattrace_embedded_object(size_t *_Nonnull size);

#endif
