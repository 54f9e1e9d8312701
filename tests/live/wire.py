"""A client made of a socket: it sends exactly the bytes it is given and reads answers strictly.

Nothing here repairs anything: an answer that RFC 9112 would not allow raises WireError.
"""

import json
import select
import socket
import struct
import time

from kernel import unread

DEADLINE_S = 15.0


class WireError(Exception):
    """The peer broke the protocol, or closed where it must not."""


class Closed(WireError):
    """The peer closed before an answer was complete; .received holds what came."""

    def __init__(self, received):
        super().__init__(f"closed after {received[-200:]!r}")
        self.received = received


class Head:
    """Start line and headers of a message, in the order and spelling of the wire."""

    def __init__(self, raw):
        lines = raw.decode("latin-1").split("\r\n")
        self.raw = raw
        self.start = lines[0]
        self.headers = []
        for line in lines[1:]:
            name, colon, value = line.partition(":")
            if not colon or name != name.strip() or "\n" in line or "\r" in line:
                raise WireError(f"bad header line {line!r}")
            self.headers.append((name.lower(), value.strip(" \t")))

    def all(self, name):
        return [value for key, value in self.headers if key == name]

    def get(self, name, default=None):
        values = self.all(name)
        return values[0] if values else default


class Response:
    def __init__(self, head, body, trailers=()):
        version, _, rest = head.start.partition(" ")
        if version not in ("HTTP/1.1", "HTTP/1.0") or not rest[:3].isdigit():
            raise WireError(f"bad status line {head.start!r}")
        self.head = head
        self.status = int(rest[:3])
        self.body = body
        self.trailers = list(trailers)

    def __repr__(self):
        return f"<{self.head.start} {self.body[:300]!r}>"

    def header(self, name, default=None):
        return self.head.get(name, default)

    def json(self):
        return json.loads(self.body)

    def events(self):
        return sse_events(self.body)


def sse_events(data):
    """The events of a complete SSE body as (event name or None, data) pairs."""
    text = data.decode("utf-8").removeprefix("\ufeff")
    events = []
    for block in text.replace("\r\n", "\n").replace("\r", "\n").split("\n\n"):
        name, lines = None, []
        for line in block.split("\n"):
            field, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if field == "event":
                name = value
            elif field == "data":
                lines.append(value)
        if lines:
            events.append((name, "\n".join(lines)))
    return events


class Connection:
    """One TCP connection. Reading methods share one deadline per call, never a bare block."""

    def __init__(self, host, port, receive_buffer=None):
        self.sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        if receive_buffer:
            self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.sock.settimeout(DEADLINE_S)
        self.sock.connect((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server_port = port
        self.local_port = self.sock.getsockname()[1]
        self.data = b""
        self.eof = False

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def close(self):
        self.sock.close()

    def reset(self):
        """Closes with RST, as a process that is killed with unread data does."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def half_close(self):
        self.sock.shutdown(socket.SHUT_WR)

    def send(self, data):
        """Sends all of it; a peer that has already closed is for the reader to judge."""
        try:
            self.sock.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def send_split(self, data, at):
        """Sends in two parts, the second once the server has read the first."""
        self.send(data[:at])
        wait_consumed([self])
        self.send(data[at:])

    def fill(self, deadline):
        """Reads once. False at the end of the stream."""
        if self.eof:
            return False
        left = deadline - time.monotonic()
        if left <= 0 or not select.select([self.sock], [], [], left)[0]:
            raise TimeoutError(f"nothing more came after {self.data[-200:]!r}")
        try:
            more = self.sock.recv(65536)
        except ConnectionResetError:
            more = b""
        if not more:
            self.eof = True
        self.data += more
        return bool(more)

    def take(self, count):
        data, self.data = self.data[:count], self.data[count:]
        return data

    def read_until(self, marker, timeout=DEADLINE_S):
        """The bytes up to and including marker."""
        deadline = time.monotonic() + timeout
        while marker not in self.data:
            if not self.fill(deadline):
                raise Closed(self.data)
        return self.take(self.data.index(marker) + len(marker))

    def read_exactly(self, count, timeout=DEADLINE_S):
        deadline = time.monotonic() + timeout
        while len(self.data) < count:
            if not self.fill(deadline):
                raise Closed(self.data)
        return self.take(count)

    def read_to_end(self, timeout=DEADLINE_S):
        """Everything until the peer closes."""
        deadline = time.monotonic() + timeout
        while self.fill(deadline):
            pass
        return self.take(len(self.data))

    def closes(self, timeout=DEADLINE_S):
        """Whether the peer closes without another byte."""
        try:
            return self.read_to_end(timeout) == b""
        except TimeoutError:
            return False

    def read_head(self, timeout=DEADLINE_S):
        return Head(self.read_until(b"\r\n\r\n", timeout)[:-4])

    def read_chunk(self, timeout=DEADLINE_S):
        """One chunk of a chunked body; empty for the last (its trailers are in .trailers)."""
        line = self.read_until(b"\r\n", timeout)[:-2]
        if not line or any(c not in b"0123456789abcdefABCDEF" for c in line):
            raise WireError(f"bad chunk size {line!r}")
        size = int(line, 16)
        if size:
            data = self.read_exactly(size + 2, timeout)
            if data[-2:] != b"\r\n":
                raise WireError(f"chunk does not end: {data[-20:]!r}")
            return data[:-2]
        self.trailers = []
        while True:
            line = self.read_until(b"\r\n", timeout)[:-2]
            if not line:
                return b""
            self.trailers.append(line)

    def read_response(self, method="POST", timeout=DEADLINE_S):
        """One final response; interim ones are collected in .interim."""
        self.interim = []
        while True:
            head = self.read_head(timeout)
            response = Response(head, b"")
            if response.status < 200:
                self.interim.append(response)
                continue
            break
        codings, lengths = head.all("transfer-encoding"), head.all("content-length")
        if len(codings) + len(lengths) > 1:
            raise WireError(f"ambiguous framing: {head.headers}")
        if method == "HEAD" or response.status in (204, 304):
            return response
        if codings:
            if codings != ["chunked"]:
                raise WireError(f"unknown transfer coding {codings}")
            parts = []
            while True:
                part = self.read_chunk(timeout)
                if not part:
                    break
                parts.append(part)
            return Response(head, b"".join(parts), self.trailers)
        if lengths:
            return Response(head, self.read_exactly(int(lengths[0]), timeout))
        return Response(head, self.read_to_end(timeout))

    def read_body_so_far(self, timeout=DEADLINE_S):
        """For a stream that may be cut: (decoded bytes, whether it ended cleanly)."""
        parts = []
        try:
            while True:
                part = self.read_chunk(timeout)
                if not part:
                    return b"".join(parts), True
                parts.append(part)
        except Closed:
            return b"".join(parts), False


def request(method, target, headers=(), body=b"", host="accord.test"):
    """The bytes of a request; Content-Length is added when there is a body."""
    lines = [f"{method} {target} HTTP/1.1", f"Host: {host}"]
    lines += [f"{name}: {value}" for name, value in headers]
    if body or method in ("POST", "PUT"):
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n" + body


def chunked(parts):
    """A chunked body of the given parts."""
    return b"".join(b"%x\r\n%s\r\n" % (len(p), p) for p in parts if p) + b"0\r\n\r\n"


def wait_consumed(connections, timeout=DEADLINE_S):
    """Returns once the server has read everything that was sent on these connections."""
    for connection in connections:
        wait_for(lambda c=connection: unread(c.server_port, c.local_port) == 0, timeout,
                 "the server to read what was sent")


def wait_for(condition, timeout=DEADLINE_S, what="a condition"):
    """Polls until condition() is true; its value is returned."""
    deadline = time.monotonic() + timeout
    pause = 0.0005
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise TimeoutError(f"waited {timeout} s for {what}")
        # Not a guess about timing: the condition decides, this only yields the core.
        select.select([], [], [], pause)
        pause = min(pause * 2, 0.02)
