"""Many connections at once: each gets its own, right verdict."""

from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario

FIRST = 61001


def two_backends(s):
    """The first backend lives, the second is dead."""
    net = s.gateway(backends=2)
    s.listen(net.backend_ns[0], net.backends[0], name="app-alive", backlog=64)
    s.trace("--dport", s.port)
    return net


def balance(s, net, choice):
    """An nft rule that picks the backend by `choice`, an expression with a map."""
    s.rules.nft(net.gateway_ns, f"""
        table IP balance {{
            chain prerouting {{
                type nat hook prerouting priority -100; policy accept;
                IP daddr {net.public} tcp dport {s.port} dnat to {choice} : {s.app_port}
            }}
        }}""")


@scenario(vm=IN_TURN)
def twenty_by_source_port(s):
    """Which backend each gets is known beforehand: even source ports get the one whose service listens to itself only."""
    net = two_backends(s)
    s.listen(net.backend_ns[1], net.loopback, name="app-alone")
    ports = range(FIRST, FIRST + 20)
    elements = ", ".join(f"{port} : {net.backends[port % 2 == 0]}" for port in ports)
    balance(s, net, f"tcp sport map {{ {elements} }}")
    for port in ports:
        dead = port % 2 == 0
        nat = (net.backends[dead], s.app_port)
        s.connect(net.client_ns, net.public, sport=port, **(
            dict(sees="refused", verdict=Verdict("listener_loopback_only", nat=nat, netns=net.backend_ns[1])) if dead else
            dict(sees="connected", answered_by="app-alive", verdict=Verdict("established", nat=nat))))
    s.expect_totals(established=10, listener_loopback_only=10)


def in_turn(s, net, refused, netns):
    """A round robin: what each gets is told by what its client saw."""
    balance(s, net, f"numgen inc mod 2 map {{ 0 : {net.backends[0]}, 1 : {net.backends[1]} }}")
    for _ in range(20):
        s.connect(net.client_ns, net.public, sees=("connected", "refused"), verdict={
            "connected": Verdict("established", nat=(net.backends[0], s.app_port)),
            "refused": Verdict(refused, nat=(net.backends[1], s.app_port), netns=netns)})
    s.expect_totals(**{"established": 10, refused: 10})


@scenario()
def twenty_in_turn(s):
    net = two_backends(s)
    in_turn(s, net, "no_listener", net.backend_ns[1])


@scenario(vm=IN_TURN)
def twenty_seen_from_gateway(s):
    net = two_backends(s)
    s.trace("--netns", net.gateway_ns)
    in_turn(s, net, "reset_by_backend", net.gateway_ns)
