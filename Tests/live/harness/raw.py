"""A SYN that no socket of the client stands behind: made by hand, so that it can be wrong, or be abandoned."""

import os
import socket
import struct

SYN, RST, ACK = 0x02, 0x04, 0x10


def open_socket(family, source, destination):
    """A raw socket that sends to and hears from that one address."""
    raw = socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP)
    raw.bind((source, 0))
    raw.connect((destination, 0))
    raw.setblocking(False)
    return raw


def syn(family, source, sport, destination, dport, right_checksum=True):
    """The segment, without IP header."""
    def segment(checksum):
        return struct.pack("!HHIIBBHHH", sport, dport, isn, 0, 5 << 4, SYN, 64240, checksum, 0)

    isn = int.from_bytes(os.urandom(4), "big")
    pseudo = socket.inet_pton(family, source) + socket.inet_pton(family, destination)
    checksum = _checksum(pseudo + struct.pack("!II", socket.IPPROTO_TCP, 20) + segment(0))
    return segment(checksum if right_checksum else checksum ^ 0x5555)


def answer(family, packet, sport, dport):
    """What a received packet means to the one who sent the SYN: `synack`, `refused`, or None."""
    header = (packet[0] & 15) * 4 if family == socket.AF_INET else 0  # IPv6 raw sockets give none
    segment = packet[header:]
    if len(segment) < 20 or struct.unpack("!HH", segment[:4]) != (dport, sport):
        return None
    flags = segment[13]
    if flags & RST:
        return "refused"
    return "synack" if flags & (SYN | ACK) == SYN | ACK else None


def _checksum(data):
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff
