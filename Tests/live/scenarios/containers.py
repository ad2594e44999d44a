"""Ports that a real dockerd publishes, in a virtual machine: its own rules, its own namespaces, its proxy."""

from types import SimpleNamespace

from harness.expect import Verdict
from harness.scenario import scenario

# In one container, since starting another takes seconds under emulation: a service as it should be, one on loopback,
# and a port behind which nothing runs.
SERVICES = "nc -ll -p 80 -e /bin/echo app-container & exec httpd -f -p 127.0.0.1:81"


@scenario(families=(4,), needs=("docker",), vm=True)
def docker_published_ports(s):
    net = s.machine()
    docker = s.docker()
    good, loopback, stopped = range(s.port, s.port + 3)
    container = docker.run(SERVICES, publish={good: 80, loopback: 81, stopped: 82})
    docker.wait_listening(container, 80, 81)
    httpd = SimpleNamespace(pid=container.pid, name="httpd", address="127.0.0.1", port=81)
    s.trace("--dport", f"{good}-{stopped}")
    s.connect(net.client_ns, net.server, good, sees="connected", answered_by="app-container", verdict=Verdict(
        "established", nat=(container.address, 80), steps=("syn", "nat.dnat", "synack", "ack")))
    s.connect(net.client_ns, net.server, loopback, sees="refused", verdict=Verdict(
        "listener_loopback_only", nat=(container.address, 81), netns=container.name, listener=httpd,
        reason=(container.address, "127.0.0.1", "httpd"), steps=("syn", "nat.dnat", "reset")))
    s.connect(net.client_ns, net.server, stopped, sees="refused", verdict=Verdict(
        "no_listener", nat=(container.address, 82), netns=container.name, steps=("syn", "nat.dnat", "reset")))
    # No rule translates what goes to loopback: docker-proxy takes it, whatever is behind the port.
    s.connect(None, "127.0.0.1", good, sees="connected", answered_by="app-container", verdict=Verdict(
        "established", nat=False, no_steps=("nat.dnat",)))


@scenario(families=(4,), needs=("docker",))
def docker_without_proxy(s):
    """What goes to loopback is translated in OUTPUT and masqueraded instead."""
    net = s.machine()
    docker = s.docker("--userland-proxy=false")
    good, loopback = s.port, s.port + 1
    container = docker.run(SERVICES, publish={good: 80, loopback: 81})
    docker.wait_listening(container, 80, 81)
    httpd = SimpleNamespace(pid=container.pid, name="httpd", address="127.0.0.1", port=81)
    s.trace("--dport", f"{good}-{loopback}")
    s.connect(net.client_ns, net.server, good, sees="connected", answered_by="app-container", verdict=Verdict(
        "established", nat=(container.address, 80)))
    s.connect(None, "127.0.0.1", good, sees="connected", answered_by="app-container", verdict=Verdict(
        "established", nat=(container.address, 80), steps=("nat.dnat", "nat.snat", "synack", "ack")))
    s.connect(None, "127.0.0.1", loopback, sees="refused", verdict=Verdict(
        "listener_loopback_only", nat=(container.address, 81), netns=container.name, listener=httpd))
