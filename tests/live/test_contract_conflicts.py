"""CONFLICT.md, groups F to K: what a refused write says, patches, repeats, retries, links."""

import re
import threading

import pytest
import requests

from platform_api import (APPLY, MERGE, PATCH, Api, is_problem, name, parallel, start_platform)

@pytest.fixture
def team(api):
    made = api.team(description="first")
    return f"/teams/{made['id']}", made["etag"], made


def user(api, **fields):
    fields.setdefault("email", f"{name('user')}@example.com")
    return api.create("users", **fields)


def service(api, **fields):
    fields.setdefault("prefix", f"/{name('svc')}")
    fields.setdefault("team", api.team()["id"])
    return api.create("services", name="S", **fields)


def subscription(api):
    team_id = api.team()["id"]
    application = api.create("applications", name="A", team=team_id)
    return api.create("subscriptions", application=application["id"],
                      service=service(api, team=team_id)["id"])


# ---- F: 409, 412, 428, 422 ----

def test_F1_a_write_without_a_condition_is_428(api, team):
    path = team[0]
    before = api.get(path).content
    for response in (api.put(path, {"name": "F1"}), api.patch(path, {"name": "F1"}),
                     api.delete(path)):
        body = is_problem(response, 428, "precondition_required")
        assert body["required_header"] == "If-Match"
        assert body["resource"]["href"] == f"/api/v1{path}"
        assert body["current"]["etag"] in body["message"]
    assert api.get(path).content == before


def test_F2_if_none_match_is_a_condition(api):
    path = f"/teams/{name('F2')}"
    is_problem(api.put(path, {"name": path}), 428)
    assert api.put(path, {"name": path}, none_match="*").status_code == 201


def test_F3_duplicate_is_409(api, server):
    first = user(api, email="F3@Example.com")
    body = is_problem(api.post("/users", {"email": "f3@example.COM"}), 409, "already_exists")
    assert body["pointer"] == "#/email" and body["retry"]["class"] == "never"
    assert body["links"]["existing"] == f"/api/v1/users/{first['id']}"
    # Who may not read users does not learn which one it is.
    token = api.create("tokens", name="F3", role="developer",
                       team=api.team()["id"])["secret"]
    blind = Api(server.address, token)
    is_problem(blind.post("/users", {"email": "f3@example.com"}), 403)


@pytest.mark.race
def test_F4_two_developers_one_account(api):
    for _ in range(50):
        email = f"{name('F4')}@example.com"
        codes = [r.status_code for r in parallel(2, lambda i: api.post("/users", {"email": email}))]
        assert sorted(codes) == [201, 409]


def test_F5_a_parent_with_children(api, team):
    application = api.create("applications", name="F5", team=team[2]["id"])
    body = is_problem(api.delete(team[0], match=team[1]), 409, "in_use")
    assert body["blocking"][0]["href"] == f"/api/v1/applications/{application['id']}"
    assert api.get(team[0]).status_code == 200


def test_F6_an_illegal_transition(api):
    path = f"/subscriptions/{subscription(api)['id']}"
    approved = api.post(f"{path}/approve", headers={"If-Match": api.etag(path)})
    assert approved.status_code == 200 and approved.json()["state"] == "approved"
    body = is_problem(api.post(f"{path}/refuse", headers={"If-Match": api.etag(path)}), 409,
                      "invalid_state")
    assert body["state"] == "approved" and set(body["allowed_transitions"]) == {"cancel", "revoke"}


def test_F7_the_revision_in_the_body(api, team):
    path, tag, made = team
    assert api.put(path, {**made, "description": "2"}).status_code == 200
    body = is_problem(api.put(path, {**made, "description": "3"}), 409, "stale_revision")
    assert body["conflicts"][0]["pointer"] == "/description"
    assert (body["conflicts"][0]["base"], body["conflicts"][0]["theirs"],
            body["conflicts"][0]["yours"]) == ("first", "2", "3")
    is_problem(api.put(path, {**made, "description": "3"}, match=api.etag(path)), 400,
               "conflicting_conditions")


def test_F8_a_broken_rule_is_422(api, team):
    for body in ({"name": "x", "nam": 1}, {"name": 5}, {}, {"name": ""}):
        problem = is_problem(api.put(team[0], body, match=team[1]), 422, "invalid")
        assert problem["errors"][0]["pointer"].startswith("#")


def test_F9_what_every_refusal_says(api, team):
    path, tag, made = team
    assert api.patch(path, {"description": "theirs"}, match=tag).status_code == 200
    response = api.patch(path, {"description": "yours", "name": "F9 " + made["id"]}, match=tag)
    body = is_problem(response, 412, "precondition_failed")
    assert response.headers["ETag"] == body["current"]["etag"] == api.etag(path)
    assert body["base"]["etag"] == tag
    assert body["conflicts"][0]["yours"] == "yours" and body["mergeable"][0]["pointer"] == "/name"
    ways = {way["rel"]: way for way in body["resolutions"]}
    merged = ways["apply-merged"]
    done = api.send(merged["method"], merged["href"].removeprefix("/api/v1"), merged["patch"],
                    {"If-Match": merged["if_match"], "Content-Type": merged["content_type"]})
    assert done.status_code == 200
    assert (done.json()["description"], done.json()["name"]) == ("theirs", "F9 " + made["id"])
    assert response.headers["x-should-retry"] == "false"


def test_F10_the_next_read_shows_who_won(api, team):
    path, tag, _ = team
    won = api.patch(path, {"description": "won"}, match=tag)
    is_problem(api.patch(path, {"description": "lost"}, match=tag), 412)
    assert api.get(path).content == won.content


# ---- merging on request ----

def test_disjoint_changes_are_merged(api, team):
    path, tag, made = team
    assert api.patch(path, {"description": "theirs"}, match=tag).status_code == 200
    response = api.put(path, {"name": "merged " + made["id"], "description": "first"},
                       headers={"Prefer": f"conflict=merge; base={tag}"})
    assert response.status_code == 200, response.text
    assert response.headers["Preference-Applied"] == "conflict=merge"
    body = response.json()
    assert (body["description"], body["merged_from"]) == ("theirs", made["revision"])


def test_overlapping_changes_are_not(api, team):
    path, tag, _ = team
    api.patch(path, {"description": "theirs"}, match=tag)
    body = is_problem(api.patch(path, {"description": "yours"},
                                headers={"Prefer": f"conflict=merge; base={tag}"}), 409,
                      "edit_conflict")
    assert body["retry"]["class"] == "after-merge"
    is_problem(api.patch(path, {"description": "x"},
                         headers={"Prefer": 'conflict=merge; base="77-00000000"'}), 409,
               "stale_base")


def test_if_match_decides_over_prefer(api, team):
    path, tag, _ = team
    api.patch(path, {"description": "theirs"}, match=tag)
    is_problem(api.patch(path, {"name": "x"}, match=tag,
                         headers={"Prefer": f"conflict=merge; base={tag}"}), 412)


def test_lists_are_merged_by_what_their_elements_are_known_by(api):
    made = service(api, tags=["a", "b"],
                   upstreams=[{"url": "http://one.test"}, {"url": "http://two.test", "weight": 2}])
    path, tag = f"/services/{made['id']}", made["etag"]
    api.patch(path, {"tags": ["a", "b", "c"],
                     "upstreams": [{"url": "http://one.test", "weight": 5},
                                   {"url": "http://two.test", "weight": 2}]}, match=tag)
    merged = api.patch(path, {"tags": ["b", "d"],
                              "upstreams": [{"url": "http://one.test"},
                                            {"url": "http://two.test", "weight": 3}]},
                       headers={"Prefer": f"conflict=merge; base={tag}"})
    assert merged.status_code == 200, merged.text
    assert sorted(merged.json()["tags"]) == ["b", "c", "d"]
    assert [u["weight"] for u in merged.json()["upstreams"]] == [5, 3]


# ---- G: problem details ----

def test_G1_to_G5_the_form(api, team):
    body = is_problem(api.delete(team[0]), 428)
    assert body["error"] == "Precondition Required" and body["path"] == f"/api/v1{team[0]}"
    page = requests.get(body["type"], headers={"Accept": "text/html"}, timeout=10)
    assert page.status_code == 200 and page.headers["Content-Type"].startswith("text/html")
    assert "What to do" in page.text
    data = requests.get(body["type"], headers={"Accept": "application/json"}, timeout=10).json()
    assert data["status"] == 428 and data["title"] == body["title"]
    for member in body:
        assert re.match(r"^[A-Za-z][A-Za-z0-9_]{2,}$", member), member


def test_G6_whatever_is_accepted(api, team):
    response = api.delete(team[0], headers={"Accept": "text/plain"})
    is_problem(response, 428)
    head = api.send("HEAD", "/teams/not-there")
    assert head.status_code == 404 and head.content == b""
    assert head.headers["Content-Type"] == "application/problem+json"


def test_G7_in_chinese(api, team):
    response = api.delete(team[0], headers={"Accept-Language": "zh-CN,zh;q=0.9"})
    assert is_problem(response, 428)["title"] == "需要前置条件"
    assert response.headers["Content-Language"] == "zh"


def test_G8_the_instance_can_be_read(api, server, team):
    body = is_problem(api.delete(team[0], match='"9-00000000"'), 412)
    record = api.get(body["instance"].removeprefix("/api/v1")).json()
    assert record["answer"]["request_id"] == body["request_id"] and record["who"] == "user:admin"
    stranger = api.create("tokens", name="G8", role="viewer", team=api.team()["id"])["secret"]
    other = Api(server.address, stranger)
    private = service(api, team=team[2]["id"])
    hidden = is_problem(api.delete(f"/services/{private['id']}", match='"9-00000000"'), 412)
    assert other.get(hidden["instance"].removeprefix("/api/v1")).status_code in (200, 404)


def test_G9_pointers_of_what_is_wrong(api, team):
    problem = is_problem(api.post("/services", {"name": "x", "team": team[2]["id"], "prefix": "/g9",
                                                "upstreams": [{"url": "nope", "wait": 1}]}), 422)
    pointers = {error["pointer"] for error in problem["errors"]}
    assert {"#/upstreams/0/url", "#/upstreams/0/wait"} <= pointers


def test_G9_did_you_mean(api, team):
    problem = is_problem(api.put(team[0], {"name": "x", "descripton": "y"}, match=team[1]), 422)
    assert problem["errors"][0]["pointer"] == "#/descripton"
    assert 'did you mean "description"' in problem["errors"][0]["detail"]


def test_G10_nothing_of_the_inside(api):
    for response in (api.post("/users", {"email": "x' OR 1=1 --@example.com"}),
                     api.get("/users/%27%20OR%201=1"), api.get("/teams?cursor=%27")):
        assert not re.search(r"SELECT|sqlite|postgres|\.c:\d", response.text)


# ---- H: patches ----

def test_H1_merge_patch_of_a_resource(api, team):
    path, tag, made = team
    response = api.patch(path, {"description": None}, match=tag)
    assert response.status_code == 200 and "description" not in response.json()
    response = api.patch(path, {"description": "again"}, match=response.headers["ETag"])
    assert response.json()["description"] == "again" and response.json()["name"] == made["name"]


def test_H2_json_patch_of_a_resource(api, team):
    path, tag, made = team
    response = api.patch(path, [
        {"op": "test", "path": "/revision", "value": made["revision"]},
        {"op": "replace", "path": "/description", "value": "patched"},
        {"op": "copy", "from": "/description", "path": "/name"}], match=tag, kind=PATCH)
    assert response.status_code == 200, response.text
    assert response.json()["name"] == "patched"


def test_H3_H4_a_patch_that_does_not_fit(api, team):
    path, tag, _ = team
    before = api.get(path).content
    for last in ({"op": "test", "path": "/name", "value": "no"}, {"op": "remove", "path": "/nope"},
                 {"op": "replace", "path": "/nope", "value": 1}):
        body = is_problem(api.patch(path, [{"op": "add", "path": "/description", "value": "x"},
                                           last], match=tag, kind=PATCH), 409, "patch_test_failed")
        assert body["failed_operation"] == 1
    assert api.get(path).content == before


def test_H5_H6_malformed_and_invalid(api, team):
    path, tag, _ = team
    is_problem(api.patch(path, "{", match=tag), 400, "malformed_json")
    is_problem(api.patch(path, [{"op": "nope", "path": ""}], match=tag, kind=PATCH), 400,
               "malformed_patch")
    is_problem(api.patch(path, {"op": "add"}, match=tag, kind=PATCH), 400, "malformed_patch")
    is_problem(api.patch(path, {"name": 5}, match=tag), 422, "invalid")
    assert api.etag(path) == tag


def test_H7_types_of_patches(api, team):
    response = api.send("OPTIONS", team[0])
    assert "PATCH" in response.headers["Allow"] and MERGE in response.headers["Accept-Patch"]
    assert PATCH in response.headers["Accept-Patch"]


@pytest.mark.race
def test_H8_no_reader_sees_half_a_change(api, team):
    path, tag, made = team
    stopping, seen = threading.Event(), []

    def read():
        while not stopping.is_set():
            body = api.get(path).json()
            if body.get("description", "first") not in ("first", body["name"]):
                seen.append(body)

    reader = threading.Thread(target=read)
    reader.start()
    for i in range(300):
        text = f"H8 {made['id']} {i}"
        tag = api.patch(path, {"name": text, "description": text}, match=tag).headers["ETag"]
    stopping.set()
    reader.join()
    assert not seen


def test_H5_half_a_surrogate_pair_is_no_text(api, team):
    path, tag, _ = team
    half, whole = '{"description":"\\ud83d"}', '{"description":"\\ud83d\\ude00"}'
    is_problem(api.patch(path, half, match=tag), 400, "malformed_json")
    assert api.patch(path, whole, match=tag).json()["description"] == "\U0001f600"


def test_H9_nothing_to_patch(api):
    is_problem(api.patch(f"/teams/{name('H9')}", {"name": "x"}, match="*"), 404)


# ---- I: Idempotency-Key ----

def create_with(api, key, body, **options):
    return api.post("/teams", body, headers={"Idempotency-Key": key}, **options)


@pytest.mark.parametrize("key", ["", "a" * 256, "a b", "a,b", '"open', '""', "a;p=1", "\u00e4"])
def test_I2_malformed_keys(api, key):
    response = create_with(api, key.encode("latin-1"), {"name": name("I2")})
    is_problem(response, 400, "idempotency_key_invalid")


def test_I2_quoted_and_bare_are_one(api):
    body = {"name": name("I2")}
    assert create_with(api, "7f9c-I2", body).status_code == 201
    assert create_with(api, '"7f9c-I2"', body).headers["Idempotent-Replayed"] == "true"


def test_I3_the_same_answer_again(api):
    key, body = name("key"), {"name": name("I3")}
    first, again = create_with(api, key, body), create_with(api, key, body)
    assert (again.status_code, again.content) == (first.status_code, first.content)
    for field in ("ETag", "Location", "Content-Type"):
        assert again.headers[field] == first.headers[field]
    assert "Set-Cookie" not in again.headers
    assert again.headers["x-request-id"] != first.headers["x-request-id"]


def test_I3_a_secret_is_answered_again_and_kept_sealed(api, server):
    key = name("key")
    send = lambda: api.post("/keys", {}, headers={"Idempotency-Key": key})  # noqa: E731
    first, again = send(), send()
    assert first.json()["secret"] == again.json()["secret"]
    secret = first.json()["secret"].encode()
    for file in (server.directory / "data").glob("state.db*"):
        assert secret not in file.read_bytes(), file


def test_I4_another_request_with_the_same_key(api):
    key, body = name("key"), {"name": name("I4")}
    assert create_with(api, key, body).status_code == 201
    is_problem(create_with(api, key, {"name": "other"}), 422, "idempotency_mismatch")
    is_problem(api.post("/teams?dry_run=false", body, headers={"Idempotency-Key": key}), 422)
    assert create_with(api, key, body).status_code == 201


@pytest.mark.race
def test_I5_64_at_once_are_done_once(api):
    key, text = name("key"), name("I5")
    answers = parallel(64, lambda i: create_with(api, key, {"name": text}))
    assert {a.status_code for a in answers} == {201}
    assert len({a.content for a in answers}) == 1
    assert sum("Idempotent-Replayed" not in a.headers for a in answers) == 1


def test_I6_keys_are_their_senders(api, server):
    token = api.create("tokens", name="I6", role="owner")
    other, key, text = Api(server.address, token["secret"]), name("key"), name("I6")
    assert create_with(api, key, {"name": text}).status_code == 201
    assert create_with(other, key, {"name": text + " too"}).status_code == 201
    path = f"/tokens/{token['id']}"
    assert api.post(f"{path}/revoke", headers={"If-Match": api.etag(path)}).status_code == 200
    is_problem(create_with(other, key, {"name": text + " too"}), 401)


def test_I7_what_was_refused_is_not_kept(api):
    key = name("key")
    is_problem(create_with(api, key, {"nam": "x"}), 422)
    assert create_with(api, key, {"name": name("I7")}).status_code == 201


def test_I13_a_read_ignores_it(api, team):
    for _ in range(2):
        response = api.get(team[0], headers={"Idempotency-Key": "a, b"})
        assert response.status_code == 200 and "Idempotent-Replayed" not in response.headers


# ---- J: retry after ----

def test_J1_J2_too_many_attempts(api, server):
    someone = user(api, password="correct horse battery")
    nobody = Api(server.address, token=None)
    for _ in range(5):
        is_problem(nobody.post("/session", {"email": someone["email"], "password": "wrong"}), 401)
    response = nobody.post("/session", {"email": someone["email"], "password": "wrong"})
    is_problem(response, 429, "too_many_attempts")
    assert re.fullmatch(r"\d+", response.headers["Retry-After"])
    assert int(response.headers["Retry-After"]) <= 60


# ---- K: links ----

def test_K5_K6_links_of_a_refusal(api, team):
    response = api.patch(team[0], {"name": "x"}, match='"9-00000000"')
    links = {link["rel"]: link["url"] for link in requests.utils.parse_header_links(
        response.headers["Link"])}
    assert links["latest-version"] == f"/api/v1{team[0]}"
    assert links["version-history"] == f"/api/v1{team[0]}/history"


# ---- apply: whose field is it ----

def test_apply_takes_only_what_is_its_own(api, team):
    path, _, made = team
    apply = lambda manager, body, more="": api.patch(  # noqa: E731
        f"{path}?manager=file:{manager}.yaml{more}", body, kind=APPLY)
    assert apply("one", {"description": "by one"}, "&force=true").status_code == 200
    body = is_problem(apply("two", {"description": "by two"}), 409, "managed_elsewhere")
    assert body["manager"] == "file:one.yaml"
    assert apply("two", {"description": "by one"}).status_code == 200  # agrees, so nothing to take
    assert apply("two", {"description": "by two"}, "&dry_run=true&force=true").status_code == 200
    assert api.get(path).json()["description"] == "by one"
    assert apply("two", {"description": "by two"}, "&force=true").status_code == 200
    assert api.get(path).json()["description"] == "by two"


def test_apply_takes_back_what_it_does_not_declare_any_more(api):
    path = f"/teams/{name('apply')}"
    apply = lambda manager, body: api.patch(  # noqa: E731
        f"{path}?manager=file:{manager}.yaml", body, kind=APPLY)
    assert apply("one", {"name": path, "description": "by one"}).status_code == 201
    assert "description" not in apply("one", {"name": path}).json()
    assert api.patch(path, {"description": "by hand"}, match="*").status_code == 200
    answer = apply("one", {"name": path})  # what a person has set since is theirs
    assert answer.status_code == 200 and answer.json()["description"] == "by hand"
    assert answer.json()["updated_by"] == "user:admin"  # who did it, whatever file it was
    for manager in ("", "user:boss", "file:", "file:a%00b", "file:" + "x" * 201):
        is_problem(api.patch(f"{path}?manager={manager}", {"name": path}, kind=APPLY), 400)


# ---- the naive client, who is understood, too ----

def test_a_plain_loop_gets_a_message(api, server):
    url, email = f"{server.address}/api/v1/users", f"{name('plain')}@example.com"
    headers = {"Authorization": f"Bearer {api.token}"}
    assert requests.post(url, json={"email": email}, headers=headers, timeout=10).status_code == 201
    response = requests.post(url, json={"email": email}, headers=headers, timeout=10)
    assert response.status_code == 409 and email in response.json()["message"]
