"""The shipped queries answer what they say they answer."""

import json
import os
import re
from collections import Counter

import engine as engines
from checks import equal, test, true
from shipping import dataset, nanoseconds, shift, timestamp
from test_rows import endpoint, loaded

ALWAYS = {"from": "2020-01-01 00:00:00", "to": "2100-01-01 00:00:00"}
ALL = {**ALWAYS, "before": "2100-01-01 00:00:00", "host": "client", "connection": "0123456789abcdef", "minutes": 5}


def failures(lines):
    return [line for line in lines if line["event"]["outcome"] == "failure"]


@test
def each_query_says_what_it_answers_and_runs_on_nothing(engine, fleet):
    engine.empty()
    for name in engines.query_names():
        text = engines.shipped(os.path.join("queries", name + ".sql"))
        true(re.match(r"-- [A-Z][^\n]*\?\n", text), f"{name} does not begin with its question")
        for parameter in set(re.findall(r"\{(\w+):", text)):
            true(re.search(rf"^--.*\b{parameter}\b.*: ", text, re.MULTILINE), f"{name} does not explain {parameter}")
        rows = engine.run(name, **ALL)
        equal(rows, rows if name in ("rates", "stored", "received") else [], name)


@test
def worst_rules_count_what_each_rule_failed(engine, fleet):
    loaded(engine, fleet)
    wanted = Counter((line["nattrace"]["verdict"], line["rule"]["ruleset"], line["rule"]["name"])
                     for line in failures(fleet.of("verdict")) if "rule" in line)
    true(len(wanted) >= 2, "the recordings have too few rules")
    found = {(row["verdict"], row["ruleset"], row["rule"]): row["failures"]
             for row in engine.run("worst_rules", **ALWAYS)}
    equal(found, dict(wanted))


@test
def rules_of_many_hosts_are_one_by_their_text(engine, fleet):
    engine.empty()
    line = fleet.verdict("gateway", "203.0.113.10", 83)
    many = []
    for number in range(30):
        copy = json.loads(json.dumps(line))
        copy["host"]["name"] = f"host{number % 10}"
        copy["rule"]["id"] = str(number)
        copy["nattrace"]["connection"] = f"{number:016x}"
        many.append(json.dumps(copy))
    engine.insert(many)
    (row,) = engine.run("worst_rules", **ALWAYS)
    equal((row["failures"], row["hosts"], row["clients"], row["verdict"], row["rule"]),
          (30, 10, 1, "filter_dropped", "tcp dport 8083 counter drop"))


@test
def worst_destinations_count_by_host(engine, fleet):
    loaded(engine, fleet)
    wanted = Counter()
    for line in failures(fleet.of("verdict")):
        to = {**line["destination"], **line["destination"].get("nat", {})}
        wanted[(endpoint(line["destination"]["ip"], line["destination"]["port"]), endpoint(to["ip"], to["port"]))] += 1
    rows = engine.run("worst_destinations", **ALWAYS)
    equal({(row["dialled"], row["reached"]): row["on_all_hosts"] for row in rows}, dict(wanted))
    (straight,) = [row for row in rows if row["dialled"] == "10.77.2.10:8085"]
    equal((straight["most_on_one_host"], straight["of"], straight["on_all_hosts"], straight["hosts"]), (1, 1, 3, 3))
    equal(straight["verdicts"], ["no_listener", "reset_by_backend"])


@test
def a_cause_is_first_seen_where_it_first_happened(engine, fleet):
    engine.empty()
    line = fleet.verdict("gateway", "203.0.113.10", 83)
    begin = nanoseconds(line["event"]["start"])
    sent = []
    for number, host, days in [(1, "late", 3), (2, "first", 1), (3, "later", 2)]:
        copy = json.loads(json.dumps(line))
        copy["host"]["name"], copy["nattrace"]["connection"] = host, f"{number:016x}"
        for holder, name in ((copy, "@timestamp"), (copy["event"], "start")):
            holder[name] = shift(holder[name], days * 86400 * 10**9)
        sent.append(json.dumps(copy))
    engine.insert(sent)
    (row,) = engine.run("first_sight", **ALWAYS)
    equal((row["first_host"], row["first_connection"], row["since"], row["hosts"]), ("first", f"{2:016x}", 3, 3))
    equal(nanoseconds(row["first"]), begin + 86400 * 10**9)
    equal((row["verdict"], row["rule"], row["destination"]), ("filter_dropped", "tcp dport 8083 counter drop", ""))
    # A cause that was there before is not new, though it also happened since.
    since = timestamp(begin + 2 * 86400 * 10**9).replace("T", " ").rstrip("Z")
    equal(engine.run("first_sight", **{"from": since}), [])


@test
def a_cause_without_a_rule_has_its_destination(engine, fleet):
    loaded(engine, fleet)
    found = {(row["verdict"], row["destination"]) for row in engine.run("first_sight", **ALWAYS)}
    true({("no_listener", "10.77.2.10:8081"), ("no_listener", "10.77.2.10:8085")} <= found, f"found {found}")


@test
def the_failure_ratio_is_that_of_runs_that_tell_successes(engine, fleet):
    loaded(engine, fleet)
    lines = fleet.of("verdict")
    wanted = Counter(line["event"]["start"][:13] for line in lines)
    failed = Counter(line["event"]["start"][:13] for line in failures(lines))
    rows = engine.run("failure_ratio_by_hour", **ALWAYS)
    equal({row["hour"][:13].replace(" ", "T"): (row["connections"], row["failures"]) for row in rows},
          {hour: (count, failed[hour]) for hour, count in wanted.items()})
    for row in rows:
        equal(row["ratio"], round(row["failures"] / row["connections"], 6))
        equal((row["hosts_left_out"], row["hosts_with_losses"]), (0, 0))
    # The same from a run that was asked for failures only, and one whose start was not sent.
    for start in fleet.of("start", "gateway"):
        engine.empty()
        chosen = json.loads(json.dumps(start))
        chosen["nattrace"]["filter"] = "--netns x --failed"
        others = [line for line in fleet.all() if dataset(line) != "nattrace.start"]
        engine.insert([json.dumps(chosen), *others, *map(json.dumps, fleet.of("start", "client"))])
        own = len(fleet.of("verdict", "client"))
        rows = engine.run("failure_ratio_by_hour", **ALWAYS)
        equal(sum(row["connections"] for row in rows), own, "connections")
        equal(max(row["hosts_left_out"] for row in rows), 2, "hosts left out")


@test
def losing_hosts_are_told_with_what_they_lost(engine, fleet):
    loaded(engine, fleet)
    equal(engine.run("losing_hosts", **ALWAYS), [], "hosts without losses")
    at = fleet.of("verdict", "client")[0]["@timestamp"]

    def loss(host, events, total, reason, scope, seconds):
        return json.dumps({"@timestamp": shift(at, seconds * 10**9), "ecs": {"version": "8.11.0"},
                           "host": {"name": host}, "event": {"kind": "event", "dataset": "nattrace.loss"},
                           "nattrace": {"lost": {"events": events, "since": at, "total": total, "reason": reason,
                                                 "scope": scope}}})

    engine.insert([loss("client", 5, 5, "ring buffer full", "observations", 1),
                   loss("client", 7, 12, "ring buffer full", "observations", 2),
                   loss("backend", 1000, 1000, "output not read", "output", 1)])
    rows = engine.run("losing_hosts", **ALWAYS)
    equal([(row["host"], row["scope"], row["reason"], row["lost"], row["lines"]) for row in rows],
          [("client", "observations", "ring buffer full", 12, 2), ("backend", "output", "output not read", 1000, 1)])
    equal(nanoseconds(rows[0]["first"]), nanoseconds(at))
    hours = engine.run("failure_ratio_by_hour", **ALWAYS)
    equal(max(row["hosts_with_losses"] for row in hours), 2, "hosts with losses in the ratio")


@test
def silent_hosts_are_those_whose_last_line_is_old(engine, fleet):
    loaded(engine, fleet)
    last = max(nanoseconds(line["@timestamp"]) for line in fleet.parsed["backend"])
    others = [line for host in ("client", "gateway") for line in fleet.parsed[host]]
    engine.insert([json.dumps({**line, "@timestamp": shift(line["@timestamp"], 3600 * 10**9)}) for line in others
                   if line["event"]["dataset"] == "nattrace.stop"])
    before = timestamp(last + 600 * 10**9).replace("T", " ").rstrip("Z")
    (row,) = engine.run("silent_hosts", before=before)
    equal((row["host"], row["last_line"], nanoseconds(row["last"])), ("backend", "stop", last))
    equal(row["kernel"], fleet.of("start", "backend")[0]["host"]["os"]["kernel"])


@test
def rates_are_those_of_the_rows(engine, fleet):
    loaded(engine, fleet)
    first = min(nanoseconds(line["event"]["start"]) for line in fleet.of("verdict")) // 10**9 * 10**9
    last = max(nanoseconds(line["@timestamp"]) for line in fleet.of("step"))
    seconds = (last - first) // 10**9 + 1
    period = {name: timestamp(moment).replace("T", " ").rstrip("Z") for name, moment in
              [("from", first), ("to", first + seconds * 10**9)]}
    (row,) = engine.run("rates", **period)
    verdicts = fleet.of("verdict")
    equal(row["hosts"], 3)
    equal(row["connections_a_second"], round(len(verdicts) / seconds, 3))
    equal(row["failures_a_second"], round(len(failures(verdicts)) / seconds, 3))
    equal(row["steps_a_connection"], round(len(fleet.of("step")) / len(verdicts), 2))


@test
def what_is_stored_is_told_for_each_table(engine, fleet):
    loaded(engine, fleet)
    rows = {row["table"]: row for row in engine.run("stored")}
    equal(set(rows), {"verdicts", "steps", "passages", "runs"})
    equal(rows["steps"]["stored_rows"], len(fleet.of("step")))
    true(all(row["bytes_a_row"] > 0 for row in rows.values()), f"{rows}")


@test
def what_is_received_is_that_of_inserts_into_the_lines(engine, fleet):
    engine.empty()
    engine.run("received", **ALWAYS)  # makes the table
    used = "map('NetworkReceiveBytes', 1000, 'UserTimeMicroseconds', 3000, 'SystemTimeMicroseconds', 2000)"
    rows = [("QueryStart", "Insert", "lines", ""), ("QueryFinish", "Insert", "lines", ""),
            ("QueryFinish", "Select", "lines", ""), ("QueryFinish", "Insert", "verdicts", ""),
            ("ExceptionWhileProcessing", "Insert", "lines", "no space left"),
            ("QueryFinish", "AsyncInsertFlush", "lines", "")]
    engine.execute("INSERT INTO nattrace.query_log VALUES " + ", ".join(
        f"('2026-11-27 00:00:00', '{kind}', '{query}', ['nattrace.{table}'], '{exception}', {used})"
        for kind, query, table, exception in rows))
    (row,) = engine.run("received", **{"from": "2026-11-27 00:00:00", "to": "2026-11-27 00:00:10"})
    equal(row, {"inserts": 2, "failed": 1, "sent_bits_a_second": "2.40 thousand", "processors": 0.0015,
                "last_exception": "no space left"})
