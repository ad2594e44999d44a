"""What one scenario expects: the vocabulary for verdicts and steps, and the comparison with what came.

Each comparison gives a list of sentences, one per difference; an empty list is a pass. An expected value may be
`ByHooks(functions=..., tracepoints=...)` where the two backends can know different things.
"""

import re
from dataclasses import dataclass, field, fields as dataclass_fields, replace
from typing import Any

from .lines import endpoint, get


class ByHooks:
    """A value that depends on which hooks the kernel gave: functions (kprobe, fentry) or tracepoints only."""

    def __init__(self, functions, tracepoints, needs=()):
        """Without a hook of `needs` the others are of no use, and it is as with tracepoints."""
        self.functions, self.tracepoints, self.needs = functions, tracepoints, frozenset(needs)

    def value(self, hooks):
        return self.functions if hooks == "functions" and not self.needs & hooks.lacking else self.tracepoints


class Hooks(str):
    """"functions" or "tracepoints", and which functions this kernel or --backend let not be hooked all the same."""
    lacking = frozenset()


def hooks_of(start):
    """Which hooks a run had, by its start line."""
    used = set((get(start, "nattrace.backend") or {}).values())
    hooks = Hooks("functions" if used & {"kprobe", "fentry"} else "tracepoints")
    hooks.lacking = frozenset(missing["hook"] for missing in get(start, "nattrace.missing") or ()
                              if "module" not in missing)
    return hooks


# What the checklist says for a code unless the scenario says otherwise: it follows from the code's definition.
_RESET = {"syn_arrived": True, "answer": "rst", "listener_matches": False}
_DROPPED = {"syn_arrived": True, "answer": "none"}
CHECKLIST = {
    "established": {"syn_arrived": True, "answer": "synack"},
    "no_listener": _RESET,
    "listener_other_address": _RESET,
    "listener_loopback_only": _RESET,
    "listener_other_device": _RESET,
    "listener_other_netns": _RESET,
    "accept_queue_full": {"syn_arrived": True, "listener_matches": True},
    "socket_refused": {"syn_arrived": True, "listener_matches": True},
    "rp_filter": _DROPPED,
    "forwarding_disabled": _DROPPED,
    "route_localnet_disabled": _DROPPED,
    "reset_by_backend": {"syn_arrived": True, "answer": "rst"},
    "syn_unanswered": {"syn_arrived": True, "answer": "none"},
    "synack_unanswered": {"syn_arrived": True, "answer": "synack"},
    "reset_by_client": {"syn_arrived": True, "answer": "synack"},
    "conntrack_full": {"syn_arrived": True, "answer": "none"},
    "conntrack_invalid": {"syn_arrived": True, "conntrack": "invalid"},
    "stale_conntrack": {"syn_arrived": True, "conntrack": "stale"},
    "untracked": {"syn_arrived": True, "conntrack": "untracked"},
    "nat_exhausted": {"syn_arrived": True, "answer": "none"},
    "hairpin_without_snat": {"syn_arrived": True, "answer": "synack"},
    "asymmetric_reply": {"syn_arrived": True, "answer": "synack"},
    "icmp_unreachable": {"syn_arrived": True, "answer": "icmp"},
}


# Steps that are concluded where just this function cannot be hooked.
CONCLUDED_WITHOUT = {"listener": frozenset({"__inet_lookup_listener", "inet6_lookup_listener"})}


@dataclass
class Step:
    """A step that must be there. Fields by dotted name; `source` and `destination` are the packet's at that point."""
    action: Any                       # or a set, where either may be
    source: Any = None
    destination: Any = None
    fields: dict = field(default_factory=dict)

    def __init__(self, action, source=None, destination=None, **fields):
        self.action, self.source, self.destination = action, source, destination
        self.fields = {name.replace("__", "."): value for name, value in fields.items()}

    def matches(self, line):
        if not _equal(self.action, get(line, "event.action")):
            return False
        for side in ("source", "destination"):
            wanted = getattr(self, side)
            if wanted and endpoint(get(line, f"nattrace.packet.{side}")) != tuple(wanted):
                return False
        return all(_equal(wanted, get(line, name)) for name, wanted in self.fields.items())

    def without_reason(self):
        step = Step(self.action, self.source, self.destination)
        step.fields = {**self.fields, "nattrace.reason": None}
        return step

    def __str__(self):
        parts = [self.action if isinstance(self.action, str) else "|".join(sorted(self.action))]
        parts += [f"{side} {getattr(self, side)}" for side in ("source", "destination") if getattr(self, side)]
        parts += [f"{name}={value}" for name, value in self.fields.items()]
        return " ".join(parts)


@dataclass
class Verdict:
    """An expected verdict line and, with it, the steps of its connection."""
    code: Any                         # or ByHooks
    reason: Any = ()                  # substrings of event.reason; or ByHooks
    nat: Any = None                   # (address, port) of destination.nat; False: must be absent
    snat: Any = None                  # address of source.nat.ip; False: must be absent
    listener: Any = None              # a sockets.Listener: evidence of kind `listener`, and `process`
    evidence: Any = ()                # dicts: an evidence object with these fields, by dotted name; or ByHooks
    steps: Any = ()                   # in this order, others may stand between; str or Step; or ByHooks
    first: Any = None                 # the very first step
    no_steps: tuple = ()              # actions that must not occur
    fields: dict = field(default_factory=dict)     # of the verdict line, by dotted name
    checklist: dict = field(default_factory=dict)  # beside or instead of what follows from the code
    netns: Any = None                 # namespace name where it died
    revised: bool = False
    outcome: Any = None               # follows from the code
    rule: Any = None                  # a rules.Rule; or ByHooks, None where it cannot be known
    no_rule: bool = False             # there must be none
    concluded: tuple = ()             # actions of which a step is concluded, although functions are hooked

    def but(self, **changes):
        return replace(self, **changes)

    def resolved(self, hooks):
        """With the values for these hooks alone."""
        values = {item.name: _resolve(getattr(self, item.name), hooks) for item in dataclass_fields(self)}
        for name in ("fields", "checklist"):
            values[name] = {key: _resolve(value, hooks) for key, value in values[name].items()}
        return Verdict(**values)


def _equal(wanted, value):
    return value in wanted if isinstance(wanted, (set, frozenset)) else wanted == value


def _holds(obj, wanted):
    """Whether an object has these values at these places; what else is in it does not matter."""
    return all(_equal(value, get(obj, name)) for name, value in wanted.items())


def listener_evidence(listener):
    """How the evidence shows a sockets.Listener, as the schema has it."""
    return {"kind": "listener", "ip": listener.address, "port": listener.port,
            "process.pid": listener.pid, "process.name": listener.name}


def sysctl_evidence(name, value):
    return {"kind": "sysctl", "name": name, "value": str(value)}


def _as_step(step):
    return Step(step) if isinstance(step, str) else step


def _resolve(value, hooks):
    return _resolve(value.value(hooks), hooks) if isinstance(value, ByHooks) else value


def compare_steps(expected, steps, hooks):
    """The expected steps in order, others may stand between."""
    at = 0
    for step in map(_as_step, _resolve(expected, hooks)):
        if step.fields.get("nattrace.function") in hooks.lacking:
            continue
        while at < len(steps) and not step.matches(steps[at]):
            at += 1
        if at == len(steps):
            return [f"step missing, or not in this order: {step}"]
        at += 1
    return []


def compare_verdict(expected, line, steps, hooks):
    """One verdict line, with the steps of its connection up to it."""
    code = _resolve(expected.code, hooks)
    wrong = []

    def same(name, wanted):
        value = get(line, name)
        if not _equal(wanted, value):
            wrong.append(f"{name}: expected {wanted!r}, came {value!r}")

    same("nattrace.verdict", code)
    same("event.outcome", expected.outcome or ("success" if code == "established" else "failure"))
    same("nattrace.revised", True if expected.revised else None)
    if expected.nat is False:
        same("destination.nat", None)
    elif expected.nat:
        same("destination.nat.ip", expected.nat[0])
        same("destination.nat.port", expected.nat[1])
    if expected.snat is False:
        same("source.nat", None)
    elif expected.snat:
        same("source.nat.ip", expected.snat)
    if expected.netns:
        same("nattrace.netns.name", expected.netns)
    for name, wanted in expected.fields.items():
        same(name, _resolve(wanted, hooks))
    for name, wanted in {**CHECKLIST.get(code, {}), **expected.checklist}.items():
        same(f"nattrace.checklist.{name}", _resolve(wanted, hooks))
    for part in _resolve(expected.reason, hooks):
        if part not in get(line, "event.reason", ""):
            wrong.append(f"event.reason does not say {part!r}")
    wanted_evidence = list(_resolve(expected.evidence, hooks))
    if expected.listener:
        listener = expected.listener
        wanted_evidence.append(listener_evidence(listener))
        same("process.pid", listener.pid)
        same("process.name", listener.name)
    for wanted in wanted_evidence:
        if not any(_holds(item, wanted) for item in get(line, "nattrace.evidence", [])):
            wrong.append(f"no evidence {wanted}; came {get(line, 'nattrace.evidence')}")
    rule = _resolve(expected.rule, hooks)
    if rule:
        same("rule.id", rule.id)
        same("rule.ruleset", rule.ruleset)
    if expected.no_rule:
        same("rule", None)
    wrong += compare_steps(expected.steps, steps, hooks)
    first = _resolve(expected.first, hooks)
    if first and not (steps and _as_step(first).matches(steps[0])):
        wrong.append(f"the first step is not: {_as_step(first)}")
    for action in expected.no_steps:
        if any(get(step, "event.action") == action for step in steps):
            wrong.append(f"there is a step {action}")
    return wrong


def compare_connection(expected, connection, hooks, rule_concluded=False):
    """The expected verdicts of one dial, in order, with its connection.

    rule_concluded: no function tells of the rules at work, such as those of iptables-legacy.
    """
    codes = [_resolve(verdict.code, hooks) for verdict in expected]
    if connection.codes != codes:
        return [f"verdicts: expected {codes}, came {connection.codes}"]
    wrong, concluded = [], {action for verdict in expected for action in verdict.concluded}
    if hooks == "functions":
        wrong += [f"step {get(step, 'event.sequence')}, {get(step, 'event.action')}, is concluded, although functions "
                  "are hooked" for step in connection.steps if get(step, "nattrace.backend") == "inferred"
                  and not hooks.lacking & CONCLUDED_WITHOUT.get(get(step, "event.action"), frozenset())
                  and not (rule_concluded and get(step, "event.action") == "rule")
                  and get(step, "event.action") not in concluded]
    wrong += [f"no step {action} is concluded" for action in concluded if not any(
        get(step, "event.action") == action and get(step, "nattrace.backend") == "inferred"
        for step in connection.steps)]
    if rule_concluded:
        wrong += [f"step {get(step, 'event.sequence')}, rule, was seen, although nothing is known to tell of rules here"
                  for step in connection.steps
                  if get(step, "event.action") == "rule" and get(step, "nattrace.backend") != "inferred"]
    for verdict, line in zip(expected, connection.verdicts):
        before = connection.lines[:connection.lines.index(line)]
        steps = [step for step in before if get(step, "event.dataset") == "nattrace.step"]
        wrong += compare_verdict(verdict, line, steps, hooks)
    return wrong


# What a hole (../holes.py) makes of an expected verdict. Each takes the verdict and the hooks.

_REASON_NAME = re.compile("[A-Z][A-Z0-9_]+")


def reasonless(verdict, hooks):
    """The same, where the kernel gives no reason of a drop or reset."""
    here = verdict.resolved(hooks)
    steps = [_as_step(step) for step in here.steps]
    named = [step for step in steps if step.fields.get("nattrace.reason") and step.action in ("drop", "reset")]
    words = [part for part in here.reason if _REASON_NAME.fullmatch(part)]
    fields = {"nattrace.reason": None} if here.fields.get("nattrace.reason") or words else {}
    if not (fields or named):
        return verdict
    return here.but(fields={**here.fields, **fields}, reason=tuple(part for part in here.reason if part not in words),
                    steps=[step.without_reason() if step in named else step for step in steps])


def instead_of(code, gives, **changes):
    """Another code than this one. fields and checklist are added to, everything else is replaced."""
    def change(verdict, hooks):
        here = verdict.resolved(hooks)
        if here.code != code:
            return verdict
        more = {name: {**getattr(here, name), **changes[name]} for name in ("fields", "checklist") if name in changes}
        return here.but(**{**changes, **more, "code": gives})
    return change


def concluding(action):
    """The same, with a step of that action that is concluded."""
    def change(verdict, hooks):
        here = verdict.resolved(hooks)
        return here.but(concluded=(*here.concluded, action))
    return change


def unknown(checked, action):
    """The same without that answer in the checklist, and without the steps that would give it."""
    def change(verdict, hooks):
        here = verdict.resolved(hooks)
        return here.but(checklist={**here.checklist, checked: None}, no_steps=(*here.no_steps, action))
    return change


def like_tracepoints(code, *names):
    """What these fields of the expectation are with tracepoints alone, where functions tell no more than those."""
    def values(value):
        return {key: _resolve(item, "tracepoints") for key, item in value.items()} if isinstance(value, dict) else \
            _resolve(value, "tracepoints")

    def change(verdict, hooks):
        if _resolve(verdict.code, hooks) != code:
            return verdict
        changes = {name: values(getattr(verdict, name)) for name in names}
        here = verdict.resolved(hooks)
        if all(value == getattr(here, name) for name, value in changes.items()):
            return verdict
        if "rule" in changes:
            changes["no_rule"] = changes["rule"] is None
        return here.but(**changes)
    return change


def unseen(code, action):
    """The same without the steps of that action, none of which may be there."""
    def change(verdict, hooks):
        here = verdict.resolved(hooks)
        steps = [step for step in here.steps if _as_step(step).action != action]
        if here.code != code or len(steps) == len(here.steps):
            return verdict
        return here.but(steps=steps, no_steps=(*here.no_steps, action))
    return change
