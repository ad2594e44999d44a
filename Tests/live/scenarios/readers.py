"""Readers of the output that are slow, stopped or gone, and disks that are full: tracing goes on, or ends as documented,
and what was lost is told."""

import fcntl
import json
import os
import pty
import re
import select
import signal
import subprocess
import termios
import time

from harness.client import Dial
from harness.lines import dataset, get
from harness.scenario import program_test

CANNOT_WRITE, DAMAGED = 74, 65
MANY = 80            # refused connections, which make more lines than the smallest backlog and a pipe hold
NOT_READ = "standard output was not read"


class Reader:
    """The reading end of the program's output, which reads when it is told to."""

    def __init__(self, descriptor, pace):
        self.descriptor, self._pace, self.data, self.ended = descriptor, pace, b"", False

    def read(self, enough, factor):
        """Until enough() holds, or nothing more can come, or the time is over."""
        deadline = self._pace.deadline(factor)
        while not enough() and not self.ended and time.monotonic() < deadline:
            if select.select([self.descriptor], [], [], 0.1)[0]:
                try:
                    data = os.read(self.descriptor, 65536)
                except OSError:  # a terminal whose other side is closed
                    data = b""
                self.data, self.ended = self.data + data, not data
        return enough()

    def lines(self):
        """Parsed, but for what comes after the last line's end; a line that is torn is an exception."""
        return [json.loads(line) for line in self.data.split(b"\n")[:-1]]

    def close(self):
        os.close(self.descriptor)


def small_pipe(s):
    """(reader, writer) of a pipe that holds one page."""
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)
    return Reader(reader, s.pace), writer


def terminal(s):
    """(reader, other side) of a terminal."""
    reader, other = pty.openpty()
    return Reader(reader, s.pace), other


def start(s, other, *arguments, **options):
    """The program, with its output to `other`, once it traces."""
    program = s.start("--dport", s.port, *arguments, ready=False, stdout=other, **options)
    os.close(other)
    s.check(program.wait(lambda: "tracing" in program.words, 30), f"not ready in time; status {program.status}")
    return program


def dial_many(s, net, number=MANY):
    """All of them are refused; not all at once, since a socket's own queues are not what this is about."""
    for begin in range(0, number, 20):
        s.dial(*(Dial(net.client_ns, net.server, s.port) for _ in range(min(20, number - begin))))


def recorded(s, path, status=0):
    """The lines of a replay."""
    replay = s.run("replay", path, "--json")
    s.check(replay.status == status, f"the replay ended with {replay.status}, expected {status}: {replay.words.strip()}")
    return replay.lines


def told(lines):
    return [line for line in lines if dataset(line) in ("nattrace.step", "nattrace.verdict")]


def verdicts(lines):
    return [line for line in lines if dataset(line) == "nattrace.verdict"]


def ended_in_time(s, program, since, factor):
    """What it says at its end has been read; returns its status."""
    status = program.wait_end(factor)
    seconds = time.monotonic() - since
    s.check(status is not None and seconds < s.pace.seconds(factor), f"it ended after {seconds:.1f} s with {status}")
    return status


def errors(program):
    return [line for line in program.words.splitlines() if NOT_READ in line]


@program_test(vm=True)
def reader_stops_and_goes_on(s):
    """Lines that were read and lines that were counted as left out are all that the recording has; verdicts go last."""
    net, recording = s.pair(), s.file("recording")
    reader, writer = small_pipe(s)
    program = start(s, writer, "--json", "--output-backlog", "64k", "--record", recording)
    dial_many(s, net)
    program.settle(1)
    s.check(program.status is None, "it ended although nobody told it to")
    reader.read(lambda: b'"output not read"' in reader.data, 20)
    s.dial(Dial(net.client_ns, net.server, s.port))
    reader.read(lambda: reader.data.count(b'"nattrace.verdict"') > 1 and b'"output not read"' in reader.data, 10)
    program.settle(1)
    program.send(signal.SIGINT)
    reader.read(lambda: False, 15)
    status = program.wait_end()
    s.check(status == 0, f"status {status}, expected 0")
    reader.close()
    lines = reader.lines()
    s.check(reader.data.endswith(b"\n"), "the output ends within a line")
    s.check([dataset(lines[0]), dataset(lines[-1])] == ["nattrace.start", "nattrace.stop"], "not from start to stop")
    losses = [line for line in lines if dataset(line) == "nattrace.loss"]
    s.check({get(line, "nattrace.lost.reason") for line in losses} == {"output not read"}, f"losses {losses}")
    left_out = sum(get(line, "nattrace.lost.events") for line in losses)
    whole = recorded(s, recording)
    s.check(left_out > 0 and len(told(lines)) + left_out == len(told(whole)),
            f"{len(told(lines))} lines read and {left_out} left out, of {len(told(whole))}")
    s.check(get(lines[-1], "nattrace.lost.total") == left_out, f"the stop line says {lines[-1]}")
    s.check(get(lines[-1], "nattrace.verdicts") == {"no_listener": MANY + 1}, f"the stop line says {lines[-1]}")
    s.check(len(verdicts(whole)) == MANY + 1, f"{len(verdicts(whole))} verdicts in the recording")
    s.check(f"{left_out} lines of standard output left out" in program.words, f"stderr does not say so: {program.words}")


@program_test(variants={"sigterm": 1, "sigterm-twice": 2}, vm=("sigterm",))
def reader_never_reads(s):
    """It ends all the same, at once with a second signal; says how much was left out, and the recording has all."""
    net, recording = s.pair(), s.file("recording")
    reader, writer = small_pipe(s)
    program = start(s, writer, "--json", "--output-backlog", "64k", "--record", recording)
    dial_many(s, net)
    program.settle(1)
    since = time.monotonic()
    for _ in range(s.variant):
        program.send(signal.SIGTERM)
        program.wait(lambda: "connections:" in program.words, 5)
    status = ended_in_time(s, program, since, 6)
    seconds = time.monotonic() - since
    s.check((seconds >= 2) == (s.variant == 1), f"it tried for {seconds:.1f} s, expected {'2' if s.variant == 1 else 'none'}")
    s.check(status == CANNOT_WRITE, f"status {status}, expected {CANNOT_WRITE}")
    whole = recorded(s, recording)
    reader.read(lambda: False, 2)
    reader.close()
    number = len(whole) - len(reader.lines())
    said = errors(program)
    found = re.search(r"(\d+) lines of it left out", said[0]) if len(said) == 1 else None
    # The reports of what was left out are lines too, which the recording does not have.
    s.check(found and number <= int(found.group(1)) <= number + 5, f"{number} lines are missing, stderr says {said}")
    s.check(program.words.splitlines()[-1:] == said, f"that is not the last line: {program.words}")
    s.check(len(verdicts(whole)) == MANY, f"{len(verdicts(whole))} verdicts in the recording")


@program_test(vm=True)
def terminal_is_stopped_and_goes_on(s):
    """Ctrl-S, some connections, Ctrl-Q: what happened meanwhile is shown, and stdout is not made non-blocking."""
    net = s.pair()
    reader, other = terminal(s)
    shared = os.dup(other)
    program = start(s, other)
    flags = fcntl.fcntl(shared, fcntl.F_GETFL)
    s.check(not flags & os.O_NONBLOCK, "it made the terminal of others non-blocking")
    os.write(reader.descriptor, b"\x13")
    s.dial(*(Dial(net.client_ns, net.server, s.port) for _ in range(2)))
    program.settle(1)
    reader.read(lambda: False, 1)
    s.check(b"no_listener" not in reader.data, "the terminal was not stopped")
    os.write(reader.descriptor, b"\x11")
    reader.read(lambda: reader.data.count(b"no_listener") == 2, 10)
    s.check(reader.data.count(b"no_listener") == 2, f"it shows {reader.data.decode()}")
    status = program.stop()
    s.check(status == 0, f"status {status}, expected 0")
    os.close(shared)
    reader.close()


@program_test(variants={"sigint": signal.SIGINT, "sigterm": signal.SIGTERM}, vm=("sigint",))
def terminal_stays_stopped(s):
    """Both outputs to a terminal that is stopped: signals are heard, and the recording has all."""
    net, recording = s.pair(), s.file("recording")
    reader, other = terminal(s)
    program = s.start("--dport", s.port, "--record", recording, ready=False, stdout=other,
                      wrapper=("sh", "-c", 'exec "$0" "$@" 2>&1'))
    s.check(reader.read(lambda: b"tracing" in reader.data, 30), f"not ready in time; status {program.status}")
    termios.tcflow(other, termios.TCOOFF)
    s.dial(Dial(net.client_ns, net.server, s.port))
    program.settle(1)
    since = time.monotonic()
    program.send(s.variant)
    status = None
    while status is None and time.monotonic() < since + s.pace.seconds(8):
        time.sleep(0.05)
        status = program.status
    s.check(status == CANNOT_WRITE, f"status {status}, expected {CANNOT_WRITE}, after {time.monotonic() - since:.1f} s")
    termios.tcflow(other, termios.TCOON)
    os.close(other)
    reader.close()
    s.check(len(verdicts(recorded(s, recording))) == 1, "the recording does not have the verdict")


@program_test(variants={"record": ("record", "64k"), "json": ("json", "256k")}, vm=("record",))
def disk_gets_full(s):
    """While it traces: the end with one line, and what was written until then is good."""
    net, folder, (which, size) = s.pair(), s.file("disk"), s.variant
    os.mkdir(folder)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    try:
        full, other = os.path.join(folder, "file"), s.file("other")
        paths = {"record": full, "json": other} if which == "record" else {"record": other, "json": full}
        with open(paths["json"], "wb") as file:
            program = s.start("--json", "--dport", s.port, "--record", paths["record"], stdout=file, ready=False)
        s.check(program.wait(lambda: "tracing" in program.words, 30), "not ready in time")
        s.dial(Dial(net.client_ns, net.server, s.port))
        program.settle(0.4)  # the first verdict, before the disk is full
        dial_many(s, net)
        status = program.wait_end()
        s.check(status == CANNOT_WRITE, f"status {status}, expected {CANNOT_WRITE} by itself")
        said = [line for line in program.words.splitlines() if "cannot write" in line]
        named = full if which == "record" else "standard output"
        s.check(len(said) == 1 and named in said[0] and "No space left" in said[0], f"stderr says {program.words}")
        s.check(program.words.splitlines()[-1:] == said, f"that is not the last line: {program.words}")
        with open(paths["json"], "rb") as file:
            shown = [json.loads(line) for line in file.read().split(b"\n")[:-1]]
        replayed = recorded(s, paths["record"], DAMAGED if which == "record" else 0)
        for what, lines in (("the output", shown), ("the recording", replayed)):
            s.check(0 < len(verdicts(lines)) <= MANY + 1, f"{what} has {len(verdicts(lines))} verdicts")
        s.check(dataset((replayed if which == "json" else shown)[-1]) == "nattrace.stop", "the other is not whole")
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


@program_test(variants={"limited": (), "all": ("--blocks-per-second", 0)}, vm=("limited",))
def hundreds_refused_on_a_terminal(s):
    """Some are shown, the others counted by what they have in common; with 0 all are shown."""
    net, number = s.pair(), 300
    program = s.start("--dport", s.port, *s.variant)
    begin = time.monotonic()
    s.dial(*(Dial(net.client_ns, net.server, s.port) for _ in range(number)))
    seconds = time.monotonic() - begin
    program.settle(2)
    s.check(program.stop() == 0, f"status {program.status}")
    text = program.stdout.decode()
    shown = len(re.findall(r"no_listener (?: after|again,) ", text)) if not s.variant else text.count("no_listener  after ")
    folded = re.findall(rf"(\d+) more like this in the last second: no_listener {re.escape(net.server)}", text)
    if s.variant:
        s.check(shown == number and not folded, f"{shown} of {number} are shown, {folded} folded")
        return
    s.check(3 <= shown <= 3 * (seconds + 3), f"{shown} blocks in {seconds:.1f} s")
    s.check(shown + sum(map(int, folded)) == number, f"{shown} blocks and {folded} more, of {number}")
    s.check(f"{number} connections: {number} no_listener" in program.words, f"the summary: {program.words}")
