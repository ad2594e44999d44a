"""Compares what a page shows with what its command printed.

What differs from run to run by its nature is put into one form first, and nothing else: addresses, ports that were
chosen, verdicts, rules, names and words have to be the same. So have numbers of steps and their order. Where a line
is broken, and how columns are filled, follows from how long those numbers are, so words are compared and not spaces.
"""

import json
import re

from pages import LEFT_OUT

# A client's port is the kernel's choice: from 32768 to 60999.
CLIENT_PORT = r"(?:3276[89]|327[7-9]\d|32[89]\d\d|3[3-9]\d{3}|[45]\d{4}|60\d{3})"

VARIES = [
    # Times.
    (r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z", "DATE"),
    (r"\b\d\d:\d\d:\d\d(?:\.\d+Z?|Z)", "CLOCK"),
    (r"\+ *\d+\.\d{3} ms", "+TIME"),
    (r"\bafter \d+\.\d{3} ms", "after TIME"),
    (r"\bended \d+\.\d s after", "ended TIME after"),
    (r"\"(offset_ns|duration)\": \d+", r'"\1": TIME'),
    # Numbers that the kernel gives.
    (r"\bpid \d+", "pid PID"),
    (r"\"pid\": \d+", '"pid": PID'),
    (rf"(?<=[\d\]][.:])0*{CLIENT_PORT}\b(?![.:]\d)", "PORT"),
    (rf"\b([sd]port=){CLIENT_PORT}\b", r"\1PORT"),
    (rf"\"port\": ?{CLIENT_PORT}\b", '"port": PORT'),
    (r"\b40265[3-9]\d{4}\b", "INODE"),
    # tcpdump: sequence numbers and time stamps. conntrack: how long an entry stays.
    (r"\b(seq|ack) \d{5,}", r"\1 NUMBER"),
    (r"\"(seq|ack)\": \d+", r'"\1": NUMBER'),
    (r"TS val \d+ ecr \d+", "TS val NUMBER ecr NUMBER"),
    (r"\btcp( +)6 \d+ ", "tcp 6 SECONDS "),
    # How often hooks are met differs with what else the machine does.
    (r"\b\d+ events?, none lost", "EVENTS, none lost"),
    # What is made of numbers above.
    (r"\"connection\": \"[0-9a-f]{16}\"", '"connection": ID'),
    (r"\bverdict of connection [0-9a-f]{16}\b", "verdict of connection ID"),
    # A page is compressed, and the numbers in it take more or less.
    (r"\.html: \d+ KiB", ".html: SIZE"),
    (r"\"community_id\": \"1:[^\"]+\"", '"community_id": ID'),
    # Debian renews its kernels.
    (r"\b6\.1\.0-\d+-cloud-amd64\b", "6.1.0-N-cloud-amd64"),
]
VARIES = [(re.compile(pattern), form) for pattern, form in VARIES]


# A step's function stands at the end of its line, if there is room for it.
FUNCTION = re.compile(r"(?:[a-z0-9]+:)?[a-z0-9_]*_[a-z0-9_]*")


class Maybe(str):
    """A word that need not be there, but must be no other."""


def normal(text):
    """The words of a text, with what varies in one form."""
    for pattern, form in VARIES:
        text = pattern.sub(form, text)
    made = []
    for line in text.split("\n"):
        words = line.split()
        if len(words) > 1 and line[0] in " ~" and FUNCTION.fullmatch(words[-1]):
            words[-1] = Maybe(words[-1])
        made += words
    return made


def problem(kind, shown, printed):
    """None if the output is what the page shows, else what differs first."""
    if kind == "json":
        try:
            shown, printed = [canonical("\n".join(shown))], canonical(printed)
        except ValueError as error:
            return f"no JSON: {error}"
    want, have = parts(shown), normal(printed)
    at = 0
    for number, part in enumerate(want):
        first, last = number == 0, number == len(want) - 1
        if not part and not (first and last):
            continue
        for start in [0] if first else range(at, len(have) + 1):
            end = match(part, have, start)
            if end is not None and (end == len(have) or not last):
                break
        else:
            return differs(part, have if first else have[nearest(part, have, at):])
        at = end
    return None


def match(part, have, at):
    """Where the words of a part end, if they are there from `at` on."""
    done = 0
    while done < len(part) or at < len(have) and isinstance(have[at], Maybe):
        wanted, found = part[done] if done < len(part) else None, have[at] if at < len(have) else None
        if wanted == found:
            done, at = done + 1, at + 1
        elif isinstance(wanted, Maybe) and not isinstance(found, Maybe):
            done += 1
        elif isinstance(found, Maybe) and not isinstance(wanted, Maybe):
            at += 1
        else:
            return None
    return at


def parts(shown):
    """The shown output, cut where something was left out; each as words."""
    made = [[]]
    for line in shown:
        if line.strip() == LEFT_OUT:
            made.append([])
        else:
            made[-1].append(line)
    return [normal("\n".join(lines)) for lines in made]


def nearest(part, have, at):
    """Where most of it is in place, for a message that helps."""
    return max(range(at, max(at, len(have) - 1) + 1),
               key=lambda start: sum(map(str.__eq__, part, have[start:])), default=at)


def differs(want, have):
    at = next((at for at, (one, other) in enumerate(zip(want, have)) if one != other), min(len(want), len(have)))
    around = slice(max(0, at - 4), at + 6)
    return f"shown: ... {' '.join(want[around]) or '(nothing)'}\n     is:    ... {' '.join(have[around]) or '(nothing)'}"


def canonical(text):
    return json.dumps(json.loads(text), sort_keys=True, ensure_ascii=False)


def renewed(kind, shown, printed):
    """The lines to show instead. None: what was left out leaves it open which lines are meant."""
    lines = printed.rstrip("\n").split("\n") if printed.strip() else []
    while lines and not lines[0].strip():
        del lines[0]
    if kind == "json":
        return laid_out(json.loads(printed)).split("\n")
    if LEFT_OUT not in (line.strip() for line in shown):
        return lines
    made, part, at = [], [], 0
    for line in [*shown, LEFT_OUT]:
        if line.strip() != LEFT_OUT:
            part.append(line)
            continue
        if part:
            words = [normal(line) for line in lines]
            first = next((n for n in range(at, len(lines)) if words[n] == normal(part[0])), None)
            last = first is not None and next((n for n in range(first, len(lines)) if words[n] == normal(part[-1])), None)
            if first is None or last is None:
                return None
            made += lines[first:last + 1]
            at, part = last + 1, []
        made.append(line)
    return made[:-1]


def laid_out(value, indent=0, width=118, lead=0):
    """JSON with a line for each member, and on one line what has room there."""
    flat = json.dumps(value, ensure_ascii=False)
    if not isinstance(value, (dict, list)) or indent and indent + lead + len(flat) + 1 <= width or not value:
        return flat
    inner = " " * (indent + 2)
    if isinstance(value, dict):
        keys = [f"{json.dumps(key, ensure_ascii=False)}: " for key in value]
        members = [key + laid_out(member, indent + 2, width, len(key)) for key, member in zip(keys, value.values())]
        marks = "{}"
    else:
        members, marks = [laid_out(member, indent + 2, width) for member in value], "[]"
    return marks[0] + "\n" + ",\n".join(inner + member for member in members) + "\n" + " " * indent + marks[1]
