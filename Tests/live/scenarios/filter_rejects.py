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


def rejected(s, netns, client_ns, address, translated, hook, unseen=False):
    """unseen: without function hooks the answer is not, since it is on its way before the SYN is first seen."""
    rule = s.rules.reject(netns, translated, s.variant, hook=hook)
    sees, answer = KINDS[s.variant]
    s.connect(client_ns, address, sees=sees, verdict=Verdict(
        "filter_rejected", nat=translated, netns=netns, rule=rule,
        # For an ICMPv6 error a rejected packet is lent a device, and then looks as if it was behind OUTPUT.
        fields={"nattrace.stage": ByHooks(hook, None) if unseen and (s.family, answer) == (6, "icmp") else hook},
        checklist={"answer": ByHooks(answer, None) if unseen else answer}, no_steps=("listener", "established")))


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
    rejected(s, net.host_ns, net.host_ns, net.elsewhere, translated, "output", unseen=True)


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
