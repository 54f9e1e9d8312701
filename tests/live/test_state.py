"""The state itself: backup and restore, the master key, a full disk, a read-only directory, the clock."""

import shutil
import sqlite3
import subprocess
from pathlib import Path

import pytest

from accord import Accord, run
from platform_api import ADMIN_TOKEN, Api, is_problem, start_platform
from wire import wait_for


def test_backup_and_restore_of_a_running_server(start, tmp_path):
    server = start(env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
    api, data = Api(server.address), server.directory / "data"
    team = api.team(description="kept")
    path = f"/teams/{team['id']}"
    saved = run(["backup", tmp_path / "saved.db", "--data", data], tmp_path)
    assert saved.returncode == 0 and "master.key" in saved.stderr
    assert run(["backup", tmp_path / "saved.db", "--data", data], tmp_path).returncode == 1
    assert api.delete(path, match=team["etag"]).status_code == 204
    restored = run(["restore", tmp_path / "saved.db", "--data", data], tmp_path)
    assert restored.returncode == 0, restored.stderr
    wait_for(lambda: api.get(path).status_code == 200, timeout=5)
    assert api.etag(path) == team["etag"]
    nowhere = run(["backup", tmp_path / "none.db", "--data", tmp_path], tmp_path)
    assert nowhere.returncode == 1 and "there is no state in" in nowhere.stderr
    (tmp_path / "not.db").write_bytes(b"nonsense" * 1000)
    bad = run(["restore", tmp_path / "not.db", "--data", data], tmp_path)
    assert bad.returncode == 1
    assert api.get(path).status_code == 200


def test_the_master_key_is_rotated(tmp_path):
    server = start_platform(tmp_path / "a")
    api, data = Api(server.address), tmp_path / "a" / "data"
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600
    assert (data / "state.db").stat().st_mode & 0o777 == 0o600
    api.create("providers", id="p", dialect="openai", credential="sk-rotate-me-0001")
    busy = run(["key", "rotate-master", "--data", data], tmp_path)
    assert busy.returncode == 1 and "stop it first" in busy.stderr
    server.stop()
    old = (data / "master.key").read_text()
    done = run(["key", "rotate-master", "--data", data], tmp_path)
    assert done.returncode == 0 and "1 secret" in done.stdout, done.stderr
    assert (data / "master.key").read_text() != old
    server = start_platform(tmp_path / "a")
    try:
        assert "left out" not in server.stderr()
        assert Api(server.address).get("/providers/p").status_code == 200
    finally:
        server.stop()
    (data / "master.key").write_text(old)
    with pytest.raises(AssertionError, match="master key is not the one"):
        Accord(tmp_path / "a", env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})


def test_a_full_disk_loses_nothing_that_was_acknowledged(small_disk, tmp_path):
    server = start_platform(tmp_path / "a", arguments=["--data", small_disk / "data"])
    api = Api(server.address)
    try:
        made = [api.team()["id"]]
        status = 201
        for i in range(2000):
            response = api.post("/teams", {"id": f"full-{i}", "name": f"full {i}",
                                           "description": "x" * 3000})
            status = response.status_code
            if status != 201:
                break
            made.append(f"full-{i}")
        body = is_problem(response, 503, "unavailable")
        assert "disk" in body["message"] and int(response.headers["Retry-After"]) >= 1
        assert api.get(f"/teams/{made[-1]}").status_code == 200  # reading goes on
        assert server.call("POST", "/v1/chat/completions",
                           {"model": "sim/echo", "messages": []}).status == 200  # and so do calls
        assert api.get("/status").json()["store"]["writable"] is False
        subprocess.run(["mount", "-o", "remount,size=16m", str(small_disk)], check=True)
        assert api.post("/teams", {"name": "again"}).status_code == 201
        assert api.get("/status").json()["store"]["writable"] is True
        for team in made:
            assert api.get(f"/teams/{team}").status_code == 200, team
    finally:
        server.stop()


def test_a_directory_that_cannot_be_written_is_told(small_disk, tmp_path):
    subprocess.run(["mount", "-o", "remount,ro", str(small_disk)], check=True)
    for data in (small_disk, small_disk / "data"):  # there already, and to be made
        with pytest.raises(AssertionError, match="[Rr]ead-only file system"):
            Accord(tmp_path / "a", arguments=["--data", data])


def test_a_state_that_is_damaged_is_told(tmp_path):
    server = start_platform(tmp_path / "a")
    server.stop()
    data = tmp_path / "a" / "data"
    (data / "state.db").write_bytes(b"this is no database" * 500)
    for beside in ("state.db-wal", "state.db-shm"):
        (data / beside).unlink(missing_ok=True)
    with pytest.raises(AssertionError, match="state.db"):
        Accord(tmp_path / "a")
    shutil.rmtree(data)


def test_a_clock_that_was_set_back(tmp_path):
    """States stay in the order of their revisions, and none is dated before the one it follows."""
    server = start_platform(tmp_path / "a")
    api = Api(server.address)
    try:
        team = api.team()
        path, tag = f"/teams/{team['id']}", team["etag"]
        database = tmp_path / "a" / "data" / "state.db"
        # the state as it would be, had the clock been an hour ahead
        with sqlite3.connect(database) as connection:
            connection.execute("UPDATE resource SET updated_us = updated_us + 3600000000 "
                               "WHERE kind = 'team' AND id = ?", (team["id"],))
        before = api.get(path).json()["updated_at"]
        changed = api.patch(path, {"description": "x"}, match=tag)
        assert changed.status_code == 200
        assert changed.json()["updated_at"] > before
    finally:
        server.stop()


def test_what_time_makes_superfluous_goes(tmp_path):
    server = start_platform(tmp_path / "a")
    api = Api(server.address)
    team = api.team(id="many")
    for n in range(9):
        assert api.patch("/teams/many", {"description": str(n)}, match="*").status_code == 200
    assert api.post("/teams", {"name": "key"}, headers={"Idempotency-Key": "k"}).status_code == 201
    assert api.patch("/settings/org", {"keep_revisions": 3}, match="*").status_code == 200
    server.stop()
    database = tmp_path / "a" / "data" / "state.db"
    with sqlite3.connect(database) as connection:
        connection.execute("UPDATE idempotent SET expires_us = 1")
    server = start_platform(tmp_path / "a")
    try:
        api = Api(server.address)
        revisions = lambda: [  # noqa: E731
            s["revision"] for s in api.get("/teams/many/history").json()["items"]]
        wait_for(lambda: revisions() == [10, 9, 8], timeout=15)
        assert api.get("/teams/many").json()["description"] == "8"
        assert api.get(f"/teams/many/history/{team['revision']}").status_code == 404
        with sqlite3.connect(database) as connection:
            assert connection.execute("SELECT count(*) FROM idempotent").fetchone() == (0,)
    finally:
        server.stop()


# ---- older states ----

ROOT = Path(__file__).parents[2]
STATES = sorted((Path(__file__).parent / "states").glob("*.sql"), key=lambda p: int(p.stem))
MASTER_KEY = "0123456789abcdef" * 4  # of these states


def test_every_schema_has_a_state():
    """Who writes a migration keeps a state of the schema before it (and of this one) in states/."""
    migrations = {int(p.name[:3]) for p in (ROOT / "src" / "store" / "migrations").glob("*.sql")}
    assert {int(p.stem) for p in STATES} == migrations


@pytest.mark.parametrize("state", STATES, ids=lambda p: p.stem)
def test_an_older_state_is_brought_up_to_date(tmp_path, state):
    """Copies of data directories that earlier programs have left: all that was in them is there."""
    data = tmp_path / "a" / "data"
    data.mkdir(parents=True)
    with sqlite3.connect(data / "state.db") as database:
        database.executescript(state.read_text())
    server = start_platform(tmp_path / "a", env={"ACCORD_MASTER_KEY": MASTER_KEY})
    try:
        api = Api(server.address)
        assert api.get("/status").json()["store"]["schema"] == int(STATES[-1].stem)
        assert api.get("/teams/core").json()["description"] == "second"
        past = api.get("/teams/core/history/1").json()
        assert past["description"] == "who keeps it running"
        assert api.get("/teams/gone").status_code == 404
        again = api.create("teams", id="gone", name="Gone")
        assert again["revision"] == 3  # counts on from the deletion
        assert "left out" not in server.stderr()  # the provider's secret could be unsealed
        replayed = api.post("/teams", {"id": "kept", "name": "Kept"},
                            headers={"Idempotency-Key": "an-old-key"})
        assert replayed.headers["Idempotent-Replayed"] == "true"
        assert api.get("/conflicts").json()["items"][0]["code"] == "precondition_failed"
        nobody = Api(server.address, token=None)
        assert nobody.post("/session", {"email": "ana@example.com",
                                        "password": "correct horse battery"}).status_code == 201
        server.key = "sk-accord-an-old-state-0000000000000000000000"
        assert server.call("POST", "/v1/chat/completions",
                           {"model": "m", "messages": []}).status == 200
        if int(state.stem) >= 2:  # responses are kept since then
            assert server.get("/v1/responses/resp_of_old").json()["id"] == "resp_of_old"
    finally:
        server.stop()
    verified = run(["audit", "verify", "--data", data], tmp_path,
                   env={"ACCORD_MASTER_KEY": MASTER_KEY})
    assert verified.returncode == 0, verified.stderr
