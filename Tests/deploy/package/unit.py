"""What systemd-analyze says of the unit."""

import re
import shutil
import subprocess
from pathlib import Path

import roots

ROOT = Path(__file__).resolve().parent.parent.parent.parent
UNIT = ROOT / "deploy" / "systemd" / "nattrace.service"
PAGE = ROOT / "docs" / "service.md"
SCORE = re.compile(r"overall exposure level[^:]*: ([\d.]+)", re.I)


def test(test, program):
    with roots.layered("booting") as root:
        shutil.copy(UNIT, root / "lib/systemd/system")
        shutil.copy(program, root / "usr/bin/nattrace")
        with roots.kernel_visible(root):
            said = analyze(root, "verify", "nattrace.service")
            # The manual page is not in this root.
            lines = [line for line in said.stderr.splitlines() if "man nattrace" not in line]
            test.check("the unit: systemd-analyze verify", *lines, said.returncode and not lines and said.returncode)
            said = analyze(root, "security", "--offline=true", "nattrace.service")
    found = SCORE.search(said.stdout)
    told = SCORE.search(PAGE.read_text())
    test.equal("the unit: systemd-analyze security gives the score that the page tells",
               found and found[1], told and told[1])


def analyze(root, *words):
    return subprocess.run(["chroot", root, "systemd-analyze", "--no-pager", "--man=false", *words],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True)
