"""Which connections a filter shows: by the client's view or the translated one, and nothing that does not match."""

from harness.expect import Step, Verdict
from harness.scenario import scenario
from harness.ways import SYN_OUT

SPORT = 61007

# Name: the arguments, from the vocabulary and the net. All of these must show the connection.
MATCHING = {
    "dport-dialled": lambda s, net: ["--dport", s.port],
    "dport-translated": lambda s, net: ["--dport", s.app_port],
    "dport-either": lambda s, net: ["--dport", s.other_port, "--dport", s.port],
    "dport-range": lambda s, net: ["--dport", f"{s.port - 2}-{s.port}"],
    "sport": lambda s, net: ["--sport", SPORT, "--dport", s.port],
    "port-client": lambda s, net: ["--port", SPORT, "--dport", s.port],
    "port-range": lambda s, net: ["--port", f"{s.port}-{s.port + 3}"],
    "interface": lambda s, net: ["-i", "eth0", "--dport", s.port],
    "netns-name": lambda s, net: ["--netns", net.server_ns, "--dport", s.port],
    "netns-inode": lambda s, net: ["--netns", s.spaces.inode(net.server_ns), "--dport", s.port],
    "netns-pid": lambda s, net: ["--netns", f"pid:{s.listeners[0].pid}", "--dport", s.port],
    "everything": lambda s, net: ["--netns", net.server_ns, "-i", "eth0", "--dport", s.port, "--sport", SPORT,
                                  "--saddr", net.client, "--daddr", net.public, f"-{s.family}"],
}
MATCHING_BY_ADDRESS = {
    "daddr-dialled": lambda s, net: ["--daddr", net.public, "--dport", s.port],
    "daddr-translated": lambda s, net: ["--daddr", net.inner, "--dport", s.port],
    "daddr-cidr": lambda s, net: ["--daddr", {4: "203.0.113.0/28", 6: "2001:db8:77::/48"}[s.family],
                                  "--dport", s.port],
    "daddr-either": lambda s, net: ["--daddr", net.elsewhere, "--daddr", net.public, "--dport", s.port],
    "saddr": lambda s, net: ["--saddr", net.client, "--dport", s.port],
    "saddr-cidr": lambda s, net: ["--saddr", net.outer_net, "--dport", s.port],
    "addr": lambda s, net: ["--addr", net.client, "--dport", s.port],
    "family": lambda s, net: [f"-{s.family}", "--dport", s.port],
}
# None of these may show anything.
OTHER = {
    "dport": lambda s, net: ["--dport", s.other_port],
    "dport-and-sport": lambda s, net: ["--dport", s.port, "--sport", SPORT + 1],
    "swapped-ports": lambda s, net: ["--dport", SPORT, "--sport", s.port],
    "interface": lambda s, net: ["--dport", s.port, "-i", "app0"],
    "netns": lambda s, net: ["--dport", s.port, "--netns", s.spaces.add("else")],
    "netns-and-sport": lambda s, net: ["--netns", net.server_ns, "--sport", SPORT + 1],
}
OTHER_BY_ADDRESS = {
    "daddr": lambda s, net: ["--dport", s.port, "--daddr", net.other],
    "daddr-cidr": lambda s, net: ["--dport", s.port, "--daddr", net.other_net],
    "saddr": lambda s, net: ["--dport", s.port, "--saddr", net.public],
    "family": lambda s, net: ["--dport", s.port, f"-{10 - s.family}"],
    "addr": lambda s, net: ["--dport", s.port, "--addr", net.elsewhere],
}


def refused_and_shown(s):
    net = s.pair()
    dialled, translated = (net.public, s.port), (net.inner, s.app_port)
    s.rules.dnat(net.server_ns, dialled, translated)
    s.listen(net.server_ns, net.inner, s.port + 3, name="app-aside")
    s.trace(*s.variant(s, net))
    return net, dialled, translated


def must_show(s):
    net, dialled, translated = refused_and_shown(s)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, steps=(Step("syn", destination=dialled), "nat.dnat", "reset"),
        first=Step(SYN_OUT, destination=dialled)))


def must_not_show(s):
    net, dialled, translated = refused_and_shown(s)
    s.connect(net.client_ns, net.public, sport=SPORT, sees="refused", verdict=None)
    s.expect_zero_events()


@scenario(families=(4,), variants=MATCHING, vm=("dport-translated", "everything"))
def filter_shows(s):
    must_show(s)


@scenario(variants=MATCHING_BY_ADDRESS, vm=("saddr-cidr",))
def filter_shows_address(s):
    must_show(s)


@scenario(families=(4,), variants=OTHER, vm=("dport",))
def filter_hides(s):
    must_not_show(s)


@scenario(variants=OTHER_BY_ADDRESS, vm=("daddr",))
def filter_hides_address(s):
    must_not_show(s)


@scenario()
def filter_by_translated_port_shows_what_came_before(s):
    """In the server's namespace the first step is the SYN as it came in, before the rewrite that made it match."""
    net, dialled, translated = refused_and_shown_by_translated_port(s)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, steps=("syn", "nat.dnat", "reset"),
        first=Step("syn", destination=dialled, nattrace__stage="ingress")))


def refused_and_shown_by_translated_port(s):
    s.variant = lambda s, net: ["--dport", s.app_port, "--netns", net.server_ns]
    return refused_and_shown(s)


@scenario()
def only_the_matching_one(s):
    """Two connections, one matches."""
    net = s.pair()
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, s.port, sees="refused", verdict=Verdict("no_listener"))
    s.connect(net.client_ns, net.public, s.other_port, sees="refused", verdict=None)


@scenario(families=(4,), variants={"failed": ["--failed"], "verdict": ["--verdict", "no_listener"]})
def show_only(s):
    """--failed and --verdict hide what did not end that way, with its steps."""
    net = s.pair()
    s.listen(net.server_ns, net.server, s.app_port)
    s.trace("--dport", f"{s.port}-{s.app_port}", *s.variant)
    s.connect(net.client_ns, net.server, s.port, sees="refused", verdict=Verdict("no_listener"))
    s.connect(net.client_ns, net.server, s.app_port, sees="connected", verdict=None)
