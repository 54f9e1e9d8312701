"""The official JavaScript SDKs on Node 24, with nothing changed but base URL and key."""

import pytest

import answers
from accord import KEY, config_for
from tooling import run_node

TEXT = "Bonjour \u00e9l\u00e8ve \U0001f600, says the mock."
TOOL_CALL = {"name": "get_weather", "arguments": {"city": "Oslo", "days": 2}}
TOOL_ANSWER = {**TOOL_CALL, "text": "It is 21 degrees in Oslo."}


@pytest.fixture
def js(node, gateway):
    return lambda script, scenario: run_node(f"{script}.mjs", scenario, gateway.address, KEY)


def test_openai_chat(js):
    answer = js("openai", "chat")
    assert answer["text"] == TEXT
    assert answer["usage"]["total_tokens"] == 16
    assert answer["requestId"]


def test_openai_stream_without_asking_for_usage_shows_none(js):
    answer = js("openai", "stream")
    assert (answer["text"], answer["finish"], answer["usage"]) == (TEXT, "stop", None)


def test_openai_stream_with_usage(js):
    answer = js("openai", "streamWithUsage")
    assert (answer["text"], answer["usage"]["completion_tokens"]) == (TEXT, 5)


def test_openai_tool_call_and_result(js):
    assert js("openai", "tool") == {**TOOL_ANSWER, "stop": "tool_calls"}


def test_openai_responses_whole_and_streamed(js):
    assert js("openai", "responses") == {"text": TEXT, "streamed": TEXT,
                                         "last": "response.completed"}


def test_openai_embeddings(js):
    assert js("openai", "embeddings")["vector"] == [0.25, -0.5, 1]


def test_openai_lists_models(js):
    assert {"m", "m-alias"} <= set(js("openai", "models")["ids"])


def test_openai_upstream_error_keeps_status_and_text(js):
    error = js("openai", "error")
    assert (error["status"], error["name"]) == (400, "BadRequestError")
    assert "prompt is too long: 210000 tokens > 200000 maximum" in error["message"]
    assert error["requestId"]


def test_openai_wrong_key_is_an_authentication_error(js):
    error = js("openai", "badKey")
    assert (error["status"], error["name"]) == (401, "AuthenticationError")
    assert error["requestId"]


def test_openai_retries_a_500(js):
    assert js("openai", "retry")["text"] == TEXT


def test_anthropic_chat(js):
    answer = js("anthropic", "chat")
    assert (answer["text"], answer["usage"]["output_tokens"]) == (TEXT, 5)
    assert answer["requestId"]


def test_anthropic_stream(js):
    answer = js("anthropic", "stream")
    assert (answer["text"], answer["final"], answer["stop"]) == (TEXT, TEXT, "end_turn")


def test_anthropic_tool_call_and_result(js):
    assert js("anthropic", "tool") == {**TOOL_ANSWER, "stop": "tool_use"}


def test_anthropic_lists_models_with_display_names(js):
    names = dict(js("anthropic", "models")["names"])
    assert "claude-m" in names and names["claude-m"]


def test_anthropic_upstream_error_keeps_status_and_text(js):
    error = js("anthropic", "error")
    assert (error["status"], error["name"]) == (400, "BadRequestError")
    assert "prompt is too long: 210000 tokens > 200000 maximum" in error["message"]
    assert error["requestId"]


def test_anthropic_wrong_key_is_an_authentication_error(js):
    error = js("anthropic", "badKey")
    assert (error["status"], error["name"]) == (401, "AuthenticationError")
    assert error["requestId"]


def test_anthropic_retries_a_500(js):
    assert js("anthropic", "retry")["text"] == TEXT


def test_genai_chat(js):
    answer = js("genai", "chat")
    assert (answer["text"], answer["usage"]["totalTokenCount"]) == (TEXT, 16)


def test_genai_stream(js):
    answer = js("genai", "stream")
    assert (answer["text"], answer["finish"]) == (TEXT, "STOP")


def test_genai_tool_call_and_result(js):
    assert js("genai", "tool") == TOOL_ANSWER


def test_genai_lists_models(js):
    assert "models/gemini-m" in js("genai", "models")["names"]


def test_genai_embeddings(node, start, upstream):
    """Its body names the model once more, so it is written anew: a batch of one is a single text."""
    upstream.answer = lambda peer, request: peer.send(answers.whole(
        b'{"embedding":{"values":[0.25,-0.5,1]}}'))
    server = start(config_for(upstream.url))
    assert run_node("genai.mjs", "embeddings", server.address, KEY)["vector"] == [0.25, -0.5, 1]
    assert upstream.last.path == "/v1beta/models/upstream-g:embedContent"
    assert b"gemini-m" not in upstream.last.body


def test_genai_upstream_error_keeps_status_and_text(js):
    error = js("genai", "error")
    assert error["status"] == 400
    assert "prompt is too long: 210000 tokens > 200000 maximum" in error["message"]


def test_genai_wrong_key_is_refused_in_its_dialect(js):
    error = js("genai", "badKey")
    assert error["status"] == 401
    assert "UNAUTHENTICATED" in error["message"]


@pytest.mark.parametrize("sdk, own", [("mistral", "m"), ("cohere", "cohere-m"),
                                      ("ollama", "ollama-m"), ("bedrock", "bedrock-m")])
def test_sdk_of_another_vendor_in_its_own_dialect(node, gateway, sdk, own):
    seen = run_node(f"{sdk}.mjs", "chat,stream,tool,badKey", gateway.address, KEY, models=[own])
    assert (seen["chat"][own]["text"], seen["stream"][own]["text"]) == (TEXT, TEXT)
    assert TOOL_ANSWER.items() <= seen["tool"][own].items()
    assert seen["badKey"][own]["status"] == 401
    assert "This key is not known here" in seen["badKey"][own]["message"]


@pytest.mark.parametrize("provider", ["chat", "responses", "compatible", "anthropic",
                                      "anthropic-bare", "google"])
def test_vercel_ai_whole_and_streamed(js, provider):
    answer = js("vercel", provider)
    assert (answer["text"], answer["streamed"], answer["finish"]) == (TEXT, TEXT, "stop")
    assert answer["usage"] == 5


def test_vercel_ai_runs_the_tool_and_asks_again(js):
    assert js("vercel", "chat-tool") == {
        "called": [TOOL_CALL["arguments"]], "text": TOOL_ANSWER["text"], "steps": 2}


def test_vercel_ai_embeddings(js):
    assert js("vercel", "embeddings")["vector"] == [0.25, -0.5, 1]


def test_vercel_ai_error(js):
    error = js("vercel", "chat-error")
    assert error["status"] == 400
    assert "prompt is too long" in error["message"]


def test_vercel_ai_retries_a_500(js):
    assert js("vercel", "retry")["text"] == TEXT
