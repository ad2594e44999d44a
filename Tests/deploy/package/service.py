"""The installed service under systemd: what it may, what it tells, how it ends and is started again."""

import json
import shutil
from pathlib import Path

import machine
import package
import roots
from harness import expect, invariants, lines
from harness.expect import Verdict

ROOT = Path(__file__).resolve().parent.parent.parent.parent
UNIT = "nattrace.service"
METRICS = 9464
CONFIGURATION = "/etc/nattrace/nattrace.conf"
# From docs/capabilities.md; as in the unit.
CAPABILITIES = {"CAP_BPF": 39, "CAP_PERFMON": 38, "CAP_SYS_ADMIN": 21, "CAP_NET_ADMIN": 12, "CAP_NET_RAW": 13,
                "CAP_SYS_PTRACE": 19, "CAP_DAC_READ_SEARCH": 2, "CAP_SYSLOG": 34}

# The case of the README, in namespaces that are made while the service runs.
TOPOLOGY = """
set -e
ip netns add client
ip netns add server
ip -n server link set lo up
ip link add eth0 netns client type veth peer name eth0 netns server
ip -n client address add 10.77.0.2/24 dev eth0
ip -n server address add 10.77.0.1/24 dev eth0
ip -n client link set eth0 up
ip -n server link set eth0 up
ip -n client route add default via 10.77.0.1
ip -n server address add 10.77.1.1/32 dev lo
ip -n server address add 10.77.1.2/32 dev lo
ip netns exec server nft add table ip demo
ip netns exec server nft 'add chain ip demo prerouting { type nat hook prerouting priority -100; }'
ip netns exec server nft add rule ip demo prerouting ip daddr 203.0.113.10 tcp dport 80 dnat to 10.77.1.1:8080
ip netns exec server /usr/local/bin/httpd -h / -p 10.77.1.2:8080
"""
RULE = {"kind": "rule", "ruleset": "ip demo prerouting",
        "name": "ip daddr 203.0.113.10 tcp dport 80 dnat to 10.77.1.1:8080"}
HTTPD = {"kind": "listener", "ip": "10.77.1.2", "port": 8080, "process.name": "httpd"}
EXPECTED = Verdict("listener_other_address", nat=("10.77.1.1", 8080), netns="server", reason=("10.77.1.2", "httpd"),
                   evidence=(RULE, HTTPD))


def test(test, program, built=None):
    """`built`: the package, where it is made already."""
    with roots.layered("booting") as root:
        shutil.copy(shutil.which("busybox"), root / "usr/local/bin/busybox")
        (root / "usr/local/bin/httpd").symlink_to("busybox")
        shutil.copy(built or package.build(program, root / "root"), root / "root/nattrace.deb")
        with machine.Machine(root) as host:
            Service(test, host).all()


class Service:
    def __init__(self, test, host):
        self.test, self.host = test, host

    def all(self):
        self.host.done("dpkg", "-i", "/root/nattrace.deb")
        self.test.equal("the service: not enabled by the package",
                        self.host.said("systemctl", "is-enabled", UNIT).strip(), "disabled")
        # The filter leaves out who reads the metrics.
        self.host.done("sh", "-c", f"printf 'metrics = {METRICS}\\ndport = 80\\n' >>{CONFIGURATION}")
        self.host.done("systemctl", "enable", "--now", UNIT)
        self.test.equal("the service: started, and ready", self.show("ActiveState", "SubState"), ["active", "running"])
        self.has_few_rights()
        self.explains()
        self.stops()
        self.sees_as_much_as_root()
        self.runs_with_less()
        self.is_watched()
        self.refuses_mistakes()
        self.goes_with_the_package()

    def show(self, *names):
        return [self.host.done("systemctl", "show", "--value", "-p", name, UNIT).strip() for name in names]

    def journal(self):
        return self.host.done("journalctl", "--no-pager", "--output=cat", f"--unit={UNIT}").splitlines()

    def json_lines(self):
        return [json.loads(line) for line in self.journal() if line.startswith("{")]

    def has_few_rights(self):
        pid, = self.show("MainPID")
        status = dict(line.split(":\t", 1) for line in self.host.done("cat", f"/proc/{pid}/status").splitlines())
        self.test.check("the service: another user than root", *(["root"] if "0" in status["Uid"].split() else []))
        allowed = sum(1 << number for number in CAPABILITIES.values())
        for name in ("CapEff", "CapPrm", "CapInh", "CapAmb", "CapBnd"):
            more = int(status[name], 16) & ~allowed
            self.test.check(f"the service: no more capabilities than the unit names ({name})", more and f"{more:x}")
        self.test.equal("the service: no new privileges, and a filter of system calls",
                        [status["NoNewPrivs"], status["Seccomp"]], ["1", "2"])
        # As root, for whom only a read-only mount is in the way.
        for path in ("/etc/nattrace/nattrace.conf", "/usr/bin", "/var/lib"):
            found = [self.host.run(*where, "test", "-w", path).returncode == 0
                     for where in ((), ("nsenter", f"--target={pid}", "--mount"))]
            self.test.equal(f"the service: {path} can be written by others, and not by it", found, [True, False])
        for path in ("/proc/kmsg", "/proc/kallsyms"):
            # What cannot be reached is an empty file without any permission.
            mode = self.host.done("nsenter", f"--target={pid}", "--mount", "stat", "--format=%a", path).strip()
            self.test.equal(f"the service: {path} is {'there' if path.endswith('syms') else 'out of reach'}",
                            mode != "0", path.endswith("syms"))

    def explains(self):
        self.host.done("sh", "-c", TOPOLOGY)
        dialled = self.host.run("ip", "netns", "exec", "client", "/usr/local/bin/busybox", "nc", "-w", "5",
                                "203.0.113.10", "80")
        self.test.equal("the service: the client is refused", dialled.returncode, 1)
        self.host.wait_for("a verdict", lambda: '"nattrace.verdict"' in "\n".join(self.journal()))
        page = self.host.said("/usr/local/bin/busybox", "wget", "-q", "-O", "-", f"http://127.0.0.1:{METRICS}/metrics")
        counted = 'nattrace_connections_total{verdict="listener_other_address"} 1'
        self.test.that("the service: metrics are served", counted in page.splitlines(),
                       f"no {counted} in: {page[:500]}")
        self.test.check("the service: nothing is refused to it",
                        *[line for line in self.journal() if "not permitted" in line])

    def stops(self):
        self.host.done("systemctl", "stop", UNIT)
        self.test.equal("the service: ends well when it is stopped", self.show("Result", "ExecMainStatus"),
                        ["success", "0"])
        output = self.json_lines()
        self.test.check("the service: JSON lines in the journal, whole and in order",
                        *invariants.check(output, schema=str(ROOT / "docs" / "nattrace.schema.json")))
        hooks = expect.hooks_of(output[0])
        found = [connection for connection in lines.connections(output) if connection.key[2:] == ("203.0.113.10", 80)]
        if self.test.equal("the service: one connection is explained", len(found), 1):
            self.test.check("the service: the verdict, with rule, namespace and process",
                            *expect.compare_connection([EXPECTED], found[0], hooks, False))

    def sees_as_much_as_root(self):
        """The same hooks as without any of the unit's restrictions. By now the modules are loaded that some are in."""
        self.host.done("systemctl", "restart", UNIT)
        started = [line for line in self.json_lines() if line["event"]["dataset"] == "nattrace.start"]
        self.host.done("systemctl", "stop", UNIT)
        done = self.host.run("nattrace", "--json", "--failed", "--duration", "200ms")
        as_root = json.loads(done.stdout.splitlines()[0])["nattrace"]
        self.test.equal("the service: its own line for each start", len(started), 2)
        for name in ("backend", "missing"):
            self.test.equal(f"the service: as root, but for it, nothing more ({name})", started[-1]["nattrace"][name],
                            as_root[name])

    def runs_with_less(self):
        """With the page's drop-in."""
        self.drop_in(package.block("AmbientCapabilities="))
        self.host.done("systemctl", "start", UNIT)
        state, pid = self.show("ActiveState", "MainPID")
        self.test.equal("the service: runs with two capabilities", state, "active")
        effective, = [line.split()[1] for line in self.host.done("cat", f"/proc/{pid}/status").splitlines()
                      if line.startswith("CapEff:")]
        more = int(effective, 16) & ~(1 << CAPABILITIES["CAP_BPF"] | 1 << CAPABILITIES["CAP_PERFMON"])
        self.test.check("the service: and has no more than these", more and f"{more:x}")
        self.host.done("systemctl", "stop", UNIT)

    def is_watched(self):
        self.drop_in("[Service]\nWatchdogSec=6\nTimeoutAbortSec=1\nRestartSec=1\n")
        self.host.done("systemctl", "start", UNIT)
        pid, = self.show("MainPID")
        self.host.done("sleep", "10")
        self.test.equal("the service: reports to the watchdog", self.show("ActiveState", "MainPID", "NRestarts"),
                        ["active", pid, "0"])
        self.host.done("sh", "-c", f"kill -STOP {pid}")
        self.host.wait_for("the watchdog", lambda: self.show("NRestarts", "ActiveState") == ["1", "active"])
        self.test.check("the service: one that hangs is started again", *(
            [] if any("Watchdog timeout" in line for line in self.journal()) else ["no word of the watchdog"]))
        self.drop_in("")

    def drop_in(self, text):
        path = f"/etc/systemd/system/{UNIT}.d/test.conf"
        self.host.done("sh", "-c", f"mkdir -p $(dirname {path}); cat >{path}", stdin=text or "\n")
        self.host.done("systemctl", "daemon-reload")

    def refuses_mistakes(self):
        right = self.host.done("cat", CONFIGURATION)
        self.host.done("sh", "-c", f"cat >{CONFIGURATION}", stdin=right + "dprt = 80\n")
        done = self.host.run("systemctl", "restart", UNIT)
        self.test.that("the service: a mistake in the configuration is told by systemctl",
                        done.returncode, "it ended with 0")
        # Longer than until it would be started again.
        self.host.done("sleep", "7")
        self.test.equal("the service: is not started again with a mistake in its configuration",
                        self.show("ActiveState", "ExecMainStatus"), ["failed", "64"])
        number = len(right.splitlines()) + 1
        wanted = f"nattrace: {CONFIGURATION}:{number}: unknown option 'dprt': did you mean 'dport'?"
        told = [line for line in self.journal() if line.startswith(wanted)]
        self.test.equal("the service: the mistake is told once, with file and line", len(told), 1)
        self.host.done("sh", "-c", f"cat >{CONFIGURATION}", stdin=right)
        self.host.done("systemctl", "reset-failed", UNIT)

    def goes_with_the_package(self):
        self.host.done("systemctl", "start", UNIT)
        before, = self.show("MainPID")
        self.host.done("dpkg", "-i", "/root/nattrace.deb")
        after, state = self.show("MainPID", "ActiveState")
        self.test.that("the service: started again by an upgrade",
                        state == "active" and after != before, f"{state}, process {after}, before {before}")
        self.host.done("dpkg", "--purge", "nattrace")
        self.test.equal("the service: ends when the package goes",
                        self.host.said("systemctl", "is-active", UNIT).strip(), "inactive")
        left = self.host.done("find", "/etc", "/var/lib", "/lib/systemd", "-name", "*nattrace*",
                              "-not", "-path", "*/dpkg/*", "-not", "-path", f"*/{UNIT}.d*").split()
        self.test.equal("the service: nothing of it is left", left, [])
