"""Runs the programs that make traffic: ../load.c and ../flood.c."""

import contextlib
import json
import os
import subprocess

from .machine import BUILT

LOAD = os.path.join(BUILT, "load")
FLOOD = os.path.join(BUILT, "flood")
PORT = 5201         # of all traffic that a matching filter matches,
CLOSED = 5202       # also of that which is refused
OTHER = 5203        # and of traffic that is nobody's business


class Kind:
    """One kind of traffic. `words` are load's; an operation is what `unit` says."""

    def __init__(self, name, unit, *words, port=PORT, bytes_each=0):
        self.name, self.unit, self.words, self.port, self.bytes_each = name, unit, words, port, bytes_each


BULK = Kind("bulk", "64 KiB", "bulk", "--one", bytes_each=65536)
REQUESTS = Kind("request-response", "round trip", "rr")
REQUESTS_ONE = Kind("request-response, one process", "round trip", "rr", "--one")
CONNECT = Kind("connect", "connection", "connect")
REFUSE = Kind("connect, refused", "connection", "refuse", port=CLOSED)
KINDS = (BULK, REQUESTS, REQUESTS_ONE, CONNECT, REFUSE)


class Failed(Exception):
    """A program that makes traffic did not."""


def parse(name, text):
    """The one line of JSON that both programs print."""
    lines = [line for line in text.splitlines() if line.startswith("{")]
    if len(lines) != 1:
        raise Failed(f"{name} printed no result: {text[-300:]}")
    return json.loads(lines[0])


def _finish(name, words):
    done = subprocess.run(words, capture_output=True, text=True)
    if done.returncode:
        raise Failed(f"{' '.join(words)}: {done.stderr.strip()}")
    return parse(name, done.stdout)


def arguments(place, kind, seconds, pinned=True, extra=()):
    words = [LOAD, *kind.words, "--port", str(kind.port), "--seconds", str(seconds), *extra]
    if pinned:
        # The last processor: the first one has the interrupts of many machines.
        words += ["--cpu", str(os.cpu_count() - 1), "--fifo"]
    return place.enter(words)


def run(place, kind, seconds, **options):
    return _finish("load", arguments(place, kind, seconds, **options))


def flood_arguments(place, device, mac, address, port, rate, count, seconds, source="10.64.0.0"):
    return place.enter([FLOOD, "--device", device, "--mac", mac, "--address", address, "--port", str(port), "--rate",
                        str(rate), "--count", str(count), "--seconds", str(seconds), "--source", source])


def flood(*words, **options):
    return _finish("flood", flood_arguments(*words, **options))


@contextlib.contextmanager
def listening(place, address, port, backlog):
    """A server whose kernel answers whatever comes. `backlog`: so many may wait, half open or to be accepted, which
    nobody does: the one process that holds the listener is gone with it at the end."""
    words = place.enter([LOAD, "connect", "--one", "--address", address, "--port", str(port), "--backlog", str(backlog),
                         "--hold"])
    with subprocess.Popen(words, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            if process.stdout.readline() != b"ready\n":
                raise Failed(f"nothing listens on {address}:{port}")
            yield
        finally:
            process.kill()
