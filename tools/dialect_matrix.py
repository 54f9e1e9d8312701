#!/usr/bin/env python3
"""Makes docs/dialects.md out of what tests/live/lab found: a table per caller's dialect, feature by upstream.

    tools/dialect_matrix.py [build/lab.json [docs/dialects.md]]"""

import json
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HEAD = """# Dialects: what is carried from each to each

Made by `tools/dialect_matrix.py` of what the tests in `tests/live/lab` found: each caller's dialect
at an upstream of each dialect, through Accord, streamed and not. The upstreams there are simulated and strict: they
refuse what the vendor would.

A program asks in the dialect of the table's title; the columns are the dialects of the upstream.

- **yes**: it arrives, and comes back, as it was meant.
- `name`: the upstream's dialect has no word for it. The call is made without it and its answer says so:
  `accord-dropped: name`. With `accord-loss: strict` the call is refused instead, with status 422.
- Parts of an answer that the caller's dialect has no word for (an image, say) are told as `accord-dropped: answer`
  when the answer is no stream.
- **as it is**: the same dialect on both sides is passed on byte for byte.
- blank: the dialect on one of the sides cannot say it at all.
"""


def cell(record, pair, caller, upstream, feature, probes):
    if caller == upstream:
        return "as it is" if feature not in probes or feature in record["can"][caller] else ""
    found = record["pairs"].get(pair, {}).get(feature)
    if not found:
        return ""
    if found["state"] == "failed":
        return "**FAILS**"
    names = ", ".join(f"`{name}`" for name in found["names"])
    return names if found["state"] == "dropped" else f"yes, but {names}" if names else "yes"


def table(record, caller, probes):
    dialects = record["dialects"]
    lines = [f"\n## {caller}\n", "| | " + " | ".join(dialects) + " |", "|---|" + "---|" * len(dialects)]
    for feature, title in record["features"].items():
        cells = [cell(record, f"{caller} > {upstream}", caller, upstream, feature, probes)
                 for upstream in dialects]
        if any(cells):
            lines.append(f"| {title} | " + " | ".join(cells) + " |")
    return lines


def main():
    source = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "lab.json"
    target = Path(sys.argv[2]) if len(sys.argv) > 2 else ROOT / "docs" / "dialects.md"
    record = json.loads(source.read_text(encoding="utf-8"))
    probes = {feature for can in record["can"].values() for feature in can} & set(record["features"])
    lines = [HEAD.rstrip("\n")]
    for caller in record["dialects"]:
        lines += table(record, caller, probes)
    target.write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
