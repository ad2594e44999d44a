"""The least of a test framework: tests by name, and what they found."""

TESTS = []


class Wrong(Exception):
    """What was expected and what came."""


def test(function):
    """Registers a test; its name is what it says."""
    TESTS.append((function.__name__.replace("_", " "), function))
    return function


def equal(found, expected, what=""):
    if found != expected:
        raise Wrong(f"{what + ': ' if what else ''}{found!r}, expected {expected!r}")


def true(condition, what):
    if not condition:
        raise Wrong(what)


def run_all(arguments, pattern=""):
    """Runs the tests with that in their name. Returns how many passed and failed."""
    passed = failed = 0
    for name, function in TESTS:
        if pattern not in name:
            continue
        try:
            function(*arguments)
        except Exception as error:  # whatever it is, the others go on
            failed += 1
            print(f"FAILED {name}: {type(error).__name__ + ': ' if not isinstance(error, Wrong) else ''}{error}"[:3000])
        else:
            passed += 1
            print(f"passed {name}", flush=True)
    return passed, failed
