"""Packets that a machine only bridges, and whether its rules act on them: with br_netfilter those of IP do too."""

from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario


def bridged(s, ask):
    """One port of the gateway's bridge dials another."""
    net = s.gateway(backends=2)
    s.bridge_asks_netfilter(net.gateway_ns, ask)
    s.trace("--dport", s.port)
    return net, net.backend_ns[1], net.backends[0]


@scenario(needs=("br-netfilter",), variants={"without": False, "with": True}, vm=("with",))
def bridged_and_dropped_in_forward(s):
    """The FORWARD chain, of which one thinks that it is for routed packets only."""
    net, client, backend = bridged(s, s.variant)
    s.listen(net.backend_ns[0], backend, s.port, name="app-far")
    rule = s.rules.drop(net.gateway_ns, (backend, s.port), hook="forward")
    if s.variant:
        s.connect(client, backend, sees="timeout", patience=1, verdict=Verdict(
            "filter_dropped", nat=False, netns=net.gateway_ns, rule=rule, steps=("syn", "drop")))
    else:
        rule.should_match = False
        s.connect(client, backend, sees="connected", answered_by="app-far", verdict=Verdict(
            "established", nat=False, no_steps=("drop",)))


@scenario(needs=("br-netfilter",), variants={"established": True, "refused": False}, vm=("refused",))
def bridged_and_translated(s):
    """DNAT between two ports of one bridge."""
    net, client, backend = bridged(s, True)
    s.rules.dnat(net.gateway_ns, (backend, s.port), (backend, s.app_port))
    if s.variant:
        s.listen(net.backend_ns[0], backend, name="app-far")
        s.connect(client, backend, sees="connected", answered_by="app-far", verdict=Verdict(
            "established", nat=(backend, s.app_port)))
    else:
        s.connect(client, backend, sees="refused", verdict=Verdict(
            "no_listener", nat=(backend, s.app_port), netns=net.backend_ns[0], steps=("syn", "nat.dnat", "reset")))


@scenario(vm=IN_TURN)
def dropped_by_the_bridge(s):
    """A rule of the bridge's own family, which needs no br_netfilter."""
    net = s.gateway(backends=2)
    backend = net.backends[0]
    rule = s.rules.drop_on_bridge(net.gateway_ns, (backend, s.port), hook="forward")
    s.trace("--dport", s.port)
    s.connect(net.backend_ns[1], backend, sees="timeout", patience=1, verdict=Verdict(
        "filter_dropped", nat=False, netns=net.gateway_ns, rule=rule, steps=("syn", "drop")))
