"""The guest's initramfs: busybox, the few modules that reach the host's root
file system, the guest's two scripts, and what this run is about.

It is written anew for every run (milliseconds), so it is never out of date.
"""

import io
import lzma
import os
import re
import stat
from pathlib import Path

from .tools import VMError, find

GUEST = Path(__file__).resolve().parent.parent / "guest"

# The bus, the ports for output, the shared file system, the writable layer.
MODULES = ["virtio_pci", "virtio_console", "virtiofs", "overlay"]


def write(path, kernel, run):
    """Write the initramfs; `run` maps names of files in /vm to their text."""
    archive = Archive()
    for name in ["bin", "dev", "proc", "sys", "lower", "layer", "new", "modules", "vm"]:
        archive.directory(name)
    archive.file("bin/busybox", static_busybox(), 0o755)
    archive.file("init", (GUEST / "init").read_bytes(), 0o755)
    archive.file("vm/start", (GUEST / "start").read_bytes(), 0o755)
    order = load_order(kernel.modules)
    for module in order:
        archive.file(f"modules/{plain_name(module)}", module_bytes(kernel.modules / module))
    archive.file("modules/order", "".join(plain_name(m) + "\n" for m in order).encode())
    for name, text in run.items():
        archive.file(f"vm/{name}", os.fsencode(text))
    Path(path).write_bytes(archive.bytes())


def static_busybox():
    content = Path(find("busybox")).read_bytes()
    # Debian's other busybox package wants a C library, which is not there yet.
    if b"/lib64/ld-linux" in content:
        raise VMError("busybox is not the static one: install the Debian package "
                      "busybox-static, or run `make deps`")
    return content


def load_order(modules):
    """The files of MODULES, each after those that it depends on."""
    depends, paths = {}, {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, rest = line.split(":")
        # modules.dep lists what to load first last.
        depends[path] = rest.split()[::-1]
        paths[module_name(path)] = path
    built_in = {module_name(path) for path in
                (modules / "modules.builtin").read_text().splitlines()}
    order = []
    for name in MODULES:
        if name in built_in:
            continue
        if name not in paths:
            raise VMError(f"the kernel {modules.name} has no module {name}")
        for path in [*depends[paths[name]], paths[name]]:
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

    def directory(self, name):
        self.entry(name, stat.S_IFDIR | 0o755, b"")

    def file(self, name, content, mode=0o644):
        self.entry(name, stat.S_IFREG | mode, content)

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
