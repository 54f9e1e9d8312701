"""The platform's state: durable conditional edits against raw commits of SQLite on the same disk in
the same run, conditional reads, and what a change costs among many resources."""
import concurrent.futures
import http.client
import json
import os
import subprocess
import threading
import time

from . import build, measure, procs, programs
from .procs import BenchError

TOKEN = "at-accord-bench-0000000000000000000000000000"
SECONDS = 4
CLIENTS = 32
KEYS, MODELS, SERVICES = 10000, 1000, 200
CHANGES = 60


def _started(context, cores, workers):
    """A server with a new data directory, on these cores."""
    folder = context.file("state")
    command = programs.accord_command(context, folder, workers=workers)
    errors = open(os.path.join(folder, "stderr"), "w+")
    env = {"PATH": os.environ["PATH"], "ACCORD_ADMIN_TOKEN": TOKEN}
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, text=True, env=env,
                               start_new_session=True,
                               preexec_fn=lambda: os.sched_setaffinity(0, cores))
    line = process.stdout.readline()
    if not line:
        procs.stop(process)
        errors.seek(0)
        raise BenchError(f"accord did not start: {errors.read().strip()}")
    port = int(json.loads(line)["address"].rsplit(":", 1)[1])
    return programs.Running("accord", process, port, [process.pid], folder=folder)


def _run(command, cores):
    done = subprocess.run([str(word) for word in command], capture_output=True, text=True,
                          timeout=120, preexec_fn=lambda: os.sched_setaffinity(0, cores))
    if done.returncode:
        raise BenchError(f"{command[0]}: {done.stderr.strip()[:500]}")
    return json.loads(done.stdout)


def _clients(what, program, cores, **options):
    command = [build.path("state"), what, "--target", f"127.0.0.1:{program.port}", "--token", TOKEN]
    for name, value in options.items():
        command += ["--" + name, value]
    return _run(command, cores)


def edits(bench, context):
    """Raw commits before and after, so that a disk that changes its mind is seen."""
    both = set(bench.cores)

    def raw():
        return _run([build.path("commits"), context.file("raw.db"), SECONDS / 2], both)["per_s"]

    before = raw()
    program = _started(context, both, 2)
    try:
        one = _clients("patch", program, both, seconds=SECONDS)
        many = _clients("patch", program, both, seconds=SECONDS, connections=CLIENTS)
        half = _clients("patch", program, both, seconds=SECONDS, connections=CLIENTS,
                        rate=many["per_s"] / 2)
    finally:
        program.stop()
    commits = (before + raw()) / 2
    out = {"raw_commits_per_s": round(commits), "patch_1_per_s": round(one["per_s"]),
           "patch_32_per_s": round(many["per_s"]), "patch_1_p50_ms": one["p50_ms"],
           "raw_of_patch_32": round(commits / many["per_s"], 2),
           "patch_half_rate_p99_ms": half["p99_ms"]}
    bench.say(f"edits: {out}")
    return out


def reads(bench, context):
    """On one core, the clients on the other."""
    program = _started(context, {bench.core_proxy}, 1)
    try:
        result = _clients("get", program, {bench.core_load}, seconds=SECONDS, connections=CLIENTS)
    finally:
        program.stop()
    out = {"get_304_per_s": round(result["per_s"]),
           "get_304_us": round(1e6 / result["per_s"], 1)}
    bench.say(f"reads: {out}")
    return out


class _Api:
    """One kept-alive connection per thread."""

    def __init__(self, port):
        self.port = port
        self.local = threading.local()

    def ask(self, method, path, body=None, **headers):
        if not hasattr(self.local, "connection"):
            self.local.connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        fields = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
        fields.update({name.replace("_", "-"): value for name, value in headers.items()})
        self.local.connection.request(method, "/api/v1" + path, body and json.dumps(body), fields)
        answer = self.local.connection.getresponse()
        data = answer.read()
        if answer.status >= 300:
            raise BenchError(f"{method} {path}: {answer.status} {data[:300]}")
        return json.loads(data)


def _fill(api):
    api.ask("POST", "/teams", {"id": "bench", "name": "Bench"})
    api.ask("POST", "/providers", {"id": "upstream", "dialect": "openai",
                                   "base_url": "http://127.0.0.1:9/v1",
                                   "allow_private_address": True})
    wanted = [("/services", {"id": f"service-{n}", "name": f"Service {n}", "prefix": f"/s/{n}",
                             "kind": "ai", "team": "bench"}) for n in range(SERVICES)]
    wanted += [("/models", {"id": f"model-{n}", "aliases": [f"alias-{n}"],
                            "targets": [{"provider": "upstream", "model": f"m-{n}"}]})
               for n in range(MODELS)]
    wanted += [("/keys", {"id": f"key-{n}", "models": [f"model-{n % MODELS}", "alias-*"]})
               for n in range(KEYS)]
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        for _ in pool.map(lambda w: api.ask("POST", *w), wanted):
            pass


def live(bench, context):
    """One change among many resources: until it is answered, and until all workers know of it."""
    program = _started(context, set(bench.cores), 2)
    try:
        api = _Api(program.port)
        _fill(api)
        plain, waited, compiled = [], [], []
        for n in range(CHANGES):
            for values, headers in ((plain, {}), (waited, {"Prefer": "wait=5"})):
                key = f"/keys/key-{n * 97 % KEYS}"
                began = time.monotonic()
                api.ask("PATCH", key, {"models": [f"model-{n}-{len(headers)}"]}, If_Match="*",
                        **dict(headers, Content_Type="application/merge-patch+json"))
                values.append((time.monotonic() - began) * 1000)
            compiled.append(api.ask("GET", "/status")["compile_us"] / 1000)
        rss = procs.rss_kib(program.pids)
    finally:
        program.stop()
    out = {"compile_ms": round(measure.percentile(compiled, 0.9), 2),
           "answered_ms": round(measure.percentile(plain, 0.5), 2),
           "live_ms": round(measure.percentile(waited, 0.9), 2), "rss_mib": round(rss / 1024, 1)}
    bench.say(f"live: {KEYS} keys, {MODELS} models, {SERVICES} services: {out}")
    return out


SCENARIOS = {"edits": edits, "reads": reads, "live": live}
