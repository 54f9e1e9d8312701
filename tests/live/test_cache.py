"""Answers that are given again to who asks the same: to nobody else, no longer than they may be, and for nothing."""

import gzip
import json
import time

import pytest

import answers
from accord import KEY, config_for, run
from answers import CHAT_EVENTS, DONE
from hostile import Gone
from wire import wait_for

CHAT = "/v1/chat/completions"
BODY = {"model": "m", "messages": [{"role": "user", "content": "Hello"}]}
STREAM = {**BODY, "stream": True}
OTHER = "sk-accord-live-tests-caller-canary-0002"
HIT, MISS = "hit", "miss"


def policy(name="c", applies_to=None, **cache):
    return {"id": name, "applies_to": applies_to or {"org": True}, "cache": {"ttl_s": 300, **cache}}


def cached(upstream, *policies, **more):
    config = config_for(upstream.url, policies=list(policies) or [policy()], **more)
    config["keys"].append({"id": "other", "secret": OTHER, "models": ["*"]})
    return config


@pytest.fixture
def accord(start, upstream):
    return start(cached(upstream))


def ask(accord, body=None, headers=(), target=CHAT, key=KEY):
    text = body if isinstance(body, bytes) else json.dumps(BODY if body is None else body).encode()
    return accord.call("POST", target, text, [("Authorization", f"Bearer {key}"), *headers], key=False)


def numbered(upstream):
    """Each answer is another one."""
    count = iter(range(1, 10**6))

    def answer(peer, request):
        peer.send(answers.whole(answers.CHAT[:-1] + b',"n":%d}' % next(count)))
    upstream.answer = answer


def was(response):
    assert response.status == 200, response
    return response.header("accord-cache")


def test_the_same_question_is_answered_without_an_upstream_and_says_so(accord, upstream):
    first, second = ask(accord), ask(accord)
    assert (was(first), was(second)) == (MISS, HIT)
    assert second.body == first.body and second.header("content-type") == first.header("content-type")
    assert 0 <= int(second.header("age")) <= 5 and first.header("age") is None
    assert second.header("content-length") == str(len(first.body))
    assert second.json()["usage"] == first.json()["usage"]
    assert second.header("x-request-id") != first.header("x-request-id")
    assert len(upstream.requests) == 1
    metrics = accord.metrics()
    assert metrics['accord_memory_calls_total{result="hit"}'] == 1
    assert metrics['accord_memory_calls_total{result="miss"}'] == 1
    assert metrics["accord_memory_bytes"] > len(first.body)
    assert metrics["accord_memory_answers"] == 1


def test_what_was_simulated_says_so_again(accord):
    answers_of_sim = [ask(accord, {**BODY, "model": "sim/echo"}) for _ in range(2)]
    assert [was(answer) for answer in answers_of_sim] == [MISS, HIT]
    assert {answer.header("accord-simulated") for answer in answers_of_sim} == {"true"}


def test_spelling_does_not_matter_and_what_is_said_does(accord, upstream):
    assert was(ask(accord)) == MISS
    same = [b'{"messages": [{"content": "Hello", "role": "user"}], "model": "m"}',
            json.dumps({**BODY, "user": "somebody", "metadata": {"a": "b"},
                        "prompt_cache_key": "k"}).encode(),
            b'{"model":"m","messages":[{"role":"user","content":"H\\u0065llo"}]}',
            json.dumps({**BODY, "stream": False}).encode()]
    for body in same:
        assert was(ask(accord, body)) == HIT, body
    others = [{**BODY, "temperature": 0.5}, {**BODY, "messages": [{"role": "user", "content": "hello"}]},
              {**BODY, "model": "m-alias"}, {**BODY, "model": "claude-m"}, {**BODY, "tools": []},
              {**BODY, "stop": ["x"]}, {**BODY, "max_tokens": 10}]
    for body in others:
        assert was(ask(accord, body)) == MISS, body
        assert was(ask(accord, body)) == HIT, body
    assert was(ask(accord, headers=[("accord-loss", "strict")])) == MISS
    assert len(upstream.requests) == 2 + len(others)


@pytest.mark.parametrize("target, body", [
    (CHAT, {**STREAM}), (CHAT, {**STREAM, "stream_options": {"include_usage": True}}),
    (CHAT, {**STREAM, "model": "claude-m"}),
    ("/v1/messages", {"model": "claude-m", "max_tokens": 50, "stream": True,
                      "messages": BODY["messages"]}),
    ("/v1/messages", {"model": "m", "max_tokens": 50, "stream": True, "messages": BODY["messages"]}),
    ("/v1beta/models/gemini-m:streamGenerateContent?alt=sse", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    ("/v1/responses", {"model": "m", "input": "Hello", "stream": True, "store": False}),
])
def test_a_stream_is_replayed_as_a_stream_of_the_same_bytes(accord, upstream, target, body):
    first, second = ask(accord, body, target=target), ask(accord, body, target=target)
    assert (was(first), was(second)) == (MISS, HIT)
    assert second.body == first.body and second.events() == first.events()
    assert second.header("content-type") == first.header("content-type")
    assert second.header("transfer-encoding") == "chunked"
    assert len(upstream.requests) == 1


def test_a_stream_and_a_whole_answer_are_two_answers(accord, upstream):
    assert [was(ask(accord, b)) for b in (BODY, STREAM, BODY, STREAM)] == [MISS, MISS, HIT, HIT]
    with_usage = {**STREAM, "stream_options": {"include_usage": True}}
    assert was(ask(accord, with_usage)) == MISS
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("target, body", [
    ("/v1/embeddings", {"model": "m", "input": "Hello"}),
    ("/v1beta/models/gemini-m:generateContent", {"contents": [{"parts": [{"text": "Hi"}]}]}),
    ("/v1/messages", {"model": "m", "max_tokens": 9, "messages": BODY["messages"]}),
])
def test_other_dialects_have_their_answers_kept_as_well(accord, upstream, target, body):
    first, second = ask(accord, body, target=target), ask(accord, body, target=target)
    assert (was(first), was(second), second.body) == (MISS, HIT, first.body)
    assert len(upstream.requests) == 1


def test_any_bytes_come_back_as_they_were(accord, upstream):
    audio = bytes(range(256)) * 700
    upstream.answer = lambda peer, request: peer.send(answers.whole(audio, content_type="audio/mpeg"))
    body = {"model": "m", "input": "Hello", "voice": "alloy"}
    first, second = (ask(accord, body, target="/v1/audio/speech") for _ in range(2))
    assert (was(first), was(second)) == (MISS, HIT)
    assert first.body == second.body == audio
    assert second.header("content-type") == "audio/mpeg"


def test_a_question_of_somebody_else_is_another_question(accord, upstream):
    assert was(ask(accord)) == MISS
    assert was(ask(accord, key=OTHER)) == MISS
    assert was(ask(accord, key=OTHER)) == HIT
    assert ask(accord, key="sk-accord-not-a-key").status == 401
    assert len(upstream.requests) == 2


def test_who_may_not_use_the_model_gets_nothing_of_it(start, upstream):
    config = cached(upstream, keys=[{"id": "dev", "secret": KEY, "models": ["claude-*"]}])
    config["keys"] = [{"id": "dev", "secret": KEY, "models": ["*"]}]
    accord = start(config)
    assert (was(ask(accord)), was(ask(accord))) == (MISS, HIT)
    config["keys"][0]["models"] = ["claude-m"]
    accord.write_config(config)
    accord.signal(1)
    wait_for(lambda: ask(accord).status == 403, what="the reload")
    assert len(upstream.requests) == 1


@pytest.mark.parametrize("header, finds, keeps", [
    (("cache-control", "no-cache"), False, True), (("cache-control", "max-age=0"), False, True),
    (("cache-control", "no-store"), False, False), (("accord-cache", "off"), False, False),
    (("Cache-Control", "private, No-Store"), False, False),
])
def test_who_does_not_want_it_does_not_get_it(accord, upstream, header, finds, keeps):
    numbered(upstream)
    old = ask(accord)
    fresh = ask(accord, headers=[header])
    assert was(fresh) in (MISS, "off") and fresh.body != old.body
    assert ask(accord).body == (fresh.body if keeps else old.body)
    assert len(upstream.requests) == 2


def test_an_answer_is_given_for_its_time_only(start, upstream):
    numbered(upstream)
    accord = start(cached(upstream, policy(ttl_s=2)))
    begun = time.monotonic()
    first = ask(accord)
    again = ask(accord)
    assert again.body == first.body or time.monotonic() - begun > 1
    wait_for(lambda: ask(accord).body != first.body, what="another answer")
    assert time.monotonic() - begun > 1  # whole seconds are counted


def test_a_policy_nearer_to_the_caller_counts(start, upstream):
    accord = start(cached(upstream, policy(), policy("none", {"key": "other"}, ttl_s=0)))
    assert [was(ask(accord)) for _ in range(2)] == [MISS, HIT]
    assert [was(ask(accord, key=OTHER)) for _ in range(2)] == ["off", "off"]


def test_without_a_policy_nothing_is_kept(start, upstream):
    accord = start(config_for(upstream.url))
    assert [was(ask(accord)) for _ in range(2)] == [None, None]
    assert len(upstream.requests) == 2 and accord.metrics()["accord_memory_answers"] == 0


@pytest.mark.parametrize("answer", [
    answers.whole(b'{"error":{"message":"no"}}', status=400),
    answers.whole(b'{"error":{"message":"no"}}', status=500),
    answers.stream(CHAT_EVENTS[:2]),  # without its end
    answers.stream([*CHAT_EVENTS[:2], answers.sse({"error": {"message": "broken", "code": 1}}), DONE]),
    answers.whole(answers.CHAT)[:-20],
])
def test_what_is_no_good_answer_is_not_given_again(accord, upstream, answer):
    def bad(peer, request):
        peer.send(answer)
        peer.sock.close()
        raise Gone()
    body = BODY if b"json" in answer.partition(b"\r\n\r\n")[0] else STREAM
    upstream.answer = bad
    try:
        ask(accord, body)
    except Exception:  # pylint: disable=broad-except  # it breaks off, as it must
        pass
    upstream.answer = answers.usual
    assert was(ask(accord, body)) == MISS
    assert was(ask(accord, body)) == HIT


def test_M16_what_the_vendor_wants_not_kept_is_not_and_his_cookies_go_to_nobody(accord, upstream):
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        answers.CHAT, headers=[("Cache-Control", "no-store")]))
    assert [was(ask(accord)) for _ in range(2)] == [MISS, MISS]
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        answers.CHAT, headers=[("Cache-Control", "private"), ("Set-Cookie", "a=b")]))
    answered = [ask(accord) for _ in range(2)]
    assert [was(answer) for answer in answered] == [MISS, HIT]
    assert not any(answer.header("set-cookie") for answer in answered)


def test_an_answer_goes_to_nobody_who_may_not_have_its_target(start, upstream):
    config = cached(upstream)
    target = config["models"][0]["targets"][0]
    config["models"][0]["targets"] = [{**target, "when": {"header": "x-tier", "is": "gold"}}, target]
    accord = start(config)
    gold = [("x-tier", "gold")]
    assert [was(ask(accord, headers=headers)) for headers in (gold, (), gold, ())] == [MISS, MISS, HIT, HIT]
    assert len(upstream.requests) == 2


@pytest.mark.parametrize("target, body", [
    (CHAT, {**BODY, "store": True}), ("/v1/responses", {"model": "m", "input": "Hello"}),
    ("/v1/responses", {"model": "m", "input": "Hello", "store": False,
                       "previous_response_id": "resp_1"}),
    ("/v1/responses", {"model": "m", "input": "Hello", "store": False, "conversation": "conv_1"}),
])
def test_what_the_vendor_keeps_is_asked_of_the_vendor(accord, upstream, target, body):
    for _ in range(2):
        assert was(ask(accord, body, target=target)) != HIT
    assert len(upstream.requests) == 2


def test_a_hit_is_a_request_for_the_limits_and_costs_nothing(start, upstream):
    limits = {"id": "l", "applies_to": {"key": "dev"}, "limits": [
        {"what": "requests", "at_most": 3, "per": "hour"}, {"what": "tokens", "at_most": 5000, "per": "hour"}]}
    config = cached(upstream, policy(), limits)
    config["models"][0]["targets"][0]["price"] = {"input": 1, "output": 2}
    accord = start(config)
    answered = [ask(accord) for _ in range(4)]
    assert [r.status for r in answered] == [200, 200, 200, 429]
    assert [was(r) for r in answered[:3]] == [MISS, HIT, HIT]
    assert answered[2].header("x-ratelimit-remaining-requests") == "0"
    assert len(upstream.requests) == 1
    lines = accord.wait_access_log(4)
    hits = [line for line in lines if line.get("provider") == "(cache)"]
    assert {line["upstream_model"] for line in hits} == {"up/upstream-m"}
    assert len(hits) == 2
    for line in hits:
        assert line["status"] == 200 and line["outcome"] == "ok" and line["attempts"] == 0
        assert line.get("cost_nusd", 0) == 0
    used = {k: v for k, v in accord.metrics().items() if k.startswith("accord_limit_used")}
    assert sum(v for k, v in used.items() if 'what="tokens"' in k) == 10
    assert sum(v for k, v in used.items() if 'what="requests"' in k) == 3


def test_masking_runs_on_hits_and_values_stay_with_who_sent_them(start, upstream):
    masking = {"id": "k", "applies_to": {"org": True},
               "masking": {"detectors": ["email"], "action": "tokenise"}}

    def echo(peer, request):
        said = json.loads(request.body)["messages"][0]["content"]
        assert "@" not in said
        peer.send(answers.whole(answers.dump({"choices": [{"message": {"role": "assistant", "content": said},
                                                        "index": 0, "finish_reason": "stop"}]})))
    upstream.answer = echo
    accord = start(cached(upstream, policy(), masking))
    for mail in ("ana@example.org", "bob@example.org"):
        body = {**BODY, "messages": [{"role": "user", "content": f"I am {mail}"}]}
        first, second = ask(accord, body), ask(accord, body)
        assert (was(first), was(second)) == (MISS, HIT)
        assert mail in first.json()["choices"][0]["message"]["content"]
        assert second.body == first.body
        assert "email=1" in second.header("accord-masked")
    assert len(upstream.requests) == 2
    masking["masking"]["action"] = "block"
    accord.write_config(cached(upstream, policy(), masking))
    accord.signal(1)
    wait_for(lambda: ask(accord, body).status == 422, what="the reload")


def test_other_rules_of_masking_make_it_another_question(start, upstream):
    masking = {"id": "k", "applies_to": {"org": True}, "masking": {"detectors": ["email"]}}
    accord = start(cached(upstream, policy()))
    body = {**BODY, "messages": [{"role": "user", "content": "I am ana@example.org"}]}
    assert [was(ask(accord, body)) for _ in range(2)] == [MISS, HIT]
    accord.write_config(cached(upstream, policy(), masking))
    accord.signal(1)
    wait_for(lambda: was(ask(accord, body)) == MISS, what="the reload")
    assert b"ana@example.org" not in upstream.requests[-1].body


def test_memory_is_bounded_and_the_longest_unused_goes(start, upstream):
    big = answers.CHAT[:-1] + b',"x":"' + b"x" * 50000 + b'"}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(big))
    accord = start(cached(upstream, memory={"max_bytes": 500000}))
    bodies = [{**BODY, "seed": n} for n in range(30)]
    for body in bodies:
        assert was(ask(accord, body)) == MISS
        assert accord.metrics()["accord_memory_bytes"] <= 500000
        assert was(ask(accord, bodies[0])) == HIT  # used, so it stays
    metrics = accord.metrics()
    assert metrics["accord_memory_evicted_total"] >= 20
    assert 5 <= metrics["accord_memory_answers"] <= 10
    assert was(ask(accord, bodies[1])) == MISS


def test_nobody_drives_out_others_while_he_has_more(start, upstream):
    big = answers.CHAT[:-1] + b',"x":"' + b"x" * 50000 + b'"}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(big))
    accord = start(cached(upstream, memory={"max_bytes": 500000}))
    mine = [{**BODY, "seed": n} for n in range(3)]
    for body in mine:
        assert was(ask(accord, body, key=OTHER)) == MISS
    for n in range(40):
        assert was(ask(accord, {**BODY, "seed": 1000 + n})) == MISS
    for body in mine:
        assert was(ask(accord, body, key=OTHER)) == HIT


def test_an_answer_longer_than_one_may_be_passes_and_is_not_kept(start, upstream):
    big = answers.CHAT[:-1] + b',"x":"' + b"x" * 300000 + b'"}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(big))
    accord = start(cached(upstream, memory={"answer_max_bytes": 100000}))
    for _ in range(2):
        response = ask(accord)
        assert was(response) == MISS and response.body == big
    assert accord.metrics()["accord_memory_too_large_total"] == 2


def test_a_long_hit_waits_for_a_client_that_reads_slowly(start, upstream):
    big = answers.CHAT[:-1] + b',"x":"' + b"x" * 3000000 + b'"}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(big))
    accord = start(cached(upstream))
    assert was(ask(accord)) == MISS
    with accord.open_stream(CHAT, BODY, receive_buffer=4096) as slow:
        time.sleep(0.3)
        response = slow.read_response()
        assert was(response) == HIT and response.body == big
    with accord.open_stream(CHAT, BODY, receive_buffer=4096) as leaves:
        leaves.read_head()
        leaves.reset()
    assert was(ask(accord)) == HIT


@pytest.mark.parametrize("cache, words", [
    ({}, ["ttl_s"]), ({"ttl_s": -1}, ["ttl_s"]), ({"ttl_s": "long"}, ["ttl_s", "long"]),
    ({"ttl_s": 1, "scope": "world"}, ["scope", "world", "team, key"]),
    ({"ttl_s": 1, "coalesce": 3}, ["coalesce"]), ({"ttl_s": 1, "tll": 3}, ["tll"]),
])
def test_a_wrong_cache_is_refused_with_its_name(tmp_path, upstream, cache, words):
    config = config_for(upstream.url, policies=[{"id": "c", "applies_to": {"org": True}, "cache": cache}])
    (tmp_path / "accord.yaml").write_text(json.dumps(config))
    done = run(["check", "-c", "accord.yaml"], tmp_path)
    assert done.returncode != 0
    for word in words:
        assert word in done.stderr + done.stdout, done


VENDOR = [("anthropic-beta", "b"), ("openai-beta", "b"), ("x-goog-user-project", "p"), ("accept", "text/plain"),
          ("x-amzn-bedrock-guardrailidentifier", "g"), ("x-of-some-vendor", "1")]


@pytest.mark.parametrize("name, value", VENDOR)
def test_a_field_that_goes_to_the_provider_makes_another_question(accord, upstream, name, value):
    numbered(upstream)
    assert was(ask(accord)) == MISS
    for more in ([], [(name, "a")], [(name, "a"), (name, value)], [(name, "a"), (name, "c")]):
        assert was(ask(accord, headers=more)) == (MISS if more else HIT), more
    assert was(ask(accord, headers=[(name, "a"), (name, value)])) == HIT


def test_a_field_that_only_says_who_asks_does_not(accord):
    assert was(ask(accord)) == MISS
    for name in ("x-stainless-retry-count", "traceparent", "x-request-start", "X-Forwarded-Port", "cf-ray",
                 "session_id", "user-agent"):
        assert was(ask(accord, headers=[(name, "1")])) == HIT, name


def test_texts_with_half_a_character_are_not_taken_for_one_another(accord, upstream):
    numbered(upstream)
    for half, expected in ((b"\\ufffd", MISS), (b"\\ufffd", HIT), (b"\\ud800", "off"), (b"\\udfff", "off")):
        text = b'{"model":"m","messages":[{"role":"user","content":"' + half + b'"}]}'
        assert was(ask(accord, text)) == expected
    assert len(upstream.requests) == 3


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_that_was_compressed_unasked_says_so_again(accord, upstream, stream):
    text = gzip.compress(b"".join([*CHAT_EVENTS, DONE]) if stream else answers.CHAT)
    kind = "text/event-stream" if stream else "application/json"
    upstream.answer = lambda peer, request: peer.send(
        answers.whole(text, content_type=kind, headers=[("Content-Encoding", "gzip")]))
    for expected in (MISS, HIT):
        answer = ask(accord, {**BODY, "stream": stream})
        assert was(answer) == expected
        assert answer.header("content-encoding") == "gzip" and answer.body == text


def test_two_endpoints_of_one_kind_are_two_questions(accord, upstream):
    body = {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]}
    old = {"model": "ollama-m", "input": "x", "prompt": "x"}  # both read it, and answer in different forms
    for target, text in (("/v1/models/gemini-m:generateContent", body), ("/v1beta/models/gemini-m:generateContent", body),
                         ("/api/embed", old), ("/api/embeddings", old)):
        assert was(ask(accord, text, target=target)) == MISS, target
        assert was(ask(accord, text, target=target)) == HIT, target
    assert len({request.path for request in upstream.requests}) == len(upstream.requests) == 4
