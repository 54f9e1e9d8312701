"""The tier `proof`: what Accord costs with all that issue 5 gives it, and under fire. Beside the usual program run others of
it with more in their configuration; figures are what those take above the usual one, in the same rounds."""
import contextlib
import time

from . import build, measure, procs, programs, scenarios
from .procs import BenchError

KEYS, ROUTES = 100000, 10000 - 3  # three are there already, and more there may not be
SECONDS = 60  # of S16
SPENT_KEY = "sk-accord-bench-spent-000000000000000000000000"

# Five policies hold for a call of the limited key: those of key and model, and these.
CHAIN = """\
  - id: of-everybody
    applies_to: {org: true}
    limits:
      - {what: requests, at_most: 999999999, per: hour}
  - id: tries
    applies_to: {org: true}
    retry: {attempts: 3, deadline_ms: 60000}
  - id: of-addresses
    applies_to: {address: true}
    limits:
      - {what: requests, at_most: 99999999, per: minute}
"""


@contextlib.contextmanager
def beside(bench, context, **named):
    """Starts programs of Accord with more in their configuration, for the time of a scenario."""
    try:
        for name, more in named.items():
            bench.running[name] = programs.start_accord(context, more=more)
        yield
    finally:
        for name in named:
            if name in bench.running:
                bench.running.pop(name).stop()


def above(series, name, usual="accord"):
    if not (series[name].enough and series[usual].enough):
        return None
    return round(series[name].p20 - series[usual].p20, 2)


def chain(bench, context):
    """S1 with limits, a budget and a chain of five policies; and with the ledger besides, whose other threads are told
    apart: what the call itself waits for is the thread that serves it."""
    limited = {"key": programs.LIMITED_KEY, "model": programs.LIMITED}
    with beside(bench, context, chain=programs.More(policies=CHAIN),
                chain_ledger=programs.More(policies=CHAIN, keep_days=30)):
        names, special = ["accord", "chain", "chain_ledger"], {"chain": limited, "chain_ledger": limited}
        path = bench.paired("S1 with limits, a budget, five policies, ledger: us of the serving thread", names,
                            {"body": 1024}, measure.path_per_call, special=special)
        total = bench.paired("the same, us of all threads", names, {"body": 1024}, special=special)
    return {"chain_above_us": above(path, "chain"), "above_us": above(path, "chain_ledger"),
            "all_threads_above_us": above(total, "chain_ledger"), "path": scenarios.figures(path),
            "conclusive": above(path, "chain_ledger") is not None}


def many(bench, context):
    """S13: 100,000 keys and as many routes as 10,000, another pair of them in each call."""
    secrets = [f"sk-accord-bench-many-{i:06d}" for i in range(KEYS)]
    routes = "".join(f"  - {{id: route-{i:05d}, targets: [{{provider: mock, model: {programs.UPSTREAM_MODEL}}}]}}\n"
                     for i in range(ROUTES))
    special = {"many": {"key": "sk-accord-bench-many-000000", "model": "route-00000", "vary_keys": KEYS,
                        "vary_models": ROUTES}}
    with beside(bench, context, many=programs.More(models=routes, secrets=secrets)):
        series = bench.paired(f"S13 {KEYS} keys, {ROUTES} routes, us per call", ["accord", "many"], {"body": 1024},
                              special=special)
        rss = round(procs.rss_kib(bench.running["many"].pids) / 1024, 1)
    return {"ratio": scenarios.ratio(series, "accord", "many"), "rss_mib": rss, **scenarios.figures(series),
            "conclusive": above(series, "many") is not None}


def faults(bench, context):
    """S15: every tenth answer of the upstream is a 500, every hundredth comes late; no call is lost (the load and the
    upstream's count prove it), and those that were not hit are as fast as ever."""
    del context
    bench.all_on(bench.core_proxy)
    try:
        series = bench.paired("S15 p50 with 10 % errors and 1 % stalls, us", ["accord", "faults"],
                              {"body": 1024, "connections": 1}, measure.p50_of_slice, one_core=True, seconds=0.8,
                              warm=0.1, special={"faults": {"program": "accord", "faults": {
                                  "error_permille": 100, "stall_permille": 10, "stall_ms": 20}}})
    finally:
        bench.spread()
    out = above(series, "faults")
    return {"p50_above_us": out, "conclusive": out is not None}


def flood(bench, context):
    """S12: calls of a key that has used up its limit, of two calls."""
    more = programs.More(
        keys=f"  - {{id: spent, secret: {SPENT_KEY}, models: ['*']}}\n",
        policies="  - id: spent\n    applies_to: {key: spent}\n    limits: [{what: requests, at_most: 2, per: month}]\n")
    with beside(bench, context, flood=more):
        bench.load_once("flood", key=SPENT_KEY, connections=1, calls=1)  # and the one that a load begins with
        series = bench.paired("S12 429 (l4: ordinary calls), us", ["l4", "flood"], {},
                              special={"flood": {"key": SPENT_KEY, "expect": 429}})
    out = scenarios.figures(series)
    own = series["flood"]
    out["cpu_us"] = round(own.p20, 2) if own.enough else None
    if "l4" in series:
        out["cpu_us_scaled"] = scenarios.scaled(out["cpu_us"], series["l4"].p20, scenarios.L4_CALL_US)
    return out


def _samples(program):
    found = {}
    for line in procs.get(program.port, "/metrics").splitlines():
        if line.startswith("accord_") and not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def _wait_written(program, calls, deadline_s=120):
    end = time.monotonic() + deadline_s
    while (now := _samples(program))["accord_ledger_written_total"] < calls:
        if time.monotonic() > end:
            raise BenchError(f"{calls} calls, and {now['accord_ledger_written_total']:.0f} in the ledger")
        time.sleep(0.2)
    return now


def ledger(bench, context):
    """S16: what a record takes of the serving thread; and a minute at full rate on a disk that is slow to say "done":
    nothing is lost, and memory stays bounded."""
    slow = {"LD_PRELOAD": build.path("slow_sync.so"), "SLOW_SYNC_MS": "100"}
    with beside(bench, context, ledger=programs.More(keep_days=30)):
        series = bench.paired("S16 ledger, us of the serving thread", ["accord", "ledger"], {"body": 1024},
                              measure.path_per_call)
    with beside(bench, context, slow=programs.More(keep_days=30, env=slow)):
        program = bench.running["slow"]
        made = bench.load_once("slow", seconds=SECONDS / 3)["calls"]
        warm = procs.rss_kib(program.pids)
        made += bench.load_once("slow", seconds=SECONDS * 2 / 3)["calls"]
        rss = procs.rss_kib(program.pids)
        now = _wait_written(program, made)
    lost = now["accord_ledger_dropped_total"] + now["accord_records_dropped_total"]
    bench.say(f"S16 slow disk: {made} calls, {lost:.0f} lost, {now['accord_ledger_spooled_total']:.0f} spooled, "
              f"{now['accord_ledger_commits_total']:.0f} commits, RSS {warm / 1024:.1f}, then {rss / 1024:.1f} MiB")
    return {"path_us": above(series, "ledger"), "lost": lost + max(0, made - now["accord_ledger_written_total"]),
            "calls_per_s": round(made / SECONDS), "rss_growth_mib": round((rss - warm) / 1024, 1),
            "spooled": now["accord_ledger_spooled_total"], "conclusive": above(series, "ledger") is not None}


SCENARIOS = {"chain": chain, "many": many, "faults": faults, "flood": flood, "ledger": ledger}
