"""How two loops fare when many edit one thing: the one that is written everywhere, and the right one
(docs/conflicts.md). Run it against a server that is yours to change:

    ACCORD_ADDRESS=http://127.0.0.1:4090 ACCORD_TOKEN=at-accord-... build/venv/bin/python bench/contention.py

Each writer adds its own line to the description of one team, all at the same moment.
"""

import os
import random
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
            return attempt + 1
        time.sleep(2 ** attempt)
    return 5


def right(url, line):
    barrier.wait()
    for attempt in range(60):
        read = requests.get(url, headers=HEADERS, timeout=30)
        response = requests.patch(url, json={"description": read.json()["description"] + line},
                                  headers={**MERGE, "If-Match": read.headers["ETag"]}, timeout=30)
        if response.ok:
            return attempt + 1
        time.sleep(random.uniform(0, min(2, 0.02 * 2 ** attempt)))
    return 60


def measure(loop):
    team = requests.post(f"{API}/teams", headers=HEADERS, timeout=30, json={
        "name": f"contention {loop.__name__} {time.time_ns()}", "description": "."}).json()["id"]
    url, attempts = f"{API}/teams/{team}", []
    threads = [threading.Thread(target=lambda n=n: attempts.append(loop(url, f" {n:02}")))
               for n in range(WRITERS)]
    began = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    took = time.monotonic() - began
    there = len(requests.get(url, headers=HEADERS, timeout=30).json()["description"].split()) - 1
    print(f"{loop.__name__:6} {there:2} of {WRITERS} changes are there, {sum(attempts)} attempts, "
          f"{took:.2f} s")


for loop in (right, naive):
    barrier = threading.Barrier(WRITERS)
    measure(loop)
