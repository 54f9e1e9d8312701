"""Shuffled rounds over programs that are all up at once, clean slices, 20th percentiles; and the
proof after each round that the work was done."""
import json
import random

from . import procs, programs
from .procs import BenchError

MIN_CLEAN = 10        # slices on a side
MIN_ROUNDS = 3        # rounds they come from
SLICE_MS = 100


class Slice:
    __slots__ = ("wall_us", "calls", "events", "cpu_us", "wait_us", "p50_us", "foreign_us",
                 "steal_us", "others_us")

    def __init__(self, row):
        (self.wall_us, self.calls, self.events, self.cpu_us, self.wait_us, self.p50_us, own, other,
         self.steal_us, self.others_us) = row
        self.foreign_us = (own, other)

    def clean(self, one_core):
        """Nobody else took part. The kernel's per-core account has ticks of 10 ms, which bounds
        how little of a stranger can be seen there; the time that the watched threads stood
        runnable without a core is exact (on one core they wait for each other, so not there)."""
        ticks_us = max(20000, 0.15 * self.wall_us)
        if self.steal_us or self.wall_us <= 0:
            return False
        if max(self.foreign_us) > ticks_us:
            return False
        return one_core or self.wait_us <= 0.04 * self.wall_us


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


class Series:
    """What the slices of one program say about one scenario."""

    def __init__(self, name):
        self.name = name
        self.values = []          # of clean slices
        self.rounds = set()       # that had one
        self.slices = 0

    def add(self, round_number, result, value_of, one_core):
        for row in result["slices"]:
            piece = Slice(row)
            value = value_of(piece)
            if value is None:
                continue
            self.slices += 1
            if piece.clean(one_core):
                self.values.append(value)
                self.rounds.add(round_number)

    @property
    def enough(self):
        return len(self.values) >= MIN_CLEAN and len(self.rounds) >= MIN_ROUNDS

    @property
    def p20(self):
        return percentile(self.values, 0.2) if self.values else None


def cpu_per_call(piece):
    return piece.cpu_us / piece.calls if piece.calls else None


def path_per_call(piece):
    """Of the thread that serves the calls alone: what other threads make of them is not in it."""
    return (piece.cpu_us - piece.others_us) / piece.calls if piece.calls else None


def cpu_per_event(piece):
    return piece.cpu_us / piece.events if piece.events else None


def p50_of_slice(piece):
    return piece.p50_us if piece.calls else None


class Bench:
    """All that runs: the mock upstream, the programs, and the rules of one measurement."""

    def __init__(self, mock, running, cores, say, max_rounds=7):
        self.max_rounds = max_rounds
        self.mock = mock
        self.running = running          # name -> programs.Running
        self.cores = cores
        self.core_proxy, self.core_load = cores
        self.say = say
        self.random = random.Random()
        self.answers = {}               # name -> how long its answers are
        self.calls = {}                 # name -> calls made through it, for the access log
        self.translated = {}            # (body, stream) -> how long the translated request is

    def load_once(self, name, one_core=False, expect=200, translated=False, cached=None, faults=None,
                  **options):
        """One load through one program, proven against the mock's own count. translated: through
        Accord's other provider, whose dialect is not the caller's. cached: at most so many of the
        calls go on to the upstream, the others are answered by Accord's cache. faults: settings of the mock for this load, some of
        whose answers are errors then; the calls must all succeed nevertheless."""
        program = self.running[name]
        stream = options.get("stream")
        port = program.stream_port if stream else program.port
        cores = (self.core_proxy, self.core_proxy if one_core else self.core_load)
        body = options.setdefault("body", 1024)
        options.setdefault("key", programs.KEY)
        if translated:
            options.update(model=programs.TRANSLATED, own_id=True)
        options.setdefault("model", programs.ALIAS)
        if faults:
            self.mock.set(**faults)
        before, counted = self.mock.stats(), accord_counters(program)
        result = procs.load(port, cores[1], status=expect,
                            watch=program.pids, peer=self.mock.pid,
                            cores=f"{cores[0]},{cores[1]}", **options)
        if faults:
            self.mock.set(**dict.fromkeys(faults, 0))
        after = self.mock.stats()
        delta = {key: after[key] - before[key] for key in after}
        self.calls[name] = self.calls.get(name, 0) + result["calls"]
        if faults:
            prove_retried(name, result, delta)
        else:
            prove(name, program, result, delta, body, stream, expect, translated, cached)
        if translated:
            self._prove_translated(name, result, delta, body, stream)
        prove_accord(name, counted, accord_counters(program), result, delta)
        return result

    def _prove_translated(self, name, result, delta, body, stream):
        """Each request became the same Messages request, the answer a chat completion."""
        if delta["messages"] != result["calls"]:
            raise BenchError(f"{name}: {result['calls']} translated calls, of which "
                             f"{delta['messages']} came as Messages")
        whole, rest = divmod(delta["body_bytes"], result["calls"])
        first = self.translated.setdefault((body, bool(stream)), whole)
        if rest or whole != first or not 0.9 * body < whole < 1.3 * body:
            raise BenchError(f"{name}: {delta['body_bytes']} bytes of translated bodies for "
                             f"{result['calls']} calls of {body} bytes; the first had {first}")
        if not stream:
            prove_completion(name, json.loads(result["sample"]), delta, result["calls"])

    def paired(self, title, names, options, value_of=cpu_per_call, one_core=False, rounds=3,
               seconds=1.0, warm=0.15, slice_ms=SLICE_MS, special=None):
        """name -> Series. Rounds are added while a series has too few clean slices. special:
        name -> options that only this load has; "program" is among them where the name is none."""
        special = {name: dict(own) for name, own in (special or {}).items()}
        program = {n: special.get(n, {}).pop("program", n) for n in names}
        names = [n for n in names if program[n] in self.running]
        series = {name: Series(name) for name in names}
        for number in range(max(self.max_rounds, rounds)):
            if number >= rounds and all(s.enough for s in series.values()):
                break
            self.random.shuffle(names)
            for name in names:
                own = {**options, **special.get(name, {})}
                result = self.load_once(program[name], one_core, seconds=seconds, warm=warm,
                                        slice_ms=slice_ms, **own)
                series[name].add(number, result, value_of, one_core)
        self.say(f"{title}: " + ", ".join(
            f"{n} {s.p20:.2f} ({len(s.values)}/{s.slices})" if s.values else
            f"{n} no clean slice of {s.slices}" for n, s in sorted(series.items())))
        return series

    def all_on(self, core):
        """For latencies: programs and upstream on one core (the load follows by itself)."""
        for program in self.running.values():
            procs.pin(program.pids, core)
        procs.pin([self.mock.pid], core)

    def spread(self):
        for program in self.running.values():
            procs.pin(program.pids, self.core_proxy)
        procs.pin([self.mock.pid], self.core_load)


def prove(name, program, result, delta, body, stream, expect, translated=False, cached=None):
    """The counters of load and mock must say the same."""
    def equal(what, left, right):
        if left != right:
            raise BenchError(f"{name}: {what}: {left} at the load, {right} at the upstream")

    if expect != 200:
        equal("refused calls that reached the upstream", 0, delta["requests"])
        return
    if cached is not None:
        if delta["requests"] > cached:
            raise BenchError(f"{name}: {delta['requests']} calls that the cache has not answered")
        return
    equal("calls", result["calls"], delta["requests"])
    equal("refused or failed requests", 0, delta["refused"] + delta["errors"])
    splices = getattr(program, "splices", False)
    longer = len(programs.UPSTREAM_MODEL) - len(programs.ALIAS) if splices else 0
    if stream:
        equal("events", result["events"], delta["chunks_sent"])
        equal("ends of streams", result["done_events"], delta["streams_ended"])
        equal("cut streams", 0, delta["streams_cut"])
        if splices:
            equal("metered streams", result["calls"], delta["usage_sent"])
    elif not translated:
        equal("bytes of bodies", result["calls"] * (body + longer), delta["body_bytes"])
    if splices:
        equal("renamed models", result["calls"], delta["renamed"])
        equal("calls with the upstream's key", result["calls"], delta["with_key"])


def prove_retried(name, result, delta):
    """No call is lost: each had its answer once, and each error of the upstream was followed by another request."""
    good = delta["requests"] - delta["errors"]
    if not delta["errors"] or good != result["calls"] or delta["completions"] != result["calls"]:
        raise BenchError(f"{name}: {result['calls']} calls, {delta['requests']} requests, of which {delta['errors']} "
                         f"failed, {delta['completions']} answers")


def prove_completion(name, answer, delta, calls):
    """The answer that all others of a load were equal to, as a client reads it."""
    choice, usage = answer["choices"][0], answer["usage"]
    said = (answer["object"], answer["model"], choice["message"]["role"], choice["finish_reason"],
            usage["prompt_tokens"] * calls, usage["completion_tokens"] * calls)
    wanted = ("chat.completion", programs.TRANSLATED, "assistant", "stop", delta["prompt_tokens"],
              delta["completion_tokens"])
    if said != wanted or not choice["message"]["content"].startswith("A gateway stands between"):
        raise BenchError(f"{name}: no completion that the Messages answer means: {answer}")


def accord_counters(program):
    """Sums of Accord's own counters; None for other programs."""
    if not getattr(program, "splices", False):
        return None
    sums = {"accord_requests_total": 0.0}
    for line in procs.get(program.port, "/metrics").splitlines():
        if line.startswith("#") or " " not in line:
            continue
        name, value = line.rsplit(" ", 1)
        family, _, labels = name.partition("{")
        if family == "accord_requests_total":
            sums[family] += float(value)
        elif family == "accord_tokens_total":
            kind = labels.split('type="', 1)[-1].split('"', 1)[0]
            sums["tokens_" + kind] = sums.get("tokens_" + kind, 0.0) + float(value)
    return sums


def prove_accord(name, before, after, result, delta):
    """What Accord says it did must be what load and upstream saw."""
    if before is None:
        return
    def grown(key):
        return int(after.get(key, 0) - before.get(key, 0))

    def equal(what, left, right):
        if left != right:
            raise BenchError(f"{name}: {what}: {left} in its metrics, {right} in fact")

    equal("calls", grown("accord_requests_total"), result["calls"])
    equal("input tokens", grown("tokens_input"), delta["prompt_tokens"])
    equal("output tokens", grown("tokens_output"), delta["completion_tokens"])
