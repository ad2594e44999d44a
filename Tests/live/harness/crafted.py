"""Packets made by hand: what no well-behaved TCP sends, and hosts that are not on this machine.

A far host sits behind a TAP device. Its packets come in by a link and leave by one, but no namespace has its stack:
what it answers to a SYN is said by a list of answers. A crafted SYN leaves a raw socket, so its client has no TCP
either: if the answer comes, the client's kernel knows of no such connection and resets it.
"""

import errno
import fcntl
import ipaddress
import os
import select
import signal
import socket
import stat
import struct
import tempfile
import time
from dataclasses import dataclass

from . import children

FIN, SYN, RST, ACK = 1, 2, 4, 16
TCP, ICMP, ICMPV6 = 6, 1, 58
ETHERTYPE = {4: 0x0800, 6: 0x86DD}
# What an error means: type and code of ICMP (RFC 792, 1812) and ICMPv6 (RFC 4443), and whether the client gives up.
ICMP_ERRORS = {
    "no-route": {4: (3, 0), 6: (1, 0)},
    "host": {4: (3, 1), 6: (1, 3)},
    "port": {4: (3, 3), 6: (1, 4)},
    "prohibited": {4: (3, 13), 6: (1, 1)},
    "time-exceeded": {4: (11, 0), 6: (3, 0)},
    "too-big": {4: (3, 4), 6: (2, 0)},
}
MTU = 1400  # what `too-big` tells

TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
FAR_MAC = bytes.fromhex("020000000063")


# Bytes

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
    """A TCP packet as it came: of IPv4 without options, or IPv6 without extension headers."""

    def __init__(self, data):
        self.bytes, self.family = data, data[0] >> 4
        at = 20 if self.family == 4 else 40
        one, two = (data[12:16], data[16:20]) if self.family == 4 else (data[8:24], data[24:40])
        self.protocol = data[9] if self.family == 4 else data[6]
        self.source, self.destination = str(ipaddress.ip_address(one)), str(ipaddress.ip_address(two))
        self.is_tcp = self.protocol == TCP
        if self.is_tcp:
            self.sport, self.dport, self.seq, self.ack, _, self.flags = struct.unpack("!HHIIBB", data[at:at + 14])


# Answers: each makes an IP packet of the SYN that it answers.

def _answer(syn, flags, seq, bad_checksum=False):
    return ip_packet(syn.destination, syn.source, TCP, tcp_segment(
        syn.destination, syn.dport, syn.source, syn.sport, seq, (syn.seq + 1) & 0xFFFFFFFF, flags, bad_checksum))


def synack(bad_checksum=False):
    return lambda syn: _answer(syn, SYN | ACK, 0x5EED0000, bad_checksum)


def rst():
    return lambda syn: _answer(syn, RST | ACK, 0)


def icmp(error, source, wrong_seq=False):
    """An ICMP error that quotes the SYN, sent by `source`, a router on the way or the host itself.

    wrong_seq: it quotes a sequence number that was never sent, as a blind attacker would.
    """
    def made(syn):
        kind, code = ICMP_ERRORS[error][syn.family]
        at = 20 if syn.family == 4 else 40
        quoted = syn.bytes
        if wrong_seq:
            quoted = quoted[:at + 4] + struct.pack("!I", (syn.seq + 0x10000000) & 0xFFFFFFFF) + quoted[at + 8:]
        rest = struct.pack("!HH", 0, MTU) if error == "too-big" and syn.family == 4 else \
            struct.pack("!I", MTU if error == "too-big" else 0)
        protocol = ICMP if syn.family == 4 else ICMPV6
        length = 8 + len(quoted)
        pseudo = b"" if syn.family == 4 else pseudo_header(packed(source), packed(syn.source), protocol, length)
        body = struct.pack("!BBH", kind, code, 0) + rest + quoted
        return ip_packet(source, syn.source, protocol,
                         body[:2] + struct.pack("!H", internet_sum(pseudo + body)) + body[4:])
    return made


# A far host

class FarHost:
    """The child that holds the TAP device. `release` lets a held answer go."""

    def __init__(self, child, pace):
        self._child, self._pace = child, pace
        self.pid, self.stop = child.pid, child.stop

    def wait_syn(self):
        """Returns once a SYN has come."""
        for message in self._child.messages(self._pace.deadline(5)):
            if "error" in message:
                raise RuntimeError(f"far host: {message['error']}")
            return
        raise TimeoutError("no SYN came to the far host")

    def release(self):
        os.kill(self.pid, signal.SIGUSR1)


def far_host(netns, device, address, port, answers, pace, hold=False, unheard=0, again=False):
    """Makes the device in the namespace, and returns once it is there.

    hold: the answer waits for release(). unheard: so many SYNs come to nobody's ears first.
    again: every SYN is answered, not only the first one heard.
    """
    def work(say):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # a release before the SYN is kept
        tap = _open_tap(device)
        say({"ready": True})
        left = unheard
        while True:
            frame = os.read(tap, 65536)
            if struct.unpack("!H", frame[12:14])[0] not in ETHERTYPE.values():
                continue
            packet = Packet(frame[14:])
            if not packet.is_tcp or (packet.destination, packet.dport) != (address, port) \
                    or packet.flags & (SYN | ACK) != SYN:
                continue
            if left > 0:
                left -= 1
                continue
            say({"syn": packet.seq})
            if hold:
                signal.sigwait({signal.SIGUSR1})
            header = frame[6:12] + FAR_MAC + frame[12:14]
            for answer in answers:
                os.write(tap, header + answer(packet))
            left = 0 if again else float("inf")

    child = children.spawn(work, netns=netns, name="nt-far-host")
    for message in child.messages(pace.deadline(5)):
        if "error" in message:
            child.stop()
            raise RuntimeError(f"far host: {message['error']}")
        return FarHost(child, pace)
    child.stop()
    raise TimeoutError("the far host's device did not come up")


def _open_tap(device):
    """Through a device node of our own: where nothing made /dev/net/tun, opening one loads the module."""
    with tempfile.TemporaryDirectory(prefix="nattrace-live-") as folder:
        node = os.path.join(folder, "tun")
        os.mknod(node, stat.S_IFCHR | 0o600, os.makedev(10, 200))
        tap = os.open(node, os.O_RDWR)
    fcntl.ioctl(tap, TUNSETIFF, struct.pack("16sH22x", device.encode(), IFF_TAP | IFF_NO_PI))
    return tap


# A crafted SYN

@dataclass
class Syn:
    """How the one SYN of a crafted dial looks."""
    bad_checksum: bool = False


def dial_by_hand(say, dial, pace):
    """Runs in a child: sends one SYN from a raw socket and says what came back, as a client would see it."""
    from .client import SAW, source_for
    family = socket.AF_INET6 if ":" in dial.address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as owner, \
            socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_TCP) as raw:
        source = dial.wanted_source or source_for(family, dial.address)
        owner.bind((source, dial.wanted_sport))  # so that nobody else dials from that port
        sport = owner.getsockname()[1]
        raw.bind((source, 0))
        raw.connect((dial.address, 0))
        seq = int.from_bytes(os.urandom(4))
        begin = time.monotonic()
        raw.send(tcp_segment(source, sport, dial.address, dial.port, seq, 0, SYN, dial.crafted.bad_checksum))
        say({"dial": 0, "source": source, "sport": sport})
        saw, until = "timeout", begin + pace.seconds(dial.patience)
        while saw == "timeout" and select.select([raw], [], [], max(0, until - time.monotonic()))[0]:
            try:
                data = raw.recv(65536)
            except OSError as error:
                saw = SAW.get(error.errno, errno.errorcode.get(error.errno, str(error.errno)))
                continue
            segment = data[20:] if family == socket.AF_INET else data  # only IPv4 shows its header
            ports, flags = struct.unpack("!HH", segment[:4]), segment[13]
            if ports == (dial.port, sport):
                saw = "refused" if flags & RST else "connected" if flags & SYN else saw
        say({"dial": 0, "saw": saw, "by": None, "seconds": round(time.monotonic() - begin, 3)})
        while True:
            signal.pause()
