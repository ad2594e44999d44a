"""Two networks with the same addresses behind one machine, kept apart by conntrack zones; and VRFs."""

from harness.expect import Step, Verdict
from harness.scenario import IN_TURN, scenario

SPORT = 61001


@scenario(vm=IN_TURN)
def two_zones(s):
    """Two clients with one address and one source port: each zone has its backend, and one of them does not serve."""
    net = s.gateway(backends=2)
    gate, second = net.gateway_ns, s.second_client(net)
    s.listen(net.backend_ns[0], net.backends[0], name="app-alive")
    inner = s.listen(net.backend_ns[1], net.loopback)
    # Zones for the way there only: backends answer into none, and the mark says to which client.
    s.rules.nft(gate, f"""
        table IP zones {{
            chain zone-of-client {{
                type filter hook prerouting priority raw; policy accept;
                iifname eth0 ct original zone set 1
                iifname eth1 ct original zone set 2
            }}
            chain way-back {{
                type filter hook prerouting priority mangle; policy accept;
                iifname eth0 ct mark set 1
                iifname eth1 ct mark set 2
                iifname br0 meta mark set ct mark
            }}
            chain translate {{
                type nat hook prerouting priority dstnat; policy accept;
                ct mark 1 tcp dport {s.port} dnat to {s.end(net.backends[0])}
                ct mark 2 tcp dport {s.port} dnat to {s.end(net.backends[1])}
            }}
        }}""")
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="connected", answered_by="app-alive", verdict=Verdict(
        "established", nat=(net.backends[0], s.app_port),
        steps=("syn", Step("nat.dnat", nattrace__conntrack__zone=1), "synack", "ack")))
    s.phase()
    s.connect(second, net.public, sport=SPORT, sees="refused", verdict=Verdict(
        "listener_loopback_only", nat=(net.backends[1], s.app_port), netns=net.backend_ns[1], listener=inner,
        steps=("syn", Step("nat.dnat", nattrace__conntrack__zone=2), "reset")))


def in_vrf(s):
    """The client comes in by an interface of a VRF; REDIRECT translates the port."""
    net = s.pair()
    s.spaces.ip(net.server_ns, "link add vrf-red type vrf table 10", "link set vrf-red up")
    s.spaces.ip(net.server_ns, "link set eth0 master vrf-red",
                # IPv6 takes an interface's addresses away when it enters a VRF.
                *([f"address replace {net.server}{net.net} dev eth0 nodad"] if s.family == 6 else []))
    s.rules.redirect(net.server_ns, (net.server, s.port), s.app_port)
    s.trace("--dport", s.port)
    return net


def l3mdev_accept(s, net, value):
    """Whether a listener that is tied to nothing takes what comes in by a VRF. It is for IPv6 too."""
    s.spaces.sysctl(net.server_ns, {"net.ipv4.tcp_l3mdev_accept": value})


@scenario(needs=("vrf",), variants={"bound-to-it": "vrf-red", "accepting-all": None}, vm=("accepting-all",))
def vrf_established(s):
    net = in_vrf(s)
    l3mdev_accept(s, net, int(s.variant is None))
    s.listen(net.server_ns, net.any, device=s.variant)
    s.connect(net.client_ns, net.server, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=(net.server, s.app_port), netns=net.server_ns))


@scenario(needs=("vrf",), variants={"default": None, "bound-elsewhere": "app0"}, vm=("default", "bound-elsewhere"))
def vrf_not_the_listeners(s):
    """The listener is in the default VRF, or tied to an interface there: the VRF's packets are not for it."""
    net = in_vrf(s)
    l3mdev_accept(s, net, 0)
    app = s.listen(net.server_ns, net.any, device=s.variant)
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "listener_other_device", nat=(net.server, s.app_port), netns=net.server_ns, listener=app,
        steps=("syn", "nat.dnat", "reset")))


@scenario(needs=("vrf",))
def vrf_of_the_listener_only(s):
    """The other way round: the listener is tied to the VRF, and the client comes in beside it."""
    net = s.pair()
    s.spaces.ip(net.server_ns, "link add vrf-red type vrf table 10", "link set vrf-red up")
    s.rules.redirect(net.server_ns, (net.server, s.port), s.app_port)
    s.trace("--dport", s.port)
    app = s.listen(net.server_ns, net.any, device="vrf-red")
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "listener_other_device", nat=(net.server, s.app_port), netns=net.server_ns, listener=app))
