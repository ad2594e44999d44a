"""A public address and port, DNATed in PREROUTING to one inner address of the same host."""

from harness import ways
from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario

NFT_AND_IPTABLES = ("nft", "iptables")
ALL = ("nft", "nft-inet", "iptables", "iptables-legacy")


def published(s):
    """The set-up of all of them: client and server, public port to inner port. Returns (net, dialled, translated)."""
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.rules.dnat(net.server_ns, dialled, translated)
    s.trace("--dport", s.port)
    return net, dialled, translated


@scenario(dialects=ALL, vm=("nft", "iptables-legacy"))
def article(s):
    """The application is bound to another address of the host than the one that the rule names."""
    net, dialled, translated = published(s)
    app = s.listen(net.server_ns, net.other)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", reason=(net.inner, net.other, str(s.app_port), "app-inner"), nat=translated,
        listener=app, netns=net.server_ns, fields={"nattrace.reason": "NO_SOCKET"}, checklist={"conntrack": "new"},
        steps=ways.refused(dialled, translated)))


@scenario(dialects=NFT_AND_IPTABLES, vm=("nft",))
def no_listener(s):
    net, dialled, translated = published(s)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", reason=(net.inner, str(s.app_port)), nat=translated, netns=net.server_ns,
        steps=ways.refused(dialled, translated)))


@scenario(dialects=NFT_AND_IPTABLES, vm=("iptables",))
def loopback_only(s):
    net, dialled, translated = published(s)
    app = s.listen(net.server_ns, net.loopback)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_loopback_only", reason=(net.loopback, net.inner, "app-inner"), nat=translated, listener=app,
        netns=net.server_ns, steps=ways.refused(dialled, translated)))


@scenario(dialects=ALL, vm=("iptables",))
def repaired(s):
    """The article's case with the binding repaired."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, netns=net.server_ns, steps=ways.established(dialled, translated),
        no_steps=("reset", "drop")))


@scenario()
def wildcard_listener(s):
    """Bound to every address: the usual repair."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.any)
    s.connect(net.client_ns, net.public, sees="connected", verdict=Verdict(
        "established", nat=translated, steps=ways.established(dialled, translated)))


@scenario(vm=IN_TURN)
def near_miss_right_listener(s):
    """A listener on the right address beside the wrong one: nothing is wrong."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.other, name="app-other")
    s.listen(net.server_ns, net.inner, name="app-right")
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-right",
              verdict=Verdict("established", nat=translated))


@scenario()
def near_miss_other_port(s):
    """A listener on the translated address, but on another port, is not a listener on another address."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner, s.other_port, name="app-elsewhere")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict("no_listener", nat=translated))


@scenario(vm=IN_TURN)
def near_miss_rule_for_other_port(s):
    """A rule that matches another port rewrites nothing; the dialled port itself is closed."""
    net = s.pair()
    s.rules.dnat(net.server_ns, (net.public, s.other_port), (net.inner, s.app_port)).should_match = False
    s.listen(net.server_ns, net.inner)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=False, no_steps=("nat.dnat", "nat.reverse"), reason=(net.public, str(s.port)),
        steps=ways.refused_untouched((net.public, s.port))))


@scenario(vm=IN_TURN)
def two_causes_at_once(s):
    """Three connections at once: one refused for the binding, one without a listener, one established."""
    net = s.pair()
    wrong, closed, good = ((net.public, s.port + number) for number in range(3))
    other = s.listen(net.server_ns, net.other, 8080, name="app-other")
    s.listen(net.server_ns, net.inner, 8082, name="app-good")
    for dialled, port in ((wrong, 8080), (closed, 8081), (good, 8082)):
        s.rules.dnat(net.server_ns, dialled, (net.inner, port))
    s.trace("--dport", f"{s.port}-{s.port + 2}")
    s.connect(net.client_ns, *wrong, sees="refused", verdict=Verdict(
        "listener_other_address", nat=(net.inner, 8080), listener=other))
    s.connect(net.client_ns, *closed, sees="refused", verdict=Verdict("no_listener", nat=(net.inner, 8081)))
    s.connect(net.client_ns, *good, sees="connected", answered_by="app-good", verdict=Verdict(
        "established", nat=(net.inner, 8082)))


@scenario(vm=IN_TURN)
def one_after_the_other_on_one_port(s):
    """The same client port twice: another ISN is another connection."""
    net, dialled, translated = published(s)
    for _ in range(2):
        s.connect(net.client_ns, net.public, sport=61001, sees="refused",
                  verdict=Verdict("no_listener", nat=translated))
        s.phase()


@scenario()
def repaired_while_the_client_waits(s):
    """The first SYN is dropped; the rule goes away; the retransmitted SYN, with the same ISN, gets through."""
    net, dialled, translated = published(s)
    s.listen(net.server_ns, net.inner)
    rule = s.rules.drop(net.server_ns, (net.inner, s.app_port))
    s.once_told()
    s.meanwhile("take the drop rule away", rule.remove)
    s.connect(net.client_ns, net.public, sees="connected", patience=8, verdict=[
        Verdict("filter_dropped", nat=translated, netns=net.server_ns, rule=rule, steps=("syn", "nat.dnat", "drop")),
        Verdict("established", nat=translated, revised=True, steps=("drop", "syn", "established"))])
