"""What a scenario can say: its parameter `s`.

A topology, rules and listeners are made at once; s.trace, s.connect and the like say what will happen once the program
is tracing, and the runner does it.
"""

import json
import os
import shutil
import time
from dataclasses import dataclass

from . import abilities, advice, client, conntrack, far_host, rules, sockets, topology, tracing
from .docker import Docker
from .expect import Verdict
from .program import Program, finish


class Phase:
    """Dials that leave at once, and what is done before and while they are under way."""

    def __init__(self):
        self.before, self.dials, self.meanwhile = [], [], []


@dataclass
class Expected:
    """What one dial must see, and which verdicts it must get. None for verdicts: it must not show up at all."""
    dial: client.Dial
    sees: tuple
    answered_by: object
    verdicts: object
    seen_as: object

    def verdicts_for(self, saw):
        """A dict of verdicts is by what the client saw."""
        chosen = self.verdicts[saw] if isinstance(self.verdicts, dict) else self.verdicts
        if chosen is None:
            return None
        chosen = chosen if isinstance(chosen, (list, tuple)) else [chosen]
        return [Verdict(item) if isinstance(item, str) else item for item in chosen]

    @property
    def key(self):
        return {**dict(zip(("source", "sport", "destination", "dport"), self.dial.key)), **(self.seen_as or {})}


class Vocabulary:
    """`s`: what a scenario says and does."""

    def __init__(self, item, spaces, pace, settings, features, port, temporary):
        self.family, self.dialect, self.variant = item.family, item.dialect, item.variant
        self.spaces, self.pace, self._settings, self._temporary = spaces, pace, settings, temporary
        self.has, self.client_only = features.has, settings.client_only
        self.rules = rules.Rules(item.family, item.dialect)
        self.port, self.app_port, self.other_port = port, port + 1, port + 2  # dialled, translated, unrelated
        self.listeners, self.problems, self.programs, self._clients = [], [], [], []
        self.arguments, self.once_tracing_do, self.phases, self.expected = [], [], [Phase()], []
        self.loss_allowed, self.total, self.zero_events, self.alone = False, None, False, False
        self.holes = []
        self._far_hosts, self._dockers, self._settings_before = [], [], {}

    # Topology

    def pair(self):
        return topology.pair(self.spaces, self.family)

    def host(self):
        return topology.host(self.spaces, self.family)

    def gateway(self, backends=1, switch=False):
        return topology.gateway(self.spaces, self.family, backends, switch)

    def machine(self):
        return topology.machine(self.spaces, self.family)

    def far_host(self, net, answers=(), **options):
        """A host beyond the gateway that is not on this machine, and how it answers a SYN to the translated port."""
        host = far_host.start(net.gateway_ns, "far0", net.far, self.app_port, answers, self.pace, **options)
        self._far_hosts.append(host)
        self.spaces.ip(net.gateway_ns, "link set far0 up", f"address add {net.far_gateway}{net.net} dev far0",
                       f"neigh add {net.far} lladdr {far_host.MAC.hex(':')} dev far0 nud permanent")
        return host

    def mac(self, netns, device):
        """The link-layer address of an interface."""
        return json.loads(topology.command(["ip", "-n", netns, "-j", "link", "show", device]))[0]["address"]

    # Sockets

    def listen(self, netns, address, port=None, name="app-inner", **options):
        """A listener (on the translated port unless said otherwise), with the process name `name`."""
        listener = sockets.listen(netns, address, port or self.app_port, name, self.pace,
                                  outlive=self._settings.keep, **options)
        self.listeners.append(listener)
        return listener

    def fill_accept_queue(self, netns, listener):
        """Connects from that namespace as often as the queue of a listener that accepts nothing has room."""
        dials = [client.Dial(netns, listener.address, listener.port, patience=0.3)
                 for _ in range(listener.backlog + 1)]
        self.dial(*dials)
        saw = [dial.saw for dial in dials]
        self.check(set(saw) == {"connected"}, f"the connections that fill the queue saw {saw}")

    def fill_syn_queue(self, netns, listener, source, number):
        """Leaves requests half open: connects from an address to which no SYN-ACK finds its way."""
        self.dial(*(client.Dial(netns, listener.address, listener.port, source=source, patience=600)
                    for _ in range(number)), wait=False)

    # Settings

    def sysctl(self, netns, values):
        self.spaces.sysctl(netns, values)

    def machine_sysctl(self, name, value):
        """Sets what all namespaces share, until the scenario ends; no other shares its run of the program."""
        self.alone = True
        path = "/proc/sys/" + name.replace(".", "/")
        with open(path) as file:
            self._settings_before.setdefault(path, file.read())
        with open(path, "w") as file:
            file.write(str(value))

    def bridge_asks_netfilter(self, netns, yes):
        """Whether what a bridge of this namespace passes on is shown to netfilter's IP hooks, and to conntrack."""
        if os.path.exists("/proc/sys/net/bridge"):
            self.spaces.sysctl(netns, {f"net.bridge.bridge-nf-call-{name}": int(yes)
                                       for name in ("iptables", "ip6tables")})

    def drop_by_tc(self, netns, device, port):
        """A traffic control program that drops what comes in for that port: load the port, compare, shot or go on."""
        at = {4: 36, 6: 56}[self.family]
        topology.inside(netns, f"tc qdisc add dev {device} clsact".split())
        topology.inside(netns, [*f"tc filter add dev {device} ingress bpf da bytecode".split(),
                                f"4,40 0 0 {at},21 0 1 {port},6 0 0 2,6 0 0 4294967295"])

    # Conntrack

    def entry(self, netns, source, destination, to=None, **options):
        """An older entry in the table, translated to `to`; returns it as evidence. See conntrack.insert."""
        return conntrack.insert(netns, self.family, source, destination, to, **options)

    def forget(self, netns, destination):
        """Deletes the entries of connections dialled to this address and port."""
        conntrack.delete(netns, destination)

    def fill_table(self, netns, number):
        conntrack.fill(netns, number)

    # Containers

    def docker(self, *options):
        """A dockerd, which is ended with the scenario; it needs "docker"."""
        self._dockers.append(Docker(self.pace, *options))
        return self._dockers[-1]

    # What happens

    def trace(self, *arguments):
        """The program's arguments, beside --json and --record."""
        self.arguments += [str(argument) for argument in arguments]

    def connect(self, netns, address, port=None, sees=None, verdict=None, answered_by=None, sport=0, source=None,
                patience=5, seen_as=None, hop_limit=None, raw=None, closes=False):
        """One connection of the current phase. Without netns it leaves from the root namespace (of a virtual machine).

        sees: connected, refused, timeout, unreachable or reset; several where either may happen. For a raw SYN
        (raw: `right` or `wrong-checksum`) synack instead of connected.
        verdict: a code, a Verdict, several in order, a dict by what the client saw, or None: it must not show up.
        patience: for how many factors of a second the client waits.
        seen_as: source, sport, destination, dport where they are not the client's, because the client is not in
        the namespace that is observed.
        closes: the client closes once the server has.
        """
        dial = client.Dial(netns, address, port or self.port, sport, source, patience, hop_limit, raw, closes)
        self.phases[-1].dials.append(dial)
        sees = (sees,) if isinstance(sees, str) else tuple(sees)
        self.expected.append(Expected(dial, sees, answered_by, verdict, seen_as))
        return dial

    def once_tracing(self, what, do):
        """Does something after the program has said that it is tracing, before the first client dials."""
        self.once_tracing_do.append((what, do))

    def meanwhile(self, what, do):
        """Does something after the clients of this phase have sent their SYN, while they wait. Scenarios may share a
        run, and then what others do in the meantime comes in between."""
        self.phases[-1].meanwhile.append((what, do))

    def once_told(self):
        """What is done meanwhile from here on waits for the first verdict: the program looks at how things are when
        it gives one, and what was repaired by then it would not see."""
        self.meanwhile("wait for a verdict", lambda: self.wait_told())

    def phase(self):
        """What follows happens after the clients of the phase before it have ended."""
        self.phases.append(Phase())

    def phase_after_repair(self, number=0):
        """What follows happens after somebody has pasted the command of this piece of the last verdict's advice into
        a shell of the machine."""
        self.phase()
        self.phases[-1].before.append(self._repair(number))

    def repair_meanwhile(self, number=0):
        """The same, while the clients of this phase wait."""
        self.meanwhile(*self._repair(number))

    def _repair(self, number):
        return f"repair as advised, by advice {number}", lambda: advice.follow(self.wait_told(), number)

    def expect_totals(self, **totals):
        """How many connections must have each verdict at last."""
        self.total = totals

    def expect_zero_events(self):
        """The stop line must say that no event reached the program."""
        self.zero_events = True

    # Tests of the program itself

    def check(self, holds, text):
        """States something; the text says what was expected and what came."""
        if not holds:
            self.problems.append(text)
        return holds

    def lacks(self, key):
        """Whether the kernel lacks this (abilities.LACKS), for tests of the program itself: a hole, if it does."""
        if key not in abilities.lacking():
            return False
        self.holes.append(abilities.LACKS[key])
        return True

    def start(self, *arguments, ready=True, path=None, **options):
        """Starts the program; it is ended with the scenario at the latest."""
        words = [*map(str, arguments)]
        words += [] if "--backend" in words else tracing.backend(self._settings)
        program = Program(path or self._settings.program, words, self.pace, **options)
        self.programs.append(program)
        if ready:
            self.check(program.wait_ready(), f"{arguments}: not ready in time; status {program.status}")
        return program

    def run(self, *arguments, path=None, **options):
        """Runs the program to its end."""
        program = finish(path or self._settings.program, [str(word) for word in arguments], self.pace, **options)
        self.programs.append(program)
        return program

    def dial(self, *dials, wait=True):
        """Lets clients dial now, and returns them with what they saw."""
        clients = client.Clients(list(dials), self.pace)
        self._clients.append(clients)
        clients.wait_dialled()
        if wait:
            clients.wait_ended()
        return dials

    def file(self, name):
        """A path in the scenario's own temporary directory."""
        return os.path.join(self._temporary, name)

    @property
    def path_of_program(self):
        return self._settings.program

    def temporary_program(self):
        """A copy of the program that every user may run."""
        path = self.file("nattrace")
        shutil.copy(self._settings.program, path)
        os.chmod(path, 0o755)
        os.chmod(self._temporary, 0o755)
        return path

    def close(self):
        for clients in self._clients:
            clients.stop()
        for program in self.programs:
            program.kill()
        for host in self._far_hosts:
            host.stop()
        for docker in self._dockers:
            docker.stop()
        for listener in self.listeners:
            if not self._settings.keep:
                listener.stop()
        for path, value in self._settings_before.items():
            with open(path, "w") as file:
                file.write(value)
