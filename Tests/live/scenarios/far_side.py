"""What hosts beyond this machine do and do not do, seen from here: silence, resets, lost answers."""

from harness import far_host
from harness.expect import Step, Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")


def forwarded_far(s, answers=lambda net: (), **options):
    """A gateway that translates to a host which is not on this machine. Returns (net, host, translated)."""
    net = s.gateway()
    host = s.far_host(net, answers(net), **options)
    translated = (net.far, s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.trace("--dport", s.port)
    return net, host, translated


@scenario(dialects=DIALECTS, vm=("nft",))
def far_host_refuses(s):
    net, _, translated = forwarded_far(s, lambda net: [far_host.rst()])
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "reset_by_backend", nat=translated, netns=net.gateway_ns, reason=(net.far,),
        steps=("syn", "nat.dnat", Step("rst", source=translated),
               Step({"rst", "transmit"}, source=(net.public, s.port))),
        no_steps=("reset", "listener")))


@scenario(dialects=DIALECTS)
def far_host_refuses_a_masqueraded_client(s):
    net, _, translated = forwarded_far(s, lambda net: [far_host.rst()])
    s.rules.masquerade(net.gateway_ns, translated)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "reset_by_backend", nat=translated, snat=net.far_gateway, netns=net.gateway_ns, reason=(net.far,)))


@scenario(dialects=DIALECTS)
def far_host_silent(s):
    net, _, translated = forwarded_far(s)
    s.rules.masquerade(net.gateway_ns, translated)
    s.trace("--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=3, verdict=Verdict(
        "syn_unanswered", nat=translated, snat=net.far_gateway, netns=net.gateway_ns, reason=(net.far,)))


@scenario()
def far_host_answers(s):
    net, _, translated = forwarded_far(s, lambda net: [far_host.synack()])
    s.connect(net.client_ns, net.public, sees="connected", patience=0.8, verdict=Verdict(
        "established", nat=translated, steps=("syn", "nat.dnat", Step("synack", source=translated), "established")))


def make_deaf(s, netns, port):
    """What comes to that namespace from the port is dropped there, before its TCP."""
    s.rules.drop(netns, (None, port), hook="prerouting", table="raw", answers=True)


@scenario(variants={"nat": True, "no-nat": False}, vm=("nat",))
def answer_lost_beyond_the_server(s):
    """The server's namespace alone: its SYN-ACK goes out, again and again, and no ACK comes."""
    net = s.pair()
    dialled, translated = (net.public, s.port), ((net.inner, s.app_port) if s.variant else (net.public, s.port))
    if s.variant:
        s.rules.dnat(net.server_ns, dialled, translated)
    s.listen(net.server_ns, *translated)
    make_deaf(s, net.client_ns, s.port)
    s.trace("--dport", s.port, "--netns", net.server_ns, "--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=4, verdict=Verdict(
        "synack_unanswered", nat=translated if s.variant else False, netns=net.server_ns, reason=(net.client,),
        steps=("syn", Step({"synack", "transmit"}, source=dialled, nattrace__stage="egress")),
        no_steps=("conntrack.invalid", "ack", "rst")))


@scenario(dialects=DIALECTS, variants={"dnat": False, "dnat-and-masquerade": True})
def answer_lost_beyond_the_gateway(s):
    """The backend answers, the gateway translates back and sends on, and the client does not hear."""
    net = s.gateway()
    translated = (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    if s.variant:
        s.rules.masquerade(net.gateway_ns, translated)
    s.listen(net.backend_ns[0], net.backends[0])
    make_deaf(s, net.client_ns, s.port)
    s.trace("--dport", s.port, "--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=4, verdict=Verdict(
        "synack_unanswered", nat=translated, snat=net.lan if s.variant else False, netns=net.gateway_ns,
        reason=(net.client,),
        steps=("syn", "nat.dnat", Step("synack", source=translated),
               Step({"synack", "transmit"}, source=(net.public, s.port), nattrace__stage="egress")),
        no_steps=("conntrack.invalid", "ack", "rst")))


@scenario()
def answer_lost_beyond_a_source_nat(s):
    """A backend dials out by the gateway's public address; the far side's answer is translated back, and lost in the
    backend's namespace, which is not observed."""
    net = s.gateway()
    s.rules.snat(net.gateway_ns, (net.client, s.app_port), net.public)
    s.listen(net.client_ns, net.client)
    make_deaf(s, net.backend_ns[0], s.app_port)
    s.trace("--dport", s.app_port, "--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.backend_ns[0], net.client, s.app_port, sees="timeout", patience=4, verdict=Verdict(
        "synack_unanswered", nat=False, snat=net.public, netns=net.gateway_ns, reason=(net.backends[0],)))


@scenario()
def syn_lost_behind_a_source_nat(s):
    """The same way out, and nobody at the other end."""
    net = s.gateway()
    s.rules.snat(net.gateway_ns, (net.client, s.app_port), net.public)
    s.rules.drop(net.client_ns, (None, s.app_port))
    s.trace("--dport", s.app_port, "--netns", net.gateway_ns, "--unanswered-after", "2s")
    s.connect(net.backend_ns[0], net.client, s.app_port, sees="timeout", patience=4, verdict=Verdict(
        "syn_unanswered", nat=False, snat=net.public, netns=net.gateway_ns, reason=(net.client,)))


@scenario()
def near_miss_answer_heard_the_second_time(s):
    """The first SYN-ACK is lost, the one that is sent again is heard. conntrack ignores what it has seen before, which
    is not INVALID."""
    net = s.pair()
    translated = (net.inner, s.app_port)
    s.rules.dnat(net.server_ns, (net.public, s.port), translated)
    s.listen(net.server_ns, net.inner)
    s.rules.nft(net.client_ns, f"""
        table IP deaf {{
            chain prerouting {{
                type filter hook prerouting priority -300; policy accept;
                tcp sport {s.port} quota until 100 bytes drop
            }}
        }}""")
    s.trace("--dport", s.port, "--netns", net.server_ns)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, netns=net.server_ns, steps=("syn", "nat.dnat", "synack", "established"),
        no_steps=("conntrack.invalid",)))
