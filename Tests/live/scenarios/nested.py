"""One connection through several namespaces, each with a NAT of its own."""

from harness.expect import ByHooks, Step, Verdict
from harness.scenario import scenario

DIALECTS = ("nft", "iptables")


def dnat_in(netns, before, after):
    """A translation in that namespace; what it was before and after is told where functions are hooked."""
    fields = {f"nattrace__translation__{when}__destination__{part}": value
              for when, end in (("before", before), ("after", after)) for part, value in zip(("ip", "port"), end)}
    return (Step("nat.dnat", nattrace__function="nf_nat_manip_pkt", nattrace__netns__name=netns, **fields),
            Step("nat.dnat", nattrace__netns__name=netns))


def steps(*wanted):
    """Pairs of what function hooks and what tracepoints must show; what is no pair is for both."""
    pairs = [step if isinstance(step, tuple) else (step, step) for step in wanted]
    return ByHooks(functions=[one for one, _ in pairs], tracepoints=[two for _, two in pairs])


def container(s):
    """The host translates to the container, which redirects to another port of its own."""
    net = s.gateway()
    dialled, outer, inner = (net.public, s.port), (net.backends[0], s.app_port), (net.backends[0], s.other_port)
    s.rules.dnat(net.gateway_ns, dialled, outer)
    s.rules.redirect(net.backend_ns[0], outer, s.other_port)
    s.trace("--dport", s.port)
    way = ["syn", dnat_in(net.gateway_ns, dialled, outer), dnat_in(net.backend_ns[0], outer, inner)]
    return net, net.backend_ns[0], inner, way


@scenario(dialects=DIALECTS)
def redirect_in_container_no_listener(s):
    net, netns, inner, way = container(s)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=inner, netns=netns, reason=(str(s.other_port),),
        steps=steps(*way, Step("reset", nattrace__netns__name=netns))))


@scenario(dialects=DIALECTS, vm=("nft",))
def redirect_in_container_loopback_only(s):
    """The sidecar listens on loopback: REDIRECT of what came from outside leads to the interface's own address."""
    net, netns, inner, way = container(s)
    app = s.listen(netns, net.loopback, s.other_port, name="sidecar")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_loopback_only", nat=inner, netns=netns, listener=app, reason=("sidecar",),
        steps=steps(*way, Step("reset", nattrace__netns__name=netns))))


@scenario(dialects=DIALECTS, vm=("iptables",))
def redirect_in_container_established(s):
    net, netns, inner, way = container(s)
    s.listen(netns, net.any, s.other_port, name="sidecar")
    s.connect(net.client_ns, net.public, sees="connected", answered_by="sidecar", verdict=Verdict(
        "established", nat=inner, steps=steps(*way, "established"), no_steps=("reset", "drop")))


@scenario()
def redirect_in_container_seen_from_host(s):
    """The host's namespace alone knows its own translation, and that the container refuses."""
    net, netns, inner, way = container(s)
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "reset_by_backend", nat=(net.backends[0], s.app_port), netns=net.gateway_ns, steps=steps(*way[:2], "rst")))


@scenario(variants={"refused": False, "established": True}, vm=("refused",))
def three_translations(s):
    """In the client's own OUTPUT, on the gateway, and in the container."""
    net = s.gateway()
    ends = [(net.elsewhere, s.port), (net.public, s.app_port), (net.backends[0], s.app_port),
            (net.backends[0], s.other_port)]
    s.rules.dnat(net.client_ns, ends[0], ends[1], hook="output")
    s.rules.dnat(net.gateway_ns, ends[1], ends[2])
    s.rules.redirect(net.backend_ns[0], ends[2], s.other_port)
    s.trace("--dport", s.port)
    way = [dnat_in(netns, *pair) for netns, pair in
           zip((net.client_ns, net.gateway_ns, net.backend_ns[0]), zip(ends, ends[1:]))]
    if s.variant:
        s.listen(net.backend_ns[0], net.any, s.other_port)
        s.connect(net.client_ns, *ends[0], sees="connected", verdict=Verdict(
            "established", nat=ends[-1], steps=steps(*way, "established")))
    else:
        app = s.listen(net.backend_ns[0], net.loopback, s.other_port)
        s.connect(net.client_ns, *ends[0], sees="refused", verdict=Verdict(
            "listener_loopback_only", nat=ends[-1], listener=app, netns=net.backend_ns[0], steps=steps(*way, "reset")))


@scenario(dialects=DIALECTS)
def masquerade_then_dnat_in_container(s):
    """The host hides the client as well: the container's conntrack knows another source than the host's."""
    net = s.gateway()
    outer, inner = (net.backends[0], s.app_port), (net.backends[0], s.other_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), outer)
    s.rules.masquerade(net.gateway_ns, outer)
    s.rules.redirect(net.backend_ns[0], outer, s.other_port)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "no_listener", nat=inner, snat=net.lan, netns=net.backend_ns[0],
        steps=("syn", Step("nat.dnat", nattrace__netns__name=net.gateway_ns),
               Step("nat.snat", nattrace__netns__name=net.gateway_ns),
               Step("nat.dnat", nattrace__netns__name=net.backend_ns[0]), "reset")))


@scenario()
def near_miss_stale_in_the_container(s):
    """The host's entry is new; the container's is an older one, without its redirect. The innermost decides."""
    net = s.gateway()
    dialled, outer = (net.public, s.port), (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, dialled, outer)
    s.rules.redirect(net.backend_ns[0], outer, s.other_port).should_match = False
    s.listen(net.backend_ns[0], net.any, s.other_port, name="sidecar")
    entry = s.entry(net.backend_ns[0], (net.client, 61001), outer)
    s.trace("--dport", s.port)
    s.connect(net.client_ns, net.public, sport=61001, sees="refused", verdict=Verdict(
        "stale_conntrack", nat=outer, netns=net.backend_ns[0], evidence=(entry,), checklist={"answer": "rst"},
        steps=("syn", Step("nat.dnat", nattrace__netns__name=net.gateway_ns), "reset")))
