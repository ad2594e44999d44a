"""Lines become rows: every line, every field that has a column, and whatever is wrong with a line."""

import json

from checks import equal, test, true
from shipping import NANOSECONDS, nanoseconds, timestamp, yesterday

TABLES = {"verdict": "verdicts", "step": "steps", "loss": "losses"}


def field(line, path, default=""):
    for name in path.split("."):
        if not isinstance(line, dict) or name not in line:
            return default
        line = line[name]
    return line


def endpoint(ip, port):
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def loaded(engine, fleet):
    engine.empty()
    engine.insert(fleet.all())


def word(flag):
    return "" if flag == "" else "true" if flag else "false"


@test
def the_schema_may_be_applied_again(engine, fleet):
    loaded(engine, fleet)
    before = engine.value("SELECT count() FROM nattrace.verdicts")
    engine.create()
    equal(engine.value("SELECT count() FROM nattrace.verdicts"), before)


@test
def each_line_is_a_row(engine, fleet):
    loaded(engine, fleet)
    for kind, table in TABLES.items():
        equal(engine.value(f"SELECT count() FROM nattrace.{table}"), len(fleet.of(kind)), table)
    equal(engine.value("SELECT count() FROM nattrace.runs"), len(fleet.of("start")) + len(fleet.of("stop")), "runs")
    equal(engine.rows("SELECT * FROM nattrace.unread"), [], "unread")
    true(len(fleet.of("verdict")) > 20, "the recordings hold too little to test with")


@test
def a_verdict_has_its_fields(engine, fleet):
    loaded(engine, fleet)
    rows = {(row["host"], row["connection_id"]): row for row in engine.rows(
        "SELECT *, connection_id, client, dialled, reached FROM nattrace.verdicts FINAL")}
    for line in fleet.of("verdict"):
        row = rows.pop((line["host"]["name"], line["nattrace"]["connection"]))
        source, destination = line["source"], line["destination"]
        from_nat, to_nat = {**source, **source.get("nat", {})}, {**destination, **destination.get("nat", {})}
        expected = {
            "outcome": "event.outcome", "reason": "event.reason", "duration_ns": "event.duration",
            "verdict": "nattrace.verdict", "stage": "nattrace.stage", "function": "nattrace.function",
            "kernel_reason": "nattrace.reason",
            "netns_name": "nattrace.netns.name", "netns_inode": "nattrace.netns.inode",
            "rule_id": "rule.id", "ruleset": "rule.ruleset", "rule": "rule.name", "process": "process.name",
            "in_interface": "observer.ingress.interface.name", "out_interface": "observer.egress.interface.name",
            "answer": "nattrace.checklist.answer", "conntrack": "nattrace.checklist.conntrack",
        }
        for column, path in expected.items():
            equal(row[column], field(line, path), f"{column} of {line['event']['reason']}")
        equal(nanoseconds(row["seen"]), nanoseconds(line["@timestamp"]), "seen")
        equal(nanoseconds(row["started"]), nanoseconds(line["event"]["start"]), "started")
        equal(row["client"], endpoint(source["ip"], source["port"]), "client")
        equal(row["dialled"], endpoint(destination["ip"], destination["port"]), "dialled")
        equal(row["reached"], endpoint(to_nat["ip"], to_nat["port"]), "reached")
        equal(row["client_nat_port"], from_nat["port"], "client_nat_port")
        equal(row["advice"], field(line, "nattrace.advice", []), "advice")
        equal(json.loads(row["evidence"] or "[]"), field(line, "nattrace.evidence", []), "evidence")
        for name in ("syn_arrived", "listener_matches"):
            equal(row[name], word(field(line, "nattrace.checklist." + name)), name)
    equal(rows, {}, "rows without a line")


@test
def a_step_has_its_fields(engine, fleet):
    loaded(engine, fleet)
    rows = {(row["host"], row["connection_id"], row["sequence"]): row for row in engine.rows(
        "SELECT *, connection_id, source, destination FROM nattrace.steps FINAL")}
    numbers = {}
    for line in fleet.of("step"):
        row = rows.pop((line["host"]["name"], line["nattrace"]["connection"], line["event"]["sequence"]))
        expected = {
            "action": "event.action", "stage": "nattrace.stage", "function": "nattrace.function",
            "backend": "nattrace.backend", "netns_name": "nattrace.netns.name", "flags": "nattrace.packet.flags",
            "kernel_reason": "nattrace.reason", "process": "process.name",
            "rule": "rule.name", "ruleset": "rule.ruleset",
        }
        for column, path in expected.items():
            equal(row[column], field(line, path), column)
        equal(row["seq"], field(line, "nattrace.packet.seq", 0), "seq")
        equal(row["ack"], field(line, "nattrace.packet.ack", 0), "ack")
        equal(row["cpu"], field(line, "nattrace.cpu", None), "cpu")
        for end in ("source", "destination"):
            packet = field(line, "nattrace.packet." + end, None)
            equal(row[end], packet and endpoint(packet["ip"], packet["port"]) or "", end)
        details = {name: json.loads(text) for name, text in row["details"].items()}
        objects = ("conntrack", "translation", "listener", "rule", "icmp")
        equal(details, {name: line["nattrace"][name] for name in objects if name in line["nattrace"]}, "details")
        if row["isn"] is not None:
            numbers.setdefault((row["host"], row["connection"]), set()).add(row["isn"])
    equal(rows, {}, "rows without a line")
    # Whatever packet it is read from: it is one number.
    equal({key: len(found) for key, found in numbers.items() if len(found) != 1}, {}, "numbers of a connection")
    equal(len(numbers), len(fleet.of("verdict")), "connections with a number")


@test
def a_run_has_its_fields(engine, fleet):
    loaded(engine, fleet)
    for host in fleet.lines:
        start, stop = engine.rows("SELECT * FROM nattrace.runs FINAL WHERE host = {host:String} ORDER BY what",
                                  host=host)
        (told,) = fleet.of("start", host)
        equal(start["kernel"], told["host"]["os"]["kernel"])
        equal(start["backend"], told["nattrace"]["backend"])
        equal(start["missing"], told["nattrace"]["missing"])
        equal(start["filter"], field(told, "nattrace.filter"))
        (told,) = fleet.of("stop", host)
        equal(stop["verdicts"], told["nattrace"]["verdicts"])
        equal((stop["events"], stop["observations"]), (told["nattrace"]["events"], told["nattrace"]["observations"]))


@test
def what_is_new_or_odd_in_a_line_costs_only_itself(engine, fleet):
    """A later version may add fields, objects and kinds of lines, and give a field another type."""
    engine.empty()
    line = fleet.verdict("gateway", "203.0.113.10", 83)
    newer = json.loads(json.dumps(line))
    newer["nattrace"]["connection"] = "00000000000000aa"
    newer["nattrace"]["path"] = {"mtu": [1500, {"deep": None}], "": "empty name"}
    newer["cloud"] = {"region": "x"}
    newer["event"]["duration"] = "90 ms"
    newer["nattrace"]["netns"] = "blue"
    newer["rule"]["name"] = "it's a \"rule\" \\ with \t \u2028 and \U0001f600; DROP TABLE x"
    unknown = json.loads(json.dumps(line))
    unknown["event"]["dataset"] = "nattrace.summary"
    whole = json.dumps(line)
    wrong = [json.dumps(unknown), whole[:200], "[1, 2]", "null", "not JSON", '{"event":{"dataset":"nattrace.verdict"}}',
             '{"@timestamp":"yesterday","event":{"dataset":"nattrace.step"}}']
    engine.insert([wrong[0], whole, *wrong[1:4], json.dumps(newer), "", *wrong[4:]])
    rows = engine.rows("SELECT *, connection_id, reached FROM nattrace.verdicts ORDER BY connection")
    equal(len(rows), 2, "verdicts")
    equal(rows[0]["connection_id"], "00000000000000aa")
    equal(rows[0]["rule"], newer["rule"]["name"])
    equal((rows[0]["duration_ns"], rows[0]["netns_name"], rows[0]["reached"]), (0, "", "10.77.2.10:8083"))
    equal(rows[1]["duration_ns"], line["event"]["duration"])
    equal(sorted(row["line"] for row in engine.rows("SELECT line FROM nattrace.unread")), sorted(wrong), "unread")
    told = engine.run("unread", **{"from": "2020-01-01 00:00:00", "to": "2100-01-01 00:00:00"})
    equal(sum(row["lines"] for row in told), len(wrong), "the query's count")
    equal({row["what"] for row in told}, {"nattrace.summary", "no JSON", "", "nattrace.verdict", "nattrace.step"})


@test
def what_is_sent_twice_counts_once(engine, fleet):
    loaded(engine, fleet)
    period = {"from": "2020-01-01 00:00:00", "to": "2100-01-01 00:00:00"}
    queries = ("worst_rules", "worst_destinations", "failure_ratio_by_hour", "losing_hosts", "first_sight")
    before = [engine.run(name, **period) for name in queries]
    offsets = engine.run("clock_offsets", **period)
    engine.insert(fleet.all())
    for name, answer in zip(queries, before):
        equal(engine.run(name, **period), answer, name)
    equal(engine.run("clock_offsets", **period), offsets, "clock_offsets")


@test
def a_revised_verdict_takes_the_place_of_the_first(engine, fleet):
    engine.empty()
    first = json.loads(json.dumps(fleet.verdict("client", "203.0.113.10", 83)))
    # Around midnight: both belong to the day on which the connection began.
    midnight = yesterday() + 12 * 3600 * NANOSECONDS
    first["event"]["start"], first["@timestamp"] = timestamp(midnight - 2 * NANOSECONDS), timestamp(midnight - 10**8)
    revised = json.loads(json.dumps(first))
    revised["@timestamp"] = timestamp(midnight + NANOSECONDS)
    revised["event"]["outcome"] = "success"
    revised["nattrace"].update(verdict="established", revised=True)
    for order in ([first, revised], [revised, first]):
        engine.empty()
        for line in order:
            engine.insert([json.dumps(line)])
        equal([(row["verdict"], row["revised"]) for row in engine.rows("SELECT * FROM nattrace.verdicts FINAL")],
              [("established", True)])
        equal(engine.run("worst_destinations", **{"from": "2020-01-01 00:00:00", "to": "2100-01-01 00:00:00"}), [])


@test
def the_sender_says_which_host_it_is(engine, fleet):
    engine.empty()
    step = json.loads(json.dumps(fleet.of("step")[0]))
    del step["host"]
    engine.insert([json.dumps(step)])
    engine.insert([json.dumps(step)], host="named by the sender")
    step["host"] = {"name": "claimed"}
    engine.insert([json.dumps(step)])
    step["event"]["sequence"] = 99
    engine.insert([json.dumps(step)], host="named by the sender")
    equal(engine.rows("SELECT toString(host) AS host, sequence FROM nattrace.steps ORDER BY sequence, host"),
          [{"host": host, "sequence": number} for host, number in
           [("", 0), ("claimed", 0), ("named by the sender", 0), ("named by the sender", 99)]])


@test
def lines_come_in_the_formats_that_shippers_write(engine, fleet):
    """The statements of docs/fleet.md, with the data behind them as over HTTP."""
    lines = fleet.lines["client"]
    for statement, body in [
            ("INSERT INTO nattrace.lines (line) FORMAT LineAsString", "\n".join(lines) + "\n"),
            ("INSERT INTO nattrace.lines (line) FORMAT JSONAsString", "\n".join(lines) + "\n"),
            ("INSERT INTO nattrace.lines (line) FORMAT JSONAsString", "[" + ",".join(lines) + "]"),
            ("INSERT INTO nattrace.lines FORMAT JSONEachRow",
             "".join(json.dumps({"host": "client", "line": line}) + "\n" for line in lines))]:
        engine.empty()
        engine.execute(statement + "\n" + body)
        equal(engine.value("SELECT count() FROM nattrace.steps"), len(fleet.of("step", "client")), statement)
        equal(engine.rows("SELECT DISTINCT toString(host) AS host FROM nattrace.steps"), [{"host": "client"}],
              statement)
