"""Runs nattrace and reads it while it runs: JSON lines from stdout, words from stderr, one thread, bounded waits."""

import json
import os
import selectors
import signal
import subprocess
import time

from .lines import dataset

READY = 30      # factors: loading and attaching, in an emulated machine too
STOPPING = 15


class Program:
    """One run of the program under test. `lines` are stdout's parsed lines, `problems` what was wrong with them."""

    def __init__(self, path, arguments, pace, wrapper=(), stdout=subprocess.PIPE):
        self.arguments, self._pace = list(arguments), pace
        self.lines, self.problems, self.stdout, self.stderr = [], [], b"", b""
        self._partial = b""
        self.process = subprocess.Popen([*wrapper, path, *arguments], stdin=subprocess.DEVNULL, stdout=stdout,
                                        stderr=subprocess.PIPE)
        self._selector = selectors.DefaultSelector()
        for pipe in (self.process.stdout, self.process.stderr):
            if pipe:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ)

    @property
    def pid(self):
        return self.process.pid

    @property
    def words(self):
        return self.stderr.decode(errors="replace")

    @property
    def status(self):
        return self.process.poll()

    @property
    def start(self):
        return self.lines[0] if self.lines and dataset(self.lines[0]) == "nattrace.start" else None

    def wait(self, enough, factor):
        """Reads until enough() holds. False if it never did: the time is over, or the program has ended."""
        deadline = self._pace.deadline(factor)
        while not enough():
            if not self._selector.get_map():
                return enough()
            ready = self._selector.select(max(0, min(0.2, deadline - time.monotonic())))
            if not ready and time.monotonic() >= deadline:
                return enough()
            for key, _ in ready:
                self._read(key.fileobj)
        return True

    def wait_ready(self):
        """Ready as the contract says it: the start line is out, and `tracing` is on stderr."""
        json_lines = "--json" in self.arguments
        return self.wait(lambda: (self.start or not json_lines) and "tracing" in self.words, READY)

    def settle(self, factor=0.4):
        """Reads on for a moment: what must not come had its chance."""
        self.wait(lambda: False, factor)

    def send(self, number):
        if self.status is None:
            self.process.send_signal(number)

    def wait_end(self, factor=STOPPING):
        """The exit status, or None if it did not end in time (then it is killed)."""
        deadline = self._pace.deadline(factor)
        self.wait(lambda: False, factor)  # until both pipes are closed
        try:
            return self.process.wait(max(0.1, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            self.kill()
            return None
        finally:
            self._end_of_stdout()

    def stop(self, number=signal.SIGINT):
        self.send(number)
        return self.wait_end()

    def kill(self):
        if self.status is None:
            self.process.kill()
            self.process.wait()

    def read(self, path):
        """Takes the lines from the file that stdout was."""
        with open(path, "rb") as file:
            *whole, self._partial = file.read().split(b"\n")
        for line in whole:
            self._parse(line)
        self._end_of_stdout()

    def close_stdout(self):
        """What a reader such as `head` does when it has seen enough."""
        self._selector.unregister(self.process.stdout)
        self.process.stdout.close()

    def _read(self, pipe):
        data = os.read(pipe.fileno(), 1 << 20)
        if not data:
            self._selector.unregister(pipe)
        elif pipe is self.process.stderr:
            self.stderr += data
        else:
            self.stdout += data
            if "--json" in self.arguments:
                *whole, self._partial = (self._partial + data).split(b"\n")
                for line in whole:
                    self._parse(line)

    def _end_of_stdout(self):
        if self._partial:
            self.problems.append(f"stdout ends within a line: {self._partial[:200]!r}")

    def _parse(self, raw):
        try:
            line = json.loads(raw.decode())
            if not isinstance(line, dict):
                raise ValueError("not an object")
            self.lines.append(line)
        except ValueError as error:
            self.problems.append(f"stdout has a line that is not a JSON object ({error}): {raw[:200]!r}")


def finish(path, arguments, pace, wrapper=(), stdout=subprocess.PIPE):
    """Runs the program to its own end, and returns it."""
    program = Program(path, arguments, pace, wrapper, stdout)
    program.wait_end(READY + STOPPING)
    return program
