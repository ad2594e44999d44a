"""From start to ready: nattrace by each backend, and bpftrace with kprobes on the same functions.

Ready is, for nattrace, its `nattrace.start` line; for bpftrace, that the command given with -c runs, which it does
once all probes are attached. A backend that the kernel does not allow has no entry.
"""

import collections
import json
import shutil
import statistics
import subprocess
import time

BACKENDS = ("auto", "kprobe", "fentry", "tracepoint")
PATIENCE = 120  # seconds: under emulation everything is slow


class NotReady(Exception):
    """What should have started did not."""


def backends(program):
    """Backend to hook to the way it is hooked, as the start lines say."""
    return {backend: found for backend in BACKENDS if (found := _hooks_with(program, backend)) is not None}


def functions_of(hooks):
    """The functions that are hooked by kprobes where these are asked for."""
    return sorted(hook for hook, how in hooks.get("kprobe", {}).items() if how == "kprobe")


def measure(program, hooks, runs):
    """Name to seconds of each run; all are run in turn."""
    functions = functions_of(hooks)
    rivals = {f"nattrace --backend {backend}": lambda backend=backend: _start_nattrace(program, backend)
              for backend in hooks}
    if functions and shutil.which("bpftrace"):
        rivals["bpftrace"] = lambda: _start_bpftrace(functions)
    times = {name: [] for name in rivals}
    for _ in range(runs):
        for name, run in rivals.items():
            times[name].append(run())
    return times


def describe(hooks, name):
    backend = name.rpartition(" ")[2]
    count = collections.Counter(hooks[backend].values()) if backend in hooks else {"kprobe": len(functions_of(hooks))}
    return ", ".join(f"{how}: {number}" for how, number in sorted(count.items()))


def ratio_to_bpftrace(times, name):
    return statistics.median(theirs / ours for ours, theirs in zip(times[name], times["bpftrace"]))


def _begin(program, backend):
    return subprocess.Popen([program, "--json", "--dport", "1", "--backend", backend], stdout=subprocess.PIPE,
                            stderr=subprocess.DEVNULL)


def _hooks_with(program, backend):
    """Hook to backend, as the start line says; None: it does not start."""
    with _begin(program, backend) as process:
        line = process.stdout.readline()
        process.terminate()
    return json.loads(line)["nattrace"]["backend"] if line else None


def _start_nattrace(program, backend):
    begun = time.monotonic()
    with _begin(program, backend) as process:
        ready = process.stdout.readline()
        seconds = time.monotonic() - begun
        process.terminate()
    if not ready:
        raise NotReady(f"nattrace --backend {backend} ended before it was ready")
    return seconds


def _start_bpftrace(functions):
    probes = " ".join(f"kprobe:{function} {{ @[{number}] = count() }}" for number, function in enumerate(functions))
    begun = time.monotonic()
    with subprocess.Popen(["bpftrace", "-c", "/bin/echo ready", "-e", probes], stdout=subprocess.PIPE,
                          stderr=subprocess.STDOUT, text=True) as process:
        said = []
        for line in process.stdout:
            said.append(line)
            if line.strip() == "ready":
                seconds = time.monotonic() - begun
                process.wait(PATIENCE)
                return seconds
    raise NotReady("bpftrace did not attach:\n" + "".join(said))
