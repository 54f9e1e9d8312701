"""Failure that the caller does not see, and failure that he is told honestly: which fault leads where."""

import json
import socket
import threading
import time
from collections import Counter
from email.utils import formatdate

import pytest

import answers
from accord import KEY, config_for
from answers import CHAT_EVENTS, DONE, message_events, sse, whole
from platform_api import Api, start_platform
from wire import request

CHAT = "/v1/chat/completions"
HELLO = {"messages": [{"role": "user", "content": "hi"}]}
OK = whole(answers.CHAT)
STREAM = answers.stream([*CHAT_EVENTS, DONE])


def error(status, code=None, message="no", headers=()):
    return whole(json.dumps({"error": {"message": message, "type": code, "code": code}}).encode(),
                 status=status, headers=headers)


class Script:
    """Answers request after request by a list; the last one for all that follow. Keeps what it saw."""

    def __init__(self, *steps):
        self.steps, self.seen = steps, []

    def __call__(self, peer, asked):
        step = self.steps[min(len(self.seen), len(self.steps) - 1)]
        self.seen.append((json.loads(asked.body)["model"], asked.header("authorization"),
                          time.monotonic()))
        return step(peer) if callable(step) else peer.send(step)

    @property
    def models(self):
        return [model for model, _, _ in self.seen]

    @property
    def keys(self):
        return [key.removeprefix("Bearer ") for _, key, _ in self.seen]


def three(upstream, **more):
    """Model "m": targets a, then b of the next priority; provider up has two credentials and a third."""
    config = config_for(upstream.url, **more)
    config["providers"][0]["credential"] = [
        {"id": "one", "secret": "sk-one-00000000"},
        {"id": "two", "secret": "sk-two-00000000", "priority": 2}]
    config["models"] = [
        {"id": "solo", "targets": [{"provider": "oll-as-openai", "model": "s"}]},
        {"id": "m", "targets": [{"provider": "one-key", "model": "a"},
                                {"provider": "one-key", "model": "b", "priority": 2}]},
        {"id": "keys", "targets": [{"provider": "up", "model": "k"}]},
        {"id": "mixed", "targets": [{"provider": "ant", "model": "c"},
                                    {"provider": "one-key", "model": "b", "priority": 2}]}]
    for name in ["oll-as-openai", "one-key"]:
        config["providers"].append({"id": name, "dialect": "openai", "base_url": f"{upstream.url}/v1",
                                    "credential": "sk-only-00000000",
                                    "allow_private_address": True})
    return config


@pytest.fixture
def accord(start, upstream):
    return start(three(upstream))


def play(upstream, *steps):
    upstream.answer = script = Script(*steps)
    return script


def ask(accord, model, stream=False, headers=(), key=True, **more):
    return accord.call("POST", CHAT, json.dumps({"model": model, "stream": stream, **HELLO,
                                                 **more}).encode(), headers=headers, key=key)


# ---- another target ----

@pytest.mark.parametrize("status", [404, 408, 425, 500, 502, 503, 504, 529])
def test_a_target_that_fails_is_followed_by_another(accord, upstream, status):
    script = play(upstream, error(status), OK)
    answer = ask(accord, "m")
    assert answer.status == 200 and script.models == ["a", "b"]
    assert answer.header("accord-attempts") == "2"


@pytest.mark.parametrize("status, code", [
    (400, "invalid_request_error"), (400, "context_length_exceeded"), (400, "unsupported_parameter"),
    (400, "content_filter"), (413, "request_too_large"), (422, "invalid_request_error")])
def test_what_is_wrong_with_the_request_is_told_at_once(accord, upstream, status, code):
    script = play(upstream, error(status, code, "say it better"), OK)
    answer = ask(accord, "m")
    assert answer.status == status and script.models == ["a"]
    assert answer.json()["error"]["message"] == "say it better"
    assert answer.json()["error"]["code"] == code and answer.header("accord-attempts") == "1"


TOO_LONG = [("context_length_exceeded", "too many tokens"), ("invalid_request_error", "prompt is too long: 9 > 8"),
            ("BadRequestError", "This model's maximum context length is 8192 tokens.")]


@pytest.mark.parametrize("code, message", TOO_LONG)
def test_what_is_too_long_goes_to_who_is_known_to_read_more(start, upstream, code, message):
    """gpt-4 reads 8,192 tokens, gpt-4-turbo 128,000, gpt-4.1 a million; of "b" nothing is known."""
    config = three(upstream)
    config["models"] = [{"id": "wide", "targets": [
        {"provider": provider, "model": model, "priority": n} for n, (provider, model) in enumerate([
            ("one-key", "gpt-4-turbo"), ("one-key", "b"), ("one-key", "gpt-4"), ("one-key", "gpt-4.1")], 1)]}]
    accord = start(config)
    script = play(upstream, error(400, code, message), OK)
    answer = ask(accord, "wide")
    assert answer.status == 200 and script.models == ["gpt-4-turbo", "gpt-4.1"]
    # Nobody is to blame, and the first is asked first again; where the widest finds it too long, that is the answer.
    script = play(upstream, error(400, code, message))
    answer = ask(accord, "wide", stream=True)
    assert answer.status == 400 and script.models == ["gpt-4-turbo", "gpt-4.1"]
    assert answer.json()["error"]["message"] == message
    script = play(upstream, error(400, "invalid_request_error", "temperature is no number"))
    assert ask(accord, "wide").status == 400 and script.models == ["gpt-4-turbo"]


def test_what_is_too_long_across_dialects(start, upstream):
    config = three(upstream)
    config["models"] = [{"id": "wide", "targets": [
        {"provider": "ant", "model": "claude-3-haiku-20240307"},
        {"provider": "one-key", "model": "gpt-4.1", "priority": 2}]}]
    accord = start(config)
    refused = {"type": "error", "error": {"type": "invalid_request_error",
                                          "message": "prompt is too long: 210000 tokens > 200000 maximum"}}
    script = play(upstream, whole(json.dumps(refused).encode(), status=400), OK)
    assert ask(accord, "wide").status == 200 and script.models == ["claude-3-haiku-20240307", "gpt-4.1"]


@pytest.mark.parametrize("code", ["content_filter", "refusal"])
def test_what_a_vendor_will_not_say_is_its_answer(accord, upstream, code):
    refused = json.loads(answers.CHAT)
    refused["choices"][0].update(finish_reason="content_filter" if code == "content_filter" else "stop",
                                 message={"role": "assistant", "content": None, "refusal": "I will not."})
    script = play(upstream, whole(json.dumps(refused).encode()), OK)
    assert ask(accord, "m").json() == refused and script.models == ["a"]


def nowhere(upstream, how):
    """A base URL at which nobody is reached."""
    if how == "refused":
        with socket.create_server(("127.0.0.1", 0)) as gone:
            return f"http://127.0.0.1:{gone.getsockname()[1]}/v1"
    if how == "name":
        return "http://no-such-host.invalid/v1"
    return upstream.url.replace("http:", "https:") + "/v1"  # it speaks no TLS: the handshake never ends


@pytest.mark.parametrize("how", ["refused", "name", "tls"])
def test_nobody_is_reached(start, upstream, how):
    upstream.answer = lambda peer, request: peer.send(OK)
    config = three(upstream, timeouts={"connect_ms": 300})
    config["providers"].append({**config["providers"][-1], "id": "away", "base_url": nowhere(upstream, how)})
    config["models"] += [
        {"id": "alone", "targets": [{"provider": "away", "model": "x"}]},
        {"id": "both", "targets": [{"provider": "away", "model": "x"},
                                   {"provider": "one-key", "model": "b", "priority": 2}]}]
    accord = start(config)
    first, second = ask(accord, "both"), ask(accord, "both")
    assert (first.status, second.status) == (200, 200)
    # The host rests: the next call does not ask it.
    assert (first.header("accord-attempts"), second.header("accord-attempts")) == ("2", "1")
    alone = ask(start(config), "alone")
    assert alone.status in (502, 503) and alone.header("x-should-retry") == "false"
    assert alone.header("accord-attempts") == "3"


@pytest.mark.parametrize("how", ["takes no connection", "hangs up"])
def test_who_says_nothing_is_asked_again_at_once(start, upstream, how):
    """Nine providers, so that none is passed by for what it did before. Further repeats pause, for 25 ms in the mean: of nine
    five are as quick as this by chance in one of a hundred runs."""
    config = three(upstream)
    upstream.answer = lambda peer, request: peer.reset()
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind(("127.0.0.1", 0))
        away = f"http://127.0.0.1:{closed.getsockname()[1]}"
        url = f"{upstream.url if how == 'hangs up' else away}/v1"
        names = [f"gone-{n}" for n in range(9)]
        for name in names:
            config["providers"].append({"id": name, "dialect": "openai", "base_url": url, "allow_private_address": True,
                                        "credential": "sk-only-00000000"})
            config["models"].append({"id": name, "targets": [{"provider": name, "model": "x"}]})
        config["policies"] = [{"id": "two", "applies_to": {"org": True}, "retry": {"attempts": 2}}]
        accord = start(config)
        took = []
        for name in names:
            begun = time.monotonic()
            answer = ask(accord, name)
            took.append(time.monotonic() - begun)
            assert answer.status == 502 and answer.header("accord-attempts") == "2"
    assert sorted(took)[4] < 0.01, took


@pytest.mark.parametrize("breaks", ["reset", "close", "html", "empty", "no content", "not modified",
                                    "half"])
def test_an_answer_that_is_none_is_followed_by_another(accord, upstream, breaks):
    def broken(peer):
        if breaks == "half":
            peer.send(answers.head(headers=[("Content-Type", "application/json"),
                                            ("Content-Length", 100)], status=500) + b"{")
        elif breaks == "html":
            peer.send(whole(b"<html>log in</html>", content_type="text/html"))
        elif breaks == "empty":
            peer.send(whole(b""))
        elif breaks in ("no content", "not modified"):
            peer.send(answers.head(204 if breaks == "no content" else 304, "None"))
        elif breaks == "reset":
            peer.reset()
        return "close"

    script = play(upstream, broken, OK)
    assert ask(accord, "m").status == 200 and script.models == ["a", "b"]


def test_no_first_byte_in_time(start, upstream):
    accord = start(three(upstream, timeouts={"first_byte_ms": 200}))
    script = play(upstream, lambda peer: peer.wait_closed(), OK)
    assert ask(accord, "m").status == 200 and script.models == ["a", "b"]


def test_a_failover_crosses_dialects(accord, upstream):
    script = play(upstream, error(529), OK)
    answer = ask(accord, "mixed")
    assert answer.status == 200 and script.models == ["c", "b"]
    assert answer.json()["choices"][0]["message"]["content"]


def test_what_one_call_names_in_vain_says_nothing_of_the_model(accord, upstream):
    gone = {"error": {"message": "Previous response with id 'resp_x' not found.", "code": "previous_response_not_found",
                      "type": "invalid_request_error", "param": "previous_response_id"}}
    script = play(upstream, whole(json.dumps(gone).encode(), status=404), whole(answers.RESPONSE))
    body = {"model": "m", "input": "hi"}
    answer = accord.post("/v1/responses", {**body, "previous_response_id": "resp_x"})
    assert (answer.status, answer.json()) == (404, gone) and script.models == ["a"]
    assert accord.post("/v1/responses", body).status == 200 and script.models == ["a", "a"]


# ---- the same target ----

@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 529])
def test_the_only_target_is_asked_again(accord, upstream, status):
    script = play(upstream, error(status), error(status), OK)
    assert ask(accord, "solo").status == 200 and script.models == ["s"] * 3


@pytest.mark.parametrize("status", [408, 425, 500, 502, 503, 504, 529])
def test_after_three_attempts_the_error_is_told_and_no_sdk_multiplies_it(accord, upstream, status):
    script = play(upstream, error(status, "server_error", "down", [("x-should-retry", "true"),
                                                                   ("x-vendor", "kept")]))
    answer = ask(accord, "solo")
    assert answer.status == status and len(script.seen) == 3
    assert answer.json()["error"]["message"] == "down" and answer.header("x-vendor") == "kept"
    assert answer.header("x-should-retry") == "false"


@pytest.mark.parametrize("theirs, attempts", [("0", 3), ("1", 2), ("2", 1), ("7", 1)])
def test_attempts_of_the_sdk_count(accord, upstream, theirs, attempts):
    script = play(upstream, error(503))
    ask(accord, "solo", headers=[("x-stainless-retry-count", theirs)])
    assert len(script.seen) == attempts


def test_a_policy_says_how_often_and_how_long(start, upstream):
    accord = start(three(upstream, policies=[
        {"id": "often", "applies_to": {"model": "solo"}, "retry": {"attempts": 5}},
        {"id": "once", "applies_to": {"org": True}, "retry": {"attempts": 1}}]))
    script = play(upstream, error(503))
    ask(accord, "solo")
    assert len(script.seen) == 5
    script = play(upstream, error(503))
    ask(accord, "keys")
    assert len(script.seen) == 1


def test_a_deadline_holds_without_attempts_and_attempts_without_a_deadline(start, upstream):
    accord = start(three(upstream, policies=[
        {"id": "soon", "applies_to": {"model": "solo"}, "retry": {"deadline_ms": 1}},
        {"id": "late", "applies_to": {"org": True}, "retry": {"attempts": 5, "deadline_ms": 60000}},
        {"id": "soon-too", "applies_to": {"org": True}, "retry": {"deadline_ms": 50000}}]))
    slow = play(upstream, lambda peer: (time.sleep(0.05), peer.send(error(503))))
    ask(accord, "solo")
    assert len(slow.seen) == 1  # the model's own deadline
    script = play(upstream, error(503))
    ask(accord, "keys")
    assert len(script.seen) == 5  # the first policy's attempts, though the last says nothing of them


def test_retries_of_teams_and_applications_hold_for_their_keys(tmp_path, upstream):
    server = start_platform(tmp_path / "platform", config=three(upstream))
    try:
        api = Api(server.address)
        team = api.team()["id"]
        app = api.create("applications", name="A", team=team)["id"]
        key = api.create("keys", application=app)
        api.create("policies", id="team", applies_to={"team": team},
                   retry={"attempts": 1, "deadline_ms": 40000})
        response = api.post("/policies", {"id": "app", "applies_to": {"application": app},
                                          "retry": {"attempts": 5}}, headers={"Prefer": "wait=10"})
        assert response.status_code == 201, response.text
        told = api.post("/explain", {"key": key["id"], "model": "solo"}).json()
        assert (told["attempts"], told["deadline_ms"]) == (5, 40000)
        script = play(upstream, error(503))
        ask(server, "solo", headers=[("Authorization", f"Bearer {key['secret']}")], key=False)
        assert len(script.seen) == 5
        made = api.post("/services", {"id": "s", "name": "S", "team": team, "kind": "ai", "prefix": "/s",
                                      "models": ["solo"]})
        assert made.status_code == 201, made.text
        refused = api.post("/policies", {"applies_to": {"service": "s"}, "retry": {"attempts": 2}})
        assert refused.status_code == 422 and "retry of a service" in refused.text
    finally:
        server.stop()


def test_a_policy_holds_for_credentials_too(start, upstream):
    accord = start(three(upstream, policies=[
        {"id": "once", "applies_to": {"org": True}, "retry": {"attempts": 1}}]))
    script = play(upstream, error(401), OK)
    answer = ask(accord, "keys")
    assert answer.status == 502 and len(script.seen) == 1
    assert '"one"' in answer.json()["error"]["message"]  # and not the one that was never asked


# ---- 409 ----

def test_a_lock_is_waited_for(accord, upstream):
    script = play(upstream, error(409, headers=[("retry-after-ms", "150")]), OK)
    assert ask(accord, "m").status == 200 and script.models == ["a", "a"]
    assert script.seen[1][2] - script.seen[0][2] >= 0.15


def test_a_lock_is_no_fault_of_a_credential(accord, upstream):
    script = play(upstream, error(409, headers=[("retry-after-ms", "1")]), OK)
    for _ in range(2):
        assert ask(accord, "keys").status == 200
    assert script.keys == 3 * ["sk-one-00000000"]


def test_a_conflict_that_stays_costs_one_request(accord, upstream):
    script = play(upstream, error(409, "already_exists", "it is there"))
    answer = ask(accord, "m")
    assert answer.status == 409 and len(script.seen) == 1
    assert answer.json()["error"]["message"] == "it is there"


# ---- credentials ----

@pytest.mark.parametrize("status", [401, 402, 403])
def test_a_credential_that_is_refused_is_followed_by_another(accord, upstream, status):
    script = play(upstream, error(status), OK)
    assert ask(accord, "keys").status == 200
    assert script.keys == ["sk-one-00000000", "sk-two-00000000"]
    assert ask(accord, "keys").status == 200
    assert script.keys[2:] == ["sk-two-00000000"]  # the bad one is left alone


@pytest.mark.parametrize("status", [401, 402, 403])
def test_no_credential_left_is_our_fault_and_not_the_callers(accord, upstream, status):
    play(upstream, error(status, message="bad key sk-o***"))
    answer = ask(accord, "keys")
    assert answer.status == 502
    assert answer.json()["error"]["code"] == "upstream_credentials_exhausted"
    assert b"sk-o" not in answer.body and answer.header("x-should-retry") == "false"


def test_a_limit_is_evaded_by_another_credential_and_respected(accord, upstream):
    script = play(upstream, error(429, "rate_limit_exceeded", headers=[("retry-after", "30")]), OK)
    for _ in range(3):
        assert ask(accord, "keys").status == 200
    assert script.keys == ["sk-one-00000000"] + 3 * ["sk-two-00000000"]


@pytest.mark.parametrize("status, code", [(401, None), (402, None), (403, None), (429, "insufficient_quota")])
def test_another_credential_comes_ahead_of_another_target(start, upstream, status, code):
    config = three(upstream)
    config["models"].append({"id": "wide", "targets": [{"provider": "up", "model": "k"},
                                                       {"provider": "one-key", "model": "b", "priority": 2}]})
    accord = start(config)
    script = play(upstream, error(status, code), error(status, code), OK)
    for _ in range(2):
        assert ask(accord, "wide").status == 200
    assert script.keys == ["sk-one-00000000", "sk-two-00000000", "sk-only-00000000", "sk-only-00000000"]


@pytest.mark.parametrize("model", ["gemini-m", "own"])
def test_googles_way_to_say_when_a_limit_ends(start, upstream, model):
    """RetryInfo stands in the body; the caller is told in the header, as he reads it."""
    config = config_for(upstream.url)
    accord = start(config)
    body = {"error": {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "slowly", "details": [
        {"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "17.25s"}]}}
    upstream.answer = lambda peer, request: peer.send(whole(json.dumps(body).encode(), status=429))
    waits = []
    for _ in range(2):
        if model == "own":
            answer = accord.post("/v1beta/models/gemini-m:generateContent",
                                 {"contents": [{"role": "user", "parts": [{"text": "hi"}]}]})
        else:
            answer = ask(accord, model)
        assert answer.status == 429
        waits.append(int(answer.header("retry-after", "0")))
    assert waits[0] == 18 and 12 <= waits[1] <= 18 and len(upstream.requests) == 1


def test_a_limit_is_not_waited_for_beyond_the_deadline(start, upstream):
    accord = start(three(upstream, policies=[
        {"id": "p", "applies_to": {"org": True}, "retry": {"deadline_ms": 300}}]))
    script = play(upstream, error(429, "rate_limit_exceeded", headers=[("retry-after-ms", "900")]), OK)
    answer = ask(accord, "solo")
    assert answer.status == 429 and answer.header("retry-after-ms") == "900" and len(script.seen) == 1


def test_a_limit_that_nobody_can_evade_is_told_with_its_end(accord, upstream):
    script = play(upstream, error(429, "rate_limit_exceeded", headers=[("retry-after", "30")]))
    first = ask(accord, "solo")
    assert first.status == 429 and len(script.seen) == 1
    # Nothing was tried here, so the caller's SDK is not told to give up.
    assert first.header("x-should-retry") is None and first.header("retry-after") == "30"
    second = ask(accord, "solo")  # the vendor is not asked before it said
    assert second.status == 429 and len(script.seen) == 1
    assert 25 <= int(second.header("retry-after")) <= 30
    assert second.json()["error"]["code"] == "upstream_rate_limited"


def test_a_limit_of_a_model_that_nobody_listed_leaves_the_others_alone(accord, upstream):
    def answer(peer, request):
        limited = json.loads(request.body)["model"] == "busy"
        peer.send(error(429, "rate_limit_exceeded", headers=[("retry-after", "30")]) if limited else OK)

    upstream.answer = answer
    assert ask(accord, "one-key/busy").status == 429
    assert ask(accord, "one-key/busy").json()["error"]["code"] == "upstream_rate_limited"
    assert ask(accord, "one-key/idle").status == 200


def test_the_end_of_a_limit_may_be_a_date(accord, upstream):
    end = formatdate(time.time() + 100, usegmt=True)
    script = play(upstream, error(429, "rate_limit_exceeded", headers=[("retry-after", end)]))
    assert ask(accord, "solo").status == 429
    assert 90 <= int(ask(accord, "solo").header("retry-after")) <= 100 and len(script.seen) == 1


def test_a_short_limit_is_waited_for(accord, upstream):
    script = play(upstream, error(429, "rate_limit_exceeded", headers=[("retry-after-ms", "200")]), OK)
    assert ask(accord, "solo").status == 200
    assert script.seen[1][2] - script.seen[0][2] >= 0.2


def test_a_credential_without_money_rests_long(accord, upstream):
    script = play(upstream, error(429, "insufficient_quota"), OK)
    for _ in range(3):
        assert ask(accord, "keys").status == 200
    assert script.keys == ["sk-one-00000000"] + 3 * ["sk-two-00000000"]


def test_a_limit_of_one_model_behind_a_wildcard_is_not_that_of_the_others(accord, upstream):
    busy = error(429, "rate_limit_exceeded", headers=[("retry-after", "60")])
    upstream.answer = lambda peer, request: peer.send(busy if b'"busy"' in request.body else OK)
    assert ask(accord, "up/busy").status == 429
    assert ask(accord, "up/free").status == 200


def test_a_provider_without_a_credential_that_asks_for_one_is_told_so(start, upstream):
    config = config_for(upstream.url)
    del config["providers"][0]["credential"]
    accord = start(config)
    play(upstream, error(401))
    answer = ask(accord, "up/free")
    assert (answer.status, answer.json()["error"]["code"]) == (502, "upstream_credentials_exhausted")
    assert 'The provider "up" asks for a credential (401)' in answer.json()["error"]["message"]


# ---- errors that are longer than what is held ----

LONG = "x" * 300_000


@pytest.mark.parametrize("status", [401, 403])
def test_a_long_error_about_our_credential_is_not_shown(accord, upstream, status):
    play(upstream, error(status, "authentication_error", "sk-only-00000000 " + LONG))
    answer = ask(accord, "solo")
    assert (answer.status, answer.json()["error"]["code"]) == (502, "upstream_credentials_exhausted")


def test_a_long_error_is_followed_by_another_target(accord, upstream):
    script = play(upstream, error(500, "server_error", LONG), OK)
    assert ask(accord, "m").status == 200 and script.models == ["a", "b"]


def test_a_long_error_is_told_whole_in_the_end(accord, upstream):
    play(upstream, error(404, "not_found", LONG))
    answer = ask(accord, "solo")
    assert (answer.status, answer.json()["error"]["message"]) == (404, LONG)


# ---- breakers ----

def test_a_lane_that_fails_again_and_again_is_left_alone_and_comes_back(accord, upstream):
    broken = True

    def answer(peer, request):
        model = json.loads(request.body)["model"]
        seen.append(model)
        peer.send(error(500) if broken and model == "a" else OK)

    seen = []
    upstream.answer = answer
    for _ in range(8):
        assert ask(accord, "m").status == 200
    assert seen.count("a") == 5  # then its breaker is open
    broken = False
    time.sleep(1.1)
    seen.clear()
    for _ in range(4):
        assert ask(accord, "m").status == 200
    assert seen == ["a"] * 4  # one probe, and it is back


def test_a_lane_whose_streams_break_off_is_left_alone(accord, upstream):
    seen = []

    def answer(peer, request):
        model = json.loads(request.body)["model"]
        seen.append(model)
        peer.send(STREAM if model == "b" else answers.stream(CHAT_EVENTS[:2]))
        return None if model == "b" else "close"

    upstream.answer = answer
    for _ in range(8):
        with accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
            connection.read_head()
            connection.read_body_so_far()
    assert seen == ["a"] * 5 + ["b"] * 3


# ---- streams ----

EMPTY = answers.stream([CHAT_EVENTS[0]])
ERROR_FIRST = answers.stream([CHAT_EVENTS[0],
                              sse({"error": {"message": "overloaded", "code": "server_error"}})])


def stalls(peer):
    peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
    peer.wait_closed()


def breaks_off(peer):
    peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
    peer.wait_taken()
    peer.reset()


@pytest.mark.parametrize("bad", [EMPTY, ERROR_FIRST, breaks_off, stalls],
                         ids=["empty", "error", "cut", "stall"])
def test_a_stream_that_fails_before_there_is_content_fails_unseen(start, upstream, bad):
    accord = start(three(upstream, timeouts={"idle_ms": 300}))
    script = play(upstream, bad, STREAM)
    answer = ask(accord, "m", stream=True)
    assert script.models == ["a", "b"] and answer.status == 200
    assert answer.body == b"".join([*CHAT_EVENTS, DONE])


def message_stream(events):
    return answers.stream(events)


@pytest.mark.parametrize("bad", [
    [sse({"type": "error", "error": {"type": "overloaded_error", "message": "x"}}, "error")],
    [*message_events()[:2], sse({"type": "error", "error": {
        "type": "overloaded_error", "message": "x"}}, "error")],
    message_events()[:2]], ids=["error", "error after a start", "empty"])
def test_the_same_of_a_translated_stream(accord, upstream, bad):
    script = play(upstream, message_stream(bad), STREAM)
    answer = ask(accord, "mixed", stream=True)
    assert script.models == ["c", "b"] and answer.body.count(b'"role"') == 1
    assert answer.events()[-1][1] == "[DONE]"


def test_after_the_first_content_nothing_is_repeated(accord, upstream):
    script = play(upstream, answers.stream(CHAT_EVENTS[:2]), STREAM)
    with accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
        connection.read_head()
        body, clean = connection.read_body_so_far()
    assert script.models == ["a"] and not clean and b'"error"' in body


def test_an_error_ahead_of_all_content_has_a_status(accord, upstream):
    script = play(upstream, ERROR_FIRST)
    answer = ask(accord, "solo", stream=True)
    assert answer.status == 500 and answer.json()["error"]["message"] == "overloaded"
    assert len(script.seen) == 3


def test_the_start_of_a_stream_is_held_back_two_seconds_at_most(accord, upstream):
    def slow(peer):
        peer.send(answers.STREAM_HEAD + answers.chunk(CHAT_EVENTS[0]))
        time.sleep(2.6)
        peer.send(b"".join(map(answers.chunk, [*CHAT_EVENTS[1:], DONE])) + b"0\r\n\r\n")
    play(upstream, slow)
    with accord.open_stream(CHAT, {"model": "m", "stream": True, **HELLO}) as connection:
        begun = time.monotonic()
        connection.read_until(b"\n\n")
        assert 1.5 < time.monotonic() - begun < 2.5


# ---- bounds ----

def test_retries_are_a_share_of_the_traffic(accord, upstream):
    """500 tokens, 14 each: 35 retries at once, ten a second after that, whatever is asked."""
    script = play(upstream, error(500))
    begun = time.monotonic()
    for _ in range(100):
        ask(accord, "solo")
    took = time.monotonic() - begun
    assert len(script.seen) <= 100 + 2 * (36 + 10 * took) + 2  # two workers
    assert len(script.seen) >= 100


def test_ten_thousand_calls_at_an_upstream_that_always_fails(start, upstream):
    """CONFLICT.md M9: at most a fifth more attempts than calls, and the floor of ten retries a second and worker."""
    config = three(upstream)
    config["models"][0]["targets"] = [{"provider": "up", "model": "s"}]
    accord = start(config)
    script = play(upstream, error(500))
    body = json.dumps({"model": "solo", **HELLO}).encode()
    statuses, begun = Counter(), time.monotonic()

    def caller():
        with accord.connect() as connection:
            for _ in range(500):
                connection.send(request("POST", CHAT, [("Authorization", f"Bearer {KEY}")], body))
                statuses[connection.read_response().status] += 1

    callers = [threading.Thread(target=caller) for _ in range(20)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    took = time.monotonic() - begun
    assert statuses == {500: 10000}
    assert 10000 <= len(script.seen) <= 12000 + 2 * (36 + 10 * took)


@pytest.mark.parametrize("dialect", ["openai", "anthropic"])
def test_gateways_in_a_row_do_not_multiply_their_retries(start, upstream, dialect):
    """CONFLICT.md M12: each alone would make three attempts. The inner one says that it has tried."""
    inner = start(three(upstream))
    config = three(upstream)
    for provider in config["providers"]:
        if provider["id"] == "oll-as-openai":
            path = "/v1" if dialect == "openai" else ""
            provider.update(base_url=f"http://127.0.0.1:{inner.port}{path}", dialect=dialect, credential=KEY)
    config["models"][0]["targets"][0]["model"] = "solo"
    outer = start(config)
    script = play(upstream, error(500))
    answer = ask(outer, "solo")
    assert answer.status == 500 and answer.header("x-should-retry") == "false"
    assert len(script.seen) == 3


def test_an_upstream_that_wants_no_retry_is_not_asked_again_but_others_are(accord, upstream):
    script = play(upstream, error(503, headers=[("x-should-retry", "false")]))
    assert ask(accord, "solo").status == 503 and script.models == ["s"]
    script = play(upstream, error(503, headers=[("x-should-retry", "false")]), OK)
    assert ask(accord, "m").status == 200 and script.models == ["a", "b"]


def test_the_whole_is_bounded_by_the_deadline(start, upstream):
    accord = start(three(upstream, policies=[
        {"id": "p", "applies_to": {"org": True}, "retry": {"attempts": 10, "deadline_ms": 300}}]))
    script = play(upstream, lambda peer: (time.sleep(0.12), peer.send(error(500))))
    begun = time.monotonic()
    assert ask(accord, "solo").status == 500
    assert time.monotonic() - begun < 1 and len(script.seen) <= 3
