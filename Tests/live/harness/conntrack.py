"""Entries of a namespace's conntrack table, written and deleted with conntrack(8)."""

from .rules import endpoint
from .topology import inside

# Seconds that an entry stays: a program that starts beside others in an emulated machine may take minutes.
STAYS = 3600


def insert(netns, family, source, destination, to=None, state="ESTABLISHED", replied=True):
    """An entry of a connection that nobody has; returns how the evidence shows it, as the schema has it.

    source, destination and to are (address, port). Without `replied` the entry has seen no answer yet.
    """
    words = ["-s", source[0], "--sport", source[1], "-d", destination[0], "--dport", destination[1],
             "--state", state, "-t", STAYS]
    words += ["-u", "ASSURED,SEEN_REPLY"] if replied else []
    words += ["--dst-nat", endpoint(family, *to)] if to else []
    inside(netns, ["conntrack", "-I", "-p", "tcp", *map(str, words)])
    return evidence(source, destination, answering=to or destination)


def evidence(source, destination, answering=None):
    """An entry by its ends as dialled and, where given, by who must answer."""
    ends = {"original.source": source, "original.destination": destination, "reply.source": answering}
    return {"kind": "conntrack_entry", **{f"{end}.{part}": value for end, pair in ends.items() if pair
                                          for part, value in zip(("ip", "port"), pair)}}


def delete(netns, destination):
    address, port = destination
    inside(netns, ["conntrack", "-D", "-p", "tcp", "-d", address, "--dport", str(port)])


def fill(netns, number):
    """So many entries of established connections, which are not given up for new ones (ASSURED)."""
    inside(netns, ["conntrack", "-R", "-"], "".join(
        f"-A -p tcp -s 10.66.0.1 -d 10.66.0.2 --sport {10000 + entry} --dport 80 "
        f"--state ESTABLISHED -u ASSURED,SEEN_REPLY -t {STAYS}\n" for entry in range(number)))
