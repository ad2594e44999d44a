"""A host that is not on this machine: its packets come in by a link and leave by one, but no namespace has its stack.

It is a process behind a TAP device, and what it answers to a SYN is said by a list of answers.
"""

import fcntl
import os
import signal
import stat
import struct
import tempfile

from . import children
from .packets import ACK, RST, SYN, TCP, Packet, icmp_error, ip_packet, tcp_segment

ETHERTYPES = {0x0800, 0x86DD}  # IPv4, IPv6
TUNSETIFF, IFF_TAP, IFF_NO_PI = 0x400454CA, 0x0002, 0x1000
MAC = bytes.fromhex("020000000063")


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
    return lambda syn: icmp_error(error, source, syn, wrong_seq)


# The host

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


def start(netns, device, address, port, answers, pace, hold=False, unheard=0):
    """Makes the device in the namespace, and returns once it is there.

    It answers the first SYN that it hears. hold: the answer waits for release(). unheard: so many SYNs come to nobody's
    ears first.
    """
    def work(say):
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})  # a release before the SYN is kept
        tap = _open_tap(device)
        say({"ready": True})
        left = unheard
        while True:
            frame = os.read(tap, 65536)
            if struct.unpack("!H", frame[12:14])[0] not in ETHERTYPES:
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
            header = frame[6:12] + MAC + frame[12:14]
            for answer in answers:
                os.write(tap, header + answer(packet))
            left = float("inf")

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
