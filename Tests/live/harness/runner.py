"""One scenario from start to clean-up: set up, trace, dial, compare, replay, report, remove everything."""

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from . import expect, invariants, replay, topology
from .client import Clients
from .lines import compact, connections, get
from .program import Program
from .scenario import Vocabulary

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SCHEMA = os.path.join(ROOT, "docs", "nattrace.schema.json")


class Runner:
    """Runs one scenario; `problems` is empty afterwards if it passed, and `report` tells the rest."""

    def __init__(self, item, settings, features, number):
        self.item, self.settings, self.pace = item, settings, settings.pace
        self.spaces = topology.Namespaces(f"nt-{os.getpid()}-{number}-", self.pace)
        settings.temporary = tempfile.mkdtemp(prefix="nattrace-live-")
        # Ports of its own, below the ephemeral ones: runs at the same time do not see each other's connections.
        port = 20000 + (settings.run_id * 256 + number) % 2900 * 4
        self.s = Vocabulary(item, self.spaces, self.pace, settings, features, port)
        self.problems, self.program, self.clients = [], None, []

    def run(self):
        begin = time.monotonic()
        try:
            self._run()
        except Exception as error:
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.problems.append(f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")
            if self.settings.verbose:
                traceback.print_exc()
        finally:
            self.seconds = time.monotonic() - begin
            try:
                self.details = self._details() if self.problems else ""
            finally:
                self._clean()
        return not self.problems

    def _run(self):
        self.item.body(self.s)
        self.problems += self.s.problems
        if not self.s.expected:
            return
        if not self.settings.client_only:
            recording = os.path.join(self.settings.temporary, "recording")
            self.program = Program(self.settings.program, ["--json", "--record", recording, *self.s.arguments],
                                   self.pace)
            if not self.program.wait_ready():
                self.problems.append(f"the program was not ready in time (status {self.program.status})")
                return
        self._let_clients_dial()
        if self.program:
            self._wait_for_verdicts()
            status = self.program.stop()
            if status != 0:
                self.problems.append(f"after SIGINT the exit status was {status}, expected 0")
            self._compare()
            if os.path.exists(recording):
                self.problems += replay.compare(self.settings.program, recording, self.program.lines,
                                                self.s.arguments, self.pace)
                self._save(recording)
            else:
                self.problems.append("--record made no file")

    def _let_clients_dial(self):
        for what, do in self.s.once_tracing_do:
            self._say(what)
            do()
        for phase in filter(lambda phase: phase.dials, self.s.phases):
            clients = Clients(phase.dials, self.pace)
            self.clients.append(clients)
            clients.wait_dialled()
            for what, do in phase.meanwhile:
                self._say(what)
                do()
            clients.wait_ended()
        for rule in self.s.rules.added:
            if rule.should_match != (rule.packets() > 0):
                self.problems.append(f"the rule `{rule.text}` in {rule.ruleset} matched {rule.packets()} packets, "
                                     f"expected {'some' if rule.should_match else 'none'}")
        for expected in self.s.expected:
            dial = expected.dial
            self._say(f"{dial} saw {dial.saw} {dial.by or ''} after {dial.seconds} s")
            if dial.saw not in expected.sees:
                self.problems.append(f"the client {dial} saw {dial.saw}, expected {' or '.join(expected.sees)}")
            elif expected.answered_by and dial.by != expected.answered_by:
                self.problems.append(f"the client {dial} reached {dial.by}, expected {expected.answered_by}")

    def _wanted(self):
        """(expected, its verdicts) for each dial that must show up."""
        return [(expected, verdicts) for expected in self.s.expected
                if expected.dial.saw in expected.sees and (verdicts := expected.verdicts_for(expected.dial.saw))]

    def _wait_for_verdicts(self):
        number = sum(len(verdicts) for _, verdicts in self._wanted())
        self.program.wait(lambda: sum(get(line, "event.dataset") == "nattrace.verdict"
                                      for line in self.program.lines) >= number, 10)
        self.program.settle()

    def _compare(self):
        program, wanted = self.program, self._wanted()
        self.problems += program.problems
        hides = bool(replay.showing(self.s.arguments))
        self.problems += invariants.check(program.lines, self.s.loss_allowed, SCHEMA, whole=not hides)
        hooks = expect.hooks_of(program.start)
        left = connections(program.lines)
        for expected, verdicts in wanted:
            key = tuple(expected.key.values())
            mine = [connection for connection in left if connection.key == key]
            left = [connection for connection in left if connection not in mine]
            if len(mine) != 1:
                self.problems.append(f"{expected.dial}: {len(mine)} connections in the output, expected 1 with "
                                     f"{[verdict.code for verdict in verdicts]}")
                continue
            self.problems += [f"{expected.dial}: {text}"
                              for text in expect.compare_connection(verdicts, mine[0], hooks)]
        self.problems += [f"unexpected connection {connection} with {connection.codes}" for connection in left]
        self._compare_totals()

    def _compare_totals(self):
        codes = [connection.codes[-1] for connection in connections(self.program.lines) if connection.codes]
        for code, number in (self.s.total or {}).items():
            if codes.count(code) != number:
                self.problems.append(f"{codes.count(code)} connections ended {code}, expected {number}")
        if self.s.zero_events:
            events = get(self.program.lines[-1], "nattrace.events") if self.program.lines else None
            if events != 0:
                self.problems.append(f"the stop line says {events!r} events, expected 0")

    def _save(self, recording):
        if self.settings.save_recordings:
            os.makedirs(self.settings.save_recordings, exist_ok=True)
            name = f"{self.item.name.replace('/', '-')}-{os.uname().release}.ntrace"
            shutil.copy(recording, os.path.join(self.settings.save_recordings, name))

    def _say(self, text):
        if self.settings.verbose:
            print(f"     {text}", file=sys.stderr, flush=True)

    def _details(self):
        """What a person needs to see why it failed: what came, the rules in force, the program's own words."""
        parts = []
        for program in [self.program] if self.program else self.s.programs:
            parts.append(f"program: {' '.join(program.arguments)}  (status {program.status})")
            for connection in connections(program.lines):
                parts += [f"connection {connection}", *map(compact, connection.lines)]
            ends = [line for line in program.lines if get(line, "nattrace.connection") is None]
            if self.settings.verbose or not connections(program.lines):
                parts += [str(line) for line in ends]
            parts.append("its stderr:\n" + program.words.rstrip())
        if self.s.rules.namespaces:
            parts.append("rules in force, " + self.s.rules.in_force())
        return "\n".join(parts)

    def _clean(self):
        """Nothing may interrupt this: a signal waits until it is done."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            self._remove_everything()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _remove_everything(self):
        if self.program:
            self.program.kill()
        for clients in self.clients:
            clients.stop()
        self.s.close()
        if self.settings.keep:
            self._say_what_is_kept()
        else:
            self.spaces.remove()
        shutil.rmtree(self.settings.temporary, ignore_errors=True)

    def _say_what_is_kept(self):
        print("     kept; to look:")
        for name in self.spaces.names:
            print(f"       ip netns exec {name} bash")
        print("     to remove:")
        for listener in self.s.listeners:
            print(f"       kill {listener.pid}    # {listener.name} on {listener.address} port {listener.port}")
        for name in self.spaces.names:
            print(f"       ip netns del {name}")
        self.spaces.names.clear()
