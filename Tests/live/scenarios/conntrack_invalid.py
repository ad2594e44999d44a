"""What conntrack calls INVALID is passed on, but NAT leaves it alone. What it only ignores is not INVALID."""

from harness import far_host
from harness.expect import ByHooks, Step, Verdict
from harness.scenario import IN_TURN, scenario
from scenarios.far_side import forwarded_far
from scenarios.published_port import published


# They have variable arguments, and fentry programs there are none for them.
WORDS = ("nf_ct_l4proto_log_invalid", "nf_l4proto_log_invalid")


def by_words(functions, tracepoints):
    return ByHooks(functions, tracepoints, needs=WORDS)


def invalid_answer(net, translated, words=None, otherwise="reset_by_client"):
    """The SYN was translated, its SYN-ACK passes as it came, and the client resets what it never asked for.

    What conntrack says of it is known by its functions only; else by what follows.
    """
    return Verdict(
        by_words("conntrack_invalid", otherwise), nat=translated, checklist={"answer": "synack"},
        fields={"nattrace.netns.name": by_words(net.gateway_ns, frozenset({net.gateway_ns, net.client_ns}))},
        reason=by_words(functions=(words,) if words else (), tracepoints=()),
        steps=by_words(
            functions=["syn", "nat.dnat", Step("synack", source=translated),
                       Step("conntrack.invalid", **({"nattrace__reason": words} if words else {})),
                       Step({"synack", "transmit"}, source=translated, nattrace__stage="egress")],
            tracepoints=["syn", "nat.dnat", Step({"synack", "transmit"}, source=translated)]),
        no_steps=("nat.reverse",))


@scenario(vm=IN_TURN)
def syn_with_bad_checksum(s):
    """The rule is not asked, and TCP, which gets the SYN as dialled, drops it for the same defect.

    Without function hooks the drop and its reason are all there is.
    """
    net, _, _ = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.added[0].should_match = False
    s.connect(net.client_ns, net.public, raw="wrong-checksum", sees="timeout", patience=1,
              verdict=Verdict(
                  by_words("conntrack_invalid", "dropped"), nat=False, netns=net.server_ns,
                  checklist={# Without its words, that conntrack let go of the entry again is not seen.
                             "conntrack": by_words("invalid", ByHooks("new", None)), "answer": "none"},
                  reason=by_words(functions=("bad checksum",), tracepoints=("TCP_CSUM",)),
                  steps=by_words(functions=["syn", Step("conntrack.invalid", nattrace__reason="bad checksum",
                                                       nattrace__stage="prerouting"),
                                           "deliver", Step("drop", nattrace__reason="TCP_CSUM")],
                                tracepoints=["syn", Step("drop", nattrace__reason="TCP_CSUM")]),
                  no_steps=("nat.dnat", "reset", "listener")))


@scenario()
def near_miss_checksum_not_looked_at(s):
    """conntrack is told not to look: the SYN is translated, and what TCP drops is none of conntrack's doing."""
    net, _, translated = published(s)
    s.listen(net.server_ns, net.inner)
    s.sysctl(net.server_ns, {"net.netfilter.nf_conntrack_checksum": 0})
    s.connect(net.client_ns, net.public, raw="wrong-checksum", sees="timeout", patience=1,
              verdict=Verdict("dropped", nat=translated, netns=net.server_ns, reason=("TCP_CSUM",),
                              fields={"nattrace.reason": "TCP_CSUM"}, steps=("syn", "nat.dnat", "drop"),
                              no_steps=("conntrack.invalid",)))


@scenario(vm=IN_TURN)
def answer_after_the_entry_is_gone(s):
    """The SYN-ACK takes its time, and meanwhile somebody deletes the entry."""
    net, host, translated = forwarded_far(s, lambda net: [far_host.synack()], hold=True)
    s.trace("--unanswered-after", "60s")  # that the SYN, sent again, has no answer is another story
    s.meanwhile("wait for the SYN beyond the gateway", host.wait_syn)
    s.meanwhile("delete the entry", lambda: s.forget(net.gateway_ns, (net.public, s.port)))
    s.meanwhile("answer", host.release)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=invalid_answer(net, translated))


@scenario()
def answer_after_the_entry_is_gone_seen_from_gateway(s):
    """The same without the client's namespace: its reset comes in for a connection that it was never told of."""
    net, host, translated = forwarded_far(s, lambda net: [far_host.synack()], hold=True)
    s.trace("--netns", net.gateway_ns)
    s.meanwhile("wait for the SYN beyond the gateway", host.wait_syn)
    s.meanwhile("delete the entry", lambda: s.forget(net.gateway_ns, (net.public, s.port)))
    s.meanwhile("answer", host.release)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8,
              verdict=invalid_answer(net, translated).but(first=Step("syn", nattrace__stage="ingress")))


@scenario()
def answer_with_bad_checksum(s):
    """The far host's SYN-ACK is damaged: it is not translated back, and the client's TCP drops it."""
    net, host, translated = forwarded_far(s, lambda net: [far_host.synack(bad_checksum=True)])
    s.trace("--netns", net.gateway_ns)
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8,
              verdict=invalid_answer(net, translated, "bad checksum", otherwise="synack_unanswered"))


ZONES = {"syn-only": "ct zone set 7", "original-only": "ct original zone set 7"}


@scenario(variants=ZONES, vm=("syn-only",))
def zone(s):
    """What the client sends is tracked in a zone of its own. Answers are looked up in no zone, and found only if the
    zone was set for the original direction alone."""
    net = s.gateway()
    translated = (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, (net.public, s.port), translated)
    s.rules.nft(net.gateway_ns, f"""
        table IP zones {{
            chain prerouting {{
                type filter hook prerouting priority -300; policy accept;
                iifname "eth0" {s.variant}
            }}
        }}""")
    s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port)
    if s.variant == ZONES["original-only"]:
        s.connect(net.client_ns, net.public, sees="connected", answered_by="app-backend", verdict=Verdict(
            "established", nat=translated, steps=("syn", "nat.dnat", "synack", "established"),
            no_steps=("conntrack.invalid",)))
        return
    s.connect(net.client_ns, net.public, sees="timeout", patience=0.8, verdict=invalid_answer(net, translated))


@scenario()
def syn_against_the_direction_of_an_entry(s):
    """The table has a connection from that public port to the client's port: the SYN looks like a wrong answer."""
    net, dialled, _ = published(s)
    s.listen(net.server_ns, net.inner)
    s.rules.added[0].should_match = False
    s.entry(net.server_ns, dialled, (net.client, 61001))
    s.connect(net.client_ns, net.public, sport=61001, sees="refused", verdict=Verdict(
        by_words("conntrack_invalid", "no_listener"), nat=False, netns=net.server_ns, checklist={"answer": "rst"},
        reason=by_words(functions=("invalid, state",), tracepoints=()),
        steps=by_words(functions=["syn", "conntrack.invalid", "listener", "reset"], tracepoints=["syn", "reset"]),
        no_steps=("nat.dnat", "nat.reverse")))


@scenario(variants={"established": True, "refused": False}, vm=("established",))
def near_miss_ignored(s):
    """conntrack ignores a SYN that it did not expect, in an entry whose translation is the rule's: its log function
    speaks, but nothing is INVALID, nothing is left untranslated, and the real cause wins."""
    net = s.gateway()
    dialled, translated = (net.public, s.port), (net.backends[0], s.app_port)
    s.rules.dnat(net.gateway_ns, dialled, translated).should_match = False
    s.entry(net.gateway_ns, (net.client, 61001), dialled, to=translated)
    if s.variant:
        s.listen(net.backend_ns[0], net.backends[0], name="app-backend")
    s.trace("--dport", s.port)
    outcome = dict(sees="connected", answered_by="app-backend") if s.variant else dict(sees="refused")
    code = "established" if s.variant else "no_listener"
    s.connect(net.client_ns, net.public, sport=61001, **outcome, verdict=Verdict(
        code, nat=translated, netns=None if s.variant else net.backend_ns[0], no_steps=("conntrack.invalid",)))
