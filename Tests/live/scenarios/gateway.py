"""A gateway that DNATs to backends behind it, seen from the gateway alone and from the whole machine."""

from harness import ways
from harness.expect import Step, Verdict
from harness.scenario import IN_TURN, scenario

DIALECTS = ("nft", "iptables")


def forwarded(s, to=None):
    net = s.gateway()
    dialled, translated = (net.public, s.port), (net.absent if to == "absent" else net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, dialled, translated)
    s.trace("--dport", s.port)
    return net, dialled, translated


@scenario(dialects=DIALECTS, vm=("nft",))
def backend_refuses_seen_from_gateway(s):
    net, dialled, translated = forwarded(s)
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "reset_by_backend", nat=translated, reason=(net.backends[0], str(s.app_port)), netns=net.gateway_ns,
        steps=ways.refused_beyond(dialled, translated), no_steps=("reset", "listener")))


@scenario(dialects=DIALECTS, vm=("iptables",))
def backend_refuses_seen_whole(s):
    """The backend's namespace is on this machine: the reset is seen where it is made."""
    net, dialled, translated = forwarded(s)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, reason=(net.backends[0],), netns=net.backend_ns[0],
        steps=("syn", "nat.dnat", "reset")))


@scenario(vm=IN_TURN)
def backend_on_loopback_seen_whole(s):
    """The container case: the application in the backend's namespace listens on loopback only."""
    net, dialled, translated = forwarded(s)
    app = s.listen(net.backend_ns[0], net.loopback)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_loopback_only", nat=translated, listener=app, reason=(net.loopback, "app-inner"),
        netns=net.backend_ns[0], steps=("syn", "nat.dnat", "reset")))


@scenario()
def backend_refuses_seen_from_backend(s):
    """Only the backend's namespace is observed: there the connection was dialled to the backend itself."""
    net = s.gateway()
    s.rules.dnat(net.gateway_ns, (net.public, s.port), (net.backends[0], s.app_port))
    s.trace("--dport", s.app_port, "--netns", net.backend_ns[0])
    s.connect(net.client_ns, net.public, sees="refused",
              seen_as={"destination": net.backends[0], "dport": s.app_port},
              verdict=Verdict("no_listener", nat=False, netns=net.backend_ns[0], no_steps=("nat.dnat",),
                              steps=ways.refused_untouched((net.backends[0], s.app_port))))


@scenario(dialects=DIALECTS, variants={"gateway": True, "whole": False}, vm=("whole",))
def backend_answers(s):
    net, dialled, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    if s.variant:
        s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-backend", verdict=Verdict(
        "established", nat=translated, steps=("syn", "nat.dnat", "synack", "ack"), no_steps=("reset", "drop")))


@scenario()
def backend_drops_seen_from_gateway(s):
    net, dialled, translated = forwarded(s)
    s.rules.drop(net.backend_ns[0], (None, s.app_port))
    s.trace("--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=4, verdict=Verdict(
        "syn_unanswered", nat=translated, reason=(net.backends[0],), netns=net.gateway_ns,
        steps=ways.unanswered(dialled, translated), no_steps=("drop", "reset", "rst")))


@scenario()
def backend_absent_seen_from_gateway(s):
    """The neighbour is known, so the SYN leaves; nobody there has that address."""
    net, dialled, translated = forwarded(s, to="absent")
    s.spaces.ip(net.gateway_ns, f"neigh replace {net.absent} lladdr {s.mac(net.backend_ns[0], 'eth0')} dev br0")
    s.trace("--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=4, verdict=Verdict(
        "syn_unanswered", nat=translated, reason=(net.absent,), netns=net.gateway_ns,
        steps=ways.unanswered(dialled, translated), no_steps=("drop", "reset", "rst")))


@scenario(dialects=DIALECTS)
def backend_drops_seen_whole(s):
    net, dialled, translated = forwarded(s)
    rule = s.rules.drop(net.backend_ns[0], (None, s.app_port))
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", nat=translated, netns=net.backend_ns[0], rule=rule, steps=("syn", "nat.dnat", "drop")))


@scenario(dialects=DIALECTS)
def gateway_drops(s):
    """The gateway itself drops what it has rewritten."""
    net, dialled, translated = forwarded(s)
    rule = s.rules.drop(net.gateway_ns, translated, hook="forward")
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", nat=translated, netns=net.gateway_ns, rule=rule, steps=("syn", "nat.dnat", "drop")))


@scenario(variants={"established": True, "refused": False})
def backend_behind_a_flooding_bridge(s):
    """The bridge does not know where the backend is: every port gets a copy, and the others' drops decide nothing."""
    net = s.gateway(backends=3)
    dialled, translated = (net.public, s.port), (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, dialled, translated)
    s.spaces.ip(net.gateway_ns, "link set br0 type bridge ageing_time 0",
                f"neigh replace {net.backends[0]} lladdr {s.mac(net.backend_ns[0], 'eth0')} dev br0")
    s.trace("--dport", s.port)
    if s.variant:
        s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    code = "established" if s.variant else "no_listener"
    s.connect(net.client_ns, net.public, sees="connected" if s.variant else "refused", verdict=Verdict(
        code, nat=translated, netns=net.backend_ns[0],
        steps=("syn", "nat.dnat", Step("drop", nattrace__reason="OTHERHOST"))))
