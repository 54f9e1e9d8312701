"""A provider that turns out to have no /responses is called by its other interface."""

import json

import pytest

import answers
from accord import config_for
from answers import COMPLETION_TEXT, usual, whole

NOT_HERE = {
    "plain text": (404, b"404 page not found", "text/plain"),
    "nothing": (404, b"", "text/plain"),
    "FastAPI": (404, b'{"detail":"Not Found"}', "application/json"),
    "llama.cpp": (404, b'{"error":{"code":404,"message":"File Not Found","type":"not_found_error"}}',
                  "application/json"),
    "unknown URL": (404, b'{"error":{"message":"Unknown request URL: POST /v1/responses. Please check the URL for '
                         b'typos","type":"invalid_request_error","code":"unknown_url"}}', "application/json"),
    "HTML": (404, b"<html><body>Not Found</body></html>", "text/html"),
    "method": (405, b'{"detail":"Method Not Allowed"}', "application/json"),
}
ITS_OWN = {
    "OpenAI": b'{"error":{"message":"The model `x` does not exist","type":"invalid_request_error","param":null,'
              b'"code":"model_not_found"}}',
    "vLLM": b'{"object":"error","message":"The model `x` does not exist.","type":"NotFoundError","param":null,'
            b'"code":404}',
    "OpenRouter": b'{"error":{"message":"No endpoints found for upstream-m.","code":404}}',
    "Azure": b'{"error":{"code":"DeploymentNotFound","message":"The API deployment does not exist."}}',
    "kept": b'{"error":{"message":"Conversation with id \'conv_1\' not found.","type":"invalid_request_error",'
            b'"param":null,"code":null}}',
    "param": b'{"error":{"message":"Not found","type":"invalid_request_error","param":"prompt.id","code":null}}',
}


def refusing(upstream, status, body, content_type="application/json", chat=None):
    """No /responses here, or what it names is not; the other interface is as usual."""
    def answer(peer, request):
        if request.path.endswith("/responses"):
            peer.send(whole(body, status, content_type, [("x-theirs", "1")]))
        elif chat:
            peer.send(chat)
        else:
            usual(peer, request)
    upstream.answer = answer


@pytest.fixture
def one(start, upstream):
    """A single worker: what is learned is its own."""
    return start(config_for(upstream.url, workers=1))


def respond(accord, **more):
    return accord.post("/v1/responses", {"model": "m", "input": "hi", **more})


def paths(upstream):
    return [request.path for request in upstream.requests]


@pytest.mark.parametrize("how", NOT_HERE)
@pytest.mark.parametrize("stream", [False, True])
def test_call_goes_to_the_other_interface_and_later_ones_at_once(one, upstream, how, stream):
    refusing(upstream, *NOT_HERE[how])
    first = respond(one, stream=stream)
    assert first.status == 200, first
    if stream:
        name, data = first.events()[-1]
        assert name == "response.completed"
        told = json.loads(data)["response"]
    else:
        told = first.json()
    assert told["output"][0]["content"][0]["text"] == COMPLETION_TEXT
    assert first.header("accord-attempts") == "2" and first.header("x-theirs") is None
    assert paths(upstream) == ["/v1/responses", "/v1/chat/completions"]
    assert json.loads(upstream.last.body)["messages"] == [{"role": "user", "content": "hi"}]
    assert respond(one).status == 200
    assert paths(upstream)[2:] == ["/v1/chat/completions"]
    one.wait_access_log(2)
    assert [line["outcome"] for line in one.access_log()] == ["ok", "ok"]


@pytest.mark.parametrize("how", ITS_OWN)
def test_answer_about_the_model_passes_as_it_is(one, upstream, how):
    refusing(upstream, 404, ITS_OWN[how])
    for _ in range(2):
        answer = respond(one)
        assert (answer.status, answer.body) == (404, ITS_OWN[how])
        assert answer.header("x-theirs") == "1" and answer.header("content-type") == "application/json"
    assert paths(upstream) == ["/v1/responses"] * 2


@pytest.mark.parametrize("cuts", [[1], [80000], range(0, 100000, 7000)])
def test_long_answer_passes_as_it_is_however_it_comes(one, upstream, cuts):
    body = b"x" * 100000
    upstream.answer = lambda peer, request: (
        peer.send(answers.head(404, "No", [("Content-Type", "text/plain"), ("Content-Length", len(body))])),
        peer.send_at(body, cuts))
    answer = respond(one)
    assert (answer.status, answer.body) == (404, body)
    assert paths(upstream) == ["/v1/responses"]


def test_nothing_is_learned_when_the_other_interface_is_not_there_either(one, upstream):
    refusing(upstream, 404, b"404 page not found", "text/plain",
             chat=whole(b"404 page not found", 404, "text/plain"))
    for _ in range(2):
        assert respond(one).status == 404
    assert paths(upstream) == ["/v1/responses", "/v1/chat/completions"] * 2


def test_answer_that_breaks_off_while_it_is_looked_at_is_no_proof(one, upstream):
    def cut(peer, request):
        peer.send(answers.head(404, "No", [("Content-Type", "text/plain"), ("Content-Length", 100)]) + b"404")
        peer.close()
    upstream.answer = cut
    assert respond(one).status == 502
    assert paths(upstream) == ["/v1/responses"] * 3  # tried again, and never taken for an answer


def test_provider_that_is_said_to_have_it_is_believed(start, upstream):
    config = config_for(upstream.url, workers=1)
    config["providers"][0]["api"] = "responses"
    refusing(upstream, *NOT_HERE["FastAPI"])
    answer = respond(start(config))
    assert (answer.status, answer.body) == (404, NOT_HERE["FastAPI"][1])


def test_marked_call_learns_it_too(one, upstream):
    refusing(upstream, *NOT_HERE["FastAPI"])
    body = [{"type": "reasoning", "summary": [], "encrypted_content": "YWNjb3Jkc2lnAAABc2ln"},
            {"role": "user", "content": "hi"}]
    assert respond(one, input=body).status == 200
    assert paths(upstream) == ["/v1/responses", "/v1/chat/completions"]
    assert b"YWNjb3Jkc2ln" not in upstream.last.body


def test_other_calls_of_the_provider_are_not_touched(one, upstream):
    refusing(upstream, *NOT_HERE["FastAPI"])
    respond(one)
    upstream.answer = lambda peer, request: peer.send(whole(b'{"detail":"Not Found"}', 404))
    answer = one.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert (answer.status, answer.body) == (404, b'{"detail":"Not Found"}')


def test_a_refusal_that_breaks_off_is_forgotten(one, upstream):
    def answer(peer, request):
        if len(upstream.requests) == 1:
            peer.send(answers.head(404, "No", [("Content-Length", 100)]) + b'{"detail":')
            peer.wait_taken()
            peer.reset()
        else:
            usual(peer, request)
    upstream.answer = answer
    got = respond(one)
    assert got.status == 200 and got.json()["id"] == "resp_1"
    assert paths(upstream) == ["/v1/responses"] * 2
