"""From an observation to the line that tells of it: how many a processor second, how late, and in how much memory."""

import calendar
import contextlib
import json
import os
import select
import subprocess
import sys
import tempfile
import time

from harness import children

from . import load, observers, processes, recordings, start
from .figures import percentile, summary
from .machine import BUILT, FAR_DEVICE, NEAR_ADDRESS, NEAR_MAC, Place, link, namespaces
from .targets import row

# What is recorded: so many connections, so many a second. A copy follows upon the one before at the same rate.
RECORDED, RECORDED_RATE = 500, 5000
# Observations that are surely less than the ring holds, by what a connection brings at most.
STOPPED_CONNECTIONS = 1500


def measure(name, settings, hooks):
    """One of `settings.pipeline`: rows for the table, notes below it, samples."""
    backend = "auto" if "auto" in hooks else next(iter(hooks))
    print(f"  pipeline: {name}", file=sys.stderr)
    spaces = namespaces()
    try:
        if name == "start":
            return _start(settings, hooks)
        if name == "memory":
            return _memory(settings, spaces, backend)
        place = Place(spaces, "pipeline")
        if name == "replay":
            return _replay(settings, place)
        return {"live": _live, "latency": _latency}[name](settings, place, backend)
    finally:
        spaces.remove()


# Replay

def _replay(settings, place):
    with tempfile.TemporaryDirectory(dir=BUILT, prefix="replay-") as folder:
        path, out = os.path.join(folder, "big.ntrace"), os.path.join(folder, "lines")
        with open(path, "wb") as file:
            file.write(recordings.multiplied(_recorded(settings, place, folder), settings.copies,
                                             RECORDED * 1_000_000_000 // RECORDED_RATE))
        results = {"file": [], "pipe": []}
        events = 0
        for _ in range(settings.replays):
            for how, found in results.items():
                seconds, line = _replay_once(settings.program, path, out, how)
                events = line["nattrace"]["events"]
                found.append(events / seconds)
    return [row("replay, JSON lines", f"to a {how}", "observations a processor s", summary(found), "replay")
            for how, found in results.items()], \
        [f"replay: {events:,} observations a run, of {RECORDED:,} recorded connections at {RECORDED_RATE:,} a second, "
         f"{settings.copies} times over"], results


def _recorded(settings, place, folder):
    """The bytes of a recording of a few connections."""
    path = os.path.join(folder, "small.ntrace")
    with observers.Nattrace.matching(settings.program, more=["--record", path]) as observer:
        load.run(place, load.CONNECT, 60, extra=["--count", str(RECORDED), "--interval",
                                                 str(1_000_000 // RECORDED_RATE)])
        observer.stop()
        found = observer.last_line()["nattrace"]["verdicts"]
    if found.get("established", 0) < RECORDED * 0.99:
        raise load.Failed(f"of {RECORDED} connections to be recorded only these were seen: {found}")
    with open(path, "rb") as file:
        return file.read()


def _replay_once(program, path, out, how):
    """Processor seconds of the program itself, and its last line. The reader of a pipe is another's cost."""
    with open(out, "wb") as file:
        stdout, reader = file, None
        if how == "pipe":
            reader = subprocess.Popen(["cat"], stdin=subprocess.PIPE, stdout=file)
            stdout = reader.stdin
        process = subprocess.Popen([program, "replay", path, "--json"], stdout=stdout, stderr=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if reader:
            reader.stdin.close()
            reader.wait()
    if process.returncode:
        raise load.Failed(f"nattrace replay ended with {process.returncode}")
    with open(out, "rb") as file:
        file.seek(max(0, os.path.getsize(out) - 4096))
        last = json.loads(file.read().splitlines()[-1])
    return usage.ru_utime + usage.ru_stime, last


# The live ring

def _live(settings, place, backend):
    """The ring filled while the program stands still, and emptied in one go; and emptied as it fills."""
    filled, flowing, lost = [], [], 0
    for _ in range(settings.live_runs):
        for found, stopped in ((filled, True), (flowing, False)):
            with observers.Nattrace.matching(settings.program, backend) as observer:
                begun = observer.seconds_once_idle()
                for _ in range(settings.bursts):
                    _burst(observer, place, stopped)
                spent = observer.seconds_once_idle() - begun
                observer.stop()
                line = observer.last_line()["nattrace"]
                lost += line["lost"]["total"]
                found.append(line["events"] / spent)
    return [row("live, JSON lines to a file", "a filled ring", "observations a processor s", summary(filled), "live"),
            row("live, JSON lines to a file", "as they come", "observations a processor s", summary(flowing))], \
        [f"live: {lost:,} observations were lost"] if lost else [], {"filled": filled, "flowing": flowing}


def _burst(observer, place, stopped):
    with observer.halted() if stopped else contextlib.nullcontext():
        load.run(place, load.CONNECT, 60, extra=["--count", str(STOPPED_CONNECTIONS)])
    observer.seconds_once_idle()


# Latency

def _latency(settings, place, backend):
    """From the kernel's time stamp of a step to the moment at which its line is read from a pipe, microseconds.

    Beside it, how late a reader learns of a byte that another process writes, at the same pace: what the machine
    itself takes, and its other users.
    """
    read_end, write_end = os.pipe()
    with observers.Nattrace.matching(settings.program, backend, stdout=write_end):
        os.close(write_end)
        words = load.arguments(place, load.CONNECT, 60, pinned=False,
                               extra=["--count", str(settings.latencies), "--interval", "4000"])
        with subprocess.Popen(words, stdout=subprocess.DEVNULL) as traffic, real_time():
            late = _read_steps(read_end, traffic)
    os.close(read_end)
    bare = _bare_pipe(settings.latencies)
    if not late:
        raise load.Failed("no step was read")
    shares = ((0.5, "p50"), (0.99, "p99"))
    values = [[percentile(part, share) for part in _parts(late)] for share, _ in shares]
    lines = [row("from step to line, idle", name, "µs", summary(found), "latency p99" if name == "p99" else None)
             for (_, name), found in zip(shares, values)]
    lines.append(row("from step to line, idle", "p99 of a bare pipe", "µs",
                     summary([percentile(part, 0.99) for part in _parts(bare)])))
    return lines, [f"from step to line: of {len(late):,} steps, in seven parts; over all p99.9 "
                   f"{percentile(late, 0.999):,.0f} µs, at most {max(late):,.0f} µs"], {}


def _parts(values, number=7):
    """One run after the other as several, so that a percentile has a spread."""
    size = max(1, len(values) // number)
    return [values[at:at + size] for at in range(0, size * min(number, len(values)), size)]


def _read_steps(descriptor, traffic):
    late, partial = [], b""
    ended = None
    while True:
        ready, _, _ = select.select([descriptor], [], [], 0.2)
        now = time.time_ns()
        if not ready:
            if traffic.poll() is not None:
                ended = ended or now
                if now - ended > 1_000_000_000:
                    return late
            continue
        data = os.read(descriptor, 1 << 20)
        if not data:
            return late
        *whole, partial = (partial + data).split(b"\n")
        late += [(now - stamp(line)) / 1000 for line in whole if b'"nattrace.step"' in line]


def stamp(line):
    """`@timestamp` of a line in nanoseconds since 1970."""
    text = json.loads(line)["@timestamp"]
    seconds, fraction = text.rstrip("Z").split(".")
    return int(_seconds(seconds)) * 1_000_000_000 + int(fraction.ljust(9, "0"))


def _seconds(text):
    return calendar.timegm(time.strptime(text, "%Y-%m-%dT%H:%M:%S"))


def _bare_pipe(count):
    def write(say):
        for _ in range(count):
            time.sleep(0.004)
            say({"at": time.time_ns()})
    child = children.spawn(write)
    late = []
    try:
        with real_time():
            for message in child.messages(time.monotonic() + 60):
                late.append((time.time_ns() - message["at"]) / 1000)
    finally:
        child.stop()
    return late


@contextlib.contextmanager
def real_time():
    """The reader before everything else, so that what is measured is the writer's delay. Where that is not
    allowed, without."""
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    except PermissionError:
        yield
        return
    try:
        yield
    finally:
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


# Memory

def _memory(settings, spaces, backend):
    """Resident at the start, and with handshakes in flight that nobody will ever finish: SYNs from spoofed sources
    to a listener, whose answers lead nowhere."""
    far, near = link(spaces, "memory")
    at_start, in_flight, seen = [], [], []
    for _ in range(settings.memory_runs):
        # A listener of its own for each run: the half-open handshakes of the one before end with it.
        with load.listening(near, NEAR_ADDRESS, load.PORT, 2 * settings.in_flight), \
                observers.Nattrace.matching(settings.program, backend, more=["--unanswered-after", "10m"]) as observer:
            observer.seconds_once_idle()
            at_start.append(processes.resident_mib(observer.pid))
            load.flood(far, FAR_DEVICE, NEAR_MAC, NEAR_ADDRESS, load.PORT, settings.in_flight // 5,
                       settings.in_flight, 60)
            observer.seconds_once_idle()
            in_flight.append(processes.resident_mib(observer.pid))
            observer.stop()
            line = observer.last_line()["nattrace"]
            seen.append({"events": line["events"], "lost": line["lost"], "verdicts": line["verdicts"]})
    return [row("resident", "at start", "MiB", summary(at_start), "resident at start"),
            row("resident", f"{settings.in_flight:,} in flight", "MiB", summary(in_flight),
                "resident in flight")], \
        [f"resident: {settings.in_flight:,} SYNs from spoofed sources to a listener, within 5 s and never answered "
         f"further; at the end {sum(one['verdicts'].values()):,} had a verdict, {one['lost']['total']:,} observations "
         "were lost" for one in seen[-1:]], seen


# Start

def _start(settings, hooks):
    times = start.measure(settings.program, hooks, settings.starts)
    lines = [row("start to ready", name, "ms", summary([value * 1000 for value in found]))
             for name, found in times.items()]
    return lines, [], times
