"""SNAT and masquerade on a gateway: alone, beside a DNAT, and for connections from the inside out."""

from harness.expect import Step, Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")
OUTCOMES = {"refused": False, "established": True}


def outcome(s, net, snat, nat, listening_ns, address):
    """What the client sees and what must come out, with and without a listener at the end of the way."""
    if s.variant:
        s.listen(listening_ns, address, name="app-far")
        return dict(sees="connected", answered_by="app-far",
                    verdict=Verdict("established", snat=snat, nat=nat, steps=("syn", "nat.snat", "synack")))
    return dict(sees="refused", verdict=Verdict(
        "reset_by_backend", snat=snat, nat=nat, netns=net.gateway_ns, steps=("syn", "nat.snat", "rst")))


@scenario(dialects=DIALECTS, variants=OUTCOMES)
def masquerade_alone(s):
    net = s.gateway()
    backend = net.backends[0]
    s.rules.masquerade(net.gateway_ns, (backend, s.app_port))
    s.trace("--dport", s.app_port, "--netns", net.gateway_ns)
    s.connect(net.client_ns, backend, s.app_port, **outcome(s, net, net.lan, None, net.backend_ns[0], backend))


@scenario(dialects=DIALECTS, variants=OUTCOMES, vm=("nft",))
def masquerade_beside_dnat(s):
    net = s.gateway()
    backend = net.backends[0]
    s.rules.dnat(net.gateway_ns, (net.public, s.port), (backend, s.app_port))
    s.rules.masquerade(net.gateway_ns, (backend, s.app_port))
    s.trace("--dport", s.port, "--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public,
              **outcome(s, net, net.lan, (backend, s.app_port), net.backend_ns[0], backend))


@scenario(dialects=DIALECTS, variants=OUTCOMES, vm=("iptables",))
def snat_from_inside(s):
    """A backend dials out; the gateway gives it its public address, and the other side answers to that."""
    net = s.gateway()
    s.rules.snat(net.gateway_ns, (net.client, s.app_port), net.public)
    s.trace("--dport", s.app_port, "--netns", net.gateway_ns)
    s.connect(net.backend_ns[0], net.client, s.app_port,
              **outcome(s, net, net.public, None, net.client_ns, net.client))


@scenario()
def masquerade_seen_from_backend(s):
    """The backend's namespace alone: the client there is the gateway."""
    net = s.gateway()
    backend = net.backends[0]
    s.rules.masquerade(net.gateway_ns, (backend, s.app_port))
    s.trace("--dport", s.app_port, "--netns", net.backend_ns[0])
    s.connect(net.client_ns, backend, s.app_port, sport=61001, sees="refused", seen_as={"source": net.lan},
              verdict=Verdict("no_listener", snat=False, nat=False, first=Step("syn", source=(net.lan, 61001))))
