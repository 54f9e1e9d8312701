"""All 49 pairs of a caller's dialect and an upstream's, streamed and not, through Accord."""

import re

from .callers import CALLER
from .expect import answer_problems, request_problems, short
from .form import SIGNATURE_FRONT
from .pairs import DIFFERENT, each, of_pairs
from .probes import PROBES, arrived, ask_of
from .scenarios import PLANS, after, ask_for, history_of_tools, result, simple
from .setting import limited_model_of
from .upstreams import DIALECTS, PROVIDER

WHOLE = [name for name, plan in PLANS.items() if not plan.error and not plan.breaks]
WAYS = ["whole", "stream"]
MARK = b"YWNjb3Jkc2ln"  # what Accord marks other vendors' signatures with


def is_said(pair, name):
    """Whether the upstream's dialect has a word for how it ends."""
    return PLANS[name].finish in {*PROVIDER[pair[1]].finishes, "sequence"}


@of_pairs("name", each(WHOLE), applies=is_said)
def test_scenario(pair, name):
    """The request arrives whole, the answer comes back whole, and streamed it says the same."""
    pair.about(name)
    ask, problems, answers = ask_for(name), [], []
    for stream in (False, True):
        answer = pair.send(ask, stream)
        problems += request_problems(ask, pair.last)
        if answer.error:
            problems.append(f"an error: {answer.error}")
            continue
        if not pair.same:
            problems += answer_problems(pair.pair[0], pair.last, answer)
        answers.append(answer.said())
    if len(answers) == 2 and answers[0] != answers[1]:
        problems.append(f"streamed it says {short(answers[1])} in place of {short(answers[0])}")
    pair.judge(problems, pair.dropped(answer))


@of_pairs("way name", each(WAYS, ["parallel_tools", "thinking_tools", "no_arguments"]))
def test_tool_loop(pair, name, way):
    """Calls are answered in the reverse order when they have ids, and the model is told which is which."""
    stream = way == "stream"
    pair.about("tool_loop")
    ask = ask_for(name)
    first = pair.send(ask, stream)
    assert first.calls, first
    results = [result(c, f"result {i}") for i, c in enumerate(first.calls)]
    if all(c["id"] for c in first.calls):
        results.reverse()
    second = pair.send(after(ask, first, *results), stream)
    problems = [pair.last.fault] if pair.last.fault else []
    if second.text != "Results: " + " | ".join(f"result {i}" for i in range(len(first.calls))):
        problems.append(f"the model was told {second.text!r} {second.error}")
    pair.judge(problems)


IDS = {
    "openai.chat": ("call.1:2/3+4 with".replace(" ", "_"), "call-" + "x" * 35),
    "openai.responses": ("call.1:2/3+4", "call-" + "y" * 59),
    "anthropic.messages": ("toolu_" + "z" * 58, "a-b_c"),
    "cohere.chat": ("get_weather.0@1", "get_weather " + "q" * 70),
    "bedrock.converse": ("tooluse_" + "w" * 56, "t-1"),
    "gemini.generate": None, "ollama.chat": None,
}


@of_pairs()
def test_history_with_ids_of_the_callers_own(pair):
    """Ids that are fine where they come from, and too long or of other letters where they go."""
    pair.about("history")
    ask = history_of_tools(IDS[pair.pair[0]])
    problems = []
    for _ in range(2):
        answer = pair.send(ask)
        problems += request_problems(ask, pair.last)
    if pair.entries[0].request.body != pair.entries[1].request.body:
        problems.append("the same history gave other bytes: prompt caches do not hit")
    if answer.text != "Results: 21 degrees | 18 degrees":
        problems.append(f"the model was told {answer.text!r} {answer.error}")
    pair.judge(problems, pair.dropped(answer))


@of_pairs("way", each(WAYS))
def test_thinking_comes_back_to_its_issuer(pair, way):
    """What a vendor has signed comes back to it as it was, through callers who carry signatures."""
    stream = way == "stream"
    pair.about("thinking_back")
    ask = ask_for("thinking")
    first = pair.send(ask, stream)
    assert not first.error, first.error
    # Thinking that its vendor does not sign carries a mark that only says whose it is.
    proofs = [s for s in first.signatures if not s.endswith("LQ==")]
    assert pair.same or bool(proofs) == (pair.caller.keeps and pair.provider.signs), \
        f"signatures: {first.signatures}"
    answer = pair.send(after(ask, first, "scenario: thinking_back"), stream)
    problems = [pair.last.fault] if pair.last.fault else []
    if not problems:
        signed = [p["signature"] for _, parts in pair.last.ask.turns for p in parts if p.get("signature")]
        wanted = 1 if pair.caller.keeps and pair.provider.signs else 0
        if len(signed) != wanted:
            problems.append(f"{len(signed)} signatures came back, not {wanted}: {pair.last.request.body!r}")
        if wanted and not [p for p in pair.last.ask.parts("thinking") if p.get("text")] and first.thinking \
                and pair.pair[1] != "gemini.generate":
            problems.append("the text of the thinking did not come back")
    if answer.text != "I remember.":
        problems.append(f"{answer.text!r} {answer.error}")
    pair.judge(problems, pair.dropped(answer))


@of_pairs("elsewhere", each(DIALECTS), applies=lambda pair, elsewhere: elsewhere != pair[1])
def test_thinking_goes_to_nobody_else(pair, elsewhere):
    """The conversation goes on at another vendor, which must not see what the first one signed."""
    pair.about("thinking_elsewhere")
    ask = ask_for("thinking")
    first = pair.send(ask)
    assert not first.error, first.error
    answer = pair.send(after(ask, first, "scenario: thinking_back"), upstream=elsewhere)
    entry = pair.entries[-1]
    problems = [entry.fault] if entry.fault else []
    if len(pair.entries) != 2 or entry.dialect != elsewhere:
        problems.append("nothing arrived")
    body = entry.request.body
    for dialect, front in SIGNATURE_FRONT.items():
        if dialect != elsewhere and (front.encode() in body or MARK in body):
            problems.append(f"{elsewhere} was sent what {dialect} signed: {body!r}")
            break
    if answer.text != "I remember.":
        problems.append(f"{answer.text!r} {answer.error}")
    pair.judge(problems)


STATUS = {"error_400": {400}, "error_401": {502, 400}, "error_429": {429}, "error_500": {500},
          "error_overloaded": {503, 529}, "error_context": {400}}


@of_pairs("name way", each(STATUS, WAYS))
def test_error(pair, name, way):
    """The upstream's refusal in the caller's own shape: its status, its message, when to try again."""
    stream = way == "stream"
    pair.about(name)
    model = limited_model_of(pair.pair[1], pair.pair[0], stream) if name == "error_429" else None
    answer = pair.send(ask_for(name), stream, model=model)
    _, body, headers = pair.provider.error(PLANS[name].error)
    problems = [pair.last.fault] if pair.last.fault else []
    if not answer.error:
        problems.append("no error")
    else:
        said = re.search(r'"(?:message|error)":"((?:[^"\\]|\\.)+)"', body.decode())[1].replace('\\"', '"')
        if said not in answer.error["message"] and name != "error_401":  # that is between us and the provider
            problems.append(f"message {answer.error['message']!r} without {said!r}")
        if answer.status not in STATUS[name]:
            problems.append(f"status {answer.status}")
    waits = "retry-after" in {n.lower() for n, _ in headers} or b"RetryInfo" in body
    if waits and not pair.same and answer.headers.get("retry-after") is None:
        problems.append("the time to wait was lost")
    pair.judge(problems)


@of_pairs("name way", [("broken", "stream"), *each(["cut", "cut_tools"], WAYS)])
def test_break(pair, name, way):
    """What breaks in the middle never ends as if it were whole."""
    stream = way == "stream"
    pair.about("error_in_stream" if name == "broken" else "cut")
    answer = pair.send(ask_for(name), stream)
    problems = [pair.last.fault] if pair.last.fault else []
    if answer.finish and not answer.error:
        problems.append(f"it ended well: {answer}")
    if not answer.error and answer.clean:
        problems.append("neither an error nor a cut")
    if not stream and not pair.same and (not answer.error or answer.status < 500):
        problems.append(f"status {answer.status}")
    if stream and not pair.same and not answer.error:
        problems.append("no error event told why")
    plan = pair.last.plan
    if answer.text and not plan.text.startswith(answer.text):
        problems.append(f"it said {answer.text!r}")
    pair.judge(problems)


@of_pairs("feature", each(PROBES), DIFFERENT, lambda pair, feature: feature in CALLER[pair[0]].spells)
def test_feature(pair, feature):
    """A member of the request arrives, or is named as dropped: never lost in silence."""
    pair.about(feature)
    answer = pair.send(ask_of(feature, pair.pair[0], pair.lab.upstreams.url))
    dropped = pair.dropped(answer)
    named = pair.caller.named(feature, dropped)
    problems, there = [], False
    if not pair.entries:
        problems.append(f"nothing arrived: {answer.error}")
    elif pair.last.fault:
        problems.append(f"refused: {pair.last.fault}; {pair.last.request.body!r}")
    else:
        # Responses are kept by the gateway itself.
        kept_here = feature == "store" and pair.pair[0] == "openai.responses"
        there = kept_here or arrived(feature, pair.last.ask, pair.pair[1])
        if not there and not named:
            problems.append(f"lost in silence (dropped: {dropped}): {pair.last.request.body!r}")
        if set(dropped) - set(named):
            problems.append(f"dropped are also {sorted(set(dropped) - set(named))}")
    pair.judge(problems, named, dropped=named or not there)


@of_pairs(pairs=DIFFERENT)
def test_strict_callers_are_refused_what_cannot_be_carried(pair):
    strict = [("accord-loss", "strict")]
    ask = simple("text", max_tokens=512, extra={"unheard_of": {"deep": [1]}})
    pair.about("strict")
    answer = pair.send(simple("text", max_tokens=512), headers=strict)
    assert answer.error is None, f"nothing was lost, and yet: {answer.error}"
    told = pair.dropped(pair.send(ask))
    assert [n for n in told if "unheard_of" in n], f"dropped: {told}"
    count = len(pair.entries)
    answer = pair.send(ask, headers=strict)
    assert answer.status == 422 and "unheard_of" in answer.error["message"], answer
    assert len(pair.entries) == count, "it went out all the same"
    pair.judge([])


def test_every_dialect_is_in_the_lab():
    assert len(DIALECTS) == len(PROVIDER) == 7
