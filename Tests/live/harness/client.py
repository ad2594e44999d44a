"""Clients: dial, and say what a user of that connection would have seen.

`connected` (with the name of who answered), `refused`, `timeout`, `unreachable` or `reset`. All dials of one
namespace and phase leave from one child process, at once, without waiting for each other.

A raw dial sends one SYN without a socket behind it, and sees `synack`, `refused` or `timeout`. The client's kernel
knows nothing of that SYN, so it answers a SYN-ACK with RST.
"""

import errno
import selectors
import socket
import time

from . import children, crafted, raw

SAW = {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable",
       errno.EACCES: "unreachable", errno.EPERM: "unreachable", errno.ECONNRESET: "reset",
       errno.ETIMEDOUT: "timeout"}
# Where a raw dial's ports begin; nobody else has them in a namespace of the tests.
RAW_SPORT = 61800


class Dial:
    """One connection attempt. After it: `source` and `sport` as the client had them, `saw`, and `by`.

    closes: the client closes after the server did. raw: None, or what kind of SYN to make by hand: `right` or
    `wrong-checksum`. crafted: a crafted.Syn that leaves instead of the kernel's.
    """

    def __init__(self, netns, address, port, sport=0, source=None, patience=5, hop_limit=None, raw=None, closes=False,
                 crafted=None):
        self.netns, self.address, self.port = netns, address, port
        self.wanted_source, self.wanted_sport, self.patience = source, sport, patience
        self.hop_limit, self.raw, self.closes, self.crafted = hop_limit, raw, closes, crafted
        self.source = self.sport = self.saw = self.by = self.seconds = None

    @property
    def key(self):
        return (self.source, self.sport, self.address, self.port)

    def __str__(self):
        return f"{self.source}:{self.sport} -> {self.address}:{self.port}"


class Clients:
    """The dials of one phase: started together, and heard until each has an end."""

    def __init__(self, dials, pace):
        self.dials, self._pace, self._children = dials, pace, []
        for dial in filter(lambda dial: dial.crafted, dials):
            child = children.spawn(lambda say: crafted.dial_by_hand(say, dial, pace), netns=dial.netns,
                                   name="nt-client")
            self._children.append((child, [dial]))
        for netns in dict.fromkeys(dial.netns for dial in dials if not dial.crafted):
            mine = [dial for dial in dials if dial.netns == netns and not dial.crafted]
            child = children.spawn(lambda say: _dial_all(say, mine, pace), netns=netns, name="nt-client")
            self._children.append((child, mine))

    def wait_dialled(self):
        """Returns once each client has sent its SYN."""
        self._hear(lambda mine: all(dial.sport is not None for dial in mine), 10)

    def wait_ended(self):
        longest = max(dial.patience for dial in self.dials)
        self._hear(lambda mine: all(dial.saw is not None for dial in mine), longest + 10)

    def _hear(self, enough, factor):
        deadline = self._pace.deadline(factor)
        for child, mine in self._children:
            if enough(mine):
                continue
            for message in child.messages(deadline):
                if "error" in message:
                    raise RuntimeError(f"client: {message['error']}")
                dial = mine[message.pop("dial")]
                for name, value in message.items():
                    setattr(dial, name, value)
                if enough(mine):
                    break
            else:
                raise TimeoutError("a client gave no sign")

    def stop(self):
        for child, _ in self._children:
            child.stop()


def source_for(family, address):
    """The address that a connection to `address` will leave with; asking sends no packet."""
    with socket.socket(family, socket.SOCK_DGRAM) as probe:
        probe.connect((address, 9))
        return probe.getsockname()[0]


def _dial_all(say, dials, pace):
    """Runs in the child. Says `sport` and `source` when the SYN is out, and `saw`, `by`, `seconds` at the end."""
    selector = selectors.DefaultSelector()
    running, sports = {}, {}
    begin = time.monotonic()

    def end(number, saw, by=None):
        running.pop(number, None)
        say({"dial": number, "saw": saw, "by": by, "seconds": round(time.monotonic() - begin, 3)})

    def went_wrong(number, code):
        end(number, SAW.get(code, errno.errorcode.get(code, str(code))))

    kept = []
    for number, dial in enumerate(dials):
        family = socket.AF_INET6 if ":" in dial.address else socket.AF_INET
        source = dial.wanted_source or source_for(family, dial.address)
        if dial.raw:
            client = raw.open_socket(family, source, dial.address)
            sports[number] = sport = dial.wanted_sport or RAW_SPORT + number
            client.send(raw.syn(family, source, sport, dial.address, dial.port, dial.raw == "right"))
            say({"dial": number, "source": source, "sport": sport})
            running[number] = (client, begin + pace.seconds(dial.patience))
            selector.register(client, selectors.EVENT_READ, number)
            continue
        client = socket.socket(family, socket.SOCK_STREAM)
        kept.append(client)
        client.setblocking(False)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if dial.hop_limit and family == socket.AF_INET6:
            client.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_UNICAST_HOPS, dial.hop_limit)
        elif dial.hop_limit:
            client.setsockopt(socket.IPPROTO_IP, socket.IP_TTL, dial.hop_limit)
        client.bind((dial.wanted_source or "", dial.wanted_sport))
        sport = client.getsockname()[1]  # now: a connection refused at once has no port any more
        code = client.connect_ex((dial.address, dial.port))
        say({"dial": number, "source": source, "sport": sport})
        if code not in (0, errno.EINPROGRESS):
            went_wrong(number, code)
            continue
        running[number] = (client, begin + pace.seconds(dial.patience))
        selector.register(client, selectors.EVENT_WRITE, number)

    connected = set()
    while running:
        soonest = min(until for _, until in running.values())
        for key, _ in selector.select(max(0, soonest - time.monotonic())):
            number, client = key.data, key.fileobj
            if dials[number].raw:
                heard = raw.answer(client.family, client.recv(2048), sports[number], dials[number].port)
                if heard:
                    selector.unregister(client)
                    end(number, heard)
                continue
            if number not in connected:
                code = client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code:
                    selector.unregister(client)
                    went_wrong(number, code)
                else:
                    connected.add(number)
                    selector.modify(client, selectors.EVENT_READ, number)
                continue
            selector.unregister(client)
            try:
                by = client.recv(64).decode().strip() or None
                if dials[number].closes:
                    client.settimeout(pace.seconds(dials[number].patience))
                    while client.recv(64):  # until the server has closed: who closes first keeps TIME_WAIT
                        pass
                    client.close()
                end(number, "connected", by)
            except OSError as error:
                went_wrong(number, error.errno)
        for number, (client, until) in list(running.items()):
            if time.monotonic() >= until:
                selector.unregister(client)
                end(number, "connected" if number in connected else "timeout")
                if number not in connected:
                    client.close()  # no further SYN
    while True:  # open connections stay open until the harness ends this child
        time.sleep(3600)
