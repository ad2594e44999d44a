"""Child processes of the harness: forked, moved into a network namespace, named, and killed by their own pid.

Forking instead of starting an interpreter keeps a listener or twenty clients cheap in an emulated machine.
The harness has one thread, so forking is safe.
"""

import ctypes
import gc
import json
import os
import select
import signal
import time

CLONE_NEWNET = 0x40000000
PR_SET_PDEATHSIG = 1
PR_SET_NAME = 15

_libc = ctypes.CDLL(None, use_errno=True)


def enter_netns(name):
    """Moves the calling process into the named network namespace."""
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(fd, CLONE_NEWNET) != 0:
            code = ctypes.get_errno()
            raise OSError(code, f"setns {name}: {os.strerror(code)}")
    finally:
        os.close(fd)


def set_name(name):
    """Sets the process name (comm), as /proc/PID/comm and nattrace show it; the kernel keeps 15 bytes."""
    _libc.prctl(PR_SET_NAME, name.encode()[:15], 0, 0, 0)


class Child:
    """A running child, with the JSON messages that it sends."""

    def __init__(self, pid, reader):
        self.pid, self._reader = pid, reader
        self._buffer, self._open, self._status = b"", True, None

    def messages(self, deadline):
        """Yields messages until the child closes its end or the deadline has passed."""
        while True:
            while b"\n" in self._buffer:
                line, self._buffer = self._buffer.split(b"\n", 1)
                yield json.loads(line)
            if not self._open:
                return
            ready, _, _ = select.select([self._reader], [], [], max(0, deadline - time.monotonic()))
            if not ready:
                return
            data = os.read(self._reader, 65536)
            self._buffer += data
            self._open = bool(data)

    def stop(self):
        """Kills the child if it still runs. Its pid cannot be another's: it is not reaped before."""
        if self._status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._status = os.waitpid(self.pid, 0)[1]
            os.close(self._reader)


def spawn(work, netns=None, name=None, outlive=False):
    """Forks a child that runs work(say), where say(dict) sends a message to the harness."""
    reader, writer = os.pipe()
    pid = os.fork()
    if pid:
        os.close(writer)
        return Child(pid, reader)
    status = 1
    # What is garbage of the harness may own a descriptor's number: collected here, it would close what has it by now.
    gc.disable()
    try:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN if outlive else signal.SIG_DFL)
        os.closerange(3, writer)
        os.closerange(writer + 1, 4096)
        if not outlive:
            _libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        if netns:
            enter_netns(netns)
        if name:
            set_name(name)

        def say(message):
            os.write(writer, json.dumps(message).encode() + b"\n")

        try:
            work(say)
            status = 0
        except Exception as error:  # the harness turns it into an exception of its own
            say({"error": f"{type(error).__name__}: {error}"})
    finally:
        os._exit(status)


def run_in(netns, work, deadline):
    """Runs work() in the namespace and returns what it returned (which must be JSON)."""
    child = spawn(lambda say: say({"result": work()}), netns=netns)
    try:
        for message in child.messages(deadline):
            if "error" in message:
                raise RuntimeError(message["error"])
            return message["result"]
        raise TimeoutError(f"nothing came back from the namespace {netns}")
    finally:
        child.stop()
