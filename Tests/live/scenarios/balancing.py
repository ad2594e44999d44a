"""A load balancer whose rule picks the backend by a map: one backend serves, the other does not."""

from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario


def balancer(s, by=None):
    """The first backend lives, the application of the second listens on loopback only."""
    net = s.gateway(backends=2)
    s.listen(net.backend_ns[0], net.backends[0], name="app-alive")
    inner = s.listen(net.backend_ns[1], net.loopback)
    s.rules.balance(net.gateway_ns, (net.public, s.port), net.backends, s.app_port, by)
    s.trace("--dport", s.port)
    alive = Verdict("established", nat=(net.backends[0], s.app_port), steps=("syn", "nat.dnat", "synack", "ack"))
    dead = Verdict("listener_loopback_only", nat=(net.backends[1], s.app_port), netns=net.backend_ns[1],
                   listener=inner, reason=(net.backends[1], net.loopback), steps=("syn", "nat.dnat", "reset"))
    return net, alive, dead


@scenario(dialects=("nft", "iptables"), vm=IN_TURN)
def balanced_in_turn(s):
    net, alive, dead = balancer(s)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-alive", verdict=alive)
    s.phase()
    s.connect(net.client_ns, net.public, sees="refused", verdict=dead)


@scenario(dialects=("nft", "nft-inet"))
def balanced_by_hash(s):
    """The seed is given, so which source port gets which backend does not change."""
    net, alive, dead = balancer(s, by="jhash tcp sport mod 2 seed 0x1")
    s.connect(net.client_ns, net.public, sport=61001, sees="connected", answered_by="app-alive", verdict=alive)
    s.connect(net.client_ns, net.public, sport=61002, sees="refused", verdict=dead)
