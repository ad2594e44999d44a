"""What holds for every run of nattrace --json, whatever the scenario: the contract's general promises.

Each check yields sentences, one per breach. `check(lines)` runs them all.
"""

import ipaddress
import json
import os
import re
from datetime import datetime

from .lines import community_id, connections, dataset, get

DATASETS = {f"nattrace.{kind}" for kind in ("start", "step", "verdict", "loss", "stop")}
ACTIONS = {"syn", "synack", "ack", "rst", "conntrack.new", "conntrack.match", "conntrack.invalid",
           "conntrack.untracked", "nat.dnat", "nat.snat", "nat.reverse", "rule", "route", "deliver", "listener",
           "request", "reset", "drop", "transmit", "retransmit", "established", "icmp"}
STAGES = {"ingress", "prerouting", "routing", "input", "forward", "socket", "output", "postrouting", "egress"}
BACKENDS = {"kprobe", "fentry", "tracepoint", "inferred"}
CHOICES = ("auto", "kprobe", "fentry", "tracepoint")
CODES = {"established", "no_listener", "listener_other_address", "listener_loopback_only", "listener_other_device",
         "listener_other_netns", "accept_queue_full", "socket_refused", "filter_dropped", "filter_rejected",
         "forwarding_disabled", "route_localnet_disabled", "rp_filter", "no_route", "neighbor_unreachable",
         "conntrack_full", "conntrack_invalid", "stale_conntrack", "untracked", "nat_exhausted",
         "reset_by_backend", "reset_by_client", "hairpin_without_snat", "asymmetric_reply", "icmp_unreachable",
         "syn_unanswered", "synack_unanswered", "dropped", "unexplained"}
# Where the evidence may not say what to change; every other failure comes with advice.
WITHOUT_ADVICE = {"dropped", "unexplained"}
# What a retransmission looks like: the only steps that may start anew after a verdict. One of this machine's own may
# show first where OUTPUT acts on it, or where it is dropped or translated back behind, for TCP tells of a retransmission only when the
# packet has passed.
AGAIN = {"syn", "synack", "retransmit", "icmp"}
TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")


def check(lines, loss_allowed=False, schema=None, whole=True):
    """All breaches in a run's lines. `whole` is False where a filter hides lines that the totals count."""
    wrong = check_run(lines, loss_allowed, schema, whole)
    for connection in connections(lines):
        wrong += check_connection(connection)
    return wrong


def check_connection(connection):
    return [f"connection {connection}: {text}" for text in one_connection(connection)]


def check_run(lines, loss_allowed=False, schema=None, whole=True):
    """Those that are not about one connection."""
    wrong = [*each_line(lines), *frame(lines, loss_allowed), *seen_as_attached(lines)]
    if whole and lines:
        wrong += totals(lines)
    if schema and os.path.exists(schema):
        wrong += against_schema(lines, schema)
    return wrong


def each_line(lines):
    for number, line in enumerate(lines, 1):
        if dataset(line) not in DATASETS:
            yield f"line {number}: event.dataset is {dataset(line)!r}"
        stamp = line.get("@timestamp")
        if not (isinstance(stamp, str) and TIMESTAMP.fullmatch(stamp) and _is_time(stamp)):
            yield f"line {number}: @timestamp is {stamp!r}"
        for path in _hollow(line):
            yield f"line {number}: {path} is null or empty"
        for path in _dotted(line):
            yield f"line {number}: {path} has a dot in its name, not a nested object"
        for side in ("source", "destination"):
            for name in (f"{side}.ip", f"{side}.nat.ip"):
                text = get(line, name)
                if text is not None and not _is_address(text):
                    yield f"line {number}: {name} is {text!r}"


def frame(lines, loss_allowed):
    kinds = [dataset(line) for line in lines]
    if not kinds or kinds[0] != "nattrace.start" or kinds.count("nattrace.start") != 1:
        yield "nattrace.start is not once and first"
    if not kinds or kinds[-1] != "nattrace.stop" or kinds.count("nattrace.stop") != 1:
        yield "nattrace.stop is not once and last"
    if not loss_allowed:
        for line in lines:
            if dataset(line) == "nattrace.loss":
                yield f"something was lost: {json.dumps(line)}"
    start = lines[0] if lines else {}
    for name in ("nattrace.version", "host.name", "host.os.kernel", "nattrace.backend"):
        if get(start, name) is None:
            yield f"the start line has no {name}"
    hooks = get(start, "nattrace.backend")
    if not isinstance(hooks, dict):
        yield f"nattrace.backend is not an object of hooks: {hooks!r}"
        return
    for hook, backend in hooks.items():
        if backend not in BACKENDS:
            yield f"the start line says backend {backend!r} for {hook}"
    # A verifier that refuses: a program of ours that does not run there. Not so where the kernel does not describe the
    # types that it reads, as 5.10 does not those of modules.
    for entry in get(start, "nattrace.missing") or ():
        if "refused its program" in entry["loss"] and "CO-RE relocation" not in entry["loss"]:
            yield f"{entry['hook']} is not hooked: {entry['loss']}"


def only_skipped(lines):
    """Whether something was lost, and all of it because the kernel skipped a program that an interrupt had it run while
    it was running already. That is counted and told, and comes more often where every program takes long."""
    reasons = {get(line, "nattrace.lost.reason") for line in lines if dataset(line) == "nattrace.loss"}
    return reasons == {"nested program run skipped by the kernel"}


def chosen_backend(start, choice):
    """What --backend leaves: beside tracepoints, which every choice has, the functions' hooks of one kind."""
    used = set((get(start, "nattrace.backend") or {}).values())
    if choice in (None, "auto"):
        return
    for backend in sorted(used - {choice, "tracepoint"}):
        yield f"--backend {choice}, and yet there are hooks by {backend}"
    if choice not in used:
        yield f"--backend {choice}, and yet there is no hook by {choice}"


def seen_as_attached(lines):
    """Each step that a hook saw was seen in the way in which the start line has that hook."""
    hooks = get(lines[0], "nattrace.backend") if lines else None
    for line in lines:
        # The function of a drop is the one that dropped the packet; hooked is what frees it.
        if dataset(line) != "nattrace.step" or get(line, "event.action") == "drop" or not isinstance(hooks, dict):
            continue
        function, backend = get(line, "nattrace.function"), get(line, "nattrace.backend")
        if backend != "inferred" and hooks.get(function, backend) != backend:
            yield f"{function} was seen by {backend}, but is attached by {hooks[function]}"


def one_connection(connection):
    if not re.fullmatch("[0-9a-f]{16}", connection.id):
        yield f"nattrace.connection is {connection.id!r}"
    key = connection.key
    if None in key:
        yield f"the tuple as dialled is incomplete: {key}"
        return
    id, version = community_id(*key), {4: "ipv4", 6: "ipv6"}[ipaddress.ip_address(key[2]).version]
    for line in connection.lines:
        for name, wanted in (("network.community_id", id), ("network.type", version), ("network.transport", "tcp"),
                             ("source.ip", key[0]), ("source.port", key[1]),
                             ("destination.ip", key[2]), ("destination.port", key[3])):
            if get(line, name) != wanted:
                yield f"{dataset(line)}: {name} is {get(line, name)!r}, not {wanted!r}"
    numbers = [get(step, "event.sequence") for step in connection.steps]
    if numbers != list(range(len(numbers))):
        yield f"event.sequence runs {numbers}"
    offsets = [get(step, "nattrace.offset_ns") for step in connection.steps]
    if not all(type(offset) is int for offset in offsets) or offsets != sorted(offsets) or offsets[:1] not in ([], [0]):
        yield f"nattrace.offset_ns runs {offsets}"
    for step in connection.steps:
        for name, known in (("event.action", ACTIONS), ("nattrace.stage", STAGES), ("nattrace.backend", BACKENDS)):
            # A packet that netfilter dropped may have been at either of two hooks.
            if get(step, name) not in known and (name, get(step, name), get(step, "event.action")) != (
                    "nattrace.stage", None, "drop"):
                yield f"step {get(step, 'event.sequence')}: {name} is {get(step, name)!r}"
    yield from _verdicts(connection)


def _verdicts(connection):
    lines = connection.lines
    if not connection.verdicts:
        yield "it has no verdict"
    before = None
    for line in connection.verdicts:
        code = get(line, "nattrace.verdict")
        at = lines.index(line)
        if code not in CODES:
            yield f"unknown verdict {code!r}"
        if at == 0:
            yield f"verdict {code} without a step before it"
        if (before is not None) != (get(line, "nattrace.revised") is True):
            yield f"verdict {code} is {'not ' if before else ''}marked revised"
        if code == before:
            yield f"verdict {code} was given twice"
        before = code
        if at + 1 < len(lines) and not _starts_anew(lines[at + 1]):
            yield f"after verdict {code} comes {get(lines[at + 1], 'event.action') or dataset(lines[at + 1])}"
        yield from _verdict(line, code)


def _starts_anew(line):
    action, stage = get(line, "event.action"), get(line, "nattrace.stage")
    return action in AGAIN or stage == "output" or stage == "postrouting" and action in ("rule", "drop", "nat.reverse")


def _verdict(line, code):
    outcome = get(line, "event.outcome")
    if outcome not in ("success", "failure", "unknown") or (outcome == "success") != (code == "established"):
        yield f"verdict {code}: event.outcome is {outcome!r}"
    for name, wanted in (("event.kind", "event"), ("event.category", ["network"])):
        if get(line, name) != wanted:
            yield f"verdict {code}: {name} is {get(line, name)!r}"
    if not TIMESTAMP.fullmatch(str(get(line, "event.start"))):
        yield f"verdict {code}: event.start is {get(line, 'event.start')!r}"
    duration = get(line, "event.duration")
    if type(duration) is not int or duration < 0:
        yield f"verdict {code}: event.duration is {duration!r}"
    sentence = get(line, "event.reason")
    if not isinstance(sentence, str) or "\n" in sentence:
        yield f"verdict {code}: event.reason is {sentence!r}"
    for item in get(line, "nattrace.evidence", []):
        if not isinstance(item, dict) or "kind" not in item:
            yield f"verdict {code}: evidence without a kind: {item!r}"
    advice = get(line, "nattrace.advice", [])
    if not isinstance(advice, list) or not all(isinstance(item, str) for item in advice):
        yield f"verdict {code}: nattrace.advice is {advice!r}"
    elif outcome == "failure" and not advice and code not in WITHOUT_ADVICE:
        yield f"verdict {code}: it gives no advice"
    checklist = get(line, "nattrace.checklist")
    if not isinstance(checklist, dict):
        yield f"verdict {code}: nattrace.checklist is {checklist!r}"


def totals(lines):
    """The stop line's totals by verdict agree with the verdict lines, each connection counted at its last word."""
    stop = lines[-1]
    if dataset(stop) != "nattrace.stop":
        return
    counted = get(stop, "nattrace.verdicts")
    final = {}
    for connection in connections(lines):
        if connection.codes:
            final[connection.codes[-1]] = final.get(connection.codes[-1], 0) + 1
    if {code: number for code, number in (counted or {}).items() if number} != final:
        yield f"the stop line counts {counted}, the verdict lines are {final}"
    for name in ("nattrace.events", "nattrace.lost.total"):
        if type(get(stop, name)) is not int:
            yield f"the stop line's {name} is {get(stop, name)!r}"
    yield from observations(stop)


def observations(stop):
    """Each observation that the kernel side made was delivered, or is counted as lost."""
    made, came, lost = (get(stop, f"nattrace.{name}") for name in ("observations", "events", "lost.observations"))
    if (made, lost) == (None, None):
        return
    if {type(made), type(came), type(lost)} != {int} or made != came + lost:
        yield f"{made} observations were made, {came} came and {lost} were lost"


def against_schema(lines, path):
    import jsonschema
    with open(path) as file:
        schema = json.load(file)
    validator = jsonschema.validators.validator_for(schema)(schema)
    for number, line in enumerate(lines, 1):
        for error in validator.iter_errors(line):
            where = ".".join(map(str, error.absolute_path))
            yield f"line {number} against the schema: {where}: {error.message[:200]}"


def _hollow(value, path=""):
    if value is None or value == "" or value == [] or value == {}:
        if path != "nattrace.verdicts":  # a total of nothing is known, not unknown
            yield path
    elif isinstance(value, dict):
        for name, inner in value.items():
            yield from _hollow(inner, f"{path}.{name}".lstrip("."))
    elif isinstance(value, list):
        for number, inner in enumerate(value):
            yield from _hollow(inner, f"{path}[{number}]")


def _dotted(line, path=""):
    if path == "nattrace.backend":  # its keys are names of hooks
        return
    for name, inner in line.items():
        here = f"{path}.{name}".lstrip(".")
        if "." in name:
            yield here
        elif isinstance(inner, dict):
            yield from _dotted(inner, here)


def _is_time(text):
    try:
        datetime.strptime(text[:26], "%Y-%m-%dT%H:%M:%S.%f")
        return True
    except ValueError:
        return False


def _is_address(text):
    try:
        return str(ipaddress.ip_address(text)) == text
    except ValueError:
        return False
