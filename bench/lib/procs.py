"""Processes of the bench: started pinned, watched by id, stopped by id; and the mock upstream."""
import json
import os
import resource
import signal
import socket
import subprocess
import threading
import time
import urllib.request

from . import build


class BenchError(Exception):
    """The bench itself cannot go on, or what was measured was not what was asked for."""


def free_port():
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        return s.getsockname()[1]


def wait_for_port(port, process, deadline_s=15.0):
    end = time.monotonic() + deadline_s
    while time.monotonic() < end:
        if process.poll() is not None:
            raise BenchError(f"{process.args[0]} ended with {process.returncode} while starting")
        try:
            socket.create_connection(("127.0.0.1", port), 0.5).close()
            return
        except OSError:
            time.sleep(0.01)
    raise BenchError(f"{process.args[0]} does not listen on port {port}")


def _before_exec(core):
    def prepare():
        os.sched_setaffinity(0, {core})
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        for limit in ((65536, 65536), (hard, hard)):
            try:
                resource.setrlimit(resource.RLIMIT_NOFILE, limit)
                break
            except (ValueError, OSError):
                continue
    return prepare


def start(command, core, **options):
    return subprocess.Popen(command, preexec_fn=_before_exec(core), start_new_session=True,
                            **options)


def stop(process, deadline_s=10.0):
    """SIGTERM, and SIGKILL when that does not help. Returns the exit code."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(deadline_s)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
    for stream in (process.stdin, process.stdout, process.stderr):
        if stream:
            stream.close()
    return process.returncode


def children(pid):
    found = []
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/children") as f:
            found += [int(p) for p in f.read().split()]
    return found


def rss_kib(pids):
    total = 0
    for pid in pids:
        with open(f"/proc/{pid}/status") as f:
            for line in f:
                if line.startswith("VmRSS:"):
                    total += int(line.split()[1])
    return total


def pin(pids, core):
    """Moves all threads of the processes to one core."""
    for pid in pids:
        for task in os.listdir(f"/proc/{pid}/task"):
            try:
                os.sched_setaffinity(int(task), {core})
            except ProcessLookupError:
                pass


class LongestWait:
    """While it is entered: the longest time within 100 ms that a thread of the processes stood
    runnable without a core. A program that was not let run cannot be blamed for being late."""

    def __init__(self, pids):
        self.pids = pids
        self.ms = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._sample, daemon=True)

    def _waits(self):
        found = {}
        for pid in self.pids:
            try:
                for task in os.listdir(f"/proc/{pid}/task"):
                    with open(f"/proc/{pid}/task/{task}/schedstat") as f:
                        found[task] = int(f.read().split()[1])
            except OSError:
                continue    # a thread has just ended
        return found

    def _sample(self):
        last = self._waits()
        while not self._ended.wait(0.1):
            now = self._waits()
            grown = [(now[t] - last[t]) / 1e6 for t in now if t in last]
            self.ms = max([self.ms] + grown)
            last = now

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self._ended.set()
        self._thread.join()


def get(port, path, timeout_s=10):
    url = f"http://127.0.0.1:{port}{path}"
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    with opener.open(url, timeout=timeout_s) as answer:
        return answer.read().decode()


class Mock:
    """The upstream of all programs under test."""

    def __init__(self, core, model, key):
        self.process = start([build.path("mock_upstream"), "--model", model, "--expect-model",
                              model, "--expect-key", key], core, stdout=subprocess.PIPE, text=True)
        self.port = json.loads(self.process.stdout.readline())["port"]
        self.pid = self.process.pid

    def set(self, **settings):
        query = "&".join(f"{name}={int(value)}" for name, value in settings.items())
        get(self.port, "/__set?" + query)

    def stats(self):
        return json.loads(get(self.port, "/__stats"))

    def stop(self):
        stop(self.process)


def _load_command(target_port, core, options):
    command = [build.path("load"), "--target", f"127.0.0.1:{target_port}"]
    for name, value in options.items():
        name = "--" + name.replace("_", "-")
        if value is True:
            command.append(name)
        elif isinstance(value, (list, tuple)):
            for one in value:
                command += [name, str(one)]
        elif value is not None and value is not False:
            command += [name, str(value)]
    return command


def load(target_port, core, timeout_s=120, **options):
    """Runs one load to its end and returns its result. Failed calls are an error here."""
    command = _load_command(target_port, core, options)
    try:
        done = subprocess.run(command, preexec_fn=_before_exec(core), capture_output=True,
                              text=True, timeout=timeout_s)
    except subprocess.TimeoutExpired as error:
        raise BenchError(f"answers are missing after {timeout_s} s: {' '.join(command)}") from error
    if not done.stdout:
        raise BenchError(f"the load failed: {done.stderr.strip()} ({' '.join(command)})")
    result = json.loads(done.stdout.splitlines()[-1])
    if done.returncode or result["failed"]:
        raise BenchError(f"{result['failed']} of {result['issued']} calls failed: "
                         f"{result['first_failure']}")
    return result


class HeldLoad:
    """A load whose connections stay open until finish()."""

    def __init__(self, target_port, core, **options):
        command = _load_command(target_port, core, dict(options, hold=True))
        self.process = start(command, core, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                             text=True)

    def wait_held(self):
        line = json.loads(self.process.stdout.readline())
        if line.get("failed"):
            self.finish()
        return line

    def finish(self):
        out, _ = self.process.communicate(timeout=60)
        result = json.loads(out.splitlines()[-1])
        if result["failed"]:
            raise BenchError(f"{result['failed']} of {result['issued']} calls failed: "
                             f"{result['first_failure']}")
        return result
