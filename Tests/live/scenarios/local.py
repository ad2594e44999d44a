"""Connections of a host to itself: DNAT in OUTPUT, and no NAT at all."""

from harness import ways
from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario

DIALECTS = ("nft", "iptables")


def output_dnat(s, address):
    """Dialled on the host itself: a remote address, or its own public one, rewritten in OUTPUT to the inner one."""
    net = s.host()
    dialled, translated = (getattr(net, address), s.port), (net.inner, s.app_port)
    s.rules.dnat(net.host_ns, dialled, translated, hook="output")
    s.trace("--dport", s.port)
    return net, dialled, translated


@scenario(dialects=DIALECTS, variants={"remote": "elsewhere", "own": "public"}, vm=("nft",))
def output_dnat_other_address(s):
    net, dialled, translated = output_dnat(s, s.variant)
    app = s.listen(net.host_ns, net.other)
    s.connect(net.host_ns, *dialled, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app, reason=(net.inner, net.other, "app-inner"),
        netns=net.host_ns, steps=ways.refused_from_here(dialled, translated)))


@scenario(dialects=DIALECTS, vm=("nft",))
def output_dnat_no_listener(s):
    net, dialled, translated = output_dnat(s, "elsewhere")
    s.connect(net.host_ns, *dialled, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.host_ns, steps=ways.refused_from_here(dialled, translated)))


@scenario(dialects=DIALECTS, vm=("iptables",))
def output_dnat_established(s):
    net, dialled, translated = output_dnat(s, "elsewhere")
    s.listen(net.host_ns, net.inner)
    s.connect(net.host_ns, *dialled, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, netns=net.host_ns, steps=("nat.dnat", "established")))


@scenario(variants={"loopback": "loopback", "own-address": "inner"}, vm=IN_TURN)
def plain_refused(s):
    """No rule, no listener, over the loopback interface."""
    net = s.host()
    address = getattr(net, s.variant)
    s.trace("--dport", s.port)
    s.connect(net.host_ns, address, sees="refused", verdict=Verdict(
        "no_listener", nat=False, snat=False, reason=(address, str(s.port)), netns=net.host_ns,
        no_steps=("nat.dnat", "nat.snat", "nat.reverse"), steps=ways.refused_untouched((address, s.port))))


@scenario()
def plain_established(s):
    net = s.host()
    s.trace("--dport", s.app_port)
    s.listen(net.host_ns, net.loopback)
    s.connect(net.host_ns, net.loopback, s.app_port, sees="connected", verdict=Verdict(
        "established", nat=False, netns=net.host_ns, no_steps=("nat.dnat", "reset", "drop")))
