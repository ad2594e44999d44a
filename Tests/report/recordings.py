"""Recordings for the tests of the page, made of real ones: multiplied, cut off, and with hostile names.

The format is that of Sources/Output/Recordings/RecordingFormat.swift; observations are those of bpf/observation.h.
"""

import json
import os
import struct
import zlib

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "HandshakeTests", "Recordings")
PREAMBLE = 12
HEADER, OBSERVATIONS, FACT, LOSS, END = 1, 2, 3, 4, 5
BATCH = 256

# Where members of struct nattrace_observation stand.
SOCK, ISN, SEQ, ACK, FLAGS, NAME = 8, 32, 40, 44, 75, 188
TUPLES = (80, 116, 152)  # of the packet, and of its conntrack entry
SYN, SYNACK_OR_RST = 0x02, 0x14


def path(name):
    return os.path.join(FOLDER, name + ".ntrace")


def read(name):
    """The preamble, and (type, payload) of each record."""
    with open(path(name), "rb") as file:
        data = file.read()
    records, place = [], PREAMBLE
    while place < len(data):
        kind, length = struct.unpack_from("<BI", data, place)
        records.append((kind, data[place + 5:place + 5 + length]))
        place += 9 + length
    return data[:PREAMBLE], records


def write(target, preamble, records):
    with open(target, "wb") as file:
        file.write(preamble)
        for kind, payload in records:
            head = struct.pack("<BI", kind, len(payload))
            file.write(head + payload + struct.pack("<I", zlib.crc32(payload, zlib.crc32(head))))


def multiplied(name, target, copies, gap=100_000):
    """The same connections again and again, `gap` nanoseconds apart: each with another client's port and number."""
    preamble, records = read(name)
    header = json.loads(next(payload for kind, payload in records if kind == HEADER))
    size = header["observationSize"]
    parts = [payload[at:at + size] for kind, payload in records if kind == OBSERVATIONS
             for at in range(0, len(payload), size)]
    facts = [json.loads(payload) for kind, payload in records if kind == FACT]
    clients = {}
    for part in parts:
        if part[FLAGS] & SYN and not part[FLAGS] & SYNACK_OR_RST:
            clients.setdefault(part[ISN:ISN + 4], (part[80:96], struct.unpack_from("<H", part, 112)[0]))
    # All answers are there from the beginning.
    made = [(kind, payload) for kind, payload in records if kind == HEADER]
    made += [(FACT, json.dumps({**fact, "after": 0}).encode()) for fact in facts]
    copied = sorted((again(part, number, number * gap, clients) for number in range(copies) for part in parts),
                    key=lambda one: struct.unpack_from("<Q", one)[0])
    for at in range(0, len(copied), BATCH):
        made.append((OBSERVATIONS, b"".join(copied[at:at + BATCH])))
    last, = struct.unpack_from("<Q", copied[-1])
    made.append((END, json.dumps({"time": last + 10**10, "events": len(copied), "lost": 0}).encode()))
    write(target, preamble, made)


def again(observation, number, later, clients):
    """The observation of the connection's copy `number`."""
    one = bytearray(observation)
    # Where the packet's entry and socket are in memory: another connection has others.
    for at, shift in ((0, later), (SOCK, number * 4096), (SOCK + 8, number * 4096)):
        value, = struct.unpack_from("<Q", one, at)
        if value:
            struct.pack_into("<Q", one, at, value + shift & 0xffffffffffffffff)
    for at in (ISN, SEQ, ACK):
        value, = struct.unpack_from("<I", one, at)
        if value:
            struct.pack_into("<I", one, at, value + number * 7919 & 0xffffffff)
    address, port = clients.get(observation[ISN:ISN + 4], (None, 0))
    for tuple_at in TUPLES:
        for end, port_at in ((0, 32), (16, 34)):
            place = tuple_at + port_at
            if one[tuple_at + end:tuple_at + end + 16] == address and struct.unpack_from("<H", one, place)[0] == port:
                struct.pack_into("<H", one, place, 1024 + (port + number) % 64000)
    return bytes(one)


def cut(name, target, part):
    """The first part of the file, from 0 to 1."""
    with open(path(name), "rb") as file:
        data = file.read()
    with open(target, "wb") as file:
        file.write(data[:int(len(data) * part)])


def with_loss(name, target, reason, scope="observations"):
    """A loss is told before the first observation."""
    preamble, records = read(name)
    at = next(index for index, (kind, _) in enumerate(records) if kind == OBSERVATIONS)
    time, = struct.unpack_from("<Q", records[at][1], 0)
    loss = {"reason": reason, "scope": scope, "events": 12, "total": 12, "time": time + 1000, "since": time - 10**6}
    records.insert(at, (LOSS, json.dumps(loss).encode()))
    write(target, preamble, records)


def hostile(name, target, texts):
    """Every text that comes from outside, in the header and in the facts, is replaced by one of these, in turn."""
    preamble, records = read(name)
    turn = iter(texts * 1000)

    def poisoned(value, key=""):
        if isinstance(value, dict):
            return {name: poisoned(inner, name) for name, inner in value.items()}
        if isinstance(value, list):
            return [poisoned(inner, key) for inner in value]
        # Answers keep their kinds, addresses and hooks that are known by name.
        if isinstance(value, str) and key in NAMES:
            return next(turn) + value
        return value

    made = []
    for kind, payload in records:
        if kind == HEADER:
            header = json.loads(payload)
            start = header["start"]
            for key in ("hostName", "kernel", "filter", "version"):
                start[key] = next(turn) + start[key]
            start["missing"] = [{"hook": next(turn), "loss": next(turn)}]
            start["backends"][next(turn)] = next(turn)
            payload = json.dumps(header).encode()
        elif kind == OBSERVATIONS:
            payload = bytearray(payload)
            size = header["observationSize"]
            for at in range(0, len(payload), size):
                if payload[at + NAME]:
                    payload[at + NAME:at + NAME + 16] = DEVICE.ljust(16, b"\0")
            payload = bytes(payload)
        elif kind == FACT:
            fact = json.loads(payload)
            payload = json.dumps({**fact, "answer": poisoned(fact["answer"])}).encode()
        made.append((kind, payload))
    write(target, preamble, made)


# As much as a device's name can hold.
DEVICE = b"<b>&\"'</b>"
# Members of answers that hold what others chose: names of processes, namespaces, devices, symbols, texts of rules.
NAMES = {"name", "_0", "text", "ruleset", "unit", "container"}
