"""The description of the platform's own API: true to the routes, and without a complaint of the
usual lint tools."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from platform_api import ADMIN_TOKEN, Api, start_platform
from tooling import NODE_HOME, require_node

METHODS = {"get", "post", "put", "patch", "delete"}


@pytest.fixture
def description(api):
    response = api.get("/openapi.json")
    assert response.status_code == 200
    again = api.get("/openapi.json", headers={"If-None-Match": response.headers["ETag"]})
    assert again.status_code == 304
    return response.json()


def references(node):
    if isinstance(node, dict):
        if "$ref" in node:
            yield node["$ref"]
        for child in node.values():
            yield from references(child)
    elif isinstance(node, list):
        for child in node:
            yield from references(child)


def operations(description):
    for path, item in description["paths"].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def test_all_references_lead_somewhere(description):
    for reference in set(references(description)):
        at = description
        for token in reference.removeprefix("#/").split("/"):
            at = at[token]


def test_every_operation_is_described(description):
    names = [operation["operationId"] for _, _, operation in operations(description)]
    assert len(names) == len(set(names)) > 150
    for path, method, operation in operations(description):
        assert operation["summary"] and operation["description"], (path, method)
        assert operation["responses"].keys() & {"200", "201", "204"}, (path, method)
        writes = method in {"put", "patch"} and path != "/me/password"
        assert ("x-conflicts" in operation) >= writes, (path, method)


def test_every_path_answers(api, description):
    """What is described is there: a path that is not would be 404 "nothing answers"."""
    for path, method, _ in operations(description):
        if method != "get" or path.endswith("/watch"):
            continue
        asked = path.replace("{id}", "no-such-thing").replace("{revision}", "1")
        response = api.get(asked)
        assert "Nothing answers" not in response.text, path
        assert response.status_code in (200, 400, 404), (path, response.text)


@pytest.mark.parametrize("tool, arguments", [
    ("spectral", ["lint", "--fail-severity", "hint", "--ruleset", "ruleset.json"]),
    ("lint-openapi", ["--ruleset", "ibm.yaml", "--warnings-limit", "0"]),
    ("redocly", ["lint", "--extends", "recommended", "--format", "stylish", "--max-problems", "20"]),
])
def test_lint_tools_find_nothing(tmp_path, tool, arguments):
    node, server = require_node(), start_platform(tmp_path / "a")
    (tmp_path / "openapi.json").write_bytes(Api(server.address).get("/openapi.json").content)
    server.stop()
    (tmp_path / "ruleset.json").write_text('{"extends":["spectral:oas"]}')
    shutil.copy(Path(__file__).parent / "js" / "openapi-ruleset.yaml", tmp_path / "ibm.yaml")
    (tmp_path / "node_modules").symlink_to(NODE_HOME / "node_modules")  # what rulesets extend
    script = (NODE_HOME / "node_modules" / ".bin" / tool).resolve()
    done = subprocess.run([str(node), str(script), *arguments, "openapi.json"], cwd=tmp_path,
                          capture_output=True, text=True, timeout=120)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    if tool != "lint-openapi":  # which counts them, zero as well
        assert "warning" not in said.lower(), said


def test_what_is_described_is_what_is_answered(tmp_path):
    """Thousands of requests made from the description, right ones and wrong ones: every answer is one
    that it describes, and nothing that it forbids is accepted."""
    program = Path(sys.executable).parent / "schemathesis"
    if not program.exists():
        pytest.skip("schemathesis is not installed")
    server = start_platform(tmp_path / "a")
    try:
        (tmp_path / "openapi.json").write_bytes(Api(server.address).get("/openapi.json").content)
        shutil.copy(Path(__file__).parent / "schemathesis.toml", tmp_path)
        done = subprocess.run(
            [str(program), "run", "openapi.json", "-u", f"{server.address}/api/v1", "-H",
             f"Authorization: Bearer {ADMIN_TOKEN}", "-n", "5", "--seed", "20261127"],
            cwd=tmp_path, capture_output=True, text=True, timeout=600)
        assert done.returncode == 0, done.stdout[-8000:] + done.stderr[-2000:]
        assert " 0 passed" not in done.stdout and " passed" in done.stdout, done.stdout[-2000:]
    finally:
        server.stop()
