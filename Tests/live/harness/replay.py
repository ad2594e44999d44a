"""The recording of a run must tell the same as the run: `nattrace replay FILE --json`, line by line."""

import json

from .lines import compact, connections, dataset
from .program import finish

# Options that choose what is shown, not what is seen: a replay needs them again.
SHOWING = ("--failed", "--verdict")


# Filters: what matches only once it is translated is shown from then on, and others may be judged before.
FILTERS = ("--dport", "--sport", "--port", "--daddr", "--saddr", "--addr", "-i", "--interface")
FAMILIES = ("-4", "-6")


def repeated(arguments):
    """Those of a run's arguments with which a replay tells the same lines in the same order."""
    kept, rest = showing(arguments), iter(arguments)
    for argument in rest:
        if argument in FILTERS:
            kept += [argument, next(rest)]
        elif argument in FAMILIES:
            kept.append(argument)
    return kept


def showing(arguments):
    """Those of a run's arguments that a replay must repeat."""
    kept, rest = [], iter(arguments)
    for argument in rest:
        if argument in SHOWING:
            kept.append(argument)
            if argument == "--verdict":
                kept.append(next(rest))
    return kept


def told(lines):
    return [line for line in lines if dataset(line) not in ("nattrace.start", "nattrace.stop")]


def compare(path, recording, live, arguments, pace):
    """Differences between the live lines and the replay's, and the replay's exit status if it is not 0."""
    replay = finish(path, ["replay", recording, "--json", *repeated(arguments)], pace)
    wrong = [f"replay: {text}" for text in replay.problems]
    if replay.status != 0:
        return wrong + [f"replay ended with {replay.status}: {replay.words.strip()}"]
    kinds = [dataset(line) for line in replay.lines]
    if kinds[:1] != ["nattrace.start"] or kinds[-1:] != ["nattrace.stop"]:
        wrong.append("replay: not between a start and a stop line")
    one, two = told(live), told(replay.lines)
    if one != two:
        wrong.append(f"replay gives {len(two)} lines in {len(connections(two))} connections, "
                     f"live gave {len(one)} in {len(connections(one))}")
        for number, (before, after) in enumerate(zip(one, two)):
            if before != after:
                wrong.append(f"first difference, line {number + 1}:\n  live   {compact(before)}\n"
                             f"         {json.dumps(before, sort_keys=True)}\n"
                             f"  replay {compact(after)}\n         {json.dumps(after, sort_keys=True)}")
                break
    return wrong
