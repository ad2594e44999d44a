"""What every part needs: the error type, exit statuses, finding programs."""

import os
import shutil

# The same statuses as timeout(1) and docker run, so that callers know them.
EXIT_TIMEOUT = 124
EXIT_INFRASTRUCTURE = 125

# Everything that is run on the host, and the Debian package that has it.
PACKAGES = {
    "qemu-system-x86_64": "qemu-system-x86",
    "virtiofsd": "qemu-system-common",
    "busybox": "busybox-static",
    "depmod": "kmod",
    "ldd": "libc-bin",
    "apt-get": "apt",
    "apt-cache": "apt",
    "dpkg": "dpkg",
}

# An ordinary user's PATH lacks sbin; Debian keeps virtiofsd out of PATH.
EXTRA_DIRECTORIES = ["/usr/local/sbin", "/usr/sbin", "/sbin", "/usr/lib/qemu"]


class VMError(Exception):
    """One clear line for the user, the exit status, and perhaps a log to show."""

    def __init__(self, message, status=EXIT_INFRASTRUCTURE, log=None):
        super().__init__(message)
        self.status = status
        self.log = log


def find(program):
    """The path of a program, or a VMError that names its package."""
    search = os.pathsep.join([os.environ.get("PATH", os.defpath), *EXTRA_DIRECTORIES])
    path = shutil.which(program, path=search)
    if path is None:
        raise VMError(f"{program} is missing: install the Debian package "
                      f"{PACKAGES[program]}, or run `make deps`")
    return path
