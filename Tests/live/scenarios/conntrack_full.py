"""The conntrack table is full, and what would make a new entry is dropped.

nf_conntrack_max is one for the whole machine (a namespace may only read it), each namespace counts its own entries:
so these run in a virtual machine, and fill the server's namespace.
"""

from harness import ways
from harness.expect import Verdict, sysctl_evidence
from harness.scenario import IN_TURN, scenario
from scenarios.published_port import published

LIMIT = 200


def crowded(s, entries):
    """Published, with so many entries, that all have to stay, and then a limit for how many there may be."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.fill_table(net.server_ns, entries)
    s.machine_sysctl("net.netfilter.nf_conntrack_max", LIMIT)
    return net, dialled, translated, s.rules.added[0]


@scenario(needs=("machine-sysctls",), vm=IN_TURN)
def table_full(s):
    net, dialled, _, rule = crowded(s, LIMIT)
    rule.should_match = False
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=Verdict(
        "conntrack_full", nat=False, netns=net.server_ns, reason=(str(LIMIT),),
        fields={"nattrace.function": "nf_hook_slow", "nattrace.reason": "NETFILTER_DROP"},
        evidence=(sysctl_evidence("net.netfilter.nf_conntrack_max", LIMIT),
                  sysctl_evidence("net.netfilter.nf_conntrack_count", LIMIT)),
        steps=("syn", "drop"), no_steps=("nat.dnat", "conntrack.new", "reset")))


@scenario(needs=("machine-sysctls",), vm=IN_TURN)
def near_miss_table_nearly_full(s):
    net, dialled, translated, _ = crowded(s, LIMIT - 10)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, steps=ways.established(dialled, translated)))


@scenario(needs=("machine-sysctls",))
def near_miss_table_full_and_a_rule_drops(s):
    """Full it is, but a rule before conntrack drops the SYN."""
    net, dialled, _, rule = crowded(s, LIMIT)
    rule.should_match = False
    fence = s.rules.drop(net.server_ns, dialled, hook="prerouting", table="raw")
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=Verdict(
        "filter_dropped", nat=False, netns=net.server_ns, rule=fence, steps=("syn", "drop")))
