"""Something listens on the port, but not where the SYN comes in: on another device, in another namespace, for the
other family only."""

from harness.expect import Verdict
from harness.scenario import scenario
from scenarios.gateway import forwarded
from scenarios.published_port import published


@scenario(variants={"loopback": "lo", "inner": "app0"}, vm=("inner",))
def listener_tied_to_another_device(s):
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.any, device=s.variant)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_device", nat=translated, listener=app, netns=net.server_ns,
        reason=("app-inner", s.variant, net.inner), evidence=({"kind": "listener", "interface.name": s.variant},),
        steps=("syn", "nat.dnat", "reset")))


@scenario()
def tied_listener_on_the_right_address(s):
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.inner, device="app0")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_device", nat=translated, listener=app, reason=("app0",)))


@scenario()
def near_miss_listener_tied_to_the_device(s):
    """Tied to the one that the SYN comes in by: all is well, whichever device has the address."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.any, device="app0", name="app-other")
    s.listen(net.server_ns, net.any, device="eth0", name="app-right")
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-right",
              verdict=Verdict("established", nat=translated))


@scenario()
def near_miss_tied_listener_on_another_address(s):
    """It would not take the SYN on the right device either: the address is what is wrong."""
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.other, device="eth0")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app))


@scenario(variants={"any": "any", "loopback": "loopback"}, vm=("any",))
def listener_in_another_namespace(s):
    """The application runs in a namespace that the SYN never comes to."""
    net, _, translated = published(s)
    container = s.spaces.add("container")
    app = s.listen(container, getattr(net, s.variant), name="app-container")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_netns", nat=translated, listener=app, netns=net.server_ns,
        reason=("app-container", container, net.inner), steps=("syn", "nat.dnat", "reset")))


@scenario()
def listener_in_the_namespace_of_another_backend(s):
    """The rule names the first backend; the application runs in the second one's namespace."""
    net = s.gateway(backends=2)
    translated = (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.trace("--dport", s.port)
    app = s.listen(net.backend_ns[1], net.backends[1], name="app-second")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_netns", nat=translated, listener=app, netns=net.backend_ns[0],
        reason=("app-second", net.backend_ns[1])))


@scenario()
def listener_in_the_gateways_namespace(s):
    """The application was moved out of the container; the rule still leads into it."""
    net, _, translated = forwarded(s)
    app = s.listen(net.gateway_ns, net.any, name="app-host")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_netns", nat=translated, listener=app, netns=net.backend_ns[0], reason=("app-host",)))


@scenario()
def near_miss_another_address_is_nearer(s):
    """One on another address here, one in another namespace: the one that is here is told of."""
    net, _, translated = published(s)
    app = s.listen(net.server_ns, net.other)
    s.listen(s.spaces.add("container"), net.any, name="app-container")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app))


@scenario()
def near_miss_other_port_in_another_namespace(s):
    """Nobody anywhere listens on the translated port; one on the dialled port, elsewhere, is no help."""
    net, _, translated = published(s)
    s.listen(s.spaces.add("container"), net.any, s.port, name="app-container")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict("no_listener", nat=translated))


@scenario()
def near_miss_the_other_namespace_answers(s):
    """A second listener in another namespace does not matter to a handshake that succeeds."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.listen(s.spaces.add("container"), net.any, name="app-container")
    s.connect(net.client_ns, net.public, sees="connected", answered_by="app-inner",
              verdict=Verdict("established", nat=translated))


@scenario(families=(4,), vm=True)
def listener_for_ipv6_only(s):
    """Bound to every address of IPv6, with IPV6_V6ONLY; the SYN is IPv4."""
    net, _, translated = published(s)
    app = s.listen(net.server_ns, "::", v6only=True)
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app, reason=("app-inner", "IPv6"),
        evidence=({"kind": "listener", "ip": "::", "ipv6_only": True},)))


@scenario(families=(6,))
def listener_for_ipv4_only(s):
    """Bound to every address of IPv4; the SYN is IPv6."""
    net, _, translated = published(s)
    app = s.listen(net.server_ns, "0.0.0.0")
    s.connect(net.client_ns, net.public, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app, reason=("app-inner", "IPv4")))


@scenario(families=(4,))
def near_miss_listener_for_both_families(s):
    net, _, translated = published(s)
    s.listen(net.server_ns, "::", v6only=False)
    s.connect(net.client_ns, net.public, sees="connected", verdict=Verdict("established", nat=translated))
