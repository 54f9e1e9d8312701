"""Masking: what is found never leaves, comes back where it may, and is written nowhere. All pairs of dialects are in
lab/test_masked.py."""

import json
import signal

import pytest

import answers
from accord import KEY, config_for, run
from answers import chat_chunk, dump, sse, whole
from platform_api import Api, is_problem, start_platform
from wire import request, wait_for

CHAT, RESPONSES = "/v1/chat/completions", "/v1/responses"
MAIL, CARD, IBAN = "joe.canary@example.com", "4111 1111 1111 1111", "DE89 3704 0044 0532 0130 00"
CANARIES = [b"joe.canary", b"4111 1111", b"3704 0044"]
SLOW = {"name": "slow", "regex": "(?:a|a|a)+b|c"}  # takes too many steps on:
ENDLESS = "a" * 44 + " c"


def policy(name="pii", scope=None, **masking):
    return {"id": name, "applies_to": scope or {"org": True}, "masking": masking}


@pytest.fixture
def serve(start, upstream):
    def starter(*policies, **more):
        return start(config_for(upstream.url, policies=list(policies), **more))
    return starter


def ask(accord, text, model="m", **more):
    return accord.post(CHAT, {"model": model, "messages": [{"role": "user", "content": text}], **more})


def echo(peer, request):
    """A model that says what it was told; what it has no text for it does not say."""
    body = json.loads(request.body)
    said = [m["content"] for m in body.get("messages", [])] or [json.dumps(body)]
    peer.send(whole(dump({**json.loads(answers.CHAT), "choices": [
        {"index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": str(said[-1])}}]})))


def nothing_in_clear(upstream, accord):
    sent = b"".join(r.raw for r in upstream.requests)
    accord.wait_access_log(1)
    told = (accord.stderr() + json.dumps(accord.access_log())).encode() + accord.get("/metrics").body
    assert not [c for c in CANARIES if c in sent + told]


# ---- requests ----

BODIES = {
    "chat, tools": (CHAT, {"model": "m", "messages": [
        {"role": "system", "content": f"for {MAIL}"},
        {"role": "user", "content": [{"type": "text", "text": f"to {MAIL}"}]},
        {"role": "assistant", "content": None, "tool_calls": [{"id": "c1", "type": "function", "function": {
            "name": "f", "arguments": json.dumps({"to": MAIL, "deep": [json.dumps({"x": 1}), MAIL]})}}]},
        {"role": "tool", "tool_call_id": "c1", "content": json.dumps({"from": MAIL, "pin": 1})}],
        "user": MAIL, "metadata": {"who": MAIL}}),
    "messages, tools": ("/v1/messages", {"model": "claude-m", "max_tokens": 9, "system": f"for {MAIL}", "messages": [
        {"role": "assistant", "content": [{"type": "tool_use", "id": "t", "name": "f", "input": {"to": MAIL}}]},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t", "content": f"of {MAIL}"}]}]}),
    "responses": (RESPONSES, {"model": "m", "instructions": f"for {MAIL}", "input": f"to {MAIL}"}),
    "gemini": ("/v1beta/models/gemini-m:generateContent", {
        "systemInstruction": {"parts": [{"text": MAIL}]}, "contents": [{"parts": [{"text": MAIL}]}]}),
    "ollama": ("/api/chat", {"model": "ollama-m", "stream": False, "messages": [{"role": "user", "content": MAIL}]}),
    "ollama generate": ("/api/generate", {"model": "ollama-m", "stream": False, "prompt": MAIL, "system": MAIL}),
    "cohere": ("/v2/chat", {"model": "cohere-m", "messages": [{"role": "user", "content": MAIL}]}),
    "converse": ("/model/bedrock-m/converse", {"messages": [{"role": "user", "content": [{"text": MAIL}]}]}),
    "embeddings": ("/v1/embeddings", {"model": "m", "input": [MAIL, f"and {MAIL}"]}),
    "embeddings, translated": ("/v1/embeddings", {"model": "gemini-m", "input": MAIL}),
    "rerank": ("/v1/rerank", {"model": "m", "query": f"who is {MAIL}", "documents": [MAIL, {"text": MAIL}]}),
    "rerank, translated": ("/v1/rerank", {"model": "cohere-m", "query": MAIL, "documents": [MAIL]}),
    "moderations": ("/v1/moderations", {"model": "m", "input": MAIL}),
    "completions": ("/v1/completions", {"model": "m", "prompt": f"to {MAIL}", "suffix": MAIL}),
    "speech": ("/v1/audio/speech", {"model": "m", "input": MAIL, "voice": "x"}),
    "images": ("/v1/images/generations", {"model": "m", "prompt": MAIL}),
    "tokens": ("/v1/messages/count_tokens", {"model": "claude-m", "messages": [{"role": "user", "content": MAIL}]}),
    "invoke": ("/model/bedrock-m/invoke", {"inputText": MAIL}),
}


@pytest.mark.parametrize("action", ["mask", "tokenise"])
@pytest.mark.parametrize("name", BODIES)
def test_no_text_of_any_body_leaves_in_clear(serve, upstream, name, action):
    accord = serve(policy(detectors=["email"], action=action))
    path, body = BODIES[name]
    accord.post(path, body)
    assert upstream.requests, "nothing was sent"
    sent = upstream.last.body
    json.loads(sent)
    assert b"canary" not in sent and b"[EMAIL" in sent
    nothing_in_clear(upstream, accord)


def test_a_body_that_passes_is_changed_only_where_something_was_found(serve, upstream):
    accord = serve(policy(detectors=["email", "card"]))
    body = (b'{ "messages" : [{"role":"user","content":"to joe\\u002ecanary@example.com \\u00e9, %s"}] ,\n "n":1.0e0,'
            b'"model":"m", "stream" : true, "x":{"model":"y","secret":"s"}}' % CARD.encode())
    accord.post(CHAT, body).events()
    wanted = body.replace(b"joe\\u002ecanary@example.com", b"[EMAIL]").replace(CARD.encode(), b"[CARD]")
    wanted = wanted.replace(b'"model":"m"', b'"model":"upstream-m"')
    assert upstream.last.body == b'{"stream_options":{"include_usage":true},' + wanted[1:]


def test_the_models_name_is_not_looked_at_but_its_namesakes_are(serve, upstream):
    accord = serve(policy(words=[{"name": "names", "words": ["upstream", "m"]}]))
    ask(accord, "m", metadata={"model": "m"})
    sent = json.loads(upstream.last.body)
    assert (sent["model"], sent["metadata"]["model"]) == ("upstream-m", "[NAMES]")


def test_images_are_no_text_and_fields_are_by_their_name(serve, upstream):
    accord = serve(policy(detectors=["phone", "card"], fields=["badge"]))
    image = "+4930123456789" + "A" * 400
    ask(accord, [{"type": "image_url", "image_url": {"url": f"data:image/png;base64,{image}"}},
                 {"type": "input_audio", "input_audio": {"data": image, "format": "wav"}},
                 {"type": "text", "text": json.dumps({"badge": 12345, "n": 12345})}])
    sent = upstream.last.body.decode()
    assert sent.count(image) == 2
    assert json.loads(json.loads(sent)["messages"][0]["content"][2]["text"]) == {"badge": "[FIELD]", "n": 12345}


def test_what_is_found_is_told_and_counted(serve, upstream):
    accord = serve(policy(detectors=["email", "card"], action="report", actions={"card": "mask"}))
    response = ask(accord, f"{MAIL} {MAIL} {CARD}")
    assert response.header("accord-masked") == "email=2, card=1"
    assert MAIL.encode() in upstream.last.body and CARD.encode() not in upstream.last.body
    assert ask(accord, "nothing").header("accord-masked") is None
    samples = accord.metrics()
    assert samples['accord_masked_total{detector="email",action="report"}'] == 2
    assert samples['accord_masked_total{detector="card",action="mask"}'] == 1


# ---- refusals ----

@pytest.mark.parametrize("path, body, where", [
    (CHAT, {"model": "m", "messages": [{"role": "user", "content": "hi"}, {"role": "user", "content": CARD}]},
     "messages[1].content"),
    ("/v1/messages", {"model": "m", "max_tokens": 1, "system": CARD, "messages": []}, "system"),
    ("/v1/embeddings", {"model": "m", "input": ["a", CARD]}, "input[1]"),
])
def test_a_blocked_call_names_detector_and_member_and_not_the_value(serve, upstream, path, body, where):
    accord = serve(policy(detectors=["email"], actions={"card": "block"}))
    response = accord.post(path, body)
    assert response.status in (400, 422)
    text = response.body.decode()
    assert "personal_data_blocked" in text or path == "/v1/messages"
    assert "card" in text and where in text and "4111" not in text
    assert response.header("x-should-retry") == "false"
    assert not upstream.requests
    assert accord.metrics()['accord_masked_total{detector="card",action="block"}'] == 1
    nothing_in_clear(upstream, accord)


def test_what_cannot_be_looked_through_does_not_go(serve, upstream):
    accord = serve(policy(patterns=[SLOW]))
    response = ask(accord, ENDLESS)
    assert response.status == 503 and response.json()["error"]["code"] == "masking_failed"
    assert response.header("x-should-retry") == "false" and not upstream.requests
    assert ask(accord, "c").status == 200 and b"[SLOW]" in upstream.last.body
    assert accord.metrics()['accord_masking_failures_total{result="refused"}'] == 1


def test_or_it_goes_where_the_policy_says_so(serve, upstream):
    accord = serve(policy(patterns=[SLOW], on_failure="pass"))
    assert ask(accord, ENDLESS).status == 200 and ENDLESS.encode() in upstream.last.body
    assert accord.metrics()['accord_masking_failures_total{result="passed"}'] == 1


@pytest.mark.parametrize("masking, status", [
    ({"detectors": ["email"]}, 422), ({"detectors": ["email"], "on_failure": "pass"}, 200),
    ({"detectors": ["email"], "action": "report"}, 200)])
def test_forms_go_or_not_as_the_policy_says(serve, upstream, masking, status):
    accord = serve(policy(**masking))
    form = (b'--xYzZY\r\nContent-Disposition: form-data; name="model"\r\n\r\nm\r\n--xYzZY\r\n'
            b'Content-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n--xYzZY--\r\n')
    with accord.connect() as connection:
        connection.send(request("POST", "/v1/audio/transcriptions", [
            ("x-api-key", KEY), ("Content-Type", "multipart/form-data; boundary=xYzZY")], form))
        response = connection.read_response()
    assert response.status == status, response
    assert len(upstream.requests) == (status == 200)
    if status == 422:
        assert response.json()["error"]["code"] == "not_maskable"


def test_answers_that_cannot_be_looked_through_are_not_asked_for(serve, upstream):
    accord = serve(policy(detectors=["email"], answers=True))
    response = accord.post("/v1/completions", {"model": "m", "prompt": "hi"})
    assert response.status == 422 and not upstream.requests
    assert accord.post("/v1/embeddings", {"model": "m", "input": "hi"}).status == 200


def test_a_body_that_is_no_json_is_not_passed_on_unseen(serve, upstream):
    accord = serve(policy(detectors=["email"]))
    assert accord.post("/v1beta/models/gemini-m:generateContent", b'{"contents": "joe.canary@example.com').status == 400
    assert not upstream.requests


# ---- the way back ----

def test_values_come_back_to_who_sent_them(serve, upstream):
    upstream.answer = echo
    accord = serve(policy(detectors=["email"], actions={"iban": "mask"}, action="tokenise"))
    response = ask(accord, f"{MAIL}, [EMAIL_1], {IBAN}")
    assert json.loads(upstream.last.body)["messages"][0]["content"] == "[EMAIL_1], [EMAIL_2], [IBAN]"
    assert response.json()["choices"][0]["message"]["content"] == f"{MAIL}, [EMAIL_1], [IBAN]"


@pytest.mark.parametrize("caller", ["openai", "anthropic"])
def test_streams_are_restored_at_every_split(serve, upstream, caller):
    """The token's text cut into two deltas everywhere, and the bytes of the stream cut into pieces."""
    token = "Mail [EMAIL_1] now"
    cuts = iter(range(1, len(token)))

    def answer(peer, req):
        cut = next(cuts)
        deltas = [token[:cut], token[cut:]]
        if caller == "openai":
            events = [chat_chunk({"role": "assistant", "content": ""}),
                      *[chat_chunk({"content": d}) for d in deltas], chat_chunk({}, "stop"), answers.DONE]
        else:
            usual = answers.message_events()
            events = usual[:2] + [sse({"type": "content_block_delta", "index": 0,
                                       "delta": {"type": "text_delta", "text": d}}, "content_block_delta")
                                  for d in deltas] + usual[-3:]
        peer.send_pieces(answers.stream(events), size=1 + cut * 7)

    upstream.answer = answer
    accord = serve(policy(detectors=["email"], action="tokenise"))
    for _ in range(1, len(token)):
        if caller == "openai":
            response = ask(accord, MAIL, stream=True)
            said = [json.loads(data)["choices"][0]["delta"].get("content") or ""
                    for _, data in response.events() if data.startswith("{") and json.loads(data)["choices"]]
        else:
            response = accord.post("/v1/messages", {"model": "claude-m", "max_tokens": 9, "stream": True,
                                                    "messages": [{"role": "user", "content": MAIL}]})
            said = [json.loads(data)["delta"].get("text", "") for name, data in response.events()
                    if name == "content_block_delta"]
        assert "".join(said) == f"Mail {MAIL} now"


def test_the_first_words_of_a_stream_do_not_wait(serve, upstream):
    """Nothing is held back of what cannot become a find."""
    def answer(peer, req):
        del req
        peer.send(answers.STREAM_HEAD + answers.chunk(chat_chunk({"content": "Hello, "})))
        assert upstream.release.wait(20)
        peer.send(answers.chunk(chat_chunk({"content": "you"})) + answers.chunk(chat_chunk({}, "stop"))
                  + answers.chunk(answers.DONE) + b"0\r\n\r\n")

    upstream.answer = answer
    accord = serve(policy(detectors=["email"], action="tokenise", answers=True))
    with accord.open_stream(CHAT, {"model": "m", "stream": True,
                                   "messages": [{"role": "user", "content": MAIL}]}) as connection:
        seen = connection.read_until(b"Hello, ")
        assert b"you" not in seen
        upstream.release.set()


def test_every_attempt_sends_the_same_and_the_answer_is_restored(serve, upstream):
    sent = []

    def answer(peer, req):
        sent.append(json.loads(req.body))
        if len(sent) < 3:
            peer.send(whole(b'{"error":{"message":"no"}}', status=500))
        else:
            peer.send(whole(answers.MESSAGE.replace(b"Bonjour", b"[EMAIL_1]")))

    upstream.answer = answer
    accord = serve(policy(detectors=["email"], action="tokenise"), models=[
        {"id": "m", "targets": [{"provider": "up", "model": "a"},
                                {"provider": "oll", "model": "b", "priority": 2},
                                {"provider": "ant", "model": "c", "priority": 3}]}])
    response = ask(accord, f"{MAIL} and ann@example.com")
    assert [s["model"] for s in sent] == ["a", "b", "c"]
    texts = [s["messages"][0]["content"] for s in sent]
    texts = [t if isinstance(t, str) else t[0]["text"] for t in texts]
    assert texts == ["[EMAIL_1] and [EMAIL_2]"] * 3
    assert response.json()["choices"][0]["message"]["content"].startswith(MAIL)
    assert response.header("accord-masked") == "email=2"
    nothing_in_clear(upstream, accord)


def test_an_answer_that_says_the_request_again_says_the_callers_own(serve, upstream):
    accord = serve(policy(detectors=["email"], action="tokenise"))
    response = accord.post(RESPONSES, {"model": "claude-m", "instructions": f"for {MAIL}", "input": "hi",
                                       "metadata": {"who": MAIL}})
    assert response.json()["instructions"] == f"for {MAIL}" and response.json()["metadata"] == {"who": MAIL}
    assert b"canary" not in upstream.last.body


def test_a_kept_conversation_is_masked_anew_and_restored(serve, upstream):
    upstream.answer = lambda peer, req: peer.send(whole(answers.MESSAGE.replace(b"Bonjour", b"[EMAIL_1]")))
    accord = serve(policy(detectors=["email"], action="tokenise"))
    first = accord.post(RESPONSES, {"model": "claude-m", "input": f"I am {MAIL}"}).json()
    assert first["output"][0]["content"][0]["text"].startswith(MAIL)
    second = accord.post(RESPONSES, {"model": "claude-m", "previous_response_id": first["id"],
                                     "input": "and ann@example.com"})
    assert second.status == 200, second
    sent = json.loads(upstream.last.body)["messages"]
    assert len(sent) == 3 and "example.com" not in json.dumps(sent)
    assert json.dumps(sent[0]).count("[EMAIL_") == 1 and json.dumps(sent[1]).count("[EMAIL_") == 1


def test_tokens_of_earlier_calls_are_not_taken_for_new_ones(serve, upstream):
    """The upstream keeps the conversation itself, with the tokens of calls that are over."""
    upstream.answer = lambda peer, req: peer.send(whole(answers.RESPONSE.replace(b"Bonjour", b"[EMAIL_1]")))
    accord = serve(policy(detectors=["email"], action="tokenise"))
    response = accord.post(RESPONSES, {"model": "m", "previous_response_id": "resp_9", "input": MAIL})
    assert b"[EMAIL_1]" not in upstream.last.body and b"[EMAIL_" in upstream.last.body
    assert response.json()["output"][0]["content"][0]["text"].startswith("[EMAIL_1]")


# ---- whose policies ----

def test_all_policies_that_hold_are_applied_and_the_strictest_action_counts(serve, upstream):
    accord = serve(policy("all", detectors=["email"], action="report",
                          patterns=[{"name": "id", "regex": "EMP-\\d+"}]),
                   policy("model", {"model": "m"}, detectors=["email"], action="mask",
                          patterns=[{"name": "id", "regex": "CASE-\\d+"}]),
                   policy("key", {"key": "dev"}, detectors=["ip"], action="mask"))
    ask(accord, f"{MAIL} EMP-12 CASE-7 at 192.0.2.17")
    assert json.loads(upstream.last.body)["messages"][0]["content"] == "[EMAIL] EMP-12 [ID_B] at [IP]"
    accord.post("/v1/messages", {"model": "claude-m", "max_tokens": 9,
                                 "messages": [{"role": "user", "content": f"{MAIL} at 192.0.2.17"}]})
    assert json.loads(upstream.last.body)["messages"][0]["content"] == f"{MAIL} at [IP]"


def test_a_change_holds_from_the_next_call_on(serve, upstream):
    accord = serve()
    ask(accord, MAIL)
    assert MAIL.encode() in upstream.last.body
    accord.write_config(config_for(upstream.url, policies=[policy(detectors=["email", "secret"])]))
    accord.signal(signal.SIGHUP)
    wait_for(lambda: "generation 2" in accord.stderr(), what="the reload")
    ask(accord, MAIL)
    assert b"canary" not in upstream.last.body


def test_the_platform_masks_for_teams_and_applications(tmp_path, upstream):
    server = start_platform(tmp_path / "platform", config=config_for(upstream.url))
    try:
        api = Api(server.address)
        team = api.team()["id"]
        app = api.create("applications", name="A", team=team)["id"]
        secret = api.create("keys", application=app)["secret"]
        api.create("policies", id="team", applies_to={"team": team}, masking={"detectors": ["email"]})
        api.create("policies", id="app", applies_to={"application": app}, masking={"detectors": ["card"]})

        def masked(key):
            response = server.call("POST", CHAT, {"model": "m", "messages": [
                {"role": "user", "content": f"{MAIL} {CARD}"}]}, headers=[("Authorization", f"Bearer {key}")], key=False)
            if response.status == 401:
                return None  # the key is not known to all workers yet
            assert response.status == 200, response
            return json.loads(upstream.last.body)["messages"][0]["content"]

        wait_for(lambda: masked(secret) == "[EMAIL] [CARD]", what="the policies to hold")
        assert masked(KEY) == f"{MAIL} {CARD}"
        bad = api.post("/policies", {"id": "bad", "applies_to": {"org": True},
                                     "masking": {"patterns": [{"name": "x", "regex": "a(?=b)"}]}})
        assert 'pattern "x": at offset 1' in is_problem(bad, bad.status_code)["message"]
        bad = api.post("/policies", {"id": "bad", "applies_to": {"org": True}, "masking": {"detectors": ["emial"]}})
        assert "email, phone" in is_problem(bad, bad.status_code)["message"]
    finally:
        server.stop()


@pytest.mark.parametrize("masking, words", [
    ({"detectors": ["emial"]}, "masking.detectors[0]"),
    ({"action": "block"}, "there is nothing to look for"),
    ({"actions": {"card": "drop"}}, "masking.actions.card"),
    ({"patterns": [{"name": "x", "regex": "(a"}]}, 'pattern "x": at offset'),
    ({"patterns": [{"name": "email", "regex": "a"}]}, "the name is taken"),
    ({"words": [{"name": "x", "words": ["y" * 200]}]}, "longer than 128 bytes"),
])
def test_check_tells_what_is_wrong_with_a_policy(tmp_path, masking, words):
    path = tmp_path / "accord.yaml"
    path.write_text(json.dumps({"policies": [policy(**masking)]}), encoding="utf-8")
    result = run(["check", "-c", path], tmp_path)
    assert result.returncode and words in result.stderr, result
