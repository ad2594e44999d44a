"""Measures what nattrace costs, prints a table, and writes it as JSON.

  Tests/bench/run [PART...] [--kernel NAME] [--quick] [--program FILE]
  Tests/bench/run --document FILE...

PART is traffic, programs, pipeline or flood (default: all; in a virtual machine, which is emulated, traffic, programs
and of pipeline start and memory). --kernel 6.1 runs in a virtual machine with that kernel. Results lie in .build/bench.
--document prints results that were written before as the tables of docs/performance.md.

The exit status is 0 if all was measured, whether targets were met or not; 1 if something could not be.
"""

import argparse
import contextlib
import json
import os
import signal
import sys
import traceback

from . import flood, pipeline, processes, programs, start, tables, traffic
from .forms import EMULATED, FORMS, PARTS
from .machine import BUILT, ROOT, conditions, namespaces

VM = os.path.join(ROOT, "Tests", "live", "vm", "vm")
VM_TIMEOUT = 2400
# All that a run starts goes before what else the machine has to do, as if that were not there.
NICE = -15


class Stopped(BaseException):
    """A signal asked the run to end; everything is cleaned up on the way out."""


def stop(number, _):
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)
    raise Stopped(number)


def parse(arguments):
    parser = argparse.ArgumentParser(prog="Tests/bench/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("words", nargs="*", metavar="PART", help="or, with --document, files")
    parser.add_argument("--kernel", metavar="NAME", help="in a virtual machine: 5.10, 6.1, 6.12, 7.2; host: not in one")
    parser.add_argument("--quick", action="store_true", help="fewer and shorter runs: to see that it works")
    parser.add_argument("--program", default=os.path.join(ROOT, ".build", "dist", "nattrace"), metavar="FILE")
    parser.add_argument("--backend", action="append", help="measure traffic with these (default: those that differ)")
    parser.add_argument("--rounds", type=int, metavar="N", help="of traffic")
    parser.add_argument("--document", action="store_true", help="print the tables of results that were written before")
    parser.add_argument("--in-vm", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args(arguments)
    if settings.document:
        return settings
    if unknown := [word for word in settings.words if word not in PARTS]:
        parser.error(f"no part is called {unknown[0]}: there are {', '.join(PARTS)}")
    settings.asked_rounds = settings.rounds
    form = (EMULATED if settings.in_vm else FORMS)["short" if settings.quick else "long"]
    for name, value in form.items():
        if getattr(settings, name, None) is None:
            setattr(settings, name, value)
    settings.parts = settings.words or form["parts"]
    settings.program = os.path.abspath(settings.program)
    return settings


def main(arguments):
    settings = parse(arguments)
    if settings.document:
        return document(settings.words)
    if not os.access(settings.program, os.X_OK):
        print(f"no program at {settings.program}: make dist, or name it with --program", file=sys.stderr)
        return 66
    if os.geteuid():
        print("benchmarks make network namespaces and trace: run them as root", file=sys.stderr)
        return 77
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    return apart(lambda: measure(settings) if settings.kernel in (None, "host") else in_vm(settings))


def apart(work):
    """work() in a session of its own that goes before the others on the machine: where sessions share the processors
    evenly (autogroup), niceness within one is not enough. What it starts does so too, all alike."""
    sys.stdout.flush()
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            processes.end_with_parent(signal.SIGTERM)
            os.setsid()
            with contextlib.suppress(OSError):
                os.nice(NICE)
                with open("/proc/self/autogroup", "w") as file:
                    file.write(str(NICE))
            status = work()
        except Stopped as signalled:
            print(f"ended by signal {signalled.args[0]}", file=sys.stderr)
            status = 128 + signalled.args[0]
        except Exception:
            traceback.print_exc()
        finally:
            sys.stdout.flush()
            os._exit(status)
    while True:
        try:
            return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        except Stopped:
            os.kill(pid, signal.SIGTERM)  # and it cleans up


def measure(settings):
    namespaces()  # loads the modules whose functions are hooked
    hooks = start.backends(settings.program)
    if not hooks:
        print("nattrace does not start here: see `nattrace doctor`", file=sys.stderr)
        return 69
    backends = settings.backend or different(hooks)
    functions = bool(start.functions_of(hooks))
    results = {
        "conditions": {**conditions(settings.program), "quick": settings.quick, "nice": os.nice(0),
                       "rounds": settings.rounds, "seconds": settings.seconds, "runs": settings.runs,
                       "halted": settings.halt, "hooks": {name: hooks[name] for name in backends}},
        "rows": {}, "notes": {}, "samples": {}, "problems": []}

    def keep(name, measured, of=None):
        rows, notes, samples = measured
        results["rows"].setdefault(name, []).extend(rows)
        results["notes"].setdefault(name, []).extend(notes)
        results["samples"][of or name] = samples

    def part(name, work, of=None):
        if name not in settings.parts:
            return
        try:
            work()
        except Exception as problem:  # one part that fails must not lose the others
            traceback.print_exc()
            results["problems"].append(f"{of or name}: {problem}")

    def traffic_part():
        keep("traffic", traffic.measure(settings, backends, functions))
        results["problems"] += [f"{name}: {problem}" for name, problem in results["samples"]["traffic"].items()
                                if isinstance(problem, str)]

    def programs_part():
        results["programs"] = programs.measure(settings, backends)

    def flood_part():
        keep("flood", flood.measure(settings, backends[0]))

    part("traffic", traffic_part)
    part("programs", programs_part)
    for piece in settings.pipeline:
        part("pipeline", lambda: keep("pipeline", pipeline.measure(piece, settings, hooks), piece), piece)
    part("flood", flood_part)
    write(results, name(results["conditions"]["kernel"], settings))
    print(tables.text(results), end="")
    return 1 if results["problems"] else 0


def different(hooks):
    """The backends whose hooks are not those of one named before: `auto` is often the same as another."""
    found = {}
    for name in ("tracepoint", "kprobe", "fentry", "auto"):
        if name in hooks and hooks[name] not in found.values():
            found[name] = hooks[name]
    functions = [name for name in found if name != "tracepoint"]
    # Where functions can be hooked, tracepoints alone are for those who ask for them.
    return functions or list(found)


def name(kernel, settings):
    """Of the results' file: what is not the whole is called otherwise, and replaces nothing."""
    return "-".join([kernel, *settings.words, *(["quick"] if settings.quick else [])])


def write(results, called):
    os.makedirs(BUILT, exist_ok=True)
    path = os.path.join(BUILT, called + ".json")
    with open(path + ".tmp", "w") as file:
        json.dump(results, file, indent=1)
        file.write("\n")
    os.rename(path + ".tmp", path)
    print(f"written to {os.path.relpath(path, ROOT)}", file=sys.stderr)


def document(paths):
    for path in paths:
        with open(path) as file:
            results = json.load(file)
        print(f"## On kernel {results['conditions']['kernel']}\n")
        print(tables.text(results, tables.fenced))
    return 0


def in_vm(settings):
    inner = [sys.executable, os.path.join(ROOT, "Tests", "bench", "run"), "--in-vm", "--program", settings.program,
             *settings.words]
    inner += ["--quick"] if settings.quick else []
    inner += ["--rounds", str(settings.asked_rounds)] if settings.asked_rounds else []
    inner += [word for backend in settings.backend or () for word in ("--backend", backend)]
    sys.stdout.flush()
    os.execv(VM, [VM, "run", settings.kernel, "--timeout", str(VM_TIMEOUT), "--out", BUILT, "--", *inner])
