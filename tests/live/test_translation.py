"""What a translated call does beyond what the lab's honest providers ask of it."""

import base64
import json

import pytest

import answers
from accord import KEY, config_for
from wire import Closed, request
from answers import COMPLETION_TEXT, CHAT_EVENTS, CHAT_USAGE, DONE, message_events, sse, whole

MESSAGES = {"model": "m", "max_tokens": 99, "messages": [{"role": "user", "content": "hi"}]}
CHAT = {"model": "claude-m", "messages": [{"role": "user", "content": "hi"}]}
NAME = "files.read/one"
TOOL = {"name": NAME, "input_schema": {"type": "object", "properties": {"a": {"type": "string"}}}}


def call(accord, target, body, **options):
    return accord.call("POST", target, json.dumps(body).encode(), **options)


def says(upstream, text):
    upstream.answer = lambda peer, request: peer.send(text)


def stream(events):
    return whole(b"".join(events), content_type="text/event-stream")


def test_function_whose_name_the_vendor_does_not_take_comes_back_by_its_name(accord, upstream):
    def answer(peer, request):
        name = json.loads(request.body)["tools"][0]["function"]["name"]
        assert name != NAME and set(name) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"
                                                 "0123456789_-")
        calls = [{"id": "c", "type": "function", "function": {"name": name, "arguments": "{}"}}]
        peer.send(whole(answers.dump({"choices": [{"index": 0, "finish_reason": "tool_calls", "message": {
            "role": "assistant", "content": None, "tool_calls": calls}}]})))
    upstream.answer = answer
    response = call(accord, "/v1/messages", {**MESSAGES, "tools": [TOOL]})
    assert response.status == 200, response
    assert response.json()["content"][0]["name"] == NAME


@pytest.mark.parametrize("piece", [1, 50, 10000])
def test_events_in_answer_to_a_whole_question_are_folded(accord, upstream, piece):
    body = b"".join([*CHAT_EVENTS, CHAT_USAGE, DONE])
    upstream.answer = lambda peer, request: (
        peer.send(answers.head(headers=[("Content-Type", "text/event-stream"),
                                        ("Content-Length", len(body))])), peer.send_pieces(body, piece))
    answer = call(accord, "/v1/messages", MESSAGES)
    assert answer.header("content-type") == "application/json"
    assert answer.json()["content"] == [{"type": "text", "text": COMPLETION_TEXT}]
    assert answer.json()["usage"]["output_tokens"] == 3


def test_whole_answer_to_a_question_for_a_stream_is_told_as_one(accord, upstream):
    says(upstream, whole(answers.MESSAGE))
    answer = call(accord, "/v1/chat/completions", {**CHAT, "stream": True})
    chunks = [json.loads(data) for _, data in answer.events()[:-1]]
    assert "".join(c["choices"][0]["delta"].get("content", "") for c in chunks) == COMPLETION_TEXT
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert answer.events()[-1][1] == "[DONE]"


def test_error_ahead_of_all_content_keeps_its_status(accord, upstream):
    says(upstream, stream([sse({"type": "error", "error": {
        "type": "overloaded_error", "message": "Overloaded"}}, "error")]))
    answer = call(accord, "/v1/chat/completions", {**CHAT, "stream": True})
    assert answer.status in (503, 529) and answer.json()["error"]["message"] == "Overloaded"
    assert len(upstream.requests) == 3 and answer.header("x-should-retry") == "false"


@pytest.mark.parametrize("body", [b"not JSON", b"[]", b"{\"a\":", b""])
def test_answer_that_is_none_is_a_502(accord, upstream, body):
    says(upstream, whole(body))
    answer = call(accord, "/v1/messages", MESSAGES)
    assert answer.status == 502 and answer.json()["error"]["type"] == "api_error"
    assert accord.call("GET", "/v1/models").status == 200  # and the server is still there


def test_parts_of_an_answer_that_are_lost_are_told(accord, upstream):
    says(upstream, whole(answers.dump({"candidates": [{"index": 0, "finishReason": "STOP", "content": {
        "role": "model", "parts": [{"text": "Here."}, {"inlineData": {
            "mimeType": "image/png", "data": "iVBORw0K"}}]}}]})))
    answer = call(accord, "/v1/messages", {**MESSAGES, "model": "gemini-m"})
    assert answer.json()["content"] == [{"type": "text", "text": "Here."}]
    assert answer.header("accord-dropped") == "answer"


def test_answer_with_more_calls_than_are_carried_is_no_answer(accord, upstream):
    calls = [{"index": i, "id": f"c{i}", "function": {"name": "f", "arguments": "{}"}} for i in range(200)]
    says(upstream, stream([answers.chat_chunk({"tool_calls": calls}), answers.chat_chunk({}, "tool_calls"),
                           DONE]))
    answer = call(accord, "/v1/messages", MESSAGES)
    assert answer.status == 502 and "128" in answer.json()["error"]["message"]


def test_target_that_is_away_is_followed_by_one_of_another_dialect(start, upstream):
    config = config_for(upstream.url)
    config["providers"].append({"id": "away", "dialect": "openai", "base_url": "http://127.0.0.1:1/v1",
                                "allow_private_address": True})
    config["models"].append({"id": "both", "targets": [
        {"provider": "away", "model": "x"}, {"provider": "ant", "model": "upstream-c", "priority": 2}]})
    says(upstream, whole(answers.MESSAGE))
    answer = call(start(config), "/v1/chat/completions", {**CHAT, "model": "both"})
    assert answer.json()["choices"][0]["message"]["content"] == COMPLETION_TEXT
    assert answer.header("accord-provider") == "ant"
    assert json.loads(upstream.last.body)["model"] == "upstream-c"


@pytest.mark.parametrize("piece", [1, 7])
def test_stream_that_comes_in_pieces_says_the_same(accord, upstream, piece):
    body = b"".join(message_events())
    upstream.answer = lambda peer, request: (
        peer.send(answers.head(headers=[("Content-Type", "text/event-stream"),
                                        ("Content-Length", len(body))])), peer.send_pieces(body, piece))
    answer = call(accord, "/v1/chat/completions", {**CHAT, "stream": True})
    text = "".join(json.loads(data)["choices"][0]["delta"].get("content", "")
                   for _, data in answer.events()[:-1])
    assert text == COMPLETION_TEXT


def finish_ends(events, mark):
    """Where the data of the event that says why the model stopped is whole."""
    body = b"".join(events)
    at = body.index(mark)
    return body.index(b"\n\n", at)


@pytest.mark.parametrize("target,body,events,mark,last", [
    ("/v1/chat/completions", CHAT, message_events(), b'"end_turn"', b"[DONE]"),
    ("/v1/messages", MESSAGES, [*CHAT_EVENTS, DONE], b'"finish_reason":"stop"', b"message_stop"),
    ("/v1/messages", {**MESSAGES, "model": "gemini-m"}, answers.generate_events(), b'"finishReason"',
     b"message_stop")], ids=["messages", "chat", "generate"])
def test_stream_cut_at_any_byte_never_ends_as_if_it_were_whole(accord, upstream, target, body, events,
                                                               mark, last):
    """Cut where HTTP itself does not notice: the length is that of what comes."""
    whole_stream, enough = b"".join(events), finish_ends(events, mark)
    fields = [("authorization", f"Bearer {KEY}"), ("connection", "close")]
    asked = request("POST", target, fields, json.dumps({**body, "stream": True}).encode())
    for cut in range(1, len(whole_stream)):
        says(upstream, whole(whole_stream[:cut], content_type="text/event-stream"))
        with accord.connect() as connection:
            connection.send(asked)
            answer = connection.read_to_end()
        assert (last in answer) == (cut >= enough), (cut, answer[-300:])


def test_what_is_wrong_with_a_request_is_told_in_the_callers_dialect(accord, upstream):
    answer = call(accord, "/v1/messages", {**MESSAGES, "messages": [{"role": "user", "content": 7}]})
    assert answer.status == 400
    assert "messages[0].content must be a string or an array of blocks" in \
        answer.json()["error"]["message"]
    assert upstream.seen == b"" and KEY not in answer.body.decode()


# ---- marked signatures ----

def marked(signature, issuer="B"):
    """A signature of another vendor (B: Anthropic) as it was given to a caller of another dialect."""
    return "YWNjb3Jkc2lnAAA" + issuer + base64.b64encode(signature.encode()).decode()


@pytest.mark.parametrize("stream", [False, True])
def test_marked_request_to_responses_goes_on_from_what_the_upstream_keeps(accord, upstream, stream):
    body = {"model": "m", "previous_response_id": "resp_theirs", "conversation": None, "truncation": "auto",
            "stream": stream, "input": [
                {"type": "reasoning", "summary": [], "encrypted_content": marked("sig")},
                {"role": "user", "content": "go on"}]}
    answer = call(accord, "/v1/responses", body)
    assert answer.status == 200, answer
    sent = json.loads(upstream.last.body)
    assert upstream.last.path == "/v1/responses"
    assert sent["previous_response_id"] == "resp_theirs" and sent["truncation"] == "auto"
    assert "store" not in sent  # it is the upstream's habit that counts
    assert b"YWNjb3Jkc2ln" not in upstream.last.body and "c2ln" not in json.dumps(sent["input"])
    told = ([json.loads(data) for _, data in answer.events()][-1]["response"] if stream else answer.json())
    assert told["id"] == "resp_1"  # the name by which the upstream knows it
    assert told["previous_response_id"] == "resp_theirs"


def test_marked_request_to_responses_that_says_how_to_keep_is_kept_so(accord, upstream):
    body = {"model": "m", "store": False, "conversation": "conv_1", "input": [
        {"type": "reasoning", "summary": [], "encrypted_content": marked("sig")},
        {"role": "user", "content": "go on"}]}
    assert call(accord, "/v1/responses", body).status == 200
    sent = json.loads(upstream.last.body)
    assert sent["store"] is False and sent["conversation"] == "conv_1"


# ---- what an upstream leaves and goes on with ----

def arguments(index, text, **more):
    return answers.chat_chunk({"tool_calls": [{"index": index, "function": {"arguments": text, **more}}]})


def block(kind, index, **more):
    return sse({"type": f"content_block_{kind}", "index": index, **more}, f"content_block_{kind}")


def started(index):
    return block("start", index, content_block={"type": "tool_use", "id": f"t{index}", "name": "f", "input": {}})


def piece(index, text):
    return block("delta", index, delta={"type": "input_json_delta", "partial_json": text})


@pytest.mark.parametrize("target,body,events", [
    ("/v1/messages", MESSAGES, [arguments(0, '{"a":', name="f"), answers.chat_chunk({"content": "wait"}),
                                arguments(0, "1}"), answers.chat_chunk({}, "tool_calls"), DONE]),
    ("/v1/chat/completions", CHAT, [message_events()[0], started(0), started(1), piece(0, '{"a":1}'),
                                    piece(1, '{"b":2}'), *message_events()[-2:]]),
    ("/v1/chat/completions", CHAT, [message_events()[0], started(0), piece(0, '{"a":'), block(
        "delta", 1, delta={"type": "text_delta", "text": "wait"}), piece(0, "1}"), *message_events()[-2:]]),
], ids=["a text between", "two calls at once", "a text of another block"])
def test_arguments_of_a_call_that_was_left_are_no_ones(accord, upstream, target, body, events):
    says(upstream, stream(events))
    with accord.open_stream(target, {**body, "stream": True}) as connection:
        head = connection.read_head()
        with pytest.raises(Closed):
            connection.read_until(b"never")
        assert b" 200 " in head.start.encode() and b"error" in connection.data
        assert b"[DONE]" not in connection.data and b"message_stop" not in connection.data
    assert call(accord, target, body).status == 502


def test_text_whose_start_was_left_out_is_told(accord, upstream):
    events = message_events()
    says(upstream, stream([events[0], *events[2:]]))
    assert call(accord, "/v1/chat/completions", CHAT).json()["choices"][0]["message"]["content"] == COMPLETION_TEXT


# ---- what a request must not become ----

EVIL = 'AAAA","evil":"x'


@pytest.mark.parametrize("model", ["m", "claude-m", "ollama-m", "cohere-m", "bedrock-m", "gemini-m"])
@pytest.mark.parametrize("part", [
    {"inlineData": {"mimeType": "image/png", "data": EVIL}},
    {"inlineData": {"mimeType": "image/png" + EVIL, "data": "AAAA"}},
    {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": EVIL},
    {"text": "x", "thought": True, "thoughtSignature": EVIL}], ids=["data", "type", "call", "thought"])
def test_no_text_of_a_request_becomes_a_member_of_it(accord, upstream, model, part):
    role = "user" if "inlineData" in part else "model"
    # The mark makes a request to Gemini itself one that is written anew.
    marked = {"text": "y", "thought": True, "thoughtSignature": "YWNjb3Jkc2lnAAABc2ln"}
    call(accord, f"/v1beta/models/{model}:generateContent", {"contents": [
        {"role": "user", "parts": [{"text": "hi"}]}, {"role": "model", "parts": [marked]},
        {"role": role, "parts": [part]}, {"role": "user", "parts": [{"text": "go on"}]}]})

    def look(value):
        if isinstance(value, dict):
            assert "evil" not in value
            value = list(value.values())
        for one in value if isinstance(value, list) else []:
            look(one)

    for sent in upstream.requests:
        look(json.loads(sent.body))


@pytest.mark.parametrize("provider", ["gem", "bed"])
@pytest.mark.parametrize("name", ["..", "../../admin", "a/../b", "./a", "a//b", "a\x00b", "a\\b"])
def test_no_name_of_a_model_leads_out_of_its_place_in_a_path(accord, upstream, provider, name):
    for target in ["/v1/chat/completions", "/v1/embeddings", "/v1/messages/count_tokens"]:
        answer = call(accord, target, {"model": f"{provider}/{name}", "messages": CHAT["messages"], "input": "x"})
        assert answer.status == 400 and not upstream.requests
    assert call(accord, "/v1/chat/completions", {**CHAT, "model": f"up/{name}"}).status == 200  # in a body it may
