"""Conflicts as the official SDKs meet them (CONFLICT.md, N1 to N6). They repeat every 409 blindly, unless an answer says
whether that can help: what stays costs one request, what passes is asked for again when it may have passed."""

import json
import threading
import time

import pytest

from accord import KEY, config_for
from answers import CHAT, MESSAGE, whole
from platform_api import ADMIN_TOKEN, Api, name, start_platform
from tooling import require_python, run_node
from wire import request, wait_for

OK = {"openai": whole(CHAT), "anthropic": whole(MESSAGE)}
WAIT_S = 0.05
SOON = [("retry-after-ms", "50")]
# The model of the SDK's own dialect, and the one of the other's: there the answer is translated.
CLIENTS = [("openai", "m"), ("openai", "claude-m"), ("anthropic", "claude-m"), ("anthropic", "m")]


def conflict(model, code="already_exists", headers=()):
    error = {"message": "it is there", "type": code, "code": code}
    body = {"type": "error", "error": error} if model.startswith("claude") else {"error": error}
    return whole(json.dumps(body).encode(), status=409, headers=headers)


def good(model):
    return OK["anthropic" if model.startswith("claude") else "openai"]


class Asked:
    """An upstream that answers by a list, the last one for all that follow; when it was asked."""

    def __init__(self, upstream, *steps):
        self.at, self.steps = [], steps
        upstream.answer = self

    def __call__(self, peer, _):
        step = self.steps[min(len(self.at), len(self.steps) - 1)]
        self.at.append(time.monotonic())
        peer.send(step)


def python_call(address, sdk, model):
    """One call with the SDK's own retries; its error, if it ends with one."""
    module = require_python(sdk)
    messages = [{"role": "user", "content": "hi"}]
    try:
        if sdk == "openai":
            with module.OpenAI(base_url=f"{address}/v1", api_key=KEY) as client:
                client.chat.completions.create(model=model, messages=messages)
        else:
            with module.Anthropic(base_url=address, api_key=KEY) as client:
                client.messages.create(model=model, max_tokens=9, messages=messages)
    except module.APIStatusError as error:
        return error.status_code, str(error.message)
    return 200, ""


def javascript_call(address, sdk, model, succeeds):
    scenario = "chat" if succeeds else "error"
    said = run_node(f"{sdk}.mjs", scenario, address, KEY, models=[model])[scenario][model]
    return (200, "") if succeeds and "text" in said else (said.get("status"), said.get("message", str(said)))


def make_call(language, *which, succeeds=True):
    return python_call(*which) if language == "python" else javascript_call(*which, succeeds)


both = pytest.mark.parametrize("language", ["python", "javascript"])
all_clients = pytest.mark.parametrize("sdk, model", CLIENTS)
# N1 and N2 are of `openai`, N3 and N4 the same of `@anthropic-ai/sdk`.


@both
@all_clients
def test_N1_N3_a_permanent_conflict_costs_one_request(start, upstream, language, sdk, model):
    accord = start(config_for(upstream.url))
    asked = Asked(upstream, conflict(model))
    status, message = make_call(language, accord.address, sdk, model, succeeds=False)
    assert status == 409 and "it is there" in message
    assert len(asked.at) == 1 and len(accord.wait_access_log(1)) == 1


@both
@all_clients
def test_N2_N4_a_lock_is_waited_for_on_the_way(start, upstream, language, sdk, model):
    accord = start(config_for(upstream.url))
    asked = Asked(upstream, conflict(model, "lock", SOON), good(model))
    assert make_call(language, accord.address, sdk, model)[0] == 200
    assert len(asked.at) == 2 and asked.at[1] - asked.at[0] >= WAIT_S
    assert len(accord.wait_access_log(1)) == 1  # the SDK has seen nothing of it


@both
@all_clients
@pytest.mark.parametrize("fields", [SOON, [("x-should-retry", "true"), *SOON]], ids=["time", "word"])
def test_N2_N4_where_accord_does_not_wait_the_sdk_does(start, upstream, language, sdk, model, fields):
    accord = start(config_for(upstream.url, policies=[
        {"id": "once", "applies_to": {"org": True}, "retry": {"attempts": 1}}]))
    asked = Asked(upstream, conflict(model, "lock", fields), good(model))
    assert make_call(language, accord.address, sdk, model)[0] == 200
    assert len(asked.at) == 2 and asked.at[1] - asked.at[0] >= WAIT_S
    assert [line["status"] for line in accord.wait_access_log(2)] == [409, 200]


@both
def test_N2_a_conversation_that_is_full_is_asked_for_again(start, upstream, language):
    """A 409 of our own: more calls on one conversation than may wait."""
    accord = start(config_for(upstream.url))
    first = threading.Event()

    def slow(peer, asked):
        first.set()
        assert upstream.release.wait(60)
        peer.send(whole(json.dumps({"id": "resp_1", "object": "response", "created_at": 1, "status": "completed",
                                    "model": "upstream-m", "output": [], "parallel_tool_calls": True,
                                    "tool_choice": "auto", "tools": []}).encode()))

    upstream.answer = slow
    body = json.dumps({"model": "m", "input": "hi", "conversation": "conv_1"}).encode()
    waiting = [accord.connect() for _ in range(64)]
    for connection in waiting:
        connection.send(request("POST", "/v1/responses", [("Authorization", f"Bearer {KEY}")], body))
    assert first.wait(30)
    wait_for(lambda: accord.metric("accord_inflight") >= 64, what="a full line")
    said = []
    if language == "python":
        client = require_python("openai").OpenAI(base_url=f"{accord.address}/v1", api_key=KEY, max_retries=5)
        act = lambda: said.append(client.responses.create(  # noqa: E731
            model="m", input="hi", conversation="conv_1").id)
    else:
        act = lambda: said.append(run_node("openai.mjs", "conversation", accord.address, KEY)["id"])  # noqa: E731
    caller = threading.Thread(target=act)
    caller.start()
    wait_for(lambda: any(line["status"] == 409 for line in accord.access_log()), what="a refusal")
    upstream.release.set()
    caller.join(60)
    assert said == ["resp_1"]
    for connection in waiting:
        assert connection.read_response().status == 200
        connection.close()


@pytest.mark.parametrize("model, target", [
    ("m", "/v1/chat/completions"), ("claude-m", "/v1/chat/completions"),
    ("claude-m", "/v1/messages"), ("m", "/v1/messages")])
@pytest.mark.parametrize("field, told", [("retry-after", "3600"), ("retry-after", "61"), ("retry-after-ms", "3600000"),
                                         ("retry-after", "Fri, 31 Dec 2099 23:59:59 GMT")])
def test_N5_a_409_never_asks_for_more_than_a_minute(start, upstream, model, target, field, told):
    """Some versions of the SDKs sleep as long as they are told."""
    accord = start(config_for(upstream.url))
    asked = Asked(upstream, conflict(model, "lock", [(field, told)]))
    answer = accord.post(target, {"model": model, "max_tokens": 9, "messages": [{"role": "user", "content": "hi"}]})
    assert answer.status == 409 and len(asked.at) == 1
    assert answer.header("x-should-retry") == "true"
    assert len(answer.head.all("retry-after")) == len(answer.head.all("retry-after-ms")) == 1
    assert answer.header("retry-after") == "60" and answer.header("retry-after-ms") == "60000"


def test_N5_a_form_that_streams_too(start, upstream):
    """What cannot be repeated here is passed on at once, with the same advice."""
    accord = start(config_for(upstream.url))
    for fields, advice, after in (([("Retry-After", "3600")], "true", "60"), ([], "false", None)):
        Asked(upstream, conflict("m", "lock", fields))
        form = (b'--b\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--b\r\nContent-Disposition: form-data; '
                b'name="file"; filename="a.wav"\r\n\r\n' + b"x" * 200_000 + b"\r\n--b--\r\n")
        with accord.connect() as connection:
            connection.send(request("POST", "/v1/audio/transcriptions", [
                ("Authorization", f"Bearer {KEY}"), ("Content-Type", "multipart/form-data; boundary=b")], form))
            answer = connection.read_response()
        assert (answer.status, answer.head.all("x-should-retry"), answer.header("retry-after")) == (409, [advice], after)


# ---- the platform's own conflicts ----

@pytest.fixture
def platform(tmp_path):
    server = start_platform(tmp_path / "a")
    yield server
    server.stop()


def conflicts_of(api, resource):
    return [c for c in api.get("/conflicts").json()["items"] if c["resource_id"] == resource or resource in str(c)]


def create_by_python(platform, sdk, team, **options):
    module = require_python(sdk)
    if sdk == "openai":
        client = module.OpenAI(base_url=platform.address, api_key=ADMIN_TOKEN, **options)
    else:
        client = module.Anthropic(base_url=platform.address, auth_token=ADMIN_TOKEN, **options)
    with client, pytest.raises(module.ConflictError):
        client.post("/api/v1/teams", cast_to=object, body={"id": team, "name": team})


@both
@pytest.mark.parametrize("sdk", ["openai", "anthropic"])
def test_N1_N3_of_the_platform(platform, language, sdk):
    api = Api(platform.address)
    team = api.team()["id"]
    if language == "python":
        create_by_python(platform, sdk, team)
    else:
        said = run_node(f"{sdk}.mjs", "taken", platform.address, ADMIN_TOKEN, models=[team])["taken"][team]
        assert said["status"] == 409
    assert [(c["code"], c["retry_count"]) for c in conflicts_of(api, team)] == [("already_exists", 0)]


def test_N2_one_key_sixteen_sdks_one_team(platform):
    """Who comes while the first is at work gets a 409 that says when to ask again, and then its answer."""
    sdk = require_python("openai")
    team = name("team")
    said = []

    def create():
        with sdk.OpenAI(base_url=platform.address, api_key=ADMIN_TOKEN, max_retries=8) as client:
            said.append(client.post("/api/v1/teams", cast_to=object, body={"id": team, "name": team},
                                    options={"headers": {"Idempotency-Key": "sixteen"}}))

    threads = [threading.Thread(target=create) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert len(said) == 16 and all(one == said[0] for one in said) and said[0]["revision"] == 1


def test_N6_how_often_an_sdk_had_tried_is_in_the_record(platform):
    """The first connection breaks off ahead of the server: the SDK tries again, and says so."""
    import httpx

    class Flaky(httpx.HTTPTransport):
        tries = 0

        def handle_request(self, asked):
            Flaky.tries += 1
            if Flaky.tries <= 2:
                raise httpx.ConnectError("broken by the test", request=asked)
            return super().handle_request(asked)

    api = Api(platform.address)
    team = api.team()["id"]
    create_by_python(platform, "openai", team, http_client=httpx.Client(transport=Flaky()))
    found = conflicts_of(api, team)
    assert Flaky.tries == 3 and [c["retry_count"] for c in found] == [2]
    assert api.get(f"/conflicts/{found[0]['id']}").json()["retry_count"] == 2
