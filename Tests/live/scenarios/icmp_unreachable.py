"""ICMP errors from elsewhere that end a handshake, and some that do not."""

from harness import far_host
from harness.expect import Verdict
from harness.scenario import scenario
from scenarios.far_side import forwarded_far

DIALECTS = ("nft", "iptables")
# Which error, and what the client's TCP makes of it.
ENDS = {"no-route": "unreachable", "host": "unreachable", "port": "refused", "prohibited": "unreachable",
        "time-exceeded": "unreachable"}


def ended(net, translated, source, **options):
    return Verdict("icmp_unreachable", nat=translated, netns=net.gateway_ns, reason=(source,),
                   steps=("syn", "nat.dnat", "icmp"), no_steps=("synack", "rst", "reset"), **options)


@scenario(variants={error: error for error in ENDS}, vm=("port", "prohibited"))
def error_from_a_router(s):
    """A router beyond the gateway answers; NAT translates what the error quotes back, so the client understands it."""
    net, _, translated = forwarded_far(s, lambda net: [far_host.icmp(s.variant, net.router)])
    s.connect(net.client_ns, net.public, sees=ENDS[s.variant], verdict=ended(net, translated, net.router))


@scenario(variants={error: error for error in ("host", "port")})
def error_seen_from_gateway(s):
    net, _, translated = forwarded_far(s, lambda net: [far_host.icmp(s.variant, net.router)])
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees=ENDS[s.variant], verdict=ended(net, translated, net.router))


@scenario(dialects=DIALECTS)
def error_from_the_backend_itself(s):
    """A host with a firewall that says so."""
    net, _, translated = forwarded_far(s, lambda net: [far_host.icmp("prohibited", net.far)])
    s.connect(net.client_ns, net.public, sees="unreachable", verdict=ended(net, translated, net.far))


@scenario()
def error_without_nat(s):
    """The gateway only routes."""
    net = s.gateway()
    s.far_host(net, [far_host.icmp("host", net.router)])
    s.trace("--dport", s.app_port)
    s.connect(net.client_ns, net.far, s.app_port, sees="unreachable", verdict=Verdict(
        "icmp_unreachable", nat=False, netns=net.gateway_ns, reason=(net.router,), steps=("syn", "icmp")))


@scenario()
def error_with_source_nat(s):
    """What is quoted has another source, too, than what the client sent."""
    net, _, translated = forwarded_far(s, lambda net: [far_host.icmp("host", net.router)])
    s.rules.masquerade(net.gateway_ns, translated)
    s.connect(net.client_ns, net.public, sees="unreachable",
              verdict=ended(net, translated, net.router, snat=net.far_gateway))


@scenario(variants={"answered": True, "silent": False}, vm=("answered",))
def near_miss_packet_too_big(s):
    """Fragmentation needed, packet too big: advice about sizes, and no end."""
    net, _, translated = forwarded_far(
        s, lambda net: [far_host.icmp("too-big", net.router), *([far_host.synack()] if s.variant else [])])
    if s.variant:
        s.connect(net.client_ns, net.public, sees="connected", patience=1, verdict=Verdict(
            "established", nat=translated, steps=("syn", "nat.dnat", "synack", "established")))
        return
    s.trace("--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=3, verdict=Verdict(
        "syn_unanswered", nat=translated, netns=net.gateway_ns))


@scenario()
def near_miss_error_that_nobody_believes(s):
    """It quotes a sequence number that the client never sent, so the client's TCP takes no notice."""
    net, _, translated = forwarded_far(s, lambda net: [far_host.icmp("host", net.router, wrong_seq=True)])
    s.trace("--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=3, verdict=Verdict(
        "syn_unanswered", nat=translated, netns=net.gateway_ns))


@scenario()
def near_miss_error_for_the_first_of_two(s):
    """Two connections at once, and an error for one of them."""
    net = s.gateway()
    s.far_host(net, [far_host.icmp("host", net.router)])
    s.rules.dnat(net.gateway_ns, (net.public, s.port), (net.far, s.app_port))
    s.rules.dnat(net.gateway_ns, (net.public, s.other_port), (net.backends[0], s.app_port))
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port, "--dport", s.other_port)
    s.connect(net.client_ns, net.public, sees="unreachable",
              verdict=Verdict("icmp_unreachable", nat=(net.far, s.app_port)))
    s.connect(net.client_ns, net.public, s.other_port, sees="connected", answered_by="app-backend",
              verdict=Verdict("established", nat=(net.backends[0], s.app_port)))


# A router of this machine: its own kernel makes the error.

def behind_a_router(s):
    """The first backend's namespace is a router, and the rule names an address beyond it."""
    net = s.gateway()
    router = net.backend_ns[0]
    translated = (net.elsewhere, s.app_port)
    s.sysctl(router, {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
    s.spaces.ip(net.gateway_ns, f"route add {net.elsewhere}{net.host} via {net.backends[0]}")
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.trace("--dport", s.port)
    return net, router, translated


def refuse(s, net, router):
    """Lets the router refuse what goes to the address beyond it; returns the rule that does, or None."""
    if s.variant == "rule":
        return s.rules.reject(router, (net.elsewhere, s.app_port), "admin-prohibited", hook="forward")
    s.spaces.ip(router, f"route add {s.variant} {net.elsewhere}{net.host}")


REFUSALS = {"unreachable": "unreachable", "prohibit": "prohibit", "rule": "rule"}


@scenario(variants=REFUSALS, vm=("unreachable",))
def router_of_this_machine_seen_from_gateway(s):
    net, router, translated = behind_a_router(s)
    refuse(s, net, router)
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="unreachable", verdict=ended(net, translated, net.backends[0]))


@scenario(variants=REFUSALS, vm=("unreachable",))
def near_miss_router_of_this_machine_seen_whole(s):
    """The router's own reason is known, and is the better answer."""
    net, router, translated = behind_a_router(s)
    rule = refuse(s, net, router)
    s.connect(net.client_ns, net.public, sees="unreachable", verdict=Verdict(
        "filter_rejected" if rule else "no_route", nat=translated, netns=router, rule=rule,
        checklist={"answer": "icmp"}, evidence=() if rule else ({"kind": "route"},)))


@scenario()
def time_to_live_exceeded_seen_from_gateway(s):
    """The client's packets do not get farther than the router."""
    net, router, translated = behind_a_router(s)
    s.spaces.ip(router, f"route add {net.elsewhere}{net.host} via {net.lan}")
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, hop_limit=2, sees="unreachable",
              verdict=ended(net, translated, net.backends[0]))
