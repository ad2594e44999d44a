"""A place where the shipped configurations stand where they belong, and the machine's own are not touched.

Namespaces of its own for mounts, network and processes, with empty folders over those that log daemons write to. All
of it ends with the process that entered.
"""

import ctypes
import os
import shutil
import signal
import subprocess
import sys

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
DEPLOY = os.path.join(ROOT, "deploy", "logs")
EMPTY = ("/run", "/var/log", "/var/spool/rsyslog", "/etc/rsyslog.d", "/etc/systemd", "/etc/logrotate.d")
NAMESPACES = 0x00020000 | 0x02000000 | 0x20000000 | 0x40000000  # mount, cgroup, pid, net: CLONE_NEW* of linux/sched.h
PR_SET_PDEATHSIG = 1


def enter():
    """Goes on inside, as the first process there: what it leaves behind ends with it. Outside waits one that ends it.

    The cgroup namespace makes its group the root of all, so that journald takes the unit's name from who connects.
    """
    if os.geteuid() != 0:
        sys.exit("root is needed: for namespaces, and to trace")
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(NAMESPACES) != 0:
        sys.exit(f"no namespaces can be made here: {os.strerror(ctypes.get_errno())}")
    if child := os.fork():
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, lambda *_: os.kill(child, signal.SIGKILL))
        sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) & 0xff)
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    for words in (["--make-rprivate", "/"], ["-t", "proc", "proc", "/proc"]):
        subprocess.run(["mount", *words], check=True)
    for folder in EMPTY:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "mode=755,size=256m", "tmpfs", folder], check=True)
    os.makedirs("/run/lock")
    os.makedirs("/run/netns")
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    # The main file as Debian has it, but for its inputs: they would take the machine's own log.
    with open("/etc/rsyslog.conf") as file:
        text = file.read()
    with open("/run/rsyslog.conf", "w") as file:
        file.writelines("#" + line if line.startswith(("module(load=\"imuxsock\"", "module(load=\"imklog\"")) else line
                        for line in text.splitlines(keepends=True))
    subprocess.run(["mount", "--bind", "/run/rsyslog.conf", "/etc/rsyslog.conf"], check=True)
    # What systemd would do.
    with open("/run/rsyslog-rotate", "w") as file:
        file.write("#!/bin/sh\nkill -HUP $(cat /run/rsyslogd.pid)\n")
    os.chmod("/run/rsyslog-rotate", 0o755)
    subprocess.run(["mount", "--bind", "/run/rsyslog-rotate", "/usr/lib/rsyslog/rsyslog-rotate"], check=True)


def install(name, path, change=lambda text: text):
    """Puts a shipped file where it belongs, changed as a user is told to change it; returns its text."""
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(os.path.join(DEPLOY, name)) as file:
        text = change(file.read())
    with open(path, "w") as file:
        file.write(text)
    os.chmod(path, 0o644)
    return text


def replaced(old, new):
    """A change that must find what it replaces."""
    def change(text):
        if old not in text:
            raise ValueError(f"there is no {old!r} in it")
        return text.replace(old, new)
    return change


def clean():
    """Nothing of the test before is left."""
    for folder in ("/var/log", "/var/spool/rsyslog", "/etc/rsyslog.d", "/etc/systemd", "/etc/logrotate.d", "/run/log",
                   "/run/systemd"):
        if os.path.isdir(folder):
            for entry in os.scandir(folder):
                shutil.rmtree(entry.path) if entry.is_dir(follow_symlinks=False) else os.unlink(entry.path)
