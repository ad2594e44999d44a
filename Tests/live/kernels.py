"""The kernels of the matrix, what each of them is known to lack, and docs/kernels.md, which is printed from that.

A run of the matrix compares it with what the kernel says of itself (harness/abilities.py).
"""

from dataclasses import dataclass

from harness import abilities, matrix
from holes import HOLES, WITHOUT_FUNCTIONS


@dataclass(frozen=True)
class Kernel:
    debian: str            # the release that it is taken from
    lacks: tuple           # keys of abilities.LACKS
    backends: tuple        # beside the program's own choice


KERNELS = {
    "5.10": Kernel("11", ("module-types", "drop-reasons", "reset-reasons"), ("tracepoint",)),
    "6.1": Kernel("12", ("reset-reasons",), ("tracepoint",)),
    "6.12": Kernel("12, backports", (), ("tracepoint",)),
    "7.2": Kernel("sid", (), ("tracepoint",)),
}


def columns(names):
    """What the matrix runs: the longest first."""
    every = tuple(dict.fromkeys([*matrix.CODES.values(), *matrix.BESIDE]))
    return [matrix.Column(name, "auto", (), KERNELS[name].lacks) for name in names] + [
        matrix.Column(name, backend, every, KERNELS[name].lacks)
        for name in names for backend in KERNELS[name].backends]


# The document

HEAD = """# Kernels

What each verdict comes to on the kernels that nattrace is tested on, by backend. `make test-kernels` runs it: with the
backends that nattrace chooses itself, and with tracepoints alone. Printed by `Tests/live/matrix --document` from what
the tests expect (`Tests/live/kernels.py`, `Tests/live/holes.py`); a test sees to it that it is up to date.

A hole is where a kernel, or a backend on it, tells less than another: a more general code stands, or something is not
said. A test fails if the outcome there is any other, and also if it is the full one.
"""


def document():
    """docs/kernels.md."""
    lines = [HEAD, "## Kernels", "", "| kernel | of Debian | what it lacks |", "| --- | --- | --- |"]
    lines += [f"| {name} | {kernel.debian} | {'; '.join(abilities.LACKS[key] for key in kernel.lacks) or 'nothing'} |"
              for name, kernel in KERNELS.items()]
    places = [(name, hooks) for name in KERNELS for hooks in ("functions", "tracepoints")]
    reasons = []

    def cell(code, name, hooks):
        found = [number_of(hole.because) + instead(hole.gives) for hole in HOLES
                 if hole.code == code and hole.applies_where(hooks, KERNELS[name].lacks)]
        if hooks == "tracepoints" and code in WITHOUT_FUNCTIONS:
            found.append(number_of(WITHOUT_FUNCTIONS[code]))
        return ", ".join(found) or "yes"

    def number_of(because):
        if because not in reasons:
            reasons.append(because)
        return f"({reasons.index(because) + 1})"

    def instead(gives):
        return f" `{gives}`" if gives else ""

    rows = [[f"`{code}`", *(cell(code, *place) for place in places)] for code in matrix.CODES]
    lines += ["", "## Verdicts", "", "A number stands for a hole, which is below.", "",
              "| code | " + " | ".join(f"{name} {hooks}" for name, hooks in places) + " |",
              "| --- |" + " --- |" * len(places), *("| " + " | ".join(row) + " |" for row in rows)]
    lines += ["", "## Holes", "", *(f"{number}. {because}" for number, because in enumerate(reasons, 1))]
    everywhere = [hole for hole in HOLES if hole.code is None]
    if everywhere:
        lines += ["", "Of any code:", ""]
        lines += [f"- {hole.because}. {', '.join(name for name in KERNELS if set(hole.lacks) <= set(KERNELS[name].lacks))}"
                  for hole in everywhere]
    return "\n".join(lines) + "\n"
