"""ClickHouse in its embedded form (chdb), with the schema and the queries as they are shipped."""

import json
import os
import re
import tempfile

from chdb import session

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__)))))
SHIPPED = os.path.join(ROOT, "deploy", "clickhouse")
QUERIES = os.path.join(SHIPPED, "queries")


# Those columns of a server's system.query_log that are read, with its types.
QUERY_LOG = """CREATE TABLE IF NOT EXISTS nattrace.query_log (event_time DateTime, type Enum8('QueryStart' = 1,
'QueryFinish' = 2, 'ExceptionBeforeStart' = 3, 'ExceptionWhileProcessing' = 4), query_kind LowCardinality(String),
tables Array(LowCardinality(String)), exception String, ProfileEvents Map(LowCardinality(String), UInt64))
ENGINE = Memory"""


class Engine:
    """One database, on disk, in a folder of its own. The engine allows one in a process."""

    def __init__(self, folder):
        self.folder = folder
        self._session = session.Session(os.path.join(folder, "state"))
        self.create()

    def create(self):
        for statement in statements(shipped("schema.sql")):
            self._session.query(statement)

    def empty(self):
        """As it was at the start."""
        self._session.query("DROP DATABASE IF EXISTS nattrace SYNC")
        self.create()

    def close(self):
        self._session.close()

    def rows(self, sql, **parameters):
        """A query's rows, as dictionaries."""
        text = str(self._session.query(sql + "\nSETTINGS output_format_json_quote_64bit_integers = 0", "JSONEachRow",
                                       params=texts(parameters)))
        # Not splitlines(): texts may have other ends of lines in them.
        return [json.loads(line) for line in text.split("\n") if line]

    def value(self, sql, **parameters):
        (row,) = self.rows(sql, **parameters)
        (value,) = row.values()
        return value

    def run(self, name, **parameters):
        """One of the shipped queries. A server's log of queries is a table of the test: here is none."""
        text = shipped(os.path.join("queries", name + ".sql"))
        if "system.query_log" in text:
            self._session.query(QUERY_LOG)
            text = text.replace("system.query_log", "nattrace.query_log")
        return self.rows(text, **parameters)

    def answer(self, name, **parameters):
        """The engine's own answer to a shipped query: also what it cost."""
        text = shipped(os.path.join("queries", name + ".sql"))
        return self._session.query(text, "JSONEachRow", params=texts(parameters))

    def execute(self, sql, **parameters):
        return self._session.query(sql, params=texts(parameters))

    def insert(self, lines, host=None):
        """Sends lines of text as a shipper does: as docs/fleet.md says, or with the host given."""
        with tempfile.NamedTemporaryFile("w", dir=self.folder, suffix=".lines") as file:
            file.write("".join(line + "\n" for line in lines))
            file.flush()
            columns, parameters = ("line", {}) if host is None else ("{host:String} AS host, line", {"host": host})
            names = "(line)" if host is None else "(host, line)"
            self.execute(f"INSERT INTO nattrace.lines {names} SELECT {columns} "
                         f"FROM file('{file.name}', 'LineAsString', 'line String')", **parameters)


def texts(parameters):
    return {name: str(value) for name, value in parameters.items()}


def shipped(path):
    with open(os.path.join(SHIPPED, path), encoding="utf-8") as file:
        return file.read()


def statements(script):
    """As clickhouse-client takes a file apart; no statement of ours has a semicolon at the end of a line within it."""
    script = re.sub(r"^\s*--.*$", "", script, flags=re.MULTILINE)
    return [statement for statement in re.split(r";\s*$", script, flags=re.MULTILINE) if statement.strip()]


def query_names():
    return sorted(name.removesuffix(".sql") for name in os.listdir(QUERIES) if name.endswith(".sql"))
