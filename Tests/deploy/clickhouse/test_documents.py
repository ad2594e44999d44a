"""docs/fleet.md says what the queries and the figures say."""

import json
import os

import engine as engines
import hosts
import scale
from checks import equal, test, true
from test_machines import across
from test_rows import loaded

PAGE = os.path.join(engines.ROOT, "docs", "fleet.md")
FIGURES = os.path.join(os.path.dirname(os.path.abspath(__file__)), "figures.json")


def example(engine, fleet):
    """One connection on three hosts, as the page shows it: the columns that say most, verdicts in full below."""
    loaded(engine, fleet)
    told = ["```", f"{'at_ms':>8}  {'host':8} {'clock_ms':>12} {'within_ms':>9}  {'what':14} packet"]
    for row in across(engine, fleet, "client", "refused by the backend"):
        clock = f"{row['clock_ms']:.6f}", f"{row['within_ms']:.6f}"
        packet = row["packet"] or row["detail"]
        what = row["what"] if "failure" in row["what"] else f"{row['what']:14} {packet}".rstrip()
        told.append(f"{row['at_ms']:8.3f}  {row['host']:8} {clock[0]:>12} {clock[1]:>9}  {what}")
        if "failure" in row["what"]:
            told.append(f"{'':43}{row['detail']}")
    return "\n".join([*told, "```", ""])


def marked(name):
    """What stands between the marks of that name."""
    with open(PAGE, encoding="utf-8") as file:
        _, rest = file.read().split(f"<!-- {name}: from here", 1)
    return rest.split("-->\n", 1)[1].split(f"<!-- {name}: end", 1)[0]


@test
def each_query_is_in_the_documents(engine, fleet):
    with open(PAGE, encoding="utf-8") as file:
        page = file.read()
    equal([name for name in engines.query_names() if f"`{name}.sql`" not in page], [])


@test
def the_example_of_the_documents_is_what_the_query_answers(engine, fleet):
    equal(marked("example"), example(engine, fleet))
    true(hosts.PUBLIC in marked("example"), "it shows another connection")


@test
def the_scale_of_the_documents_is_what_the_figures_give(engine, fleet):
    with open(FIGURES, encoding="utf-8") as file:
        figures = json.load(file)
    equal(marked("figures"), scale.document(figures))
    # By another way than the code's: one row, from the figures by hand.
    refused = figures["kinds"]["refused"]
    row = scale.scale(figures, "failures only", 100)
    equal(round(row["lines"], 6), round(100 * 0.1 * refused["lines"], 6))
    stored = refused["stored"]
    kept = 90 * stored["verdicts"] + 14 * stored["steps"] + 14 * stored["passages"]
    equal(round(row["kept"]), round(100 * 0.1 * 86400 * kept))


@test
def the_tables_keep_what_is_computed_with(engine, fleet):
    for table, days in scale.KEPT.items():
        definition = engine.value("SELECT create_table_query FROM system.tables WHERE database = 'nattrace' "
                                  "AND name = {table:String}", table=table)
        true(f"toIntervalDay({days})" in definition, f"{table} does not keep {days} days")


@test
def numbers_are_written_with_two_digits(engine, fleet):
    equal([scale.number(value) for value in (0.00003, 0.00123, 0.5, 7.25, 42.4, 123, 98765)],
          ["0.00003", "0.0012", "0.5", "7.2", "42", "120", "99,000"])
    equal([scale.unit(value, "B") for value in (12, 120, 1234, 5.6e7, 7.1e13)],
          ["12 B", "120 B", "1.2 kB", "56 MB", "71 TB"])
