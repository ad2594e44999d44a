"""Capabilities: what tracing needs, what each of the others is for, and what the program keeps of them."""

import os
import subprocess

from harness import abilities
from harness.client import Dial
from harness.lines import dataset, get
from harness.scenario import IN_TURN, program_test
from scenarios.exit_statuses import NOT_PERMITTED, ended

# Numbers of linux/capability.h.
NUMBERS = {"dac_read_search": 2, "net_admin": 12, "net_raw": 13, "sys_ptrace": 19, "sys_admin": 21, "syslog": 34,
           "perfmon": 38, "bpf": 39}
NEEDED = ("bpf", "perfmon")
FOR_TOOLS = {"net_admin", "net_raw", "dac_read_search"}


def useful():
    """All, but CAP_SYSLOG where the kernel (5.14) runs programs that ask it for the names of functions."""
    return set(NUMBERS) - (set() if "function-names" in abilities.lacking() else {"syslog"})


def as_nobody(capabilities, netns=None):
    """A wrapper: a user without any rights has just these capabilities, in that namespace."""
    enter = ("nsenter", f"--net=/run/netns/{netns}") if netns else ()
    sets = ",".join(["-all", *(f"+{name}" for name in capabilities)])
    return (*enter, "setpriv", "--reuid=65534", "--regid=65534", "--clear-groups",
            f"--inh-caps={sets}", f"--ambient-caps={sets}")


def kept(s, pid):
    """The sets of each thread, by the names of /proc/PID/status."""
    threads = []
    for thread in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{thread}/status") as file:
            threads.append(dict(line.split(":\t", 1) for line in file.read().splitlines()))
    s.check(threads, "there is no thread")
    return threads


def named(text):
    """The names of a set; a number without one stands for itself."""
    bits = int(text, 16)
    names = {number: name for name, number in NUMBERS.items()}
    return {names.get(number, number) for number in range(64) if bits >> number & 1}


def verdicts(program):
    return [line for line in program.lines if dataset(line) == "nattrace.verdict"]


def explained(s, dial, capabilities, netns=None):
    """What the program says of one connection when it has just these capabilities."""
    program = s.start("--json", "--dport", dial.port, path=s.temporary_program(),
                      wrapper=as_nobody(capabilities, netns))
    dial = Dial(dial.netns, dial.address, dial.port, patience=dial.patience)
    s.dial(dial, wait=False)

    def own():
        # The client of the run before may still try.
        return [line for line in verdicts(program) if get(line, "source.port") == dial.key[1]]

    program.wait(own, 10)
    s.check(program.stop() == 0, f"with {capabilities}: status {program.status}: {program.words.strip()}")
    for text in program.problems:
        s.check(False, text)
    found = own()
    if s.check(len(found) == 1, f"with {capabilities}: {len(found)} verdicts, expected 1"):
        return found[0], program.words
    return {}, program.words


@program_test(families=(4, 6), vm=IN_TURN)
def only_what_tracing_needs(s):
    """In its own namespace that is enough to find the listener, and its owner is nobody's business."""
    net = s.pair()
    s.listen(net.server_ns, net.other)
    verdict, words = explained(s, Dial(net.client_ns, net.inner, s.app_port), NEEDED, net.server_ns)
    s.check(code(verdict) == "listener_other_address", f"it is {code(verdict)}, expected listener_other_address")
    s.check(owner(verdict) is None, f"it names {owner(verdict)}")
    absent = [f"CAP_{name.upper()}" for name in useful() if name not in NEEDED]
    lines = [line for line in words.splitlines() if all(name in line for name in absent)]
    s.check(len(lines) == 1 and ("CAP_SYSLOG" in lines[0]) == ("syslog" in useful()), f"not one line that names {absent}: {words!r}")


@program_test(variants={name: name for name in NEEDED})
def without_a_needed_one(s):
    others = [name for name in NUMBERS if name not in (s.variant, "sys_admin")]
    program = s.run("--json", "--dport", s.port, path=s.temporary_program(), wrapper=as_nobody(others))
    ended(s, program, NOT_PERMITTED, [f"CAP_{s.variant.upper()}"])
    s.check(not program.stdout, f"stdout has {program.stdout[:80]!r}")


# What each of the others is for: with all of them the verdict is as particular as root's, without it more general.
# A case sets something up that fails, and returns what is dialled, and the namespace that the program runs in, if any.

def listener_of_root(s):
    net = s.pair()
    s.listen(net.server_ns, net.other)
    return Dial(net.client_ns, net.inner, s.app_port), net.server_ns


def listener_elsewhere(s):
    return listener_of_root(s)[0], None


def dropped(s):
    net = s.pair()
    s.rules.drop(net.server_ns, (net.inner, s.app_port))
    return Dial(net.client_ns, net.inner, s.app_port, patience=2), net.server_ns


def code(verdict):
    return get(verdict, "nattrace.verdict")


def owner(verdict):
    return get(verdict, "process.name")


def has_rule(verdict):
    return bool(get(verdict, "rule.id"))


# The capability, the case, what is looked at, and what that is with and without it.
ONE_LESS = {
    "sys-admin": ("sys_admin", listener_elsewhere, code, "listener_other_address", "no_listener"),
    "sys-ptrace": ("sys_ptrace", listener_of_root, owner, "app-inner", None),
    "dac-read-search": ("dac_read_search", listener_of_root, owner, "app-inner", None),
    "net-admin": ("net_admin", dropped, has_rule, True, False),
}
ONE_LESS_FOR_LEGACY = {
    "dac-read-search": ("dac_read_search", dropped, code, "filter_dropped", "dropped"),
    "net-raw": ("net_raw", dropped, code, "filter_dropped", "dropped"),
}


def one_less(s):
    capability, case, look, with_it, without_it = s.variant
    dial, netns = case(s)
    verdict, words = explained(s, dial, NUMBERS, netns)
    came = look(verdict)
    s.check(came == with_it, f"with {capability} it is {came}, expected {with_it}")
    s.check("CAP_" not in words, f"it lacks a capability: {words!r}")
    verdict, words = explained(s, dial, [name for name in NUMBERS if name != capability], netns)
    came = look(verdict)
    s.check(came == without_it, f"without {capability} it is {came}, expected {without_it}")
    s.check(f"CAP_{capability.upper()}" in words, f"it does not say what it lacks: {words!r}")


@program_test(variants=ONE_LESS, vm=("sys-admin",))
def one_less_is_more_general(s):
    one_less(s)


@program_test(dialects=("iptables-legacy",), variants=ONE_LESS_FOR_LEGACY)
def one_less_for_rules_of_iptables_legacy(s):
    one_less(s)


@program_test(variants={"root": True, "nobody": False}, vm=("root",))
def gives_up_what_it_needs_no_more(s):
    """Once it traces, no thread has more than later questions and late modules need, nor can it get it back."""
    given = [*NUMBERS, "chown", "sys_module", "setpcap"]
    wrapper = () if s.variant else as_nobody(given)
    program = s.start("--json", "--dport", s.port, path=s.temporary_program(), wrapper=wrapper)
    may_come_late = os.path.exists("/proc/modules")
    wanted = useful() - (set() if may_come_late else {"perfmon"})
    for thread in kept(s, program.pid):
        sets = {name: named(thread[name]) for name in ("CapEff", "CapPrm", "CapBnd", "CapInh", "CapAmb")}
        for name, expected in (("CapEff", wanted), ("CapPrm", wanted), ("CapBnd", wanted),
                               ("CapInh", FOR_TOOLS), ("CapAmb", FOR_TOOLS)):
            s.check(sets[name] == expected, f"{name} is {sorted(map(str, sets[name]))}, expected {sorted(expected)}")
        s.check(thread["NoNewPrivs"] == "1", "no_new_privs is not set")
    s.check(program.stop() == 0, f"status {program.status}")


@program_test()
def capabilities_of_the_file(s):
    """As setcap(8) gives them: enough for rules too, whose tools run with what they need of it."""
    program = s.temporary_program()
    names = ",".join(f"cap_{name}" for name in NUMBERS)
    subprocess.run(["setcap", f"{names}=ep", program], check=True)
    net = s.pair()
    s.rules.drop(net.server_ns, (net.inner, s.app_port))
    run = s.start("--json", "--dport", s.app_port, path=program,
                  wrapper=("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups"))
    s.dial(Dial(net.client_ns, net.inner, s.app_port, patience=2), wait=False)
    run.wait(lambda: verdicts(run), 10)
    s.check(run.stop() == 0, f"status {run.status}: {run.words.strip()}")
    found = [(code(line), has_rule(line)) for line in verdicts(run)]
    s.check(found == [("filter_dropped", True)], f"it says {found}, expected filter_dropped with its rule")
