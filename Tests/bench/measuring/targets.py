"""What is aimed for. Ratios are of one run; each row of a table that has a target names it here."""

from .figures import judge

# name: (limit, whether the value has to be at least that, how the limit is written, the best that can be)
TARGETS = {
    "throughput, other port": (0.98, True, ">= 0.98", 1),
    "throughput, this port": (0.97, True, ">= 0.97", 1),
    "added, tracepoints": (0.15, False, "<= 15 %", 0),
    "added, functions": (0.30, False, "<= 30 %", 0),
    "of bpftrace": (0.10, False, "<= 0.10", 0),
    "replay": (1.5e6, True, ">= 1,500,000", None),
    "live": (1.0e6, True, ">= 1,000,000", None),
    "latency p99": (2000, False, "<= 2000", None),
    "resident at start": (25.0, False, "<= 25", None),
    "resident in flight": (100.0, False, "<= 100", None),
    "untraced during a flood": (0.98, True, ">= 0.98", 1),
}


def row(group, label, unit, result, target=None):
    """One line of a table: what was measured, its summary, and what became of its target."""
    line = {"group": group, "label": label, "unit": unit, **result}
    if target:
        limit, at_least, words, ideal = TARGETS[target]
        line.update(target=words, judgement=judge(result, limit, at_least, ideal))
    return line
