"""What a fleet sends, stores and costs: computed from measured figures and stated rates. Pure.

Prints, as Markdown, the tables of docs/fleet.md.
"""

KINDS = {"established": "succeeded", "refused": "refused by the backend", "dropped": "dropped by a rule, sent once"}
HOSTS = (1, 100, 10_000)
# Connections a second on a host, and which part of them fails: what the tables assume.
CONNECTIONS, FAILING = 10, 0.01
DAY = 86400
# As the schema has it: how many days rows are kept.
KEPT = {"verdicts": 90, "steps": 14, "passages": 14}
MODES = {"failures only": "`nattrace --failed`", "everything": "`nattrace`"}


def rates(mode):
    """Connections a second that one host tells, by kind."""
    told = {"refused": CONNECTIONS * FAILING}
    if mode == "everything":
        told["established"] = CONNECTIONS * (1 - FAILING)
    return told


def a_second(figures, mode, what):
    """What one host has of it in a second: `lines`, `bytes`, `compressed`, or bytes in a table."""
    return sum(rate * figures["kinds"][kind][what] for kind, rate in rates(mode).items())


def table_bytes(figures, mode, table):
    return sum(rate * figures["kinds"][kind]["stored"][table] for kind, rate in rates(mode).items())


def scale(figures, mode, hosts):
    """One column of the table: numbers in their basic units."""
    return {
        "lines": hosts * a_second(figures, mode, "lines"),
        "sent": hosts * a_second(figures, mode, "compressed") * 8,
        "raw": hosts * a_second(figures, mode, "bytes") * DAY,
        "stored": hosts * sum(table_bytes(figures, mode, table) for table in KEPT) * DAY,
        "kept": hosts * sum(table_bytes(figures, mode, table) * DAY * days for table, days in KEPT.items()),
        "processors": hosts * a_second(figures, mode, "lines") * figures["ingest"]["10000"] / 1e6,
    }


def document(figures):
    """The measured part of docs/fleet.md."""
    told = [f"Measured with `Tests/deploy/clickhouse/measure`: kernel {figures['kernel']}, tracepoints,",
            f"{figures['processors']} processors "
            f"({figures['model']}), nattrace {figures['version']}, {figures['engine']}, {figures['date']},",
            f"load average {figures['load']} at the end. The lines are those of the gateway of the tests' three hosts:",
            "it translates, and so has the most to tell of a connection. Each connection is from a client of its own.", "",
            "| a connection that | lines | bytes of JSON | sent, gzip | stored: verdict | steps | passages | n |",
            "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for kind, words in KINDS.items():
        row = figures["kinds"][kind]
        columns = [row["bytes"], row["compressed"], *(row["stored"][table] for table in KEPT)]
        columns = " | ".join(f"{value:,.0f}" for value in columns)
        told.append(f"| {words} | {row['lines']:.1f} | {columns} | {row['n']} |")
    ingest = figures["ingest"]
    told += ["", "Bytes, the mean of a connection. *Sent*: gzip's level 6. *Stored*: on disk, after merging.",
             f"To take in a line costs ClickHouse {ingest['10000']:.0f} µs of a processor in batches of 10,000 lines,",
             f"and {ingest['1000']:.0f} µs in batches of 1,000.", ""]
    for mode, command in MODES.items():
        others = "" if mode == "everything" else ", the others are not told"
        told += [f"**{mode.capitalize()}** ({command}): {CONNECTIONS:g} connections a second on each host, "
                 f"{FAILING:.0%} of them fail{others}.", "",
                 "| hosts | lines a second | sent | JSON a day | stored a day | stored when full | processors |",
                 "| --- | --- | --- | --- | --- | --- | --- |"]
        for hosts in HOSTS:
            row = scale(figures, mode, hosts)
            cells = [f"{hosts:,}", number(row["lines"]), unit(row["sent"], "bit/s"), unit(row["raw"], "B"),
                     unit(row["stored"], "B"), unit(row["kept"], "B"), number(row["processors"])]
            told.append(f"| {' | '.join(cells)} |")
        told.append("")
    return "\n".join(line.rstrip() for line in told)


def number(value):
    """Two digits that mean something."""
    if value >= 100:
        digits = len(str(int(value)))
        return f"{round(value, 2 - digits):,.0f}"
    return f"{value:.2g}" if value >= 0.001 else f"{value:.6f}".rstrip("0")


def unit(value, name):
    for prefix in ("", "k", "M", "G", "T", "P"):
        if value < 1000 or prefix == "P":
            return f"{number(value)} {prefix}{name}"
        value /= 1000
