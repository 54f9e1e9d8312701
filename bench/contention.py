"""How two loops fare when many edit one thing: the one that is written everywhere, and the right one
(docs/conflicts.md). Run it against a server that is yours to change:

    ACCORD_ADDRESS=http://127.0.0.1:4090 ACCORD_TOKEN=at-accord-... build/venv/bin/python bench/contention.py

Each writer adds its own line to the description of one team, all at the same moment. With a path behind
it, a picture of both is written there: how many of the changes are there, over time.
"""

import math
import os
import random
import sys
import threading
import time

import requests

WRITERS = 16
API = os.environ.get("ACCORD_ADDRESS", "http://127.0.0.1:4090") + "/api/v1"
HEADERS = {"Authorization": f"Bearer {os.environ['ACCORD_TOKEN']}"}
MERGE = {**HEADERS, "Content-Type": "application/merge-patch+json"}


def naive(url, line):
    """Reads once, and sends the same thing again and again."""
    read = requests.get(url, headers=HEADERS, timeout=30)
    data = {"description": read.json()["description"] + line}
    barrier.wait()
    for attempt in range(5):
        response = requests.patch(url, json=data, timeout=30,
                                  headers={**MERGE, "If-Match": read.headers["ETag"]})
        if response.status_code == 200:
            return attempt + 1, time.monotonic()
        time.sleep(2 ** attempt)
    return 5, None


def right(url, line):
    barrier.wait()
    for attempt in range(60):
        read = requests.get(url, headers=HEADERS, timeout=30)
        response = requests.patch(url, json={"description": read.json()["description"] + line},
                                  headers={**MERGE, "If-Match": read.headers["ETag"]}, timeout=30)
        if response.ok:
            return attempt + 1, time.monotonic()
        time.sleep(random.uniform(0, min(2, 0.02 * 2 ** attempt)))
    return 60, None


def measure(loop):
    """(when each change was there, in seconds; when the last writer gave up or was done; attempts)"""
    team = requests.post(f"{API}/teams", headers=HEADERS, timeout=30, json={
        "name": f"contention {loop.__name__} {time.time_ns()}", "description": "."}).json()["id"]
    url, results = f"{API}/teams/{team}", []
    threads = [threading.Thread(target=lambda n=n: results.append(loop(url, f" {n:02}")))
               for n in range(WRITERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    attempts = sum(result[0] for result in results)
    there = len(requests.get(url, headers=HEADERS, timeout=30).json()["description"].split()) - 1
    print(f"{loop.__name__:6} {there:2} of {WRITERS} changes are there, {attempts} attempts, "
          f"{took:.2f} s")
    return sorted(at - began for _, at in results if at), took, attempts


# ---- the picture ----

LEFT, TOP, WIDTH, HEIGHT = 50, 30, 560, 240
FIRST, LAST = 0.01, 100.0  # seconds, on a logarithmic axis


def x_of(seconds):
    return LEFT + WIDTH * math.log(max(seconds, FIRST) / FIRST) / math.log(LAST / FIRST)


def y_of(changes):
    return TOP + HEIGHT * (1 - changes / WRITERS)


def curve(measured, colour, words):
    times, took, attempts = measured
    points, n = [(x_of(FIRST), y_of(0))], 0
    for at in times:
        points += [(x_of(at), y_of(n)), (x_of(at), y_of(n + 1))]
        n += 1
    points.append((x_of(took), y_of(n)))
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    x, y = points[-1]
    return (f'<polyline points="{line}" fill="none" stroke="{colour}" stroke-width="2"/>'
            f'<circle cx="{x:.1f}" cy="{y:.1f}" r="4" fill="{colour}"/>'
            f'<text x="{min(x + 8, LEFT + WIDTH - 215):.1f}" y="{y - 8 if n < 8 else y + 18:.1f}" '
            f'fill="{colour}">{words}: {n} of {WRITERS}, {attempts} attempts, {took:.2g} s</text>')


def picture(right_one, naive_one):
    axis = "".join(f'<line x1="{x_of(s):.1f}" y1="{TOP}" x2="{x_of(s):.1f}" y2="{TOP + HEIGHT}" '
                   f'stroke="#8884"/><text x="{x_of(s):.1f}" y="{TOP + HEIGHT + 18}" '
                   f'text-anchor="middle">{s:g} s</text>' for s in (0.01, 0.1, 1, 10, 100))
    axis += "".join(f'<text x="{LEFT - 8}" y="{y_of(n) + 4:.1f}" text-anchor="end">{n}</text>'
                    for n in (0, 4, 8, 12, 16))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 660 310" '
            f'font-family="system-ui,sans-serif" font-size="13">'
            f'<rect width="660" height="310" fill="#fff"/><g fill="#444">{axis}'
            f'<text x="{LEFT}" y="18">changes that are there</text></g>'
            f'{curve(right_one, "#0a7f4f", "right")}{curve(naive_one, "#c0392b", "naive")}</svg>\n')


measured = []
for loop in (right, naive):
    barrier = threading.Barrier(WRITERS)
    measured.append(measure(loop))
if len(sys.argv) > 1:
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(picture(*measured))
