#!/usr/bin/env python3
"""Fills the field tables of docs/configuration.md from docs/accord.schema.json.

    fields.py [--check] SCHEMA PAGE

A table stands between `<!-- fields: providers.credential -->` and `<!-- end -->`. With --check nothing is written, and
the exit code is 1 when a table is old."""

import json
import re
import sys


def variants(schema):
    """What a value may be, without the variables that stand for it."""
    if "anyOf" not in schema:
        return [schema] if schema.get("$ref") != "#/$defs/variable" else []
    return [found for one in schema["anyOf"] for found in variants(one)]


def object_at(schema, path):
    for name in path:
        schema = schema["properties"][name]
        for one in variants(schema):
            one = one.get("items", one) if one.get("type") == "array" else one
            if "properties" in one:
                schema = one
    return schema


def type_of(schema):
    names = []
    for one in variants(schema):
        if "enum" in one:
            name = " \\| ".join(f"`{word}`" for word in one["enum"])
        elif one.get("$ref") == "#/$defs/file":
            name = "`{file: PATH}`"
        elif one["type"] == "integer":
            name = f"{one['minimum']} to {one['maximum']}"
        elif one["type"] == "array":
            name = "list of " + plural(one["items"])
        else:
            name = {"string": "text", "boolean": "`true` \\| `false`", "object": "mapping",
                    "number": "number"}[one["type"]]
        if name not in names:
            names.append(name)
    return ", or ".join(names)


def plural(schema):
    return {"text": "texts", "mapping": "mappings"}.get(type_of(schema), type_of(schema))


def table(schema):
    lines = ["| field | value | default | |", "|---|---|---|---|"]
    for name, field in schema["properties"].items():
        text, _, default = field["description"].partition(" Default: ")
        if name in schema.get("required", []):
            default = "required"
        elif "default" in field:
            default = "`" + json.dumps(field["default"]).strip('"') + "`"
        cells = [f"`{name}`", type_of(field), default.rstrip("."), text.replace("|", "\\|")]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main():
    arguments = [word for word in sys.argv[1:] if word != "--check"]
    with open(arguments[0], encoding="utf-8") as file:
        schema = json.load(file)
    with open(arguments[1], encoding="utf-8") as file:
        page = file.read()

    def fill(match):
        path = [] if match[1] == "accord.yaml" else match[1].split(".")
        return f"<!-- fields: {match[1]} -->\n{table(object_at(schema, path))}\n<!-- end -->"

    filled = re.sub(r"<!-- fields: (\S+) -->\n.*?<!-- end -->", fill, page, flags=re.S)
    if filled == page:
        return 0
    if "--check" in sys.argv:
        print(f"{arguments[1]}: a field table is old; tools/fields.py {' '.join(arguments)}")
        return 1
    with open(arguments[1], "w", encoding="utf-8") as file:
        file.write(filled)
    return 0


sys.exit(main())
