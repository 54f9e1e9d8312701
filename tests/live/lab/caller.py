"""What the seven callers have in common: the way over the socket, and what an answer must be like."""

import re

from wire import Closed, Connection, request

from .check import check, loads, need
from .form import Answer
from .scenarios import in_order_of_calls


class Place:
    """Where calls go, and with which key."""

    def __init__(self, port, key, aws_secret="unused", models=None):
        self.port, self.key, self.aws_secret = port, key, aws_secret
        self.models = models or {}  # dialect of the upstream: the model's name there


class Caller:
    """One dialect. Subclasses: target() and body() say an Ask; whole() and events() read the
    answer, strictly."""

    dialect = ""
    stream_type = "text/event-stream"
    tells = {"input", "output", "cache_read", "reasoning"}
    keeps = False  # carries signatures back
    # What a finish of the form looks like here.
    finishes = {}
    # Features of the form that it can ask for, and how it spells them: so a loss is named.
    spells = {}

    def named(self, feature, dropped):
        """Those of the names of what was dropped that are about a feature."""
        return [n for n in dropped if re.search(self.spells[feature], n)]

    def headers(self, place, target, body):
        del target, body
        return [("Authorization", f"Bearer {place.key}")]

    def send(self, place, ask, model, stream=False, headers=()):
        """One call, and what its answer says."""
        answer, _ = self.exchange(place, ask, model, stream, headers)
        return answer

    def exchange(self, place, ask, model, stream=False, headers=()):
        """... and the bytes of the request's body."""
        target, body = self.target(model, stream), self.body(ask, model, stream)
        fields = [*self.headers(place, target, body), ("Content-Type", "application/json"), *headers]
        with Connection("127.0.0.1", place.port) as connection:
            connection.send(request("POST", target, fields, body, host=f"127.0.0.1:{place.port}"))
            head, data, clean = read_reply(connection)
        return self.read(head, data, clean, stream), body

    def read(self, head, data, clean, stream):
        status = int(head.start.split(" ")[1])
        kind = (head.get("content-type") or "").partition(";")[0]
        if status != 200:
            need(clean and kind == "application/json", "error", f"{head.headers} {data[:200]!r}")
            answer = Answer(error=self.error(status, head, data), status=status)
        elif not stream:
            need(kind == "application/json", "content-type", f"is {kind}")
            # A length that is not kept is for the client's HTTP library to see.
            answer = self.whole(loads(data)) if clean else Answer()
            answer.clean = clean
        else:
            need(kind == self.stream_type, "content-type", f"is {kind}")
            answer = self.events(data, clean)
            answer.clean = clean
            ended = bool(answer.finish)
            need(clean or not ended or answer.error, "stream", "its last event came, and then it was cut")
            need(not clean or ended or answer.error, "stream", "ended without its last event")
        answer.headers = head
        return answer

    def error(self, status, head, data):
        """{status, kind, message} of an error's body."""
        raise NotImplementedError


def read_reply(connection):
    """(head, body, whether it ended as its framing says)"""
    head = connection.read_head()
    if head.get("transfer-encoding"):
        need(head.all("content-length") == [], "head", "two framings")
        data, clean = connection.read_body_so_far()
        return head, data, clean
    size = int(head.get("content-length"))
    try:
        return head, connection.read_exactly(size), True
    except Closed:
        return head, connection.data, False


class Tally:
    """A state of reading: what may come next."""

    def __init__(self):
        self.answer, self.over = Answer(), False

    def alive(self, where):
        need(not self.over, where, "something came behind the last event")


def arguments(text, where):
    return check(loads(text, where), where, dict)


def in_order(ask):
    """The turns, with results in the order of their calls, for dialects whose calls have no ids."""
    return [(role, in_order_of_calls(ask, [p for p in parts if p["kind"] == "result"])
             + [p for p in parts if p["kind"] != "result"]) for role, parts in ask.turns]


def named(part, member="id"):
    """The id of a call or result, unless it is one that has none on the wire."""
    return {member: part["id"]} if part["id"] and not part.get("unnamed") else {}


def only_texts(parts):
    return all(p["kind"] == "text" for p in parts)


def options(ask, names):
    """Members of the request for the plain members of the form that are set."""
    return {there: getattr(ask, here) for here, there in names if getattr(ask, here) not in (None, [])}


def plus(*numbers):
    return sum(n or 0 for n in numbers)
