"""Single features: what is asked, and how one sees at the provider that it arrived."""

from .form import Ask
from .scenarios import (HARD_SCHEMA, PDF, PNG, SCHEMA, TOOLS, WAV, WEATHER, history_of_tools, simple)
from .upstreams import PROVIDER

STRICT_TOOL = {"name": "get_weather", "description": "Tells the weather", "strict": True, "schema": {
    **WEATHER, "properties": {"city": {"type": "string"}}, "additionalProperties": False}}
PIXEL = "/lab/pixel.png"  # at the lab's own server
WHISPER = "Whisper from now on."


def plain(name, value, **more):
    """A member of the form that must arrive as it is."""
    return (lambda dialect: simple("text", **{name: value}, **more),
            lambda seen, dialect: getattr(seen, name) == value)


def thinks(seen, dialect):
    return seen.effort not in (None, "none")


def silent(seen, dialect):
    """Off: Anthropic's models do not think unless they are asked to."""
    return seen.effort == "none" or seen.effort is None and dialect in ("anthropic.messages",
                                                                        "bedrock.converse")


def shows(seen, dialect):
    return PROVIDER[dialect].shows(seen)


def has_part(kind, member, value):
    def there(seen, dialect):
        return any(p.get(member) == value for p in seen.parts(kind))
    return there


def same_pixel(seen, dialect):
    """By its address, or fetched on the way."""
    return any(p.get("url", "").endswith(PIXEL) or p.get("data") == PNG for p in seen.parts("image"))


def properties(names):
    def there(seen, dialect):
        return set((seen.schema or {}).get("properties", {})) == set(names)
    return there


def choice(value):
    return plain("choice", value, tools=TOOLS)


def just_one(seen, dialect):
    """By its name, or as the only one there is."""
    return seen.choice == "tool:get_weather" or \
        seen.choice == "any" and [t["name"] for t in seen.tools] == ["get_weather"]


def tier(dialect):
    word = {"anthropic.messages": "standard_only"}.get(dialect, "flex")
    return simple("text", tier=word)


def document(title):
    return simple("text", {"kind": "document", "media": "application/pdf", "data": PDF, "title": title})


# name: (title in the matrix, request by the caller's dialect, whether it arrived)
PROBES = {
    "image_url": ("image by URL", (lambda d: simple("text", {"kind": "image", "url": PIXEL}), same_pixel)),
    "document": ("document (PDF)", (lambda d: document("report"), has_part("document", "data", PDF))),
    "audio": ("audio", (lambda d: simple("text", {"kind": "audio", "format": "wav", "data": WAV}),
                        has_part("audio", "data", WAV))),
    "result_image": ("image in a tool's result", (lambda d: history_of_tools(image=True),
                                                  has_part("image", "data", PNG))),
    "result_error": ("a tool's result is an error", (
        lambda d: history_of_tools(error=True),
        lambda seen, d: any(p["error"] for p in seen.parts("result")))),
    "late_system": ("instructions amid the conversation", (
        lambda d: late_system(), lambda seen, d: WHISPER in seen.system or any(
            p.get("text") and WHISPER in p["text"] for _, parts in seen.turns for p in parts))),
    "tool_strict": ("strict tools", (lambda d: simple("text", tools=[STRICT_TOOL]),
                                     lambda seen, d: bool(seen.tools and seen.tools[0].get("strict")))),
    "choice_any": ("a tool must be called", choice("any")),
    "choice_none": ("no tool may be called", (
        lambda d: simple("text", choice="none", tools=TOOLS),
        lambda seen, d: seen.choice == "none" or not seen.tools)),
    "choice_tool": ("one tool must be called", (
        lambda d: simple("text", choice="tool:get_weather", tools=TOOLS), just_one)),
    "parallel_off": ("one tool call at a time", plain("parallel", False, tools=TOOLS)),
    "schema": ("JSON Schema for the answer", (lambda d: simple("text", schema=SCHEMA),
                                              properties(SCHEMA["properties"]))),
    "hard_schema": ("... with $ref, const, anyOf", (lambda d: simple("text", schema=HARD_SCHEMA),
                                                    properties(HARD_SCHEMA["properties"]))),
    "json": ("any JSON for an answer", plain("json", True)),
    "effort": ("effort of thinking", (lambda d: simple("text", effort="high", max_tokens=30000), thinks)),
    "budget": ("budget of thinking", (
        lambda d: simple("text", effort=("budget", 3000), max_tokens=30000), thinks)),
    "effort_none": ("thinking off", (lambda d: simple("text", effort="none"), silent)),
    "show_thinking": ("thinking is shown", (
        lambda d: simple("text", effort="medium", show_thinking=True, max_tokens=30000), shows)),
    "max_tokens": ("longest answer", plain("max_tokens", 512)),
    "stop": ("stop sequences", plain("stop", ["three", "\u00fc\n"])),
    "temperature": ("temperature", plain("temperature", 0.7)),
    "hot": ("temperature above 1", plain("temperature", 1.7)),
    "top_p": ("top p", plain("top_p", 0.9)),
    "top_k": ("top k", plain("top_k", 40)),
    "seed": ("seed", plain("seed", 7)),
    "presence": ("presence penalty", plain("presence", 0.5)),
    "frequency": ("frequency penalty", plain("frequency", 0.25)),
    "n": ("several answers", plain("n", 2)),
    "logprobs": ("log probabilities", (lambda d: simple("text", logprobs=3),
                                       lambda seen, d: bool(seen.logprobs))),
    "logit_bias": ("logit bias", plain("logit_bias", {"50256": -100})),
    "verbosity": ("verbosity", plain("verbosity", "low")),
    "end_user": ("end user", plain("end_user", "user-7")),
    "metadata": ("metadata", plain("metadata", {"trace": "seven"})),
    "tier": ("service tier", (tier, lambda seen, d: seen.tier is not None)),
    "cache_key": ("prompt cache key", plain("cache_key", "conversation-7")),
    "cache_marks": ("prompt cache marks", (lambda d: simple("text", system="Long.", cache_marks=1),
                                           lambda seen, d: seen.cache_marks > 0)),
    "store": ("store", plain("store", True)),
}

# The scenarios of test_matrix.py, in the same words.
TITLES = {
    "text": "text", "long": "a text of 200 kB", "unicode": "Unicode, cut at every byte",
    "system": "instructions",
    "turns": "several turns", "one_tool": "a tool call", "parallel_tools": "parallel tool calls",
    "no_arguments": "a call without arguments", "odd_arguments": "arguments of all kinds",
    "tool_loop": "results of tools", "history": "tool calls of other programs", "image": "image",
    "structured": "structured output", "thinking": "thinking in the answer",
    "thinking_tools": "thinking ahead of tool calls", "thinking_back": "thinking sent back",
    "thinking_elsewhere": "... but to its issuer only", "stop_sequence": "stopped at a stop sequence",
    "length": "stopped at the longest length", "filter": "stopped by a content filter",
    "blocked": "blocked at once", "refusal": "the model refuses", "usage": "usage, cached and reasoning",
    "error_400": "error: bad request", "error_401": "error: key", "error_429": "error: rate, and when again",
    "error_500": "error: server", "error_overloaded": "error: overloaded",
    "error_context": "error: context too long", "error_in_stream": "an error amid a stream",
    "cut": "an answer that is cut", "strict": "accord-loss: strict",
}


def late_system():
    ask = Ask().user("Hello!").assistant("Hello.")
    ask.turns.append(("system", [{"kind": "text", "text": WHISPER}]))
    return ask.user("scenario: text")


def title_of(name):
    return PROBES[name][0]


def ask_of(name, dialect, url):
    """The request; `url` is where the lab's server is."""
    ask = PROBES[name][1][0](dialect)
    for part in ask.parts("image"):
        if "url" in part:
            part["url"] = url + part["url"]
    return ask


def arrived(name, seen, dialect):
    return PROBES[name][1][1](seen, dialect)
