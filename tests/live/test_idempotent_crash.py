"""A model call under an Idempotency-Key does not happen twice because a server has stopped, was killed, or is one of
two on one database: what has begun is written down before a provider hears of it."""

import contextlib
import json
import signal
import sqlite3
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import answers
from accord import KEY, Accord, config_for
from test_coalescing import BODY, CHAT, STREAM, Slow, call, under_way
from test_idempotent_calls import ask, half, ids, opened
from wire import wait_for

MASTER_KEY = {"ACCORD_MASTER_KEY": "cd" * 32}


class Place:
    """A server that can be killed and started again where it was, on one of the databases."""

    def __init__(self, directory, upstream, cluster):
        self.directory, self.upstream, self.cluster = directory, upstream, cluster
        self.env = {**MASTER_KEY, **({"ACCORD_DATABASE_URL": cluster.url} if cluster else {})}
        self.more, self.servers, self.server = {}, [], None

    def start(self, **more):
        self.more.update(more)
        self.server = Accord(self.directory / f"s{len(self.servers) if self.cluster else 0}",
                             config_for(self.upstream.url, **self.more), env=self.env)
        self.servers.append(self.server)
        return self.server

    def kill(self):
        self.server.may_fail = True
        self.server.process.kill()
        self.server.process.wait()

    def again(self, how="kill", **more):
        self.kill() if how == "kill" else self.server.stop()
        return self.start(**more)

    def sql(self, text):
        if self.cluster:
            return self.cluster.ask(text.replace("call_note", "accord.call_note"))
        with contextlib.closing(sqlite3.connect(self.directory / "s0" / "data" / "state.db")) as state:
            rows = state.execute(text).fetchall()
        return "\n".join("|".join(map(str, row)) for row in rows)

    def states(self):
        return self.sql("SELECT state FROM call_note ORDER BY name")


@pytest.fixture(params=["sqlite", "postgresql"])
def place(request, tmp_path, upstream):
    cluster = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        cluster.fresh()
    it = Place(tmp_path, upstream, cluster)
    yield it
    for server in it.servers:
        server.stop()


def code(response):
    return response.json()["error"].get("code") if response.status >= 400 else None


def settled(accord, **more):
    """The answer once nobody could still be at work on the call: on a shared database that takes the lease's time."""
    got = []

    def is_settled():
        got.append(ask(accord, **more))
        return code(got[-1]) != "idempotency_in_progress"
    wait_for(is_settled, timeout=30, what="the lease of the dead process to end")
    return got[-1]


def test_I9_a_call_that_had_begun_when_the_server_was_killed_is_not_made_again(place, upstream):
    accord = place.start()
    slow = Slow(upstream)
    connection = accord.connect()
    connection.send(call(BODY, headers=[("Idempotency-Key", "k1")]))
    assert slow.begun.wait(10)
    place.kill()
    slow.go.set()
    connection.close()
    upstream.answer = answers.usual
    accord, before = place.start(), slow.asked
    answer = settled(accord)
    assert answer.status == 409 and answer.header("x-should-retry") == "false"
    error = answer.json()["error"]
    assert error["code"] == "idempotency_uncertain" and error["type"] == "conflict_error"
    assert error["safe_new_key"] is False and error["operation_ref"].startswith("req_")
    assert error["retry"]["class"] == "never" and answer.header("retry-after") is None
    assert ask(accord).json()["error"]["operation_ref"] == error["operation_ref"]
    assert code(ask(accord, STREAM)) == "idempotency_mismatch"
    assert slow.asked == before == 1
    assert ask(accord, name="another").status == 200
    wait_for(lambda: any(one["outcome"] == "refused" for one in accord.access_log()), what="its record")
    refused = [one for one in accord.access_log() if one["outcome"] == "refused"]
    assert all(one.get("cost_nusd", 0) == 0 and one["attempts"] == 0 for one in refused)


def test_the_fields_are_there_in_the_words_of_each_dialect(place, upstream):
    accord = place.start()
    bodies = {
        "/v1/messages": {"model": "m", "max_tokens": 9, "messages": BODY["messages"]},
        "/v1beta/models/m:generateContent": {"contents": [{"role": "user", "parts": [{"text": "x"}]}]},
        "/api/chat": {"model": "m", "stream": False, "messages": BODY["messages"]},
        "/v2/chat": {"model": "m", "messages": BODY["messages"]},
        "/model/m/converse": {"messages": [{"role": "user", "content": [{"text": "x"}]}]},
    }
    for target, body in bodies.items():
        assert ask(accord, body, target=target).status == 200, target
    accord = place.again("stop", memory={"idempotency_stored_bytes": 0})
    for target, body in bodies.items():
        assert ask(accord, body, target=target, name="k2").status == 200
    wait_for(lambda: place.states().count("1") == 10, what="the ends to be written")
    accord = place.again()
    for target, body in bodies.items():
        assert ask(accord, body, target=target).header("idempotent-replayed") == "true", target
        answer = ask(accord, body, target=target, name="k2")
        assert answer.status == 409, (target, answer)
        text = answer.body.decode()
        assert "idempotency_uncertain" in text and '"operation_ref":"req_' in text, text
        assert '"safe_new_key":false' in text or '"safe_new_key":"false"' in text
        assert "never" in text
        json.loads(text)


@pytest.mark.parametrize("how", ["kill", "stop"])
@pytest.mark.parametrize("body", [BODY, STREAM], ids=["whole", "stream"])
def test_I3_an_answer_is_given_again_after_a_restart(place, upstream, how, body):
    accord = place.start()
    first = ask(accord, body)
    assert first.status == 200
    wait_for(lambda: place.states() == "1", what="the end to be written")
    accord = place.again(how)
    second = ask(accord, body)
    assert (second.status, second.body) == (200, first.body)
    assert second.header("idempotent-replayed") == "true"
    assert second.header("content-type") == first.header("content-type")
    assert ask(accord, body).body == first.body
    assert len(upstream.requests) == 1
    if body is STREAM:
        part = ask(accord, body, headers=[("Last-Event-ID", "2")])
        assert ids(part) == ids(first)[2:] and first.body.endswith(part.body)
    assert code(ask(accord, {**BODY, "temperature": 1})) == "idempotency_mismatch"
    wait_for(lambda: any(one["provider"] == "(replay)" for one in accord.access_log()), what="its record")
    line = next(one for one in accord.access_log() if one["provider"] == "(replay)")
    assert line["upstream_model"] == "up/upstream-m"
    assert line["attempts"] == 0 and line.get("cost_nusd", 0) == 0


def test_M19_a_stream_that_broke_off_breaks_off_again_after_a_restart(place, upstream):
    accord = place.start()
    slow = half(upstream, lambda peer: peer.sock.close())
    slow.go.set()

    def everything(server):
        connection = opened(server)
        connection.read_head()
        text = b""
        with contextlib.suppress(Exception):
            while piece := connection.read_chunk():
                text += piece
        connection.close()
        return text
    first = everything(accord)
    upstream.errors.clear()
    wait_for(lambda: place.states() in ("1", "2"), what="the end to be written")
    assert first.startswith(b"id: 1\n")
    assert everything(place.again()) == first
    assert slow.asked == 1


def test_what_is_kept_on_disk_is_sealed(place, upstream):
    place.start()
    secret = "a-canary-that-nobody-may-read"
    upstream.answer = lambda peer, asked: peer.send(
        answers.whole(answers.CHAT[:-1] + b',"canary":"%s"}' % secret.encode()))
    first = ask(place.server)
    assert secret.encode() in first.body
    wait_for(lambda: place.states() == "1", what="the end to be written")
    size = "length(body)"
    assert int(place.sql(f"SELECT {size} FROM call_note")) > len(first.body)
    if not place.cluster:
        place.server.stop()
        data = place.directory / "s0" / "data"
        for path in data.rglob("*"):
            if path.is_file():
                assert secret.encode() not in path.read_bytes(), path
        place.start()
    assert secret.encode() in ask(place.server).body


def test_an_answer_that_is_not_kept_any_more_is_not_made_again(place, upstream):
    accord = place.start(memory={"idempotency_stored_bytes": 20})
    assert ask(accord).status == 200
    assert ask(accord).header("idempotent-replayed") == "true"  # out of memory
    wait_for(lambda: place.states() == "1", what="the end to be written")
    assert place.sql("SELECT count(*) FROM call_note WHERE body IS NULL") == "1"
    accord = place.again()
    assert code(ask(accord)) == "idempotency_uncertain"
    assert len(upstream.requests) == 1


def test_an_answer_that_had_no_room_is_not_made_again(place, upstream):
    accord = place.start(memory={"answer_max_bytes": 20})
    assert ask(accord).status == 200
    wait_for(lambda: place.states() == "1", what="the end to be written")
    assert code(ask(accord)) == "idempotency_uncertain"
    assert len(upstream.requests) == 1


def test_I7_a_call_that_failed_leaves_the_key_free_after_a_restart_too(place, upstream):
    accord = place.start()
    upstream.answer = lambda peer, asked: peer.send(
        answers.whole(b'{"error":{"message":"no"}}', status=400))
    for _ in range(20):  # the key is free as soon as the answer is there
        answer = ask(accord)
        assert answer.status == 400 and code(answer) != "idempotency_uncertain"
    wait_for(lambda: place.states() == "", what="the note to be gone")
    upstream.answer = answers.usual
    accord = place.again()
    answer = ask(accord)
    assert answer.status == 200 and answer.header("idempotent-replayed") is None


def test_I10_after_its_time_the_key_is_new_after_a_restart_too(place, upstream):
    accord = place.start(memory={"idempotency_ttl_s": 1})
    assert ask(accord).status == 200
    wait_for(lambda: place.states() == "1", what="the end to be written")
    accord = place.again()
    wait_for(lambda: ask(accord).status == 200 and len(upstream.requests) == 2,
             what="the key to be new")


def test_the_note_stands_there_before_the_provider_is_asked_and_only_with_a_key(place, upstream):
    accord = place.start()
    seen = []

    def answer(peer, asked):
        seen.append(place.states())
        answers.usual(peer, asked)
    upstream.answer = answer
    assert ask(accord).status == 200
    assert seen == ["0"]
    wait_for(lambda: place.states() == "1", what="the end to be written")
    writes = accord.metrics()["accord_idempotency_notes_lost_total"]
    assert writes == 0
    for _ in range(3):
        assert accord.post(CHAT, BODY).status == 200
    assert seen == ["0", "1", "1", "1"]


def test_a_client_that_leaves_while_the_note_is_written_leaves_nothing_open(place, upstream):
    accord = place.start()
    for n in range(40):  # they are gone before, while or after the note is written
        connection = accord.connect()
        connection.send(call(BODY, headers=[("Idempotency-Key", f"k{n}")]))
        connection.reset()
    under_way(accord, 0)
    wait_for(lambda: "0" not in place.states(), what="the notes to be ended")
    for n in range(40):
        assert ask(accord, name=f"k{n}").status == 200
    assert len(upstream.requests) == 40


# ---- two processes, one database ----

@pytest.fixture
def two(start, postgres, upstream):
    postgres.fresh()
    env = {**MASTER_KEY, "ACCORD_DATABASE_URL": postgres.url}
    return [start(config_for(upstream.url), env=env) for _ in range(2)]


def test_I5_the_same_key_at_two_processes_is_one_call(two, upstream):
    slow = Slow(upstream)
    connection = two[0].connect()
    connection.send(call(BODY, headers=[("Idempotency-Key", "k1")]))
    assert slow.begun.wait(10)
    busy = ask(two[1])
    assert busy.status == 409 and code(busy) == "idempotency_in_progress"
    assert busy.header("x-should-retry") == "true" and 1 <= int(busy.header("retry-after")) <= 60
    error = busy.json()["error"]
    assert error["retry"]["class"] == "unchanged" and error["retry"]["after_ms"] > 0
    assert error["safe_new_key"] is False
    assert code(ask(two[1], STREAM)) == "idempotency_mismatch"
    slow.go.set()
    first = connection.read_response("POST")
    connection.close()
    assert settled(two[1]).body == first.body
    assert slow.asked == 1


def test_I5_many_at_once_at_both_are_one_call_for_each_key(two, upstream):
    def one(n):
        return settled(two[n % 2], name=f"k{n % 8}")
    with ThreadPoolExecutor(32) as pool:
        got = list(pool.map(one, range(128)))
    assert [r.status for r in got] == [200] * 128
    assert len(upstream.requests) == 8
    assert sum(1 for r in got if r.header("idempotent-replayed") is None) == 8


def test_I9_the_other_process_learns_that_one_was_killed_and_keeps_waiting_while_it_lives(two, upstream):
    slow = half(upstream)
    first = opened(two[0])
    assert slow.begun.wait(10)
    first.read_head()
    # Longer than a lease lasts: it is kept for as long as the call runs.
    deadline = 14
    got = set()
    until = time.monotonic() + deadline
    while time.monotonic() < until:
        got.add(code(ask(two[1], STREAM)))
        time.sleep(1)
    assert got == {"idempotency_in_progress"}
    two[0].may_fail = True
    two[0].process.kill()
    slow.go.set()
    first.close()
    assert code(settled(two[1], body=STREAM)) == "idempotency_uncertain"
    assert slow.asked == 1


def test_I12_without_the_database_a_call_goes_on_and_says_so(start, postgres, upstream):
    postgres.fresh()
    env = {**MASTER_KEY, "ACCORD_DATABASE_URL": postgres.url}
    accord = start(config_for(upstream.url), env=env)
    strict = start(config_for(upstream.url, memory={"idempotency_fail_closed": True}), env=env)
    assert ask(accord).header("idempotency-status") is None
    postgres.stop()
    try:
        answer = ask(accord, name="k2")
        assert answer.status == 200 and answer.header("idempotency-status") == "volatile"
        again = ask(accord, name="k2")
        assert again.header("idempotent-replayed") == "true" and again.body == answer.body
        assert accord.metrics()["accord_idempotency_notes_lost_total"] >= 1
        asked = len(upstream.requests)
        refused = ask(strict, name="k3")
        assert refused.status == 503 and code(refused) == "idempotency_unavailable"
        assert refused.header("x-should-retry") == "true" and refused.header("retry-after")
        assert len(upstream.requests) == asked
        assert strict.post(CHAT, BODY).status == 200  # without a key nothing is needed
    finally:
        postgres.start()
    wait_for(lambda: ask(strict, name="k3").status == 200, what="the database to be back")


def test_the_server_ends_with_notes_on_their_way(place, upstream):
    accord = place.start()
    slow = half(upstream)
    first = opened(accord)
    assert slow.begun.wait(10)
    first.reset()
    wait_for(lambda: accord.metrics()["accord_client_gone_total"] == 1, what="the client to be gone")
    slow.go.set()
    accord.signal(signal.SIGTERM)
    accord.process.wait(20)
    assert place.states() in ("1", "2")
