"""The ledger summed against what the upstreams really served, to the token, over calls of many shapes: whole and streamed,
translated, retried, cut, hedged, from the cache, repeated under a key, of clients that leave. chaos.py does the same
with thousands of calls at random; here each shape is there by name."""

import threading

import pytest

import answers
from accord import config_for
from hostile import Hostile
from platform_api import ADMIN_TOKEN
from test_ledger import api_of, wait_calls, wait_usage
from wire import Closed, wait_for

CHAT, MESSAGES = "/v1/chat/completions", "/v1/messages"
PRICE = {"input": 3, "output": 7}


def renumbered(data, read, written):
    """The same answer with other tokens; all are told as 7 and 3."""
    for name, told, count in ((b"prompt_tokens", b"7", read), (b"completion_tokens", b"3", written),
                              (b"input_tokens", b"7", read), (b"output_tokens", b"3", written)):
        data = data.replace(b'"%s":%s' % (name, told), b'"%s":%d' % (name, count))
    return data.replace(b'"total_tokens":10', b'"total_tokens":%d' % (read + written))


class Book:
    """Answers each request with tokens that no other has, and keeps what it told."""

    def __init__(self):
        self.lock, self.n, self.served, self.fail = threading.Lock(), 0, [], []

    def __call__(self, peer, request):
        with self.lock:
            self.n += 1
            read, written = 1000 + 17 * self.n, 100 + 3 * self.n
            fault = self.fail.pop(0) if self.fail else None
        if fault == "error":
            return peer.send(answers.whole(b'{"error":{"message":"later"}}', status=503))
        body, events = answers.body_for(request)
        if b'"stream":true' not in request.body.replace(b" ", b""):
            data = answers.whole(renumbered(body, read, written))
            if fault == "cut":
                peer.send(data[:-30])
                peer.wait_taken()
                return "close"
            self.served.append((read, written))
            return peer.send(data)
        events = [renumbered(event, read, written) for event in events]
        if fault == "cut":  # after its first content; Messages have told by then what they read
            peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, events[:4])))
            peer.wait_taken()
            if "/messages" in request.path:
                self.served.append((read, 1))
            return "close"
        self.served.append((read, written))
        return peer.send(answers.stream(events))


@pytest.fixture
def book(upstream):
    upstream.answer = Book()
    return upstream.answer


def started(start, upstream, **more):
    config = config_for(upstream.url, policies=[
        {"id": "cache", "applies_to": {"key": "dev"}, "cache": {"ttl_s": 60}}], **more)
    for model in config["models"]:
        model["targets"][0]["price"] = PRICE
    return start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})


def ask(accord, target, model, text, stream=False, headers=(), **more):
    body = {"model": model, "max_tokens": 50, "stream": stream, "messages": [{"role": "user", "content": text}], **more}
    with accord.open_stream(target, body, headers) as connection:
        if not stream:
            try:
                return connection.read_response()
            except Closed:  # cut
                return None
        connection.read_head()
        return connection.read_body_so_far()


SHAPES = [(target, model, stream) for target in (CHAT, MESSAGES) for model in ("m", "claude-m") for stream in (False, True)]


def check(accord, book, count):
    """Tokens and money of all calls, in the records, in the sums and in the metrics."""
    read, written = (sum(one[k] for one in book.served) for k in (0, 1))
    rows = wait_usage(api_of(accord), count)
    calls = wait_calls(api_of(accord), count)
    assert sum(c.get("tokens", {}).get("input", 0) for c in calls) == rows[0]["tokens"]["input"] == read
    assert sum(c.get("tokens", {}).get("output", 0) for c in calls) == rows[0]["tokens"]["output"] == written
    assert sum(c["cost_nusd"] or 0 for c in calls) == rows[0]["cost_nusd"] == read * 3000 + written * 7000
    metrics = accord.metrics()
    for kind, total in (("input", read), ("output", written)):
        assert sum(v for k, v in metrics.items() if k.startswith("accord_tokens_total{")
                   and f'type="{kind}"' in k) == total
    return calls


@pytest.mark.parametrize("fault", [None, "error", "cut"], ids=["well", "retried", "cut"])
def test_each_shape(start, upstream, book, fault):
    accord = started(start, upstream)
    for i, (target, model, stream) in enumerate(SHAPES):
        book.fail = [fault] if fault else []
        ask(accord, target, model, f"question {i}", stream)
    check(accord, book, len(SHAPES))


@pytest.mark.parametrize("target, model, stream", SHAPES)
def test_what_comes_from_memory_was_served_once(start, upstream, book, target, model, stream):
    accord = started(start, upstream)
    for _ in range(3):
        ask(accord, target, model, "the same", stream, temperature=0)
    for _ in range(3):
        ask(accord, target, model, "another", stream, [("Idempotency-Key", "k")], temperature=1)
    calls = check(accord, book, 6)
    assert book.n == 2 and sorted(c["provider"] for c in calls)[:4] == ["(cache)"] * 2 + ["(replay)"] * 2


def test_a_hedged_call_is_what_the_winner_served(start, upstream, book):
    """The loser has told what it read before it was overtaken: that is its vendor's affair, and no part of the call."""
    second = Hostile()
    second.answer = other = Book()
    other.n = 500
    config = config_for(upstream.url, workers=1)
    config["providers"].append({**config["providers"][0], "id": "other", "base_url": f"{second.url}/v1"})
    config["models"].append({
        "id": "both", "hedge": {"min_samples": 10, "budget_percent": 100, "after_percentile": 95},
        "targets": [{"provider": "up", "model": "a", "price": PRICE},
                    {"provider": "other", "model": "b", "priority": 2, "price": PRICE}]})
    accord = start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    for i in range(10):
        ask(accord, CHAT, "both", f"learn {i}", True)

    def stalls(peer, request):
        peer.send(answers.STREAM_HEAD + answers.chunk(answers.CHAT_EVENTS[0]))
        peer.wait_closed()
        return "close"

    upstream.answer = stalls
    for i in range(3):
        ask(accord, CHAT, "both", f"hedged {i}", True)
    second.stop()
    book.served += other.served
    calls = check(accord, book, 13)
    assert sum(c["attempts"] == 2 and c["provider"] == "other" for c in calls) == 3


def test_a_client_that_leaves_is_what_it_was_told(start, upstream, book):
    """Messages tell what they read in their first event. What comes after the client has left is not read."""
    accord = started(start, upstream)
    gone = threading.Event()

    def slow(peer, request):
        events = [renumbered(event, 4711, 3) for event in answers.message_events()]
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, events[:4])))
        gone.wait(30)
        peer.wait_closed()
        return "close"

    upstream.answer = slow
    body = {"model": "claude-m", "max_tokens": 50, "stream": True, "messages": [{"role": "user", "content": "hi"}]}
    with accord.open_stream(MESSAGES, body) as connection:
        connection.read_head()
        connection.read_until(b"Bonjour")
    gone.set()
    wait_for(lambda: accord.metrics()["accord_inflight"] == 0, what="the call to end")
    book.served.append((4711, 1))
    assert check(accord, book, 1)[0]["outcome"] == "client_gone"
