"""Two networks with the same addresses behind one machine, kept apart by conntrack zones."""

from harness.expect import Step, Verdict
from harness.rules import endpoint
from harness.scenario import IN_TURN, scenario

SPORT = 61001


@scenario(vm=IN_TURN)
def two_zones(s):
    """Two clients with one address and one source port: each zone has its backend, and one of them does not serve."""
    net = s.gateway(backends=2)
    gate, second = net.gateway_ns, net.second_client()
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
                ct mark 1 tcp dport {s.port} dnat to {endpoint(s.family, net.backends[0], s.app_port)}
                ct mark 2 tcp dport {s.port} dnat to {endpoint(s.family, net.backends[1], s.app_port)}
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
