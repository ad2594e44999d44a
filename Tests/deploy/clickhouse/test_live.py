"""The same with lines that nattrace makes now, on this kernel."""

import tempfile

import hosts
import test_machines
from checks import equal, test
from shipping import Fleet, dataset


@test
def lines_of_this_moment_are_joined(engine, recorded):
    with tempfile.TemporaryDirectory() as folder, hosts.Hosts() as world:
        recordings, _ = world.trace(recorded.program, folder, lambda: hosts.dial_all(world))
        fleet = Fleet(recorded.program, recordings, recorded.ahead)
    engine.empty()
    engine.insert(fleet.all())
    equal(engine.rows("SELECT * FROM nattrace.unread"), [], "unread")
    equal(engine.value("SELECT count() FROM nattrace.verdicts"),
          sum(dataset(line) == "nattrace.verdict" for line in fleet.all()), "verdicts")
    test_machines.clocks_that_were_set_off_are_found_to_be(engine, fleet)
    test_machines.a_translated_connection_is_one_on_all_hosts(engine, fleet)
    test_machines.each_host_says_its_own_verdict_of_it(engine, fleet)

