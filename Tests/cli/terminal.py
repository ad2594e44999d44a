"""A shell in a terminal of its own: types as a person would, and reads what the shell made of it."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import termios
import time

# Seconds. Shells answer within some milliseconds, on a machine that has nothing else to do.
PATIENCE = 90
# What the shell shows of its line when it is asked for it, by Control-T.
SHOWN = r"<<<(.*?)>>>"


class Terminal:
    """A shell, with a wide window, so that no line is broken."""

    def __init__(self, words, environment, folder, setup):
        self.pid, self.descriptor = pty.fork()
        if self.pid == 0:
            try:
                os.chdir(folder)
                os.execvpe(words[0], words, environment)
            finally:
                os._exit(127)
        fcntl.ioctl(self.descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 60, 400, 0, 0))
        self.output = ""
        # Set up from a file: what is typed before the shell listens may be lost.
        self.type(f". {setup}\r")
        try:
            self.until(r"^READY\r?$")
        except TimeoutError:
            self.close()
            raise

    def type(self, text):
        os.write(self.descriptor, text.encode())

    def until(self, pattern):
        """What was written up to a pattern, which is taken away."""
        end = time.monotonic() + PATIENCE
        while not (found := re.search(pattern, self.output, re.M | re.S)):
            left = end - time.monotonic()
            if left <= 0 or not select.select([self.descriptor], [], [], left)[0]:
                raise TimeoutError(f"no {pattern!r} came: {self.output[-400:]!r}")
            try:
                self.output += os.read(self.descriptor, 65536).decode(errors="replace")
            except OSError as error:
                raise TimeoutError(f"the shell ended: {self.output[-400:]!r}") from error
        self.output = self.output[found.end():]
        return found

    def line(self, typed, keys="\t"):
        """The line after it was typed, with the keys that complete it."""
        self.type(typed + keys + "\x14")
        text = self.until(SHOWN)[1]
        # Control-A, Control-K: the line is given up.
        self.type("\x01\x0b")
        return text

    def close(self):
        os.close(self.descriptor)
        os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
