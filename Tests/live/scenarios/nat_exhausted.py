"""A translation for which no ports are left: the new entry clashes with one in the table, and the SYN is dropped."""

from harness.conntrack import evidence
from harness.expect import ByHooks, Step, Verdict
from harness.scenario import IN_TURN, scenario

DIALECTS = ("nft", "iptables")
RANGES = {"one-port": ("40000", 1), "two-ports": ("40000-40001", 2)}


@scenario(dialects=DIALECTS, variants=RANGES, vm=("nft",))
def no_source_port_left(s):
    """Source NAT to so many ports, so many connections to the backend are open, and one more is dialled."""
    ports, number = s.variant
    net = s.gateway()
    backend = (net.backends[0], s.app_port)
    s.rules.snat(net.gateway_ns, backend, net.public, ports)
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.app_port)
    for sport in range(61001, 61001 + number):
        s.connect(net.client_ns, *backend, sport=sport, sees="connected", answered_by="app-backend",
                  verdict=Verdict("established", snat=net.public, netns=None))
        s.phase()
    holders = [evidence((net.client, sport), backend) for sport in range(61001, 61001 + number)]
    s.connect(net.client_ns, *backend, sport=61009, sees="timeout", patience=0.8, verdict=Verdict(
        "nat_exhausted", netns=net.gateway_ns, reason=(net.public,),
        fields={"nattrace.function": "nf_hook_slow", "nattrace.reason": "NETFILTER_DROP"},
        evidence=tuple(holders) if number == 1 else (), checklist={"conntrack": "new"},
        steps=ByHooks(functions=["syn", "conntrack.new", "nat.snat", Step("drop", nattrace__stage="postrouting")],
                      tracepoints=["syn", "drop"])))


@scenario()
def near_miss_port_of_another_destination(s):
    """The one port serves as many connections as there are destinations."""
    net = s.gateway(backends=2)
    s.rules.snat(net.gateway_ns, (None, s.app_port), net.public, "40000")
    s.trace("--dport", s.app_port)
    for netns, address in zip(net.backend_ns, net.backends):
        s.listen(netns, address, name="app-backend")
        s.connect(net.client_ns, address, s.app_port, sees="connected", verdict=Verdict(
            "established", snat=net.public, fields={"source.nat.port": 40000}))


@scenario(vm=IN_TURN)
def near_miss_clash_resolved(s):
    """Two addresses are translated to one backend and dialled from one client port: the second would look like the
    first, so the kernel gives it another source port, which no rule asked for."""
    net = s.gateway()
    backend = (net.backends[0], s.app_port)
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port)
    for address in (net.public, net.server):
        s.rules.dnat(net.gateway_ns, (address, s.port), backend)
    s.connect(net.client_ns, net.public, sport=61001, sees="connected", answered_by="app-backend",
              verdict=Verdict("established", nat=backend, snat=False))
    s.phase()
    s.connect(net.client_ns, net.server, sport=61001, sees="connected", answered_by="app-backend",
              verdict=Verdict("established", nat=backend, steps=("nat.dnat", "nat.snat", "established")))


@scenario()
def near_miss_dropped_by_a_rule(s):
    """A rule drops what has a source port of its own: nothing clashes."""
    net = s.gateway()
    backend = (net.backends[0], s.app_port)
    s.rules.snat(net.gateway_ns, backend, net.public, "40000").should_match = False
    fence = s.rules.drop(net.gateway_ns, backend, hook="forward")
    s.trace("--dport", s.app_port)
    s.connect(net.client_ns, *backend, sees="timeout", patience=0.8, verdict=Verdict(
        "filter_dropped", netns=net.gateway_ns, snat=False, rule=fence, steps=("syn", "drop")))
