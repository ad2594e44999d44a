"""A source entry for another Debian release, made from the machine's own.

Which mirror is used, and which key is trusted, is the machine's business:
the entries of its own release are taken and only the release is exchanged.
"""

import re
from pathlib import Path

from .tools import VMError

APT = Path("/etc/apt")
POCKETS = "|-updates|-security|-backports"


def derived(release):
    """The text of a .sources file that offers `release`."""
    own = own_names()
    stanzas = []
    for entry in entries():
        if "main" not in entry["Components"].split():
            continue
        for suite in entry["Suites"].split():
            match = re.fullmatch(rf"({'|'.join(own)})({POCKETS})", suite)
            # sid has no pockets.
            if match and not (release == "sid" and match.group(2)):
                stanzas.append(stanza(entry, release + match.group(2)))
    if not stanzas:
        raise VMError(f"apt has no entry for {' or '.join(own)} main in {APT}, "
                      "so there is no mirror to take kernels from")
    return "\n".join(stanzas)


def stanza(entry, suite):
    lines = ["Types: deb", f"URIs: {entry['URIs']}", f"Suites: {suite}", "Components: main"]
    if entry.get("Signed-By"):
        lines.append(f"Signed-By: {entry['Signed-By']}")
    return "\n".join(lines) + "\n"


def own_names():
    """What this machine's release may be called in its entries."""
    for line in Path("/etc/os-release").read_text().splitlines():
        if line.startswith("VERSION_CODENAME="):
            return [re.escape(line.split("=", 1)[1].strip('"')), "stable", "oldstable"]
    return ["sid", "unstable", "testing"]


def entries():
    """The machine's entries for binary packages, in either of apt's formats."""
    files = [APT / "sources.list"]
    files += sorted((APT / "sources.list.d").glob("*.list"))
    for path in files:
        if path.exists():
            for line in path.read_text().splitlines():
                yield from one_line(line)
    for path in sorted((APT / "sources.list.d").glob("*.sources")):
        for text in re.split(r"\n\s*\n", path.read_text()):
            yield from deb822(text)


def one_line(line):
    match = re.match(r"deb\s+(?:\[(?P<options>[^]]*)\]\s*)?(?P<uri>\S+)\s+(?P<suite>\S+)"
                     r"\s+(?P<components>[^#]+)", line)
    if match:
        signed_by = re.search(r"signed-by=(\S+)", match["options"] or "")
        yield {"URIs": match["uri"], "Suites": match["suite"],
               "Components": match["components"],
               "Signed-By": signed_by.group(1) if signed_by else ""}


def deb822(text):
    fields, last = {}, None
    for line in text.splitlines():
        if line.startswith("#"):
            continue
        if line[:1] in (" ", "\t") and last:
            # A key may be written out in the entry, over many lines.
            fields[last] += "\n" + line
        elif ":" in line:
            last, value = line.split(":", 1)
            fields[last] = value.strip()
    if ("deb" in fields.get("Types", "").split() and fields.get("Enabled", "yes") != "no"
            and {"URIs", "Suites", "Components"} <= fields.keys()):
        yield fields
