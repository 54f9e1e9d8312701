"""Three upstreams in a process of their own (two of OpenAI's chat, one of Anthropic's Messages) that fail at random.

Each call names itself: "call 17" in its text. What a good answer to it says, and how many tokens it tells, follows from
that number, so that whoever reads it knows whether it is whole and whether it is his. Now and then one of the three has a
bad spell, in which most of its answers fail. `GET /log` tells what was served to which call.
"""

import asyncio
import json
import random
import re
import socket
import struct
import sys
import time

from answers import chunk, dump, head, sse, whole

MARK = "chaos"  # stands in each error that is an upstream's own
NAME = re.compile(rb"call (\d+)")
SPELL_EVERY_S, SPELL_S = 8.0, 1.5
STALL_S = 20.0

# Of a thousand requests so many end like this. "slow" is none: its answer is good.
FAULTS = {"500": 14, "503": 14, "429": 3, "reset": 12, "reset in body": 8, "stall": 2, "stall in body": 2,
          "truncated": 8, "error frame": 8, "late error frame": 6, "empty": 8, "slow": 20}


def pieces(number):
    return [f"{number}:{i} \u00e9" for i in range(3 + number % 6)]


def text_of(number):
    return "".join(pieces(number))


def tokens_of(number):
    """(read, written)."""
    return 11 + number % 89, 3 + number % 6


# ---- good answers ----

def chat_whole(number):
    read, written = tokens_of(number)
    return {"id": f"chatcmpl-{number}", "object": "chat.completion", "created": 1, "model": "x", "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": text_of(number)}}],
        "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}}


def chat_events(number, usage):
    def event(delta, finish=None):
        return sse({"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": "x",
                    "choices": [{"index": 0, "delta": delta, "finish_reason": finish}]})
    read, written = tokens_of(number)
    told = {"id": f"chatcmpl-{number}", "object": "chat.completion.chunk", "created": 1, "model": "x", "choices": [],
            "usage": {"prompt_tokens": read, "completion_tokens": written, "total_tokens": read + written}}
    return [event({"role": "assistant", "content": ""}), *[event({"content": p}) for p in pieces(number)],
            event({}, "stop"), *([sse(told)] if usage else []), b"data: [DONE]\n\n"]


def message_whole(number):
    read, written = tokens_of(number)
    return {"id": f"msg_{number}", "type": "message", "role": "assistant", "model": "x", "stop_reason": "end_turn",
            "stop_sequence": None, "content": [{"type": "text", "text": text_of(number)}],
            "usage": {"input_tokens": read, "output_tokens": written}}


def message_events(number):
    read, written = tokens_of(number)

    def event(kind, **more):
        return sse({"type": kind, **more}, kind)
    begun = {**message_whole(number), "content": [], "stop_reason": None,
             "usage": {"input_tokens": read, "output_tokens": 1}}
    return [event("message_start", message=begun),
            event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
            *[event("content_block_delta", index=0, delta={"type": "text_delta", "text": p}) for p in pieces(number)],
            event("content_block_stop", index=0),
            event("message_delta", delta={"stop_reason": "end_turn", "stop_sequence": None},
                  usage={"output_tokens": written}),
            event("message_stop")]


# ---- bad ones ----

def refusal(dialect, status, **fields):
    kind = {500: "api_error", 503: "overloaded_error", 429: "rate_limit_error"}[status]
    error = {"type": kind, "message": f"{MARK} {status}"}
    body = {"type": "error", "error": error} if dialect == "anthropic" else {"error": {**error, "code": kind}}
    return whole(dump(body), status=status, headers=list(fields.items()))


def error_event(dialect):
    error = {"type": "overloaded_error", "message": f"{MARK} frame"}
    if dialect == "anthropic":
        return sse({"type": "error", "error": error}, "error")
    return sse({"error": {**error, "code": "overloaded"}})


STREAM_HEAD = head(headers=[("Content-Type", "text/event-stream"), ("Transfer-Encoding", "chunked")])


class Upstream:
    def __init__(self, dialect, seed):
        self.dialect, self.chance = dialect, random.Random(seed)
        self.log = []  # [call, fault, served whole]
        self.offset = seed * SPELL_EVERY_S / 3
        self.connections = 0

    def fault(self):
        bad = (time.monotonic() + self.offset) % SPELL_EVERY_S < SPELL_S
        drawn = self.chance.random() * (130 if bad else 1000)
        for name, share in FAULTS.items():
            drawn -= share
            if drawn < 0:
                return name
        return None

    async def serve(self, reader, writer):
        self.connections += 1
        writer.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        try:
            while await self.one(reader, writer):
                pass
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            self.connections -= 1
            writer.close()

    async def one(self, reader, writer):
        asked = await reader.readuntil(b"\r\n\r\n")
        if asked.startswith(b"GET /log"):
            writer.write(whole(dump({"log": self.log, "connections": self.connections})))
            await writer.drain()
            return True
        body = await reader.readexactly(int(re.search(rb"content-length: *(\d+)", asked, re.I)[1]))
        number = int(NAME.search(body)[1])
        stream = b'"stream":true' in body.replace(b" ", b"")
        entry = [number, self.fault(), False]
        self.log.append(entry)
        if stream:
            usage = b"include_usage" in body
            go_on = await self.stream(entry, usage, reader, writer)
        else:
            go_on = await self.whole(entry, reader, writer)
        return go_on

    async def fail(self, fault, reader, writer):
        """The faults that look the same whatever was asked; None: it is another one."""
        if fault in ("500", "503", "429"):
            more = {"Retry-After": "1"} if fault == "429" else {}
            writer.write(refusal(self.dialect, int(fault), **more))
            await writer.drain()
            return True
        if fault == "stall":
            await self.wait(reader)
            return False
        if fault == "reset":
            self.reset(writer)
            return False
        if fault == "slow":
            await asyncio.sleep(0.05 + self.chance.random() * 0.25)
        return None

    async def whole(self, entry, reader, writer):
        number, fault, _ = entry
        done = await self.fail(fault, reader, writer)
        if done is not None:
            return done
        if fault == "empty":
            writer.write(whole(b""))
            await writer.drain()
            return True
        if fault in ("error frame", "late error frame"):  # there are no frames here
            return await self.fail("500", reader, writer)
        answer = whole(dump(message_whole(number) if self.dialect == "anthropic" else chat_whole(number)))
        if fault in ("reset in body", "stall in body", "truncated"):
            writer.write(answer[:-20])
            await writer.drain()
            return await self.break_off(fault, reader, writer)
        writer.write(answer)
        entry[2] = True
        await writer.drain()
        return True

    async def stream(self, entry, usage, reader, writer):
        number, fault, _ = entry
        done = await self.fail(fault, reader, writer)
        if done is not None:
            return done
        events = message_events(number) if self.dialect == "anthropic" else chat_events(number, usage)
        if fault == "empty":
            events = []
        elif fault == "error frame":
            events = [*events[:1], error_event(self.dialect)]
        elif fault == "late error frame":
            events = [*events[:4], error_event(self.dialect)]
        elif fault in ("reset in body", "stall in body", "truncated"):
            events = events[:self.chance.randrange(1, len(events) - 2)]
        writer.write(STREAM_HEAD)
        for event in events:
            writer.write(chunk(event))
            if number % 4 == 0:  # some come at once, some piece by piece
                await writer.drain()
                await asyncio.sleep(0.002)
        if fault in ("reset in body", "stall in body"):
            await writer.drain()
            return await self.break_off(fault, reader, writer)
        entry[2] = fault in (None, "slow")
        writer.write(b"0\r\n\r\n")
        await writer.drain()
        return True

    async def break_off(self, fault, reader, writer):
        if fault == "stall in body":
            await self.wait(reader)
        elif fault == "reset in body":
            await asyncio.sleep(0.01)  # a reset overtakes what was sent
            self.reset(writer)
        return False

    @staticmethod
    async def wait(reader):
        """Until the other side gives up."""
        try:
            await asyncio.wait_for(reader.read(1), STALL_S)
        except asyncio.TimeoutError:
            pass

    @staticmethod
    def reset(writer):
        writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        writer.transport.abort()


async def main(seed):
    ports = []
    for i, dialect in enumerate(("openai", "openai", "anthropic")):
        upstream = Upstream(dialect, seed + i)
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, backlog=1024)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)  # it ends with its parent


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1])))
