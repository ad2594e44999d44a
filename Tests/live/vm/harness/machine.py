"""One virtual machine: starts it, carries its output, ends it.

The root file system comes from this machine through virtiofsd, or is an initramfs
with the named programs alone. There is no network device. Everything that is started here is ended here, by its pid.
"""

import ctypes
import os
import re
import resource
import secrets
import selectors
import shlex
import shutil
import signal
import socket
import subprocess
import tempfile
from pathlib import Path

from . import docker, initramfs
from .tools import EXIT_TIMEOUT, VMError, find

MEMORY = "2G"
# How to run the guest's code, the best first, and how many seconds it may take
# to boot: emulated on a busy machine it is longer than the usual few. Whether
# /dev/kvm works shows only when it is used: nested, qemu may die or hang on it.
# Emulated by one thread: with one for each processor, a kernel that patches its
# own code (every kprobe, every static key) now and then dies of "Oops: int3".
ACCELERATIONS = [("kvm", 30), ("tcg,thread=single", 180)]

SYSTEM_PATH = ["/usr/local/sbin", "/usr/sbin", "/sbin",
               "/usr/local/bin", "/usr/bin", "/bin"]

# panic=-1 and qemu's -no-reboot end the machine at once; an oops counts as
# a panic, since what runs after one proves nothing.
KERNEL_LINE = "console=ttyS0 panic=-1 oops=panic"


class Machine:
    """Use it in a `with`: leaving the block ends it, whatever happened."""

    def __init__(self, kernel, mode, out=None, programs=None):
        self.kernel = kernel
        self.mode = mode
        self.out = out
        # What the guest has beside busybox; None: this machine's root file system.
        self.programs_alone = programs
        self.end_mark = f"nattrace-vm-end-{secrets.token_hex(16)}-"
        self.children = []
        self.booted = False

    def __enter__(self):
        if self.programs_alone is None and os.geteuid() != 0:
            raise VMError("virtiofsd shares the root file system as root only: run this as root")
        # Not in TMPDIR: a socket's path may not be long.
        self.directory = Path(tempfile.mkdtemp(prefix="nattrace-vm-", dir="/tmp"))
        self.console = self.directory / "console.log"
        self.console.touch()
        self.programs = self.directory / "programs.log"
        return self

    def __exit__(self, *_):
        self.end()
        shutil.rmtree(self.directory, ignore_errors=True)

    def end(self):
        while self.children:
            child = self.children.pop()
            child.kill()
            child.wait()

    def start(self, command):
        """Boot; `command` is a list of words."""
        archive = self.directory / "initramfs"
        initramfs.write(archive, self.kernel, {
            "settings": self.settings(),
            "command": "exec " + shlex.join(self.in_environment(command)) + "\n",
        }, self.programs_alone)
        usable = [way for way in ACCELERATIONS
                  if way[0] != "kvm" or os.access("/dev/kvm", os.R_OK | os.W_OK)]
        for acceleration, limit in usable:
            self.end()
            self.programs.write_text("")
            self.launch(acceleration, archive)
            try:
                return self.wait_for_boot(limit)
            except VMError as error:
                failure = error
        raise failure

    def launch(self, acceleration, archive):
        arguments = [
            find("qemu-system-x86_64"), "-nodefaults", "-no-user-config",
            "-display", "none", "-nic", "none", "-no-reboot", "-rtc", "base=utc",
            "-accel", acceleration, "-cpu", "max", "-smp", "2",
            # virtiofsd reads and writes the guest's memory.
            "-m", MEMORY, "-object", f"memory-backend-memfd,id=memory,size={MEMORY},share=on",
            "-machine", "pc,memory-backend=memory",
            "-kernel", str(self.kernel.image), "-initrd", str(archive), "-append", KERNEL_LINE,
            "-serial", f"file:{self.console}",
            "-device", "virtio-serial-pci",
        ]
        # In a shell one wants to see what is rebuilt outside; asking for
        # changes costs a run half of its speed.
        if self.programs_alone is None:
            arguments += self.share("root", "/", "auto" if self.mode == "shell" else "always")
        if self.out:
            arguments += self.share("out", self.out, "auto")
        ports = {}
        ends = []
        for number, name in enumerate(["terminal", "control", "stdout", "stderr"]):
            ports[name], end = socket.socketpair()
            ends.append(end)
            kind = "virtserialport" if number else "virtconsole"
            arguments += ["-chardev", f"socket,id={name},fd={end.fileno()}",
                          "-device", f"{kind},chardev={name},nr={number}"]
        self.spawn(arguments, [end.fileno() for end in ends])
        for end in ends:
            # Only qemu has it now, so that its end is the stream's end.
            end.close()
        self.ports = ports

    def wait_for_boot(self, limit):
        late = VMError(f"the kernel {self.kernel.release} did not get as far as the command "
                       f"within {limit} s")
        with Deadline(limit, late, self):
            if not receive(self.ports["control"]):
                raise self.ended_early()
        self.booted = True

    def share(self, tag, directory, cache):
        """Start a virtiofsd for a directory; qemu's arguments to attach it."""
        path = self.directory / f"{tag}.socket"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen(1)
            # chroot, since a container may not make the namespaces that the
            # other sandbox wants. The limit of open files is set in spawn.
            self.spawn([find("virtiofsd"), f"--fd={listener.fileno()}", "--rlimit-nofile=0",
                        "-o", f"source={directory}", "-o", "sandbox=chroot",
                        "-o", f"cache={cache}", "-o", "log_level=err"], [listener.fileno()])
        return ["-chardev", f"socket,id={tag},path={path}",
                "-device", f"vhost-user-fs-pci,chardev={tag},tag={tag},queue-size=1024"]

    def spawn(self, arguments, descriptors):
        with open(self.programs, "a") as log:
            self.children.append(subprocess.Popen(
                arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                pass_fds=descriptors, preexec_fn=in_child))

    def settings(self):
        name = "nattrace-" + self.kernel.name.replace(".", "-")
        modules = "" if self.programs_alone is not None else self.kernel.modules
        values = {"kernel": self.kernel.release, "modules": modules, "name": name,
                  "mode": self.mode, "end": self.end_mark, "out": self.out or ""}
        return "".join(f"{key}={shlex.quote(str(value))}\n" for key, value in values.items())

    def in_environment(self, command):
        """The command with the caller's directory and what it may know."""
        if self.programs_alone is not None:
            return ["/bin/busybox", "env", "-i", "PATH=/bin", "HOME=/", *command]
        # The system's directories first: wrappers such as pyenv's take half
        # a minute under emulation.
        path = SYSTEM_PATH + [directory for directory in os.environ.get("PATH", "").split(":")
                              if directory and directory not in SYSTEM_PATH] + docker.directories()
        variables = {
            "PATH": ":".join(path),
            "HOME": os.environ.get("HOME", "/root"),
            "TERM": os.environ.get("TERM", "dumb"),
            "LANG": "C.UTF-8",
        }
        for name, value in os.environ.items():
            if name.startswith("NATTRACE_") or name == "CI":
                variables[name] = value
        return ["/usr/bin/env", "-i", "-C", os.getcwd(),
                *(f"{name}={value}" for name, value in variables.items()), *command]

    # Carrying the output

    def run(self, timeout):
        """Carry output until the command has ended; its exit status."""
        streams = {
            self.ports["stdout"]: Stream(1, self.end_mark),
            self.ports["stderr"]: Stream(2, self.end_mark),
        }
        late = VMError(f"the command was still running after {timeout:g} s", EXIT_TIMEOUT)
        with Deadline(timeout, late, self), selectors.DefaultSelector() as waiting:
            for port in streams:
                waiting.register(port, selectors.EVENT_READ)
            while any(stream.status is None for stream in streams.values()):
                for key, _ in waiting.select():
                    data = receive(key.fileobj)
                    if not data:
                        raise self.ended_early()
                    streams[key.fileobj].feed(data)
        return streams[self.ports["stdout"]].status

    def interact(self, terminal):
        """Carry an interactive shell's terminal until it ends; its exit status."""
        terminal.tell_size(lambda rows, columns: self.send(
            "control", f"{rows} {columns}\n".encode()))
        with selectors.DefaultSelector() as waiting:
            for source in [self.ports["control"], self.ports["terminal"], terminal.keyboard]:
                waiting.register(source, selectors.EVENT_READ)
            while True:
                for key, _ in waiting.select():
                    if key.fileobj is terminal.keyboard:
                        self.send("terminal", terminal.read())
                        continue
                    data = receive(key.fileobj)
                    if not data:
                        raise self.ended_early()
                    if key.fileobj is self.ports["control"]:
                        return int(data.split()[1])
                    write(1, data)

    def send(self, port, data):
        try:
            self.ports[port].sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            raise self.ended_early()

    # What to say when it went wrong

    def ended_early(self):
        when = "while the command ran" if self.booted else "before the command was started"
        # The first complaint is the cause, and may be far above the end.
        cause = re.search(r"(BUG: |Oops: |Kernel panic).*", self.console_text())
        what = f"panicked {when}: {cause.group(0)}" if cause else f"ended {when}"
        return VMError(f"the kernel {self.kernel.release} {what}", log=self.log())

    def console_text(self):
        return self.console.read_text(errors="replace").replace("\r", "")

    def log(self):
        """What the kernel said, and after it what qemu and virtiofsd said."""
        return self.console_text() + self.programs.read_text(errors="replace")


class Stream:
    """Passes on one of the guest's output streams, up to the end mark."""

    def __init__(self, descriptor, end_mark):
        self.descriptor = descriptor
        self.mark = end_mark.encode()
        self.held = b""
        self.status = None

    def feed(self, data):
        if self.status is not None:
            return
        data = self.held + data
        at = data.find(self.mark)
        if at < 0:
            at = len(data) - self.beginning_at_end(data)
        elif b"\n" in data[at:]:
            self.status = int(data[at + len(self.mark):].split(b"\n")[0])
        write(self.descriptor, data[:at])
        self.held = data[at:]

    def beginning_at_end(self, data):
        """How many bytes at the end may be the beginning of the mark."""
        for length in range(min(len(self.mark) - 1, len(data)), 0, -1):
            if data.endswith(self.mark[:length]):
                return length
        return 0


class Deadline:
    """Raises an error when time is up, also out of a write that blocks."""

    def __init__(self, seconds, error, machine):
        self.seconds = seconds
        self.error = error
        self.machine = machine

    def __enter__(self):
        signal.signal(signal.SIGALRM, self.expired)
        signal.setitimer(signal.ITIMER_REAL, self.seconds)

    def __exit__(self, *_):
        signal.setitimer(signal.ITIMER_REAL, 0)

    def expired(self, *_):
        self.error.log = self.machine.log()
        raise self.error


def receive(port):
    try:
        return port.recv(1 << 16)
    except ConnectionResetError:
        return b""


def write(descriptor, data):
    data = memoryview(data)
    while data:
        try:
            data = data[os.write(descriptor, data):]
        except BlockingIOError:
            # The caller's pipe may be set so; wait for room.
            with selectors.DefaultSelector() as waiting:
                waiting.register(descriptor, selectors.EVENT_WRITE)
                waiting.select()


PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)


def in_child():
    """Before a program starts: end it even if this process is killed."""
    libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
    # Ctrl-C is for this process, which then ends the others.
    os.setpgid(0, 0)
    # virtiofsd holds a file open for everything that the guest remembers.
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
