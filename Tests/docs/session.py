"""Runs the commands of pages as a reader does who types them: one shell for each page, in order.

  session.py PLAN RESULTS     (files of JSON; Tests/docs/run writes the one and reads the other)

A reader sees what a program in the background prints, as it comes, and waits for a server or a tracer to be ready
before typing on. So a command that ends with `&` is done when it says that it is ready, or listens; and what it prints
later belongs to the output of the command after which it came. Runs inside a virtual machine, or in namespaces of
its own: it may do what it likes to the network.
"""

import json
import os
import re
import signal
import subprocess
import sys
import time

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))

import compare  # noqa: E402

READY = re.compile(r"nattrace: tracing on |listening on ")
# Seconds, for an emulated machine that others keep busy.
LIMIT = 150
# A verdict is given 50 ms after the last step. When nothing came for so long, nothing more comes: where what should come
# is known, and where it is not, as when pages are renewed.
PATIENCE = 30
QUIET = 3
TICK = 0.05


# What bash says of a job that was ended; in a terminal it says it in other words, before the next prompt.
ENDED = re.compile(r"^\S*: line \d+: +\d+ (?:Terminated|Interrupt|Killed) .*\n", re.M)


class Trouble(Exception):
    """One line: why the command did not do what it should."""


class Background:
    def __init__(self, pid, path):
        self.pid, self.path, self.seen = pid, path, 0
        self.last, self.since = None, time.monotonic()

    def news(self):
        text = read(self.path)
        new, self.seen = text[self.seen:], len(text)
        return new

    @property
    def alive(self):
        return self.state[0] not in "ZX"

    @property
    def tells(self):
        """It may yet print what the reader sees."""
        try:
            return self.alive and self.path in {os.readlink(f"/proc/{self.pid}/fd/{number}") for number in (1, 2)}
        except OSError:
            return False

    @property
    def state(self):
        """Its letter in /proc, and the processor time that it took so far."""
        fields = read(f"/proc/{self.pid}/stat").rpartition(")")[2].split()
        return (fields[0], fields[11], fields[12]) if fields else ("X",)

    @property
    def idle(self):
        """It prints what it sees, and has done nothing for a while. Programs that say when they are ready do not count, nor
        servers, whose output goes elsewhere: they wait for files before they listen."""
        if not self.tells or self.state != self.last or self.state[0] != "S" or "nattrace" in read(f"/proc/{self.pid}/cmdline"):
            self.last, self.since = self.state, time.monotonic()
        return time.monotonic() - self.since > 2 * QUIET


class Shell:
    """A page's shell, which works in one folder and leaves what commands say in another."""

    def __init__(self, where, folder, environment):
        self.where, self.folder, self.environment = where, folder, environment
        self.count, self.background = 0, []
        os.makedirs(folder)
        self.process = subprocess.Popen(["bash", "--noprofile", "--norc"], stdin=subprocess.PIPE, cwd=where,
                                        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment,
                                        start_new_session=True, text=True)

    def run(self, text, awaited):
        """Returns output and status. `awaited(output)`: whether this is what should come, where what is in the background
        may be about to print some of it; None: nothing of that belongs here."""
        self.count += 1
        path = os.path.join(self.folder, str(self.count))
        with open(path + ".sh", "w") as file:
            file.write(text + "\n")
        self.process.stdin.write(f". {path}.sh >{path}.out 2>&1 </dev/null; echo $? $! >{path}.done\n")
        self.process.stdin.flush()
        wait(lambda: read(path + ".done").endswith("\n"), "it did not end")
        status, *pid = read(path + ".done").split()
        output = read(path + ".out")
        job = None
        if text.rstrip().endswith("&"):
            job = Background(int(pid[0]), path + ".out")
            wait(lambda: READY.search(read(job.path)) or not job.alive or listens(job.pid) or job.idle,
                 "it did not get ready")
            self.background.append(job)
        if awaited:
            output = self.with_background(output if job is None else "", awaited)
        return ENDED.sub("", output), int(status)

    def until_interrupted(self, text):
        """A command that goes on until Ctrl-C. It has to get ready, and to end well."""
        path = os.path.join(self.folder, "interrupted")
        with open(path, "w") as file:
            process = subprocess.Popen(["bash", "-c", text], stdin=subprocess.DEVNULL, stdout=file, stderr=file,
                                       cwd=self.where, env=self.environment, start_new_session=True)
        try:
            wait(lambda: "nattrace: tracing on " in read(path) or process.poll() is not None, "it did not get ready")
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGINT)
            process.wait(LIMIT)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        return read(path), process.returncode

    def with_background(self, output, awaited):
        """The output, and what comes from the background until it is what should come, or nothing more does."""
        since = time.monotonic()
        while True:
            tells = any(job.tells for job in self.background)
            news = "".join(job.news() for job in self.background)
            if news:
                output, since = output + news, time.monotonic()
            if not tells or awaited(ENDED.sub("", output)) or time.monotonic() - since > awaited.limit:
                return output
            time.sleep(TICK)

    def end(self):
        for number in (signal.SIGTERM, signal.SIGKILL):
            try:
                os.killpg(self.process.pid, number)
            except ProcessLookupError:
                break
            time.sleep(TICK)
        self.process.wait()


class Awaited:
    """What a page shows, or None where that is to be found out."""

    def __init__(self, kind, shown):
        self.kind, self.shown, self.limit = kind, shown, QUIET if shown is None else PATIENCE

    def __call__(self, output):
        return self.shown is not None and compare.problem(self.kind, self.shown, output) is None


def wait(done, trouble):
    end = time.monotonic() + LIMIT
    while not done():
        if time.monotonic() > end:
            raise Trouble(f"{trouble} within {LIMIT} s")
        time.sleep(TICK)


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except FileNotFoundError:
        return ""


def listens(pid):
    """Whether a socket of the process listens, in the namespace that it is in."""
    try:
        mine = {os.readlink(f"/proc/{pid}/fd/{fd}") for fd in os.listdir(f"/proc/{pid}/fd")}
        rows = [line.split() for name in ("tcp", "tcp6") for line in open(f"/proc/{pid}/net/{name}")]
    except OSError:
        return False
    return any(row[3] == "0A" and f"socket:[{row[9]}]" in mine for row in rows)


def environment(folder, program):
    """nattrace in PATH, and a sudo that does nothing: the reader is root already."""
    tools = os.path.join(folder, "bin")
    os.makedirs(tools)
    os.symlink(program, os.path.join(tools, "nattrace"))
    with open(os.path.join(tools, "sudo"), "w") as file:
        file.write('#!/bin/sh\nexec "$@"\n')
    os.chmod(os.path.join(tools, "sudo"), 0o755)
    kept = {name: value for name, value in os.environ.items() if name in ("USER", "LOGNAME", "CI")}
    path = ":".join([tools, "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", os.environ.get("PATH", "")])
    return {**kept, "PATH": path, "HOME": folder, "TERM": "dumb", "LC_ALL": "C.UTF-8", "PROGRAM": program}


def workplace(folder, root):
    """A folder in which a page finds the project's files, and leaves its own."""
    os.makedirs(folder)
    for name in os.listdir(root):
        os.symlink(os.path.join(root, name), os.path.join(folder, name))
    return folder


def main(plan_path, results_path):
    with open(plan_path) as file:
        plan = json.load(file)
    folder = plan["folder"]
    os.makedirs(folder, exist_ok=True)
    around = environment(folder, plan["program"])
    results = {}
    for number, page in enumerate(plan["pages"]):
        shell = Shell(workplace(os.path.join(folder, f"work{number}"), plan["root"]), os.path.join(folder, f"said{number}"),
                      around)
        try:
            for command in page:
                begin = time.monotonic()
                try:
                    output, status = (shell.until_interrupted(command["text"]) if command["interrupted"] else
                                      shell.run(command["text"], Awaited(command["kind"], command["shown"]) if command["shows"] else None))
                    results[command["id"]] = {"output": output, "status": status}
                except Trouble as trouble:
                    # What follows stands on it.
                    results[command["id"]] = {"trouble": str(trouble)}
                    break
                finally:
                    if plan["verbose"]:
                        print(f"{time.monotonic() - begin:6.1f} s  {command['text'].splitlines()[0]}", flush=True)
        finally:
            shell.end()
        with open(results_path, "w") as file:
            json.dump(results, file)


if __name__ == "__main__":
    main(*sys.argv[1:])
