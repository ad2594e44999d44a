"""A real dockerd inside a virtual machine, with containers whose ports it publishes.

Spoken to over its socket: starting its command line program takes seconds under emulation. All that it keeps lies in
memory, and the image is made on the spot: busybox under the names of the programs that are wanted.
"""

import glob
import http.client
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import tarfile
import tempfile
import time

APPLETS = ("sh", "nc", "httpd", "echo")
IMAGE = "nattrace-live"


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, seconds):
        super().__init__("docker", timeout=seconds)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Container:
    """`pid` is its first process, as the machine sees it; `name` is what nattrace calls its namespace."""

    def __init__(self, id, pid, address):
        self.id, self.pid, self.address, self.name = id, pid, address, id[:12]


class Docker:
    """One dockerd in the root namespace, with the image in it. `stop` ends its containers too."""

    def __init__(self, pace, *options):
        self._pace, self.process = pace, None
        self._folder = tempfile.mkdtemp(prefix="docker-", dir="/run")  # memory, and no overlay, in the guest
        try:
            self._start(options)
        except BaseException:
            self.stop()
            raise

    def _start(self, options):
        place = {name: os.path.join(self._folder, name) for name in ("data", "exec", "pid", "sock", "log")}
        self._socket, self._log = place["sock"], place["log"]
        # Unpacked somewhere else than in the system's directories, it has its libraries beside it.
        root = os.path.dirname(os.path.dirname(os.path.dirname(shutil.which("dockerd"))))
        libraries = glob.glob(f"{root}/usr/lib/*-linux-gnu") + glob.glob(f"{root}/lib/*-linux-gnu")
        with open(self._log, "wb") as log:
            self.process = subprocess.Popen(
                ["dockerd", "--data-root", place["data"], "--exec-root", place["exec"], "--pidfile", place["pid"],
                 "--host", f"unix://{self._socket}", "--storage-driver", "vfs", *options],
                stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                env={**os.environ, "LD_LIBRARY_PATH": ":".join(libraries)})
        deadline = self._pace.deadline(10)
        while not self._answers():
            if self.process.poll() is not None or time.monotonic() >= deadline:
                raise RuntimeError(f"dockerd does not answer (status {self.process.poll()}):\n{self.log()}")
            time.sleep(0.1)
        self._ask("POST", f"/images/create?fromSrc=-&repo={IMAGE}", _image(), "application/x-tar")

    def run(self, script, publish):
        """A container that runs a shell script; `publish` maps ports of the machine to ports of the container."""
        ports = {f"{inner}/tcp": [{"HostPort": str(outer)}] for outer, inner in publish.items()}
        id = self._ask("POST", "/containers/create", {
            "Image": IMAGE, "Cmd": ["/bin/sh", "-c", script], "ExposedPorts": {port: {} for port in ports},
            # As a container's first process, busybox does not heed SIGTERM.
            "StopSignal": "SIGKILL", "HostConfig": {"PortBindings": ports}})["Id"]
        self._ask("POST", f"/containers/{id}/start")
        found = self._ask("GET", f"/containers/{id}/json")
        return Container(id, found["State"]["Pid"], found["NetworkSettings"]["IPAddress"])

    def wait_listening(self, container, *ports):
        """Returns once something in the container listens on each of the ports."""
        deadline = self._pace.deadline(5)
        while missing := {f"{port:04X}" for port in ports} - _listening(container.pid):
            if time.monotonic() >= deadline:
                raise TimeoutError(f"nothing listens in the container on port {', '.join(missing)} (hexadecimal)")
            time.sleep(0.1)

    def stop(self):
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
            try:
                self.process.wait(self._pace.seconds(5))
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        shutil.rmtree(self._folder, ignore_errors=True)

    def log(self):
        with open(self._log, errors="replace") as file:
            return "".join(file.readlines()[-20:])

    def _answers(self):
        try:
            return self._ask("GET", "/_ping", plain=True) == b"OK"
        except (FileNotFoundError, ConnectionRefusedError):
            return False

    def _ask(self, method, path, body=None, kind="application/json", plain=False):
        connection = _Connection(self._socket, self._pace.seconds(30))
        try:
            data = json.dumps(body) if isinstance(body, dict) else body
            connection.request(method, path, data, {"Content-Type": kind} if data else {})
            answer = connection.getresponse()
            said = answer.read()
        finally:
            connection.close()
        if answer.status >= 300:
            raise RuntimeError(f"dockerd, {method} {path}: {answer.status} {said.decode(errors='replace').strip()}")
        return said if plain else json.loads(said.splitlines()[-1]) if said.strip() else None


def _image():
    """The image's root file system, as a tar."""
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as tar:
        tar.add(os.path.realpath(shutil.which("busybox")), "bin/busybox")
        for name in APPLETS:
            link = tarfile.TarInfo(f"bin/{name}")
            link.type, link.linkname = tarfile.SYMTYPE, "busybox"
            tar.addfile(link)
    return out.getvalue()


def _listening(pid):
    """Ports on which something listens in a process's namespace, as /proc writes them."""
    ports = set()
    for name in ("tcp", "tcp6"):
        with open(f"/proc/{pid}/net/{name}") as file:
            for line in file.readlines()[1:]:
                _, local, _, state, *_ = line.split()
                if state == "0A":
                    ports.add(local.rsplit(":", 1)[1])
    return ports
