"""An upstream that does what it is told: split, stall, trickle, cut, lie.

One thread per connection. The answer to each request is a function of (peer, request), by
default `answers.usual`; a test replaces it through `upstream.answer = ...`. Every byte that
arrives is kept.
"""

import socket
import ssl
import struct
import threading
import time

import answers
from kernel import unread
from wire import Head, wait_for


class Request:
    """What the upstream was sent: the bytes of the head, and the body with its framing removed."""

    def __init__(self, head, body, raw):
        self.head = head
        self.method, self.target, self.version = head.start.split(" ")
        self.path = self.target.partition("?")[0]
        self.body = body
        self.raw = raw

    def header(self, name, default=None):
        return self.head.get(name, default)


class Gone(Exception):
    """The proxy closed its side."""


class Peer:
    """One accepted connection, from the side of the upstream."""

    def __init__(self, upstream, sock):
        self.upstream = upstream
        self.sock = sock
        self.raw = b""
        self.data = b""
        self.closed_at = None  # time.monotonic() when the proxy was seen to close

    def fill(self):
        try:
            more = self.sock.recv(65536)
        except OSError:
            more = b""
        if not more:
            self.closed_at = self.closed_at or time.monotonic()
            raise Gone()
        self.raw += more
        self.data += more

    def read_until(self, marker):
        while marker not in self.data:
            self.fill()
        end = self.data.index(marker) + len(marker)
        taken, self.data = self.data[:end], self.data[end:]
        return taken

    def read_exactly(self, count):
        while len(self.data) < count:
            self.fill()
        taken, self.data = self.data[:count], self.data[count:]
        return taken

    def read_head(self):
        return self.read_until(b"\r\n\r\n")

    def read_request(self):
        raw = self.read_head()
        head = Head(raw[:-4])
        lengths, codings = head.all("content-length"), head.all("transfer-encoding")
        if len(lengths) + len(codings) > 1:
            raise AssertionError(f"the proxy sent an ambiguous request: {raw!r}")
        body = b""
        if lengths:
            body = self.read_exactly(int(lengths[0]))
            raw += body
        elif codings:
            while True:
                line = self.read_until(b"\r\n")
                size = int(line, 16)
                data = self.read_exactly(size + 2) if size else self.read_until(b"\r\n")
                raw += line + data
                if not size:
                    break
                body += data[:-2]
        return Request(head, body, raw)

    def send(self, data):
        try:
            self.sock.sendall(data)
        except OSError as error:
            self.closed_at = self.closed_at or time.monotonic()
            raise Gone() from error

    def send_pieces(self, data, size=1):
        """Writes of `size` bytes, each its own segment (Nagle is off)."""
        for at in range(0, len(data), size):
            self.send(data[at:at + size])

    def send_at(self, data, cuts):
        """Splits at the given offsets and lets the proxy read each part before the next goes."""
        start = 0
        for cut in [*sorted(cuts), len(data)]:
            self.send(data[start:cut])
            self.wait_taken()
            start = cut

    def wait_taken(self):
        """Until the proxy has read what was sent, by the kernel's count of unread bytes."""
        ours, theirs = self.sock.getsockname()[1], self.sock.getpeername()[1]
        wait_for(lambda: unread(theirs, ours) == 0, what="the proxy to read")

    def wait_closed(self, timeout=15.0):
        """Until the proxy closes; raises TimeoutError if it does not."""
        self.sock.settimeout(timeout)
        try:
            while True:
                self.fill()
        except Gone:
            return self.closed_at

    def close(self):
        self.sock.close()

    def reset(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()


class Hostile:
    """The listening side. `requests` are those read completely, `peers` all connections."""

    def __init__(self, send_buffer=None, tls=None):
        self.answer = answers.usual
        self.tls = tls  # an ssl.SSLContext
        self.requests = []
        self.peers = []
        self.errors = []
        self.release = threading.Event()  # for answers that hold back until the test says go on
        self._stopping = False
        self._listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if send_buffer:
            self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, send_buffer)
        self._listener.bind(("127.0.0.1", 0))
        self._listener.listen(512)
        self.port = self._listener.getsockname()[1]
        self.url = f"{'https' if tls else 'http'}://127.0.0.1:{self.port}"
        self._thread = threading.Thread(target=self._accept, daemon=True)
        self._thread.start()

    def _accept(self):
        while True:
            try:
                sock, _ = self._listener.accept()
            except OSError:
                return
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            peer = Peer(self, sock)
            self.peers.append(peer)
            threading.Thread(target=self._serve, args=(peer,), daemon=True).start()

    def _serve(self, peer):
        try:
            if self.tls:
                peer.sock = self.tls.wrap_socket(peer.sock, server_side=True)
            while True:
                request = peer.read_request()
                self.requests.append(request)
                if self.answer(peer, request) == "close":
                    peer.close()
                    return
        except (Gone, ssl.SSLError, ConnectionError):
            pass
        except Exception as error:  # a broken script must fail its test, not vanish in a thread
            if not self._stopping:
                self.errors.append(repr(error))
        finally:
            peer.close()

    @property
    def seen(self):
        """All bytes of all connections."""
        return b"".join(peer.raw for peer in self.peers)

    @property
    def last(self):
        return self.requests[-1]

    def clear(self):
        self.requests.clear()
        self.peers = [p for p in self.peers if p.closed_at is None]
        for peer in self.peers:
            peer.raw = b""

    def wait_requests(self, count):
        wait_for(lambda: len(self.requests) >= count, what=f"{count} requests at the upstream")

    def stop(self):
        self._stopping = True
        self.release.set()
        # shutdown() first: close() alone does not wake a thread that is in accept().
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for peer in self.peers:
            peer.close()


if __name__ == "__main__":
    print(Hostile().url, flush=True)
    threading.Event().wait()
