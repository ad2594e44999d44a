"""A systemd in namespaces of its own, on the running kernel: units run in it under all that they ask for."""

import contextlib
import os
import signal
import subprocess
import time
from pathlib import Path

HERE = Path(__file__).resolve().parent
# They would do for the whole machine what it has done already, or wait for devices.
NOT_WANTED = ["systemd-sysctl", "systemd-modules-load", "systemd-random-seed", "systemd-remount-fs", "systemd-udevd",
              "systemd-hwdb-update", "kmod-static-nodes", "systemd-tmpfiles-setup-dev", "systemd-logind"]
# Seconds. Emulated, and on a busy machine, each takes many times what it takes otherwise.
BOOT, COMMAND = 120, 180


class Machine:
    """Use it in a `with`. `root`: a folder that it may change."""

    def __init__(self, root):
        self.root = root

    def __enter__(self):
        for unit in NOT_WANTED:
            (self.root / "etc/systemd/system" / f"{unit}.service").symlink_to("/dev/null")
        self.cgroup = unified_hierarchy() / f"nattrace-test-{os.getpid()}"
        self.cgroup.mkdir()
        self.outside = subprocess.Popen(
            ["unshare", "--mount", "--pid", "--uts", "--ipc", "--net", "--cgroup", "--fork", "--kill-child",
             HERE / "boot", self.root], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            preexec_fn=lambda: (self.cgroup / "cgroup.procs").write_text("0"))
        try:
            self.init = self.first_process()
            self.wait_for("the machine to be up", lambda: self.said("systemctl", "is-system-running").strip()
                          in ("running", "degraded"), BOOT)
            self.run("ip", "link", "set", "lo", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def first_process(self):
        children = Path(f"/proc/{self.outside.pid}/task/{self.outside.pid}/children")
        end = time.monotonic() + BOOT
        while time.monotonic() < end and self.outside.poll() is None:
            for child in children.read_text().split():
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
            time.sleep(0.1)
        raise RuntimeError("systemd did not start: " + ("" if self.outside.poll() is None else
                                                        self.outside.stdout.read().decode(errors="replace").strip()))

    def __exit__(self, *_):
        # With process 1 all others of its namespace end.
        for pid in (getattr(self, "init", None), self.outside.pid):
            with contextlib.suppress(OSError, TypeError):
                os.kill(pid, signal.SIGKILL)
        self.outside.wait()
        end = time.monotonic() + 10
        while self.cgroup.exists() and time.monotonic() < end:
            for folder in sorted(self.cgroup.rglob("*"), reverse=True):
                if folder.is_dir():
                    with contextlib.suppress(OSError):
                        folder.rmdir()
            with contextlib.suppress(OSError):
                self.cgroup.rmdir()
            time.sleep(0.1)

    def run(self, *words, stdin=None):
        """Runs a command in it; the process when it has ended."""
        return subprocess.run(["nsenter", f"--target={self.init}", "--mount", "--pid", "--uts", "--ipc", "--net",
                               "--cgroup", "--root", "--wd", *map(str, words)], input=stdin, capture_output=True,
                              text=True, errors="replace", timeout=COMMAND, stdin=None if stdin else subprocess.DEVNULL)

    def said(self, *words):
        return self.run(*words).stdout

    def done(self, *words, stdin=None):
        """What a command that must succeed wrote."""
        done = self.run(*words, stdin=stdin)
        if done.returncode != 0:
            raise RuntimeError(f"`{' '.join(map(str, words))}` ended with {done.returncode}: "
                               + done.stderr.strip()[-1000:])
        return done.stdout

    @staticmethod
    def wait_for(what, condition, seconds=COMMAND):
        end = time.monotonic() + seconds
        while not condition():
            if time.monotonic() > end:
                raise RuntimeError(f"waited {seconds} s for {what}")
            time.sleep(0.2)


def unified_hierarchy():
    for line in Path("/proc/self/mounts").read_text().splitlines():
        _, place, kind, *_ = line.split()
        if kind == "cgroup2":
            return Path(place)
    raise RuntimeError("no cgroup2 is mounted here, which systemd wants")
