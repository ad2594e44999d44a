"""Reading the files of --pcap as a user does: with tshark and capinfos. What they take exception to is a problem."""

import json
import subprocess

CHECKED = ["-o", "ip.check_checksum:TRUE", "-o", "tcp.check_checksum:TRUE"]
GOOD = "1"  # checksum.status


class Packet:
    """A packet as tshark shows it."""

    def __init__(self, layers):
        def values(name):
            return layers.get(name.replace(".", "_"), layers.get(name, []))

        def one(name):
            return next(iter(values(name)), None)

        self.comments = values("frame.comment")
        self.interface = one("frame.interface_name")
        self.time = one("frame.time_epoch")
        self.source = (one("ip.src") or one("ipv6.src"), int(one("tcp.srcport")))
        self.destination = (one("ip.dst") or one("ipv6.dst"), int(one("tcp.dstport")))
        self.flags, self.seq = int(one("tcp.flags"), 16), int(one("tcp.seq_raw"))
        self.checksums = values("ip.checksum.status") + values("tcp.checksum.status")

    @property
    def is_syn(self):
        return self.flags & 0x12 == 0x02

    def says(self, text):
        return any(text in comment for comment in self.comments)


FIELDS = ("frame.comment", "frame.interface_name", "frame.time_epoch", "ip.src", "ipv6.src", "ip.dst", "ipv6.dst",
          "tcp.srcport", "tcp.dstport", "tcp.flags", "tcp.seq_raw", "ip.checksum.status", "tcp.checksum.status")


def packets(path):
    """(packets, problems) of a file."""
    fields = [word for name in FIELDS for word in ("-e", name)]
    shown = subprocess.run(["tshark", "-r", path, *CHECKED, "-T", "json", *fields], capture_output=True, text=True)
    problems = said(shown)
    if shown.returncode != 0:
        return [], [*problems, f"tshark ended with {shown.returncode}"]
    found = [Packet(packet["_source"]["layers"]) for packet in json.loads(shown.stdout or "[]")]
    bad = subprocess.run(["tshark", "-r", path, *CHECKED, "-Y", "_ws.malformed || _ws.short"], capture_output=True,
                         text=True)
    problems += [f"tshark finds it malformed: {line}" for line in bad.stdout.splitlines()]
    problems += [f"a checksum of packet {number} is {packet.checksums}" for number, packet in enumerate(found, 1)
                 if not packet.checksums or set(packet.checksums) != {GOOD}]
    order = subprocess.run(["capinfos", "-o", path], capture_output=True, text=True)
    if "True" not in order.stdout.split(":")[-1]:
        problems.append(f"not in the order of time: {order.stdout.strip()} {order.stderr.strip()}")
    return found, problems


def said(run):
    """Words of tshark about the file, without those about its own rights."""
    return [f"tshark says: {line}" for line in run.stderr.splitlines() if line.strip() and "Running as user" not in line]
