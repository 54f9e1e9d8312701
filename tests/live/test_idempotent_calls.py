"""A model call under an Idempotency-Key happens once: whoever repeats it gets the same answer, from its beginning, from
where he lost it, while it runs and afterwards."""

import gzip
import json
import threading

import openai
import pytest

import answers
from accord import KEY, config_for
from answers import CHAT_EVENTS, DONE
from hostile import Gone
from test_coalescing import BODY, CHAT, OTHER, STREAM, Slow, call, close, under_way
from wire import request, wait_for

ANTHROPIC = {"model": "claude-m", "max_tokens": 50, "stream": True, "messages": BODY["messages"]}


def two_keys(upstream, **more):
    config = config_for(upstream.url, **more)
    config["keys"].append({"id": "other", "secret": OTHER, "models": ["*"]})
    return config


@pytest.fixture
def accord(start, upstream):
    return start(two_keys(upstream))


def ask(accord, body=None, name="k1", key=KEY, headers=(), target=CHAT):
    body = body if isinstance(body, bytes) else json.dumps(body or BODY).encode()
    return accord.call("POST", target, body, [("Authorization", f"Bearer {key}"),
                                              ("Idempotency-Key", name), *headers], key=False)


def ids(response):
    return [line[4:] for line in response.body.split(b"\n") if line.startswith(b"id: ")]


def test_I3_a_repeat_has_the_same_status_and_bytes_and_says_so(accord, upstream):
    first, second = ask(accord), ask(accord)
    assert (first.status, second.status, second.body) == (200, 200, first.body)
    assert first.header("idempotent-replayed") is None
    assert second.header("idempotent-replayed") == "true"
    assert second.header("content-type") == first.header("content-type")
    assert second.header("x-request-id") != first.header("x-request-id")
    assert len(upstream.requests) == 1
    assert upstream.requests[0].header("idempotency-key") is None
    lines = accord.wait_access_log(2)
    replay = next(line for line in lines if line["provider"] == "(replay)")
    assert replay["attempts"] == 0 and replay.get("cost_nusd", 0) == 0
    assert replay["upstream_model"] == "up/upstream-m"
    assert accord.metrics()['accord_memory_calls_total{result="idempotent_replay"}'] == 1


def test_I2_a_malformed_key_is_400_and_quotes_do_not_matter(accord, upstream):
    for bad in ("", "a,b", '"a", "b"', "x" * 256, '"a";p=1', "a b"):
        response = ask(accord, name=bad)
        assert response.status == 400, bad
        assert response.json()["error"]["code"] == "idempotency_key_invalid"
    assert ask(accord, headers=[("idempotency-key", "k2")]).status == 400
    assert not upstream.requests
    assert ask(accord, name="abc").header("idempotent-replayed") is None
    assert ask(accord, name='"abc"').header("idempotent-replayed") == "true"


def test_I4_another_payload_under_the_key_is_422_and_the_first_stays(accord, upstream):
    first = ask(accord)
    for body in ({**BODY, "temperature": 1}, STREAM, json.dumps(BODY).encode() + b" "):
        response = ask(accord, body)
        assert response.status == 422, response
        assert response.json()["error"]["code"] == "idempotency_mismatch"
        assert response.header("x-should-retry") == "false"
    assert ask(accord).body == first.body
    assert len(upstream.requests) == 1


def test_I5_sixty_four_at_once_are_one_call(accord, upstream):
    slow = Slow(upstream)
    connections = []
    for _ in range(64):
        connection = accord.connect()
        connection.send(call(BODY, headers=[("Idempotency-Key", "k")]))
        connections.append(connection)
    under_way(accord, 64)
    slow.go.set()
    got = [c.read_response() for c in connections]
    close(connections)
    assert {(r.status, r.body) for r in got} == {(200, got[0].body)}
    assert slow.asked == 1


def test_I6_another_principal_has_keys_of_his_own(accord, upstream):
    ask(accord)
    assert ask(accord, key=OTHER).header("idempotent-replayed") is None
    assert len(upstream.requests) == 2
    assert ask(accord, key="sk-accord-unknown").status == 401


def test_I6_a_revoked_key_replays_nothing(start, upstream):
    config = two_keys(upstream)
    accord = start(config)
    assert ask(accord, key=OTHER).status == 200
    config["keys"].pop()
    accord.write_config(config)
    accord.signal(1)
    wait_for(lambda: ask(accord, key=OTHER).status == 401, what="the key to be gone")


def test_I7_what_was_refused_or_failed_leaves_the_key_free(start, upstream):
    limit = {"id": "l", "applies_to": {"key": "other"}, "limits": [
        {"what": "requests", "at_most": 1, "per": "second"}]}
    accord = start(two_keys(upstream, policies=[limit]))
    assert ask(accord, {**BODY, "model": "unknown"}).status == 404
    assert ask(accord, b"{").status == 400
    upstream.answer = lambda peer, asked: peer.send(
        answers.whole(b'{"error":{"message":"no"}}', status=400))
    assert ask(accord).status == 400
    upstream.answer = answers.usual
    response = ask(accord)
    assert response.status == 200 and response.header("idempotent-replayed") is None
    assert ask(accord, name="a", key=OTHER).status == 200
    while ask(accord, name="b", key=OTHER).status != 429:
        pass
    wait_for(lambda: ask(accord, name="c", key=OTHER).status == 200, what="the limit to have room")


@pytest.mark.parametrize("target, body", [
    (CHAT, STREAM), (CHAT, {**STREAM, "model": "claude-m"}), ("/v1/messages", ANTHROPIC),
    ("/v1/messages", {**ANTHROPIC, "model": "m"}),
    ("/v1/responses", {"model": "m", "input": "Hello", "stream": True}),
])
def test_events_have_ids_only_under_a_key(accord, upstream, target, body):
    plain = accord.call("POST", target, body)
    assert not ids(plain)
    first, second = ask(accord, body, target=target), ask(accord, body, target=target)
    assert second.body == first.body
    numbers = ids(first)
    assert numbers == [b"%d" % n for n in range(1, len(numbers) + 1)] and len(numbers) > 2
    assert len(numbers) == first.body.count(b"\n\n")
    assert first.header("content-type") == plain.header("content-type")
    assert len(upstream.requests) == 2


def half(upstream, rest=None):
    """A stream that stops after two events until it is told to go on."""
    rest = rest or (lambda peer: peer.send(
        b"".join(answers.chunk(e) for e in [*CHAT_EVENTS[2:], DONE]) + b"0\r\n\r\n"))
    return Slow(upstream, lambda n, peer, asked: rest(peer),
                answers.STREAM_HEAD + b"".join(answers.chunk(e) for e in CHAT_EVENTS[:2]))


def opened(accord, name="k1", headers=()):
    connection = accord.connect()
    connection.send(call(STREAM, headers=[("Idempotency-Key", name), *headers]))
    return connection


def test_M17_a_second_one_attaches_to_the_running_stream_from_its_start(accord, upstream):
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)
    second = opened(accord)
    head = second.read_head()
    assert head.get("idempotent-replayed") == "true"
    seen = second.read_chunk()
    assert seen.startswith(b"id: 1\n") and CHAT_EVENTS[0] in seen
    slow.go.set()
    whole = first.read_response()
    rest = b""
    while piece := second.read_chunk():
        rest += piece
    assert seen + rest == whole.body
    close([first, second])
    assert slow.asked == 1
    assert ask(accord, STREAM).body == whole.body
    lines = accord.wait_access_log(3)
    assert sum(1 for line in lines if line["attempts"]) == 1


def test_M18_who_lost_it_goes_on_behind_the_last_event_he_has(accord, upstream):
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)
    first.read_head()
    first.read_chunk()
    first.reset()
    again = opened(accord, headers=[("Last-Event-ID", "1")])
    assert again.read_head().get("idempotent-replayed") == "true"
    begin = again.read_chunk()
    assert begin.startswith(b"id: 2\n")
    slow.go.set()
    while piece := again.read_chunk():
        begin += piece
    again.close()
    whole = ask(accord, STREAM)
    assert whole.body.endswith(begin) and whole.body.startswith(b"id: 1\n")
    for k in range(len(ids(whole)) + 2):
        part = ask(accord, STREAM, headers=[("Last-Event-ID", str(k))])
        assert ids(part) == ids(whole)[k:]
        assert whole.body.endswith(part.body)
    assert slow.asked == 1


def test_M18_a_client_that_leaves_does_not_stop_the_call(accord, upstream):
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)
    first.reset()
    wait_for(lambda: accord.metrics()["accord_client_gone_total"] == 1, what="the client to be gone")
    slow.go.set()
    under_way(accord, 0)
    whole = ask(accord, STREAM)
    assert whole.header("idempotent-replayed") == "true" and whole.body.rstrip().endswith(b"[DONE]")
    assert slow.asked == 1
    line = accord.wait_access_log(1)[0]
    assert line["outcome"] == "ok"


def broken(peer):
    peer.sock.close()
    raise Gone()


@pytest.mark.parametrize("rest", [
    broken,
    lambda peer: peer.send(b"".join(answers.chunk(e) for e in [
        answers.sse({"error": {"message": "overloaded", "type": "server_error"}})]) + b"0\r\n\r\n"),
])
def test_M19_an_error_in_the_stream_is_replayed_and_nothing_is_generated_anew(accord, upstream, rest):
    slow = half(upstream, rest)
    slow.go.set()

    def everything():
        connection = opened(accord)
        connection.read_head()
        text = b""
        try:
            while piece := connection.read_chunk():
                text += piece
        except Exception:  # pylint: disable=broad-except  # it breaks off, as it did
            pass
        connection.close()
        return text
    first, second = everything(), everything()
    assert b"error" in first and first.startswith(b"id: 1\n")
    assert second == first
    assert slow.asked == 1


def test_the_server_ends_while_a_call_has_no_client(accord, upstream):
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)
    first.reset()
    wait_for(lambda: accord.metrics()["accord_client_gone_total"] == 1, what="the client to be gone")
    slow.go.set()
    accord.stop()


def test_zero_seconds_turn_it_off(start, upstream):
    accord = start(two_keys(upstream, memory={"idempotency_ttl_s": 0}))
    for _ in range(2):
        assert ask(accord).header("idempotent-replayed") is None
    assert len(upstream.requests) == 2


def test_I10_after_its_time_the_key_is_new(start, upstream):
    accord = start(two_keys(upstream, memory={"idempotency_ttl_s": 1}))
    assert ask(accord).status == 200
    wait_for(lambda: len(upstream.requests) == 1 and ask(accord) and len(upstream.requests) == 2,
             what="the key to be new")


def test_the_official_sdk_repeats_a_call_and_its_stream(accord, upstream):
    client = openai.OpenAI(api_key=KEY, base_url=f"http://127.0.0.1:{accord.port}/v1", max_retries=0)
    headers = {"Idempotency-Key": "sdk-1"}

    def text():
        stream = client.chat.completions.create(model="m", messages=BODY["messages"], stream=True,
                                                extra_headers=headers)
        return "".join(c.choices[0].delta.content or "" for c in stream if c.choices)
    assert text() == text() != ""
    assert len(upstream.requests) == 1
    headers["Idempotency-Key"] = "sdk-2"
    whole = [client.chat.completions.create(model="m", messages=BODY["messages"], extra_headers=headers)
             for _ in range(2)]
    assert whole[0].model_dump() == whole[1].model_dump()
    assert len(upstream.requests) == 2


def test_many_clients_come_and_go_on_one_stream(accord, upstream):
    """Readers on both workers that leave at any moment; at the end everything is given back."""
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)

    def reader(n):
        connection = opened(accord)
        connection.read_head()
        if n % 3 == 0:
            connection.reset()
            return
        while connection.read_chunk():
            pass
        connection.close()
    threads = [threading.Thread(target=reader, args=(n,)) for n in range(60)]
    for n, thread in enumerate(threads):
        thread.start()
        if n == 40:
            slow.go.set()
    for thread in threads:
        thread.join(30)
        assert not thread.is_alive()
    first.close()
    under_way(accord, 0)
    assert slow.asked == 1


@pytest.mark.parametrize("status", [200, 400, 404, 503])
@pytest.mark.parametrize("chunked", [False, True])
def test_what_is_no_stream_of_events_gets_no_ids_though_a_stream_was_asked_for(accord, upstream, status, chunked):
    text = b'{"error":{"message":"no","type":"invalid_request_error"}}'
    whole = answers.whole(text, status)
    if chunked:
        whole = (answers.head(status, "No", [("Content-Type", "application/json"), ("Transfer-Encoding", "chunked")])
                 + answers.chunk(text) + b"0\r\n\r\n")
    upstream.answer = lambda peer, request: peer.send(whole)
    for more in ([], [("last-event-id", "1")]):
        answer = ask(accord, STREAM, headers=more)
        assert answer.status == status and "error" in answer.json()


@pytest.mark.parametrize("model", ["gemini-m", "claude-m"])
def test_a_stream_that_is_one_JSON_array_gets_no_ids(accord, upstream, model):
    if model == "gemini-m":
        parts = [event.removeprefix(b"data: ").strip() for event in answers.generate_events()]
        upstream.answer = lambda peer, request: peer.send(answers.whole(b"[" + b",\r\n".join(parts) + b"]"))
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    target = f"/v1beta/models/{model}:streamGenerateContent"
    first = ask(accord, body, target=target)
    assert first.status == 200 and len(first.json()) >= 3
    again = ask(accord, body, target=target, headers=[("last-event-id", "1")])
    assert again.header("idempotent-replayed") == "true" and again.body == first.body


def test_a_stream_that_was_compressed_unasked_is_replayed_as_it_was(accord, upstream):
    text = gzip.compress(b"".join([*CHAT_EVENTS, DONE]))
    upstream.answer = lambda peer, request: peer.send(
        answers.whole(text, content_type="text/event-stream", headers=[("Content-Encoding", "gzip")]))
    for _ in range(2):
        answer = ask(accord, STREAM, headers=[("last-event-id", "1")])
        assert answer.header("content-encoding") == "gzip" and answer.body == text
    assert len(upstream.requests) == 1


# ---- forms, conversations, and where a key means nothing ----

def form(boundary, audio=b"RIFF" + b"\0" * 300000, model=b"m"):
    parts = [b'Content-Disposition: form-data; name="model"\r\n\r\n' + model,
             b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
             b"Content-Type: audio/wav\r\n\r\n" + audio]
    body = b"".join(b"--" + boundary + b"\r\n" + part + b"\r\n" for part in parts)
    return body + b"--" + boundary + b"--\r\n"


def send_form(accord, boundary, name="k1", **more):
    with accord.connect() as connection:
        fields = [("x-api-key", KEY), ("Content-Type", f"multipart/form-data; boundary={boundary}")]
        fields += [("Idempotency-Key", name)] if name else []
        connection.send(request("POST", "/v1/audio/transcriptions", fields,
                                form(boundary.encode(), **more)))
        return connection.read_response()


def test_a_form_happens_once_whatever_its_boundary(accord, upstream):
    first = send_form(accord, "one")
    assert first.status == 200 and first.header("idempotent-replayed") is None
    assert upstream.last.body == form(b"one", model=b"upstream-m")
    for boundary in ("one", "another-boundary"):
        again = send_form(accord, boundary)
        assert again.header("idempotent-replayed") == "true" and again.body == first.body
    for other in ({"audio": b"RIFF" + b"\1" * 300000}, {"model": b"claude-m"}):
        refused = send_form(accord, "one", **other)
        assert refused.status == 422 and refused.json()["error"]["code"] == "idempotency_mismatch"
    assert len(upstream.requests) == 1
    assert send_form(accord, "one", name="k2").header("idempotent-replayed") is None
    plain = send_form(accord, "one", name=None)
    assert plain.status == 200 and plain.header("idempotency-status") is None
    assert len(upstream.requests) == 3


def test_a_form_under_a_key_is_held_to_what_forms_are_held_to(start, upstream):
    """A long file is no text: it takes no tokens of a budget. And what is malformed is refused as ever."""
    limit = {"id": "l", "applies_to": {"org": True}, "limits": [
        {"what": "input_tokens", "at_most": 1000, "per": "day"}]}
    accord = start(two_keys(upstream, policies=[limit]))
    assert send_form(accord, "one").status == 200
    twice = form(b"one").replace(b'name="file"; filename="a.wav"', b'name="model"')
    with accord.connect() as connection:
        connection.send(request("POST", "/v1/audio/transcriptions", [
            ("x-api-key", KEY), ("Content-Type", "multipart/form-data; boundary=one"),
            ("Idempotency-Key", "k3")], twice))
        assert connection.read_response().json()["error"]["code"] == "ambiguous_form"
    assert send_form(accord, "one", name="k4", model=b"unknown").status == 404
    assert len(upstream.requests) == 1


def test_a_call_on_a_conversation_happens_once(accord, upstream):
    body = {"model": "m", "input": "Hello", "conversation": "conv_1"}
    first, second = (ask(accord, body, target="/v1/responses") for _ in range(2))
    assert first.status == 200 and second.body == first.body
    assert second.header("idempotent-replayed") == "true"
    assert len(upstream.requests) == 1
    assert ask(accord, {**body, "conversation": "conv_2"}, target="/v1/responses").status == 422


def test_I11_where_a_key_means_nothing_the_answer_says_so(start, upstream):
    accord = start(two_keys(upstream, memory={"idempotency_ttl_s": 0}))
    assert ask(accord).header("idempotency-status") == "ignored"
    assert send_form(accord, "one").header("idempotency-status") == "ignored"
    assert accord.post(CHAT, BODY).header("idempotency-status") is None
