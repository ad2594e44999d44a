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
    fentry_takes_lookups: bool = True  # of listeners, which have more than six arguments


EACH = ("kprobe", "fentry", "tracepoint")
# 5.10 has fentry for the kernel's own functions only, and none for those of modules, which is all of conntrack and NAT.
KERNELS = {
    "5.10": Kernel("11", ("module-types", "drop-reasons", "reset-reasons", "function-names"), ("kprobe", "tracepoint")),
    "6.1": Kernel("12", ("reset-reasons",), EACH, fentry_takes_lookups=False),
    "6.12": Kernel("12, backports", (), EACH),
    "7.2": Kernel("sid", (), EACH),
}


def columns(names):
    """What the matrix runs: the longest first."""
    every = tuple(dict.fromkeys([*matrix.CODES.values(), *matrix.BESIDE]))
    return [matrix.Column(name, "auto", (), KERNELS[name].lacks) for name in names] + [
        matrix.Column(name, backend, every, KERNELS[name].lacks)
        for name in names for backend in KERNELS[name].backends]


# The document

HEAD = """# Kernels

What each verdict comes to on the kernels that nattrace is tested on, by backend. `make test-kernels` runs it:
with what nattrace chooses itself, and with each backend that it can be told to use. Printed by
`Tests/live/matrix --document` from what the tests expect (`Tests/live/kernels.py`, `Tests/live/holes.py`); a
test sees to it that it is up to date.

A hole is where a kernel, or a backend on it, tells less than another: a more general code stands, or something
is not said. A test fails if the outcome there is any other, and also if it is the full one.
"""


def document():
    """docs/kernels.md."""
    lines = [HEAD, "## Kernels", "", "| kernel | of Debian | what it lacks |", "| --- | --- | --- |"]
    lines += [f"| {name} | {kernel.debian} | {'; '.join(abilities.LACKS[key] for key in kernel.lacks) or 'nothing'} |"
              for name, kernel in KERNELS.items()]
    places = [(name, kind) for name, kernel in KERNELS.items() for kind in ("functions", "fentry alone", "tracepoints")
              if kind != "fentry alone" or "fentry" in kernel.backends]
    listed = []

    def cell(code, name, kind):
        hooks = kind if kind == "tracepoints" else "functions"
        found = [(hole.because, hole.gives) for hole in HOLES
                 if hole.code == code and hole.applies_where(hooks, KERNELS[name].lacks)]
        without = WITHOUT_FUNCTIONS.get(code)
        if without and (kind == "tracepoints" or kind == "fentry alone" and (
                without.with_fentry or without.without_lookups and not KERNELS[name].fentry_takes_lookups)):
            found.append((without.because, without.instead))
        return ", ".join(f"({number_of(code, *each)})" for each in found) or "yes"

    def number_of(code, because, gives):
        """Each hole stands once, with all codes that have it."""
        gives = (gives,) if isinstance(gives, str) else gives or ()
        for number, (other, others, codes) in enumerate(listed, 1):
            if (other, others) == (because, gives):
                if code not in codes:
                    codes.append(code)
                return number
        listed.append((because, gives, [code]))
        return len(listed)

    # Row by row, so that holes are numbered from top to bottom; then kernels that tell the same are one column.
    rows = [[cell(code, *place) for place in places] for code in matrix.CODES]
    same = {}
    for at, (name, kind) in enumerate(places):
        same.setdefault((kind, tuple(row[at] for row in rows)), []).append(name)
    heads = [f"{', '.join(names)} {kind}" for (kind, _), names in same.items()]
    lines += ["", "## Verdicts", "",
              "Functions are hooked by fentry or by kprobes; `fentry alone` is `--backend fentry`. A number stands",
              "for a hole, which is below; in all other cases the code is given there too.", "",
              "| code | " + " | ".join(heads) + " |", "| --- |" + " --- |" * len(heads)]
    lines += ["| " + " | ".join([f"`{code}`", *(cells[at] for _, cells in same)]) + " |"
              for at, code in enumerate(matrix.CODES)]
    lines += ["", "## Holes", ""]
    lines += [f"{number}. {quoted(codes)}: {because}. "
              + (f"Instead: {quoted(gives)}." if gives else "The code is the same.")
              for number, (because, gives, codes) in enumerate(listed, 1)]
    everywhere = [hole for hole in HOLES if hole.code is None]
    if everywhere:
        lines += ["", "Of any code:", ""]
        for hole in everywhere:
            names = [name for name, kernel in KERNELS.items() if set(hole.lacks) <= set(kernel.lacks)]
            lines.append(f"- {', '.join(names)}: {hole.because}.")
    return "\n".join(lines) + "\n"


def quoted(codes):
    return ", ".join(f"`{code}`" for code in codes)
