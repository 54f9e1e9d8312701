"""Who asks the same at the same time shares one request to the provider, and nobody else does."""

import json
import threading

import pytest

import answers
from accord import KEY, config_for
from answers import CHAT_EVENTS, DONE
from hostile import Gone
from wire import request, wait_for

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**BODY, "stream": True}
FIXED = {**BODY, "temperature": 0, "seed": 7}
OTHER = "sk-accord-live-tests-caller-canary-0002"


def coalescing(upstream, workers=2, **cache):
    config = config_for(upstream.url, workers=workers, policies=[
        {"id": "c", "applies_to": {"org": True}, "cache": {"ttl_s": 0, "coalesce": True, **cache}}])
    config["keys"].append({"id": "other", "secret": OTHER, "models": ["*"]})
    return config


class Slow:
    """Answers when it is told to; what it was asked until then is counted."""

    def __init__(self, upstream, answer=None, first=b""):
        self.go, self.asked, self.first = threading.Event(), 0, first
        self.answer, self.begun, self.gone = answer, threading.Event(), 0
        self.lock = threading.Lock()
        upstream.answer = self

    def __call__(self, peer, asked):
        with self.lock:
            self.asked += 1
            number = self.asked
        if self.first:
            peer.send(self.first)
        self.begun.set()
        assert self.go.wait(30)
        if self.answer:
            self.answer(number, peer, asked)
        else:
            answers.usual(peer, asked)


def call(body, key=KEY, headers=()):
    return request("POST", CHAT, [("Authorization", f"Bearer {key}"), ("Content-Type", "application/json"),
                                  *headers], json.dumps(body).encode())


def many(accord, n, body, key=KEY):
    connections = []
    for _ in range(n):
        connection = accord.connect()
        connection.send(call(body, key))
        connections.append(connection)
    return connections


def under_way(accord, n):
    wait_for(lambda: accord.metrics()["accord_inflight"] == n, what=f"{n} calls under way")


def close(connections):
    for connection in connections:
        connection.close()


@pytest.mark.parametrize("body", [BODY, STREAM])
@pytest.mark.parametrize("workers", [1, 2])
def test_M13_a_hundred_identical_calls_are_one_upstream_request(start, upstream, body, workers):
    slow = Slow(upstream)
    accord = start(coalescing(upstream, workers))
    all_of_them = many(accord, 100, body)
    under_way(accord, 100)
    slow.go.set()
    got = [c.read_response() for c in all_of_them]
    close(all_of_them)
    assert {r.status for r in got} == {200}
    assert len({r.body for r in got}) == 1 and got[0].body
    assert slow.asked == 1
    told = [r.header("accord-cache") for r in got]
    assert told.count("miss") == 1 and told.count("coalesced") == 99
    assert accord.metrics()['accord_memory_calls_total{result="coalesced"}'] == 99
    lines = accord.wait_access_log(100)
    assert sum(line.get("input_tokens", 0) for line in lines) == 7  # billed once
    assert sum(line["provider"] == "(coalesced)" for line in lines) == 99
    # Nothing is kept.
    assert accord.call("POST", CHAT, body).header("accord-cache") == "miss"
    assert slow.asked == 2


def test_M14_two_principals_are_two_upstream_requests(start, upstream):
    slow = Slow(upstream)
    accord = start(coalescing(upstream))
    connections = many(accord, 10, BODY) + many(accord, 10, BODY, OTHER)
    under_way(accord, 20)
    slow.go.set()
    assert all(c.read_response().status == 200 for c in connections)
    close(connections)
    assert slow.asked == 2


@pytest.mark.parametrize("failure", [
    lambda peer: peer.send(answers.whole(b'{"error":{"message":"no","code":"x"}}', status=400)),
    lambda peer: peer.sock.close(),
])
def test_M15_when_the_first_fails_the_others_ask_for_themselves(start, upstream, failure):
    def answer(number, peer, asked):
        if number == 1:
            failure(peer)
            raise Gone()
        answers.usual(peer, asked)
    slow = Slow(upstream, answer)
    config = coalescing(upstream)
    config["policies"][0]["retry"] = {"attempts": 1}
    accord = start(config)
    connections = many(accord, 1, BODY)
    assert slow.begun.wait(10)
    connections += many(accord, 9, BODY)
    under_way(accord, 10)
    slow.go.set()
    got = [c.read_response() for c in connections]
    close(connections)
    assert got[0].status in (400, 502)
    assert [r.status for r in got[1:]] == [200] * 9
    assert slow.asked == 10


def test_what_was_begun_and_breaks_off_breaks_off_for_all_who_have_seen_it(start, upstream):
    def answer(number, peer, asked):
        peer.sock.close()
        raise Gone()
    slow = Slow(upstream, answer,
                answers.STREAM_HEAD + b"".join(answers.chunk(e) for e in CHAT_EVENTS[:2]))
    accord = start(coalescing(upstream))
    first = many(accord, 1, STREAM)[0]
    assert slow.begun.wait(10)
    assert first.read_head().get("accord-cache") == "miss"
    second = many(accord, 1, STREAM)[0]
    assert second.read_head().get("accord-cache") == "coalesced"
    slow.go.set()
    texts = [c.read_to_end() for c in (first, second)]
    for text in texts:
        assert b"upstream_cut" in text and not text.endswith(b"0\r\n\r\n")
    close([first, second])
    assert slow.asked == 1


def test_the_first_caller_leaves_and_the_others_get_the_answer(start, upstream):
    slow = Slow(upstream)
    accord = start(coalescing(upstream))
    leader = many(accord, 1, BODY)[0]
    assert slow.begun.wait(10)
    others = many(accord, 5, BODY)
    under_way(accord, 6)
    leader.reset()
    wait_for(lambda: accord.metrics()["accord_client_gone_total"] == 1, what="the leader to be gone")
    slow.go.set()
    assert [c.read_response().status for c in others] == [200] * 5
    close(others)
    assert slow.asked == 1
    under_way(accord, 0)


def test_all_callers_leave_and_a_follower_that_leaves_disturbs_nobody(start, upstream):
    slow = Slow(upstream)
    accord = start(coalescing(upstream))
    leader = many(accord, 1, STREAM)[0]
    assert slow.begun.wait(10)
    followers = many(accord, 10, STREAM)
    under_way(accord, 11)
    for follower in followers:
        follower.reset()
    under_way(accord, 1)
    slow.go.set()
    assert leader.read_response().status == 200
    leader.close()
    under_way(accord, 0)


def test_a_stream_reaches_everybody_while_it_runs(start, upstream):
    slow = Slow(upstream, lambda n, peer, asked: peer.send(
        b"".join(answers.chunk(e) for e in [*CHAT_EVENTS[2:], DONE]) + b"0\r\n\r\n"),
        answers.STREAM_HEAD + b"".join(answers.chunk(e) for e in CHAT_EVENTS[:2]))
    accord = start(coalescing(upstream))
    connections = many(accord, 1, STREAM)
    assert slow.begun.wait(10)
    connections += many(accord, 5, STREAM)
    for connection in connections:
        assert connection.read_head().start.split()[1] == "200"
        seen = b""
        while CHAT_EVENTS[1] not in seen:
            seen += connection.read_chunk()
    slow.go.set()
    close(connections)
    assert slow.asked == 1


def test_only_questions_with_one_answer_are_shared_unless_a_policy_says_so(start, upstream):
    slow = Slow(upstream)
    accord = start(coalescing(upstream, coalesce=False))
    connections = many(accord, 5, FIXED)
    under_way(accord, 5)
    wait_for(lambda: slow.asked == 1, what="the first")
    connections += many(accord, 5, BODY) + many(accord, 2, {**BODY, "temperature": 0})
    wait_for(lambda: slow.asked == 8, what="seven more")
    slow.go.set()
    assert {c.read_response().status for c in connections} == {200}
    close(connections)


def test_what_was_shared_is_kept_for_those_who_come_later(start, upstream):
    slow = Slow(upstream)
    accord = start(coalescing(upstream, ttl_s=300))
    connections = many(accord, 5, BODY)
    under_way(accord, 5)
    slow.go.set()
    assert {c.read_response().status for c in connections} == {200}
    close(connections)
    assert accord.call("POST", CHAT, BODY).header("accord-cache") == "hit"
    assert slow.asked == 1


@pytest.mark.parametrize("headers", [[], [("Idempotency-Key", "k")]])
def test_who_does_not_read_holds_nobody_up(start, upstream, headers):
    def long(peer, asked):
        words = [answers.chat_chunk({"content": "x" * 20000}) for _ in range(400)]
        peer.send(answers.stream([*words, *CHAT_EVENTS[-1:], DONE]))
    upstream.answer = long
    accord = start({**coalescing(upstream), "memory": {"answer_max_bytes": 32 << 20},
                    "timeouts": {"client_write_ms": 600000}})
    first = accord.connect(receive_buffer=4096)
    first.send(call(STREAM, headers=headers))
    wait_for(lambda: upstream.requests, what="the provider to be asked")
    second = accord.connect()
    second.send(call(STREAM, headers=headers))
    answer = second.read_response("POST")
    assert answer.body.endswith(DONE) and len(answer.body) > 400 * 20000
    assert len(upstream.requests) == 1
    close([first, second])
