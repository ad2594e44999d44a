"""Rules that answer: with an RST as if nothing listened, or with an ICMP error."""

from harness.expect import ByHooks, Verdict
from harness.scenario import scenario
from scenarios.gateway import forwarded
from scenarios.local import output_dnat
from scenarios.published_port import published

NFT_AND_IPTABLES = ("nft", "iptables")
ALL = ("nft", "nft-inet", "iptables", "iptables-legacy")
# Name: what the client sees, and the checklist's answer.
KINDS = {"tcp-reset": ("refused", "rst"), "port-unreachable": ("refused", "icmp"),
         "admin-prohibited": ("unreachable", "icmp")}
KIND_NAMES = {kind: kind for kind in KINDS}


def rejected(s, netns, client_ns, address, translated, hook, **more):
    rule = s.rules.reject(netns, translated, s.variant, hook=hook)
    sees, answer = KINDS[s.variant]
    s.connect(client_ns, address, sees=sees, verdict=Verdict(
        "filter_rejected", netns=netns, rule=rule, no_steps=("listener", "established"),
        **{"nat": translated, "fields": {"nattrace.stage": hook}, "checklist": {"answer": answer}, **more}))


def unseen(s, **more):
    """Without function hooks the answer of OUTPUT is not seen, since it is on its way before the SYN first is."""
    return {"answer": ByHooks(KINDS[s.variant][1], None), **more}


@scenario(dialects=ALL, variants=KIND_NAMES, vm=("tcp-reset", "nft", "iptables-legacy"))
def rule_rejects_in_input(s):
    """A service listens there: the refusal is the rule's alone."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    rejected(s, net.server_ns, net.client_ns, net.public, translated, "input")


@scenario(dialects=ALL, variants=KIND_NAMES, vm=("port-unreachable", "iptables"))
def rule_rejects_in_forward(s):
    net, _, translated = forwarded(s)
    rejected(s, net.gateway_ns, net.client_ns, net.public, translated, "forward")


@scenario(dialects=NFT_AND_IPTABLES, variants=KIND_NAMES, vm=("admin-prohibited", "nft"))
def rule_rejects_in_output(s):
    """The client is on this machine itself."""
    net, _, translated = output_dnat(s, "elsewhere")
    # For an ICMPv6 error the packet is lent loopback, and over loopback it then looks as if it was behind OUTPUT.
    is_lent = s.family == 6 and KINDS[s.variant][1] == "icmp"
    rejected(s, net.host_ns, net.host_ns, net.elsewhere, translated, "output", checklist=unseen(s),
             fields={"nattrace.stage": ByHooks("output", None if is_lent else "output")})


@scenario(variants=KIND_NAMES, vm=("admin-prohibited",))
def rule_rejects_what_leaves(s):
    """A SYN of this machine to another one."""
    net = s.pair()
    s.trace("--dport", s.port)
    rejected(s, net.client_ns, net.client_ns, net.server, (net.server, s.port), "output", nat=False,
             checklist=unseen(s, syn_arrived=False))


@scenario()
def rule_rejects_in_the_backend(s):
    """The last namespace of the path."""
    s.variant = "tcp-reset"
    net, _, translated = forwarded(s)
    rejected(s, net.backend_ns[0], net.client_ns, net.public, translated, "input")


@scenario(dialects=NFT_AND_IPTABLES, variants={"tcp-reset": "reset_by_backend", "port-unreachable": "icmp_unreachable"})
def near_miss_backend_rejects_seen_from_gateway(s):
    """Who made the answer is not seen: no rule of this machine did."""
    net, _, translated = forwarded(s)
    kind = {"reset_by_backend": "tcp-reset", "icmp_unreachable": "port-unreachable"}[s.variant]
    s.rules.reject(net.backend_ns[0], translated, kind)
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        s.variant, nat=translated, netns=net.gateway_ns, no_rule=True))


@scenario(dialects=NFT_AND_IPTABLES)
def near_miss_rule_rejects_another_port(s):
    net, _, translated = published(s)
    s.rules.reject(net.server_ns, (None, s.other_port), "tcp-reset").should_match = False
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict("no_listener", nat=translated, no_rule=True))
