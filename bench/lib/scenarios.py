"""The scenarios of the paired tier and those that only the full tier runs, besides memory."""
from . import measure, programs

PROXIES = ["l4", "nginx", "nginx_log", "haproxy", "accord"]


# What the L4 pump took on the machine that absolute limits were set on. A slower machine's figures
# are scaled down by what its pump takes longer; a faster machine's are not scaled up.
L4_CALL_US = 10.7
L4_CHUNK_US = 9.2
L4_ADDED_US = {"1k": 10.2}


def scaled(value, l4, reference):
    if value is None or not l4:
        return None
    return round(value * min(1.0, reference / l4), 2)


def ratio(series, other, name="accord"):
    """p20 to p20, or None when one side has too few clean slices."""
    if name not in series or other not in series:
        return None
    if not (series[name].enough and series[other].enough):
        return None
    return round(series[name].p20 / series[other].p20, 3)


def figures(series, unit="cpu_us"):
    """One scenario as the report wants it: Accord's figure, its ratios, the others' figures."""
    out = {"programs": {n: round(s.p20, 2) for n, s in series.items() if s.values},
           "clean_slices": {n: len(s.values) for n, s in series.items()},
           "conclusive": all(s.enough for s in series.values())}
    if "accord" in series:
        own = series["accord"]
        out[unit] = round(own.p20, 2) if own.enough else None
        for other in ("nginx", "nginx_log", "haproxy", "l4"):
            if other in series:
                out[f"cpu_ratio_{other}"] = ratio(series, other)
    return out


def call_1k(bench):
    """S1"""
    return figures(bench.paired("S1 1 KiB, us per call", PROXIES, {"body": 1024}))


def call_32k(bench):
    """S2"""
    return figures(bench.paired("S2 32 KiB, us per call", PROXIES, {"body": 32768}))


def call_1m(bench):
    """S3"""
    return figures(bench.paired("S3 1 MiB, us per call", ["l4", "nginx", "haproxy", "accord"],
                                {"body": 1 << 20, "connections": 8}))


def sse_chunk(bench):
    """S4: the requests are in it too, one in a hundred chunks, for all programs alike."""
    bench.mock.set(chunks=100, interval_ms=10, aligned=0)
    return figures(bench.paired(
        "S4 SSE, us per chunk", ["l4", "nginx", "haproxy", "accord"],
        {"stream": 100, "connections": 200, "spread_ms": 10}, measure.cpu_per_event, seconds=1.0))


def _above_pass(bench, title, unit, l4_us, options, value_of):
    """Accord's translated load above the same load passed through, in the same rounds."""
    series = bench.paired(title, ["l4", "accord", "translated"], options, value_of, special={
        "translated": {"program": "accord", "translated": True}})
    above = None
    if series["accord"].enough and series["translated"].enough:
        above = round(series["translated"].p20 - series["accord"].p20, 2)
    l4 = series["l4"].p20 if "l4" in series else None
    return {f"{unit}_above_us": above, f"{unit}_above_us_scaled": scaled(above, l4, l4_us),
            unit: figures(series)}


def translated(bench):
    """S10: a chat caller, an upstream that speaks Messages; what that costs above passing through.
    The streams are longer than a window, so that chunks are measured and no requests."""
    out = _above_pass(bench, "S10 1 KiB translated, us per call", "call", L4_CALL_US,
                      {"body": 1024}, measure.cpu_per_call)
    bench.mock.set(chunks=400, interval_ms=10, aligned=0)
    out |= _above_pass(bench, "S10 SSE translated, us per chunk", "chunk", L4_CHUNK_US,
                       {"stream": 400, "connections": 200, "spread_ms": 10}, measure.cpu_per_event)
    out["conclusive"] = None not in (out["call_above_us"], out["chunk_above_us"])
    return out


def refusal(bench):
    """S12: a wrong key. The pump serves ordinary calls beside it, to tell the machine's speed."""
    wrong = {"key": "sk-accord-this-is-no-key-of-this-server", "expect": 401}
    series = bench.paired("S12 refusal (l4: ordinary calls), us", ["l4", "accord"], {},
                          special={"accord": wrong})
    out = figures(series)
    out["cpu_us_scaled"] = scaled(out["cpu_us"], series["l4"].p20, L4_CALL_US)
    return out


def cached(bench):
    """S11: answers out of the cache. The pump serves ordinary calls beside it, to tell the machine's speed."""
    bench.load_once("accord", cached=1, key=programs.CACHED_KEY, connections=1, calls=1)
    series = bench.paired("S11 cache hit (l4: ordinary calls), us", ["l4", "accord"], {},
                          special={"accord": {"key": programs.CACHED_KEY, "cached": 0}})
    out = figures(series)
    out["cpu_us_scaled"] = scaled(out["cpu_us"], series["l4"].p20, L4_CALL_US)
    return out


def latency(bench):
    """S7: everything on one core, one call at a time."""
    names = ["direct", "l4", "nginx", "nginx_log", "haproxy", "accord"]
    out = {"programs": {}, "conclusive": True}
    bench.all_on(bench.core_proxy)
    try:
        for label, body in (("1k", 1024), ("32k", 32768)):
            series = bench.paired(f"S7 p50 at {label}, us", names,
                                  {"body": body, "connections": 1}, measure.p50_of_slice,
                                  one_core=True, seconds=0.8, warm=0.1)
            direct = series["direct"].p20
            added = {n: round(s.p20 - direct, 2) for n, s in series.items()
                     if n != "direct" and s.values and direct is not None}
            out["programs"][label] = added
            sure = all(series[n].enough for n in ("direct", "accord", "l4") if n in series)
            out["conclusive"] = out["conclusive"] and sure
            if "accord" in added:
                out[f"added_p50_us_{label}"] = added["accord"] if sure else None
                if sure and added.get("l4"):
                    out[f"ratio_l4_{label}"] = round(added["accord"] / added["l4"], 3)
                    if label in L4_ADDED_US:
                        out[f"added_p50_us_{label}_scaled"] = scaled(
                            added["accord"], added["l4"], L4_ADDED_US[label])
    finally:
        bench.spread()
    return out


def first_token(bench):
    """S8: everything on one core; from the request to the first event of its stream."""
    names = [n for n in ("direct", "l4", "nginx", "haproxy", "accord") if n in bench.running]
    values = {name: [] for name in names}
    bench.mock.set(chunks=1, interval_ms=0, aligned=0)
    bench.all_on(bench.core_proxy)
    try:
        for _ in range(9):
            bench.random.shuffle(names)
            for name in names:
                result = bench.load_once(name, True, stream=1, connections=1, seconds=0.3)
                values[name].append(result["first_us"]["p50"])
    finally:
        bench.spread()
    p20 = {name: round(measure.percentile(v, 0.2), 2) for name, v in values.items()}
    bench.say("S8 first token, us: " + ", ".join(f"{n} {v}" for n, v in sorted(p20.items())))
    out = {"programs": p20}
    if "accord" in p20 and "l4" in p20:
        out["above_l4_us"] = round(p20["accord"] - p20["l4"], 2)
    return out


def low_rate(bench):
    """S9: 200 calls a second; never to be compared with CPU at saturation."""
    return figures(bench.paired("S9 200 calls/s, us per call", ["l4", "nginx", "haproxy", "accord"],
                                {"rate": 200}, seconds=2.5, slice_ms=250))
