"""What of the documentation is run in another form than the page has it, and why. This is the whole list: a command
that is not in it runs as it stands, and its output is compared; an entry that no page has any more is a failure.
"""

import os
from dataclasses import dataclass

# Pages whose commands run in a virtual machine with Debian's kernel 6.1. All others run on the running kernel, in
# network, mount and host name namespaces of their own. A block can say otherwise (pages.py).
IN_MACHINE = {"docs/tutorial.md", "docs/doctor.md"}
KERNEL = "6.1"
# These come first: they show a machine in which nothing has loaded conntrack and nf_tables yet.
FIRST = ["docs/doctor.md", "docs/json-lines.md"]


@dataclass(frozen=True)
class Instead:
    """Another command in place of the page's. With `says`, a pattern that its output has to match."""
    run: str
    why: str
    says: str | None = None


@dataclass(frozen=True)
class UntilInterrupted:
    """Runs as it stands, until it is ready; then comes Ctrl-C, and it has to end with status 0."""
    why: str = "it runs until Ctrl-C"


BUILT = "the program under test was made by it; to build it once more takes minutes"
MEASURES = "it measures for minutes, and wants a machine for itself"

# Pages about what is in deploy/: their commands want services, other machines and root's own folders. The tests named
# here do what they say, with the same files, and compare the pages' outputs themselves.
BY_OTHERS = {
    "docs/fleet.md": "Tests/deploy/clickhouse/run",
    "docs/metrics.md": "Tests/deploy/prometheus/run",
    "docs/pipelines.md": "Tests/deploy/logs/run",
    "docs/service.md": "Tests/deploy/package/run",
}

# By page and command, without the comment behind it.
OTHERWISE = {
    ("README.md", "make demo"): Instead(
        "make -n demo", "it builds, and installs packages; what it then runs is run for the output above",
        r"(?m)^(sudo )?\s*Tests/live/demo$"),
    ("README.md", "make demo KERNEL=6.1"): Instead(
        'Tests/live/demo --program "$PROGRAM"', "the test has built already, and is in the virtual machine"),
    ("README.md", "make test"): Instead("make -n test", "it is what runs this test", r"(?m)^Tests/run-all$"),
    ("README.md", "make"): Instead("make -n", BUILT, r"swift build -c release"),
    ("README.md", "make dist"): Instead("make -n dist", BUILT, r"swift build .*-static-executable"),
    ("README.md", "sudo make install"): Instead(
        'make install DESTDIR="$HOME/installed" PROGRAM="$PROGRAM" && "$HOME"/installed/usr/local/bin/nattrace --version',
        "it would install into the machine that runs the test", r"\d+\.\d+\.\d+"),
    **{("README.md", command): UntilInterrupted() for command in (
        "sudo nattrace --dport 80",
        "sudo nattrace --failed",
        "sudo nattrace --daddr 192.0.2.0/24 --follow",
        "sudo nattrace --netns blue --json",
        "sudo nattrace --dport 80 --record case.ntrace",
    )},
    ("README.md", "nattrace replay a.ntrace b.ntrace c.ntrace"): Instead(
        'cd Tests/deploy/clickhouse/recordings && nattrace replay client.ntrace gateway.ntrace backend.ntrace; cd "$OLDPWD"',
        "it is for recordings of three machines", r"(?m)^ ✗ no_listener  on backend, "),
    ("docs/capabilities.md", "sudo setpriv --reuid=nobody --regid=nogroup --clear-groups \\\n"
     "    --inh-caps=-all,+bpf,+perfmon --ambient-caps=-all,+bpf,+perfmon nattrace"): UntilInterrupted(),
    ("docs/design.md", "Tests/live/run article/ipv4/nft"): Instead(
        "Tests/live/run --list article/ipv4/nft", "the live tests run all scenarios", r"\Aarticle/ipv4/nft\n\Z"),
    ("docs/design.md", "Tests/live/run --kernel 6.1 article/ipv4/nft"): Instead(
        "Tests/live/run --list article/ipv4/nft; Tests/live/vm/vm list", "the tests in virtual machines run it",
        r"(?m)\Aarticle/ipv4/nft\n(.*\n)*6\.1 "),
    ("docs/design.md", "Tests/live/run --keep --verbose article/ipv4/nft"): Instead(
        "Tests/live/run --list --keep --verbose article/ipv4/nft", "it leaves its namespaces", r"\Aarticle/ipv4/nft\n\Z"),
    ("docs/design.md", "Tests/live/vm/vm shell 6.1"): Instead(
        "Tests/live/vm/vm --help", "it is for a person at a terminal", r"(?m)^\s+vm shell KERNEL$"),
    ("docs/reference.md", "source <(nattrace --generate-completion-script bash)"): Instead(
        "source <(nattrace --generate-completion-script bash) && complete -p nattrace",
        "Tests/cli/run types into the shell", r"nattrace$"),
    ("docs/reference.md", "source <(nattrace --generate-completion-script zsh)"): Instead(
        "zsh -fc 'autoload -U compinit; compinit -u -D; source <(nattrace --generate-completion-script zsh); "
        "print $_comps[nattrace]'", "it is for zsh; Tests/cli/run types into it", r"nattrace"),
    ("docs/reference.md", "nattrace --generate-completion-script fish >~/.config/fish/completions/nattrace.fish"): Instead(
        "nattrace --generate-completion-script fish >nattrace.fish && fish --no-execute nattrace.fish && echo good",
        "it is for fish's own folder; Tests/cli/run completes with it", r"good"),
    ("docs/reference.md", "nattrace replay case.ntrace --pcap case.pcapng >/dev/null"): Instead(
        "cp Tests/HandshakeTests/Recordings/article-ipv4-nft-6.1.ntrace case.ntrace && "
        "nattrace replay case.ntrace --pcap case.pcapng >/dev/null",
        "the scenario documented-example compares all three of these", r"1 listener_other_address; 18 events"),
    **{("docs/reference.md", command): Instead(f"{command} 2>/dev/null", "tshark complains of being run by root", says)
       for command, says in (
        ("tshark -r case.pcapng -T fields -e frame.interface_name -e ip.src -e ip.dst -e tcp.dstport -e tcp.flags.str",
         r"(?m)^nt-137-3-server/\(stack\)\t10\.77\.0\.2\t10\.77\.1\.1\t27581\t"),
        ("tshark -r case.pcapng -Y 'frame.comment contains \"verdict of\"' -T fields -e frame.comment -E 'aggregator=|' "
         "| tr '|' '\\n'", r"(?m)^✗ listener_other_address after"),
    )},
    **{("docs/performance.md", command): Instead(f"make -n {arguments}", MEASURES, says) for command, arguments, says in (
        ("make bench", "bench", r"for kernel in host 6\.1;(.*\n)*.*Tests/bench/run --kernel"),
        ("make bench KERNEL=host", "bench KERNEL=host", r"for kernel in host;"),
        ("make bench KERNEL=6.1", "bench KERNEL=6.1", r"for kernel in 6\.1;"),
        ("make bench QUICK=1", "bench QUICK=1", r"Tests/bench/run .*--quick"),
        ("make bench-attach", "bench-attach", r"Tests/bench/attach"),
    )},
}

# Blocks that show no output of a command: page and first line.
DRAWN = {
    ("docs/design.md", " kernel (bpf/)                         user space (Sources/)"): "a picture of letters",
    ("docs/reference.md", "nattrace: 0:42 · 3 of 15 failed · 12 in flight · 1240 events/s · none lost"):
        "is drawn on a terminal only: Tests/OutputTests has the words",
    ("docs/json-lines.md", "  \"@timestamp\": \"2025-01-31T23:59:59.500900000Z\","):
        "takes a flood: Tests/OutputTests/JSONLinesTests.swift has the line",
}


def runs_here(command, machine):
    """Whether the running kernel shows the same as the one of the page. `machine` is what is known of it."""
    if command.place == "here" and command.page == "docs/doctor.md":
        return "what it shows is a kernel without kprobes" if os.path.exists("/sys/bus/event_source/devices/kprobe") else None
    return None
