"""Builds the bench's own C programs with cc, into build/bench/, when a source is newer."""
import os
import shutil
import subprocess
import sys

BENCH = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
ROOT = os.path.dirname(BENCH)
OUT = os.path.join(ROOT, "build", "bench")

FLAGS = ["-O2", "-std=c17", "-D_GNU_SOURCE", "-Wall", "-Wextra"]
PROGRAMS = {
    "mock_upstream": ["mock_upstream.c", "mock_answers.c", "mock_request.c", "wheel.c", "sock.c"],
    "load": ["load.c", "answer.c", "request.c", "hist.c", "watch.c", "sock.c"],
    "l4pump": ["l4pump.c", "sock.c"],
    "alloc_count.so": ["alloc_count.c"],
    "slow_sync.so": ["slow_sync.c"],
    "state": ["state.c", "hist.c", "sock.c"],
    "commits": ["commits.c", "hist.c", "sock.c"],
}
LIBRARIES = {"alloc_count.so": ["-ldl"], "slow_sync.so": ["-ldl"], "commits": ["-lsqlite3"]}


def path(name):
    return os.path.join(OUT, name)


def _newest_source():
    names = [n for n in os.listdir(BENCH) if n.endswith((".c", ".h"))]
    return max(os.path.getmtime(os.path.join(BENCH, n)) for n in names)


def build():
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        sys.exit("bench: no C compiler (cc); ./check installs one")
    os.makedirs(OUT, exist_ok=True)
    newest = _newest_source()
    for name, sources in PROGRAMS.items():
        target = path(name)
        if os.path.exists(target) and os.path.getmtime(target) >= newest:
            continue
        extra = ["-shared", "-fPIC"] if name.endswith(".so") else []
        # Beside the target first: a second bench may be running from it.
        command = compiler.split() + FLAGS + extra + ["-o", target + ".new"]
        command += [os.path.join(BENCH, s) for s in sources]
        command += LIBRARIES.get(name, [])
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode:
            sys.exit(f"bench: cannot build {name}:\n{done.stderr}")
        os.replace(target + ".new", target)
