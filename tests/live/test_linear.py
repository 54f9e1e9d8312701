"""CONFLICT.md, group L: what many writers do at once has an order. With the checker's own tests, and a
mutant of the server that must be caught."""

import os
import random
import shutil
import signal
import subprocess
import threading
import time

import pytest
import requests

from accord import ROOT
from linear import NEVER, Op, State, linearizable
from platform_api import ADMIN_TOKEN, Api, name, parallel, start_platform

LONG = os.environ.get("ACCORD_LONG") == "1"


# ---- the checker is checked ----

def ok(start, end, kind, given, *result):
    return Op(start, end, kind, given, ("ok", *result))


GOOD = [ok(0, 1, "create", ("a",), 1, "a"), ok(2, 5, "cas", (1, "b"), 2, "b"),
        Op(3, 4, "cas", (1, "c"), ("conflict",)), ok(3, 6, "read", (), 1, "a"),
        ok(7, 8, "read", (), 2, "b"), ok(9, 10, "delete", (2,)),
        Op(11, 12, "read", (), ("missing",)), ok(13, 14, "create", ("d",), 4, "d")]

BAD = {
    "a lost update": [GOOD[0], ok(2, 3, "cas", (1, "b"), 2, "b"), ok(4, 5, "cas", (1, "c"), 2, "c")],
    "a stale read": [*GOOD[:2], ok(6, 7, "read", (), 1, "a")],
    "a read of what was never written": [GOOD[0], ok(2, 3, "read", (), 1, "z")],
    "a revision that comes twice": [GOOD[0], ok(2, 3, "delete", (1,)), ok(4, 5, "create", ("b",), 1)],
    "a conflict without another writer": [GOOD[0], Op(2, 3, "cas", (1, "b"), ("conflict",))],
    "two creators": [ok(0, 5, "create", ("a",), 1), ok(0, 5, "create", ("b",), 1)],
    "gone without a deletion": [GOOD[0], Op(2, 3, "read", (), ("missing",))],
    "an unknown write that was seen and then was not":
        [GOOD[0], Op(2, NEVER, "cas", (1, "b"), ("unknown",)), ok(3, 4, "read", (), 2, "b"),
         ok(5, 6, "read", (), 1, "a")],
}


def test_the_checker_takes_a_good_history():
    assert linearizable(GOOD)
    unknown = Op(2, NEVER, "cas", (1, "b"), ("unknown",))
    assert linearizable([GOOD[0], unknown, ok(3, 4, "read", (), 1, "a")])
    assert linearizable([GOOD[0], unknown, ok(3, 4, "read", (), 1, "a"), ok(9, 10, "read", (), 2, "b")])


@pytest.mark.parametrize("what", BAD)
def test_the_checker_finds(what):
    assert not linearizable(BAD[what])


# ---- recording ----

class Recorder:
    """Does operations on one resource, and remembers when and what came of it."""

    def __init__(self, address, path, history, token=ADMIN_TOKEN):
        self.api, self.path, self.history = Api(address, token), path, history
        self.known = 0
        self.hash = "00000000"

    def act(self, kind, value=None):
        revision, tag = self.known, f'"{self.known}-{self.hash}"'
        given = {"create": (value,), "cas": (revision, value), "delete": (revision,), "read": ()}[kind]
        body = {"name": self.path.rpartition("/")[2], "description": value}
        start = time.monotonic()
        try:
            if kind == "read":
                response = self.api.get(self.path)
            elif kind == "create":
                response = self.api.put(self.path, body, none_match="*")
            elif kind == "cas":
                response = self.api.put(self.path, body, match=tag)
            else:
                response = self.api.delete(self.path, match=tag)
            result = self.result_of(kind, response)
        except (requests.ConnectionError, requests.Timeout):
            result = ("unknown",)
        end = time.monotonic()
        if result[0] == "unknown":
            if kind == "read":
                return result
            end = NEVER
        self.history.append(Op(start, end, kind, given, result))
        return result

    def result_of(self, kind, response):
        code = response.status_code
        if code in (200, 201):
            body = response.json()
            self.known, self.hash = body["revision"], body["etag"].strip('"').partition("-")[2]
            return ("ok", body["revision"], body["description"])
        if code == 204:
            return ("ok",)
        if code == 412:
            current = response.json().get("current")
            if not current:
                return ("missing",)
            self.known = current["revision"]
            self.hash = current["etag"].strip('"').partition("-")[2]
            return ("conflict",)
        if code == 404:
            return ("missing",)
        assert code == 503, response.text
        return ("unknown",) if "not known" in response.text else ("nothing",)


def work(recorder, rounds, seed):
    dice = random.Random(seed)
    for i in range(rounds):
        kind = dice.choices(["read", "cas", "create", "delete"], [4, 6, 2, 1])[0]
        recorder.act(kind, f"{seed}-{i}")


def clean(history):
    return [op for op in history if op.result != ("nothing",)]


def increments(address, workers, each):
    """Counts one resource up from many threads; the final value and the number of successes."""
    api, path = Api(address), f"/teams/{name('count')}"
    api.put(path, {"name": path, "description": "0"}, none_match="*")

    def count(_):
        done = 0
        while done < each:
            now = api.get(path)
            value = str(int(now.json()["description"]) + 1)
            if api.patch(path, {"description": value}, match=now.headers["ETag"]).status_code == 200:
                done += 1
        return done

    total = sum(parallel(workers, count))
    return int(api.get(path).json()["description"]), total


@pytest.mark.race
def test_L1_no_increment_is_lost(server):
    value, successes = increments(server.address, 32, 200 if LONG else 20)
    assert value == successes


@pytest.mark.race
def test_L2_histories_are_linearizable(server):
    for seed in range(6):
        path, history = f"/teams/{name('L2')}", []
        parallel(8, lambda i: work(Recorder(server.address, path, history), 40,  # noqa: B023
                                   seed * 100 + i))
        assert linearizable(clean(history)), sorted(history, key=lambda op: op.start)


class Phoenix:
    """A server that is killed and started again on the same port and data."""

    def __init__(self, directory):
        self.directory = directory
        self.accord = start_platform(directory)
        self.address = self.accord.address

    def reborn(self):
        self.accord.may_fail = True
        self.accord.signal(signal.SIGKILL)
        self.accord.process.wait()
        self.accord.stop()
        self.accord = start_platform(self.directory, arguments=[
            "--listen", self.address.removeprefix("http://")])


def test_L3_L4_L5_under_kill_9(tmp_path):
    """Histories over a server that dies every 500 ms: an order exists, nothing acknowledged is lost,
    and who was told of a state finds it or a later one."""
    server = Phoenix(tmp_path / "a")
    stopping = threading.Event()
    histories = {f"/teams/{name('L3')}": [] for _ in range(4)}
    seen_back = []

    def client(path, history, seed):
        recorder, dice, i = Recorder(server.address, path, history), random.Random(seed), 0
        highest = 0
        while not stopping.is_set():
            i += 1
            kind = dice.choices(["read", "cas", "create", "delete"], [4, 6, 2, 1])[0]
            result = recorder.act(kind, f"{seed}-{i}")
            if result[0] == "ok" and len(result) > 1:
                if result[1] < highest:
                    seen_back.append((path, highest, result))
                highest = result[1]
            elif result[0] in ("unknown", "nothing"):
                time.sleep(0.01)

    threads = [threading.Thread(target=client, args=(path, history, 10 * k + i))
               for k, (path, history) in enumerate(histories.items()) for i in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(200 if LONG else 10):
            time.sleep(0.5)
            server.reborn()
    finally:
        stopping.set()
        for thread in threads:
            thread.join()
        server.accord.stop()
    assert not seen_back
    for path, history in histories.items():
        assert len(history) > 50
        assert linearizable(clean(history)), path


# ---- the suite must be able to fail ----

MUTANT = ("src/conflict/precondition.c",
          "if (match == ETAG_OTHER ||", "if ((match == ETAG_OTHER && now->now_s < 0) ||")


@pytest.fixture(scope="module")
def mutant(tmp_path_factory):
    """The server without the compare of If-Match, built from a copy of the source."""
    copy = tmp_path_factory.mktemp("mutant")
    for part in ("src", "tools", "meson.build", "meson_options.txt"):
        source = ROOT / part
        (shutil.copytree if source.is_dir() else shutil.copy)(source, copy / part)
    file = copy / MUTANT[0]
    text = file.read_text()
    assert text.count(MUTANT[1]) == 1
    file.write_text(text.replace(MUTANT[1], MUTANT[2]))
    for command in (["meson", "setup", "build", ".", "--buildtype=debug", "-Db_lto=false"],
                    ["ninja", "-C", "build", "accord"]):
        made = subprocess.run(command, cwd=copy, capture_output=True, text=True, timeout=900,
                              env={**os.environ, "CC": "clang"}, check=False)
        assert made.returncode == 0, made.stdout[-3000:] + made.stderr[-3000:]
    return copy / "build" / "accord"


@pytest.mark.timeout(900)
def test_L7_without_the_compare_the_suite_fails(mutant, tmp_path, monkeypatch):
    monkeypatch.setenv("ACCORD_BIN", str(mutant))
    server = start_platform(tmp_path / "a")
    try:
        value, successes = increments(server.address, 16, 20)
        path, history = f"/teams/{name('L7')}", []
        parallel(8, lambda i: work(Recorder(server.address, path, history), 40, i))
        assert value < successes
        assert not linearizable(clean(history), State(0, None))
    finally:
        server.stop()
