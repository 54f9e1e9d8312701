"""The built-in provider: it says what it is, in all dialects, and goes through the same stages."""

import json
import time

import pytest

from wire import request, sse_events

CHAT = "/v1/chat/completions"


@pytest.fixture
def sim(start):
    return start(None)


def ask(server, dialect, model, text, stream=False, **more):
    """(status, the text of the answer, usage as (in, out)) in any dialect."""
    if dialect == "openai":
        body = {"model": model, "messages": [{"role": "user", "content": text}], **more}
        if stream:
            body |= {"stream": True, "stream_options": {"include_usage": True}}
        response = server.post(CHAT, body)
    elif dialect == "anthropic":
        body = {"model": model, "max_tokens": 50, "stream": stream,
                "messages": [{"role": "user", "content": text}], **more}
        response = server.post("/v1/messages", body)
    else:
        verb = "streamGenerateContent?alt=sse" if stream else "generateContent"
        body = {"contents": [{"role": "user", "parts": [{"text": text}]}]}
        if "max_tokens" in more:
            body["generationConfig"] = {"maxOutputTokens": more["max_tokens"]}
        response = server.post(f"/v1beta/models/{model}:{verb}", body)
    if response.status != 200:
        return response.status, response.body.decode(), None
    read = read_stream if stream else read_whole
    return (200, *read(dialect, response))


def read_whole(dialect, response):
    body = response.json()
    if dialect == "openai":
        return (body["choices"][0]["message"]["content"],
                (body["usage"]["prompt_tokens"], body["usage"]["completion_tokens"]))
    if dialect == "anthropic":
        return (body["content"][0]["text"],
                (body["usage"]["input_tokens"], body["usage"]["output_tokens"]))
    usage = body["usageMetadata"]
    return ("".join(p["text"] for p in body["candidates"][0]["content"]["parts"]),
            (usage["promptTokenCount"], usage["candidatesTokenCount"]))


def read_stream(dialect, response):
    events = response.events()
    if dialect == "openai":
        assert events[-1][1] == "[DONE]"
        chunks = [json.loads(data) for _, data in events[:-1]]
        text = "".join(c["choices"][0]["delta"].get("content") or "" for c in chunks
                       if c["choices"])
        usage = chunks[-1]["usage"]
        return text, (usage["prompt_tokens"], usage["completion_tokens"])
    if dialect == "anthropic":
        bodies = [json.loads(data) for _, data in events]
        assert [name for name, _ in events] == [b["type"] for b in bodies]
        assert bodies[-1]["type"] == "message_stop"
        text = "".join(b["delta"]["text"] for b in bodies if b["type"] == "content_block_delta")
        start = next(b for b in bodies if b["type"] == "message_start")["message"]["usage"]
        end = next(b for b in bodies if b["type"] == "message_delta")["usage"]
        return text, (start["input_tokens"], end["output_tokens"])
    bodies = [json.loads(data) for _, data in events]
    text = "".join(p.get("text", "") for b in bodies for c in b["candidates"]
                   for p in c["content"]["parts"])
    assert bodies[-1]["candidates"][0]["finishReason"] == "STOP"
    usage = bodies[-1]["usageMetadata"]
    return text, (usage["promptTokenCount"], usage["candidatesTokenCount"])


DIALECTS = ["openai", "anthropic", "gemini"]
EVERY = pytest.mark.parametrize("dialect,stream", [(d, s) for d in DIALECTS for s in (False, True)])


@pytest.mark.race
@EVERY
def test_echo_answers_with_what_it_was_asked(sim, dialect, stream):
    question = 'Say "h\u00e9llo" \U0001f600\n\\ and\tgo'
    status, text, usage = ask(sim, dialect, "sim/echo", question, stream)
    assert status == 200, text
    assert question in text
    assert usage[0] > 0 and usage[1] > 0


@EVERY
def test_lorem_writes_as_many_words_as_tokens_are_allowed(sim, dialect, stream):
    status, text, usage = ask(sim, dialect, "sim/lorem", "go", stream, max_tokens=17)
    assert status == 200, text
    assert len(text.split()) == 17
    assert usage[1] == 17


def test_sim_says_that_it_is_simulated(sim):
    response = sim.post(CHAT, {"model": "sim/echo",
                               "messages": [{"role": "user", "content": "hi"}]})
    assert response.header("accord-simulated") == "true"
    assert response.json()["id"].startswith("sim")
    assert response.json()["model"] == "sim/echo"


def test_sim_models_are_listed(sim):
    ids = {e["id"] for e in sim.get("/v1/models").json()["data"]}
    assert {"sim/echo", "sim/lorem", "sim/fault"} <= ids


def test_sim_is_metered_like_any_other_provider(sim):
    _, _, usage = ask(sim, "openai", "sim/lorem", "go", max_tokens=17)
    samples = sim.metrics()
    output = sum(value for name, value in samples.items()
                 if name.startswith("accord_tokens_total{") and 'type="output"' in name)
    assert output == usage[1] == 17


def test_many_streams_at_once_are_each_whole(sim):
    body = {"model": "sim/lorem", "stream": True, "max_tokens": 200,
            "messages": [{"role": "user", "content": "go"}]}
    connections = [sim.open_stream(CHAT, body) for _ in range(100)]
    for connection in connections:
        response = connection.read_response()
        assert response.events()[-1][1] == "[DONE]"
        connection.close()


def test_sim_needs_a_key(sim):
    with sim.connect() as connection:
        connection.send(request("POST", CHAT, [], b'{"model":"sim/echo","messages":[]}'))
        assert connection.read_response().status == 401


STREAMED = {
    "openai": (CHAT, {"model": "sim/fault", "stream": True}),
    "anthropic": ("/v1/messages", {"model": "sim/fault", "max_tokens": 50, "stream": True}),
    "gemini": ("/v1beta/models/sim/fault:streamGenerateContent?alt=sse", {}),
}


def open_fault(server, dialect, words):
    target, body = STREAMED[dialect]
    text = {"contents": [{"role": "user", "parts": [{"text": words}]}]} if dialect == "gemini" \
        else {"messages": [{"role": "user", "content": words}]}
    return server.open_stream(target, {**body, **text})


@pytest.mark.parametrize("dialect", DIALECTS)
def test_fault_gives_the_status_that_is_asked_for(sim, dialect):
    with open_fault(sim, dialect, "please status=503 retry_after_ms=1500") as connection:
        response = connection.read_response()
    assert response.status == 503
    assert response.header("retry-after-ms") == "1500"
    assert response.header("retry-after") == "2"
    assert response.json()["error"]["message"]


@pytest.mark.parametrize("dialect", DIALECTS)
@pytest.mark.parametrize("words", ["cut_after=4", "cut_after=900b", "no_end=1",
                                   "error_in_stream=4", "malformed=3 cut_after=5"])
def test_fault_in_a_stream_never_looks_like_an_end(sim, dialect, words):
    with open_fault(sim, dialect, words) as connection:
        assert connection.read_head().start == "HTTP/1.1 200 OK"
        body, clean = connection.read_body_so_far()
    assert not clean or "error_in_stream" in words
    last = sse_events(body)[-1][1]
    assert json.loads(last)["error"], last


@pytest.mark.parametrize("dialect", DIALECTS)
def test_fault_before_the_answer_is_502(sim, dialect):
    for words in ("cut_after=0", "html=1"):
        with open_fault(sim, dialect, words) as connection:
            assert connection.read_response().status == 502


def test_stream_without_usage_ends_well(sim):
    with open_fault(sim, "openai", "no_usage=1") as connection:
        events = connection.read_response().events()
    assert events[-1][1] == "[DONE]"


@pytest.mark.parametrize("words", ["nonsense=1", "status=200", "cut_after=many"])
def test_fault_that_is_not_known_is_refused_with_what_is(sim, words):
    with open_fault(sim, "openai", words) as connection:
        response = connection.read_response()
    assert response.status == 400
    assert words.partition("=")[0] in response.json()["error"]["message"]


def test_pace_is_kept(sim):
    body = {"model": "sim/lorem", "stream": True, "max_tokens": 10,
            "messages": [{"role": "user", "content": "go"}]}
    began = time.monotonic()
    with sim.open_stream(CHAT, body, headers=[("sim-first-token-ms", "200"),
                                              ("sim-tokens-per-second", "50")]) as connection:
        connection.read_until(b'"Lorem', 5)
        first = time.monotonic() - began
        connection.read_until(b"[DONE]", 5)
        whole = time.monotonic() - began
    assert 0.19 < first < 1.5
    assert 0.36 < whole < 3


def test_tool_that_is_asked_for_is_called(sim):
    tool = {"type": "function", "function": {"name": "get_weather", "parameters": {
        "type": "object", "properties": {"city": {"type": "string"}}}}}
    answer = sim.post(CHAT, {"model": "sim/echo", "tools": [tool], "messages": [
        {"role": "user", "content": 'call get_weather {"city": "Oslo"}'}]}).json()
    call = answer["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("get_weather", {"city": "Oslo"})


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_documents_that_share_words_with_the_query_come_first(sim, path):
    documents = ["a horse", "the quick brown fox", {"text": "the fox"}]
    body = {"model": "sim/echo", "query": "the fox", "documents": documents}
    results = sim.post(path, body).json()["results"]
    assert [r["index"] for r in results] == [2, 1, 0]
    assert results[0]["relevance_score"] > results[1]["relevance_score"] > results[2]["relevance_score"] == 0
    assert results[0]["relevance_score"] == pytest.approx(1)
    assert [r["index"] for r in sim.post(path, body | {"top_n": 1}).json()["results"]] == [2]
    assert sim.post(path, body | {"documents": []}).status == 400


def test_a_response_that_nobody_keeps_is_not_continued(sim):
    first = sim.post("/v1/responses", {"model": "sim/echo", "input": "one"}).json()
    second = sim.post("/v1/responses", {"model": "sim/echo", "input": "two",
                                        "previous_response_id": first["id"]})
    assert second.status == 400
    assert second.json()["error"]["code"] == "previous_response_not_found"
