"""What traffic pays for an observer: the same load untraced and traced by turns.

In each round an observer's turn stands between two untraced ones, and is compared with their mean: what changes
evenly, such as the temperature of the machine, falls out. A rate is operations a processor second of both ends, not a
wall second: other users of the machine do not count. What the observer's own process takes to work things out is
measured too, and told beside it.
"""

import sys

from . import observers, processes
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
    found.append(Contestant("tcpdump", lambda: observers.Tcpdump(place), every=rarely))
    found.append(Contestant(f"nattrace {backends[0]}, this port, conntrack", lambda:
                            observers.Nattrace.matching(program, backends[0]), every=rarely, tracked=True))
    found.append(Contestant("conntrack -E", lambda: observers.Conntrack(tracked), every=rarely, tracked=True))
    return found


def measure(settings, backends, functions):
    """Rows for the table, and the samples that they are made of."""
    spaces = namespaces()
    try:
        plain, tracked = Place(spaces, "plain"), Place(spaces, "tracked", tracked=True)
        everyone = contestants(settings, backends, functions, plain, tracked)
        for number in range(settings.rounds):
            print(f"  traffic: round {number + 1} of {settings.rounds}", file=sys.stderr)
            for place in (plain, tracked):
                turn = [one for one in everyone if one.tracked == place.tracked and not one.problem and
                        number % one.every == 0]
                if turn:
                    _round(turn, place, settings)
        return rows(everyone), {one.name: one.problem or one.samples for one in everyone}
    finally:
        spaces.remove()


def _round(turn, place, settings):
    kinds = CONNECTIONS if place.tracked else KINDS
    before = {kind.name: untraced(place, kind, settings.seconds) for kind in kinds}
    for one in turn:
        try:
            with one.make() as observer:
                traced = {kind.name: _traced(observer, place, kind, settings.seconds) for kind in kinds}
        except (observers.NotReady, OSError) as problem:
            one.problem = str(problem)
            print(f"  {one.name}: {problem}", file=sys.stderr)
            continue
        after = {kind.name: untraced(place, kind, settings.seconds) for kind in kinds}
        for name, sample in traced.items():
            one.samples.setdefault(name, []).append(
                {"untraced": between(before[name], after[name]), **sample})
        before = after


def untraced(place, kind, seconds):
    """Processor seconds of an operation. A short run comes first: it finds caches and queues as the next one will."""
    run(place, kind, seconds / 4)
    return _cost(run(place, kind, seconds))


def _traced(observer, place, kind, seconds):
    run(place, kind, seconds / 4)
    begun = processes.seconds_once_idle(observer.pid)
    done = run(place, kind, seconds)
    own = processes.seconds_once_idle(observer.pid) - begun
    return {"traced": _cost(done), "observer": own / done["operations"]}


def _cost(done):
    return done["cpu"] / done["operations"]


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


def rows(everyone):
    ran = [one for one in everyone if one.samples]
    lines = [row(f"untraced, {kind.name}", f"ns a {kind.unit}",
                 summary([sample["untraced"] * 1e9 for one in ran if not one.tracked
                          for sample in one.samples.get(kind.name, ())]))
             for kind in KINDS if any(not one.tracked for one in ran)]
    for kind in ESTABLISHED:
        for one in ran:
            if samples := one.samples.get(kind.name):
                lines.append(row(f"{kind.name}: {one.name}", "of untraced", throughput(samples),
                                 _throughput_target(one, kind)))
    for kind in CONNECTIONS:
        for one in ran:
            if samples := one.samples.get(kind.name):
                for whole, what in ((False, "on its way"), (True, "with the observer")):
                    lines.append(row(f"{kind.name}: {one.name}, {what}", "added",
                                     added_share(samples, whole), _added_target(one)))
    peer = next((one for one in ran if one.name == "bpftrace"), None)
    for one in ran:
        if not peer or not one.backend or not one.matching:
            continue
        for kind in CONNECTIONS:
            for whole, what in ((False, "on its way"), (True, "with the observer")):
                result = compared(one.samples[kind.name], peer.samples[kind.name], peer.every, whole)
                if result:
                    lines.append(row(f"{kind.name}: {one.name} by bpftrace, {what}", "ratio", result, "of bpftrace"))
    return lines


def _throughput_target(one, kind):
    # With both ends in one process it is the hardest case, and not what was aimed at: told, not judged.
    if not one.backend or kind not in (BULK, REQUESTS):
        return None
    return "throughput, this port" if one.matching else "throughput, other port"


def _added_target(one):
    if not one.backend or not one.matching:
        return None
    return "added, tracepoints" if one.backend == "tracepoint" else "added, functions"


