"""Two processes count limits together in a real Redis or Valkey, or in a real PostgreSQL, which stops and comes back."""

import json
import os
import signal
import threading
import time

import pytest

from accord import KEY
from redis_server import Redis, find_program
from test_budgets import BODY, CHAT, USED, hammer, limited, policy, settled, used
from test_tls import pki  # noqa: F401
from wire import wait_for


@pytest.fixture
def redis(tmp_path):
    if not find_program():
        pytest.skip("no redis-server here")
    server = Redis(tmp_path / "redis")
    yield server
    server.stop()


class Postgres:
    """What a test asks of a Redis, of a PostgreSQL. It keeps nothing that was told when it is stopped."""

    name = "PostgreSQL"

    def __init__(self, cluster):
        self.cluster, self.up = cluster, True

    @property
    def settings(self):
        return {"shared": {"postgres": True}, "database": {"url": self.cluster.url}}

    def told(self):
        if not self.cluster.ask("SELECT to_regclass('accord.limit_share')"):
            return []
        rows = self.cluster.ask("SELECT string_agg(taken::text, ' ') FROM accord.limit_share GROUP BY counter, tick")
        return [[int(word) for word in row.split()] for row in rows.splitlines()]

    def pretend(self, taken, settled, age_ms):
        self.cluster.ask("INSERT INTO accord.limit_share SELECT counter, tick, '00000000000000ff', 1, "
                         f"{taken}, {settled}, at_ms - {age_ms}, until_ms FROM accord.limit_share "
                         "ON CONFLICT (counter, tick, process) DO UPDATE SET at_ms = excluded.at_ms")

    def stop(self):
        self.cluster.stop("immediate")
        self.up = False

    def start(self):
        self.cluster.start()
        self.up = True


@pytest.fixture(params=["redis", "postgres"])
def carrier(request):
    """Where they count together."""
    if request.param == "redis":
        yield request.getfixturevalue("redis")
        return
    server = Postgres(request.getfixturevalue("postgres"))
    server.cluster.fresh()
    yield server
    if not server.up:
        server.start()


def others_know(carrier, what, server_count):
    """Waits until `what` is the sum of what processes have told of a counter, over so many of them."""
    wait_for(lambda: any(sum(told) == what and len(told) >= server_count for told in carrier.told()),
             what=f"{carrier} to know of {what}")


def sharing(upstream, carrier, *policies, lease=10, **more):
    settings = carrier.settings
    settings["shared"] |= {"lease_percent": lease, **more}
    return limited(upstream, *policies, **settings)


@pytest.fixture
def start(start):
    """Servers of one state have one master key."""
    return lambda config, env=(): start(config, env={"ACCORD_MASTER_KEY": "5a" * 32, **dict(env)})


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


def hear(server):
    """Waits until it has heard of all that its carrier knows now."""
    asked = server.metric("accord_limits_shared_told_total")
    wait_for(lambda: server.metric("accord_limits_shared_told_total") >= asked + 2, timeout=30, what="it to ask")


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
def test_two_processes_share_what_is_allowed(start, upstream, carrier, limits, budgets, status):
    servers = both(start, sharing(upstream, carrier, policy(limits, budgets)))
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


def test_what_is_left_is_told_with_what_others_have(start, upstream, carrier):
    a, b = both(start, sharing(upstream, carrier, policy([{"what": "requests", "at_most": 100, "per": "hour"}])))
    for _ in range(7):
        assert patiently(a).status == 200
    others_know(carrier, 7, 1)
    wait_for(lambda: int(patiently(b).header("x-ratelimit-remaining-requests")) < 93, what="b to know")


@pytest.mark.race
def test_racing_calls_over_two_processes_exceed_by_a_lease_each_at_most(start, upstream, carrier):
    lease, room = 10, 100
    servers = both(start, sharing(upstream, carrier, policy(budgets=[{"requests": room, "per": "day"}]), lease=lease))
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


def test_reservations_of_others_count_and_come_back(start, upstream, carrier):
    a, b = both(start, sharing(upstream, carrier, policy(budgets=[{"tokens": 1000, "per": "day"}])))
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
    others_know(carrier, used(a, "tokens", "reserved"), 1)
    wait_for(lambda: refused_by_budget(b, {**BODY, "max_tokens": 200}), what="b to know of it")
    hold.set()
    waiting.join()
    upstream.answer = usual
    wait_for(lambda: b.post(CHAT, {**BODY, "max_tokens": 200}).status == 200, what="the rest to be free again")


def hold_all(servers, upstream, wanted, body=BODY):
    """Calls that the upstream holds, by turns, until nobody takes one more; how many are under way, and their end."""
    go, threads, usual = threading.Event(), [], upstream.answer
    upstream.answer = lambda peer, message: (go.wait(60), usual(peer, message))[1]
    refused, deadline = dict.fromkeys(servers), time.monotonic() + 30
    while not all(refused.values()) and time.monotonic() < deadline and len(threads) < 3 * wanted:
        for server in servers:
            seen, answers = len(upstream.requests), []
            thread = threading.Thread(target=lambda s=server, a=answers: a.append(s.post(CHAT, body)))
            thread.start()
            wait_for(lambda n=seen, a=answers: a or len(upstream.requests) > n, what="an answer, or the call at the upstream")
            if not answers:
                threads.append(thread)
            elif answers[0].json()["error"]["code"] == "concurrency_limit":
                refused[server] = answers[0]

    def end():
        go.set()
        for thread in threads:
            thread.join()
        upstream.answer = usual
    assert all(refused.values()), (len(threads), refused)
    return len(threads), refused.values(), end


def test_calls_at_once_are_shared(start, upstream, carrier):
    servers = both(start, sharing(upstream, carrier, policy([{"what": "concurrency", "at_most": 10}])))
    held, refused, end = hold_all(servers, upstream, 10)
    assert 10 <= held <= 10 + 2 * 1  # a tenth each
    for response in refused:
        assert response.status == 429 and int(response.header("retry-after-ms")) >= 1000
    others_know(carrier, held, 2)
    end()
    others_know(carrier, 0, 2)
    held, _, end = hold_all(servers[:1], upstream, 10)  # one alone may have all of it
    assert held == 10
    end()


@pytest.mark.parametrize("age_ms, room", [(1000, 4), (61000, 10)])
def test_a_process_that_died_gives_its_calls_back_in_a_minute(start, upstream, carrier, age_ms, room):
    a = start(sharing(upstream, carrier, policy([{"what": "concurrency", "at_most": 10}])))
    assert patiently(a).status == 200
    others_know(carrier, 0, 1)
    carrier.pretend(6, 0, age_ms)
    hear(a)
    held, _, end = hold_all((a,), upstream, room)
    assert held == room
    end()


def test_without_it_calls_at_once_go_on_within_the_lease(start, upstream, carrier):
    a = start(sharing(upstream, carrier, policy([{"what": "concurrency", "at_most": 20}])))
    assert patiently(a).status == 200
    others_know(carrier, 0, 1)
    carrier.stop()
    wait_for(lambda: a.metric("accord_limits_shared_up") == 0, what="it to notice")
    # One after the other; a call may still be about to end when the next one comes.
    assert [a.post(CHAT, BODY).status for _ in range(5)] == [200] * 5
    wait_for(lambda: used(a, "concurrency", "reserved") == 0, what="all to have ended")
    go, usual = threading.Event(), upstream.answer
    upstream.answer = lambda peer, message: (go.wait(30), usual(peer, message))[1]
    seen = len(upstream.requests)
    held = [threading.Thread(target=a.post, args=(CHAT, BODY)) for _ in range(2)]
    for thread in held:
        thread.start()
    wait_for(lambda: len(upstream.requests) == seen + 2, what="both to be under way")
    third = a.post(CHAT, BODY)
    assert (third.status, third.json()["error"]["code"]) == (503, "limits_unreachable")
    go.set()
    for thread in held:
        thread.join()


def test_without_it_a_lease_is_used_up_and_then_refused(start, upstream, carrier):
    a, b = both(start, sharing(upstream, carrier, policy([{"what": "requests", "at_most": 50, "per": "hour"}])))
    for _ in range(5):
        assert patiently(a).status == 200
    others_know(carrier, 5, 1)
    carrier.stop()
    for server in (a, b):
        wait_for(lambda s=server: s.metric("accord_limits_shared_up") == 0, what="it to notice")
        codes = [server.post(CHAT, BODY).status for _ in range(8)]
        assert codes == [200] * 5 + [503] * 3  # a tenth of 50
    response = a.post(CHAT, BODY)
    assert response.json()["error"]["code"] == "limits_unreachable"
    assert response.header("x-should-retry") == "true" and response.header("retry-after")
    assert a.get("/healthz", key=False).status == 200
    # It comes back, and has forgotten everything: it is told again, once.
    carrier.start()
    others_know(carrier, 15, 2)
    passed, _ = until_refused((a, b))
    assert 35 <= passed <= 35 + 2 * 5
    assert used(a, "requests") + used(b, "requests") == 15 + passed == len(upstream.requests)


def test_or_each_goes_on_for_itself_when_that_is_said(start, upstream, carrier):
    a, b = both(start, sharing(upstream, carrier, policy([{"what": "requests", "at_most": 30, "per": "hour"}]),
                               when_unreachable="allow"))
    assert patiently(a).status == 200
    carrier.stop()
    for server in (a, b):
        wait_for(lambda s=server: s.metric("accord_limits_shared_up") == 0, what="it to notice")
    codes = [b.post(CHAT, BODY).status for _ in range(20)]
    assert codes.count(200) >= 19 - 1
    carrier.start()
    others_know(carrier, 1 + codes.count(200), 2)
    passed, _ = until_refused((a, b))
    assert 30 <= 1 + codes.count(200) + passed <= 30 + 2 * 3


def test_it_starts_without_redis_and_finds_it_later(start, upstream, redis):
    redis.stop()
    a = start(sharing(upstream, redis, policy([{"what": "requests", "at_most": 20, "per": "hour"}])))
    assert [a.post(CHAT, BODY).status for _ in range(3)] == [200, 200, 503]
    redis.start()
    wait_for(lambda: a.post(CHAT, BODY).status == 200, what="it to be found")


def test_a_restart_is_still_the_same_process(start, upstream, carrier, tmp_path):
    config = sharing(upstream, carrier, policy(budgets=[{"requests": 20, "per": "month"}]))
    a, b = both(start, config)
    assert "NOTICE" not in a.stderr() + b.stderr()  # PostgreSQL's, about what is there already
    for _ in range(6):
        assert patiently(a).status == 200
    settled(a, "requests", 6)
    others_know(carrier, 6, 1)
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
    return Accord(server.directory, config, env={"ACCORD_MASTER_KEY": "5a" * 32})


@pytest.mark.parametrize("age_ms, others", [(1000, 30), (61000, 10)])
def test_of_a_process_that_is_gone_only_what_is_settled_counts(start, upstream, carrier, age_ms, others):
    a = start(sharing(upstream, carrier, policy(budgets=[{"requests": 40, "per": "day"}])))
    assert patiently(a).status == 200
    others_know(carrier, 1, 1)
    carrier.pretend(30, 10, age_ms)
    hear(a)
    passed, _ = until_refused((a,))
    assert 1 + passed == 40 - others


def test_of_a_window_that_slides_what_is_older_than_it_counts_for_nothing(start, upstream, carrier):
    a = start(sharing(upstream, carrier, policy([{"what": "requests", "at_most": 40, "per": "hour"}])))
    assert patiently(a).status == 200
    others_know(carrier, 1, 1)
    carrier.pretend(30, 30, 2 * 3600 * 1000)
    assert 1 + until_refused((a,))[0] == 40


def test_a_postgres_that_hangs_is_given_up(start, upstream, postgres):
    postgres.fresh()
    where = Postgres(postgres)
    a = start(sharing(upstream, where, policy([{"what": "requests", "at_most": 40, "per": "hour"}])))
    assert patiently(a).status == 200
    others_know(where, 1, 1)
    pid = int(postgres.ask("SELECT pid FROM pg_stat_activity WHERE application_name = 'accord shared limits'"))
    failures = a.metric("accord_limits_shared_failures_total")
    os.kill(pid, signal.SIGSTOP)
    try:
        assert a.post(CHAT, BODY).status == 200
        wait_for(lambda: a.metric("accord_limits_shared_failures_total") > failures, what="it to be given up")
        others_know(where, 2, 1)  # over another connection
    finally:
        os.kill(pid, signal.SIGCONT)
    assert "PostgreSQL cannot be used: it does not answer in time" in a.stderr()


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


@pytest.mark.parametrize("url", ["rediss://", "http://h", "redis://"])
def test_an_address_that_cannot_be_used_is_told(tmp_path, url):
    from accord import run
    (tmp_path / "accord.yaml").write_text(json.dumps({"shared": {"redis": url}}))
    result = run(["check", "-c", "accord.yaml"], tmp_path, dict(os.environ))
    assert result.returncode != 0 and "shared.redis" in result.stderr and "redis://" in result.stderr


def test_only_one_of_both_can_be_named(tmp_path):
    from accord import run
    (tmp_path / "accord.yaml").write_text(json.dumps({"shared": {"redis": "redis://h", "postgres": True}}))
    result = run(["check", "-c", "accord.yaml"], tmp_path, dict(os.environ))
    assert result.returncode != 0 and "leave out the one" in result.stderr


def test_postgres_is_that_of_the_state(start, upstream):
    with pytest.raises(AssertionError, match="shared.postgres: the state is not in PostgreSQL; name it in database.url"):
        start(limited(upstream, shared={"postgres": True}))


# ---- TLS ----

@pytest.fixture
def secure_redis(tmp_path, pki):  # noqa: F811
    if not find_program():
        pytest.skip("no redis-server here")
    server = Redis(tmp_path / "redis", pki=pki)
    yield server
    server.stop()


def test_over_tls_too(start, upstream, secure_redis, pki):  # noqa: F811
    config = sharing(upstream, secure_redis, policy([{"what": "requests", "at_most": 40, "per": "hour"}]))
    servers = [start(config, env={"SSL_CERT_FILE": str(pki / "ca.pem")}) for _ in range(2)]
    passed, _ = until_refused(servers)
    assert 40 <= passed <= 40 + 2 * 4
    secure_redis.stop()
    wait_for(lambda: servers[0].metric("accord_limits_shared_up") == 0, what="it to notice")
    secure_redis.start()
    others_know(secure_redis, passed, 2)


def test_a_redis_whose_certificate_nobody_trusts_is_not_told_anything(start, upstream, secure_redis):
    a = start(sharing(upstream, secure_redis, policy([{"what": "requests", "at_most": 40, "per": "hour"}])))
    wait_for(lambda: a.metric("accord_limits_shared_failures_total") >= 2, what="some attempts")
    assert "comes from no authority trusted here" in a.stderr()
    assert secure_redis.password not in a.stderr() and secure_redis.told() == []


def test_a_redis_without_tls_is_told_apart(start, upstream, redis, pki):  # noqa: F811
    config = sharing(upstream, redis, policy([{"what": "requests", "at_most": 40, "per": "hour"}]))
    config["shared"]["redis"] = redis.url.replace("redis://", "rediss://")
    a = start(config, env={"SSL_CERT_FILE": str(pki / "ca.pem")})
    wait_for(lambda: a.metric("accord_limits_shared_failures_total") >= 2, what="some attempts")
    assert a.stderr().count("Redis cannot be used") == 1
