"""A recording as large as one likes, made of a real one: its connections again and again, each time others.

The format is told in Sources/Output/Recordings/RecordingFormat.swift, the fields of an observation in bpf/observation.h. What
is repeated keeps all that was seen; times, sequence numbers, and the identities of sockets and conntrack entries are
shifted, so that each copy is a connection of its own at a time of its own. Facts are asked again in a replay: the
recorded answers stand before all observations.
"""

import json
import struct
import zlib

MAGIC = b"nattrace\n"
VERSIONS = (1, 2)
PREAMBLE = len(MAGIC) + 3
HEADER, OBSERVATIONS, FACT, LOSS, END, TIME = 1, 2, 3, 4, 5, 6
SIZE = 208
BATCH = 256
# Offsets of struct nattrace_observation.
TIME_AT, SOCK_AT, CT_AT, ISN_AT, SEQ_AT, ACK_AT, KIND_AT = 0, 8, 16, 32, 40, 44, 72
KIND_MODULE = 32
# An odd step visits every sequence number once; kernel objects are at least so far apart.
NUMBER_STEP, OBJECT_STEP = 0x9E3779B1, 4096


class Unreadable(Exception):
    """Not a recording, or a damaged one."""


def records(data):
    """Type and payload of each record."""
    if data[:len(MAGIC)] != MAGIC or data[len(MAGIC)] not in VERSIONS:
        raise Unreadable("not a recording of a known version")
    at = PREAMBLE
    while at < len(data):
        if at + 9 > len(data):
            raise Unreadable(f"truncated at byte {at}")
        kind, length = struct.unpack_from("<BI", data, at)
        end = at + 5 + length
        if end + 4 > len(data):
            raise Unreadable(f"truncated at byte {at}")
        if zlib.crc32(data[at:end]) != struct.unpack_from("<I", data, end)[0]:
            raise Unreadable(f"the checksum at byte {at} does not match")
        yield kind, data[at + 5:end]
        at = end + 4


def record(kind, payload):
    body = struct.pack("<BI", kind, len(payload)) + payload
    return body + struct.pack("<I", zlib.crc32(body))


def observations(data):
    """All observations of a recording, in their order."""
    found = []
    for kind, payload in records(data):
        if kind == OBSERVATIONS:
            if len(payload) % SIZE:
                raise Unreadable("half an observation")
            found += [payload[at:at + SIZE] for at in range(0, len(payload), SIZE)]
    return found


def shifted(observation, copy, gap):
    """The observation as it would have been of another connection, `gap` nanoseconds later."""
    changed = bytearray(observation)

    def add(layout, at, amount, keep_zero=True):
        value, = struct.unpack_from(layout, changed, at)
        if value or not keep_zero:
            mask = (1 << 8 * struct.calcsize(layout)) - 1
            # Zero says that there is none: what came to be zero by the shift moves on by one.
            struct.pack_into(layout, changed, at, (value + amount) & mask or 1)

    add("<Q", TIME_AT, copy * gap, keep_zero=False)
    if changed[KIND_AT] == KIND_MODULE:
        return bytes(changed)
    for at in (ISN_AT, SEQ_AT, ACK_AT):
        add("<I", at, copy * NUMBER_STEP)
    for at in (SOCK_AT, CT_AT):
        add("<Q", at, copy * OBJECT_STEP)
    return bytes(changed)


def multiplied(data, copies, gap):
    """The bytes of a recording with each observation `copies` times, `gap` nanoseconds apart."""
    source = observations(data)
    if not source:
        raise Unreadable("no observation is in it")
    parts = [data[:PREAMBLE]]
    facts = []
    for kind, payload in records(data):
        if kind == HEADER:
            parts.append(record(kind, payload))
        elif kind == FACT:
            fact = json.loads(payload)
            fact["after"] = 0
            facts.append(record(kind, json.dumps(fact, separators=(",", ":")).encode()))
    parts += facts
    many = [shifted(observation, copy, gap) for copy in range(copies) for observation in source]
    many.sort(key=lambda observation: observation[:8][::-1])  # by time, stable
    for at in range(0, len(many), BATCH):
        parts.append(record(OBSERVATIONS, b"".join(many[at:at + BATCH])))
    last, = struct.unpack_from("<Q", many[-1])
    parts.append(record(END, json.dumps({"time": last + 10_000_000_000, "events": len(many), "lost": 0}).encode()))
    return b"".join(parts)
