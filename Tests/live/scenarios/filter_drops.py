"""Rules and policies that drop: in every hook of the way, in every kind of table, the SYN or its answer."""

from harness.expect import ByHooks, Verdict
from harness.scenario import IN_TURN, scenario
from scenarios.gateway import forwarded
from scenarios.local import output_dnat
from scenarios.published_port import published

NFT_AND_IPTABLES = ("nft", "iptables")
ALL = ("nft", "nft-inet", "iptables", "iptables-legacy")


def dropped_by(rule, netns, stage, **more):
    return Verdict("filter_dropped", rule=rule, netns=netns, fields={"nattrace.stage": stage},
                   **{"steps": ("syn", "drop"), "no_steps": ("reset", "established"), **more})


def dropped(s, client_ns, address, verdict):
    s.connect(client_ns, address, sees="timeout", patience=2, verdict=verdict)


@scenario(dialects=ALL, vm=IN_TURN)
def rule_drops_in_input(s):
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    rule = s.rules.drop(net.server_ns, translated)
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.server_ns, "input", nat=translated, steps=("syn", "nat.dnat", "drop"), checklist={"answer": "none"}))


@scenario(dialects=NFT_AND_IPTABLES, variants={"raw": "raw", "mangle": "mangle"}, vm=("raw", "iptables"))
def rule_drops_before_the_translation(s):
    """The rule sees the packet as it was dialled, and no translation has a chance."""
    net, dialled, _ = published(s)
    rule = s.rules.drop(net.server_ns, dialled, hook="prerouting", table=s.variant)
    s.rules.added[0].should_match = False
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.server_ns, "prerouting", nat=False, no_steps=("nat.dnat", "deliver")))


@scenario()
def rule_drops_in_prerouting_after_the_translation(s):
    net, _, translated = published(s)
    rule = s.rules.drop(net.server_ns, translated, hook="prerouting")
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.server_ns, "prerouting", nat=translated, steps=("syn", "nat.dnat", "drop")))


@scenario(dialects=ALL, variants={"forward": ("forward", "filter"), "postrouting": ("postrouting", "mangle")},
          vm=("forward", "nft"))
def rule_drops_what_is_forwarded(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    hook, table = s.variant
    rule = s.rules.drop(net.gateway_ns, translated, hook=hook, table=table)
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.gateway_ns, hook, nat=translated, steps=("syn", "nat.dnat", "drop"), checklist={"answer": "none"}))


@scenario(dialects=NFT_AND_IPTABLES, vm=("nft",))
def rule_drops_in_output(s):
    """The client is on this machine itself; the rule sees what OUTPUT's DNAT has made of the SYN."""
    net, _, translated = output_dnat(s, "elsewhere")
    rule = s.rules.drop(net.host_ns, translated, hook="output")
    dropped(s, net.host_ns, net.elsewhere, dropped_by(rule, net.host_ns, "output", nat=translated, steps=("drop",)))


@scenario(dialects=NFT_AND_IPTABLES, variants={"output": ("output", "filter"), "postrouting": ("postrouting", "mangle")},
          vm=("postrouting", "nft"))
def rule_drops_what_leaves(s):
    """A SYN of this machine to another one, before and after it is given the device to leave by."""
    net = s.pair()
    s.trace("--dport", s.port)
    hook, table = s.variant
    rule = s.rules.drop(net.client_ns, (net.server, s.port), hook=hook, table=table)
    dropped(s, net.client_ns, net.server, dropped_by(
        rule, net.client_ns, hook, nat=False, steps=("drop",), checklist={"syn_arrived": False, "answer": "none"}))


@scenario(dialects=ALL)
def rule_in_a_chain_that_is_jumped_to(s):
    net, _, translated = published(s)
    rule = s.rules.drop(net.server_ns, translated, through="blocked")
    dropped(s, net.client_ns, net.public, dropped_by(rule, net.server_ns, "input", nat=translated))


@scenario(dialects=ALL, vm=("nft-inet", "iptables-legacy"))
def policy_drops_in_input(s):
    """No rule of the chain accepts it: the verdict names the chain, and no rule."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.accept(net.server_ns, (None, s.other_port)).should_match = False
    policy = s.rules.drop_by_policy(net.server_ns)
    dropped(s, net.client_ns, net.public, dropped_by(policy, net.server_ns, "input", nat=translated))


@scenario(dialects=NFT_AND_IPTABLES)
def policy_drops_in_forward(s):
    net, _, translated = forwarded(s)
    policy = s.rules.drop_by_policy(net.gateway_ns, hook="forward")
    dropped(s, net.client_ns, net.public, dropped_by(policy, net.gateway_ns, "forward", nat=translated))


@scenario(dialects=NFT_AND_IPTABLES, vm=("iptables",))
def answer_dropped_in_output(s):
    """The SYN got through; the server's own firewall drops its SYN-ACK."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    rule = s.rules.drop(net.server_ns, translated, hook="output", answers=True)
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.server_ns, "output", nat=translated, steps=("syn", "nat.dnat", "drop")))


@scenario(dialects=NFT_AND_IPTABLES)
def answer_dropped_in_forward(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    rule = s.rules.drop(net.gateway_ns, translated, hook="forward", answers=True)
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.gateway_ns, "forward", nat=translated, steps=("syn", "nat.dnat", "synack", "drop")))


@scenario()
def answer_dropped_by_the_clients_firewall(s):
    """In another namespace of the path; there the SYN-ACK comes from what was dialled."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    rule = s.rules.drop(net.client_ns, dialled, answers=True)
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.client_ns, "input", nat=translated, steps=("syn", "nat.dnat", "synack", "drop")))


@scenario(vm=IN_TURN)
def rule_drops_at_the_device(s):
    """The ingress hook of nft's family netdev, before anything of IP."""
    net, dialled, _ = published(s)
    rule = s.rules.drop_at_device(net.server_ns, "eth0", dialled)
    s.rules.added[0].should_match = False
    dropped(s, net.client_ns, net.public, dropped_by(
        rule, net.server_ns, "ingress", nat=False, no_steps=("nat.dnat", "deliver")))


@scenario()
def rule_drops_on_the_bridge(s):
    """Routed already, on its way out of the bridge that the backends are connected to."""
    net, _, translated = forwarded(s)
    rule = s.rules.drop_on_bridge(net.gateway_ns, translated, hook="output")
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", rule=rule, netns=net.gateway_ns, nat=translated, steps=("syn", "nat.dnat", "drop")))


@scenario(dialects=("nft", "nft-inet"))
def verdict_map_drops(s):
    """One rule that looks up in a map what is to be done; only what the kernel did tells which rule it was."""
    net, _, translated = published(s)
    rule = s.rules.drop_by_map(net.server_ns, dropped=s.app_port, accepted=s.other_port)
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", netns=net.server_ns, nat=translated, rule=ByHooks(rule, None)))


@scenario(dialects=ALL)
def two_rules_would_drop(s):
    """The first one does. From the rulesets alone it is not decided which it was."""
    net, _, translated = published(s)
    first = s.rules.drop(net.server_ns, translated)
    s.rules.drop(net.server_ns, (None, s.app_port)).should_match = False
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "filter_dropped", netns=net.server_ns, nat=translated, rule=ByHooks(first, None)))


@scenario(dialects=NFT_AND_IPTABLES)
def near_miss_rule_drops_something_else(s):
    """Beside a rule that drops another port and one for another address, the closed port is the cause."""
    net, dialled, translated = published(s)
    s.rules.drop(net.server_ns, (net.inner, s.other_port)).should_match = False
    s.rules.drop(net.server_ns, (net.other, s.app_port)).should_match = False
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, no_rule=True))


@scenario(dialects=NFT_AND_IPTABLES)
def near_miss_rule_drops_what_was_dialled(s):
    """In INPUT nothing has the dialled port any more: a rule that names it does nothing."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.drop(net.server_ns, dialled).should_match = False
    s.connect(net.client_ns, net.public, sees="connected", verdict=Verdict("established", nat=translated))


@scenario(dialects=ALL)
def near_miss_policy_drops_the_others(s):
    net, _, translated = published(s)
    s.rules.accept(net.server_ns, (net.inner, s.app_port))
    s.rules.drop_by_policy(net.server_ns)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict("no_listener", nat=translated, no_rule=True))


@scenario(needs=("tc",))
def near_miss_traffic_control_drops(s):
    """No rule of netfilter drops it: the general code stands."""
    net, dialled, _ = published(s)
    s.rules.added[0].should_match = False
    s.rules.drop(net.server_ns, (None, s.other_port)).should_match = False
    s.drop_by_tc(net.server_ns, "eth0", s.port)
    s.connect(net.client_ns, net.public, sees="timeout", patience=2, verdict=Verdict(
        "dropped", netns=net.server_ns, no_rule=True, steps=("syn", "drop"), no_steps=("nat.dnat",)))
