"""Who rotates: rsyslog's files by logrotate, and from a pipe split. And why not otherwise."""

import glob
import gzip
import os
import subprocess
import threading

from daemons import connect, wait_until, whole_lines
from lines import HOSTILE, LONG, difference, replayed, settle
from rsyslog import CONFIGURATION, LINES, SOCKET, read, rsyslog
from sandbox import install

TESTS = []
ROTATE = ["logrotate", "--force", "--state", "/run/logrotate.state", "/etc/logrotate.d/nattrace"]
TIMES = 5


def test(body):
    TESTS.append(body)
    return body


def lines_of(context):
    """Some 5 MB, with a long line in the middle."""
    return (replayed(context.program) + f"{LONG}\n{HOSTILE}\n".encode()) * 6


def by_age(pattern):
    """The rotated files' bytes, the oldest first."""
    def age(path):
        return -int(path.removesuffix(".gz").rpartition(".")[2])
    return [gzip.open(path).read() if path.endswith(".gz") else read(path)
            for path in sorted(glob.glob(pattern), key=age)]


def torn(files):
    return [number for number, data in enumerate(files) if data and not data.endswith(b"\n")]


@test
def logrotate_with_rsyslog_loses_nothing(context):
    install(*CONFIGURATION)
    install("rsyslog/nattrace.logrotate", "/etc/logrotate.d/nattrace")
    lines = lines_of(context)
    with rsyslog():
        writer = threading.Thread(target=slowly, args=(lines,))
        writer.start()
        rotated = 0
        while rotated < TIMES and wait_until(lambda: whole_lines(LINES) > 0):
            done = subprocess.run(ROTATE, capture_output=True, text=True)
            context.check(done.returncode == 0, f"logrotate: {done.stderr}")
            rotated += 1
            settle(0.5)
        context.check(writer.is_alive(), "all was written before the last rotation: nothing is shown")
        writer.join()
        wait_until(lambda: sum(data.count(b"\n") for data in all_files()) >= lines.count(b"\n"))
    files = all_files()
    context.check(rotated == TIMES and len(files) == TIMES + 1, f"{len(files)} files after {rotated} rotations")
    context.check(not torn(files), f"files that end within a line: {torn(files)}")
    context.same(difference(lines, b"".join(files)))


def slowly(lines):
    """For some seconds, in pieces that do not end where lines do."""
    with connect(SOCKET) as stream:
        size = len(lines) // 60
        for begin in range(0, len(lines), size):
            stream.sendall(lines[begin:begin + size])
            settle(0.08)


def all_files():
    return [*by_age(LINES + ".*"), read(LINES)]


@test
def split_rotates_whole_lines(context):
    """As docs/pipelines.md has it, here with smaller files: from a pipe, and each line as soon as it is there."""
    lines = lines_of(context)
    begin = os.path.join(context.temporary, "lines-")
    process = subprocess.Popen(["split", "-C", "1M", "-d", "-a", "6", "--additional-suffix=.jsonl", "-", begin],
                               stdin=subprocess.PIPE)
    with process.stdin as pipe:
        pipe.write(lines[:100_000])
        pipe.flush()
        first = f"{begin}000000.jsonl"
        whole = lines[:100_000].count(b"\n")
        context.check(wait_until(lambda: os.path.exists(first) and whole_lines(first) >= whole), "it holds lines back")
        pipe.write(lines[100_000:])
    context.check(process.wait() == 0, f"split ended with {process.returncode}")
    files = [read(path) for path in sorted(glob.glob(f"{begin}*"))]
    context.check(len(files) > 3, f"{len(files)} files only")
    context.check(not torn(files), f"files that end within a line: {torn(files)}")
    context.same(difference(lines, b"".join(files)))


@test
def copytruncate_leaves_a_hole(context):
    """Why the page warns of it: who writes with > goes on where it was, behind a hole of NUL bytes. (With >> there is
    none, but what comes between the copy and the truncation is lost; no test can show that at will.)"""
    path = os.path.join(context.temporary, "lines.jsonl")
    with open("/etc/logrotate.d/nattrace", "w") as file:
        file.write(f"{path} {{\n\trotate 2\n\tcopytruncate\n}}\n")
    with open(path, "wb") as output:
        command = f"'{context.program}' replay --json '{recording()}' 2>/dev/null"
        subprocess.run(["sh", "-c", command], stdout=output, check=True)
        subprocess.run(ROTATE, check=True)
        subprocess.run(["sh", "-c", command], stdout=output, check=True)
    context.check(read(path).startswith(b"\0"), "there is no hole: say so in the page")


def recording():
    from lines import RECORDINGS
    return RECORDINGS[0]
