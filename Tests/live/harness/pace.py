"""How long to wait: every time-out is a factor of a base, because an emulated machine is many times slower."""

import subprocess
import time


class Pace:
    """Turns factors into seconds. `slow` is 1 on a real machine and grows with what starting a process costs."""

    def __init__(self, slow=None):
        self.slow = slow or measured()

    def seconds(self, factor):
        return factor * self.slow

    def deadline(self, factor):
        return time.monotonic() + self.seconds(factor)


def measured():
    """Starting `ip` takes a few milliseconds on a real machine and a tenth of a second in an emulated one."""
    best = 9.0
    for _ in range(3):
        begin = time.monotonic()
        subprocess.run(["ip", "-V"], stdout=subprocess.DEVNULL, check=True)
        best = min(best, time.monotonic() - begin)
    return max(1.0, min(8.0, best / 0.02))
