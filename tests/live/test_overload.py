"""Too much to do: who matters least is refused first, health pages answer, and it passes."""

import json
import signal
import threading
import time
from pathlib import Path

import pytest

from accord import config_for
from platform_api import Api, start_platform
from test_budgets import BODY, CHAT
from wire import request, wait_for

KEYS = {name: f"sk-accord-live-tests-{name}-priority" for name in ("low", "normal", "high")}


def with_priorities(upstream, **limits):
    config = config_for(upstream.url, limits=limits, workers=1)
    config["keys"] += [{"id": name, "secret": secret} for name, secret in KEYS.items()]
    config["policies"] = [{"id": f"p-{name}", "applies_to": {"key": name}, "priority": name}
                          for name in ("low", "high")]
    return config


@pytest.fixture
def held(upstream):
    """Calls wait in the upstream until the test lets them go."""
    hold, usual = threading.Event(), upstream.answer
    def slow(peer, message):
        hold.wait(60)
        return usual(peer, message)
    upstream.answer = slow
    yield hold
    hold.set()


def send(accord, name):
    connection = accord.connect()
    connection.send(request("POST", CHAT, [("Authorization", f"Bearer {KEYS[name]}"),
                                           ("Content-Type", "application/json")], json.dumps(BODY).encode()))
    return connection


def fill(accord, name, n):
    """So many calls of that key are under way."""
    before = accord.metric("accord_inflight")
    waiting = [send(accord, name) for _ in range(n)]
    wait_for(lambda: accord.metric("accord_inflight") == before + n, what="calls to be under way")
    return waiting


def status(accord, name):
    with send(accord, name) as connection:
        return connection.read_response()


def test_the_least_important_are_refused_first(start, upstream, held):
    accord = start(with_priorities(upstream, max_inflight=20))
    waiting = fill(accord, "low", 15)  # three quarters
    response = status(accord, "low")
    assert response.status == 503
    assert response.json()["error"]["code"] == "overloaded"
    assert response.header("x-should-retry") == "true"
    assert 1 <= int(response.header("retry-after")) <= 2
    waiting += fill(accord, "normal", 3)  # nine tenths
    assert status(accord, "normal").status == status(accord, "low").status == 503
    waiting += fill(accord, "high", 2)
    assert status(accord, "high").status == 503
    for path in ("/healthz", "/readyz", "/metrics", "/health/liveliness"):
        assert accord.get(path, key=False).status == 200
    assert accord.get("/v1/models").status == 200
    shed = {name: accord.metrics()[f'accord_shed_total{{priority="{name}"}}'] for name in KEYS}
    assert shed == {"low": 2, "normal": 1, "high": 1}
    wait_for(lambda: len(upstream.requests) == 20, what="the others to be at the upstream")
    held.set()
    for connection in waiting:
        assert connection.read_response().status == 200
        connection.close()
    wait_for(lambda: accord.metric("accord_inflight") == 0, what="all to end")
    assert status(accord, "low").status == 200


def test_what_was_refused_is_in_the_ledger(start, upstream, held):
    accord = start(with_priorities(upstream, max_inflight=1))
    waiting = fill(accord, "high", 1)
    assert status(accord, "high").status == 503
    wait_for(lambda: any(line.get("error") == "overloaded" and line.get("status") == 503
                         for line in accord.access_log()), what="its record")
    held.set()
    assert waiting[0].read_response().status == 200


def is_stopped(pid):
    return all((task / "stat").read_text().rpartition(")")[2].split()[0] == "T"
               for task in Path(f"/proc/{pid}/task").iterdir())


def stall(accord, seconds, meanwhile=lambda: None):
    """The process does nothing for so long. Returns what `meanwhile` has answered."""
    accord.process.send_signal(signal.SIGSTOP)
    try:
        wait_for(lambda: is_stopped(accord.process.pid), what="all threads to stop")
        until = time.monotonic() + seconds
        answer = meanwhile()
        while time.monotonic() < until:
            time.sleep(0.02)
        return answer
    finally:
        accord.process.send_signal(signal.SIGCONT)


def test_a_worker_that_is_late_refuses_by_priority_and_recovers(start, upstream, held):
    accord = start(with_priorities(upstream, max_delay_ms=400))
    waiting = fill(accord, "high", 1)  # while there are calls it is watched
    for _ in range(10):
        stall(accord, 1.5)
        accord.get("/healthz", key=False)  # it has looked at the clock
        sent = stall(accord, 1.5, lambda: {name: send(accord, name) for name in ("low", "normal")})
        if accord.metric('accord_shed_total{priority="low"}'):
            break
    for name, connection in sent.items():
        response = connection.read_response()
        assert response.status == 503, name
        assert response.json()["error"]["code"] == "overloaded"
    held.set()
    assert waiting[0].read_response().status == 200
    wait_for(lambda: status(accord, "low").status == 200, what="it to recover")


def test_a_machine_that_slept_once_is_not_overloaded(start, upstream, held):
    accord = start(with_priorities(upstream, max_delay_ms=400))
    waiting = fill(accord, "high", 1)
    held.set()
    sent = stall(accord, 3, lambda: send(accord, "low"))
    assert sent.read_response().status == 200 and status(accord, "low").status == 200
    assert waiting[0].read_response().status == 200


def test_no_bound_is_none(start, upstream, held):
    accord = start(with_priorities(upstream, max_inflight=0, max_delay_ms=0))
    waiting = fill(accord, "low", 30)
    held.set()
    assert {connection.read_response().status for connection in waiting} == {200}


def test_the_nearest_policy_counts(tmp_path, upstream, held):
    config = config_for(upstream.url, limits={"max_inflight": 4}, workers=1)
    server = start_platform(tmp_path / "platform", config=config)
    try:
        api = Api(server.address)
        team = api.team()["id"]
        low = api.create("applications", name="low", team=team)["id"]
        high = api.create("applications", name="high", team=team)["id"]
        api.create("policies", id="team", applies_to={"team": team}, priority="low")
        api.create("policies", id="app", applies_to={"application": high}, priority="high")
        for key, app in (("low", low), ("high", high)):
            KEYS[f"platform-{key}"] = api.create("keys", application=app)["secret"]
        assert api.post("/policies", {"id": "bad", "applies_to": {"model": "m"}, "priority": "low"}).status_code == 422
        wait_for(lambda: status_of_models(server, KEYS["platform-high"]) == 200, what="the keys to be known")
        waiting = fill(server, "platform-high", 3)
        assert status(server, "platform-low").status == 503
        waiting += fill(server, "platform-high", 1)
        held.set()
        assert [connection.read_response().status for connection in waiting] == [200] * 4
    finally:
        server.stop()


def status_of_models(server, key):
    return server.call("GET", "/v1/models", headers=[("Authorization", f"Bearer {key}")], key=False).status
