"""How streams are framed: server-sent events, lines, and Amazon's binary event streams."""

import binascii
import json
import struct

from .check import loads, need


def dump(value):
    """JSON with its characters unescaped, so that streams carry multi-byte UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def sse(data, event=None, end=b"\n"):
    name = f"event: {event}".encode() + end if event else b""
    return name + b"data: " + (data if isinstance(data, bytes) else dump(data)) + end * 2


def line(data):
    return dump(data) + b"\n"


def read_sse(data, whole=True):
    """The events of a stream as (name or None, data) pairs, comments left out.

    Strict: known fields only, an empty line behind each event. Without `whole` the stream may break off: what
    stands behind the last empty line is left out."""
    text = data.decode("utf-8", "strict" if whole else "ignore").replace("\r\n", "\n")
    need("\r" not in text, "stream", "a bare CR")
    blocks = text.split("\n\n")
    last = blocks.pop()
    need(not whole or last == "", "stream", f"ends inside an event: {last[-100:]!r}")
    events = []
    for block in blocks:
        name, lines = None, []
        for one in block.split("\n"):
            if one.startswith(":"):
                continue
            field, colon, value = one.partition(":")
            need(colon and field in ("event", "data", "id", "retry"), "stream",
                 f"no field of an event: {one[:100]!r}")
            value = value.removeprefix(" ")
            if field == "event":
                need(name is None, "stream", "an event with two names")
                name = value
            elif field == "data":
                lines.append(value)
        if lines or name:
            need(len(lines) == 1, "stream", f"an event of {len(lines)} data lines: {block[:200]!r}")
            events.append((name, lines[0]))
    return events


def read_lines(data, whole=True):
    """NDJSON: one object per line."""
    lines = data.decode("utf-8", "strict" if whole else "ignore").split("\n")
    last = lines.pop()
    need(not whole or last == "", "stream", f"ends inside a line: {last[-100:]!r}")
    return [loads(one, "line") for one in lines]


def frame(headers, payload):
    """One message of application/vnd.amazon.eventstream; all headers are texts."""
    head = b"".join(struct.pack("!B", len(name)) + name.encode() + b"\x07"
                    + struct.pack("!H", len(value.encode())) + value.encode()
                    for name, value in headers.items())
    prelude = struct.pack("!II", 12 + len(head) + len(payload) + 4, len(head))
    message = prelude + struct.pack("!I", binascii.crc32(prelude)) + head + payload
    return message + struct.pack("!I", binascii.crc32(message))


def event_frame(name, payload):
    return frame({":event-type": name, ":content-type": "application/json",
                  ":message-type": "event"}, dump(payload))


def exception_frame(name, message):
    return frame({":exception-type": name, ":content-type": "application/json",
                  ":message-type": "exception"}, dump({"message": message}))


def read_frames(data, whole=True):
    """(headers, payload) of each message; both checksums are verified."""
    messages = []
    while data:
        if not whole and (len(data) < 12 or len(data) < struct.unpack("!I", data[:4])[0]):
            break
        need(len(data) >= 16, "stream", f"ends inside a frame: {data[:16]!r}")
        total, head_n, crc = struct.unpack("!III", data[:12])
        need(crc == binascii.crc32(data[:8]), "frame", "the prelude's CRC32 is wrong")
        need(16 + head_n <= total <= len(data), "frame", f"length {total} of {len(data)}")
        need(struct.unpack("!I", data[total - 4:total])[0] == binascii.crc32(data[:total - 4]),
             "frame", "the message's CRC32 is wrong")
        messages.append((_frame_headers(data[12:12 + head_n]), data[12 + head_n:total - 4]))
        data = data[total:]
    return messages


def _frame_headers(data):
    headers = {}
    while data:
        n = data[0]
        name, data = data[1:1 + n].decode(), data[1 + n:]
        need(data[:1] == b"\x07", f"frame header {name}", "is no text")
        size = struct.unpack("!H", data[1:3])[0]
        need(len(data) >= 3 + size and name not in headers, f"frame header {name}", "is malformed")
        headers[name], data = data[3:3 + size].decode(), data[3 + size:]
    return headers


def pieces(text, size):
    """A text in pieces of `size` characters; at least one, so that an empty text is still said."""
    return [text[at:at + size] for at in range(0, len(text), size)] or [""]
