"""--pcap: what Wireshark shows of it, and what becomes of it when nobody reads."""

import collections
import fcntl
import os
import re
import shlex
import shutil
import signal
import stat
import subprocess
import threading
import time

from harness import wireshark
from harness.client import Dial
from harness.lines import dataset, get
from harness.scenario import BOTH, program_test
from scenarios.published_port import published

USAGE, CANNOT_WRITE = 64, 74
MANY = 80
ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
EXAMPLE = "article-ipv4-nft-6.1.ntrace"


def verdicts(lines):
    return [line for line in lines if dataset(line) == "nattrace.verdict"]


def traced(s, net, *arguments, number=1):
    """The program once it has told so many verdicts of clients that dial the public address, and was ended."""
    program = s.start("--json", "--dport", s.port, *arguments)
    for _ in range(number):
        s.dial(Dial(net.client_ns, net.public, s.port))
    program.wait(lambda: len(verdicts(program.lines)) >= number, 10)
    s.check(program.stop() == 0, f"status {program.status}: {program.words}")
    return program


def read(s, path):
    """Its packets; what tshark has to say is a problem."""
    found, problems = wireshark.packets(path)
    for problem in problems:
        s.check(False, f"{os.path.basename(path)}: {problem}")
    return found


def behind_header(path):
    """A file without its section header, which names the machine and the program."""
    with open(path, "rb") as file:
        data = file.read()
    return data[int.from_bytes(data[4:8], "little"):]


def told(packets):
    """How often each action with its function is told in comments."""
    found = (re.match(r"(?:~ )?\+[\d.]+ ms .* \[([a-z.]+)(?: (\S+))?\](?:; |$)", comment)
             for packet in packets for comment in packet.comments)
    return collections.Counter(match.groups() for match in found if match)


@program_test(families=BOTH, needs=("tshark",))
def both_views_of_a_rewritten_syn(s):
    """As dialled and as translated, with what lies between, the verdict where it ended, and a replay that says the same."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.other)
    path, recording, replayed = s.file("live.pcapng"), s.file("recording"), s.file("replayed.pcapng")
    program = traced(s, net, "--pcap", path, "--record", recording)
    s.check(stat.S_IMODE(os.stat(path).st_mode) == 0o600, "others may read it")
    found = read(s, path)

    syns = [packet for packet in found if packet.is_syn]
    s.check({packet.destination for packet in syns} == {dialled, translated}, f"SYNs to {[p.destination for p in syns]}")
    s.check(len({packet.seq for packet in syns}) == 1, "SYNs with several sequence numbers")
    at = {packet.interface for packet in found}
    s.check({f"{net.client_ns}/eth0", f"{net.server_ns}/eth0", f"{net.server_ns}/(stack)"} <= at, f"interfaces {at}")
    rewritten = [packet for packet in syns if packet.destination == translated]
    s.check(rewritten and {packet.interface for packet in rewritten} == {f"{net.server_ns}/(stack)"}, "where it was rewritten")
    s.check(any(packet.says("[nat.dnat ") for packet in syns), "no comment tells of the translation")

    lines = program.lines
    verdict = verdicts(lines)[0]
    code, sentence = get(verdict, "nattrace.verdict"), get(verdict, "event.reason")
    s.check(code == "listener_other_address", f"the verdict is {code}")
    ended = [packet for packet in found if packet.says("[verdict of connection ")]
    s.check(len(ended) == 1 and ended[0] in rewritten and ended[0].says(f"✗ {code} after ") and ended[0].says(sentence),
            f"the verdict stands on {len(ended)} packets")
    for advice in get(verdict, "nattrace.advice"):
        s.check(ended and ended[0].says(f"change: {advice}"), f"the advice is missing: {advice}")
    s.check(syns and syns[0].says(f"✗ {code} after ") and syns[0].says(sentence), "the first SYN does not say how it ended")
    steps = collections.Counter((get(line, "event.action"), get(line, "nattrace.function")) for line in lines
                                if dataset(line) == "nattrace.step")
    s.check(told(found) == steps, f"told {dict(told(found))}, expected {dict(steps)}")

    replay = s.run("replay", recording, "--json", "--dport", s.port, "--pcap", replayed)
    s.check(replay.status == 0, f"the replay ended with {replay.status}: {replay.words}")
    s.check(len(read(s, replayed)) == len(found), "the replay has another number of packets")
    s.check(behind_header(path) == behind_header(replayed), "the replay's file is not the live one")


@program_test(needs=("tshark",))
def packets_of_those_that_failed(s):
    """The selection holds for packets as well."""
    net = s.pair()
    s.listen(net.server_ns, net.server, s.app_port)
    path = s.file("failed.pcapng")
    program = s.start("--json", "--dport", f"{s.port}-{s.app_port}", "--failed", "--pcap", path)
    s.dial(Dial(net.client_ns, net.server, s.app_port), Dial(net.client_ns, net.server, s.port))
    program.wait(lambda: verdicts(program.lines), 10)
    s.check(program.stop() == 0, f"status {program.status}")
    found = read(s, path)
    ports = {port for packet in found for port in (packet.source[1], packet.destination[1])} & {s.port, s.app_port}
    s.check(ports == {s.port}, f"packets of ports {ports}, expected {s.port} alone")


@program_test(needs=("tshark",))
def packets_on_standard_output(s):
    """Nothing but packets there, the summary on stderr; and two that want it are refused."""
    net, path = s.pair(), s.file("stdout.pcapng")
    with open(path, "wb") as file:
        program = s.start("--dport", s.port, "--pcap", "-", stdout=file)
    s.dial(Dial(net.client_ns, net.server, s.port))
    program.settle(1)
    s.check(program.stop() == 0, f"status {program.status}")
    s.check("1 connection: 1 no_listener" in program.words, f"the summary: {program.words}")
    s.check(any(packet.says("✗ no_listener") for packet in read(s, path)), "no verdict in it")
    for option in ("--json", "--follow"):
        refused = s.run("--pcap", "-", option)
        s.check(refused.status == USAGE and refused.words.count("\n") == 1, f"{option}: {refused.status} {refused.words}")


@program_test()
def packets_into_a_file_that_is_used(s):
    """The recording that is written or read, by any name, and standard output: refused, and left as it is."""
    net, recording, link = s.pair(), s.file("recording"), s.file("link")
    traced(s, net, "--record", recording)
    os.symlink(recording, link)
    with open(recording, "rb") as file:
        before = file.read()
    for arguments in (["replay", recording, "--pcap", recording], ["replay", recording, "--pcap", link],
                      ["--record", recording, "--pcap", recording], ["--record", recording, "--pcap", link]):
        refused = s.run(*arguments)
        s.check(refused.status == USAGE and refused.words.count("\n") == 1, f"{arguments}: {refused.status} {refused.words}")
        with open(recording, "rb") as file:
            s.check(file.read() == before, f"{arguments}: the recording was changed")
    with open(s.file("out"), "wb") as file:
        refused = s.run("replay", recording, "--pcap", s.file("out"), stdout=file)
    s.check(refused.status == USAGE, f"into standard output's file: {refused.status} {refused.words}")
    absent = s.run("replay", recording, "--pcap", "/nowhere/x")
    s.check(absent.status == 73 and "/nowhere/x" in absent.words, f"{absent.status} {absent.words}")
    full = s.run("replay", recording, "--pcap", "/dev/full")
    s.check(full.status == CANNOT_WRITE and "/dev/full" in full.words, f"{full.status} {full.words}")


@program_test(needs=("tshark",))
def killed_while_it_writes(s):
    """What was told is in the file, up to the last whole block."""
    net, path = s.pair(), s.file("killed.pcapng")
    program = s.start("--json", "--dport", s.port, "--pcap", path)
    s.dial(Dial(net.client_ns, net.server, s.port))
    program.wait(lambda: verdicts(program.lines), 10)
    program.settle(0.5)
    program.kill()
    found = read(s, path)
    s.check(any(packet.says("[verdict of connection ") for packet in found), f"{len(found)} packets, none has the verdict")


class Pipe:
    """A named pipe that holds one page, with a reader of its own."""

    def __init__(self, s):
        self.path = s.file("pipe")
        os.mkfifo(self.path)
        # Both ways: it neither waits for a writer nor sees an end before there was one.
        self.descriptor = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self.descriptor, fcntl.F_SETPIPE_SZ, 4096)
        self.data = b""

    def read(self, seconds):
        """What comes within that time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                self.data += os.read(self.descriptor, 1 << 20)
            except BlockingIOError:
                time.sleep(0.01)

    def close(self):
        os.close(self.descriptor)


@program_test()
def reader_of_packets_goes_away(s):
    """As with any pipe that is closed: the end, without an error. Until somebody reads, it waits, and can be ended."""
    net, path = s.pair(), s.file("fifo")
    os.mkfifo(path)
    waiting = s.start("--dport", s.port, "--pcap", path, ready=False)
    waiting.settle(1)
    s.check(waiting.status is None and "tracing" not in waiting.words, f"nobody reads: {waiting.status} {waiting.words}")
    waiting.send(signal.SIGINT)
    waiting.wait_end()
    s.check(waiting.status == -signal.SIGINT, f"after SIGINT {waiting.status}")
    got = []

    def look():
        with open(path, "rb") as file:
            got.append(file.read(64))

    reader = threading.Thread(target=look, daemon=True)
    reader.start()
    program = s.start("--dport", s.port, "--pcap", path)
    reader.join(s.pace.seconds(10))
    s.dial(Dial(net.client_ns, net.server, s.port))
    status = program.wait_end(10)
    s.check(status == 0, f"status {status}, expected 0 by itself: {program.words}")
    s.check(got and got[0][:4] == b"\x0a\x0d\x0d\x0a", f"it began with {got}")


@program_test(needs=("tshark",))
def reader_of_packets_does_not_read(s):
    """Tracing goes on; whole connections are left out and counted, and what was written is good."""
    net, pipe, path = s.pair(), Pipe(s), s.file("read.pcapng")
    program = s.start("--json", "--dport", s.port, "--pcap", pipe.path, "--output-backlog", "64k")
    for _ in range(MANY // 20):
        s.dial(*(Dial(net.client_ns, net.server, s.port) for _ in range(20)))
    program.wait(lambda: len(verdicts(program.lines)) >= MANY, 20)
    s.check(len(verdicts(program.lines)) == MANY, f"{len(verdicts(program.lines))} verdicts of {MANY}")
    pipe.read(s.pace.seconds(1))
    program.send(signal.SIGINT)
    pipe.read(s.pace.seconds(1))
    status = program.wait_end()
    s.check(status == 0, f"status {status}, expected 0: {program.words}")
    pipe.read(0.2)
    pipe.close()
    with open(path, "wb") as file:
        file.write(pipe.data)
    whole = sum(packet.says("[verdict of connection ") for packet in read(s, path))
    said = re.search(r"warning: (\d+) connections of \S+ left out", program.words)
    s.check(said and whole + int(said.group(1)) == MANY, f"{whole} connections in it, of {MANY}; stderr: {program.words}")


@program_test()
def packets_that_are_never_read(s):
    """It ends all the same, and says what was not read."""
    net, pipe = s.pair(), Pipe(s)
    program = s.start("--json", "--dport", s.port, "--pcap", pipe.path, "--output-backlog", "64k")
    s.dial(*(Dial(net.client_ns, net.server, s.port) for _ in range(40)))
    program.wait(lambda: len(verdicts(program.lines)) >= 40, 20)
    status = program.stop()
    pipe.close()
    s.check(status == CANNOT_WRITE, f"status {status}, expected {CANNOT_WRITE}")
    last = program.words.splitlines()[-1]
    s.check(f"{pipe.path} was not read" in last, f"the last line is {last}")


@program_test(needs=("tshark",))
def documented_example(s):
    """What docs/reference.md shows of tshark is what comes of those commands, from the recording that it was made of."""
    with open(os.path.join(ROOT, "docs", "reference.md")) as file:
        section = file.read().split("## Packets for Wireshark\n")[1]
    shown = section.split("```console\n")[1].split("```")[0]
    folder = s.file("example")
    os.mkdir(folder)
    shutil.copy(os.path.join(ROOT, "Tests/HandshakeTests/Recordings", EXAMPLE), os.path.join(folder, "case.ntrace"))
    program = os.path.abspath(s.path_of_program)
    came = ""
    for line in shown.splitlines():
        if line.startswith("$ "):
            command = line[2:].replace("nattrace ", f"{shlex.quote(program)} ", 1) if "nattrace" in line else line[2:]
            run = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True,
                                 env={**os.environ, "LC_ALL": "C.UTF-8"})
            words = [word for word in run.stderr.splitlines(True) if "Running as user" not in word]
            came += f"{line}\n{''.join(words)}{run.stdout}"
    s.check(came == shown, f"the page shows:\n{shown}\nand this came:\n{came}")
