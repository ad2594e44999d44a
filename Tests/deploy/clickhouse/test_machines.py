"""Hosts are joined: clocks that differ by a known amount, one connection across machines."""

import json

import hosts
from checks import equal, test, true
from networks import SECOND, Chain
from shipping import nanoseconds
from test_queries import ALWAYS
from test_rows import loaded

PASSAGES = "isn, seen, host, connection, packet, way, client_ip, client_port, server_ip, server_port"


def across(engine, fleet, host, dial):
    address, port, _ = hosts.DIALS[dial]
    if host == "backend" and address != hosts.BACKEND:
        port = 8080 if port == 80 else 8000 + port
        address = "fd77:2::10" if ":" in address else hosts.BACKEND
    lines = [line for line in fleet.of("verdict", host)
             if (line["destination"]["ip"], line["destination"]["port"]) == (address, port)]
    # Both the translated and the routed one come to the backend's 8080: the client's port tells which is which.
    if len(lines) > 1:
        sport = fleet.verdict("client", *hosts.DIALS[dial][:2])["source"]["port"]
        lines = [line for line in lines if line["source"]["port"] == sport]
    (line,) = lines
    return engine.run("one_connection", host=host, connection=line["nattrace"]["connection"], minutes=5)


def wanted_rows(fleet, dial, seen_by):
    """How many steps and verdicts the hosts told of what was dialled so."""
    client = fleet.verdict("client", *hosts.DIALS[dial][:2])
    own = client["nattrace"]["connection"]
    numbers = {step["nattrace"]["packet"]["seq"] for step in fleet.of("step", "client")
               if step["nattrace"]["connection"] == own and step["event"]["action"] == "syn"}
    (isn,) = numbers
    count = 0
    for host in seen_by:
        own = {step["nattrace"]["connection"] for step in fleet.of("step", host)
               if step["nattrace"].get("packet", {}).get("seq") == isn and step["event"]["action"] == "syn"}
        (connection,) = own
        count += sum(line["nattrace"].get("connection") == connection for line in fleet.parsed[host])
    return count


@test
def clocks_that_were_set_off_are_found_to_be(engine, fleet):
    loaded(engine, fleet)
    rows = {(row["host"], row["other_host"]): row for row in engine.run("clock_offsets", **ALWAYS)}
    true(("client", "gateway") in rows and ("backend", "gateway") in rows, f"pairs: {sorted(rows)}")
    for (one, other), row in rows.items():
        true_ms = (fleet.ahead[other] - fleet.ahead[one]) / 1e6
        true(abs(row["ahead_ms"] - true_ms) <= row["within_ms"] + 1e-6,
             f"{one} to {other}: {row['ahead_ms']} within {row['within_ms']}, the clocks were {true_ms} ms apart")
        true(row["within_ms"] < 5, f"{one} to {other}: known only within {row['within_ms']} ms")
        equal(row["clocks_moved"], 0)
    # Translated (4 of them answered) and routed (2).
    equal(rows["client", "gateway"]["handshakes"], 6)


@test
def a_translated_connection_is_one_on_all_hosts(engine, fleet):
    loaded(engine, fleet)
    for dial in ("translated", "translated, IPv6", "source translated too", "routed", "refused by the backend",
                 "routed and refused"):
        for host in hosts.ROLES:
            rows = across(engine, fleet, host, dial)
            what = f"{dial}, from {host}"
            equal({row["host"] for row in rows}, set(hosts.ROLES), what)
            equal({row["joined"] for row in rows if row["host"] == host}, {"here"}, what)
            equal({row["joined"] for row in rows if row["host"] != host}, {"tuple"}, what)
            equal(len(rows), wanted_rows(fleet, dial, hosts.ROLES), what)
            for row in rows:
                true_ms = (fleet.ahead[row["host"]] - fleet.ahead[host]) / 1e6
                true(abs(row["clock_ms"] - true_ms) <= row["within_ms"] + 1e-6, f"{what}: the clock of {row}")
            # Seen on one clock, the SYN goes from host to host, and the answer comes back.
            way = [(row["host"], row["stage"]) for row in rows if row["what"] == "syn"]
            order = ["client", "gateway", "backend"]
            equal([name for name, _ in way], sorted((name for name, _ in way), key=order.index), what)
            back = [row["host"] for row in rows if row["what"] in ("synack", "rst")]
            equal(back, sorted(back, key=order.index, reverse=True), what)


@test
def each_host_says_its_own_verdict_of_it(engine, fleet):
    loaded(engine, fleet)
    rows = across(engine, fleet, "client", "refused by the backend")
    equal({row["host"]: row["what"] for row in rows if "failure" in row["what"]},
          {"client": "failure: reset_by_backend", "gateway": "failure: reset_by_backend",
           "backend": "failure: no_listener"})
    rows = across(engine, fleet, "client", "dropped by the gateway")
    equal({row["host"]: row["what"] for row in rows if "failure" in row["what"]},
          {"client": "failure: syn_unanswered", "gateway": "failure: filter_dropped"})


@test
def a_connection_without_an_answer_takes_the_clocks_from_others(engine, fleet):
    loaded(engine, fleet)
    rows = across(engine, fleet, "client", "dropped by the backend")
    equal({row["host"]: row["joined"] for row in rows}, {"client": "here", "gateway": "tuple", "backend": "tuple"})
    true(all(row["clock_ms"] is not None for row in rows), "a clock is not known")
    equal(len(rows), wanted_rows(fleet, "dropped by the backend", hosts.ROLES))
    syns = [row["host"] for row in rows if row["what"] == "syn"]
    # Sent, and sent again after a second.
    equal(syns, ["client", "gateway", "gateway", "gateway", "backend"] * 2)


@test
def without_any_answer_nothing_is_said_of_the_clocks(engine, fleet):
    engine.empty()
    alone = fleet.verdict("client", *hosts.DIALS["dropped by the gateway"][:2])
    port = alone["source"]["port"]
    for host, lines in fleet.parsed.items():
        engine.insert([json.dumps(line) for line in lines if line.get("source", {}).get("port") == port])
    equal(engine.run("clock_offsets", **ALWAYS), [])
    rows = across(engine, fleet, "client", "dropped by the gateway")
    equal({(row["host"], row["joined"], row["clock_ms"], row["within_ms"]) for row in rows},
          {("client", "here", 0, 0), ("gateway", "tuple", None, None)})


@test
def another_connection_with_the_same_number_is_not_mixed_in(engine, fleet):
    """32 bits can be the same; and a device that translates unseen leaves the number alone."""
    loaded(engine, fleet)
    before = across(engine, fleet, "client", "translated")
    own = fleet.verdict("client", *hosts.DIALS["translated"][:2])["nattrace"]["connection"]
    (isn,) = engine.rows("SELECT DISTINCT isn FROM nattrace.passages WHERE host = 'client' "
                         "AND connection = reinterpretAsUInt64(reverse(unhex({own:String})))", own=own)
    strange = []
    for line in fleet.parsed["backend"]:
        copy = json.loads(json.dumps(line))
        if copy.get("source", {}).get("ip") != "10.77.2.1":
            continue
        copy["host"]["name"] = "stranger"
        packet = copy["nattrace"].get("packet")
        if packet and packet["flags"] == "SYN":
            packet["seq"] = isn["isn"]
        elif packet and packet["flags"] == "SYN,ACK":
            packet["ack"] = isn["isn"] + 1
        strange.append(json.dumps(copy))
    engine.insert(strange)
    rows = across(engine, fleet, "client", "translated")
    equal([row for row in rows if row["host"] != "stranger"], before)
    equal({(row["joined"], row["clock_ms"]) for row in rows if row["host"] == "stranger"}, {("number only", None)})
    equal(sum(row["host"] == "stranger" for row in rows), len(strange))


@test
def a_connection_that_is_not_there_has_no_rows(engine, fleet):
    loaded(engine, fleet)
    for name in ("0123456789abcdef", "", "no hex digits", "'; DROP TABLE x"):
        equal(engine.run("one_connection", host="client", connection=name, minutes=5), [], name)


@test
def clocks_are_found_over_made_up_networks(engine, fleet):
    """Whatever the delays, translations and losses: the true offset lies within the bound that is told."""
    engine.empty()
    chains = [Chain(seed, 2 + seed % 4, translates=(0, 0.5, 1)[seed % 3]) for seed in range(24)]
    for chain in chains:
        for number in range(12):
            chain.handshake(number * SECOND * 3, chain.random.getrandbits(32), answer=("synack", "rst")[number % 2],
                            again=number % 5 == 1, lost_after=0 if number % 7 == 3 else None)
    insert(engine, chains)
    rows = engine.run("clock_offsets", **ALWAYS)
    ahead = {host: ahead for chain in chains for host, ahead in chain.ahead.items()}
    for row in rows:
        true_ms = (ahead[row["other_host"]] - ahead[row["host"]]) / 1e6
        true(abs(row["ahead_ms"] - true_ms) <= row["within_ms"] + 1e-6, f"{row}, the clocks were {true_ms} ms apart")
        true(row["within_ms"] < 3.2 * 4, f"{row}")
        equal(row["clocks_moved"], 0, f"{row}")
    pairs = {(row["host"], row["other_host"]) for row in rows}
    neighbours = {tuple(sorted(pair)) for chain in chains for pair in zip(chain.hosts, chain.hosts[1:])}
    true(neighbours <= pairs, f"no clocks for {sorted(neighbours - pairs)}")


@test
def one_connection_is_put_in_order_over_made_up_networks(engine, fleet):
    engine.empty()
    chains, asked = [], []
    for seed in range(100, 106):
        chain = Chain(seed, 3 + seed % 3)
        for number in range(4):
            connections = chain.handshake(number * SECOND, chain.random.getrandbits(32))
        chains.append(chain)
        asked.append((chain, connections))
    insert(engine, chains)
    engine.execute("INSERT INTO nattrace.steps (host, connection, sequence, seen, action, isn) "
                   "SELECT host, connection, 0, min(seen), 'syn', isn FROM nattrace.passages "
                   "GROUP BY host, connection, isn")
    engine.execute("INSERT INTO nattrace.verdicts (host, connection, started, seen, verdict) "
                   "SELECT host, connection, min(seen), max(seen), 'established' FROM nattrace.passages "
                   "GROUP BY host, connection, isn")
    for chain, connections in asked:
        for host in (chain.hosts[0], chain.hosts[-1]):
            rows = engine.run("one_connection", host=host, connection=f"{connections[host]:016x}", minutes=5)
            steps = [row["host"] for row in rows if row["what"] == "syn"]
            equal(sorted(steps), sorted(chain.hosts), f"hosts of {chain.hosts} from {host}")
            for row in rows:
                true_ms = (chain.ahead[row["host"]] - chain.ahead[host]) / 1e6
                true(abs(row["clock_ms"] - true_ms) <= row["within_ms"] + 1e-6, f"{row}, in truth {true_ms}")


@test
def a_syn_that_was_sent_again_says_nothing_of_clocks(engine, fleet):
    """Which of two arrived is not known; taken for one, they can shift the offset by the time between them."""
    engine.empty()
    chain = Chain(600, 2)
    chain.slow_handshake(0, 1000)
    insert(engine, [chain])
    equal(engine.run("clock_offsets", **ALWAYS), [])


@test
def a_clock_that_was_set_meanwhile_is_told(engine, fleet):
    engine.empty()
    chain = Chain(500, 2)
    for number in range(6):
        if number == 3:
            chain.ahead[chain.hosts[1]] += 2 * SECOND
        chain.handshake(number * SECOND * 10, chain.random.getrandbits(32))
    insert(engine, [chain])
    (row,) = engine.run("clock_offsets", **ALWAYS)
    equal(row["clocks_moved"], 1)
    true(row["within_ms"] > 990, f"{row}")


@test
def one_connection_reads_little_of_much(engine, fleet):
    """A million handshakes lie beside it: the order of the tables has to find it."""
    loaded(engine, fleet)
    began = min(nanoseconds(line["event"]["start"]) for line in fleet.of("verdict"))
    # Over a day around it: 80 ms from one to the next, 500,000 before it.
    numbers = dict(began=began - 40_000 * SECOND)
    others = "concat('h', number % 1000) AS host, number AS connection"
    at = "fromUnixTimestamp64Nano(toInt64({began:Int64} + number * 80000000), 'UTC')"
    engine.execute(f"INSERT INTO nattrace.passages ({PASSAGES}) SELECT cityHash64(number), {at}, {others}, "
                   "'syn', 'out', toIPv6('10.0.0.1'), number % 60000, toIPv6('10.0.0.2'), 80 "
                   "FROM numbers(1000000)", **numbers)
    for table, columns, values in [("steps", "sequence, seen, action", f"0, {at}, 'syn'"),
                                   ("verdicts", "started, seen, verdict", f"{at}, {at}, 'established'")]:
        engine.execute(f"INSERT INTO nattrace.{table} (host, connection, {columns}) SELECT {others}, {values} "
                       "FROM numbers(1000000)", **numbers)
    connection = fleet.verdict("client", *hosts.DIALS["dropped by the gateway"][:2])["nattrace"]["connection"]
    answer = engine.answer("one_connection", host="client", connection=connection, minutes=5)
    true(len(str(answer).splitlines()) > 5, "the connection was not found")
    # Tables that are named several times are read several times: that counts here too.
    true(0 < answer.storage_rows_read() < 300_000, f"{answer.storage_rows_read()} of 3,000,000 rows were read")


def insert(engine, chains):
    for chain in chains:
        engine.execute(f"INSERT INTO nattrace.passages ({PASSAGES}) VALUES " + ", ".join(chain.rows))
