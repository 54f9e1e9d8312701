"""Which target takes a call: by latency, load, price and weight; what sticks; what conditions say; and where a dry run
says that a call would go."""

import collections
import json
import signal
import threading
import time
from urllib.parse import unquote

import pytest

import accord as accord_module
import answers
from accord import KEY, config_for
from answers import CHAT_EVENTS, DONE, whole
from platform_api import ADMIN_TOKEN, Api, is_problem, parallel
from platform_api import name as unique
from wire import request as make_request
from wire import wait_for

CHAT = "/v1/chat/completions"
OK = whole(answers.CHAT)
STREAM = answers.stream([*CHAT_EVENTS, DONE])
ADMIN = {"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN}


def config_with(upstream, *models, **more):
    config = config_for(upstream.url, **more)
    config["models"] = list(models)
    return config


def model(*targets, name="m", **more):
    """Targets "a", "b" ... at provider up, or as they are given."""
    return {"id": name, **more,
            "targets": [{"provider": "up", "model": t} if isinstance(t, str) else
                        {"provider": "up", **t} for t in targets]}


class Upstream:
    """Answers by the name of the model: at once, with what `says` has, or, where `gates` has one, when it opens."""

    def __init__(self, upstream):
        self.seen, self.gates, self.says = [], {}, {}
        self.lock = threading.Lock()
        upstream.answer = self

    def __call__(self, peer, request):
        name = json.loads(request.body)["model"]
        with self.lock:
            self.seen.append(name)
        if name in self.gates:
            assert self.gates[name].wait(60)
        says = self.says.get(name, OK)
        return says(peer) if callable(says) else peer.send(says)

    def counts(self):
        with self.lock:
            return collections.Counter(self.seen)


@pytest.fixture
def played(upstream):
    played = Upstream(upstream)
    yield played
    for gate in played.gates.values():
        gate.set()


def ask(accord, name="m", text="hi", headers=(), path=CHAT, **more):
    body = {"model": name, "messages": [{"role": "user", "content": text}], **more}
    answer = accord.call("POST", path, json.dumps(body).encode(), headers=headers)
    assert answer.status == 200, answer.body
    return answer


def target_of(answer):
    return answer.header("accord-target").partition("/")[2]


def hold(accord, played, name, count):
    """Calls that stay under way; their connections."""
    before = played.counts()[name]
    body = {"model": "m", "messages": [{"role": "user", "content": "hi"}]}
    held = [accord.open_stream(CHAT, body, headers=[("x-hold", name)]) for _ in range(count)]
    wait_for(lambda: played.counts()[name] == before + count, what="calls under way")
    return held


# ---- the answer says who it was ----

def test_answers_name_their_target_and_the_attempts(start, upstream, played):
    played.says["a"] = whole(b'{"error":{"message":"no"}}', status=500)
    accord = start(config_with(upstream, model("a", {"model": "b", "priority": 2})))
    answer = ask(accord)
    assert answer.header("accord-target") == "up/b" and answer.header("accord-attempts") == "2"
    assert ask(accord, stream=True).status == 200
    played.says["b"] = played.says["a"]
    body = json.dumps({"model": "m", "messages": []}).encode()
    failed = accord.call("POST", CHAT, body)
    assert failed.status == 500 and failed.header("accord-target") == "up/b"
    assert accord.call("POST", CHAT, b'{"model":"nope"}').header("accord-target") is None


def test_no_answer_at_all_names_who_was_asked(start, upstream, played):
    played.says["a"] = lambda peer: "close"
    accord = start(config_with(upstream, model("a")))
    answer = accord.call("POST", CHAT, b'{"model":"m","messages":[]}')
    assert answer.status == 502
    assert answer.header("accord-target") == "up/a" and int(answer.header("accord-attempts")) == 3


@pytest.mark.parametrize("name", ["x\r\nx-evil: 1", "x y", "x%41", "\u00e9\u4e16", "a\x00b", "x" * 250])
def test_a_models_name_makes_no_header(start, upstream, played, name):
    accord = start(config_with(upstream))
    answer = ask(accord, f"up/{name}")
    assert answer.header("x-evil") is None
    told = answer.header("accord-target")
    assert told.isascii() and told.isprintable() and " " not in told and told.startswith("up/")
    assert unquote(told) == f"up/{name}"


# ---- balance ----

SLOW_S = 1.5  # far more than a busy machine takes for an answer that comes at once


def wait_long():
    begun = time.monotonic()
    wait_for(lambda: time.monotonic() > begun + SLOW_S, what="time to pass")


def test_by_weight(start, upstream, played):
    accord = start(config_with(upstream, model({"model": "a", "weight": 3}, "b", {"model": "c", "weight": 0})))
    for _ in range(200):
        ask(accord)
    seen = played.counts()
    assert seen["c"] == 0 and 110 <= seen["a"] <= 185, seen


def test_the_one_that_answers_soonest(start, upstream, played):
    played.gates["slow"] = threading.Event()
    accord = start(config_with(upstream, model("slow", "fast", balance="least_latency")))
    asked = threading.Thread(target=lambda: [ask(accord), ask(accord)])
    asked.start()
    # Both are new: one call each. While the slow one has not answered, all others go to the fast one.
    wait_for(lambda: played.counts()["slow"] == 1, what="a call at the slow one")
    wait_for(lambda: played.counts()["fast"] or not ask(accord), what="a call at the fast one")
    for _ in range(20):
        ask(accord)
    assert played.counts()["slow"] == 1
    wait_long()
    # Once it has answered it is not asked again, for its answer took long.
    played.gates["slow"].set()
    asked.join(60)
    for _ in range(20):
        ask(accord)
    assert played.counts()["slow"] == 1, played.counts()


def test_a_stream_is_as_slow_as_its_first_content(start, upstream, played):
    gate = threading.Event()

    def late(peer):
        head, _, rest = STREAM.partition(b"\r\n\r\n")
        peer.send(head + b"\r\n\r\n")
        assert gate.wait(60)
        peer.send(rest)

    played.says.update(late=late, prompt=STREAM)
    accord = start(config_with(upstream, model("late", "prompt", balance="least_latency")))
    asked = threading.Thread(target=lambda: [ask(accord, stream=True) for _ in range(2)])
    asked.start()
    wait_for(lambda: played.counts()["late"] == 1, what="a call at the late one")
    wait_for(lambda: played.counts()["prompt"] or not ask(accord, stream=True), what="the other")
    wait_long()
    gate.set()
    asked.join(60)
    for _ in range(20):
        ask(accord, stream=True)
    assert played.counts()["late"] == 1, played.counts()


def test_one_that_fails_fast_is_not_the_fastest(start, upstream, played):
    played.says["bad"] = whole(b'{"error":{"message":"no"}}', status=500)
    accord = start(config_with(upstream, model("bad", "good", balance="least_latency")))
    for _ in range(30):
        ask(accord)
    assert played.counts()["bad"] <= 2, played.counts()


def test_the_one_with_the_fewest_calls_under_way(start, upstream, played):
    played.gates["a"] = played.gates["b"] = threading.Event()
    accord = start(config_with(upstream, model("a", {"model": "b", "weight": 3}, balance="least_busy")))
    results = []
    threads = [threading.Thread(target=lambda: results.append(target_of(ask(accord)))) for _ in range(16)]
    for n, thread in enumerate(threads):
        thread.start()
        wait_for(lambda n=n: sum(played.counts().values()) == n + 1, what="the call upstream")
    # By weight: one in four, whichever worker they came to.
    assert played.counts() == {"a": 4, "b": 12}
    played.gates["a"].set()
    for thread in threads:
        thread.join(60)
    assert collections.Counter(results) == {"a": 4, "b": 12}


def test_calls_that_are_left_or_fail_are_not_under_way(start, upstream, played):
    played.gates["a"] = threading.Event()
    accord = start(config_with(upstream, model("a", {"model": "b", "priority": 2}), ), env=ADMIN)
    api = Api(accord.address)

    def under_way():
        return {t["model"]: t["in_flight"] for t in api.get("/routing/state?provider=up").json()["targets"]}

    held = hold(accord, played, "a", 5)
    assert under_way()["a"] == 5
    for connection in held:
        connection.close()
    wait_for(lambda: under_way()["a"] == 0, what="the calls to end")
    played.says["a"] = whole(b'{"error":{"message":"no"}}', status=500)
    played.gates["a"].set()
    assert target_of(ask(accord)) == "b"
    state = {t["model"]: t for t in api.get("/routing/state").json()["targets"] if t["provider"] == "up"}
    assert (state["a"]["attempts"], state["a"]["failed"], state["a"]["in_flight"]) == (6, 1, 0)
    assert (state["b"]["attempts"], state["b"]["failed"]) == (1, 0)


def test_the_cheapest(start, upstream, played):
    def priced(name, *price, **more):
        return {"model": name, "price": {"input": price[0], "output": price[1]}, **more}

    accord = start(config_with(upstream, model(
        "unknown", priced("dear", 5, 15), priced("cheap", 1, 4), priced("same", 1, 4),
        balance="cheapest")))
    for _ in range(40):
        ask(accord)
    seen = played.counts()
    assert seen.keys() == {"cheap", "same"} and min(seen.values()) > 4, seen
    # What fails is followed by the next price, what is not known comes last.
    broken = whole(b'{"error":{"message":"no"}}', status=503)
    played.says.update(cheap=broken, same=broken)
    assert target_of(ask(accord)) == "dear"


def test_a_resting_target_is_passed_by(start, upstream, played):
    limited = whole(b'{"error":{"message":"slow down"}}', status=429, headers=[("Retry-After", "60")])
    played.says["a"] = limited
    accord = start(config_with(upstream, model({"model": "a", "price": 1}, {"model": "b", "price": 2},
                                               balance="cheapest")))
    for _ in range(10):
        assert target_of(ask(accord)) == "b"
    assert played.counts()["a"] == 1


def test_what_was_measured_survives_a_reload(start, upstream, played):
    config = config_with(upstream, model({"model": "a"}, "b", balance="least_latency"))
    accord = start(config, env=ADMIN)
    api = Api(accord.address)
    for _ in range(6):
        ask(accord)

    def counted():
        return {t["model"]: t["attempts"] for t in api.get("/routing/state?provider=up").json()["targets"]}

    before, generation = counted(), api.get("/status").json()["generation"]
    assert sum(before.values()) == 6
    config["models"].append(model("a", "c", name="other"))
    accord.write_config(config)
    accord.signal(signal.SIGHUP)
    wait_for(lambda: api.get("/status").json()["generation"] > generation, what="the reload")
    assert {**before, "c": 0} == counted()
    ask(accord, "other")
    assert sum(counted().values()) == 7


@pytest.mark.race
def test_many_at_once_are_all_counted(start, upstream, played):
    accord = start(config_with(upstream, model("a", "b", "c", balance="least_latency"),
                               model("a", "b", name="busy", balance="least_busy")), env=ADMIN)
    parallel(16, lambda i: [ask(accord, "busy" if i % 2 else "m", text=f"{i} {n}")
                            for n in range(20)])
    api = Api(accord.address)

    def targets():
        return [t for t in api.get("/routing/state?provider=up").json()["targets"] if t["model"] in ("a", "b", "c")]

    wait_for(lambda: sum(t["in_flight"] for t in targets()) == 0, what="all calls to have ended")
    assert sum(t["attempts"] for t in targets()) == 320 and sum(t["failed"] for t in targets()) == 0


# ---- what sticks ----

EIGHT = [f"t{i}" for i in range(8)]


def spread(accord, many, **more):
    """For each of many ways to ask, where three calls of it went: one target."""
    found = {}
    for n in range(many):
        asked = {key: value(n) if callable(value) else value for key, value in more.items()}
        where = {target_of(ask(accord, **asked)) for _ in range(3)}
        assert len(where) == 1, (n, where)
        found[n] = where.pop()
    return found


STICKY = [
    ("session", {"headers": lambda n: [("x-session-id", f"s{n}")]}),
    ("session", {"headers": lambda n: [("X-Claude-Code-Session-Id", f"s{n}")]}),
    ("session", {"metadata": lambda n: {"session_id": f"s{n}"}}),
    ("session", {"metadata": lambda n: {"user_id": f"s{n}"}}),
    ("session", {"user": lambda n: f"u{n}"}),
    ("cache_key", {"prompt_cache_key": lambda n: f"k{n}"}),
    ("prefix", {"text": lambda n: f"tell me about {n}"}),
]


@pytest.mark.parametrize("sticky, asked", STICKY, ids=[f"{s}-{next(iter(a))}-{i}" for i, (s, a) in enumerate(STICKY)])
def test_calls_that_belong_together_go_to_one_target(start, upstream, played, sticky, asked):
    accord = start(config_with(upstream, model(*EIGHT, sticky=sticky)))
    assert len(set(spread(accord, 24, **asked).values())) >= 5


def test_a_key_sticks(start, upstream, played):
    config = config_with(upstream, model(*EIGHT, sticky="key"))
    config["keys"] = [{"id": f"k{i}", "secret": f"sk-accord-sticky-key-{i:04}", "models": ["*"]} for i in range(16)]
    accord = start(config)
    found = set()
    for key in config["keys"]:
        accord.key = key["secret"]
        where = {target_of(ask(accord)) for _ in range(3)}
        assert len(where) == 1
        found |= where
    assert len(found) >= 4


def test_only_a_lost_targets_share_moves_and_comes_back(start, upstream, played):
    accord = start(config_with(upstream, model(*EIGHT, sticky="session")))
    asked = {"headers": lambda n: [("x-session-id", f"s{n}")]}
    before = spread(accord, 40, **asked)
    lost = before[0]
    played.says[lost] = whole(b'{"error":{"message":"slow"}}', status=429, headers=[("Retry-After", "2")])
    then = spread(accord, 40, **asked)
    assert all(then[n] == before[n] for n in before if before[n] != lost)
    moved = [then[n] for n in before if before[n] == lost]
    assert lost not in moved
    del played.says[lost]
    wait_for(lambda: target_of(ask(accord, headers=[("x-session-id", "s0")])) == lost, what="its rest to end")
    assert spread(accord, 40, **asked) == before


def test_the_same_in_every_process_and_after_a_reload(start, upstream, played):
    config = config_with(upstream, model(*EIGHT, sticky="session"))
    asked = {"headers": lambda n: [("x-session-id", f"s{n}")]}
    one = spread(start(config), 20, **asked)
    config["models"][0]["targets"].reverse()
    assert spread(start(config), 20, **asked) == one


def test_of_several_the_first_that_a_call_has(start, upstream, played):
    accord = start(config_with(upstream, model(*EIGHT, sticky=["session", "cache_key"])))
    session = [("x-session-id", "one")]
    at = target_of(ask(accord, headers=session))
    assert {target_of(ask(accord, headers=session, prompt_cache_key=f"k{n}")) for n in range(8)} == {at}
    assert len({target_of(ask(accord, prompt_cache_key=f"k{n}")) for n in range(16)}) > 3
    # Without either it is balanced.
    assert len({target_of(ask(accord)) for _ in range(40)}) > 3


CACHE = {"cache_control": {"type": "ephemeral"}}
TURNS = {
    "openai": (CHAT, lambda n, turn: {"messages": [
        {"role": "system", "content": f"be {n}"}, {"role": "user", "content": f"first of {n}"},
        *[m for t in range(turn) for m in ({"role": "assistant", "content": f"a{t}"},
                                           {"role": "user", "content": f"q{t}"})]]}),
    "anthropic": ("/v1/messages", lambda n, turn: {"max_tokens": 9, "system": [{"type": "text", "text": f"be {n}", **CACHE}],
                                                   "messages": [
        {"role": "user", "content": f"first of {n}" if turn else [{"type": "text", "text": f"first of {n}", **CACHE}]},
        *[m for t in range(turn) for m in ({"role": "assistant", "content": f"a{t}"},
                                           {"role": "user", "content": [{"type": "text", "text": f"q{t}", **CACHE}]})]]}),
    "responses": ("/v1/responses", lambda n, turn: {"instructions": f"be {n}", "input": [
        {"role": "user", "content": [{"type": "input_text", "text": f"first of {n}"}]},
        *[{"role": "user", "content": f"q{t}"} for t in range(turn)]]}),
}


@pytest.mark.parametrize("dialect", TURNS)
def test_a_conversation_stays_where_it_began(start, upstream, dialect):
    path, body = TURNS[dialect]
    answer = {CHAT: answers.CHAT, "/v1/messages": answers.MESSAGE, "/v1/responses": answers.RESPONSE}[path]
    upstream.answer = lambda peer, request: peer.send(whole(answer))
    provider = "ant" if dialect == "anthropic" else "up"
    accord = start(config_with(upstream, model(*[{"provider": provider, "model": t} for t in EIGHT], sticky="prefix")))
    places = set()
    for n in range(16):
        where = set()
        for turn in range(4):
            got = accord.post(path, {"model": "m", **body(n, turn)})
            assert got.status == 200, got.body
            where.add(target_of(got))
        assert len(where) == 1, (n, where)
        places |= where
    assert len(places) >= 4


def test_credentials_stick_as_well(start, upstream):
    seen = collections.defaultdict(set)

    def answer(peer, request):
        seen[json.loads(request.body)["user"]].add(request.header("authorization"))
        peer.send(OK)

    upstream.answer = answer
    config = config_with(upstream, model("a", sticky="session"))
    config["providers"][0]["credential"] = [{"id": f"c{i}", "secret": f"sk-credential-{i:08}"} for i in range(6)]
    accord = start(config)
    for n in range(16):
        for _ in range(3):
            ask(accord, user=f"u{n}")
    assert all(len(keys) == 1 for keys in seen.values())
    assert len(set.union(*seen.values())) >= 3


# ---- conditions ----

def conditional(upstream, start, when, **more):
    return start(config_with(upstream, model({"model": "special", "when": when},
                                             {"model": "usual", "priority": 2}, aliases=["m-long", "other"], **more)))


CONDITIONS = [
    ({"header": "x-tier"}, {"headers": [("X-Tier", "any")]}, {}),
    ({"header": "x-tier", "is": "gold"}, {"headers": [("X-Tier", "gold")]}, {"headers": [("X-Tier", "golden")]}),
    ({"header": "x-tier", "is": ["silver", "gold*"]}, {"headers": [("x-tier", "golden")]},
     {"headers": [("x-tier", "bronze")]}),
    ({"metadata": "plan", "is": "pro"}, {"metadata": {"plan": "pro"}}, {"metadata": {"plan": "free"}}),
    ({"metadata": "plan"}, {"metadata": {"plan": ""}}, {"metadata": {"other": "pro"}}),
    ({"metadata": "n", "is": ["7", "true"]}, {"metadata": {"n": 7}}, {"metadata": {"n": None}}),
    ({"metadata": "plan", "is": "\u00e9*"}, {"metadata": {"plan": "\u00e9l\u00e8ve"}}, {"metadata": "\u00e9"}),
    ({"model": "m-*"}, {"name": "m-long"}, {"name": "other"}),
    ({"model": ["x", "other"]}, {"name": "other"}, {"name": "m"}),
    ({"min_tokens": 500}, {"text": "word " * 1000}, {"text": "word"}),
    ({"max_tokens": 500}, {"text": "word"}, {"text": "word " * 1000}),
    ({"min_tokens": 200, "max_tokens": 2000}, {"text": "word " * 800}, {"text": "word " * 8000}),
    ([{"header": "x-tier", "is": "gold"}, {"max_tokens": 500}], {"headers": [("x-tier", "gold")]},
     {"headers": [("x-tier", "gold")], "text": "word " * 1000}),
]


@pytest.mark.parametrize("when, fits, does_not", CONDITIONS, ids=[json.dumps(c[0]) for c in CONDITIONS])
def test_a_target_takes_only_what_its_conditions_say(start, upstream, played, when, fits, does_not):
    accord = conditional(upstream, start, when)
    assert target_of(ask(accord, **fits)) == "special"
    assert target_of(ask(accord, **does_not)) == "usual"


def test_images_do_not_weigh_what_their_base64_does(start, upstream, played):
    accord = conditional(upstream, start, {"min_tokens": 5000})
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64," + "iVBORw0KGgo" * 20000}}
    assert target_of(ask(accord, text=[picture])) == "usual"


def test_no_target_fits(start, upstream, played):
    accord = start(config_with(upstream, model({"model": "a", "when": {"header": "x-tier", "is": "gold"}})))
    answer = accord.post(CHAT, {"model": "m", "messages": []})
    assert answer.status == 400 and answer.json()["error"]["code"] == "no_target_fits"
    assert "accord explain" in answer.json()["error"]["message"]
    assert answer.header("x-should-retry") == "false" and not played.seen
    assert target_of(ask(accord, headers=[("x-tier", "gold")])) == "a"


def test_a_condition_holds_for_what_follows_a_failure_too(start, upstream, played):
    played.says["a"] = whole(b'{"error":{"message":"no"}}', status=500)
    accord = start(config_with(upstream, model("a", {"model": "b", "priority": 2, "when": {"header": "x-b"}},
                                               {"model": "c", "priority": 3})))
    assert target_of(ask(accord)) == "c"
    assert target_of(ask(accord, headers=[("x-b", "1")])) == "b"


@pytest.mark.parametrize("body", [
    '{"model":"m","metadata":{"plan":"pro"},"metadata":{"plan":"free"},"messages":[]}',
    '{"model":"m","met\\u0061data":{"plan":"pro"},"messages":[]}',
])
def test_what_two_readers_could_see_differently_is_refused(start, upstream, played, body):
    accord = conditional(upstream, start, {"metadata": "plan", "is": "pro"})
    answer = accord.call("POST", CHAT, body.encode())
    assert answer.status == 400 and answer.json()["error"]["code"] == "ambiguous_member"
    assert not played.seen


def test_conditions_and_stickiness_of_a_form(start, upstream):
    def answer(peer, request):
        peer.send(whole(b'{"text":"hi"}'))

    upstream.answer = answer
    accord = start(config_with(upstream, model({"model": "a", "when": {"header": "x-tier"}},
                                               {"model": "b", "priority": 2}, sticky=["session", "prefix"])))
    form = (b"--x\r\nContent-Disposition: form-data; name=\"model\"\r\n\r\nm\r\n"
            b"--x\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f\"\r\n\r\n" + b"z" * 300000 + b"\r\n--x--\r\n")
    for headers, target in ([], "b"), ([("x-tier", "1")], "a"):
        with accord.connect() as connection:
            connection.send(make_request("POST", "/v1/audio/transcriptions", [
                ("Authorization", f"Bearer {KEY}"), ("Content-Type", "multipart/form-data; boundary=x"), *headers], form))
            got = connection.read_response("POST")
        assert got.status == 200 and target_of(got) == target


# ---- what a configuration may say ----

@pytest.mark.parametrize("change, says", [
    ({"balance": "fastest"}, 'models[0].balance: "fastest" is not one of weighted, least_latency'),
    ({"sticky": ["session", "cookie"]}, 'models[0].sticky[1]: "cookie" is not allowed; allowed: key, session'),
    ({"when": {"header": "a b"}}, 'models[0].targets[0].when.header: "a b" is not allowed'),
    ({"when": {"header": "a", "model": "b"}}, "exactly one is needed of {header: NAME}"),
    ({"when": [{"is": "x"}]}, "models[0].targets[0].when[0]: exactly one is needed"),
    ({"when": {"model": "a", "is": "b"}}, "is belongs to header or metadata"),
    ({"when": {"min_tokens": 9, "max_tokens": 3}}, "max_tokens: 3 is below min_tokens; allowed: 9 or more"),
    ({"when": {"min_tokens": -1}}, "min_tokens"),
    ({"when": "gold"}, "a list of mappings, or one"),
])
def test_what_is_wrong_in_a_configuration_is_told(tmp_path, change, says):
    target = {"provider": "sim", "model": "echo", **{k: v for k, v in change.items() if k == "when"}}
    config = {"models": [{"id": "m", "targets": [target], **{k: v for k, v in change.items() if k != "when"}}]}
    (tmp_path / "a.yaml").write_text(json.dumps(config), encoding="utf-8")
    result = accord_module.run(["check", "-c", "a.yaml"], tmp_path)
    assert result.returncode == 3 and says in result.stderr + result.stdout, result.stderr


def test_the_platform_takes_the_same_fields(start, upstream, played):
    accord = start(config_for(upstream.url), env=ADMIN)
    api = Api(accord.address)
    created = api.create("models", id="routed", balance="least_busy", sticky=["session"],
                         targets=[{"provider": "up", "model": "p", "when": [{"header": "x-tier", "is": ["gold"]}]},
                                  {"provider": "up", "model": "q", "priority": 2}])
    assert created["balance"] == "least_busy" and created["targets"][0]["when"][0]["header"] == "x-tier"
    wait_for(lambda: accord.post(CHAT, {"model": "routed", "messages": []}).status == 200, what="the model")
    assert target_of(ask(accord, "routed")) == "q"
    assert target_of(ask(accord, "routed", headers=[("x-tier", "gold")])) == "p"
    is_problem(api.patch("/models/routed", {"balance": "no"}, match=api.etag("/models/routed")), 422)


# ---- the dry run ----

def explained(api, **question):
    response = api.post("/explain", question)
    assert response.status_code == 200, response.text
    return response.json()


def orders(explanation):
    return [t["model"] for t in explanation["targets"] if "order" in t]


def passed_by(explanation):
    return {t["model"]: t["passed_by"] for t in explanation["targets"] if "passed_by" in t}


def test_a_dry_run_says_where_a_call_goes_and_sends_nothing(start, upstream, played):
    config = config_with(upstream, model({"model": "a", "when": {"header": "x-tier", "is": "gold"}},
                                         {"model": "b", "priority": 2}, {"model": "c", "priority": 3}, aliases=["al"]))
    config["policies"] = [
        {"id": "few", "applies_to": {"key": "dev"}, "limits": [{"what": "requests", "at_most": 2, "per": "hour"}]},
        {"id": "tries", "applies_to": {"model": "m"}, "retry": {"attempts": 2, "deadline_ms": 5000}},
        {"id": "all", "applies_to": {"org": True}, "budgets": [{"usd": 5, "per": "day", "unpriced": "pass"}]},
        {"id": "else", "applies_to": {"key": "other"}, "limits": [{"what": "requests", "at_most": 1, "per": "hour"}]}]
    config["keys"].append({"id": "other", "secret": "sk-accord-other-0000000001", "models": ["only-*"]})
    accord = start(config, env=ADMIN)
    api = Api(accord.address)
    for _ in range(5):
        told = explained(api, model="al", key="dev", body={"messages": [{"role": "user", "content": "hi"}]})
    assert told["outcome"] == "routed" and told["model"] == "m" and told["asked"] == "al"
    assert orders(told) == ["b", "c"] and passed_by(told) == {"a": "condition"}
    assert told["targets"][2]["conditions"] == ["header x-tier is gold"]
    assert {p["id"] for p in told["policies"]} == {"few", "tries", "all"}
    assert told["attempts"] == 2 and told["deadline_ms"] == 5000
    limits = {(limit["policy"], limit["what"]): limit for limit in told["limits"]}
    assert limits["few", "requests"]["taken"] == 0 and limits["all", "usd"]["at_most"] == 5
    assert orders(explained(api, model="m", headers={"X-Tier": "gold"})) == ["a", "b", "c"]
    # As it is said, so it goes.
    assert target_of(ask(accord)) == "b" and target_of(ask(accord, headers=[("x-tier", "gold")])) == "a"
    assert played.counts() == {"a": 1, "b": 1}
    told = explained(api, model="m", key="dev")
    few = next(limit for limit in told["limits"] if limit["policy"] == "few")
    assert few["taken"] == 2 and few["refuses"]
    assert told["outcome"] == "refused" and told["error"]["policy"] == "few" and orders(told) == ["b", "c"]
    told = explained(api, model="m", key="other")
    assert told["outcome"] == "refused" and told["error"]["code"] == "model_not_allowed"
    assert len(accord.wait_access_log(2)) == 2 and accord.metric("accord_requests_total") == 2


@pytest.mark.parametrize("policy, body, status, code", [
    ({"limits": [{"what": "requests", "at_most": 1, "per": "hour"}]}, {}, 429, "rate_limit_exceeded"),
    ({"limits": [{"what": "tokens", "at_most": 500, "per": "minute"}]}, {"max_tokens": 490}, 429, "rate_limit_exceeded"),
    ({"limits": [{"what": "tokens", "at_most": 500, "per": "minute"}]}, {"max_tokens": 5000}, 429, "rate_limit_exceeded"),
    ({"budgets": [{"tokens": 500, "per": "day"}]}, {"max_tokens": 490}, 402, "budget_exceeded"),
    ({"budgets": [{"requests": 1, "per": "month"}]}, {}, 402, "budget_exceeded"),
    ({"budgets": [{"usd": 5, "per": "day"}]}, {}, 402, "price_unknown"),
])
def test_a_dry_run_says_which_limit_refuses_as_the_call_hears_it(start, upstream, played, policy, body, status, code):
    config = config_with(upstream, model("a"))
    config["policies"] = [{"id": "wide", "applies_to": {"org": True},
                           "limits": [{"what": "requests", "at_most": 1000, "per": "hour"}]},
                          {"id": "tight", "applies_to": {"key": "dev"}, **policy}]
    accord = start(config, env=ADMIN)
    api = Api(accord.address)
    words = {"messages": [{"role": "user", "content": "hi"}]}
    if code != "price_unknown":
        small = {"model": "m", "key": "dev", "body": {**words, "max_tokens": 20}}
        assert all(explained(api, **small)["outcome"] == "routed" for _ in range(3))  # nothing is charged
        assert accord.post(CHAT, {"model": "m", **words, "max_tokens": 20}).status == 200
    for _ in range(2):
        told = explained(api, model="m", key="dev", body={**words, **body})
        error = told["error"]
        assert (told["outcome"], error["status"], error["code"], error["policy"]) == \
            ("refused", status, code, "tight")
        assert [limit["policy"] for limit in told["limits"] if limit.get("refuses")] == ["tight"]
        assert orders(told) == ["a"]
    assert sum(value for name, value in accord.metrics().items() if "refused" in name) == 0
    heard = accord.post(CHAT, {"model": "m", **words, **body})
    assert (heard.status, heard.json()["error"]["code"]) == (status, code)
    assert heard.header("x-should-retry") == str(error["should_retry"]).lower()
    waits = heard.header("retry-after-ms")
    assert (waits is None) == ("retry_after_ms" not in error)
    if waits:  # told to each caller with a spread of a sixteenth
        assert abs(int(waits) - error["retry_after_ms"]) < int(waits) / 8 + 2000


def test_a_dry_run_says_that_too_many_calls_are_under_way(start, upstream, played):
    config = config_with(upstream, model("a"))
    config["policies"] = [{"id": "two", "applies_to": {"model": "m"}, "limits": [{"what": "concurrency", "at_most": 1}]}]
    accord = start(config, env=ADMIN)
    api = Api(accord.address)
    go = threading.Event()
    usual = upstream.answer
    upstream.answer = lambda peer, request: (go.wait(20), usual(peer, request))
    waiting = threading.Thread(target=ask, args=(accord,))
    waiting.start()
    wait_for(lambda: upstream.requests, what="the call to be under way")
    told = explained(api, model="m", key="dev")
    assert (told["error"]["status"], told["error"]["code"]) == (429, "concurrency_limit")
    assert 1000 <= told["error"]["retry_after_ms"] <= 2000
    go.set()
    waiting.join()
    wait_for(lambda: explained(api, model="m", key="dev")["outcome"] == "routed", what="room")


def test_a_dry_run_says_what_rests_and_until_when(start, upstream, played):
    accord = start(config_with(upstream, model("a", {"model": "b", "priority": 2}, {"model": "c", "priority": 3})),
                   env=ADMIN)
    api = Api(accord.address)
    played.says["a"] = whole(b'{"error":{"message":"slow"}}', status=429, headers=[("Retry-After", "100")])
    played.says["b"] = whole(b'{"error":{"message":"gone"}}', status=404)
    assert target_of(ask(accord)) == "c"
    told = explained(api, model="m")
    assert orders(told) == ["c"]
    assert passed_by(told) == {"a": "credentials_rest", "b": "model_rests"}
    by_name = {t["model"]: t for t in told["targets"]}
    assert 90000 < by_name["a"]["rests_ms"] <= 100000 and by_name["a"]["told"] is True
    assert by_name["b"]["rests_until"].endswith("Z") and by_name["b"]["told"] is False
    state = {t["model"]: t for t in api.get("/routing/state?provider=up").json()["targets"]}
    assert state["b"]["state"] == "resting" and state["c"]["state"] == "closed"
    assert state["a"]["credentials"][0]["state"] == "resting" and state["a"]["credentials"][0]["told"]
    # When all is at its limit, the dry run is refused as a call is.
    played.says["c"] = played.says["b"] = played.says["a"]
    only = start(config_with(upstream, model("a")), env=ADMIN)
    assert only.post(CHAT, {"model": "m", "messages": []}).status == 429
    told = explained(Api(only.address), model="m")
    assert told["outcome"] == "refused" and told["error"]["status"] == 429
    assert told["error"]["code"] == only.post(CHAT, {"model": "m", "messages": []}).json()["error"]["code"]


def test_a_breaker_is_seen_to_open_and_its_probe_is_not_taken(start, upstream, played):
    played.says["a"] = whole(b'{"error":{"message":"no"}}', status=500)
    accord = start(config_with(upstream, model("a", {"model": "b", "priority": 2})), env=ADMIN)
    api = Api(accord.address)

    def state():
        return next(t for t in api.get("/routing/state?provider=up&model=a").json()["targets"])["state"]

    for _ in range(5):
        assert target_of(ask(accord)) == "b"
    seen = explained(api, model="m")
    assert state() in ("open", "half_open") and (orders(seen) == ["b"] or seen["targets"][0]["probe"])
    wait_for(lambda: state() == "half_open", what="the breaker to be half open")
    for _ in range(3):  # asking takes no probe away
        told = explained(api, model="m")
        assert orders(told) == ["a", "b"] and told["targets"][0]["probe"] is True
    del played.says["a"]
    assert target_of(ask(accord)) == "a"
    wait_for(lambda: state() == "closed", what="the breaker to close")


def test_a_dry_run_of_what_sticks_agrees_with_calls(start, upstream, played):
    accord = start(config_with(upstream, model(*EIGHT, sticky=["session", "prefix"])), env=ADMIN)
    api = Api(accord.address)
    for n in range(10):
        told = explained(api, model="m", headers={"x-session-id": f"s{n}"})
        assert told["sticks_by"] == "session" and len(orders(told)) == 8
        assert target_of(ask(accord, headers=[("x-session-id", f"s{n}")])) == orders(told)[0]
    told = explained(api, body={"model": "m", "messages": [{"role": "user", "content": "of the prefix"}]})
    assert told["sticks_by"] == "prefix"
    assert target_of(ask(accord, text="of the prefix")) == orders(told)[0]


@pytest.mark.parametrize("dialect, route", [
    ("openai", "openai.chat"), ("anthropic", "anthropic.messages"), ("gemini", "gemini.generate"),
    ("ollama", "ollama.chat"), ("cohere", "cohere.chat"), ("bedrock", "bedrock.converse")])
def test_a_dry_run_in_each_dialect(start, upstream, dialect, route):
    accord = start(config_for(upstream.url), env=ADMIN)
    told = explained(Api(accord.address), dialect=dialect, model="m")
    assert told["outcome"] == "routed" and told["route"] == route
    assert told["targets"][0]["translated"] == (dialect != "openai")


def test_what_no_target_can_take(start, upstream):
    accord = start(config_for(upstream.url), env=ADMIN)
    told = explained(Api(accord.address), path="/v1/images/generations", model="claude-m")
    assert told["outcome"] == "refused" and told["error"]["code"] == "dialect_not_translated"
    assert passed_by(told) == {"upstream-c": "dialect_not_translated"}


@pytest.mark.parametrize("question, code", [
    ({"model": "nope"}, "model_not_found"),
    ({}, "missing_model"),
    ({"path": "/v1/nothing", "model": "m"}, "not_found"),
    ({"path": "/v1/models", "model": "m"}, "not_found"),
    ({"body": {"model": 7}}, "invalid_model"),
    ({"dialect": "gemini", "model": "a/../../b"}, None),
    ({"dialect": "gemini", "model": "a\r\nb"}, None),
    ({"path": "/v1/audio/transcriptions", "model": "m"}, None),
    ({"path": "/v1/chat/completions?key=x", "model": "m"}, None),
    ({"model": "m", "headers": {"content-length": "7", "Host": "x", "Transfer-Encoding": "chunked",
                                "connection": "upgrade"}}, None),
    ({"model": "m", "headers": {"content-encoding": "gzip"}}, "unsupported_encoding"),
])
def test_odd_questions_get_an_answer(start, upstream, question, code):
    accord = start(config_for(upstream.url), env=ADMIN)
    told = explained(Api(accord.address), **question)
    assert (told["outcome"] == "refused") == ("error" in told)
    if code:
        assert told["error"]["code"] == code
    assert not upstream.requests


@pytest.mark.parametrize("body, status, says", [
    (b"{", 400, "not JSON"), (b"[]", 422, "object"), (b'{"modle":"m"}', 422, "modle: unknown field"),
    (b'{"model":7}', 422, "model: must be a text"), (b'{"path":"no"}', 422, "path: must be a path"),
    (b'{"path":"/v1/x y"}', 422, "path"), (b'{"path":"/v1/x\\r\\ny"}', 422, "path"),
    (b'{"path":"/v1/messages","dialect":"openai"}', 422, "leave one of them out"),
    (b'{"dialect":"latin"}', 422, 'dialect: "latin" is not allowed; allowed: openai'),
    (b'{"headers":[]}', 422, "headers"), (b'{"headers":{"a":1}}', 422, "headers"),
    (b'{"headers":{"a b":"1"}}', 422, '"a b" is no header'), (b'{"headers":{"a":"x\\r\\ny: z"}}', 422, "headers"),
    (b'{"body":"x"}', 422, "body: must be an object"), (b'{"key":"nobody","model":"m"}', 422, 'no key "nobody"'),
])
def test_what_is_no_question_is_refused(api, body, status, says):
    response = api.send("POST", "/explain", body)
    assert says in is_problem(response, status)["detail"]


def test_no_secret_is_told(start, upstream, played):
    accord = start(config_with(upstream, model("a"), policies=[]), env=ADMIN)
    api = Api(accord.address)
    ask(accord)
    told = api.post("/explain", {"model": "m", "key": "dev", "headers": {"authorization": f"Bearer {KEY}"}}).text
    told += api.get("/routing/state").text
    assert KEY not in told and accord_module.PROVIDER_SECRET not in told and "sk-" not in told


def test_who_may_ask(api):
    def token(role, **more):
        made = api.create("tokens", name="t", role=role, scopes=["*"], **more)
        return Api(api.address, made["secret"])

    mine, other = api.team(), api.team()
    keys = []
    for team in mine, other:
        application = api.create("applications", id=unique("app"), name="A", team=team["id"])
        keys.append(api.create("keys", id=unique("key"), application=application["id"], models=["*"]))
    wait_for(lambda: api.post("/explain", {"model": "sim/echo", "key": keys[1]["id"]}).status_code == 200,
             what="the key")
    developer, viewer = token("developer", team=mine["id"]), token("viewer")
    assert developer.post("/explain", {"model": "sim/echo", "key": keys[0]["id"]}).json()["outcome"] == "routed"
    is_problem(developer.post("/explain", {"model": "sim/echo"}), 403)
    is_problem(developer.post("/explain", {"model": "sim/echo", "key": keys[1]["id"]}), 422)
    is_problem(developer.get("/routing/state"), 403)
    is_problem(viewer.post("/explain", {"model": "sim/echo"}), 403)
    assert viewer.get("/routing/state").status_code == 200
    is_problem(Api(api.address, None).post("/explain", {"model": "m"}), 401)
    is_problem(Api(api.address, None).get("/routing/state"), 401)


def test_the_state_is_of_what_was_asked_for(start, upstream):
    accord = start(config_for(upstream.url), env=ADMIN)
    api = Api(accord.address)
    state = api.get("/routing/state?provider=ant").json()
    assert [p["id"] for p in state["providers"]] == ["ant"] and {t["provider"] for t in state["targets"]} == {"ant"}
    assert [t["target"] for t in api.get("/routing/state?model=upstream-m").json()["targets"]] == ["up/upstream-m"]
    few = api.get("/routing/state?limit=2").json()
    assert len(few["targets"]) == 2 and few["more"] is True
    assert api.get("/routing/state").json()["more"] is False
    is_problem(api.get("/routing/state?limit=0"), 400)
    is_problem(api.get("/routing/state?modle=x"), 400)


def test_the_commands(start, upstream, played, tmp_path):
    config = config_with(upstream, model({"model": "a", "when": {"header": "x-tier"}},
                                         {"model": "b", "priority": 2}))
    config["policies"] = [{"id": "few", "applies_to": {"key": "dev"},
                           "limits": [{"what": "requests", "at_most": 9, "per": "hour"}]}]
    accord = start(config, env=ADMIN)
    env = {"ACCORD_ADDRESS": accord.address, "ACCORD_TOKEN": ADMIN_TOKEN}
    told = accord_module.run(["explain", "m", "--key", "dev"], tmp_path, env)
    assert told.returncode == 0 and "1\tup/b\t" in told.stdout and "condition (header x-tier)" in told.stdout
    assert "limit\tfew\trequests\thour\ttaken 0 of 9\n" in told.stdout
    (tmp_path / "body.yaml").write_text("messages: [{role: user, content: hi}]\n", encoding="utf-8")
    told = accord_module.run(["explain", "m", "x-tier=1", "-f", "body.yaml", "--json"], tmp_path, env)
    assert orders(json.loads(told.stdout)) == ["a", "b"]
    told = accord_module.run(["explain", "none"], tmp_path, env)
    assert told.returncode == 0 and "refused\t404 model_not_found" in told.stdout
    assert accord_module.run(["explain"], tmp_path, env).returncode == 2
    assert accord_module.run(["explain", "m", "no-value"], tmp_path, env).returncode == 2
    assert accord_module.run(["explain", "m", "--dialect", "latin"], tmp_path, env).returncode != 0
    ask(accord)
    accord.wait_access_log(1)
    state = accord_module.run(["routing", "--provider", "up"], tmp_path, env)
    assert state.returncode == 0 and "up/b\tclosed\t0\t1\t0\t0\t" in state.stdout, state.stdout
    state = accord_module.run(["routing", "--json"], tmp_path, env)
    assert json.loads(state.stdout)["more"] is False
    env["ACCORD_TOKEN"] = "at-wrong-token-000000000000"
    assert accord_module.run(["routing"], tmp_path, env).returncode == 5
