"""Streams when something goes wrong: a side that leaves, stalls, trickles, floods or lies."""

import json
import random
import time

import pytest

import answers
from accord import config_for
from hostile import Hostile
from wire import Closed, sse_events, wait_for

CHAT = ("/v1/chat/completions", {"model": "m", "messages": [], "stream": True})
MESSAGES = ("/v1/messages", {"model": "claude-m", "max_tokens": 9, "messages": [], "stream": True})
GENERATE = ("/v1beta/models/gemini-m:streamGenerateContent?alt=sse", {"contents": []})
RESPONSES = ("/v1/responses", {"model": "m", "input": "x", "stream": True})
ALL = {"chat": CHAT, "messages": MESSAGES, "generate": GENERATE, "responses": RESPONSES}


def first_part(name):
    """The events of a stream up to its middle, in the dialect of the call."""
    events = {"chat": answers.CHAT_EVENTS, "messages": answers.message_events(),
              "generate": answers.generate_events(), "responses": answers.response_events()}[name]
    return events[:3 if name == "messages" else 2]  # there is content in it


def is_error(name, event, data):
    """Whether an event is an error as the SDKs of the dialect understand it."""
    body = json.loads(data)
    if name == "messages":
        return event == "error" and body["type"] == "error" and body["error"]["type"]
    if name == "responses":
        return event in ("error", "response.failed") and body["type"] == event
    if name == "generate":
        return body["error"]["code"] and body["error"]["status"]
    return body["error"]["message"]


def read_cut_stream(connection):
    """(events, whether it ended as if nothing had happened); None when it never began."""
    head = connection.read_head()
    if head.start.startswith("HTTP/1.1 502 "):
        return None, False
    assert head.start == "HTTP/1.1 200 OK"
    body, clean = connection.read_body_so_far()
    return sse_events(body), clean


@pytest.mark.race
def test_upstream_is_closed_within_100_ms_after_the_client_leaves(accord, upstream):
    upstream.answer = lambda peer, request: (
        peer.send(answers.STREAM_HEAD + answers.chunk(answers.CHAT_EVENTS[0])), peer.wait_closed())
    for leave in ("close", "reset"):
        connection = accord.open_stream(*CHAT)
        connection.read_until(b"\n\n")
        left = time.monotonic()
        getattr(connection, leave)()
        peer = upstream.peers[-1]
        wait_for(lambda p=peer: p.closed_at, 5, "the upstream to be closed")
        assert peer.closed_at - left < 0.1


def test_upstream_is_closed_when_the_client_leaves_before_the_answer(accord, upstream):
    upstream.answer = lambda peer, request: peer.wait_closed()
    connection = accord.open_stream(*CHAT)
    upstream.wait_requests(1)
    left = time.monotonic()
    connection.close()
    wait_for(lambda: upstream.peers[-1].closed_at, 5, "the upstream to be closed")
    assert upstream.peers[-1].closed_at - left < 0.1


def test_client_that_leaves_is_still_settled(accord, upstream):
    upstream.answer = lambda peer, request: (
        peer.send(answers.STREAM_HEAD + answers.chunk(answers.CHAT_EVENTS[0])), peer.wait_closed())
    connection = accord.open_stream(*CHAT)
    connection.read_until(b"\n\n")
    connection.close()
    assert accord.wait_access_log(1)[0]["model"] == "m"
    assert accord.metric("accord_inflight") == 0


@pytest.mark.parametrize("how", ["close", "reset", "bad chunk", "clean end"])
@pytest.mark.parametrize("name", ALL)
def test_upstream_that_dies_mid_stream_is_an_error_and_never_a_clean_end(accord, upstream, name,
                                                                         how):
    def answer(peer, request):
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, first_part(name))))
        peer.wait_taken()
        if how == "reset":
            peer.reset()
        elif how == "bad chunk":
            peer.send(b"zz\r\nnonsense\r\n")
        elif how == "clean end":  # the framing ends well, the dialect does not
            peer.send(b"0\r\n\r\n")
        return "close"

    upstream.answer = answer
    with accord.open_stream(*ALL[name]) as connection:
        events, clean = read_cut_stream(connection)
    if how == "clean end" and name == "generate":
        return  # this dialect has no terminal event: an end is all there is
    assert not clean
    assert len(events) == len(first_part(name)) + 1
    assert is_error(name, *events[-1])


@pytest.mark.parametrize("name", ALL)
def test_upstream_that_closes_before_answering_is_502(accord, upstream, name):
    upstream.answer = lambda peer, request: "close"
    with accord.open_stream(*ALL[name]) as connection:
        assert connection.read_response().status == 502


@pytest.mark.parametrize("garbage", [
    b"nonsense\r\n\r\n", b"HTTP/1.1 999 x\r\n\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 3\r\n\r\nabc",
    b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n"
    b"2\r\nab\r\n0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\n", b"HTTP/1.1 200 OK\nX: y\n\n",
    b"HTTP/1.1 200 OK\r\nX: a\r\n b\r\n\r\n", b"HTTP/1.1 200 OK\r\nX : a\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: a\0b\r\nContent-Length: 0\r\n\r\n",
    b"HTTP/1.1 200 OK\r\nX: " + b"y" * 300000 + b"\r\n\r\n",
    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n", b"\x16\x03\x01\x02\x00"])
def test_upstream_that_answers_no_http_is_502(accord, upstream, garbage):
    upstream.answer = lambda peer, request: (peer.send(garbage), "close")[1]
    response = accord.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert response.status == 502, response
    assert response.json()["error"]["message"]


def test_large_headers_of_the_upstream_pass(accord, upstream):
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        answers.CHAT, headers=[(f"X-{i}", "y" * 1000) for i in range(30)]))
    response = accord.post("/v1/chat/completions", {"model": "m", "messages": []})
    assert response.status == 200
    assert response.header("x-29") == "y" * 1000


def test_interim_answers_of_the_upstream_are_not_the_answer(accord, upstream):
    upstream.answer = lambda peer, request: peer.send(
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
        + answers.whole(answers.CHAT))
    assert accord.post("/v1/chat/completions", {"model": "m", "messages": []}).body == answers.CHAT


def test_answer_that_ends_with_the_connection_is_passed_on(accord, upstream):
    upstream.answer = lambda peer, request: (peer.send(
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n" + answers.CHAT), "close")[1]
    assert accord.post("/v1/chat/completions", {"model": "m", "messages": []}).body == answers.CHAT


@pytest.mark.parametrize("name", ALL)
def test_stream_that_ends_with_the_connection_is_passed_on(accord, upstream, name):
    bodies = {}

    def answer(peer, request):
        bodies["sent"] = b"".join(answers.body_for(request)[1])
        peer.send(answers.CLOSE_HEAD + bodies["sent"])
        return "close"

    upstream.answer = answer
    with accord.open_stream(*ALL[name]) as connection:
        received = connection.read_response().body
    assert received == bodies["sent"].replace(answers.CHAT_USAGE, b"")


@pytest.mark.parametrize("body,content_type", [
    (b"<html><body>Bad gateway</body></html>", "text/html"),
    (b'{"error":{"message":"x","type":"y"}}', "text/plain"), (b"", "application/json")])
def test_answer_of_another_kind_to_a_stream_does_not_hang(accord, upstream, body, content_type):
    upstream.answer = lambda peer, request: peer.send(
        answers.whole(body, content_type=content_type))
    with accord.open_stream(*CHAT) as connection:
        response = connection.read_response()
    # Passed on as it is, or told as an error of the upstream; never dressed up as a stream.
    assert response.status == 502 or response.body == body
    assert b"[DONE]" not in response.body


def test_error_event_in_a_stream_is_passed_on(accord, upstream):
    error = answers.sse({"error": {"message": "overloaded", "type": "server_error", "code": None}})
    upstream.answer = lambda peer, request: peer.send(
        answers.stream([*answers.CHAT_EVENTS[:2], error]))
    with accord.open_stream(*CHAT) as connection:
        events, _ = read_cut_stream(connection)
    assert json.loads(events[2][1])["error"]["message"] == "overloaded"


@pytest.mark.parametrize("newline", [b"\r\n", b"\r", b"\n"])
@pytest.mark.parametrize("blank", [b" ", b""])
def test_every_spelling_of_sse_is_understood_at_every_split(accord, upstream, newline, blank):
    """Usage is found and stripped, the rest stays as it was, one byte at a time."""
    def spell(event):
        return event.replace(b"data: ", b"data:" + blank).replace(b"\n", newline)

    kept = [b"\xef\xbb\xbf: a comment\n\n", *answers.CHAT_EVENTS, answers.DONE]
    events = [*kept[:-1], answers.CHAT_USAGE, answers.DONE]
    sent = b"".join(map(spell, events))
    upstream.answer = lambda peer, request: (
        peer.send(answers.CLOSE_HEAD), peer.send_pieces(sent), "close")[2]
    with accord.open_stream(*CHAT) as connection:
        received = connection.read_response().body
    assert received == b"".join(map(spell, kept))
    line = accord.wait_access_log(1)[0]
    assert 7 in line.values() and 3 in line.values(), line


def test_utf8_split_anywhere_stays_whole(accord, upstream):
    text = "\u00e9\u20ac\U0001f600" * 40
    body = [answers.chat_chunk({"content": text}), answers.chat_chunk({}, "stop"), answers.DONE]
    sent = b"".join(body)
    upstream.answer = lambda peer, request: (
        peer.send(answers.STREAM_HEAD),
        peer.send_pieces(b"".join(answers.chunk(sent[i:i + 7]) for i in range(0, len(sent), 7)), 7),
        peer.send(b"0\r\n\r\n"))
    with accord.open_stream(*CHAT) as connection:
        assert connection.read_response().body == sent


@pytest.mark.parametrize("name", ALL)
def test_stream_cut_at_random_places_is_whole_or_an_error(accord, upstream, name):
    """Wherever the upstream's bytes stop, what came before is exact and the end is honest."""
    chosen = random.Random(4090)
    for _ in range(25):
        sent = {}

        def answer(peer, request, sent=sent):
            events = answers.body_for(request)[1]
            wire = b"".join(map(answers.chunk, events)) + b"0\r\n\r\n"
            sent["at"] = chosen.randrange(1, len(wire))
            sent["body"] = b"".join(events)
            peer.send(answers.STREAM_HEAD)
            peer.send_at(wire[:sent["at"]], [chosen.randrange(sent["at"])])
            return "close"

        upstream.answer = answer
        with accord.open_stream(*ALL[name]) as connection:
            events, clean = read_cut_stream(connection)
        if events is None:
            continue  # nothing had been passed on yet: a plain error is the better answer
        whole = sse_events(sent["body"].replace(answers.CHAT_USAGE, b""))
        assert not clean, f"a stream cut at {sent['at']} ended cleanly"
        assert events[:-1] == whole[:len(events) - 1]
        # Either all events had come and only the last chunk was missing, or an error says so.
        assert events == whole or is_error(name, *events[-1])


@pytest.mark.parametrize("name,ping", [("chat", b": ping\n\n"), ("messages", b"event: ping\n"),
                                       ("responses", b": ping\n\n"), ("generate", b":")])
def test_silence_is_filled_with_pings(start, upstream, name, ping):
    def answer(peer, request):
        events = answers.body_for(request)[1]
        peer.send(answers.STREAM_HEAD + answers.chunk(events[0]))
        upstream.release.wait(15)
        peer.send(b"".join(map(answers.chunk, events[1:])) + b"0\r\n\r\n")

    upstream.answer = answer
    accord = start(config_for(upstream.url, timeouts={"keepalive_ping_ms": 50}))
    with accord.open_stream(*ALL[name]) as connection:
        connection.read_head()
        parts = [connection.read_chunk()]
        while b"".join(parts).count(ping) < 3:
            parts.append(connection.read_chunk())
        upstream.release.set()
        rest, clean = connection.read_body_so_far()
    assert clean
    expected = answers.body_for(upstream.last)[1]
    kept = [e for e in sse_events(b"".join(parts) + rest) if e[0] != "ping"]
    assert kept == sse_events(b"".join(expected).replace(answers.CHAT_USAGE, b""))


def test_no_ping_before_the_stream_has_begun(start, upstream):
    """A status that was already sent could not become an error any more."""
    def answer(peer, request):
        upstream.release.wait(15)
        peer.send(answers.whole(b'{"error":{"message":"x","type":"y"}}', 503))

    upstream.answer = answer
    accord = start(config_for(upstream.url, timeouts={"keepalive_ping_ms": 20}))
    with accord.open_stream(*CHAT) as connection:
        with pytest.raises(TimeoutError):
            connection.read_until(b"\n", timeout=0.3)
        upstream.release.set()
        assert connection.read_response().status == 503


STUCK = 20
FLOOD = 64 * 1024 * 1024


@pytest.fixture
def flooding():
    """An upstream that sends 64 MiB per stream as fast as it is taken; small kernel buffers."""
    hostile = Hostile(send_buffer=16384)
    hostile.sent = {}
    piece = answers.chunk(answers.chat_chunk({"content": "x" * 8000}))

    def answer(peer, request):
        peer.send(answers.STREAM_HEAD)
        hostile.sent[peer] = 0
        while hostile.sent[peer] < FLOOD:
            peer.send(piece)
            hostile.sent[peer] += len(piece)
        peer.send(answers.chunk(answers.DONE) + b"0\r\n\r\n")

    hostile.answer = answer
    yield hostile
    hostile.stop()


def settled(value, quiet=0.5):
    """Waits until value() has not changed for `quiet` seconds."""
    seen, since = value(), time.monotonic()

    def still():
        nonlocal seen, since
        now = value()
        if now != seen:
            seen, since = now, time.monotonic()
        return time.monotonic() - since > quiet

    wait_for(still, 30, "the flow to stop")
    return seen


def test_clients_that_do_not_read_stop_their_upstreams_and_cost_little_memory(start, flooding):
    accord = start(config_for(flooding.url, workers=1))
    warm = accord.open_stream(*CHAT, receive_buffer=4096)
    warm.read_until(b"\n\n")
    warm.close()
    before = accord.rss_kib()
    clients = [accord.open_stream(*CHAT, receive_buffer=4096) for _ in range(STUCK)]
    try:
        for client in clients:
            client.read_until(b"\n\n")
        total = settled(lambda: sum(flooding.sent.values()))
        assert total < (STUCK + 1) * FLOOD / 4, "the upstreams were read to the end"
        grown = accord.rss_kib() - before
        assert grown < STUCK * 256 + 2048, f"{grown} KiB for {STUCK} stuck streams"
    finally:
        for client in clients:
            client.close()


def test_client_that_pauses_gets_every_byte(start, flooding):
    """The flow stops while nobody reads, and goes on as if nothing had been."""
    accord = start(config_for(flooding.url))
    with accord.open_stream(*CHAT) as connection:
        connection.read_head()
        paused = settled(lambda: sum(flooding.sent.values()))
        assert paused < FLOOD / 2
        total, last = 0, b""
        while True:
            part = connection.read_chunk()
            if not part:
                break
            total, last = total + len(part), part
    assert last.endswith(answers.DONE)
    assert total > FLOOD * 0.98


def test_upstream_that_never_reads_does_not_make_us_buffer(start):
    """A large multipart body streams: what the upstream does not take stays with the client."""
    hostile = Hostile()

    def never_read(peer):
        hostile.release.wait(30)

    hostile._serve = never_read
    accord = start(config_for(hostile.url, workers=1))
    before = accord.rss_kib()
    size = 48 * 1024 * 1024
    with accord.connect() as connection:
        connection.send(
            b"POST /v1/audio/transcriptions HTTP/1.1\r\nHost: a\r\nx-api-key: "
            + accord.key.encode() + b"\r\nContent-Type: multipart/form-data; boundary=b\r\n"
            b"Content-Length: %d\r\n\r\n--b\r\nContent-Disposition: form-data; name=\"model\"\r\n"
            b"\r\nm\r\n--b\r\nContent-Disposition: form-data; name=\"file\"\r\n\r\n" % size)
        connection.sock.setblocking(False)
        pushed = 0

        def push():
            nonlocal pushed
            try:
                while pushed < size:
                    pushed += connection.sock.send(b"x" * 65536)
            except BlockingIOError:
                pass
            return pushed

        assert settled(push) < size * 3 / 4, "a body nobody reads was taken whole"
        assert accord.rss_kib() - before < 4096
    hostile.stop()


def test_connection_that_died_idle_is_replaced_without_an_error(accord, upstream):
    """The upstream closes its kept-alive connection just when the next call wants it."""
    upstream.answer = lambda peer, request: (answers.usual(peer, request), "close")[1]
    for _ in range(20):
        response = accord.post("/v1/chat/completions", {"model": "m", "messages": []})
        assert response.status == 200, response


def test_connections_to_the_upstream_are_kept(accord, upstream):
    with accord.connect() as connection:
        for _ in range(20):
            body = b'{"model":"m","messages":[]}'
            connection.send(b"POST /v1/chat/completions HTTP/1.1\r\nHost: a\r\nx-api-key: "
                            + accord.key.encode()
                            + b"\r\nContent-Length: %d\r\n\r\n" % len(body) + body)
            assert connection.read_response().status == 200
    assert len(upstream.peers) == 1


def test_trickled_answer_arrives_as_it_comes(accord, upstream):
    """No buffering: each event is with the client before the upstream sends the next."""
    arrived = []

    def answer(peer, request):
        peer.send(answers.STREAM_HEAD)
        for number, event in enumerate(answers.CHAT_EVENTS):
            peer.send(answers.chunk(event))
            wait_for(lambda n=number: len(arrived) > n, what="the event at the client")
        peer.send(answers.chunk(answers.DONE) + b"0\r\n\r\n")

    upstream.answer = answer
    with accord.open_stream(*CHAT) as connection:
        connection.read_head()
        while True:
            try:
                part = connection.read_chunk()
            except Closed:
                break
            if not part:
                break
            arrived.append(part)
    assert b"".join(arrived) == b"".join([*answers.CHAT_EVENTS, answers.DONE])
