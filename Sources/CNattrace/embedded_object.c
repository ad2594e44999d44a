// SPDX-License-Identifier: MIT
#include "embedded_object.h"

#if !__has_embed("../../.build/bpf/nattrace.bpf.o")
#error "The BPF programs are not compiled yet: run `make bpf` (or `make`, which builds everything)."
#endif

// `#embed` makes the object a dependency that the compiler reports, so a changed
// object is embedded anew; `.incbin` would go stale unnoticed.
_Alignas(8) static const unsigned char object[] = {
#embed "../../.build/bpf/nattrace.bpf.o"
};

const void *nattrace_embedded_object(size_t *size)
{
	*size = sizeof(object);
	return object;
}
