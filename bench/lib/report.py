"""Compares what was measured with floor.json, and prints it."""
import datetime
import json
import os
import subprocess

from .build import BENCH, ROOT

FLOOR = os.path.join(BENCH, "floor.json")
# Under this many per call nothing is allocated for a call; a table that doubles once is allowed.
ALLOCATIONS_ZERO = 0.005


def machine():
    with open("/proc/cpuinfo") as f:
        model = next((line.split(":", 1)[1].strip() for line in f
                      if line.startswith("model name")), "unknown")
    done = subprocess.run(["git", "-C", ROOT, "rev-parse", "--short", "HEAD"],
                          capture_output=True, text=True)
    return {"date": datetime.datetime.now(datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
            "machine": f"{model}, {os.cpu_count()} cores, Linux {os.uname().release}",
            "commit": done.stdout.strip() if done.returncode == 0 else None}


def load_floor():
    with open(FLOOR) as f:
        return json.load(f)


def _over(value, limit, what):
    slack = ALLOCATIONS_ZERO if what == "allocations" else 0
    return value > limit + slack


def _is_open_goal(floor, scenario, what, limit):
    """Whether the recorded figure has not reached the goal yet: then it is said, and must not get worse."""
    recorded = floor["baseline"].get("figures", {}).get(scenario, {}).get(what)
    return recorded is not None and _over(recorded, limit, what)


def check(result, floor, tier):
    """Failures of one tier; a figure that is None was inconclusive and is named as such, and so is a goal
    that the recorded baseline does not reach either."""
    failures, open_ends = [], []
    limits = floor[tier]
    for scenario, wanted in limits.items():
        for what, limit in wanted.items():
            if what not in result.get(scenario, {}):
                continue    # not asked for, or failed and reported as that
            value = result[scenario][what]
            if value is None:
                open_ends.append(f"{tier} {scenario}.{what}: inconclusive")
            elif _over(value, limit, what) and tier == "gate" and \
                    _is_open_goal(floor, scenario, what, limit):
                open_ends.append(f"goal not reached yet: {scenario}.{what} is {value}, "
                                 f"the goal is {limit}")
            elif _over(value, limit, what):
                failures.append(f"{tier} {scenario}.{what}: {value} is over {limit}")
    return failures, open_ends


def check_baseline(result, floor):
    """The recorded figures may grow by the tolerance only, even where the floor allows more."""
    failures, hints = [], []
    for scenario, figures in floor["baseline"].get("figures", {}).items():
        tolerance = floor["tolerance"].get(scenario, floor["tolerance"]["default"])
        for what, recorded in figures.items():
            value = result.get(scenario, {}).get(what)
            if value is None:
                continue
            if _over(value, recorded * (1 + tolerance), what):
                failures.append(f"baseline {scenario}.{what}: {value} is over {recorded} + "
                                f"{100 * tolerance:.0f} %")
            elif value < recorded * (1 - tolerance):
                hints.append(f"baseline {scenario}.{what}: {value} is better than {recorded}: "
                             "bench/run gate --record")
    return failures, hints


def record(result, floor):
    """What was measured becomes the baseline; where that was not all (--scenario), the rest of it stays."""
    figures = dict(floor["baseline"].get("figures", {}))
    for scenario in floor["gate"]:
        measured = result.get(scenario, {})
        if measured:
            figures[scenario] = {what: measured[what] for what in
                                 ("instructions", "allocations") if what in measured}
    whole = all(scenario in result for scenario in floor["gate"])
    floor["baseline"] = dict(machine() if whole else floor["baseline"], figures=figures)
    with open(FLOOR, "w") as f:
        f.write(dump(floor))


def dump(value, indent=0):
    """JSON with one line per innermost object, so that a change of one figure is one line."""
    if isinstance(value, dict) and any(isinstance(v, dict) for v in value.values()):
        pad = "  " * (indent + 1)
        rows = ",\n".join(f"{pad}{json.dumps(k)}: {dump(v, indent + 1)}" for k, v in value.items())
        return "{\n" + rows + "\n" + "  " * indent + "}" + ("" if indent else "\n")
    return json.dumps(value)


def merge(into, other):
    """Figures of the tiers meet in one object per scenario."""
    for scenario, figures in other.items():
        into.setdefault(scenario, {}).update(figures)
