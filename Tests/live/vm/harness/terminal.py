"""The user's terminal while a shell in the machine has it."""

import fcntl
import os
import signal
import struct
import sys
import termios
import tty

from .tools import VMError

# As in telnet: the way out of a machine that no longer answers.
ESCAPE = b"\x1d"


class Terminal:
    """Use it in a `with`: afterwards the terminal is as it was before."""

    keyboard = sys.stdin

    def __init__(self):
        if not (os.isatty(0) and os.isatty(1)):
            raise VMError("`vm shell` wants a terminal; for a command use `vm run`")

    def __enter__(self):
        self.before = termios.tcgetattr(0)
        tty.setraw(0)
        return self

    def __exit__(self, *_):
        signal.signal(signal.SIGWINCH, signal.SIG_DFL)
        termios.tcsetattr(0, termios.TCSADRAIN, self.before)

    def tell_size(self, tell):
        """Call `tell` with rows and columns, now and whenever they change."""
        def resized(*_):
            answer = fcntl.ioctl(1, termios.TIOCGWINSZ, bytes(8))
            rows, columns, _, _ = struct.unpack("4H", answer)
            tell(rows, columns)
        signal.signal(signal.SIGWINCH, resized)
        resized()

    def read(self):
        keys = os.read(0, 1 << 12)
        if not keys or ESCAPE in keys:
            raise VMError("the machine was ended from the keyboard")
        return keys
