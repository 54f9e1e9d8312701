"""Responses over upstreams that keep none: kept by the store, scoped to their key, for a time."""

import contextlib
import json
import signal
import sqlite3
import subprocess
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

import answers
from accord import KEY, Accord, config_for
from hostile import Hostile
from tooling import require_python
from wire import wait_for

OTHER_KEY = "sk-accord-live-tests-another-caller-0002"
TEXT = answers.COMPLETION_TEXT
TOOL = {"type": "function", "name": "f", "parameters": {"type": "object", "properties": {}},
        "strict": False}
TOOL_USE = answers.dump({
    "id": "msg_1", "type": "message", "role": "assistant", "model": "upstream-c",
    "content": [{"type": "tool_use", "id": "toolu_1", "name": "f", "input": {}}],
    "stop_reason": "tool_use", "stop_sequence": None,
    "usage": {"input_tokens": 7, "output_tokens": 3}})


def config_of(upstream, **more):
    keys = [{"id": "dev", "secret": KEY, "models": ["*"]},
            {"id": "other", "secret": OTHER_KEY, "models": ["*"]}]
    return config_for(upstream.url, keys=keys, **more)


class Bench:
    """A server on one of the databases, its upstream, and SDK clients of two keys."""

    def __init__(self, directory, database, cluster):
        self.database, self.cluster = database, cluster
        self.env = {"ACCORD_DATABASE_URL": cluster.url} if cluster else {}
        self.directory = directory
        self.upstream = Hostile()
        self.server = None
        self.start()

    def start(self):
        self.server = Accord(self.directory, config_of(self.upstream), env=self.env)
        sdk = require_python("openai")
        self.client, self.other = (
            sdk.OpenAI(base_url=f"{self.server.address}/v1", api_key=key, max_retries=0)
            for key in (KEY, OTHER_KEY))

    def sql(self, text):
        if self.cluster:
            return self.cluster.ask(text.replace("kept_response", "accord.kept_response"))
        with contextlib.closing(sqlite3.connect(self.directory / "data" / "state.db")) as state:
            rows = state.execute(text).fetchall()
            state.commit()
        return "\n".join("|".join(map(str, row)) for row in rows)

    def asked(self):
        """The messages that the upstream was sent last."""
        return json.loads(self.upstream.last.body)["messages"]

    def stop(self):
        self.client.close()
        self.other.close()
        self.server.stop()
        self.upstream.stop()
        assert not self.upstream.errors


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def place(request, tmp_path_factory):
    cluster = None
    if request.param == "postgresql":
        cluster = request.getfixturevalue("postgres")
        cluster.fresh()
    made = Bench(tmp_path_factory.mktemp(request.param), request.param, cluster)
    yield made
    made.stop()


@pytest.fixture
def bench(place):
    place.upstream.answer = answers.usual
    return place


def create(client, stream=False, **options):
    options = {"model": "claude-m", "input": "hello", **options}
    if not stream:
        return client.responses.create(**options)
    with client.responses.stream(**options) as events:
        return events.get_final_response()


def texts(messages):
    return [(m["role"], m["content"] if isinstance(m["content"], str)
             else "".join(part.get("text", "") for part in m["content"])) for m in messages]


def raises(status, call):
    sdk = require_python("openai")
    with pytest.raises(sdk.APIStatusError) as caught:
        call()
    assert caught.value.status_code == status, caught.value
    return caught.value


# ---- chains ----

@pytest.mark.parametrize("stream", [False, True])
def test_a_chain_of_calls(bench, stream):
    first = create(bench.client, stream, input="one")
    assert (first.output_text, first.store, first.previous_response_id) == (TEXT, True, None)
    second = create(bench.client, stream, previous_response_id=first.id, input=[
        {"role": "user", "content": [{"type": "input_text", "text": "two"}]}])
    assert texts(bench.asked()) == [("user", "one"), ("assistant", TEXT), ("user", "two")]
    assert second.previous_response_id == first.id
    third = create(bench.client, stream, previous_response_id=second.id, input="three")
    assert texts(bench.asked()) == [("user", "one"), ("assistant", TEXT), ("user", "two"),
                                    ("assistant", TEXT), ("user", "three")]
    assert b"previous_response_id" not in bench.upstream.last.body
    branch = create(bench.client, stream, previous_response_id=first.id, input="other way",
                    instructions="be brief")
    assert texts(bench.asked()) == [("user", "one"), ("assistant", TEXT), ("user", "other way")]
    assert len({first.id, second.id, third.id, branch.id}) == 4


def test_it_goes_on_at_another_upstream(bench):
    first = create(bench.client, input="one")
    create(bench.client, model="gemini-m", previous_response_id=first.id, input="two")
    contents = json.loads(bench.upstream.last.body)["contents"]
    assert [(c["role"], c["parts"][0]["text"]) for c in contents] == [
        ("user", "one"), ("model", TEXT), ("user", "two")]


@pytest.mark.parametrize("stream", [False, True])
def test_a_tool_loop_by_the_previous_response(bench, stream):
    bench.upstream.answer = lambda peer, _: peer.send(answers.whole(TOOL_USE))
    first = create(bench.client, tools=[TOOL])
    call = next(item for item in first.output if item.type == "function_call")
    bench.upstream.answer = answers.usual
    create(bench.client, stream, previous_response_id=first.id, tools=[TOOL], input=[
        {"type": "function_call_output", "call_id": call.call_id, "output": "done"}])
    user, assistant, result = bench.asked()
    assert texts([user]) == [("user", "hello")]
    assert assistant["content"][0]["type"] == "tool_use"
    assert result["content"][0]["tool_use_id"] == assistant["content"][0]["id"]


def test_a_tool_loop_by_references_to_items(bench):
    """As the Vercel SDK does it: items of earlier answers are only named."""
    bench.upstream.answer = lambda peer, _: peer.send(answers.whole(TOOL_USE))
    first = create(bench.client, tools=[TOOL])
    call = next(item for item in first.output if item.type == "function_call")
    bench.upstream.answer = answers.usual
    items = [{"role": "user", "content": "hello"}, {"type": "item_reference", "id": call.id},
             {"type": "function_call_output", "call_id": call.call_id, "output": "done"}]
    second = create(bench.client, tools=[TOOL], input=items)
    assert [m["role"] for m in bench.asked()] == ["user", "assistant", "user"]
    assert bench.asked()[1]["content"][0]["name"] == "f"
    third = create(bench.client, previous_response_id=second.id, input=[
        {"type": "item_reference", "id": second.output[0].id}, {"role": "user", "content": "x"}])
    assert [m["role"] for m in bench.asked()][:3] == ["user", "assistant", "user"]
    assert third.status == "completed"
    before = len(bench.upstream.requests)
    for bad in (call.id[:-1] + "9", "msg_1", "fc_" + "0" * 26 + "0", call.id + "/x", "é" * 40):
        error = raises(404, lambda: create(bench.client, input=[  # noqa: B023
            {"type": "item_reference", "id": bad}]))  # noqa: B023
        assert error.param == "input" and bad in error.message
    raises(404, lambda: create(bench.other, input=[{"type": "item_reference", "id": call.id}]))
    assert len(bench.upstream.requests) == before


def test_previous_without_input_and_odd_layouts(bench):
    first = create(bench.client, input="one")
    for body in (
            '{"model":"claude-m","previous_response_id":"%s"}',
            '  { "previous_response_id" : "%s" , "input" : [ \n ] , "model" : "claude-m" }',
            '{"input":null,"model":"claude-m","previous_response_id":"%s","store":false}'):
        answer = bench.server.post("/v1/responses", (body % first.id).encode())
        assert answer.status == 200, answer.body
        assert texts(bench.asked()) == [("user", "one"), ("assistant", TEXT)]
        assert answer.json()["previous_response_id"] == first.id


# ---- what is not there ----

def test_an_unknown_response_in_openais_words(bench):
    before = len(bench.upstream.requests)
    for name in ("resp_nothing", "x" * 300, "a\0b", "é"):
        error = raises(400, lambda: create(  # noqa: B023
            bench.client, previous_response_id=name))  # noqa: B023
        assert (error.code, error.param) == ("previous_response_not_found", "previous_response_id")
        assert error.body["type"] == "invalid_request_error"
    error = raises(400, lambda: create(bench.client, previous_response_id="resp_nothing"))
    assert error.body["message"] == "Previous response with id 'resp_nothing' not found."
    answer = bench.server.post("/v1/responses", {"model": "claude-m", "input": "x",
                                                 "previous_response_id": 5})
    assert answer.status == 400
    answer = bench.server.post("/v1/responses", b'{"model":"claude-m","input":"x","input":"y"}')
    assert answer.json()["error"]["code"] == "ambiguous_member"
    assert len(bench.upstream.requests) == before


def test_store_false_keeps_nothing(bench):
    for stream in (False, True):
        answer = create(bench.client, stream, store=False)
        assert answer.store is False
        raises(404, lambda: bench.client.responses.retrieve(answer.id))  # noqa: B023
        raises(400, lambda: create(bench.client, previous_response_id=answer.id))  # noqa: B023


def test_each_key_has_its_own(bench):
    answer = create(bench.client)
    error = raises(404, lambda: bench.other.responses.retrieve(answer.id))
    assert error.body["type"] == "invalid_request_error" and answer.id in error.body["message"]
    raises(404, lambda: bench.other.responses.delete(answer.id))
    raises(404, lambda: bench.other.responses.cancel(answer.id))
    raises(404, lambda: bench.other.responses.input_items.list(answer.id))
    raises(400, lambda: create(bench.other, previous_response_id=answer.id))
    assert bench.client.responses.retrieve(answer.id).id == answer.id
    assert bench.server.get(f"/v1/responses/{answer.id}", key=False).status == 401


def test_an_upstream_that_keeps_its_own_is_passed_on(bench):
    body = {"model": "m", "input": "x", "previous_response_id": "resp_of_theirs"}
    assert bench.server.post("/v1/responses", body).status == 200
    assert json.loads(bench.upstream.last.body)["previous_response_id"] == "resp_of_theirs"
    assert bench.sql("SELECT count(*) FROM kept_response WHERE id = 'resp_1'") == "0"


# ---- asked for again ----

@pytest.mark.parametrize("stream", [False, True])
def test_retrieve_and_delete(bench, stream):
    made = create(bench.client, stream, metadata={"a": "b"}, tools=[TOOL])
    found = bench.client.responses.retrieve(made.id)
    drop = {"parsed", "parsed_arguments"}
    strip = lambda r: json.loads(json.dumps(r.to_dict()), object_hook=lambda o: {  # noqa: E731
        k: v for k, v in o.items() if k not in drop})
    assert strip(found) == strip(made)
    assert (found.output_text, found.metadata, found.usage.total_tokens) == (TEXT, {"a": "b"}, 10)
    error = raises(400, lambda: list(bench.client.responses.retrieve(made.id, stream=True)))
    assert error.param == "stream"
    raises(400, lambda: bench.client.responses.cancel(made.id))
    raw = bench.server.call("DELETE", f"/v1/responses/{made.id}")
    assert raw.json() == {"id": made.id, "object": "response", "deleted": True}
    raises(404, lambda: bench.client.responses.retrieve(made.id))
    raises(404, lambda: bench.client.responses.cancel(made.id))
    raises(404, lambda: bench.client.responses.delete(made.id))
    raises(400, lambda: create(bench.client, previous_response_id=made.id))


def test_a_deleted_one_leaves_those_that_followed(bench):
    first = create(bench.client, input="one")
    second = create(bench.client, previous_response_id=first.id, input="two")
    bench.client.responses.delete(first.id)
    create(bench.client, previous_response_id=second.id, input="three")
    assert [t for _, t in texts(bench.asked())] == ["one", TEXT, "two", TEXT, "three"]


def test_input_items(bench):
    first = create(bench.client, input="one")
    made = create(bench.client, previous_response_id=first.id, input=[
        {"role": "user", "content": "a"},
        {"type": "message", "role": "assistant", "content": "b"},
        {"role": "user", "content": [{"type": "input_text", "text": "c"}]},
        {"role": "user", "id": "msg_mine", "content": "d"}])
    items = bench.client.responses.input_items
    listed = list(items.list(made.id, order="asc"))
    assert [(i.type, i.role, i.content[0].type, i.content[0].text) for i in listed] == [
        ("message", "user", "input_text", "a"), ("message", "assistant", "output_text", "b"),
        ("message", "user", "input_text", "c"), ("message", "user", "input_text", "d")]
    assert len({i.id for i in listed}) == 4 and listed[3].id == "msg_mine"
    assert [i.id for i in items.list(made.id)] == [i.id for i in reversed(listed)]
    page = items.list(made.id, limit=3, order="asc")
    assert (len(page.data), page.has_more) == (3, True)
    assert (page.first_id, page.last_id) == (listed[0].id, listed[2].id)
    assert [i.id for i in page] == [i.id for i in listed]  # the SDK follows `after`
    assert [i.content[0].text for i in items.list(first.id)] == ["one"]
    for query in ("limit=0", "limit=101", "limit=x", "order=up", "after=msg_nobody", "after=%zz"):
        answer = bench.server.get(f"/v1/responses/{made.id}/input_items?{query}")
        assert answer.status == 400, query
    raises(404, lambda: items.list("resp_nothing"))
    empty = create(bench.client, previous_response_id=first.id, input=[])
    raw = bench.server.get(f"/v1/responses/{empty.id}/input_items").json()
    assert raw == {"object": "list", "data": [], "first_id": None, "last_id": None,
                   "has_more": False}


def test_odd_paths(bench):
    for method, path, status in (
            ("GET", "/v1/responses/" + "x" * 300, 404), ("GET", "/v1/responses/a%00b", 404),
            ("GET", "/v1/responses/%zz", 404), ("GET", "/v1/responses/a/b", 404),
            ("DELETE", "/v1/responses/a/input_items", 404), ("GET", "/v1/responses/%FF", 404),
            ("POST", "/v1/responses/compact", 501), ("POST", "/v1/responses/a/cancel", 404),
            ("HEAD", "/v1/responses/a", 404), ("PUT", "/v1/responses/a", 405)):
        assert bench.server.call(method, path).status == status, (method, path)


# ---- lifetime ----

def test_what_has_expired_is_gone(bench):
    made = create(bench.client)
    left = bench.sql(f"SELECT expires_us - created_us FROM kept_response WHERE id = '{made.id}'")
    assert left == str(30 * 24 * 3600 * 1000000)
    bench.sql(f"UPDATE kept_response SET expires_us = 1 WHERE id = '{made.id}'")
    raises(404, lambda: bench.client.responses.retrieve(made.id))
    raises(404, lambda: bench.client.responses.delete(made.id))
    raises(400, lambda: create(bench.client, previous_response_id=made.id))


def test_nothing_is_lost_by_kill_9_and_the_expired_are_taken_away(bench):
    stream = create(bench.client, True, input="one")
    bench.server.may_fail = True
    bench.server.process.send_signal(signal.SIGKILL)
    bench.server.process.wait()
    bench.server.stop()
    old = [create_row(bench, n) for n in range(45)]  # more than one step takes
    bench.start()
    assert bench.client.responses.retrieve(stream.id).output_text == TEXT
    create(bench.client, previous_response_id=stream.id, input="two")
    assert texts(bench.asked()) == [("user", "one"), ("assistant", TEXT), ("user", "two")]
    wait_for(lambda: bench.sql("SELECT count(*) FROM kept_response WHERE expires_us < 10") == "0",
             timeout=15)
    assert old and bench.client.responses.retrieve(stream.id).id == stream.id


def create_row(bench, n):
    bench.sql("INSERT INTO kept_response (id, owner, created_us, expires_us, items, input, "
              f"response) VALUES ('resp_old{n}', 'dev', 1, 2, '[]', '[]', '{{}}')")
    return n


def test_keeping_can_be_turned_off(start, upstream):
    server = start(config_of(upstream, responses={"keep_days": 0}))
    answer = server.post("/v1/responses", {"model": "claude-m", "input": "x"})
    assert answer.status == 200 and answer.json()["store"] is False
    assert server.get(f"/v1/responses/{answer.json()['id']}").status == 404
    for body in ({"input": "x", "previous_response_id": "resp_1"},
                 {"input": [{"type": "item_reference", "id": "msg_1"}]}):
        before = len(upstream.requests)
        assert server.post("/v1/responses", {"model": "claude-m", **body}).status in (400, 404)
        assert len(upstream.requests) == before


# ---- what goes wrong ----

def post(server, **body):
    return server.post("/v1/responses", {"model": "claude-m", "input": "x", **body})


def test_a_long_conversation_is_answered_and_not_kept(start, upstream):
    server = start(config_of(upstream))
    answer = post(server, input="x" * (5 << 20))
    assert answer.status == 200
    assert server.get(f"/v1/responses/{answer.json()['id']}").status == 404
    assert server.metrics()['accord_responses_not_kept_total{reason="size"}'] == 1
    almost = post(server, input="x" * ((4 << 20) - 5000))
    assert server.get(f"/v1/responses/{almost.json()['id']}").status == 200
    longer = post(server, input="y" * 10000, previous_response_id=almost.json()["id"])
    assert longer.status == 200
    assert len(upstream.last.body) > 4 << 20
    assert server.get(f"/v1/responses/{longer.json()['id']}").status == 404


def test_a_full_disk_fails_no_call(small_disk, tmp_path, upstream):
    server = Accord(tmp_path / "a", config_of(upstream), arguments=["--data", small_disk / "data"])
    try:
        first = post(server).json()["id"]
        for n in range(40):
            stream = bool(n % 2)
            answer = post(server, input="x" * 100000, stream=stream)
            assert answer.status == 200
            assert not stream or b"response.completed" in answer.body
        assert server.metrics()['accord_responses_not_kept_total{reason="store"}'] > 0
        assert server.get(f"/v1/responses/{first}").status == 200  # reading goes on
        assert post(server, previous_response_id=first, store=False).status == 200
        subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
        again = post(server).json()["id"]
        assert server.get(f"/v1/responses/{again}").status == 200
    finally:
        server.stop()


def test_a_database_that_is_away_fails_no_call(postgres, tmp_path, upstream):
    postgres.fresh()
    server = Accord(tmp_path / "a", config_of(upstream), env={"ACCORD_DATABASE_URL": postgres.url})
    try:
        kept = post(server).json()["id"]
        postgres.stop("immediate")
        try:
            began = time.monotonic()
            for stream in (False, True, False, True):
                assert post(server, stream=stream).status == 200
            assert time.monotonic() - began < 12
            answer = post(server, previous_response_id=kept)
            assert answer.status == 503 and answer.json()["error"]["code"] == "store_unavailable"
            assert server.get(f"/v1/responses/{kept}").status == 503
        finally:
            postgres.start()
        wait_for(lambda: server.get(f"/v1/responses/{kept}").status == 200, timeout=15)
        wait_for(lambda: post(server, previous_response_id=kept).status == 200, timeout=15)
    finally:
        server.stop()


def is_kept(bench):
    return bench.server.get(f"/v1/responses/{create(bench.client).id}").status == 200


@contextlib.contextmanager
def locked(bench):
    """Nobody writes, and in PostgreSQL nobody reads."""
    if bench.cluster:
        hold = subprocess.Popen(
            bench.cluster.command("psql", "-h", "127.0.0.1", "-p", bench.cluster.port, "-U",
                                  "accord", "-q", "accord"),
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd="/")
        hold.stdin.write("BEGIN; LOCK TABLE accord.kept_response;\n\\echo held\n")
        hold.stdin.flush()
        assert hold.stdout.readline() == "held\n"
        yield
        hold.stdin.write("ROLLBACK;\n")
        hold.communicate(timeout=10)
    else:
        state = sqlite3.connect(bench.directory / "data" / "state.db", isolation_level=None)
        state.execute("BEGIN IMMEDIATE")
        yield
        state.execute("ROLLBACK")
        state.close()


def test_a_store_that_hangs_holds_an_answer_for_a_moment_only(bench):
    with locked(bench):
        began = time.monotonic()
        assert create(bench.client, True).output_text == TEXT
        held = time.monotonic() - began
        assert create(bench.client).output_text == TEXT
        assert held < 6
        began = time.monotonic()
        assert create(bench.client).output_text == TEXT  # the others do not wait any more
        assert time.monotonic() - began < 1.5
    wait_for(lambda: is_kept(bench), what="the store to be waited for again")


def test_a_client_that_leaves_while_its_answer_is_kept(bench):
    create(bench.client)
    time.sleep(0.1)
    with locked(bench):
        gone = [bench.server.open_stream("/v1/responses", {"model": "claude-m", "input": "x",
                                                           "stream": True}) for _ in range(6)]
        bench.upstream.wait_requests(1)
        for connection in gone:
            connection.close()
    wait_for(lambda: is_kept(bench), what="the store to be waited for again")


def test_many_at_once(bench):
    first = create(bench.client, input="one")

    def chain(n):
        a = create(bench.client, bool(n % 2), previous_response_id=first.id, input=f"a{n}")
        b = create(bench.client, bool(n % 3), previous_response_id=a.id, input=f"b{n}")
        found = [i.content[0].text for i in bench.client.responses.input_items.list(b.id)]
        return found == [f"b{n}"] and bench.client.responses.retrieve(b.id).id == b.id

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(chain, range(40)))


def test_a_server_that_stops_while_answers_are_kept(tmp_path, upstream):
    server = Accord(tmp_path / "a", config_of(upstream, timeouts={"drain_ms": 300}))
    state = sqlite3.connect(tmp_path / "a" / "data" / "state.db", isolation_level=None)
    state.execute("BEGIN IMMEDIATE")
    done = []
    threads = [threading.Thread(target=lambda s=s: done.append(post(server, stream=s)))
               for s in (False, True)]
    for thread in threads:
        thread.start()
    upstream.wait_requests(2)
    server.signal(signal.SIGTERM)
    for thread in threads:
        thread.join(10)
    state.execute("ROLLBACK")
    state.close()
    server.stop()
    assert [answer.status for answer in done] == [200, 200]
