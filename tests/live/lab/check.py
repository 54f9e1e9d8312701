"""Strict checks of JSON: every member must be there, be known, and be of its type.

Used by both halves of the lab, on requests as well as on answers; what is wrong is a Fault that says where.
A kind is: a type; None (only null); a set (one of these values); [kind] (a list of them); (kind, kind)
(either); {name: kind} (an object of exactly these members); a compiled pattern (a text that fits it); a
function that takes (value, where) and raises."""

import json
import re


class Fault(Exception):
    """What a peer must not send."""

    def __init__(self, where, what):
        super().__init__(f"{where}: {what}")
        self.where, self.what = where, what


def need(condition, where, what):
    if not condition:
        raise Fault(where, what)


def _once(pairs):
    names = [name for name, _ in pairs]
    need(len(set(names)) == len(names), "body", f"a member stands there twice: {names}")
    return dict(pairs)


def loads(data, where="body"):
    """JSON as RFC 8259 has it, without doubled members or NaN."""
    def refuse(word):
        raise Fault(where, f"{word} is no JSON")
    try:
        text = data if isinstance(data, str) else data.decode("utf-8")
        value = json.loads(text, object_pairs_hook=_once, parse_constant=refuse)
    except ValueError as error:
        raise Fault(where, f"not JSON: {error}: {data[:200]!r}") from None
    # Half of a surrogate pair is no text.
    need(not re.search("[\ud800-\udfff]", json.dumps(value, ensure_ascii=False)), where,
         "holds half of a surrogate pair")
    return value


def is_of(value, kind):
    try:
        check(value, "", kind)
    except Fault:
        return False
    return True


def check(value, where, kind):
    if kind is None:
        need(value is None, where, f"must be null, is {value!r}")
    elif kind is float:
        need(isinstance(value, (int, float)) and not isinstance(value, bool), where,
             f"must be a number, is {value!r}")
    elif kind is int:
        need(isinstance(value, int) and not isinstance(value, bool), where,
             f"must be an integer, is {value!r}")
    elif isinstance(kind, type):
        need(isinstance(value, kind), where, f"must be {kind.__name__}, is {str(value)[:80]!r}")
    elif isinstance(kind, (set, frozenset)):
        need(isinstance(value, (str, int, type(None))) and value in kind, where,
             f"must be one of {sorted(kind, key=str)}, is {str(value)[:80]!r}")
    elif isinstance(kind, list):
        need(isinstance(value, list), where, f"must be a list, is {str(value)[:80]!r}")
        for i, item in enumerate(value):
            check(item, f"{where}[{i}]", kind[0])
    elif isinstance(kind, tuple):
        if not any(is_of(value, one) for one in kind):
            check(value, where, kind[-1])
    elif isinstance(kind, dict):
        shape(value, where, kind)
    elif isinstance(kind, re.Pattern):
        need(isinstance(value, str) and kind.fullmatch(value), where,
             f"must fit {kind.pattern}, is {str(value)[:80]!r}")
    else:
        kind(value, where)
    return value


def shape(value, where, must=None, may=None):
    """An object with all members of `must`, some of `may`, and no other."""
    must, may = must or {}, may or {}
    need(isinstance(value, dict), where, f"must be an object, is {str(value)[:80]!r}")
    for name in must:
        need(name in value, where, f"lacks {name}")
    for name, member in value.items():
        need(name in must or name in may, f"{where}.{name}", "unknown member")
        check(member, f"{where}.{name}", must[name] if name in must else may[name])
    return value


def between(low, high, kind=float):
    def within(value, where):
        check(value, where, kind)
        need(low <= value <= high, where, f"must lie in [{low}, {high}], is {value}")
    return within


def non_empty(value, where):
    check(value, where, str)
    need(value.strip() != "", where, "must not be blank")


def at_most(count, kind):
    def counted(value, where):
        check(value, where, [kind])
        need(len(value) <= count, where, f"at most {count}, are {len(value)}")
    return counted


def some(kind):
    def counted(value, where):
        check(value, where, [kind])
        need(value, where, "must not be empty")
    return counted


def is_json(value, where):
    """Any value."""
    del value, where


def only(value, where, names):
    """A union: an object in which exactly one of `names` stands; its name."""
    found = [name for name in names if name in value]
    need(len(found) == 1, where, f"must have exactly one of {sorted(names)}, has {sorted(value)}")
    return found[0]


def base64_bytes(value, where):
    import base64
    import binascii
    check(value, where, str)
    try:
        data = base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError):
        raise Fault(where, f"no base64: {value[:60]!r}") from None
    need(data, where, "empty data")
    return data


def object_schema(value, where):
    """A tool's parameters: a JSON Schema of an object."""
    check(value, where, dict)
    need(value.get("type") == "object", where, "the schema's type must be object")
    check(value.get("properties", {}), f"{where}.properties", dict)


def strict_schema(value, where):
    """What OpenAI demands of a schema with strict: true."""
    if isinstance(value, dict):
        if value.get("type") == "object" or "properties" in value:
            names = set(value.get("properties", {}))
            need(value.get("additionalProperties") is False, where,
                 "strict: additionalProperties must be false")
            need(set(value.get("required", [])) == names, where, "strict: all must be required")
        for name, member in value.items():
            strict_schema(member, f"{where}.{name}")
    elif isinstance(value, list):
        for i, member in enumerate(value):
            strict_schema(member, f"{where}[{i}]")
