"""Recordings: replayed the same each time. Damaged ones are explained up to the damage, then comes one clear error."""

import os
import shutil
import signal
import threading

from harness import invariants
from harness.client import Dial
from harness.lines import dataset, get
from harness.scenario import program_test

DAMAGED, NO_INPUT = 65, 66


def recorded(s):
    """A recording of two connections, a refused and an established one, and the steps of its whole replay."""
    net = s.pair()
    s.listen(net.server_ns, net.server)
    path = s.file("recording")
    program = s.start("--json", "--dport", f"{s.port}-{s.app_port}", "--record", path)
    s.dial(Dial(net.client_ns, net.server, s.port), Dial(net.client_ns, net.server, s.app_port))
    program.wait(lambda: sum(dataset(line) == "nattrace.verdict" for line in program.lines) >= 2, 10)
    s.check(program.stop() == 0, f"the live run ended with {program.status}")
    whole = s.run("replay", path, "--json")
    s.check(whole.status == 0, f"the replay of the whole file ended with {whole.status}")
    with open(path, "rb") as file:
        data = file.read()
    if len(steps(whole.lines)) < 5:
        raise RuntimeError(f"the recording holds only {len(steps(whole.lines))} steps")
    return data, steps(whole.lines)


def steps(lines):
    return [line for line in lines if dataset(line) == "nattrace.step"]


def replay_damaged(s, name, data, whole):
    """Status 65, one error line that names the file, and steps that are a beginning of the whole ones."""
    path = s.file(name)
    with open(path, "wb") as file:
        file.write(data)
    program = s.run("replay", path, "--json")
    words = program.words.strip().splitlines()
    s.check(program.status == DAMAGED, f"{name}: status {program.status}, expected {DAMAGED}")
    s.check(sum(path in line for line in words) == 1, f"{name}: not one line names the file: {words}")
    s.check(not program.problems, f"{name}: {program.problems}")
    came = steps(program.lines)
    s.check(came == whole[:len(came)], f"{name}: {len(came)} steps that are not the beginning of the whole")
    return came, program.lines


@program_test()
def truncated(s):
    data, whole = recorded(s)
    counts = []
    for part in (0, 1, len(data) // 4, len(data) // 2, len(data) * 3 // 4, len(data) - 1):
        came, lines = replay_damaged(s, f"truncated-to-{part}", data[:part], whole)
        counts.append(len(came))
        if came:
            for text in invariants.check(lines, whole=False):
                s.check(False, f"truncated to {part} of {len(data)} bytes: {text}")
    s.check(counts == sorted(counts) and counts[-1] > 0, f"a longer part gives fewer steps, or none at all: {counts}")


@program_test()
def flipped_bit(s):
    """One flipped bit anywhere is noticed: the header, the middle, the end."""
    data, whole = recorded(s)
    for place in (0, 5, 9, len(data) // 3, len(data) // 2, len(data) * 2 // 3, len(data) - 2):
        damaged = bytearray(data)
        damaged[place] ^= 0x10
        replay_damaged(s, f"flipped-at-{place}", bytes(damaged), whole)


@program_test()
def not_a_recording(s):
    for name, data in (("text", b"this is not a recording\n" * 100), ("zeros", bytes(4096))):
        came, _ = replay_damaged(s, name, data, [])
        s.check(not came, f"{name}: steps came out of it")


@program_test()
def one_namespace_by_name(s):
    """--netns NAME means the namespace that had the name when it was recorded, also when it is gone."""
    net = s.pair()
    path = s.file("recording")
    program = s.start("--json", "--dport", s.port, "--record", path)
    s.dial(Dial(net.client_ns, net.server, s.port))
    program.wait(lambda: any(dataset(line) == "nattrace.verdict" for line in program.lines), 10)
    s.check(program.stop() == 0, f"the live run ended with {program.status}")
    inodes = {get(line, "nattrace.netns.name"): get(line, "nattrace.netns.inode") for line in steps(program.lines)}
    name = net.server_ns
    s.check(set(inodes) == {net.client_ns, name}, f"steps in {inodes}, expected two namespaces")
    by_name, by_number = (s.run("replay", path, "--json", "--netns", netns) for netns in (name, inodes.get(name)))
    s.check(by_name.status == 0, f"status {by_name.status}: {by_name.words!r}")
    came = steps(by_name.lines)
    s.check(came and {get(line, "nattrace.netns.name") for line in came} == {name}, f"not only steps in {name}")
    s.check(came == steps(by_number.lines), "its name and its number give different steps")
    unknown = s.run("replay", path, "--netns", "no-such-name")
    s.check(unknown.status == NO_INPUT and name in unknown.words, f"status {unknown.status}: {unknown.words!r}")


@program_test()
def two_replays_are_the_same(s):
    """And the terminal's view of a recording is the same each time, too, without colour in a pipe."""
    data, _ = recorded(s)
    path = s.file("again")
    with open(path, "wb") as file:
        file.write(data)
    for arguments in (["--json"], []):
        one, two = (s.run("replay", path, *arguments).stdout for _ in range(2))
        if arguments:
            one, two = (b"\n".join(out.splitlines()[1:-1]) for out in (one, two))  # start and stop tell their time
        s.check(one and one == two, f"two replays {arguments} differ, or are empty")
        s.check(b"\x1b" not in one, "escape sequences in a pipe")


@program_test()
def recording_into_a_pipe(s):
    """Until somebody reads, it waits, and can be ended. What comes out is a recording."""
    net, pipe, path = s.pair(), s.file("pipe"), s.file("read")
    os.mkfifo(pipe)
    waiting = s.start("--json", "--dport", s.port, "--record", pipe, ready=False)
    waiting.settle(1)
    s.check(waiting.status is None and not waiting.lines, f"nobody reads: {waiting.status} {waiting.words}")
    waiting.send(signal.SIGINT)
    waiting.wait_end()
    s.check(waiting.status == -signal.SIGINT, f"after SIGINT {waiting.status}")

    def copy():
        with open(pipe, "rb") as source, open(path, "wb") as target:
            shutil.copyfileobj(source, target)

    reader = threading.Thread(target=copy, daemon=True)
    reader.start()
    program = s.start("--json", "--dport", s.port, "--record", pipe)
    s.dial(Dial(net.client_ns, net.server, s.port))
    program.wait(lambda: any(dataset(line) == "nattrace.verdict" for line in program.lines), 10)
    s.check(program.stop() == 0, f"status {program.status}, expected 0: {program.words}")
    reader.join(s.pace.seconds(10))
    replay = s.run("replay", path, "--json")
    s.check(replay.status == 0 and steps(replay.lines) == steps(program.lines), f"the replay: {replay.status}")
