"""Chaos: upstreams that fail at random, callers of every kind, and a configuration that is reloaded meanwhile.

    build/venv/bin/python tests/live/chaos.py --seconds 600 --rate 500     (ACCORD_BIN names the program)

Every call must end with an honest answer: its own text, whole, and the tokens that were served; or an error in the
caller's own dialect; a stream with its last event or with an error event. Afterwards nothing is reserved, nothing is
under way, the ledger has each call once and the tokens that the upstreams served for it; and meanwhile the memory, the
file descriptors and the share of repeated requests stay within bounds. test_chaos.py runs a short one.
"""

import argparse
import asyncio
import collections
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import requests

import chaos_calls
from accord import Accord
from platform_api import ADMIN_TOKEN, Api
from wire import wait_for

AMPLIFICATION = 1.2
PRICE = {"input": 1, "output": 2}
KEYS = ("free", "tight", "poor", "narrow", "cached", "idem")
ROLES = ("a", "b", "c")


def secret_of(key):
    return f"sk-accord-chaos-{key}-000000000000"


def config_of(ports, turn):
    """What changes with `turn` is where calls go, and a limit that nobody reaches."""
    a, b, c = (f"http://127.0.0.1:{port}" for port in ports)
    more = {"allow_private_address": True}
    price = {"price": PRICE}

    def target(provider, priority=1, weight=1):
        return {"provider": provider, "model": "x", "priority": priority, "weight": weight, **price}
    return {
        "workers": 2, "timeouts": {"connect_ms": 1000, "first_byte_ms": 3000, "idle_ms": 3000},
        "memory": {"max_bytes": 4 << 20, "idempotency_ttl_s": 5},
        "providers": [
            {"id": "a", "dialect": "openai", "api": "chat", "base_url": f"{a}/v1", **more, "credential": [
                {"id": "one", "secret": "sk-one-00000000"}, {"id": "two", "secret": "sk-two-00000000"}]},
            {"id": "b", "dialect": "openai", "api": "chat", "base_url": f"{b}/v1", "credential": "sk-b-0000000000", **more},
            {"id": "c", "dialect": "anthropic", "base_url": c, "credential": "sk-c-0000000000", **more},
            {"id": "gone", "dialect": "openai", "base_url": "http://127.0.0.1:1/v1", "credential": "sk-g-000000000",
             **more}],
        "models": [
            {"id": "chat", "targets": [target("a", weight=1 + turn % 2), target("b"), target("c", 2)]},
            {"id": "claude", "targets": [target("c"), target("a", 2), target("b", 2)]},
            {"id": "lost", "targets": [target("gone"), target("b", 2), target("a", 3)]},
            {"id": "solo", "targets": [target("b")]}],
        "keys": [{"id": key, "secret": secret_of(key), "models": ["*"]} for key in KEYS],
        "policies": [
            {"id": "all", "applies_to": {"org": True},
             "limits": [{"what": "concurrency", "at_most": 100000 + turn}, {"what": "requests", "at_most": 10**9, "per": "hour"}],
             "budgets": [{"usd": 1000, "per": "month"}, {"tokens": 10**11, "per": "month"}]},
            {"id": "tight", "applies_to": {"key": "tight"}, "limits": [{"what": "requests", "at_most": 20, "per": "second"}]},
            {"id": "narrow", "applies_to": {"key": "narrow"}, "limits": [{"what": "concurrency", "at_most": 3}]},
            {"id": "poor", "applies_to": {"key": "poor"}, "budgets": [{"usd": "0.02", "per": "month"}]},
            {"id": "cache", "applies_to": {"key": "cached"}, "cache": {"ttl_s": 2, "coalesce": True}}],
    }


class Upstreams:
    """The process of chaos_upstream.py."""

    def __init__(self, seed):
        program = Path(__file__).with_name("chaos_upstream.py")
        self.process = subprocess.Popen([sys.executable, str(program), str(seed)], stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE)
        self.ports = json.loads(self.process.stdout.readline())

    def read(self):
        return [requests.get(f"http://127.0.0.1:{port}/log", timeout=60).json() for port in self.ports]

    def stop(self):
        self.process.stdin.close()
        self.process.wait(30)
        self.process.stdout.close()


class Watch:
    """Memory and descriptors of the server, once a second."""

    def __init__(self, server):
        self.server, self.rss, self.fds = server, [], []
        self.first = self.unexplained()

    def descriptors(self):
        return len(os.listdir(f"/proc/{self.server.process.pid}/fd"))

    def look(self):
        self.rss.append(self.server.rss_kib())
        self.fds.append(self.descriptors())

    def unexplained(self):
        """Descriptors that are no connection that the server knows of."""
        connections = sum(value for name, value in self.server.metrics().items()
                          if name.startswith(("accord_client_connections{", "accord_upstream_connections{")))
        return self.descriptors() - int(connections)

    @staticmethod
    def _parts(values):
        """The middle of the second fifth, when all is warm, and of the last."""
        n = max(1, len(values) // 5)
        return sorted(values[n:2 * n])[n // 2], sorted(values[-n:])[n // 2]

    def faults(self, growth_kib):
        found = []
        (rss, rss_end), (fds, fds_end) = self._parts(self.rss), self._parts(self.fds)
        if rss_end > rss * 1.1 + growth_kib:
            found.append(f"memory grew from {rss} to {rss_end} KiB")
        # Pools keep as many connections as have been busy at once; a short run may still meet its worst moment.
        if fds_end > fds * 1.5 + 100 and len(self.fds) > 200:
            found.append(f"descriptors grew from {fds} to {fds_end}")
        left = self.unexplained() - self.first
        if left > 16:  # files of the ledger
            found.append(f"{left} descriptors are no connections")
        course = self.rss[::max(1, len(self.rss) // 20)]
        return found, {"rss_kib": [rss, rss_end], "rss_course_kib": course, "fds": [fds, fds_end],
                       "fds_unexplained": left}


class Run:
    def __init__(self, directory, seconds, rate, seed=1, reload_every=3.0):
        self.seconds, self.rate, self.reload_every = seconds, rate, reload_every
        self.chance = random.Random(seed)
        self.upstreams = Upstreams(seed)
        self.server = Accord(directory, config_of(self.upstreams.ports, 0), env={"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN})
        self.watch = Watch(self.server)
        self.faults, self.figures = [], {}

    # ---- traffic ----

    async def traffic(self):
        callers = chaos_calls.Callers(self.server.port, secret_of, self.chance)
        self.callers = callers
        begun = time.monotonic()
        tasks, made, turn, looked = set(), 0, 0, 0
        while (now := time.monotonic() - begun) < self.seconds:
            while made < now * self.rate and len(tasks) < 4000:
                made += 1
                task = asyncio.create_task(callers.call(made))
                tasks.add(task)
                task.add_done_callback(tasks.discard)
            if now > looked:
                looked += 1
                self.watch.look()
            if now > (turn + 1) * self.reload_every:
                turn += 1
                self.server.write_config(config_of(self.upstreams.ports, turn))
                self.server.signal(signal.SIGHUP)
            await asyncio.sleep(0.002)
        self.figures["rate"] = round(made / (time.monotonic() - begun), 1)
        self.figures["reloads"] = turn
        if tasks:
            await asyncio.wait(tasks, timeout=60)
        if tasks:
            self.faults.append(f"{len(tasks)} calls have no answer after a minute")
        callers.close()

    # ---- afterwards ----

    def settle(self):
        def quiet():
            metrics = self.server.metrics()
            held = {k: v for k, v in metrics.items() if k.startswith("accord_limit_reserved") and v}
            self.held = held, metrics["accord_inflight"]
            return not held and not metrics["accord_inflight"]
        try:
            wait_for(quiet, timeout=30, what="reservations to go")
        except (TimeoutError, AssertionError):
            self.faults.append(f"still reserved, under way: {self.held}")

    def read_upstreams(self):
        logs = self.upstreams.read()
        self.log = [entry for one in logs for entry in one["log"]]
        made = len(self.callers.done)
        self.figures["calls"], self.figures["upstream_requests"] = made, len(self.log)

    def read_ledger(self):
        api = Api(self.server.address)
        wait_for(lambda: api.get("/usage").json()["items"][0]["calls"] >= len(self.callers.done), timeout=60,
                 what="the ledger to have every call")
        calls, cursor = [], None
        while True:
            page = api.get("/calls", params={"limit": 500, **({"cursor": cursor} if cursor else {})}).json()
            calls += page["items"]
            cursor = page.get("next_cursor")
            if not cursor:
                return calls, api.get("/usage").json()["items"][0]

    def check_ledger(self):
        calls, total = self.read_ledger()
        done = {one.id: one for one in self.callers.done if one.id}
        ids = collections.Counter(call["id"] for call in calls)
        twice = [i for i, n in ids.items() if n > 1]
        missing, strange = set(done) - set(ids), set(ids) - set(done)
        if twice or missing or strange or total["calls"] != len(done):
            self.faults.append(f"ledger: {len(twice)} twice, {len(missing)} missing, {len(strange)} that nobody made, "
                               f"{total['calls']} in the sums for {len(done)}")
        served = collections.Counter(entry[0] for entry in self.log if entry[2])
        sums = collections.Counter()
        for call in calls:
            self.check_record(call, done.get(call["id"]), served, sums)
        for kind in ("input", "output"):
            if total["tokens"].get(kind, 0) != sums[kind]:
                self.faults.append(f"usage: {total['tokens']} {kind}, the records have {sums[kind]}")
        self.check_sums(served, sums)
        self.check_attempts(calls)

    def check_attempts(self, calls):
        """Calls that were refused, or answered from memory, asked for nothing: the others are what counts."""
        sent = [call["attempts"] for call in calls if call["attempts"]]
        self.figures["amplification"] = round(sum(sent) / max(1, len(sent)), 3)
        if sum(sent) >= AMPLIFICATION * len(sent):
            self.faults.append(f"{sum(sent)} attempts for {len(sent)} calls")
        if os.environ.get("CHAOS_DUMP"):
            with open(os.environ["CHAOS_DUMP"], "w", encoding="utf-8") as file:
                json.dump(calls, file)

    def check_record(self, call, one, served, sums):
        tokens = call.get("tokens", {})
        sums["input"] += tokens.get("input", 0)
        sums["output"] += tokens.get("output", 0)
        sums["cost_nusd"] += call["cost_nusd"] or 0
        if not one:
            return
        if call["status"] != one.status:
            self.faults.append(f"record {call}: the caller had {one.status}")
        if one.end == "whole" and not call["provider"].startswith("("):
            read, written = chaos_calls.tokens_of(one.number)
            sums["whole_input"] += read
            sums["whole_output"] += written
            sums["from upstream", one.number] += 1
            if (tokens.get("input"), tokens.get("output")) != (read, written):
                self.faults.append(f"record {call}: served {read} and {written}")
            if call["cost_nusd"] != read * 1000 + written * 2000:
                self.faults.append(f"record {call}: costs {read * 1000 + written * 2000}")
            if not served[one.number]:
                self.faults.append(f"record {call}: nobody served that")

    def check_sums(self, served, sums):
        """What was served whole, to the token: each once with a caller, or it is told."""
        read = sum(chaos_calls.tokens_of(n)[0] * k for n, k in served.items())
        written = sum(chaos_calls.tokens_of(n)[1] * k for n, k in served.items())
        self.figures["tokens"] = {"served": [read, written], "recorded_whole": [sums["whole_input"], sums["whole_output"]],
                                  "recorded": [sums["input"], sums["output"]]}
        if (read, written) != (sums["whole_input"], sums["whole_output"]):
            lost = [(n, k, sums["from upstream", n]) for n, k in served.items() if k != sums["from upstream", n]]
            self.faults.append(f"served {read} and {written}, recorded {sums['whole_input']} and "
                               f"{sums['whole_output']}; calls, times served, times recorded: {lost[:10]}")
        metrics = self.server.metrics()
        self.figures["budget_usd"] = [v for k, v in metrics.items()
                                      if k.startswith('accord_limit_used{policy="all"') and 'what="usd"' in k]
        self.figures["ledger_usd"] = sums["cost_nusd"] / 1e9

    def check_end(self, growth_kib):
        wait_for(lambda: self.server.metrics()['accord_client_connections{state="idle"}'] <= 1, timeout=30,
                 what="connections of clients to be gone")
        found, figures = self.watch.faults(growth_kib)
        self.faults += found
        self.figures |= figures
        metrics = self.server.metrics()
        if metrics["accord_config_last_reload_success"] != 1:
            self.faults.append("a reload failed")
        for name in ("accord_ledger_dropped_total", "accord_records_dropped_total"):
            if metrics.get(name):
                self.faults.append(f"{name} is {metrics[name]}")

    def go(self, growth_kib=8192):
        try:
            asyncio.run(self.traffic())
            self.faults += self.callers.faults
            self.figures["ends"] = dict(sorted(collections.Counter(
                f"{one.end} {one.status}" + (f" {one.code}" if one.code else "") for one in self.callers.done).items()))
            self.settle()
            self.read_upstreams()
            self.check_ledger()
            self.check_end(growth_kib)
        finally:
            self.upstreams.stop()
            try:
                self.server.stop()
            except AssertionError as error:
                self.faults.append(str(error))
        return self.faults


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--rate", type=float, default=500)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="accord-chaos-") as directory:
        run = Run(Path(directory) / "a", options.seconds, options.rate, options.seed)
        faults = run.go()
    print(json.dumps({"seed": options.seed, **run.figures}, indent=1))
    for fault in faults[:40]:
        print("FAULT", fault[:1500])
    print(f"{len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
