"""What a caller must get and a provider must have got, given both their dialects."""

from .callers import CALLER
from .scenarios import in_order_of_calls
from .upstreams import PROVIDER


def answer_problems(caller, entry, answer):
    """How an answer differs from what the provider said, as far as both dialects have words for it."""
    plan, provider, here = entry.plan, PROVIDER[entry.dialect], CALLER[caller]
    found = []

    def same(what, got, wanted):
        if got != wanted:
            found.append(f"{what}: {short(got)} in place of {short(wanted)}")
    thinking = plan.thinking if plan.thinking and provider.shows(entry.ask) else ""
    if plan.finish == "refusal":
        same("text", answer.text + answer.refusal, plan.text)
        if caller == "anthropic.messages":
            same("finish", answer.finish, "refusal")
    elif plan.calls and plan.text and "cohere.chat" in (caller, entry.dialect):
        # Its plan of the tools may count as thinking.
        same("text and thinking", answer.text + answer.thinking, plan.text + thinking)
    else:
        same("text", answer.text, plan.text)
        same("thinking", answer.thinking, thinking)
    same("calls", [(c["name"], c["args"]) for c in answer.calls],
         [(name, args) for name, args in plan.calls])
    if plan.finish != "refusal":
        said = plan.finish if plan.finish in provider.finishes else "stop"
        same("finish", answer.finish, here.finishes[said])
    no_output = plan.finish == "filter" and not plan.text and entry.dialect == "gemini.generate"
    for name in ("input", "output", "cache_read", "reasoning"):
        if name in here.tells:
            told = name in provider.tells and not (no_output and name != "input")
            same(f"usage.{name}", answer.usage.get(name), getattr(plan, name) if told else 0)
    return found


def short(value):
    text = repr(value)
    return text if len(text) < 300 else f"{text[:200]}...({len(text)})...{text[-80:]}"


def turns_of(ask):
    """(role, what was said): turns of one role are one, texts are joined, line ends set aside (a dialect
    whose content is one text joins parts by them)."""
    found = []
    for role, parts in ask.turns:
        text = "".join(p["text"] for p in parts if p["kind"] == "text").replace("\n", "")
        if found and found[-1][0] == role:
            found[-1] = (role, found[-1][1] + text)
        else:
            found.append((role, text))
    return [t for t in found if t[1]]


def results_of(ask):
    """The results in the order of their calls, as (name, arguments of the call, text)."""
    calls = {c["id"]: c for c in ask.parts("call")}
    return [(calls[r["id"]]["name"], calls[r["id"]]["args"],
             "".join(p["text"] for p in r["parts"] if p["kind"] == "text").strip())
            for r in in_order_of_calls(ask, ask.parts("result"))]


def request_problems(ask, entry):
    """How what arrived differs from what was asked: the conversation and the tools, which any dialect
    can say."""
    found = []

    def same(what, got, wanted):
        if got != wanted:
            found.append(f"{what}: {short(got)} in place of {short(wanted)}")
    if entry.fault:
        return [f"{entry.dialect} refused the request: {entry.fault}; {entry.request.body[:700]!r}"]
    same("system", entry.ask.system, ask.system)
    if not any(p["kind"] == "raw" for _, parts in ask.turns for p in parts):
        same("turns", turns_of(entry.ask), turns_of(ask))
        same("calls", [(c["name"], c["args"]) for c in entry.ask.parts("call")],
             [(c["name"], c["args"]) for c in ask.parts("call")])
        same("results", results_of(entry.ask), results_of(ask))
        same("images", [p.get("data") for p in entry.ask.parts("image")],
             [p.get("data") for p in ask.parts("image")])
    same("tools", [(t["name"], t["description"]) for t in entry.ask.tools],
         [(t["name"], t["description"]) for t in ask.tools])
    for got, wanted in zip(entry.ask.tools, ask.tools):
        same(f"parameters of {wanted['name']}", sorted((got["schema"] or {}).get("properties", {})),
             sorted(wanted["schema"]["properties"]))
    return found
