"""Results as text: a table on the terminal, and the same as the sections of docs/performance.md."""

WORDS = {"of untraced": (3, 1), "ratio": (3, 1), "added": (1, 100), "MiB": (1, 1), "ms": (0, 1), "µs": (0, 1)}


def value(number, unit):
    """As many digits as mean something: whole numbers but for ratios and shares."""
    digits, factor = WORDS.get(unit, (0, 1))
    text = f"{number * factor:,.{digits}f}"
    return text + (" %" if unit == "added" else "")


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
    """Header and lines of one part as lists of cells."""
    found = [["", "median", "95 % of it", "n", "unit", "target", ""]]
    for line in lines:
        unit = line["unit"]
        found.append([line["label"], value(line["median"], unit),
                      f"{value(line['low'], unit)} … {value(line['high'], unit)}", str(line["pairs"]),
                      "of untraced" if unit == "added" else unit, line.get("target", ""), line.get("judgement", "")])
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
    """Aligned columns; numbers to the right."""
    widths = [max(len(row[column]) for row in cells) for column in range(len(cells[0]))]
    lines = []
    for row in cells:
        parts = [text.ljust(width) if column == 0 or not _is_number(text) else text.rjust(width)
                 for column, (text, width) in enumerate(zip(row, widths))]
        lines.append("  ".join(parts).rstrip())
    return "\n".join(lines)


def _is_number(text):
    return text[:1].isdigit() or text[:2].lstrip("-")[:1].isdigit()


def markdown(cells):
    head, *body = cells
    lines = ["| " + " | ".join(cell or " " for cell in head) + " |", "|" + " --- |" * len(head)]
    return "\n".join(lines + ["| " + " | ".join(row) + " |" for row in body])


def flood_words(found):
    """What a flood says that is no median."""
    during = found["with"]
    dials, account = during["dials"], during["account"]
    lines = [f"Sent: {during['sent']:,} SYNs with nattrace; of {dials['dialled']} known handshakes meanwhile "
             f"{dials['right']} got the right verdict, {len(dials['wrong'])} a wrong one, {dials['none']} none, and "
             f"{dials['timeouts']} clients saw no answer."]
    if account.get("balanced") is None:
        lines.append("Whether kernel observations = delivered + counted losses cannot be checked: "
                     "the last line does not tell what the kernel observed.")
    else:
        lines.append(f"kernel observations {account['kernel']:,} = delivered {account['delivered']:,} + counted losses: "
                     + ("holds." if account["balanced"] else "DOES NOT HOLD."))
    return lines


def text(results, render=plain):
    """Everything of one run."""
    parts = [describe(results["conditions"])]
    for name, title in (("traffic", "Traffic, traced and untraced"), ("pipeline", "From observation to line"),
                        ("flood", "Flood")):
        if lines := results["rows"].get(name):
            parts.append(f"### {title}\n\n" + fenced(rows(lines), render))
        if name == "flood" and results.get("flood"):
            parts.append("\n".join(flood_words(results["flood"])))
    for name, table in results.get("programs", {}).items():
        parts.append(f"### BPF programs, {name}\n\n" + fenced(programs(table), render))
    for problem in results.get("problems", ()):
        parts.append(f"not measured: {problem}")
    judged = [line["judgement"] for lines in results["rows"].values() for line in lines if "judgement" in line]
    parts.append(f"targets: {judged.count('met')} met, {judged.count('missed')} missed, {judged.count('noise')} noise")
    return "\n\n".join(parts) + "\n"


def fenced(cells, render):
    return render(cells)
