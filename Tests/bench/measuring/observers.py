"""Whoever looks on while traffic runs: nattrace, and programs from Debian's packages that do the nearest same."""

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

from . import processes
from .load import CLOSED, PORT
from .machine import BUILT

HERE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
PATIENCE = 400  # seconds: under emulation everything is slow


LOST = re.compile(r"Lost (\d+) events")


class NotReady(Exception):
    """An observer did not start."""


class Observer:
    """One run of a program: ready when the block is entered, gone when it is left. What it prints goes to a file."""

    def __init__(self, words, ready, stdout=None):
        """ready(out, err): whether what it printed by now says so."""
        self.words, self._ready = words, ready
        self._folder = self._idle = None
        self._stdout = stdout

    def __enter__(self):
        self._folder = tempfile.TemporaryDirectory(prefix="nt-bench-")
        self.out, self.err = (os.path.join(self._folder.name, name) for name in ("out", "err"))
        with open(self.out, "wb") as out, open(self.err, "wb") as err:
            self.process = subprocess.Popen(self.words, stdin=subprocess.DEVNULL, stderr=err,
                                            stdout=self._stdout if self._stdout is not None else out)
        self.pid = self.process.pid
        deadline = time.monotonic() + PATIENCE
        while not self._ready(self.read(self.out), self.read(self.err)):
            if self.process.poll() is not None or time.monotonic() > deadline:
                said = (self.read(self.err) or self.read(self.out))[-400:]
                self.__exit__()
                raise NotReady(f"{self.words[0]} was not ready: {said.strip()}")
            time.sleep(0.01)
        return self

    def __exit__(self, *_):
        self.stop()
        self._folder.cleanup()

    def stop(self):
        """Asks it to end, and waits; its output can be read until the block is left."""
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
            try:
                self.process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()

    @staticmethod
    def read(path, most=65536):
        try:
            with open(path, errors="replace") as file:
                return file.read(most)
        except OSError:
            return ""

    @property
    def seconds(self):
        return processes.seconds_of(self.pid)

    @contextlib.contextmanager
    def halted(self):
        """It stands still meanwhile, and what it should work out waits in its buffers."""
        os.kill(self.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.pid, signal.SIGCONT)

    def seconds_once_idle(self):
        """Its processor time when it has worked off what it had to do. Some are never quite idle: that is
        looked at once, before there is anything to do."""
        if self._idle is None:
            before, begun = self.seconds, time.monotonic()
            time.sleep(0.5)
            self._idle = max(0.08, 1.5 * (self.seconds - before) / (time.monotonic() - begun))
        return processes.seconds_once_idle(self.pid, idle=self._idle)

    def account(self):
        """How many events it says that it told, and how many it lost; once it has stopped."""
        return 0, 0

    def last_line(self):
        """The last of the JSON lines that were printed."""
        with open(self.out, "rb") as file:
            file.seek(max(0, os.path.getsize(self.out) - 65536))
            lines = file.read().splitlines()
        return json.loads(lines[-1])


class Nattrace(Observer):
    """Prints JSON lines to a file. `ports` are those that the filter matches."""

    def __init__(self, program, ports, backend=None, more=(), stdout=None):
        words = [program, "--json", *(word for port in ports for word in ("--dport", str(port)))]
        words += ["--backend", backend] if backend else []
        # The line on stderr comes last: then everything is attached, and the start line is out.
        super().__init__([*words, *more], lambda _, err: "tracing" in err, stdout)

    @classmethod
    def matching(cls, program, backend=None, **options):
        return cls(program, (PORT, CLOSED), backend, **options)

    @classmethod
    def of_another_port(cls, program, backend=None):
        return cls(program, (1,), backend)

    def account(self):
        told = self.last_line()["nattrace"]
        return told["events"], told["lost"]["total"]


class Bpftrace(Observer):
    """../peers/*.bt: prints the same facts of the same functions, by the same filter."""

    def __init__(self, functions):
        text = "".join(self.read(os.path.join(HERE, "peers", name)) for name in
                       ["handshake.bt", *(["functions.bt"] if functions else [])])
        # The command of -c runs once all is attached, and bpftrace ends with it.
        marker = tempfile.NamedTemporaryFile("w", prefix="nt-bench-ready-", suffix=".txt")
        marker.write("all attached\n")
        marker.flush()
        self._marker = marker
        # Buffers as large as nattrace's, and larger: it loses nothing that nattrace does not.
        words = ["env", "BPFTRACE_PERF_RB_PAGES=4096", "bpftrace", "-c",
                 f"{shutil.which('tail')} -f {marker.name}", "-e", text, str(PORT), str(CLOSED)]
        if not os.path.exists("/sys/kernel/tracing/events"):
            # It looks tracepoints up in tracefs: mounted for it alone where the machine has not.
            words = ["unshare", "--mount", "sh", "-c", 'mount -t debugfs debugfs /sys/kernel/debug && '
                     'mount -t tracefs tracefs /sys/kernel/tracing && exec "$@"', "sh", *words]
        super().__init__(words, lambda out, _: "all attached" in out)

    def account(self):
        told = lost = 0
        for path in (self.out, self.err):
            with open(path, errors="replace") as file:
                for line in file:
                    if found := LOST.match(line):
                        lost += int(found[1])
                    else:
                        told += line[:1].isdigit()  # each begins with its time
        return told, lost


# SYN, SYN-ACK and RST of the ports: the nearest to a handshake that a filter of packets can say.
HANDSHAKES = f"(tcp port {PORT} or tcp port {CLOSED}) and tcp[tcpflags] & (tcp-syn|tcp-rst) != 0"


class Tcpdump(Observer):
    """Packets of handshakes to a file, on all devices of the namespace."""

    def __init__(self, place):
        self._file = tempfile.NamedTemporaryFile(prefix="nt-bench-", suffix=".pcap")
        super().__init__(place.enter(["tcpdump", "-Z", "root", "-i", "any", "-s", "128", "-w", self._file.name,
                                      HANDSHAKES]), lambda _, err: "listening on" in err)


class Pwru(Observer):
    """The same packets at the functions that nattrace hooks, as far as they have a packet among their arguments."""

    FUNCTIONS = ("__netif_receive_skb_core", "dev_hard_start_xmit", "nf_conntrack_in", "nf_nat_manip_pkt", "tcp_v4_rcv",
                 "tcp_v4_send_reset", "tcp_check_req", "nf_send_reset", "kfree_skb_reason")
    PROGRAM = shutil.which("pwru") or os.path.join(BUILT, "pwru", "usr", "bin", "pwru")

    def __init__(self):
        super().__init__([self.PROGRAM, "--filter-func", f"^({'|'.join(self.FUNCTIONS)})$", "--output-tuple",
                          "--output-meta", "--timestamp", "absolute", HANDSHAKES],
                         lambda _, err: "Listening for events" in err)


class Conntrack(Observer):
    """Events of the table of one namespace."""

    def __init__(self, place):
        begun = time.monotonic()
        super().__init__(place.enter(["conntrack", "-E", "-p", "tcp", "-o", "timestamp"]),
                         # It says nothing when it is ready.
                         lambda *_: time.monotonic() > begun + 1)
