"""What passes on a terminal: the status line, the table of --summary, repeated failures, progress. All of it is taken away
before anything else is written, nothing of it is left, and where there is no terminal there is nothing of it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import termios
import time

from harness.client import Dial
from harness.flood import Flood
from harness.scenario import program_test
from harness.screen import Screen

STATUS = "in flight"
BOTH = 'exec "$0" "$@" 2>&1'
# The terminal as most have it, whatever the tests run in.
SETTINGS = "TERM=xterm-256color; LC_ALL=C.UTF-8; export TERM LC_ALL; unset NO_COLOR; "


class Terminal:
    """A pseudo terminal, and a screen that shows what is written to it."""

    def __init__(self, s, rows, columns):
        self._s = s
        self._reader, self.other = pty.openpty()
        self.screen = Screen(rows, columns)
        self.data = b""
        self._tell_size()

    def _tell_size(self):
        size = struct.pack("HHHH", self.screen.rows, self.screen.columns, 0, 0)
        fcntl.ioctl(self.other, termios.TIOCSWINSZ, size)

    def start(self, *arguments, redirection=BOTH, **options):
        """The program, with what the redirection says on this terminal, once it traces."""
        program = self._s.start(*arguments, ready=False, stdout=self.other,
                                wrapper=("sh", "-c", SETTINGS + redirection), **options)
        return program

    def resize(self, program, rows, columns):
        """The terminal breaks its rows anew, and a while later the program hears of it, as it is in tmux: it draws its
        rows in between, for the old size."""
        self.read()
        self.screen.resize(rows, columns)
        self.read(factor=1.2)
        self._tell_size()
        program.send(signal.SIGWINCH)

    def read(self, enough=lambda: False, factor=0.0):
        """What can be read now, and on until enough() holds or the time is over."""
        deadline = self._s.pace.deadline(factor)
        while True:
            while select.select([self._reader], [], [], 0)[0]:
                try:
                    data = os.read(self._reader, 65536)
                except OSError:
                    return enough()
                self.data += data
                self.screen.feed(data)
            if enough() or time.monotonic() >= deadline:
                return enough()
            select.select([self._reader], [], [], 0.1)

    def wait(self, text, factor=10):
        """Until a row of the window has it."""
        held = self.read(lambda: any(text in row for row in self.screen.window), factor)
        self._s.check(held, f"the window does not show {text!r}:\n" + "\n".join(self.screen.window))
        return held

    def end(self, program, number=signal.SIGINT):
        program.send(number)
        status = None
        deadline = self._s.pace.deadline(15)
        while status is None and time.monotonic() < deadline:
            self.read(factor=0.1)
            status = program.status
        self.read(factor=0.2)
        self._s.check(status == 0, f"status {status}, expected 0")
        self._s.check(not self.screen.unknown, f"sequences that not every terminal knows: {self.screen.unknown}")
        left = [row for row in self.screen.history if STATUS in row]
        self._s.check(not left, f"the status line is left: {left}")

    def close(self):
        os.close(self._reader)
        os.close(self.other)


def dial(s, net, *ports):
    """One after the other, so that each verdict comes by itself."""
    for port in ports:
        s.dial(Dial(net.client_ns, net.server, port))


def contains_in_order(rows, wanted):
    """The first of the wanted rows that does not come, in their order; None: all do."""
    rows = iter(rows)
    return next((row for row in wanted if row not in rows), None)


@program_test(vm=True)
def blocks_and_the_status_line_share_a_terminal(s):
    """Every block is whole, whatever was drawn in between; a window that gets narrower and wider leaves no debris."""
    net, recording = s.pair(), s.file("recording")
    terminal = Terminal(s, 30, 80)
    program = terminal.start("--dport", f"{s.port}-{s.port + 1}", "--record", recording)
    terminal.wait("tracing on kernel", 30)
    terminal.wait(STATUS)
    dial(s, net, s.port)
    terminal.wait("1 of 1 failed")
    dial(s, net, s.port, s.port)
    terminal.wait("3 times: ")
    again = [row for row in terminal.screen.window if " again, " in row]
    s.check(len(again) == 1, f"repeated failures take more than a row: {again}")
    dial(s, net, s.port + 1)
    terminal.wait("4 of 4 failed")
    s.check(sum(STATUS in row for row in terminal.screen.history) == 1, "the status line is there more than once:\n"
            + "\n".join(terminal.screen.history))
    s.check(STATUS in [row for row in terminal.screen.window if row][-1], "the status line is not the last row")
    s.check(terminal.screen.cursor[1] == 0, f"the cursor is at {terminal.screen.cursor}")
    for columns in (61, 40, 100, 80):
        terminal.resize(program, 30, columns)
        terminal.read(lambda: False, 1.5)
        left = [row for row in terminal.screen.history if re.match(r"nattrace: \d+:\d\d\b", row)]
        s.check(len(left) == 1, f"after a change to {columns} columns: {left}")
    terminal.end(program)
    replay = s.run("replay", recording, "--color", "never", wrapper=("env", "LC_ALL=C.UTF-8"))
    wanted = [row.rstrip() for row in replay.stdout.decode().splitlines() if "2 times: " not in row]
    s.check(sum("why " in row for row in wanted) == 2 and sum(" again, " in row for row in wanted) == 1,
            "the replay does not show two blocks and a repetition:\n" + "\n".join(wanted))
    missing = contains_in_order(terminal.screen.history, wanted)
    s.check(missing is None, f"not shown as it is: {missing!r}, in\n" + "\n".join(terminal.screen.history))
    s.check(terminal.screen.history[-1].startswith("nattrace: 4 connections: 4 no_listener"),
            f"the last row is {terminal.screen.history[-1]!r}")
    terminal.close()


@program_test(vm=True)
def summary_is_refreshed_in_place(s):
    """One table, whatever came meanwhile; the last one stays, and is whole although the window is low."""
    net = s.pair()
    s.listen(net.server_ns, net.server, s.port + 3, name="app-alive")
    terminal = Terminal(s, 24, 100)
    program = terminal.start("--dport", f"{s.port}-{s.port + 3}", "--summary")
    terminal.wait("no verdict yet", 30)
    for number in (1, 2, 3):
        dial(s, net, s.port, s.port + 3)
        terminal.wait(f"{number} of {2 * number} failed")
        tables = [row for row in terminal.screen.history if "last seen" in row]
        s.check(len(tables) == 1, f"{len(tables)} tables:\n" + "\n".join(terminal.screen.history))
    row = next((row for row in terminal.screen.window if f"{net.server}:{s.port} " in row), "")
    s.check(re.search(r"✗ no_listener .* 3 +\d\d:\d\d:\d\dZ$", row), f"the row is {row!r}")
    terminal.resize(program, 8, 70)
    dial(s, net, s.port, s.port + 1, s.port + 2)
    terminal.wait("6 of 9 failed")
    window = terminal.screen.window
    s.check(len([row for row in window if row]) <= 8, f"higher than the window: {window}")
    terminal.resize(program, 6, 70)
    terminal.wait("not shown")
    terminal.resize(program, 30, 80)
    terminal.read(lambda: False, 1.5)
    terminal.end(program)
    history = terminal.screen.history
    s.check(sum("last seen" in row for row in history) == 1, "not one table is left:\n" + "\n".join(history))
    for port, count in ((s.port, 4), (s.port + 1, 1), (s.port + 2, 1), (s.port + 3, 3)):
        s.check(any(re.search(rf":{port} .* {count} +\S+Z$", row) for row in history), f"port {port} is not counted {count}")
    s.check(not any("not shown" in row for row in history), "the last table is not whole")
    terminal.close()


@program_test(variants={"summary": ("--summary",), "blocks": ()}, vm=True)
def nothing_passes_where_a_pipe_is_read(s):
    """stdout in a pipe: stderr's terminal gets lines only, since the reader may write there too; the table comes at the end."""
    net = s.pair()
    terminal = Terminal(s, 24, 80)
    name = os.ttyname(terminal.other)
    program = s.start("--dport", s.port, *s.variant, ready=False,
                      wrapper=("sh", "-c", SETTINGS + f'exec "$0" "$@" 2>{name}'))
    terminal.wait("tracing on kernel", 30)
    dial(s, net, s.port, s.port)
    program.settle(2)
    s.check((b"no_listener" in program.stdout) == (not s.variant), f"stdout has {program.stdout!r}")
    terminal.read(factor=1)
    # Not by --duration: on a slow machine that would be over before anybody has looked.
    status = program.stop()
    terminal.read(factor=0.2)
    s.check(status == 0, f"status {status}, expected 0")
    s.check(b"no_listener" in program.stdout, f"stdout has {program.stdout!r}")
    for what, data in (("stdout", program.stdout), ("stderr", terminal.data)):
        s.check(b"\x1b" not in data and STATUS.encode() not in data, f"{what} has {data!r}")
    s.check(all(line.startswith(b"nattrace: ") for line in terminal.data.splitlines()), f"stderr has {terminal.data!r}")
    terminal.close()


@program_test(vm=True)
def status_line_beside_a_file(s):
    """stdout in a file: the status line is on stderr's terminal, and nothing of it in the file."""
    net, path = s.pair(), s.file("shown")
    terminal = Terminal(s, 24, 80)
    program = terminal.start("--dport", s.port, "--duration", "10m", redirection=f'exec "$0" "$@" 2>&1 >{path}')
    terminal.wait("left", 30)
    dial(s, net, s.port)
    terminal.wait("1 of 1 failed")
    terminal.end(program, signal.SIGTERM)
    with open(path, "rb") as file:
        shown = file.read()
    s.check(b"no_listener" in shown and b"\x1b" not in shown, f"the file has {shown!r}")
    terminal.close()


@program_test(vm=True)
def plain_terminals_get_lines(s):
    """TERM=dumb: no row is taken back."""
    net = s.pair()
    terminal = Terminal(s, 24, 80)
    program = terminal.start("--dport", s.port, redirection='TERM=dumb exec "$0" "$@" 2>&1')
    terminal.wait("tracing on kernel", 30)
    dial(s, net, s.port, s.port)
    terminal.wait("2 times: ")
    terminal.end(program)
    s.check(b"\x1b" not in terminal.data, f"it has {terminal.data!r}")
    terminal.close()


@program_test()
def progress_of_a_long_replay(s):
    """A replay or a report that is given the most of its recording late, by a pipe, says what it does; nothing is left of that."""
    net, recording = s.pair(), s.file("recording")
    program = s.start("--dport", s.port, "--record", recording, "--json")
    flood = Flood(net, 4, s.port, s.mac(net.server_ns, "eth0"), s.pace)
    flood.wait_ready()
    flood.wait_sent()
    program.settle(2)
    program.stop()
    flood.stop()
    first = os.path.getsize(recording) // 20
    for command, *options in (("replay", "--blocks-per-second", "0", "--count", "1000"),
                              ("report", "-o", s.file("page.html"))):
        terminal, pipe = Terminal(s, 24, 80), s.file(f"pipe-{command}")
        os.mkfifo(pipe)
        reading = terminal.start(command, pipe, *options)
        feeding = subprocess.Popen(["sh", "-c", 'head -c "$2" "$1"; sleep 1.5; tail -c "+$(($2 + 1))" "$1"', "sh",
                                    recording, str(first)], stdout=open(pipe, "wb"), stderr=subprocess.DEVNULL)
        terminal.read(lambda: reading.status is not None, 60)
        terminal.read(factor=0.2)
        feeding.wait()
        s.check(re.search(rb"nattrace: reading \S*pipe", terminal.data), f"{command} shows no progress")
        s.check(reading.status == 0, f"status {reading.status} of {command}")
        s.check(not any("reading " in row or "writing " in row for row in terminal.screen.history),
                f"progress of {command} is left")
        if command == "replay":
            shown = sum("no_listener  after " in row for row in terminal.screen.history)
            s.check(shown == 1000, f"{shown} blocks, expected 1000")
        terminal.close()
