"""Listeners: one child process each, with a name of its own, so that evidence can be checked by pid and name.

A listener greets each client with its name, so that a client knows which process it reached.
"""

import signal
import socket

from . import children


class Listener:
    def __init__(self, child, address, port, name):
        self._child, self.address, self.port, self.name = child, address, port, name
        self.pid, self.stop = child.pid, child.stop


def listen(netns, address, port, name, pace, device=None, v6only=None, backlog=64, accept=True, outlive=False):
    """Starts a listener and returns once it listens."""
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
        say({"ready": True})
        kept = []
        while accept:
            kept.append(server.accept()[0])
            try:
                kept[-1].sendall(name.encode() + b"\n")
            except OSError:
                pass
        while True:
            signal.pause()

    child = children.spawn(work, netns=netns, name=name, outlive=outlive)
    for message in child.messages(pace.deadline(5)):
        if "error" in message:
            child.stop()
            raise RuntimeError(f"listener {name} on {address} port {port}: {message['error']}")
        return Listener(child, address, port, name)
    child.stop()
    raise TimeoutError(f"listener {name} on {address} port {port} did not start")
