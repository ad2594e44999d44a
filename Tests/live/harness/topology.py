"""Namespaces, links and addresses. Nothing is made outside the namespaces of the run, no link ever passes the host's
but in a virtual machine, which is the run's alone.

Every topology answers in one address family: `net.public` is 203.0.113.10 or 2001:db8:77::10.

  pair      client --- server            the server has `public`, `inner` and `other` on an interface of its own (app0)
  host      host                         one namespace with the same addresses and a default route out of app0
  gateway   client --- gateway === backends (one bridge br0 on the gateway, each backend on a port of it;
                                             with a switch, in a namespace of its own, where no gateway looks in)
  machine   client --- the root namespace, in a virtual machine only
"""

import os
import subprocess

from . import children

ADDRESSES = {
    4: dict(client="10.77.0.2", server="10.77.0.1", public="203.0.113.10", inner="10.77.1.1", other="10.77.1.2",
            elsewhere="198.51.100.7", far_gateway="10.77.4.1", far="10.77.4.2", router="10.77.4.3",
            beside_client="10.77.3.1", beside_server="10.77.3.2", lan="10.77.2.1",
            backend="10.77.2.{}", absent="10.77.2.99",
            loopback="127.0.0.1", any="0.0.0.0", net="/24", host="/32", outer_net="10.77.0.0/24",
            other_net="192.0.2.0/24", lan_net="10.77.2.0/24", mapped_net="198.51.100.0/24", mapped="198.51.100.{}"),
    6: dict(client="fd77::2", server="fd77::1", public="2001:db8:77::10", inner="fd77:1::1", other="fd77:1::2",
            elsewhere="2001:db8:99::7", far_gateway="fd77:4::1", far="fd77:4::2", router="fd77:4::3",
            beside_client="fd77:3::1", beside_server="fd77:3::2", lan="fd77:2::1",
            backend="fd77:2::{}", absent="fd77:2::99",
            loopback="::1", any="::", net="/64", host="/128", outer_net="fd77::/64",
            other_net="2001:db8:55::/64", lan_net="fd77:2::/64", mapped_net="2001:db8:99::/64",
            mapped="2001:db8:99::{}"),
}


def command(arguments, text=None):
    """Runs a command; its error output becomes the exception's text."""
    done = subprocess.run(arguments, input=text, text=True, capture_output=True)
    if done.returncode:
        raise RuntimeError(f"{' '.join(arguments)}\n{text or ''}\n{done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def inside(netns, arguments, text=None):
    """Runs a command in a namespace, without the mount namespace that `ip netns exec` adds."""
    return command(["nsenter", f"--net=/run/netns/{netns}", *arguments], text)


class Namespaces:
    """The namespaces of one scenario, with names that no other run uses, removed at its end."""

    def __init__(self, prefix, pace):
        self.prefix, self.pace, self.names = prefix, pace, []

    def add(self, role):
        name = f"{self.prefix}{role}"
        self.names.append(name)  # before it is made: an interrupt in between must not leave it behind
        command(["ip", "netns", "add", name])
        self.sysctl(name, {"net.ipv6.conf.default.accept_dad": 0, "net.ipv6.conf.default.accept_ra": 0})
        self.ip(name, "link set lo up")
        return name

    def ip(self, netns, *commands, family=None):
        """Runs ip's commands; the family matters to rules of routing, which show it by nothing else."""
        command(["ip", *([f"-{family}"] if family else []), "-n", netns, "-batch", "-"], "\n".join(commands) + "\n")

    def sysctl(self, netns, values):
        def write():
            for name, value in values.items():
                with open("/proc/sys/" + name.replace(".", "/"), "w") as file:
                    file.write(str(value))
        children.run_in(netns, write, self.pace.deadline(5))

    def inode(self, netns):
        """The number that --netns takes and nattrace.netns.inode shows."""
        return os.stat(f"/run/netns/{netns}").st_ino

    def unname(self, netns):
        """Takes the name away from `ip netns`, and from this harness: it is there as long as a process is in it."""
        path = f"/run/netns/{netns}"
        command(["umount", path])
        os.unlink(path)
        self.names.remove(netns)

    def remove(self):
        subprocess.run(["ip", "-force", "-batch", "-"], text=True, stderr=subprocess.DEVNULL,
                       input="".join(f"netns del {name}\n" for name in self.names))
        self.names.clear()


class Net:
    """What a scenario sees of a topology: the namespaces by role, and the addresses of its family by name."""

    def __init__(self, spaces, family):
        self._spaces, self.family = spaces, family
        self._addresses = ADDRESSES[family]
        self._links, self._inside = [], {}

    def __getattr__(self, name):
        try:
            return self._addresses[name]
        except KeyError:
            raise AttributeError(name) from None

    def _ip(self, netns, *commands):
        self._inside.setdefault(netns, []).extend(commands)

    def _make(self):
        """Makes what was asked for, with as few processes as can be: links first, then what belongs to each side."""
        if self._links:
            command(["ip", "-batch", "-"], "\n".join(self._links) + "\n")
        ups = {netns: [line for line in lines if line.startswith("link")] for netns, lines in self._inside.items()}
        for netns, lines in ups.items():
            if lines:
                self._spaces.ip(netns, *lines)
        for netns, lines in self._inside.items():
            self._spaces.ip(netns, *[line for line in lines if not line.startswith("link")])
        self._links, self._inside = [], {}
        return self

    def link_beside(self, netns):
        """A second link between the client and that namespace, past what else is between them: `beside` on both sides,
        with `beside_client` and `beside_server`. No route leads there."""
        self._veth(self.client_ns, "beside", netns, "beside")
        self._address(self.client_ns, "beside", self.beside_client)
        self._address(netns, "beside", self.beside_server)
        self._make()

    def second_client(self):
        """Adds a client on a gateway's eth1, with the same addresses on both sides as the first one has on eth0. The
        mark, 1 or 2, says who is routed to. Returns its namespace."""
        name, gate = self._spaces.add("client2"), self.gateway_ns
        self._veth(name, "eth0", gate, "eth1")
        self._address(name, "eth0", self.client)
        self._default_route(name, f"via {self.server}")
        self._address(gate, "eth1", self.server)
        self._make()
        for mark in (1, 2):
            self._spaces.ip(gate, f"rule add fwmark {mark} lookup {mark}",
                            f"route add {self.outer_net} dev eth{mark - 1} table {mark}", family=self.family)
        return name

    def _veth(self, netns, name, peer_netns, peer):
        self._links.append(f"link add {name} netns {netns} type veth peer name {peer} netns {peer_netns}")
        self._ip(netns, f"link set {name} up")
        self._ip(peer_netns, f"link set {peer} up")

    def _address(self, netns, device, address, length="net"):
        nodad = " nodad" if self.family == 6 else ""
        self._ip(netns, f"address add {address}{self._addresses[length]} dev {device}{nodad}")

    def _default_route(self, netns, via):
        self._ip(netns, f"route add {self.any}/0 {via}")

    def _own_addresses(self, netns):
        """`inner`, `other` and `public`, on an interface that needs no neighbour: a veth with both ends here."""
        self._veth(netns, "app0", netns, "app1")
        self._address(netns, "app0", self.inner)
        self._address(netns, "app0", self.other)
        self._address(netns, "app0", self.public, "host")

    def _client_and(self, netns, device):
        self.client_ns = self._spaces.add("client")
        self._veth(self.client_ns, "eth0", netns, device)
        self._address(self.client_ns, "eth0", self.client)
        self._address(netns, device, self.server)
        self._default_route(self.client_ns, f"via {self.server}")


def pair(spaces, family):
    net = Net(spaces, family)
    net.server_ns = spaces.add("server")
    net._client_and(net.server_ns, "eth0")
    net._own_addresses(net.server_ns)
    return net._make()


def host(spaces, family):
    net = Net(spaces, family)
    net.host_ns = spaces.add("host")
    net._own_addresses(net.host_ns)
    net._default_route(net.host_ns, "dev app0")
    return net._make()


def gateway(spaces, family, backends=1, switch=False):
    net = Net(spaces, family)
    net.gateway_ns = gate = spaces.add("gateway")
    net._client_and(gate, "eth0")
    net._address(gate, "lo", net.public, "host")
    spaces.sysctl(gate, {"net.ipv4.ip_forward": 1, "net.ipv6.conf.all.forwarding": 1})
    net.switch_ns = spaces.add("switch") if switch else gate
    net._ip(net.switch_ns, "link add br0 type bridge", "link set br0 up")
    if switch:
        net._veth(gate, "lan0", net.switch_ns, "port0")
        net._ip(net.switch_ns, "link set port0 master br0")
    net._address(gate, "lan0" if switch else "br0", net.lan)
    net.backend_ns, net.backends = [], []
    for number in range(10, 10 + backends):
        name = spaces.add(f"backend{number}")
        address = net._addresses["backend"].format(number)
        net._veth(name, "eth0", net.switch_ns, f"port{number}")
        net._ip(net.switch_ns, f"link set port{number} master br0")
        net._address(name, "eth0", address)
        net._default_route(name, f"via {net.lan}")
        net.backend_ns.append(name)
        net.backends.append(address)
    return net._make()


def machine(spaces, family):
    net = Net(spaces, family)
    net.client_ns = spaces.add("client")
    nodad = " nodad" if family == 6 else ""
    command(["ip", "-batch", "-"], f"link add nt-client type veth peer name eth0 netns {net.client_ns}\n"
            f"address add {net.server}{net.net} dev nt-client{nodad}\nlink set nt-client up\n")
    net._ip(net.client_ns, "link set eth0 up")
    net._address(net.client_ns, "eth0", net.client)
    net._default_route(net.client_ns, f"via {net.server}")
    return net._make()
