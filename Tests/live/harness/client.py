"""Clients: dial, and say what a user of that connection would have seen.

`connected` (with the name of who answered), `refused`, `timeout`, `unreachable` or `reset`; a raw dial, which sends one
SYN without a socket behind it (raw.py), sees `synack` instead of `connected`. All other dials of one namespace and
phase leave from one child process, at once, without waiting for each other.
"""

import errno
import selectors
import socket
import time

from . import children, raw

_SAW = {errno.ECONNREFUSED: "refused", errno.EHOSTUNREACH: "unreachable", errno.ENETUNREACH: "unreachable",
        errno.EACCES: "unreachable", errno.EPERM: "unreachable", errno.ECONNRESET: "reset",
        errno.ETIMEDOUT: "timeout"}


class Dial:
    """One connection attempt. After it: `source` and `sport` as the client had them, `saw`, and `by`.

    raw: None, or what kind of SYN to make by hand: `right` or `wrong-checksum`. closes: the client closes after the
    server did.
    """

    def __init__(self, netns, address, port, sport=0, source=None, patience=5, hop_limit=None, raw=None, closes=False):
        self.netns, self.address, self.port = netns, address, port
        self.wanted_source, self.wanted_sport, self.patience = source, sport, patience
        self.hop_limit, self.raw, self.closes = hop_limit, raw, closes
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
        raw_dials, others = [dial for dial in dials if dial.raw], [dial for dial in dials if not dial.raw]
        for dial in raw_dials:
            self._spawn(dial.netns, [dial], lambda say: raw.dial(say, dial, source_of(dial), pace, _saw))
        for netns in dict.fromkeys(dial.netns for dial in others):
            mine = [dial for dial in others if dial.netns == netns]
            self._spawn(netns, mine, lambda say: _dial_all(say, mine, pace))

    def _spawn(self, netns, mine, work):
        self._children.append((children.spawn(work, netns=netns, name="nt-client"), mine))

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


def source_of(dial):
    """The address that the connection will leave with; asking sends no packet."""
    if dial.wanted_source:
        return dial.wanted_source
    with socket.socket(family_of(dial), socket.SOCK_DGRAM) as probe:
        probe.connect((dial.address, 9))
        return probe.getsockname()[0]


def family_of(dial):
    return socket.AF_INET6 if ":" in dial.address else socket.AF_INET


def _saw(code):
    return _SAW.get(code, errno.errorcode.get(code, str(code)))


def _dial_all(say, dials, pace):
    """Runs in the child. Says `sport` and `source` when the SYN is out, and `saw`, `by`, `seconds` at the end."""
    selector = selectors.DefaultSelector()
    running = {}
    begin = time.monotonic()

    def end(number, saw, by=None):
        running.pop(number, None)
        say({"dial": number, "saw": saw, "by": by, "seconds": round(time.monotonic() - begin, 3)})

    def went_wrong(number, code):
        end(number, _saw(code))

    kept = []
    for number, dial in enumerate(dials):
        family, source = family_of(dial), source_of(dial)
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
