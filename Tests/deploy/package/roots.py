"""Debian roots for the tests: made once by debootstrap, kept in the cache, and used below a layer in memory."""

import contextlib
import fcntl
import importlib
import importlib.util
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

VM = Path(__file__).resolve().parent.parent.parent / "live" / "vm" / "harness"


def virtual_machines():
    """The package of Tests/live/vm, whose name is also that of the live tests' own."""
    spec = importlib.util.spec_from_file_location("vm_harness", VM / "__init__.py",
                                                  submodule_search_locations=[str(VM)])
    sys.modules["vm_harness"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return importlib.import_module("vm_harness.kernels"), importlib.import_module("vm_harness.sources")


kernels, sources = virtual_machines()

RELEASE = "bookworm"
# What is in a root beside debootstrap's smallest set.
ROOTS = {"minbase": [], "booting": ["systemd", "systemd-sysv", "nftables", "iptables", "iproute2", "kmod"]}


def cached(name):
    """The folder of a root, made if it is not there. A new one: remove the folder."""
    base = kernels.cache_directory().parent / "roots"
    root = base / name
    base.mkdir(parents=True, exist_ok=True)
    with open(base / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not root.exists():
            make(root, ROOTS[name], base)
    return root


def make(root, packages, base):
    mirror = re.search(r"^URIs: (\S+)$", sources.derived(RELEASE), re.M)[1]
    partial, packages_kept = root.with_suffix(".partial"), base / "debs"
    shutil.rmtree(partial, ignore_errors=True)
    packages_kept.mkdir(exist_ok=True)
    print(f"     debootstrap makes {root}", flush=True)
    run("debootstrap", "--variant=minbase", f"--cache-dir={packages_kept}",
        *([f"--include={','.join(packages)}"] if packages else []), RELEASE, partial, mirror)
    partial.rename(root)


@contextlib.contextmanager
def layered(name):
    """A root that may be changed; what was changed is gone afterwards. In the mount namespace of the caller."""
    folder = Path(tempfile.mkdtemp(prefix="nattrace-root-"))
    try:
        run("mount", "-t", "tmpfs", "tmpfs", folder)
        for part in ("changes", "work", "root"):
            (folder / part).mkdir()
        root = folder / "root"
        run("mount", "-t", "overlay", "overlay", "-o",
            f"lowerdir={cached(name)},upperdir={folder / 'changes'},workdir={folder / 'work'}", root)
        yield root
    finally:
        subprocess.run(["umount", "-R", "-l", folder], stderr=subprocess.DEVNULL)
        with contextlib.suppress(OSError):
            folder.rmdir()


@contextlib.contextmanager
def kernel_visible(root):
    """A root with /proc and this kernel's /sys, as programs in it want them."""
    run("mount", "-t", "proc", "proc", root / "proc")
    run("mount", "-t", "sysfs", "-o", "ro", "sysfs", root / "sys")
    run("mount", "--bind", "/dev", root / "dev")
    try:
        yield
    finally:
        for name in ("proc", "sys", "dev"):
            subprocess.run(["umount", "-l", root / name], stderr=subprocess.DEVNULL)


def run(*words):
    done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{os.path.basename(str(words[0]))} failed: {done.stdout.strip()[-2000:]}")
    return done.stdout
