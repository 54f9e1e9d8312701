"""What costs too much, takes too long or comes too often is told so, and costs us little."""

import json
import time

import pytest

import answers
from accord import KEY, config_for
from wire import request, wait_for

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[]}'
AUTH = ("x-api-key", KEY)


def call(accord, data, **options):
    with accord.connect() as connection:
        connection.send(data)
        response = connection.read_response(**options)
        return response, connection.closes()


def test_body_over_the_limit_is_413(start, upstream):
    accord = start(config_for(upstream.url, limits={"max_body_bytes": 2000}))
    assert accord.post(CHAT, BODY[:-1] + b" " * (2000 - len(BODY)) + b"}").status == 200
    upstream.clear()
    response, closed = call(accord, request("POST", CHAT, [AUTH], b"x" * 2001))
    assert (response.status, closed) == (413, True)
    assert response.json()["error"]["message"]
    assert upstream.seen == b""


def test_announced_body_over_the_limit_is_413_before_it_is_sent(start, upstream):
    accord = start(config_for(upstream.url, limits={"max_body_bytes": 2000}))
    response, closed = call(accord, (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nx-api-key: {KEY}\r\nExpect: 100-continue\r\n"
        "Content-Length: 999999\r\n\r\n").encode())
    assert (response.status, closed) == (413, True)


def test_chunked_body_over_the_limit_is_413(start, upstream):
    accord = start(config_for(upstream.url, limits={"max_body_bytes": 2000}))
    response, closed = call(accord, (
        f"POST {CHAT} HTTP/1.1\r\nHost: a\r\nx-api-key: {KEY}\r\n"
        "Transfer-Encoding: chunked\r\n\r\n").encode() + (b"64\r\n" + b"x" * 100 + b"\r\n") * 21)
    assert (response.status, closed) == (413, True)
    assert upstream.seen == b""


def test_default_body_limit_takes_a_large_prompt(accord, upstream):
    body = b'{"messages":[{"role":"user","content":"' + b"x" * (8 << 20) + b'"}],"model":"m"}'
    assert accord.post(CHAT, body).status == 200
    assert upstream.last.body == body.replace(b'"model":"m"', b'"model":"upstream-m"')


def test_60_kib_of_headers_are_taken_and_70_are_431(accord):
    def padded(kib):
        return [AUTH, *[(f"x-{i}", "y" * 1000) for i in range(kib)]]

    assert call(accord, request("POST", CHAT, [*padded(60), ("Connection", "close")],
                                BODY))[0].status == 200
    response, closed = call(accord, request("POST", CHAT, padded(70), BODY))
    assert (response.status, closed) == (431, True)


def test_one_endless_header_is_431(accord):
    response, closed = call(accord, b"GET / HTTP/1.1\r\nHost: a\r\nX: " + b"y" * 200000)
    assert (response.status, closed) == (431, True)


def test_too_many_headers_are_431(accord):
    response, closed = call(accord, request("POST", CHAT, [AUTH, *[("a", "b")] * 5000], BODY))
    assert (response.status, closed) == (431, True)


def test_endless_target_is_414(accord):
    response, closed = call(accord, b"GET /" + b"y" * 200000)
    assert (response.status, closed) == (414, True)


def test_headers_that_do_not_come_are_408(start, upstream):
    accord = start(config_for(upstream.url, timeouts={"client_header_ms": 200}))
    response, closed = call(accord, f"POST {CHAT} HTTP/1.1\r\nHost: a\r\n".encode())
    assert (response.status, closed) == (408, True)


def test_body_that_does_not_come_is_408(start, upstream):
    accord = start(config_for(upstream.url, timeouts={"client_body_ms": 200}))
    response, closed = call(accord, request("POST", CHAT, [AUTH], BODY)[:-5])
    assert (response.status, closed) == (408, True)
    assert upstream.seen == b""


def test_idle_connection_is_closed_without_a_word(start, upstream):
    accord = start(config_for(upstream.url, timeouts={"client_idle_ms": 200}))
    with accord.connect() as connection:
        connection.send(request("POST", CHAT, [AUTH], BODY))
        assert connection.read_response().status == 200
        assert connection.closes()
    with accord.connect() as connection:
        assert connection.closes()


def test_slow_loris_ends_although_each_byte_is_in_time(start, upstream):
    """The deadline counts from the first byte of a head, not from the last."""
    accord = start(config_for(upstream.url, workers=1, timeouts={"client_header_ms": 400}))
    lorises = [accord.connect() for _ in range(200)]
    began = time.monotonic()
    for loris in lorises:
        loris.send(b"GET /v1/models HTTP/1.1\r\nHost: a\r\n")

    def dripping():
        for loris in lorises:
            loris.send(b"X: y\r\n")
        served = accord.get("/healthz", key=False)
        assert served.status == 200, "slow clients kept others from being served"
        return time.monotonic() - began > 1.0

    wait_for(dripping, what="a second of dripping")
    for loris in lorises:
        received = loris.read_to_end(5)
        assert received == b"" or received.startswith(b"HTTP/1.1 408 ")
        loris.close()


def test_client_that_takes_nothing_is_dropped(start, upstream):
    piece = answers.chunk(answers.chat_chunk({"content": "x" * 8000}))

    def endless(peer, request):
        peer.send(answers.STREAM_HEAD)
        while True:
            peer.send(piece)

    upstream.answer = endless
    accord = start(config_for(upstream.url, timeouts={"client_write_ms": 300}))
    with accord.open_stream(CHAT, {"model": "m", "messages": [], "stream": True},
                            receive_buffer=4096):
        wait_for(lambda: upstream.peers and upstream.peers[-1].closed_at, 20,
                 "the stuck stream to end")


def test_concurrency_limit_is_429_and_is_given_back(start, upstream):
    upstream.answer = lambda peer, request: (upstream.release.wait(15),
                                             peer.send(answers.whole(answers.CHAT)))[1]
    accord = start(config_for(upstream.url, policies=[
        {"id": "two", "applies_to": {"key": "dev"}, "limits": [{"what": "concurrency",
                                                                "at_most": 2}]}]))
    running = [accord.open_stream(CHAT, json.loads(BODY)) for _ in range(2)]
    upstream.wait_requests(2)
    for target, body, kind in [
            (CHAT, BODY, lambda r: r.json()["error"]["type"]),
            ("/v1/messages", b'{"model":"claude-m","max_tokens":1,"messages":[]}',
             lambda r: r.json()["error"]["type"] == "rate_limit_error"),
            ("/v1beta/models/gemini-m:generateContent", b'{"contents":[]}',
             lambda r: r.json()["error"]["status"] == "RESOURCE_EXHAUSTED")]:
        response = accord.post(target, body)
        assert response.status == 429
        assert kind(response), response
        assert response.header("retry-after") and response.header("retry-after-ms")
        assert response.header("x-should-retry") == "true"
    upstream.release.set()
    for connection in running:
        assert connection.read_response().status == 200
        connection.close()
    assert accord.post(CHAT, BODY).status == 200


def test_concurrency_is_given_back_when_clients_leave(start, upstream):
    upstream.answer = lambda peer, request: peer.wait_closed()
    accord = start(config_for(upstream.url, policies=[
        {"id": "two", "applies_to": {"key": "dev"}, "limits": [{"what": "concurrency",
                                                                "at_most": 2}]}]))
    for round_ in range(3):
        running = [accord.open_stream(CHAT, json.loads(BODY)) for _ in range(2)]
        upstream.wait_requests(2 * (round_ + 1))
        assert accord.post(CHAT, BODY).status == 429
        for connection in running:
            connection.close()
        wait_for(lambda: all(peer.closed_at for peer in upstream.peers),
                 what="the upstream connections to be closed")
    upstream.answer = answers.usual
    assert accord.post(CHAT, BODY).status == 200


@pytest.mark.parametrize("timeout", ["first_byte_ms", "total_ms"])
def test_upstream_that_does_not_answer_is_504(start, upstream, timeout):
    upstream.answer = lambda peer, request: peer.wait_closed()
    accord = start(config_for(upstream.url, timeouts={timeout: 200}))
    began = time.monotonic()
    response = accord.post(CHAT, BODY)
    assert response.status == 504
    assert 0.15 < time.monotonic() - began < 5
    assert response.json()["error"]["message"]
    wait_for(lambda: upstream.peers[-1].closed_at, what="the upstream to be closed")


def test_upstream_that_falls_silent_mid_stream_is_an_error_event(start, upstream):
    upstream.answer = lambda peer, request: (
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, answers.CHAT_EVENTS[:2]))),
        peer.wait_closed())
    accord = start(config_for(upstream.url, timeouts={"idle_ms": 200}))
    with accord.open_stream(CHAT, {"model": "m", "messages": [], "stream": True}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert not clean
    assert b'"error"' in body


def test_dead_target_is_passed_over_for_the_next(start, upstream):
    config = config_for(upstream.url)
    config["providers"].append({"id": "dead", "dialect": "openai", "credential": "sk-x-0000000000",
                                "base_url": "http://127.0.0.1:1/v1",
                                "allow_private_address": True})
    config["models"].append({"id": "two", "targets": [
        {"provider": "dead", "model": "x"},
        {"provider": "up", "model": "upstream-m", "priority": 2}]})
    accord = start(config)
    for _ in range(5):
        assert accord.post(CHAT, b'{"model":"two","messages":[]}').status == 200
    assert max(record["attempts"] for record in accord.wait_access_log(5)) == 2


def test_weights_share_the_calls(start, upstream):
    config = config_for(upstream.url)
    config["models"].append({"id": "both", "targets": [
        {"provider": "up", "model": "heavy", "weight": 3},
        {"provider": "up", "model": "light", "weight": 1}]})
    accord = start(config)
    for _ in range(200):
        accord.post(CHAT, b'{"model":"both","messages":[]}')
    heavy = sum(b'"heavy"' in r.body for r in upstream.requests)
    assert len(upstream.requests) == 200
    assert 110 < heavy < 185


def test_private_addresses_are_refused_unless_allowed(start, upstream):
    config = config_for(upstream.url)
    for provider in config["providers"]:
        provider["allow_private_address"] = False
    try:
        accord = start(config)
    except AssertionError as refusal:
        # Refusing the file is as good as refusing the call.
        assert "allow_private_address" in str(refusal)
        return
    assert accord.post(CHAT, BODY).status in (502, 503)
    assert upstream.peers == []
