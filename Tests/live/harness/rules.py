"""NAT and filter rules of one namespace, in the dialect the scenario runs in.

The dialects are `nft` (tables ip and ip6), `nft-inet` (one inet table), `iptables` (the nft back end of iptables)
and `iptables-legacy`. A rule that was added knows where it stands, so that a scenario can expect it or take it away.
"""

import re

from .topology import inside

DIALECTS = ("nft", "nft-inet", "iptables", "iptables-legacy")
_PRIORITY = {"dnat": -100, "redirect": -100, "snat": 100, "masquerade": 100, "filter": 0}


def endpoint(family, address, port):
    return f"[{address}]:{port}" if family == 6 else f"{address}:{port}"


class Rule:
    """An added rule: `ruleset`, `id` and `text` as nattrace names them, packets() and remove().

    After the clients have dialled, a rule must have matched something, so that a scenario whose rule does nothing
    fails by itself; a near-miss says should_match = False.
    """

    def __init__(self, ruleset, id, text, count, delete):
        self.ruleset, self.id, self.text = ruleset, id, text
        self.should_match = True
        self._count, self._delete, self._last_count = count, delete, None

    def packets(self):
        return self._count() if self._last_count is None else self._last_count

    def remove(self):
        self._last_count = self._count()
        self._delete()


class Rules:
    """Adds rules to namespaces, in one dialect and family, and remembers the namespaces to show them on failure."""

    def __init__(self, family, dialect):
        self.family, self.dialect = family, dialect
        self._numbers = {}
        self.namespaces, self.added = [], []

    # What a scenario asks for. `to` and `match` are (address, port); address None matches any.

    def dnat(self, netns, match, to, hook="prerouting"):
        target = endpoint(self.family, *to)
        if self.dialect.startswith("nft"):
            kind = {"nft": "", "nft-inet": "ip " if self.family == 4 else "ip6 "}[self.dialect]
            return self._nft(netns, "nat", hook, "dnat", match, f"dnat {kind}to {target}")
        return self._iptables(netns, "nat", hook, match, f"-j DNAT --to-destination {target}")

    def redirect(self, netns, match, port, hook="prerouting"):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", hook, "redirect", match, f"redirect to :{port}")
        return self._iptables(netns, "nat", hook, match, f"-j REDIRECT --to-ports {port}")

    def masquerade(self, netns, match):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", "postrouting", "masquerade", match, "masquerade")
        return self._iptables(netns, "nat", "postrouting", match, "-j MASQUERADE")

    def snat(self, netns, match, address):
        if self.dialect.startswith("nft"):
            kind = {"nft": "", "nft-inet": "ip " if self.family == 4 else "ip6 "}[self.dialect]
            return self._nft(netns, "nat", "postrouting", "snat", match, f"snat {kind}to {address}")
        return self._iptables(netns, "nat", "postrouting", match, f"-j SNAT --to-source {address}")

    def drop(self, netns, match, hook="input"):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "filter", hook, "filter", match, "drop")
        return self._iptables(netns, "filter", hook, match, "-j DROP")

    def nft(self, netns, script):
        """Any nft script; `IP` stands for the family's keyword (ip or ip6)."""
        self._remember(netns)
        return inside(netns, ["nft", "-f", "-"], re.sub(r"\bIP\b", self._ip, script))

    # How it is said.

    @property
    def _ip(self):
        return "ip" if self.family == 4 else "ip6"

    def _remember(self, netns):
        if netns not in self.namespaces:
            self.namespaces.append(netns)

    def _nft(self, netns, table, hook, kind, match, statement):
        family = "inet" if self.dialect == "nft-inet" else self._ip
        type = "filter" if kind == "filter" else "nat"
        address, port = match
        text = (f"{self._ip} daddr {address} " if address else "") + f"tcp dport {port} counter {statement}"
        ruleset = f"{family} {table} {hook}"
        self._remember(netns)
        said = inside(netns, ["nft", "--echo", "--handle", "-f", "-"], (
            f"add table {family} {table}\n"
            f"add chain {ruleset} {{ type {type} hook {hook} priority {_PRIORITY[kind]}; policy accept; }}\n"
            f"add rule {ruleset} {text}\n"))
        handle = re.findall(r"# handle (\d+)", said)[-1]

        def count():
            chain = inside(netns, ["nft", "--handle", "list", "chain", *ruleset.split()])
            return int(re.search(rf"packets (\d+) .*# handle {handle}$", chain, re.M)[1])

        return self._added(Rule(ruleset, handle, text, count,
                                lambda: inside(netns, ["nft", "delete", "rule", *ruleset.split(), "handle", handle])))

    def _iptables(self, netns, table, hook, match, target):
        chain = hook.upper()
        address, port = match
        text = (f"-d {address} " if address else "") + f"-p tcp --dport {port} {target}"
        program = [self.program, "-w", "-t", table]
        self._remember(netns)
        inside(netns, [*program, "-A", chain, *text.split()])
        place = (netns, table, chain)
        self._numbers[place] = number = self._numbers.get(place, 0) + 1

        def count():
            return int(re.search(r" -c (\d+) ", inside(netns, [*program, "-v", "-S", chain, str(number)]) + " ")[1])

        return self._added(Rule(f"{self._ip} {table} {chain}", str(number), text, count,
                                lambda: inside(netns, [*program, "-D", chain, *text.split()])))

    def _added(self, rule):
        self.added.append(rule)
        return rule

    @property
    def program(self):
        """The iptables program of this family and dialect, named so that no alternative of the system is asked."""
        return ("iptables" if self.family == 4 else "ip6tables") + \
            ("-legacy" if self.dialect == "iptables-legacy" else "-nft")

    def in_force(self):
        """All rules of the namespaces, as text, for the report of a failure."""
        parts = []
        for netns in self.namespaces:
            try:
                text = inside(netns, [self.program + "-save"] if self.dialect == "iptables-legacy"
                              else ["nft", "-a", "list", "ruleset"])
            except RuntimeError as error:
                text = str(error)
            parts.append(f"{netns}:\n{text.strip()}")
        return "\n".join(parts)
