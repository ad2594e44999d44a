"""What the kernel says of a process: its processor time, its memory, its BPF programs."""

import contextlib
import ctypes
import json
import os
import platform
import time

from harness import leftovers, topology

BPF_SYSCALL = {"x86_64": 321, "aarch64": 280}
BPF_ENABLE_STATS = 32
PR_SET_PDEATHSIG = 1

_libc = ctypes.CDLL(None, use_errno=True)


def end_with_parent(number):
    """The kernel sends this process a signal when its parent is gone."""
    _libc.prctl(PR_SET_PDEATHSIG, number, 0, 0, 0)


def descendants(pid):
    """The process and all that it started, by the kernel's lists."""
    found = [pid]
    for process in found:
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/children") as file:
                    found += map(int, file.read().split())
    return found


def seconds_of(pid):
    """Processor seconds of all threads of a process and of what it started, to the nanosecond."""
    total = 0
    for process in descendants(pid):
        with contextlib.suppress(OSError):
            for task in os.listdir(f"/proc/{process}/task"):
                with open(f"/proc/{process}/task/{task}/schedstat") as file:
                    total += int(file.read().split()[0])
    return total / 1e9


def seconds_once_idle(pid, step=0.05, patience=60, idle=0.08):
    """The same, when the process has worked off what it had to do: then it takes less than `idle` of a processor."""
    before, then = seconds_of(pid), time.monotonic()
    deadline = then + patience
    quiet = 0
    while quiet < 2 and then < deadline:
        time.sleep(step)
        now, when = seconds_of(pid), time.monotonic()
        quiet = quiet + 1 if now - before < idle * (when - then) else 0
        before, then = now, when
    return before


def resident_mib(pid, field="VmRSS"):
    with open(f"/proc/{pid}/status") as file:
        for line in file:
            if line.startswith(field + ":"):
                return int(line.split()[1]) / 1024
    return 0.0


@contextlib.contextmanager
def program_statistics():
    """The kernel counts runs and time of BPF programs as long as this descriptor is open; whoever dies, it ends."""
    number = BPF_SYSCALL[platform.machine()]
    attributes = (ctypes.c_uint32 * 4)()  # type 0: BPF_STATS_RUN_TIME
    descriptor = _libc.syscall(number, BPF_ENABLE_STATS, ctypes.byref(attributes), ctypes.sizeof(attributes))
    if descriptor < 0:
        raise OSError(ctypes.get_errno(), "BPF_ENABLE_STATS: " + os.strerror(ctypes.get_errno()))
    try:
        yield
    finally:
        os.close(descriptor)


def program_counts(pid):
    """Name to (calls, nanoseconds) of all BPF programs that the process holds."""
    ids = leftovers.held_by(pid)["prog"]
    return {item.get("name", str(item["id"])): (item.get("run_cnt", 0), item.get("run_time_ns", 0))
            for item in json.loads(topology.command(["bpftool", "-j", "prog", "list"])) if item["id"] in ids}
