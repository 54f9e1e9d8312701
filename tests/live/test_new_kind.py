"""A new kind of resource is one file and one line in a list: it is added to a copy of the source, built,
and asked for everything that every kind has."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

import accord
from platform_api import Api, is_problem, start_platform

ROOT = Path(__file__).parents[2]

GADGET = '''
#include "model/resource_kind.h"

struct gadget {
    struct str name, team, state;
    int64_t size;
};

static const char *const states[] = {"new", "old", NULL};
static const char *const young[] = {"new", NULL};

static const struct field fields[] = {
    {.name = "name",
     .help = "What it is called.",
     .type = FIELD_TEXT,
     .required = true,
     .unique = true,
     .rule = &rule_title,
     .at = AT(gadget, name)},
    {.name = "team",
     .help = "Whose it is.",
     .type = FIELD_REFERENCE,
     .required = true,
     .kind = &kind_team,
     .rule = &rule_name,
     .at = AT(gadget, team)},
    {.name = "size",
     .help = "How large it is.",
     .type = FIELD_INT,
     .min = 1,
     .max = 9,
     .fallback = "1",
     .at = AT(gadget, size)},
    {.name = "state",
     .help = "new or old.",
     .type = FIELD_TEXT,
     .read_only = true,
     .at = AT(gadget, state)},
};

static const struct kind kind_gadget = {
    .name = "gadget", .help = "A thing.", .size = sizeof(struct gadget), KIND_FIELDS(fields)};

static const struct action actions[] = {
    {.name = "age", .help = "It becomes old.", .from = young, .to = "old"}};

const struct resource_kind resource_gadget = {
    .kind = &kind_gadget,
    .plural = "gadgets",
    .id_prefix = "gadget_",
    .id_rule = &rule_name,
    .states = states,
    .actions = actions,
    .n_actions = 1,
    .owner = "team",
};
'''


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    copy = tmp_path_factory.mktemp("source")
    for name in ("src", "tools", "tests/unit", "bench"):
        shutil.copytree(ROOT / name, copy / name)
    for name in ("meson.build", "meson_options.txt"):
        shutil.copy(ROOT / name, copy)
    (copy / "src" / "model" / "gadget.c").write_text(GADGET)
    listed = copy / "src" / "meson.build"
    text = listed.read_text()
    assert text.count("  'team',\n") == 1
    listed.write_text(text.replace("  'team',\n", "  'team',\n  'gadget',\n"))
    env = {**os.environ, "CC": "gcc"}
    for command in (["meson", "setup", "build", ".", "-Doptimization=0", "-Db_lto=false"],
                    ["ninja", "-C", "build", "accord"]):
        done = subprocess.run(command, cwd=copy, env=env, capture_output=True, text=True,
                              check=False)
        assert done.returncode == 0, done.stdout[-4000:] + done.stderr[-2000:]
    return copy / "build" / "accord"


def test_everything_that_every_kind_has(program, tmp_path, monkeypatch):
    monkeypatch.setattr(accord, "binary", lambda: program)
    server = start_platform(tmp_path / "a")
    try:
        api = Api(server.address)
        team = api.team()["id"]
        made = api.create("gadgets", name="One", team=team)
        path = f"/gadgets/{made['id']}"
        assert made["id"].startswith("gadget_") and made["state"] == "new" and made["size"] == 1
        is_problem(api.post("/gadgets", {"name": "One", "team": team}), 409, "already_exists")
        problem = is_problem(api.post("/gadgets", {"nam": "Two", "team": team}), 422, "invalid")
        assert any('did you mean "name"' in e["detail"] for e in problem["errors"]), problem
        is_problem(api.post("/gadgets", {"name": "Two", "team": "nobody"}), 422)
        is_problem(api.patch(path, {"size": 2}), 428)
        assert api.patch(path, {"size": 2}, match=made["etag"]).json()["revision"] == 2
        problem = is_problem(api.patch(path, {"size": 3}, match=made["etag"]), 412)
        assert problem["conflicts"][0]["pointer"] == "/size"
        aged = api.post(f"{path}/age", headers={"If-Match": api.etag(path)})
        assert aged.json()["state"] == "old"
        is_problem(api.post(f"{path}/age", headers={"If-Match": api.etag(path)}), 409,
                   "invalid_state")
        is_problem(api.delete(f"/teams/{team}", match="*"), 409, "in_use")
        assert [s["revision"] for s in api.get(f"{path}/history").json()["items"]] == [3, 2, 1]
        described = api.get("/openapi.json").json()
        assert {"get", "post"} <= described["paths"]["/gadgets/{id}/age"].keys()
        assert described["components"]["schemas"]["Gadget"]["properties"]["size"]["maximum"] == 9
        auditor = Api(server.address, api.create("tokens", name="a", role="auditor")["secret"])
        assert auditor.get(path).status_code == 200
        is_problem(auditor.delete(path, match="*"), 403)
        viewer = Api(server.address, api.create("tokens", name="v", role="viewer")["secret"])
        is_problem(viewer.get(path), 403)  # what no role of ours names is closed
    finally:
        server.stop()
