"""Vector and Fluent Bit: what can be known of their files without them. They are no packages of Debian or PyPI.

Each option is one that their references have, as read in November 2026 and listed here, and each component is fed by
one that there is. That they do what is meant was not seen.
"""

import copy
import os

import yaml

from sandbox import DEPLOY

TESTS = []

# https://vector.dev/docs/reference/configuration/: sources, transforms, sinks. Of those that are used here.
VECTOR = {
    "sources": {
        "journald": {"batch_size", "current_boot_only", "data_dir", "emit_cursor", "exclude_matches", "exclude_units",
                     "extra_args", "include_matches", "include_units", "journal_directory", "journal_namespace",
                     "journalctl_path", "since_now"},
        "stdin": {"decoding", "framing", "host_key", "max_length"},
    },
    "transforms": {
        "remap": {"drop_on_abort", "drop_on_error", "file", "files", "metric_tag_values", "reroute_dropped", "source",
                  "timezone"},
        "route": {"reroute_unmatched", "route"},
    },
    "sinks": {
        "file": {"acknowledgements", "buffer", "compression", "encoding", "framing", "idle_timeout_secs", "path",
                 "timezone"},
    },
}
BUFFER = {"memory": {"type", "max_events", "when_full"}, "disk": {"type", "max_size", "when_full"}}

# https://docs.fluentbit.io/manual/: pipeline, and the YAML format of its configuration.
FLUENT_BIT = {
    "inputs": {
        "systemd": {"path", "max_fields", "max_entries", "systemd_filter", "systemd_filter_type", "tag", "db",
                    "db.sync", "read_from_tail", "lowercase", "strip_underscores", "threaded"},
        "stdin": {"tag", "buffer_size", "parser", "threaded"},
    },
    "filters": {
        "parser": {"match", "key_name", "parser", "preserve_key", "reserve_data", "unescape_key"},
        "grep": {"match", "regex", "exclude", "logical_op"},
        "rewrite_tag": {"match", "rule", "emitter_name", "emitter_storage.type", "emitter_mem_buf_limit"},
    },
    "outputs": {"file": {"match", "path", "file", "format", "mkdir", "workers"}},
}
PARSER = {"name", "format", "time_key", "time_format", "time_keep", "time_offset", "types", "skip_empty_values"}
SERVICE = {"flush", "grace", "daemon", "log_level", "parsers_file"}


def test(body):
    TESTS.append(body)
    return body


def load(name):
    with open(os.path.join(DEPLOY, name)) as file:
        return yaml.safe_load(file)


def in_comment(name, begin):
    """The part that a comment holds, as YAML."""
    with open(os.path.join(DEPLOY, name)) as file:
        lines = file.read().splitlines()
    first = next(index for index, line in enumerate(lines) if line.startswith(f"#   {begin}"))
    last = next(index for index in range(first, len(lines)) if not lines[index].startswith("#   "))
    return yaml.safe_load("\n".join(line[4:] for line in lines[first:last]))


def vector_problems(whole):
    found = [f"there is no section {name}" for name in set(whole) - set(VECTOR)]
    outputs = set()
    for section in VECTOR:
        for name, component in whole.get(section, {}).items():
            known = VECTOR[section].get(component.get("type"))
            if known is None:
                found.append(f"{name}: no {section} of the type {component.get('type')}")
                continue
            found += [f"{name}: no option {option}" for option in set(component) - known - {"type", "inputs"}]
            found += [f"{name}: nothing is called {input}" for input in component.get("inputs", [])
                      if input not in outputs]
            if section != "sources" and not component.get("inputs"):
                found.append(f"{name}: is fed by nothing")
            buffer = component.get("buffer", {"type": "memory"})
            found += [f"{name}: no option buffer.{option}" for option in set(buffer) - BUFFER[buffer["type"]]]
            outputs |= {name} if component["type"] != "route" else {f"{name}.{route}" for route in component["route"]}
    return found


def fluent_bit_problems(whole):
    found = [f"there is no section {name}" for name in set(whole) - {"service", "parsers", "pipeline"}]
    found += [f"service: no option {option}" for option in set(whole["service"]) - SERVICE]
    for parser in whole["parsers"]:
        found += [f"parser {parser['name']}: no option {option}" for option in set(parser) - PARSER]
    tags = {component["tag"] for component in whole["pipeline"]["inputs"]}
    for section in FLUENT_BIT:
        for component in whole["pipeline"][section]:
            name, known = component["name"], FLUENT_BIT[section].get(component["name"])
            if known is None:
                found.append(f"no {section} is called {name}")
                continue
            found += [f"{name}: no option {option}" for option in set(component) - known - {"name"}]
            if section != "inputs" and component["match"] not in tags:
                found.append(f"{name}: nothing has the tag {component['match']}")
            if name == "parser" and component["parser"] not in [parser["name"] for parser in whole["parsers"]]:
                found.append(f"{name}: no parser is called {component['parser']}")
            if name == "rewrite_tag":
                rule = component["rule"].split()
                found += [] if len(rule) == 4 and rule[3] in ("true", "false") else [f"{name}: not KEY REGEX TAG KEEP"]
                tags |= {rule[2]}
    return found


@test
def vector_knows_each_option(context):
    whole = load("vector/nattrace.yaml")
    for problem in vector_problems(whole):
        context.check(False, problem)
    by_hand = copy.deepcopy(whole)
    by_hand["sources"].update(in_comment("vector/nattrace.yaml", "nattrace_journal"))
    context.check(by_hand["sources"]["nattrace_journal"]["type"] == "stdin", "the source to feed by hand is not found")
    for problem in vector_problems(by_hand):
        context.check(False, f"by hand: {problem}")
    whole["sources"]["nattrace_journal"]["namespace"] = "x"
    whole["sinks"]["nattrace_file"]["inputs"] = ["nattrace_line"]
    context.check(len(vector_problems(whole)) == 2, "wrong options and inputs are not noticed")


@test
def fluent_bit_knows_each_option(context):
    whole = load("fluent-bit/nattrace.yaml")
    for problem in fluent_bit_problems(whole):
        context.check(False, problem)
    by_hand = copy.deepcopy(whole)
    by_hand["pipeline"]["inputs"] = in_comment("fluent-bit/nattrace.yaml", "- name: stdin")
    by_hand["pipeline"]["filters"].pop(0)
    context.check(by_hand["pipeline"]["inputs"][0]["name"] == "stdin", "the input to feed by hand is not found")
    for problem in fluent_bit_problems(by_hand):
        context.check(False, f"by hand: {problem}")
    whole["pipeline"]["outputs"][1]["match"] = "nattrace_losses"
    whole["pipeline"]["filters"][0]["key"] = "MESSAGE"
    context.check(len(fluent_bit_problems(whole)) == 2, "wrong options and tags are not noticed")
