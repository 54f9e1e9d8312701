"""What connections and streams cost in memory, how much is given back, how quick a start is."""
import http.client
import json
import os
import shutil
import subprocess
import time

from . import measure, procs, programs

STREAMS = 5000
LATE_MS = 100
IDLE = 5000


def _fresh(bench, context, name, **options):
    """A process of its own, so that nothing that ran before is in its memory."""
    start = programs.PROGRAMS[name][0]
    program = start(context, **options)
    bench.running["fresh " + name] = program
    return program


def _drop(bench, name):
    bench.running.pop("fresh " + name).stop()


def _hold_streams(bench, program, chunks):
    """Opens all streams; returns RSS while they run, and the load's result after their end."""
    began = bench.mock.stats()
    held = procs.HeldLoad(program.stream_port, bench.core_load, stream=chunks, spread_ms=3000,
                          connections=STREAMS, key=programs.KEY, model=programs.ALIAS,
                          late_ms=LATE_MS)
    try:
        deadline = time.monotonic() + chunks + 10
        while (bench.mock.stats()["streams"] < began["streams"] + STREAMS and
               time.monotonic() < deadline):
            time.sleep(0.1)
        time.sleep(2)
        during = procs.rss_kib(program.pids)
        held.wait_held()
        return during, held.finish()
    except procs.BenchError as error:
        now = bench.mock.stats()
        seen = {key: now[key] - began[key] for key in ("streams", "chunks_sent", "streams_ended")}
        raise procs.BenchError(f"{program.name}: {error}; the upstream saw {seen}") from error
    finally:
        procs.stop(held.process)


def slow_streams(bench, context, names):
    """S5: 5,000 streams, a chunk a second each."""
    out = {"programs": {}}
    chunks = 12
    for name in names:
        program = _fresh(bench, context, name)
        bench.load_once("fresh " + name, calls=200)
        bench.mock.set(chunks=5, interval_ms=10, aligned=0)
        bench.load_once("fresh " + name, stream=5, calls=32)
        before = procs.rss_kib(program.pids)
        bench.mock.set(chunks=chunks, interval_ms=1000, aligned=0)
        with procs.LongestWait(program.pids) as wait:
            during, result = _hold_streams(bench, program, chunks)
        late = result["late"]
        out["programs"][name] = {
            "stream_kib": round((during - before) / STREAMS, 2),
            "late_chunks": None if late and wait.ms > LATE_MS / 2 else late,
            "chunks": result["events"], "delay_p99_us": result["delay_us"]["p99"],
            "longest_wait_for_core_ms": round(wait.ms, 1)}
        bench.say(f"S5 {name}: {out['programs'][name]}")
        _drop(bench, name)
    if "accord" in out["programs"]:
        out.update(out["programs"]["accord"])
    return out


def idle_connections(bench, context, names):
    """S6, first half: keep-alive connections that made one call and stay."""
    out = {"programs": {}}
    for name in names:
        program = _fresh(bench, context, name)
        bench.load_once("fresh " + name, calls=1000)
        before = procs.rss_kib(program.pids)
        held = procs.HeldLoad(program.port, bench.core_load, connections=IDLE, spread_ms=3000,
                              key=programs.KEY, model=programs.ALIAS)
        held.wait_held()
        time.sleep(1)
        during = procs.rss_kib(program.pids)
        held.finish()
        out["programs"][name] = round((during - before) / IDLE, 2)
        bench.say(f"S6 {name}: {out['programs'][name]} KiB per idle connection")
        _drop(bench, name)
    if "accord" in out["programs"]:
        out["idle_connection_kib"] = out["programs"]["accord"]
    return out


def resident(bench, context):
    """S6, second half: RSS with two workers before any call, after one, and 30 s after a load."""
    program = _fresh(bench, context, "accord", workers=2)
    procs.get(program.port, "/healthz")
    time.sleep(1)
    idle = procs.rss_kib(program.pids)
    for body, connections in ((1024, 64), (32768, 64), (1 << 20, 16)):
        bench.load_once("fresh accord", body=body, connections=connections, seconds=3)
    bench.mock.set(chunks=50, interval_ms=10, aligned=0)
    bench.load_once("fresh accord", stream=50, connections=500, seconds=3)
    loaded = procs.rss_kib(program.pids)
    time.sleep(30)
    after = procs.rss_kib(program.pids)
    _drop(bench, "accord")
    out = {"idle_rss_mib": round(idle / 1024, 2), "loaded_rss_mib": round(loaded / 1024, 2),
           "after_load_rss_mib": round(after / 1024, 2),
           "after_load_over_limit_mib": round((after - (idle * 1.2 + 1024)) / 1024, 2)}
    bench.say(f"S6 accord, 2 workers: {out}")
    return out


def _first_answer_ms(command, port, core):
    body = json.dumps({"model": programs.ALIAS, "messages": [{"role": "user", "content": "Hi"}]})
    began = time.monotonic()
    process = procs.start(command, core, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while time.monotonic() < began + 10:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
            try:
                connection.request("POST", "/v1/chat/completions", body,
                                   {"Authorization": f"Bearer {programs.KEY}",
                                    "Content-Type": "application/json"})
                answer = connection.getresponse()
                answer.read()
                if answer.status == 200:
                    return (time.monotonic() - began) * 1000
                raise procs.BenchError(f"the first answer has status {answer.status}")
            except ConnectionRefusedError:
                time.sleep(0.0005)
            finally:
                connection.close()
        raise procs.BenchError("no first answer within 10 s")
    finally:
        procs.stop(process)


def start_time(bench, context, times=11):
    """S17: from exec to the first proxied answer; the data directory is there already."""
    folder = context.file("start")
    port = procs.free_port()
    command = programs.accord_command(context, folder, port)
    values = [_first_answer_ms(command, port, bench.core_proxy) for _ in range(times + 1)][1:]
    stripped = os.path.join(folder, "stripped")
    if shutil.which("strip"):
        subprocess.run(["strip", "-o", stripped, context.accord], check=False)
    size = os.path.getsize(stripped if os.path.exists(stripped) else context.accord)
    out = {"first_answer_ms": round(measure.percentile(values, 0.2), 1),
           "first_answer_median_ms": round(measure.percentile(values, 0.5), 1),
           "binary_mib": round(size / (1 << 20), 2)}
    bench.say(f"S17 accord: {out}")
    return out
