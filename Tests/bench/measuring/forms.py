"""How long and how often is measured: the long form, the short one, and both under emulation.

Emulated, everything is many times slower, and to start a program takes as long as a run of it. One thread of the host
has all processors of the guest by turns, so what runs on one is paid by what runs on another: the observer halts.
"""

from .load import KINDS, REQUESTS_ONE

PARTS = ("traffic", "programs", "pipeline", "flood")
JUDGED = [kind.name for kind in KINDS if kind is not REQUESTS_ONE]

LONG = dict(
    parts=PARTS,
    # Traffic: rounds; peers have a turn in every third; a turn takes so many seconds for each kind, in so many runs.
    rounds=9, peers_every=3, seconds=0.4, runs=4, kinds=[kind.name for kind in KINDS],
    # Whether the observer stands still during a run, and works afterwards.
    halt=False,
    # From observation to line.
    pipeline=("replay", "live", "latency", "memory", "start"),
    replays=5, copies=200, live_runs=3, bursts=10, latencies=2500, memory_runs=3, in_flight=100_000, starts=9,
    flood_seconds=60, flood_rate=200_000)
SHORT = dict(
    LONG, rounds=4, peers_every=2, seconds=0.2, replays=2, copies=60, live_runs=1, bursts=5, latencies=400,
    memory_runs=1, starts=3, flood_seconds=10)
FORMS = {"long": LONG, "short": SHORT}

EMULATED = {
    "long": dict(LONG, parts=PARTS[:3], rounds=3, peers_every=1, seconds=0.8, runs=2, kinds=JUDGED, halt=True,
                 pipeline=("start", "memory"), starts=3, memory_runs=3, in_flight=20_000),
    "short": dict(SHORT, parts=PARTS[:3], rounds=1, peers_every=1, seconds=0.5, runs=1, kinds=JUDGED, halt=True,
                  pipeline=("start", "memory"), starts=1, memory_runs=1, in_flight=5_000),
}
