"""What is measured on: the machine's words for itself, and namespaces of the run's own."""

import os
import re
import subprocess
import time

from harness import topology

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
BUILT = os.path.join(ROOT, ".build", "bench")
# Functions in modules are hooked at the start only if these are there.
MODULES = ("nf_conntrack", "nf_nat", "nf_tables", "nf_reject_ipv4", "nf_reject_ipv6", "nft_ct")
PEERS = ("bpftrace", "tcpdump", "conntrack")


class Patience:
    """What the live tests call a pace: time-outs that are long enough everywhere."""

    def deadline(self, factor):
        return time.monotonic() + 10 * factor


class Place:
    """One network namespace in which load runs over loopback, or one end of a link."""

    def __init__(self, spaces, role, tracked=False):
        self.name = spaces.add(role)
        # A connection that ends is forgotten at once, so that no run pays for the timers of the one before.
        spaces.sysctl(self.name, {"net.ipv4.tcp_max_tw_buckets": 0})
        self.path = f"/run/netns/{self.name}"
        self.tracked = tracked
        if tracked:  # a rule that asks for the state makes conntrack look at every packet of the namespace
            topology.inside(self.name, ["nft", "-f", "-"], "table inet bench { chain input { type filter hook input "
                            "priority 0; ct state new counter; }; chain output { type filter hook output priority 0; "
                            "ct state new counter; }; }\n")

    def enter(self, words):
        return ["nsenter", f"--net={self.path}", *words]


# A link between two namespaces, of which the near one answers for an address of its own.
FAR_DEVICE, NEAR_DEVICE = "far0", "near0"
FAR_MAC, NEAR_MAC = "02:00:00:00:00:01", "02:00:00:00:00:02"
FAR_ADDRESS, NEAR_ADDRESS = "10.90.0.2", "10.90.0.1"
KNOWN = [f"10.90.1.{number}" for number in range(1, 9)]  # sources of dials whose end is known


def link(spaces, role):
    far, near = Place(spaces, role + "-far"), Place(spaces, role + "-near")
    topology.command(["ip", "link", "add", FAR_DEVICE, "netns", far.name, "address", FAR_MAC, "type", "veth", "peer",
                      "name", NEAR_DEVICE, "netns", near.name, "address", NEAR_MAC])
    spaces.ip(far.name, f"address add {FAR_ADDRESS}/16 dev {FAR_DEVICE}",
              *(f"address add {address}/16 dev {FAR_DEVICE}" for address in KNOWN), f"link set {FAR_DEVICE} up")
    spaces.ip(near.name, f"address add {NEAR_ADDRESS}/16 dev {NEAR_DEVICE}", f"link set {NEAR_DEVICE} up",
              # Answers to spoofed sources go back over the link, without a question for their address.
              f"route add 10.64.0.0/12 via {FAR_ADDRESS} dev {NEAR_DEVICE}",
              f"neighbour replace {FAR_ADDRESS} lladdr {FAR_MAC} dev {NEAR_DEVICE}")
    spaces.ip(far.name, f"neighbour replace {NEAR_ADDRESS} lladdr {NEAR_MAC} dev {FAR_DEVICE}")
    spaces.sysctl(near.name, {"net.ipv4.tcp_syncookies": 0, "net.ipv4.tcp_max_syn_backlog": 1 << 20,
                              "net.core.somaxconn": 1 << 20})
    return far, near


def namespaces():
    for module in MODULES:
        subprocess.run(["modprobe", module], stderr=subprocess.DEVNULL)
    return topology.Namespaces(f"nt-bench-{os.getpid()}-", Patience())


def _said(words):
    try:
        done = subprocess.run(words, capture_output=True, text=True)
    except OSError:
        return ""
    return (done.stdout or done.stderr).strip()


def _version(text):
    found = re.search(r"\d+(\.\d+)+", text)
    return found[0] if found else None


def conditions(program):
    """Everything that a figure depends on and that this machine can say."""
    with open("/proc/cpuinfo") as file:
        model = re.search(r"^model name\s*:\s*(.*)$", file.read(), re.M)
    with open("/proc/meminfo") as file:
        memory = int(re.search(r"^MemTotal:\s*(\d+)", file.read(), re.M)[1])
    virtual = _said(["systemd-detect-virt"]) or None
    return {
        "kernel": os.uname().release, "processors": os.cpu_count(), "model": model and model[1],
        "memory_mib": memory // 1024, "virtual": virtual,
        "nattrace": _version(_said([program, "--version"])),
        "commit": _said(["git", "-C", ROOT, "-c", "safe.directory=*", "describe", "--always", "--dirty"]) or None,
        "peers": {name: version for name in PEERS if (version := _version(_said([name, "--version"])))},
        "load_average": os.getloadavg()[0],
        "date": time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime()),
    }
