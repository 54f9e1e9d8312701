"""Several servers on one PostgreSQL: one order of all changes, and what happens when it goes away."""

import random
import subprocess
import tempfile
import threading
import time
from pathlib import Path

import pytest

from linear import linearizable
from platform_api import ADMIN_TOKEN, Api, is_problem, name, parallel, start_platform
from postgres import Cluster, find_programs
from test_linear import Recorder, clean
from wire import wait_for

MASTER = "ab" * 32


@pytest.fixture
def nodes(postgres, tmp_path):
    """Two servers on one database."""
    postgres.fresh()
    env = {"ACCORD_DATABASE_URL": postgres.url, "ACCORD_MASTER_KEY": MASTER}
    both = [start_platform(tmp_path / which, env=env) for which in ("a", "b")]
    yield both
    for node in both:
        node.stop()


def test_L6_two_nodes_have_one_order(nodes):
    for seed in range(4):
        path, history = f"/teams/{name('L6')}", []

        def client(i):
            recorder, dice = Recorder(nodes[i % 2].address, path, history), random.Random(seed * 9 + i)  # noqa: B023
            for k in range(30):
                recorder.api.address = nodes[dice.randrange(2)].address
                recorder.api.base = f"{recorder.api.address}/api/v1"
                recorder.act(dice.choices(["read", "cas", "create", "delete"], [4, 6, 2, 1])[0],
                             f"{i}-{k}")

        parallel(8, client)
        assert linearizable(clean(history)), path


def test_L1_no_increment_is_lost_over_two_nodes(nodes):
    apis = [Api(node.address) for node in nodes]
    path = f"/teams/{name('L1')}"
    apis[0].put(path, {"name": path, "description": "0"}, none_match="*")

    def count(i):
        done = 0
        while done < 10:
            api = apis[(i + done) % 2]
            now = api.get(path)
            value = str(int(now.json()["description"]) + 1)
            if api.patch(path, {"description": value}, match=now.headers["ETag"]).status_code == 200:
                done += 1
        return done

    total = sum(parallel(16, count))
    assert int(apis[1].get(path).json()["description"]) == total == 160


def test_what_one_creates_the_other_refuses(nodes):
    apis = [Api(node.address) for node in nodes]
    for _ in range(20):
        email = f"{name('two')}@example.com"
        codes = parallel(8, lambda i: apis[i % 2].post("/users", {"email": email}).status_code)  # noqa: B023
        assert sorted(codes) == [201] + [409] * 7


def test_a_repeat_at_the_other_node_is_answered(nodes):
    apis = [Api(node.address) for node in nodes]
    headers, body = {"Idempotency-Key": name("k")}, {"name": name("idem")}
    answers = parallel(16, lambda i: apis[i % 2].post("/teams", body, headers=headers))
    assert {a.status_code for a in answers} == {201} and len({a.content for a in answers}) == 1


def test_the_feed_has_no_gaps(nodes, postgres):
    apis = [Api(node.address) for node in nodes]
    parallel(16, lambda i: [apis[i % 2].team() for _ in range(10)])
    assert postgres.ask("SELECT COUNT(*) = MAX(seq) AND MIN(seq) = 1 FROM accord.change") == "t"
    assert postgres.ask("SELECT COUNT(*) = MAX(seq) FROM accord.audit") == "t"


def test_a_change_at_one_node_is_live_at_the_other(nodes):
    apis = [Api(node.address) for node in nodes]
    key = apis[0].create("keys", models=["sim/*"])

    def chat(secret):
        return nodes[1].call("POST", "/v1/chat/completions", {"model": "sim/echo", "messages": []},
                             [("Authorization", f"Bearer {secret}")], key=False).status

    wait_for(lambda: chat(key["secret"]) == 200, timeout=5)
    apis[0].post(f"/keys/{key['id']}/revoke", {"revision": 1})
    wait_for(lambda: chat(key["secret"]) == 401, timeout=5)


def test_the_database_goes_and_comes_back(nodes, postgres):
    api = Api(nodes[0].address)
    made, stopping, errors = [], threading.Event(), []

    def write():
        while not stopping.is_set():
            given = name("gone")
            response = api.post("/teams", {"id": given, "name": given})
            if response.status_code == 201:
                made.append(given)
            elif response.status_code == 503:
                if "Retry-After" not in response.headers and "not known" not in response.text:
                    errors.append(response.text)
                time.sleep(0.05)
            else:
                errors.append(response.text)

    writer = threading.Thread(target=write)
    writer.start()
    try:
        wait_for(lambda: len(made) > 20)
        postgres.stop("immediate")
        body = is_problem(api.get("/teams"), 503, "unavailable")
        assert body["retry"]["class"] == "unchanged"
        chat = nodes[0].call("POST", "/v1/chat/completions", {"model": "sim/echo", "messages": []})
        assert chat.status == 200  # calls go on
        count = len(made)
        postgres.start()
        wait_for(lambda: len(made) > count + 20, timeout=20)
    finally:
        stopping.set()
        writer.join()
    assert not errors, errors[:3]
    for given in made:
        assert api.get(f"/teams/{given}").status_code == 200, given


def test_connections_that_are_ended_from_outside(nodes, postgres):
    api = Api(nodes[0].address)
    api.team()
    for _ in range(10):
        postgres.ask("SELECT COUNT(pg_terminate_backend(pid)) FROM pg_stat_activity "
                     "WHERE application_name = 'accord'")
        response = api.post("/teams", {"name": name("cut")})
        assert response.status_code in (201, 503), response.text
    wait_for(lambda: api.get("/status").json().get("store", {}).get("writable"), timeout=10)
    api.team()


def test_another_master_key_is_told(nodes, postgres, tmp_path):
    with pytest.raises(AssertionError, match="master key is not the one"):
        start_platform(tmp_path / "c", env={"ACCORD_DATABASE_URL": postgres.url})
    assert Api(nodes[0].address, ADMIN_TOKEN).get("/me").status_code == 200


def test_a_full_disk_loses_nothing_that_was_acknowledged(tmp_path):
    """The disk of PostgreSQL: writes are 503 while it is full, reads and calls go on where they can, and
    everything that was acknowledged is there when there is room again."""
    if not find_programs():
        pytest.skip("PostgreSQL is not installed")
    disk = Path(tempfile.mkdtemp(prefix="accord-disk-"))  # where another user may go, too
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=110m", "tmpfs", str(disk)],
                      capture_output=True, check=False).returncode:
        pytest.skip("no right to mount a tmpfs")
    cluster = server = None
    try:
        cluster = Cluster(disk / "cluster")
        server = start_platform(tmp_path / "a", env={"ACCORD_DATABASE_URL": cluster.url})
        api, made = Api(server.address), []
        for i in range(20000):
            response = api.post("/teams", {"id": f"full-{i}", "name": f"full {i}",
                                           "description": "x" * 4000})
            if response.status_code != 201:
                break
            made.append(f"full-{i}")
        is_problem(response, 503)
        assert response.headers["x-should-retry"] in ("true", "false") and len(made) > 100
        assert server.call("POST", "/v1/chat/completions",
                           {"model": "sim/echo", "messages": []}).status == 200
        subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
        if not cluster.answers():  # it ends itself when it cannot write its log
            if cluster.process.poll() is None:
                cluster.stop("immediate")
            cluster.start()
        wait_for(lambda: api.post("/teams", {"name": "again"}).status_code in (201, 409),
                 timeout=30)
        for team in made[-300:] + made[:50]:
            assert api.get(f"/teams/{team}").status_code == 200, team
    finally:
        if server:
            server.stop()
        if cluster:
            cluster.remove()
        subprocess.run(["umount", "-l", str(disk)], check=False)
        disk.rmdir()
