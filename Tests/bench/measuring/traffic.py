"""What traffic pays for an observer: the same load untraced and traced by turns.

In each round an observer's turn stands between two untraced ones, and is compared with their mean: what changes
evenly, such as the temperature of the machine, falls out. A rate is operations a processor second of both ends, not a
wall second: other users of the machine do not count. What the observer's own process takes to work things out is
measured too, and told beside it.
"""

import contextlib
import os
import sys

from . import observers
from .figures import between, summary
from .load import BULK, KINDS, REQUESTS, run
from .machine import Place, namespaces
from .targets import row

ESTABLISHED = KINDS[:3]
CONNECTIONS = KINDS[3:]


class Contestant:
    """An observer in the table. `make` starts one; every so many rounds (`every`) it has its turn."""

    def __init__(self, name, make, backend=None, matching=True, every=1, tracked=False):
        self.name, self.make, self.backend, self.matching = name, make, backend, matching
        self.every, self.tracked = every, tracked
        self.samples = {}  # kind's name -> list of dicts
        self.events = self.lost = 0
        self.problem = None


def contestants(settings, backends, functions, place, tracked):
    program = settings.program
    found = []
    for backend in backends:
        name = f"nattrace {backend}"
        found.append(Contestant(f"{name}, other port", lambda backend=backend:
                                observers.Nattrace.of_another_port(program, backend), backend, matching=False))
        found.append(Contestant(f"{name}, this port", lambda backend=backend:
                                observers.Nattrace.matching(program, backend), backend))
    rarely = settings.peers_every
    found.append(Contestant("bpftrace", lambda: observers.Bpftrace(functions), every=rarely))
    if functions and os.access(observers.Pwru.PROGRAM, os.X_OK):
        found.append(Contestant("pwru", observers.Pwru, every=rarely))
    found.append(Contestant("tcpdump", lambda: observers.Tcpdump(place), every=rarely))
    found.append(Contestant(f"nattrace {backends[0]}, this port, conntrack", lambda:
                            observers.Nattrace.matching(program, backends[0]), every=rarely, tracked=True))
    found.append(Contestant("conntrack -E", lambda: observers.Conntrack(tracked), every=rarely, tracked=True))
    return found


def measure(settings, backends, functions):
    """Rows for the table, notes below it, and the samples that they are made of."""
    spaces = namespaces()
    try:
        plain, tracked = Place(spaces, "plain"), Place(spaces, "tracked", tracked=True)
        everyone = contestants(settings, backends, functions, plain, tracked)
        for number in range(settings.rounds):
            for place in (plain, tracked):
                turn = [one for one in everyone if one.tracked == place.tracked and not one.problem and
                        number % one.every == 0]
                if turn:
                    _round(turn, place, settings, f"  traffic: round {number + 1} of {settings.rounds}")
        return rows(everyone), losses(everyone), {one.name: one.problem or one.samples for one in everyone}
    finally:
        spaces.remove()


def _round(turn, place, settings, progress):
    kinds = [kind for kind in (CONNECTIONS if place.tracked else KINDS) if kind.name in settings.kinds]
    before = {kind.name: untraced(place, kind, settings) for kind in kinds}
    for one in turn:
        print(f"{progress}: {one.name}", file=sys.stderr, flush=True)
        try:
            with one.make() as observer:
                observer.seconds_once_idle()
                traced = {kind.name: _traced(observer, place, kind, settings) for kind in kinds}
                observer.stop()
                told, lost = observer.account()
                one.events, one.lost = one.events + told, one.lost + lost
        except (observers.NotReady, OSError) as problem:
            one.problem = str(problem)
            print(f"  {one.name}: {problem}", file=sys.stderr)
            continue
        after = {kind.name: untraced(place, kind, settings) for kind in kinds}
        for name, sample in traced.items():
            one.samples.setdefault(name, []).append(
                {"untraced": between(before[name], after[name]), **sample})
        before = after


def untraced(place, kind, settings):
    """Processor seconds of an operation."""
    _warm(place, kind, settings)
    return _cheapest(place, kind, settings)[0]


def _traced(observer, place, kind, settings):
    _warm(place, kind, settings)
    begun = observer.seconds_once_idle()
    with observer.halted() if settings.halt else contextlib.nullcontext():
        cost, operations = _cheapest(place, kind, settings)
    own = observer.seconds_once_idle() - begun
    return {"traced": cost, "observer": own / operations}


def _warm(place, kind, settings):
    """Caches and queues as the next run will find them."""
    run(place, kind, settings.seconds / settings.runs)


def _cheapest(place, kind, settings):
    """Of some short runs the cheapest, since whatever disturbs a run makes it dearer; and how many operations they all
    had."""
    done = [run(place, kind, settings.seconds / settings.runs) for _ in range(settings.runs)]
    return min(one["cpu"] / one["operations"] for one in done), sum(one["operations"] for one in done)


# From samples to rows

def throughput(samples):
    """Traced by untraced; below 1 it is slower."""
    return summary([sample["untraced"] / sample["traced"] for sample in samples])


def added_share(samples, whole):
    """What tracing adds to an operation, as a share of it untraced; whole: the observer's own process too."""
    return summary([_added(sample, whole) / sample["untraced"] for sample in samples])


def _added(sample, whole):
    return sample["traced"] - sample["untraced"] + (sample["observer"] if whole else 0)


def compared(ours, theirs, every, whole):
    """What nattrace adds by what a peer adds, where both had a turn in one round. None: nothing can be said, since
    the peer added nothing that could be measured."""
    pairs = [(_added(mine, whole), _added(peer, whole)) for mine, peer in zip(ours[::every], theirs)]
    if not pairs or any(peer <= 0 for _, peer in pairs):
        return None
    return summary([mine / peer for mine, peer in pairs])


WAYS = ((False, "on its way"), (True, "with the observer's own process"))


def rows(everyone):
    ran = [one for one in everyone if one.samples]
    here = [one for one in ran if not one.tracked]
    lines = [row("untraced, processor time of both ends", kind.name, f"ns a {kind.unit}",
                 summary([sample["untraced"] * 1e9 for one in here for sample in one.samples[kind.name]]))
             for kind in KINDS if any(kind.name in one.samples for one in here)]
    lines += [row(f"{kind.name}, throughput", one.name, "of untraced", throughput(one.samples[kind.name]),
                  _throughput_target(one, kind)) for kind in ESTABLISHED for one in here if kind.name in one.samples]
    lines += [row(f"{kind.name}, added {what}", one.name, "% of untraced",
                  added_share(one.samples[kind.name], whole), _added_target(one))
              for kind in CONNECTIONS for whole, what in WAYS for one in ran]
    peer = next((one for one in here if one.name == "bpftrace"), None)
    for kind in CONNECTIONS if peer else ():
        for whole, what in WAYS:
            for one in here:
                if one.backend and one.matching and (result := compared(one.samples[kind.name], peer.samples[kind.name],
                                                                        peer.every, whole)):
                    lines.append(row(f"{kind.name}, added {what}, by what bpftrace adds", one.name, "ratio", result,
                                     "of bpftrace"))
    return lines


def losses(everyone):
    """What observers said that they lost: what is lost costs less, so a figure with losses is too good."""
    return [f"{one.name}: {one.lost:,} events lost beside {one.events:,} delivered"
            for one in everyone if one.lost]


def _throughput_target(one, kind):
    # With both ends in one process it is the hardest case, and not what was aimed at: told, not judged.
    if not one.backend or kind not in (BULK, REQUESTS):
        return None
    return "throughput, this port" if one.matching else "throughput, other port"


def _added_target(one):
    if not one.backend or not one.matching:
        return None
    return "added, tracepoints" if one.backend == "tracepoint" else "added, functions"


