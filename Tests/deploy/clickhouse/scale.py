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
    told = [f"Measured with `Tests/deploy/clickhouse/measure`: kernel {figures['kernel']}, tracepoints, {figures['processors']} "
            f"processors ({figures['model']}), nattrace {figures['version']}, {figures['engine']}, {figures['date']}, load average "
            f"{figures['load']} at the end. Lines of the gateway of the tests' three hosts, which tells the most of a connection: it "
            "translates.", ""]
    told += ["| a connection that | lines | bytes of JSON | sent, gzip | stored: verdict | steps | passages | n |",
             "| --- | --- | --- | --- | --- | --- | --- | --- |"]
    for kind, words in KINDS.items():
        row = figures["kinds"][kind]
        told.append(f"| {words} | {row['lines']:.1f} | {row['bytes']:,.0f} | {row['compressed']:,.0f} | "
                    f"{row['stored']['verdicts']:,.0f} | {row['stored']['steps']:,.0f} | {row['stored']['passages']:,.0f} | {row['n']} |")
    told += ["", "Bytes, the mean of a connection, each from a client of its own. *Sent*: gzip's level 6. *Stored*: on disk, after merging.",
             f"To take in a line costs ClickHouse {figures['ingest']['10000']:.0f} µs of a processor in batches of 10,000 lines, and "
             f"{figures['ingest']['1000']:.0f} µs in batches of 1,000.", ""]
    for mode, command in MODES.items():
        told += [f"**{mode.capitalize()}** ({command}): {CONNECTIONS:g} connections a second on each host, {FAILING:.0%} of them fail"
                 f"{'' if mode == 'everything' else ', the others are not told'}.", "",
                 "| hosts | lines a second | sent | JSON a day | stored a day | stored when full | processors to take it in |",
                 "| --- | --- | --- | --- | --- | --- | --- |"]
        for hosts in HOSTS:
            row = scale(figures, mode, hosts)
            told.append(f"| {hosts:,} | {number(row['lines'])} | {unit(row['sent'], 'bit/s')} | {unit(row['raw'], 'B')} | "
                        f"{unit(row['stored'], 'B')} | {unit(row['kept'], 'B')} | {number(row['processors'])} |")
        told.append("")
    return "\n".join(told)


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
