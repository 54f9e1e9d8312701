"""What a well-behaved upstream says in each dialect, as bytes, and the framings to say it in."""

import json

COMPLETION_TEXT = "Bonjour, \u00e9l\u00e8ve \U0001f600"


def dump(value):
    """JSON with its characters unescaped, so that a stream carries multi-byte UTF-8."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


CHAT = dump({
    "id": "chatcmpl-1", "object": "chat.completion", "created": 1, "model": "upstream-m",
    "choices": [{"index": 0, "finish_reason": "stop",
                 "message": {"role": "assistant", "content": COMPLETION_TEXT}}],
    "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10},
})
MESSAGE = dump({
    "id": "msg_1", "type": "message", "role": "assistant", "model": "upstream-c",
    "content": [{"type": "text", "text": COMPLETION_TEXT}], "stop_reason": "end_turn",
    "stop_sequence": None, "usage": {"input_tokens": 7, "output_tokens": 3},
})
GENERATED = dump({
    "candidates": [{"content": {"role": "model", "parts": [{"text": COMPLETION_TEXT}]},
                    "finishReason": "STOP", "index": 0}],
    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": 3, "totalTokenCount": 10},
})
EMBEDDINGS = dump({
    "object": "list", "model": "upstream-m",
    "data": [{"object": "embedding", "index": 0, "embedding": "AACAPwAAAEA="}],
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
})
RESPONSE = dump({
    "id": "resp_1", "object": "response", "status": "completed", "model": "upstream-m",
    "output": [{"type": "message", "id": "msg_1", "role": "assistant", "status": "completed",
                "content": [{"type": "output_text", "text": COMPLETION_TEXT, "annotations": []}]}],
    "usage": {"input_tokens": 7, "output_tokens": 3, "total_tokens": 10},
})


def sse(data, event=None):
    name = b"event: %s\n" % event.encode() if event else b""
    return name + b"data: " + (data if isinstance(data, bytes) else dump(data)) + b"\n\n"


def chat_chunk(delta, finish=None, **more):
    return sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                "model": "upstream-m",
                "choices": [{"index": 0, "delta": delta, "finish_reason": finish}], **more})


CHAT_USAGE = sse({"id": "chatcmpl-1", "object": "chat.completion.chunk", "created": 1,
                  "model": "upstream-m", "choices": [],
                  "usage": {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}})
CHAT_EVENTS = [
    chat_chunk({"role": "assistant", "content": ""}),
    *[chat_chunk({"content": word}) for word in ("Bonjour, ", "\u00e9l\u00e8ve ", "\U0001f600")],
    chat_chunk({}, "stop"),
]
DONE = b"data: [DONE]\n\n"


def message_events():
    text = [sse({"type": "content_block_delta", "index": 0,
                 "delta": {"type": "text_delta", "text": word}}, "content_block_delta")
            for word in ("Bonjour, ", "\u00e9l\u00e8ve ", "\U0001f600")]
    return [
        sse({"type": "message_start", "message": {
            "id": "msg_1", "type": "message", "role": "assistant", "model": "upstream-c",
            "content": [], "stop_reason": None, "stop_sequence": None,
            "usage": {"input_tokens": 7, "output_tokens": 1}}}, "message_start"),
        sse({"type": "content_block_start", "index": 0,
             "content_block": {"type": "text", "text": ""}}, "content_block_start"),
        *text,
        sse({"type": "content_block_stop", "index": 0}, "content_block_stop"),
        sse({"type": "message_delta", "delta": {"stop_reason": "end_turn", "stop_sequence": None},
             "usage": {"output_tokens": 3}}, "message_delta"),
        sse({"type": "message_stop"}, "message_stop"),
    ]


def generate_events():
    def part(text, out, **more):
        return sse({"candidates": [{"content": {"role": "model", "parts": [{"text": text}]},
                                    "index": 0, **more}],
                    "usageMetadata": {"promptTokenCount": 7, "candidatesTokenCount": out,
                                      "totalTokenCount": 7 + out}})
    return [part("Bonjour, ", 1), part("\u00e9l\u00e8ve ", 2),
            part("\U0001f600", 3, finishReason="STOP")]


def response_events():
    def event(kind, number, **more):
        return sse({"type": kind, "sequence_number": number, **more}, kind)
    return [
        event("response.created", 0, response={"id": "resp_1", "object": "response",
                                               "status": "in_progress", "output": []}),
        event("response.output_text.delta", 1, item_id="msg_1", output_index=0, content_index=0,
              delta=COMPLETION_TEXT),
        event("response.completed", 2, response=json.loads(RESPONSE)),
    ]


def chat_events(request):
    """With the usage event only if the request asks for it, as the real one does."""
    asked = b'"include_usage":true' in request.body.replace(b" ", b"")
    return [*CHAT_EVENTS, *([CHAT_USAGE] if asked else []), DONE]


def head(status=200, reason="OK", headers=()):
    lines = [f"HTTP/1.1 {status} {reason}", *[f"{name}: {value}" for name, value in headers]]
    return "\r\n".join(lines).encode("latin-1") + b"\r\n\r\n"


def whole(body, status=200, content_type="application/json", headers=()):
    return head(status, "OK" if status < 300 else "No", [
        ("Content-Type", content_type), ("Content-Length", len(body)), *headers]) + body


def chunk(data):
    return b"%x\r\n%s\r\n" % (len(data), data)


STREAM_HEAD = head(headers=[("Content-Type", "text/event-stream"), ("Cache-Control", "no-cache"),
                            ("Transfer-Encoding", "chunked")])
CLOSE_HEAD = head(headers=[("Content-Type", "text/event-stream"), ("Connection", "close")])


def stream(events):
    return STREAM_HEAD + b"".join(chunk(event) for event in events) + b"0\r\n\r\n"


def body_for(request):
    """(JSON answer, stream events) that fit the path of the request."""
    path = request.path
    if "/messages" in path:
        return MESSAGE, message_events()
    if ":embedContent" in path or ":batchEmbedContents" in path:
        return dump({"embedding": {"values": [0.5]}}), []
    if ":" in path.rpartition("/")[2]:
        return GENERATED, generate_events()
    if path.endswith("/embeddings"):
        return EMBEDDINGS, []
    if path.endswith("/responses"):
        return RESPONSE, response_events()
    return CHAT, chat_events(request)


def usual(peer, request):
    """Answers as the dialect of the path wants, streamed when the request asks for a stream."""
    body, events = body_for(request)
    asked = b'"stream":true' in request.body.replace(b" ", b"")
    if asked or ":streamGenerateContent" in request.path:
        peer.send(stream(events))
    else:
        peer.send(whole(body))
