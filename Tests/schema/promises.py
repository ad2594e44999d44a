"""What a schema promises to who reads the lines, and whether a later one keeps it (docs/compatibility.md).

A reader was written against the older schema. It knows the fields, their types, what is always there and which values
there are; it passes over fields that it does not know. So a later schema may add fields, and values where the older one
is marked open (`"$comment": "open: ..."`). Anything else that lets a line through which the older one refused is a
broken promise, and so is a value that is told no more. What this does not know how to judge counts as broken.
"""

import copy

ANNOTATIONS = {"$schema", "$id", "$comment", "$defs", "title", "description"}
# Keywords that have to stay as they are.
FIXED = ("type", "pattern", "format", "allOf", "if", "then", "else")
LOWER_BOUNDS = ("minimum", "minLength", "minItems", "minProperties")
JUDGED = {*FIXED, *LOWER_BOUNDS, "maximum", "uniqueItems", "properties", "required", "additionalProperties",
          "propertyNames", "items", "enum", "const", "oneOf", "anyOf"}


def resolved(schema):
    """The schema with what each $ref points to in its place. What stands beside the $ref is kept."""
    def walk(node, within):
        if isinstance(node, list):
            return [walk(item, within) for item in node]
        if not isinstance(node, dict):
            return node
        node = dict(node)
        if reference := node.pop("$ref", None):
            if reference in within:
                raise ValueError(f"{reference} contains itself")
            target = schema["$defs"][reference.removeprefix("#/$defs/")]
            node = {**target, **node}
            within = (*within, reference)
        # A field may be called as a keyword is: names of fields are no keywords.
        return {key: ({name: walk(value, within) for name, value in node[key].items()} if key == "properties"
                      else walk(node[key], within)) for key in node if key != "$defs"}
    return walk(schema, ())


def is_open(node):
    return str(node.get("$comment", "")).startswith("open")


def kind(branch):
    """What tells one branch of a oneOf from the others: the data set of a line, the kind of an evidence."""
    own = branch.get("properties", {})
    dataset = own.get("event", {}).get("properties", {}).get("dataset", {})
    return dataset.get("const") or own.get("kind", {}).get("const")


def broken(old, new):
    """The promises of one resolved schema that another one breaks, a sentence each."""
    found = []
    _compare(old, new, "", lambda path, what: found.append(f"{path.lstrip('.') or 'a line'}: {what}"))
    return found


def _compare(old, new, path, say):
    if not isinstance(old, dict) or not isinstance(new, dict):
        if old != new:
            say(path, "cannot be judged")
        return
    for key in sorted((set(old) | set(new)) - ANNOTATIONS - JUDGED):
        say(path, f"the keyword {key} cannot be judged")
    for key in FIXED:
        if key in old and bare(old[key]) != bare(new.get(key)):
            say(path, f"{key} was {old[key]}, is {new.get(key)}")
    for key in LOWER_BOUNDS:
        if key in old and new.get(key, float("-inf")) < old[key]:
            say(path, f"{key} was {old[key]}, is {new.get(key)}")
    if "maximum" in old and new.get("maximum", float("inf")) > old["maximum"]:
        say(path, f"maximum was {old['maximum']}, is {new.get('maximum')}")
    if old.get("uniqueItems") and not new.get("uniqueItems"):
        say(path, "may have items twice")
    _compare_values(old, new, path, say)
    for name, field in old.get("properties", {}).items():
        if name not in new.get("properties", {}):
            say(f"{path}.{name}", "was taken away")
        else:
            _compare(field, new["properties"][name], f"{path}.{name}", say)
    for name in old.get("required", []):
        if name not in new.get("required", []):
            say(f"{path}.{name}", "is no longer always there")
    for key, place in (("items", "[]"), ("propertyNames", "{name}")):
        if key in old:
            _compare(old[key], new.get(key), path + place, say)
    if "additionalProperties" in old:
        _compare(old["additionalProperties"], new.get("additionalProperties"), path + "{value}", say)
    for key in ("oneOf", "anyOf"):
        if key in old:
            _compare_branches(old, new, key, path, say)


def _values(node):
    return node.get("enum", [node["const"]] if "const" in node else None)


def _compare_values(old, new, path, say):
    before, now = _values(old), _values(new)
    if is_open(new) and not is_open(old):
        say(path, "was closed, is open")
    if before is None:
        return
    if now is None:
        say(path, "may be anything now")
        return
    # A version that is a constant of each schema grows with it.
    if is_open(old) and "const" in old:
        return
    for value in before:
        if value not in now:
            say(path, f"the value {value} was taken away")
    for value in now:
        if value not in before and not is_open(old):
            say(path, f"the value {value} is new, and the values are closed")


def _compare_branches(old, new, key, path, say):
    before, now = old[key], new.get(key, [])
    if any(kind(branch) is None for branch in before):
        if bare(before) != bare(now):
            say(path, f"{key} cannot be judged")
        return
    now = {kind(branch): branch for branch in now}
    for branch in before:
        if kind(branch) not in now:
            say(path, f"the kind {kind(branch)} was taken away")
        else:
            _compare(branch, now.pop(kind(branch)), f"{path}[{kind(branch)}]", say)
    for name in now:
        if not is_open(old):
            say(path, f"the kind {name} is new, and the kinds are closed")


def bare(node):
    """A resolved schema without what only people read."""
    if isinstance(node, list):
        return [bare(item) for item in node]
    if not isinstance(node, dict):
        return node
    return {key: ({name: bare(field) for name, field in value.items()} if key == "properties" else bare(value))
            for key, value in node.items() if key not in ANNOTATIONS or key == "$comment" and is_open(node)}


def version(schema):
    """(major, minor), from the end of the $id."""
    major, minor = schema["$id"].rpartition(":")[2].split(".")
    return int(major), int(minor)


def verdicts(old, new):
    """All that is wrong with publishing `new` after `old`; both as they stand in their files."""
    before, now = resolved(old), resolved(new)
    found = broken(before, now)
    if version(new) < version(old):
        found.append(f"the version goes back, from {old['$id']} to {new['$id']}")
    elif bare(before) != bare(now) and version(new) == version(old):
        found.append(f"something was added, and the version is still that of {old['$id']}")
    start = now.get("oneOf", [{}])[0].get("properties", {}).get("nattrace", {}).get("properties", {}).get("schema")
    if start and "{}.{}".format(*version(new)) != start["properties"]["version"]["const"]:
        found.append("nattrace.schema.version is not the version of the $id")
    return found


def places(node, path=()):
    """Each schema within a resolved one, with the keys that lead to it; not within conditions, which are one whole."""
    yield path, node
    for name, field in node.get("properties", {}).items():
        yield from places(field, (*path, "properties", name))
    for key in ("items", "propertyNames", "additionalProperties"):
        if isinstance(node.get(key), dict):
            yield from places(node[key], (*path, key))
    for key in ("oneOf", "anyOf"):
        for index, branch in enumerate(node.get(key, [])):
            yield from places(branch, (*path, key, index))


def changed(schema, path, change):
    """A copy in which `change` was done to one place."""
    whole = copy.deepcopy(schema)
    place = whole
    for key in path:
        place = place[key]
    change(place)
    return whole
