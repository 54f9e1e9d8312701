"""The short run of chaos.py that ./check makes; by hand it runs for as long, and as fast, as one likes."""

import json

from chaos import Run


def test_every_call_ends_honestly_and_nothing_is_left_behind(tmp_path):
    run = Run(tmp_path / "a", seconds=25, rate=120)
    faults = run.go(growth_kib=32768)  # a sanitizer's own memory grows with what it has seen
    print(json.dumps(run.figures, indent=1))
    assert not faults, "\n".join(fault[:1500] for fault in faults[:20])
    ends = run.figures["ends"]
    # It would prove nothing if nothing had gone wrong, or right.
    assert ends["whole 200"] > 1500 and sum(n for end, n in ends.items() if end.startswith("cut")) > 5
    assert sum(n for end, n in ends.items() if end.startswith("error 429")) > 5 and run.figures["reloads"] >= 5
