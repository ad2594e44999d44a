"""Debian kernels: which there are, and the cache of downloaded ones.

A cached kernel is one directory, named as the user names the kernel:

    release              the kernel's own name of itself (uname -r)
    vmlinuz
    config               how it was built, where the package has it
    lib/modules/RELEASE  with the indexes that depmod makes

It is made in `partial` and renamed when complete, under a lock, so that an
interrupted download or two runs at once leave nothing broken behind. To
renew a kernel, remove its directory.
"""

import contextlib
import fcntl
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from . import sources
from .tools import VMError, find

# The user's name of a kernel: the Debian release it is taken from, and what
# its package's version starts with (None: the newest there is).
KERNELS = {
    "5.10": ("bullseye", "5.10."),
    "6.1": ("bookworm", "6.1."),
    "6.12": ("bookworm", "6.12."),
    "7.2": ("sid", None),
}

# The packages that a kernel may be split into, as others depend on them.
PARTS = re.compile(r"linux-(image|binary|modules|base)-\d\S*")

# A mirror that stalls must not hold up a test run for ever.
STEP_LIMIT = 900


def cache_directory():
    base = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(base) / "nattrace" / "vm"


class Kernel:
    """A complete kernel in the cache."""

    def __init__(self, name):
        self.name = name
        self.directory = cache_directory() / name

    @property
    def cached(self):
        return self.directory.is_dir()

    @property
    def release(self):
        return (self.directory / "release").read_text().strip()

    @property
    def image(self):
        return self.directory / "vmlinuz"

    @property
    def modules(self):
        return self.directory / "lib" / "modules" / self.release


def check(names):
    for name in names:
        if name not in KERNELS:
            raise VMError(f"no kernel is called {name}: choose one of {', '.join(KERNELS)}")


def ready(name):
    """The kernel of that name, downloaded first if it has to be."""
    check([name])
    kernel = Kernel(name)
    if not kernel.cached:
        fetch([name])
    return kernel


def fetch(names):
    check(names)
    cache = cache_directory()
    cache.mkdir(parents=True, exist_ok=True)
    with locked(cache / "lock"):
        partial = cache / "partial"
        # Under the lock nobody else uses it: what is here was interrupted.
        shutil.rmtree(partial, ignore_errors=True)
        try:
            for name in names:
                kernel = Kernel(name)
                if not kernel.cached:
                    fetch_one(kernel, partial)
                say(f"{name}: {kernel.release} in {kernel.directory}")
        finally:
            shutil.rmtree(partial, ignore_errors=True)


@contextlib.contextmanager
def locked(path):
    with open(path, "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another download into the cache")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def fetch_one(kernel, partial):
    suite, version = KERNELS[kernel.name]
    apt = Apt(suite, partial / f"apt-{suite}")
    image = apt.newest_image(version)
    say(f"{kernel.name}: downloading {image}")
    unpacked = partial / "unpacked"
    for package in apt.download(image, partial / "packages"):
        call([find("dpkg"), "-x", package, unpacked])
    complete = arrange(unpacked, partial / kernel.name)
    call([find("depmod"), "-b", complete, (complete / "release").read_text().strip()])
    os.rename(complete, kernel.directory)
    shutil.rmtree(unpacked)
    shutil.rmtree(partial / "packages")


def arrange(unpacked, target):
    """Move what matters out of the unpacked packages.

    Debian moved things over the years: /lib or /usr/lib, and the image in
    /boot or among the modules.
    """
    modules = one_of(unpacked, ["lib/modules/*/modules.builtin",
                                "usr/lib/modules/*/modules.builtin"]).parent
    image = one_of(unpacked, ["boot/vmlinuz-*", "lib/modules/*/vmlinuz",
                              "usr/lib/modules/*/vmlinuz"])
    (target / "lib" / "modules").mkdir(parents=True)
    (target / "release").write_text(modules.name + "\n")
    # The image first: it may be inside the modules' directory.
    shutil.move(image, target / "vmlinuz")
    for config in [*unpacked.glob("boot/config-*"), modules / "config"]:
        if config.exists():
            shutil.move(config, target / "config")
    shutil.move(modules, target / "lib" / "modules" / modules.name)
    return target


def one_of(directory, patterns):
    for pattern in patterns:
        for path in directory.glob(pattern):
            return path
    raise VMError(f"the kernel's packages hold none of {', '.join(patterns)}")


class Apt:
    """apt with lists, sources and state of its own, beside the machine's.

    Nothing is installed, and the machine's own lists stay as they are. The
    trust in the archive's key is the machine's.
    """

    def __init__(self, suite, directory):
        self.suite = suite
        self.directory = directory
        settings = {
            "Dir::Etc::sourcelist": "/dev/null",
            "Dir::Etc::sourceparts": directory / "sources",
            "Dir::Etc::preferences": "/dev/null",
            "Dir::Etc::preferencesparts": "/dev/null",
            "Dir::State": directory / "state",
            "Dir::State::Lists": directory / "lists",
            "Dir::State::status": directory / "status",
            "Dir::Cache": directory / "cache",
            "APT::Architecture": "amd64",
            "APT::Architectures": "amd64",
            # apt's own user may not enter a home directory.
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
            "Acquire::http::Timeout": "60",
            # An older release's lists are no longer renewed. The signature
            # is still checked.
            "Acquire::Check-Valid-Until": "false",
        }
        self.options = [f"-o{key}={value}" for key, value in settings.items()]
        if not directory.exists():
            self.update()

    def update(self):
        for part in ["sources", "state", "lists/partial", "cache/archives/partial"]:
            (self.directory / part).mkdir(parents=True)
        (self.directory / "status").touch()
        (self.directory / "sources" / "kernel.sources").write_text(sources.derived(self.suite))
        say(f"reading the package lists of {self.suite}")
        # A suite of the machine's (-updates, say) need not exist for the
        # other release: what counts is whether the kernel is found.
        done = subprocess.run([find("apt-get"), *self.options, "-q", "update"],
                              capture_output=True, text=True, timeout=STEP_LIMIT)
        self.complaints = [line for line in done.stderr.splitlines() if line[:2] in ("E:", "W:")]

    def query(self, *arguments):
        return call([find("apt-cache"), *self.options, *arguments])

    def newest_image(self, version):
        pattern = rf"^linux-image-{re.escape(version or '')}[0-9].*-cloud-amd64$"
        found = [line.split()[0] for line in
                 self.query("search", "--names-only", pattern).splitlines()]
        if not found:
            because = f": {self.complaints[0]}" if getattr(self, "complaints", None) else ""
            raise VMError(f"{self.suite} has no kernel package {pattern}{because}")
        return max(found, key=lambda name: [int(number) for number in re.findall(r"\d+", name)])

    def download(self, image, directory):
        """The package files of a kernel; newer ones are split over several."""
        wanted, waiting = [], [image]
        while waiting:
            package = waiting.pop()
            wanted.append(package)
            shown = self.query("show", "--no-all-versions", package)
            depends = re.search(r"^Depends: (.*)$", shown, re.MULTILINE)
            for name in re.findall(r"[^\s,|]+", depends.group(1) if depends else ""):
                if PARTS.fullmatch(name) and name not in wanted + waiting:
                    waiting.append(name)
        directory.mkdir()
        call([find("apt-get"), *self.options, "-q", "download", *wanted], cwd=directory)
        return sorted(directory.glob("*.deb"))


def call(command, cwd=None):
    """What a program wrote, or a VMError with the last line of its complaint."""
    command = [str(word) for word in command]
    try:
        done = subprocess.run(command, cwd=cwd, capture_output=True, text=True,
                              timeout=STEP_LIMIT)
    except subprocess.TimeoutExpired:
        raise VMError(f"{os.path.basename(command[0])} took longer than {STEP_LIMIT} s")
    if done.returncode != 0:
        complaint = (done.stderr.strip() or f"exit status {done.returncode}").splitlines()[-1]
        raise VMError(f"{os.path.basename(command[0])} failed: {complaint}")
    return done.stdout


def say(line):
    print(f"vm: {line}", file=sys.stderr, flush=True)
