"""Calls and nanoseconds of each BPF program, by what kind of traffic there is.

The kernel's own statistics (BPF_ENABLE_STATS): they include reading its clock twice a call, some 20 ns on a real
processor, and are switched on for this alone. Calls are those of the whole machine: others' traffic is in them, so
what is told is what an operation of the load brought.
"""

import sys

from . import load, observers, processes
from .machine import Place, namespaces

# Programs that run less than once in so many operations were not run by these.
LEAST_CALLS = 0.01


def measure(settings, backends):
    spaces = namespaces()
    try:
        place = Place(spaces, "programs", tracked=False)
        tables = {}
        for backend in backends:
            print(f"  programs: {backend}", file=sys.stderr)
            for what, make in (("this port", observers.Nattrace.matching),
                               ("other port", observers.Nattrace.of_another_port)):
                with make(settings.program, backend) as observer, processes.program_statistics():
                    tables[f"{backend}, {what}"] = {kind.name: _of(observer, place, kind, settings.seconds)
                                                    for kind in (load.BULK, load.REQUESTS, load.CONNECT, load.REFUSE)}
        return tables
    finally:
        spaces.remove()


def _of(observer, place, kind, seconds):
    before = processes.program_counts(observer.pid)
    done = load.run(place, kind, seconds)
    after = processes.program_counts(observer.pid)
    return table(before, after, done["operations"])


def table(before, after, operations):
    """Program to calls an operation and nanoseconds a call, the most costly first."""
    found = {}
    for name, (calls, spent) in after.items():
        calls, spent = calls - before.get(name, (0, 0))[0], spent - before.get(name, (0, 0))[1]
        if calls >= LEAST_CALLS * operations:
            found[name] = {"calls": calls / operations, "ns": spent / calls, "ns_an_operation": spent / operations}
    return dict(sorted(found.items(), key=lambda item: -item[1]["ns_an_operation"]))
