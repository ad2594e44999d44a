"""Listeners: one child process each, with a name of its own, so that evidence can be checked by pid and name.

A listener greets each client with its name, so that a client knows which process it reached.
"""

import ctypes
import os
import signal
import socket
import struct

from . import children

# <asm-generic/socket.h>, <linux/in.h>, <linux/in6.h>, <linux/tcp.h>
SO_ATTACH_FILTER, IP_MINTTL, IPV6_MINHOPCOUNT, TCP_MD5SIG = 26, 21, 73, 14
IP_TRANSPARENT, IPV6_TRANSPARENT = 19, 75


class Listener:
    def __init__(self, child, address, port, name, backlog):
        self._child, self.address, self.port, self.name, self.backlog = child, address, port, name, backlog
        self.pid, self.stop = child.pid, child.stop

    def send(self, number):
        os.kill(self.pid, number)


def refuse_all(server):
    """A classic BPF filter of one instruction: keep 0 bytes of every packet."""
    program = ctypes.create_string_buffer(struct.pack("HBBI", 0x06, 0, 0, 0))
    server.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HP", 1, ctypes.addressof(program)))


def accept_near_only(server):
    """Only packets that no router has touched (the generalised TTL security mechanism): hop limit 255."""
    if server.family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_MINHOPCOUNT, 255)
    else:
        server.setsockopt(socket.IPPROTO_IP, IP_MINTTL, 255)


def take_what_is_for_others(server):
    """Connections to addresses that are not this machine's, which rules hand to it."""
    if server.family == socket.AF_INET6:
        server.setsockopt(socket.IPPROTO_IPV6, IPV6_TRANSPARENT, 1)
    else:
        server.setsockopt(socket.IPPROTO_IP, IP_TRANSPARENT, 1)


def demand_md5(server, peer):
    """Segments of that peer need an MD5 signature (RFC 2385)."""
    key = b"nattrace"
    if ":" in peer:
        address = struct.pack("=HHI16sI", socket.AF_INET6, 0, 0, socket.inet_pton(socket.AF_INET6, peer), 0)
    else:
        address = struct.pack("=HH4s", socket.AF_INET, 0, socket.inet_pton(socket.AF_INET, peer))
    server.setsockopt(socket.IPPROTO_TCP, TCP_MD5SIG,
                      struct.pack("128sBBHi80s", address, 0, 0, len(key), 0, key))


def listen(netns, address, port, name, pace, device=None, v6only=None, backlog=64, accept=True, outlive=False,
           prepare=None, accept_on=None, closes=False):
    """Starts a listener and returns once it listens.

    prepare: called with the listening socket, to set what else it needs. With accept=False the connections stay in its
    queue, until the process gets the signal `accept_on`, if one is named. closes: it closes each connection after the
    greeting.
    """
    def work(say):
        family = socket.AF_INET6 if ":" in address else socket.AF_INET
        server = socket.socket(family, socket.SOCK_STREAM)
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if device:
            server.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, device.encode())
        if v6only is not None:
            server.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6only))
        server.bind((address, port))
        server.listen(backlog)
        if prepare:
            prepare(server)
        if accept_on:
            signal.pthread_sigmask(signal.SIG_BLOCK, {accept_on})
        say({"ready": True})
        if accept_on:
            signal.sigwait({accept_on})
        kept = []
        while accept or accept_on:
            kept.append(server.accept()[0])
            try:
                kept[-1].sendall(name.encode() + b"\n")
                if closes:
                    kept.pop().close()
            except OSError:
                pass
        while True:
            signal.pause()

    child = children.spawn(work, netns=netns, name=name, outlive=outlive)
    for message in child.messages(pace.deadline(5)):
        if "error" in message:
            child.stop()
            raise RuntimeError(f"listener {name} on {address} port {port}: {message['error']}")
        return Listener(child, address, port, name, backlog)
    child.stop()
    raise TimeoutError(f"listener {name} on {address} port {port} did not start")
