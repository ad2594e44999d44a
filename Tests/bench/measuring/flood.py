"""SYNs from nowhere, as many as the machine makes, all of which the filter matches.

On the way, four things are asked: does memory stay bounded; do all observations that the kernel made appear again,
as delivered or as lost; do handshakes whose end is known still get the right verdict; and is other traffic, that
nobody traces, slowed down by nattrace beyond what the flood does to it. For the last, the flood runs without
nattrace before and after.
"""

import itertools
import json
import os
import socket
import subprocess
import sys
import tempfile
import time

from harness import children

from . import load, observers, processes
from .figures import interval, summary
from .machine import FAR_DEVICE, KNOWN, NEAR_ADDRESS, NEAR_MAC, Place, link, namespaces
from .targets import row

LISTENED = 5210  # of the known dials: not the port of the flood, whose queue they would have to pass
DIAL_EVERY = 0.25
KNOWN_BACKLOG = 4096
HALF_OPEN = 65536  # at the flood's port; what comes beyond is dropped by TCP


def measure(settings, backend):
    spaces = namespaces()
    try:
        far, near = link(spaces, "flood")
        bystander = Place(spaces, "bystander")
        # Else the kernel itself would keep gigabytes of half-open handshakes after a minute.
        spaces.sysctl(near.name, {"net.ipv4.tcp_synack_retries": 1})
        with load.listening(near, NEAR_ADDRESS, load.PORT, HALF_OPEN), \
                load.listening(near, NEAR_ADDRESS, LISTENED, KNOWN_BACKLOG):
            return _three_times(settings, far, bystander, backend)
    finally:
        spaces.remove()


def _three_times(settings, far, bystander, backend):
    around = max(8, settings.flood_seconds / 4)
    print("  flood: without nattrace", file=sys.stderr)
    before = _flooded(settings, far, bystander, around)
    print("  flood: with nattrace", file=sys.stderr)
    during = _traced(settings, far, bystander, backend)
    print("  flood: without nattrace", file=sys.stderr)
    after = _flooded(settings, far, bystander, around)
    return rows(before, during, after), words(during), {"before": before, "with": during, "after": after}


def _flooded(settings, far, bystander, seconds, meanwhile=lambda: None):
    """A flood, and what a bystander's requests get of the machine meanwhile, second by second."""
    words = load.flood_arguments(far, FAR_DEVICE, NEAR_MAC, NEAR_ADDRESS, load.PORT, settings.flood_rate,
                                 int(settings.flood_rate * seconds) + 1, seconds)
    rates, costs = [], []
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        time.sleep(0.5)
        while process.poll() is None:
            done = load.run(bystander, load.Kind("bystander", "round trip", "rr", port=load.OTHER), 1, pinned=False)
            if process.poll() is None:  # else the flood ended within that second
                rates.append(done["operations"] / done["seconds"])
                costs.append(done["cpu"] / done["operations"])
            meanwhile()
        out, err = process.communicate()
    if process.returncode:
        raise load.Failed(f"flood: {err.strip()}")
    sent = load.parse("flood", out)
    return {"sent": sent["sent"], "rate": sent["sent"] / sent["seconds"], "bystander": rates, "bystander_cpu": costs}


def _traced(settings, far, bystander, backend):
    resident = []
    with tempfile.TemporaryDirectory(prefix="nt-bench-") as folder:
        kept = os.path.join(folder, "kept")
        # What is written of the flood is gigabytes: only what is looked at is kept.
        words = ["grep", "-aF", *(f"-e{text}" for text in (*(f'"ip":"{address}"' for address in KNOWN),
                                                           "nattrace.loss", "nattrace.stop"))]
        with open(kept, "wb") as file:
            reader = subprocess.Popen(words, stdin=subprocess.PIPE, stdout=file)
        observer = observers.Nattrace(settings.program, (), backend, stdout=reader.stdin,
                                      more=["--daddr", NEAR_ADDRESS])
        with observer:
            reader.stdin.close()
            at_start = processes.resident_mib(observer.pid)
            begun = observer.seconds
            dialler = children.spawn(_dial, netns=far.name)
            try:
                flood = _flooded(settings, far, bystander, settings.flood_seconds,
                                 lambda: resident.append(processes.resident_mib(observer.pid)))
                dials = list(dialler.messages(time.monotonic()))
            finally:
                dialler.stop()
            # A last handshake without an answer is judged after 5 s.
            time.sleep(6)
            observer.seconds_once_idle()
            resident.append(processes.resident_mib(observer.pid))
            spent = observer.seconds - begun
            observer.stop()
        reader.wait(observers.PATIENCE)
        with open(kept, "rb") as file:
            lines = [json.loads(line) for line in file]
    stopped = [line for line in lines if line["event"]["dataset"] == "nattrace.stop"]
    return {**flood, "resident_start": at_start, "resident": resident, "processor_seconds": spent,
            "dials": tally(dials, lines), "account": account(stopped[-1]["nattrace"] if stopped else None)}


def _dial(say):
    """Every quarter of a second a dial from a known address, by turns to a listener and to a closed port."""
    for number in itertools.count():
        say(dial_once(KNOWN[number % len(KNOWN)], LISTENED if number % 2 else LISTENED + 1))
        time.sleep(DIAL_EVERY)


def dial_once(source, port):
    """What a client sees: connected, refused or timeout; and from which port it was."""
    with socket.socket() as client:
        client.settimeout(3)
        client.bind((source, 0))
        found = {"source": source, "sport": client.getsockname()[1], "port": port}
        try:
            client.connect((NEAR_ADDRESS, port))
            return {**found, "saw": "connected"}
        except ConnectionRefusedError:
            return {**found, "saw": "refused"}
        except OSError:
            return {**found, "saw": "timeout"}


# What a client saw, and the verdict that is right then.
RIGHT = {"connected": "established", "refused": "no_listener"}


def tally(dials, lines):
    """How many of the known dials got the right verdict, none at all, one that says that it does not know, or a wrong
    one. Whose client saw no answer is not judged: why, only a trace could say."""
    verdicts = {}
    for line in lines:
        if line["event"]["dataset"] == "nattrace.verdict":
            key = (line["source"]["ip"], line["source"]["port"], line["destination"]["port"])
            verdicts[key] = line["nattrace"]["verdict"]
    found = {"dialled": len(dials), "right": 0, "unexplained": 0, "wrong": {}, "none": 0, "timeouts": 0}
    for dial in dials:
        wanted = RIGHT.get(dial["saw"])
        verdict = verdicts.get((dial["source"], dial["sport"], dial["port"]))
        if wanted is None:
            found["timeouts"] += 1
        elif verdict is None:
            found["none"] += 1
        elif verdict == wanted:
            found["right"] += 1
        elif verdict == "unexplained":
            found["unexplained"] += 1
        else:
            told = f"{dial['saw']}, told as {verdict}"
            found["wrong"][told] = found["wrong"].get(told, 0) + 1
    return found


def account(stop):
    """From the fields of `nattrace` in the last line: what the kernel observed, and what became of it.

    `balanced` is None where that version does not tell what the kernel observed.
    """
    if stop is None:
        return {"balanced": None, "missing": "no nattrace.stop line"}
    kernel, by_cause = stop.get("observations"), stop["lost"].get("observations")
    found = {"delivered": stop["events"], "lost": stop["lost"], "verdicts": stop.get("verdicts", {}),
             "kernel": kernel, "balanced": None}
    if kernel is not None and by_cause is not None:
        found["balanced"] = kernel == stop["events"] + by_cause
    return found


def words(during):
    """What a flood says that is no median."""
    dials, found = during["dials"], during["account"]
    lines = [f"{during['sent']:,} SYNs were sent with nattrace. Of {dials['dialled']} known handshakes meanwhile "
             f"{dials['right']} got the right verdict, {dials['unexplained']} the verdict unexplained, "
             f"{sum(dials['wrong'].values())} a wrong one, {dials['none']} none; "
             f"{dials['timeouts']} clients saw no answer"]
    lines += [f"wrong: {told}, {times} times" for told, times in sorted(dials["wrong"].items())]
    if found["balanced"] is None:
        return [*lines, "kernel observations = delivered + counted losses: not checked, since the last line does not "
                "tell what the kernel observed"]
    return [*lines, f"kernel observations {found['kernel']:,} = delivered {found['delivered']:,} + counted losses: "
            + ("holds" if found["balanced"] else "DOES NOT HOLD")]


def rows(before, during, after):
    untraced = before["bystander"] + after["bystander"]
    middle = summary(untraced)["median"]
    ratios = [rate / middle for rate in during["bystander"]]
    spread = interval([rate / middle for rate in untraced])
    costs = summary(before["bystander_cpu"] + after["bystander_cpu"])["median"]
    # Not where the median lies, but the least and the most that there were.
    resident = {**summary(during["resident"]), "low": min(during["resident"]), "high": max(during["resident"])}
    bystander = "untraced request-response meanwhile, with nattrace by without"
    return [
        row("SYNs sent", "without nattrace", "a second", summary([before["rate"], after["rate"]])),
        row("SYNs sent", "with nattrace", "a second", summary([during["rate"]])),
        row(bystander, "rate", "ratio", summary(ratios), "untraced during a flood"),
        row(bystander, "rate without, by its own median", "ratio",
            {"median": 1.0, "low": spread[0], "high": spread[1], "pairs": len(untraced)}),
        row(bystander, "round trips a processor s", "ratio",
            summary([costs / cost for cost in during["bystander_cpu"]]), "untraced during a flood"),
        row("nattrace", "resident before", "MiB", summary([during["resident_start"]])),
        row("nattrace", "resident, least … most", "MiB", resident),
        row("nattrace", "its own processor time", "s a second",
            summary([during["processor_seconds"] / (during["sent"] / during["rate"])])),
    ]
