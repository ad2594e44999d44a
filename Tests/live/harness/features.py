"""What this machine and kernel can do. A scenario that needs more is named on a line of its own with the reason."""

import os
import shutil
import socket
import subprocess

from . import abilities, expect, sockets
from .program import Program
from .tracing import backend
from .topology import inside

# What a scenario can need, and the line for a machine that has it not.
REASONS = {
    "program": "needs the program under test (--client-only)",
    "functions": "needs function hooks (kprobe or fentry), this kernel allows tracepoints only",
    "kprobes": "needs kprobes, this kernel has none",
    "fentry": "needs fentry, this kernel refuses it",
    "tracepoints": "is about kernels without function hooks, this one has them",
    "drop-reasons": "needs reasons of drops, this kernel gives none",
    "iptables-legacy": "needs iptables-legacy (ip_tables, its nat table) in this kernel",
    "vrf": "needs VRF devices in this kernel",
    "tcp-md5": "needs TCP MD5 signatures in this kernel",
    "tc": "needs tc with the bpf classifier in this kernel",
    "tshark": "needs tshark and capinfos (make deps)",
    "machine-sysctls": "sets what all namespaces of a machine share (in a virtual machine: --kernel)",
    "docker": "needs dockerd in a virtual machine (make deps, and --kernel)",
    "br-netfilter": "needs br_netfilter, with which rules act on bridged packets, in this kernel",
    "late-modules": "needs nf_nat as a module that may be unloaded (in a virtual machine: --kernel)",
}


class Features:
    """Asks each question once (but for the modules), and only if a selected scenario needs the answer."""

    def __init__(self, settings, spaces):
        self._settings, self._spaces, self._known = settings, spaces, {}

    def missing(self, needs):
        """The reason why a scenario with these needs cannot run here, or None."""
        for need in needs:
            if need in ("functions", "tracepoints", "late-modules") and self._settings.client_only:
                continue  # what the client sees does not depend on it
            if not self.has(need):
                return REASONS[need]
        return None

    def has(self, need):
        if need == "late-modules":
            return self._late_modules()  # each time: the scenario before has loaded them again
        if need not in self._known:
            self._known[need] = getattr(self, "_" + need.replace("-", "_"))()
        return self._known[need]

    def _program(self):
        return not self._settings.client_only

    def _tshark(self):
        return bool(shutil.which("tshark") and shutil.which("capinfos"))

    def _functions(self):
        return self._hooks() == "functions"

    def _tracepoints(self):
        return self._hooks() == "tracepoints"

    def _kprobes(self):
        return self._starts("--backend", "kprobe")

    def _fentry(self):
        return self._starts("--backend", "fentry")

    def _drop_reasons(self):
        return "drop-reasons" not in abilities.lacking()

    def _starts(self, *arguments):
        program = Program(self._settings.program, ["--json", "--dport", "1", *arguments], self._settings.pace)
        ready = program.wait_ready()
        program.stop()
        return ready

    def _hooks(self):
        if "hooks" not in self._known:
            program = Program(self._settings.program, ["--json", "--dport", "1", *backend(self._settings)], self._settings.pace)
            ready = program.wait_ready()
            program.stop()
            if not ready:
                raise RuntimeError(f"the program does not start: {program.words.strip() or program.status}")
            self._known["hooks"] = expect.hooks_of(program.start)
        return self._known["hooks"]

    def _iptables_legacy(self):
        return self._works(*([program, "-w", "-t", "nat", "-S"] for program in ("iptables-legacy", "ip6tables-legacy")))

    def _vrf(self):
        return self._works("ip link add vrf0 type vrf table 10".split())

    def _tc(self):
        return self._works("tc qdisc add dev lo clsact".split(),
                           [*"tc filter add dev lo ingress bpf da bytecode".split(), "1,6 0 0 0"])

    def _tcp_md5(self):
        with socket.socket() as server:
            try:
                sockets.demand_md5(server, "127.0.0.1")
                return True
            except OSError:
                return False

    def _works(self, *commands):
        """Whether all these commands succeed, in a namespace of their own."""
        netns = self._spaces.add("probe")
        try:
            for command in commands:
                inside(netns, command)
            return True
        except (RuntimeError, FileNotFoundError):
            return False
        finally:
            self._spaces.remove()

    def _br_netfilter(self):
        if self._settings.in_vm:
            subprocess.run(["modprobe", "br_netfilter"], stderr=subprocess.DEVNULL)
        return os.path.exists("/proc/sys/net/bridge/bridge-nf-call-iptables")

    def _machine_sysctls(self):
        return self._settings.in_vm

    def _docker(self):
        # Never on a machine that others use: dockerd changes its firewall.
        return self._settings.in_vm and shutil.which("dockerd") is not None

    def _late_modules(self):
        if not self._settings.in_vm:
            return False  # the modules of a machine that others use are not ours to remove
        return unload_nat()


def unload_nat():
    """Removes nf_nat and what uses it, so that the next NAT rule loads it anew. True if it is gone."""
    def users(module):
        with open("/proc/modules") as file:
            for line in file:
                name, _, _, by, *_ = line.split()
                if name == module:
                    return [] if by == "-" else by.strip(",").split(",")
        return None

    def remove(module):
        for user in users(module) or []:
            remove(user)
        if users(module) is not None:
            subprocess.run(["rmmod", module], stderr=subprocess.DEVNULL)

    if subprocess.run(["modinfo", "nf_nat"], capture_output=True).returncode:
        return False
    remove("nf_nat")
    return nat_is_unloaded()


def nat_is_unloaded():
    with open("/proc/kallsyms") as file:
        return not any(" nf_nat_setup_info" in line for line in file)
