"""Settings, routes and neighbours between the rewrite and the translated destination."""

from harness.expect import Verdict, sysctl_evidence
from harness.scenario import IN_TURN, scenario
from scenarios.gateway import forwarded
from scenarios.local import output_dnat
from scenarios.published_port import published


ROUTE = {"kind": "route"}
# nat is concluded from what the dropped packet carried, so the rewrite is a step with any hooks.
REWRITTEN_AND_DROPPED = ("syn", "nat.dnat", "drop")


# Forwarding. A SYN to another machine is dropped without a word where the gateway does not forward.

FORWARDING = {4: "net.ipv4.ip_forward", 6: "net.ipv6.conf.all.forwarding"}


@scenario(dialects=("nft", "iptables"), vm=IN_TURN)
def gateway_does_not_forward(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.sysctl(net.gateway_ns, {FORWARDING[s.family]: 0})
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "forwarding_disabled", nat=translated, netns=net.gateway_ns, reason=(net.backends[0],),
        evidence=(sysctl_evidence(FORWARDING[s.family], 0),), steps=REWRITTEN_AND_DROPPED,
        no_steps=("reset",)))


@scenario()
def gateway_does_not_forward_at_all(s):
    """Without any translation: dialled is the backend itself, by way of the gateway."""
    net = s.gateway()
    s.sysctl(net.gateway_ns, {FORWARDING[s.family]: 0})
    s.trace("--dport", s.app_port)
    s.connect(net.client_ns, net.backends[0], s.app_port, sees="timeout", patience=2, verdict=Verdict(
        "forwarding_disabled", nat=False, netns=net.gateway_ns, evidence=(sysctl_evidence(FORWARDING[s.family], 0),)))


@scenario(families=(4,))
def device_does_not_forward(s):
    """It counts by which device the SYN comes in."""
    net, _, translated = forwarded(s)
    s.sysctl(net.gateway_ns, {"net.ipv4.conf.eth0.forwarding": 0})
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "forwarding_disabled", nat=translated, netns=net.gateway_ns,
        evidence=(sysctl_evidence("net.ipv4.conf.eth0.forwarding", 0),), steps=REWRITTEN_AND_DROPPED))


@scenario()
def near_miss_other_device_does_not_forward(s):
    """IPv4 asks the device of the SYN and of the answer, and IPv6 asks none of them."""
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.sysctl(net.gateway_ns, {4: {"net.ipv4.conf.lo.forwarding": 0}, 6: {
        "net.ipv6.conf.eth0.forwarding": 0, "net.ipv6.conf.br0.forwarding": 0}}[s.family])
    s.connect(net.client_ns, net.public, sees="connected", verdict=Verdict("established", nat=translated))


@scenario()
def near_miss_no_forwarding_needed(s):
    """Translated to an address of this machine: forwarding is off, and does not matter."""
    net, _, translated = published(s)
    s.sysctl(net.server_ns, {FORWARDING[s.family]: 0})
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict("no_listener", nat=translated))


@scenario(vm=IN_TURN)
def forwarding_enabled_while_the_client_waits(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.sysctl(net.gateway_ns, {FORWARDING[s.family]: 0})
    s.once_told()
    s.meanwhile("let the gateway forward", lambda: s.sysctl(net.gateway_ns, {FORWARDING[s.family]: 1}))
    s.connect(net.client_ns, net.public, sees="connected", patience=8, verdict=[
        Verdict("forwarding_disabled", nat=translated, netns=net.gateway_ns),
        Verdict("established", nat=translated, revised=True, steps=("drop", "syn", "synack", "ack"))])


# DNAT to loopback, from outside.

def to_loopback(s, route_localnet=None):
    """The application listens on loopback, and the rule leads there."""
    net = s.pair()
    translated = (net.loopback, s.app_port)
    s.rules.dnat(net.server_ns, (net.public, s.port), translated)
    s.listen(net.server_ns, net.loopback)
    if route_localnet is not None:
        s.sysctl(net.server_ns, {"net.ipv4.conf.all.route_localnet": 0,
                                 "net.ipv4.conf.eth0.route_localnet": route_localnet})
    s.trace("--dport", s.port)
    return net, translated


@scenario(families=(4,), dialects=("nft", "iptables"), vm=("nft",))
def translated_to_loopback(s):
    net, translated = to_loopback(s, route_localnet=0)
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "route_localnet_disabled", nat=translated, netns=net.server_ns, reason=(net.loopback, "route_localnet"),
        evidence=(sysctl_evidence("net.ipv4.conf.eth0.route_localnet", 0),), steps=REWRITTEN_AND_DROPPED))


@scenario(families=(4,), dialects=("nft", "iptables"))
def near_miss_route_localnet(s):
    net, translated = to_loopback(s, route_localnet=1)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated))


@scenario(families=(4,))
def near_miss_loopback_from_the_host_itself(s):
    """A client on the host needs no setting for it."""
    net = s.host()
    translated = (net.loopback, s.app_port)
    s.rules.dnat(net.host_ns, (net.public, s.port), translated, hook="output")
    s.listen(net.host_ns, net.loopback)
    s.trace("--dport", s.port)
    s.connect(net.host_ns, net.public, sees="connected", source=net.inner, verdict=Verdict(
        "established", nat=translated))


@scenario(families=(6,))
def near_miss_loopback_of_ipv6(s):
    """There is no such setting: for what comes in by another device the kernel has no route to ::1."""
    net, translated = to_loopback(s)
    s.connect(net.client_ns, net.public, sees="unreachable", verdict=Verdict(
        "no_route", nat=translated, netns=net.server_ns, steps=REWRITTEN_AND_DROPPED))


# The reverse path: a client's address to which the server's routes lead by another device.

def two_ways(s, rp_filter, route_back=True):
    """A second link between client and server. The client dials by eth0 from an address that the server reaches by
    the other link, or not at all."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    net.link_beside(net.server_ns)
    s.spaces.ip(net.client_ns, f"address add {net.elsewhere}{net.host} dev lo")
    if route_back:
        s.spaces.ip(net.server_ns, f"route add {net.elsewhere}{net.host} via {net.beside_client}")
    none = {f"net.ipv4.conf.{device}.rp_filter": 0 for device in ("all", "default", "eth0", "beside")}
    # The check holds for ARP too: the client must not ask as the address in question.
    s.sysctl(net.client_ns, {**none, "net.ipv4.conf.eth0.arp_announce": 2})
    s.sysctl(net.server_ns, {**none, **{f"net.ipv4.conf.{device}.rp_filter": value
                                        for device, value in rp_filter.items()}})
    return net, translated


@scenario(families=(4,), variants={
    "all": ({"all": 1}, True), "device": ({"eth0": 1}, True), "loose": ({"eth0": 2}, False)}, vm=("all",))
def reverse_path_drops(s):
    """Strictly: the way back leads by another device. Loosely: there is no way back at all."""
    setting, route_back = s.variant
    net, translated = two_ways(s, setting, route_back)
    (device, value), = setting.items()
    s.connect(net.client_ns, net.public, source=net.elsewhere, sees="timeout", patience=2, verdict=Verdict(
        "rp_filter", nat=translated, netns=net.server_ns, reason=(net.elsewhere, "eth0"),
        fields={"nattrace.reason": "IP_RPFILTER"},
        evidence=(sysctl_evidence(f"net.ipv4.conf.{device}.rp_filter", value),),
        steps=REWRITTEN_AND_DROPPED))


@scenario(families=(4,), variants={"loose": {"all": 2}, "loose-beats-strict": {"all": 1, "eth0": 2},
                                   "other-device": {"beside": 1}, "off": {}})
def near_miss_reverse_path(s):
    """The answer goes another way, which is nobody's business here. Of the two settings the larger one holds."""
    net, translated = two_ways(s, s.variant)
    s.connect(net.client_ns, net.public, source=net.elsewhere, sees="connected", answered_by="app-inner",
              verdict=Verdict("established", nat=translated))


@scenario(dialects=("nft", "iptables"))
def near_miss_rule_checks_the_reverse_path(s):
    """The same check as a rule, which IPv6 has no other of: a rule dropped it."""
    net = s.pair()
    source, port = net.elsewhere, s.app_port
    s.listen(net.server_ns, net.any)
    s.spaces.ip(net.client_ns, f"address add {source}{net.host} dev lo")
    rule = s.rules.drop_by_reverse_path(net.server_ns, (None, port))
    s.trace("--dport", port)
    s.connect(net.client_ns, net.server, port, source=source, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", rule=rule, netns=net.server_ns, fields={"nattrace.stage": "prerouting"}))


# Routes.

@scenario(vm=IN_TURN)
def no_route_to_the_translated_destination(s):
    """The rule leads to an address that the gateway knows no way to; it says so with an ICMP error."""
    net = s.gateway()
    translated = (net.elsewhere, s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="unreachable", verdict=Verdict(
        "no_route", nat=translated, netns=net.gateway_ns, reason=(net.elsewhere,), steps=REWRITTEN_AND_DROPPED))


# Name: what the client sees.
ROUTE_TYPES = {"blackhole": "timeout", "unreachable": "unreachable", "prohibit": "unreachable"}


@scenario(variants={kind: kind for kind in ROUTE_TYPES}, vm=("blackhole",))
def route_that_refuses(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.spaces.ip(net.gateway_ns, f"route add {s.variant} {net.backends[0]}{net.host}")
    s.connect(net.client_ns, net.public, sees=ROUTE_TYPES[s.variant], patience=2, verdict=Verdict(
        "no_route", nat=translated, netns=net.gateway_ns, reason=(s.variant, net.backends[0]), evidence=(ROUTE,),
        steps=REWRITTEN_AND_DROPPED))


@scenario(variants={"none": None, **{kind: kind for kind in ROUTE_TYPES}}, vm=("none",))
def no_route_from_the_host_itself(s):
    """Dialled on the host. There was a route for what was dialled; for what OUTPUT makes of it there is none. The
    kernel calls this a drop of netfilter, but no rule did it."""
    net, _, translated = output_dnat(s, "elsewhere")
    s.spaces.ip(net.host_ns, f"route del {net.any}/0", f"route add {net.elsewhere}{net.host} dev app0")
    unroutable = ("192.0.2.9" if s.family == 4 else "2001:db8:55::9", s.app_port)
    if s.variant:
        s.spaces.ip(net.host_ns, f"route add {s.variant} {unroutable[0]}{net.host}")
    s.rules.added.pop().remove()
    s.rules.dnat(net.host_ns, (net.elsewhere, s.port), unroutable, hook="output")
    s.connect(net.host_ns, net.elsewhere, sees="timeout", patience=2, verdict=Verdict(
        "no_route", nat=unroutable, netns=net.host_ns, reason=(unroutable[0],), no_rule=True, steps=("drop",),
        evidence=(ROUTE,) if s.variant else ()))


@scenario()
def no_route_back(s):
    """The SYN comes to its listener, and its source is an address to which the server has no route: TCP answers with
    nothing."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.spaces.ip(net.client_ns, f"address add {net.elsewhere}{net.host} dev lo")
    s.sysctl(net.server_ns, {"net.ipv4.conf.all.rp_filter": 0, "net.ipv4.conf.eth0.rp_filter": 0})
    s.trace("--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, source=net.elsewhere, sees="timeout", patience=4, verdict=Verdict(
        "no_route", nat=translated, netns=net.server_ns, reason=(net.elsewhere,), no_steps=("synack",)))


@scenario()
def route_repaired_while_the_client_waits(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.spaces.ip(net.gateway_ns, f"route add blackhole {net.backends[0]}{net.host}")
    s.once_told()
    s.meanwhile("take the route away", lambda: s.spaces.ip(
        net.gateway_ns, f"route del blackhole {net.backends[0]}{net.host}"))
    s.connect(net.client_ns, net.public, sees="connected", patience=8, verdict=[
        Verdict("no_route", nat=translated, netns=net.gateway_ns),
        Verdict("established", nat=translated, revised=True)])


# A table of its own for what comes from the client: asked by the destination alone, routing would say something else.

def client_has_its_own_table(s, net, *routes):
    s.spaces.ip(net.gateway_ns, f"rule add from {net.client}{net.host} lookup 77", family=s.family)
    s.spaces.ip(net.gateway_ns, *(f"route add {route} table 77" for route in routes))


@scenario(vm=IN_TURN)
def policy_routing_refuses(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    client_has_its_own_table(s, net, f"blackhole {net.backends[0]}{net.host}")
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "no_route", nat=translated, netns=net.gateway_ns, reason=("blackhole", net.backends[0], "table 77"),
        evidence=(ROUTE,), steps=REWRITTEN_AND_DROPPED))


@scenario()
def near_miss_policy_routing_for_others(s):
    net, _, translated = forwarded(s)
    s.spaces.ip(net.gateway_ns, f"rule add from {net.elsewhere}{net.host} lookup 77", family=s.family)
    s.spaces.ip(net.gateway_ns, f"route add blackhole {net.backends[0]}{net.host} table 77")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.backend_ns[0]))


@scenario()
def near_miss_route_that_refuses_another(s):
    net, _, translated = forwarded(s)
    s.spaces.ip(net.gateway_ns, f"route add blackhole {net.absent}{net.host}",
                f"route add unreachable {net.elsewhere}{net.host}")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.backend_ns[0]))


# Neighbours. How long the kernel asks is a setting; its default is three times a second.

NEIGHBOUR = {4: "net.ipv4.neigh", 6: "net.ipv6.neigh"}


def ask_briefly(s, netns, device):
    s.sysctl(netns, {f"{NEIGHBOUR[s.family]}.{device}.retrans_time_ms": 200})


def unreachable(address, device, netns, nat, **more):
    return Verdict("neighbor_unreachable", nat=nat, netns=netns, reason=(address, device), no_steps=("reset",), **more)


@scenario(dialects=("nft", "iptables"), vm=IN_TURN)
def neighbour_does_not_answer(s):
    """Nobody has the translated address."""
    net, _, translated = forwarded(s, to="absent")
    ask_briefly(s, net.gateway_ns, "br0")
    s.connect(net.client_ns, net.public, sees="unreachable", patience=8, verdict=unreachable(
        net.absent, "br0", net.gateway_ns, translated, steps=REWRITTEN_AND_DROPPED))


@scenario()
def neighbour_does_not_answer_for_long(s):
    """With the kernel's own patience, which is the usual case: longer than the client's first retransmission."""
    net, _, translated = forwarded(s, to="absent")
    s.connect(net.client_ns, net.public, sees="unreachable", patience=12, verdict=unreachable(
        net.absent, "br0", net.gateway_ns, translated))


@scenario()
def router_does_not_answer(s):
    """The translated address is behind a router, and that one is not there."""
    net = s.gateway()
    translated = (net.elsewhere, s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.spaces.ip(net.gateway_ns, f"route add {net.elsewhere}{net.host} via {net.absent}")
    ask_briefly(s, net.gateway_ns, "br0")
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="unreachable", patience=8, verdict=unreachable(
        net.absent, "br0", net.gateway_ns, translated))


@scenario(vm=IN_TURN)
def router_of_policy_routing_does_not_answer(s):
    """All others get there by another router."""
    net = s.gateway()
    translated = (net.elsewhere, s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.spaces.ip(net.gateway_ns, f"route add {net.elsewhere}{net.host} via {net.backends[0]}")
    client_has_its_own_table(s, net, f"{net.elsewhere}{net.host} via {net.absent}")
    ask_briefly(s, net.gateway_ns, "br0")
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="unreachable", patience=8, verdict=unreachable(
        net.absent, "br0", net.gateway_ns, translated))


@scenario()
def neighbour_of_the_host_itself(s):
    """The client is on the host; the translated address is in the network of its device."""
    net = s.host()
    translated = ("10.77.1.99" if s.family == 4 else "fd77:1::99", s.app_port)
    s.rules.dnat(net.host_ns, (net.elsewhere, s.port), translated, hook="output")
    ask_briefly(s, net.host_ns, "app0")
    s.trace("--dport", s.port)
    s.connect(net.host_ns, net.elsewhere, sees="unreachable", patience=8, verdict=unreachable(
        translated[0], "app0", net.host_ns, translated))


@scenario()
def near_miss_another_neighbour_does_not_answer(s):
    """A failed neighbour beside a backend that refuses by itself."""
    net, _, translated = forwarded(s)
    s.spaces.ip(net.gateway_ns, f"neigh add {net.absent} nud failed dev br0")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.backend_ns[0]))
