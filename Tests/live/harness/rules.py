"""NAT and filter rules of one namespace, in the dialect the scenario runs in.

The dialects are `nft` (tables ip and ip6), `nft-inet` (one inet table), `iptables` (the nft back end of iptables)
and `iptables-legacy`. A rule that was added knows where it stands, so that a scenario can expect it or take it away.
"""

import re

from .topology import inside

DIALECTS = ("nft", "nft-inet", "iptables", "iptables-legacy")
_PRIORITY = {"nat": {"prerouting": -100, "output": -100, "postrouting": 100}, "raw": -300, "mangle": -150, "filter": 0}
_REJECT = {  # what each dialect calls it: nft in ip, ip6 and inet tables, then iptables and ip6tables
    "tcp-reset": ("tcp reset",) * 3 + ("tcp-reset",) * 2,
    "port-unreachable": ("icmp port-unreachable", "icmpv6 port-unreachable", "icmpx port-unreachable",
                         "icmp-port-unreachable", "icmp6-port-unreachable"),
    "admin-prohibited": ("icmp admin-prohibited", "icmpv6 admin-prohibited", "icmpx admin-prohibited",
                         "icmp-admin-prohibited", "icmp6-adm-prohibited"),
}


def endpoint(family, address, port):
    return f"[{address}]:{port}" if family == 6 else f"{address}:{port}"


class Rule:
    """An added rule: `ruleset`, `id` and `text` as nattrace names them, packets() and remove().

    After the clients have dialled, a rule must have matched something, so that a scenario whose rule does nothing
    fails by itself; a near-miss says should_match = False. A chain's policy has no id, and no counter in nft:
    should_match is None there.
    """

    def __init__(self, ruleset, id, text, count, delete):
        self.ruleset, self.id, self.text = ruleset, id, text
        self.should_match = None if count is None else True
        self._count, self._delete, self._last_count = count, delete, None

    def packets(self):
        return self._count() if self._last_count is None else self._last_count

    def remove(self):
        self._last_count = self._count and self._count()
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
            return self._nft(netns, "nat", hook, self._matching(match), f"dnat {self._kind}to {target}")
        return self._iptables(netns, "nat", hook, match, f"-j DNAT --to-destination {target}")

    def redirect(self, netns, match, port, hook="prerouting"):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", hook, self._matching(match), f"redirect to :{port}")
        return self._iptables(netns, "nat", hook, match, f"-j REDIRECT --to-ports {port}")

    def masquerade(self, netns, match):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", "postrouting", self._matching(match), "masquerade")
        return self._iptables(netns, "nat", "postrouting", match, "-j MASQUERADE")

    def snat(self, netns, match, address, ports=None):
        """`ports` is a port or a range as text."""
        target = endpoint(self.family, address, ports) if ports else address
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", "postrouting", self._matching(match), f"snat {self._kind}to {target}")
        return self._iptables(netns, "nat", "postrouting", match, f"-j SNAT --to-source {target}")

    def balance(self, netns, match, to, port, by=None):
        """DNAT to several addresses, in turn unless an expression of nft, `by`, chooses by number."""
        if self.dialect.startswith("nft"):
            elements = ", ".join(f"{number} : {address}" for number, address in enumerate(to))
            choice = by or f"numgen inc mod {len(to)}"
            return self._nft(netns, "nat", "prerouting", self._matching(match),
                             f"dnat {self._kind}to {choice} map {{ {elements} }} : {port}")
        return [self._iptables(netns, "nat", "prerouting", match,
                               f"-m statistic --mode nth --every {len(to) - number} --packet 0 "
                               f"-j DNAT --to-destination {endpoint(self.family, address, port)}")
                for number, address in enumerate(to)]

    def netmap(self, netns, prefix, port, to, hook="prerouting"):
        """Translates one network to another of the same size: destinations, in postrouting sources."""
        kind, side = ("snat", "saddr") if hook == "postrouting" else ("dnat", "daddr")
        if self.dialect.startswith("nft"):
            return self._nft(netns, "nat", hook, self._matching((None, port)),
                             f"{kind} {self._ip} prefix to {self._ip} {side} map {{ {prefix} : {to} }}")
        return self._iptables(netns, "nat", hook, (None, port), f"-{side[0]} {prefix} -j NETMAP --to {to}")

    def tproxy(self, netns, match, port, mark=1):
        """Hands packets to a transparent listener on that port, and marks them for routing."""
        if self.dialect.startswith("nft"):
            return self._nft(netns, "mangle", "prerouting", self._matching(match),
                             f"tproxy {self._kind}to :{port} meta mark set {mark} accept")
        return self._iptables(netns, "mangle", "prerouting", match, f"-j TPROXY --on-port {port} --tproxy-mark {mark}")

    def synproxy(self, netns, match, hook="input"):
        """Answers SYNs in the service's place: what a SYN begins is left to the proxy, not to conntrack."""
        notrack = self.notrack(netns, match, syn_only=True)
        if self.dialect.startswith("nft"):
            return notrack, self._nft(netns, "filter", hook, self._matching(match) + " ct state invalid,untracked",
                                      "synproxy mss 1460 wscale 7 sack-perm")
        return notrack, self._iptables(netns, "filter", hook, match, "-m conntrack --ctstate INVALID,UNTRACKED "
                                       "-j SYNPROXY --sack-perm --wscale 7 --mss 1460")

    def drop(self, netns, match, hook="input", table="filter", answers=False, through=None):
        """table: filter, mangle or raw. answers: match the answers, by their source. through: the name of a chain that
        the hook's chain jumps to and that has the rule."""
        if self.dialect.startswith("nft"):
            return self._nft(netns, table, hook, self._matching(match, answers), "drop", through=through)
        return self._iptables(netns, table, hook, match, "-j DROP", answers, through)

    def reject(self, netns, match, kind, hook="input"):
        """kind: a key of _REJECT."""
        names, ipv6 = _REJECT[kind], self.family == 6
        if self.dialect.startswith("nft"):
            how = names[2 if self.dialect == "nft-inet" else ipv6]
            return self._nft(netns, "filter", hook, self._matching(match), f"reject with {how}")
        return self._iptables(netns, "filter", hook, match, f"-j REJECT --reject-with {names[3 + ipv6]}")

    def accept(self, netns, match, hook="input"):
        if self.dialect.startswith("nft"):
            return self._nft(netns, "filter", hook, self._matching(match), "accept")
        return self._iptables(netns, "filter", hook, match, "-j ACCEPT")

    def drop_by_policy(self, netns, hook="input"):
        """The hook's chain drops what no rule of it accepts; neighbour discovery goes on."""
        if self.dialect.startswith("nft"):
            self._nft(netns, "filter", hook, "meta l4proto icmpv6", "accept").should_match = None
            ruleset = f"{self._nft_family} filter {hook}"
            inside(netns, ["nft", "-f", "-"], f"chain {ruleset} {{ policy drop; }}")
            return self._added(Rule(ruleset, None, "policy drop", None, None))
        chain, program = hook.upper(), [self.program, "-w"]
        self._iptables(netns, "filter", hook, None, "-p icmpv6 -j ACCEPT").should_match = None
        inside(netns, [*program, "-P", chain, "DROP"])
        return self._added(Rule(f"{self._ip} filter {chain}", None, "-P " + chain + " DROP", None, None))

    def drop_by_map(self, netns, dropped, accepted):
        """One rule, of nft, that looks up by port what is to be done."""
        return self._nft(netns, "filter", "input", f"tcp dport {{ {accepted}, {dropped} }}",
                         f"tcp dport vmap {{ {accepted} : accept, {dropped} : drop }}")

    def drop_by_reverse_path(self, netns, match):
        """A rule that asks the routes whether an answer would leave by the device that the packet came in by."""
        if self.dialect.startswith("nft"):
            return self._nft(netns, "raw", "prerouting", self._matching(match) + " fib saddr . iif oif missing", "drop")
        return self._iptables(netns, "raw", "prerouting", match, "-m rpfilter --invert -j DROP")

    def drop_at_device(self, netns, device, match):
        """In nft's family netdev: before anything of IP sees the packet."""
        hook = f'ingress device "{device}"'
        return self._nft(netns, "filter", "ingress", self._matching(match), "drop", family="netdev", where=hook)

    def drop_on_bridge(self, netns, match, hook):
        """In nft's family bridge."""
        return self._nft(netns, "filter", hook, self._matching(match), "drop", family="bridge")

    def notrack(self, netns, match, hook="prerouting", answers=False, syn_only=False):
        """Keeps packets from conntrack; answers: match the answers, by their source."""
        if self.dialect.startswith("nft"):
            matching = self._matching(match, answers) + (" tcp flags syn" if syn_only else "")
            return self._nft(netns, "raw", hook, matching, "notrack")
        return self._iptables(netns, "raw", hook, match, ("--syn " if syn_only else "") + "-j CT --notrack", answers)

    def nft(self, netns, script):
        """Any nft script; `IP` stands for the family's keyword (ip or ip6)."""
        self._remember(netns)
        return inside(netns, ["nft", "-f", "-"], re.sub(r"\bIP\b", self._ip, script))

    # How it is said.

    @property
    def _ip(self):
        return "ip" if self.family == 4 else "ip6"

    @property
    def _kind(self):
        """What a statement with an address says of its family where the table does not."""
        return f"{self._ip} " if self.dialect == "nft-inet" else ""

    def _remember(self, netns):
        if netns not in self.namespaces:
            self.namespaces.append(netns)

    @property
    def _nft_family(self):
        return "inet" if self.dialect == "nft-inet" else self._ip

    def _matching(self, match, answers=False):
        address, port = match
        address_side, port_side = ("saddr", "sport") if answers else ("daddr", "dport")
        return (f"{self._ip} {address_side} {address} " if address else "") + f"tcp {port_side} {port}"

    def _nft(self, netns, table, hook, matching, statement, family=None, where=None, through=None):
        """where: what stands behind `hook`, if it is more than its name."""
        family = family or self._nft_family
        type, priority = ("nat", _PRIORITY["nat"][hook]) if table == "nat" else ("filter", _PRIORITY[table])
        text = f"{matching} counter {statement}"
        base = ruleset = f"{family} {table} {hook}"
        self._remember(netns)
        script = (f"add table {family} {table}\n"
                  f"add chain {base} {{ type {type} hook {where or hook} priority {priority}; }}\n")
        if through:
            ruleset = f"{family} {table} {through}"
            script += f"add chain {ruleset}\nadd rule {base} jump {through}\n"
        said = inside(netns, ["nft", "--echo", "--handle", "-f", "-"], script + f"add rule {ruleset} {text}\n")
        handle = re.findall(r"# handle (\d+)", said)[-1]

        def count():
            chain = inside(netns, ["nft", "--handle", "list", "chain", *ruleset.split()])
            return int(re.search(rf"packets (\d+) .*# handle {handle}$", chain, re.M)[1])

        return self._added(Rule(ruleset, handle, text, count,
                                lambda: inside(netns, ["nft", "delete", "rule", *ruleset.split(), "handle", handle])))

    def _iptables(self, netns, table, hook, match, target, answers=False, through=None):
        chain = hook.upper()
        text = target
        if match:
            address, port = match
            address_side, port_side = ("-s", "--sport") if answers else ("-d", "--dport")
            text = (f"{address_side} {address} " if address else "") + f"-p tcp {port_side} {port} {target}"
        program = [self.program, "-w", "-t", table]
        self._remember(netns)
        if through:
            inside(netns, [*program, "-N", through])
            inside(netns, [*program, "-A", chain, "-j", through])
            chain = through
        inside(netns, [*program, "-A", chain, *text.split()])
        place = (netns, table, chain)
        self._numbers[place] = number = self._numbers.get(place, 0) + 1

        def count():
            return int(re.search(r" -c (\d+) ", inside(netns, [*program, "-v", "-S", chain, str(number)]) + " ")[1])

        # What iptables-nft makes is a rule of nftables, which has a handle; else it has its place in the chain.
        id = str(number)
        if self.dialect == "iptables":
            id = re.findall(r"# handle (\d+)$", inside(netns, ["nft", "-a", "list", "chain", self._ip, table, chain]),
                            re.M)[-1]
        return self._added(Rule(f"{self._ip} {table} {chain}", id, text, count,
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
