"""VRFs: a listener that is tied to one, or to none, and the one that a SYN comes in by."""

from harness.expect import Verdict, sysctl_evidence
from harness.scenario import scenario

ACCEPT = "net.ipv4.tcp_l3mdev_accept"  # whether a listener that is tied to nothing takes what comes in by a VRF


def beside_vrf(s):
    """A pair whose server has VRFs; REDIRECT translates the port of what is dialled, the server's own address."""
    net = s.pair()
    s.spaces.ip(net.server_ns, "link add blue type vrf table 10", "link add red type vrf table 20",
                "link set blue up", "link set red up")
    s.rules.redirect(net.server_ns, (net.server, s.port), s.app_port)
    s.trace("--dport", s.port)
    return net, (net.server, s.app_port)


def behind_vrf(s, accept=0):
    """The same with the client's device in the VRF blue. IPv6 would take its addresses away on the way in."""
    net, translated = beside_vrf(s)
    s.sysctl(net.server_ns, {"net.ipv6.conf.all.keep_addr_on_down": 1, ACCEPT: accept})
    s.spaces.ip(net.server_ns, "link set eth0 master blue")
    return net, translated


@scenario(needs=("vrf",), variants={"tied": "red", "tied-outside": "app0", "untied": None}, vm=("tied", "untied"))
def listener_in_another_vrf(s):
    """Tied to the wrong VRF, to a device of none, or to nothing, which is the default VRF."""
    net, translated = behind_vrf(s)
    app = s.listen(net.server_ns, net.any, device=s.variant)
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "listener_other_device", nat=translated, listener=app, netns=net.server_ns, reason=("app-inner", "blue"),
        evidence=({"kind": "listener", "interface.name": s.variant} if s.variant else sysctl_evidence(ACCEPT, 0),),
        steps=("syn", "nat.dnat", "reset")))


@scenario(needs=("vrf",))
def listener_in_a_vrf_and_client_in_none(s):
    net, translated = beside_vrf(s)
    app = s.listen(net.server_ns, net.any, device="red")
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "listener_other_device", nat=translated, netns=net.server_ns, listener=app,
        evidence=({"kind": "listener", "interface.name": "red"},)))


@scenario(needs=("vrf",), variants={"tied": "blue", "accepted": None}, vm=("accepted",))
def near_miss_listener_of_the_vrf(s):
    net, translated = behind_vrf(s, accept=int(s.variant is None))
    s.listen(net.server_ns, net.any, device=s.variant)
    s.connect(net.client_ns, net.server, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, netns=net.server_ns))
