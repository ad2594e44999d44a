"""The expected holes: where a kernel, or a backend on it, tells less, and which more general outcome comes instead.

A hole applies to the scenarios that it names where the kernel lacks what it says (harness/abilities.py: asked of the
kernel, not of its version) and the run had the hooks that it says. Such a scenario must give exactly this outcome: the
full one fails too, so that a hole that closes does not go unnoticed. docs/kernels.md is printed from here.
"""

from harness.expect import instead_of, like_tracepoints, reasonless
from harness.hole import Hole

HOLES = [
    Hole(None, None, "drops have no reason before 5.17: the verdict has no `nattrace.reason`", reasonless,
         lacks=("drop-reasons",)),
    Hole("rp_filter", "dropped", "only the reason of the drop tells the reverse-path check from others, which 5.17 is the first to give",
         instead_of("rp_filter", "dropped", reason=(), evidence=(), fields={"nattrace.stage": "routing"}),
         lacks=("drop-reasons",)),
    # Rules.
    Hole("filter_rejected", None, "where no rule is traced, a packet that is lent loopback for its ICMPv6 error does not "
         "show the hook, which is not said", like_tracepoints("filter_rejected", "fields"), "rule-rejects-in-output/*/ipv6*",
         lacks=("module-types",), hooks="functions"),
    Hole("filter_dropped", None, "where no rule is traced, of two that can have dropped it none is named",
         like_tracepoints("filter_dropped", "rule"), ("two-rules-would-drop/*", "verdict-map-drops/*"),
         lacks=("module-types",), hooks="functions"),
]

# Verdicts that need function hooks, where their scenarios expect another one with tracepoints alone by themselves, and
# why. docs/evidence.md has the whole of it.
WITHOUT_FUNCTIONS = {
    "conntrack_invalid": "what conntrack calls INVALID is known by its functions only",
    "stale_conntrack": "an older entry is told from a new one only if it was answered once",
    "accept_queue_full": "how long a SYN queue is, the look-up of the listener tells only",
}
