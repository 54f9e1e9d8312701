"""The gate: what does not depend on who else uses the machine. User instructions per call under
callgrind, system calls under strace, allocations counted by a preloaded library; each as the slope
between two numbers of calls, so that starting up and opening connections cancel out."""
import mmap
import os
import re
import signal
import struct
import subprocess
import time

from . import build, procs, programs
from .procs import BenchError

CONNECTIONS = 32
STREAMS = 200
# All streams have their next chunk at the same moment, so that it does not depend on the speed of a
# traced program how many of them it finds at once; and it must have passed one before the next.
STREAM_MS = 200
WRONG_KEY = "sk-accord-this-is-no-key-of-this-server"

# name: (calls or chunks of the short load, of the long one)
FIGURES = {
    "call_1k": (200, 2200),
    "call_32k": (200, 2200),
    "limited_call_1k": (200, 2200),   # with a chain of five limits and budgets
    "sse_chunk": (4, 24),       # of each of STREAMS streams
    "refusal": (200, 2200),
    "cached_call_1k": (200, 2200),
    "translated_call_1k": (200, 2200),
    "translated_sse_chunk": (4, 24),
}
# Allocations are counted at full speed, so there can be more: how many connections the pool of
# upstreams happens to open must not show.
ALLOCATION_FIGURES = {
    "call_1k": (2000, 22000),
    "call_32k": (2000, 22000),
    "limited_call_1k": (2000, 22000),
    "sse_chunk": (5, 105),
    "refusal": (2000, 22000),
    "cached_call_1k": (2000, 22000),
    "translated_call_1k": (2000, 22000),
    "translated_sse_chunk": (5, 105),
}
ACCORD_ONLY = ("refusal", "cached_call_1k", "limited_call_1k", "translated_call_1k", "translated_sse_chunk")
ALLOCATION_STREAM_MS = 25
MERGED_MAX = 0.05   # chunks that shared a read with another one
ATTEMPTS = 3


class Merged(BenchError):
    """Chunks did not arrive one by one, so a cost per chunk says nothing."""


def _patiently(work, *arguments):
    """Somebody else may have held the machine for the moment that merged the chunks."""
    for attempt in range(ATTEMPTS):
        try:
            return work(*arguments)
        except Merged:
            if attempt + 1 == ATTEMPTS:
                raise


def _load(bench, name, figure, amount, interval_ms=STREAM_MS):
    """One load; returns how many units (calls, chunks) it made."""
    translated = figure.startswith("translated_")
    if figure.endswith("sse_chunk"):
        bench.mock.set(chunks=amount, interval_ms=interval_ms, aligned=1)
        result = bench.load_once(name, translated=translated, stream=amount, connections=STREAMS,
                                 calls=STREAMS)
        bench.mock.set(aligned=0)
        # The end of a stream comes by itself; its head may come with the first chunk.
        merged = 1 - (result["reads"] - STREAMS) / result["events"]
        if merged > MERGED_MAX and interval_ms == STREAM_MS:
            raise Merged(f"{name}: {100 * merged:.0f} % of the chunks came merged; the machine is "
                         "too busy for this figure")
        return result["events"]
    body = 32768 if figure == "call_32k" else 1024
    options = {"body": body, "connections": CONNECTIONS, "calls": amount}
    if figure == "refusal":
        return bench.load_once(name, expect=401, key=WRONG_KEY, **options)["calls"]
    if figure == "cached_call_1k":
        options["key"] = programs.CACHED_KEY
        bench.load_once(name, cached=1, **dict(options, connections=1, calls=1))
        return bench.load_once(name, cached=0, **options)["calls"]
    if figure == "limited_call_1k":
        options.update(key=programs.LIMITED_KEY, model=programs.LIMITED)
    return bench.load_once(name, translated=translated, **options)["calls"]


def _started(bench, context, name):
    program = programs.start(name, context)
    bench.running["gate " + name] = program
    return program


def _ended(bench, name):
    return bench.running.pop("gate " + name).stop()


def _callgrind_total(path):
    with open(path) as f:
        for line in f:
            if line.startswith(("totals:", "summary:")):
                return int(line.split()[1])
    raise BenchError(f"{path} has no total: the program did not end in good order")


def _by_function(path):
    """Instructions by function, of a file of callgrind."""
    done = subprocess.run(["callgrind_annotate", "--threshold=100", path], capture_output=True,
                          text=True)
    found = {}
    for line in done.stdout.splitlines():
        row = re.match(r"\s*([\d,]+) \([ \d.]+%\)\s+\S*?:(\S+)", line)
        if row:
            count = int(row.group(1).replace(",", ""))
            found[row.group(2)] = found.get(row.group(2), 0) + count
    return found


def _say_profile(bench, figure, low, high, units):
    slopes = {f: (n - low.get(f, 0)) / units for f, n in high.items()}
    bench.say(f"profile of {figure}, instructions per unit:")
    for function, slope in sorted(slopes.items(), key=lambda row: -row[1])[:30]:
        if slope >= 1:
            bench.say(f"  {slope:9.1f}  {function}")


def _instructions_of_run(bench, context, name, amounts):
    """One life of the program under callgrind, with these loads. Returns (total, units made,
    callgrind's file)."""
    out = context.file("callgrind")
    context.wrap = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={out}", "-q"]
    try:
        _started(bench, context, name)
        units = {f: _load(bench, "gate " + name, f, n) for f, n in amounts.items()}
    finally:
        context.wrap = []
        if "gate " + name in bench.running:
            _ended(bench, name)
    return _callgrind_total(out), units, out


def instructions(bench, context, name, figures, profile=False):
    short = {figure: FIGURES[figure][0] for figure in figures}
    base, base_units, base_file = _patiently(_instructions_of_run, bench, context, name, short)
    out = {}
    for figure in figures:
        amounts = dict(short, **{figure: FIGURES[figure][1]})
        total, units, file = _patiently(_instructions_of_run, bench, context, name, amounts)
        more = units[figure] - base_units[figure]
        out[figure] = round((total - base) / more, 1)
        if profile:
            _say_profile(bench, figure, _by_function(base_file), _by_function(file), more)
    return out


def _strace_calls(path):
    """Total and the calls by name of a summary of strace -c."""
    by_name, total = {}, 0
    with open(path) as f:
        for line in f:
            found = re.match(r"\s*[\d.]+\s+[\d.]+\s+\d+\s+(\d+)\s+(?:\d+\s+)?(\w+)\s*$", line)
            if found and found.group(2) != "total":
                by_name[found.group(2)] = int(found.group(1))
                total += int(found.group(1))
    return total, by_name


def _strace_window(bench, context, name, figure, amount):
    out = context.file("strace")
    command = ["strace", "-c", "-f", "-o", out]
    for pid in bench.running["gate " + name].pids:
        command += ["-p", str(pid)]
    strace = procs.start(command, bench.core_load, stderr=subprocess.PIPE, text=True)
    try:
        line = strace.stderr.readline()
        if "attached" not in line:
            raise BenchError(f"strace does not attach: {line.strip()}")
        time.sleep(0.2)     # threads besides the first
        units = _load(bench, "gate " + name, figure, amount)
    finally:
        strace.send_signal(signal.SIGINT)
        strace.wait(20)
        strace.stderr.close()
    return _strace_calls(out), units


def syscalls(bench, context, name, figures):
    out, details = {}, {}
    _started(bench, context, name)
    try:
        for figure in figures:
            # Connections, pools and buffers are there before anything is counted.
            _load(bench, "gate " + name, figure, FIGURES[figure][0])
            (low, low_names), low_units = _patiently(_strace_window, bench, context, name, figure,
                                                     FIGURES[figure][0])
            (high, high_names), high_units = _patiently(_strace_window, bench, context, name,
                                                        figure, FIGURES[figure][1])
            units = high_units - low_units
            out[figure] = round((high - low) / units, 2)
            details[figure] = {n: round((c - low_names.get(n, 0)) / units, 2)
                               for n, c in high_names.items()
                               if abs(c - low_names.get(n, 0)) >= 0.01 * units}
    finally:
        _ended(bench, name)
    return out, details


def allocations(bench, context, name, figures):
    path = context.file("allocations")
    out = {}
    context.env = {"LD_PRELOAD": build.path("alloc_count.so"), "BENCH_ALLOC_FILE": path}
    try:
        _started(bench, context, name)
    finally:
        context.env = {}
    try:
        with open(path, "r+b") as f:
            shared = mmap.mmap(f.fileno(), 24)

        def count():
            return struct.unpack("Q", shared[:8])[0]
        if count() == 0:
            raise BenchError(f"{name}: no allocation seen while starting; is malloc linked in?")
        for figure in figures:
            low, high = ALLOCATION_FIGURES[figure]

            def load(amount):
                before = count()
                units = _load(bench, "gate " + name, figure, amount, ALLOCATION_STREAM_MS)
                return units, count() - before

            load(high)  # warm: buffers have grown
            # A pool that grows once more, because more happened to be open at a time, shows in one
            # of two loads; what is allocated for each unit shows in both.
            least = {amount: min((load(amount) for _ in range(2)), key=lambda made: made[1])
                     for amount in (low, high)}
            units, counted = (least[high][i] - least[low][i] for i in range(2))
            out[figure] = round(counted / units, 4)
        shared.close()
    finally:
        _ended(bench, name)
    return out


def run(bench, context, name, profile=False, wants=lambda figure: True):
    """figure -> {"instructions", "syscalls", "allocations"} of one program."""
    figures = [f for f in FIGURES if wants(f) and (f not in ACCORD_ONLY or name == "accord")]
    if not figures:
        return {}
    out = {figure: {} for figure in figures}
    began = time.monotonic()
    counted = allocations(bench, context, name, figures)
    called, details = syscalls(bench, context, name, figures)
    executed = instructions(bench, context, name, figures, profile)
    for figure in figures:
        out[figure] = {"instructions": executed[figure], "syscalls": called[figure],
                       "allocations": counted[figure], "syscalls_by_name": details[figure]}
        bench.say(f"gate {name} {figure}: {executed[figure]:.0f} instructions, "
                  f"{called[figure]:.2f} system calls, {counted[figure]:.3f} allocations")
    bench.say(f"gate {name}: {time.monotonic() - began:.0f} s")
    return out
