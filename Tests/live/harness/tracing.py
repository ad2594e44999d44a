"""One run of the program under test, over one scenario or over several that can share it.

Each scenario then looks at its own connections only. What concerns the whole run (its status, its frame, the schema,
the replay of its recording) is a problem of every scenario that shared it.
"""

import os
import shutil

from . import invariants, replay
from .lines import connections, dataset
from .program import Program

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCHEMA = os.path.join(ROOT, "docs", "nattrace.schema.json")


def trace(runners, settings):
    """Traces what these scenarios, which are set up, let happen, and lets each compare."""
    runners = [runner for runner in runners if runner.waits_for_tracing]
    if not runners:
        return
    if settings.client_only:
        dial(runners)
        return
    recording = os.path.join(runners[0].temporary, "recording")
    program = Program(settings.program, ["--json", "--record", recording, *backend(settings), *_arguments(runners)],
                      settings.pace)
    for runner in runners:
        runner.program = program
    try:
        problems = _run(program, runners)
    finally:
        program.kill()
    problems += _whole_run(program, runners, recording, settings)
    for runner in runners:
        runner.problems += problems
        if settings.save_recordings and os.path.exists(recording):
            _save(recording, runner.item.name, settings.save_recordings)


def backend(settings):
    """The program's option for how to hook functions, where the run is about one way."""
    return ["--backend", settings.backend] if settings.backend else []


def dial(runners):
    """All of them at the same time."""
    under_way = runners
    while under_way:
        under_way = [runner for runner in under_way if runner.go_on()]


def _arguments(runners):
    """Those of all; what they have in common once. One that shares with nobody gets its own as they are."""
    if len(runners) == 1:
        return runners[0].s.arguments
    pairs = [pair for runner in runners for pair in zip(runner.s.arguments[::2], runner.s.arguments[1::2])]
    return [word for pair in dict.fromkeys(pairs) for word in pair]


def _run(program, runners):
    if not program.wait_ready():
        return [f"the program was not ready in time (status {program.status})"]
    dial(runners)
    number = sum(len(verdicts) for runner in runners for _, verdicts in runner.wanted)
    program.wait(lambda: sum(dataset(line) == "nattrace.verdict" for line in program.lines) >= number, 10)
    program.settle()
    status = program.stop()
    return [] if status == 0 else [f"after SIGINT the exit status was {status}, expected 0"]


def _whole_run(program, runners, recording, settings):
    """Lets each compare its own connections; returns what is wrong with the run as a whole."""
    lines, left = program.lines, connections(program.lines)
    if not program.start:
        return program.problems + ["there is no start line"]
    for runner in runners:
        own = [connection for connection in left if len(runners) == 1 or runner.owns(connection)]
        left = [connection for connection in left if connection not in own]
        for connection in own:
            runner.problems += invariants.check_connection(connection)
        if not runner.broken:
            runner.attempt(runner.compare, own, program.start, lines[-1])
    arguments, loss_allowed = _arguments(runners), runners[0].s.loss_allowed
    problems = program.problems + [f"unexpected connection {connection} with {connection.codes}" for connection in left]
    for runner in runners:
        runner.is_disturbed = invariants.only_skipped(lines)
    problems += invariants.check_run(lines, loss_allowed, SCHEMA, whole=not replay.showing(arguments))
    problems += invariants.chosen_backend(program.start, settings.backend)
    if not os.path.exists(recording):
        return [*problems, "--record made no file"]
    return problems + replay.compare(settings.program, recording, lines, arguments, settings.pace)


def _save(recording, name, folder):
    os.makedirs(folder, exist_ok=True)
    kernel = ".".join(os.uname().release.split(".")[:2])
    shutil.copy(recording, os.path.join(folder, f"{name.replace('/', '-')}-{kernel}.ntrace"))
