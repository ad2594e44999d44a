"""`nattrace doctor`: it says of this machine what a trace then does, also where it may do little or nothing."""

import os
import subprocess

from harness.invariants import against_schema
from harness.lines import get
from harness.scenario import IN_TURN, program_test
from harness.topology import inside
from harness.tracing import ROOT
from scenarios.exit_statuses import CANNOT_WRITE, NOT_PERMITTED, ended
from scenarios.privileges import NEEDED, as_nobody, useful

CANNOT_TRACE = 69
SCHEMA = os.path.join(ROOT, "docs", "nattrace-doctor.schema.json")


def examined(s, status=0, **options):
    """What `doctor --json` says; checks what holds for each such run."""
    program = s.run("doctor", "--json", **options)
    s.check(program.status == status, f"it ended with {program.status}, expected {status}: {program.words.strip()}")
    s.check(bool(program.words) == bool(status), f"on stderr is {program.words.strip()!r} with status {status}")
    for problem in [*program.problems, *against_schema(program.lines, SCHEMA)]:
        s.check(False, problem)
    if not s.check(len(program.lines) == 1, f"it wrote {len(program.lines)} lines, expected 1"):
        return {}
    found = program.lines[0]
    s.check(get(found, "nattrace.exit.status") == status, f"it says status {get(found, 'nattrace.exit.status')}")
    return found


def hooks_of_a_trace(s, **options):
    """The `nattrace.backend` of a trace in the same place."""
    program = s.start("--json", "--dport", s.port, **options)
    backends = get(program.start, "nattrace.backend") or {}
    s.check(program.stop() == 0, f"the trace ended with {program.status}")
    return backends


def same_hooks(s, **options):
    """Others may load a module meanwhile, and none removes one: what doctor says lies between two traces."""
    before = hooks_of_a_trace(s, **options)
    found = examined(s, **options)
    after = hooks_of_a_trace(s, **options)
    said = get(found, "nattrace.backend") or {}
    s.check(before.items() <= said.items() <= after.items(),
            f"it names {said}, but a trace has {before}, and after it {after}")
    attached = {hook["name"]: hook["backend"] for hook in get(found, "nattrace.hooks") if hook["state"] == "attached"}
    s.check(attached == said, f"its hooks are {attached}, its backends {said}")
    return found


def mounted(*commands):
    """A wrapper: the program sees a file system that these commands have changed for it alone."""
    return ("unshare", "--mount", "sh", "-ec", "; ".join([*commands, 'exec "$@"']), "sh")


@program_test(vm=True)
def doctor_names_the_hooks_of_a_trace(s):
    found = same_hooks(s)
    s.check(get(found, "event.outcome") == "success", f"the outcome is {get(found, 'event.outcome')}")
    s.check(get(found, "host.os.kernel") == os.uname().release, f"the kernel is {get(found, 'host.os.kernel')}")
    s.check(get(found, "nattrace.missing_capabilities") is None, "root lacks a capability")
    s.check(get(found, "nattrace.user_namespace") is None, "it says that it is in a user namespace")
    functions = "kprobe" in get(found, "nattrace.backend").values()
    s.check(get(found, "nattrace.kernel.features.kprobe") == functions,
            f"kprobes: {get(found, 'nattrace.kernel.features.kprobe')}, used: {functions}")
    lacks = [lack["what"] for lack in get(found, "nattrace.lacks") or []]
    s.check(functions != any("kprobes" in what for what in lacks), f"it lacks {lacks}")
    never = {code for verdict in get(found, "nattrace.verdicts") or [] for code in verdict["codes"]
             if any(effect["effect"] == "never" for effect in verdict["effects"])}
    s.check(("conntrack_invalid" in never) != functions, f"never given are {never}")


@program_test(vm=True)
def doctor_answers_in_the_first_line(s):
    program = s.run("doctor")
    text = program.stdout.decode()
    s.check(program.status == 0, f"it ended with {program.status}")
    s.check(not program.words, f"on stderr is {program.words!r}")
    s.check("can trace here: " in text.split("\n")[0], f"the first line is {text.splitlines()[:1]}")
    s.check("\x1b" not in text, "it sends escape sequences to a stdout that is no terminal")
    wide = [line for line in text.splitlines() if len(line) > 80]
    s.check(not wide, f"wider than 80 columns: {wide}")
    known = [hook["name"] for hook in get(examined(s), "nattrace.hooks")]
    absent = [name for name in known if name not in text]
    s.check(known and not absent, f"it does not show {absent}")
    painted = s.run("doctor", "--color", "always").stdout.decode()
    s.check("\x1b[" in painted, "--color always has no colour")


@program_test()
def doctor_without_privilege(s):
    wrapper = as_nobody([])
    found = examined(s, NOT_PERMITTED, path=s.temporary_program(), wrapper=wrapper)
    s.check(get(found, "nattrace.outcome") == "impossible", f"the outcome is {get(found, 'nattrace.outcome')}")
    lacking = [entry["name"] for entry in get(found, "nattrace.missing_capabilities")]
    s.check(set(lacking) == {f"CAP_{name.upper()}" for name in useful()}, f"it says that it lacks {lacking}")
    s.check(lacking[:2] == ["CAP_BPF", "CAP_PERFMON"], f"the first that it lacks are {lacking[:2]}")
    s.check(get(found, "nattrace.kernel.features.btf") is True, "everybody may see that there is BTF")
    states = {hook["state"] for hook in get(found, "nattrace.hooks")}
    s.check(states == {"untried"}, f"hooks are {states}")
    program = s.run("doctor", path=s.temporary_program(), wrapper=wrapper)
    ended(s, program, NOT_PERMITTED, ["CAP_BPF", "CAP_PERFMON"])
    s.check(b"cannot trace here: it needs CAP_BPF and CAP_PERFMON, " in program.stdout.split(b"\n")[0],
            f"stdout begins with {program.stdout[:80]!r}")


@program_test()
def doctor_in_a_user_namespace(s):
    """All capabilities, and bpf(2) is refused: what could not be tried is not called absent."""
    found = examined(s, NOT_PERMITTED, wrapper=("unshare", "--user", "--map-root-user"))
    s.check(get(found, "nattrace.missing_capabilities") is None, "it lacks a capability, and has all in its namespace")
    s.check(get(found, "nattrace.user_namespace") is True, "it does not say that it is in a user namespace")
    s.check("user namespace" in get(found, "nattrace.exit.reason"), f"it says {get(found, 'nattrace.exit.reason')}")
    features = get(found, "nattrace.kernel.features")
    has_kprobes = os.path.exists("/sys/bus/event_source/devices/kprobe/type")
    s.check("fentry" not in features and features.get("kprobe", True) == has_kprobes, f"features are {features}")


@program_test(vm=True)
def doctor_with_what_tracing_needs(s):
    """CAP_BPF and CAP_PERFMON alone: what a trace with them has, and what the others would give."""
    found = same_hooks(s, path=s.temporary_program(), wrapper=as_nobody(NEEDED))
    lacking = {entry["name"] for entry in get(found, "nattrace.missing_capabilities")}
    wanted = {f"CAP_{name.upper()}" for name in useful() if name not in NEEDED}
    s.check(lacking == wanted, f"it lacks {lacking}, expected {wanted}")
    s.check(get(found, "nattrace.netns.others") is False, "it can enter other namespaces")
    s.check(get(found, "nattrace.rule_tracing") == "unknown", f"rules are {get(found, 'nattrace.rule_tracing')}")
    never = [code for verdict in get(found, "nattrace.verdicts") for code in verdict["codes"]
             if any(effect["effect"] == "never" for effect in verdict["effects"])]
    s.check("listener_other_netns" in never, f"never given are {never}")


@program_test(dialects=("nft", "iptables", "iptables-legacy"), vm=IN_TURN)
def doctor_tells_what_is_in_use(s):
    """Rules and translation of the namespace that it runs in, which it leaves as they are."""
    net = s.pair()
    s.rules.dnat(net.server_ns, (net.server, s.port), (net.inner, s.app_port))
    before = inside(net.server_ns, ["nft", "-a", "list", "ruleset"])
    found = examined(s, wrapper=("nsenter", f"--net=/run/netns/{net.server_ns}"))
    s.check(inside(net.server_ns, ["nft", "-a", "list", "ruleset"]) == before, "the ruleset is another one after it")
    rules = get(found, "nattrace.netns.rules")
    legacy = s.rules.dialect == "iptables-legacy"
    s.check(rules.get("nat") is True and rules["count"] >= 1, f"rules are {rules}, expected NAT")
    s.check((rules["nftables"], rules["iptables_legacy"]) == (not legacy, legacy), f"rules are {rules}")
    inode = os.stat(f"/run/netns/{net.server_ns}").st_ino
    s.check(get(found, "nattrace.netns.inode") == inode, f"it is in {get(found, 'nattrace.netns.inode')}, not {inode}")
    s.check(get(found, "nattrace.netns.conntrack.max") > 0, "conntrack is in use, and it does not say so")
    elsewhere = examined(s, wrapper=("nsenter", f"--net=/run/netns/{net.client_ns}"))
    s.check(get(elsewhere, "nattrace.netns.rules.count") == 0, "there are no rules in the client's namespace")


@program_test()
def doctor_misses_a_tool(s):
    """Without nft there is one thing more that is missing, and what to install."""
    net = s.pair()
    s.rules.drop(net.server_ns, (net.inner, s.app_port))
    tools = [f"{folder}/nft" for folder in ("/usr/sbin", "/sbin", "/usr/bin", "/bin")
             if os.path.exists(f"{folder}/nft")]
    hide = mounted(*(f"mount --bind /dev/null {os.path.realpath(path)}" for path in tools[:1]))
    found = examined(s, wrapper=("nsenter", f"--net=/run/netns/{net.server_ns}", *hide))
    lacks = [lack for lack in get(found, "nattrace.lacks") or [] if lack.get("why") == "nft is not installed"]
    s.check(len(lacks) == 1 and lacks[0]["advice"] == ["install nftables"], f"it lacks {get(found, 'nattrace.lacks')}")
    paths = {tool["name"]: tool.get("path") for tool in get(found, "nattrace.tools")}
    s.check(paths["nft"] is None and paths["iptables-legacy-save"], f"tools are {paths}")
    suffering = [code for verdict in get(found, "nattrace.verdicts") for code in verdict["codes"]]
    s.check("stale_conntrack" in suffering, f"less is said by {suffering}")


@program_test(variants={
    "no-btf": (["mount -t tmpfs none /sys/kernel/btf"], "BTF"),
    "lockdown": (["mount -t tmpfs none /sys/kernel/security",
                  "echo 'none integrity [confidentiality]' >/sys/kernel/security/lockdown"], "confidentiality"),
})
def doctor_of_a_kernel_that_cannot_be_traced(s):
    commands, named = s.variant
    found = examined(s, CANNOT_TRACE, wrapper=mounted(*commands))
    s.check(get(found, "event.outcome") == "failure", f"the outcome is {get(found, 'event.outcome')}")
    s.check(bool(get(found, "nattrace.exit.advice")), "it does not say what to do")
    s.check(get(found, "nattrace.netns.rules") is not None, "the rest is not told")
    program = s.run("doctor", wrapper=mounted(*commands))
    ended(s, program, CANNOT_TRACE, [named])
    s.check(b"cannot trace here" in program.stdout.split(b"\n")[0], f"stdout begins with {program.stdout[:80]!r}")


@program_test()
def doctor_with_a_full_disk(s):
    with open("/dev/full", "wb") as full:
        program = s.run("doctor", "--json", stdout=full)
    ended(s, program, CANNOT_WRITE, ["standard output"])


@program_test(needs=("late-modules",), vm=True)
def doctor_loads_no_module(s):
    """Where no rule was ever made, most of netfilter is not loaded, and no question loads it."""
    def loaded():
        with open("/proc/modules") as file:
            return sorted(line.split()[0] for line in file)
    before = loaded()
    found = examined(s)
    s.check(loaded() == before, f"loaded meanwhile: {set(loaded()) ^ set(before)}")
    waiting = {hook["module"] for hook in get(found, "nattrace.hooks") if hook["state"] == "waiting"}
    s.check("nf_nat" in waiting and not waiting & set(before), f"it waits for {waiting}")
