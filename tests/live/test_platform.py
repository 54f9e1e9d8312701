"""The platform beside its conflict contract: who may what, sign-in, lists, watch, secrets, and that a
change is live for calls."""

import json
import re
import sqlite3
import threading
import time

import pytest
import requests

from accord import KEY, config_for, run
from platform_api import (ADMIN_TOKEN, Api, is_problem, name, parallel, start_platform)
from wire import request, wait_for

KINDS = ["settings", "teams", "users", "memberships", "roles", "tokens", "providers", "credentials",
         "models", "applications", "keys", "services", "policies", "subscriptions"]


# ---- roles ----

class World:
    """Two teams with everything that a team has, and one principal for each role and team."""

    def __init__(self, api):
        self.api = api
        self.ids = {team: self.fill(api.team(id=f"w-{team}")["id"]) for team in ("ours", "theirs")}
        self.tokens = {"nobody": None}
        for role in ("owner", "admin", "developer", "viewer", "auditor"):
            self.tokens[role] = api.create("tokens", name=role, role=role)["secret"]
            self.tokens[f"team {role}"] = api.create("tokens", name=role, role=role,
                                                     team="w-ours")["secret"]
            self.tokens[f"foreign {role}"] = api.create("tokens", name=role, role=role,
                                                        team="w-theirs")["secret"]

    def fill(self, team):
        api = self.api
        user = api.create("users", email=f"{team}@example.com")["id"]
        application = api.create("applications", name="app", team=team)["id"]
        service = api.create("services", name="svc", team=team, prefix=f"/{team}")["id"]
        return {
            "settings": "org", "teams": team, "users": user,
            "memberships": api.create("memberships", user=user, team=team)["id"],
            "roles": api.create("roles", permissions=["team.read"])["id"],
            "tokens": api.create("tokens", name="t", role="viewer", team=team)["id"],
            "providers": api.create("providers", id=f"p-{team}", dialect="openai")["id"],
            "credentials": api.create("credentials", provider=f"p-{team}", secret="sk-" + team)["id"],
            "models": api.create("models", id=f"m-{team}",
                                 targets=[{"provider": f"p-{team}", "model": "x"}])["id"],
            "applications": application,
            "keys": api.create("keys", application=application)["id"],
            "services": service,
            "policies": api.create("policies", applies_to={"team": team},
                                   limits=[{"what": "concurrency", "at_most": 9}])["id"],
            "subscriptions": api.create("subscriptions", application=application,
                                        service=service)["id"],
        }


@pytest.fixture(scope="module")
def world(api):
    return World(api)


TEAM_OWNED = {"teams", "memberships", "tokens", "applications", "keys", "services", "subscriptions"}
EVERYBODY = {"settings", "teams", "roles", "models", "services"}
DEVELOPS = {"applications", "keys", "services", "subscriptions"}
DEVELOPER_READS = DEVELOPS | {"teams", "memberships", "users", "providers", "models", "policies"}


def may_read(principal, kind):
    team, _, role = principal.rpartition(" ")
    if principal == "nobody":
        return False
    if kind in EVERYBODY:
        return True
    if team == "foreign" or (team == "team" and kind not in TEAM_OWNED):
        return False
    return role in ("owner", "admin", "auditor") or kind in DEVELOPER_READS


def may_write(principal, kind):
    team, _, role = principal.rpartition(" ")
    if principal == "nobody" or team == "foreign" or (team == "team" and kind not in TEAM_OWNED):
        return False
    if role == "owner":
        return True
    if role == "admin":
        return kind not in ("settings", "roles")
    return role == "developer" and kind in DEVELOPS


def test_every_route_as_every_role(server, world):
    """Reads, changes and the past of each kind, of one's own team, of a foreign one, by nobody."""
    wrong, asked = [], 0
    for principal, token in world.tokens.items():
        api = Api(server.address, token)
        for kind in KINDS:
            path = f"/{kind}/{world.ids['ours'][kind]}"
            read, write = may_read(principal, kind), may_write(principal, kind)
            hidden = {401} if principal == "nobody" else {403, 404}
            for response, fine in (
                    (api.get(path), read), (api.get(f"{path}/history"), read),
                    (api.get(f"{path}/history/1"), read), (api.get(f"{path}/diff?from=1"), read),
                    (api.patch(path, {"nope": 1}, match="*"), write),
                    (api.put(path, {"nope": 1}, match="*"), write),
                    (api.post(f"{path}/restore", {"revision": 99}, headers={"If-Match": "*"}),
                     write)):
                asked += 1
                # A refusal for the body's sake means that the door was open.
                allowed = response.status_code in (200, 422)
                if allowed != fine or not (allowed or response.status_code in hidden):
                    wrong.append((principal, response.request.method, response.request.path_url,
                                  response.status_code))
    assert not wrong, wrong[:10]
    assert asked == len(world.tokens) * len(KINDS) * 7


def test_lists_show_what_may_be_seen(server, world):
    ours = Api(server.address, world.tokens["team viewer"])
    ids = {item["id"] for item in ours.get("/applications").json()["items"]}
    assert ids == {world.ids["ours"]["applications"]}
    items = Api(server.address, world.tokens["foreign viewer"]).get("/keys").json()["items"]
    assert {item["application"] for item in items} == {world.ids["theirs"]["applications"]}


def test_nobody_gives_what_they_do_not_have(server, world, api):
    admin = Api(server.address, world.tokens["admin"])
    is_problem(admin.post("/users", {"email": "up@example.com", "role": "owner"}), 403)
    is_problem(admin.post("/tokens", {"name": "up", "role": "owner"}), 403)
    ours = Api(server.address, world.tokens["team admin"])
    user = api.create("users", email="esc@example.com")["id"]
    is_problem(ours.post("/memberships", {"user": user, "team": "w-theirs", "role": "viewer"}), 403)
    is_problem(ours.post("/memberships", {"user": user, "team": "w-ours", "role": "owner"}), 403)
    assert ours.post("/memberships", {"user": user, "team": "w-ours",
                                      "role": "viewer"}).status_code == 201
    is_problem(ours.post("/applications", {"name": "x", "team": "w-theirs"}), 403)


def test_scopes_narrow_a_token(server, api):
    token = api.create("tokens", name="narrow", role="admin", scopes=["team.read"])["secret"]
    narrow = Api(server.address, token)
    assert narrow.get("/teams").status_code == 200
    is_problem(narrow.post("/teams", {"name": "x"}), 403)
    assert narrow.get("/users").json()["items"] == []


def test_a_narrow_token_makes_no_wider_one(server, api):
    narrow = Api(server.address, api.create("tokens", name="n", scopes=["token.*"])["secret"])
    is_problem(narrow.post("/tokens", {"name": "wide"}), 403)
    assert narrow.post("/tokens", {"name": "same", "scopes": ["token.read"]}).status_code == 201
    reader = Api(server.address, api.create("tokens", name="r", scopes=["team.read"])["secret"])
    is_problem(reader.post("/tokens", {"name": "x", "scopes": ["team.read"]}), 403)


def test_a_custom_role(server, api):
    role = api.create("roles", permissions=["application.*", "audit.read"])["id"]
    special = Api(server.address, api.create("tokens", name="r", role=role)["secret"])
    assert special.get("/audit").status_code == 200
    is_problem(special.get("/providers"), 403)


def test_a_key_of_an_application_is_no_token(server, api):
    secret = api.create("keys")["secret"]
    body = is_problem(Api(server.address, secret).get("/teams"), 401, "unauthenticated")
    assert "key of an application" in body["message"]


# ---- people ----

def sign_in(server, email, password):
    session = requests.Session()
    session.trust_env = False
    response = session.post(f"{server.address}/api/v1/session",
                            json={"email": email, "password": password}, timeout=30)
    return session, response


def test_the_first_link_makes_the_administrator(tmp_path):
    accord = start_platform(tmp_path / "a", env={"ACCORD_ADMIN_TOKEN": ""})
    link = accord.started["admin_link"]
    try:
        url = f"{accord.address}/api/v1/session/redeem"
        weak = requests.post(url, json={"link": link, "password": "short"}, timeout=30)
        assert weak.status_code == 422
        done = requests.post(url, json={"link": link, "password": "a good long password"}, timeout=30)
        assert done.status_code == 201, done.text
        again = requests.post(url, json={"link": link, "password": "a good long password"},
                              timeout=30)
        assert again.status_code == 401
        session, response = sign_in(accord, "admin@localhost", "a good long password")
        assert response.status_code == 201
        me = session.get(f"{accord.address}/api/v1/me", timeout=30)
        assert me.json()["name"] == "user:admin"
    finally:
        accord.stop()
    accord = start_platform(tmp_path / "a")
    assert "admin_link" not in accord.started
    accord.stop()


def test_sessions_need_their_csrf_token(server, api):
    email = f"{name('csrf')}@example.com"
    api.create("users", email=email, role="admin", password="correct horse battery")
    session, response = sign_in(server, email.upper(), "correct horse battery")
    assert response.status_code == 201
    cookie = response.headers["Set-Cookie"]
    assert "HttpOnly" in cookie and "SameSite=Strict" in cookie
    url = f"{server.address}/api/v1/teams"
    assert session.get(url, timeout=30).status_code == 200
    refused = session.post(url, json={"name": name("csrf")}, timeout=30)
    assert refused.status_code == 403 and refused.json()["code"] == "csrf_token_missing"
    token = response.json()["csrf_token"]
    made = session.post(url, json={"name": name("csrf")}, headers={"X-CSRF-Token": token}, timeout=30)
    assert made.status_code == 201
    out = session.delete(f"{server.address}/api/v1/session", headers={"X-CSRF-Token": token},
                         timeout=30)
    assert out.status_code == 204
    session.cookies.set("accord_session", cookie.split("=", 1)[1].split(";")[0])
    assert session.get(url, timeout=30).status_code == 401


def try_from(api, address):
    """A sign-in of somebody new, as a proxy passes it on."""
    return api.post("/session", {"email": f"{name('guess')}@example.com", "password": "wrong wrong"},
                    headers={"X-Forwarded-For": address}).status_code


def test_behind_trusted_proxies_each_address_has_its_own_pauses(tmp_path):
    server = start_platform(tmp_path / "behind", config={"trusted_proxies": ["127.0.0.1", "10.0.0.0/8"]})
    try:
        nobody, admin = Api(server.address, token=None), Api(server.address)
        for address in ("198.51.100.1", "2001:db8::1"):
            assert [try_from(nobody, address) for _ in range(6)] == [401] * 5 + [429], address
        # What stands behind somebody whom nobody trusts may be made up; a network of IPv6 is one.
        assert try_from(nobody, "203.0.113.5, 198.51.100.1, 10.1.2.3") == 429
        assert try_from(nobody, "2001:db8::ffff") == 429
        assert try_from(nobody, "198.51.100.1, 203.0.113.5") == 401
        assert try_from(nobody, "2001:db8:0:1::1") == 401
        # Whoever comes from there is who did it.
        made = admin.post("/teams", {"name": name("t")}, headers={"X-Forwarded-For": "192.0.2.44"})
        assert made.status_code == 201
        assert admin.get("/audit?limit=1").json()["items"][0]["address"] == "192.0.2.44"
    finally:
        server.stop()


def test_nobody_has_pauses_of_their_own_by_saying_where_they_come_from(tmp_path):
    server = start_platform(tmp_path / "before", config={"trusted_proxies": ["10.0.0.0/8"]})
    try:
        nobody = Api(server.address, token=None)
        assert [try_from(nobody, f"198.51.100.{i}") for i in range(7)] == [401] * 5 + [429] * 2
    finally:
        server.stop()


def test_the_same_answer_for_no_user_and_a_wrong_password(server, api):
    email = f"{name('same')}@example.com"
    api.create("users", email=email, password="correct horse battery")
    answers = []
    for given in (email, "nobody-" + email):
        began = time.monotonic()
        _, response = sign_in(server, given, "wrong wrong wrong")
        took = time.monotonic() - began
        body = response.json()
        body.pop("request_id")
        answers.append((response.status_code, body, took))
    assert answers[0][:2] == answers[1][:2]
    assert answers[0][0] == 401
    assert answers[1][2] > answers[0][2] / 4  # the same work is done


@pytest.mark.parametrize("change", ["password", "role", "disable", "delete"])
def test_sessions_end_with_a_change_of_their_user(server, api, change):
    email = f"{name(change)}@example.com"
    user = api.create("users", email=email, role="viewer", password="correct horse battery")
    path = f"/users/{user['id']}"
    session, _ = sign_in(server, email, "correct horse battery")
    me = f"{server.address}/api/v1/me"
    assert session.get(me, timeout=30).status_code == 200
    tag = api.etag(path)
    done = {"password": lambda: api.patch(path, {"password": "another long password"}, match=tag),
            "role": lambda: api.patch(path, {"role": "developer"}, match=tag),
            "disable": lambda: api.post(f"{path}/disable", headers={"If-Match": tag}),
            "delete": lambda: api.delete(path, match=tag)}[change]()
    assert done.status_code in (200, 204), done.text
    assert session.get(me, timeout=30).status_code == 401


def test_a_password_is_never_shown(server, api):
    secret = "correct horse battery staple"
    user = api.create("users", email=f"{name('pw')}@example.com", password=secret)
    assert "password" not in user
    path = f"/users/{user['id']}"
    changed = api.patch(path, {"name": "Somebody"}, match=user["etag"])
    assert changed.status_code == 200 and secret not in changed.text
    _, response = sign_in(server, user["email"], secret)  # and it is still the same
    assert response.status_code == 201
    weak = is_problem(api.post("/users", {"email": "w@example.com", "password": "w@example.com"}), 422)
    assert weak["errors"][0]["pointer"] == "#/password"


# ---- secrets ----

def test_a_secret_is_shown_as_its_last_four(server, api):
    secret = "sk-upstream-abcdefgh-1234"
    provider = api.create("providers", id=name("prov"), dialect="openai", credential=secret)
    path = f"/providers/{provider['id']}"
    assert provider["credential"] == [{"id": "default", "secret": "****1234", "priority": 1}]
    kept = api.put(path, {**provider, "models": ["x"]})  # the mask comes back: the secret stays
    assert kept.status_code == 200, kept.text
    wrong = is_problem(api.patch(path, {"credential": "****9999"}, match="*"), 422)
    assert "mask" in wrong["message"]
    for file in (server.directory / "data").glob("state.db*"):
        assert secret.encode() not in file.read_bytes()
    for page in (path, f"{path}/history", "/audit?limit=20"):
        assert secret not in api.get(page).text


# ---- lists ----

def test_lists_page_sort_filter_and_choose(api):
    tag = name("lists")
    for i in range(7):
        api.create("teams", id=f"{tag}-{i}", name=f"{tag} {9 - i}", description=tag)
    seen, target = [], f"/teams?description={tag}&limit=3&sort=name&fields=name"
    while target:
        page = api.get(target)
        assert page.status_code == 200, page.text
        seen += page.json()["items"]
        links = requests.utils.parse_header_links(page.headers.get("Link", ""))
        target = links[0]["url"].removeprefix("/api/v1") if links else None
        assert ("next_cursor" in page.json()) == bool(links)
    assert [item["name"] for item in seen] == [f"{tag} {9 - i}" for i in (6, 5, 4, 3, 2, 1, 0)]
    assert "description" not in seen[0]
    down = api.get(f"/teams?description={tag}&sort=-id").json()["items"]
    assert [item["id"] for item in down] == [f"{tag}-{i}" for i in (6, 5, 4, 3, 2, 1, 0)]


@pytest.mark.parametrize("query", ["limit=0", "limit=x", "limit=501", "sort=nope", "nope=1", "cursor=x"])
def test_a_wrong_query_is_told(api, query):
    is_problem(api.get(f"/teams?{query}"), 400, "bad_query")


# ---- the past ----

def test_history_diff_and_restore(api):
    team = api.team(description="one")
    path = f"/teams/{team['id']}"
    tag = api.patch(path, {"description": "two"}, match=team["etag"]).headers["ETag"]
    assert api.delete(path, match=tag).status_code == 204
    states = api.get(f"{path}/history").json()["items"]
    assert [state["action"] for state in states] == ["delete", "patch", "create"]
    assert api.get(f"{path}/history/1").json()["description"] == "one"
    changes = api.get(f"{path}/diff?from=1&to=2").json()["changes"]
    assert changes == [{"pointer": "/description", "from": "one", "to": "two"}]
    back = api.post(f"{path}/restore", {"revision": 1}, headers={"If-None-Match": "*"})
    assert back.status_code == 201 and back.json()["revision"] == 4
    assert api.get(path).json()["description"] == "one"


def test_a_revoked_key_stays_revoked_when_it_is_restored(api):
    key = api.create("keys")
    path = f"/keys/{key['id']}"
    assert api.post(f"{path}/revoke", {"revision": 1}).status_code == 200
    restored = api.post(f"{path}/restore", {"revision": 1}, headers={"If-Match": "*"})
    assert restored.json()["state"] == "revoked"


# ---- watch ----

def events_of(connection, count):
    found = []
    while len(found) < count:
        block = connection.read_chunk().decode()
        for event in block.split("\n\n"):
            fields = dict(line.split(": ", 1) for line in event.splitlines()
                          if ": " in line and not line.startswith(":"))
            if "id" in fields:
                found.append((int(fields["id"]), fields["event"], json.loads(fields["data"])))
    return found


def watch(server, token=ADMIN_TOKEN, last=None, kind="teams"):
    connection = server.connect()
    headers = [("Authorization", f"Bearer {token}")]
    if last is not None:
        headers.append(("Last-Event-ID", str(last)))
    connection.send(request("GET", f"/api/v1/{kind}/watch", headers))
    head = connection.read_until(b"\r\n\r\n")
    assert b"text/event-stream" in head, head
    return connection


def test_watch_tells_every_change_once_and_resumes(server, api):
    with watch(server) as connection:
        connection.read_chunk()
        team = api.team()
        path = f"/teams/{team['id']}"
        tag = api.patch(path, {"description": "x"}, match=team["etag"]).headers["ETag"]
        api.delete(path, match=tag)
        seen = events_of(connection, 3)
    assert [event for _, event, _ in seen] == ["create", "patch", "delete"]
    assert seen[1][2]["description"] == "x" and seen[2][2]["revision"] == 3
    with watch(server, last=seen[0][0]) as connection:
        connection.read_chunk()
        assert events_of(connection, 2) == seen[1:]


def test_watch_ends_with_its_token(server, api):
    token = api.create("tokens", name="watch", role="viewer")
    with watch(server, token["secret"]) as connection:
        connection.read_chunk()
        api.post(f"/tokens/{token['id']}/revoke", {"revision": 1})
        assert connection.read_body_so_far() == (b"", True)
        assert server.process.poll() is None


def test_watch_shows_only_what_may_be_seen(server, api, world):
    with watch(server, world.tokens["team viewer"], kind="applications") as connection:
        connection.read_chunk()
        api.create("applications", name="not yours", team="w-theirs")
        mine = api.create("applications", name="yours", team="w-ours")
        assert events_of(connection, 1)[0][2]["id"] == mine["id"]


# ---- audit ----

def test_the_audit_trail_tells_and_is_a_chain(server, api, tmp_path):
    team = api.team()
    api.patch(f"/teams/{team['id']}", {"description": "x"}, match="*")
    entries = api.get(f"/audit?kind=team&id={team['id']}").json()["items"]
    assert [entry["action"] for entry in entries] == ["patch", "create"]
    assert entries[0]["note"] == "unconditional" and entries[0]["who"] == "user:admin"
    assert entries[0]["after"]["description"] == "x" and "description" not in entries[0]["before"]
    good = run(["audit", "verify", "--data", server.directory / "data"], tmp_path, server.env)
    assert good.returncode == 0 and "none changed" in good.stdout, good.stderr


def test_a_forged_audit_trail_is_found(start, tmp_path):
    server = start(env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    for _ in range(4):
        Api(server.address).team()
    server.stop()
    data = server.directory / "data"
    with sqlite3.connect(data / "state.db") as database:
        database.execute("UPDATE audit SET who = 'user:eve' WHERE seq = 3")
    bad = run(["audit", "verify", "--data", data], tmp_path)
    assert bad.returncode == 1 and "entry 3" in bad.stderr, bad.stderr


# ---- one world: file and platform ----

def chat(server, secret, model="m"):
    return requests.post(f"{server.address}/v1/chat/completions", timeout=30,
                         headers={"Authorization": f"Bearer {secret}"},
                         json={"model": model, "messages": []})


def test_a_change_is_live_at_once(api, server, upstream):
    provider = api.create("providers", id=name("live"), dialect="openai",
                          base_url=f"{upstream.url}/v1", credential="sk-live-upstream-0001",
                          allow_private_address=True)
    model = name("live-model")
    api.post("/models", {"id": model, "targets": [{"provider": provider["id"], "model": "u"}]},
             headers={"Prefer": "wait=2"})
    key = api.create("keys", models=[model])
    wait_for(lambda: chat(server, key["secret"], model).status_code == 200, timeout=2)
    assert upstream.requests[-1].header("authorization") == "Bearer sk-live-upstream-0001"
    assert chat(server, key["secret"], "sim/echo").status_code == 403
    path = f"/keys/{key['id']}"
    assert api.post(f"{path}/revoke", {"revision": 1}).status_code == 200
    assert chat(server, key["secret"], model).status_code == 401  # dead when it is answered


def test_rotation_overlaps(api, server):
    key = api.create("keys", models=["sim/*"])
    wait_for(lambda: chat(server, key["secret"], "sim/echo").status_code == 200, timeout=2)
    new = api.post(f"/keys/{key['id']}/rotate", {"revision": 1, "overlap_s": 2}).json()
    assert new["secret"] != key["secret"]
    for secret in (key["secret"], new["secret"]):
        assert chat(server, secret, "sim/echo").status_code == 200
    wait_for(lambda: chat(server, key["secret"], "sim/echo").status_code == 401, timeout=5)
    assert chat(server, new["secret"], "sim/echo").status_code == 200
    newer = api.post(f"/keys/{key['id']}/rotate", {"revision": 2}).json()
    assert chat(server, new["secret"], "sim/echo").status_code == 401
    assert chat(server, newer["secret"], "sim/echo").status_code == 200


def test_revocations_are_dead_under_load(api, server):
    keys = [api.create("keys", models=["sim/*"]) for _ in range(10)]
    wait_for(lambda: chat(server, keys[-1]["secret"], "sim/echo").status_code == 200, timeout=2)

    def revoke(i):
        assert api.post(f"/keys/{keys[i]['id']}/revoke", {"revision": 1}).status_code == 200
        return [chat(server, keys[i]["secret"], "sim/echo").status_code for _ in range(3)]

    assert parallel(10, revoke) == [[401, 401, 401]] * 10


def test_what_a_file_declares_is_managed_there(start, upstream):
    config = config_for(upstream.url)
    server = start(config, env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    api = Api(server.address)
    provider = api.get("/providers/up").json()
    assert provider["created_by"].startswith("file:") and "canary" not in json.dumps(provider)
    body = is_problem(api.patch("/providers/up", {"models": []}, match="*"), 409, "managed_elsewhere")
    assert body["manager"].startswith("file:") and "accord.yaml" in body["message"]
    made = api.create("models", id="joined", targets=[{"provider": "up", "model": "u"}])
    wait_for(lambda: chat(server, KEY, "joined").status_code == 200, timeout=2)
    del config["models"][1]
    server.write_config(config)
    server.signal(1)
    wait_for(lambda: api.get("/models/claude-m").status_code == 404, timeout=5)
    assert api.get(f"/models/{made['id']}").status_code == 200
    assert chat(server, KEY, "joined").status_code == 200


# ---- status ----

def test_status_and_problems(server, api):
    status = api.get("/status").json()
    assert status["store"]["driver"] == server.database and status["store"]["writable"] is True
    assert status["generation"] >= 1 and status["ledger"]["lines_lost"] == 0
    assert {w["generation"] for w in status["workers"]} == {status["generation"]}
    page = requests.get(f"{server.address}/problems/edit-conflict", timeout=10)
    assert page.status_code == 200 and "What has happened" in page.text
    assert requests.get(f"{server.address}/problems/nope", timeout=10).status_code == 404
    assert re.match(r"\d", status["version"])


def test_conflicts_are_counted(server, api):
    made = api.team()
    count = lambda code: sum(  # noqa: E731
        int(line.split()[1]) for line in server.call("GET", "/metrics").body.decode().splitlines()
        if line.startswith(f'accord_conflicts_total{{kind="team",code="{code}"}}'))
    before = count("already_exists"), count("precondition_failed")
    is_problem(api.post("/teams", {"name": made["name"]}), 409)
    is_problem(api.patch(f"/teams/{made['id']}", {"name": "x"}, match='"9-00000000"'), 412)
    assert (count("already_exists"), count("precondition_failed")) == (before[0] + 1, before[1] + 1)
    text = server.call("GET", "/metrics").body.decode()
    assert "accord_store_writable 1" in text and "accord_store_commits_total" in text


@pytest.mark.race
def test_a_watch_misses_nothing_under_many_writers(server, api):
    """Eight writers, three readers of the stream: each sees every change, once, in its order."""
    prefix, writers, each = name("seen"), 8, 25
    results = [[] for _ in range(3)]

    def read(seen):
        with requests.get(f"{api.base}/teams/watch", stream=True, timeout=30,
                          headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}) as stream:
            ready.wait()
            for line in stream.iter_lines():
                if line.startswith(b"data: "):
                    given = json.loads(line[6:])["id"]
                    if given.startswith(prefix):
                        seen.append(given)
                    if len(seen) == writers * each:
                        return

    ready = threading.Barrier(4)
    readers = [threading.Thread(target=read, args=(seen,)) for seen in results]
    for reader in readers:
        reader.start()
    ready.wait()
    parallel(writers, lambda w: [api.team(id=f"{prefix}-{w}-{n}") for n in range(each)])
    for reader in readers:
        reader.join(20)
    assert [len(seen) for seen in results] == [writers * each] * 3
    assert results[0] == results[1] == results[2] and len(set(results[0])) == writers * each
    for w in range(writers):
        mine = [int(i.rpartition("-")[2]) for i in results[0] if i.startswith(f"{prefix}-{w}-")]
        assert mine == list(range(each))


def test_what_is_deleted_is_gone_for_calls(server, api):
    """Each kind that calls depend on, made, changed and deleted on a running server."""
    model, key = name("gone"), name("key")
    wait = {"Prefer": "wait=5"}
    target = {"provider": "sim", "model": "echo"}
    api.post("/models", {"id": model, "aliases": [f"{model}-too"], "targets": [target]},
             headers=wait)
    secret = api.post("/keys", {"id": key, "models": [f"{model}*"]}, headers=wait).json()["secret"]

    def call(of=model):
        return server.call("POST", "/v1/chat/completions", {
            "model": of, "messages": [{"role": "user", "content": "Hi"}]},
            [("Authorization", f"Bearer {secret}")], key=False).status

    assert (call(), call(f"{model}-too")) == (200, 200)
    assert api.patch(f"/models/{model}", {"aliases": []}, match="*", headers=wait).ok
    assert (call(), call(f"{model}-too")) == (200, 404)
    assert api.patch(f"/keys/{key}", {"models": ["other"]}, match="*", headers=wait).ok
    assert call() == 403
    assert api.patch(f"/keys/{key}", {"models": ["*"]}, match="*", headers=wait).ok
    assert call() == 200
    assert api.delete(f"/models/{model}", match="*", headers=wait).status_code == 204
    assert call() == 404
    made = api.post("/models", {"id": model, "targets": [target]}, headers=wait)
    assert made.status_code == 201 and call() == 200
    assert api.delete(f"/keys/{key}", match="*").status_code == 204
    assert call() == 401
