"""A SYN that matches an entry of an older connection is translated as that one was, or not at all: no rule is asked."""

from harness import far_host
from harness.conntrack import evidence
from harness.expect import ByHooks, Step, Verdict
from harness.scenario import IN_TURN, scenario
from scenarios.far_side import forwarded_far

DIALECTS = ("nft", "iptables")
SPORT = 61001


@scenario(dialects=DIALECTS, vm=("nft",))
def entry_from_before_the_rule(s):
    """The entry was made when there was no rule yet. What the rule names would listen, and never hears of it."""
    net = s.pair()
    dialled = (net.public, s.port)
    s.rules.dnat(net.server_ns, dialled, (net.inner, s.app_port)).should_match = False
    s.listen(net.server_ns, net.inner)
    entry = s.entry(net.server_ns, (net.client, SPORT), dialled)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="refused", verdict=Verdict(
        "stale_conntrack", nat=False, netns=net.server_ns, evidence=(entry,), checklist={"answer": "rst"},
        steps=ByHooks(functions=["syn", "conntrack.match", "listener", "reset"], tracepoints=["syn", "reset"]),
        no_steps=("nat.dnat", "conntrack.new", "conntrack.invalid")))


def with_the_old_backend(s, is_absent):
    """Returns (net, the entry as evidence, the old backend, the rule with the new one)."""
    net = s.gateway(backends=2)
    dialled, old = (net.public, s.port), (net.absent if is_absent else net.backends[0], s.app_port)
    rule = s.rules.dnat(net.gateway_ns, dialled, (net.backends[1], s.app_port))
    s.listen(net.backend_ns[1], net.backends[1], name="app-new")
    entry = s.entry(net.gateway_ns, (net.client, SPORT), dialled, to=old)
    s.trace("--dport", s.port)
    if is_absent:
        s.spaces.ip(net.gateway_ns,
                    f"neigh replace {net.absent} lladdr {s.mac(net.backend_ns[0], 'eth0')} dev br0 nud permanent")
        s.trace("--netns", net.gateway_ns, "--unanswered-after", "2s")
    return net, entry, old, rule


@scenario(dialects=DIALECTS, variants={"refused": None, "timeout": "absent"}, vm=("refused", "iptables"))
def entry_with_the_old_backend(s):
    """The rule names the new backend, which lives. The entry still names the old one, which refuses, or is gone."""
    net, entry, old, rule = with_the_old_backend(s, s.variant == "absent")
    rule.should_match = False
    s.connect(net.client_ns, net.public, sport=SPORT, sees="timeout" if s.variant else "refused", patience=4,
              verdict=Verdict("stale_conntrack", nat=old, evidence=(entry,), reason=(old[0],),
                              checklist={"answer": "none" if s.variant else "rst"},
                              steps=ByHooks(functions=["syn", "conntrack.match"], tracepoints=["syn"]),
                              no_steps=("conntrack.new", "conntrack.invalid")))


@scenario(vm=IN_TURN)
def entry_of_a_client_that_gave_up(s):
    """The first dial finds its backend gone and is given up. The rule is repaired, but the client dials again from
    the same port, and the entry of the first SYN, which is not forgotten for two minutes, sends it the old way.

    Nobody answered on that entry, so without function hooks it looks like one that this SYN has made.
    """
    net, _, old = forwarded_far(s)
    dialled = (net.public, s.port)
    s.listen(net.backend_ns[0], net.backends[0], name="app-new")
    s.trace("--unanswered-after", "2s")

    def repair():
        # Never without any: the namespace would let go of conntrack meanwhile.
        old_rule = s.rules.added[0]
        s.rules.dnat(net.gateway_ns, dialled, (net.backends[0], s.app_port)).should_match = False
        old_rule.remove()

    s.meanwhile("let the rule name the new backend", repair)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="timeout", patience=0.5, verdict=Verdict(
        "syn_unanswered", nat=old, netns=net.gateway_ns, checklist={"conntrack": "new"}))
    s.phase()
    s.connect(net.client_ns, net.public, sport=SPORT, sees="timeout", patience=1.5, verdict=Verdict(
        ByHooks("stale_conntrack", "syn_unanswered"), nat=old, netns=net.gateway_ns, checklist={"answer": "none"},
        evidence=ByHooks((evidence((net.client, SPORT), dialled, answering=old),), ()),
        steps=ByHooks(("conntrack.match",), ("syn",))))


@scenario(vm=IN_TURN)
def near_miss_time_wait(s):
    """The same client port over an entry in TIME_WAIT: conntrack throws the old entry away and asks the rule again."""
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.rules.dnat(net.server_ns, dialled, translated)
    s.listen(net.server_ns, net.inner, closes=True)
    s.trace("--dport", s.port)
    for _ in range(2):
        s.connect(net.client_ns, net.public, sport=SPORT, sees="connected", answered_by="app-inner", closes=True,
                  verdict=Verdict("established", nat=translated,
                                  steps=("syn", "nat.dnat", "established")))
        s.phase()


@scenario(vm=IN_TURN)
def near_miss_retransmitted(s):
    """The far host does not hear the first SYN. The second one matches the entry that the first one made."""
    net, _, translated = forwarded_far(s, lambda net: [far_host.synack()], unheard=1)
    s.connect(net.client_ns, net.public, sees="connected", patience=3, verdict=Verdict(
        "established", nat=translated,
        steps=("syn", "nat.dnat", Step("synack", source=translated), "established")))


@scenario()
def near_miss_never_answered(s):
    """A SYN sent three times, all of them in one entry, which is none the older for it."""
    net, _, translated = forwarded_far(s)
    s.trace("--unanswered-after", "2s")
    s.connect(net.client_ns, net.public, sees="timeout", patience=4, verdict=Verdict(
        "syn_unanswered", nat=translated, netns=net.gateway_ns, checklist={"conntrack": "new"},
        steps=("syn", "nat.dnat", "retransmit")))


@scenario(variants={"established": True, "refused": False})
def near_miss_without_rules(s):
    """An older entry where no rule would translate anything: it changes nothing."""
    net = s.pair()
    dialled = (net.public, s.port)
    s.rules.dnat(net.server_ns, (net.public, s.other_port), (net.inner, s.app_port)).should_match = False
    s.entry(net.server_ns, (net.client, SPORT), dialled)
    if s.variant:
        s.listen(net.server_ns, net.public, s.port)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="connected" if s.variant else "refused", verdict=Verdict(
        "established" if s.variant else "no_listener", nat=False, netns=net.server_ns, no_steps=("nat.dnat",)))


@scenario()
def near_miss_entry_of_another_port(s):
    """The older entry is of another client port: this SYN is new, and the rule is asked."""
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.rules.dnat(net.server_ns, dialled, translated)
    s.entry(net.server_ns, (net.client, SPORT + 1), dialled)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, netns=net.server_ns, checklist={"conntrack": "new"}))
