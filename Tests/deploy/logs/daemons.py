"""The programs that lines go through: started by hand, as no systemd may run here, and stopped by their own pid."""

import os
import socket
import subprocess
import tempfile
import time

UNIT = ("-u", "nattrace.service")
PATIENCE = 60  # seconds; far more than any of this takes


def wait_until(condition, seconds=PATIENCE):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True


def whole_lines(path):
    try:
        with open(path, "rb") as file:
            return file.read().count(b"\n")
    except FileNotFoundError:
        return 0


class Daemon:
    """One process, as a context: it has ended when the context has."""

    def __init__(self, words, is_ready):
        # A file: nobody would read a pipe while it runs.
        self.words = tempfile.TemporaryFile()
        self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=self.words)
        if not wait_until(lambda: is_ready() or self.process.poll() is not None) or self.process.poll() is not None:
            self.process.kill()
            self.process.wait()
            raise RuntimeError(f"{words[0]} did not start: {self.said()}")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if (status := self.process.poll()) is not None:
            raise RuntimeError(f"{self.process.args[0]} ended by itself with {status}: {self.said()}")
        self.stop()

    def said(self):
        self.words.seek(0)
        return self.words.read().decode(errors="replace")[-2000:]

    def send(self, number):
        self.process.send_signal(number)

    def stop(self):
        if self.process.poll() is None:
            self.process.terminate()
        try:
            self.process.wait(PATIENCE)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise RuntimeError("a daemon did not end") from None
        finally:
            self.words.close()


class Rsyslog(Daemon):
    """rsyslogd with /etc/rsyslog.conf, or with another main file."""

    def __init__(self, wait_for, config="/etc/rsyslog.conf", pid="/run/rsyslogd.pid"):
        super().__init__(["rsyslogd", "-n", "-f", config, "-i", pid],
                         lambda: os.path.exists(pid) and wait_for(self.process.pid))


def listens_on(path):
    """Whether somebody takes connections on a socket: one that was left behind takes none."""
    def ask(_):
        try:
            connect(path).close()
            return True
        except OSError:
            return False
    return ask


def listens_on_port(port):
    def ask(_):
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) == 0
    return ask


def connect(path):
    """What systemd does for StandardOutput=file:SOCKET."""
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        stream.connect(path)
    except OSError:
        stream.close()
        raise
    return stream


class Journal(Daemon):
    """systemd-journald for a namespace of its own, or the machine's with namespace ''."""

    def __init__(self, namespace="nattrace"):
        self.namespace = namespace
        self.folder = "/run/systemd/journal" + (f".{namespace}" if namespace else "")
        os.makedirs(self.folder, exist_ok=True)
        # Where systemd's own services have said that /var is there, the journal is kept in it.
        os.makedirs("/var/log/journal", exist_ok=True)
        open(f"{self.folder}/flushed", "w").close()
        super().__init__(["/lib/systemd/systemd-journald", *([namespace] if namespace else [])],
                         lambda: os.path.exists(f"{self.folder}/stdout"))

    def connect(self, unit="nattrace.service"):
        """What systemd does for StandardOutput=journal: a stream that begins with what it is (sd-daemon's protocol):
        identifier, unit, priority, whether lines begin with a priority, and where else they go."""
        stream = connect(f"{self.folder}/stdout")
        stream.sendall(f"nattrace\n{unit}\n{6}\n{1}\n{0}\n{0}\n{0}\n".encode())
        return stream

    def read(self, *arguments):
        """What journalctl says."""
        return subprocess.run(["journalctl", *([f"--namespace={self.namespace}"] if self.namespace else []), "--quiet",
                               *arguments], stdout=subprocess.PIPE, check=True).stdout

    def lines(self, last=None):
        """What the service wrote; without the unit journald's own words come with it."""
        return self.read(*UNIT, "-o", "cat", *([f"--lines={last}"] if last else []))
