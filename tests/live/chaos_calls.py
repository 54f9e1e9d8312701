"""The callers of chaos.py: one call of each shape, and whether what came is an honest answer to it."""

import asyncio
import json
import re

from chaos_upstream import MARK, text_of, tokens_of
from wire import Closed, sse_events

assert tokens_of  # chaos.py takes it from here
DEADLINE_S = 60
IDLE_MOST = 40
SAME = 20  # so many questions are asked under one number where answers come from memory


class Answer:
    def __init__(self, number, dialect, stream, key):
        self.number, self.dialect, self.stream, self.key = number, dialect, stream, key
        self.id = self.status = self.code = None
        self.end = "none"  # whole, error, cut: an error event or a connection that breaks off
        self.head, self.body, self.broken = {}, b"", False


def path_and_body(dialect, model, number, stream):
    text = f"call {number} "
    if dialect == "anthropic":
        return "/v1/messages", {"model": model, "max_tokens": 64, "stream": stream,
                                "messages": [{"role": "user", "content": text}]}
    if dialect == "gemini":
        action = "streamGenerateContent?alt=sse" if stream else "generateContent"
        return f"/v1beta/models/{model}:{action}", {"contents": [{"role": "user", "parts": [{"text": text}]}],
                                                    "generationConfig": {"maxOutputTokens": 64}}
    if dialect == "responses":
        return "/v1/responses", {"model": model, "max_output_tokens": 64, "stream": stream, "store": False, "input": text}
    return "/v1/chat/completions", {"model": model, "max_tokens": 64, "stream": stream, "temperature": 0, "seed": 1,
                                    "messages": [{"role": "user", "content": text}]}


# ---- what a good answer says: its text and (read, written) ----

def read_whole(dialect, value):
    if dialect == "anthropic":
        return value["content"][0]["text"], (value["usage"]["input_tokens"], value["usage"]["output_tokens"])
    if dialect == "gemini":
        usage = value["usageMetadata"]
        return (value["candidates"][0]["content"]["parts"][0]["text"],
                (usage["promptTokenCount"], usage["candidatesTokenCount"]))
    if dialect == "responses":
        assert value["status"] == "completed"
        return value["output"][0]["content"][0]["text"], (value["usage"]["input_tokens"], value["usage"]["output_tokens"])
    return (value["choices"][0]["message"]["content"],
            (value["usage"]["prompt_tokens"], value["usage"]["completion_tokens"]))


def read_events(dialect, events):
    """The text, whether the last event is the one that ends a stream well, and the error event, if there is one."""
    text, ended, error = "", False, None
    for name, data in events:
        assert not ended and not error, "something came behind the end"
        if data == "[DONE]":
            ended = True
            continue
        value = json.loads(data)
        if value.get("error") or name == "error" or value.get("type") == "response.failed":
            error = value
        elif dialect == "anthropic":
            text += value["delta"].get("text", "") if value["type"] == "content_block_delta" else ""
            ended = value["type"] == "message_stop"
        elif dialect == "responses":
            text += value["delta"] if value["type"] == "response.output_text.delta" else ""
            ended = value["type"] == "response.completed"
        elif dialect == "gemini":
            one = (value.get("candidates") or [{}])[0]
            text += "".join(p.get("text", "") for p in one.get("content", {}).get("parts", []))
            ended = bool(one.get("finishReason"))
        elif value["choices"]:
            text += value["choices"][0]["delta"].get("content") or ""
    return text, ended, error


# ---- what an error must be ----

def read_error(dialect, value):
    """Its code and message; in the caller's dialect, or an exception."""
    error = value["error"]
    if dialect == "anthropic":
        assert value["type"] == "error" and error["type"], value
        return error["type"], error["message"]
    if dialect == "gemini":
        assert isinstance(error["code"], int) and re.fullmatch("[A-Z_]+", error["status"]), value
        return error["status"], error["message"]
    assert error["type"] and {"param", "code"} <= set(error) | {"param"}, value
    return error["code"], error["message"]


EXPECTED = {429: {"tight", "narrow"}, 402: {"poor"}}


class Callers:
    def __init__(self, port, secret_of, chance):
        self.port, self.secret_of, self.chance = port, secret_of, chance
        self.idle, self.done, self.faults, self.first = [], [], [], {}

    def close(self):
        for _, writer in self.idle:
            writer.close()

    def shape(self, number):
        pick = self.chance.random
        key = self.chance.choices(("free", "tight", "poor", "narrow", "cached", "idem"), (60, 10, 4, 10, 8, 8))[0]
        dialect = self.chance.choices(("openai", "anthropic", "gemini", "responses"), (50, 30, 10, 10))[0]
        model = self.chance.choices(("chat", "claude", "lost", "solo"), (55, 30, 5, 10))[0]
        if key in ("cached", "idem"):
            # A few questions that come again and again; by number, so that those of one number are the same.
            dialect, model, number = "openai", "chat", -(number // SAME * SAME + number % 3)
        stream = number % 2 == 0 if key in ("cached", "idem") else pick() < 0.5
        return key, dialect, model, abs(number), stream

    async def call(self, number):
        key, dialect, model, number, stream = self.shape(number)
        one = Answer(number if key not in ("cached", "idem") else number + 10**7, dialect, stream, key)
        path, body = path_and_body(dialect, model, one.number, stream)
        data = json.dumps(body).encode()
        head = (f"POST {path} HTTP/1.1\r\nHost: chaos\r\nAuthorization: Bearer {self.secret_of(key)}\r\n"
                f"Content-Type: application/json\r\nContent-Length: {len(data)}\r\n")
        if key == "idem":
            head += f'Idempotency-Key: "{one.number}"\r\n'
        try:
            await asyncio.wait_for(self.exchange(one, head.encode() + b"\r\n" + data), DEADLINE_S)
            self.judge(one)
        except Exception as error:  # whatever it is, it is not honest
            self.faults.append(f"{one.dialect} call {one.number} key {key} stream {stream} {one.status} {error!r}: "
                               f"{one.body[-400:]!r}")
        self.done.append(one)
        one.head, one.body = None, b""

    # ---- the wire ----

    async def connection(self):
        while self.idle:
            reader, writer = self.idle.pop()
            if not reader.at_eof() and not writer.is_closing():
                return reader, writer
            writer.close()
        return await asyncio.open_connection("127.0.0.1", self.port)

    async def exchange(self, one, data):
        reader, writer = await self.connection()
        writer.write(data)
        try:
            raw = await reader.readuntil(b"\r\n\r\n")
        except asyncio.IncompleteReadError as error:
            writer.close()
            raise Closed(error.partial) from None
        lines = raw.decode("latin-1").split("\r\n")
        one.status = int(lines[0].split()[1])
        one.head = {k.lower(): v.strip() for k, _, v in (line.partition(":") for line in lines[1:] if line)}
        one.id = one.head.get("x-request-id")
        try:
            await self.read_body(one, reader)
        except (asyncio.IncompleteReadError, ConnectionError):
            one.broken = True
        if one.broken or one.head.get("connection") == "close" or len(self.idle) >= IDLE_MOST:
            writer.close()
        else:
            self.idle.append((reader, writer))

    @staticmethod
    async def read_body(one, reader):
        if "content-length" in one.head:
            one.body = await reader.readexactly(int(one.head["content-length"]))
            return
        assert one.head.get("transfer-encoding") == "chunked", one.head
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            if not size:
                await reader.readexactly(2)
                return
            one.body += (await reader.readexactly(size + 2))[:-2]

    # ---- the judgement ----

    def judge(self, one):
        assert one.id, "no x-request-id"
        if one.status == 200:
            (self.judge_stream if one.stream else self.judge_whole)(one)
        else:
            self.judge_refusal(one)
        if one.end == "whole" and one.key == "idem":
            kept = self.first.setdefault(one.number, one.body)
            if one.head.get("idempotent-replayed"):
                assert one.body == kept, "a repeat says something else"

    def judge_whole(self, one):
        if one.broken:  # the head promised more: no reader takes this for an answer
            one.end = "cut"
            return
        text, tokens = read_whole(one.dialect, json.loads(one.body))
        assert (text, tokens) == (text_of(one.number), tokens_of(one.number)), "another answer"
        one.end = "whole"

    def judge_stream(self, one):
        assert one.head["content-type"].startswith("text/event-stream")
        text, ended, error = read_events(one.dialect, sse_events(one.body))
        assert text_of(one.number).startswith(text), "another text"
        if error is not None:
            if one.dialect != "responses":
                one.code = read_error(one.dialect, error)[0]
            one.end = "cut"
            return
        assert ended and not one.broken and text == text_of(one.number), "neither an end nor an error"
        one.end = "whole"

    def judge_refusal(self, one):
        assert not one.broken and one.status >= 400, "no answer"
        code, message = read_error(one.dialect, json.loads(one.body))
        one.end, one.code = "error", code
        ours = MARK not in message
        if one.status == 402 or (one.status == 429 and ours and "takes no more calls" not in message):
            assert one.key in EXPECTED[one.status], "refused for no reason"
        else:
            assert one.status in ((429, 502, 503, 504) if ours else (429, 500, 502, 503, 504, 529)), "an odd status"
        if one.status == 429:
            assert int(one.head["retry-after"]) >= 0


