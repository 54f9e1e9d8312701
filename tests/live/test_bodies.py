"""Bodies of calls: kept only where a policy asks for it, as masking leaves them, sealed, and gone in time."""

import base64
import json
import shutil
import signal
import threading
from datetime import datetime, timedelta, timezone

import pytest

import answers
from accord import KEY, Accord, config_for, run
from answers import dump, whole
from platform_api import ADMIN_TOKEN, Api, is_problem, parallel, start_platform
from test_inline import document, message, web  # noqa: F401
from wire import request, wait_for

CHAT, RESPONSES, MESSAGES = "/v1/chat/completions", "/v1/responses", "/v1/messages"
MAIL = "joe.canary@example.com"
WORD = "xylophone-in-clear"


def policy(name="keep", scope=None, **bodies):
    return {"id": name, "applies_to": scope or {"org": True}, "bodies": {"record": "all", **bodies}}


def masking(**more):
    return {"id": "pii", "applies_to": {"org": True},
            "masking": {"detectors": ["email"], "action": "tokenise", **more}}


@pytest.fixture
def serve(start, upstream):
    def starter(*policies, env=None, **more):
        return start(config_for(upstream.url, policies=list(policies), **more),
                     env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN, **(env or {})})
    return starter


def ask(server, text=WORD, model="m", path=CHAT, **more):
    return server.post(path, {"model": model, "messages": [{"role": "user", "content": text}], **more})


def call_id(response):
    return response.header("x-request-id")


def read(server, request_id, token=ADMIN_TOKEN):
    """The body of a call that has one. The client may have the answer a moment before the call has ended."""
    api, path = Api(server.address, token), f"/calls/{request_id}/body"
    wait_for(lambda: api.get(path).status_code != 404, what="a body")
    response = api.get(path)
    assert response.status_code == 200, response.text
    assert response.headers["Cache-Control"] == "private, no-store"
    return response.json()


def in_ledger(server, request_id):
    api = Api(server.address)
    wait_for(lambda: api.get(f"/calls/{request_id}").status_code == 200, what="the call in the ledger")
    return api.get(f"/calls/{request_id}").json()


def folder(server):
    return server.directory / "data" / "ledger" / "bodies"


def files(server):
    return sorted(path for path in folder(server).glob("*.db")) if folder(server).exists() else []


def on_disk(server, text):
    """Files of the server's directory that hold the text; its log too."""
    return [path.name for path in server.directory.rglob("*")
            if path.is_file() and text.encode() in path.read_bytes()]


def today(days=0):
    return (datetime.now(timezone.utc) + timedelta(days=days)).strftime("%Y-%m-%d")


# ---- who asks for it ----

def test_without_a_policy_nothing_is_kept(serve):
    server = serve(masking())
    sent = ask(server)
    assert sent.status == 200 and "body" not in in_ledger(server, call_id(sent))
    problem = is_problem(Api(server.address).get(f"/calls/{call_id(sent)}/body"), 404)
    assert "No body of this call is kept" in problem["detail"]
    assert not folder(server).exists()
    assert server.metric("accord_bodies_written_total") == 0
    server.stop()
    assert not on_disk(server, WORD)


def test_what_is_kept_is_what_was_asked_and_answered(serve):
    server = serve(policy())
    sent = ask(server)
    body = read(server, call_id(sent))
    assert body["id"] == call_id(sent) and body["status"] == 200 and body["form"] == "clear"
    assert body["kept_until"] in (today(6), today(7), today(8))
    assert json.loads(body["request"]["text"])["messages"][0]["content"] == WORD
    assert body["answer"]["text"].encode() == sent.body
    for part, size in (("request", len(body["request"]["text"].encode())), ("answer", len(sent.body))):
        assert body[part]["content_type"].startswith("application/json")
        assert body[part]["cut"] is False and body[part]["bytes"] == size
    assert in_ledger(server, call_id(sent))["body"] is True
    assert "Authorization" not in json.dumps(body) and KEY not in json.dumps(body)


def test_headers_and_secrets_are_not_in_it(serve):
    server = serve(policy())
    sent = server.post(CHAT, {"model": "m", "messages": []}, headers=[("x-canary", "header-canary-1")])
    assert "header-canary-1" not in json.dumps(read(server, call_id(sent)))


def test_of_errors_only(serve, upstream):
    server = serve(policy(record="errors"))
    good = ask(server)
    malformed = server.post(CHAT, b'{"model": "m", "messages": [')
    unknown = ask(server, model="nobody")
    upstream.answer = lambda peer, request: peer.send(whole(b'{"error":{"message":"broken-7"}}', status=400))
    bad = ask(server)
    assert (good.status, malformed.status, unknown.status, bad.status) == (200, 400, 404, 400)
    is_problem(Api(server.address).get(f"/calls/{call_id(good)}/body"), 404)
    assert "broken-7" in read(server, call_id(bad))["answer"]["text"]
    assert read(server, call_id(malformed))["request"]["text"] == '{"model": "m", "messages": ['
    assert read(server, call_id(unknown))["status"] == 404


def test_the_nearest_policy_counts(serve):
    server = serve(policy(), policy("off", {"key": "dev"}, record="none"), policy("m", {"model": "m"}),
                   keys=[{"id": "dev", "secret": KEY}, {"id": "other", "secret": KEY + "-other"}])
    mine = ask(server)
    other = server.call("POST", CHAT, {"model": "m", "messages": []}, key=False,
                        headers=[("Authorization", f"Bearer {KEY}-other")])
    assert mine.status == other.status == 200
    is_problem(Api(server.address).get(f"/calls/{call_id(mine)}/body"), 404)
    read(server, call_id(other))


def test_a_share_of_them(serve):
    server = serve(policy(share_percent=30))
    made = [call_id(ask(server)) for _ in range(200)]
    wait_for(lambda: server.metric("accord_bodies_written_total") > 0)
    api = Api(server.address)
    kept = sum(api.get(f"/calls/{one}/body").status_code == 200 for one in made)
    assert 25 < kept < 100, kept
    none = serve(policy(share_percent=0))
    is_problem(Api(none.address).get(f"/calls/{call_id(ask(none))}/body"), 404)
    assert not folder(none).exists()


def test_a_policy_of_the_platform_takes_hold_and_lets_go(tmp_path, upstream):
    server = start_platform(tmp_path / "a")
    try:
        api = Api(server.address)
        team = api.team()["id"]
        app = api.create("applications", name="App", team=team)["id"]
        key = api.create("keys", application=app)["secret"]
        made = api.create("policies", id="keep", applies_to={"team": team}, bodies={"record": "all"})

        def kept():
            sent = server.post(CHAT, {"model": "sim/echo", "messages": [{"role": "user", "content": "a"}]}, key=False,
                               headers=[("Authorization", f"Bearer {key}")])
            assert sent.status in (200, 401), sent
            return sent.status == 200 and api.get(f"/calls/{call_id(sent)}/body").status_code == 200

        wait_for(kept, what="a body under the team's policy")
        assert api.delete(f"/policies/{made['id']}", match=made["etag"]).status_code == 204
        wait_for(lambda: not kept(), what="none without it")
        bad = api.post("/policies", {"id": "b", "applies_to": {"org": True}, "bodies": {"record": "some"}})
        assert "none, errors, all" in is_problem(bad, 422)["detail"] + json.dumps(bad.json())
    finally:
        server.stop()


@pytest.mark.parametrize("bodies, words", [
    ({"record": "everything"}, "none, errors"),
    ({"record": "all", "share_percent": 101}, "share_percent"),
    ({"record": "all", "max_bytes": 0}, "max_bytes"),
    ({"record": "all", "keep_days": 0}, "keep_days"),
])
def test_bad_values_are_named(tmp_path, bodies, words):
    path = tmp_path / "accord.yaml"
    path.write_text(json.dumps({"policies": [{"id": "k", "applies_to": {"org": True}, "bodies": bodies}]}))
    done = run(["check", "-c", str(path)], tmp_path)
    assert done.returncode and words in done.stdout + done.stderr, done


def test_bodies_are_not_about_addresses(tmp_path):
    path = tmp_path / "accord.yaml"
    path.write_text(json.dumps({"policies": [policy(scope={"address": True})]}))
    done = run(["check", "-c", str(path)], tmp_path)
    assert done.returncode and "bodies are not about addresses" in done.stdout + done.stderr, done


# ---- how much ----

def test_what_is_longer_is_cut_and_says_so(serve, upstream):
    text = "é" * 5000
    upstream.answer = lambda peer, request: peer.send(whole(dump({"choices": [], "said": text})))
    server = serve(policy(max_bytes=1001))
    sent = ask(server, text=text)
    body = read(server, call_id(sent))
    for part in ("request", "answer"):
        kept = body[part]["text"].encode()
        assert body[part]["cut"] is True and 998 <= len(kept) <= 1001
        assert body[part]["bytes"] > 5000 and "�" not in body[part]["text"]
    assert sent.body.startswith(body["answer"]["text"].encode())


def test_what_is_no_text_is_base64(serve, upstream):
    noise = bytes(range(256)) * 4
    upstream.answer = lambda peer, request: peer.send(whole(noise, content_type="audio/mpeg"))
    server = serve(policy())
    sent = server.post("/v1/audio/speech", {"model": "m", "input": "a", "voice": "b"})
    assert sent.status == 200 and sent.body == noise
    answer = read(server, call_id(sent))["answer"]
    assert base64.b64decode(answer["base64"]) == noise and answer["content_type"] == "audio/mpeg"
    assert "text" not in answer


@pytest.mark.parametrize("path, model", [(CHAT, "m"), (MESSAGES, "claude-m"), (CHAT, "claude-m"), (RESPONSES, "m")])
def test_streams_are_kept_whole(serve, path, model):
    server = serve(policy())
    body = {"model": model, "stream": True, "max_tokens": 9}
    body |= {"input": "a"} if path == RESPONSES else {"messages": [{"role": "user", "content": "a"}]}
    sent = server.post(path, body)
    assert sent.status == 200
    kept = read(server, call_id(sent))["answer"]
    assert kept["text"].encode() == sent.body and kept["content_type"].startswith("text/event-stream")


@pytest.mark.parametrize("size", [100, 500000])
def test_of_a_form_that_is_passed_on_the_beginning_is_kept(serve, size):
    server = serve(policy(max_bytes=1000))
    form = (b'--b\r\ncontent-disposition: form-data; name="model"\r\n\r\nm\r\n--b\r\ncontent-disposition: form-data; '
            b'name="file"; filename="a.wav"\r\n\r\n' + b"R" * size + b'\r\n--b--\r\n')
    with server.connect() as connection:
        connection.send(request("POST", "/v1/audio/transcriptions", [
            ("Authorization", f"Bearer {KEY}"), ("Content-Type", "multipart/form-data; boundary=b")], form))
        sent = connection.read_response("POST")
    body = read(server, call_id(sent))
    assert sent.status == 200, sent
    assert body["request"]["text"].encode() == form[:1000] and body["request"]["bytes"] == len(form)
    assert body["request"]["cut"] is (size > 100)
    assert body["request"]["content_type"] == "multipart/form-data; boundary=b"
    assert body["answer"]["text"].encode() == sent.body


def test_a_request_that_is_refused_before_its_body_came_has_none(serve):
    server = serve(policy())
    for size in (10, 300000):
        sent = server.call("POST", CHAT, {"model": "m", "messages": [], "pad": "x" * size}, key=False)
        assert sent.status == 401
        body = read(server, call_id(sent))
        assert body["request"]["absent"] == "not_held" and body["request"]["bytes"] > size
        assert body["answer"]["text"].encode() == sent.body


def test_a_client_that_leaves_has_asked_all_the_same(serve, upstream):
    entered = threading.Event()

    def answer(peer, request):
        del request
        entered.set()
        peer.fill()  # until the server lets go

    upstream.answer = answer
    server = serve(policy())
    connection = server.open_stream(CHAT, {"model": "m", "messages": [{"role": "user", "content": WORD}]})
    assert entered.wait(20)
    connection.close()
    api = Api(server.address)
    wait_for(lambda: [c for c in api.get("/calls").json()["items"] if c["outcome"] == "client_gone"], timeout=20)
    gone = api.get("/calls").json()["items"][0]
    body = read(server, gone["id"])
    assert WORD in body["request"]["text"] and body["answer"]["bytes"] == 0 and body["status"] == 0


def test_a_replay_is_kept_like_any_answer(serve):
    server = serve(policy(), {"id": "c", "applies_to": {"org": True}, "cache": {"ttl_s": 60}})
    first, second = ask(server), ask(server)
    assert second.header("accord-cache") == "hit"
    assert read(server, call_id(second))["answer"]["text"] == read(server, call_id(first))["answer"]["text"]


# ---- in which form ----

def said(text):
    """A model that says this."""
    def answer(peer, request):
        del request
        peer.send(whole(dump({**json.loads(answers.CHAT), "choices": [
            {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text}}]})))
    return answer


def test_of_tokens_the_tokens_are_kept_and_not_the_values(serve, upstream):
    upstream.answer = said("I wrote to [EMAIL_1].")
    server = serve(policy(), masking())
    sent = ask(server, text=f"write to {MAIL}")
    assert MAIL in sent.body.decode()  # the client has its own words again
    body = read(server, call_id(sent))
    assert MAIL not in json.dumps(body) and body["form"] == "masked"
    assert "write to [EMAIL_1]" in body["request"]["text"] and "I wrote to [EMAIL_1]." in body["answer"]["text"]
    server.stop()
    assert not on_disk(server, "joe.canary")


def test_the_same_in_streams_tools_and_escapes(serve, upstream):
    value = 'a"b\\c@example.com'
    word = {"name": "w", "words": [value], "action": "tokenise"}

    def answer(peer, request):
        del request
        call = {"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": '{"to": "[W_1]"}'}}
        events = [answers.chat_chunk({"content": "to [W_1], "}), answers.chat_chunk({"tool_calls": [call]}),
                  answers.chat_chunk({}, "tool_calls"), answers.DONE]
        peer.send_pieces(answers.stream(events), size=7)

    upstream.answer = answer
    server = serve(policy(), {"id": "pii", "applies_to": {"org": True}, "masking": {"words": [word]}})
    sent = server.post(CHAT, {"model": "m", "stream": True, "messages": [{"role": "user", "content": f"x {value} y"}]})
    assert sent.body.decode().count("@example.com") == 2
    body = read(server, call_id(sent))
    assert "@example.com" not in json.dumps(body), body
    assert body["answer"]["text"].count("[W_1]") == 2


def test_what_is_repeated_to_the_client_is_hidden_too(serve, upstream):
    """An object of Responses has the caller's instructions in it, as he wrote them."""
    upstream.answer = lambda peer, request: answers.usual(peer, request)
    server = serve(policy(), masking(action="mask"))
    sent = server.post(RESPONSES, {"model": "claude-m", "input": "a", "instructions": f"be {MAIL}"})
    assert sent.status == 200, sent
    assert MAIL not in json.dumps(read(server, call_id(sent)))


def test_values_of_a_document_that_was_fetched_are_hidden(serve, upstream, web):  # noqa: F811
    said_it = answers.GENERATED.replace(answers.COMPLETION_TEXT.encode(), b"it is [EMAIL_1]")
    upstream.answer = lambda peer, request: peer.send(whole(said_it))
    server = serve(policy(), masking(), fetch={"allow_private_address": True})
    sent = server.post(MESSAGES, message(document(web.add("/a.txt", f"mail {MAIL}".encode(), "text/plain"))))
    assert f"it is {MAIL}" in sent.body.decode()
    body = read(server, call_id(sent))
    assert MAIL not in json.dumps(body) and "it is [EMAIL_1]" in body["answer"]["text"]


def test_a_value_at_the_cut_does_not_show_its_beginning(serve, upstream):
    server = serve(policy(max_bytes=256), masking())
    for pad in range(0, 30):
        upstream.answer = said("x" * pad + "[EMAIL_1]" * 60)
        body = read(server, call_id(ask(server, text=f"{MAIL} {pad}")))
        assert "joe" not in body["answer"]["text"], (pad, body["answer"]["text"])
        assert body["answer"]["cut"] is True and "[EMAIL_1]" in body["answer"]["text"]
        assert len(body["answer"]["text"]) <= 256


@pytest.mark.parametrize("sent", [
    {"model": "m", "messages": [{"role": "user", "content": MAIL}]},  # blocked
    {"model": "nobody", "messages": [{"role": "user", "content": MAIL}]},  # refused before anything was looked at
])
def test_what_masking_refused_or_never_saw_is_not_kept(serve, sent):
    server = serve(policy(), masking(action="block"))
    response = server.post(CHAT, sent)
    assert response.status in (404, 422)
    body = read(server, call_id(response))
    assert body["request"]["absent"] == body["answer"]["absent"] == "not_masked"
    assert MAIL not in json.dumps(body)


def test_what_could_not_be_looked_into_is_not_kept(serve):
    slow = {"name": "slow", "regex": "(?:a|a|a)+b|c"}
    server = serve(policy(), {"id": "pii", "applies_to": {"org": True},
                              "masking": {"patterns": [slow], "on_failure": "pass"}})
    sent = ask(server, text="a" * 44 + " c")
    assert sent.status == 200
    assert read(server, call_id(sent))["request"]["absent"] == "not_masked"


# ---- sealed ----

def test_nothing_of_it_is_readable_on_the_disk(serve):
    server = serve(policy())
    made = [call_id(ask(server, stream=stream)) for stream in (False, True) for _ in range(20)]
    assert WORD in read(server, made[0])["request"]["text"]
    assert files(server) and not on_disk(server, WORD)  # beside the log of SQLite
    assert folder(server).stat().st_mode & 0o777 == 0o700
    assert all(path.stat().st_mode & 0o077 == 0 for path in folder(server).iterdir())
    server.stop()
    assert not on_disk(server, WORD) and not on_disk(server, "Bonjour")


def restart(server):
    """Another life of the same server."""
    return Accord(server.directory, json.loads(server.config_path.read_text()),
                  env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})


def test_another_master_key_leaves_them_readable_and_a_lost_one_does_not(serve):
    server = serve(policy())
    made = call_id(ask(server))
    before = read(server, made)
    server.stop()
    size = files(server)[0].read_bytes()
    done = run(["key", "rotate-master", "--data", str(server.directory / "data")], server.directory)
    assert done.returncode == 0, done.stderr
    assert files(server)[0].read_bytes() == size  # nothing is sealed anew
    second = restart(server)
    try:
        assert read(second, made) == before
    finally:
        second.stop()
    for path in (server.directory / "data").glob("state.db*"):
        path.unlink()
    third = restart(server)
    try:
        problem = is_problem(Api(third.address).get(f"/calls/{made}/body"), 404)
        assert "another key" in problem["detail"]
        kept = call_id(ask(third))
        read(third, kept)
    finally:
        third.stop()


def test_servers_on_one_postgresql_share_the_key_and_not_the_files(postgres, tmp_path, upstream):
    postgres.fresh()
    env = {"ACCORD_DATABASE_URL": postgres.url, "ACCORD_MASTER_KEY": "cd" * 32, "ACCORD_ADMIN_TOKEN": ADMIN_TOKEN}
    config = config_for(upstream.url, policies=[policy()])
    servers = [Accord(tmp_path / which, config, env=env) for which in ("a", "b")]
    try:
        made = parallel(2, lambda i: [call_id(ask(servers[i])) for _ in range(10)])
        for server, mine, others in zip(servers, made, made[::-1]):
            assert all(WORD in read(server, one)["request"]["text"] for one in mine)
            is_problem(Api(server.address).get(f"/calls/{others[0]}/body"), 404)
        for server in servers:
            server.stop()
        shutil.rmtree(folder(servers[1]))
        shutil.copytree(folder(servers[0]), folder(servers[1]))
        servers[1] = Accord(tmp_path / "b", config, env=env)
        assert all(WORD in read(servers[1], one)["request"]["text"] for one in made[0])
    finally:
        for server in servers:
            server.stop()


def test_after_kill_9_what_was_written_is_there(serve):
    server = serve(policy())
    made = [call_id(ask(server)) for _ in range(30)]
    for one in made:
        read(server, one)
    server.may_fail = True
    stop = threading.Event()

    def calling():
        while not stop.is_set():
            try:
                ask(server)
            except Exception:  # the server is gone
                return

    threads = [threading.Thread(target=calling) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: server.metric("accord_bodies_written_total") > 100, timeout=30)
    server.process.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.process.wait()
    second = restart(server)
    try:
        for one in made:
            assert WORD in read(second, one)["request"]["text"]
        read(second, call_id(ask(second)))
    finally:
        second.stop()


def test_a_damaged_file_harms_no_other(serve):
    server = serve(policy())
    old = call_id(ask(server))
    read(server, old)
    server.stop()
    path = files(server)[0]
    path.write_bytes(b"\xff" * path.stat().st_size)
    second = restart(server)
    try:
        new = call_id(ask(second))
        assert WORD in read(second, new)["request"]["text"]
        is_problem(Api(second.address).get(f"/calls/{old}/body"), 404)
        assert len(files(second)) == 2
    finally:
        second.stop()


# ---- and gone in time ----

def test_by_age_whole_files_go(serve):
    server = serve(policy("a", {"model": "m"}, keep_days=3), policy("b", {"model": "claude-m"}, keep_days=9))
    short, long = call_id(ask(server)), call_id(ask(server, model="claude-m"))
    assert read(server, short)["kept_until"] < read(server, long)["kept_until"]
    server.stop()
    first, second = files(server)
    assert first.name.startswith((today(3), today(4))) and second.name.startswith((today(9), today(10)))
    first.rename(first.with_name(f"{today(-1)}.000000000001.db"))
    second.rename(second.with_name(f"{today(0)}.000000000001.db"))  # its last day
    again_ = restart(server)
    try:
        wait_for(lambda: len(files(again_)) == 1, what="the old file to go")
        is_problem(Api(again_.address).get(f"/calls/{short}/body"), 404)
        read(again_, long)
    finally:
        again_.stop()


def test_never_longer_than_the_ledger(serve):
    server = serve(policy(keep_days=90), ledger={"keep_days": 2})
    assert read(server, call_id(ask(server)))["kept_until"] in (today(1), today(2), today(3))


def test_a_smaller_bound_holds_at_once(serve, upstream):
    noise = base64.b64encode(bytes(range(256)) * 200).decode()
    upstream.answer = lambda peer, request: peer.send(whole(dump({"noise": noise})))
    server = serve(policy(max_bytes=65536))
    made = [call_id(ask(server)) for _ in range(60)]
    read(server, made[-1])
    config = json.loads(server.config_path.read_text())
    server.write_config({**config, "ledger": {"bodies_max_bytes": 1 << 20}})
    server.signal(signal.SIGHUP)
    wait_for(lambda: sum(path.stat().st_size for path in folder(server).iterdir()) < 2 << 20)
    read(server, call_id(ask(server)))


def test_by_size_the_next_to_go_go_first(serve, upstream):
    noise = base64.b64encode(bytes(range(256)) * 200).decode()  # 68 KB
    upstream.answer = lambda peer, request: peer.send(whole(dump({"noise": noise})))
    server = serve(policy(max_bytes=65536), ledger={"bodies_max_bytes": 1 << 20})
    made = [call_id(ask(server)) for _ in range(60)]
    read(server, made[-1])
    is_problem(Api(server.address).get(f"/calls/{made[0]}/body"), 404)
    size = sum(path.stat().st_size for path in folder(server).iterdir())
    assert size < 2 << 20, [(p.name, p.stat().st_size, p.stat().st_blocks * 512) for p in sorted(folder(server).iterdir())]
    assert in_ledger(server, made[0])["status"] == 200  # the record stays


# ---- who may, and who has ----

def audit(api, **query):
    return api.get("/audit", params=query).json()["items"]


def test_who_may_read_and_delete_and_that_it_is_written_down(tmp_path):
    server = start_platform(tmp_path / "a")
    try:
        api = Api(server.address)
        api.create("policies", id="keep", applies_to={"org": True}, bodies={"record": "all"})
        made = {}
        for team in ("ours", "theirs"):
            api.team(id=team)
            app = api.create("applications", name=f"App of {team}", team=team)["id"]
            secret = api.create("keys", application=app)["secret"]
            sent = [("Authorization", f"Bearer {secret}")]

            def kept(team=team, sent=sent):
                answer = server.post(CHAT, {"model": "sim/echo", "messages": [{"role": "user", "content": "a"}]},
                                     headers=sent, key=False)
                made[team] = call_id(answer)
                return answer.status == 200 and api.get(f"/calls/{made[team]}/body").status_code == 200
            wait_for(kept, what="a kept body")

        def token(role, team=None):
            fields = {"name": "t", "role": role, **({"team": team} if team else {})}
            return Api(server.address, api.create("tokens", **fields)["secret"])

        path = f"/calls/{made['ours']}/body"
        for role in ("developer", "viewer", "auditor"):
            is_problem(token(role).get(path), 403)
            is_problem(token(role).delete(path), 403)
        is_problem(Api(server.address, None).get(path), 401)
        assert token("admin").get(path).status_code == 200
        ours = token("admin", "ours")
        wait_for(lambda: ours.get(path).status_code == 200, what="the call in the ledger")
        is_problem(ours.get(f"/calls/{made['theirs']}/body"), 404)
        is_problem(ours.delete(f"/calls/{made['theirs']}/body"), 404)
        api.create("roles", id="reader", permissions=["call.read_body"])
        reader = token("reader")
        assert reader.get(path).status_code == 200
        is_problem(reader.delete(path), 403)

        # Each reading, with who and which.
        before = len(audit(api, kind="call", id=made["ours"]))
        assert reader.get(path).status_code == 200
        newest = audit(api, kind="call", id=made["ours"])
        assert len(newest) == before + 1
        assert newest[0]["action"] == "read_body" and newest[0]["who"].startswith("token:")

        # And forgetting.
        raw = b"".join(p.read_bytes() for p in folder(server).iterdir())
        assert made["ours"].encode() in raw
        assert ours.delete(path).status_code == 204
        is_problem(api.get(path), 404)
        is_problem(ours.delete(path), 404)
        assert [e["action"] for e in audit(api, kind="call", id=made["ours"])].count("delete_body") >= 1
        assert "body" not in api.get(f"/calls/{made['ours']}").json()
        assert api.get(f"/calls/{made['theirs']}/body").status_code == 200
        raw = b"".join(p.read_bytes() for p in folder(server).iterdir())
        assert made["ours"].encode() not in raw and made["theirs"].encode() in raw
        is_problem(api.get("/calls/req_00000000000000000000000000/body"), 404)
        is_problem(api.get(f"/calls/{'x' * 200}/body"), 404)
    finally:
        server.stop()


def test_without_a_ledger_there_is_none(serve):
    server = serve(policy(), ledger={"keep_days": 0})
    problem = is_problem(Api(server.address).get(f"/calls/{call_id(ask(server))}/body"), 404)
    assert "keep_days" in problem["detail"] and not folder(server).exists()


def test_the_command_line_shows_it(serve):
    server = serve(policy())
    made = call_id(ask(server))
    env = {"ACCORD_ADDRESS": server.address, "ACCORD_TOKEN": ADMIN_TOKEN}
    shown = run(["logs", "--body", made], server.directory, env=env)
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.startswith("request, application/json, ") and WORD in shown.stdout
    assert "\nanswer, application/json" in shown.stdout
    as_json = run(["logs", "--body", made, "--json"], server.directory, env=env)
    assert json.loads(as_json.stdout) == read(server, made)
    none = run(["logs", "--body", "req_nobody"], server.directory, env=env)
    assert none.returncode and "no call" in none.stderr


# ---- nothing waits for it ----

def test_a_full_disk_fails_no_call_and_the_loss_is_counted(small_disk, upstream):
    noise = base64.b64encode(bytes(range(256)) * 200).decode()
    upstream.answer = lambda peer, request: peer.send(whole(dump({"noise": noise})))
    server = Accord(small_disk, config_for(upstream.url, policies=[policy(max_bytes=1 << 20)],
                                           ledger={"spool_bytes": 0}), env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    try:
        read(server, call_id(ask(server)))
        ballast = small_disk / "ballast"
        with open(ballast, "wb") as out:
            try:
                while True:
                    out.write(b"x" * 65536)
                    out.flush()
            except OSError:
                pass
        wait_for(lambda: ask(server).status == 200 and server.metric("accord_bodies_lost_total") > 0, timeout=30,
                 what="a body that is lost")
        assert server.metric("accord_bodies_writable") == 0
        ballast.unlink()
        wait_for(lambda: ask(server).status == 200 and server.metric("accord_bodies_writable") == 1, timeout=30)

        def readable():
            response = Api(server.address).get(f"/calls/{call_id(ask(server))}/body")
            return response.status_code == 200 and noise[:100] in response.json()["answer"]["text"]
        wait_for(readable, timeout=30, what="bodies again")
    finally:
        server.may_fail = True
        server.stop()


def test_reads_forgetting_and_reloads_beside_calls(serve):
    server = serve(policy())
    api = Api(server.address)

    def work(i):
        for n in range(25):
            one = call_id(ask(server, stream=n % 2 == 0))
            assert WORD in read(server, one)["request"]["text"]
            if n % 5 == 0:
                assert api.delete(f"/calls/{one}/body").status_code == 204
                assert api.get(f"/calls/{one}/body").status_code == 404
            if i == 0 and n % 8 == 0:
                server.signal(signal.SIGHUP)
        return True

    assert all(parallel(6, work))
    assert server.metric("accord_bodies_lost_total") == 0
    wait_for(lambda: server.metric("accord_bodies_held_bytes") == 0)
