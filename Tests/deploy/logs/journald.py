"""systemd-journald: a journal of nattrace's own, with deploy/logs/journald."""

import signal
import subprocess

from daemons import UNIT, Journal, wait_until
from lines import HOSTILE, LONG, TIGHT, Live, dataset, difference, left_out, losses, parsed, replayed, settle
from sandbox import install, replaced

TESTS = []
CONFIGURATION = ("journald/journald@nattrace.conf", "/etc/systemd/journald@nattrace.conf")


def test(body):
    TESTS.append(body)
    return body


def made(context):
    return replayed(context.program) + f"{LONG}\n{HOSTILE}\n".encode()


def write(journal, data):
    with journal.connect() as stream:
        stream.sendall(data)


@test
def journald_keeps_each_line_as_it_was(context):
    install(*CONFIGURATION)
    lines = made(context)
    with Journal() as journal:
        write(journal, lines)
        wait_until(lambda: journal.lines(last=1) == (HOSTILE + "\n").encode())
        context.same(difference(lines, journal.lines()))
        # As JSON: only with --all, or long lines are null.
        entries = parsed(journal.read(*UNIT, "-o", "json", "--all", "--output-fields=MESSAGE"))
        context.same(difference(lines, b"".join(entry["MESSAGE"].encode() + b"\n" for entry in entries)))
        short = parsed(journal.read(*UNIT, "-o", "json", "--lines=2", "--output-fields=MESSAGE"))
        context.check(None in {entry["MESSAGE"] for entry in short}, "without --all no line is null: correct the page")


@test
def journald_without_the_settings_cuts_and_drops(context):
    """What they are for; if this fails they are not needed any more. The limit is the default one by a hundred, so that
    few lines show it; journald raises it by up to six where there is room on the disk."""
    install(*CONFIGURATION, lambda text: replaced("RateLimitIntervalSec=0", "RateLimitBurst=100")(
        replaced("LineMax=16M", "")(text)))
    with Journal() as journal:
        write(journal, (LONG + "\n").encode())
        wait_until(lambda: journal.lines(last=1))
        settle()
        pieces = journal.lines().splitlines()
        context.check(len(pieces) > 1 and len(pieces[0]) <= 48 << 10, f"a long line came in {len(pieces)} pieces")
        written = replayed(context.program)
        write(journal, written)
        wait_until(lambda: b"Suppressed" in journal.read("-o", "cat", "--lines=5"), 5)
        came, number = journal.lines().count(b"\n") - len(pieces), written.count(b"\n")
        context.check(came < number, f"{came} of {number} lines came: none was dropped")


@test
def journald_keeps_what_is_traced(context):
    install(*CONFIGURATION)
    with Journal() as journal, Live(context.program, context.temporary) as live:
        with journal.connect() as stream:
            live.start(stream)
        live.refused(5)
        live.dropped_by_long_rule()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        whole = live.replayed()
        wait_until(lambda: b'"nattrace.stop"' in journal.lines(last=1))
        came = journal.lines()
        context.same(live.missing(came))
        longest = max(map(len, whole.splitlines()))
        context.check(longest > 48 << 10, f"the longest line has {longest} bytes only")
        context.check("né→🦊".encode() in came, "the rule's comment did not come")


@test
def journald_shows_losses(context):
    install(*CONFIGURATION)
    with Journal() as journal, Live(context.program, context.temporary) as live:
        with journal.connect() as stream:
            live.start(stream, *TIGHT)
        live.flood()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        wait_until(lambda: b'"nattrace.stop"' in journal.lines(last=1))
        found = parsed(subprocess.run(PAGE_QUERY, shell=True, stdout=subprocess.PIPE, check=False).stdout)
        context.check(found and all(dataset(line) == "nattrace.loss" for line in found), f"found {found[:3]}")
        context.check(found == losses(parsed(journal.lines())), "not each loss was found")


# As docs/pipelines.md has it.
PAGE_QUERY = """journalctl --namespace=nattrace -u nattrace.service -o cat --grep='"dataset":"nattrace\\.loss"'"""


@test
def journald_that_stands_still_costs_lines_that_are_counted(context):
    install(*CONFIGURATION)
    with Journal() as journal, Live(context.program, context.temporary) as live:
        with journal.connect() as stream:
            live.start(stream, "--output-backlog", "64k")
        live.refused()
        journal.send(signal.SIGSTOP)
        try:
            live.refused(200)
            live.program.settle(1)
        finally:
            journal.send(signal.SIGCONT)
        wait_until(lambda: b'"output not read"' in journal.lines())
        live.refused()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        wait_until(lambda: b'"nattrace.stop"' in journal.lines(last=1))
        context.same(left_out(live, journal.lines()))


@test
def journald_drop_in_says_what_the_tests_do(context):
    """No systemd reads it here: each setting is one that systemd-analyze knows, and names the namespace of the file."""
    text = install("journald/nattrace.service.d/journal.conf", "/etc/systemd/system/nattrace.service.d/journal.conf")
    context.check("LogNamespace=nattrace\n" in text, "another namespace than that of journald@nattrace.conf")
    same_as_systemd_knows(context, "nattrace.service")


def same_as_systemd_knows(context, unit):
    """systemd-analyze verify, of a unit with nothing but the drop-ins that are installed."""
    with open(f"/etc/systemd/system/{unit}", "w") as file:
        file.write("[Service]\nExecStart=/bin/true\n")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True,
                          text=True)
    context.check(done.returncode == 0 and not done.stderr, f"systemd-analyze verify: {done.stderr}")
    # It must notice.
    with open(f"/etc/systemd/system/{unit}.d/wrong.conf", "w") as file:
        file.write("[Service]\nLogNamespaces=x\n")
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", "--recursive-errors=no", unit], capture_output=True,
                          text=True)
    context.check("LogNamespaces" in done.stderr, f"systemd-analyze verify notices nothing: {done.stderr!r}")
