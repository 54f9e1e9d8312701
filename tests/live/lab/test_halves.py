"""Each caller straight at the provider of its own dialect: both halves of the lab are strict, and agree."""

import pytest

from .callers import CALLER, Place
from .expect import answer_problems, request_problems
from .form import signature_of
from .scenarios import PLANS, after, ask_for, history_of_tools, result
from .upstream import AWS_ACCESS, AWS_SECRET, SECRET
from .upstreams import DIALECTS, PROVIDER, Upstreams

WHOLE = [name for name, plan in PLANS.items() if not plan.error and not plan.breaks]


@pytest.fixture(scope="module")
def upstreams():
    server = Upstreams()
    yield server
    server.stop()


@pytest.fixture(params=DIALECTS)
def half(request, upstreams):
    """(caller, place, model at the provider)"""
    upstreams.clear()
    aws = request.param == "bedrock.converse"
    place = Place(upstreams.port, AWS_ACCESS if aws else SECRET, AWS_SECRET)
    return CALLER[request.param], place, PROVIDER[request.param].model


@pytest.mark.parametrize(["half", "name"], [
    (d, name) for d in DIALECTS for name in WHOLE
    if PLANS[name].finish in {*PROVIDER[d].finishes, "sequence"}], indirect=["half"])
def test_scenario(half, upstreams, name):
    caller, place, model = half
    ask = ask_for(name)
    whole = caller.send(place, ask, model)
    assert request_problems(ask, upstreams.last) == []
    if name != "refusal" or caller.dialect != "openai.chat":
        assert answer_problems(caller.dialect, upstreams.last, whole) == []
    stream = caller.send(place, ask, model, stream=True)
    assert request_problems(ask, upstreams.last) == []
    assert stream.said() == whole.said()


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["error_400", "error_401", "error_429", "error_500", "error_overloaded",
                                  "error_context"])
def test_error(half, upstreams, name, stream):
    caller, place, model = half
    answer = caller.send(place, ask_for(name), model, stream)
    assert answer.status >= 400 and answer.error["message"], answer
    assert not upstreams.last.fault


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
@pytest.mark.parametrize("name", ["broken", "cut", "cut_tools"])
def test_break(half, name, stream):
    caller, place, model = half
    answer = caller.send(place, ask_for(name), model, stream) if stream or name != "broken" else None
    assert answer is None or not answer.finish and (answer.error or not answer.clean), answer


@pytest.mark.parametrize("name", ["parallel_tools", "thinking_tools"])
@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_tool_loop(half, upstreams, name, stream):
    caller, place, model = half
    ask = ask_for(name)
    first = caller.send(place, ask, model, stream)
    more = after(ask, first, *[result(c, f"result {i}") for i, c in enumerate(first.calls)])
    second = caller.send(place, more, model, stream)
    assert upstreams.last.fault == ""
    assert second.text == "Results: " + " | ".join(f"result {i}" for i in range(len(first.calls)))


@pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
def test_thinking_comes_back(half, upstreams, stream):
    caller, place, model = half
    ask = ask_for("thinking")
    first = caller.send(place, ask, model, stream)
    signed = PROVIDER[caller.dialect].signs
    assert first.signatures == ([signature_of(caller.dialect)] if signed else [])
    caller.send(place, after(ask, first, "scenario: thinking_back"), model, stream)
    assert upstreams.last.fault == ""
    assert [p["signature"] for role, parts in upstreams.last.ask.turns for p in parts
            if p.get("signature")] == first.signatures


def test_history(half, upstreams):
    caller, place, model = half
    ask = history_of_tools(None if caller.dialect in ("gemini.generate", "ollama.chat") else ("a1", "b2"))
    answer = caller.send(place, ask, model)
    assert request_problems(ask, upstreams.last) == []
    assert answer.text == "Results: 21 degrees | 18 degrees"


@pytest.mark.parametrize("half", [d for d in DIALECTS if PROVIDER[d].signs], indirect=True)
def test_foreign_signatures_are_refused(half, upstreams):
    """The lab's providers must notice, or the tests of pairs prove nothing."""
    caller, place, model = half
    other = next(d for d in ("anthropic.messages", "gemini.generate") if d != caller.dialect)
    ask = ask_for("thinking")
    first = caller.send(place, ask, model)
    text = str(first.raw).replace(signature_of(caller.dialect), signature_of(other))
    first.raw = eval(text, {})
    answer = caller.send(place, after(ask, first, "scenario: thinking_back"), model)
    assert answer.status == 400 and "invalid signature" in answer.error["message"], answer


def test_wrong_keys_are_refused(half, upstreams):
    caller, place, model = half
    answer = caller.send(Place(place.port, "wrong", "wrong"), ask_for("text"), model)
    assert answer.status in (400, 401, 403) and upstreams.last.fault
