"""Does what a verdict advises, as somebody does who pastes its command into a shell of root's."""

import re
import subprocess

from .lines import get

# A command stands behind a colon, perhaps with a remark in parentheses behind it.
_COMMAND = re.compile(r": ((?:ip netns exec|nsenter|sysctl|nft|ip6?tables\S*|conntrack) .*?)(?: \(.*\))?$")


def follow(verdict, number):
    """Runs the command of this piece of the advice. Raises RuntimeError where there is none, or it fails."""
    pieces = get(verdict, "nattrace.advice", []) if verdict else None
    if pieces is None:
        raise RuntimeError("there is no verdict whose advice could be followed")
    found = _COMMAND.search(pieces[number]) if number < len(pieces) else None
    if not found:
        raise RuntimeError(f"advice {number} of {pieces} has no command")
    done = subprocess.run(["bash", "-c", found[1]], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the advised `{found[1]}` ended with {done.returncode}: {(done.stderr or done.stdout).strip()}")
