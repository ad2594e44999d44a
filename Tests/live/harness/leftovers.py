"""What a process holds in the kernel's BPF subsystem, and whether it is still there after the process."""

import glob
import json
import os
import re

from .topology import command

KINDS = ("prog", "map", "link")


def held_by(pid):
    """Ids by kind of all programs, maps and links that a process holds through its file descriptors."""
    held = {kind: set() for kind in KINDS}
    for path in glob.glob(f"/proc/{pid}/fdinfo/*"):
        try:
            with open(path) as file:
                text = file.read()
        except OSError:
            continue
        for kind in KINDS:
            held[kind].update(int(id) for id in re.findall(rf"^{kind}_id:\s*(\d+)", text, re.M))
    return held


def existing():
    return {kind: {item["id"] for item in json.loads(command(["bpftool", "-j", kind, "list"]) or "[]")}
            for kind in KINDS}


def remaining(held):
    """Which of the held ids the kernel still knows."""
    now = existing()
    return {kind: sorted(ids & now[kind]) for kind, ids in held.items() if ids & now[kind]}


def pins():
    """Everything pinned in the BPF file system."""
    return {os.path.join(folder, name) for folder, _, names in os.walk("/sys/fs/bpf") for name in names}
