"""Docker for the guests: Debian's packages, unpacked into the cache and never installed.

Installed, they would start a daemon here, which changes the machine's firewall; and they cannot be installed beside
the packages that Docker offers itself. Where dockerd is installed already, the guests have it from there.
"""

import os
import shutil
import subprocess

from .kernels import cache_directory, call, locked, say
from .tools import find

# As the kernels in the cache, unpacked into one directory: usr/sbin/dockerd and what it starts.
NAME = "docker"
PROGRAMS = ("dockerd", "containerd", "runc")


def directories():
    """Where a guest finds the programs, behind the system's own directories."""
    return [str(cache_directory() / NAME / "usr" / part) for part in ("sbin", "bin")]


def fetch():
    """Downloads what this machine lacks for docker.io, if it lacks dockerd; as root, for apt's lists."""
    if all(shutil.which(program) for program in PROGRAMS):
        return
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    complete = cache / NAME
    with locked(cache / "lock"):
        if not complete.is_dir():
            partial = cache / "partial"
            shutil.rmtree(partial, ignore_errors=True)
            try:
                download(partial)
                os.rename(partial / NAME, complete)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
    say(f"{NAME}: in {complete}")


def download(partial):
    say(f"{NAME}: downloading Debian's docker.io")
    packages = partial / "packages"
    (packages / "partial").mkdir(parents=True)
    # A list that cannot be read need not be the one with docker.io.
    subprocess.run([find("apt-get"), "-qq", "update"], stdin=subprocess.DEVNULL)
    # apt's own user may not enter a home directory.
    call([find("apt-get"), "-qq", "-y", "--no-install-recommends", "--download-only", "-oAPT::Sandbox::User=root",
          f"-oDir::Cache::archives={packages}", "install", "docker.io"])
    for package in sorted(packages.glob("*.deb")):
        call([find("dpkg"), "-x", package, partial / NAME])
