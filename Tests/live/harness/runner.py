"""One scenario from start to clean-up, in parts: set up, dial, compare with what was traced meanwhile, remove.

tracing.py runs the program between set-up and comparison, for one scenario or for several that can share a run.
"""

import os
import shutil
import signal
import sys
import tempfile
import time
import traceback

from . import abilities, expect, hole, topology
from .client import Clients
from .lines import compact, connections, dataset, get
from .vocabulary import Vocabulary
from holes import HOLES, WITHOUT_FUNCTIONS


class Runner:
    """The parts of one scenario; `problems` is empty afterwards if it passed."""

    def __init__(self, item, settings, features, number):
        self.item, self.number, self.settings, self.pace = item, number, settings, settings.pace
        self.spaces = topology.Namespaces(f"nt-{os.getpid()}-{number}-", self.pace)
        self.temporary = tempfile.mkdtemp(prefix="nattrace-live-")
        # Ports of its own, below the ephemeral ones: runs at the same time do not see each other's connections.
        port = 20000 + (settings.run_id * 256 + number) % 2900 * 4
        self.s = Vocabulary(item, self.spaces, self.pace, settings, features, port, self.temporary)
        self.s.wait_told = self.wait_told
        self.problems, self.program, self.clients = [], None, []
        self.is_disturbed = False  # the run lost what it should not be judged without
        self.holes, self.codes = [], []  # why the outcome is more general; verdicts that came
        self.seconds, self.broken, self.way = 0, False, self.dialling()

    def attempt(self, part, *arguments):
        """Runs one part; what it raises is a problem of this scenario, and the end of it."""
        begin = time.monotonic()
        try:
            part(*arguments)
        except Exception as error:
            self.broken = True
            where = traceback.extract_tb(error.__traceback__)[-1]
            self.problems.append(f"{type(error).__name__}: {error} ({os.path.basename(where.filename)}:{where.lineno})")
            if self.settings.verbose:
                traceback.print_exc()
        finally:
            self.seconds += time.monotonic() - begin

    def set_up(self):
        self.item.body(self.s)
        self.problems += self.s.problems
        self.holes += self.s.holes

    @property
    def waits_for_tracing(self):
        """Whether there is something to trace; a test of the program itself runs it in its body."""
        return bool(self.s.expected) and not self.broken

    @property
    def shares_with(self):
        """With whom it may share a run of the program: those with the same patience, if all only ask for their own
        ports. None: with nobody."""
        asked = list(zip(self.s.arguments[::2], self.s.arguments[1::2]))
        others = tuple(sorted({pair for pair in asked if pair[0] != "--dport"}))
        if (len(self.s.arguments) % 2 or not self.waits_for_tracing or len(others) == len(set(asked))
                or self.s.once_tracing_do or self.s.zero_events or self.s.loss_allowed or self.s.alone
                or any(name != "--unanswered-after" for name, _ in others)):
            return None
        return others

    def owns(self, connection):
        """By the dialled port, which is no other scenario's."""
        return connection.key[3] in range(self.s.port, self.s.port + 4)

    def wait_told(self):
        """Waits until the program has told a verdict of one of the scenario's connections; returns the last one's
        line, or None if there is none."""
        if self.program is None:
            return None
        ports = range(self.s.port, self.s.port + 4)

        def told():
            return [line for line in self.program.lines
                    if dataset(line) == "nattrace.verdict" and line["destination"]["port"] in ports]
        self.program.wait(told, 20)
        return next(reversed(told()), None)

    def go_on(self):
        """Lets the clients of the next phase dial, or sees how the last one ended. False when that is done.

        In between, those of other scenarios may be under way: waiting is most of what a scenario does.
        """
        more = []
        self.attempt(lambda: more.extend(next(self.way)))
        return bool(more)

    def dialling(self):
        """Yields each time that the clients of a phase are under way, and nothing at the end."""
        for what, do in self.s.once_tracing_do:
            self._say(what)
            do()
        for phase in filter(lambda phase: phase.dials, self.s.phases):
            for what, do in phase.before:
                self._say(what)
                do()
            clients = Clients(phase.dials, self.pace)
            self.clients.append(clients)
            clients.wait_dialled()
            for what, do in phase.meanwhile:
                self._say(what)
                do()
            yield [phase]
            clients.wait_ended()
        for rule in self.s.rules.added:
            if rule.should_match is not None and rule.should_match != (rule.packets() > 0):
                self.problems.append(f"the rule `{rule.text}` in {rule.ruleset} matched {rule.packets()} packets, "
                                     f"expected {'some' if rule.should_match else 'none'}")
        for expected in self.s.expected:
            dial = expected.dial
            self._say(f"{dial} saw {dial.saw} {dial.by or ''} after {dial.seconds} s")
            if dial.saw not in expected.sees:
                self.problems.append(f"the client {dial} saw {dial.saw}, expected {' or '.join(expected.sees)}")
            elif expected.answered_by and dial.by != expected.answered_by:
                self.problems.append(f"the client {dial} reached {dial.by}, expected {expected.answered_by}")
        yield []

    @property
    def wanted(self):
        """(expected, its verdicts) for each dial that must show up."""
        return [(expected, verdicts) for expected in self.s.expected
                if expected.dial.saw in expected.sees and (verdicts := expected.verdicts_for(expected.dial.saw))]

    def compare(self, own, start, stop):
        """The connections of this scenario with what it expects; several on the same ports by order in time."""
        hooks, left = expect.hooks_of(start), list(own)
        lacking = abilities.lacking()
        applying = [each for each in HOLES if each.applies(self.item.name, hooks, lacking)]
        rule_concluded = self.item.dialect == "iptables-legacy" or "module-types" in lacking
        for key, group in self._wanted_by_key().items():
            mine = [connection for connection in left if connection.key == key]
            left = [connection for connection in left if connection not in mine]
            if len(mine) != len(group):
                self.problems.append(f"{group[0][0].dial}: {len(mine)} connections in the output, expected "
                                     f"{[[verdict.code for verdict in verdicts] for _, verdicts in group]}")
                continue
            for (expected, verdicts), connection in zip(group, mine):
                problems, holes = hole.judge(
                    lambda verdicts: expect.compare_connection(verdicts, connection, hooks, rule_concluded),
                    verdicts, applying, hooks, WITHOUT_FUNCTIONS)
                self.problems += [f"{expected.dial}: {text}" for text in problems]
                self.holes += [found for found in holes if found not in self.holes]
                self.codes += [code for code in connection.codes if code not in self.codes]
        self.problems += [f"unexpected connection {connection} with {connection.codes}" for connection in left]
        self._compare_totals(own, stop)

    def _wanted_by_key(self):
        groups = {}
        for entry in self.wanted:
            groups.setdefault(tuple(entry[0].key.values()), []).append(entry)
        return groups

    def _compare_totals(self, own, stop):
        codes = [connection.codes[-1] for connection in own if connection.codes]
        for code, number in (self.s.total or {}).items():
            if codes.count(code) != number:
                self.problems.append(f"{codes.count(code)} connections ended {code}, expected {number}")
        if self.s.zero_events and get(stop, "nattrace.events") != 0:
            self.problems.append(f"the stop line says {get(stop, 'nattrace.events')!r} events, expected 0")

    def _say(self, text):
        if self.settings.verbose:
            print(f"     {text}", file=sys.stderr, flush=True)

    @property
    def details(self):
        """What a person needs to see why it failed: what came, the rules in force, the program's own words."""
        parts = []
        for program in [self.program] if self.program else self.s.programs:
            parts.append(f"program: {' '.join(program.arguments)}  (status {program.status})")
            for connection in filter(self.owns, connections(program.lines)):
                parts += [f"connection {connection}", *map(compact, connection.lines)]
            ends = [line for line in program.lines if get(line, "nattrace.connection") is None]
            if self.settings.verbose or not connections(program.lines):
                parts += [str(line) for line in ends]
            parts.append("its stderr:\n" + program.words.rstrip())
        if self.s.rules.namespaces:
            parts.append("rules in force, " + self.s.rules.in_force())
        return "\n".join(parts)

    def clean(self):
        """Nothing may interrupt this: a signal waits until it is done."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT, signal.SIGTERM, signal.SIGHUP})
        try:
            self._remove_everything()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)

    def _remove_everything(self):
        for clients in self.clients:
            clients.stop()
        self.s.close()
        if self.settings.keep:
            self._say_what_is_kept()
        else:
            self.spaces.remove()
        shutil.rmtree(self.temporary, ignore_errors=True)

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
