"""Further kinds of translation, each with a success and a failure: NETMAP, DNAT and REDIRECT of a host's own
connections.
"""

from harness import ways
from harness.expect import Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")
OUTCOMES = {"established": True, "refused": False}


def served_or_not(s, netns, address, **fields):
    """What a client sees and what must come out, with and without a listener at the translated address."""
    if s.variant:
        s.listen(netns, address, name="app-far")
        return dict(sees="connected", answered_by="app-far",
                    verdict=Verdict("established", steps=("syn", "synack", "ack"), **fields))
    return dict(sees="refused", verdict=Verdict("no_listener", netns=netns, reason=(address, str(s.app_port)),
                                                steps=("syn", "reset", "rst"), **fields))


@scenario(dialects=DIALECTS, variants=OUTCOMES, vm=("iptables",))
def netmap_of_destinations(s):
    """A whole network stands for another; the port stays."""
    net = s.gateway()
    s.rules.netmap(net.gateway_ns, net.mapped_net, s.app_port, net.lan_net)
    s.trace("--dport", s.app_port)
    s.connect(net.client_ns, net.mapped.format(10), s.app_port, **served_or_not(
        s, net.backend_ns[0], net.backends[0], nat=(net.backends[0], s.app_port)))


@scenario(variants=OUTCOMES)
def netmap_of_sources(s):
    """A backend dials out, under the address that belongs to it in the other network."""
    net = s.gateway()
    s.rules.netmap(net.gateway_ns, net.lan_net, s.app_port, net.mapped_net, hook="postrouting")
    s.trace("--dport", s.app_port)
    s.connect(net.backend_ns[0], net.client, s.app_port, **served_or_not(
        s, net.client_ns, net.client, snat=net.mapped.format(10)))


@scenario(dialects=DIALECTS, variants=OUTCOMES, vm=("nft",))
def output_dnat_to_backend(s):
    """The gateway itself dials what it publishes: its own SYN is translated in OUTPUT and leaves for the backend."""
    net = s.gateway()
    s.rules.dnat(net.gateway_ns, (net.public, s.port), (net.backends[0], s.app_port), hook="output")
    s.trace("--dport", s.port)
    s.connect(net.gateway_ns, net.public, **served_or_not(
        s, net.backend_ns[0], net.backends[0], nat=(net.backends[0], s.app_port)))


@scenario(variants=OUTCOMES)
def output_dnat_with_masquerade(s):
    """The same with a source that the backend cannot answer, which masquerade replaces."""
    net = s.gateway()
    backend = net.backends[0]
    s.rules.dnat(net.gateway_ns, (net.public, s.port), (backend, s.app_port), hook="output")
    s.rules.masquerade(net.gateway_ns, (backend, s.app_port))
    s.spaces.ip(net.backend_ns[0], f"route del {net.any}/0")
    s.trace("--dport", s.port)
    s.connect(net.gateway_ns, net.public, source=net.public, **served_or_not(
        s, net.backend_ns[0], backend, nat=(backend, s.app_port), snat=net.lan))


@scenario(dialects=DIALECTS)
def output_redirect_established(s):
    """REDIRECT of a host's own connections goes to loopback."""
    net = s.host()
    s.rules.redirect(net.host_ns, (net.elsewhere, s.port), s.app_port, hook="output")
    s.listen(net.host_ns, net.loopback, name="app-proxy")
    s.trace("--dport", s.port)
    s.connect(net.host_ns, net.elsewhere, sees="connected", answered_by="app-proxy", verdict=Verdict(
        "established", nat=(net.loopback, s.app_port), netns=net.host_ns, steps=("nat.dnat", "established")))


@scenario(dialects=DIALECTS, vm=("iptables",))
def output_redirect_other_address(s):
    """The proxy listens on the host's address, and REDIRECT goes to loopback."""
    net = s.host()
    dialled, translated = (net.elsewhere, s.port), (net.loopback, s.app_port)
    s.rules.redirect(net.host_ns, dialled, s.app_port, hook="output")
    proxy = s.listen(net.host_ns, net.inner, name="app-proxy")
    s.trace("--dport", s.port)
    s.connect(net.host_ns, net.elsewhere, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=proxy, netns=net.host_ns,
        reason=(net.loopback, net.inner, "app-proxy"), steps=ways.refused_from_here(dialled, translated)))
