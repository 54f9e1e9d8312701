"""Tokens of answers that pass as they are: counted in passing, whatever the pieces, without touching a byte."""

import binascii
import struct

import pytest

import answers

CHAT = {"model": "ollama-m", "messages": [{"role": "user", "content": "hi"}]}
CONVERSE = {"messages": [{"role": "user", "content": [{"text": "hi"}]}]}
STREAM_TYPE = "application/vnd.amazon.eventstream"


def frame(event, data, kind="event"):
    headers = b"".join(bytes([len(name)]) + name.encode() + b"\x07" + struct.pack(">H", len(value)) + value.encode()
                       for name, value in ((f":{kind}-type", event), (":content-type", "application/json"),
                                           (":message-type", kind)))
    payload = answers.dump(data)
    front = struct.pack(">II", 16 + len(headers) + len(payload), len(headers))
    front += struct.pack(">I", binascii.crc32(front)) + headers + payload
    return front + struct.pack(">I", binascii.crc32(front))


METADATA = frame("metadata", {"usage": {"inputTokens": 5, "outputTokens": 3, "totalTokens": 10,
                                        "cacheReadInputTokens": 2}, "metrics": {"latencyMs": 1}})


def converse_stream(text="Bonjour"):
    return [frame("messageStart", {"role": "assistant"}),
            frame("contentBlockDelta", {"delta": {"text": text}, "contentBlockIndex": 0}),
            frame("contentBlockStop", {"contentBlockIndex": 0}),
            frame("messageStop", {"stopReason": "end_turn"}), METADATA]


def says(upstream, body, content_type, cuts):
    """In an answer whose pieces the gateway reads one by one."""
    upstream.answer = lambda peer, request: (
        peer.send(answers.head(headers=[("Content-Type", content_type), ("Content-Length", len(body))])),
        peer.send_at(body, cuts))


def logged(accord, calls=1):
    accord.wait_access_log(calls)
    line = accord.access_log()[calls - 1]
    return line.get("input_tokens"), line.get("output_tokens")


def converse(accord):
    return accord.post("/model/bedrock-m/converse-stream", CONVERSE)


@pytest.mark.parametrize("cut", ["whole", "every byte of the last", "between"])
def test_tokens_of_bedrock_stream_that_passes(accord, upstream, cut):
    events = converse_stream()
    body = b"".join(events)
    last = len(body) - len(METADATA)
    says(upstream, body, STREAM_TYPE, {"whole": [], "every byte of the last": range(last - 3, len(body)),
                                       "between": [1, 11, 12, 13, last]}[cut])
    answer = converse(accord)
    assert answer.body == body and answer.header("content-type") == STREAM_TYPE
    assert logged(accord) == (7, 3)


def test_tokens_behind_long_frames_of_bedrock(accord, upstream):
    """Longer than what is kept of one, whole in a read and over many."""
    body = b"".join(converse_stream("x" * 300000)[:2] + converse_stream("y" * 9000)[1:])
    says(upstream, body, STREAM_TYPE, [200, 100000, 100001, len(body) - len(METADATA) + 5])
    assert converse(accord).body == body
    assert logged(accord) == (7, 3)


@pytest.mark.parametrize("bad", [b"\x00" * 40, b"not a frame at all, but sixteen bytes and more",
                                 METADATA[:-1] + b"\x00", METADATA[:8] + b"\x00" + METADATA[9:]])
def test_what_is_no_frame_passes_and_counts_nothing(accord, upstream, bad):
    body = b"".join(converse_stream()[:-1]) + bad
    says(upstream, body, STREAM_TYPE, [7])
    assert converse(accord).body == body
    assert logged(accord) == (None, None)


def test_event_that_only_talks_of_tokens_is_none(accord, upstream):
    body = b"".join([*converse_stream()[:-1], frame("metadata", {"usage": {"inputTokens": 99}}, "exception")])
    says(upstream, body, STREAM_TYPE, [])
    assert converse(accord).body == body
    assert logged(accord) == (None, None)


OLLAMA = {"model": "upstream-o", "created_at": "2026-01-01T00:00:00Z", "message": {
    "role": "assistant", "content": 'He said "eval_count":99 {', "eval_count": 98}, "done": True,
    "done_reason": "stop", "total_duration": 5, "prompt_eval_count": 7, "eval_count": 3, "eval_duration": 1}


@pytest.mark.parametrize("cuts", [[], [1], [150, 250], "all"])
def test_tokens_of_whole_ollama_answer_in_pieces(accord, upstream, cuts):
    body = answers.dump(OLLAMA)
    says(upstream, body, "application/json; charset=utf-8", range(1, len(body)) if cuts == "all" else cuts)
    answer = accord.post("/api/chat", {**CHAT, "stream": False})
    assert answer.body == body
    assert logged(accord) == (7, 3)


def test_tokens_of_large_ollama_answer(accord, upstream):
    body = answers.dump({**OLLAMA, "message": {"role": "assistant", "content": "\\\"{[" * 200000}})
    says(upstream, body, "application/json", [70000, 300000])
    assert accord.post("/api/chat", {**CHAT, "stream": False}).body == body
    assert logged(accord) == (7, 3)


@pytest.mark.parametrize("ended", [True, False])
def test_tokens_of_ollama_stream_whose_last_line_is_long(accord, upstream, ended):
    """And a long line ahead of it is one, too."""
    first = answers.dump({"model": "o", "message": {"role": "assistant", "content": "z" * 100000},
                          "done": False}) + b"\n"
    last = answers.dump({**OLLAMA, "message": {"role": "assistant", "content": "y" * 200000}}) + b"\n" * ended
    body = first + b'{"model":"o","message":{"content":"y"},"done":false}\n' + last
    says(upstream, body, "application/x-ndjson", [50000, len(first) + 5, len(first) + 90000])
    assert accord.post("/api/chat", CHAT).body == body
    assert logged(accord) == (7, 3)
