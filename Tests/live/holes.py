"""The expected holes: where a kernel, or a backend on it, tells less, and which more general outcome comes instead.

A hole applies to the scenarios that it names where the kernel lacks what it says (harness/abilities.py: asked of the
kernel, not of its version) and the run had the hooks that it says. Such a scenario must give exactly this outcome: the
full one fails too, so that a hole that closes does not go unnoticed. docs/kernels.md is printed from here.
"""

from harness.expect import concluding, instead_of, like_tracepoints, reasonless, unknown, unseen
from harness.hole import Hole, Without

HOLES = [
    Hole(None, None, "drops have no reason before 5.17: the verdict has no `nattrace.reason`", reasonless,
         lacks=("drop-reasons",)),
    Hole("rp_filter", "dropped",
         "only the reason of the drop tells the reverse-path check from others, which 5.17 is the first to give",
         instead_of("rp_filter", "dropped", reason=(), evidence=(), fields={"nattrace.stage": "routing"}),
         lacks=("drop-reasons",)),
    # Rules.
    Hole("filter_rejected", None, "where no rule is traced, the hook is not said of a packet of this machine that is "
         "rejected with an ICMPv6 error", like_tracepoints("filter_rejected", "fields"),
         "rule-rejects-in-output/*/ipv6*", lacks=("module-types",), hooks="functions"),
    Hole("filter_dropped", None, "where no rule is traced, of two that can have dropped it none is named",
         like_tracepoints("filter_dropped", "rule"), ("two-rules-would-drop/*", "verdict-map-drops/*"),
         lacks=("module-types",), hooks="functions"),
    # Nothing asks conntrack in a namespace whose only rule keeps packets from it: the rule alone would tell.
    Hole(None, None, "where no rule is traced, that one kept a packet from conntrack is concluded from the packet's mark, "
         "if nothing else in the namespace uses conntrack", concluding("conntrack.untracked"),
         "near-miss-notrack-alone/*/ipv4*", lacks=("module-types",), hooks="functions"),
    Hole(None, None, "where no rule is traced, that one kept an IPv6 packet from conntrack is not known, if nothing else "
         "in the namespace uses conntrack", unknown("conntrack", "conntrack.untracked"),
         "near-miss-notrack-alone/*/ipv6*", lacks=("module-types",), hooks="functions"),
]

# Where nothing says why a packet was dropped, tracepoints tell what was dropped by the function alone, which may do so
# for several reasons. That nftables leaves it to nf_hook_slow to free what it drops, and that IPv6 lets go of a packet's
# entry before TCP has it, goes with it: the kernel cannot be asked for either.
HOLES += [
    Hole("socket_refused", "dropped",
         "tracepoints do not see which socket TCP found, and the drop has no reason that names one",
         instead_of("socket_refused", "dropped", checklist={"listener_matches": None}, evidence=(), reason=(),
                    listener=None), "socket-filter-refuses/*", lacks=("drop-reasons",), hooks="tracepoints"),
    Hole("filter_rejected", "dropped", "what a rule in OUTPUT answers is not seen with tracepoints, and nf_hook_slow "
         "drops for conntrack and NAT as well",
         instead_of("filter_rejected", "dropped", rule=None, no_rule=True, checklist={"answer": "none"}),
         "rule-rejects-in-output/*", lacks=("drop-reasons",), hooks="tracepoints"),
    Hole("untracked", "no_listener", "IPv6 lets go of the mark of an untracked packet before TCP has it",
         instead_of("untracked", "no_listener", evidence=(), checklist={"conntrack": None}, steps=("syn",)),
         "notrack-before-the-dnat-rule/ipv6*", lacks=("drop-reasons",), hooks="tracepoints"),
]
HOLES += [
    Hole(code, None, "a reset that concerns no socket is not seen while it is made before 6.10: it is concluded from "
         "the RST that leaves, and there is no step `reset`", unseen(code, "reset"), lacks=("reset-reasons",),
         hooks="tracepoints")
    for code in ("no_listener", "listener_other_address", "listener_loopback_only", "listener_other_device",
                 "listener_other_netns", "untracked")
]

# Verdicts that need function hooks at times: without them their scenarios expect another one by themselves. The kernel
# has no fentry programs for functions with variable arguments, such as conntrack's two that log. docs/evidence.md has
# the whole of it.
WITHOUT_FUNCTIONS = {
    "conntrack_invalid": Without(("dropped", "reset_by_client", "synack_unanswered", "no_listener"),
                                 "what conntrack calls INVALID only those of its functions tell that log, which have "
                                 "variable arguments and take a kprobe", with_fentry=True),
    "stale_conntrack": Without(("syn_unanswered",),
                               "an older entry is told from a new one only if it was answered once"),
    "accept_queue_full": Without(("unexplained",),
                                 "how long a SYN queue is only the look-up of the listener tells, which has up to ten "
                                 "arguments: fentry takes no more than six before 6.6", without_lookups=True),
}
