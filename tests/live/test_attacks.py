"""What an attack once broke; each of these ended the process, lost data or said something false."""
import os
import signal

import pytest

import answers
from accord import config_for, run
from wire import request, wait_consumed

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[{"role":"user","content":"hi"}]}'
STREAM = b'{"model":"m","stream":true,"messages":[{"role":"user","content":"hi"}]}'


def key_of(accord):
    return ("x-api-key", accord.key)


def test_half_a_body_at_the_drain_deadline_is_answered(start, upstream):
    accord = start(config_for(upstream.url, timeouts={"drain_ms": 200}))
    with accord.connect() as connection:
        connection.send(request("POST", CHAT, [key_of(accord)], BODY)[:-20])
        accord.signal(signal.SIGTERM)
        response = connection.read_response()
        assert response.status == 503 and response.header("x-should-retry") == "true"
    assert accord.process.wait(10) == 0


def test_half_a_head_at_the_drain_is_answered_when_it_is_whole(start, upstream):
    accord = start(config_for(upstream.url, timeouts={"drain_ms": 3000}))
    data = request("POST", CHAT, [key_of(accord)], BODY)
    with accord.connect() as connection:
        connection.send(data[:40])
        wait_consumed([connection])
        accord.signal(signal.SIGTERM)
        connection.send(data[40:])
        assert connection.read_response().status == 200
    assert accord.process.wait(10) == 0


def test_client_that_does_not_read_at_the_drain_deadline_harms_nobody(start, upstream):
    def flood(peer, _request):
        peer.send(answers.STREAM_HEAD)
        try:
            while True:
                peer.send(answers.chunk(b"data: " + b"x" * 8000 + b"\n\n"))
        except OSError:
            pass

    upstream.answer = flood
    accord = start(config_for(upstream.url, timeouts={"drain_ms": 200}))
    with accord.connect(receive_buffer=4096) as connection:
        connection.send(request("POST", CHAT, [key_of(accord)], STREAM))
        connection.read_head()
        accord.signal(signal.SIGTERM)
        assert accord.process.wait(10) == 0


@pytest.mark.parametrize("size", [60_000, 100_000, 300_000])
@pytest.mark.parametrize("pieces", [1, 7])
def test_last_event_of_any_size_ends_the_stream_and_is_metered(accord, upstream, size, pieces):
    text = b"y" * size
    event = (b'event: response.completed\ndata: {"type":"response.completed","sequence_number":1,'
             b'"response":{"id":"r","output":"' + text + b'","usage":{"input_tokens":7,'
             b'"output_tokens":3,"total_tokens":10}}}\n\n')
    step = len(event) // pieces + 1

    def answer(peer, _request):
        peer.send(answers.STREAM_HEAD)
        for at in range(0, len(event), step):
            peer.send(answers.chunk(event[at:at + step]))
            peer.wait_taken()
        peer.send(b"0\r\n\r\n")

    upstream.answer = answer
    with accord.open_stream("/v1/responses", b'{"model":"m","stream":true,"input":"hi"}') as stream:
        stream.read_head()
        body, clean = stream.read_body_so_far()
    assert clean and body == event
    line = accord.wait_access_log(1)[0]
    assert (line["outcome"], line["input_tokens"], line["output_tokens"]) == ("ok", 7, 3)


def test_end_of_a_large_event_split_between_its_newlines_is_seen(accord, upstream):
    finish = b'data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}\n\n'
    parts = [b'data: {"choices":[{"index":0,"delta":{"content":"' + b"a" * 100_000 + b'"}}]}\n',
             b"\n", finish, b"data: [DONE]\n\n"]

    def answer(peer, _request):
        peer.send(answers.STREAM_HEAD)
        for part in parts:
            peer.send(answers.chunk(part))
            peer.wait_taken()
        peer.send(b"0\r\n\r\n")

    upstream.answer = answer
    with accord.open_stream(CHAT, STREAM) as stream:
        stream.read_head()
        body, clean = stream.read_body_so_far()
    assert clean and body == b"".join(parts)


@pytest.mark.parametrize("query", ["?%6bey={}", "?Key={}", "?a=1;key={}", "?a={}"])
def test_key_in_any_spelling_of_the_query_stays_here(accord, upstream, query):
    accord.post(CHAT + query.format(accord.key), BODY)
    assert accord.key.encode() not in upstream.seen


def test_fragment_in_a_target_is_refused(accord):
    with accord.connect() as connection:
        connection.send(b"GET /v1/models#x HTTP/1.1\r\nHost: a\r\n\r\n")
        assert connection.read_response().status == 400


def test_upstream_does_not_speak_under_our_name(accord, upstream):
    upstream.answer = lambda peer, request: peer.send(
        answers.whole(answers.CHAT, headers=[("Accord-Provider", "evil")]))
    assert accord.post(CHAT, BODY).header("accord-provider") == "up"


def test_total_time_holds_for_streams_and_for_slow_requests(start, upstream):
    upstream.answer = lambda peer, request: (
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, answers.CHAT_EVENTS[:2]))),
        peer.wait_closed())
    accord = start(config_for(upstream.url, timeouts={"total_ms": 400}))
    with accord.open_stream(CHAT, STREAM) as stream:
        stream.read_head()
        body, clean = stream.read_body_so_far(timeout=5)
        assert not clean and b'"timeout"' in body
    with accord.connect() as connection:
        connection.send(request("POST", CHAT, [key_of(accord)], BODY)[:-20])
        assert connection.read_response(timeout=5).status == 408


def test_listening_on_the_path_of_a_file_keeps_the_file(tmp_path):
    path = tmp_path / "precious"
    path.write_text("precious")
    done = run(["serve", "--listen", f"unix:{path}", "--data", str(tmp_path / "data")], tmp_path)
    assert done.returncode == 1 and "cannot listen" in done.stderr
    assert path.read_text() == "precious" and os.path.isfile(path)


@pytest.mark.parametrize("name", ["Model", "MODEL", "mOd\\u0045l", "Stream"])
@pytest.mark.parametrize("target", ["/v1/chat/completions", "/api/chat"])
def test_a_member_in_other_letters_is_refused(accord, upstream, name, target):
    # Servers written in Go take it for the member, and the last one counts.
    model = "ollama-m" if target == "/api/chat" else "m"
    text = '{"model":"%s","messages":[],"stream":false,"%s":"forbidden"}' % (model, name)
    answer = accord.call("POST", target, text.encode())
    assert answer.status == 400 and "other letters" in answer.body.decode()
    assert not upstream.requests
