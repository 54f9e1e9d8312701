"""Same dialect in and out: bytes are passed on, only the model name and stream_options change."""

import json

import pytest

import answers
from accord import KEY, PROVIDER_SECRET, config_for
from wire import chunked, request

CHAT = "/v1/chat/completions"
# Numbers in every spelling, unknown fields, odd order, escapes, blanks, a deep "model": all stay.
ODD = ('{ "zeta" : 0.70000000000000001, "n":1E+2,"big":123456789012345678901234567890,\t"z":-0.0,'
       '\n"messages":[{"role":"user","content":"\\u00e9\\/ \u00e9 \U0001f600 \\ud83d\\ude00",'
       '"model":"m"}], "model" :\r\n "m" , "x":{"model":"m","stream_options":{}},"empty":{},'
       '"list":[ ] , "null":null } ').encode()


def spliced(body, name=b"upstream-m"):
    """The body with the top-level model name replaced, and nothing else."""
    head, found, tail = body.partition(b'"model" :\r\n "m"')
    assert found
    return head + b'"model" :\r\n "' + name + b'"' + tail


def test_only_the_model_name_changes(accord, upstream):
    response = accord.post(CHAT, ODD)
    assert (response.status, response.body) == (200, answers.CHAT)
    assert upstream.last.body == spliced(ODD)


def test_alias_reaches_the_same_model(accord, upstream):
    accord.post(CHAT, ODD.replace(b' "m" ,', b' "m-alias" ,'))
    assert upstream.last.body == spliced(ODD)


def test_chunked_body_is_passed_on_whole(accord, upstream):
    with accord.connect() as connection:
        connection.send(request("GET", CHAT, [("x-api-key", KEY), ("Transfer-Encoding", "chunked")])
                        .replace(b"GET", b"POST", 1)
                        + chunked([ODD[i:i + 3] for i in range(0, len(ODD), 3)]))
        assert connection.read_response().status == 200
    assert upstream.last.body == spliced(ODD)


def test_answer_body_is_byte_exact(accord, upstream):
    body = b' {"usage" : {"prompt_tokens":7,"completion_tokens":3}, "n":0.70000000000000001e0 }\n'
    upstream.answer = lambda peer, request: peer.send(answers.whole(body))
    assert accord.post(CHAT, {"model": "m", "messages": []}).body == body


def test_stream_is_byte_exact(accord, upstream):
    response = accord.post(CHAT, {"model": "m", "messages": [], "stream": True,
                                  "stream_options": {"include_usage": True}})
    assert response.body == b"".join([*answers.CHAT_EVENTS, answers.CHAT_USAGE, answers.DONE])


def test_messages_stream_is_byte_exact(accord):
    response = accord.post("/v1/messages", {"model": "claude-m", "max_tokens": 9, "messages": [],
                                            "stream": True})
    assert response.body == b"".join(answers.message_events())


def test_responses_stream_is_byte_exact(accord):
    response = accord.post("/v1/responses", {"model": "m", "input": "x", "stream": True})
    assert response.body == b"".join(answers.response_events())


def provider(start, upstream, dialect):
    made = {"id": "p", "dialect": dialect, "base_url": upstream.url, "credential": PROVIDER_SECRET,
            "allow_private_address": True}
    return start(config_for(upstream.url, providers=[made],
                            models=[{"id": "m", "targets": [{"provider": "p", "model": "m"}]}]))


LINES = [b'{"model":"m","message":{"role":"assistant","content":"a\\"done\\":true"},"done":false}\n',
         b"\n", b'{"model":"m","message":{"role":"assistant","content":"b"},"done":false}\n']
LAST_LINE = b'{"model":"m","done":true,"done_reason":"stop","prompt_eval_count":7,"eval_count":3}\n'


def lines(pieces):
    return answers.STREAM_HEAD.replace(b"text/event-stream", b"application/x-ndjson") + b"".join(
        answers.chunk(piece) for piece in pieces) + b"0\r\n\r\n"


@pytest.mark.parametrize("size", [1, 7, 4096])
def test_ollama_stream_is_byte_exact(start, upstream, size):
    server, text = provider(start, upstream, "ollama"), b"".join([*LINES, LAST_LINE])
    pieces = [text[i:i + size] for i in range(0, len(text), size)]
    upstream.answer = lambda peer, request: peer.send(lines(pieces))
    assert server.post("/api/chat", {"model": "m", "messages": []}).body == text
    server.wait_access_log(1)
    line = server.access_log()[0]
    assert (line["outcome"], line["input_tokens"], line["output_tokens"]) == ("ok", 7, 3)


def test_ollama_stream_that_breaks_off_ends_with_an_error(start, upstream):
    server = provider(start, upstream, "ollama")
    upstream.answer = lambda peer, request: peer.send(lines(LINES))
    with server.open_stream("/api/chat", {"model": "m", "messages": []}) as stream:
        text = stream.read_to_end()
    assert b'{"error":"The answer of the provider' in text and LINES[2] in text


COHERE = [b'event: message-start\ndata: {"type":"message-start","id":"c"}\n\n',
          b'event: message-end\ndata: {"type":"message-end","delta":{"finish_reason":"COMPLETE"']
TOKENS = b',"usage":{"tokens":{"input_tokens":7,"output_tokens":3}}'


@pytest.mark.parametrize("usage", [b"", TOKENS])
def test_cohere_stream_is_byte_exact(start, upstream, usage):
    events = [COHERE[0], COHERE[1] + usage + b"}}\n\n"]
    server = provider(start, upstream, "cohere")
    upstream.answer = lambda peer, request: peer.send(answers.stream(events))
    response = server.post("/v2/chat", {"model": "m", "messages": [], "stream": True})
    assert response.body == b"".join(events)
    server.wait_access_log(1)
    assert server.access_log()[0].get("input_tokens") == (7 if usage else None)


@pytest.mark.parametrize("version", ["v1", "v1beta"])
def test_generate_stream_is_byte_exact(accord, upstream, version):
    response = accord.post(f"/{version}/models/gemini-m:streamGenerateContent?alt=sse",
                           {"contents": []})
    assert response.body == b"".join(answers.generate_events())
    assert upstream.last.target.endswith("/models/upstream-g:streamGenerateContent?alt=sse")


OPENAI_BODY = {"model": "m", "messages": [], "input": "x"}
MESSAGES_BODY = {"model": "claude-m", "max_tokens": 9, "messages": []}
# path of the caller: (body, path at the upstream)
PATHS = {
    "/v1/chat/completions": (OPENAI_BODY, "/v1/chat/completions"),
    "/chat/completions": (OPENAI_BODY, "/v1/chat/completions"),
    "/v1/v1/chat/completions": (OPENAI_BODY, "/v1/chat/completions"),
    "/openai/v1/chat/completions": (OPENAI_BODY, "/v1/chat/completions"),
    "/openai/chat/completions": (OPENAI_BODY, "/v1/chat/completions"),
    "/openai/deployments/m/chat/completions?api-version=2024-10-21":
        ({"messages": []}, "/v1/chat/completions"),
    "/v1/completions": ({"model": "m", "prompt": "x"}, "/v1/completions"),
    "/v1/embeddings": (OPENAI_BODY, "/v1/embeddings"),
    "/embeddings": (OPENAI_BODY, "/v1/embeddings"),
    "/v1/responses": (OPENAI_BODY, "/v1/responses"),
    "/responses": (OPENAI_BODY, "/v1/responses"),
    "/v1/moderations": (OPENAI_BODY, "/v1/moderations"),
    "/v1/images/generations": ({"model": "m", "prompt": "x"}, "/v1/images/generations"),
    "/v1/audio/speech": ({"model": "m", "input": "x", "voice": "y"}, "/v1/audio/speech"),
    "/v1/messages": (MESSAGES_BODY, "/v1/messages"),
    "/v1/messages?beta=true": (MESSAGES_BODY, "/v1/messages"),
    "/messages": (MESSAGES_BODY, "/v1/messages"),
    "/v1/v1/messages": (MESSAGES_BODY, "/v1/messages"),
    "/anthropic/v1/messages": (MESSAGES_BODY, "/v1/messages"),
    "/v1/messages/count_tokens": (MESSAGES_BODY, "/v1/messages/count_tokens"),
    "/v1beta/models/gemini-m:generateContent":
        ({"contents": []}, "/v1beta/models/upstream-g:generateContent"),
    "/v1/models/gemini-m:generateContent":
        ({"contents": []}, "/v1/models/upstream-g:generateContent"),
    "/gemini/v1beta/models/gemini-m:generateContent":
        ({"contents": []}, "/v1beta/models/upstream-g:generateContent"),
    "/v1beta/models/gemini-m:countTokens":
        ({"contents": []}, "/v1beta/models/upstream-g:countTokens"),
    "/v1beta/models/gemini-m:embedContent":
        ({"content": {}}, "/v1beta/models/upstream-g:embedContent"),
    "/v1beta/models/gemini-m:batchEmbedContents":
        ({"requests": []}, "/v1beta/models/upstream-g:batchEmbedContents"),
}


@pytest.mark.parametrize("path", PATHS)
def test_path_and_its_aliases_reach_the_upstream(accord, upstream, path):
    body, expected = PATHS[path]
    response = accord.post(path, body)
    assert response.status == 200, response
    assert upstream.last.path == expected


def test_query_of_messages_is_passed_on(accord, upstream):
    accord.post("/v1/messages?beta=true", MESSAGES_BODY)
    assert upstream.last.target == "/v1/messages?beta=true"


AUDIO = bytes(range(256)) * 1024
MODEL_PART = b'Content-Disposition: form-data; name="model"\r\n\r\n%s'
FILE_PART = (b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n'
             b"Content-Type: audio/wav\r\n\r\n%s")


def send_form(accord, *parts):
    body = b"".join(b"--xYzZY\r\n" + part + b"\r\n" for part in parts) + b"--xYzZY--\r\n"
    with accord.connect() as connection:
        connection.send(request("POST", "/v1/audio/transcriptions", [
            ("x-api-key", KEY), ("Content-Type", "multipart/form-data; boundary=xYzZY")], body))
        return connection.read_response(), body


@pytest.mark.parametrize("order", ["model first", "file first"])
def test_multipart_audio_streams_through_with_the_model_replaced(accord, upstream, order):
    parts = [MODEL_PART % b"m", FILE_PART % AUDIO]
    response, body = send_form(accord, *(parts if order == "model first" else reversed(parts)))
    assert response.status == 200, response
    assert upstream.last.path == "/v1/audio/transcriptions"
    assert upstream.last.header("content-type") == "multipart/form-data; boundary=xYzZY"
    assert upstream.last.body == body.replace(b"\r\n\r\nm\r\n", b"\r\n\r\nupstream-m\r\n")


# What looks like the part "model" but is the content or the name of another part.
DECOYS = {
    "in a file": FILE_PART % (b'\r\n' + MODEL_PART % b"m" + b"\r\n--no"),
    "in another field": b'Content-Disposition: form-data; name="prompt"\r\n\r\n'
                        + MODEL_PART % b"m" + b"\r\n--no",
    "in another header": b'Content-Disposition: form-data; name="file"\r\n'
                         b'X-Note: name="model"\r\n\r\nm\r\n--no',
}


@pytest.mark.parametrize("name", DECOYS)
def test_multipart_model_is_the_one_that_the_upstream_reads(accord, upstream, name):
    """Otherwise a key could reach a model that it is not for."""
    response, body = send_form(accord, DECOYS[name], MODEL_PART % b"no-such-model")
    assert response.status == 404, response
    assert upstream.requests == []


def test_multipart_with_two_models_is_refused(accord, upstream):
    response, _ = send_form(accord, MODEL_PART % b"m", MODEL_PART % b"claude-m", FILE_PART % b"x")
    assert response.status == 400, response
    assert upstream.requests == []


def test_multipart_without_a_model_is_refused(accord, upstream):
    response, _ = send_form(accord, FILE_PART % b"x")
    assert response.status == 400
    assert upstream.seen == b""


# Doubled or escaped spellings of members that we act on could be read differently upstream.
AMBIGUOUS = {
    "model twice": b'{"model":"m","messages":[],"model":"m"}',
    "model escaped": b'{"\\u006dodel":"m","messages":[]}',
    "model and model escaped": b'{"model":"m","mod\\u0065l":"other","messages":[]}',
    "stream twice": b'{"model":"m","stream":false,"messages":[],"stream":true}',
    "stream escaped": b'{"model":"m","\\u0073tream":true,"messages":[]}',
    "stream_options twice": b'{"model":"m","stream":true,"stream_options":{},"stream_options":{}}',
    "stream_options escaped": b'{"model":"m","stream":true,"stream\\u005foptions":{}}',
    "include_usage twice": b'{"model":"m","stream":true,"stream_options":'
                           b'{"include_usage":true,"include_usage":false}}',
    "two values": b'{"model":"m"}{"model":"other"}',
    "not an object": b'["model","m"]',
    "not JSON": b'{"model":"m",}',
    "a byte order mark": b'\xef\xbb\xbf{"model":"m","messages":[]}',
    "model is no string": b'{"model":5,"messages":[]}',
    "no model": b'{"messages":[]}',
    "an empty body": b"",
}


@pytest.mark.parametrize("name", AMBIGUOUS)
def test_ambiguous_body_is_refused(accord, upstream, name):
    response = accord.post(CHAT, AMBIGUOUS[name])
    assert response.status == 400, response
    assert response.json()["error"]["message"]
    assert upstream.seen == b""


def test_escaped_model_name_means_the_same_model(accord, upstream):
    response = accord.post(CHAT, b'{"model":"\\u006d","messages":[]}')
    assert response.status == 200, response
    assert json.loads(upstream.last.body)["model"] == "upstream-m"


# Usage: always asked for upstream, shown only to those who asked.
def stream_body(**more):
    return {"model": "m", "messages": [], "stream": True, **more}


def test_usage_is_asked_for_and_stripped(accord, upstream):
    response = accord.post(CHAT, stream_body())
    assert json.loads(upstream.last.body)["stream_options"] == {"include_usage": True}
    assert response.body == b"".join([*answers.CHAT_EVENTS, answers.DONE])
    line = accord.wait_access_log(1)[-1]
    assert 7 in line.values() and 3 in line.values(), line


@pytest.mark.parametrize("options", ['{}', '{"include_usage":false}', 'null',
                                     '{"include_obfuscation":false}'])
def test_usage_is_asked_for_beside_other_options(accord, upstream, options):
    body = b'{"model":"m","messages":[],"stream":true,"stream_options":%s}' % options.encode()
    response = accord.post(CHAT, body)
    sent = json.loads(upstream.last.body)["stream_options"]
    assert sent == {**(json.loads(options) or {}), "include_usage": True}
    assert answers.CHAT_USAGE not in response.body
    assert response.body.endswith(answers.DONE)


def test_usage_on_every_chunk_reaches_who_did_not_ask_without_it_as_own_event(accord, upstream):
    """Some vendors put usage on content chunks: those carry content and must not be dropped."""
    event = answers.chat_chunk({"content": "x"}, usage={"prompt_tokens": 7, "completion_tokens": 1})
    upstream.answer = lambda peer, request: peer.send(answers.stream([event, answers.DONE]))
    events = accord.post(CHAT, stream_body()).events()
    assert json.loads(events[0][1])["choices"][0]["delta"] == {"content": "x"}


def test_answer_without_usage_is_passed_on(accord, upstream):
    body = b'{"id":"x","choices":[]}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(body))
    assert accord.post(CHAT, OPENAI_BODY).body == body


@pytest.mark.parametrize("target,body,tokens", [
    (CHAT, OPENAI_BODY, (7, 3)), (CHAT, stream_body(), (7, 3)),
    ("/v1/responses", {"model": "m", "input": "x", "stream": True}, (7, 3)),
    ("/v1/messages", MESSAGES_BODY, (7, 3)),
    ("/v1/messages", {**MESSAGES_BODY, "stream": True}, (7, 3)),
    ("/v1beta/models/gemini-m:generateContent", {"contents": []}, (7, 3)),
    ("/v1beta/models/gemini-m:streamGenerateContent?alt=sse", {"contents": []}, (7, 3)),
    ("/v1/embeddings", OPENAI_BODY, (4, 0)),
])
def test_tokens_are_metered(accord, target, body, tokens):
    assert accord.post(target, body).status == 200
    accord.wait_access_log(1)
    samples = accord.metrics()
    counted = {kind: sum(value for name, value in samples.items()
                         if name.startswith("accord_tokens_total{") and f'type="{kind}"' in name)
               for kind in ("input", "output")}
    assert (counted["input"], counted["output"]) == tokens


def test_upstream_error_passes_with_status_and_body(accord, upstream):
    body = b'{"error":{"message":"slow down","type":"rate_limit","code":null,"x":1.10}}'
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        body, 429, headers=[("Retry-After", "7"), ("x-ratelimit-remaining-requests", "0")]))
    response = accord.post(CHAT, OPENAI_BODY)
    assert (response.status, response.body) == (429, body)
    assert response.header("retry-after") == "7"


def test_compressed_answer_is_passed_on_untouched(accord, upstream):
    body = b"\x1f\x8b\x08\x00rest of something compressed \x00\xff"
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        body, headers=[("Content-Encoding", "gzip")]))
    with accord.connect() as connection:
        connection.send(request("POST", "/v1/audio/speech", [
            ("x-api-key", KEY), ("Accept-Encoding", "gzip")],
            b'{"model":"m","input":"x","voice":"y"}'))
        response = connection.read_response()
    assert (response.body, response.header("content-encoding")) == (body, "gzip")


def test_upstream_gets_the_credential_of_its_dialect(accord, upstream):
    accord.post(CHAT, OPENAI_BODY)
    assert upstream.last.header("authorization") == f"Bearer {PROVIDER_SECRET}"
    accord.post("/v1/messages", MESSAGES_BODY)
    assert upstream.last.header("x-api-key") == PROVIDER_SECRET
    assert upstream.last.header("anthropic-version")
    accord.post("/v1beta/models/gemini-m:generateContent", {"contents": []})
    assert upstream.last.header("x-goog-api-key") == PROVIDER_SECRET
