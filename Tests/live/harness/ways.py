"""The steps of a handshake in well-known set-ups, in order: what a timeline must at least show.

With function hooks each decision of the kernel is a step. With tracepoints only, packets, resets and state changes are
seen, and what conntrack knows of them; the decisions in between are concluded from that.
"""

from .expect import ByHooks, Step

# A packet on its way out of a namespace.
RST_OUT = frozenset({"rst", "transmit"})
SYN_OUT = frozenset({"syn", "transmit"})
SYNACK_OUT = frozenset({"synack", "transmit"})


def refused(dialled, translated):
    """A rewritten SYN that this machine's TCP answers with RST, which is translated back on its way out."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), "conntrack.new", "nat.dnat",
                   Step("deliver", destination=translated), "listener", "reset", "nat.reverse",
                   Step(RST_OUT, source=dialled)],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", "reset", Step(RST_OUT, source=dialled)])


def refused_untouched(dialled):
    """The same without any rewrite."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), Step("deliver", destination=dialled), "listener", "reset",
                   Step(RST_OUT, source=dialled)],
        tracepoints=[Step("syn", destination=dialled), "reset", Step(RST_OUT, source=dialled)])


def established(dialled, translated):
    """A rewritten SYN that reaches a listener of this machine."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), "conntrack.new", "nat.dnat",
                   Step("deliver", destination=translated), "listener", "request", "nat.reverse",
                   Step(SYNACK_OUT, source=dialled), "ack", "established"],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYNACK_OUT, source=dialled), "ack",
                     "established"])


def refused_beyond(dialled, translated):
    """Seen from a gateway: the SYN leaves for the backend, whose RST comes back and is translated."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), "conntrack.new", "nat.dnat",
                   Step(SYN_OUT, destination=translated), Step("rst", source=translated), "nat.reverse",
                   Step(RST_OUT, source=dialled)],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYN_OUT, destination=translated),
                     Step("rst", source=translated), Step(RST_OUT, source=dialled)])


def unanswered(dialled, translated):
    """Seen from a gateway: the SYN leaves for the backend, again and again."""
    return ByHooks(
        functions=[Step("syn", destination=dialled), "conntrack.new", "nat.dnat",
                   Step(SYN_OUT, destination=translated)],
        tracepoints=[Step("syn", destination=dialled), "nat.dnat", Step(SYN_OUT, destination=translated)])
