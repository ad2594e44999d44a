"""The register of all scenarios.

A scenario is a function with the decorator @scenario. Its parameter `s` is what it can say (vocabulary.py). It runs
once per family, dialect and variant, each time in fresh namespaces.
"""

import itertools
from dataclasses import dataclass

BOTH = (4, 6)
SCENARIOS = []


@dataclass
class Scenario:
    """One scenario in one family, dialect and variant."""
    name: str
    body: object
    family: int
    dialect: str
    variant: object
    needs: tuple
    in_vm: bool


IN_TURN = "in turn"
_turns = itertools.count()


def scenario(families=BOTH, dialects=("nft",), variants=None, needs=(), vm=False):
    """Registers a scenario. `variants` maps names to values of s.variant; `needs` are keys of features.REASONS.

    vm: what of it runs in a virtual machine when no pattern is given: nothing, with True everything, with IN_TURN each
    pair of dialect and variant in one family, the families in turn, or the names of variants and dialects to choose so;
    of which kind none is named, all are.
    """
    def named(name, kind):
        return name in vm or not set(vm) & set(kind)

    def register(body):
        first = next(_turns)
        turns = {} if vm in (False, True) else {
            (dialect, variant): families[(first + one + two) % len(families)]
            for one, dialect in enumerate(dialects) for two, variant in enumerate(variants or (None,))
            if vm == IN_TURN or named(dialect, dialects) and named(variant, variants or ())}
        for family, dialect, variant in itertools.product(families, dialects, variants or (None,)):
            in_vm = vm is True or turns.get((dialect, variant)) == family
            parts = [body.__name__.replace("_", "-")]
            parts += [variant] if variant else []
            parts += [f"ipv{family}"]
            parts += [dialect] if len(dialects) > 1 or dialect != "nft" else []
            wanted = (*needs, "iptables-legacy") if dialect == "iptables-legacy" else tuple(needs)
            name = "/".join(parts)
            assert all(known.name != name for known in SCENARIOS), f"two scenarios are called {name}"
            SCENARIOS.append(Scenario(name, body, family, dialect, variants[variant] if variant else None, wanted,
                                      in_vm))
        return body
    return register


def program_test(**options):
    """Registers a test of the program itself: its body runs the program, and states what it sees with s.check."""
    return scenario(families=options.pop("families", (4,)), needs=("program", *options.pop("needs", ())), **options)
