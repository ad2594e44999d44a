"""Exit statuses after sysexits, and errors that are one line: what was asked, and what to do."""

import os

from harness.scenario import program_test

USAGE, NO_INPUT, CANNOT_MAKE, CANNOT_WRITE, NOT_PERMITTED = 64, 66, 73, 74, 77
NOBODY = ("setpriv", "--reuid=65534", "--regid=65534", "--clear-groups")


def ended(s, program, status, names=(), one_line=True):
    """The status, and on stderr what is meant, in one line and without escape sequences."""
    asked = " ".join(program.arguments)
    words = program.words.strip()
    s.check(program.status == status, f"`{asked}` ended with {program.status}, expected {status}")
    s.check(bool(words), f"`{asked}` says nothing on stderr")
    for name in names:
        s.check(name in words, f"`{asked}` does not name {name!r} on stderr")
    s.check("\x1b" not in words, f"`{asked}` sends escape sequences to a stderr that is no terminal")
    if one_line:
        s.check(len(words.splitlines()) == 1, f"`{asked}`: the error is not one line: {words!r}")


@program_test(variants={
    "unknown-option": (["--no-such-option"], "--no-such-option"),
    "unknown-word": (["no-such-command"], "no-such-command"),
    "port-zero": (["--dport", "0"], "0"),
    "port-too-large": (["--dport", "70000"], "70000"),
    "port-word": (["--sport", "http"], "http"),
    "port-range-backwards": (["--port", "90-80"], "90-80"),
    "address": (["--daddr", "10.0.0.256"], "10.0.0.256"),
    "prefix": (["--saddr", "10.0.0.0/33"], "10.0.0.0/33"),
    "prefix-ipv6": (["--addr", "fd00::/129"], "fd00::/129"),
    "duration": (["--duration", "soon"], "soon"),
    "count": (["--count", "0"], "0"),
    "backend": (["--backend", "magic"], "magic"),
    "verdict": (["--verdict", "bad_weather"], "bad_weather"),
    "color": (["--color", "blue"], "blue"),
    "replay-of-nothing": (["replay"], ""),
})
def usage(s):
    arguments, named = s.variant
    program = s.run(*arguments)
    ended(s, program, USAGE, [named] if named else [], one_line=False)
    s.check(not program.stdout, f"a usage error goes to stderr, stdout has {program.stdout[:80]!r}")


@program_test()
def replay_of_missing_file(s):
    path = s.file("missing")
    program = s.run("replay", path, "--json")
    ended(s, program, NO_INPUT, [path])
    s.check(not program.stdout, f"stdout has {program.stdout[:80]!r}")


@program_test(variants={"json": "json", "record": "record"})
def full_disk(s):
    """A record file or a stdout that takes no data: one line says so, and it is the last."""
    if s.variant == "record":
        program = s.run("--json", "--dport", s.port, "--duration", "1s", "--record", "/dev/full")
    else:
        with open("/dev/full", "wb") as full:
            program = s.run("--json", "--dport", s.port, "--duration", "1s", stdout=full)
    ended(s, program, CANNOT_WRITE, one_line=False)
    words = program.words.splitlines()
    for word in words:
        s.check(word.startswith("nattrace: "), f"not the program's own words: {word!r}")
    errors = [word for word in words if "cannot" in word and "writ" in word]
    s.check(len(errors) == 1 and words[-1:] == errors, f"not one error line, at the end: {words}")
    named = {"record": "/dev/full", "json": "standard output"}[s.variant]
    s.check(all(named in error for error in errors), f"the error does not name {named}: {errors}")


@program_test(variants={"missing-directory": "no-such-directory/recording", "directory": "."})
def record_to_impossible_place(s):
    """Said before anything is traced."""
    path = s.file(s.variant)
    program = s.run("--json", "--dport", s.port, "--duration", "5s", "--record", path)
    ended(s, program, CANNOT_MAKE, [path])
    s.check("tracing" not in program.words, "it says `tracing` although it cannot record")


@program_test()
def without_privilege(s):
    program = s.run("--json", "--dport", s.port, path=s.temporary_program(),
                    wrapper=(*NOBODY, "--inh-caps=-all", "--bounding-set=-all"))
    ended(s, program, NOT_PERMITTED, ["CAP_BPF"])
    s.check(not program.stdout, f"stdout has {program.stdout[:80]!r}")


@program_test()
def with_one_capability_only(s):
    """With CAP_BPF alone the error names the capability that is still missing."""
    program = s.run("--json", "--dport", s.port, path=s.temporary_program(),
                    wrapper=(*NOBODY, "--inh-caps=-all,+bpf", "--ambient-caps=-all,+bpf"))
    ended(s, program, NOT_PERMITTED, ["CAP_PERFMON"])


@program_test()
def replay_without_privilege(s):
    """A replay needs none."""
    recording = s.file("recording")
    os.chmod(os.path.dirname(recording), 0o755)
    live = s.run("--json", "--dport", s.port, "--duration", "1s", "--record", recording)
    s.check(live.status == 0, f"the live run ended with {live.status}")
    os.chmod(recording, 0o644)
    replay = s.run("replay", recording, "--json", path=s.temporary_program(),
                   wrapper=(*NOBODY, "--inh-caps=-all", "--bounding-set=-all"))
    s.check(replay.status == 0, f"the replay ended with {replay.status}: {replay.words.strip()}")
