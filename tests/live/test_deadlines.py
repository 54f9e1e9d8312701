"""Deadlines of an attempt at a stream, of a model and of a provider; and providers that are asked how they are."""

import re
import signal
import socket
import threading
import time

import pytest

import answers
from answers import CHAT_EVENTS, DONE, message_events, sse
from platform_api import ADMIN_TOKEN
from wire import wait_for
from test_ledger import api_of, wait_calls
from test_resilience import CHAT, HELLO, OK, STREAM, Script, ask, play, three

MESSAGES = answers.stream(message_events())


def silent(peer):
    peer.wait_closed()


def only_begins(peer):
    """Lifecycle frames and comments, and then nothing but comments."""
    peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
    try:
        while peer.closed_at is None:
            peer.send(answers.chunk(b": wait\n\n"))
            time.sleep(0.1)
    except OSError:
        pass
    peer.wait_closed()


def with_deadlines(upstream, model=None, provider=None, **timeouts):
    config = three(upstream, timeouts=timeouts)
    for one in config["models"]:
        one.update({"timeouts": model} if model else {})
    for one in config["providers"]:
        one.update({"timeouts": provider} if provider else {})
    return config


WHOSE = pytest.mark.parametrize("whose", ["server", "provider", "model"])


def deadlines_of(upstream, whose, **deadlines):
    return (with_deadlines(upstream, **deadlines) if whose == "server" else
            with_deadlines(upstream, **{whose: deadlines}))


@WHOSE
@pytest.mark.parametrize("late", [silent, only_begins])
def test_a_stream_that_has_no_content_in_time_moves_on_unseen(start, upstream, whose, late):
    accord = start(deadlines_of(upstream, whose, first_token_ms=400))
    script = play(upstream, late, STREAM)
    answer = ask(accord, "m", stream=True)
    assert script.models == ["a", "b"] and answer.status == 200
    assert answer.body == b"".join([*CHAT_EVENTS, DONE])
    wait_for(lambda: upstream.peers[0].closed_at is not None, what="the first connection to close")


def test_what_was_late_is_in_the_record_of_the_call(start, upstream):
    accord = start(with_deadlines(upstream, first_token_ms=400), env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    play(upstream, only_begins, STREAM)
    assert ask(accord, "m", stream=True).status == 200
    (call,) = wait_calls(api_of(accord), 1)
    (late,) = call["failed_attempts"]
    assert late["reason"] == "first_token_late" and call["attempts"] == 2 and call["outcome"] == "ok"


def test_a_deadline_beyond_the_usual_hold_still_moves_on_unseen(start, upstream):
    accord = start(with_deadlines(upstream, model={"first_token_ms": 2600}))
    script = play(upstream, only_begins, STREAM)
    answer = ask(accord, "m", stream=True)
    assert script.models == ["a", "b"] and answer.body == b"".join([*CHAT_EVENTS, DONE])


def test_the_same_of_a_translated_stream(start, upstream):
    def begins(peer):
        peer.send(answers.STREAM_HEAD + answers.chunk(message_events()[0]))
        peer.wait_closed()

    accord = start(with_deadlines(upstream, model={"first_token_ms": 400}))
    script = play(upstream, begins, STREAM)
    answer = ask(accord, "mixed", stream=True)
    assert script.models == ["c", "b"] and answer.events()[-1][1] == "[DONE]"


def test_without_another_target_it_is_a_504_that_no_sdk_repeats(start, upstream):
    accord = start(with_deadlines(upstream, model={"first_token_ms": 300}))
    script = play(upstream, silent)
    answer = ask(accord, "solo", stream=True)
    assert answer.status == 504 and answer.json()["error"]["code"] == "upstream_timeout"
    assert " ms (first_token_ms)" in answer.json()["error"]["message"]
    assert script.models == ["s"]
    (line,) = accord.wait_access_log(1)
    assert line["outcome"] == "timeout"


def test_the_models_deadline_counts_ahead_of_the_providers(start, upstream):
    config = with_deadlines(upstream, model={"first_token_ms": 60000},
                            provider={"first_token_ms": 200}, first_token_ms=100)
    accord = start(config)

    def slow(peer):
        time.sleep(0.6)
        peer.send(STREAM)

    script = play(upstream, slow)
    assert ask(accord, "m", stream=True).status == 200 and script.models == ["a"]


def test_content_stops_the_first_deadline(start, upstream):
    def slow(peer):
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, CHAT_EVENTS[:2])))
        time.sleep(0.8)
        peer.send(b"".join(map(answers.chunk, [*CHAT_EVENTS[2:], DONE])) + b"0\r\n\r\n")

    accord = start(with_deadlines(upstream, model={"first_token_ms": 500}))
    script = play(upstream, slow)
    assert ask(accord, "m", stream=True).body == b"".join([*CHAT_EVENTS, DONE])
    assert script.models == ["a"]


def test_an_answer_that_is_no_stream_has_no_first_token(start, upstream):
    def slow(peer):
        time.sleep(0.6)
        peer.send(OK)

    accord = start(with_deadlines(upstream, model={"first_token_ms": 200, "between_tokens_ms": 200}))
    script = play(upstream, slow)
    assert ask(accord, "m").status == 200 and script.models == ["a"]


@WHOSE
def test_comments_do_not_pass_for_tokens(start, upstream, whose):
    def stalls(peer):
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, CHAT_EVENTS[:2])))
        only_comments(peer)

    def only_comments(peer):
        try:
            while peer.closed_at is None:
                peer.send(answers.chunk(b": wait\n\n"))
                time.sleep(0.05)
        except OSError:
            pass

    accord = start(deadlines_of(upstream, whose, between_tokens_ms=500))
    script = play(upstream, stalls)
    with accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert script.models == ["a"] and not clean
    assert b"upstream_stalled" in body and CHAT_EVENTS[1] in body
    assert b"(between_tokens_ms)" in body
    (line,) = accord.wait_access_log(1)
    assert line["outcome"] == "timeout"


def test_between_tokens_of_a_translated_stream(start, upstream):
    def stalls(peer):
        events = message_events()
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, events[:4])))
        try:
            while peer.closed_at is None:
                peer.send(answers.chunk(sse({"type": "ping"}, "ping")))
                time.sleep(0.05)
        except OSError:
            pass

    accord = start(with_deadlines(upstream, model={"between_tokens_ms": 500}))
    play(upstream, stalls)
    with accord.open_stream(CHAT, {"model": "mixed", "stream": True, **HELLO}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert not clean and b"upstream_stalled" in body


def test_a_steady_stream_outlasts_both_deadlines(start, upstream):
    def steady(peer):
        peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
        for _ in range(12):
            peer.send(answers.chunk(CHAT_EVENTS[1]))
            time.sleep(0.1)
        peer.send(b"".join(map(answers.chunk, [*CHAT_EVENTS[2:], DONE])) + b"0\r\n\r\n")

    accord = start(with_deadlines(upstream, model={"first_token_ms": 900, "between_tokens_ms": 900}))
    play(upstream, steady)
    assert ask(accord, "m", stream=True).body.count(CHAT_EVENTS[1]) == 12


@pytest.mark.parametrize("stream", [False, True])
def test_a_model_has_a_deadline_for_the_whole_call(start, upstream, stream):
    accord = start(with_deadlines(upstream, model={"total_ms": 300}))
    play(upstream, silent)
    begun = time.monotonic()
    assert ask(accord, "m", stream=stream).status == 504
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("where,field", [("models", "total_ms"), ("providers", "connect_ms")])
def test_a_bad_deadline_is_refused_with_its_name(start, upstream, where, field):
    config = three(upstream)
    config[where][0]["timeouts"] = {field: -1}
    with pytest.raises(Exception, match=rf"{field}(.|\n)*-1(.|\n)*0 to 86400000"):
        start(config)


def test_a_client_that_reads_slowly_is_no_slow_upstream(start, upstream):
    big = answers.chunk(CHAT_EVENTS[1]) * 40000

    def flood(peer):
        peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
        for _ in range(4):
            peer.send(big)
        peer.send(b"".join(map(answers.chunk, [*CHAT_EVENTS[2:], DONE])) + b"0\r\n\r\n")

    accord = start(with_deadlines(upstream, model={"between_tokens_ms": 300}))
    play(upstream, flood)
    with accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
        connection.read_head()
        time.sleep(1.2)  # nothing is read for several deadlines
        body, clean = connection.read_body_so_far()
    assert clean and body.count(CHAT_EVENTS[1]) == 160000


# ---- providers that are asked how they are ----

class Forwarder:
    """A host that comes to life: passes connections on to another port."""

    def __init__(self, port, to):
        self.listener = socket.create_server(("127.0.0.1", port))
        self.to = to

    def __enter__(self):
        threading.Thread(target=self._accept, daemon=True).start()

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()

    def _accept(self):
        while True:
            try:
                ours, _ = self.listener.accept()
            except OSError:
                return
            theirs = socket.create_connection(("127.0.0.1", self.to))
            for one, other in [(ours, theirs), (theirs, ours)]:
                threading.Thread(target=self._pass, args=(one, other), daemon=True).start()

    @staticmethod
    def _pass(one, other):
        try:
            while data := one.recv(65536):
                other.sendall(data)
            other.shutdown(socket.SHUT_WR)
        except OSError:
            other.close()


class Host:
    """Answers /health as `status` says, and calls with OK; counts both."""

    def __init__(self, upstream, status=200):
        self.status, self.checks, self.calls, self.keys = status, 0, 0, set()
        upstream.answer = self

    def __call__(self, peer, request):
        if request.target != "/health":
            self.calls += 1
            return peer.send(OK)
        self.checks += 1
        self.keys.add(request.header("authorization"))
        if self.status is None:  # hangs
            peer.wait_closed()
            return "close"
        return peer.send(answers.whole(b"{}", status=self.status))

    def wait_checks(self, more):
        wanted = self.checks + more
        wait_for(lambda: self.checks >= wanted, what=f"{more} checks")


@pytest.fixture
def pair(upstream):
    """Two hosts for model m: the first is asked how it is."""
    from hostile import Hostile
    second = Hostile()
    config = three(upstream)
    config["providers"][-1]["health"] = {"path": "/health", "every_ms": 100, "timeout_ms": 300}
    config["providers"].append({"id": "other", "dialect": "openai", "base_url": second.url + "/v1",
                                "credential": "sk-other-0000000", "allow_private_address": True})
    config["models"][1]["targets"][1]["provider"] = "other"
    yield config, Host(upstream), Host(second)
    second.stop()


@pytest.mark.parametrize("status", [503, 404, None])
def test_a_host_whose_checks_fail_rests_and_comes_back(start, pair, status):
    config, first, second = pair
    accord = start(config)
    first.wait_checks(2)
    assert ask(accord, "m").status == 200 and (first.calls, second.calls) == (1, 0)
    assert first.keys == {"Bearer sk-only-00000000"}

    first.status = status
    first.wait_checks(4)
    assert ask(accord, "m").status == 200 and (first.calls, second.calls) == (1, 1)
    first.wait_checks(15)  # 1.5 s and more: it still rests, whatever breakers would allow
    for _ in range(5):
        assert ask(accord, "m").header("accord-attempts") == "1"
    assert (first.calls, second.calls) == (1, 6)

    first.status = 200
    first.wait_checks(3)
    assert ask(accord, "m").status == 200 and (first.calls, second.calls) == (2, 6)
    checks = accord.get("/metrics").body.decode()
    assert int(re.search(r'health_checks_total{result="failed"} (\d+)', checks)[1]) >= 3
    assert int(re.search(r'health_checks_total{result="well"} (\d+)', checks)[1]) >= 3


def test_a_check_that_succeeds_brings_a_host_back_earlier(start, pair, upstream, tmp_path):
    """Without it a host that could not be reached rests for two seconds."""
    config, first, second = pair
    config["providers"][-2]["health"].update(every_ms=100, failures=100)
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    config["providers"][-2]["base_url"] = f"http://127.0.0.1:{port}/v1"
    accord = start(config)
    assert ask(accord, "m").header("accord-attempts") == "2"  # nobody is there
    began = time.monotonic()
    with Forwarder(port, upstream.port):
        first.wait_checks(2)
        assert time.monotonic() - began < 1.9, "too slow a machine to tell"
        assert ask(accord, "m").status == 200 and (first.calls, second.calls) == (1, 1)


def test_one_check_that_fails_is_none_too_many(start, pair):
    config, first, second = pair
    config["providers"][-2]["health"].update(failures=100)
    accord = start(config)
    first.status = 500
    first.wait_checks(5)
    assert ask(accord, "m").status == 200 and (first.calls, second.calls) == (1, 0)


def test_one_worker_asks_and_only_where_it_is_wanted(start, pair):
    config, first, second = pair
    config["workers"] = 4
    config["providers"][-2]["health"]["every_ms"] = 300
    start(config)
    first.wait_checks(1)
    begun, seen = time.monotonic(), first.checks
    first.wait_checks(6)
    assert time.monotonic() - begun > 6 * 0.27 - 0.3  # four askers would need a quarter of that
    assert second.checks == 0 and seen >= 1


def test_reloads_neither_stop_nor_double_the_checks(start, pair):
    config, first, second = pair
    config["providers"][-2]["health"]["every_ms"] = 300
    accord = start(config)
    first.status = 500
    begun = time.monotonic()
    for turn in range(12):
        config["models"][0]["aliases"] = [f"turn-{turn}"]
        accord.write_config(config)
        accord.signal(signal.SIGHUP)
        wait_for(lambda t=turn: ask(accord, f"turn-{t}").status == 200, what="the reload")
        time.sleep(0.1)
    first.wait_checks(1)
    took = time.monotonic() - begun
    assert 3 <= first.checks <= took / 0.27 + 2
    before = first.calls
    assert ask(accord, "m").status == 200 and second.calls == 1 and first.calls == before

    del config["providers"][-2]["health"]
    config["models"][0]["aliases"] = ["last"]
    accord.write_config(config)
    accord.signal(signal.SIGHUP)
    wait_for(lambda: ask(accord, "last").status == 200, what="the reload")
    seen = first.checks
    time.sleep(0.8)
    assert first.checks == seen


@pytest.mark.parametrize("bad,told", [
    ({"every_ms": 1000}, "path"), ({"path": "health"}, "health"),
    ({"path": "/h", "every_ms": 1}, "every_ms(.|\n)*100 to 3600000"),
    ({"path": "/h\r\nx: y"}, "path")])
def test_a_bad_check_is_refused(start, pair, bad, told):
    config, _, _ = pair
    config["providers"][-2]["health"] = bad
    with pytest.raises(AssertionError, match=f"health(.|\n)*{told}"):
        start(config)
