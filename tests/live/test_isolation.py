"""What one team, person or program must not learn or do of another: lists, the past, the trail, kept
answers, passwords and links, names."""

import json
import threading
import time

import pytest
import requests

from platform_api import ADMIN_TOKEN, PATCH, Api, is_problem, name, start_platform


class Teams:
    """Two teams with an application and a service each, and a token of each role in each."""

    def __init__(self, server, api):
        self.server, self.api = server, api
        for which in ("ours", "theirs"):
            team = api.team(id=name(which))["id"]
            application = api.create("applications", name="A", team=team)["id"]
            service = api.create("services", name="S", team=team, prefix=f"/{name('svc')}")["id"]
            setattr(self, which, (team, application, service))

    def of(self, role, team):
        return Api(self.server.address, self.api.create("tokens", name=role, role=role,
                                                        team=team)["secret"])


PASSWORD, OTHER = "correct horse battery", "another horse battery"


class Person:
    """Somebody who signed in: their session's cookie and CSRF token."""

    def __init__(self, server, email, password):
        self.url = f"{server.address}/api/v1"
        self.http = requests.Session()
        self.http.trust_env = False
        self.answer = self.http.post(f"{self.url}/session", timeout=30,
                                     json={"email": email, "password": password})
        if self.answer.status_code == 201:
            self.http.headers["X-CSRF-Token"] = self.answer.json()["csrf_token"]

    def change(self, current, password, query=""):
        return self.http.put(f"{self.url}/me/password{query}", timeout=30,
                             json={"current_password": current, "password": password})

    def is_in(self):
        return self.http.get(f"{self.url}/me", timeout=30).status_code == 200


@pytest.fixture
def teams(server, api):
    return Teams(server, api)


# ---- the trail ----

def test_the_trail_of_a_team_is_its_own(teams, api):
    (ours, application, _), (_, foreign, _) = teams.ours, teams.theirs
    for path in (f"/applications/{application}", f"/applications/{foreign}"):
        assert api.patch(path, {"description": "x"}, match="*").status_code == 200
    api.create("roles", id=name("role"), name="R", permissions=["team.read"])
    for role in ("auditor", "admin", "owner"):
        entries = teams.of(role, ours).get("/audit?limit=500").json()["items"]
        assert {e["id"] for e in entries} >= {application, ours}
        for entry in entries:
            states = [entry[side] for side in ("before", "after") if side in entry]
            assert states, entry
            assert entry["id"] == ours or all(s.get("team") == ours or s.get("application") in
                                              (application, None) for s in states), entry
            assert entry["id"] != foreign and entry["kind"] not in ("role", "provider"), entry
    everything = api.get("/audit?limit=500").json()["items"]
    assert {e["id"] for e in everything} >= {application, foreign}


def test_pages_of_a_teams_trail_go_on(teams, api):
    (ours, application, _), (_, foreign, _) = teams.ours, teams.theirs
    for n in range(12):
        for which in (application, foreign):
            assert api.patch(f"/applications/{which}", {"description": str(n)},
                             match="*").status_code == 200
    auditor, seen, cursor = teams.of("auditor", ours), [], ""
    while True:
        page = auditor.get(f"/audit?id={application}&limit=5{cursor}").json()
        seen += [e["seq"] for e in page["items"]]
        if "next_cursor" not in page:
            break
        assert len(page["items"]) == 5
        cursor = f"&cursor={page['next_cursor']}"
    assert len(seen) == len(set(seen)) == 13 and seen == sorted(seen, reverse=True)
    assert auditor.get(f"/audit?id={foreign}").json()["items"] == []


# ---- the past ----

def test_the_past_of_a_reused_id_is_its_former_teams(teams, api):
    (ours, _, _), (theirs, _, _) = teams.ours, teams.theirs
    given = name("reused")
    path, secret = f"/applications/{given}", "what only they may know"
    api.create("applications", id=given, name="B", team=theirs, description=secret)
    before = api.etag(path)
    assert api.delete(path, match="*").status_code == 204
    ours = teams.of("developer", ours)
    assert ours.get(f"{path}/history").status_code == 404
    made = ours.post("/applications", {"id": given, "name": "C", "team": teams.ours[0]})
    assert made.status_code == 201 and made.json()["revision"] == 3
    assert [s["revision"] for s in ours.get(f"{path}/history").json()["items"]] == [3]
    for past in ("/history/1", "/history/2", "/diff?from=1&to=3", "/diff?from=1"):
        assert ours.get(path + past).status_code == 404, past
    restored = ours.post(f"{path}/restore", {"revision": 1}, headers={"If-Match": "*"})
    is_problem(restored, 422, "invalid")
    body = {"name": "D", "team": teams.ours[0], "description": "mine"}
    merged = ours.put(path, body, headers={"Prefer": f"conflict=merge; base={before}"})
    is_problem(merged, 409, "stale_base")
    stale = ours.put(path, body, match=before)
    assert stale.status_code == 412
    for answer in (restored, merged, stale, ours.get(path), ours.get(f"{path}/history")):
        assert secret not in answer.text
    assert len(api.get(f"{path}/history").json()["items"]) == 3


def test_the_conflicts_of_a_former_team_are_its_own(teams, api):
    (ours, _, _), (theirs, application, _) = teams.ours, teams.theirs
    path = f"/applications/{application}"
    tag = api.etag(path)
    assert api.patch(path, {"description": "a secret of theirs"}, match=tag).status_code == 200
    refused = teams.of("developer", theirs).patch(path, {"description": "mine"}, match=tag)
    record = refused.json()["instance"].removeprefix("/api/v1")
    assert api.get(record).status_code == 200
    assert api.patch(path, {"team": ours, "name": "Moved",
                            "description": "ours now"}, match="*").status_code == 200
    new_owner = teams.of("developer", ours)
    assert new_owner.get(path).status_code == 200
    assert new_owner.get(record).status_code == 404
    assert "a secret of theirs" not in new_owner.get(f"{path}/history").text
    assert "a secret of theirs" not in new_owner.get(f"/conflicts?resource_id={application}").text


# ---- kept answers ----

def test_a_kept_answer_is_not_told_to_who_lost_the_right(teams, api, server):
    (ours, application, _), (theirs, _, _) = teams.ours, teams.theirs
    email = f"{name('w')}@example.com"
    person = api.create("users", email=email, password=PASSWORD)["id"]
    member = api.create("memberships", user=person, team=ours, role="developer")["id"]
    own = Person(server, email, PASSWORD)
    token = Api(server.address, own.http.post(f"{own.url}/tokens", timeout=30,
                                              json={"name": "w"}).json()["secret"])
    body, key = {"id": name("key"), "application": application}, {"Idempotency-Key": name("k")}
    first = token.post("/keys", body, headers=key)
    assert first.status_code == 201
    assert token.post("/keys", body, headers=key).json()["secret"] == first.json()["secret"]
    assert api.delete(f"/memberships/{member}", match="*").status_code == 204
    api.create("memberships", user=person, team=theirs, role="developer")
    again = token.post("/keys", body, headers=key)
    is_problem(again, 403)
    assert first.json()["secret"] not in again.text


def test_a_kept_answer_is_not_told_to_another_of_the_same_name(teams, api, server):
    given = name("ci")
    body = {"id": name("key"), "application": teams.ours[1]}
    key = {"Idempotency-Key": name("k")}

    def token():
        return Api(server.address, api.create("tokens", id=given, name="ci", role="developer",
                                              team=teams.ours[0])["secret"])

    first = token().post("/keys", body, headers=key)
    assert first.status_code == 201
    assert api.delete(f"/tokens/{given}", match="*").status_code == 204
    again = token().post("/keys", body, headers=key)
    is_problem(again, 422, "idempotency_mismatch")
    assert first.json()["secret"] not in again.text


# ---- who decides sees it ----

def test_who_decides_about_a_subscription_sees_it(teams, api):
    (ours, application, _), (theirs, _, service) = teams.ours, teams.theirs
    asker, decider = teams.of("developer", ours), teams.of("developer", theirs)
    made = asker.post("/subscriptions", {"application": application, "service": service})
    assert made.status_code == 201, made.text
    path = f"/subscriptions/{made.json()['id']}"
    assert made.json()["id"] in [s["id"] for s in decider.get("/subscriptions").json()["items"]]
    assert decider.get(f"{path}/approve").json()["permitted"] is True
    assert asker.get(f"{path}/approve").json()["permitted"] is False
    approved = decider.post(f"{path}/approve", headers={"If-Match": decider.etag(path)})
    assert approved.json()["state"] == "approved"
    assert len(decider.get(f"{path}/history").json()["items"]) == 2
    stranger = teams.of("developer", api.team()["id"])
    assert stranger.get(path).status_code == 404


# ---- passwords, links, sessions ----

def test_a_link_ends_with_each_password_and_is_in_the_trail(tmp_path):
    server = start_platform(tmp_path / "a")
    try:
        api, redeem = Api(server.address), f"{server.address}/api/v1/session/redeem"
        link = server.started["admin_link"]
        assert api.patch("/users/admin", {"password": PASSWORD}, match="*").status_code == 200
        gone = requests.post(redeem, json={"link": link, "password": OTHER}, timeout=30)
        is_problem(gone, 401, "sign_in_failed")  # somebody has set a password since
    finally:
        server.stop()
    server = start_platform(tmp_path / "b")
    try:
        api, redeem = Api(server.address), f"{server.address}/api/v1/session/redeem"
        first = requests.post(redeem, timeout=30, json={
            "link": server.started["admin_link"], "password": PASSWORD})
        assert first.status_code == 201
        trail = [e["action"] for e in api.get("/audit?kind=user&id=admin").json()["items"]]
        assert trail[:2] == ["sign-in", "redeem"]
    finally:
        server.stop()


def test_guessing_the_present_password_is_slowed_down(tmp_path):
    server = start_platform(tmp_path / "a")  # of its own: failures count for the address, too
    try:
        api, email = Api(server.address), f"{name('guess')}@example.com"
        api.create("users", email=email, password=PASSWORD)
        person = Person(server, email, PASSWORD)
        answers = [person.change(f"wrong {n}", OTHER).status_code for n in range(8)]
        assert answers[:5] == [401] * 5 and 429 in answers[5:]
        is_problem(person.change(PASSWORD, OTHER), 429, "too_many_attempts")
        assert Person(server, email, PASSWORD).answer.status_code == 429  # one account, one count
    finally:
        server.stop()


@pytest.mark.parametrize("query", ["?dry_run=true", "?bogus=1"])
def test_what_knows_no_parameters_refuses_them(server, api, query):
    email = f"{name('query')}@example.com"
    api.create("users", email=email, password=PASSWORD)
    person = Person(server, email, PASSWORD)
    is_problem(person.change(PASSWORD, OTHER, query), 400, "bad_query")
    is_problem(person.http.delete(f"{person.url}/session{query}", timeout=30), 400, "bad_query")
    assert person.is_in()
    for path, body in (("/session", {"email": email, "password": PASSWORD}),
                       ("/session/redeem", {"link": "ln-x", "password": PASSWORD})):
        is_problem(requests.post(f"{person.url}{path}{query}", json=body, timeout=30), 400,
                   "bad_query")
    team = api.team()["id"]
    for path in ("/status", "/me", "/openapi.json", "/conflicts", f"/teams/{team}/history/1",
                 f"/teams/{team}/restore"):
        is_problem(api.get(path + query), 400, "bad_query")


# ---- names of models ----

def test_a_model_takes_no_name_of_another(server, api):
    victim, other = name("victim"), name("other")
    target = {"targets": [{"provider": "sim", "model": "echo"}]}
    thief = {"targets": [{"provider": "sim", "model": "lorem"}]}
    api.create("models", id=victim, aliases=[f"{victim}-too"], **target)
    for taken, pointer in (({"id": f"a-{other}", "aliases": [victim]}, "#/aliases"),
                           ({"id": f"a-{other}", "aliases": [f"{victim}-too"]}, "#/aliases"),
                           ({"id": f"{victim}-too"}, "#/id")):
        problem = is_problem(api.post("/models", {**taken, **thief}), 409, "already_exists")
        assert problem["pointer"] == pointer and problem["links"]["existing"].endswith(victim)
    made = api.create("models", id=other, aliases=[f"{other}-too"], **thief)
    is_problem(api.patch(f"/models/{other}", {"aliases": [victim]}, match=made["etag"]), 409)
    assert api.patch(f"/models/{victim}", {"aliases": []}, match="*").status_code == 200
    freed = api.patch(f"/models/{other}", {"aliases": [f"{victim}-too"]}, match="*")
    assert freed.status_code == 200
    assert api.delete(f"/models/{other}", match="*").status_code == 204
    api.create("models", id=f"{victim}-too", **target)


# ---- nobody holds up the others ----

def test_a_patch_with_very_many_members_holds_nobody_up(server, api):
    """Every write of the server shares one transaction with it."""
    path = f"/teams/{api.team()['id']}"
    hostile = json.dumps({f"k{i}": 1 for i in range(60000)})
    done = []
    thread = threading.Thread(target=lambda: done.append(api.patch(path, hostile, match="*")))
    thread.start()
    began, slowest = time.monotonic(), 0.0
    while thread.is_alive() and time.monotonic() < began + 60:
        asked = time.monotonic()
        assert api.post("/teams", {"name": name("behind")}).status_code == 201
        slowest = max(slowest, time.monotonic() - asked)
    thread.join()
    is_problem(done[0], 422, "invalid")
    assert slowest < 3, slowest  # with sanitizers; minutes when it was quadratic


def test_a_json_patch_holds_nobody_up_either(server, api):
    path = f"/teams/{api.team()['id']}"
    for value, pointer in (({f"k{i}": 1 for i in range(999)}, "/b/k998"), ([1] * 999, "/b/998")):
        patch = [{"op": "add", "path": "/b", "value": value}]
        patch += [{"op": "test", "path": pointer, "value": 1}] * 999
        began = time.monotonic()
        is_problem(api.patch(path, patch, match="*", kind=PATCH), 422)
        assert time.monotonic() - began < 2
    for wide in ([1] * 1001, {f"k{i}": 1 for i in range(1001)}):
        is_problem(api.patch(path, [{"op": "add", "path": "/b", "value": wide}], match="*",
                             kind=PATCH), 422, "invalid")


def test_a_body_of_this_api_has_a_bound(server, api):
    whole = json.dumps({"name": "x" * (1 << 20)})
    is_problem(api.post("/teams", whole), 413, "content_too_large")

    def pieces():
        for at in range(0, len(whole), 65536):
            yield whole[at:at + 65536].encode()

    try:
        chunked = requests.post(f"{api.base}/teams", data=pieces(), timeout=30, headers={
            "Authorization": f"Bearer {ADMIN_TOKEN}", "Content-Type": "application/json"})
    except requests.ConnectionError:
        return  # it was told while it was sending, and the connection closed
    assert chunked.status_code == 413
