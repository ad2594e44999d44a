"""Reads pages of documentation: fenced blocks, commands with their outputs, links and headings.

Two kinds of blocks have commands. In `sh` each line is one, and no output is shown. In `console` they stand behind the
prompts `$ ` and `# ` (as root), and what follows is what they print, all of it; a line with `…` alone stands for any
lines that were left out. A block of another kind is the output of the command in the comment right above it:
`<!-- $ COMMAND -->`, or `<!-- here: $ COMMAND -->` for the running kernel where the page is of another one.
"""

import re
import shlex
from dataclasses import dataclass, field

FENCE = re.compile(r"^```(\w*)\s*$")
HIDDEN = re.compile(r"^<!-- (?:(here|machine): )?\$ (.*) -->$")
PROMPT = re.compile(r"^[$#] ")
HEREDOC = re.compile(r"<<-?\s*(['\"]?)(\w+)\1")
HEADING = re.compile(r"^(#+) +(.*)$")
LINK = re.compile(r"(?<!\\)\[(?:[^][]|\[[^][]*\])*\]\(([^)\s]+)\)|<img [^>]*src=\"([^\"]+)\"|<source [^>]*srcset=\"([^\"]+)\"")
COMMENT = re.compile(r"\s+#\s.*$")
LEFT_OUT = "…"


class Malformed(Exception):
    """A page that does not keep to the above; one line for its writer."""


@dataclass
class Command:
    page: str
    line: int  # counted from 1
    text: str
    place: str | None  # where it says that it runs, if it does
    kind: str  # of its block
    first: int | None = None  # lines of the shown output, counted from 0, last excluded; None: it shows none
    last: int | None = None
    shown: list = field(default_factory=list)

    @property
    def name(self):
        """The command without the comment behind it: what the plan lists."""
        return "\n".join(COMMENT.sub("", line) for line in self.text.splitlines())

    def __str__(self):
        first, _, more = self.name.partition("\n")
        return f"{self.page}:{self.line} {first}{' ...' if more else ''}"


@dataclass
class Page:
    name: str
    lines: list
    commands: list = field(default_factory=list)
    unexplained: list = field(default_factory=list)  # blocks of which nothing says where they come from: line, kind
    outside: list = field(default_factory=list)  # lines outside of blocks, the others as empty ones

    @property
    def anchors(self):
        """As GitHub makes them of headings; of one that comes again with a number."""
        made, seen = set(), {}
        for line in self.outside:
            if found := HEADING.match(line):
                text = re.sub(r"\[([^]]*)\]\([^)]*\)", r"\1", found[2]).strip().lower()
                anchor = re.sub(r"[^\w\- ]", "", text).replace(" ", "-")
                count = seen[anchor] = seen.get(anchor, -1) + 1
                made.add(f"{anchor}-{count}" if count else anchor)
        return made

    @property
    def links(self):
        for number, line in enumerate(self.outside, 1):
            for found in LINK.finditer(re.sub(r"`[^`]*`", "", line)):
                yield number, found[1] or found[2] or found[3]

    @property
    def code(self):
        """Words between backquotes, outside of blocks."""
        text = "\n".join(self.outside)
        for found in re.finditer(r"(?<!`)`([^`]+)`(?!`)", text):
            yield text.count("\n", 0, found.start()) + 1, " ".join(found[1].split())


def read(path, name):
    with open(path, encoding="utf-8") as file:
        return parse(name, file.read().split("\n"))


def parse(name, lines):
    page = Page(name, lines)
    number = 0
    while number < len(lines):
        opening = FENCE.match(lines[number])
        if not opening:
            page.outside.append(lines[number])
            number += 1
            continue
        end = next((at for at in range(number + 1, len(lines)) if lines[at].rstrip() == "```"), None)
        if end is None:
            raise Malformed(f"{name}:{number + 1}: a block without an end")
        block(page, opening[1], number, end)
        page.outside += [""] * (end + 1 - number)
        number = end + 1
    return page


def block(page, kind, opening, end):
    if kind in ("sh", "console"):
        page.commands += commands(page, kind, opening + 1, end)
        return
    above = HIDDEN.match(page.lines[opening - 1]) if opening else None
    if above:
        page.commands.append(Command(page.name, opening + 1, above[2], above[1], kind, opening + 1, end,
                                     page.lines[opening + 1:end]))
    else:
        page.unexplained.append((opening + 1, kind))


def whole(text):
    """Whether a shell would take this for a command, and not wait for more: a quote is open, or the line ends in the middle."""
    if HEREDOC.search(text):
        return True
    try:
        shlex.split(text, comments=True)
    except ValueError:
        return False
    return not text.rstrip().endswith(("\\", "|", "&&", "||"))


def commands(page, kind, at, end):
    above = re.match(r"^<!-- (here|machine) -->$", page.lines[at - 2]) if at > 1 else None
    made = []
    while at < end:
        line, begin = page.lines[at], at
        if kind == "sh" and (not line.strip() or line.lstrip().startswith("#")):
            at += 1
            continue
        if kind == "console":
            if not PROMPT.match(line):
                raise Malformed(f"{page.name}:{at + 1}: output without a command before it")
            line = line[2:]
        at += 1
        text = [line]
        if found := HEREDOC.search(line):
            while at < end and page.lines[at] != found[2]:
                text.append(page.lines[at])
                at += 1
            if at == end:
                raise Malformed(f"{page.name}:{begin + 1}: no line with {found[2]} alone ends this command")
            text.append(page.lines[at])
            at += 1
        while at < end and not whole("\n".join(text)):
            text.append(page.lines[at])
            at += 1
        command = Command(page.name, begin + 1, "\n".join(text), above and above[1], kind)
        if kind == "console":
            command.first = at
            while at < end and not PROMPT.match(page.lines[at]):
                at += 1
            command.last = at
            command.shown = page.lines[command.first:at]
        made.append(command)
    return made
