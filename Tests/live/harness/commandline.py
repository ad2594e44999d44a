"""Runs live scenarios: real namespaces, rules and sockets, with nattrace watching.

Each scenario is named subject/family/dialect; a whole name selects that scenario, a pattern all names that it is a part
of, or matches (with *).
The last line is `N passed, N failed`. The exit status is 0 if none failed and at least one ran.
"""

import argparse
import fnmatch
import importlib
import itertools
import os
import pkgutil
import signal
import sys

from . import abilities, invariants, runner, topology, tracing
from .features import Features
from .pace import Pace
from .scenario import SCENARIOS

VM = os.path.join(tracing.ROOT, "Tests", "live", "vm", "vm")
VM_TIMEOUT = 3600
# So many scenarios in all may be repeated in a job because the kernel disturbed their runs: a shared run, or two.
DISTURBED_AT_MOST = 8
VM_SHARE = 8  # starting the program takes seconds under emulation


class Stopped(BaseException):
    """A signal asked the run to end; everything is cleaned up on the way out."""


def parse(arguments):
    parser = argparse.ArgumentParser(prog="Tests/live/run", description=__doc__,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("patterns", nargs="*", metavar="PATTERN",
                        help="which scenarios (default: all; with --kernel those marked vm; '*' for all)")
    parser.add_argument("--list", action="store_true", help="name the scenarios, run none")
    parser.add_argument("--program", default=os.path.join(tracing.ROOT, ".build", "release", "nattrace"),
                        help="the program under test (default: .build/release/nattrace)")
    parser.add_argument("--backend", choices=invariants.CHOICES,
                        help="what the program is told to hook functions with (default: what it takes by itself)")
    parser.add_argument("--client-only", action="store_true",
                        help="without the program: only the topologies and what the clients see")
    parser.add_argument("--jobs", type=int, default=1, metavar="N", help="scenarios at a time (default: 1)")
    parser.add_argument("--share", type=int, metavar="N",
                        help="scenarios that may share one run of the program (default: 1; in a virtual machine "
                             f"{VM_SHARE}, but 1 with --save-recordings)")
    parser.add_argument("--again", type=int, default=0, metavar="N",
                        help="so many scenarios of each job may fail once, if they pass when they are run again, alone: "
                             "for kernels that do not show everything (docs/limitations.md; default: 0)")
    parser.add_argument("--keep", action="store_true",
                        help="leave namespaces and listeners for a look, and say how to remove them")
    parser.add_argument("--verbose", action="store_true", help="say what happens, and show more on failure")
    parser.add_argument("--slow", type=float, metavar="FACTOR",
                        help="how much slower than a real machine this one is (default: measured)")
    parser.add_argument("--save-recordings", metavar="DIR",
                        help="keep the recordings, named SCENARIO-6.1.ntrace and the like")
    parser.add_argument("--kernel", metavar="RELEASE",
                        help="run in a virtual machine with that kernel (5.10, 6.1, 6.12, 7.2)")
    parser.add_argument("--timeout", type=int, default=VM_TIMEOUT, metavar="S",
                        help=f"for the virtual machine (default: {VM_TIMEOUT})")
    parser.add_argument("--in-vm", action="store_true", help=argparse.SUPPRESS)
    settings = parser.parse_args(arguments)
    if settings.jobs < 1:
        parser.error("--jobs wants a number from 1")
    if settings.share is not None and settings.share < 1:
        parser.error("--share wants a number from 1")
    return settings


def load():
    """Imports every file of scenarios/, which registers its scenarios."""
    import scenarios
    for module in sorted(module.name for module in pkgutil.iter_modules(scenarios.__path__)):
        importlib.import_module(f"scenarios.{module}")


def select(patterns, in_vm):
    """Without a pattern: all, in a virtual machine those that are marked for it. A whole name means that one alone,
    although it may be a part of others."""
    names = {item.name for item in SCENARIOS}

    def chosen(item):
        if not patterns:
            return item.in_vm or not in_vm
        return any(item.name == pattern if pattern in names else
                   pattern in item.name or fnmatch.fnmatch(item.name, pattern) for pattern in patterns)
    return [item for item in SCENARIOS if chosen(item)]


def main(arguments):
    settings = parse(arguments)
    if settings.kernel:
        return run_in_vm(settings)
    if settings.share is None:
        settings.share = VM_SHARE if settings.in_vm and not settings.save_recordings else 1
    load()
    selected = select(settings.patterns, settings.in_vm)
    if settings.list:
        for item in selected:
            print(item.name)
        return 0
    if not selected:
        print("no scenario has such a name; --list names them", file=sys.stderr)
        return 64
    if os.geteuid():
        print("the live tests make network namespaces: run them as root", file=sys.stderr)
        return 77
    settings.program = os.path.abspath(settings.program)
    if not settings.client_only and not os.access(settings.program, os.X_OK):
        print(f"no program at {settings.program}: build it, name it with --program, or try --client-only",
              file=sys.stderr)
        return 66
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, stop)
    settings.pace, settings.run_id = Pace(settings.slow), os.getpid()
    if settings.verbose:
        print(f"kernel {os.uname().release}, time-outs times {settings.pace.slow:.1f}", file=sys.stderr)
    if settings.in_vm:
        print("lacks    " + (", ".join(sorted(abilities.lacking())) or "nothing"), flush=True)
    try:
        passed, failed = run_all(selected, settings)
    except Stopped as signalled:
        print(f"ended by signal {signalled.args[0]}", file=sys.stderr)
        return 128 + signalled.args[0]
    print(f"{passed} passed, {failed} failed")
    return 0 if passed and not failed else 1


def stop(number, _):
    signal.signal(number, signal.SIG_IGN)  # one is enough: the clean-up must not be interrupted
    raise Stopped(number)


def run_all(selected, settings):
    numbered = list(enumerate(selected))
    first = [entry for entry in numbered if "late-modules" in entry[1].needs]
    # They load a module that acts in every namespace, br_netfilter.
    last = [entry for entry in numbered if {"br-netfilter", "docker"} & set(entry[1].needs)]
    together = [entry for entry in numbered if entry not in first and entry not in last]
    counts = [run_some(first, settings),
              run_some(together, settings) if settings.jobs == 1 else run_parallel(together, settings),
              run_some(last, settings)]
    return tuple(map(sum, zip(*counts)))


def run_some(numbered, settings):
    """Runs scenarios one after another in this process; returns how many passed and failed."""
    spaces = topology.Namespaces(f"nt-{os.getpid()}-f-", settings.pace)
    features = Features(settings, spaces)
    counts, setting_up, failed = [0, 0], [], []
    waiting = {}  # those that are set up, by whom they can share a run of the program with

    def set_up(number, item):
        run = runner.Runner(item, settings, features, number)
        setting_up.append(run)
        run.attempt(run.set_up)
        setting_up.remove(run)
        return run

    def finish(runners, for_good=False):
        try:
            tracing.trace(runners, settings)
            for run in runners:
                if run.problems and not for_good and may_be_repeated(run, failed, settings):
                    failed.append(run)
                    report(run, "again")
                    continue
                counts[bool(run.problems)] += 1
                report(run)
        finally:
            for run in runners:
                run.clean()

    try:
        for number, item in numbered:
            lacking = features.missing(item.needs)
            if lacking:
                print(f"not run  {item.name}: {lacking}", flush=True)
                continue
            if "docker" in item.needs:  # one dockerd at a time in the root namespace
                for key in [key for key, runs in waiting.items() if any("docker" in run.item.needs for run in runs)]:
                    finish(waiting.pop(key))
            run = set_up(number, item)
            key = run if settings.share == 1 or run.shares_with is None else run.shares_with
            waiting.setdefault(key, []).append(run)
            if key is run or len(waiting[key]) == settings.share:
                finish(waiting.pop(key))
        while waiting:
            finish(waiting.popitem()[1])
        for run in failed:
            finish([set_up(run.number, run.item)], for_good=True)
    finally:
        for run in itertools.chain(setting_up, *waiting.values()):
            run.clean()
    return tuple(counts)


def may_be_repeated(run, failed, settings):
    """Once: as --again allows, and where the program says that the kernel skipped it, which proves nothing."""
    disturbed = [other for other in failed if other.is_disturbed]
    if run.is_disturbed:
        return len(disturbed) < DISTURBED_AT_MOST
    return len(failed) - len(disturbed) < settings.again


def report(run, failed="FAILED"):
    came = f" ({run.seconds:.1f} s)" + (": " + ", ".join(run.codes) if run.codes else "")
    if run.holes and not run.problems:
        print(f"hole     {run.item.name}{came}; {'; '.join(run.holes)}", flush=True)
        return
    if not run.problems:
        print(f"passed   {run.item.name}{came}", flush=True)
        return
    text = "\n".join(run.problems) + "\n" + run.details
    print(f"{failed:8} {run.item.name} ({run.seconds:.1f} s)\n" +
          "\n".join("     " + line for line in text.rstrip().splitlines()), flush=True)


def run_parallel(numbered, settings):
    """The same in several processes, each with its share; a share that dies counts as failed."""
    shares = [share for share in (numbered[start::settings.jobs] for start in range(settings.jobs)) if share]
    workers = []
    try:
        for share in shares:
            reader, writer = os.pipe()
            sys.stdout.flush()
            pid = os.fork()
            if pid == 0:
                status = 1
                try:
                    os.write(writer, "{} {}".format(*run_some(share, settings)).encode())
                    status = 0
                except Stopped:
                    pass
                finally:
                    sys.stdout.flush()
                    os._exit(status)
            os.close(writer)
            workers.append((pid, reader, len(share)))
        passed = failed = 0
        for pid, reader, number in workers:
            with os.fdopen(reader) as file:
                said = file.read().split()
            os.waitpid(pid, 0)
            passed += int(said[0]) if said else 0
            failed += int(said[1]) if said else number
        return passed, failed
    except Stopped:
        for pid, _, _ in workers:
            try:
                os.kill(pid, signal.SIGTERM)
                os.waitpid(pid, 0)
            except (ProcessLookupError, ChildProcessError):
                pass
        raise


def run_in_vm(settings):
    """The same selection inside a virtual machine, which sees the same files at the same paths."""
    words = [VM, "run", settings.kernel, "--timeout", str(settings.timeout)]
    inner = [sys.executable, os.path.join(tracing.ROOT, "Tests", "live", "run"), "--in-vm",
             "--program", os.path.abspath(settings.program), *settings.patterns]
    for name in ("client_only", "verbose", "list"):
        if getattr(settings, name):
            inner.append("--" + name.replace("_", "-"))
    if settings.backend:
        inner += ["--backend", settings.backend]
    if settings.share:
        inner += ["--share", str(settings.share)]
    if settings.jobs > 1:
        inner += ["--jobs", str(settings.jobs)]
    if settings.slow:
        inner += ["--slow", str(settings.slow)]
    if settings.save_recordings:
        words += ["--out", os.path.abspath(settings.save_recordings)]
        inner += ["--save-recordings", os.path.abspath(settings.save_recordings)]
    if not os.access(VM, os.X_OK):
        print(f"no virtual machines here: {VM} is missing", file=sys.stderr)
        return 69
    sys.stdout.flush()
    os.execv(VM, [*words, "--", *inner])
