// libbpf as Debian packages it; the library is found through pkg-config.
#include <bpf/bpf.h>
#include <bpf/btf.h>
#include <bpf/libbpf.h>
