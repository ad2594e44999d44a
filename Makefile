# make is the entry point: it compiles the BPF programs that the Swift package embeds,
# then the package. `make V=1` shows the commands.

SWIFT ?= swift
BUILD := .build
BPF_OBJECT := $(BUILD)/bpf/nattrace.bpf.o

# The first compiler that can compile for BPF: the one in PATH may be Swift's, or a build
# without that target. Looked for only when a BPF program has to be compiled.
CLANGS ?= clang clang-14 clang-15 clang-16 clang-17 clang-18 clang-19 /usr/bin/clang
STRIPS ?= llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 llvm-strip-17 llvm-strip-18 llvm-strip-19
find_clang = $(shell for c in $(CLANGS); do $$c -print-targets 2>/dev/null | grep -qw bpf && echo $$c && break; done)
find_strip = $(shell for s in $(STRIPS); do command -v $$s && break; done)

MACHINE := $(shell uname -m)
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter
# Registers that hold a function's arguments differ; libbpf's names of architectures are the kernel's.
BPF_CFLAGS += -D__TARGET_ARCH_$(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(MACHINE)))
# The BPF target has no asm/ of its own: Debian keeps the machine's in a folder of its triplet.
BPF_CFLAGS += -idirafter /usr/include/$(MACHINE)-linux-gnu

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

.PHONY: build debug bpf
.DELETE_ON_ERROR:

build: bpf
	$(say) SWIFT "release"
	$(Q)$(SWIFT) build -c release $(SWIFTFLAGS)

debug: bpf
	$(say) SWIFT "debug"
	$(Q)$(SWIFT) build $(SWIFTFLAGS)

bpf: $(BPF_OBJECT)

# Written under another name and moved when complete: SwiftPM never sees half an object.
# Stripped of debug information but for BTF, which libbpf needs.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(eval CLANG_BPF := $(or $(find_clang),$(error no clang with the bpf target: apt-get install clang, or make CLANGS=/path/to/clang)))
	$(Q)$(eval STRIP_BPF := $(or $(find_strip),$(error no llvm-strip: apt-get install llvm, or make STRIPS=/path/to/llvm-strip)))
	$(Q)$(CLANG_BPF) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.tmp
	$(Q)$(STRIP_BPF) -g $@.tmp
	$(Q)mv $@.tmp $@

-include $(BPF_OBJECT:.o=.d)
