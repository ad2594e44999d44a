"""What goes in: lines of nattrace, replayed and traced, and what comes out, compared byte by byte."""

import glob
import json
import os
import signal
import subprocess
import sys
import time

from sandbox import ROOT

sys.path.insert(0, os.path.join(ROOT, "Tests", "live"))

from harness import client, flood, pace, replay, topology  # noqa: E402
from harness.lines import dataset, get  # noqa: E402
from harness.program import READY, Program  # noqa: E402

RECORDINGS = sorted(glob.glob(os.path.join(ROOT, "Tests", "HandshakeTests", "Recordings", "*.ntrace")))
# Longer than what the pipelines of others take by default, and with letters of one to four bytes.
LONG = json.dumps({"event": {"dataset": "nattrace.step"}, "rule": {"name": "aé→🦊" * 60_000}}, ensure_ascii=False)
# A rule's text that looks like a line of losses. nattrace escapes it as every JSON writer does.
HOSTILE = json.dumps({"event": {"dataset": "nattrace.step"}, "rule": {"name": '"dataset":"nattrace.loss"'}},
                     separators=(",", ":"))
# With little room a flood costs observations. Few lines are told of it but those of the losses themselves.
TIGHT = ("--buffer", "64k", "--max-connections", "1024", "--verdict", "established")


def replayed(program):
    """The lines of all recordings."""
    return b"".join(subprocess.run([program, "replay", "--json", path], stdout=subprocess.PIPE,
                                   stderr=subprocess.DEVNULL, check=True).stdout for path in RECORDINGS)


def difference(expected, came):
    """None, or the first line that differs. Both are bytes of whole lines."""
    if expected == came:
        return None
    one, two = expected.split(b"\n"), came.split(b"\n")
    for number, (before, after) in enumerate(zip(one, two), 1):
        if before != after:
            at = next((index for index, (a, b) in enumerate(zip(before, after)) if a != b),
                      min(len(before), len(after)))
            return (f"line {number} of {len(one) - 1} differs from byte {at} on: {before[at:at + 80]!r} "
                    f"({len(before)} bytes) came as {after[at:at + 80]!r} ({len(after)} bytes)")
    return f"{len(one) - 1} lines were written, {len(two) - 1} came"


def parsed(data):
    return [json.loads(line) for line in data.splitlines()]


def losses(lines):
    return [line for line in lines if dataset(line) == "nattrace.loss"]


class Live:
    """A client and a server in namespaces of their own, and nattrace, whose output goes to `stdout`."""

    PORT = 20400
    ELEMENTS = 6000

    def __init__(self, program, temporary):
        self.path, self.temporary, self.pace = program, temporary, pace.Pace()
        self.spaces = topology.Namespaces(f"nt-logs-{os.getpid()}-", self.pace)
        self.program = None

    def __enter__(self):
        try:
            self.net = topology.pair(self.spaces, 4)
        except BaseException:
            self.spaces.remove()
            raise
        return self

    def __exit__(self, *_):
        if self.program:
            self.program.kill()
        self.spaces.remove()

    def start(self, stdout, *arguments):
        self.recording = os.path.join(self.temporary, "recording")
        self.arguments = ["--json", "--netns", self.net.server_ns, "--dport", f"{self.PORT}-{self.PORT + 1}",
                          "--unanswered-after", "500ms", "--record", self.recording, *arguments]
        self.program = Program(self.path, self.arguments, self.pace, stdout=stdout)
        if not self.program.wait(lambda: "tracing" in self.program.words, READY):
            raise RuntimeError(f"nattrace was not ready in time: {self.program.words}")

    def refused(self, number=1):
        """So many connections to a port on which nobody listens."""
        for begin in range(0, number, 20):
            self._dial(self.PORT, min(20, number - begin))

    def dropped_by_long_rule(self):
        """One connection that a rule drops whose text has thousands of addresses, and other letters."""
        others = (f"198.{18 + index // 20000}.{index // 100 % 200}.{index % 100 * 2 + 1}"
                  for index in range(self.ELEMENTS))
        rule = f"ip saddr {{ {', '.join([self.net.client, *others])} }} tcp dport {self.PORT + 1} drop comment \"né→🦊\""
        topology.inside(self.net.server_ns, ["nft", "-f", "-"],
                        f"table ip long {{ chain input {{ type filter hook input priority 0; {rule}; }}; }}")
        self._dial(self.PORT + 1, 1)
        # The verdict comes after --unanswered-after, or at once where the rule was seen.
        self.program.settle(2)

    def flood(self):
        mac = json.loads(topology.command(["ip", "-n", self.net.server_ns, "-j", "link", "show", "eth0"]))[0]["address"]
        sender = flood.Flood(self.net, 4, self.PORT, mac, self.pace)
        try:
            sender.wait_ready()
            sender.wait_sent()
        finally:
            sender.stop()

    def _dial(self, port, number):
        clients = client.Clients([client.Dial(self.net.client_ns, self.net.server, port, patience=1)
                                  for _ in range(number)], self.pace)
        try:
            clients.wait_ended()
        finally:
            clients.stop()

    def stop(self):
        """Ends it as systemd does, and returns its status."""
        return self.program.stop(signal.SIGTERM)

    def replayed(self):
        """What its recording tells: all that it has to say, whoever read its output."""
        done = subprocess.run([self.path, "replay", self.recording, "--json", *replay.repeated(self.arguments)],
                              stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, check=True)
        return done.stdout

    def missing(self, came):
        """None, or what is wrong with the lines that came in comparison with the recording; no line was left out."""
        one, two = self.replayed().splitlines(keepends=True), came.splitlines(keepends=True)
        if not two:
            return f"nothing came; nattrace said {self.program.words}"
        datasets = [dataset(json.loads(line)) for line in (two[0], two[-1])]
        if datasets != ["nattrace.start", "nattrace.stop"]:
            return f"not from start to stop, but {datasets}"
        return difference(b"".join(one[1:-1]), b"".join(two[1:-1]))


def left_out(live, came):
    """None, or why lines that came and lines that were counted as left out are not what the recording has."""
    lines, whole = parsed(came), parsed(live.replayed())
    number = sum(get(line, "nattrace.lost.events") for line in losses(lines)
                 if get(line, "nattrace.lost.reason") == "output not read")
    told = [line for line in lines if dataset(line) in ("nattrace.step", "nattrace.verdict")]
    all_told = [line for line in whole if dataset(line) in ("nattrace.step", "nattrace.verdict")]
    if not number:
        return "no line was left out: the reader was not slow enough to show anything"
    if len(told) + number != len(all_told):
        return f"{len(told)} lines came and {number} were counted as left out, of {len(all_told)}"
    rest = iter(all_told)
    return None if all(any(line == other for other in rest) for line in told) else "lines came that were not told"


def settle(seconds=0.3):
    time.sleep(seconds)
