"""What a request asks for besides its body: dry runs, fields, questions about actions; and that nothing
that is not understood is passed over."""

import pytest

from platform_api import Api, is_problem, name


def test_a_dry_run_is_a_real_one_that_is_not_kept(api):
    made = api.team()
    path, body = f"/teams/{made['id']}", {"id": name("dry"), "name": name("Dry")}
    tried = api.post("/teams?dry_run=true", body)
    assert tried.status_code == 200 and tried.json()["revision"] == 1
    assert tried.json()["created_by"] == "user:admin"
    assert api.get(f"/teams/{body['id']}").status_code == 404
    is_problem(api.post("/teams?dry_run=true", {"name": made["name"]}), 409, "already_exists")
    changed = api.patch(f"{path}?dry_run=true", {"description": "x"}, match=made["etag"])
    assert changed.status_code == 200 and changed.json()["revision"] == 2
    assert api.etag(path) == made["etag"]
    assert api.delete(f"{path}?dry_run=true", match=made["etag"]).status_code == 204
    assert api.get(path).status_code == 200
    application = api.create("applications", name="Dry", team=made["id"])
    is_problem(api.delete(f"{path}?dry_run=true", match=made["etag"]), 409, "in_use")
    assert api.get(f"/audit?id={application['id']}").json()["items"][0]["action"] == "create"
    assert not api.get(f"/audit?id={body['id']}").json()["items"]


@pytest.mark.parametrize("query", ["dry_run=ture", "dry_run", "dryrun=true", "force=1", "fields="])
def test_a_query_that_is_not_understood_changes_nothing(api, query):
    body = {"id": name("typo"), "name": name("Typo")}
    is_problem(api.post(f"/teams?{query}", body), 400, "bad_query")
    assert api.get(f"/teams/{body['id']}").status_code == 404


def test_fields_that_are_not_there(api):
    made = api.team()
    for path in ("/teams", f"/teams/{made['id']}"):
        message = is_problem(api.get(f"{path}?fields=name,nam"), 400, "bad_query")["message"]
        assert '"nam"' in message
    assert api.get(f"/teams/{made['id']}?fields=name").json()["name"] == made["name"]


def test_a_filter_that_is_not_there_is_told_which_are(api):
    said = is_problem(api.get("/teams?nam=x"), 400, "bad_query")["message"]
    assert said.startswith('"nam" is not a parameter here; allowed: limit cursor sort fields, or a field: '), said
    assert " name" in said and "{" not in said


def test_an_action_can_be_asked_about(api, server):
    key = api.create("keys")
    path = f"/keys/{key['id']}"
    asked = api.get(f"{path}/revoke")
    assert asked.json() == {"action": "revoke", "possible": True, "permitted": True,
                            "state": "active", "from": ["active"]}
    assert asked.headers["ETag"] == api.etag(path)
    assert api.get(f"{path}/revoke",
                   headers={"If-None-Match": asked.headers["ETag"]}).status_code == 304
    assert api.post(f"{path}/revoke",
                    headers={"If-Match": asked.headers["ETag"]}).status_code == 200
    assert api.get(f"{path}/revoke").json()["possible"] is False
    viewer = Api(server.address, api.create("tokens", name="viewer", role="viewer")["secret"])
    assert viewer.get(f"/teams/{api.team()['id']}/restore").json() == {
        "action": "restore", "possible": True, "permitted": False}


def test_what_there_is_one_of_is_neither_created_nor_deleted(api):
    for response in (api.post("/settings", {}), api.delete("/settings/org", match="*")):
        is_problem(response, 405, "method_not_allowed")
    assert "POST" not in api.send("OPTIONS", "/settings").headers["Allow"]
