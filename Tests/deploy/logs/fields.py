"""The fields of the lines, as an index or a table sees them: one type for each name, or docs/pipelines.md says so."""

import json
import os
import re
import sys

from sandbox import ROOT

sys.path.insert(0, os.path.join(ROOT, "Tests", "schema"))

import promises  # noqa: E402

TESTS = []


def test(body):
    TESTS.append(body)
    return body


def types(node, path, found):
    """Adds the type of each field below a resolved schema. What is in a list counts as what stands there alone."""
    if "items" in node:
        types(node["items"], path, found)
        return
    branches = node.get("oneOf", [])
    for branch in branches:
        types(branch, path, found)
    if path and not branches:
        values = node.get("enum", [node["const"]] if "const" in node else [])
        own = {node["type"]} if "type" in node else {
            {str: "string", bool: "boolean", int: "integer"}[type(value[0] if isinstance(value, list) else value)]
            for value in values}
        found.setdefault(path.lstrip("."), set()).update(own)
    for name, field in node.get("properties", {}).items():
        types(field, f"{path}.{name}", found)


@test
def fields_have_one_type_or_the_page_says_so(context):
    with open(os.path.join(ROOT, "docs", "nattrace.schema.json")) as file:
        found = {}
        types(promises.resolved(json.load(file)), "", found)
    context.check(len(found) > 150 and all(found.values()), f"{len(found)} fields, "
                  f"without a type: {[name for name, own in found.items() if not own]}")
    several = {name for name, own in found.items() if len(own) > 1}
    with open(os.path.join(ROOT, "docs", "pipelines.md")) as file:
        section = file.read().split("have not the same type everywhere", 1)[1].split("\n\n", 2)[1]
    told = {f"{match[2]}.{match[1]}" if match[2] else match[1]
            for match in re.finditer(r"^\| `([\w.]+)`(?: in `([\w.]+)`)? \|", section, re.M)}
    context.check(several == told, f"of several types are {sorted(several)}, the page says {sorted(told)}")


@test
def values_that_may_grow_are_told(context):
    """Each field that the schema marks open stands in docs/compatibility.md."""
    with open(os.path.join(ROOT, "docs", "nattrace.schema.json")) as file:
        whole = promises.resolved(json.load(file))
    with open(os.path.join(ROOT, "docs", "compatibility.md")) as file:
        page = file.read()
    table = page.split("| field | why it is open |", 1)[1].split("\n\n", 1)[0]
    names = set()
    for path, node in promises.places(whole):
        if promises.is_open(node):
            fields = [path[index + 1] for index, key in enumerate(path[:-1]) if key == "properties"]
            names.add(fields[-1] if fields else "event.dataset")
    context.check(len(names) > 8, f"only {names} are marked open")
    for name in names - {"event.dataset", "version", "verdicts", "evidence"}:
        context.check(re.search(rf"`(?:[\w.]+\.)?{name}`", table),
                      f"{name} may grow, and compatibility.md does not say so")
    for name in ("`event.dataset`", "`ecs.version`", "`nattrace.verdicts`", "`nattrace.evidence`"):
        context.check(name in page, f"{name} may grow, and compatibility.md does not say so")
