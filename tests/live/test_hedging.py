"""A second attempt beside one that is slow: when it is made, who answers, and what becomes of the other."""

import json
import signal
import threading
import time

import pytest

import answers
from answers import CHAT_EVENTS, DONE, chat_chunk, message_events, sse
from hostile import Hostile
from platform_api import ADMIN_TOKEN, Api
from test_ledger import api_of, wait_calls
from test_resilience import CHAT, HELLO, OK, STREAM, ask, error, three
from wire import wait_for

BODY = b"".join([*CHAT_EVENTS, DONE])
LATE = answers.stream([CHAT_EVENTS[0], chat_chunk({"content": "late"}), *CHAT_EVENTS[-1:], DONE])
HEDGE = {"min_samples": 10, "budget_percent": 100, "after_percentile": 95}
LEARN = 10  # as many as min_samples: none of them can be hedged
USUAL_S = 0.25  # what is learnt: far from what an answer at once takes, even on a busy machine


class Side:
    """One upstream: answers at once, or as `act` says; keeps what it was asked."""

    def __init__(self, hostile, first):
        self.hostile, self.first, self.act, self.calls = hostile, first, None, []
        hostile.answer = self

    def __call__(self, peer, request):
        self.calls.append((peer, request))
        if self.act:
            return self.act(peer)
        return peer.send(self.first)

    def wait_calls(self, count):
        wait_for(lambda: len(self.calls) >= count, what=f"{count} calls")

    def wait_closed(self, call=-1):
        """The connection of that call is closed by Accord."""
        wait_for(lambda: self.calls[call][0].closed_at is not None, what="the loser's connection to close")


def silent(peer):
    peer.wait_closed()
    return "close"


@pytest.fixture
def second():
    hostile = Hostile()
    yield hostile
    hostile.stop()
    assert not hostile.errors, hostile.errors


def config_of(upstream, second, hedge=HEDGE, dialect="openai", **more):
    config = three(upstream, workers=1, **more)
    config["providers"].append({"id": "other", "dialect": dialect, "credential": "sk-other-0000000",
                                "base_url": second.url + ("/v1" if dialect == "openai" else ""),
                                "allow_private_address": True})
    model = config["models"][1]
    model["targets"][1]["provider"] = "other"
    if hedge:
        model["hedge"] = hedge
    return config


class Pair:
    def __init__(self, start, upstream, second, **more):
        self.a = Side(upstream, STREAM)
        self.b = Side(second, answers.stream(message_events()) if more.get("dialect") else STREAM)
        self.accord = start(config_of(upstream, second, **more),
                            env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})

    def learn(self, count=LEARN, usual_s=USUAL_S):
        self.a.act = lambda peer: (time.sleep(usual_s), peer.send(STREAM))[1]
        callers = [threading.Thread(target=self.ask) for _ in range(count)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
        assert len(self.a.calls) == count and not self.b.calls
        self.a.act = None
        self.a.calls.clear()
        return self

    def ask(self, **more):
        return ask(self.accord, "m", stream=True, **more)


@pytest.fixture
def pair(start, upstream, second):
    return Pair(start, upstream, second).learn()


def begins_and_stalls(peer):
    peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
    return silent(peer)


@pytest.mark.parametrize("slow", [silent, begins_and_stalls])
def test_a_slow_start_is_overtaken_and_cancelled(pair, slow):
    pair.a.act = slow
    answer = pair.ask()
    assert answer.status == 200 and answer.body == BODY
    assert answer.header("accord-provider") == "other" and answer.header("accord-attempts") == "2"
    pair.a.wait_closed()
    assert (len(pair.a.calls), len(pair.b.calls)) == (1, 1)
    assert pair.a.calls[0][1].header("authorization") != pair.b.calls[0][1].header("authorization")
    samples = pair.accord.metrics()
    assert (samples["accord_hedges_total"], samples["accord_hedges_won_total"]) == (1, 1)


def test_the_first_may_still_win(pair):
    """It begins to speak when the second has been asked; the second is cancelled."""
    pair.b.act = silent

    def waits(peer):
        pair.b.wait_calls(1)
        peer.send(STREAM)

    pair.a.act = waits
    answer = pair.ask()
    assert answer.body == BODY and answer.header("accord-provider") == "one-key"
    pair.b.wait_closed()
    samples = pair.accord.metrics()
    assert (samples["accord_hedges_total"], samples["accord_hedges_won_total"]) == (1, 0)


@pytest.mark.parametrize("loser", ["a", "b"])
def test_attempts_count_as_under_way_only_while_they_are(pair, loser):
    def state():
        targets = Api(pair.accord.address).get("/routing/state").json()["targets"]
        return {t["provider"]: t for t in targets if t["provider"] in ("one-key", "other") and t["attempts"]}

    if loser == "b":
        pair.b.act = silent
        pair.a.act = lambda peer: (pair.b.wait_calls(1), peer.send(STREAM))[1]
    else:
        pair.a.act = silent
    assert pair.ask().status == 200
    wait_for(lambda: all(t["in_flight"] == 0 for t in state().values()), what="both to have ended")
    assert state()["other"]["attempts"] == 1 and all(t["failed"] == 0 for t in state().values())


def test_lifecycle_frames_win_nothing(pair):
    """The second only begins, and that for longer than a start is held back; the first has the content."""
    pair.b.act = begins_and_stalls

    def waits(peer):
        pair.b.wait_calls(1)
        time.sleep(2.5)
        peer.send(LATE)

    pair.a.act = waits
    answer = pair.ask()
    assert b"late" in answer.body and answer.header("accord-provider") == "one-key"
    assert answer.body.count(b'"role"') == 1


def test_a_whole_answer_in_one_piece_wins_and_ends_the_call(pair):
    """The second's answer comes, ends, and ends the call in one event, many times."""
    pair.a.act = silent
    for turn in range(5):
        assert pair.ask().body == BODY
        pair.a.act = None
        pair.ask()  # what a first one was too slow for is earned again
        pair.a.act = silent


def test_the_loser_is_no_fault_and_is_recorded(start, upstream, second):
    pair = Pair(start, upstream, second).learn()
    pair.a.act = silent
    for _ in range(5):  # five faults in a row would open a breaker
        assert pair.ask().header("accord-provider") == "other"
    pair.a.act = None
    assert pair.ask().header("accord-provider") == "one-key"
    calls = wait_calls(api_of(pair.accord), LEARN + 6)
    hedged = [call for call in calls if call["attempts"] == 2]
    assert len(hedged) == 5
    for call in hedged:
        assert call["outcome"] == "ok" and call["provider"] == "other"
        (loser,) = call["failed_attempts"]
        assert loser["reason"] == "hedged" and loser["provider"] == "one-key"
        assert not loser.get("status")


@pytest.mark.parametrize("fails", [
    lambda peer: peer.send(error(500)), lambda peer: peer.send(error(400)),
    lambda peer: peer.reset(), lambda peer: peer.send(answers.stream([CHAT_EVENTS[0]])),
    lambda peer: peer.send(answers.stream([sse({"error": {"message": "x", "code": "server_error"}})]))],
    ids=["500", "400", "reset", "empty", "error event"])
@pytest.mark.parametrize("who", ["first", "second"])
def test_one_that_fails_leaves_the_field_to_the_other(pair, fails, who):
    one, other = (pair.a, pair.b) if who == "first" else (pair.b, pair.a)
    failed = threading.Event()

    def fail(peer):
        pair.b.wait_calls(1)
        try:
            return fails(peer) or "close"
        finally:
            failed.set()

    def wait(peer):
        pair.b.wait_calls(1)
        assert failed.wait(10)
        time.sleep(0.3)
        peer.send(STREAM)

    one.act, other.act = fail, wait
    answer = pair.ask()
    assert answer.status == 200 and answer.body == BODY
    assert answer.header("accord-provider") == ("other" if who == "first" else "one-key")
    # A pooled connection that dies is followed by a fresh one, once.
    assert len(pair.a.calls) in (1, 2) and len(pair.b.calls) == 1


def test_when_both_fail_the_error_is_told(pair):
    def fail(peer):
        pair.b.wait_calls(1)
        return peer.send(error(500))

    pair.a.act = pair.b.act = fail
    answer = pair.ask()
    assert answer.status == 500 and answer.header("x-should-retry") == "false"
    assert len(pair.a.calls) + len(pair.b.calls) <= 3


@pytest.mark.parametrize("who", ["first", "second"])
def test_after_the_race_a_cut_is_a_cut(pair, who):
    def cuts(peer):
        pair.b.wait_calls(1)
        peer.send(answers.STREAM_HEAD + b"".join(map(answers.chunk, CHAT_EVENTS[:2])))
        time.sleep(0.1)
        peer.reset()
        return "close"

    pair.a.act, pair.b.act = (cuts, silent) if who == "first" else (silent, cuts)
    with pair.accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert not clean and CHAT_EVENTS[1] in body and b"upstream_cut" in body


def test_a_client_that_leaves_ends_both(pair):
    pair.a.act = pair.b.act = silent
    connection = pair.accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO})
    pair.b.wait_calls(1)
    connection.reset() if hasattr(connection, "reset") else connection.close()
    pair.a.wait_closed()
    pair.b.wait_closed()


def test_the_whole_calls_deadline_ends_both(start, upstream, second):
    config = config_of(upstream, second)
    config["models"][1]["timeouts"] = {"total_ms": 1500}
    pair = Pair.__new__(Pair)
    pair.a, pair.b, pair.accord = Side(upstream, STREAM), Side(second, STREAM), start(config)
    pair.learn()
    pair.a.act = pair.b.act = silent
    assert pair.ask().status == 504
    pair.a.wait_closed()
    pair.b.wait_closed()


def test_a_first_token_deadline_ends_the_first_and_then_the_second(start, upstream, second):
    config = config_of(upstream, second)
    config["models"][1]["timeouts"] = {"first_token_ms": 600}
    pair = Pair.__new__(Pair)
    pair.a, pair.b, pair.accord = Side(upstream, STREAM), Side(second, STREAM), start(config)
    pair.learn()
    pair.a.act = pair.b.act = silent
    assert pair.ask().status == 504
    pair.a.wait_closed()
    pair.b.wait_closed()
    assert (len(pair.a.calls), len(pair.b.calls)) == (1, 1)


@pytest.mark.parametrize("who", ["first", "second"])
def test_the_second_may_speak_another_dialect(start, upstream, second, who):
    pair = Pair(start, upstream, second, dialect="anthropic").learn()
    if who == "second":
        pair.a.act = silent
    else:
        pair.b.act = silent
        pair.a.act = lambda peer: (pair.b.wait_calls(1), peer.send(STREAM))[1]
    answer = pair.ask()
    assert answer.status == 200 and answer.events()[-1][1] == "[DONE]"
    assert answer.header("accord-provider") == ("other" if who == "second" else "one-key")
    assert json.loads(pair.b.calls[0][1].body)["model"] == "b"
    (pair.a if who == "second" else pair.b).wait_closed()


def test_what_the_second_cannot_be_told_harms_no_one(start, upstream, second):
    pair = Pair(start, upstream, second, dialect="anthropic").learn()
    pair.a.act = lambda peer: (time.sleep(1), peer.send(STREAM))[1]
    answer = pair.ask(seed=7, n=1, logit_bias={"5": 1}, headers=[("accord-loss", "strict")])
    assert answer.status == 200 and answer.body == BODY and not pair.b.calls


def test_another_credential_will_do(start, upstream, second):
    config = config_of(upstream, second)
    config["models"][2]["hedge"] = HEDGE  # "keys": one target with two credentials
    accord = start(config)
    seen = []

    def answer(peer, request):
        seen.append((peer, request.header("authorization")))
        if len(seen) == LEARN + 1:
            return silent(peer)
        return peer.send(STREAM)

    upstream.answer = answer
    for _ in range(LEARN):
        ask(accord, "keys", stream=True)
    assert ask(accord, "keys", stream=True).body == BODY
    assert [key for _, key in seen[LEARN:]] == ["Bearer sk-one-00000000", "Bearer sk-two-00000000"]


# ---- whole answers, and those of /v1/responses ----

RESPONSES = "/v1/responses"
UNSTORED = {"model": "m", "input": "Hello", "store": False}
RESPONSE = answers.whole(answers.dump({
    "id": "resp_1", "object": "response", "status": "completed", "model": "upstream-m", "output": [
        {"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "Hello", "annotations": []}]}],
    "usage": {"input_tokens": 3, "output_tokens": 2, "total_tokens": 5}}))


class Whole(Pair):
    """The same pair for calls that want no stream."""

    def __init__(self, start, upstream, second, usual=OK, target=CHAT, body=None, **more):
        super().__init__(start, upstream, second, **more)
        self.a.first, self.target, self.body, self.usual = usual, target, body or {"model": "m", **HELLO}, usual
        if not more.get("dialect"):
            self.b.first = usual
        self.a.act = lambda peer: (time.sleep(USUAL_S), peer.send(usual))[1]
        callers = [threading.Thread(target=self.ask) for _ in range(LEARN)]
        for one in callers:
            one.start()
        for one in callers:
            one.join()
        assert len(self.a.calls) == LEARN and not self.b.calls
        self.a.calls.clear()
        self.a.act = silent

    def ask(self, headers=(), **more):
        return self.accord.call("POST", self.target, {**self.body, **more}, headers)


def test_a_whole_answer_that_is_late_is_overtaken(start, upstream, second):
    pair = Whole(start, upstream, second)
    answer = pair.ask()
    assert answer.status == 200 and answer.json()["choices"]
    assert answer.header("accord-provider") == "other" and answer.header("accord-attempts") == "2"
    pair.a.wait_closed()
    samples = pair.accord.metrics()
    assert (samples["accord_hedges_total"], samples["accord_hedges_won_total"]) == (1, 1)
    pair.b.act = silent
    pair.a.act = lambda peer: (pair.b.wait_calls(2), peer.send(OK))[1]
    assert pair.ask().header("accord-provider") == "one-key"
    pair.b.wait_closed()


def test_a_whole_answer_of_another_dialect_may_win(start, upstream, second):
    pair = Whole(start, upstream, second, dialect="anthropic")
    pair.b.first = answers.whole(answers.MESSAGE)
    answer = pair.ask()
    assert answer.status == 200 and answer.json()["choices"][0]["message"]["content"]
    assert answer.header("accord-provider") == "other"
    pair.a.wait_closed()


@pytest.mark.parametrize("fails", [lambda peer: peer.send(error(500)), lambda peer: peer.reset()], ids=["500", "reset"])
@pytest.mark.parametrize("who", ["first", "second"])
def test_of_two_whole_ones_the_other_stays(start, upstream, second, fails, who):
    pair = Whole(start, upstream, second)
    one, other = (pair.a, pair.b) if who == "first" else (pair.b, pair.a)
    failed = threading.Event()

    def fail(peer):
        pair.b.wait_calls(1)
        try:
            return fails(peer) or "close"
        finally:
            failed.set()

    def wait(peer):
        pair.b.wait_calls(1)
        assert failed.wait(10)
        time.sleep(0.3)
        peer.send(OK)

    one.act, other.act = fail, wait
    answer = pair.ask()
    assert answer.status == 200
    assert answer.header("accord-provider") == ("other" if who == "first" else "one-key")


def test_streams_and_whole_answers_do_not_learn_from_each_other(start, upstream, second):
    pair = Whole(start, upstream, second)
    pair.a.act = slowly
    assert ask(pair.accord, "m", stream=True).header("accord-provider") == "one-key"
    assert not pair.b.calls


def test_whole_ones_have_a_budget(start, upstream, second):
    pair = Whole(start, upstream, second, hedge={**HEDGE, "budget_percent": 10})
    pair.a.act = lambda peer: (time.sleep(1), peer.send(OK))[1]
    winners = [pair.ask().header("accord-provider") for _ in range(4)]
    assert winners.count("other") == 1 and len(pair.b.calls) == 1


def test_a_response_that_nobody_keeps_is_overtaken(start, upstream, second):
    pair = Whole(start, upstream, second, RESPONSE, RESPONSES, UNSTORED)
    answer = pair.ask()
    assert answer.status == 200 and answer.json()["output"]
    assert answer.header("accord-provider") == "other"
    pair.a.wait_closed()


def test_a_response_of_another_dialect_may_win_and_is_not_kept(start, upstream, second):
    pair = Whole(start, upstream, second, RESPONSE, RESPONSES, UNSTORED, dialect="anthropic")
    pair.b.first = answers.whole(answers.MESSAGE)
    answer = pair.ask()
    assert answer.status == 200 and answer.header("accord-provider") == "other"
    assert pair.accord.get(f"{RESPONSES}/{answer.json()['id']}").status == 404


@pytest.mark.parametrize("more", [
    {"store": True}, {"store": None}, {"background": True}, {"previous_response_id": "resp_0"},
    {"tools": [{"type": "mcp", "server_label": "x", "server_url": "https://x.example"}]},
    {"input": [{"type": "item_reference", "id": "msg_1"}]}, {"conversation": "conv_1"}],
    ids=lambda more: next(iter(more.items())).__str__())
def test_a_response_that_leaves_something_is_asked_for_once(start, upstream, second, more):
    pair = Whole(start, upstream, second, RESPONSE, RESPONSES, UNSTORED)
    pair.a.act = lambda peer: (time.sleep(1), peer.send(RESPONSE))[1]
    answer = pair.ask(**more)
    assert answer.status == 200 and answer.header("accord-provider") == "one-key"
    assert len(pair.a.calls) == 1 and not pair.b.calls


def test_whole_races_at_random_end_honestly(start, upstream, second):
    import random
    lot = random.Random(5)
    acts = [lambda p: p.send(OK), lambda p: (time.sleep(0.3), p.send(OK))[1], lambda p: p.send(error(500)),
            lambda p: p.reset(), lambda p: p.send(OK[:-9]) or "close"]
    pair = Whole(start, upstream, second)
    pair.a.act = pair.b.act = lambda peer: lot.choice(acts)(peer)
    bad = []

    def caller():
        for _ in range(15):
            try:
                answer = pair.ask()
            except Exception:  # pylint: disable=broad-except  # cut off, as the upstream's was
                continue
            if answer.status < 500 and not (answer.status == 200 and answer.json()["choices"]):
                bad.append((answer.status, answer.body))

    callers = [threading.Thread(target=caller) for _ in range(8)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert not bad


# ---- when none is made ----

def slowly(peer):
    time.sleep(1)
    peer.send(STREAM)


def test_without_a_rule_none_is_made(start, upstream, second):
    pair = Pair(start, upstream, second, hedge=None).learn()
    pair.a.act = slowly
    assert pair.ask().header("accord-provider") == "one-key" and not pair.b.calls


def test_nor_before_enough_is_known(start, upstream, second):
    pair = Pair(start, upstream, second, hedge={**HEDGE, "min_samples": 1000}).learn()
    pair.a.act = slowly
    assert pair.ask().header("accord-provider") == "one-key" and not pair.b.calls


def test_nor_beyond_the_budget(start, upstream, second):
    pair = Pair(start, upstream, second, hedge={**HEDGE, "budget_percent": 10}).learn(19)
    pair.a.act = slowly  # with the first of these 20 calls have earned two
    winners = [pair.ask().header("accord-provider") for _ in range(6)]
    assert winners.count("other") == 2 and len(pair.b.calls) == 2


@pytest.mark.parametrize("how", ["idempotency key", "one attempt", "masked", "sdk retries", "stored", "its own tools"])
def test_nor_where_it_is_not_harmless(start, upstream, second, how):
    org = {"id": "p", "applies_to": {"org": True}}
    policies = ([{**org, "retry": {"attempts": 1}}] if how == "one attempt" else
                [{**org, "masking": {"detectors": ["email"], "action": "mask"}}] if how == "masked" else [])
    pair = Pair(start, upstream, second, policies=policies).learn()
    headers = ([("Idempotency-Key", "k-1")] if how == "idempotency key" else
               [("x-stainless-retry-count", "2")] if how == "sdk retries" else [])
    more = ({"store": True} if how == "stored" else
            {"tools": [{"type": "web_search"}]} if how == "its own tools" else {})
    pair.a.act = slowly
    assert pair.ask(headers=headers, **more).status == 200
    assert not pair.b.calls


def test_a_limit_is_charged_once(start, upstream, second):
    policies = [{"id": "few", "applies_to": {"org": True}, "limits": [
        {"what": "requests", "at_most": LEARN + 2, "per": "day"}]}]
    pair = Pair(start, upstream, second, policies=policies).learn()
    pair.a.act = silent
    assert pair.ask().status == 200 and pair.ask().status == 200
    assert pair.ask().status == 429


def test_a_reload_in_the_middle_harms_no_race(pair):
    def waits(peer):
        pair.b.wait_calls(1)
        pair.accord.signal(signal.SIGHUP)
        time.sleep(0.4)
        peer.send(LATE)

    pair.a.act, pair.b.act = waits, silent
    assert b"late" in pair.ask().body
    pair.a.act = silent
    pair.b.act = None
    assert pair.ask().header("accord-provider") == "other"  # what was measured is kept


@pytest.mark.race
def test_races_at_random_end_honestly(start, upstream, second):
    """Both sides are slow, fail, cut and hang by lot, many calls at a time; each call has a whole answer or an error."""
    import random
    lot = random.Random(4)
    acts = [lambda p: p.send(STREAM), slowly_a_little, lambda p: p.send(error(500)),
            lambda p: p.reset(), begins_late, lambda p: p.send(answers.stream([CHAT_EVENTS[0]]))]
    config = config_of(upstream, second)
    config["workers"] = 2
    pair = Pair.__new__(Pair)
    pair.a, pair.b, pair.accord = Side(upstream, STREAM), Side(second, STREAM), start(config)
    pair.learn(usual_s=0.01)
    pair.a.act = lambda peer: lot.choice(acts)(peer)
    pair.b.act = lambda peer: lot.choice(acts)(peer)
    bad = []

    def caller():
        for _ in range(25):
            answer = pair.ask()
            if not (answer.status == 200 and answer.body == BODY) and answer.status < 500:
                bad.append((answer.status, answer.body))

    callers = [threading.Thread(target=caller) for _ in range(8)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert not bad
    wait_for(lambda: pair.accord.metric("accord_hedges_total") > 0, what="a hedge")


def slowly_a_little(peer):
    time.sleep(0.05)
    peer.send(STREAM)


def begins_late(peer):
    peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
    time.sleep(0.05)
    peer.send(b"".join(map(answers.chunk, [*CHAT_EVENTS[1:], DONE])) + b"0\r\n\r\n")


@pytest.mark.parametrize("bad", [{"after_percentile": 100}, {"budget_percent": 0}, {"min_samples": 1},
                                 {"after": 3}])
def test_a_bad_rule_is_refused(start, upstream, second, bad):
    with pytest.raises(AssertionError, match=rf"hedge(.|\n)*{next(iter(bad))}"):
        start(config_of(upstream, second, hedge=bad))
