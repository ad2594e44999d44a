"""Answers that go around the NAT: within one network (hairpin), and by another route (asymmetric)."""

from harness.expect import ByHooks, Step, Verdict
from harness.scenario import IN_TURN, scenario

DIALECTS = ("nft", "iptables")


# Hairpin: the client is a neighbour of the backend, and dials the public address.

def hairpin(s, switch=False, served=True):
    """Returns (net, client's namespace, translated)."""
    net = s.gateway(backends=2, switch=switch)
    translated = (net.backends[0], s.app_port)
    s.bridge_asks_netfilter(net.switch_ns, False)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    if served:
        s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port)
    return net, net.backend_ns[1], translated


def went_around(net, translated):
    return Verdict(
        "hairpin_without_snat", nat=translated, snat=False, reason=(net.backends[1], net.backends[0]),
        steps=("syn", "nat.dnat", Step({"synack", "transmit"}, source=translated), "rst"),
        no_steps=("nat.reverse", "established"))


@scenario(dialects=DIALECTS, vm=("nft",))
def hairpin_by_a_bridge(s):
    """The bridge is the gateway's, and passes the answer on without showing it to routing.

    The gateway also sends an ICMP redirect that quotes the SYN, since the SYN leaves by where it came in. That ends
    nothing.
    """
    net, client_ns, translated = hairpin(s)
    s.connect(client_ns, net.public, sees="timeout", patience=0.8, verdict=went_around(net, translated))


@scenario()
def hairpin_by_a_bridge_seen_from_gateway(s):
    """The gateway alone sees the answer, and the client's reset, at the ports of its bridge."""
    net, client_ns, translated = hairpin(s)
    s.trace("--netns", net.gateway_ns)
    s.connect(client_ns, net.public, sees="timeout", patience=0.8,
              verdict=went_around(net, translated).but(netns=net.gateway_ns))


@scenario(vm=IN_TURN)
def hairpin_by_a_switch(s):
    """The gateway sees neither the answer nor the reset, the machine does."""
    net, client_ns, translated = hairpin(s, switch=True)
    s.connect(client_ns, net.public, sees="timeout", patience=0.8, verdict=went_around(net, translated))


@scenario()
def hairpin_by_a_switch_seen_from_gateway(s):
    """All that the gateway knows is that nothing came back. Client and backend are in one network: that is worth a
    piece of advice, but no proof."""
    net, client_ns, translated = hairpin(s, switch=True)
    s.trace("--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(client_ns, net.public, sees="timeout", patience=3, verdict=Verdict(
        "syn_unanswered", nat=translated, snat=False, netns=net.gateway_ns, steps=("syn", "nat.dnat"),
        no_steps=("synack", "rst")))


@scenario(dialects=DIALECTS, variants={"bridge": False, "switch": True}, vm=("bridge", "iptables"))
def near_miss_hairpin_with_masquerade(s):
    """The repair: the backend sees the gateway as its client."""
    net, client_ns, translated = hairpin(s, switch=s.variant)
    s.rules.masquerade(net.gateway_ns, translated)
    s.connect(client_ns, net.public, sees="connected", answered_by="app-backend", verdict=Verdict(
        "established", nat=translated, snat=net.lan, steps=("syn", "nat.dnat", "nat.snat", "established")))


@scenario()
def near_miss_hairpin_with_masquerade_refused(s):
    net, client_ns, translated = hairpin(s, served=False)
    s.rules.masquerade(net.gateway_ns, translated)
    s.connect(client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, snat=net.lan, netns=net.backend_ns[0], steps=("syn", "reset", "rst")))


@scenario()
def near_miss_hairpin_to_itself(s):
    """Dialled by the very backend that is behind the public address."""
    net, _, translated = hairpin(s)
    s.rules.masquerade(net.gateway_ns, translated)
    s.spaces.ip(net.gateway_ns, "link set port10 type bridge_slave hairpin on")
    s.connect(net.backend_ns[0], net.public, sees="connected", answered_by="app-backend", verdict=Verdict(
        "established", nat=translated, snat=net.lan, steps=("syn", "synack", "ack")))


@scenario(needs=("br-netfilter",))
def near_miss_hairpin_by_a_bridge_that_asks_netfilter(s):
    """With br_netfilter the bridge shows the answer to conntrack, and it is translated back on its way through."""
    net, client_ns, translated = hairpin(s)
    s.bridge_asks_netfilter(net.gateway_ns, True)
    s.connect(client_ns, net.public, sees="connected", answered_by="app-backend",
              verdict=Verdict("established", nat=translated, snat=False))


@scenario()
def near_miss_hairpin_backend_refuses(s):
    """Nothing listens: the backend's own reset goes around the NAT too, and the client ignores it. That it would not
    have helped to listen is the second problem."""
    net, client_ns, translated = hairpin(s, served=False)
    s.connect(client_ns, net.public, sees="timeout", patience=0.8, verdict=Verdict(
        "no_listener", nat=translated, netns=net.backend_ns[0]))


# Asymmetric: the backend has a second link, and its route to the client goes there.

def besides(s, both_ways=True, dnat=True):
    """both_ways: the client, too, has a route to the backend by the second link."""
    net = s.gateway()
    translated = (net.backends[0], s.app_port)
    net.link_beside(net.backend_ns[0])
    s.spaces.ip(net.backend_ns[0], f"route add {net.client}{net.host} via {net.beside_client}")
    if both_ways:
        s.spaces.ip(net.client_ns, f"route add {net.backends[0]}{net.host} via {net.beside_server}")
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    if dnat:
        s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.trace("--dport", s.port if dnat else s.app_port)
    return net, translated


def came_untranslated(translated):
    return Verdict(
        "asymmetric_reply", nat=translated, snat=False, reason=(translated[0],),
        steps=("syn", "nat.dnat", Step({"synack", "transmit"}, source=translated), "rst"),
        no_steps=("nat.reverse", "conntrack.invalid", "established"))


@scenario(dialects=DIALECTS, vm=("nft",))
def answer_by_another_link(s):
    """The client gets its SYN-ACK from an address that it did not dial."""
    net, translated = besides(s)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=came_untranslated(translated))


@scenario(vm=IN_TURN)
def answer_by_another_link_reset_by_gateway(s):
    """The client's reset goes back by the gateway, whose conntrack calls it INVALID: an effect, not the cause."""
    net, translated = besides(s, both_ways=False)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8,
              verdict=came_untranslated(translated).but(no_steps=("nat.reverse", "established")))


@scenario()
def answer_by_another_link_seen_from_gateway(s):
    """The answer is not seen, but the client's reset to an address that it never dialled is, and nothing else than an
    answer from there makes it send one."""
    net, translated = besides(s, both_ways=False)
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=Verdict(
        "asymmetric_reply", nat=translated, netns=net.gateway_ns, checklist={"answer": "none"},
        steps=("syn", "nat.dnat", Step("rst", destination=translated)), no_steps=("synack", "nat.reverse")))


@scenario()
def both_by_another_link_seen_from_gateway(s):
    """Neither the answer nor the reset comes by the gateway: it knows nothing of them."""
    net, translated = besides(s)
    s.trace("--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=3, verdict=Verdict(
        "syn_unanswered", nat=translated, netns=net.gateway_ns, no_steps=("synack", "rst")))


@scenario(variants={"no-nat": False, "nat-of-another-port": True}, vm=("nat-of-another-port",))
def near_miss_asymmetric_without_nat(s):
    """The ways differ, and nothing is translated: it works, also where conntrack sees only one direction."""
    net, translated = besides(s, both_ways=False, dnat=False)
    if s.variant:
        s.rules.dnat(net.gateway_ns, (net.public, s.other_port), translated).should_match = False
    s.connect(net.client_ns, *translated, sees="connected", answered_by="app-backend", verdict=Verdict(
        "established", nat=False, snat=False, no_steps=("nat.dnat", "nat.reverse", "reset")))


@scenario(vm=IN_TURN)
def near_miss_client_without_a_socket(s):
    """A scanner sends a lone SYN. Its answer comes translated, from the dialled address, and the client's kernel,
    which has no socket for it, resets it: neither of the two."""
    net = s.gateway()
    translated = (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.listen(net.backend_ns[0], net.backends[0])
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, raw="right", sees="synack", verdict=Verdict(
        "reset_by_client", nat=translated,
        steps=ByHooks(functions=["syn", "nat.dnat", "synack", "nat.reverse", "reset", "rst"],
                      tracepoints=["syn", "nat.dnat", "synack", "rst"])))
