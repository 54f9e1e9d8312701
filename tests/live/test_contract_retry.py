"""CONFLICT.md, groups I to K and what the others left: repeats over crashes and full disks, who comes
too often, and what is going to go."""

import datetime
import email.utils
import json
import random
import re
import signal
import socket
import sqlite3
import subprocess
import threading
import time

import pytest
import requests

import answers
from accord import KEY, config_for
from platform_api import ADMIN_TOKEN, Api, is_problem, name, parallel, start_platform
from wire import request

CHAT = "/v1/chat/completions"
BODY = b'{"model":"m","messages":[]}'


def fill(api):
    """Until the disk is full; the last answer."""
    for i in range(2000):
        response = api.post("/teams", {"id": f"fill-{i}", "name": f"fill {i}",
                                       "description": "x" * 3000})
        if response.status_code != 201:
            return response
    raise AssertionError("the disk never was full")


def with_key(key):
    return {"Idempotency-Key": key}


# ---- B, E, F, H: what the other files left ----

def test_B12_tags_are_compared_byte_by_byte(api):
    path = f"/teams/{api.team()['id']}"
    tag = api.etag(path)
    for other in (tag.upper(), tag.replace("-", "\u00ad"), tag[:-1] + '0"', '"0' + tag[1:]):
        if other != tag:
            is_problem(api.patch(path, {"description": "no"}, match=other.encode("latin-1")), 412)
    assert api.patch(path, {"description": "yes"}, match=tag).status_code == 200


def test_B4_a_hundred_lines_are_all_read(api, server):
    path = f"/teams/{api.team()['id']}"
    tag = api.etag(path)
    lines = [("If-None-Match", f'"{n}-00000000"') for n in range(100)] + [("If-None-Match", tag)]
    with server.connect() as connection:
        connection.send(request("PATCH", f"/api/v1{path}", [
            ("Authorization", f"Bearer {ADMIN_TOKEN}"), ("If-Match", tag),
            ("Content-Type", "application/merge-patch+json"), *lines], b'{"description":"no"}'))
        assert connection.read_response("PATCH").status == 412


def test_E4_too_many_attempts_comes_before_conditions(api, server):
    nobody = Api(server.address, token=None)
    body = {"email": f"{name('E4')}@example.com", "password": "wrong"}
    for _ in range(5):
        nobody.post("/session", body, headers={"If-Match": '"0-stale"'})
    is_problem(nobody.post("/session", body, headers={"If-Match": '"0-stale"'}), 429)


def test_E4_a_full_disk_comes_before_conditions(small_disk, tmp_path):
    server = start_platform(tmp_path / "a", arguments=["--data", small_disk / "data"])
    try:
        api = Api(server.address)
        made = api.team()
        fill(api)
        for text in "abcdefghij":  # a change needs fewer pages than what did not fit
            stale = api.patch(f"/teams/{made['id']}", {"description": text * 4000}, match=made["etag"])
            if stale.status_code != 200:
                break
            made = stale.json()
        is_problem(stale, 503, "unavailable")
        assert stale.headers["x-should-retry"] == "true"
    finally:
        server.stop()


RACERS = 64


def race_to_create(server, sockets, body):
    """The statuses of 64 requests whose last byte is sent in one go."""
    head = (f"POST /api/v1/users HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n").encode()
    for sock in sockets:
        sock.sendall(head + body[:-1])
    for sock in sockets:
        sock.send(body[-1:])
    statuses = []
    for sock in sockets:
        data = b""
        while True:
            data += sock.recv(65536)
            top, found, rest = data.partition(b"\r\n\r\n")
            length = re.search(rb"content-length: (\d+)", top)
            if found and len(rest) >= int(length[1]):
                break
        statuses.append(int(data[9:12]))
    return statuses


def test_F4_64_parallel_creates_of_one_user(server):
    rounds = 1000 if server.database == "sqlite" else 100
    sockets = [socket.create_connection(("127.0.0.1", server.port), 30) for _ in range(RACERS)]
    try:
        for n in range(rounds):
            body = json.dumps({"email": f"{name('F4-64')}@example.com"}).encode()
            statuses = race_to_create(server, sockets, body)
            assert (statuses.count(201), statuses.count(409)) == (1, RACERS - 1), (n, statuses)
    finally:
        for sock in sockets:
            sock.close()


def subscription(api):
    team = api.team()["id"]
    application = api.create("applications", name="A", team=team)["id"]
    service = api.create("services", name="S", team=team, prefix=f"/{name('race')}")["id"]
    return f"/subscriptions/{api.create('subscriptions', application=application, service=service)['id']}"


@pytest.mark.race
@pytest.mark.parametrize("second", ["approve", "cancel", "refuse"])
def test_F6_two_decisions_at_once(api, second):
    """Of two that start from the same state one is done; the other is told which."""
    for _ in range(15):
        path = subscription(api)
        tag = api.etag(path)
        answers = parallel(2, lambda i: api.post(  # noqa: B023
            f"{path}/{('approve', second)[i]}", headers={"If-Match": tag}))  # noqa: B023
        statuses = sorted(a.status_code for a in answers)
        assert statuses == [200, 412], [a.text for a in answers]
        winner = ("approve", second)[[a.status_code for a in answers].index(200)]
        state = {"approve": "approved", "cancel": "cancelled", "refuse": "refused"}[winner]
        now = api.get(path).json()
        assert (now["state"], now["revision"]) == (state, 2)
        trail = [e["action"] for e in api.get(f"/audit?id={now['id']}").json()["items"]]
        assert trail == [winner, "create"]


@pytest.mark.race
def test_F5_an_edit_against_a_delete(api):
    """Either the edit was first and the delete is refused, or the delete was and nothing is there."""
    for _ in range(30):
        made = api.team()
        path, tag = f"/teams/{made['id']}", made["etag"]
        edit, delete = parallel(2, lambda i: (  # noqa: B023
            api.patch(path, {"description": "x"}, match=tag) if i == 0  # noqa: B023
            else api.delete(path, match=tag)).status_code)  # noqa: B023
        assert (edit, delete) in ((200, 412), (404, 204)), (edit, delete)
        assert api.get(path).status_code == (200 if edit == 200 else 404)


def test_H10_a_patch_for_whatever_it_is_now_is_of_the_latest(api):
    """32 at once with If-Match: *, each of another field's element: none is made of a stale copy."""
    made = api.create("models", id=name("H10"), aliases=[name("H10-alias")],
                      targets=[{"provider": "sim", "model": "echo"}])
    path = f"/models/{made['id']}"

    def add(i):
        patch = [{"op": "add", "path": "/aliases/-", "value": f"{made['id']}-{i}"}]
        return api.patch(path, patch, match="*", kind="application/json-patch+json").status_code

    assert set(parallel(32, add)) == {200}
    assert len(api.get(path).json()["aliases"]) == 33


# ---- I: repeats ----

@pytest.fixture
def strict(api):
    """The settings ask for a key."""
    path = "/settings/org"
    assert api.patch(path, {"require_idempotency_key": True}, match="*").status_code == 200
    yield
    assert api.patch(path, {"require_idempotency_key": False}, match="*").status_code == 200


def test_I1_where_a_key_is_required(api, strict):
    body = {"name": name("I1")}
    response = api.post("/teams", body)
    problem = is_problem(response, 400, "idempotency_key_required")
    link = requests.utils.parse_header_links(response.headers["Link"])[0]
    assert link["rel"] == "describedby" and requests.get(link["url"], timeout=30).ok
    assert "Idempotency-Key" in problem["message"]
    made = api.post("/teams", body, headers=with_key(name("key")))
    assert made.status_code == 201
    path = f"/teams/{made.json()['id']}"  # only what creates or acts
    assert api.patch(path, {"description": "x"}, match=made.headers["ETag"]).status_code == 200


def test_I8_what_could_not_be_done_is_done_by_its_repeat(small_disk, tmp_path):
    """After a 503 nothing is kept: the same request with the same key is done, once."""
    server = start_platform(tmp_path / "a", arguments=["--data", small_disk / "data"])
    try:
        api = Api(server.address)
        fill(api)
        key, body = name("key"), {"id": "resumed", "name": "resumed", "description": "y" * 4000}
        is_problem(api.post("/teams", body, headers=with_key(key)), 503)
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        first = api.post("/teams", body, headers=with_key(key))
        again = api.post("/teams", body, headers=with_key(key))
        assert first.status_code == again.status_code == 201
        assert again.headers["Idempotent-Replayed"] == "true" and first.content == again.content
    finally:
        server.stop()


def test_I9_a_crash_leaves_no_doubt(tmp_path):
    """kill -9 at any moment of a request: its repeat is answered with what the first one did, or does
    it; never twice, never something in between."""
    accord = start_platform(tmp_path / "a")
    accord.may_fail = True
    for n in range(15):
        api, key = Api(accord.address), f"I9-{n}"
        body = {"id": f"once-{n}", "name": f"once {n}"}

        def first(api=api, key=key, body=body):
            try:
                api.post("/teams", body, headers=with_key(key))
            except requests.RequestException:
                pass

        thread = threading.Thread(target=first)
        thread.start()
        time.sleep(random.uniform(0, 0.006))
        accord.signal(signal.SIGKILL)
        thread.join()
        accord.process.wait()  # its lock on the data directory goes with it
        accord = start_platform(tmp_path / "a")
        accord.may_fail = True
        api = Api(accord.address)
        again = api.post("/teams", body, headers=with_key(key))
        assert again.status_code == 201, again.text
        trail = api.get("/audit?limit=200").json()
        done = [e for e in trail["items"] if e["action"] == "create" and e["id"] == body["id"]]
        assert len(done) == 1, done
        assert api.get(f"/teams/{body['id']}").json()["revision"] == 1
    accord.may_fail = False
    accord.stop()


def test_I10_after_its_time_a_key_is_new(tmp_path):
    server = start_platform(tmp_path / "a")
    try:
        api, key = Api(server.address), name("key")
        first = api.post("/teams", {"name": "I10"}, headers=with_key(key))
        assert first.status_code == 201
        with sqlite3.connect(tmp_path / "a" / "data" / "state.db") as database:  # a day goes by
            database.execute("UPDATE idempotent SET expires_us = expires_us - 86400000000")
        again = api.post("/teams", {"name": "I10 again"}, headers=with_key(key))
        assert again.status_code == 201 and again.json()["id"] != first.json()["id"]
        described = api.get("/openapi.json").json()
        create = described["paths"]["/teams"]["post"]
        assert create["x-idempotency"]["ttl"] == "P1D"
    finally:
        server.stop()


def test_I11_where_a_key_is_not_kept(api, server):
    nobody = Api(server.address, token=None)
    response = nobody.post("/session", {"email": "x@example.com", "password": "wrong"},
                           headers=with_key(name("key")))
    assert response.headers["Idempotency-Status"] == "ignored"
    response = api.post("/teams", {"name": name("I11")}, headers=with_key(name("key")))
    assert "Idempotency-Status" not in response.headers


def test_I12_without_room_for_the_answer_nothing_is_done(small_disk, tmp_path):
    server = start_platform(tmp_path / "a", arguments=["--data", small_disk / "data"])
    try:
        api = Api(server.address)
        fill(api)
        body = {"id": "not-done", "name": "not done", "description": "z" * 4000}
        is_problem(api.post("/teams", body, headers=with_key(name("key"))), 503)
        assert api.get("/teams/not-done").status_code == 404
    finally:
        server.stop()


# ---- J: who comes too often ----

def fields_of(text):
    """`"p";q=1;w=2` as ("p", {"q": 1, "w": 2}); strict."""
    found = re.fullmatch(r'"([!#-\[\]-~ ]+)"((?:;[a-z*][a-z0-9_.*-]*=[0-9]+)*)', text)
    assert found, text
    pairs = [pair.split("=") for pair in found[2].split(";")[1:]]
    return found[1], {key: int(value) for key, value in pairs}


def test_J3_J4_J5_J6_the_fields_of_a_429(api, server):
    nobody = Api(server.address, token=None)
    spread = []
    for _ in range(4):  # different accounts: each has its own pause, and its own spread
        body = {"email": f"{name('J')}@example.com", "password": "wrong"}
        left = []
        for _ in range(5):
            response = nobody.post("/session", body)
            if response.status_code == 401:
                left.append(fields_of(response.headers["RateLimit"])[1]["r"])
        response = nobody.post("/session", body)
        problem = is_problem(response, 429, "too_many_attempts")
        assert left == sorted(left, reverse=True)
        policy, quota = fields_of(response.headers["RateLimit-Policy"])
        limited, now = fields_of(response.headers["RateLimit"])
        assert policy == limited == "sign-in" and quota["w"] > 0 and quota["q"] > 0
        assert now["r"] == 0 and int(response.headers["Retry-After"]) >= now["t"]
        assert problem["type"] == \
            "https://iana.org/assignments/http-problem-types#quota-exceeded"
        assert problem["violated-policies"] == ["sign-in"]
        assert problem["retry"]["after_ms"] == int(response.headers["retry-after-ms"])
        spread.append(int(response.headers["retry-after-ms"]) - now["t"] * 1000)
    assert max(spread) > 0 and len(set(spread)) == 4, spread  # not all at the moment of the reset


def test_J7_an_upstreams_fields_are_passed_as_they_are(accord, upstream):
    fields = [("RateLimit-Policy", '"tokens";q=100;w=60'), ("RateLimit", '"tokens";r=3;t=30'),
              ("x-ratelimit-remaining-requests", "3"), ("Retry-After", "7")]
    upstream.answer = lambda peer, _: peer.send(answers.whole(b'{"error":{}}', 429,
                                                              headers=fields))
    response = accord.call("POST", CHAT, {"model": "m", "messages": []})
    assert response.status == 429
    for field, value in fields:
        assert response.head.all(field.lower()) == [value]


# ---- K: what is going to go ----

def in_days(days):
    moment = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(days=days)
    return moment.replace(microsecond=0)


def stamp(moment):
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


def config_with(upstream, **fields):
    config = config_for(upstream.url)
    config["models"][0].update(fields)
    return config


def relations(response):
    return {link["rel"]: link["url"]
            for link in requests.utils.parse_header_links(response.header("link"))}


def test_K1_K2_K3_a_deprecated_model(start, upstream):
    since, until = in_days(-30), in_days(30)
    accord = start(config_with(upstream, deprecated_at=stamp(since), sunset_at=stamp(until),
                               successor="claude-m"))
    response = accord.call("POST", CHAT, {"model": "m", "messages": []})
    assert response.status == 200  # K4: nothing else is different
    assert response.body == answers.CHAT
    assert response.header("deprecation") == f"@{int(since.timestamp())}"
    assert response.header("sunset") == email.utils.format_datetime(until, usegmt=True)
    links = relations(response)
    assert links["deprecation"] == links["sunset"] == "/v1/models/m"
    assert links["successor-version"] == "/v1/models/claude-m"
    for target in links.values():
        assert accord.call("GET", target).status == 200
    stream = accord.call("POST", CHAT, {"model": "m-alias", "messages": [], "stream": True})
    assert stream.header("sunset") == response.header("sunset")
    other = accord.call("POST", "/v1/messages", {"model": "claude-m", "messages": []})
    assert other.header("deprecation") is None


def test_K5_a_link_to_a_name_that_is_no_url(start, upstream):
    until, odd = in_days(30), 'a"b>,<c\u00e9'
    accord = start(config_with(upstream, sunset_at=stamp(until), aliases=[odd], successor=odd))
    response = accord.call("POST", CHAT, {"model": odd, "messages": []})
    assert response.status == 200
    links = relations(response)
    assert links == {"sunset": "/v1/models/m",
                     "successor-version": "/v1/models/a%22b%3E%2C%3Cc%C3%A9"}
    assert accord.call("GET", links["successor-version"]).status == 200


@pytest.mark.parametrize("target,body", [
    (CHAT, {"model": "m", "messages": []}), (CHAT, {"model": "m-alias", "messages": []})])
def test_K4_after_its_sunset_it_is_410(start, upstream, target, body):
    until = in_days(-1)
    accord = start(config_with(upstream, deprecated_at=stamp(in_days(-30)), sunset_at=stamp(until),
                               successor="claude-m", notice="https://example.com/end-of-m"))
    response = accord.call("POST", target, body)
    assert response.status == 410 and upstream.seen == b""
    error = response.json()["error"]
    assert error["code"] == "model_retired" and '"claude-m"' in error["message"]
    assert response.header("x-should-retry") == "false"
    assert response.header("deprecation").startswith("@")
    assert response.header("sunset") == email.utils.format_datetime(until, usegmt=True)
    assert relations(response)["sunset"] == "https://example.com/end-of-m"
    listed = [m["id"] for m in accord.call("GET", "/v1/models").json()["data"]]
    assert "m" not in listed and "claude-m" in listed


def test_K2_a_sunset_before_the_deprecation_is_refused(api):
    fields = {"id": name("K2"), "targets": [{"provider": "sim", "model": "echo"}],
              "deprecated_at": "2027-06-01T00:00:00Z", "sunset_at": "2027-01-01T00:00:00Z"}
    problem = is_problem(api.post("/models", fields), 422, "invalid")
    assert problem["errors"][0]["pointer"] == "#/sunset_at"


def test_K4_a_model_of_the_platform_goes_at_its_time(server, api):
    """Set on a running server: in force at once, and at its moment without another change."""
    model = name("K4")
    made = api.post("/models", {"id": model, "targets": [{"provider": "sim", "model": "echo"}]},
                    headers={"Prefer": "wait=5"})
    assert made.status_code == 201
    body = {"model": model, "messages": [{"role": "user", "content": "hi"}]}
    assert server.call("POST", CHAT, body).status == 200
    soon = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=2)
    patched = api.patch(f"/models/{model}", {"sunset_at": stamp(soon)}, match="*",
                        headers={"Prefer": "wait=5"})
    assert patched.status_code == 200, patched.text
    assert server.call("POST", CHAT, body).header("sunset")
    deadline = time.monotonic() + 5
    while server.call("POST", CHAT, body).status != 410:
        assert time.monotonic() < deadline
        time.sleep(0.1)
