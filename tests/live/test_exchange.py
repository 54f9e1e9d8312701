"""What is no conversation, across dialects: embeddings, reranking, counting tokens."""

import base64
import json
import struct

import pytest

from accord import config_for
from answers import whole
from vectors import Vendors, say, vector, vector_config

WORDS = ["a", "b \"q\"", "ü€"]
UPSTREAMS = ["m", "gemini-m", "cohere-m", "ollama-m", "bedrock-m", "titan-m", "sim/echo"]


@pytest.fixture
def vendors(upstream):
    upstream.answer = vendors = Vendors()
    return vendors


@pytest.fixture
def accord(start, upstream):
    return start(vector_config(upstream.url))


def ask(accord, path, body, **options):
    answer = accord.call("POST", path, json.dumps(body).encode(), **options)
    assert answer.status == 200, (answer.status, answer.body)
    return answer


def from_openai(accord, model, texts):
    answer = ask(accord, "/v1/embeddings", {"model": model, "input": texts})
    assert answer.json()["model"] == ("upstream-m" if model == "m" else model)
    assert [d["index"] for d in answer.json()["data"]] == list(range(len(texts)))
    assert answer.json()["usage"]["prompt_tokens"] > 0
    return [d["embedding"] for d in answer.json()["data"]]


def from_openai_base64(accord, model, texts):
    answer = ask(accord, "/v1/embeddings",
                 {"model": model, "input": texts, "encoding_format": "base64"})
    return [list(struct.unpack("<%df" % (len(base64.b64decode(d["embedding"])) // 4),
                               base64.b64decode(d["embedding"]))) for d in answer.json()["data"]]


def from_gemini(accord, model, texts):
    if len(texts) == 1:
        answer = ask(accord, f"/v1beta/models/{model}:embedContent",
                     {"content": {"parts": [{"text": texts[0]}]}})
        return [answer.json()["embedding"]["values"]]
    answer = ask(accord, f"/v1beta/models/{model}:batchEmbedContents", {"requests": [
        {"model": f"models/{model}", "content": {"parts": [{"text": t}]}} for t in texts]})
    return [e["values"] for e in answer.json()["embeddings"]]


def from_cohere(accord, model, texts):
    answer = ask(accord, "/v2/embed", {"model": model, "texts": texts, "input_type": "search_query",
                                       "embedding_types": ["float"]})
    return answer.json()["embeddings"]["float"]


def from_ollama(accord, model, texts):
    return ask(accord, "/api/embed", {"model": model, "input": texts}).json()["embeddings"]


def from_ollama_once(accord, model, texts):
    return [ask(accord, "/api/embeddings", {"model": model, "prompt": t}).json()["embedding"]
            for t in texts]


def from_titan(accord, model, texts):
    return [ask(accord, f"/model/{model}/invoke", {"inputText": t}).json()["embedding"]
            for t in texts]


def from_bedrock_cohere(accord, model, texts):
    answer = ask(accord, f"/model/{model}/invoke",
                 {"texts": texts, "input_type": "search_document", "embedding_types": ["float"]})
    return answer.json()["embeddings"]["float"]


CALLERS = [from_openai, from_openai_base64, from_gemini, from_cohere, from_ollama, from_ollama_once,
           from_titan, from_bedrock_cohere]
OWN = {(from_titan, "bedrock-m"), (from_bedrock_cohere, "titan-m"),
       (from_ollama_once, "ollama-m")}  # the body is one of the vendor's own, and passes
PAIRS = [(caller, model) for caller in CALLERS for model in UPSTREAMS if (caller, model) not in OWN]


@pytest.mark.parametrize("caller, model", PAIRS)
def test_embeddings(accord, vendors, caller, model):
    for texts in [WORDS[:1], WORDS]:
        vectors = caller(accord, model, texts)
        if model == "sim/echo":
            assert len(vectors) == len(texts) and all(len(v) >= 8 for v in vectors)
        else:
            assert vectors == [vector(t) for t in texts]


def test_a_conversation_by_invoke_is_told_where_it_is_spoken(accord):
    body = json.dumps({"max_tokens": 9, "messages": []}).encode()
    answer = accord.call("POST", "/model/sim%2Fecho/invoke", body)
    assert answer.status == 400
    assert "/converse" in answer.json()["message"] and "embeddings" in answer.json()["message"]


@pytest.mark.parametrize("model, calls", [("cohere-m", 3), ("gemini-m", 3), ("titan-m", 210), ("m", 1)])
def test_more_texts_than_a_request_holds_go_in_several(accord, vendors, model, calls):
    texts = [str(n) * (1 + n % 5) for n in range(210)]
    assert from_ollama(accord, model, texts) == [vector(t) for t in texts]
    assert len(vendors.calls) == calls
    record = accord.wait_access_log(1)[0]
    assert record["status"] == 200 and record["input_tokens"] >= 210


def test_an_error_of_the_second_part_is_the_answer(accord, upstream, vendors):
    def answer(peer, request):
        if vendors.calls:
            say(peer, {"message": "slow down"}, 429)
        else:
            vendors(peer, request)
    upstream.answer = answer
    got = accord.call("POST", "/api/embed",
                      json.dumps({"model": "cohere-m", "input": ["x"] * 100}).encode())
    assert got.status == 429 and "slow down" in got.json()["error"]


@pytest.mark.parametrize("broken", [
    {"embeddings": {"float": [[1.0]]}},                  # fewer than were asked for
    {"embeddings": {"float": [[1.0], [1.0], [1.0]]}},    # more
    {"embeddings": {"float": []}}, {"nothing": 1}, ["x"]])
def test_an_answer_that_is_none(accord, upstream, broken):
    upstream.answer = lambda peer, request: say(peer, broken)
    got = accord.call("POST", "/v1/embeddings",
                      json.dumps({"model": "cohere-m", "input": ["x", "y"]}).encode())
    assert got.status == 502 and got.json()["error"]["code"] == "upstream_malformed"


@pytest.mark.parametrize("vectors", [[[None]], [["x"]], [[]], [[[1.0]]], [[{"a": 1}]], [[True]]])
def test_a_vector_that_is_none(accord, upstream, vectors):
    upstream.answer = lambda peer, request: say(peer, {"embeddings": vectors})
    got = accord.call("POST", "/v1/embeddings", json.dumps({"model": "ollama-m", "input": "x"}).encode())
    assert got.status == 502 and got.json()["error"]["code"] == "upstream_malformed"


@pytest.mark.parametrize("model, broken", [
    ("cohere-m", b'{"embeddings":{"float":[[1.0],[2.0]],"int8":[[1]]}}'),  # only one of the spellings is whole
    ("ollama-m", b'{"embeddings":[[1e999],[2]]}')])                        # no float32
def test_an_answer_that_stays_malformed_is_asked_for_anew_each_time(accord, upstream, model, broken):
    upstream.answer = lambda peer, request: peer.send(whole(broken))
    got = accord.call("POST", "/v1/embeddings", json.dumps(
        {"model": model, "input": ["x", "y"], "encoding_format": "base64"}).encode())
    assert got.status == 502 and got.json()["error"]["code"] == "upstream_malformed"
    assert len(upstream.requests) == 3


def test_vectors_of_a_malformed_answer_are_forgotten(accord, upstream, vendors):
    def answer(peer, request):
        if len(upstream.requests) == 1:
            say(peer, {"embeddings": {"float": [[9.0]] * 4}})  # with the next 96 they would be 100
        else:
            vendors(peer, request)
    upstream.answer = answer
    texts = [str(n) for n in range(100)]
    assert from_ollama(accord, "cohere-m", texts) == [vector(t) for t in texts]


def test_what_a_vendor_cannot_be_told_is_named(accord, vendors):
    body = {"model": "ollama-m", "input": "x", "dimensions": 64, "user": "u"}
    got = ask(accord, "/v1/embeddings", body)
    assert got.header("accord-dropped") == "user" and vendors.calls[-1][1]["dimensions"] == 64
    strict = accord.call("POST", "/v1/embeddings", json.dumps(body).encode(),
                         headers=[("accord-loss", "strict")])
    assert strict.status == 422 and len(vendors.calls) == 1


def test_tokens_that_a_vendor_does_not_count_are_estimated_and_said_to_be(accord, vendors):
    got = ask(accord, "/v1/embeddings", {"model": "gemini-m", "input": "three little words"})
    assert got.header("accord-estimated") == "tokens"
    assert 2 <= got.json()["usage"]["prompt_tokens"] <= 5
    assert ask(accord, "/v1/embeddings", {"model": "cohere-m", "input": "x"}).header(
        "accord-estimated") is None


@pytest.mark.parametrize("input_", [[1, 2, 3], [[1, 2], [3]]])
def test_numbers_of_tokens_cannot_go_to_another_vendor(accord, vendors, input_):
    got = accord.call("POST", "/v1/embeddings",
                      json.dumps({"model": "cohere-m", "input": input_}).encode())
    assert got.status == 400 and got.json()["error"]["param"].startswith("input")
    assert not vendors.calls


def test_a_vendor_without_embeddings(accord, vendors):
    got = accord.call("POST", "/v1/embeddings",
                      json.dumps({"model": "claude-m", "input": "x"}).encode())
    assert got.status == 501 and got.json()["error"]["code"] == "dialect_not_translated"


def test_a_target_that_breaks_off_halfway(start, upstream, vendors):
    other = config_for(upstream.url)
    other["models"] = [{"id": "two", "targets": [
        {"provider": "coh", "model": "h"}, {"provider": "gem", "model": "g", "priority": 2}]}]
    accord = start(other)

    def answer(peer, request):
        if request.target.startswith("/v2") and vendors.calls:
            peer.reset()
        else:
            vendors(peer, request)
    upstream.answer = answer
    texts = [str(n) for n in range(100)]
    got = accord.call("POST", "/api/embed", json.dumps({"model": "two", "input": texts}).encode())
    assert got.json()["embeddings"] == [vector(t) for t in texts]  # all of them the second one's


# ---- reranking ----

DOCUMENTS = ["Oslo", {"text": "Rome"}, "Bern"]


def rank(peer, request):
    body = json.loads(request.body)
    assert body["query"] == "q" and body["documents"] == ["Oslo", "Rome", "Bern"]
    results = [{"index": 2, "relevance_score": 0.9}, {"index": 0, "relevance_score": 0.25}]
    if request.target == "/v2/rerank":
        assert set(body) <= {"model", "query", "documents", "top_n", "max_tokens_per_doc"}
        say(peer, {"id": "r", "results": results, "meta": {"billed_units": {"search_units": 1}}})
    else:
        assert request.target == "/v1/rerank" and body["model"] == "upstream-m"
        say(peer, {"id": "r", "results": results, "usage": {"total_tokens": 7}})


def test_rerank_of_an_openai_caller_at_cohere(accord, upstream):
    upstream.answer = rank
    got = ask(accord, "/v1/rerank", {"model": "cohere-m", "query": "q", "documents": DOCUMENTS, "top_n": 2})
    assert got.json()["model"] == "cohere-m"
    assert [(r["index"], r["relevance_score"], r["document"]) for r in got.json()["results"]] == \
        [(2, 0.9, {"text": "Bern"}), (0, 0.25, {"text": "Oslo"})]
    assert got.header("accord-estimated") == "tokens" and got.json()["usage"]["total_tokens"] > 3


def test_rerank_of_a_cohere_caller_at_openai(accord, upstream):
    upstream.answer = rank
    got = ask(accord, "/v2/rerank", {"model": "m", "query": "q", "documents": DOCUMENTS})
    assert [r["index"] for r in got.json()["results"]] == [2, 0]
    assert got.json()["meta"]["tokens"] == {"input_tokens": 7}


def test_rerank_at_a_vendor_without(accord):
    for path in ["/v1/rerank", "/v2/rerank", "/rerank"]:
        got = accord.call("POST", path, json.dumps(
            {"model": "claude-m", "query": "q", "documents": ["x"]}).encode())
        assert got.status == 501, (path, got.body)


# ---- counting tokens ----

TEXT = "How many tokens are these, please?"
COUNTERS = {
    "anthropic": ("/v1/messages/count_tokens", {"messages": [{"role": "user", "content": TEXT}]},
                  lambda a: a["input_tokens"]),
    "openai": ("/v1/responses/input_tokens", {"input": TEXT}, lambda a: a["input_tokens"]),
    "gemini": ("/v1beta/models/{m}:countTokens", {"contents": [{"parts": [{"text": TEXT}]}]},
               lambda a: a["totalTokens"]),
    "bedrock": ("/model/{m}/count-tokens", {"input": {"converse": {"messages": [
        {"role": "user", "content": [{"text": TEXT}]}]}}}, lambda a: a["inputTokens"]),
}
COUNTING = {"claude-m": "/v1/messages/count_tokens", "gemini-m": ":countTokens",
            "bedrock-m": "/count-tokens"}


def count(accord, dialect, model):
    path, body, tokens = COUNTERS[dialect]
    got = ask(accord, path.replace("{m}", model),
              body if "{m}" in path else {"model": model, **body})
    return got, tokens(got.json())


def counts(peer, request):
    path, body = request.target, json.loads(request.body)
    assert TEXT in json.dumps(body)
    if path == "/v1/messages/count_tokens":
        assert set(body) <= {"model", "messages"} and request.header("anthropic-version")
        say(peer, {"input_tokens": 1234})
    elif path.endswith(":countTokens"):
        assert path.startswith("/v1beta/models/upstream-g")
        say(peer, {"totalTokens": 1234})
    elif path.endswith("/count-tokens"):
        say(peer, {"inputTokens": 1234})
    else:
        say(peer, {"error": {"message": "no"}}, 404)


@pytest.mark.parametrize("model", ["m", "claude-m", "gemini-m", "ollama-m", "cohere-m", "bedrock-m", "sim/echo"])
@pytest.mark.parametrize("dialect", COUNTERS)
def test_tokens_are_counted_by_the_vendor_or_estimated(accord, upstream, dialect, model):
    upstream.answer = counts
    got, n = count(accord, dialect, model)
    if model in COUNTING:
        assert n == 1234 and got.header("accord-estimated") is None
        assert upstream.last.target.endswith(COUNTING[model])
    elif model != "sim/echo":
        assert 7 <= n <= 20 and got.header("accord-estimated") == "tokens"
        assert not upstream.requests


@pytest.mark.parametrize("status", [404, 405, 501])
def test_a_vendor_that_cannot_count_after_all(accord, upstream, status):
    upstream.answer = lambda peer, request: say(peer, {"error": {"message": "?"}}, status)
    got, n = count(accord, "openai", "claude-m")
    assert 7 <= n <= 20 and got.header("accord-estimated") == "tokens"
    assert accord.wait_access_log(1)[0]["outcome"] == "ok"


def test_an_error_while_counting_is_told(accord, upstream):
    upstream.answer = lambda peer, request: say(
        peer, {"type": "error", "error": {"type": "overloaded_error", "message": "busy"}}, 529)
    got = accord.call("POST", "/v1/responses/input_tokens",
                      json.dumps({"model": "claude-m", "input": TEXT}).encode())
    assert got.status == 529 or got.status == 503, got.status
    assert "busy" in got.json()["error"]["message"]


# ---- lists of models ----

def test_lists_in_each_shape(accord):
    tags = accord.get("/api/tags").json()["models"]
    assert {"m", "claude-m"} <= {m["name"] for m in tags} and all(len(m["digest"]) == 64 for m in tags)
    assert accord.get("/api/version").json()["version"].count(".") == 2
    cohere = accord.get("/v1/models", headers=[("x-fern-sdk-name", "cohere")]).json()["models"]
    assert "m" in {m["name"] for m in cohere} and cohere[0]["endpoints"] == ["chat"]
    show = ask(accord, "/api/show", {"model": "m:latest"}).json()
    assert show["details"]["family"] == "up" and "completion" in show["capabilities"]
    assert accord.post("/api/show", b'{"name": "nothing"}').status == 404


def test_what_is_known_of_a_model_is_told(start):
    accord = start({**config_for("http://127.0.0.1:1"), "models": [
        {"id": "smart", "targets": [{"provider": "ant", "model": "claude-sonnet-4-5"}]}]})
    smart = accord.get("/v1/models/smart", headers=[("anthropic-version", "2023-06-01")]).json()
    assert smart["max_input_tokens"] >= 200000 and smart["max_tokens"] == 64000
    assert smart["capabilities"]["image_input"] == {"supported": True}
    assert smart["capabilities"]["thinking"]["supported"]
    assert accord.get("/v1/models/smart").json()["context_window"] == smart["max_input_tokens"]
    gemini = accord.get("/v1beta/models/smart").json()
    assert gemini["outputTokenLimit"] == 64000 and gemini["thinking"] is True
    show = ask(accord, "/api/show", {"model": "smart"}).json()
    assert show["model_info"]["accord.context_length"] == smart["max_input_tokens"]
    assert {"tools", "vision", "thinking"} <= set(show["capabilities"])


def test_pages(accord):
    head = [("anthropic-version", "2023-06-01")]
    names, after = [], ""
    while True:
        page = accord.get(f"/v1/models?limit=2{after}", headers=head).json()
        names += [m["id"] for m in page["data"]]
        if not page["has_more"]:
            break
        after = "&after_id=" + page["last_id"].replace("/", "%2F")
    assert names == [m["id"] for m in accord.get("/v1/models").json()["data"]]
    for query in ["limit=0", "limit=x", "limit=1001", "limit=%zz"]:
        assert accord.get("/v1/models?" + query, headers=head).status == 400
    page = accord.get("/v1beta/models?pageSize=1").json()
    assert len(page["models"]) == 1 and page["nextPageToken"] == "m"


def test_the_picker_of_claude_code_shows_every_model(accord, upstream):
    head = [("anthropic-version", "2023-06-01"), ("user-agent", "claude-cli/2.1.330 (external, cli)")]
    listed = accord.get("/v1/models?limit=1000", headers=head).json()["data"]
    shown = {m["id"]: m["display_name"] for m in listed if "claude" in m["id"]}
    assert shown["claude-via-m"] == "m" and shown["claude-m"] == "claude-m"
    assert "claude-via-claude-m" not in shown
    plain = accord.get("/v1/models", headers=head[:1]).json()["data"]
    assert not any(m["id"].startswith("claude-via-") for m in plain)
    got = ask(accord, "/v1/messages", {"model": "claude-via-m", "max_tokens": 9,
                                       "messages": [{"role": "user", "content": "hi"}]})
    assert json.loads(upstream.last.body)["model"] == "upstream-m"
    assert got.json()["type"] == "message"
