"""Proxies that the kernel puts in the way: TPROXY to a transparent listener, SYNPROXY before a service."""

from harness import sockets
from harness.expect import Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")
OUTCOMES = {"established": True, "refused": False}


def intercepted(s, address):
    """What goes to an address, the server's own or another, is handed to a proxy's port, untranslated."""
    net = s.pair()
    s.rules.tproxy(net.server_ns, (address(net), s.port), s.app_port)
    s.spaces.ip(net.server_ns, "rule add fwmark 1 lookup 100", f"route add local {net.any}/0 dev lo table 100",
                family=s.family)
    s.trace("--dport", s.port)
    return net


@scenario(dialects=DIALECTS, variants={"own": "public", "remote": "elsewhere"}, vm=("remote",))
def tproxy_established(s):
    """The listener is on another port, and gets the connection as it was dialled."""
    net = intercepted(s, lambda net: getattr(net, s.variant))
    s.listen(net.server_ns, net.any, name="app-proxy", prepare=sockets.take_what_is_for_others)
    s.connect(net.client_ns, getattr(net, s.variant), sees="connected", answered_by="app-proxy", verdict=Verdict(
        "established", nat=False, netns=net.server_ns, steps=("syn", "synack", "ack"), no_steps=("drop", "reset")))


# A listener that is not transparent is none for TPROXY: the usual mistake.
UNUSABLE = {"absent": False, "not-transparent": True}


@scenario(variants=UNUSABLE)
def tproxy_without_proxy(s):
    """nft's statement then leaves the packet as it is, and the rules after it out: the dialled port is closed."""
    net = intercepted(s, lambda net: net.public)
    if s.variant:
        s.listen(net.server_ns, net.any, name="app-proxy")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=False, netns=net.server_ns, reason=(net.public, str(s.port)), steps=("syn", "reset")))


@scenario(dialects=("iptables",), variants=UNUSABLE, vm=("absent",))
def tproxy_drops_without_proxy(s):
    """iptables' target drops the packet."""
    net = intercepted(s, lambda net: net.public)
    if s.variant:
        s.listen(net.server_ns, net.any, name="app-proxy")
    s.connect(net.client_ns, net.public, sees="timeout", patience=1, verdict=Verdict(
        "filter_dropped", nat=False, netns=net.server_ns, steps=("syn", "drop"), no_steps=("reset",)))


def with_synproxy(s, netns, match, hook):
    s.rules.synproxy(netns, match, hook)
    s.sysctl(netns, {"net.ipv4.tcp_syncookies": 1, "net.ipv4.tcp_timestamps": 1})
    # Exists once conntrack is in use there. Otherwise the client's ACK would be taken for a connection under way.
    s.sysctl(netns, {"net.netfilter.nf_conntrack_tcp_loose": 0})


@scenario(dialects=DIALECTS, variants=OUTCOMES, vm=("refused",))
def synproxy_on_gateway(s):
    """The gateway answers the client itself, and dials the backend with the client's sequence number afterwards."""
    net = s.gateway()
    backend = net.backends[0]
    with_synproxy(s, net.gateway_ns, (backend, s.port), "forward")
    s.trace("--dport", s.port)
    if s.variant:
        s.listen(net.backend_ns[0], backend, s.port, name="app-far")
        s.connect(net.client_ns, backend, sees="connected", answered_by="app-far", verdict=Verdict(
            "established", nat=False, steps=("syn", "synack", "ack")))
    else:
        # For the client the connection is there before the backend's reset comes.
        s.connect(net.client_ns, backend, sees="reset", verdict=Verdict(
            "no_listener", nat=False, netns=net.backend_ns[0], reason=(backend, str(s.port)),
            steps=("syn", "synack", "ack", "reset")))


@scenario()
def synproxy_on_server(s):
    """Before a service of the same machine."""
    net = s.pair()
    with_synproxy(s, net.server_ns, (net.server, s.port), "input")
    s.listen(net.server_ns, net.server, s.port)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.server, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=False, steps=("syn", "synack", "ack")))
