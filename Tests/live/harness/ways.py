"""The steps of a handshake in well-known set-ups, in order: what a timeline must at least show.

With function hooks each decision of the kernel is a step, with the function's name. With tracepoints only, packets,
resets and state changes are seen, and what conntrack knows of them; the decisions in between are concluded from that.
"""

from . import abilities
from .expect import ByHooks, Step

# A packet on its way out of a namespace.
RST_OUT = frozenset({"rst", "transmit"})
SYN_OUT = frozenset({"syn", "transmit"})
SYNACK_OUT = frozenset({"synack", "transmit"})

FUNCTION = frozenset({"kprobe", "fentry"})
# Before 6.10 a reset has no reason; only the SYN that it answers is freed with one.
RESET_REASON = None if "reset-reasons" in abilities.lacking() else "NO_SOCKET"


def called(action, function, **fields):
    """A step that was seen in a function of the kernel."""
    return Step(action, nattrace__function=function, nattrace__backend=FUNCTION, **fields)


def rewritten(action, function, side, before, after):
    """A translation of one side, from what to what."""
    fields = {f"nattrace__translation__{when}__{side}__{part}": value
              for when, end in (("before", before), ("after", after)) for part, value in zip(("ip", "port"), end)}
    return called(action, function, **fields)


def tracked_and_translated(dialled, translated, entered=True):
    """Conntrack's new entry, the rule's decision, and the packet rewritten by it."""
    hook = "prerouting" if entered else "output"
    return [called("conntrack.new", "nf_conntrack_tcp_packet", nattrace__stage=hook),
            rewritten("nat.dnat", "nf_nat_setup_info", "destination", dialled, translated),
            rewritten("nat.dnat", "nf_nat_manip_pkt", "destination", dialled, translated)]


def _of_family(at, v4, v6):
    return v6 if ":" in at[0] else v4


# Before 6.6 fentry takes no function with so many arguments, see expect.CONCLUDED_WITHOUT.
LOOKUPS = ("__inet_lookup_listener", "inet6_lookup_listener")


def listener_sought(at, found):
    return called("listener", _of_family(at, *LOOKUPS), destination=at, nattrace__listener__found=found)


def _looked_up(at, found):
    return [called("deliver", _of_family(at, "tcp_v4_rcv", "tcp_v6_rcv"), destination=at, nattrace__stage="socket"),
            listener_sought(at, found)]


def answered_with_reset(at):
    """TCP gets the SYN, finds no socket, and makes an RST."""
    return [*_looked_up(at, False),
            called("reset", _of_family(at, "tcp_v4_send_reset", "tcp_v6_send_reset"), destination=at,
                   nattrace__stage="socket", nattrace__reason=RESET_REASON)]


def translated_back(dialled, translated):
    return rewritten("nat.reverse", "nf_nat_manip_pkt", "source", translated, dialled)


def refused(dialled, translated):
    """A rewritten SYN that this machine's TCP answers with RST, which is translated back on its way out."""
    return ByHooks(
        functions=[Step("syn", destination=dialled, nattrace__stage="ingress"),
                   *tracked_and_translated(dialled, translated), *answered_with_reset(translated),
                   translated_back(dialled, translated), Step(RST_OUT, source=dialled, nattrace__stage="egress")],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step("reset", nattrace__reason=RESET_REASON),
                     Step(RST_OUT, source=dialled)])


def refused_from_here(dialled, translated):
    """The same, dialled on this machine itself, and rewritten in OUTPUT."""
    return ByHooks(
        functions=[called("transmit", "tcp_connect", destination=dialled),
                   *tracked_and_translated(dialled, translated, entered=False), *answered_with_reset(translated),
                   translated_back(dialled, translated), Step(RST_OUT, source=dialled)],
        tracepoints=["nat.dnat", "reset"])


def refused_untouched(dialled):
    """A refusal without any rewrite."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), *answered_with_reset(dialled), Step(RST_OUT, source=dialled)],
        tracepoints=[Step("syn", destination=dialled), "reset", Step(RST_OUT, source=dialled)])


def established(dialled, translated):
    """A rewritten SYN that reaches a listener of this machine."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), *tracked_and_translated(dialled, translated),
                   *_looked_up(translated, True), called("request", "inet_csk_reqsk_queue_hash_add"),
                   called("transmit", "tcp_make_synack", source=translated), translated_back(dialled, translated),
                   Step("synack", source=dialled, nattrace__stage="egress"), "ack", "established"],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYNACK_OUT, source=dialled), "ack",
                     "established"])


def refused_beyond(dialled, translated):
    """Seen from a gateway: the SYN leaves for the backend, whose RST comes back and is translated."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), *tracked_and_translated(dialled, translated),
                   Step(SYN_OUT, destination=translated), Step("rst", source=translated),
                   translated_back(dialled, translated), Step(RST_OUT, source=dialled)],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYN_OUT, destination=translated),
                     Step("rst", source=translated), Step(RST_OUT, source=dialled)])


def unanswered(dialled, translated):
    """Seen from a gateway: the SYN leaves for the backend, again and again."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), *tracked_and_translated(dialled, translated),
                   Step(SYN_OUT, destination=translated)],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYN_OUT, destination=translated)])
