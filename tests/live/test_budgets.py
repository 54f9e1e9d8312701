"""Limits and budgets: exact under races, told in each dialect, given back, kept over a restart."""

import json
import re
import signal
import threading
import time

import pytest

import answers
from accord import KEY, config_for
from hostile import Hostile
from platform_api import ADMIN_TOKEN, Api
from wire import WireError, request, wait_for

CHAT = "/v1/chat/completions"
MESSAGES = "/v1/messages"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
MESSAGE_BODY = {"model": "claude-m", "max_tokens": 50,
                "messages": [{"role": "user", "content": "Hello"}]}
OTHER = "sk-accord-live-tests-caller-canary-0002"
# A call of the usual upstream: 7 tokens read, 3 written.
USED = 10


def policy(limits=(), budgets=(), applies_to=None, name="p"):
    return {"id": name, "applies_to": applies_to or {"key": "dev"}, "limits": list(limits),
            "budgets": list(budgets)}


def limited(upstream, *policies, price=None, **more):
    config = config_for(upstream.url, policies=list(policies), **more)
    config["keys"].append({"id": "other", "secret": OTHER, "models": ["*"]})
    if price:
        config["models"][0]["targets"][0]["price"] = price
    return config


def used(accord, what, which="used", name="p"):
    """What /metrics tells of a policy's first limit of that kind."""
    for sample, value in accord.metrics().items():
        if sample.startswith(f'accord_limit_{which}{{policy="{name}"') and f'what="{what}"' in sample:
            return value
    raise AssertionError(f"no {which} of {what}")


def settled(accord, what, value, name="p"):
    wait_for(lambda: used(accord, what, name=name) == value and
             used(accord, what, "reserved", name) == 0, what=f"{value} {what} to be settled")


# ---- refusals ----

def test_requests_beyond_a_limit_are_429_with_the_time_to_wait(start, upstream):
    accord = start(limited(upstream, policy([{"what": "requests", "at_most": 3, "per": "minute"}])))
    for left in (2, 1, 0):
        response = accord.post(CHAT, BODY)
        assert response.status == 200
        assert response.header("x-ratelimit-limit-requests") == "3"
        assert response.header("x-ratelimit-remaining-requests") == str(left)
        assert response.header("ratelimit-policy") == '"p";q=3;w=60'
        assert re.fullmatch(rf'"p";r={left};t=(60|61)', response.header("ratelimit"))
    response = accord.post(CHAT, BODY)
    assert response.status == 429
    assert response.json()["error"]["code"] == "rate_limit_exceeded"
    assert "allows 3 requests per minute, and there is no room for this call (1 request)." in response.body.decode()
    assert response.header("x-should-retry") == "true"
    wait_ms = int(response.header("retry-after-ms"))
    assert 50000 < wait_ms < 65000
    assert int(response.header("retry-after")) == -(-wait_ms // 1000)
    told = re.fullmatch(r'"p";r=0;t=([0-9]+)', response.header("ratelimit"))
    assert int(told[1]) <= int(response.header("retry-after"))
    assert response.header("x-ratelimit-remaining-requests") == "0"
    assert len(upstream.requests) == 3
    assert accord.call("POST", CHAT, BODY, [("x-api-key", OTHER)], key=False).status == 200
    assert used(accord, "requests", "refused_total") == 1


def test_whoever_waits_as_told_is_let_in_and_nobody_earlier(start, upstream):
    accord = start(limited(upstream, policy([{"what": "requests", "at_most": 5, "per": "second"}])))
    taken = []
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline:
        before = time.monotonic()
        response = accord.post(CHAT, BODY)
        if response.status == 200:
            taken.append((before, time.monotonic()))
        else:
            wait = int(response.header("retry-after-ms")) / 1000
            assert 0 < wait < 1.3
            time.sleep(wait)
            assert accord.post(CHAT, BODY).status == 200
            taken.append((time.monotonic() - 0.001, time.monotonic()))
    # No six within a second, whatever the clocks of both sides add.
    for sixth, first in zip(taken[5:], taken):
        assert sixth[1] - first[0] > 0.98
    assert len(taken) >= 15


def test_nothing_is_charged_anywhere_when_one_window_refuses(start, upstream):
    everybody = policy([{"what": "requests", "at_most": 100, "per": "day"},
                        {"what": "tokens", "at_most": 100000, "per": "hour"}], name="org",
                       applies_to={"org": True})
    tight = policy([{"what": "requests", "at_most": 2, "per": "hour"}], applies_to={"model": "m"})
    accord = start(limited(upstream, everybody, tight))
    codes = [accord.post(CHAT, BODY).status for _ in range(6)]
    assert codes == [200, 200, 429, 429, 429, 429]
    settled(accord, "requests", 2, "org")
    settled(accord, "tokens", 2 * USED, "org")
    # Other models are not concerned.
    assert accord.post(MESSAGES, MESSAGE_BODY).status == 200
    settled(accord, "requests", 3, "org")


@pytest.mark.parametrize("target, body, code", [
    (CHAT, BODY, lambda r: r.json()["error"]["code"] == "budget_exceeded"),
    (MESSAGES, MESSAGE_BODY, lambda r: r.json()["error"]["type"] == "billing_error"),
    ("/v1beta/models/gemini-m:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]},
     lambda r: r.json()["error"]["code"] == 402),
    ("/api/chat", {"model": "ollama-m", "messages": [], "stream": False},
     lambda r: "budget" in r.json()["error"]),
])
def test_a_spent_budget_is_402_in_each_dialect_and_not_worth_a_retry(start, upstream, target, body,
                                                                     code):
    accord = start(limited(upstream, policy(budgets=[{"requests": 1, "per": "month"}])))
    assert accord.post(target, body).status == 200
    response = accord.post(target, body)
    assert response.status == 402, response
    assert response.header("x-should-retry") == "false"
    assert not response.header("retry-after")
    assert code(response), response
    assert len(upstream.requests) == 1
    assert re.search(r"1 request per month, is used up until \d{4}-\d\d-01T00:00:00Z\.", response.body.decode())


def test_a_call_too_large_for_its_limit_is_told_so(start, upstream):
    accord = start(limited(upstream, policy([{"what": "tokens", "at_most": 100, "per": "minute"}])))
    response = accord.post(CHAT, {**BODY, "max_tokens": 5000})
    assert response.status == 429
    assert response.header("x-should-retry") == "false"
    assert "max_tokens" in response.json()["error"]["message"]
    assert accord.post(CHAT, {**BODY, "max_tokens": 50}).status == 200


# ---- what is charged ----

def test_tokens_and_money_are_what_was_used(start, upstream):
    accord = start(limited(upstream, policy(
        [{"what": "input_tokens", "at_most": 1000, "per": "day"},
         {"what": "output_tokens", "at_most": 1000, "per": "day"}],
        [{"tokens": 1000, "per": "day"}, {"usd": 5, "per": "month", "time_zone": "UTC"}]),
        price={"input": 2, "output": "10.5"}))
    assert accord.post(CHAT, {**BODY, "max_tokens": 400}).status == 200
    settled(accord, "input_tokens", 7)
    settled(accord, "output_tokens", 3)
    settled(accord, "tokens", 10)
    settled(accord, "usd", (7 * 2 + 3 * 10.5) / 1e6)
    response = accord.post(CHAT, {**BODY, "stream": True})
    assert response.status == 200 and len(response.events()) > 3
    settled(accord, "tokens", 20)
    # More than was reserved is charged all the same.
    told = json.loads(answers.CHAT)
    told["usage"] = {"prompt_tokens": 300, "completion_tokens": 200, "total_tokens": 500}
    upstream.answer = lambda peer, _: peer.send(answers.whole(answers.dump(told)))
    assert accord.post(CHAT, {**BODY, "max_tokens": 1}).status == 200
    settled(accord, "tokens", 520)


@pytest.mark.parametrize("status", [400, 429, 500])
def test_what_the_provider_refuses_costs_a_request_and_no_tokens(start, upstream, status):
    upstream.answer = lambda peer, _: peer.send(answers.whole(b'{"error":{}}', status))
    accord = start(limited(upstream, policy([{"what": "requests", "at_most": 9, "per": "day"}],
                                            [{"tokens": 1000, "per": "day"}])))
    assert accord.post(CHAT, {**BODY, "max_tokens": 400}).status == status
    settled(accord, "requests", 1)
    settled(accord, "tokens", 0)


def test_what_never_reached_a_provider_costs_nothing(start):
    gone = Hostile()
    accord = start(limited(gone, policy([{"what": "requests", "at_most": 9, "per": "day"}],
                                        [{"tokens": 1000, "per": "day"}])))
    gone.stop()
    assert accord.post(CHAT, {**BODY, "max_tokens": 400}).status == 502
    settled(accord, "requests", 0)
    settled(accord, "tokens", 0)


def test_a_cut_stream_is_charged_by_what_came(start, upstream):
    upstream.answer = lambda peer, _: (
        peer.send(answers.STREAM_HEAD +
                  b"".join(answers.chunk(event) for event in answers.CHAT_EVENTS[:4])),
        peer.wait_taken(), peer.reset())
    accord = start(limited(upstream, policy(budgets=[{"tokens": 1000, "per": "day"}])))
    with accord.open_stream(CHAT, {**BODY, "stream": True, "max_tokens": 500}) as stream:
        stream.read_to_end()
    wait_for(lambda: used(accord, "tokens", "reserved") == 0, what="the reservation to go")
    assert 10 <= used(accord, "tokens") <= 40


def test_clients_that_leave_give_back_what_they_reserved(start, upstream):
    upstream.answer = lambda peer, _: peer.wait_closed()
    accord = start(limited(upstream, policy(budgets=[{"tokens": 1000, "per": "day"}])))
    running = [accord.open_stream(CHAT, {**BODY, "max_tokens": 200}) for _ in range(4)]
    upstream.wait_requests(4)
    assert used(accord, "tokens", "reserved") > 800
    refused = accord.post(CHAT, {**BODY, "max_tokens": 200})
    assert refused.status == 402
    assert refused.header("x-should-retry") == "true"  # not spent, only reserved
    assert refused.header("retry-after")
    for connection in running:
        connection.close()
    wait_for(lambda: used(accord, "tokens", "reserved") == 0, what="the reservations to go")
    assert used(accord, "tokens") < 200


def test_a_call_without_a_bound_takes_what_is_left(start, upstream):
    accord = start(limited(upstream, policy(budgets=[{"tokens": 25, "per": "day"}])))
    codes = [accord.post(CHAT, BODY).status for _ in range(4)]
    assert codes == [200, 200, 200, 402]  # the third had 5 left and used 10
    settled(accord, "tokens", 30)


@pytest.mark.parametrize("said, status", [({"unpriced": "pass"}, 200), ({"unpriced": "refuse"}, 402), ({}, 402)])
def test_a_model_without_a_price_is_refused_or_counted_when_that_is_said(start, upstream, said, status):
    accord = start(limited(upstream, policy(budgets=[{"usd": 1, "per": "day", **said}])))
    response = accord.post(CHAT, BODY)
    assert response.status == status
    if status == 402:
        error = response.json()["error"]
        assert error["code"] == "price_unknown"
        for word in ('"m"', "upstream-m at the provider up", "policy p", "targets[].price", "unpriced: pass"):
            assert word in error["message"]
        assert response.header("x-should-retry") == "false"
        assert not upstream.requests
    else:
        wait_for(lambda: accord.metric("accord_limited_unpriced_total") == 1, what="it to be counted")


def test_what_costs_nothing_passes_a_budget_of_money(start, upstream):
    accord = start(limited(upstream, policy(budgets=[{"usd": 1, "per": "day"}])))
    assert accord.post(CHAT, {**BODY, "model": "sim/echo"}).status == 200
    for name in ("ollama-m", "oll/anything"):
        assert accord.post("/api/chat", {"model": name, "messages": [], "stream": False}).status == 200
    assert accord.metric("accord_limited_unpriced_total") == 0
    assert used(accord, "usd") == 0
    # Tokens are counted for nothing, whatever the model costs.
    assert accord.post("/v1/messages/count_tokens", {"model": "claude-m", "messages": []}).status != 402


def test_one_target_without_a_price_is_enough_to_refuse(start, upstream):
    config = limited(upstream, policy(budgets=[{"usd": 1, "per": "day"}]), price={"input": 1, "output": 1})
    config["models"][0]["targets"].append({"provider": "up", "model": "unknown", "priority": 2})
    response = start(config).post(CHAT, BODY)
    assert response.status == 402
    assert "unknown at the provider up" in response.json()["error"]["message"]


def test_a_policy_of_a_model_holds_under_its_providers_name_for_it_too(start, upstream):
    budget = policy(budgets=[{"usd": 1, "per": "day"}, {"requests": 3, "per": "day"}], applies_to={"model": "m"})
    accord = start(limited(upstream, budget, price={"input": 1, "output": 1}))
    codes = [accord.post(CHAT, {**BODY, "model": name}).status
             for name in ("up/upstream-m", "m", "m-alias", "up/upstream-m", "m")]
    assert codes == [200, 200, 200, 402, 402]
    settled(accord, "usd", 3 * USED / 1e6)  # at the price that is declared
    assert accord.post(CHAT, {**BODY, "model": "up/another"}).status == 200


def test_soft_limits_tell_and_refuse_nothing(start, upstream):
    accord = start(limited(upstream, policy(
        [{"what": "requests", "at_most": 1, "per": "day", "soft": True}],
        [{"tokens": 5, "per": "day", "soft": True}])))
    first, second = accord.post(CHAT, BODY), accord.post(CHAT, BODY)
    assert (first.status, second.status) == (200, 200)
    assert first.header("accord-limit-exceeded") is None
    assert second.header("accord-limit-exceeded") == "p"
    assert used(accord, "requests", "exceeded_total") == 1
    assert used(accord, "tokens", "exceeded_total") == 1
    settled(accord, "tokens", 2 * USED)


# ---- each client address by itself ----

def of_addresses(upstream, limits, **more):
    return limited(upstream, policy(limits, applies_to={"address": True}), **more)


def from_address(accord, address, key=KEY, path=CHAT, body=None):
    return accord.call("POST", path, body or BODY, [("Authorization", f"Bearer {key}"),
                                                    ("X-Forwarded-For", address)], key=False)


def test_each_address_has_a_limit_of_its_own_behind_trusted_proxies(start, upstream):
    accord = start(of_addresses(upstream, [{"what": "requests", "at_most": 2, "per": "hour"}],
                                trusted_proxies=["127.0.0.1", "10.0.0.0/8"]))
    for address in ("198.51.100.1", "198.51.100.2", "2001:db8::1"):
        answered = [from_address(accord, address) for _ in range(3)]
        assert [r.status for r in answered] == [200, 200, 429], address
        assert answered[1].header("x-ratelimit-remaining-requests") == "0"
        assert int(answered[2].header("retry-after")) > 3000
    # The nearest one that nobody trusts counts, whatever it says of those behind it.
    assert from_address(accord, "203.0.113.77, 198.51.100.1, 10.1.2.3").status == 429
    assert from_address(accord, "198.51.100.1, 203.0.113.77, 10.1.2.3").status == 200
    assert from_address(accord, "2001:db8::ffff").status == 429  # of the same /64
    assert from_address(accord, "2001:db8:0:1::1").status == 200
    assert used(accord, "requests", "refused_total") == 5


def test_nobody_is_believed_who_is_no_proxy(start, upstream):
    accord = start(of_addresses(upstream, [{"what": "requests", "at_most": 2, "per": "hour"}],
                                trusted_proxies=["10.0.0.0/8"]))
    assert [from_address(accord, f"198.51.100.{i}").status for i in range(4)] == [200, 200, 429, 429]


def test_guessing_keys_is_limited_by_address(start, upstream):
    accord = start(of_addresses(upstream, [{"what": "requests", "at_most": 3, "per": "hour"},
                                           {"what": "tokens", "at_most": 1000000, "per": "hour"}],
                                trusted_proxies=["127.0.0.1"]))
    codes = [from_address(accord, "198.51.100.1", f"sk-wrong-{i:020}").status for i in range(5)]
    assert codes == [401, 401, 401, 429, 429]
    assert from_address(accord, "198.51.100.1").status == 429
    assert from_address(accord, "198.51.100.2").status == 200
    # What needs no key is not limited.
    assert accord.get("/healthz", key=False).status == 200


def test_tokens_of_an_address_are_settled_as_they_were_used(start, upstream):
    accord = start(of_addresses(upstream, [{"what": "tokens", "at_most": 60, "per": "hour"}],
                                trusted_proxies=["127.0.0.1"]))
    body = {**BODY, "max_tokens": 3}
    codes = [from_address(accord, "198.51.100.1", body=body).status for _ in range(6)]
    assert codes.count(200) in (3, 4, 5) and codes[-1] == 429  # two, if it were as reserved
    assert from_address(accord, "198.51.100.9", body=body).status == 200


def test_many_addresses_do_not_grow_the_server(start, upstream):
    accord = start(of_addresses(upstream, [{"what": "requests", "at_most": 1000, "per": "hour"}],
                                trusted_proxies=["127.0.0.1"]))
    def rounds(n):
        message = [request("POST", CHAT, [("Authorization", "Bearer sk-wrong-00000000000000"),
                                          ("X-Forwarded-For", f"10.{i >> 16}.{i >> 8 & 255}.{i & 255}")], b"{}")
                   for i in range(*n)]
        with accord.connect() as connection:
            for one in message:
                connection.send(one)
                assert connection.read_response().status in (401, 429)
    rounds((0, 500))
    before = accord.rss_kib()
    rounds((500, 6000))
    assert accord.rss_kib() - before < 16 << 10


# ---- words of the dialects ----

def test_anthropic_is_told_in_its_own_words(start, upstream):
    accord = start(limited(upstream, policy(
        [{"what": "requests", "at_most": 10, "per": "minute"},
         {"what": "output_tokens", "at_most": 1000, "per": "minute"}])))
    response = accord.post(MESSAGES, MESSAGE_BODY)
    assert response.status == 200
    assert response.header("anthropic-ratelimit-requests-limit") == "10"
    assert response.header("anthropic-ratelimit-requests-remaining") == "9"
    assert response.header("anthropic-ratelimit-output-tokens-limit") == "1000"
    reset = response.header("anthropic-ratelimit-requests-reset")
    assert re.fullmatch(r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ", reset)
    assert response.header("x-ratelimit-limit-requests") is None


@pytest.mark.parametrize("theirs, told", [("3", "3"), ("5000", "99")])
def test_a_client_is_never_told_more_than_the_upstream_allows(start, upstream, theirs, told):
    upstream.answer = lambda peer, _: peer.send(answers.whole(answers.CHAT, headers=[
        ("x-ratelimit-limit-requests", "10000"), ("x-ratelimit-remaining-requests", theirs),
        ("x-ratelimit-reset-requests", "6ms"), ("x-ratelimit-remaining-tokens", "77"),
        ("x-other", "1")]))
    accord = start(limited(upstream, policy([{"what": "requests", "at_most": 100, "per": "hour"}])))
    response = accord.post(CHAT, BODY)
    assert response.head.all("x-ratelimit-remaining-requests") == [told]
    assert len(response.head.all("x-ratelimit-limit-requests")) == 1
    assert response.head.all("x-ratelimit-remaining-tokens") == ["77"]
    assert response.header("x-other") == "1"


# ---- races ----

def hammer(accord, calls, threads, body):
    """`calls` calls over keep-alive connections, as fast as they go: how often which status came."""
    counts, lock, todo = {}, threading.Lock(), iter(range(calls))
    message = request("POST", CHAT, [("Authorization", f"Bearer {KEY}"),
                                     ("Content-Type", "application/json")],
                      json.dumps(body).encode())

    def worker():
        mine = {}
        with accord.connect() as connection:
            while True:
                with lock:
                    if next(todo, None) is None:
                        break
                connection.send(message)
                status = connection.read_response(timeout=60).status
                mine[status] = mine.get(status, 0) + 1
        with lock:
            for status, n in mine.items():
                counts[status] = counts.get(status, 0) + n

    running = [threading.Thread(target=worker) for _ in range(threads)]
    for thread in running:
        thread.start()
    for thread in running:
        thread.join()
    return counts


@pytest.mark.race
@pytest.mark.parametrize("budget, bound", [
    ({"requests": 100}, {}), ({"tokens": 100 * USED}, {}), ({"usd": "0.0041"}, {}),
    ({"tokens": 100 * USED}, {"max_tokens": 3})])
def test_10000_racing_calls_spend_what_there_is_room_for(start, upstream, budget, bound):
    # 7 x $2 + 3 x $9 per million: $0.000041 a call
    accord = start(limited(upstream, policy(budgets=[{**budget, "per": "day"}]),
                           price={"input": 2, "output": 9}))
    counts = hammer(accord, 10000, 64, {**BODY, **bound})
    assert set(counts) <= {200, 402} and sum(counts.values()) == 10000
    what, room = next(iter(budget.items()))
    assert 1 <= counts[200] <= 100, counts
    if what == "requests":
        assert counts[200] == 100
    assert len(upstream.requests) == counts[200]
    wait_for(lambda: used(accord, what, "reserved") == 0, what="all to be settled")
    assert used(accord, what) <= float(room)
    # Calls without a bound go one after the other, so the race may have left room: nothing of it is lost, and the
    # rest is as exact.
    while accord.post(CHAT, {**BODY, **bound}).status == 200:
        counts[200] += 1
    assert counts[200] == 100 if not bound else 95 <= counts[200] <= 100
    if what == "tokens":
        assert used(accord, what) == counts[200] * USED


# ---- restarts ----

def test_what_was_used_outlives_a_kill_and_what_was_reserved_does_not(start, upstream, tmp_path):
    config = limited(upstream, policy([{"what": "requests", "at_most": 10, "per": "hour"}],
                                      [{"tokens": 1000, "per": "month"}]))
    data = ["--data", str(tmp_path / "kept")]
    accord = start(config, arguments=data)
    for _ in range(3):
        assert accord.post(CHAT, BODY).status == 200
    settled(accord, "tokens", 3 * USED)
    upstream.answer = lambda peer, _: peer.wait_closed()
    running = accord.open_stream(CHAT, {**BODY, "max_tokens": 800})
    upstream.wait_requests(4)
    assert used(accord, "tokens", "reserved") > 800
    time.sleep(0.1)  # what was settled is written down within milliseconds
    accord.may_fail = True
    accord.signal(signal.SIGKILL)
    accord.process.wait()
    running.close()
    upstream.answer = answers.usual
    again = start(config, arguments=data)
    assert used(again, "tokens") == 3 * USED
    assert used(again, "tokens", "reserved") == 0
    assert used(again, "requests") == 3
    codes = [again.post(CHAT, BODY).status for _ in range(8)]
    assert codes == [200] * 7 + [429]
    # A regular end loses nothing, nor does a reload.
    settled(again, "tokens", 10 * USED)
    again.signal(signal.SIGHUP)
    wait_for(lambda: "generation 2" in again.stderr(), what="the reload")
    assert used(again, "tokens") == 10 * USED
    assert again.post(CHAT, BODY).status == 429
    again.stop()
    third = start(config, arguments=data)
    assert used(third, "tokens") == 10 * USED


def test_a_kill_in_the_middle_of_traffic_loses_milliseconds(start, upstream, tmp_path):
    config = limited(upstream, policy(budgets=[{"requests": 1000000, "per": "day"}]))
    data = ["--data", str(tmp_path / "kept")]
    answered, late, before = 0, 0, 0
    for _ in range(4):
        accord = start(config, arguments=data)
        before = used(accord, "requests")
        # Four more may have been settled and not answered.
        assert answered - late <= before <= answered + 4, (answered, late, before)
        times, stop = [], threading.Event()

        def caller():
            try:
                while not stop.is_set():
                    assert accord.post(CHAT, BODY).status == 200
                    times.append(time.monotonic())
            except (OSError, WireError):
                pass  # the server is gone

        threads = [threading.Thread(target=caller) for _ in range(4)]
        for thread in threads:
            thread.start()
        wait_for(lambda: len(times) > 300, what="traffic")
        accord.may_fail = True
        accord.signal(signal.SIGKILL)
        killed = time.monotonic()
        accord.process.wait()
        stop.set()
        for thread in threads:
            thread.join()
        answered = int(before) + len(times)
        # 5 ms on a machine that has a core to spare; this one may not.
        late = sum(1 for at in times if at > killed - 0.15)


# ---- the platform ----

def test_policies_of_teams_and_applications_hold_for_their_keys(start, upstream):
    accord = start(config_for(upstream.url), env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    api = Api(accord.address)

    def create(plural, **body):
        response = api.send("POST", f"/{plural}", json.dumps(body).encode(),
                            {"Content-Type": "application/json", "Prefer": "wait=10"})
        assert response.status_code == 201, response.text
        return response.json()

    create("teams", id="red", name="Red")
    create("applications", id="one", name="One", team="red")
    create("applications", id="two", name="Two", team="red")
    keys = [create("keys", application=name)["secret"] for name in ("one", "one", "two")]
    create("policies", id="of-team", applies_to={"team": "red"},
           budgets=[{"requests": 5, "per": "month", "time_zone": "UTC"}])
    create("policies", id="of-one", applies_to={"application": "one"},
           limits=[{"what": "requests", "at_most": 3, "per": "hour"}])

    def call(key):
        return accord.call("POST", CHAT, BODY, [("Authorization", f"Bearer {key}")],
                           key=False).status

    # Two keys of one application share its three; the third finds what the team has left.
    assert [call(keys[i % 2]) for i in range(4)] == [200, 200, 200, 429]
    assert [call(keys[2]) for _ in range(3)] == [200, 200, 402]
    assert accord.post(CHAT, BODY).status == 200  # a key of nobody
    # More is allowed: what was used stays.
    response = api.send("PATCH", "/policies/of-team", json.dumps(
        {"budgets": [{"requests": 6, "per": "month", "time_zone": "UTC"}]}).encode(),
        {"Content-Type": "application/merge-patch+json", "If-Match": "*", "Prefer": "wait=10"})
    assert response.status_code == 200, response.text
    assert [call(keys[2]) for _ in range(2)] == [200, 402]
