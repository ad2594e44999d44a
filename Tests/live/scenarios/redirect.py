"""REDIRECT in PREROUTING: the port is rewritten, and the address becomes the incoming interface's own."""

from harness import ways
from harness.expect import Verdict
from harness.scenario import IN_TURN, scenario

DIALECTS = ("nft", "iptables")


def redirected(s):
    net = s.pair()
    s.rules.redirect(net.server_ns, (net.server, s.port), s.app_port)
    s.trace("--dport", s.port)
    return net, (net.server, s.port), (net.server, s.app_port)


@scenario(dialects=DIALECTS, vm=("nft",))
def redirect_without_listener(s):
    net, dialled, translated = redirected(s)
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "no_listener", nat=translated, reason=(str(s.app_port),), netns=net.server_ns,
        steps=ways.refused(dialled, translated)))


@scenario(dialects=DIALECTS, vm=("iptables",))
def redirect_with_listener(s):
    net, dialled, translated = redirected(s)
    s.listen(net.server_ns, net.any)
    s.connect(net.client_ns, net.server, sees="connected", answered_by="app-inner", verdict=Verdict(
        "established", nat=translated, netns=net.server_ns, steps=ways.established(dialled, translated)))


@scenario(vm=IN_TURN)
def redirect_listener_elsewhere(s):
    """The application is bound to an address that the redirect does not choose."""
    net, dialled, translated = redirected(s)
    app = s.listen(net.server_ns, net.inner)
    s.connect(net.client_ns, net.server, sees="refused", verdict=Verdict(
        "listener_other_address", nat=translated, listener=app, reason=(net.server, net.inner, "app-inner"),
        netns=net.server_ns, steps=ways.refused(dialled, translated)))
