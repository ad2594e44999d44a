"""What this kernel tells a tracer, asked of the kernel itself: not of its version, since distributions take things over.

What a kernel lacks of it leads to holes (../holes.py): scenarios whose outcome is more general there.
"""

import functools
import os
import subprocess

BTF = "/sys/kernel/btf"
# What a kernel may lack, and how that is said.
LACKS = {
    "module-types": "no BTF of modules, so no rules are traced",
    "drop-reasons": "drops have no reason",
    "reset-reasons": "resets have no reason",
    "function-names": "programs cannot ask for the names of functions, which takes CAP_SYSLOG then",
}


@functools.cache
def lacking():
    """The keys of LACKS that hold for the running kernel."""
    try:
        with open(f"{BTF}/vmlinux", "rb") as file:
            types = file.read()
    except FileNotFoundError:
        types = b""  # nothing to trace here; --client-only still has its way
    have = {
        "module-types": _describes_modules(),
        "drop-reasons": b"\0skb_drop_reason\0" in types,
        "reset-reasons": b"\0sk_rst_reason\0" in types,
        "function-names": _runs_programs_that_ask(),
    }
    return frozenset(name for name in LACKS if not have[name])


def _runs_programs_that_ask():
    """Programs of the kind that may ask, by the function that runs them."""
    with open("/proc/kallsyms") as symbols:
        return any(line.endswith(" bpf_prog_test_run_syscall\n") for line in symbols)


def _describes_modules():
    """A kernel with everything built in has the types of all; else a module shows whether it brings its own."""
    if not os.path.exists("/proc/modules"):
        return True
    where = subprocess.run(["modinfo", "-F", "filename", "nf_tables"], capture_output=True).stdout.strip()
    if where in (b"", b"(builtin)"):
        return True
    with open("/proc/modules") as file:
        loaded = [line.split()[0] for line in file]
    return not loaded or any(os.path.exists(f"{BTF}/{name}") for name in loaded)
