"""rsyslog: into files, to a collector by RELP, with deploy/logs/rsyslog and Debian's own /etc/rsyslog.conf."""

import collections
import os
import re
import shutil
import signal
import subprocess

from daemons import Rsyslog, connect, listens_on, listens_on_port, wait_until, whole_lines
from journald import same_as_systemd_knows
from lines import HOSTILE, LONG, TIGHT, Live, difference, get, left_out, losses, parsed, replayed, settle
from sandbox import install, replaced

TESTS = []
SOCKET = "/run/rsyslog-nattrace.sock"
LINES, LOSSES = "/var/log/nattrace/nattrace.jsonl", "/var/log/nattrace/loss.jsonl"
COLLECTED = "/run/collector/nattrace"
CONFIGURATION = ("rsyslog/10-nattrace.conf", "/etc/rsyslog.d/10-nattrace.conf")


def test(body):
    TESTS.append(body)
    return body


def rsyslog():
    return Rsyslog(listens_on(SOCKET))


def read(path):
    with open(path, "rb") as file:
        return file.read()


def write(data):
    with connect(SOCKET) as stream:
        stream.sendall(data)


def arrived(number, path=LINES):
    return wait_until(lambda: whole_lines(path) >= number)


def stopped(path=LINES):
    return wait_until(lambda: os.path.exists(path) and b'"nattrace.stop"' in read(path))


@test
def rsyslog_takes_the_configuration(context):
    install(*CONFIGURATION, replaced("#call nattrace-forward", "call nattrace-forward"))
    install("rsyslog/11-nattrace-forward.conf", "/etc/rsyslog.d/11-nattrace-forward.conf")
    done = subprocess.run(["rsyslogd", "-N1"], capture_output=True, text=True)
    said = [line for line in done.stderr.splitlines() if "onfig validation run" not in line]
    context.check(done.returncode == 0 and not said, f"status {done.returncode}: {said}")
    install("rsyslog/11-nattrace-forward.conf", "/etc/rsyslog.d/12-wrong.conf",
            replaced('type="omrelp" name', 'type="omrelp" nane'))
    done = subprocess.run(["rsyslogd", "-N1"], capture_output=True, text=True)
    context.check("nane" in done.stderr, "rsyslogd -N1 notices nothing")


@test
def rsyslog_keeps_each_line_as_it_was(context):
    install(*CONFIGURATION)
    lines = replayed(context.program) + f"{LONG}\n{HOSTILE}\n".encode() + replayed(context.program)
    with rsyslog():
        write(lines)
        context.check(arrived(lines.count(b"\n")), "not all lines came in time")
    context.same(difference(lines, read(LINES)))
    context.check(not os.path.exists(LOSSES), "a rule's text was taken for a loss")


@test
def rsyslog_by_default_cuts(context):
    """What the setting is for; if this fails it is not needed any more."""
    install(*CONFIGURATION, replaced('global(maxMessageSize="16m")', ""))
    with rsyslog():
        write((LONG + "\n").encode())
        arrived(1)
        settle()
    pieces = read(LINES).splitlines()
    context.check(len(pieces[0]) <= 8192, f"of a long line {len(pieces[0])} bytes came in one piece")


@test
def rsyslog_keeps_what_is_traced(context):
    install(*CONFIGURATION)
    with rsyslog(), Live(context.program, context.temporary) as live:
        with connect(SOCKET) as stream:
            live.start(stream)
        live.refused(5)
        live.dropped_by_long_rule()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        context.check(stopped(), "no stop line came")
        context.same(live.missing(read(LINES)))
        longest = max(map(len, read(LINES).splitlines()))
        context.check(longest > 48 << 10, f"the longest line has {longest} bytes only")
        context.check("né→🦊".encode() in read(LINES), "the rule's comment did not come")


@test
def rsyslog_shows_losses(context):
    install(*CONFIGURATION)
    with rsyslog(), Live(context.program, context.temporary) as live:
        with connect(SOCKET) as stream:
            live.start(stream, *TIGHT)
        live.flood()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        context.check(stopped(), "no stop line came")
        told = losses(parsed(read(LINES)))
        context.check(told, "there was no loss")
        context.check(parsed(read(LOSSES)) == told, "loss.jsonl does not have what nattrace told")
        words = re.findall(r"^\S+ \S+ nattrace: lost (\d+) \((\w+)\): (.+)$", read("/var/log/syslog").decode(), re.M)
        expected = [(str(get(line, "nattrace.lost.events")), get(line, "nattrace.lost.scope"),
                     get(line, "nattrace.lost.reason")) for line in told]
        context.check(words == expected, f"syslog says {words}, expected {expected}")


@test
def rsyslog_that_stands_still_costs_lines_that_are_counted(context):
    install(*CONFIGURATION)
    with rsyslog() as daemon, Live(context.program, context.temporary) as live:
        with connect(SOCKET) as stream:
            live.start(stream, "--output-backlog", "64k")
        live.refused()
        daemon.send(signal.SIGSTOP)
        try:
            live.refused(200)
            live.program.settle(1)
        finally:
            daemon.send(signal.SIGCONT)
        wait_until(lambda: os.path.exists(LOSSES) and b'"output not read"' in read(LOSSES))
        live.refused()
        context.check(live.stop() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        context.check(stopped(), "no stop line came")
        context.same(left_out(live, read(LINES)))


@test
def rsyslog_restarted_ends_nattrace_with_0(context):
    """So the unit says Restart=always. The socket that is left behind is no hindrance."""
    install(*CONFIGURATION)
    with Live(context.program, context.temporary) as live:
        with rsyslog():
            with connect(SOCKET) as stream:
                live.start(stream)
            live.refused()
            context.check(arrived(2), "nothing came")
        live.refused()
        context.check(live.program.wait_end() == 0, f"nattrace ended with {live.program.status}: {live.program.words}")
        with rsyslog():
            write(b"{}\n")
            context.check(wait_until(lambda: read(LINES).endswith(b"\n{}\n")), "nothing came after the restart")


@test
def rsyslog_drop_in_names_the_socket(context):
    text = install("rsyslog/nattrace.service.d/rsyslog.conf", "/etc/systemd/system/nattrace.service.d/rsyslog.conf")
    context.check(f"StandardOutput=file:{SOCKET}\n" in text, "another socket than that of 10-nattrace.conf")
    same_as_systemd_knows(context, "nattrace.service")


class Collector(Rsyslog):
    """A second rsyslogd, on this machine: its files and its folder for the queue are others."""

    def __init__(self):
        os.makedirs("/run/collector/spool", exist_ok=True)
        install("rsyslog/nattrace-collector.conf", "/run/collector/nattrace.conf",
                replaced("/var/log/nattrace/", COLLECTED + "/"))
        with open("/run/collector/rsyslog.conf", "w") as file:
            file.write('$WorkDirectory /run/collector/spool\n$IncludeConfig /run/collector/nattrace.conf\n')
        super().__init__(lambda pid: listens_on_port(20514)(pid), "/run/collector/rsyslog.conf", "/run/collector/pid")


def forwarding():
    install(*CONFIGURATION, replaced("#call nattrace-forward", "call nattrace-forward"))
    install("rsyslog/11-nattrace-forward.conf", "/etc/rsyslog.d/11-nattrace-forward.conf", lambda text: replaced(
        "collector.example", "127.0.0.1")(replaced('resumeInterval="10"', 'resumeInterval="1"')(text)))
    shutil.rmtree("/run/collector", ignore_errors=True)
    # As rsyslog names the host.
    return f"{COLLECTED}/{os.uname().nodename.split('.')[0]}.jsonl"


@test
def rsyslog_forwards_each_line_as_it_was(context):
    path = forwarding()
    lines = replayed(context.program) + f"{LONG}\n{HOSTILE}\n".encode()
    with Collector(), rsyslog():
        write(lines)
        context.check(arrived(lines.count(b"\n"), path), f"only {whole_lines(path)} lines came")
    context.same(difference(lines, read(path)))


@test
def rsyslog_keeps_lines_while_the_collector_is_away(context):
    """And while both are restarted. RELP sends again what was not acknowledged, so some may come twice, and the batch
    that it was sending comes after the others."""
    path = forwarding()
    lines = replayed(context.program) + f"{LONG}\n{HOSTILE}\n".encode()
    with rsyslog():
        write(lines)  # nobody takes them
        context.check(arrived(lines.count(b"\n")), "not all lines came to the local file")
    wanted, later = collections.Counter(lines.splitlines()), b'{"sent": "later"}'
    with rsyslog():
        with Collector():
            wait_until(lambda: os.path.exists(path) and not wanted - collections.Counter(read(path).splitlines()), 30)
        write(later + b"\n")
        context.check(wait_until(lambda: read(LINES).endswith(later + b"\n")), "it stands still")
        with Collector():
            context.check(wait_until(lambda: later in read(path)), "it does not connect again")
    came = collections.Counter(read(path).splitlines())
    wanted[later] = 1
    missing, twice = wanted - came, came - wanted
    context.check(not missing, f"{missing.total()} lines did not come, such as {next(iter(missing), b'')[:100]}")
    context.check(set(twice) <= set(wanted), "lines came that were never sent")
    context.check(twice.total() <= 300, f"{twice.total()} lines came that were not sent so often")
