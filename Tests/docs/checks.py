"""What has to hold for the pages beside their commands: links, names, completeness, pictures, figures."""

import os
import re
import subprocess
import xml.etree.ElementTree as ElementTree

import draw

SVG = "{http://www.w3.org/2000/svg}"
FIGURES = ("<!-- figures: ", "<!-- figures: end -->")


def all_of(root, pages, program):
    """Each check with what is wrong, a list of sentences."""
    yield "links and anchors lead somewhere", list(links(root, pages))
    yield "files, targets and options that are named exist", list(names(root, pages, program))
    yield "every option of the help is in reference.md", list(options(pages, program))
    yield "every verdict has its section in verdicts.md, and its line in the README", list(verdicts(root, pages))
    yield "pictures have every hook, stage and verdict, and no other", list(pictures(root))
    yield "the README has its figures from performance.md", list(costs(pages))
    yield "the figures of performance.md are those of the measurements", list(figures(root, pages))


def links(root, pages):
    for page in pages.values():
        for line, target in page.links:
            if re.match(r"https?://", target):
                continue
            path, _, anchor = target.partition("#")
            name = os.path.normpath(os.path.join(os.path.dirname(page.name), path)) if path else page.name
            if not os.path.exists(os.path.join(root, name)):
                yield f"{page.name}:{line}: there is no {name}"
            elif anchor and name in pages and anchor not in pages[name].anchors:
                yield f"{page.name}:{line}: {name} has no heading #{anchor}"


def help_of(program, *words):
    return subprocess.run([program, *words, "--help"], capture_output=True, text=True, check=True).stdout


def option_names(text):
    """Long and short ones, of the lists of a help text."""
    return {name for line in text.splitlines() if re.match(r"^ {2,}-", line)
            for name in re.findall(r"(?<![\w-])--?[a-zA-Z0-9][\w-]*", line.split("  ", 2)[1])}


def subcommands(program):
    return sorted(set(re.findall(r"nattrace (replay|doctor|report)\b", help_of(program))))


def options(pages, program):
    told = "\n".join(pages["docs/reference.md"].lines)
    wanted = option_names(help_of(program)).union(*(option_names(help_of(program, each)) for each in subcommands(program)))
    if len(wanted) < 20:
        yield f"the help has only {sorted(wanted)}: is it read rightly?"
    for name in sorted(wanted - {"-h"}):
        if not re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", told):
            yield f"docs/reference.md does not name {name}"


def names(root, pages, program):
    """Code in the text: paths of the project, targets of make, options of nattrace."""
    with open(os.path.join(root, "Makefile")) as file:
        targets = set(re.findall(r"(?m)^([a-z][\w-]*):", file.read()))
    known = option_names(help_of(program)).union(*(option_names(help_of(program, each)) for each in subcommands(program)))
    known |= {"--help", "--version", "--generate-completion-script"}
    for page in pages.values():
        for line, code in page.code:
            words = code.split()
            where = f"{page.name}:{line}"
            if re.match(r"(Sources|Tests|bpf|docs)/", words[0]):
                path = words[0].rstrip(":")
                if not re.search(r"[*A-Z]{4,}|\*|/$", path) and not os.path.exists(os.path.join(root, path)):
                    yield f"{where}: there is no {path}"
            elif words[0] == "make" and len(words) > 1 and "=" not in words[1] and words[1] not in targets:
                yield f"{where}: make has no target {words[1]}"
            elif words[0] == "nattrace" or words[0].startswith("--"):
                for word in words:
                    name = re.match(r"--\w[\w-]*", word)
                    if name and words[0] == "nattrace" and name[0] not in known:
                        yield f"{where}: nattrace has no {name[0]}"


def codes(root):
    """Verdicts, as the program has them."""
    with open(os.path.join(root, "Sources", "Handshake", "Verdicts", "Verdict.swift")) as file:
        body = re.search(r"enum VerdictCode\b[^{]*\{(.*?)\n\}", file.read(), re.S)[1]
    return {found[2] or found[1] for found in re.finditer(r"case (\w+)(?: = \"(\w+)\")?", body)}


def hooks(root):
    """Names of hooks, as the program has them."""
    with open(os.path.join(root, "Sources", "Handshake", "Observations", "Hook.swift")) as file:
        text = file.read()
    return set(re.findall(r"\"((?:[a-z]+:)?_*[a-z]\w*_\w+)\"", text))


def verdicts(root, pages):
    wanted = codes(root)
    sections = {line[3:].strip() for line in pages["docs/verdicts.md"].outside if line.startswith("## ")} - {"Order"}
    for code in sorted(wanted - sections):
        yield f"docs/verdicts.md has no section {code}"
    for code in sorted(sections - wanted):
        yield f"docs/verdicts.md has a section {code}, but there is no such verdict"
    told = set(re.findall(r"`(\w+)`", "\n".join(line for line in pages["README.md"].outside if line.startswith("| `"))))
    for code in sorted(wanted - told):
        yield f"README.md does not name {code}"


STAGES = {"ingress", "prerouting", "routing", "input", "forward", "socket", "output", "postrouting", "egress"}


def pictures(root):
    drawn = {"hook": set(), "verdict": set(), "stage": set(), "module": set()}
    for name, draw_it in draw.PICTURES.items():
        text = draw_it()
        try:
            with open(os.path.join(root, "docs", name), encoding="utf-8") as file:
                if file.read() != text:
                    yield f"docs/{name} is not what draw.py draws: Tests/docs/run --update"
        except FileNotFoundError:
            yield f"there is no docs/{name}: Tests/docs/run --update"
        picture = ElementTree.fromstring(text)
        if picture.find(f"{SVG}title") is None or picture.find(f"{SVG}desc") is None:
            yield f"docs/{name} has no title or desc for who cannot see it"
        for element in (*picture.iter(f"{SVG}text"), *picture.iter(f"{SVG}tspan")):
            kinds = set(element.get("class", "").split()) & drawn.keys()
            for kind in kinds:
                drawn[kind].add("".join(element.itertext()).strip())
    modules = {name for name in os.listdir(os.path.join(root, "Sources"))} | {"bpf"}
    for kind, wanted in (("hook", hooks(root)), ("verdict", codes(root)), ("stage", STAGES), ("module", modules)):
        for name in sorted(wanted - drawn[kind]):
            yield f"no picture has the {kind} {name}"
        for name in sorted(drawn[kind] - wanted):
            yield f"a picture has the {kind} {name}, but there is none"


def costs(pages):
    text = "\n".join(pages["README.md"].lines)
    section = text.partition("\n## What it costs\n")[2].partition("\n## ")[0]
    told = re.findall(r"\b\d+\.\d+(?= %| MiB)|\b\d+(?= ms)", section)
    if len(told) < 8:
        yield f"the section on costs has only {told}"
    measured = set(re.findall(r"(?<!\S)[\d.,]+(?!\S)", "\n".join(pages["docs/performance.md"].lines)))
    for number in told:
        if number not in measured:
            yield f"README.md says {number}, which docs/performance.md has not"


def figures(root, pages):
    lines = pages["docs/performance.md"].lines
    begin = next((n for n, line in enumerate(lines) if line.startswith(FIGURES[0])), None)
    end = next((n for n, line in enumerate(lines) if line == FIGURES[1]), None)
    if begin is None or end is None:
        yield "docs/performance.md has no marks around its figures"
        return
    found = re.search(r"`(Tests/bench/run --document [^`]+)`", lines[begin])
    if not found:
        yield "the mark before the figures names no command"
        return
    done = subprocess.run(found[1].split(), cwd=root, capture_output=True, text=True)
    if done.returncode:
        yield f"{found[1]}: {done.stderr.strip()}"
    elif done.stdout.strip().split("\n") != "\n".join(lines[begin + 1:end]).strip().split("\n"):
        yield f"the figures are not what `{found[1]}` prints"
