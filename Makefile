# make is the entry point: it compiles the BPF programs that the Swift package embeds,
# then the package. `make help` lists the targets, `make V=1` shows the commands.

SWIFT ?= swift
PREFIX ?= /usr/local
BUILD := .build
BPF_OBJECT := $(BUILD)/bpf/nattrace.bpf.o
BUILD_FACTS := $(BUILD)/bpf/build_facts.h
PROGRAM := $(BUILD)/release/nattrace
DIST := $(BUILD)/dist
DEB := $(BUILD)/deb
# What is made from the program's own words: the manual page, and completions for shells.
SHARE := $(BUILD)/share
MANUAL := $(SHARE)/nattrace.1
COMPLETIONS := $(addprefix $(SHARE)/,nattrace.bash _nattrace nattrace.fish)

# Debian packages to build, to trace in namespaces, and to run virtual machines.
PACKAGES := make git pkg-config clang llvm libbpf-dev libelf-dev zlib1g-dev libc6-dev
PACKAGES += python3 python3-jsonschema iproute2 nftables iptables conntrack bpftool util-linux kmod
PACKAGES += qemu-system-x86 qemu-system-common busybox-static debian-archive-keyring

# What the tests use beside: shells and manuals (Tests/cli), a browser (Tests/report), Wireshark (pcapng), what the
# lines go through (Tests/deploy), and what the documentation's commands use (Tests/docs).
TEST_PACKAGES := bash-completion zsh fish mandoc man-db
TEST_PACKAGES += chromium chromium-driver python3-selenium
TEST_PACKAGES += tshark
TEST_PACKAGES += rsyslog rsyslog-relp systemd logrotate python3-yaml python3-venv prometheus
TEST_PACKAGES += debhelper lintian debootstrap buildah
TEST_PACKAGES += jq tcpdump libcap2-bin

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
# The folder's name would be in the object, which then was another one for each folder.
BPF_CFLAGS += -fdebug-compilation-dir=.

# Namespaces, tracing and virtual machines want root.
SUDO := $(if $(filter-out 0,$(shell id -u)),sudo)

ifeq ($(V),1)
Q :=
say = @:
else
Q := @
say = @printf '  %-8s %s\n'
endif

.PHONY: build debug dist deb bpf man completions deps test-deps test test-unit test-cli test-live test-report test-vm test-kernels test-dist test-package test-docs test-harness bench bench-deps bench-attach demo fmt lint install uninstall clean help
.DELETE_ON_ERROR:
# SwiftPM uses every processor by itself, and the tests share one machine.
.NOTPARALLEL:

# Swift's own libraries are linked in: what is installed does not need the toolchain.
build: bpf ## the program, optimised: .build/release/nattrace (default)
	$(say) SWIFT "release"
	$(Q)$(SWIFT) build $(RELEASE) --static-swift-stdlib $(SWIFTFLAGS)
	$(Q)$(MAKE) --no-print-directory man completions

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
	$(Q)set -e; name=nattrace-$$($(DIST)/nattrace --version | sed -n 's/^nattrace //p')-linux-$(MACHINE); cd $(DIST); \
		mkdir $$name; cp -r nattrace $(foreach f,README.md LICENSE docs deploy,$(CURDIR)/$f) $$name; \
		$(MAKE) -s -C $(CURDIR) man completions PROGRAM=$(DIST)/nattrace SHARE=$(DIST)/$$name/share; \
		tar -c --sort=name --owner=0 --group=0 --numeric-owner --mode=u+w,go-w $(if $(EPOCH),--mtime=@$(EPOCH)) $$name | \
			gzip -9n >$$name.tar.gz; \
		rm -r $$name; sha256sum nattrace $$name.tar.gz >SHA256SUMS; \
		du -h --apparent-size nattrace $$name.tar.gz | sed 's/^/  /'

deb: dist ## a Debian package of that file, with a service: .build/deb
	$(say) DEB $(DEB)
	$(Q)rm -rf $(DEB) && deploy/debian/make-package --program $(DIST)/nattrace $(DEB)

bpf: $(BPF_OBJECT) $(BUILD_FACTS) ## the kernel side alone

# Written under another name and moved when complete: SwiftPM never sees half an object.
# Stripped of debug information but for BTF, which libbpf needs.
$(BUILD)/bpf/%.bpf.o: bpf/%.bpf.c Makefile
	$(say) BPF $@
	$(Q)mkdir -p $(@D)
	$(Q)$(eval CLANG_BPF := $(or $(find_clang),$(error no clang with the bpf target: apt-get install clang, or make CLANGS=/path/to/clang)))
	$(Q)$(eval STRIP_BPF := $(or $(find_strip),$(error no llvm-strip: apt-get install llvm, or make STRIPS=/path/to/llvm-strip)))
	$(Q)$(CLANG_BPF) $(BPF_CFLAGS) -MMD -MP -MT $@ -MF $(@:.o=.d) -c $< -o $@.tmp
	$(Q)$(STRIP_BPF) -g $@.tmp
	$(Q)$(CLANG_BPF) --version | sed 1q >$@.compiler
	$(Q)mv $@.tmp $@

# What `nattrace --version` says of the build. Asked anew each time, but written only where it is other than it was:
# what is up to date stays so. In a copy without git's folder, BUILD_COMMIT= may say the commit.
BUILD_COMMIT ?= $(shell test -e .git && git describe --always --dirty --abbrev=12 --exclude='*' 2>/dev/null)
define facts
#define NATTRACE_COMMIT "$(strip $(BUILD_COMMIT))"
#define NATTRACE_SWIFT "$(shell $(SWIFT) --version 2>/dev/null | sed -nE 's/.*Swift version ([^ ]+).*/\1/p')"
#define NATTRACE_BPF_COMPILER "$(shell cat $(BPF_OBJECT).compiler)"
#define NATTRACE_BPF_HASH "$(firstword $(shell sha256sum $(BPF_OBJECT)))"
endef
$(BUILD_FACTS): $(BPF_OBJECT) FORCE
	$(Q)$(file >$@.tmp,$(facts))
	$(Q)if cmp -s $@.tmp $@; then rm $@.tmp; else mv $@.tmp $@; fi

.PHONY: FORCE
FORCE:

# The time of all that is made and bears one (reproducible-builds.org): that of the last commit.
EPOCH = $(or $(SOURCE_DATE_EPOCH),$(shell test -e .git && git log -1 --format=%ct 2>/dev/null))

man: $(MANUAL) ## the manual page, from the built program: .build/share/nattrace.1
completions: $(COMPLETIONS) ## completions for bash, zsh and fish, from the built program: .build/share

$(MANUAL): $(PROGRAM) man/nattrace.1.in man/make-manual
	$(say) MAN $@
	$(Q)mkdir -p $(@D)
	$(Q)SOURCE_DATE_EPOCH=$(EPOCH) man/make-manual $(PROGRAM) >$@

%/nattrace.bash: $(PROGRAM)
	$(call completion,bash)
%/_nattrace: $(PROGRAM)
	$(call completion,zsh)
%/nattrace.fish: $(PROGRAM)
	$(call completion,fish)
define completion
$(say) COMPLETE $@
$(Q)mkdir -p $(@D)
$(Q)$(PROGRAM) --generate-completion-script $1 >$@
endef

# Not built from here: what root installs was built by somebody else.
$(PROGRAM):
	$(Q)echo 'make: there is no $@ yet: run make first' >&2; exit 1

deps: ## install what is missing to build, trace and run virtual machines (Debian packages)
	$(Q)command -v apt-get >/dev/null || { echo 'make deps: no apt-get here: install what corresponds to $(PACKAGES)' >&2; exit 1; }
	$(Q)missing=$$(for p in $(PACKAGES); do \
		dpkg-query -W -f '$${db:Status-Status}' $$p 2>/dev/null | grep -q ^installed || printf ' %s' $$p; done); \
	test -z "$$missing" || { echo "  APT     $$missing"; $(SUDO) apt-get -qq update && \
		$(SUDO) env DEBIAN_FRONTEND=noninteractive apt-get -qq -y --no-install-recommends install $$missing; } </dev/null
	$(Q)$(SUDO) Tests/live/vm/vm fetch docker
	$(Q)$(SWIFT) --version 2>/dev/null | grep -qE 'Swift version (6\.[1-9]|[7-9]|[1-9][0-9])' || \
		{ echo 'make deps: Swift 6.1 or newer is needed, in PATH: https://www.swift.org/install/linux' >&2; exit 1; }

# What is shipped is what is tested: the single file.
# A browser, shells and log shippers are many packages: only who runs all tests gets them.
test-deps: ## install what the tests use beside
	$(Q)$(MAKE) --no-print-directory deps PACKAGES='$(PACKAGES) $(TEST_PACKAGES)'

test: test-deps dist ## all tests: unit, live on this kernel, in virtual machines, documentation, what is in deploy/
	$(Q)Tests/run-all

test-cli: test-deps dist ## completions in real shells, the manual page, --version, make install
	$(Q)Tests/run-all cli

test-unit: bpf ## the Swift tests, and the tests of the test framework
	$(Q)Tests/run-all unit framework

test-live: build ## live tests on the running kernel (ARGS='PATTERN --verbose')
	$(Q)$(SUDO) Tests/live/run $(ARGS)

test-report: test-deps dist ## pages of `nattrace report` in a real browser (ARGS='NAME', or '--screenshots FOLDER')
	$(Q)Tests/report/run $(ARGS)

test-vm: dist ## live tests in virtual machines (KERNEL=6.1 for one of them)
	$(Q)Tests/run-all $(addprefix vm-,$(or $(KERNEL),6.1 6.12))

test-kernels: dist ## live tests on Debian's 5.10, 6.1, 6.12 and 7.2 with each backend, and a table (KERNEL=5.10)
	$(Q)$(SUDO) Tests/live/matrix $(KERNEL)

test-dist: dist ## the single file, in virtual machines with nothing else of ours (KERNEL=6.1)
	$(Q)Tests/dist/run $(KERNEL)

test-package: test-deps dist ## the package, the service, the image, the manifest (KERNEL=6.12: the service in a machine with that one)
	$(Q)$(SUDO) Tests/deploy/package/run $(addprefix --kernel ,$(KERNEL)) $(ARGS)

test-docs: test-deps dist ## every command of README.md and docs/, and what is shown of it
	$(Q)Tests/run-all docs

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

# man and the shells look there by themselves, with PREFIX=/usr/local as with PREFIX=/usr.
install: $(PROGRAM) $(MANUAL) $(COMPLETIONS) ## copy the program, manual, completions and documents below PREFIX=/usr/local (DESTDIR= is put before it)
	$(Q)install -D -m 755 $(PROGRAM) $(DESTDIR)$(PREFIX)/bin/nattrace
	$(Q)install -D -m 644 $(MANUAL) $(DESTDIR)$(PREFIX)/share/man/man1/nattrace.1
	$(Q)install -D -m 644 $(SHARE)/nattrace.bash $(DESTDIR)$(PREFIX)/share/bash-completion/completions/nattrace
	$(Q)install -D -m 644 $(SHARE)/_nattrace $(DESTDIR)$(PREFIX)/share/zsh/site-functions/_nattrace
	$(Q)install -D -m 644 $(SHARE)/nattrace.fish $(DESTDIR)$(PREFIX)/share/fish/vendor_completions.d/nattrace.fish
	$(Q)install -D -m 644 -t $(DESTDIR)$(PREFIX)/share/doc/nattrace README.md LICENSE docs/*

uninstall: ## remove what install copied
	$(Q)rm -rf $(addprefix $(DESTDIR)$(PREFIX)/,bin/nattrace $(addprefix share/,doc/nattrace man/man1/nattrace.1 \
		bash-completion/completions/nattrace zsh/site-functions/_nattrace fish/vendor_completions.d/nattrace.fish))

clean: ## remove everything that was built
	$(Q)rm -rf $(BUILD)

help: ## this list
	$(Q)sed -nE 's/^([a-z-]+):[^#]*## (.*)/  \1\t\2/p' $(MAKEFILE_LIST) | expand -t 17

-include $(BPF_OBJECT:.o=.d)
