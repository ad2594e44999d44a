"""The kernel matrix: which scenarios run on which kernel with which backend, and the table of what came.

Pure: ../matrix starts the virtual machines and passes on what they print.
"""

import re
from dataclasses import dataclass, field

# At least one scenario a verdict, chosen from those that take a moment. `unexplained` is what is left over.
CODES = {
    "established": "repaired/ipv4/iptables",
    "conntrack_full": "table-full/ipv4",
    "stale_conntrack": "entry-with-the-old-backend/refused/ipv4/iptables",
    "untracked": "notrack-before-the-dnat-rule/ipv6/nft",
    "conntrack_invalid": "syn-with-bad-checksum/ipv4",
    "filter_rejected": "rule-rejects-in-input/tcp-reset/ipv6/nft",
    "filter_dropped": "rule-drops-in-input/ipv6/nft",
    "nat_exhausted": "no-source-port-left/one-port/ipv4/nft",
    "forwarding_disabled": "gateway-does-not-forward/ipv6/nft",
    "route_localnet_disabled": "translated-to-loopback/ipv4/nft",
    "rp_filter": "reverse-path-drops/all/ipv4",
    "no_route": "no-route-to-the-translated-destination/ipv4",
    "neighbor_unreachable": "neighbour-does-not-answer/ipv4/nft",
    "no_listener": "no-listener/ipv4/nft",
    "listener_other_address": "article/ipv6/nft",
    "listener_loopback_only": "loopback-only/ipv4/iptables",
    "listener_other_device": "listener-tied-to-another-device/inner/ipv6",
    "listener_other_netns": "listener-in-another-namespace/any/ipv4",
    "accept_queue_full": "accept-queue-is-full/backlog/ipv4",
    "socket_refused": "socket-filter-refuses/ipv6",
    "hairpin_without_snat": "hairpin-by-a-bridge/ipv4/nft",
    "asymmetric_reply": "answer-by-another-link/ipv6/nft",
    "reset_by_client": "client-abandons-its-handshake/whole/ipv4",
    "reset_by_backend": "backend-refuses-seen-from-gateway/ipv4/nft",
    "icmp_unreachable": "error-from-a-router/port/ipv4",
    "dropped": "checksum-is-wrong/ipv6",
    "syn_unanswered": "entry-of-a-client-that-gave-up/ipv4",
    "synack_unanswered": "answer-lost-beyond-the-server/nat/ipv6",
}
# What is known to tell more or less where functions are not hooked, or on the way to a hook, beside those above.
BESIDE = ("syn-queue-is-full/of-the-socket/ipv4", "rule-rejects-in-output/admin-prohibited/ipv6/nft",
          "article/ipv4/iptables-legacy", "policy-drops-in-input/ipv6/iptables-legacy", "nat-module-loaded-later/ipv6",
          "killed-leaves-nothing/ipv4")

# How a scenario ended, as commandline.report says it.
RESULT = re.compile(r"(passed|hole|FAILED|not run) +(\S+?)(?:: (?P<lacking>.*)|"
                    r" \([\d.]+ s\)(?:: (?P<codes>\w+(?:, \w+)*))?(?:; (?P<because>.*))?)$")
LACKS = re.compile(r"lacks +(?:nothing|(\S+(?:, \S+)*))$")
CLOSING = re.compile(r"(\d+) passed, (\d+) failed$")


@dataclass
class Column:
    """One virtual machine: what is to run in it, and what came."""
    kernel: str
    backend: str
    patterns: tuple
    lacks: tuple                                  # what the kernel is known to lack, and what it says
    lacks_in_fact: frozenset = None
    results: dict = field(default_factory=dict)   # scenario: passed, hole, FAILED, not run
    because: dict = field(default_factory=dict)   # scenario: why it is a hole, or was not run
    codes: set = field(default_factory=set)
    closed: bool = False
    problem: str = None

    @property
    def name(self):
        return f"{self.kernel} {self.backend}"

    def hear(self, line):
        """One line of output; True if it is the closing one, which is not passed on."""
        if CLOSING.match(line):
            self.closed = True
            return True
        if found := LACKS.match(line):
            self.lacks_in_fact = frozenset((found[1] or "").split(", ")) - {""}
        elif found := RESULT.match(line):
            how, scenario = found[1], found[2]
            self.results[scenario] = how
            if found["lacking"] or found["because"]:
                self.because[scenario] = found["lacking"] or found["because"]
            if found["codes"]:
                self.codes |= set(found["codes"].split(", "))
        return False

    def end(self, status):
        """Judges once the machine has ended: what it owes beside scenarios that pass."""
        if not self.closed:
            self.problem = f"told no counts, and ended with status {status}"
        elif not self.results:
            self.problem = "ran no scenario"
        elif self.lacks_in_fact != frozenset(self.lacks):
            self.problem = f"it lacks {sorted(self.lacks_in_fact or ())}, where kernels.py says {sorted(self.lacks)}"
        elif status and not self.count("FAILED"):
            self.problem = f"ended with status {status}, although nothing failed"
        elif missing := [code for code, scenario in CODES.items()
                         if code not in self.codes and self.results.get(scenario) not in ("hole", "FAILED")]:
            self.problem = f"no scenario showed {', '.join(missing)}"

    def count(self, how):
        return sum(result == how for result in self.results.values())

    @property
    def failed(self):
        return self.count("FAILED") + (self.problem is not None)

    @property
    def passed(self):
        return self.count("passed") + self.count("hole")

    def __str__(self):
        return (f"{self.name}: {self.passed} passed, {self.count('hole')} of them holes, "
                f"{self.count('not run')} not run, {self.failed} failed" + (f": {self.problem}" if self.problem else ""))


def table(columns):
    """Rows of text: scenarios by columns. What did not run in a column because it was not chosen is left empty."""
    shown = {"passed": "ok", "hole": "hole", "FAILED": "FAILED", "not run": "not run", None: ""}
    names = list(dict.fromkeys(name for column in columns for name in column.results))
    rows = [["", *(column.name for column in columns)]]
    rows += [[name, *(shown[column.results.get(name)] for column in columns)] for name in names]
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]


def holes(columns):
    """Why a scenario is a hole or was not run, each reason once, with where."""
    found = {}
    for column in columns:
        for scenario, because in column.because.items():
            how = column.results[scenario]
            found.setdefault((how, because), {}).setdefault(scenario, []).append(column.name)
    for (how, because), where in sorted(found.items()):
        places = sorted({name for names in where.values() for name in names})
        yield f"{how}: {because} ({len(where)} scenario{'s' * (len(where) > 1)}; {', '.join(places)})"
