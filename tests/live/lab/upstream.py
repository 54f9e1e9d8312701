"""What the seven simulated providers have in common."""

from dataclasses import dataclass, field

from .check import Fault
from .form import SIGNATURE_FRONT, signature_of

SECRET = "sk-lab-upstream-canary-5d1c"
AWS_ACCESS, AWS_SECRET = "AKIALABUPSTREAM", "lab/aws+secret/canary"
RETRY_AFTER = "7"


@dataclass
class Reply:
    """What goes back: a body, or the events of a stream."""
    status: int = 200
    body: bytes = b""
    events: list = None
    type: str = "application/json"
    headers: list = field(default_factory=list)
    cut: bool = False  # the connection breaks behind the last event
    bytewise: bool = False


class Provider:
    """One dialect. Subclasses: read() checks a request strictly and reads it into the form; whole() and
    stream() say a plan; error() and broken(events before it) say what went wrong."""

    dialect = ""
    model = ""
    signs = False  # gives signatures with its thinking
    tells = {"input", "output", "cache_read", "reasoning"}  # of usage
    finishes = {"stop", "length", "tools"}  # what it can say of the end
    stream_type = "text/event-stream"

    def matches(self, path):
        """Whether a path is its own."""
        raise NotImplementedError

    def shows(self, ask):
        """Whether a request like this one is told the thinking."""
        del ask
        return True

    def answer(self, request, ask, plan):
        del request
        if plan.error:
            status, body, headers = self.error(plan.error)
            return Reply(status, body, headers=headers)
        if not ask.stream:
            body = self.whole(plan, ask)
            return Reply(body=body[:-10] if plan.breaks else body, cut=bool(plan.breaks))
        events = self.stream(plan, ask)
        if plan.breaks:
            # Behind the first events with text in them, ahead of any that says that all is well.
            events = events[:max(len(events) // 2, 1)]
            if plan.breaks == "error":
                events += self.broken(events)
        return Reply(events=events, type=self.stream_type, cut=plan.breaks == "cut",
                     bytewise=plan.bytewise)

    def refuse(self, fault):
        """400 in the vendor's own shape, naming the fault."""
        status, body, headers = self.error("bad", str(fault))
        return Reply(status, body, headers=headers)

    def own_signature(self, signature, where):
        """Providers refuse what they have not signed."""
        known = {signature_of(self.dialect, n) for n in range(8)}
        if signature not in known:
            whose = [d for d, front in SIGNATURE_FRONT.items()
                     if front in str(signature) and d != self.dialect]
            raise Fault(where, f"invalid signature {str(signature)[:40]!r}"
                               f"{' of ' + whose[0] if whose else ''}")
        return signature


def header(request, name):
    return request.header(name) or ""


def bearer(request):
    if header(request, "authorization") != f"Bearer {SECRET}":
        raise Fault("authorization", "must be Bearer and the secret")
