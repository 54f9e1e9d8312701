"""Headers, keys, error shapes and the small endpoints around the calls."""

import json

import pytest

import answers
from accord import KEY, PROVIDER_SECRET, config_for
from wire import request

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[]}'
MESSAGES = "/v1/messages"
GENERATE = "/v1beta/models/gemini-m:generateContent"


def send(accord, target, headers, body=BODY, method="POST"):
    with accord.connect() as connection:
        connection.send(request(method, target, headers, body))
        return connection.read_response(method)


@pytest.mark.parametrize("header", [
    ("Authorization", f"Bearer {KEY}"), ("authorization", f"bearer {KEY}"), ("x-api-key", KEY),
    ("X-Goog-Api-Key", KEY), ("api-key", KEY)])
def test_key_is_taken_from_each_header(accord, upstream, header):
    assert send(accord, CHAT, [header]).status == 200
    assert KEY.encode() not in upstream.seen


def test_key_is_taken_from_the_query_and_not_passed_on(accord, upstream):
    response = send(accord, f"{GENERATE}?a=1&key={KEY}&b=2", [], b'{"contents":[]}')
    assert response.status == 200, response
    assert KEY.encode() not in upstream.seen
    assert upstream.last.target.endswith("?a=1&b=2")


def test_same_key_twice_is_one_key(accord):
    both = [("x-api-key", KEY), ("Authorization", f"Bearer {KEY}")]
    assert send(accord, CHAT, both).status == 200


@pytest.mark.parametrize("target,headers", [
    (CHAT, [("Authorization", f"Bearer {KEY}"), ("x-api-key", KEY + "x")]),
    (CHAT, [("x-api-key", KEY + "x"), ("api-key", KEY)]),
    (CHAT, [("x-api-key", KEY), ("x-api-key", KEY + "x")]),
    (f"{CHAT}?key={KEY}", [("x-goog-api-key", KEY + "x")]),
    (f"{CHAT}?key={KEY}&key={KEY}x", []),
])
def test_two_different_keys_are_refused(accord, upstream, target, headers):
    assert send(accord, target, headers).status == 400
    assert upstream.seen == b""


@pytest.mark.parametrize("headers", [
    [], [("x-api-key", "sk-accord-wrong-key-0000")], [("Authorization", "Bearer")],
    [("Authorization", f"Basic {KEY}")], [("x-api-key", "")], [("x-api-key", KEY[:-1])],
    [("x-api-key", KEY + "x")]])
def test_missing_or_wrong_key_is_401(accord, upstream, headers):
    response = send(accord, CHAT, headers)
    assert response.status == 401
    assert response.header("x-should-retry") == "false"
    assert upstream.seen == b""


def test_key_opens_only_its_models(start, upstream):
    config = config_for(upstream.url)
    config["keys"][0]["models"] = ["claude-*"]
    accord = start(config)
    assert send(accord, MESSAGES, [("x-api-key", KEY)],
                b'{"model":"claude-m","max_tokens":1,"messages":[]}').status == 200
    assert send(accord, CHAT, [("x-api-key", KEY)]).status in (403, 404)


@pytest.mark.parametrize("model", ["gem%2F..%2F..%2Fadmin", "gem/../../admin", "gem%2F..",
                                   "gem%2F.%2F..%2F%2e%2e%2Fadmin", "gem%2Fx%3Fkey=1",
                                   "gem%2Fx%0d%0aX-A:%20b", "gem%2Fx%00"])
def test_model_in_the_path_cannot_leave_its_place(start, upstream, model):
    """A name from the caller must not become another path, query or header at the upstream."""
    config = config_for(upstream.url)
    del config["models"]
    response = send(start(config), f"/v1beta/models/{model}:generateContent",
                    [("x-goog-api-key", KEY)], b'{"contents":[]}')
    if response.status == 200:
        target = upstream.last.target
        assert target.startswith("/v1beta/models/") and target.endswith(":generateContent")
        assert "?" not in target and ".." not in target.split("/")
        assert upstream.last.header("x-a") is None
    else:
        assert response.status in (400, 404)


def openai_error(response):
    error = response.json()["error"]
    assert {"message", "type", "param", "code"} <= set(error)
    return error["message"]


def anthropic_error(response):
    body = response.json()
    assert body["type"] == "error" and body["error"]["type"] and body["request_id"]
    return body["error"]["message"]


def gemini_error(response):
    error = response.json()["error"]
    assert error["code"] == response.status and error["status"].isupper()
    return error["message"]


SHAPES = {
    "openai": (CHAT, b'{"model":"%s","messages":[]}', openai_error),
    "embeddings": ("/v1/embeddings", b'{"model":"%s","input":"x"}', openai_error),
    "responses": ("/v1/responses", b'{"model":"%s","input":"x"}', openai_error),
    "anthropic": (MESSAGES, b'{"model":"%s","max_tokens":1,"messages":[]}', anthropic_error),
    "gemini": ("/v1beta/models/%s:generateContent", b'{"contents":[]}', gemini_error),
}


def ask(accord, dialect, model, key=KEY):
    target, body, read = SHAPES[dialect]
    response = send(accord, target.replace("%s", model), [("x-api-key", key)],
                    body.replace(b"%s", model.encode()))
    assert response.header("content-type").startswith("application/json")
    assert response.header("x-request-id")
    assert response.header("request-id") == response.header("x-request-id")
    assert response.header("x-should-retry") in ("true", "false")
    return response, read(response)


@pytest.mark.parametrize("dialect", SHAPES)
def test_wrong_key_is_told_in_the_callers_dialect(accord, dialect):
    response, message = ask(accord, dialect, "m", key="sk-accord-wrong-key-0000")
    assert response.status == 401 and message


@pytest.mark.parametrize("dialect", SHAPES)
def test_unknown_model_is_told_in_the_callers_dialect(accord, dialect):
    response, message = ask(accord, dialect, "no-such-model")
    assert response.status == 404
    assert "no-such-model" in message


@pytest.mark.parametrize("model", ["claude-m", "gemini-m"])
def test_call_that_no_other_dialect_has_is_501(accord, upstream, model):
    body = json.dumps({"model": model, "input": "x"}).encode()
    response = send(accord, "/v1/moderations", [("x-api-key", KEY)], body)
    assert response.status == 501
    assert model in json.loads(response.body)["error"]["message"]
    assert upstream.seen == b""


@pytest.mark.parametrize("dialect", SHAPES)
def test_upstream_that_refuses_connections_is_told_in_the_callers_dialect(start, upstream, dialect):
    config = config_for("http://127.0.0.1:1")
    model = {"anthropic": "claude-m", "gemini": "gemini-m"}.get(dialect, "m")
    response, message = ask(start(config), dialect, model)
    assert response.status in (502, 503) and message


@pytest.mark.parametrize("headers,key,shape", [
    ([], "data", "openai"),
    ([("anthropic-version", "2023-06-01")], "data", "anthropic"),
    ([("x-goog-api-key", KEY), ("x-goog-api-client", "genai-js/3.1.0")], "models", "gemini")])
def test_models_are_listed_in_three_shapes(accord, headers, key, shape):
    response = send(accord, "/v1/models", [("Authorization", f"Bearer {KEY}"), *headers], b"",
                    "GET")
    assert response.status == 200
    entries = response.json()[key]
    if shape == "openai":
        assert response.json()["object"] == "list"
        assert {"m", "m-alias", "claude-m"} <= {e["id"] for e in entries}
        assert all(e["object"] == "model" for e in entries)
    elif shape == "anthropic":
        assert all(e["type"] == "model" and e["display_name"] for e in entries)
        assert "claude-m" in {e["id"] for e in entries}
        assert "has_more" in response.json()
    else:
        assert "models/gemini-m" in {e["name"] for e in entries}


def test_models_by_key_header_of_gemini_and_its_path(accord):
    response = send(accord, "/v1beta/models", [("x-goog-api-key", KEY)], b"", "GET")
    assert "models/gemini-m" in {e["name"] for e in response.json()["models"]}


def test_models_need_a_key(accord):
    assert accord.get("/v1/models", key=False).status == 401


@pytest.mark.parametrize("target", ["/", "/api/hello"])
def test_head_of_agents_is_answered_without_a_key(accord, target):
    with accord.connect() as connection:
        connection.send(request("HEAD", target))
        assert connection.read_response("HEAD").status == 200


def test_websocket_on_responses_is_426(accord, upstream):
    response = send(accord, "/v1/responses", [
        ("Authorization", f"Bearer {KEY}"), ("Connection", "Upgrade"), ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"), ("Sec-WebSocket-Key", "RAvD6AdosLffyA7tbTK/fg==")],
        b"", "GET")
    assert response.status == 426
    assert upstream.seen == b""


def test_unknown_path_is_404_and_wrong_method_405(accord):
    assert accord.post("/v1/nonsense", BODY).status == 404
    response = accord.get(CHAT)
    assert response.status == 405
    assert "POST" in response.header("allow")


def test_health_and_readiness_need_no_key(accord):
    for target in ("/healthz", "/readyz"):
        assert accord.get(target, key=False).status == 200


def test_hop_by_hop_headers_stop_here_both_ways(accord, upstream):
    upstream.answer = lambda peer, request: peer.send(answers.whole(answers.CHAT, headers=[
        ("Connection", "X-Up"), ("X-Up", "secret"), ("Keep-Alive", "timeout=5"),
        ("Proxy-Authenticate", "Basic"), ("Upgrade", "h2c"), ("X-End", "stays")]))
    response = send(accord, CHAT, [
        ("x-api-key", KEY), ("Connection", "keep-alive, X-Down"), ("X-Down", "secret"),
        ("Keep-Alive", "timeout=9"), ("Proxy-Authorization", "Basic eA=="), ("TE", "trailers"),
        ("Proxy-Connection", "keep-alive"), ("Upgrade", "h2c"), ("X-End", "stays")])
    assert response.status == 200
    sent = {name for name, _ in upstream.last.head.headers}
    assert not sent & {"x-down", "keep-alive", "proxy-authorization", "te", "proxy-connection",
                       "upgrade", "x-api-key"}
    assert upstream.last.header("x-end") == "stays"
    got = {name for name, _ in response.head.headers}
    assert not got & {"x-up", "keep-alive", "proxy-authenticate", "upgrade"}
    assert response.header("x-end") == "stays"


def test_vendor_headers_pass_to_the_upstream(accord, upstream):
    headers = [("anthropic-version", "2023-06-01"), ("anthropic-beta", "a-1,b-2"),
               ("x-stainless-retry-count", "0"),
               ("x-codex-turn-metadata", '{"a":"' + "b" * 1000 + '"}'),
               ("user-agent", "claude-cli/2.1.330"), ("cookie", "")]
    response = send(accord, MESSAGES, [("x-api-key", KEY), *headers],
                    b'{"model":"claude-m","max_tokens":1,"messages":[]}')
    assert response.status == 200
    for name, value in headers:
        if name != "cookie":
            assert upstream.last.head.all(name) == [value]


def test_upstream_is_named_in_host(accord, upstream):
    accord.post(CHAT, BODY)
    assert upstream.last.head.all("host") == [f"127.0.0.1:{upstream.port}"]


def test_answers_carry_ids_and_our_share_of_the_time(accord):
    response = accord.post(CHAT, BODY)
    assert response.header("x-request-id")
    assert response.header("request-id")
    assert "accord;dur=" in response.header("server-timing")
    assert accord.post(CHAT, BODY).header("x-request-id") != response.header("x-request-id")


def test_credentials_never_cross(accord, upstream):
    """The caller's key stays out of the upstream; ours out of answers, errors, log and metrics."""
    places = [("x-api-key", KEY), ("Authorization", f"Bearer {KEY}")]
    echo = json.dumps({"error": {"message": "bad", "type": "x"}}).encode()
    seen_by_caller = []

    def call(target, headers, body):
        response = send(accord, target, headers, body)
        seen_by_caller.append(response.head.raw + response.body)

    for status in (200, 401, 500):
        upstream.answer = (answers.usual if status == 200 else
                           lambda peer, request, s=status: peer.send(answers.whole(echo, s)))
        for header in places:
            call(CHAT, [header], BODY)
            call(MESSAGES, [header], b'{"model":"claude-m","max_tokens":1,"messages":[]}')
            call(GENERATE, [header], b'{"contents":[]}')
        call(f"{GENERATE}?key={KEY}", [], b'{"contents":[]}')
    call(f"/v1/nonsense?key={KEY}", [("x-api-key", KEY)], BODY)
    call(CHAT, [("x-api-key", KEY)], b'{"model":')
    upstream.answer = lambda peer, request: "close"
    call(CHAT, [("x-api-key", KEY)], BODY)
    accord.wait_access_log(20)
    metrics = accord.get("/metrics").body
    ours, theirs = PROVIDER_SECRET.encode(), KEY.encode()
    logs = accord.access_log_path.read_bytes() + accord.stderr().encode()
    assert upstream.seen and theirs not in upstream.seen
    assert all(ours not in answer and theirs not in answer for answer in seen_by_caller)
    for text in (logs, metrics):
        assert ours not in text and theirs not in text


def test_access_log_line_says_what_happened(accord):
    accord.post(CHAT, BODY)
    line = accord.wait_access_log(1)[0]
    assert line["status"] == 200
    assert line["model"] == "m"
    assert line["provider"] == "up"
    assert {"ts", "request_id", "route", "dur_ms", "attempts"} <= set(line)


def test_metrics_are_prometheus_text(accord):
    accord.post(CHAT, BODY)
    response = accord.get("/metrics")
    assert response.header("content-type").startswith("text/plain; version=0.0.4")
    assert accord.metric("accord_requests_total") >= 1
    assert accord.metric("accord_build_info") == 1


@pytest.mark.parametrize("page", ["/", "/healthz", "/readyz", "/metrics"])
def test_other_methods_on_pages_are_405(accord, page):
    response = send(accord, page, [])
    assert response.status == 405
    assert response.header("allow") == "GET, HEAD"
