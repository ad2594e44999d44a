"""Where a verdict advises a command, running it repairs the connection: the next dial gets through."""

from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario
from scenarios.conntrack_full import LIMIT, crowded
from scenarios.detours import hairpin
from scenarios.filter_drops import ALL
from scenarios.gateway import forwarded
from scenarios.published_port import published
from scenarios.queues import half_open
from scenarios.routing import FORWARDING, to_loopback, two_ways
from scenarios.stale_conntrack import SPORT, with_the_old_backend
from scenarios.vrf import behind_vrf

PROGRAM = ("program",)


def repaired(s, client_ns, address, sees, code, nat, advice=0, patience=2, **dial):
    """Dials, does what the verdict advises, and dials again, with success."""
    s.connect(client_ns, address, sees=sees, patience=patience, verdict=code, **dial)
    s.phase_after_repair(advice)
    s.connect(client_ns, address, sees="connected", verdict=Verdict("established", nat=nat), **dial)


@scenario(dialects=ALL, variants={"rule": "rule", "chain": "chain", "policy": "policy"}, needs=PROGRAM,
          vm=("rule", "iptables-legacy"))
def advice_against_a_drop(s):
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    if s.variant == "policy":
        s.rules.drop_by_policy(net.server_ns)
    else:
        s.rules.drop(net.server_ns, translated, through="blocked" if s.variant == "chain" else None)
    repaired(s, net.client_ns, net.public, "timeout", "filter_dropped", translated)


@scenario(dialects=ALL, needs=PROGRAM)
def advice_against_a_drop_of_the_answer(s):
    """Repaired while the client waits: the server says it again."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.drop(net.server_ns, translated, hook="output", answers=True)
    s.repair_meanwhile()
    s.connect(net.client_ns, net.public, sees="connected", patience=8, verdict=[
        "filter_dropped", Verdict("established", nat=translated, revised=True)])


@scenario(dialects=ALL, variants={"forward": ("forward", "filter"), "postrouting": ("postrouting", "mangle"),
                                  "prerouting": ("prerouting", "raw")}, needs=PROGRAM)
def advice_against_a_drop_on_the_way(s):
    net, dialled, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    hook, table = s.variant
    s.rules.drop(net.gateway_ns, dialled if table == "raw" else translated, hook=hook, table=table)
    repaired(s, net.client_ns, net.public, "timeout", "filter_dropped", translated)


@scenario(needs=PROGRAM, variants={"device": "device", "bridge": "bridge"})
def advice_against_a_drop_below_ip(s):
    net, dialled, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    if s.variant == "device":
        s.rules.drop_at_device(net.gateway_ns, "eth0", dialled)
    else:
        s.rules.drop_on_bridge(net.gateway_ns, translated, hook="output")
    repaired(s, net.client_ns, net.public, "timeout", "filter_dropped", translated)


@scenario(needs=PROGRAM, vm=IN_TURN)
def advice_in_a_namespace_without_a_name(s):
    """As LXC makes them, and PrivateNetwork= of systemd. Run in the wrong one, the command would change other rules."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.drop(net.server_ns, translated)
    for rule in s.rules.added:
        rule.should_match = None  # the harness cannot ask there any more
    s.once_tracing("take the name away", lambda: s.spaces.unname(net.server_ns))
    repaired(s, net.client_ns, net.public, "timeout", "filter_dropped", translated)


@scenario(dialects=ALL, needs=PROGRAM, vm=IN_TURN)
def advice_against_a_rejection(s):
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.reject(net.server_ns, translated, "tcp-reset")
    repaired(s, net.client_ns, net.public, "refused", "filter_rejected", translated)


@scenario(dialects=ALL, variants={"bridge": False, "switch": True}, needs=PROGRAM, vm=("bridge", "nft", "iptables"))
def advice_for_a_hairpin(s):
    """There is no chain yet that could translate the source."""
    net, client_ns, translated = hairpin(s, switch=s.variant)
    repaired(s, client_ns, net.public, "timeout", "hairpin_without_snat", translated)


@scenario(dialects=ALL, needs=PROGRAM)
def advice_for_a_hairpin_where_others_are_translated(s):
    """There is such a chain, with a rule for another port."""
    net, client_ns, translated = hairpin(s)
    # Of iptables' rules the first one is looked at afterwards, and that may be the one of the advice by then.
    s.rules.masquerade(net.gateway_ns, (net.backends[0], s.other_port)).should_match = None
    repaired(s, client_ns, net.public, "timeout", "hairpin_without_snat", translated)


@scenario(needs=PROGRAM, vm=IN_TURN)
def advice_where_nothing_is_forwarded(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.sysctl(net.gateway_ns, {FORWARDING[s.family]: 0})
    repaired(s, net.client_ns, net.public, "timeout", "forwarding_disabled", translated)


@scenario(families=(4,), needs=PROGRAM)
def advice_where_a_device_does_not_forward(s):
    net, _, translated = forwarded(s)
    s.listen(net.backend_ns[0], net.backends[0])
    s.sysctl(net.gateway_ns, {"net.ipv4.conf.eth0.forwarding": 0})
    repaired(s, net.client_ns, net.public, "timeout", "forwarding_disabled", translated)


@scenario(families=(4,), needs=PROGRAM)
def advice_for_a_loopback_destination(s):
    net, translated = to_loopback(s, route_localnet=0)
    repaired(s, net.client_ns, net.public, "timeout", "route_localnet_disabled", translated, advice=1)


@scenario(families=(4,), variants={"all": {"all": 1}, "device": {"eth0": 1}}, needs=(*PROGRAM, "drop-reasons"))
def advice_for_the_reverse_path(s):
    net, translated = two_ways(s, s.variant)
    repaired(s, net.client_ns, net.public, "timeout", "rp_filter", translated, advice=1, source=net.elsewhere)


@scenario(needs=PROGRAM, vm=IN_TURN)
def advice_for_a_stale_entry(s):
    """One that sends SYNs to a backend that is gone: a reset would end it by itself, ten seconds later."""
    net, *_ = with_the_old_backend(s, is_absent=True)
    repaired(s, net.client_ns, net.public, "timeout", "stale_conntrack", (net.backends[1], s.app_port), patience=4,
             sport=SPORT)


@scenario(needs=(*PROGRAM, "machine-sysctls"))
def advice_for_a_full_table(s):
    net, _, translated, _ = crowded(s, LIMIT)
    repaired(s, net.client_ns, net.public, "timeout", "conntrack_full", translated)


@scenario(needs=(*PROGRAM, "functions"))
def advice_for_a_full_syn_queue(s):
    net, _, translated = half_open(s, 1, 4, {})
    repaired(s, net.client_ns, net.public, "timeout", "accept_queue_full", translated, patience=4, source=net.client)


@scenario(needs=(*PROGRAM, "vrf"))
def advice_for_a_listener_in_no_vrf(s):
    net, translated = behind_vrf(s)
    s.listen(net.server_ns, net.any)
    repaired(s, net.client_ns, net.server, "refused", "listener_other_device", translated)
