"""What has no code of its own stays `dropped`; the client that ends its own handshake; several causes at once."""

from harness.expect import Step, Verdict
from harness.scenario import IN_TURN, scenario
from scenarios.gateway import forwarded
from scenarios.published_port import published


@scenario(vm=IN_TURN)
def checksum_is_wrong(s):
    """A listener is there, but TCP throws the segment away before it looks for one. No rule: conntrack would call the
    packet invalid."""
    net = s.pair()
    s.listen(net.server_ns, net.server)
    s.trace("--dport", s.app_port)
    s.connect(net.client_ns, net.server, s.app_port, raw="wrong-checksum", sees="timeout", patience=2, verdict=Verdict(
        "dropped", nat=False, netns=net.server_ns, no_rule=True,
        fields={"nattrace.stage": "socket", "nattrace.reason": "TCP_CSUM"}, steps=("syn", "drop")))


@scenario()
def hop_limit_is_used_up(s):
    """The gateway would have to send it on; it drops it instead, and says so with an ICMP error."""
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.connect(net.client_ns, net.public, hop_limit=1, sees="unreachable", verdict=Verdict(
        "dropped", nat=translated, netns=net.gateway_ns, no_rule=True,
        fields={"nattrace.stage": "forward", "nattrace.reason": "IP_INHDR"}, steps=("syn", "nat.dnat", "drop")))


@scenario()
def near_miss_hop_limit_suffices(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.connect(net.client_ns, net.public, hop_limit=2, sees="connected", verdict=Verdict("established", nat=translated))


@scenario(variants={"whole": False, "server": True}, vm=("whole",))
def client_abandons_its_handshake(s):
    """A SYN that no socket stands behind: the client's kernel answers the SYN-ACK with RST."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    if s.variant:
        s.trace("--netns", net.server_ns)
    s.connect(net.client_ns, net.public, raw="right", sees="synack", verdict=Verdict(
        "reset_by_client", nat=translated, netns=net.server_ns if s.variant else net.client_ns, reason=(net.client,),
        steps=("syn", "nat.dnat", "synack", Step("rst", destination=dialled)), no_steps=("established",)))


@scenario()
def near_miss_abandoned_and_refused(s):
    """The same SYN to a closed port: the reset is the server's."""
    net, _, translated = published(s)
    s.connect(net.client_ns, net.public, raw="right", sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.server_ns))


@scenario(vm=IN_TURN)
def four_causes_at_once(s):
    """One is dropped by a rule, one has no route, one no neighbour, one no listener: each gets its own verdict."""
    net = s.gateway()
    places = [(net.backends[0], 8080), (net.elsewhere, 8081), (net.absent, 8082), (net.backends[0], 8083)]
    for number, place in enumerate(places):
        s.rules.dnat(net.gateway_ns, (net.public, s.port + number), place)
    rule = s.rules.drop(net.gateway_ns, places[0], hook="forward")
    s.trace("--dport", f"{s.port}-{s.port + 3}")
    for number, (sees, patience, code, more) in enumerate((
            ("timeout", 2, "filter_dropped", {"rule": rule}), ("unreachable", 5, "no_route", {}),
            ("unreachable", 8, "neighbor_unreachable", {}), ("refused", 5, "no_listener", {}))):
        netns = net.backend_ns[0] if code == "no_listener" else net.gateway_ns
        s.connect(net.client_ns, net.public, s.port + number, sees=sees, patience=patience, verdict=Verdict(
            code, nat=places[number], netns=netns, no_rule=code != "filter_dropped", **more))


@scenario()
def repaired_and_failing_otherwise(s):
    """The rule that dropped it goes away, and then the backend refuses: the second verdict is another failure."""
    net, _, translated = forwarded(s)
    rule = s.rules.drop(net.gateway_ns, translated, hook="forward")
    s.once_told()
    s.meanwhile("take the drop rule away", rule.remove)
    s.connect(net.client_ns, net.public, sees="refused", patience=8, verdict=[
        Verdict("filter_dropped", nat=translated, netns=net.gateway_ns, rule=rule),
        Verdict("no_listener", nat=translated, netns=net.backend_ns[0], revised=True)])
