"""CONFLICT.md, groups A to E: validators, conditions, dates, and in what order they are looked at."""

import email.utils
import json
import re
import signal

import pytest

from platform_api import (ADMIN_TOKEN, MERGE, PATCH, Api, is_problem, name, parallel,
                          start_platform)
from wire import request

ETAG = re.compile(r'^"[\x21\x23-\x5b\x5d-\x7e]*"$')
LONG_AGO = "Sun, 06 Nov 1994 08:49:37 GMT"
FAR = "Fri, 31 Dec 2099 23:59:59 GMT"


@pytest.fixture
def team(api):
    """A resource R, its path and its tag E1."""
    made = api.team()
    return f"/teams/{made['id']}", made["etag"], made


def changed(api, path, tag, text="changed"):
    response = api.patch(path, {"description": text}, match=tag)
    assert response.status_code == 200, response.text
    return response.headers["ETag"]


# ---- A: validators ----

def test_A1_etag_is_well_formed(api, team):
    response = api.get(team[0])
    assert response.status_code == 200
    assert ETAG.match(response.headers["ETag"]) and "\\" not in response.headers["ETag"]


def test_A2_same_tag_without_a_write_and_for_head(api, team):
    first, second = api.get(team[0]), api.get(team[0])
    head = api.send("HEAD", team[0])
    assert first.headers["ETag"] == second.headers["ETag"] == head.headers["ETag"]
    assert first.headers["Last-Modified"] == head.headers["Last-Modified"]
    assert head.content == b"" and head.headers["Content-Length"] == str(len(first.content))


def test_A3_any_change_changes_the_tag(api, team):
    seen = {team[1]}
    tag = team[1]
    for text in ("a", "b", "a ", "ä"):
        tag = changed(api, team[0], tag, text)
        assert tag not in seen
        seen.add(tag)


def test_A4_a_to_b_to_a_is_not_the_same(api, team):
    path, first, _ = team
    second = changed(api, path, first, "b")
    third = api.patch(path, {"description": None}, match=second).headers["ETag"]
    assert third not in (first, second)
    assert api.get(path).json().get("description") is None


def test_A5_recreated_is_not_the_same(api, team):
    path, first, made = team
    assert api.delete(path, match=first).status_code == 204
    again = api.post("/teams", {"id": made["id"], "name": made["name"]})
    assert again.status_code == 201
    assert again.headers["ETag"] != first
    assert again.json()["revision"] > made["revision"] + 1  # the deletion counted, too


def test_A6_the_tag_survives_kill_9(tmp_path):
    accord = start_platform(tmp_path / "a")
    api = Api(accord.address)
    path = f"/teams/{api.team(id='kept')['id']}"
    tag = changed(api, path, api.etag(path), "one")
    accord.may_fail = True
    accord.signal(signal.SIGKILL)
    accord.process.wait()
    accord.stop()
    accord = start_platform(tmp_path / "a")
    try:
        api = Api(accord.address)
        assert api.etag(path) == tag
        assert changed(api, path, tag, "two").startswith('"3-')
    finally:
        accord.stop()


def test_A7_the_tag_is_of_what_is_sent(api, team):
    plain = api.get(team[0], headers={"Accept-Encoding": "identity"})
    packed = api.get(team[0], headers={"Accept-Encoding": "gzip"})
    # Nothing is compressed: there is one form, so one tag is right for both.
    assert "Content-Encoding" not in packed.headers
    assert plain.content == packed.content and plain.headers["ETag"] == packed.headers["ETag"]


def test_A8_the_tag_of_a_compressed_read_is_good_for_a_write(api, team):
    tag = api.get(team[0], headers={"Accept-Encoding": "gzip"}).headers["ETag"]
    assert api.patch(team[0], {"description": "x"}, match=tag).status_code == 200


def test_A9_the_tag_of_a_projection_is_good_for_a_write(api, team):
    part = api.get(f"{team[0]}?fields=description")
    assert "name" not in part.json()
    assert api.patch(team[0], {"description": "x"}, match=part.headers["ETag"]).status_code == 200


def test_A10_items_of_a_list_have_their_tag(api, team):
    items = api.get("/teams?limit=500").json()["items"]
    mine = [item for item in items if item["id"] == team[2]["id"]]
    assert mine[0]["etag"] == api.etag(team[0])


def test_A11_last_modified_is_not_in_the_future(api, team):
    response = api.get(team[0])
    date, modified = (email.utils.parsedate_to_datetime(response.headers[field])
                      for field in ("Date", "Last-Modified"))
    assert modified <= date


def test_A12_create_tells_where_and_which_state(api):
    made = api.post("/teams", {"name": name("A12")})
    assert made.status_code == 201
    found = api.get(made.headers["Location"].removeprefix("/api/v1"))
    assert found.headers["ETag"] == made.headers["ETag"] == made.json()["etag"]


def test_A13_put_has_no_tag_for_what_it_normalised(api, team):
    response = api.put(team[0], {"name": team[2]["name"], "description": "n"}, match=team[1])
    assert response.status_code == 200
    assert "ETag" not in response.headers and "Last-Modified" not in response.headers
    assert response.json()["etag"] == api.etag(team[0])


def test_A14_put_answers_201_and_200(api):
    path = f"/teams/{name('A14')}"
    made = api.put(path, {"name": path}, none_match="*")
    assert made.status_code == 201 and made.headers["Location"] == f"/api/v1{path}"
    assert api.put(path, {"name": path, "description": "x"}, match=api.etag(path)).status_code == 200


def test_A15_patch_answers_the_new_tag(api, team):
    response = api.patch(team[0], {"description": "x"}, match=team[1])
    assert response.headers["ETag"] == response.json()["etag"] == api.etag(team[0])


# ---- B: If-Match ----

def test_B1_fresh_is_done(api, team):
    assert api.put(team[0], {"name": "B1 " + team[2]["id"]}, match=team[1]).status_code == 200


def test_B2_stale_is_412_and_changes_nothing(api, team):
    path, first, _ = team
    changed(api, path, first)
    before = api.get(path).content
    body = is_problem(api.put(path, {"name": "B2"}, match=first), 412, "precondition_failed")
    assert body["current"]["etag"] == api.etag(path)
    assert api.get(path).content == before


def test_B3_weak_is_412(api, team):
    is_problem(api.put(team[0], {"name": "B3"}, match="W/" + team[1]), 412)


def test_B4_lists_and_several_lines(api, server, team):
    path, tag, made = team
    assert api.patch(path, {"description": "1"}, match=f'"zz", {tag}').status_code == 200
    tag = api.etag(path)
    body = json.dumps({"description": "2"}).encode()
    with server.connect() as connection:
        connection.send(request("PATCH", f"/api/v1{path}", [
            ("Authorization", f"Bearer {ADMIN_TOKEN}"), ("Content-Type", MERGE),
            ("If-Match", '"zz"'), ("If-Match", tag)], body))
        assert connection.read_response("PATCH").status == 200


def test_B5_a_comma_inside_quotes(api, team):
    is_problem(api.patch(team[0], {"description": "x"}, match='"a,b"'), 412)
    is_problem(api.patch(team[0], {"description": "x"}, match='""'), 412)
    assert api.patch(team[0], {"description": "x"}, match=f'"a,b", {team[1]}').status_code == 200


def test_B6_star(api, team):
    assert api.patch(team[0], {"description": "x"}, match="*").status_code == 200
    path = f"/teams/{name('B6')}"
    is_problem(api.put(path, {"name": path}, match="*"), 412)
    assert api.get(path).status_code == 404


@pytest.mark.parametrize("value", ['"a", *', "abc", 'w/"a"', '"a" "b"', "", '"a', "W/*"])
def test_B7_malformed_is_400_and_never_done(api, team, value):
    before = api.get(team[0]).content
    is_problem(api.patch(team[0], {"description": "x"}, match=value), 400)
    assert api.get(team[0]).content == before


def test_B8_get_with_a_stale_tag(api, team):
    is_problem(api.get(team[0], headers={"If-Match": '"0-00000000"'}), 412)


def test_B9_delete_stale_and_missing(api, team):
    is_problem(api.delete(team[0], match='"9-00000000"'), 412)
    assert api.get(team[0]).status_code == 200
    missing = f"/teams/{name('B9')}"
    for response in (api.delete(missing, match='"1-00000000"'),
                     api.patch(missing, {"name": "x"}, match='"1-00000000"'),
                     api.get(missing, headers={"If-Match": '"1-00000000"'})):
        is_problem(response, 404, "not_found")


def test_B10_options_ignores_conditions(api, team):
    response = api.send("OPTIONS", team[0], headers={"If-Match": '"stale"'})
    assert response.status_code == 204 and "PATCH" in response.headers["Allow"]


def test_B11_the_same_bytes_again_with_a_stale_tag(api, team):
    path, first, made = team
    body = {"name": made["name"], "description": "B11"}
    assert api.put(path, body, match=first).status_code == 200
    is_problem(api.put(path, body, match=first), 412)  # the policy already_applied is off


# ---- C: If-None-Match ----

def test_C1_to_C5_reading(api, team):
    path, tag, _ = team
    whole = api.get(path)
    for value in (tag, f"W/{tag}", f'"x", {tag}', "*"):
        response = api.get(path, headers={"If-None-Match": value})
        assert response.status_code == 304 and response.content == b""
        for field in ("ETag", "Date", "Cache-Control", "Vary"):
            assert field in response.headers, field
        assert response.headers["ETag"] == tag
        assert "Content-Length" not in response.headers
        assert api.send("HEAD", path, headers={"If-None-Match": value}).status_code == 304
    assert api.get(path, headers={"If-None-Match": '"x"'}).content == whole.content


def test_C6_on_a_write_it_is_412_never_304(api, team):
    path, tag, made = team
    for response in (api.put(path, {"name": "C6"}, none_match=tag),
                     api.patch(path, {"name": "C6"}, headers={"If-None-Match": tag}),
                     api.delete(path, headers={"If-None-Match": tag})):
        is_problem(response, 412)
    assert api.etag(path) == tag


def test_C7_star_creates_once(api):
    path = f"/teams/{name('C7')}"
    assert api.put(path, {"name": path}, none_match="*").status_code == 201
    before = api.get(path).content
    is_problem(api.put(path, {"name": "other"}, none_match="*"), 412)
    assert api.get(path).content == before


@pytest.mark.race
def test_C8_64_parallel_creates_of_one_address(api):
    path = f"/teams/{name('C8')}"
    codes = [response.status_code for response in parallel(
        64, lambda i: api.put(path, {"name": f"{path} {i}"}, none_match="*"))]
    assert sorted(codes) == [201] + [412] * 63


# ---- D: dates and ranges ----

def test_D1_if_modified_since(api, team):
    modified = api.get(team[0]).headers["Last-Modified"]
    assert api.get(team[0], headers={"If-Modified-Since": modified}).status_code == 304
    assert api.get(team[0], headers={"If-Modified-Since": LONG_AGO}).status_code == 200


def test_D2_tags_win_over_dates(api, team):
    response = api.get(team[0], headers={"If-Modified-Since": FAR, "If-None-Match": '"x"'})
    assert response.status_code == 200


def test_D3_a_date_that_does_not_count(api, team):
    for value in ("yesterday", f"{FAR}, {FAR}"):
        assert api.get(team[0], headers={"If-Modified-Since": value}).status_code == 200
    response = api.put(team[0], {"name": "D3 " + team[2]["id"]}, match=team[1],
                       headers={"If-Modified-Since": FAR})
    assert response.status_code == 200


def test_D4_if_unmodified_since(api, team):
    is_problem(api.patch(team[0], {"description": "x"},
                         headers={"If-Unmodified-Since": LONG_AGO}), 412)
    assert api.patch(team[0], {"description": "x"},
                     headers={"If-Unmodified-Since": FAR}).status_code == 200


def test_D5_if_match_wins_over_it(api, team):
    assert api.patch(team[0], {"description": "x"}, match=team[1],
                     headers={"If-Unmodified-Since": LONG_AGO}).status_code == 200


def test_D6_an_invalid_one_is_no_condition(api, team):
    for value in ("soon", f"{FAR}, {FAR}"):
        is_problem(api.patch(team[0], {"description": "x"},
                             headers={"If-Unmodified-Since": value}), 428)


@pytest.mark.parametrize("form", ["Fri, 31 Dec 2094 23:59:59 GMT", "Friday, 31-Dec-49 23:59:59 GMT",
                                  "Fri Dec 31 23:59:59 2094"])
def test_D7_three_forms_in_one_form_out(api, team, form):
    assert api.get(team[0], headers={"If-Modified-Since": form}).status_code == 304
    assert re.match(r"^\w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT$",
                    api.get(team[0]).headers["Last-Modified"])


def test_D8_ranges(api, team):
    path, tag, _ = team
    whole = api.get(path).content
    part = api.get(path, headers={"Range": "bytes=0-9", "If-Range": tag})
    assert part.status_code == 206 and part.content == whole[:10]
    assert part.headers["Content-Range"] == f"bytes 0-9/{len(whole)}"
    for if_range in (f"W/{tag}", '"other"'):
        response = api.get(path, headers={"Range": "bytes=0-9", "If-Range": if_range})
        assert response.status_code == 200 and response.content == whole
    assert api.get(path, headers={"If-Range": tag}).status_code == 200


# ---- E: when, and in what order ----

def test_E1_who_comes_before_what(server, team):
    nobody = Api(server.address, token=None)
    response = nobody.patch(team[0], {"name": "x"}, match='"stale"')
    is_problem(response, 401, "unauthenticated")
    assert response.headers["WWW-Authenticate"].startswith("Bearer")


def test_E2_a_wrong_method(api, team):
    response = api.post(team[0], {}, headers={"If-Match": '"stale"'})
    is_problem(response, 405, "method_not_allowed")
    assert "PATCH" in response.headers["Allow"]


def test_E3_a_wrong_type(api, team):
    response = api.patch(team[0], "x", match='"stale"', kind="text/plain")
    is_problem(response, 415, "unsupported_media_type")
    assert MERGE in response.headers["Accept-Patch"] and PATCH in response.headers["Accept-Patch"]


def test_E5_stale_comes_before_the_body(api, team):
    for body in ("{not json", json.dumps({"nam": 5})):
        is_problem(api.put(team[0], body, match='"9-00000000"'), 412)


def asking_first(path, tag, length):
    """The head of a PUT whose body waits for 100 Continue."""
    return (f"PUT /api/v1{path} HTTP/1.1\r\nHost: a\r\nAuthorization: Bearer {ADMIN_TOKEN}\r\n"
            f"Content-Type: application/json\r\nIf-Match: {tag}\r\nExpect: 100-continue\r\n"
            f"Content-Length: {length}\r\n\r\n").encode()


def test_E6_no_100_for_a_stale_write(server, team):
    with server.connect() as connection:
        connection.send(asking_first(team[0], '"9-00000000"', 20))
        assert connection.read_response("PUT").status == 412


def test_E6_a_100_for_one_that_may_come(server, api, team):
    body = json.dumps({"name": "E6 " + team[2]["id"]}).encode()
    with server.connect() as connection:
        connection.send(asking_first(team[0], team[1], len(body)))
        assert connection.read_until(b"\r\n\r\n").startswith(b"HTTP/1.1 100 ")
        connection.send(body)
        assert connection.read_response("PUT").status == 200


def test_E7_E8_both_fields(api, team):
    path, tag, made = team
    both = {"If-Match": '"9-00000000"', "If-None-Match": '"x"'}
    is_problem(api.get(path, headers=both), 412)
    both = {"If-Match": tag, "If-None-Match": tag}
    assert api.get(path, headers=both).status_code == 304
    is_problem(api.put(path, {"name": "E8"}, headers=both), 412)


def expected(method, exists, match, none, unmodified, modified):
    """RFC 9110, 13.2.2, written down a second time, for the table below."""
    if method in ("PATCH", "DELETE", "GET") and not exists:
        return 404
    true = {"fresh": exists, "stale": False, "star": exists}
    if match and not true[match]:
        return 412
    if not match and unmodified:
        if not exists or unmodified == "before":
            return 412
    if none:
        hit = exists and none in ("fresh", "star")
        if hit:
            return 304 if method == "GET" else 412
    elif method == "GET" and modified == "after":
        return 304
    if method == "GET":
        return 200
    if not match and not none and not unmodified:
        return 428
    return {"PUT": 200 if exists else 201, "PATCH": 200, "DELETE": 204}[method]


def test_E9_all_combinations(api):
    count = 0
    for method in ("GET", "PUT", "PATCH", "DELETE"):
        for exists in (True, False):
            for match in (None, "fresh", "stale", "star"):
                for none in (None, "fresh", "stale", "star"):
                    for unmodified in (None, "before", "after"):
                        for modified in (None, "before", "after"):
                            if modified and (method != "GET" or none == "stale"):
                                continue
                            count += 1
                            check_combination(api, method, exists, match, none, unmodified, modified)
    assert count >= 146


def check_combination(api, method, exists, match, none, unmodified, modified):
    new = name("E9")
    tag = api.team(id=new)["etag"] if exists else '"1-00000000"'
    tags = {"fresh": tag, "stale": '"7-00000000"', "star": "*"}
    dates = {"before": LONG_AGO, "after": FAR}
    headers = {}
    if match:
        headers["If-Match"] = tags[match]
    if none:
        headers["If-None-Match"] = tags[none]
    if unmodified:
        headers["If-Unmodified-Since"] = dates[unmodified]
    if modified:
        headers["If-Modified-Since"] = dates[modified]
    body = None if method in ("GET", "DELETE") else {"name": f"E9 {new}"}
    if method == "PATCH":
        headers["Content-Type"] = MERGE
    response = api.send(method, f"/teams/{new}", body, headers)
    want = expected(method, exists, match, none, unmodified, modified)
    assert response.status_code == want, (method, exists, headers, want, response.text)


def test_E10_a_repeat_comes_before_conditions(api, team):
    path, tag, made = team
    headers = {"Idempotency-Key": name("E10")}
    body = {"name": made["name"], "description": "E10"}
    first = api.put(path, body, match=tag, headers=headers)
    again = api.put(path, body, match=tag, headers=headers)
    assert first.status_code == again.status_code == 200
    assert again.headers["Idempotent-Replayed"] == "true" and again.content == first.content
