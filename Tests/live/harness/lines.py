"""Reading nattrace's JSON lines: fields by dotted name, connections, and the community id worked out anew."""

import base64
import hashlib
import ipaddress
import struct


def get(line, name, default=None):
    """The field `a.b.c` of a line of nested objects."""
    for part in name.split("."):
        if not isinstance(line, dict) or part not in line:
            return default
        line = line[part]
    return line


def dataset(line):
    return get(line, "event.dataset")


def endpoint(value):
    """(address, port) of a packet's source or destination, written as an object or as address:port."""
    if isinstance(value, dict):
        return (value.get("ip"), value.get("port"))
    if isinstance(value, str) and ":" in value:
        address, port = value.rsplit(":", 1)
        return (address.strip("[]"), int(port) if port.isdigit() else None)
    return None


def community_id(source, sport, destination, dport):
    """Community id version 1, seed 0, of a TCP connection."""
    one = (ipaddress.ip_address(source).packed, sport)
    two = (ipaddress.ip_address(destination).packed, dport)
    low, high = sorted((one, two))
    data = struct.pack("!H", 0) + low[0] + high[0] + struct.pack("!BBHH", 6, 0, low[1], high[1])
    return "1:" + base64.b64encode(hashlib.sha1(data).digest()).decode()


class Connection:
    """All lines of one connection, in the order in which they came."""

    def __init__(self, id):
        self.id, self.lines = id, []

    @property
    def steps(self):
        return [line for line in self.lines if dataset(line) == "nattrace.step"]

    @property
    def verdicts(self):
        return [line for line in self.lines if dataset(line) == "nattrace.verdict"]

    @property
    def codes(self):
        return [get(line, "nattrace.verdict") for line in self.verdicts]

    @property
    def key(self):
        """The tuple as dialled: (source, port, destination, port)."""
        line = self.lines[0]
        return tuple(get(line, name) for name in
                     ("source.ip", "source.port", "destination.ip", "destination.port"))

    def __str__(self):
        return f"{self.id} {self.key[0]}:{self.key[1]} -> {self.key[2]}:{self.key[3]}"


def connections(lines):
    """The connections of a run's lines, by first appearance."""
    found = {}
    for line in lines:
        id = get(line, "nattrace.connection")
        if id is not None:
            found.setdefault(id, Connection(id)).lines.append(line)
    return list(found.values())


def compact(line):
    """One step or verdict on one line, for a report."""
    if dataset(line) == "nattrace.step":
        packet = get(line, "nattrace.packet", {})
        ends = [endpoint(packet.get(side)) for side in ("source", "destination")]
        shown = " -> ".join(f"{end[0]}:{end[1]}" for end in ends if end)
        reason = get(line, "nattrace.reason")
        return "  {:>3} {:>12} ns  {:<20} {:<12} {:<28} {} {} {}{}".format(
            get(line, "event.sequence", "?"), get(line, "nattrace.offset_ns", "?"), get(line, "event.action", "?"),
            get(line, "nattrace.stage", "-"), get(line, "nattrace.function", "-"),
            get(line, "nattrace.backend", "-"), get(line, "nattrace.netns.name", "-"), shown,
            f" ({reason})" if reason else "")
    return "  ==> {}{} [{}] {}".format(
        get(line, "nattrace.verdict", "?"), " (revised)" if get(line, "nattrace.revised") else "",
        get(line, "event.outcome", "?"), get(line, "event.reason", "no event.reason"))
