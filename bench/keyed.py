"""What an Idempotency-Key costs a call, against the simulated provider of a server that is yours:

    ACCORD_ADDRESS=127.0.0.1:4090 ACCORD_KEY=sk-accord-... python3 bench/keyed.py

The same call without a key and with a new key each, by one connection and by many at once; milliseconds.
"""

import http.client
import json
import os
import statistics
import threading
import time
import uuid

ADDRESS = os.environ.get("ACCORD_ADDRESS", "127.0.0.1:4090")
BODY = json.dumps({"model": "sim/echo", "messages": [{"role": "user", "content": "Hello"}]})
FIELDS = {"Authorization": f"Bearer {os.environ['ACCORD_KEY']}", "Content-Type": "application/json"}
SECONDS = 4


def caller(keyed, until, took):
    connection = http.client.HTTPConnection(ADDRESS)
    while time.monotonic() < until:
        fields = {**FIELDS, "Idempotency-Key": str(uuid.uuid4())} if keyed else FIELDS
        begun = time.monotonic()
        connection.request("POST", "/v1/chat/completions", BODY, fields)
        answer = connection.getresponse()
        text = answer.read()
        took.append((time.monotonic() - begun) * 1000)
        assert answer.status == 200, text
        assert answer.getheader("idempotency-status") is None


def main():
    for callers in (1, 16, 64):
        for keyed in (False, True):
            took, until = [], time.monotonic() + SECONDS
            threads = [threading.Thread(target=caller, args=(keyed, until, took)) for _ in range(callers)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
            cuts = statistics.quantiles(took, n=100)
            print(f"{callers:3} at once, {'with a key' if keyed else 'without':10}: "
                  f"{len(took) / SECONDS:7.0f} calls/s, p50 {cuts[49]:6.2f}, p95 {cuts[94]:6.2f}, p99 {cuts[98]:6.2f} ms")


if __name__ == "__main__":
    main()
