# make is the entry point: it compiles the BPF programs that the Swift package embeds,
# then the package. `make help` lists the targets, `make V=1` shows the commands.

SWIFT ?= swift
PREFIX ?= /usr/local
BUILD := .build
BPF_OBJECT := $(BUILD)/bpf/nattrace.bpf.o
PROGRAM := $(BUILD)/release/nattrace
DIST := $(BUILD)/dist
DEB := $(BUILD)/deb

# Debian packages: to build, to run the live tests, and to run them in virtual machines.
PACKAGES := make git pkg-config clang llvm libbpf-dev libelf-dev zlib1g-dev libc6-dev
PACKAGES += python3 python3-jsonschema iproute2 nftables iptables conntrack bpftool util-linux kmod
PACKAGES += debhelper lintian debootstrap systemd buildah python3-venv python3-yaml
PACKAGES += qemu-system-x86 qemu-system-common busybox-static debian-archive-keyring

# What benchmarks compare with; tests do without.
BENCH_PACKAGES := bpftrace tcpdump

# The first compiler that can compile for BPF: the one in PATH may be Swift's, or a build
# without that target. Looked for only when a BPF program has to be compiled.
CLANGS ?= clang clang-14 clang-15 clang-16 clang-17 clang-18 clang-19 /usr/bin/clang
STRIPS ?= llvm-strip llvm-strip-14 llvm-strip-15 llvm-strip-16 llvm-strip-17 llvm-strip-18 llvm-strip-19
find_clang = $(shell for c in $(CLANGS); do $$c -print-targets 2>/dev/null | grep -qw bpf && echo $$c && break; done)
find_strip = $(shell for s in $(STRIPS); do command -v $$s && break; done)

# Swift registers each access to a class's property for as long as it lasts, to tell of two that overlap (SE-0176):
# a fifth of the time that a replay takes. What the compiler itself sees is refused all the same, and the tests run
# with these checks, as debug builds have them.
RELEASE := -c release -Xswiftc -enforce-exclusivity=unchecked

MACHINE := $(shell uname -m)
BPF_CFLAGS := -target bpf -mcpu=v3 -O2 -g -Wall -Wextra -Werror -Wno-unused-parameter
# Registers that hold a function's arguments differ; libbpf's names of architectures are the kernel's.
BPF_CFLAGS += -D__TARGET_ARCH_$(patsubst x86_64,x86,$(patsubst aarch64,arm64,$(MACHINE)))
# The BPF target has no asm/ of its own: Debian keeps the machine's in a folder of its triplet.
BPF_CFLAGS += -idirafter /usr/include/$(MACHINE)-linux-gnu

# Namespaces, tracing and virtual machines want root.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

.PHONY: build debug dist deb bpf deps test test-unit test-live test-vm test-kernels test-dist test-package test-harness bench bench-deps bench-attach demo fmt lint install uninstall clean help
.DELETE_ON_ERROR:
# SwiftPM uses every processor by itself, and the tests share one machine.
.NOTPARALLEL:

# Swift's own libraries are linked in: what is installed does not need the toolchain.
build: bpf ## the program, optimised: .build/release/nattrace (default)
	$(say) SWIFT "release"
	$(Q)$(SWIFT) build $(RELEASE) --static-swift-stdlib $(SWIFTFLAGS)

debug: bpf ## the program for debugging: .build/debug/nattrace
	$(say) SWIFT "debug"
	$(Q)$(SWIFT) build $(SWIFTFLAGS)

# A folder of its own: what is compiled for the one is of no use to the other.
dist: bpf ## the program as one file that needs no library: .build/dist/nattrace, with a tarball
	$(say) SWIFT "static release"
	$(Q)$(SWIFT) build $(RELEASE) --scratch-path $(BUILD)/static -Xswiftc -static-executable \
		$(addprefix -Xlinker ,$(shell pkg-config --static --libs-only-l libbpf)) $(SWIFTFLAGS)
	$(Q)rm -rf $(DIST) && mkdir -p $(DIST)
	$(Q)strip -o $(DIST)/nattrace $(BUILD)/static/release/nattrace
	$(Q)set -e; name=nattrace-$$($(DIST)/nattrace --version)-linux-$(MACHINE); cd $(DIST); \
		mkdir $$name; cp -r nattrace $(foreach f,README.md LICENSE docs,$(CURDIR)/$f) $$name; \
		tar -c --sort=name --owner=0 --group=0 --numeric-owner $$name | gzip -9n >$$name.tar.gz; \
		rm -r $$name; sha256sum nattrace $$name.tar.gz >SHA256SUMS; \
		du -h --apparent-size nattrace $$name.tar.gz | sed 's/^/  /'

# With the manual page, where man/make-manual makes one.
deb: dist ## a Debian package of that file, with a service: .build/deb
	$(say) DEB $(DEB)
	$(Q)rm -rf $(DEB) && deploy/debian/make-package --program $(DIST)/nattrace $(DEB)

bpf: $(BPF_OBJECT) ## the kernel side alone

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

deps: ## install what is missing to build and test (Debian packages)
	$(Q)command -v apt-get >/dev/null || { echo 'make deps: no apt-get here: install what corresponds to $(PACKAGES)' >&2; exit 1; }
	$(Q)missing=$$(for p in $(PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -q ^installed || printf ' %s' $$p; done); \
	test -z "$$missing" || { echo "  APT     $$missing"; $(SUDO) apt-get -qq update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing; } </dev/null
	$(Q)$(SUDO) Tests/live/vm/vm fetch docker
	$(Q)$(SWIFT) --version 2>/dev/null | grep -qE 'Swift version (6\.[1-9]|[7-9]|[1-9][0-9])' || \
		{ echo 'make deps: Swift 6.1 or newer is needed, in PATH: https://www.swift.org/install/linux' >&2; exit 1; }

# What is shipped is what is tested: the single file.
test: dist ## all tests: unit, live on this kernel, live in virtual machines
	$(Q)Tests/run-all

test-unit: bpf ## the Swift tests, and the tests of the test framework
	$(Q)Tests/run-all unit framework

test-live: build ## live tests on the running kernel (ARGS='PATTERN --verbose')
	$(Q)$(SUDO) Tests/live/run $(ARGS)

test-vm: dist ## live tests in virtual machines (KERNEL=6.1 for one of them)
	$(Q)Tests/run-all $(addprefix vm-,$(or $(KERNEL),6.1 6.12))

test-kernels: dist ## live tests on Debian's 5.10, 6.1, 6.12 and 7.2 with each backend, and a table (KERNEL=5.10)
	$(Q)$(SUDO) Tests/live/matrix $(KERNEL)

test-dist: dist ## the single file, in virtual machines with nothing else of ours (KERNEL=6.1)
	$(Q)Tests/dist/run $(KERNEL)

test-package: dist ## the package, the service, the image, the manifest (KERNEL=6.1: the service there as well)
	$(Q)$(SUDO) Tests/deploy/package/run $(if $(KERNEL),--kernel $(KERNEL)) $(ARGS)

test-harness: ## the tests of the virtual machines themselves
	$(Q)$(SUDO) Tests/live/vm/selftest $(KERNEL)

# Where the kernel is named it is that one alone: KERNEL=host is the running one, and KERNEL=6.1 a virtual machine.
bench: bench-deps dist $(BUILD)/bench/load $(BUILD)/bench/flood ## what it costs, beside its peers: here and on 6.1 (KERNEL=host, QUICK=1)
	$(Q)status=0; for kernel in $(or $(KERNEL),host 6.1); do \
		$(SUDO) Tests/bench/run --kernel $$kernel $(if $(QUICK),--quick) $(ARGS) || status=$$?; done; exit $$status

bench-deps:
	$(Q)$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) $(BENCH_PACKAGES)'
	$(Q)Tests/bench/fetch-pwru

$(BUILD)/bench/%: Tests/bench/%.c
	$(say) CC $@
	$(Q)mkdir -p $(@D)
	$(Q)$(CC) -std=gnu11 -O2 -Wall -Wextra -Werror -Wno-missing-field-initializers -o $@ $<

bench-attach: dist bench-deps ## from start to ready, beside bpftrace (KERNEL=6.1: in a virtual machine)
	$(Q)$(SUDO) Tests/bench/attach $(if $(KERNEL),--kernel $(KERNEL)) $(ARGS)

demo: deps build ## the example of the README, on this kernel or with KERNEL=6.1
	$(Q)$(SUDO) $(if $(KERNEL),Tests/live/vm/vm run $(KERNEL) --) Tests/live/demo

fmt: ## format the Swift sources in place
	$(Q)$(SWIFT) format -i -r -p Package.swift Sources Tests

lint: ## check that they are formatted
	$(Q)$(SWIFT) format lint -s -r -p Package.swift Sources Tests

install: ## copy the built program and its documents below PREFIX=/usr/local (DESTDIR= is put before it)
	$(Q)test -x $(PROGRAM) || { echo 'make install: there is no $(PROGRAM) yet: run make first' >&2; exit 1; }
	$(Q)install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/nattrace
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/nattrace README.md LICENSE docs/*

uninstall: ## remove what install copied
	$(Q)rm -rf $(DESTDIR)$(PREFIX)/bin/nattrace $(DESTDIR)$(PREFIX)/share/doc/nattrace

clean: ## remove everything that was built
	$(Q)rm -rf $(BUILD)

help: ## this list
	$(Q)sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

-include $(BPF_OBJECT:.o=.d)
