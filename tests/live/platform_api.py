"""A client of the platform's API that hides nothing: every answer is a `requests` response."""

import itertools
import json
import threading

import requests

from accord import Accord

ADMIN_TOKEN = "at-accord-live-tests-admin-canary-01"
MERGE = "application/merge-patch+json"
PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+json"

_names = itertools.count(1)


def name(prefix="r"):
    """An id that no other test uses."""
    return f"{prefix}-{next(_names)}"


def start_platform(directory, **options):
    env = {"ACCORD_ADMIN_TOKEN": ADMIN_TOKEN, **options.pop("env", {})}
    return Accord(directory, env=env, **options)


class Api:
    """One session with one token; thread-local connections, so that it may be shared."""

    def __init__(self, address, token=ADMIN_TOKEN):
        self.address = address
        self.base = f"{address}/api/v1"
        self.token = token
        self._local = threading.local()

    def session(self):
        if not hasattr(self._local, "session"):
            self._local.session = requests.Session()
            self._local.session.trust_env = False
        return self._local.session

    def send(self, method, path, body=None, headers=None, **options):
        sent = {}
        if self.token:
            sent["Authorization"] = f"Bearer {self.token}"
        data = body
        if body is not None and not isinstance(body, (bytes, str)):
            data = json.dumps(body)
        if body is not None:
            sent["Content-Type"] = "application/json"
        sent.update(headers or {})
        sent = {key: value for key, value in sent.items() if value is not None}
        url = path if path.startswith("http") else self.base + path
        return self.session().request(method, url, data=data, headers=sent, timeout=30, **options)

    def get(self, path, **options):
        return self.send("GET", path, **options)

    def post(self, path, body=None, **options):
        return self.send("POST", path, body, **options)

    def put(self, path, body, match=None, none_match=None, **options):
        return self.send("PUT", path, body, conditions(match, none_match, options), **options)

    def patch(self, path, body, match=None, kind=MERGE, **options):
        headers = {"Content-Type": kind, **conditions(match, None, options)}
        return self.send("PATCH", path, body, headers, **options)

    def delete(self, path, match=None, **options):
        return self.send("DELETE", path, None, conditions(match, None, options), **options)

    def create(self, kind, **fields):
        """A resource that is there, or the test fails."""
        response = self.post(f"/{kind}", fields)
        assert response.status_code == 201, response.text
        return response.json()

    def team(self, **fields):
        fields.setdefault("id", name("team"))
        fields.setdefault("name", f"The {fields['id']}")
        return self.create("teams", **fields)

    def etag(self, path):
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.headers["ETag"]


def conditions(match, none_match, options):
    headers = dict(options.pop("headers", None) or {})
    if match is not None:
        headers["If-Match"] = match
    if none_match is not None:
        headers["If-None-Match"] = none_match
    return headers


def is_problem(response, status, code=None):
    """The answer refuses as CONFLICT.md says, whatever else it holds."""
    assert response.status_code == status, (response.status_code, response.text)
    assert response.headers["Content-Type"] == "application/problem+json", response.headers
    body = response.json()
    assert body["status"] == status
    for member in ("type", "title", "error", "message", "path", "code", "request_id", "detail"):
        assert body[member], (member, body)
    if code:
        assert body["code"] == code, body
    if status in (409, 412, 428, 429):
        assert response.headers["Cache-Control"] == "no-store"
    return body


def parallel(count, act):
    """`act(i)` on `count` threads that start together; their results in order."""
    barrier = threading.Barrier(count)
    results = [None] * count

    def run(i):
        barrier.wait(30)
        results[i] = act(i)

    threads = [threading.Thread(target=run, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results
