"""Two processes count limits together in a real Redis or Valkey, which stops and comes back."""

import json
import os
import threading
import time

import pytest

from accord import KEY
from redis_server import Redis, find_program
from test_budgets import BODY, CHAT, USED, hammer, limited, policy, settled, used
from wire import wait_for

pytestmark = pytest.mark.skipif(not find_program(), reason="no redis-server here")


@pytest.fixture
def redis(tmp_path):
    server = Redis(tmp_path / "redis")
    yield server
    server.stop()


def others_know(redis, what, server_count):
    """Waits until Redis holds `what` as the sum of a counter's fields, over so many processes."""
    def told():
        keys = [line for line in redis.ask("KEYS accord:limit:*") if line.startswith("accord:")]
        for key in keys:
            values = [line.split() for line in redis.ask(f"HVALS {key}") if line.count(" ") == 3]
            if sum(int(v[1]) for v in values) == what and len(values) >= server_count:
                return True
        return False
    wait_for(told, what=f"Redis to know of {what}")


def sharing(upstream, redis, *policies, lease=10, **more):
    return limited(upstream, *policies,
                   shared={"redis": redis.url, "lease_percent": lease, **more})


def both(start, config):
    return start(config), start(config)


def patiently(server, body=None):
    """A call that comes again when it is told to; what it ended with."""
    deadline = time.monotonic() + 20
    while True:
        response = server.post(CHAT, body or BODY)
        if response.status in (200, 503):
            return response
        if response.json()["error"]["code"] == "rate_limit_exceeded" or response.header("x-should-retry") == "false":
            return response
        assert 0 < int(response.header("retry-after-ms")) < 2000
        assert time.monotonic() < deadline
        time.sleep(0.02)


def until_refused(servers):
    """Calls by turns until all are refused for good; how many passed."""
    passed = 0
    for _ in range(1000):
        answered = [patiently(server) for server in servers]
        passed += sum(r.status == 200 for r in answered)
        if all(r.status != 200 for r in answered):
            return passed, answered
    raise AssertionError("nobody was refused")


@pytest.mark.parametrize("limits, budgets, status", [
    ([{"what": "requests", "at_most": 40, "per": "hour"}], [], 429),
    ([], [{"requests": 40, "per": "day"}], 402),
    ([], [{"tokens": 40 * USED, "per": "month"}], 402),
])
def test_two_processes_share_what_is_allowed(start, upstream, redis, limits, budgets, status):
    servers = both(start, sharing(upstream, redis, policy(limits, budgets)))
    passed, answered = until_refused(servers)
    assert 40 <= passed <= 40 + 2 * 4  # a tenth each
    for response in answered:
        assert response.status == status
        if status == 402:
            assert response.header("x-should-retry") == "false"
            assert "used up" in response.json()["error"]["message"]
        else:
            assert int(response.header("retry-after")) >= 1
    assert servers[0].metric("accord_limits_shared_up") == 1


def test_what_is_left_is_told_with_what_others_have(start, upstream, redis):
    a, b = both(start, sharing(upstream, redis, policy([{"what": "requests", "at_most": 100, "per": "hour"}])))
    for _ in range(7):
        assert patiently(a).status == 200
    others_know(redis, 7, 1)
    wait_for(lambda: int(patiently(b).header("x-ratelimit-remaining-requests")) < 93, what="b to know")


@pytest.mark.race
def test_racing_calls_over_two_processes_exceed_by_a_lease_each_at_most(start, upstream, redis):
    lease, room = 10, 100
    servers = both(start, sharing(upstream, redis, policy(budgets=[{"requests": room, "per": "day"}]), lease=lease))
    counts, threads = [], []
    for server in servers:
        thread = threading.Thread(target=lambda s=server: counts.append(hammer(s, 2000, 8, BODY)))
        thread.start()
        threads.append(thread)
    for thread in threads:
        thread.join()
    passed = sum(c.get(200, 0) for c in counts)
    more, _ = until_refused(servers)
    assert room <= passed + more <= room + 2 * lease, (counts, more)
    assert len(upstream.requests) == passed + more


def refused_by_budget(server, body):
    response = server.post(CHAT, body)
    return response.status == 402 and response.json()["error"]["code"] == "budget_exceeded"


def test_reservations_of_others_count_and_come_back(start, upstream, redis):
    a, b = both(start, sharing(upstream, redis, policy(budgets=[{"tokens": 1000, "per": "day"}])))
    hold = threading.Event()
    usual, first = upstream.answer, iter([True])
    def slow(peer, message):
        if next(first, False):
            hold.wait(30)
        return usual(peer, message)
    upstream.answer = slow
    body = {**BODY, "max_tokens": 900}
    waiting = threading.Thread(target=a.post, args=(CHAT, body))
    waiting.start()
    wait_for(lambda: upstream.requests, what="the call to be under way")
    others_know(redis, used(a, "tokens", "reserved"), 1)
    wait_for(lambda: refused_by_budget(b, {**BODY, "max_tokens": 200}), what="b to know of it")
    hold.set()
    waiting.join()
    upstream.answer = usual
    wait_for(lambda: b.post(CHAT, {**BODY, "max_tokens": 200}).status == 200, what="the rest to be free again")


def test_without_redis_a_lease_is_used_up_and_then_refused(start, upstream, redis):
    a, b = both(start, sharing(upstream, redis, policy([{"what": "requests", "at_most": 50, "per": "hour"}])))
    for _ in range(5):
        assert patiently(a).status == 200
    others_know(redis, 5, 1)
    redis.stop()
    for server in (a, b):
        wait_for(lambda s=server: s.metric("accord_limits_shared_up") == 0, what="it to notice")
        codes = [server.post(CHAT, BODY).status for _ in range(8)]
        assert codes == [200] * 5 + [503] * 3  # a tenth of 50
    response = a.post(CHAT, BODY)
    assert response.json()["error"]["code"] == "limits_unreachable"
    assert response.header("x-should-retry") == "true" and response.header("retry-after")
    assert a.get("/healthz", key=False).status == 200
    # It comes back, and has forgotten everything: it is told again, once.
    redis.start()
    others_know(redis, 15, 2)
    passed, _ = until_refused((a, b))
    assert 35 <= passed <= 35 + 2 * 5
    assert used(a, "requests") + used(b, "requests") == 15 + passed == len(upstream.requests)


def test_or_each_goes_on_for_itself_when_that_is_said(start, upstream, redis):
    a, b = both(start, sharing(upstream, redis, policy([{"what": "requests", "at_most": 30, "per": "hour"}]),
                               when_unreachable="allow"))
    assert patiently(a).status == 200
    redis.stop()
    for server in (a, b):
        wait_for(lambda s=server: s.metric("accord_limits_shared_up") == 0, what="it to notice")
    codes = [b.post(CHAT, BODY).status for _ in range(20)]
    assert codes.count(200) >= 19 - 1
    redis.start()
    others_know(redis, 1 + codes.count(200), 2)
    passed, _ = until_refused((a, b))
    assert 30 <= 1 + codes.count(200) + passed <= 30 + 2 * 3


def test_it_starts_without_redis_and_finds_it_later(start, upstream, redis):
    redis.stop()
    a = start(sharing(upstream, redis, policy([{"what": "requests", "at_most": 20, "per": "hour"}])))
    assert [a.post(CHAT, BODY).status for _ in range(3)] == [200, 200, 503]
    redis.start()
    wait_for(lambda: a.post(CHAT, BODY).status == 200, what="it to be found")


def test_a_restart_is_still_the_same_process(start, upstream, redis, tmp_path):
    config = sharing(upstream, redis, policy(budgets=[{"requests": 20, "per": "month"}]))
    a, b = both(start, config)
    for _ in range(6):
        assert patiently(a).status == 200
    settled(a, "requests", 6)
    others_know(redis, 6, 1)
    again = restart(a, config)
    try:
        assert used(again, "requests") == 6
        passed, _ = until_refused((again, b))
        assert 14 <= passed <= 14 + 2 * 2
    finally:
        again.stop()


def restart(server, config):
    from accord import Accord
    server.stop()
    return Accord(server.directory, config)


def test_a_wrong_password_is_told_once(start, upstream, redis):
    config = sharing(upstream, redis, policy([{"what": "requests", "at_most": 20, "per": "hour"}]))
    config["shared"]["redis"] = redis.url.replace(redis.password, "canary-of-a-wrong-one")
    a = start(config)
    wait_for(lambda: a.metric("accord_limits_shared_failures_total") >= 3, what="some attempts")
    assert a.stderr().count("Redis cannot be used") == 1
    assert "WRONGPASS" in a.stderr() and "canary" not in a.stderr()


def test_the_password_is_not_shown(start, upstream, redis):
    config = sharing(upstream, redis, policy([{"what": "requests", "at_most": 20, "per": "hour"}]))
    a = start(config)
    redis.stop()
    wait_for(lambda: a.metric("accord_limits_shared_up") == 0, what="it to notice")
    assert redis.password not in a.stderr() + a.get("/metrics", key=False).body.decode()


@pytest.mark.parametrize("url", ["rediss://h", "http://h", "redis://"])
def test_an_address_that_cannot_be_used_is_told(tmp_path, url):
    from accord import run
    (tmp_path / "accord.yaml").write_text(json.dumps({"shared": {"redis": url}}))
    result = run(["check", "-c", "accord.yaml"], tmp_path, dict(os.environ))
    assert result.returncode != 0 and "shared.redis" in result.stderr and "redis://" in result.stderr
