"""A SYN that no socket of the client stands behind: made by hand, so that it can be wrong, or be abandoned.

The client's kernel knows nothing of it, so it answers a SYN-ACK with RST.
"""

import os
import select
import signal
import socket
import struct
import time

from .packets import ACK, RST, SYN, tcp_segment


def dial(say, dial, source, pace, saw_of):
    """Runs in a child of its own. Says `sport` and `source` when the SYN is out, and `saw` and `seconds` at the end.

    saw_of: what an error number means to the client.
    """
    family = socket.AF_INET6 if ":" in dial.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as owner, \
            socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        owner.bind((source, dial.wanted_sport))  # so that nobody else dials from that port
        sport = owner.getsockname()[1]
        raw.bind((source, 0))
        raw.connect((dial.address, 0))
        begin = time.monotonic()
        raw.send(tcp_segment(source, sport, dial.address, dial.port, int.from_bytes(os.urandom(4), "big"), 0, SYN,
                             bad_checksum=dial.raw == "wrong-checksum"))
        say({"dial": 0, "source": source, "sport": sport})
        saw, until = None, begin + pace.seconds(dial.patience)
        while not saw and select.select([raw], [], [], max(0, until - time.monotonic()))[0]:
            try:
                saw = _answer(family, raw.recv(2048), sport, dial.port)
            except OSError as error:
                saw = saw_of(error.errno)
        say({"dial": 0, "saw": saw or "timeout", "by": None, "seconds": round(time.monotonic() - begin, 3)})
        while True:  # the port stays taken until the harness ends this child
            signal.pause()


def _answer(family, packet, sport, dport):
    """What a received packet means to the one who sent the SYN: `synack`, `refused`, or None."""
    header = (packet[0] & 15) * 4 if family == socket.AF_INET else 0  # IPv6 raw sockets give none
    segment = packet[header:]
    if len(segment) < 20 or struct.unpack("!HH", segment[:4]) != (dport, sport):
        return None
    flags = segment[13]
    if flags & RST:
        return "refused"
    return "synack" if flags & (SYN | ACK) == SYN | ACK else None
