"""Three simulated hosts, each a network namespace with a nattrace of its own: client -- gateway -- backend.

The gateway publishes 203.0.113.10 and 2001:db8:77::10 and translates to the backend; the backend is reached straight as
well, routed and not translated. It is a port of a bridge on the gateway, so that a packet leaves that host by two
devices. Everything is made in namespaces with names of this run, and removed at its end.
"""

import os
import socket
import subprocess
import sys
import time

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
sys.path.insert(0, os.path.join(ROOT, "Tests", "live"))

from harness import children, topology  # noqa: E402
from harness.pace import Pace  # noqa: E402
from harness.program import Program  # noqa: E402

ROLES = ("client", "gateway", "backend")
PUBLIC, PUBLIC6, BACKEND = "203.0.113.10", "2001:db8:77::10", "10.77.2.10"

# What is dialled, by a name for the test: address, port, and what the client sees. Each pair of address and port is
# dialled for one reason only, so that it says which connection a row is of.
DIALS = {
    "translated": (PUBLIC, 80, "connected"),
    "translated, IPv6": (PUBLIC6, 80, "connected"),
    "refused by the backend": (PUBLIC, 81, "refused"),
    "source translated too": (PUBLIC, 82, "connected"),
    "dropped by the gateway": (PUBLIC, 83, "timeout"),
    "dropped by the backend": (PUBLIC, 84, "timeout"),
    "routed": (BACKEND, 8080, "connected"),
    "routed and refused": (BACKEND, 8085, "refused"),
}

GATEWAY_RULES = f"""
table ip published {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip daddr {PUBLIC} tcp dport 80 dnat to {BACKEND}:8080
    ip daddr {PUBLIC} tcp dport 81 dnat to {BACKEND}:8081
    ip daddr {PUBLIC} tcp dport 82 dnat to {BACKEND}:8082
    ip daddr {PUBLIC} tcp dport 83 dnat to {BACKEND}:8083
    ip daddr {PUBLIC} tcp dport 84 dnat to {BACKEND}:8084
  }}
  chain postrouting {{
    type nat hook postrouting priority srcnat; policy accept;
    tcp dport 8082 masquerade
  }}
  chain forward {{
    type filter hook forward priority filter; policy accept;
    tcp dport 8083 counter drop
  }}
}}
table ip6 published {{
  chain prerouting {{
    type nat hook prerouting priority dstnat; policy accept;
    ip6 daddr {PUBLIC6} tcp dport 80 dnat to [fd77:2::10]:8080
  }}
}}
"""
BACKEND_RULES = """
table ip host {
  chain input {
    type filter hook input priority filter; policy accept;
    tcp dport 8084 counter drop
  }
}
"""
UNANSWERED_AFTER = "2s"
# Long enough for one SYN to be sent again, which TCP does after a second.
PATIENCE = 1.4


class Hosts:
    """The hosts, with listeners on the backend. A context: what was made is removed."""

    def __init__(self):
        self.pace = Pace()
        self.spaces = topology.Namespaces(f"nt-fleet-{os.getpid()}-", self.pace)
        self.netns, self.listeners = {}, []

    def __enter__(self):
        try:
            self._make()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        for listener in self.listeners:
            listener.stop()
        self.spaces.remove()

    def _make(self):
        spaces = self.spaces
        client, gateway, backend = (self.netns.setdefault(role, spaces.add(role)) for role in ROLES)
        topology.command(["ip", "-batch", "-"],
                         f"link add eth0 netns {client} type veth peer name eth0 netns {gateway}\n"
                         f"link add eth0 netns {backend} type veth peer name port0 netns {gateway}\n")
        spaces.sysctl(gateway, {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
        spaces.ip(gateway, "link add br0 type bridge", "link set port0 master br0",
                  *[f"link set {device} up" for device in ("br0", "port0", "eth0")],
                  "address add 10.77.0.1/24 dev eth0", "address add fd77::1/64 dev eth0 nodad",
                  "address add 10.77.2.1/24 dev br0", "address add fd77:2::1/64 dev br0 nodad",
                  f"address add {PUBLIC}/32 dev lo", f"address add {PUBLIC6}/128 dev lo nodad")
        for netns, net in ((client, 0), (backend, 2)):
            four, six = f"10.77.{net}", "fd77:" if net == 0 else "fd77:2:"
            own = 2 if net == 0 else 10
            spaces.ip(netns, "link set eth0 up", f"address add {four}.{own}/24 dev eth0",
                      f"address add {six}:{own}/64 dev eth0 nodad", f"route add default via {four}.1",
                      f"route add ::/0 via {six}:1")
        topology.inside(gateway, ["nft", "-f", "-"], GATEWAY_RULES)
        topology.inside(backend, ["nft", "-f", "-"], BACKEND_RULES)
        listener = children.spawn(_listen, netns=backend, name="webapp")
        self.listeners.append(listener)
        if not any(message.get("ready") for message in listener.messages(self.pace.deadline(10))):
            raise RuntimeError("the backend did not listen in time")
        # Neighbours first: what resolving them takes belongs to no handshake.
        for netns, target in ((client, "10.77.0.1"), (client, "fd77::1"), (backend, "10.77.2.1"),
                              (backend, "fd77:2::1")):
            children.run_in(netns, lambda target=target: _dial(target, 9, 1)[0], self.pace.deadline(10))

    def trace(self, program, folder, work):
        """Records on each host while work() runs. Returns the recordings by role, and what work() returned."""
        recordings = {role: os.path.join(folder, f"{role}.ntrace") for role in ROLES}
        tracers = {}
        try:
            for role in ROLES:
                tracers[role] = Program(program, ["--netns", self.netns[role], "--record", recordings[role],
                                                  "--unanswered-after", UNANSWERED_AFTER], self.pace,
                                        stdout=subprocess.DEVNULL)
            for role, tracer in tracers.items():
                if not tracer.wait_ready():
                    raise RuntimeError(f"nattrace on {role} was not ready in time: {tracer.words}")
            result = work()
            # The last one may have to stay unanswered for so long, and a verdict comes a moment later.
            time.sleep(float(UNANSWERED_AFTER.rstrip("s")) + 0.5)
            for role, tracer in tracers.items():
                status = tracer.stop()
                if status != 0:
                    raise RuntimeError(f"nattrace on {role} ended with status {status}: {tracer.words}")
        finally:
            for tracer in tracers.values():
                tracer.kill()
        return recordings, result

    def dial(self, targets):
        """Dials each (address, port, patience) from the client, one after another; returns what it saw of each."""
        seconds = 10 + sum(patience for _, _, patience in targets) + 0.05 * len(targets)
        return children.run_in(self.netns["client"], lambda: [_dial(*target)[0] for target in targets],
                               time.monotonic() + seconds * self.pace.slow)


def dial_all(hosts):
    """Dials all of DIALS. Raises if a client saw something else than what was set up."""
    # Those that wait for a timeout last: they need not be waited for by others.
    wanted = sorted(DIALS.values(), key=lambda dial: dial[2] == "timeout")
    saw = hosts.dial([(address, port, PATIENCE) for address, port, _ in wanted])
    for (address, port, expected), seen in zip(wanted, saw):
        if seen != expected:
            raise RuntimeError(f"dialling {address} port {port}: the client saw {seen}, expected {expected}")


def _dial(address, port, patience):
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as client:
        client.settimeout(patience)
        try:
            client.connect((address, port))
        except TimeoutError:
            return "timeout", 0
        except ConnectionRefusedError:
            return "refused", 0
        except OSError as error:
            return error.strerror, 0
        return "connected", client.getsockname()[1]


def _listen(say):
    """Accepts and closes, on the ports that are to be reached, until it is killed."""
    import selectors
    selector = selectors.DefaultSelector()
    for port in (8080, 8082, 8083, 8084):
        server = socket.create_server(("::", port), family=socket.AF_INET6, backlog=512, dualstack_ipv6=True)
        server.setblocking(False)
        selector.register(server, selectors.EVENT_READ)
    say({"ready": True})
    while True:
        for key, _ in selector.select():
            try:
                key.fileobj.accept()[0].close()
            except OSError:
                pass
