"""Lines of nattrace as they come from many hosts: replayed from recordings, named by the shipper, by other clocks."""

import datetime
import json
import os
import subprocess
import time

NANOSECONDS = 10**9


def replay(program, recording):
    """The JSON lines of a recording, as text."""
    done = subprocess.run([program, "replay", "--json", recording], capture_output=True, text=True, check=True)
    return done.stdout.splitlines()


def ship(lines, host, ahead=0):
    """What a shipper sends: each line with host.name. `ahead`: by how many nanoseconds the host's clock is ahead."""
    return [json.dumps(name_and_shift(json.loads(line), host, ahead), separators=(",", ":"), ensure_ascii=False)
            for line in lines]


def name_and_shift(line, host, ahead):
    line.setdefault("host", {})["name"] = host
    if ahead:
        line["@timestamp"] = shift(line["@timestamp"], ahead)
        if "start" in line["event"]:
            line["event"]["start"] = shift(line["event"]["start"], ahead)
        if "lost" in line.get("nattrace", {}) and "since" in line["nattrace"]["lost"]:
            line["nattrace"]["lost"]["since"] = shift(line["nattrace"]["lost"]["since"], ahead)
    return line


def nanoseconds(timestamp):
    """Since 1970, of RFC 3339 with nanoseconds; also of the engine's own way to write it."""
    whole, fraction = timestamp.rstrip("Z").replace(" ", "T").split(".")
    seconds = datetime.datetime.fromisoformat(whole + "+00:00").timestamp()
    return int(seconds) * NANOSECONDS + int(fraction.ljust(9, "0"))


def timestamp(nanoseconds):
    whole = datetime.datetime.fromtimestamp(nanoseconds // NANOSECONDS, datetime.timezone.utc)
    return f"{whole:%Y-%m-%dT%H:%M:%S}.{nanoseconds % NANOSECONDS:09d}Z"


def shift(text, by):
    return timestamp(nanoseconds(text) + by)


def dataset(line):
    return json.loads(line)["event"]["dataset"]


def yesterday():
    """Its noon, in nanoseconds: recent enough for what the tables keep, and no day begins soon."""
    return (int(time.time()) // 86400 * 86400 - 43200) * NANOSECONDS


class Fleet:
    """What the simulated hosts sent: by host, as text and parsed. As if it had been yesterday, a little after noon."""

    def __init__(self, program, recordings, ahead):
        self.program, self.ahead = program, ahead
        recorded = {host: replay(program, path) for host, path in recordings.items()}
        first = min(nanoseconds(json.loads(lines[0])["@timestamp"]) for lines in recorded.values())
        later = yesterday() + 60 * NANOSECONDS - first
        self.lines = {host: ship(lines, host, later + ahead.get(host, 0)) for host, lines in recorded.items()}
        self.parsed = {host: [json.loads(line) for line in lines] for host, lines in self.lines.items()}

    def all(self):
        return [line for lines in self.lines.values() for line in lines]

    def of(self, kind, host=None):
        """The parsed lines of one kind, of one host or of all."""
        return [line for name, lines in self.parsed.items() if host in (None, name) for line in lines
                if line["event"]["dataset"] == "nattrace." + kind]

    def verdict(self, host, address, port):
        """The one verdict of that host about what the client dialled there."""
        (line,) = [line for line in self.of("verdict", host)
                   if (line["destination"]["ip"], line["destination"]["port"]) == (address, port)]
        return line


def recordings_in(folder, roles):
    return {role: os.path.join(folder, f"{role}.ntrace") for role in roles}
