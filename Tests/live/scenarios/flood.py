"""A flood of SYNs from addresses that nobody has: memory stays bounded, the counts add up, and what is told is right."""

from harness import flood, invariants
from harness.client import Dial
from harness.lines import connections, dataset, get
from harness.program import READY
from harness.scenario import program_test

# KiB that the program may have at most, its ring buffer included.
MEMORY = 100 << 10
UNDER_LOAD = "handshakes not followed under load"


@program_test(variants={"roomy": (), "tight": ("--buffer", "64k", "--max-connections", "1024")}, vm=("tight",))
def syn_flood(s):
    """Filter matching. With little room, most of it is not followed, which is counted to the last observation."""
    net = s.pair()
    s.listen(net.server_ns, net.server, s.port, backlog=64)
    # Into a file: who reads from a pipe here is slower than a flood.
    with open(s.file("lines"), "wb") as stdout:
        program = s.start("--json", "--dport", s.port, "--dport", s.other_port, "--netns", net.server_ns, *s.variant,
                          ready=False, stdout=stdout)
    s.check(program.wait(lambda: "tracing" in program.words, READY), f"not ready in time: {program.words!r}")
    sender = flood.Flood(net, s.family, s.port, s.mac(net.server_ns, "eth0"), s.pace)
    refused = [Dial(net.client_ns, net.server, s.other_port) for _ in range(5)]
    try:
        sender.wait_ready()
        for dial in refused:
            s.dial(dial)
            program.settle(0.05)
        sent = sender.wait_sent()
    finally:
        sender.stop()
    # The refused ones had time to be judged.
    program.settle(1)
    memory = peak(program.pid)
    status = program.stop()
    s.check(status == 0, f"status {status}, expected 0: {program.words!r}")
    program.read(s.file("lines"))
    for text in [*program.problems, *invariants.check(program.lines, loss_allowed=True)]:
        s.check(False, text)
    s.check(sent == sender.number, f"{sent} SYNs were sent of {sender.number}")
    s.check(memory <= MEMORY, f"it took {memory} KiB at its peak, expected {MEMORY} at most")
    stop = program.lines[-1]
    made, came = get(stop, "nattrace.observations"), get(stop, "nattrace.events")
    s.check(made is not None and made >= sent, f"{made} observations of {sent} SYNs")
    lost = {get(line, "nattrace.lost.reason") for line in program.lines if dataset(line) == "nattrace.loss"}
    if s.variant:
        s.check(UNDER_LOAD in lost and came < made,
                f"lost were {lost}, {came} of {made} came, although there was no room for them")
    told_right(s, program, net, refused, may_lack=bool(lost))


def told_right(s, program, net, refused, may_lack):
    """Nobody answers the flood's SYN-ACKs, and each of those that were refused was refused by the same socket look-up."""
    own = [connection for connection in connections(program.lines) if connection.key[3] == s.other_port]
    codes = [connection.codes for connection in own]
    s.check(all(code == ["no_listener"] for code in codes) and len(own) <= len(refused),
            f"the refused ones got {codes}")
    s.check(may_lack or len(own) == len(refused), f"{len(own)} of {len(refused)} refused ones were told")
    others = {code for connection in connections(program.lines) if connection.key[3] == s.port
              for code in connection.codes}
    s.check(others <= {"synack_unanswered", "syn_unanswered", "accept_queue_full", "unexplained"},
            f"the flood was called {others}")


def peak(pid):
    """KiB resident at most so far."""
    with open(f"/proc/{pid}/status") as file:
        return next(int(line.split()[1]) for line in file if line.startswith("VmHWM:"))
