"""The guest's initramfs: busybox, the guest's two scripts, what this run is about,
and the few modules that reach the host's root file system.

Or, where the guest is to have nothing of the host, what is named and nothing else:
programs with the libraries that they are linked to, and the modules for networks,
where modprobe finds them.

It is written anew for every run (milliseconds), so it is never out of date.
"""

import io
import lzma
import os
import re
import stat
import subprocess
from pathlib import Path

from .tools import VMError, find

GUEST = Path(__file__).resolve().parent.parent / "guest"

# The bus and the ports for output; the shared file system and the writable layer.
PORTS = ["virtio_pci", "virtio_console"]
SHARED = ["virtiofs", "overlay"]
# Beside everything below kernel/net, in a guest without the host's files: the devices of tests.
DEVICES = ["veth", "dummy", "vrf"]


def write(path, kernel, run, programs=None):
    """Write the initramfs; `run` maps names of files in /vm to their text.

    programs: files of the host that the guest has in /bin, beside busybox, and then nothing else
    of the host. None: it has the whole root file system.
    """
    archive = Archive()
    for name in ["bin", "dev", "proc", "sys", "lower", "layer", "new", "modules", "vm"]:
        archive.directory(name)
    archive.file("bin/busybox", static_busybox(), 0o755)
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    archive.file("vm/start", (GUEST / "start").read_bytes(), 0o755)
    modules = Modules(kernel.modules)
    order = modules.order(PORTS + (SHARED if programs is None else []))
    for module in order:
        archive.file(f"modules/{plain_name(module)}", module_bytes(kernel.modules / module))
    archive.file("modules/order", "".join(plain_name(m) + "\n" for m in order).encode())
    for name, text in run.items():
        archive.file(f"vm/{name}", os.fsencode(text))
    if programs is not None:
        archive.file("vm/alone", b"")
        add_programs(archive, programs)
        add_modules(archive, modules)
    Path(path).write_bytes(archive.bytes())


def add_programs(archive, programs):
    # Where they are looked for: by the kernel, and by programs with a path of their own.
    for name in ["sbin", "run", "usr", "var"]:
        archive.directory(name)
    for link, target in {"sbin/modprobe": "/bin/busybox", "usr/sbin": "/bin", "usr/bin": "/bin",
                         "var/run": "/run"}.items():
        archive.link(link, target)
    libraries = set()
    for program in map(Path, programs):
        archive.file(f"bin/{program.name}", program.read_bytes(), 0o755)
        libraries |= libraries_of(program)
    for library in sorted(libraries):
        archive.file(library.lstrip("/"), Path(library).read_bytes(), 0o755)


def add_modules(archive, modules):
    """Plain files with an index for modprobe; which module is wanted for what, the kernel's own index says."""
    base = f"lib/modules/{modules.directory.name}"
    chosen = modules.order(modules.below("kernel/net/") + [name for name in DEVICES if name in modules.paths])
    for path in chosen:
        archive.file(f"{base}/{plain_name(path)}", module_bytes(modules.directory / path))
    archive.file(f"{base}/modules.dep", "".join(
        f"{plain_name(path)}:{''.join(' ' + plain_name(needed) for needed in reversed(modules.depends[path]))}\n"
        for path in chosen).encode())
    for name in ["modules.alias", "modules.symbols", "modules.builtin"]:
        archive.file(f"{base}/{name}", (modules.directory / name).read_bytes())


def libraries_of(program):
    """The paths of the shared libraries that a program is linked to, with their loader."""
    if program.read_bytes()[:4] != b"\x7fELF":
        return set()
    listed = subprocess.run([find("ldd"), program], capture_output=True, text=True)
    if "not found" in listed.stdout:
        raise VMError(f"{program} lacks a library: {listed.stdout.strip()}")
    # A static program has none, and ldd then fails.
    return set(re.findall(r"(/\S+) \(0x", listed.stdout))


def static_busybox():
    content = Path(find("busybox")).read_bytes()
    # Debian's other busybox package wants a C library, which is not there yet.
    if b"/lib64/ld-linux" in content:
        raise VMError("busybox is not the static one: install the Debian package "
                      "busybox-static, or run `make deps`")
    return content


class Modules:
    """A kernel's modules, as depmod has listed them."""

    def __init__(self, directory):
        self.directory, self.depends, self.paths = directory, {}, {}
        for line in (directory / "modules.dep").read_text().splitlines():
            path, rest = line.split(":")
            # modules.dep lists what to load first last.
            self.depends[path] = rest.split()[::-1]
            self.paths[module_name(path)] = path
        self.built_in = {module_name(path) for path in
                         (directory / "modules.builtin").read_text().splitlines()}

    def below(self, directory):
        return [name for name, path in self.paths.items() if path.startswith(directory)]

    def order(self, names):
        """The files of these modules, each after those that it depends on."""
        order = []
        for name in names:
            if name in self.built_in:
                continue
            if name not in self.paths:
                raise VMError(f"the kernel {self.directory.name} has no module {name}")
            for path in [*self.depends[self.paths[name]], self.paths[name]]:
                if path not in order:
                    order.append(path)
        return order


def module_name(path):
    return re.sub(r"\.ko(\.\w+)?$", "", path.rsplit("/", 1)[-1]).replace("-", "_")


def plain_name(path):
    return module_name(path) + ".ko"


def module_bytes(path):
    content = path.read_bytes()
    return lzma.decompress(content) if path.suffix == ".xz" else content


class Archive:
    """A cpio archive in the "newc" format, which is what the kernel unpacks."""

    def __init__(self):
        self.out = io.BytesIO()
        self.inode = 0
        self.directories = set()

    def directory(self, name):
        self.directories.add(name)
        self.entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, content, mode=0o644):
        self.make_way(name)
        self.entry(name, stat.S_IFREG | mode, content)

    def link(self, name, target):
        self.make_way(name)
        self.entry(name, stat.S_IFLNK | 0o777, target.encode())

    def make_way(self, name):
        for parent in reversed(Path(name).parents[:-1]):
            if str(parent) not in self.directories:
                self.directory(str(parent))

    def entry(self, name, mode, content):
        self.inode += 1
        name = name.encode() + b"\0"
        # inode, mode, uid, gid, links, mtime, size, device (2), of (2),
        # length of the name, checksum (unused)
        fields = [self.inode, mode, 0, 0, 1, 0, len(content), 0, 0, 0, 0, len(name), 0]
        self.out.write(b"070701" + b"".join(b"%08x" % field for field in fields))
        self.out.write(name)
        self.align()
        self.out.write(content)
        self.align()

    def align(self):
        self.out.write(b"\0" * (-self.out.tell() % 4))

    def bytes(self):
        self.entry("TRAILER!!!", 0, b"")
        return self.out.getvalue()
