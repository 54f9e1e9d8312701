"""What is asked and what is answered, scenario by scenario, without any dialect."""

import json
import re
from dataclasses import replace

from .form import Ask, Plan

HELLO = "Bonjour, \u00e9l\u00e8ve \U0001f600. What can I do?"
LONG = "".join(f"Line {i}: the quick brown fox \u2014 \u00fcber den Zaun.\n" for i in range(4300))
# Escapes of every kind, the astral plane, joined emoji, marks that combine, what looks like framing.
ODD = ("quote \" back \\ slash / tab \t line \n return \r nul-like \u0001\u001f del \u007f "
       "\u00e9\u0301 \u4e2d\u6587 \u0627\u0644\u0639 \U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 "
       "\U00010348 \u2028\u2029 \ufeff data: [DONE] \\u0041 \\n {\"a\":1} </script> \uffff\U0010ffff end")
PNG = ("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNkYPhfDwAChwGA60e6kgAA"
       "AABJRU5ErkJggg==")
WAV = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA="
PDF = "JVBERi0xLjQKJcfsj6IKMSAwIG9iago8PD4+CmVuZG9iagp0cmFpbGVyCjw8Pj4KJSVFT0YK"

WEATHER = {"type": "object", "properties": {
    "city": {"type": "string", "description": "A city"},
    "days": {"type": "integer", "minimum": 1}}, "required": ["city"]}
TOOL_WEATHER = {"name": "get_weather", "description": "Tells the weather", "schema": WEATHER}
TOOL_TIME = {"name": "get_time", "description": "Tells the time",
             "schema": {"type": "object", "properties": {}}}
TOOLS = [TOOL_WEATHER, TOOL_TIME]
SCHEMA = {"type": "object", "properties": {
    "city": {"type": "string"}, "days": {"type": "array", "items": {"type": "integer"}},
    "wind": {"type": "string", "enum": ["calm", "strong"]}},
    "required": ["city", "days", "wind"], "additionalProperties": False}
HARD_SCHEMA = {"type": "object", "properties": {
    "root": {"$ref": "#/$defs/node"}, "kind": {"const": "tree"},
    "size": {"anyOf": [{"type": "integer"}, {"type": "null"}]}},
    "required": ["root", "kind", "size"], "additionalProperties": False,
    "$defs": {"node": {"type": "object", "properties": {"name": {"type": "string"}},
                       "required": ["name"], "additionalProperties": False}}}
ODD_ARGUMENTS = {"city": "M\u00fcnchen \"\\/\n\U0001f600", "days": 3, "list": [1, 2.5, True, None, {}],
                 "big": 12345678901234567890, "deep": {"a": {"b": [[], [""]]}}}
OSLO, PARIS = {"city": "Oslo", "days": 2}, {"city": "Paris"}
STRUCTURED = json.dumps({"city": "Oslo", "days": [1, 2], "wind": "calm"})
THOUGHT = "The user wants to know; \u2014 think \u00e9\U0001f600 \"hard\"."

PLANS = {
    "text": Plan(text=HELLO),
    "long": Plan(text=LONG),
    "unicode": Plan(text=ODD, bytewise=True),
    "system": Plan(text=HELLO),
    "turns": Plan(text=HELLO),
    "one_tool": Plan(text="Let me look.", calls=[("get_weather", OSLO)], finish="tools"),
    "parallel_tools": Plan(calls=[("get_weather", OSLO), ("get_time", {}), ("get_weather", PARIS)],
                           finish="tools"),
    "no_arguments": Plan(calls=[("get_time", {})], finish="tools"),
    "odd_arguments": Plan(calls=[("get_weather", ODD_ARGUMENTS)], finish="tools", bytewise=True),
    "image": Plan(text="A red pixel."),
    "structured": Plan(text=STRUCTURED),
    "hard_schema": Plan(text='{"root":{"name":"a"},"kind":"tree","size":null}'),
    "thinking": Plan(text=HELLO, thinking=THOUGHT, signed=True, reasoning=11),
    "thinking_tools": Plan(thinking=THOUGHT, calls=[("get_weather", OSLO), ("get_time", {})],
                           finish="tools", signed=True, reasoning=11, bytewise=True),
    "thinking_back": Plan(text="I remember."),
    "stop_sequence": Plan(text="one two", finish="sequence"),
    "length": Plan(text="Once upon a", finish="length"),
    "filter": Plan(text="I would", finish="filter"),
    "blocked": Plan(finish="filter"),
    "refusal": Plan(text="I cannot help with that.", finish="refusal"),
    "usage": Plan(text=HELLO, input=157, output=43, cache_read=100, reasoning=20),
    "error_400": Plan(error="bad"),
    "error_401": Plan(error="auth"),
    "error_429": Plan(error="rate"),
    "error_500": Plan(error="server"),
    "error_overloaded": Plan(error="overloaded"),
    "error_context": Plan(error="context"),
    "broken": Plan(text=HELLO, breaks="error"),
    "cut": Plan(text=HELLO * 3, breaks="cut"),
    "cut_tools": Plan(calls=[("get_weather", OSLO)], finish="tools", breaks="cut"),
}


# What test_masked.py asks for: models that write tokens, and what is found in what they write.
WRITTEN = {
    "tokens": Plan(text="\u00e9 Write to [EMAIL_1], [email_1] or [EMAIL\\_1]; call [PHONE_1], not [EMAIL_9] [EMA.",
                   bytewise=True),
    "token_calls": Plan(text="[EMAIL_1]", calls=[("get_weather", {"city": "[EMAIL_1] \"[PHONE_1]\"", "days": 2})],
                        finish="tools", bytewise=True),
    "token_thoughts": Plan(text="[EMAIL_1]!", thinking="Is it [EMAIL_1]?", signed=True, reasoning=11, bytewise=True),
    "writes": Plan(text="Ask eve@example.net or 4111 1111 1111 1111 today.", bytewise=True),
    "write_calls": Plan(calls=[("get_weather", {"city": "eve@example.net", "days": 2})], finish="tools"),
    "iban": Plan(text="Pay to DE89 3704 0044 0532 0130 00 at once."),
}


def plan_for(ask):
    """What the provider is to say: the scenario named in the last text of the user; after results of tools it
    tells what they were, in the order of the calls."""
    results = ask.last_results()
    if results:
        return Plan(text="Results: " + " | ".join(
            ("ERROR " if r.get("error") else "") + "".join(
                p["text"] if p["kind"] == "text" else f"<{p['kind']}>" for p in r["parts"])
            for r in in_order_of_calls(ask, results)))
    for role, parts in reversed(ask.turns):
        for part in reversed(parts if role == "user" else []):
            found = part["kind"] == "text" and re.search(r"scenario: (\w+)", part["text"])
            if found:
                plan = {**PLANS, **WRITTEN}.get(found[1], PLANS["text"])
                # Nothing stops at a sequence that was not asked for.
                return replace(plan, finish="stop") if plan.finish == "sequence" and not ask.stop else plan
    return PLANS["text"]


def in_order_of_calls(ask, results):
    order = [c["id"] for c in ask.parts("call")]
    return sorted(results, key=lambda r: order.index(r["id"]) if r["id"] in order else 0)


def simple(name, *more, **members):
    return Ask(**members).user(f"scenario: {name}", *more)


def ask_for(name):
    """The request of a scenario; those that continue an answer are made by `after()`."""
    if name == "system":
        return simple(name, system="Answer in French. \"Always\".")
    if name == "turns":
        return (Ask(system="Be brief.").user("Hello!").assistant("Hello. What is it?")
                .user("First this.", "scenario: turns and then that"))
    if name == "long":
        return simple(name, LONG)
    if name == "unicode":
        return simple(name, ODD, system=ODD)
    if name in ("one_tool", "parallel_tools", "no_arguments", "odd_arguments", "cut_tools"):
        return simple(name, tools=TOOLS)
    if name == "image":
        return simple(name, {"kind": "image", "media": "image/png", "data": PNG})
    if name == "structured":
        return simple(name, schema=SCHEMA)
    if name == "hard_schema":
        return simple(name, schema=HARD_SCHEMA)
    if name == "thinking":
        return simple(name, effort="medium", show_thinking=True, max_tokens=4096)
    if name == "thinking_tools":
        return simple(name, effort="medium", show_thinking=True, max_tokens=4096, tools=TOOLS)
    if name == "stop_sequence":
        return simple(name, stop=["three", "\u00fc\n"])
    if name == "length":
        return simple(name, max_tokens=16)
    return simple(name)


def after(ask, answer, *parts):
    """The next turn: the answer is echoed, and the user says `parts`."""
    more = Ask(**{k: v for k, v in vars(ask).items() if k != "turns"}, turns=list(ask.turns))
    more.assistant({"kind": "raw", "value": answer.raw})
    return more.user(*parts)


def result(call, *parts, error=False):
    return {"kind": "result", "id": call["id"], "name": call["name"], "error": error,
            "parts": [p if isinstance(p, dict) else {"kind": "text", "text": p} for p in parts]}


def history_of_tools(ids=("call_A1b2C3d4E", "call_Z9y8X7w6V"), error=False, image=False):
    """Two calls and their results, as another program wrote them down; the results stand in reverse. Without
    `ids` they have none on the wire, and callers put the results in the order of the calls."""
    unnamed, ids = not ids, ids or ("one", "two")
    calls = [{"kind": "call", "id": ids[0], "name": "get_weather", "args": OSLO},
             {"kind": "call", "id": ids[1], "name": "get_weather", "args": PARIS}]
    first = [{"kind": "image", "media": "image/png", "data": PNG}] if image else []
    ask = (Ask(tools=TOOLS, system="Be brief.").user("scenario: text").assistant("I look.", *calls)
           .user(result(calls[1], "18 degrees", error=error), result(calls[0], "21 degrees", *first)))
    for part in [*calls, *ask.parts("result")]:
        part["unnamed"] = unnamed
    return ask
