// SPDX-License-Identifier: MIT
// What Swift needs from C: the layout shared with the BPF programs, the embedded
// BPF object, and the few system calls that the Glibc module leaves out.
#ifndef CNATTRACE_H
#define CNATTRACE_H

#include "../../../bpf/observation.h"
#include "build_facts.h"
#include "capability_shims.h"
#include "embedded_object.h"
#include "libbpf_log.h"
#include "system_shims.h"

#endif
