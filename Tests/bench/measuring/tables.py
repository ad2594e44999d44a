"""Results as text: a table on the terminal, and the same as the sections of docs/performance.md."""

# Unit to digits behind the point and factor; others are whole numbers.
WORDS = {"of untraced": (3, 1), "ratio": (3, 1), "% of untraced": (1, 100), "MiB": (1, 1), "s a second": (2, 1)}


def value(number, unit):
    """As many digits as mean something: whole numbers but for ratios and shares."""
    digits, factor = WORDS.get(unit, (0, 1))
    return f"{number * factor:,.{digits}f}"


def describe(conditions):
    """What all figures of a run depend on, in one line."""
    peers = ", ".join(f"{name} {version}" for name, version in conditions["peers"].items())
    parts = [f"kernel {conditions['kernel']}", f"{conditions['processors']} processors ({conditions['model']})",
             f"nattrace {conditions['nattrace']} of commit {conditions['commit']}", peers, conditions["date"],
             f"load average {conditions['load_average']:.1f} at the start"]
    if conditions.get("quick"):
        parts.append("short form: fewer and shorter runs")
    return ", ".join(part for part in parts if part)


def rows(lines):
    """Header and lines of one part as lists of cells; what has one cell is the heading of a group."""
    found = [["", "median", "least", "most", "n", "unit", "target", ""]]
    group = None
    for line in lines:
        unit = line["unit"]
        if line["group"] != group:
            group = line["group"]
            found.append([group])
        found.append([line["label"], value(line["median"], unit), value(line["low"], unit), value(line["high"], unit),
                      str(line["pairs"]), unit, line.get("target", ""), line.get("judgement", "")])
    return found


def programs(table):
    """What each BPF program costs by kind of traffic; table: kind to program to figures."""
    found = [["program", "traffic", "calls an operation", "ns a call", "ns an operation"]]
    for kind, costs in table.items():
        for name, cost in costs.items():
            found.append([name, kind, f"{cost['calls']:.2f}", f"{cost['ns']:.0f}", f"{cost['ns_an_operation']:.0f}"])
        total = sum(cost["ns_an_operation"] for cost in costs.values())
        found.append(["all", kind, f"{sum(cost['calls'] for cost in costs.values()):.2f}", "", f"{total:.0f}"])
    return found


def plain(cells):
    """Aligned columns, numbers to the right, and lines below a heading indented."""
    grouped = any(len(row) == 1 for row in cells)
    rows = [row if len(row) == 1 else ["  " * grouped + row[0], *row[1:]] for row in cells]
    widths = [max(len(row[column]) for row in rows if len(row) > 1) for column in range(len(cells[0]))]
    lines = []
    for row in rows:
        lines.append("  ".join(text.ljust(width) if column == 0 or not _is_number(text) else text.rjust(width)
                               for column, (text, width) in enumerate(zip(row, widths))).rstrip()
                     if len(row) > 1 else row[0])
    return "\n".join(lines)


def _is_number(text):
    return text[:1].isdigit() or text[:1] == "-" or text in ("median", "least", "most", "n")


def fenced(cells):
    """The same within a page."""
    return "```\n" + plain(cells) + "\n```"


PARTS = (("traffic", "Traffic, traced and untraced"), ("pipeline", "From observation to line"), ("flood", "Flood"))


def text(results, render=plain):
    """Everything of one run."""
    parts = [describe(results["conditions"])]
    for name, title in PARTS:
        if lines := results["rows"].get(name):
            parts.append(f"### {title}\n\n" + render(rows(lines)))
        if notes := results.get("notes", {}).get(name):
            parts.append("\n".join(f"- {note}." for note in notes))
    for name, table in results.get("programs", {}).items():
        parts.append(f"### BPF programs, {name}\n\n" + render(programs(table)))
    parts += [f"Not measured: {problem}" for problem in results.get("problems", ())]
    judged = [line["judgement"] for lines in results["rows"].values() for line in lines if "judgement" in line]
    parts.append(f"Targets: {judged.count('met')} met, {judged.count('missed')} missed, {judged.count('noise')} noise, "
                 f"{judged.count('too few')} of too few values")
    return "\n\n".join(parts) + "\n"
