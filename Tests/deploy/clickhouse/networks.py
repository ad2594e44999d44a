"""Networks that are made up, for the queries that join hosts: chains of hosts whose clocks and delays are known.

What is made are the rows of nattrace.passages that handshakes over such a chain leave, with everything that can be in
the way: translations, hosts that pass packets on unchanged, packets sent again or lost, devices within a host, and
numbers that two handshakes share.
"""

import ipaddress
import random

from shipping import yesterday

SECOND = 10**9
BEGIN = yesterday()


class Chain:
    """Hosts in a row, the first dials the last. `ahead` has what each clock is ahead of true time, in nanoseconds."""

    def __init__(self, seed, hosts, translates=0.5):
        self.random = random.Random(seed)
        self.hosts = [f"h{seed}-{number}" for number in range(hosts)]
        # In no order along the way, so that names do not tell it.
        self.random.shuffle(self.hosts)
        self.ahead = {host: self.random.randint(-30 * SECOND, 30 * SECOND) for host in self.hosts}
        self.translating = {host: self.random.random() < translates for host in self.hosts[1:-1]}
        self.rows = []

    def handshake(self, at, isn, answer="synack", again=False, lost_after=None):
        """One handshake. `again`: the SYN is sent twice, the first is lost behind the first host. `lost_after`: the
        index of the host behind which the SYN stays unanswered."""
        connection = {host: self.random.getrandbits(63) for host in self.hosts}
        ends = [self._address(), self.random.randint(1024, 65535), self._address(), self.random.randint(1, 1023)]
        seen_as = []  # by host: the ends as its SYN came in, and as it left
        for host in self.hosts:
            came = tuple(ends)
            if self.translating.get(host):
                ends[2:] = [self._address(), self.random.randint(1, 1023)]
                if self.random.random() < 0.5:
                    ends[:2] = [self._address(), self.random.randint(1024, 65535)]
            seen_as.append((came, tuple(ends)))
        now = BEGIN + at
        if again:
            self._row(isn, now, self.hosts[0], connection, "syn", "out", seen_as[0][1])
            now += SECOND
        last = len(self.hosts) - 1 if lost_after is None else lost_after
        for number, host in enumerate(self.hosts[:last + 1]):
            if number:
                now += self._delay()
                self._row(isn, now, host, connection, "syn", "in", seen_as[number][0])
            if number < len(self.hosts) - 1:
                now += self._inside()
                for _ in range(self.random.randint(1, 3)):  # devices of one host
                    now += self.random.randint(500, 5000)
                    self._row(isn, now, host, connection, "syn", "out", seen_as[number][1])
        if lost_after is not None:
            return connection
        for number, host in reversed(list(enumerate(self.hosts))):
            if number < len(self.hosts) - 1:
                now += self._delay()
                self._row(isn, now, host, connection, answer, "in", seen_as[number][1])
            if number:
                now += self._inside()
                self._row(isn, now, host, connection, answer, "out", seen_as[number][0])
        return connection

    def slow_handshake(self, at, isn):
        """Between the first two hosts, over a way so long that the SYN is sent again before its answer can be there.
        Both arrive; the first is answered."""
        one, other = self.hosts[:2]
        connection = {one: self.random.getrandbits(63), other: self.random.getrandbits(63)}
        ends, now, way = ("10.0.0.1", 40000, "10.0.0.2", 80), BEGIN + at, 6 * SECOND // 10
        for sent in (now, now + SECOND):
            self._row(isn, sent, one, connection, "syn", "out", ends)
            self._row(isn, sent + way, other, connection, "syn", "in", ends)
        self._row(isn, now + way, other, connection, "synack", "out", ends)
        self._row(isn, now + 2 * way, one, connection, "synack", "in", ends)

    def _row(self, isn, now, host, connection, packet, way, ends):
        client, client_port, server, server_port = ends
        seen = now + self.ahead[host]
        self.rows.append(f"({isn}, fromUnixTimestamp64Nano({seen}, 'UTC'), '{host}', {connection[host]}, '{packet}', "
                         f"'{way}', toIPv6('{client}'), {client_port}, toIPv6('{server}'), {server_port})")

    def _address(self):
        return ipaddress.IPv6Address(self.random.getrandbits(128)) if self.random.random() < 0.3 else \
            "10." + ".".join(str(self.random.randint(0, 255)) for _ in range(3))

    def _delay(self):
        """Between hosts: in each direction its own, and far from the same."""
        return self.random.randint(20_000, 3_000_000)

    def _inside(self):
        return self.random.randint(2_000, 200_000)
