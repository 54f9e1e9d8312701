"""Calls on one conversation go one at a time (CONFLICT.md M20 to M22)."""

import json
import signal
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from accord import KEY, config_for
from wire import request, wait_for

ANSWER = {"id": "resp_1", "object": "response", "status": "completed", "output": [],
          "usage": {"input_tokens": 1, "output_tokens": 1, "total_tokens": 2}}


class Locking:
    """An upstream that refuses a second call on a conversation, as OpenAI does."""

    def __init__(self):
        outer = self
        self.lock, self.busy, self.most, self.locked, self.order = threading.Lock(), {}, 0, 0, []
        self.hold = threading.Event()
        self.hold.set()
        self.always_locked = False

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["content-length"])))
                outer.answer(self, body)

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}"

    def answer(self, handler, body):
        name = json.dumps(body.get("conversation"))
        with self.lock:
            count = self.busy.get(name, 0)
            self.busy[name] = count + 1
            self.most = max(self.most, count + 1)
            self.order.append(body["input"])
            refused = self.always_locked or (count and body.get("conversation"))
            self.locked += bool(refused)
        self.hold.wait(20)
        time.sleep(0.02)
        with self.lock:
            self.busy[name] -= 1
        status, answer = 200, ANSWER
        if refused:
            status, answer = 400, {"error": {
                "message": "Another process is currently operating on this conversation.",
                "type": "invalid_request_error", "param": None, "code": "conversation_locked"}}
        text = json.dumps(answer).encode()
        handler.send_response(status)
        handler.send_header("content-type", "application/json")
        handler.send_header("content-length", str(len(text)))
        handler.end_headers()
        handler.wfile.write(text)

    def stop(self):
        self.hold.set()
        self.server.shutdown()
        self.server.server_close()


@pytest.fixture
def locking():
    upstream = Locking()
    yield upstream
    upstream.stop()


def body_of(conversation, text="hi"):
    body = {"model": "m", "input": text}
    if conversation:
        body["conversation"] = conversation
    return json.dumps(body).encode()


def call(accord, conversation, text="hi"):
    with accord.connect() as connection:
        connection.send(request("POST", "/v1/responses", [("authorization", f"Bearer {KEY}")],
                                body_of(conversation, text)))
        return connection.read_response("POST")


@pytest.mark.race
@pytest.mark.parametrize("conversation", ["conv_1", {"id": "conv_1"}])
def test_m20_calls_on_one_conversation_go_one_at_a_time(start, locking, conversation):
    accord = start(config_for(locking.url))
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: call(accord, conversation), range(20)))
    assert [a.status for a in answers] == [200] * 20
    assert locking.most == 1 and locking.locked == 0


def test_m20_other_conversations_do_not_wait(start, locking):
    accord = start(config_for(locking.url))
    locking.hold.clear()
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(call, accord, f"conv_{i}") for i in range(4)]
        calls += [pool.submit(call, accord, None) for _ in range(4)]
        wait_for(lambda: len(locking.order) == 8, what="all calls at the upstream")
        locking.hold.set()
        assert all(c.result().status == 200 for c in calls)


def test_m20_a_full_line_is_409(start, locking):
    accord = start(config_for(locking.url))
    locking.hold.clear()
    with ThreadPoolExecutor(70) as pool:
        calls = [pool.submit(call, accord, "conv_1") for _ in range(70)]
        wait_for(lambda: sum(c.done() for c in calls) == 6, what="six refusals")
        locking.hold.set()
        answers = [c.result() for c in calls]
    refused = [a for a in answers if a.status == 409]
    assert len(refused) == 6 and sum(a.status == 200 for a in answers) == 64
    for answer in refused:
        assert answer.header("x-should-retry") == "true" and answer.header("retry-after")
        assert json.loads(answer.body)["error"]["code"] == "conversation_locked"


def test_m21_a_lock_of_somebody_else_is_told_as_worth_a_retry(start, locking):
    accord = start(config_for(locking.url))
    locking.always_locked = True
    answer = call(accord, "conv_1")
    assert answer.status == 409 and answer.header("x-should-retry") == "true"
    error = json.loads(answer.body)["error"]
    assert error["code"] == "conversation_locked" and "currently operating" in error["message"]


@pytest.mark.race
def test_m22_a_caller_who_leaves_gives_the_conversation_back(start, locking):
    accord = start(config_for(locking.url))
    locking.hold.clear()
    holder = accord.connect()
    holder.send(request("POST", "/v1/responses", [("authorization", f"Bearer {KEY}")],
                        body_of("conv_1", "holder")))
    wait_for(lambda: locking.order == ["holder"], what="the holder at the upstream")
    waiter = accord.connect()
    waiter.send(request("POST", "/v1/responses", [("authorization", f"Bearer {KEY}")],
                        body_of("conv_1", "waiter that leaves")))
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(call, accord, "conv_1", "last")
        time.sleep(0.3)
        waiter.close()
        time.sleep(0.1)
        holder.close()
        wait_for(lambda: locking.order == ["holder", "last"], what="the next one in line")
        locking.hold.set()
        # The upstream may not have seen yet that the holder has left.
        assert last.result().status in (200, 409)


# ---- several processes ----

@pytest.fixture
def two(start, postgres, tmp_path, locking):
    """Two gateways on one database."""
    postgres.fresh()
    env = {"ACCORD_DATABASE_URL": postgres.url, "ACCORD_MASTER_KEY": "ab" * 32}
    return [start(config_for(locking.url), env=env) for _ in range(2)]


def ask(accord, text):
    connection = accord.connect()
    connection.send(request("POST", "/v1/responses", [("authorization", f"Bearer {KEY}")],
                            body_of("conv_1", text)))
    return connection


def test_m20_calls_at_two_gateways_go_one_at_a_time(two, locking):
    with ThreadPoolExecutor(20) as pool:
        replies = list(pool.map(lambda i: call(two[i % 2], "conv_1"), range(20)))
    assert [a.status for a in replies] == [200] * 20
    assert locking.most == 1 and locking.locked == 0


def test_m22_a_gateway_that_is_killed_holds_nobody_up(two, locking):
    locking.hold.clear()
    holder = ask(two[0], "holder")  # kept: closing it would give the conversation back
    wait_for(lambda: locking.order == ["holder"], what="the holder at the upstream")
    with ThreadPoolExecutor(1) as pool:
        last = pool.submit(call, two[1], "conv_1", "last")
        time.sleep(1)
        assert locking.order == ["holder"]
        two[0].may_fail = True
        two[0].process.kill()
        wait_for(lambda: locking.order == ["holder", "last"], what="the lease's end")
        locking.hold.set()
        assert last.result().status in (200, 409)  # this upstream does not notice who has left
    holder.close()


def test_m22_what_a_gateway_does_late_is_fenced_off(two, locking):
    locking.hold.clear()
    stood = ask(two[0], "stood still")
    wait_for(lambda: locking.order == ["stood still"], what="the holder at the upstream")
    two[0].process.send_signal(signal.SIGSTOP)
    try:
        other = ask(two[1], "other")
        wait_for(lambda: locking.order == ["stood still", "other"], what="the lease's end")
    finally:
        two[0].process.send_signal(signal.SIGCONT)
    late = stood.read_response("POST")
    assert late.status == 409 and late.header("x-should-retry") == "true"
    # It has given back what it no longer had: nothing. The other one still has the conversation.
    third = ask(two[0], "third")
    time.sleep(1)
    assert locking.order == ["stood still", "other"]
    locking.hold.set()
    assert other.read_response("POST").status in (200, 409)
    assert third.read_response("POST").status == 200
    # Once more for one whom the provider told that the conversation is locked.
    assert list(dict.fromkeys(locking.order)) == ["stood still", "other", "third"]


def test_calls_go_on_while_the_database_is_away(two, postgres, locking):
    postgres.stop()
    try:
        assert call(two[0], "conv_1").status == 200
    finally:
        postgres.start()
