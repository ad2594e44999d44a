"""Packets as bytes: TCP segments, right and wrong ones, ICMP errors that quote them, and the IP headers before them."""

import ipaddress
import struct

SYN, RST, ACK = 2, 4, 16
TCP, ICMP, ICMPV6 = 6, 1, 58
# What an error means: type and code of ICMP (RFC 792, 1812) and ICMPv6 (RFC 4443).
ICMP_ERRORS = {
    "no-route": {4: (3, 0), 6: (1, 0)},
    "host": {4: (3, 1), 6: (1, 3)},
    "port": {4: (3, 3), 6: (1, 4)},
    "prohibited": {4: (3, 13), 6: (1, 1)},
    "time-exceeded": {4: (11, 0), 6: (3, 0)},
    "too-big": {4: (3, 4), 6: (2, 0)},
}
MTU = 1400  # what `too-big` tells


def internet_sum(data):
    """The Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def packed(address):
    return ipaddress.ip_address(address).packed


def pseudo_header(source, destination, protocol, length):
    if len(source) == 4:
        return source + destination + struct.pack("!BBH", 0, protocol, length)
    return source + destination + struct.pack("!I3xB", length, protocol)


def tcp_segment(source, sport, destination, dport, seq, ack, flags, bad_checksum=False):
    """A segment without data, with a maximum segment size in its options if it opens a connection."""
    options = struct.pack("!BBH", 2, 4, 1400) if flags & SYN else b""
    offset = (20 + len(options)) // 4 << 4
    window = 0 if flags & RST else 64000

    def made(checksum):
        return struct.pack("!HHIIBBHHH", sport, dport, seq, ack, offset, flags, window, checksum, 0) + options

    source, destination = packed(source), packed(destination)
    right = internet_sum(pseudo_header(source, destination, TCP, len(made(0))) + made(0))
    return made(right ^ 0x5555 if bad_checksum else right)


def ip_packet(source, destination, protocol, payload):
    source, destination = packed(source), packed(destination)
    if len(source) == 16:
        return struct.pack("!IHBB", 6 << 28, len(payload), protocol, 64) + source + destination + payload
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), 0, 0x4000, 64, protocol, 0) + source + destination
    return header[:10] + struct.pack("!H", internet_sum(header)) + header[12:] + payload


class Packet:
    """A packet as it came: of IPv4 without options, or IPv6 without extension headers."""

    def __init__(self, data):
        self.bytes, self.family = data, data[0] >> 4
        at = 20 if self.family == 4 else 40
        one, two = (data[12:16], data[16:20]) if self.family == 4 else (data[8:24], data[24:40])
        self.source, self.destination = str(ipaddress.ip_address(one)), str(ipaddress.ip_address(two))
        self.is_tcp = (data[9] if self.family == 4 else data[6]) == TCP
        if self.is_tcp:
            self.sport, self.dport, self.seq, self.ack, _, self.flags = struct.unpack("!HHIIBB", data[at:at + 14])


def icmp_error(error, source, packet, wrong_seq=False):
    """An error that quotes a packet to its sender, as an IP packet. wrong_seq: it quotes another sequence number."""
    kind, code = ICMP_ERRORS[error][packet.family]
    quoted = packet.bytes
    if wrong_seq:
        at = 24 if packet.family == 4 else 44
        quoted = quoted[:at] + struct.pack("!I", (packet.seq + 0x10000000) & 0xFFFFFFFF) + quoted[at + 4:]
    rest = struct.pack("!HH", 0, MTU) if error == "too-big" and packet.family == 4 else \
        struct.pack("!I", MTU if error == "too-big" else 0)
    protocol, pseudo = ICMP, b""
    if packet.family == 6:
        protocol = ICMPV6
        pseudo = pseudo_header(packed(source), packed(packet.source), protocol, 8 + len(quoted))
    body = struct.pack("!BBH", kind, code, 0) + rest + quoted
    return ip_packet(source, packet.source, protocol,
                     body[:2] + struct.pack("!H", internet_sum(pseudo + body)) + body[4:])
