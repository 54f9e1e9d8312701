"""The ledger: every call is there, once, whatever happens; what it adds up to is what the upstream served."""

import csv
import io
import json
import random
import re
import shutil
import signal
import sqlite3
import subprocess
import threading
import time
from datetime import datetime, timedelta, timezone

import pytest

import answers
from accord import KEY, Accord, binary, clean_environment, config_for
from platform_api import ADMIN_TOKEN, Api, is_problem, name, parallel
from wire import Closed, wait_for

ECHO = {"model": "sim/echo", "messages": [{"role": "user", "content": "Hello"}]}
MEASURED = ("calls", "errors", "cost_nusd", "cost_unknown")


def start(directory, config=None, **options):
    """A server that knows the usual key, also when it is started again."""
    config = {"keys": [{"id": "dev", "secret": KEY}], **(config or {})}
    env = {"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN, **options.pop("env", {})}
    return Accord(directory, config, env=env, **options)


def api_of(server):
    return Api(server.address)


def all_calls(api, **query):
    """Every call that fits, page by page, the newest first."""
    items, cursor = [], None
    while True:
        page = api.get("/calls", params={"limit": 500, **query, **({"cursor": cursor} if cursor else {})})
        assert page.status_code == 200, page.text
        items += page.json()["items"]
        cursor = page.json().get("next_cursor")
        if not cursor:
            return items


def wait_calls(api, count, **query):
    wait_for(lambda: len(all_calls(api, **query)) >= count, what=f"{count} calls in the ledger")
    calls = all_calls(api, **query)
    assert len(calls) == count
    return calls


def usage(api, **query):
    response = api.get("/usage", params=query)
    assert response.status_code == 200, response.text
    return response.json()["items"]


def wait_usage(api, count, **query):
    def total():
        return sum(row["calls"] for row in usage(api, **query))
    wait_for(lambda: total() >= count, timeout=20, what=f"{count} calls in the roll-ups")
    assert total() == count
    return usage(api, **query)


def ids(calls):
    found = [call["id"] for call in calls]
    assert len(found) == len(set(found)), "a call is there twice"
    return set(found)


def request_id(response):
    return response.header("x-request-id")


# ---- every call, once ----

def test_after_sigterm_every_call_is_there_once(tmp_path):
    server = start(tmp_path / "a")
    made = [one for many in parallel(8, lambda _: [
        request_id(server.post("/v1/chat/completions", ECHO)) for _ in range(25)]) for one in many]
    server.stop()
    server = start(tmp_path / "a")
    try:
        calls = all_calls(api_of(server))
        assert ids(calls) == set(made) and len(made) == 200
        assert [call["seq"] for call in calls] == list(range(200, 0, -1))
        rows = wait_usage(api_of(server), 200)
        assert rows[0]["tokens"]["input"] == sum(call["tokens"]["input"] for call in calls)
    finally:
        server.stop()


def test_after_kill_9_only_the_last_moment_is_missing(tmp_path):
    """What ended a tenth of a second before is there; here a second, because the machine may be busy."""
    server = start(tmp_path / "a")
    server.may_fail = True
    made, stop = [], threading.Event()

    def calling():
        while not stop.is_set():
            try:
                answer = server.post("/v1/chat/completions", ECHO)
            except (OSError, AssertionError, Closed):
                return
            made.append((request_id(answer), time.monotonic()))

    threads = [threading.Thread(target=calling) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_for(lambda: len(made) > 300, timeout=30)
    killed = time.monotonic()
    server.process.kill()
    stop.set()
    for thread in threads:
        thread.join()
    server.process.wait()
    server = start(tmp_path / "a")
    try:
        last = request_id(server.post("/v1/chat/completions", ECHO))
        wait_for(lambda: last in ids(all_calls(api_of(server))))
        there = ids(all_calls(api_of(server)))
        missing = [age for age in (killed - at for one, at in made if one not in there) if age > 1]
        assert not missing, f"calls are missing that ended {max(missing):.2f} s before the end"
        wait_usage(api_of(server), len(there))
    finally:
        server.stop()


def test_refused_calls_are_there(tmp_path):
    server = start(tmp_path / "a")
    api = api_of(server)
    try:
        server.post("/v1/chat/completions", ECHO, key=False)
        server.post("/v1/chat/completions", {**ECHO, "model": "no-such"})
        server.post("/v1/messages", b"{", headers=[("anthropic-version", "2023-06-01")])
        calls = {call["route"] + str(call["status"]): call for call in wait_calls(api, 3)}
        assert {call["outcome"] for call in calls.values()} == {"refused"}
        nobody, unknown = calls["openai.chat401"], calls["openai.chat404"]
        assert "key" not in nobody and nobody["cost_nusd"] == 0 and nobody["attempts"] == 0
        assert unknown["model"] == "no-such" and unknown["error"] == "model_not_found"
        assert calls["anthropic.messages400"]["dialect_in"] == "anthropic"
        assert len(all_calls(api, errors="true")) == len(all_calls(api, outcome="refused")) == 3
        assert len(all_calls(api, status="4xx")) == 3 and len(all_calls(api, status="404")) == 1
        assert len(all_calls(api, key="")) == 1 and not all_calls(api, status="5xx")
        # A name that a client made up is none of the roll-ups'.
        assert {row["model"] for row in wait_usage(api, 3, by="model")} == {""}
    finally:
        server.stop()


# ---- what it adds up to ----

def priced(url):
    config = config_for(url)
    config["models"][0]["targets"][0]["price"] = {
        "input": 2.5, "output": "10", "cache_read": 0.5, "reasoning": 12}
    return config


def test_the_sum_is_what_the_upstream_served_to_the_token(tmp_path, upstream):
    served, chance = [], random.Random(7)

    def scripted(peer, request):
        told = {"prompt_tokens": chance.randrange(1, 100000),
                "completion_tokens": chance.randrange(1, 5000)}
        told["prompt_tokens_details"] = {"cached_tokens": chance.randrange(told["prompt_tokens"])}
        told["completion_tokens_details"] = {"reasoning_tokens": chance.randrange(told["completion_tokens"])}
        served.append(told)
        if b'"stream":true' in request.body.replace(b" ", b""):
            events = [event.replace(b'"usage":{"prompt_tokens":7,"completion_tokens":3,"total_tokens":10}',
                                    b'"usage":' + answers.dump(told)) for event in answers.chat_events(request)]
            peer.send(answers.stream(events))
        else:
            body = json.loads(answers.CHAT)
            peer.send(answers.whole(answers.dump({**body, "usage": told})))

    upstream.answer = scripted
    server = start(tmp_path / "a", priced(upstream.url))
    api = api_of(server)
    try:
        for i in range(120):
            server.post("/v1/chat/completions", {**ECHO, "model": "m", "stream": i % 3 == 0})
        rows = wait_usage(api, 120, by="model,provider,key")
        assert len(rows) == 1 and (rows[0]["model"], rows[0]["provider"], rows[0]["key"]) == ("m", "up", "dev")
        row, tokens = rows[0], rows[0]["tokens"]
        cached = [t["prompt_tokens_details"]["cached_tokens"] for t in served]
        thought = [t["completion_tokens_details"]["reasoning_tokens"] for t in served]
        assert tokens["input"] == sum(t["prompt_tokens"] for t in served)
        assert tokens["output"] == sum(t["completion_tokens"] for t in served)
        assert tokens["cache_read"] == sum(cached) and tokens["reasoning"] == sum(thought)
        # $2.50, $0.50, $10 and $12 a million are 2500, 500, 10000 and 12000 nano-dollars a token.
        assert row["cost_nusd"] == sum(
            (t["prompt_tokens"] - c) * 2500 + c * 500 + (t["completion_tokens"] - r) * 10000 + r * 12000
            for t, c, r in zip(served, cached, thought))
        assert row["cost_usd"] == f"{row['cost_nusd'] // 10**9}.{row['cost_nusd'] % 10**9:09d}"
        assert row["streams"] == 40 and row["cost_unknown"] == 0
        calls = all_calls(api)
        assert sum(call["cost_nusd"] for call in calls) == row["cost_nusd"]
        assert server.metrics()[
            'accord_cost_usd_total{route="openai.chat",provider="up",model="m"}'] == pytest.approx(
                row["cost_nusd"] / 1e9)
        # The same by every interval, and as CSV.
        for interval in ("minute", "hour", "day", "month"):
            parts = usage(api, interval=interval)
            for measure in MEASURED:
                assert sum(part[measure] for part in parts) == row[measure], (interval, measure)
        lines = list(csv.DictReader(io.StringIO(api.get("/usage", params={"format": "csv", "by": "model"}).text)))
        assert lines[0]["model"] == "m" and int(lines[0]["output_tokens"]) == tokens["output"]
        table = list(csv.DictReader(io.StringIO(api.get("/calls", params={"format": "csv"}).text)))
        assert sum(int(line["input_tokens"]) for line in table) == tokens["input"]
    finally:
        server.stop()


def test_an_unknown_price_is_unknown_and_counted(tmp_path, upstream):
    server = start(tmp_path / "a", config_for(upstream.url))
    api = api_of(server)
    try:
        server.post("/v1/chat/completions", {**ECHO, "model": "m"})
        call = wait_calls(api, 1)[0]
        assert call["cost_usd"] is None and call["cost_nusd"] is None and "price_version" not in call
        assert server.metric("accord_cost_unknown_total") == 1 and server.metric("accord_cost_usd_total") == 0
        assert wait_usage(api, 1)[0]["cost_unknown"] == 1
    finally:
        server.stop()


def test_another_price_does_not_change_what_was(tmp_path, upstream):
    config = priced(upstream.url)
    server = start(tmp_path / "a", config)
    api = api_of(server)
    try:
        server.post("/v1/chat/completions", {**ECHO, "model": "m"})
        before = wait_calls(api, 1)[0]
        assert before["cost_nusd"] == 7 * 2500 + 3 * 10000
        config["models"][0]["targets"][0]["price"] = [
            {"input": 1, "output": 1}, {"input": 9, "output": 9, "from": "2099-01-01T00:00:00Z"}]
        server.write_config(config)
        server.signal(signal.SIGHUP)
        wait_for(lambda: server.metrics()["accord_config_generation"] == 2)
        server.post("/v1/chat/completions", {**ECHO, "model": "m"})
        after, same = wait_calls(api, 2)
        assert same == before
        assert after["cost_nusd"] == 10 * 1000 and after["price_version"] != before["price_version"]
    finally:
        server.stop()


def test_a_price_of_the_platform_counts(tmp_path, upstream):
    server = start(tmp_path / "a", config_for(upstream.url))
    api = api_of(server)
    try:
        model = api.create("models", id="ours", targets=[
            {"provider": "up", "model": "x", "price": {"input": 0.5, "output": "1.25"}}])
        assert model["targets"][0]["price"] == [{"input": "0.5", "output": "1.25"}]
        refused = api.post("/models", {"id": "wrong", "targets": [
            {"provider": "up", "model": "x", "price": {"input": -1}}]})
        assert refused.status_code == 422 and "/targets/0/price/input" in refused.text
        wait_for(lambda: server.post("/v1/chat/completions", {**ECHO, "model": "ours"}).status == 200)
        wait_for(lambda: all_calls(api, model="ours", status="200"))
        assert all_calls(api, model="ours", status="200")[0]["cost_nusd"] == 7 * 500 + 3 * 1250
    finally:
        server.stop()


# ---- one call ----

def test_attempts_are_told_with_their_reasons(tmp_path, upstream):
    config = config_for(upstream.url)
    config["providers"].append({"id": "dead", "dialect": "openai", "base_url": "http://127.0.0.1:9/v1",
                                "allow_private_address": True})
    config["models"].append({"id": "both", "targets": [
        {"provider": "dead", "model": "x"}, {"provider": "up", "model": "y", "priority": 2}]})
    server = start(tmp_path / "a", config)
    api = api_of(server)
    try:
        answer = server.post("/v1/chat/completions", {**ECHO, "model": "both"})
        assert answer.status == 200
        wait_calls(api, 1)
        call = api.get(f"/calls/{request_id(answer)}").json()
        assert call["attempts"] == 2 and call["provider"] == "up" and call["upstream_model"] == "y"
        assert [(a["provider"], a["reason"]) for a in call["failed_attempts"]] == [
            ("dead", "upstream_unreachable")]
        assert 0 <= call["failed_attempts"][0]["after_ms"] <= call["latency_ms"]["total"]
        is_problem(api.get("/calls/req_00000000000000000000000000"), 404)
    finally:
        server.stop()


def test_an_answer_that_was_an_error_is_an_attempt(tmp_path, upstream):
    asked = []

    def twice(peer, request):
        asked.append(request)
        if len(asked) < 2:
            peer.send(answers.whole(b'{"error":{"message":"later"}}', status=503))
        else:
            answers.usual(peer, request)

    upstream.answer = twice
    server = start(tmp_path / "a", priced(upstream.url))
    api = api_of(server)
    try:
        assert server.post("/v1/chat/completions", {**ECHO, "model": "m"}).status == 200
        call = wait_calls(api, 1)[0]
        assert call["attempts"] == 2 and call["outcome"] == "ok"
        failed = call["failed_attempts"][0]
        assert (failed["provider"], failed["reason"], failed["status"]) == ("up", "error_status", 503)
        assert call["cost_nusd"] == 7 * 2500 + 3 * 10000  # of the answer that was one
    finally:
        server.stop()


def test_what_was_masked_is_counted_in_the_record(tmp_path, upstream):
    config = config_for(upstream.url)
    config["policies"] = [{"id": "private", "applies_to": {"key": "dev"}, "masking": {
        "detectors": ["email", "ip"], "actions": {"ip": "report", "card": "block"}}}]
    server = start(tmp_path / "a", config)
    api = api_of(server)
    try:
        def say(text):
            return server.post("/v1/chat/completions", {**ECHO, "model": "m", "messages": [
                {"role": "user", "content": text}]})

        said = [say("Nothing here"), say("a@example.org and b@example.org at 8.8.8.8"),
                say("4111 1111 1111 1111")]
        assert [answer.status for answer in said] == [200, 200, 422]
        calls = {item["id"]: item for item in wait_calls(api, 3)}
        none, masked, blocked = (calls[request_id(answer)] for answer in said)
        assert "masked" not in none, none
        assert masked["masked"] == {"email": {"mask": 2}, "ip": {"report": 1}}
        assert blocked["masked"] == {"card": {"block": 1}} and blocked["status"] == 422
        table = list(csv.DictReader(io.StringIO(api.get("/calls", params={"format": "csv"}).text)))
        assert {row["masked"] for row in table} == {"card:block=1", "email:mask=2 ip:report=1", ""}
    finally:
        server.stop()
    kept = b"".join(path.read_bytes() for path in (tmp_path / "a" / "data" / "ledger").iterdir())
    assert b"example.org" not in kept and b"8.8.8.8" not in kept
    # A partition of a process that did not count them yet can be read, and goes on.
    day = sorted((tmp_path / "a" / "data" / "ledger").glob("2*.db"))[0]
    with sqlite3.connect(day) as db:
        db.execute("DROP TABLE masked")
    db.close()
    server = start(tmp_path / "a", config)
    try:
        assert server.post("/v1/chat/completions", {**ECHO, "model": "m"}).status == 200
        assert not any("masked" in item for item in wait_calls(api_of(server), 4))
    finally:
        server.stop()


# ---- who may see it ----

def test_who_reads_for_a_team_sees_its_calls_only(tmp_path):
    server = start(tmp_path / "a")
    api = api_of(server)
    try:
        secrets = {}
        for team in ("ours", "theirs"):
            api.team(id=team)
            app = api.create("applications", name=f"App of {team}", team=team)["id"]
            secrets[team] = api.create("keys", application=app)["secret"]
        ana = Api(server.address, api.create("tokens", name="t", role="viewer", team="ours")["secret"])
        for secret in secrets.values():
            for _ in range(2):
                sent = [("Authorization", f"Bearer {secret}")]
                wait_for(lambda: server.post("/v1/chat/completions", ECHO, headers=sent, key=False).status == 200)
        server.post("/v1/chat/completions", ECHO)
        wait_for(lambda: len(all_calls(api, status="200")) == 5)
        mine = all_calls(ana)
        assert {call["team"] for call in mine} == {"ours"} and len(mine) == 2
        assert mine[0]["application"] and not all_calls(ana, team="theirs")
        other = all_calls(api, team="theirs")[0]["id"]
        is_problem(ana.get(f"/calls/{other}"), 404)
        assert ana.get(f"/calls/{mine[0]['id']}").json() == mine[0]
        wait_for(lambda: sum(row["calls"] for row in usage(api, by="team")) >= 5, timeout=20)
        assert {row["team"]: row["calls"] for row in usage(ana, by="team")} == {"ours": 2}
        api.create("roles", id="reader", permissions=["team.read"])
        nobody = Api(server.address, api.create("tokens", name="t", role="reader")["secret"])
        is_problem(nobody.get("/calls"), 403)
        is_problem(nobody.get("/usage"), 403)
        is_problem(nobody.get("/calls/watch"), 403)
        is_problem(Api(server.address, None).get("/calls"), 401)
    finally:
        server.stop()


# ---- as they end ----

class Stream:
    """Reads events of /calls/watch on a thread."""

    def __init__(self, server, query="", last=None):
        self.events, self.status = [], None
        headers = {"Last-Event-ID": str(last)} if last is not None else {}
        self.response = api_of(server).get(f"/calls/watch{query}", headers=headers, stream=True)
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def _read(self):
        number = None
        try:
            for line in self.response.iter_lines():
                if line.startswith(b"id: "):
                    number = int(line[4:])
                elif line.startswith(b"data: "):
                    self.events.append((number, json.loads(line[6:])))
        except Exception:  # noqa: BLE001  the server has gone
            pass

    def close(self):
        self.response.close()


def test_calls_are_told_as_they_end(tmp_path):
    server = start(tmp_path / "a")
    try:
        server.post("/v1/chat/completions", ECHO)
        wait_calls(api_of(server), 1)
        every, bad = Stream(server), Stream(server, "?errors=true")
        made = [request_id(server.post("/v1/chat/completions", ECHO)) for _ in range(20)]
        wrong = request_id(server.post("/v1/chat/completions", {**ECHO, "model": "no-such"}))
        wait_for(lambda: len(every.events) == 21 and len(bad.events) == 1)
        assert {call["id"] for _, call in every.events} == {*made, wrong}
        assert [number for number, _ in every.events] == list(range(2, 23))
        assert bad.events[0][1]["id"] == wrong
        again = Stream(server, last=5)
        wait_for(lambda: len(again.events) == 17)
        assert again.events[0][0] == 6
        for stream in (every, bad, again):
            stream.close()
        is_problem(api_of(server).get("/calls/watch", headers={"Last-Event-ID": "x"}), 400)
    finally:
        server.stop()


def test_a_revoked_token_ends_its_stream(tmp_path):
    server = start(tmp_path / "a")
    api = api_of(server)
    try:
        token = api.create("tokens", name="t", role="viewer")
        stream = Api(server.address, token["secret"]).get("/calls/watch", stream=True)
        assert stream.status_code == 200
        assert api.post(f"/tokens/{token['id']}/revoke", {}, headers={
            "If-Match": api.etag(f"/tokens/{token['id']}")}).status_code == 200

        def ended():
            server.post("/v1/chat/completions", ECHO)
            return not reading.is_alive()
        reading = threading.Thread(target=lambda: list(stream.iter_lines()), daemon=True)
        reading.start()
        wait_for(ended, timeout=20)
    finally:
        server.stop()


# ---- the disk ----

def test_a_full_disk_fails_no_call_and_loses_none(small_disk, tmp_path):
    server = start(tmp_path / "a", arguments=["--data", small_disk / "data"])
    api = api_of(server)
    try:
        made = 0

        def status():
            return api.get("/status").json()["ledger"]

        with open(small_disk / "filler", "wb", buffering=0) as filler:
            try:
                while True:
                    filler.write(b"x" * 4096)
            except OSError:
                pass
        while "error" not in status() and made < 3000:
            for _ in range(50):
                assert server.post("/v1/chat/completions", ECHO).status == 200
            made += 50
        assert status()["error"] == "No space left on device"
        for _ in range(20):
            assert server.post("/v1/chat/completions", ECHO).status == 200
        made += 20
        assert server.metrics()["accord_ledger_writable"] == 0
        subprocess.run(["mount", "-o", "remount,size=32m", str(small_disk)], check=True)
        wait_for(lambda: status()["written"] == made and "error" not in status(), timeout=20)
        assert len(ids(all_calls(api))) == made and status()["dropped"] == 0
        wait_usage(api, made)
    finally:
        server.stop()


def test_what_waits_at_the_end_is_spooled_and_read_by_the_next_process(tmp_path):
    """The partitions cannot be written: their directory is a file."""
    directory = tmp_path / "a"
    server = start(directory)
    ledger = directory / "data" / "ledger"
    wait_for(lambda: (ledger / "spool").exists())
    server.post("/v1/chat/completions", ECHO)
    wait_calls(api_of(server), 1)
    server.stop()
    # Today's partition is a directory: nobody opens it.
    day = sorted(ledger.glob("2*.db"))[0]
    shutil.move(day, directory / "aside.db")
    day.mkdir()
    server = start(directory)
    for _ in range(30):
        assert server.post("/v1/chat/completions", ECHO).status == 200
    wait_for(lambda: "error" in api_of(server).get("/status").json()["ledger"])
    server.stop()
    day.rmdir()
    shutil.move(directory / "aside.db", day)
    server = start(directory)
    try:
        wait_calls(api_of(server), 31)
        wait_usage(api_of(server), 31)
    finally:
        server.stop()
    server = start(directory)
    try:
        assert len(ids(all_calls(api_of(server)))) == 31
    finally:
        server.stop()


def old_partition(ledger, days, first):
    """Today's partition once more, as one of some days ago with smaller numbers."""
    day = datetime.now(timezone.utc) - timedelta(days=days)
    path = ledger / f"{day:%Y-%m-%d}.{first:012d}.db"
    shutil.copy(sorted(ledger.glob("2*.db"))[-1], path)
    with sqlite3.connect(path) as db:
        db.execute("UPDATE calls SET seq = seq + ?, ended_us = ended_us - ?",
                   (first - 1000, days * 86400 * 1000000))
    db.close()
    return path


def test_retention_drops_whole_partitions(tmp_path):
    config = {"keys": [{"id": "dev", "secret": KEY}], "ledger": {"keep_days": 10}}
    server = start(tmp_path / "a", config)
    ledger = tmp_path / "a" / "data" / "ledger"
    for _ in range(5):
        server.post("/v1/chat/completions", ECHO)
    wait_calls(api_of(server), 5)
    server.stop()
    today = sorted(ledger.glob("2*.db"))[-1]
    shutil.move(today, ledger / re.sub(r"\.\d+\.db", ".000000001000.db", today.name))
    today = sorted(ledger.glob("2*.db"))[-1]
    with sqlite3.connect(today) as db:
        db.execute("UPDATE calls SET seq = seq + 1000")
    db.close()
    paths = {days: old_partition(ledger, days, 1000 - days * 10) for days in (30, 11, 9, 3)}
    server = start(tmp_path / "a", config)
    api = api_of(server)
    try:
        wait_for(lambda: not paths[30].exists() and not paths[11].exists())
        assert paths[9].exists() and paths[3].exists() and today.exists()
        assert len(all_calls(api)) == 15
        week = (datetime.now(timezone.utc) - timedelta(days=5)).strftime("%Y-%m-%dT%H:%M:%SZ")
        assert len(all_calls(api, **{"from": week})) == 10 and len(all_calls(api, to=week)) == 5
        config["ledger"]["max_bytes"] = today.stat().st_size + 100000
        server.write_config(config)
        server.signal(signal.SIGHUP)
        wait_for(lambda: not paths[9].exists())
        assert today.exists() and server.post("/v1/chat/completions", ECHO).status == 200
        wait_for(lambda: all_calls(api)[0]["seq"] == max(call["seq"] for call in all_calls(api)))
    finally:
        server.stop()


def test_without_a_ledger_nothing_is_kept(tmp_path):
    server = start(tmp_path / "a", {"ledger": {"keep_days": 0}})
    try:
        assert server.post("/v1/chat/completions", ECHO).status == 200
        problem = is_problem(api_of(server).get("/calls"), 404)
        assert "keep_days" in problem["detail"]
        assert api_of(server).get("/status").json()["ledger"]["recording"] is False
        assert not (tmp_path / "a" / "data" / "ledger").exists()
    finally:
        server.stop()


def test_only_the_owner_of_the_process_may_read_the_files(tmp_path):
    server = start(tmp_path / "a")
    server.post("/v1/chat/completions", ECHO)
    wait_calls(api_of(server), 1)
    ledger = tmp_path / "a" / "data" / "ledger"
    assert ledger.stat().st_mode & 0o777 == 0o700
    files = list(ledger.iterdir())
    assert files and all(path.stat().st_mode & 0o077 == 0 for path in files), files
    server.stop()


# ---- the command line ----

def test_the_commands_tell_the_same(tmp_path):
    server = start(tmp_path / "a")
    env = clean_environment(tmp_path, {"ACCORD_ADDRESS": server.address, "ACCORD_TOKEN": ADMIN_TOKEN})

    def accord(*arguments):
        return subprocess.run([str(binary()), *arguments], env=env, capture_output=True, text=True,
                              timeout=30, check=False)

    try:
        made = [request_id(server.post("/v1/chat/completions", ECHO)) for _ in range(3)]
        wrong = request_id(server.post("/v1/chat/completions", {**ECHO, "model": "no-such"}))
        wait_usage(api_of(server), 4)
        lines = accord("logs").stdout.splitlines()
        assert sorted(line.split("\t")[-1] for line in lines) == sorted([*made, wrong])
        assert [json.loads(line)["id"] for line in accord("logs", "status=4xx", "--json").stdout.splitlines()] == [wrong]
        assert accord("logs", "--since", "2099-01-01T00:00:00Z").stdout == ""
        assert accord("logs", "-n", "2", "--since", "1h").stdout.count("\n") == 2
        table = [line.split("\t") for line in accord("usage", "--by", "model").stdout.splitlines()]
        assert dict(zip(table[0], table[1]))["calls"] == "3" and table[1][0] == "sim/echo"
        assert json.loads(accord("usage", "--json").stdout)["items"][0]["calls"] == 4
        assert accord("usage", "-o", "csv").stdout.startswith("calls,errors,")
        assert accord("top", "--by", "key").stdout.splitlines()[1].startswith("dev\t4\t1\t")
        for wrong_use in (("logs", "x"), ("logs", "--since", "soon"), ("usage", "-o", "xml")):
            assert accord(*wrong_use).returncode == 2, wrong_use
        assert accord("usage", "--by", "colour").returncode == 1
        with subprocess.Popen([str(binary()), "logs", "-f", "-n", "1", "--json"], env=env,
                              stdout=subprocess.PIPE, text=True) as following:
            assert json.loads(following.stdout.readline())["id"]
            wait_for(lambda: api_of(server).get("/status").status_code == 200)
            seen, deadline = None, time.monotonic() + 10
            while seen is None and time.monotonic() < deadline:
                made.append(request_id(server.post("/v1/chat/completions", ECHO)))
                seen = json.loads(following.stdout.readline())["id"]
            assert seen in made
            following.terminate()
    finally:
        server.stop()
