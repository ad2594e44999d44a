"""A packet that a rule keeps from conntrack is not translated either."""

from harness import ways
from harness.expect import ByHooks, Step, Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")
ALL = ("nft", "nft-inet", "iptables", "iptables-legacy")


def rule_evidence(rule):
    return {"kind": "rule", "id": rule.id, "ruleset": rule.ruleset}


@scenario(dialects=ALL, vm=("nft", "iptables-legacy"))
def notrack_before_the_dnat_rule(s):
    """The port is kept from conntrack, perhaps to spare its table, and the rule that translates it is never asked."""
    net = s.pair()
    dialled = (net.public, s.port)
    notrack = s.rules.notrack(net.server_ns, dialled)
    s.rules.dnat(net.server_ns, dialled, (net.inner, s.app_port)).should_match = False
    s.listen(net.server_ns, net.inner)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "untracked", nat=False, netns=net.server_ns, checklist={"answer": "rst"}, reason=(net.public,),
        evidence=(rule_evidence(notrack),), no_steps=("nat.dnat", "conntrack.new"),
        steps=ByHooks(functions=["syn", "conntrack.untracked", ways.listener_sought(dialled, False), "reset"],
                      tracepoints=["syn", "conntrack.untracked", "reset"])))


@scenario()
def notrack_on_a_gateway(s):
    """The public address is the gateway's own, so the SYN ends there instead of at the backend."""
    net = s.gateway()
    dialled = (net.public, s.port)
    s.rules.notrack(net.gateway_ns, dialled)
    s.rules.dnat(net.gateway_ns, dialled, (net.backends[0], s.app_port)).should_match = False
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "untracked", nat=False, netns=net.gateway_ns, checklist={"answer": "rst"},
        no_steps=("nat.dnat", "conntrack.new")))


@scenario(dialects=DIALECTS, variants={"sent": "output", "forwarded": "prerouting"}, vm=("forwarded", "nft"))
def notrack_of_the_answer(s):
    """The SYN is translated; its answer is kept from conntrack, so it is not translated back, and the client, which
    never dialled that address, resets it."""
    net = s.gateway() if s.variant == "prerouting" else s.pair()
    if s.variant == "prerouting":
        netns, app_ns, translated = net.gateway_ns, net.backend_ns[0], (net.backends[0], s.app_port)
    else:
        netns, app_ns, translated = net.server_ns, net.server_ns, (net.inner, s.app_port)
    s.rules.dnat(netns, (net.public, s.port), translated)
    notrack = s.rules.notrack(netns, translated, hook=s.variant, answers=True)
    s.listen(app_ns, translated[0])
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=Verdict(
        "untracked", nat=translated, netns=netns, checklist={"answer": "synack"},
        evidence=(rule_evidence(notrack),), no_steps=("nat.reverse", "established"),
        # Where nothing shows the entry of the SYN, it is looked up in the end.
        steps=ByHooks(
            functions=("syn", "nat.dnat", Step({"synack", "transmit"}, source=translated, nattrace__stage="egress")),
            tracepoints=("syn", Step("synack", source=translated, nattrace__stage="egress")))))


@scenario(dialects=DIALECTS, variants={"established": True, "refused": False}, vm=("refused", "nft"))
def near_miss_notrack_alone(s):
    """Nothing would translate it: it is untracked, and that is not the reason of anything."""
    net = s.pair()
    dialled = (net.public, s.port)
    s.rules.notrack(net.server_ns, dialled)
    if s.variant:
        s.listen(net.server_ns, net.public, s.port)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="connected" if s.variant else "refused", verdict=Verdict(
        "established" if s.variant else "no_listener", nat=False, netns=net.server_ns,
        # TCP lets go of the mark before it answers: without function hooks it shows where a packet ends only.
        checklist={"conntrack": ByHooks("untracked", None if s.variant else "untracked")}, no_steps=("nat.dnat",)))


@scenario()
def near_miss_listens_where_dialled(s):
    """The rule is not asked, but the dialled address itself has a listener."""
    net = s.pair()
    dialled = (net.public, s.port)
    s.rules.notrack(net.server_ns, dialled)
    s.rules.dnat(net.server_ns, dialled, (net.inner, s.app_port)).should_match = False
    s.listen(net.server_ns, net.public, s.port, name="app-public")
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-public", verdict=Verdict(
        "established", nat=False, netns=net.server_ns, checklist={"conntrack": ByHooks("untracked", None)}))


@scenario(dialects=DIALECTS, variants={"established": True, "refused": False})
def near_miss_notrack_of_another_port(s):
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.rules.notrack(net.server_ns, (net.public, s.other_port)).should_match = False
    s.rules.dnat(net.server_ns, dialled, translated)
    if s.variant:
        s.listen(net.server_ns, net.inner)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="connected" if s.variant else "refused", verdict=Verdict(
        "established" if s.variant else "no_listener", nat=translated, netns=net.server_ns,
        checklist={} if s.variant else {"conntrack": "new"},
        steps=(ways.established if s.variant else ways.refused)(dialled, translated)))
