"""Starts, watches and stops the real binary."""

import json
import os
import select
import signal
import subprocess
import time
from pathlib import Path

from wire import Connection, request, wait_for

ROOT = Path(__file__).resolve().parents[2]
KEY = "sk-accord-live-tests-caller-canary-0001"
PROVIDER_SECRET = "sk-upstream-canary-7f3b9d51c2"
START_DEADLINE_S = 20.0
STOP_DEADLINE_S = 20.0
SANITIZER_MARKS = ("ERROR: AddressSanitizer", "ERROR: LeakSanitizer", "runtime error:",
                   "WARNING: ThreadSanitizer", "AddressSanitizer:DEADLYSIGNAL")
# A sanitizer's quarantine would otherwise count as the server's memory.
SANITIZERS = {
    "ASAN_OPTIONS": "detect_leaks=1:quarantine_size_mb=4:detect_stack_use_after_return=0",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=0",
    # A second signal ends the process with its threads running, on purpose.
    "TSAN_OPTIONS": "halt_on_error=0:exitcode=66:report_thread_leaks=0",
}


def binary():
    chosen = os.environ.get("ACCORD_BIN")
    if chosen:
        return Path(chosen).resolve()
    for build in ("asan", "release"):
        path = ROOT / "build" / build / "accord"
        if path.exists():
            return path
    raise FileNotFoundError("no build/asan/accord or build/release/accord; set ACCORD_BIN")


def clean_environment(home, extra=None):
    """Nothing of the machine's own keys or proxies may leak into a test."""
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "LD_LIBRARY_PATH")
            if name in os.environ}
    options = {name: os.environ.get(name, default) for name, default in SANITIZERS.items()}
    return {**kept, "HOME": str(home), **options, **(extra or {})}


def run(arguments, cwd, env=None, timeout=30):
    """A command that ends by itself: accord check, version, key create ..."""
    return subprocess.run([str(binary()), *map(str, arguments)], cwd=cwd, timeout=timeout,
                          env=clean_environment(cwd, env), capture_output=True, text=True,
                          check=False)


def config_for(url, **more):
    """One model per dialect at the upstream `url`, one key, one access log. JSON is YAML."""
    provider = {"credential": PROVIDER_SECRET, "allow_private_address": True}
    config = {
        "workers": 2,
        "providers": [
            {"id": "up", "dialect": "openai", "base_url": f"{url}/v1", **provider},
            {"id": "ant", "dialect": "anthropic", "base_url": url, **provider},
            {"id": "gem", "dialect": "gemini", "base_url": url, **provider},
            {"id": "oll", "dialect": "ollama", "base_url": url, **provider},
            {"id": "coh", "dialect": "cohere", "base_url": url, **provider},
            {"id": "bed", "dialect": "bedrock", "base_url": url, **provider},
        ],
        "models": [
            {"id": "m", "aliases": ["m-alias"],
             "targets": [{"provider": "up", "model": "upstream-m"}]},
            {"id": "claude-m", "targets": [{"provider": "ant", "model": "upstream-c"}]},
            {"id": "gemini-m", "targets": [{"provider": "gem", "model": "upstream-g"}]},
            {"id": "ollama-m", "targets": [{"provider": "oll", "model": "upstream-o"}]},
            {"id": "cohere-m", "targets": [{"provider": "coh", "model": "upstream-h"}]},
            {"id": "bedrock-m", "targets": [{"provider": "bed", "model": "upstream-b"}]},
        ],
        "keys": [{"id": "dev", "secret": KEY, "models": ["*"]}],
    }
    config.update(more)
    return config


def with_limited(config, names):
    """Adds for each model and name a model NAME-limited-MODEL at a provider of its own: who has been told to wait
    is not asked again before that."""
    providers = {p["id"]: p for p in config["providers"]}
    for model in list(config["models"]):
        for name in names:
            target, limited = model["targets"][0], f"{name}-limited-{model['id']}"
            config["providers"].append({**providers[target["provider"]], "id": limited})
            config["models"].append({"id": limited, "targets": [{**target, "provider": limited}]})
    return config


class Accord:
    def __init__(self, directory, config=None, arguments=(), env=None, text=None):
        self.directory = Path(directory)
        self.directory.mkdir(parents=True, exist_ok=True)
        self.config_path = self.directory / "accord.yaml"
        self.access_log_path = self.directory / "access.log"
        self.stderr_path = self.directory / "stderr.log"
        self.ending = False
        self.may_fail = False  # a test that expects something else than exit 0 says so
        command = [str(binary()), "serve", "--listen", "127.0.0.1:0", "--data",
                   str(self.directory / "data"), "--json"]
        if config is not None or text is not None:
            self.write_config(config, text)
            command += ["-c", str(self.config_path)]
        with open(self.stderr_path, "wb") as errors:
            self.process = subprocess.Popen(
                [*command, *map(str, arguments)], cwd=self.directory, stdout=subprocess.PIPE,
                stderr=errors, env=clean_environment(self.directory, env))
        line = self._first_line()
        self.started = json.loads(line)
        self.address, self.key = self.started["address"], self.started.get("key") or KEY
        port = self.address.rpartition(":")[2].rstrip("/")
        self.port = int(port) if port.isdigit() else None  # none: a unix socket

    def _first_line(self):
        out, line = self.process.stdout, b""
        deadline = time.monotonic() + START_DEADLINE_S
        while not line.endswith(b"\n"):
            left = deadline - time.monotonic()
            ready = left > 0 and select.select([out], [], [], left)[0]
            more = os.read(out.fileno(), 65536) if ready else b""
            if not more:
                self.process.kill()
                status = self.process.wait()
                raise AssertionError(f"accord did not start (status {status}): "
                                     f"{line!r} {self.stderr()[-3000:]}")
            line += more
        return line

    def write_config(self, config=None, text=None):
        if text is None:
            text = json.dumps({"access_log": str(self.access_log_path), **config}, indent=1)
        # In one step: the server may be reading the file at this moment.
        beside = self.config_path.with_suffix(".new")
        beside.write_text(text, encoding="utf-8")
        beside.replace(self.config_path)

    def stderr(self):
        return self.stderr_path.read_text(encoding="utf-8", errors="replace")

    def access_log(self):
        """The lines of the access log that are complete so far."""
        if not self.access_log_path.exists():
            return []
        text = self.access_log_path.read_text(encoding="utf-8")
        return [json.loads(line) for line in text.split("\n")[:-1]]

    def wait_access_log(self, count):
        wait_for(lambda: len(self.access_log()) >= count, what=f"{count} lines in the access log")
        return self.access_log()

    def connect(self, **options):
        return Connection("127.0.0.1", self.port, **options)

    def call(self, method, target, body=b"", headers=(), key=True, **options):
        """One request on its own connection."""
        if isinstance(body, (dict, list)):
            body = json.dumps(body).encode()
        sent = list(headers)
        if key:
            sent.append(("Authorization", f"Bearer {self.key}"))
        if body:
            sent.append(("Content-Type", "application/json"))
        with self.connect() as connection:
            connection.send(request(method, target, sent, body))
            return connection.read_response(method, **options)

    def post(self, target, body, **options):
        return self.call("POST", target, body, **options)

    def get(self, target, **options):
        return self.call("GET", target, **options)

    def open_stream(self, target, body, headers=(), **options):
        """Sends a call and returns its connection, to be read piece by piece."""
        connection = self.connect(**options)
        if isinstance(body, dict):
            body = json.dumps(body).encode()
        connection.send(request("POST", target, [
            ("Authorization", f"Bearer {self.key}"), ("Content-Type", "application/json"),
            *headers], body))
        return connection

    def metrics(self):
        """Prometheus samples: {name with labels: value}."""
        response = self.get("/metrics")
        assert response.status == 200, response
        samples = {}
        for line in response.body.decode().splitlines():
            if line and not line.startswith("#"):
                name, _, value = line.rpartition(" ")
                samples[name] = float(value)
        return samples

    def metric(self, name):
        """The sum over all label sets of one metric."""
        return sum(value for key, value in self.metrics().items()
                   if key.partition("{")[0] == name)

    def rss_kib(self):
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as status:
            for line in status:
                if line.startswith("VmRSS:"):
                    return int(line.split()[1])
        raise AssertionError("no VmRSS")

    def signal(self, number):
        self.ending = self.ending or number == signal.SIGTERM
        self.process.send_signal(number)

    def stop(self):
        """Ends it as an operator would; the server must leave with 0 and nothing leaked."""
        if self.process.poll() is None:
            if not self.ending:
                self.signal(signal.SIGTERM)
            try:
                self.process.wait(5.0)
            except subprocess.TimeoutExpired:
                # Streams that a test left open hold the drain: the second signal ends it, with
                # a status of its own.
                self.may_fail = True
                self.signal(signal.SIGTERM)
            try:
                self.process.wait(STOP_DEADLINE_S)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
                raise AssertionError("accord did not end after two SIGTERM") from None
        self.process.stdout.close()
        errors = self.stderr()
        found = [mark for mark in SANITIZER_MARKS if mark in errors]
        assert not found, f"{found} in the server's output:\n{errors[-6000:]}"
        if not self.may_fail:
            assert self.process.returncode == 0, \
                f"accord ended with {self.process.returncode}:\n{errors[-3000:]}"
