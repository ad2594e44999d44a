"""Start and end: signals, closed pipes, --count and --duration, and nothing left in the kernel."""

import signal
import socket
import time

from harness import features, invariants, leftovers
from harness.client import Dial
from harness.expect import Step, Verdict
from harness.lines import dataset, get
from harness.scenario import IN_TURN, program_test, scenario
from harness.topology import inside
from scenarios.exit_statuses import NOBODY


def verdicts(program):
    return [line for line in program.lines if dataset(line) == "nattrace.verdict"]


def refusing_pair(s):
    """A pair whose server refuses the dialled port."""
    net = s.pair()
    return net, [Dial(net.client_ns, net.server, s.port)]


@program_test(variants={"sigint": signal.SIGINT, "sigterm": signal.SIGTERM}, vm=("sigterm",))
def ends_by_signal(s):
    """Status 0, the stop line is out, and nothing that was captured is lost."""
    net, dials = refusing_pair(s)
    program = s.start("--json", "--dport", s.port)
    held = leftovers.held_by(program.pid)
    s.check(held["prog"] and held["map"], f"while tracing it holds {held}")
    s.dial(*dials)
    program.wait(lambda: verdicts(program), 10)
    status = program.stop(s.variant)
    s.check(status == 0, f"status {status}, expected 0")
    for text in [*program.problems, *invariants.check(program.lines)]:
        s.check(False, text)
    s.check(len(verdicts(program)) == 1, f"{len(verdicts(program))} verdicts, expected 1")
    gone(s, held)


@program_test(variants={"sigint": signal.SIGINT, "sigterm": signal.SIGTERM})
def signal_while_a_connection_is_in_flight(s):
    """It gets the verdict that its evidence supports so far, before the stop line."""
    net = s.gateway()
    s.rules.drop(net.backend_ns[0], (None, s.app_port))
    program = s.start("--json", "--dport", s.app_port, "--netns", net.gateway_ns, "--unanswered-after", "60s")
    s.dial(Dial(net.client_ns, net.backends[0], s.app_port, patience=30), wait=False)
    program.settle(1)
    status = program.stop(s.variant)
    s.check(status == 0, f"status {status}, expected 0")
    came = [(get(line, "nattrace.verdict"), get(line, "event.outcome")) for line in verdicts(program)]
    s.check(came in ([("syn_unanswered", "failure")], [("syn_unanswered", "unknown")], [("unexplained", "unknown")]),
            f"verdicts {came}, expected one that claims no more than that nothing has come yet")
    for text in [*program.problems, *invariants.check(program.lines)]:
        s.check(False, text)


@program_test(vm=True)
def killed_leaves_nothing(s):
    """SIGKILL: no program, map, link or pin stays behind."""
    pins = leftovers.pins()
    program = s.start("--json", "--dport", s.port)
    held = leftovers.held_by(program.pid)
    s.check(held["prog"] and held["map"], f"while tracing it holds {held}")
    s.check(leftovers.pins() == pins, f"it pins {leftovers.pins() - pins}")
    program.kill()
    gone(s, held)
    s.check(leftovers.pins() == pins, f"pins are left: {leftovers.pins() - pins}")


def gone(s, held):
    """The kernel frees what nobody holds a moment later."""
    deadline = s.pace.deadline(5)
    while leftovers.remaining(held) and time.monotonic() < deadline:
        time.sleep(0.1)
    s.check(not leftovers.remaining(held), f"left in the kernel: {leftovers.remaining(held)}")


@program_test()
def closed_pipe(s):
    """The reader goes away (`| head -1`): the end, with status 0 and no complaint."""
    net, dials = refusing_pair(s)
    program = s.start("--json", "--dport", s.port)
    program.close_stdout()
    s.dial(*dials)
    status = program.wait_end()
    s.check(status == 0, f"status {status}, expected 0 by itself")
    s.check("error" not in program.words.lower() and "pipe" not in program.words.lower(),
            f"it complains: {program.words!r}")


@program_test()
def count(s):
    """--count 2 of three connections: two verdicts, then the end."""
    net, _ = refusing_pair(s)
    program = s.start("--json", "--dport", s.port, "--count", 2)
    for _ in range(3):
        s.dial(Dial(net.client_ns, net.server, s.port))
    status = program.wait_end()
    s.check(status == 0, f"status {status}, expected 0 by itself")
    s.check(len(verdicts(program)) == 2, f"{len(verdicts(program))} verdicts, expected 2")
    s.check(bool(program.lines) and dataset(program.lines[-1]) == "nattrace.stop", "the stop line is not last")


@program_test()
def duration(s):
    begin = time.monotonic()
    program = s.start("--json", "--dport", s.port, "--duration", "1s")
    ready = time.monotonic()
    status = program.wait_end()
    end = time.monotonic()
    s.check(status == 0, f"status {status}, expected 0 by itself")
    s.check(end - begin >= 1 and end - ready <= s.pace.seconds(3), f"ended {end - ready:.1f} s after it was ready")
    for text in [*program.problems, *invariants.check(program.lines)]:
        s.check(False, text)


@program_test()
def stdout_carries_data_only(s):
    """Without a connection the terminal's view has nothing to say on stdout; status and summary go to stderr."""
    program = s.run("--dport", s.port, "--duration", "1s")
    s.check(program.status == 0, f"status {program.status}")
    s.check(not program.stdout, f"stdout has {program.stdout[:200]!r}")
    s.check("tracing" in program.words, f"no `tracing` on stderr: {program.words!r}")


@program_test()
def terminal_view_in_a_pipe(s):
    """A refused connection, without colour, with the verdict and both ends; a process name cannot inject."""
    net = s.pair()
    s.rules.dnat(net.server_ns, (net.public, s.port), (net.inner, s.app_port))
    s.listen(net.server_ns, net.other, name="app\x1b[31m\n")
    program = s.start("--dport", s.port)
    s.dial(Dial(net.client_ns, net.public, s.port))
    program.wait(lambda: b"listener_other_address" in program.stdout, 10)
    s.check(program.stop() == 0, f"status {program.status}")
    text = program.stdout.decode()
    for part in ("listener_other_address", net.public, net.inner, net.other):
        s.check(part in text, f"the view does not show {part}")
    s.check("\x1b" not in text, "escape sequences in a pipe")


@program_test()
def missing_is_told(s):
    """On a kernel without function hooks the start line names what could not be attached, and what is lost by it."""
    program = s.start("--json", "--dport", s.port)
    program.stop()
    missing = get(program.start or {}, "nattrace.missing")
    if "tracepoint" in (get(program.start or {}, "nattrace.backend") or {}).values() and not s.has("functions"):
        s.check(bool(missing), "nattrace.missing is absent although this kernel has no function hooks")
    s.check(missing is None or len(missing) > 0, "nattrace.missing is empty, not absent")


@program_test()
def two_at_once(s):
    """Two tracers do not disturb each other: both see the connection."""
    net, dials = refusing_pair(s)
    programs = [s.start("--json", "--dport", s.port) for _ in range(2)]
    s.dial(*dials)
    for program in programs:
        program.wait(lambda: verdicts(program), 10)
        s.check(program.stop() == 0, f"status {program.status}")
        s.check([get(line, "nattrace.verdict") for line in verdicts(program)] == ["no_listener"],
                f"verdicts {[get(line, 'nattrace.verdict') for line in verdicts(program)]}")


@program_test(vm=True)
def with_two_capabilities(s):
    """Enough to trace. The kernel names its functions to them, which /proc/kallsyms does not."""
    few = "-all,+bpf,+perfmon"
    net, dials = refusing_pair(s)
    program = s.start("--json", "--dport", s.port, path=s.temporary_program(),
                      wrapper=(*NOBODY, f"--inh-caps={few}", f"--ambient-caps={few}"))
    s.dial(*dials)
    program.wait(lambda: verdicts(program), 10)
    status = program.stop()
    s.check(status == 0, f"status {status}, expected 0")
    drops = [get(line, "nattrace.function") for line in program.lines if get(line, "event.action") == "drop"]
    expected = "skb:kfree_skb" if s.lacks("function-names") else "tcp_v4_rcv"
    s.check(set(drops) == {expected}, f"dropped in {drops}, expected {expected}")


@program_test()
def told_to_the_service_manager(s):
    """READY=1 arrives at NOTIFY_SOCKET."""
    path = s.file("notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(path)
        manager.settimeout(s.pace.seconds(5))
        program = s.start("--json", "--dport", s.port, wrapper=("env", f"NOTIFY_SOCKET={path}"))
        try:
            said = manager.recv(4096)
        except TimeoutError:
            said = b""
        s.check(b"READY=1" in said.splitlines(), f"the service manager was told {said!r}")
        program.stop()


def watching(program, hook, backend, times=1):
    """Whether the program says that it attached this hook later, so often by now."""
    return program.words.count(f"now also watching {hook} ({backend})") >= times


def nat_seen(s, net, program, number):
    """Which backend saw the decision of NAT on one more connection, the program's number-th."""
    s.dial(Dial(net.client_ns, net.public, s.port))
    program.wait(lambda: len(verdicts(program)) >= number, 10)
    return [get(line, "nattrace.backend") for line in program.lines
            if get(line, "nattrace.function") == "nf_nat_setup_info"]


@program_test(needs=("fentry", "late-modules"), vm=True)
def nat_module_loaded_later_by_fentry(s):
    """fentry programs for the module's functions are loaded when it is, and hold on to it until the program ends. Where
    modules have no BTF there are none, which is said once."""
    hooked = not s.lacks("module-types")
    net = s.pair()
    program = s.start("--json", "--dport", s.port, "--netns", net.server_ns, "--backend", "fentry")
    s.rules.dnat(net.server_ns, (net.public, s.port), (net.inner, s.app_port))
    program.wait(lambda: watching(program, "nf_nat_manip_pkt", "fentry") or "cannot watch nf_nat" in program.words, 20)
    seen = nat_seen(s, net, program, 1)
    s.check(seen == ["fentry"] * hooked, f"NAT's decision was seen by {seen}, expected {'fentry' if hooked else 'none'}")
    said = program.words.count("cannot watch nf_nat_setup_info")
    s.check(said == (not hooked), f"that nf_nat_setup_info cannot be watched was said {said} times")
    inside(net.server_ns, ["nft", "flush", "ruleset"])
    s.check(features.unload_nat() != hooked, f"nf_nat could {'' if hooked else 'not '}be removed, hooked by fentry or not")
    s.check(program.stop() == 0, f"status {program.status}")
    s.check(features.unload_nat(), "nf_nat cannot be removed although the program has ended")


@program_test(needs=("kprobes", "late-modules"), vm=True)
def nat_module_goes_and_comes_back(s):
    """Kprobes let it go, and are attached again when it is back."""
    net = s.pair()
    program = s.start("--json", "--dport", s.port, "--netns", net.server_ns, "--backend", "kprobe")
    for number in (1, 2):
        s.rules.dnat(net.server_ns, (net.public, s.port), (net.inner, s.app_port))
        program.wait(lambda: watching(program, "nf_nat_manip_pkt", "kprobe", number), 20)
        seen = nat_seen(s, net, program, number)
        s.check(seen == ["kprobe"] * number, f"NAT's decision was seen by {seen}, expected kprobe, {number} times")
        inside(net.server_ns, ["nft", "flush", "ruleset"])
        s.check(features.unload_nat(), "nf_nat cannot be removed although it is hooked by kprobe")
    s.check(program.stop() == 0, f"status {program.status}")


@scenario(needs=("functions", "late-modules"), vm=IN_TURN)
def nat_module_loaded_later(s):
    """The first NAT rule comes, and with it nf_nat, after the tracer is ready: its hooks attach then."""
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.trace("--dport", s.port, "--netns", net.server_ns)

    def unloaded():
        if not s.client_only and not features.nat_is_unloaded():
            raise RuntimeError("nf_nat is loaded already: this scenario would prove nothing")

    s.once_tracing("see that nf_nat is not loaded", unloaded)
    s.once_tracing("add the first NAT rule", lambda: s.rules.dnat(net.server_ns, dialled, translated))
    s.once_tracing("let the tracer attach", lambda: time.sleep(s.pace.seconds(1)))
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, steps=(
            Step("syn", destination=dialled), Step("nat.dnat", nattrace__backend=frozenset({"kprobe", "fentry"})),
            "reset", "nat.reverse")))
