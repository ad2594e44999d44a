"""One expected hole, and which of them apply to a scenario. They are listed in ../holes.py."""

import fnmatch
from dataclasses import dataclass
from typing import Any

from .expect import ByHooks


@dataclass(frozen=True)
class Hole:
    """code: the verdict concerned (None: every one); gives: the one that comes instead (None: the same).
    change(verdict, hooks): makes of an expected Verdict the more general one, and gives back the very same one where it
    is not concerned. because: for a person, in docs/kernels.md too.
    """
    code: Any
    gives: Any
    because: str
    change: Any
    scenarios: Any = "*"   # names with *, one or several
    lacks: tuple = ()      # keys of abilities.LACKS; all of them must be missing
    hooks: Any = None      # functions or tracepoints; None: with either

    def applies_where(self, hooks, lacking):
        return set(self.lacks) <= set(lacking) and self.hooks in (None, hooks)

    def applies(self, name, hooks, lacking):
        patterns = (self.scenarios,) if isinstance(self.scenarios, str) else self.scenarios
        return self.applies_where(hooks, lacking) and any(fnmatch.fnmatchcase(name, pattern) for pattern in patterns)


@dataclass(frozen=True)
class Without:
    """What stands instead of a code that needs function hooks: its scenarios expect one of these by themselves.

    with_fentry: whether it does so with `--backend fentry` as well, because the functions are none for fentry.
    without_lookups: whether it does so where fentry does not take the look-ups of listeners.
    """
    instead: tuple
    because: str
    with_fentry: bool = False
    without_lookups: bool = False


def narrowed(verdicts, holes, hooks):
    """The expected verdicts as they are with these holes, and the holes that change any of them."""
    changing = []
    for hole in holes:
        after = [hole.change(verdict, hooks) for verdict in verdicts]
        if any(one is not other for one, other in zip(after, verdicts)):
            changing.append(hole)
        verdicts = after
    return verdicts, changing


def judge(compare, verdicts, holes, hooks, without_functions):
    """Compares with what is expected here. Gives the differences, and why the outcome is more general, if it is.

    compare(verdicts) gives the differences of one connection from these verdicts. without_functions: a Without by code.
    """
    general, changing = narrowed(verdicts, holes, hooks)
    problems = compare(general)
    if changing and not compare(verdicts):
        return [f"this hole has closed: remove it from holes.py: {hole.because}" for hole in changing], []
    lost = [verdict.code for verdict in verdicts
            if isinstance(verdict.code, ByHooks) and verdict.code.value(hooks) != verdict.code.functions]
    problems += [f"{code.tracepoints} stands where {code.functions} would with functions, which holes.py does not say"
                 for code in lost if code.functions not in without_functions
                 or code.tracepoints not in without_functions[code.functions].instead]
    if problems:
        return problems, []
    return [], [*(without_functions[code.functions].because for code in lost), *(hole.because for hole in changing)]
