"""Many SYNs as fast as one process can send them, from addresses that nobody has, through a pair's own link."""

import ipaddress
import random
import socket
import struct
import time

from . import children, packets
from .topology import inside

# Addresses for measurements (RFC 2544, RFC 5180).
SPOOFED = {4: ipaddress.ip_network("198.18.0.0/15"), 6: ipaddress.ip_network("2001:2::/48")}
# In an emulated machine a packet takes many times as long.
NUMBER, NUMBER_IF_SLOW = 20_000, 3_000


class Flood:
    """Sends beside the caller from the client's side to an address of the server's, until all are sent."""

    def __init__(self, net, family, port, mac, pace):
        self.number = NUMBER if pace.slow < 2 else NUMBER_IF_SLOW
        self._pace, self._destination, self._port, self._mac = pace, net.server, port, bytes.fromhex(mac.replace(":", ""))
        # The answers go back by the link, and no further.
        inside(net.server_ns, ["ip", f"-{family}", "route", "add", str(SPOOFED[family]), "via", net.client])
        self._child = children.spawn(self._send, netns=net.client_ns, name="flood")

    def _send(self, say):
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as out:
            out.bind(("eth0", 0))
            own, sent = out.getsockname()[4], 0
            made = list(frames(self._mac, own, self._destination, self._port, self.number))
            say({"ready": True})
            for frame in made:
                while True:
                    try:
                        sent += out.send(frame) == len(frame)
                        break
                    except OSError:  # the link's queue is full
                        time.sleep(0.001)
        say({"sent": sent})

    def wait_ready(self):
        """Returns when it begins to send."""
        self._message("ready", 60)

    def wait_sent(self):
        """Returns how many were sent, once all are."""
        return self._message("sent", 60)

    def _message(self, name, factor):
        for message in self._child.messages(self._pace.deadline(factor)):
            if "error" in message:
                raise RuntimeError(f"flood: {message['error']}")
            return message[name]
        raise TimeoutError(f"the flood is not {name}")

    def stop(self):
        self._child.stop()


def frames(mac, own_mac, destination, port, number):
    """Each with a source and an initial sequence number of its own."""
    family = ipaddress.ip_address(destination).version
    ethernet = mac + own_mac + struct.pack("!H", {4: 0x0800, 6: 0x86DD}[family])
    chance, first = random.Random(1), int(SPOOFED[family][2])
    of_family = {4: ipaddress.IPv4Address, 6: ipaddress.IPv6Address}[family]
    for index in range(number):
        source = str(of_family(first + index))
        segment = packets.tcp_segment(source, 1024 + index % 60000, destination, port, chance.getrandbits(32), 0,
                                      packets.SYN)
        yield ethernet + packets.ip_packet(source, destination, packets.TCP, segment)
