"""One loopback server with an honest provider for each dialect behind it, and a journal of what arrived.

    python3 -m lab.upstreams        (in tests/live) runs it by itself"""

import base64
import threading
from dataclasses import dataclass

from hostile import Hostile

from .check import Fault
from .form import Ask, Plan
from .scenarios import PNG, plan_for
from .upstream_chat import Chat
from .upstream_cohere import Cohere
from .upstream_converse import Converse
from .upstream_generate import Generate
from .upstream_messages import Messages
from .upstream_ollama import Ollama
from .upstream_responses import Responses

PROVIDERS = [Chat(), Responses(), Messages(), Generate(), Ollama(), Cohere(), Converse()]
DIALECTS = [p.dialect for p in PROVIDERS]
PROVIDER = {p.dialect: p for p in PROVIDERS}


@dataclass
class Entry:
    """One call that arrived."""
    dialect: str
    request: object  # the bytes
    ask: Ask = None  # what it says
    plan: Plan = None
    fault: str = ""  # why it was refused


class Upstreams:
    def __init__(self):
        self.journal = []
        self.server = Hostile()
        self.server.answer = self._answer
        self.url, self.port = self.server.url, self.server.port

    def _answer(self, peer, request):
        if request.path == "/lab/pixel.png":
            data = base64.b64decode(PNG)
            peer.send(head(200, "image/png", [("Content-Length", len(data))]) + data)
            return None
        provider = next((p for p in PROVIDERS if p.matches(request.path)), None)
        if not provider:
            self.journal.append(Entry("", request, fault=f"no such path: {request.target}"))
            peer.send(head(404, "application/json", [("Content-Length", "0")]))
            return None
        entry = Entry(provider.dialect, request)
        try:
            entry.ask = provider.read(request)
            entry.plan = plan_for(entry.ask)
            reply = provider.answer(request, entry.ask, entry.plan)
        except Fault as fault:
            entry.fault = str(fault)
            reply = provider.refuse(fault)
        self.journal.append(entry)
        return send(peer, reply)

    @property
    def last(self):
        return self.journal[-1]

    def clear(self):
        self.journal.clear()
        self.server.clear()

    def stop(self):
        self.server.stop()
        assert not self.server.errors, self.server.errors


def head(status, content_type, headers):
    words = [f"HTTP/1.1 {status} {'OK' if status == 200 else 'No'}", f"Content-Type: {content_type}",
             *[f"{name}: {value}" for name, value in headers]]
    return "\r\n".join(words).encode() + b"\r\n\r\n"


def send(peer, reply):
    if reply.events is None:
        size = len(reply.body) + (10 if reply.cut else 0)
        peer.send(head(reply.status, reply.type, [("Content-Length", size), *reply.headers]) + reply.body)
        return "close" if reply.cut else None
    data = head(reply.status, reply.type, [("Transfer-Encoding", "chunked"), *reply.headers])
    body = reply.events
    if reply.bytewise:
        # Each byte in a chunk of its own: whatever reads them in, the reader of events gets them one by one.
        body = [bytes([b]) for event in reply.events for b in event]
    data += b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in body)
    peer.send(data if reply.cut else data + b"0\r\n\r\n")
    return "close" if reply.cut else None


if __name__ == "__main__":
    print(Upstreams().url, flush=True)
    threading.Event().wait()
